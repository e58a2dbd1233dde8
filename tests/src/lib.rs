//! What the integration tests share: the tidiness rules, golden text, and the documents read as data.

pub mod golden;
pub mod history;
pub mod markdown;
pub mod oracle;
pub mod session;
pub mod tidy;
pub mod workspace;
