//! What operands mean in the families of histories.

use esker::hooks::{MergeError, MergeOperator};

/// The operator of a family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    /// Operands are appended: a missing, doubled or misplaced one shows. The engine's own.
    Append,
    /// Operands are numbers, and so is the value, which they are added to.
    Sum,
    /// The greater one wins. Values begin with the number of the commit that wrote them, so it is the newest
    /// one, and whoever knows values by their fingerprints only can still tell the result.
    Newest,
}

impl Operator {
    /// The operator of the family of this name.
    #[must_use]
    pub fn of_family(name: &str) -> Operator {
        let odd = name.bytes().last().is_some_and(|last| last % 2 == 1);
        if odd { Operator::Sum } else { Operator::Append }
    }

    /// The name that is stored.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Operator::Append => "esker.append",
            Operator::Sum => "rig.sum",
            Operator::Newest => "esker.maximum",
        }
    }

    /// What one operand makes of a value, one after the other: what the engine must come to in any way.
    #[must_use]
    pub fn apply(self, base: Option<&[u8]>, operand: &[u8]) -> Vec<u8> {
        match self {
            Operator::Newest => operand.to_vec(),
            Operator::Append => [base.unwrap_or_default(), operand].concat(),
            Operator::Sum => {
                number(base.unwrap_or(&[0; 8])).wrapping_add(number(operand)).to_le_bytes().to_vec()
            }
        }
    }
}

/// Eight bytes are a number, others stand for one.
fn number(bytes: &[u8]) -> u64 {
    match bytes.try_into() {
        Ok(eight) => u64::from_le_bytes(eight),
        Err(_) => bytes.iter().fold(bytes.len() as u64 + 1, |sum, byte| {
            (sum ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(23)
        }),
    }
}

/// [`Operator::Sum`] as the engine gets it.
#[derive(Clone, Copy, Debug)]
pub struct Sum;

impl MergeOperator for Sum {
    fn name(&self) -> &str {
        Operator::Sum.name()
    }

    fn full(&self, _: &[u8], base: Option<&[u8]>, operands: &[&[u8]]) -> Result<Vec<u8>, MergeError> {
        let all = base.into_iter().chain(operands.iter().copied());
        Ok(all.map(number).fold(0, u64::wrapping_add).to_le_bytes().to_vec())
    }

    fn partial(&self, _: &[u8], older: &[u8], newer: &[u8]) -> Option<Vec<u8>> {
        Some(number(older).wrapping_add(number(newer)).to_le_bytes().to_vec())
    }
}
