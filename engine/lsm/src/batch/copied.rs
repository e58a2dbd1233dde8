//! A batch from operations that were encoded once already.

use super::builder::{FamilyRef, WriteBatch};
use super::decode::decode_ops;
use crate::base::coding::Malformed;
use crate::base::key::Kind;

/// A family by its number.
struct Named {
    family: u32,
    store: u64,
}

impl FamilyRef for Named {
    fn family_id(&self) -> u32 {
        self.family
    }
    fn store_id(&self) -> u64 {
        self.store
    }
    fn now_ms(&self) -> u64 {
        0
    }
}

impl WriteBatch {
    /// Adds the removal of `key` in a family of `store`, by the family's number.
    pub(crate) fn push_delete(&mut self, store: u64, family: u32, key: &[u8]) {
        self.delete(&Named { family, store }, key);
    }

    /// Sets `key` to `value` for ever in a family of `store`, by the family's number.
    pub(crate) fn push_put(&mut self, store: u64, family: u32, key: &[u8], value: &[u8]) {
        self.put(&Named { family, store }, key, value);
    }

    /// Adds encoded operations on families of `store`. Operands get their times anew when the batch is
    /// ordered. Returns how many there were.
    pub(crate) fn push_encoded(&mut self, store: u64, ops: &[u8]) -> Result<usize, Malformed> {
        let before = self.len();
        for op in decode_ops(ops) {
            let op = op?;
            let family = Named { family: op.family, store };
            match op.kind {
                Kind::Merge => self.push_stamped(&family, op.key, op.value, op.expires_at),
                kind if kind.is_range() => self.push_bounds(&family, kind, op.key, op.range_end()),
                kind => self.push(&family, kind, op.key, op.value, op.expires_at),
            };
        }
        Ok(self.len() - before)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::key::NEVER;
    use crate::base::operand::Operand;

    #[test]
    fn a_copy_is_the_same_but_for_the_times_of_operands() {
        let family = Named { family: 3, store: 9 };
        let mut batch = WriteBatch::new();
        batch.put(&family, "a", "1").put_until(&family, "b", "2", 77).delete(&family, "c");
        batch.delete_range(&family, "d".."e").drop_range::<&str, _>(&family, "x"..);
        batch.push_stamped(&family, b"m", &Operand::encode_value(5, b"+1"), 40);
        let mut copy = WriteBatch::new();
        assert_eq!(copy.push_encoded(9, batch.encoded()).unwrap(), 6);
        assert_eq!(copy.encoded(), batch.encoded());
        assert_eq!((copy.range_count(), copy.store_id(), copy.has_stamps()), (2, Some(9), true));
        copy.stamp(50);
        let times: Vec<_> = copy.iter().map(|op| op.unwrap().expires_at).collect();
        assert_eq!(times, [NEVER, 77, NEVER, NEVER, NEVER, 50]);
        assert!(WriteBatch::new().push_encoded(9, &[0x7f, 0, 0]).is_err());
    }
}
