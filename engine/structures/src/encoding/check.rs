//! What `verify` asks of the records of a key, one after the other, so that none of them need be kept.

/// What a type asks of the records of one key; they come in the order of their keys, the name left out.
/// What is wrong is said in a sentence.
pub trait Check {
    /// Looks at a record: its kind, the rest of its key, its value.
    ///
    /// # Errors
    /// What is wrong with it.
    fn record(&mut self, kind: u8, rest: &[u8], value: &[u8]) -> Result<(), String>;

    /// There are no more.
    ///
    /// # Errors
    /// What is wrong with all of them together.
    fn end(&mut self) -> Result<(), String>;
}

/// Records whose only tie is their number.
#[derive(Debug)]
pub struct Counted<F> {
    /// How many there must be.
    pub length: u64,
    /// How many there were.
    pub found: u64,
    /// What they are, for whom reads of one too few.
    pub what: &'static str,
    /// Whether a record is right.
    pub is_right: F,
}

impl<F: FnMut(u8, &[u8], &[u8]) -> bool> Check for Counted<F> {
    fn record(&mut self, kind: u8, rest: &[u8], value: &[u8]) -> Result<(), String> {
        self.found += 1;
        let right = (self.is_right)(kind, rest, value);
        if right { Ok(()) } else { Err(format!("a record of kind {kind} among the {}", self.what)) }
    }

    fn end(&mut self) -> Result<(), String> {
        let right = self.found == self.length && self.length > 0;
        if right {
            Ok(())
        } else {
            Err(format!("{} records of {}, {} counted", self.found, self.what, self.length))
        }
    }
}
