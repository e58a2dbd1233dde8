//! What the integration tests share: histories and their oracle, ways to damage files, the tidiness rules,
//! golden text, the documents read as data, stores as bytes.

pub mod bank;
pub mod damage;
pub mod figures;
pub mod fuzz;
pub mod golden;
pub mod history;
pub mod linear;
pub mod markdown;
pub mod needs;
pub mod oracle;
pub mod process;
pub mod redis;
pub mod repair;
pub mod served;
pub mod session;
pub mod soak;
pub mod store;
pub mod tidy;
pub mod trace;
pub mod twins;
pub mod workspace;
