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
mod work;

pub use child::{Said, Task, child};
pub use drive::{Drive, Sizes};
pub use engine::{Change, Direction, Engine, Entry, ExactExpiry, Settings, Unsupported, Use, Visit};
pub use engines::Kind;
pub use keys::{Key, Keys, Pick, Shape, Zipf};
pub use meter::{Meter, SLOT, spin};
pub use options::Options;
pub use order::{Conditions, Job, Named, State, order, phases_of};
pub use page::page;
pub use phases::{For, Mix, PHASES, Phase, SUITES, Start, Suite, Work};
pub use report::{Cell, Figure, Line, Section, Summary, summary};
pub use row::{Outcome, Row};
pub use run::{Files, run};
