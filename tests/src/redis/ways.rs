//! For each error that a command can answer, a way to it: a few commands that begin with nothing stored.
//!
//! Random commands meet some errors once in a million. A run that meets one to which no way is known makes
//! the way from its own commands, by leaving away what does not matter; the ways are kept in a golden file.

use super::coverage::ErrorKind;
use super::generator::KEYS;

/// A command, and which connection gives it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The number of the connection.
    pub client: usize,
    /// The command.
    pub args: Vec<Vec<u8>>,
}

/// Commands, the last of which is answered with the error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Way {
    /// Where it leads.
    pub error: ErrorKind,
    /// What is asked.
    pub steps: Vec<Step>,
}

impl Way {
    /// The same way by other keys of the same kind: `turn` says by how many.
    #[must_use]
    pub fn turned(&self, turn: usize) -> Way {
        let steps = self.steps.iter().map(|step| {
            let args = step.args.iter().map(|arg| turned(arg, turn)).collect();
            Step { client: step.client, args }
        });
        Way { error: self.error.clone(), steps: steps.collect() }
    }
}

fn turned(arg: &[u8], turn: usize) -> Vec<u8> {
    let kin: Vec<&&str> = KEYS.iter().filter(|key| key.as_bytes()[0] == *arg.first().unwrap_or(&0)).collect();
    match kin.iter().position(|key| key.as_bytes() == arg) {
        Some(at) => kin[(at + turn) % kin.len()].as_bytes().to_vec(),
        None => arg.to_vec(),
    }
}

/// Reads ways.
///
/// # Errors
/// The line that is none.
pub fn parse(text: &str) -> Result<Vec<Way>, String> {
    let mut ways: Vec<Way> = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let wrong = || format!("line {}: {line}", number + 1);
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(step) = line.strip_prefix("  ") {
            let (client, words) = step.split_once(' ').ok_or_else(wrong)?;
            let args: Option<Vec<Vec<u8>>> = words.split(' ').map(unquoted).collect();
            let step = Step { client: client.parse().map_err(|_| wrong())?, args: args.ok_or_else(wrong)? };
            ways.last_mut().ok_or_else(wrong)?.steps.push(step);
        } else {
            let (command, text) = line.split_once(": ").ok_or_else(wrong)?;
            let error = ErrorKind { command: command.to_owned(), text: text.to_owned() };
            ways.push(Way { error, steps: Vec::new() });
        }
    }
    Ok(ways)
}

/// Writes ways, in the order of what they lead to.
#[must_use]
pub fn print(ways: &[Way]) -> String {
    let mut sorted: Vec<&Way> = ways.iter().collect();
    sorted.sort_by(|a, b| a.error.cmp(&b.error));
    let mut text = String::from(
        "# Each error of each command, and a way to it from an empty store: the connection and the command.\n\
         # Made by random commands (cargo xtask golden); bytes as in Rust, but \\x20 for a\n\
         # space and \\e for an empty word.\n",
    );
    for way in sorted {
        text += &format!("{}: {}\n", way.error.command, way.error.text);
        for step in &way.steps {
            let words: Vec<String> = step.args.iter().map(|arg| quoted(arg)).collect();
            text += &format!("  {} {}\n", step.client, words.join(" "));
        }
    }
    text
}

fn quoted(arg: &[u8]) -> String {
    if arg.is_empty() { "\\e".to_owned() } else { arg.escape_ascii().to_string().replace(' ', "\\x20") }
}

fn unquoted(word: &str) -> Option<Vec<u8>> {
    if word == "\\e" {
        return Some(Vec::new());
    }
    let (mut bytes, mut rest) = (Vec::new(), word.as_bytes());
    while let [first, tail @ ..] = rest {
        let (byte, left) = match (first, tail) {
            (b'\\', [b'x', high, low, left @ ..]) => {
                let digits = [*high, *low];
                (u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?, left)
            }
            (b'\\', [escaped, left @ ..]) => {
                let byte = match escaped {
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    b'\'' | b'"' | b'\\' => *escaped,
                    _ => return None,
                };
                (byte, left)
            }
            (byte, left) => (*byte, left),
        };
        bytes.push(byte);
        rest = left;
    }
    (!bytes.is_empty()).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ways_are_read_as_they_were_written() {
        let every: Vec<u8> = (0..=255).collect();
        let step = |client, args: &[&[u8]]| Step { client, args: args.iter().map(|a| a.to_vec()).collect() };
        let error = ErrorKind { command: "set".into(), text: "ERR: a colon".into() };
        let steps = vec![step(3, &[b"set", b"k7", b""]), step(0, &[b"set", &every, b" "])];
        let way = Way { error, steps };
        assert_eq!(parse(&print(std::slice::from_ref(&way))).unwrap(), std::slice::from_ref(&way));
        let turned = way.turned(2);
        assert_eq!(turned.steps[0].args[1], b"k1");
        assert_eq!(turned.steps[1], way.steps[1]);
        for wrong in ["  0 get k0", "get", "get: x\n  z get k0", "get: x\n  0 get  k0", "get: x\n  0 \\q"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
