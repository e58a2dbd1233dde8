//! Esker and its peers, side by side: the same workloads on each through one small trait, in
//! processes of their own, forth and back. The program `peers` runs it.

mod child;
mod drive;
mod engine;
mod engines;
mod keys;
mod meter;
mod options;
mod order;
mod page;
mod phases;
mod report;
mod row;
mod run;
mod suites;
mod work;

pub use child::{Said, Task, child};
pub use drive::{Drive, Sizes};
pub use engine::{
    Change, Direction, Engine, Entry, ExactExpiry, Settings, SortedFile, Unsupported, Use, Visit,
};
pub use engines::Kind;
pub use keys::{GROUP, Key, Keys, Pick, Shape, Value, Zipf};
pub use meter::{Meter, SLOT, spin};
pub use options::Options;
pub use order::{Conditions, Job, Named, State, order, phases_of};
pub use page::page;
pub use phases::{For, Mix, PHASES, Phase, Start, Work};
pub use report::{Cell, Figure, Line, Section, Summary, summary};
pub use row::{Outcome, Row};
pub use run::{Files, run};
pub use suites::{SUITES, Subject, Suite};
