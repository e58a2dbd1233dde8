//! A bank: transfers between accounts in transactions of every kind, and the books that must balance at any
//! moment and after any loss.
//!
//! `accounts` makes transfers and checks the books; `teller` is a process that does so until it is killed.

mod accounts;
pub mod teller;

pub use accounts::{Bank, Books};
