//! The parts of a reader by themselves.
