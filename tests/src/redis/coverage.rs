//! How often each command, each word of its options and each of its errors was met.

use super::generator::SHAPES;
use super::options::OPTIONS;
use super::value::Value;
use std::collections::BTreeMap;

/// What was met.
#[derive(Clone, Debug, Default)]
pub struct Coverage {
    commands: BTreeMap<String, u64>,
    options: BTreeMap<(String, &'static str), u64>,
    errors: BTreeMap<ErrorKind, u64>,
}

/// An error of a command.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ErrorKind {
    /// The command's name, in small letters.
    pub command: String,
    /// How the text begins: up to what it quotes of the one command, and not all of a long one.
    pub text: String,
}

impl ErrorKind {
    /// What a reply to a command is, if it is an error.
    #[must_use]
    pub fn of(args: &[Vec<u8>], reply: &Value) -> Option<ErrorKind> {
        let Value::Error(text) = reply else { return None };
        let text = kind_of_text(&String::from_utf8_lossy(text));
        let command = String::from_utf8_lossy(&args[0]).to_lowercase();
        Some(ErrorKind { command, text })
    }
}

/// What of the text of an error says which it is.
pub(super) fn kind_of_text(text: &str) -> String {
    let text = text.split('\'').next().unwrap_or_default().chars().take(60).collect::<String>();
    text.trim_end().to_owned()
}

impl Coverage {
    /// Counts a command and its reply.
    pub fn note(&mut self, args: &[Vec<u8>], reply: &Value) {
        let name = String::from_utf8_lossy(&args[0]).to_lowercase();
        *self.commands.entry(name.clone()).or_default() += 1;
        for option in OPTIONS {
            if args[1..].iter().any(|arg| arg.eq_ignore_ascii_case(option.as_bytes())) {
                *self.options.entry((name.clone(), option)).or_default() += 1;
            }
        }
        if let Some(error) = ErrorKind::of(args, reply) {
            *self.errors.entry(error).or_default() += 1;
        }
    }

    /// The errors that were met fewer than `least` times.
    pub fn rare_errors(&self, least: u64) -> impl Iterator<Item = &ErrorKind> {
        self.errors.iter().filter(move |(_, count)| **count < least).map(|(error, _)| error)
    }

    /// How often each option was met with each command whose shape has it.
    fn options(&self) -> impl Iterator<Item = (&'static str, &'static str, u64)> {
        let words = |c: char| c.is_whitespace() || "?|,+".contains(c);
        let known = move |shape: &'static str| {
            let mut known: Vec<&str> =
                OPTIONS.iter().copied().filter(|option| shape.split(words).any(|w| w == *option)).collect();
            known.dedup();
            known
        };
        let all = SHAPES.iter().flat_map(move |(name, shape)| known(shape).into_iter().map(|o| (*name, o)));
        all.map(|(name, option)| {
            (name, option, self.options.get(&(name.to_owned(), option)).copied().unwrap_or(0))
        })
    }

    /// The commands of the shapes that were met fewer than `least` times, and the options that shapes have.
    #[must_use]
    pub fn rare(&self, least: u64) -> Vec<String> {
        let times = |name: &str| self.commands.get(name).copied().unwrap_or(0);
        let commands = SHAPES.iter().filter(|(name, _)| times(name) < least).map(|(name, _)| (*name).into());
        let options = self.options().filter(|(_, _, times)| *times < least);
        commands.chain(options.map(|(name, option, _)| format!("{name} {option}"))).collect()
    }

    /// In a line: how many of each there are, and how often the rarest was met.
    #[must_use]
    pub fn summary(&self) -> String {
        let least = |counts: Vec<u64>| (counts.len(), counts.into_iter().min().unwrap_or(0));
        let (commands, rarest) = least(self.commands.values().copied().collect());
        let (options, rare_option) = least(self.options().map(|(_, _, times)| times).collect());
        let errors: u64 = self.errors.values().sum();
        let (kinds, rare_error) = least(self.errors.values().copied().collect());
        format!(
            "{commands} commands, each at least {rarest} times; {options} options of commands, each at least \
             {rare_option} times; {errors} errors of {kinds} kinds, each at least {rare_error} times"
        )
    }
}
