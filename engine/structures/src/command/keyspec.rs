//! Which arguments of a command are keys.

use crate::base::number::parse_i64;

/// Finds the keys among arguments: each with its database, given that of the connection.
pub type Place = fn(&[&[u8]], u32) -> Vec<(u32, usize)>;

/// Where the keys of a command stand among its arguments, of which the first, number 0, is its name.
#[derive(Clone, Copy, Debug)]
pub enum Keys {
    /// There are none.
    None,
    /// From `first` to `last`, every `step`th; a negative `last` counts from the end.
    Range {
        /// The first.
        first: usize,
        /// The last.
        last: isize,
        /// From one to the next.
        step: usize,
    },
    /// As many as argument `at` says, behind it; and a target at 1 if `target`.
    Counted {
        /// Where the number stands.
        at: usize,
        /// Whether argument 1 is a key, too.
        target: bool,
    },
    /// As a function finds them, each with its database, given that of the connection.
    Placed(Place),
}

impl Keys {
    /// The first argument alone.
    pub const FIRST: Keys = Keys::Range { first: 1, last: 1, step: 1 };
    /// The first two.
    pub const TWO: Keys = Keys::Range { first: 1, last: 2, step: 1 };
    /// All arguments.
    pub const ALL: Keys = Keys::Range { first: 1, last: -1, step: 1 };

    /// Calls `found` with database and position of each key. Wrong arguments have fewer keys: their command
    /// refuses them.
    pub fn each(&self, args: &[&[u8]], database: u32, mut found: impl FnMut(u32, usize)) {
        match *self {
            Keys::None => {}
            Keys::Range { first, last, step } => {
                let last = if last < 0 {
                    args.len().saturating_sub(last.unsigned_abs())
                } else {
                    last.unsigned_abs()
                };
                (first..=last)
                    .step_by(step.max(1))
                    .filter(|at| *at < args.len())
                    .for_each(|at| found(database, at));
            }
            Keys::Counted { at, target } => {
                if target && args.len() > 1 {
                    found(database, 1);
                }
                let count = args.get(at).and_then(|text| parse_i64(text)).unwrap_or(0);
                let count = usize::try_from(count).unwrap_or(0).min(args.len());
                (at + 1..at + 1 + count).filter(|at| *at < args.len()).for_each(|at| found(database, at));
            }
            Keys::Placed(place) => place(args, database).into_iter().for_each(|(db, at)| found(db, at)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn positions(keys: Keys, args: &[&str]) -> Vec<usize> {
        let args: Vec<&[u8]> = args.iter().map(|arg| arg.as_bytes()).collect();
        let mut found = Vec::new();
        keys.each(&args, 0, |_, at| found.push(at));
        found
    }

    #[test]
    fn keys_are_found_in_every_form() {
        assert_eq!(positions(Keys::FIRST, &["get", "k"]), [1]);
        assert_eq!(positions(Keys::ALL, &["del", "a", "b"]), [1, 2]);
        assert_eq!(
            positions(Keys::Range { first: 1, last: -1, step: 2 }, &["mset", "a", "1", "b", "2"]),
            [1, 3]
        );
        assert_eq!(positions(Keys::Range { first: 1, last: -2, step: 1 }, &["blpop", "a", "b", "0"]), [1, 2]);
        assert_eq!(
            positions(Keys::Counted { at: 2, target: true }, &["zunionstore", "d", "2", "a", "b", "x"]),
            [1, 3, 4]
        );
        assert_eq!(positions(Keys::Counted { at: 1, target: false }, &["sintercard", "9999999", "a"]), [2]);
        assert_eq!(positions(Keys::Counted { at: 1, target: false }, &["sintercard", "-1", "a"]), []);
    }
}
