//! What the integration tests share: the tidiness rules, golden text, the documents read as data, stores as
//! bytes.

pub mod figures;
pub mod golden;
pub mod history;
pub mod linear;
pub mod markdown;
pub mod oracle;
pub mod process;
pub mod session;
pub mod store;
pub mod tidy;
pub mod trace;
pub mod workspace;
