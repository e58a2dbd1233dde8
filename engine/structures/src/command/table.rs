//! The table of all commands.

use super::context::Context;
use super::keyspec::Keys;
use super::reply::Reply;
use super::{bits, hashes, keys, lists, server, sets, sort, strings, transactions, zsets};
use crate::base::error::Result;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::OnceLock;

/// What carries a command out. The first argument is its name.
pub type Handler = fn(&mut Context<'_, '_>, &[&[u8]]) -> Result<Reply>;

/// What a command is about, by the names that Redis uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Group {
    /// Strings.
    String,
    /// Strings as bits.
    Bitmap,
    /// Hashes.
    Hash,
    /// Lists.
    List,
    /// Sets.
    Set,
    /// Sorted sets.
    SortedSet,
    /// Keys of any type.
    Generic,
    /// Several commands as one.
    Transactions,
    /// The connection itself.
    Connection,
    /// The store.
    Server,
}

impl Group {
    /// All of them, in the order in which they are shown.
    pub const ALL: [Group; 10] = [
        Group::Generic,
        Group::String,
        Group::Bitmap,
        Group::Hash,
        Group::List,
        Group::Set,
        Group::SortedSet,
        Group::Transactions,
        Group::Connection,
        Group::Server,
    ];

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Group::String => "string",
            Group::Bitmap => "bitmap",
            Group::Hash => "hash",
            Group::List => "list",
            Group::Set => "set",
            Group::SortedSet => "sorted-set",
            Group::Generic => "generic",
            Group::Transactions => "transactions",
            Group::Connection => "connection",
            Group::Server => "server",
        }
    }

    /// A row of the table: a command of this group without subcommands.
    #[allow(clippy::too_many_arguments, reason = "a row of a table")]
    pub(super) const fn command(
        self,
        name: &'static str,
        arity: i32,
        flags: u32,
        keys: Keys,
        since: &'static str,
        complexity: &'static str,
        summary: &'static str,
        handler: Handler,
    ) -> Command {
        let group = self;
        Command { name, arity, flags, keys, group, since, complexity, summary, handler, subcommands: &[] }
    }
}

/// What the table says of a command besides.
pub mod flags {
    /// It may write: its keys are locked.
    pub const WRITE: u32 = 1;
    /// It reads the store and writes nothing.
    pub const READ: u32 = 1 << 1;
    /// Clients are told that it takes constant or logarithmic time: of those of which Redis says so.
    pub const FAST: u32 = 1 << 2;
    /// No other unit of work may be under way.
    pub const ALONE: u32 = 1 << 3;
    /// It is carried out at once between MULTI and EXEC, and makes a unit of work of its own.
    pub const IMMEDIATE: u32 = 1 << 4;
    /// Its reply has chance in it.
    pub const CHANCE: u32 = 1 << 5;
    /// Its reply is an array whose order means nothing.
    pub const UNORDERED: u32 = 1 << 6;
    /// It makes room, so that it is carried out on a full disk.
    pub const FREES: u32 = 1 << 7;
    /// It may take long, however little it answers: others do not wait for it with what was written before.
    pub const LONG: u32 = 1 << 8;
}

/// A command.
#[derive(Clone, Copy, Debug)]
pub struct Command {
    /// Its name, in small letters.
    pub name: &'static str,
    /// How many arguments it takes, its name included; if negative, at least so many.
    pub arity: i32,
    /// Flags of [`flags`].
    pub flags: u32,
    /// Which arguments are keys.
    pub keys: Keys,
    /// What it is about.
    pub group: Group,
    /// The version of Redis that had it first.
    pub since: &'static str,
    /// What it costs here.
    pub complexity: &'static str,
    /// What it does, in a line.
    pub summary: &'static str,
    /// What carries it out.
    pub handler: Handler,
    /// If argument 1 is the name of a subcommand: those that there are, in small letters, each with its
    /// arity.
    pub subcommands: &'static [(&'static str, i32)],
}

impl Command {
    /// Whether a flag is set.
    #[must_use]
    pub fn has(&self, flag: u32) -> bool {
        self.flags & flag != 0
    }

    /// Whether it takes so many arguments, its name included.
    #[must_use]
    pub fn takes(&self, arguments: usize) -> bool {
        fits(self.arity, arguments)
    }
}

/// Whether so many arguments fit an arity.
pub(super) fn fits(arity: i32, arguments: usize) -> bool {
    let least = arity.unsigned_abs() as usize;
    if arity < 0 { arguments >= least } else { arguments == least }
}

/// The parts of the table: each group of commands has a file.
const PARTS: &[&[Command]] = &[
    keys::KEYS,
    sort::SORT,
    strings::STRINGS,
    bits::BITS,
    hashes::HASHES,
    lists::LISTS,
    sets::SETS,
    zsets::ZSETS,
    transactions::TRANSACTIONS,
    server::SERVER,
];

/// All commands, in the order of their groups.
pub fn commands() -> impl Iterator<Item = &'static Command> {
    PARTS.iter().flat_map(|part| part.iter())
}

/// Hashes names of commands: FNV-1a (Fowler, Noll and Vo, 1991). Each command is looked up by its name, and
/// the names in the table are ours: nobody can make them collide.
#[derive(Clone, Copy)]
struct NameHasher(u64);

impl Default for NameHasher {
    fn default() -> NameHasher {
        NameHasher(0xcbf2_9ce4_8422_2325)
    }
}

impl Hasher for NameHasher {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3);
        }
    }

    fn finish(&self) -> u64 {
        // The table chooses places by the upper bits, too.
        self.0 ^ self.0.rotate_left(25)
    }
}

type ByName = BuildHasherDefault<NameHasher>;

/// The longest name of a command, in bytes.
const MAX_NAME_BYTES: usize = 32;

/// The command of a name, in letters of either size.
#[must_use]
pub fn find(name: &[u8]) -> Option<&'static Command> {
    static BY_NAME: OnceLock<HashMap<&'static [u8], &'static Command, ByName>> = OnceLock::new();
    let by_name =
        BY_NAME.get_or_init(|| commands().map(|command| (command.name.as_bytes(), command)).collect());
    let mut small = [0; MAX_NAME_BYTES];
    let small = small.get_mut(..name.len())?;
    small.copy_from_slice(name);
    small.make_ascii_lowercase();
    by_name.get(&*small).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_small_short_and_unique() {
        let mut names: Vec<&str> = commands().map(|command| command.name).collect();
        assert!(names.iter().all(|name| name.len() <= MAX_NAME_BYTES && *name == name.to_lowercase()));
        names.sort_unstable();
        assert!(names.windows(2).all(|pair| pair[0] != pair[1]));
        assert_eq!(find(b"GeT").map(|command| command.name), Some("get"));
        assert!(find(b"nosuch").is_none() && find(&[b'x'; 100]).is_none());
    }

    #[test]
    fn who_writes_or_reads_says_so() {
        for command in commands() {
            let kinds = [flags::WRITE, flags::READ].into_iter().filter(|flag| command.has(*flag)).count();
            let keyless = matches!(command.keys, Keys::None);
            assert!(kinds == 1 || (keyless && kinds == 0), "{}", command.name);
            assert!(command.arity != 0 && !command.summary.is_empty() && !command.complexity.is_empty());
        }
    }
}
