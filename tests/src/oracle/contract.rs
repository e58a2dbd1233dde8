//! The durability contract, read from the page that promises it.

use crate::{markdown, workspace};
use esker::Durability;

/// Which writes survive a loss for certain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Survives {
    /// Those whose call has returned.
    Returned,
    /// Those whose call had returned a sync interval before.
    ReturnedBefore,
    /// Those that a flush covers.
    Flushed,
}

/// In which order what survives is a prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Order {
    /// That of the writes in the log.
    Logged,
    /// That of the writes that pass by the log.
    Unlogged,
}

/// What one durability promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// After a kill of the process.
    pub kill: Survives,
    /// After a loss of power.
    pub power: Survives,
    /// Where the write has its place.
    pub order: Order,
}

/// The table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Contract {
    rows: [Row; 3],
}

impl Contract {
    /// The table of `docs/durability.md`.
    ///
    /// # Panics
    /// If the page cannot be read or says something that the oracle does not know.
    #[must_use]
    pub fn read() -> Contract {
        let path = workspace::root().join("docs/durability.md");
        let page = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("read {}: {e}", path.display()));
        Contract::parse(&page)
    }

    fn parse(page: &str) -> Contract {
        let table = markdown::table(page, "The contract");
        let row = |name: &str| {
            let cells = table.iter().find(|row| row[0] == name);
            let cells = cells.unwrap_or_else(|| panic!("the contract has no row {name}"));
            Row { kill: survives(&cells[1]), power: survives(&cells[2]), order: order(&cells[3]) }
        };
        Contract { rows: ["`Sync`", "`Os`", "`None`"].map(row) }
    }

    /// What a durability promises.
    #[must_use]
    pub fn row(&self, durability: Durability) -> Row {
        match durability {
            Durability::Sync => self.rows[0],
            Durability::Os => self.rows[1],
            Durability::None => self.rows[2],
        }
    }
}

fn survives(cell: &str) -> Survives {
    match cell {
        "every write that returned" => Survives::Returned,
        "every write that returned `sync_interval` or longer before" => Survives::ReturnedBefore,
        "every write that was flushed" => Survives::Flushed,
        _ => panic!("the contract promises {cell:?}, which the oracle does not know"),
    }
}

fn order(cell: &str) -> Order {
    match cell {
        "a prefix of all logged writes" => Order::Logged,
        "a prefix of all unlogged writes" => Order::Unlogged,
        _ => panic!("the contract orders by {cell:?}, which the oracle does not know"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_understood() {
        let contract = Contract::read();
        let sync = Row { kill: Survives::Returned, power: Survives::Returned, order: Order::Logged };
        assert_eq!(contract.row(Durability::Sync), sync);
        assert_eq!(contract.row(Durability::Os), Row { power: Survives::ReturnedBefore, ..sync });
        assert_eq!(contract.row(Durability::None).order, Order::Unlogged);
    }

    #[test]
    #[should_panic(expected = "does not know")]
    fn a_new_promise_is_not_overlooked() {
        let page = "# The contract\n| m | k | p | o |\n|--|--|--|--|\n\
                    | `Sync` | most writes | every write that returned | a prefix of all logged writes |\n";
        let _ = Contract::parse(page);
    }
}
