//! The errors that the sources of structures can answer with, to be compared with those that were met.

use super::coverage::{ErrorKind, kind_of_text};
use super::ways::Way;
use crate::tidy::Rust;
use crate::workspace::TextFile;
use esker_structures::command::find;
use std::collections::{BTreeMap, BTreeSet};

/// Where the sources stand, ...
const SOURCES: &str = "engine/structures/src/";
/// ... and those of the commands among them.
const COMMANDS: &str = "engine/structures/src/command/";
/// Where errors that more than one operation gives have names.
const NAMED: &str = "engine/structures/src/base/error.rs";

/// With these words errors begin.
const KINDS: &[&str] = &["ERR", "WRONGTYPE", "EXECABORT", "MISCONF", "BUSY"];

/// An error that stands in a source.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Declared {
    /// The file, from the folder of the sources on.
    pub file: String,
    /// Its text, up to what depends on the command, and not all of a long one.
    pub text: String,
    /// The text goes on with what depends on the command.
    pub is_open: bool,
}

impl Declared {
    /// Whether an error that was met is this one.
    #[must_use]
    pub fn is(&self, met: &ErrorKind) -> bool {
        // What begins with nothing but a kind would be any of them.
        let begins = self.is_open && self.text.contains(' ') && met.text.starts_with(&self.text);
        begins || met.text == self.text
    }
}

/// The literals of a source that are not for tests, and where they begin.
fn literals<'a>(rust: &Rust<'a>) -> Vec<(usize, &'a str)> {
    let (mut found, mut from) = (Vec::new(), 0);
    let bytes = rust.code.as_bytes();
    while let Some(start) = bytes[from..].iter().position(|byte| *byte == b'"').map(|at| at + from) {
        let Some(len) = bytes[start + 1..].iter().position(|byte| *byte == b'"') else { break };
        if !rust.in_tests(start) {
            found.push((start, &rust.file.text[start + 1..start + 1 + len]));
        }
        from = start + len + 2;
    }
    found
}

/// The text of an error as it is met, and whether that is not all of it.
fn known_part(literal: &str) -> (String, bool) {
    let cut = literal.split(['{', '\\']).next().unwrap_or_default();
    (kind_of_text(cut), cut.len() < literal.len() || literal.ends_with(' '))
}

fn is_error(literal: &str) -> bool {
    literal.split_once(' ').is_some_and(|(kind, _)| KINDS.contains(&kind))
}

/// All errors that stand in the sources: as texts, and, where commands are, by their names. And which
/// commands stand in each file of them.
#[must_use]
pub fn declared(files: &[TextFile]) -> (BTreeSet<Declared>, BTreeMap<String, BTreeSet<String>>) {
    let sources = || files.iter().filter(|f| f.path.starts_with(SOURCES) && f.path.ends_with(".rs"));
    let names: Vec<(String, String, bool)> =
        sources().filter(|file| file.path == NAMED).flat_map(named).collect();
    let (mut errors, mut commands) = (BTreeSet::new(), BTreeMap::new());
    for file in sources() {
        let rust = Rust::new(file);
        let name = file.path[SOURCES.len()..].to_owned();
        let literals = literals(&rust);
        for (_, literal) in literals.iter().filter(|(_, literal)| is_error(literal)) {
            let (text, is_open) = known_part(literal);
            errors.insert(Declared { file: name.clone(), text, is_open });
        }
        if !file.path.starts_with(COMMANDS) {
            continue;
        }
        for (constant, text, is_open) in &names {
            let used = rust.code.match_indices(&format!("Error::{constant}")).any(|(at, _)| {
                !rust.in_tests(at) && !rust.code[at..].starts_with(&format!("Error::{constant}_"))
            });
            if used {
                errors.insert(Declared { file: name.clone(), text: text.clone(), is_open: *is_open });
            }
        }
        // What others share is met by any of them.
        if !rust.code.contains("&[Command]") {
            continue;
        }
        let of_file: BTreeSet<String> =
            literals.iter().filter_map(|(_, word)| Some(find(word.as_bytes())?.name.to_owned())).collect();
        commands.insert(name, of_file);
    }
    (errors, commands)
}

/// The constants of a source that are errors: name, text and whether that goes on.
fn named(file: &TextFile) -> Vec<(String, String, bool)> {
    let rust = Rust::new(file);
    let literals = literals(&rust);
    let constants = rust.code.match_indices("pub const ").filter_map(|(at, word)| {
        let (name, rest) = rust.code[at + word.len()..].split_once(':')?;
        rest.trim_start().starts_with("Error").then_some(())?;
        let (_, literal) = literals.iter().find(|(start, _)| *start > at)?;
        let (text, is_open) = known_part(literal);
        Some((name.to_owned(), text, is_open))
    });
    constants.collect()
}

/// What is declared to be met by nobody who compares with Redis: a line for each, the file, the text and why.
///
/// # Errors
/// The line that is none.
pub fn unmet(text: &str) -> Result<Vec<(String, String, String)>, String> {
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let parts = lines.map(|line| {
        let parts: Vec<&str> = line.split(" | ").collect();
        match parts[..] {
            [file, text, why] if why.len() > 10 => Ok((file.to_owned(), text.to_owned(), why.to_owned())),
            _ => Err(format!("not a file, a text and a reason: {line}")),
        }
    });
    parts.collect()
}

/// What is wrong with the lists: errors of the sources that no way leads to and that are not declared to be
/// unmet, and lines of that list that are about nothing, or about what is met.
#[must_use]
pub fn forgotten(files: &[TextFile], ways: &[Way], unmet: &[(String, String, String)]) -> Vec<String> {
    let (declared, commands) = declared(files);
    let is_met = |error: &Declared| {
        let of_file = commands.get(&error.file);
        ways.iter().any(|way| {
            error.is(&way.error) && of_file.is_none_or(|commands| commands.contains(&way.error.command))
        })
    };
    let is_listed = |error: &Declared| unmet.iter().any(|(f, t, _)| (f, t) == (&error.file, &error.text));
    let mut wrong = Vec::new();
    for error in &declared {
        let about = format!("{} | {}", error.file, error.text);
        match (is_met(error), is_listed(error)) {
            (false, false) => wrong.push(format!("{about}: no way leads there")),
            (true, true) => wrong.push(format!("{about}: is met, and said not to be")),
            _ => {}
        }
    }
    for (file, text, why) in unmet {
        let test = why.rsplit(": ").next().and_then(|path| files.iter().find(|file| file.path == path));
        // A test may be satisfied with the front of a text.
        let front: String = text.chars().take(16).collect();
        if !why.starts_with("never ") && !test.is_some_and(|test| test.text.contains(&front)) {
            wrong.push(format!("{file} | {text}: no test that has it is named"));
        }
        if !declared.iter().any(|error| (&error.file, &error.text) == (file, text)) {
            wrong.push(format!("{file} | {text}: stands in no source"));
        }
    }
    wrong
}

#[cfg(test)]
mod tests {
    use super::*;

    fn way(command: &str, text: &str) -> Way {
        Way { error: ErrorKind { command: command.into(), text: text.into() }, steps: Vec::new() }
    }

    fn sources() -> Vec<TextFile> {
        let named = "impl Error {\n    pub const SYNTAX: Error = Error::fixed(\"ERR syntax error\");\n}\n";
        let get = "const ALL: &[Command] = &[command(\"get\")];\n// \"ERR of a comment\"\n\
                   Err(Error::SYNTAX)\nformat!(\"ERR no {x}\")\n\
                   #[cfg(test)]\nmod tests {\n    fn a() { \"ERR of a test\"; }\n}\n";
        let below = "Error::fixed(\"ERR far below\")";
        vec![
            TextFile::new(NAMED, named),
            TextFile::new(&format!("{COMMANDS}strings.rs"), get),
            TextFile::new(&format!("{SOURCES}zset/add.rs"), below),
            TextFile::new("engine/lsm/src/lib.rs", "\"ERR elsewhere\""),
        ]
    }

    #[test]
    fn what_is_met_is_met_by_a_command_of_the_file() {
        let all = [way("get", "ERR syntax error"), way("get", "ERR no key"), way("zadd", "ERR far below")];
        assert_eq!(forgotten(&sources(), &all, &[]), Vec::<String>::new());
        let of_another = [way("zadd", "ERR syntax error"), way("get", "ERR no"), way("get", "ERR far below")];
        assert_eq!(
            forgotten(&sources(), &of_another, &[]),
            ["command/strings.rs | ERR syntax error: no way leads there"]
        );
        let longer = [way("get", "ERR syntax error, of another kind"), way("get", "ERR no key")];
        assert_eq!(forgotten(&sources(), &longer, &[]).len(), 3);
    }

    #[test]
    fn what_is_declared_to_be_unmet_is_there_and_unmet() {
        let ways = [way("get", "ERR syntax error"), way("get", "ERR no key")];
        let mut files = sources();
        files.push(TextFile::new("tests/tests/a.rs", "assert!(text.starts_with(\"ERR far\")"));
        files.push(TextFile::new("tests/tests/b.rs", "assert!(text.starts_with(\"ERR far below\")"));
        let listed = |line: &str| forgotten(&files, &ways, &unmet(line).unwrap());
        assert_eq!(
            listed("zset/add.rs | ERR far below | not Redis': tests/tests/b.rs"),
            Vec::<String>::new()
        );
        for elsewhere in ["tests/tests/a.rs", "tests/tests/c.rs"] {
            let wrong = listed(&format!("zset/add.rs | ERR far below | not Redis': {elsewhere}"));
            assert_eq!(wrong, ["zset/add.rs | ERR far below: no test that has it is named"]);
        }
        assert_eq!(listed("zset/add.rs | ERR far below | never met by a client"), Vec::<String>::new());
        assert_eq!(
            listed("command/strings.rs | ERR syntax error | never met by a client"),
            [
                "command/strings.rs | ERR syntax error: is met, and said not to be",
                "zset/add.rs | ERR far below: no way leads there"
            ]
        );
        let gone =
            "zset/add.rs | ERR far below | never met by a client\nzset/add.rs | ERR x | never met by anybody";
        assert_eq!(listed(gone), ["zset/add.rs | ERR x: stands in no source"]);
        assert!(unmet("zset/add.rs | ERR x").is_err());
    }
}
