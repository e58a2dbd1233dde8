//! Layer 5: one column family's live state, and reading it.

mod family;
mod lookup;
mod many;
mod pins;
mod prefixed;
mod rules;
mod scan;
mod snapshots;
mod view;
mod written;

pub use family::Family;
pub use lookup::{Found, lookup, lookup_observed};
pub use many::lookup_many;
pub use pins::{Held, Pin, PinKind, Pins};
pub use rules::FamilyRules;
pub use scan::{Bounds, TreeCursor, scan};
pub use snapshots::{Filtering, Registered, Snapshots};
pub use view::{Seal, Sealed, View};
pub use written::written_between;
