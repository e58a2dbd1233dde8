//! Fields in records of their own, and the step from the header to them.

use crate::base::error::{Error, Result};
use crate::base::hash::HashKey;
use crate::encoding::check::{Check, Counted};
use crate::encoding::fields::{Field, Fields};
use crate::encoding::header::{Meta, Type, flag};
use crate::encoding::key::{self, kind, position_bytes, split_position};
use crate::encoding::limits::{
    COMPACT_ELEMENT_BYTES, COMPACT_FIELDS, MAX_INLINE_BYTES, MAX_INLINE_ELEMENTS, MAX_NAME_BYTES,
    MAX_STRING_BYTES,
};
use crate::store::{Key, Scattered, Table, Unit};

/// The key of a field's record.
pub(super) fn field_key(unit: &Unit<'_>, keyspace: u64, incarnation: u64, name: &[u8]) -> Vec<u8> {
    let hash = position_bytes(unit.hash_key().hash53(name));
    key::element(keyspace, incarnation, kind::FIELD, &hash, name)
}

/// The records of a hash's fields.
pub(super) fn fields(keyspace: u64, meta: &Meta) -> Scattered {
    Scattered::new(key::kind_prefix(keyspace, meta.incarnation, kind::FIELD))
}

/// Refuses what is too long.
pub(super) fn check(name: &[u8], value: &[u8]) -> Result<()> {
    if name.len() > MAX_NAME_BYTES {
        return Err(Error::MEMBER_TOO_LONG);
    }
    if value.len() > MAX_STRING_BYTES { Err(Error::STRING_TOO_LONG) } else { Ok(()) }
}

/// A hash that is being changed: what stands in its header is changed here and written by [`Draft::finish`].
pub(super) struct Draft<'k> {
    pub(super) key: Key<'k>,
    before: Option<Meta>,
    pub(super) meta: Meta,
    payload: Vec<u8>,
    changed: bool,
}

impl<'k> Draft<'k> {
    /// The hash under a key, or a new one.
    pub(super) fn open(unit: &mut Unit<'_>, key: Key<'k>) -> Result<Draft<'k>> {
        let found = unit.load_of(key, Type::Hash)?;
        let before = found.as_ref().map(|(meta, _)| *meta);
        let (meta, payload) = found.unwrap_or_else(|| (Meta::new(Type::Hash), Vec::new()));
        Ok(Draft { key, before, meta, payload, changed: false })
    }

    /// The value of a field.
    pub(super) fn get(&self, unit: &Unit<'_>, name: &[u8]) -> Result<Option<Vec<u8>>> {
        if !self.meta.records {
            let found = Fields::new(&self.payload).find(name)?;
            return Ok(found.map(|(field, _)| field.value.to_vec()));
        }
        let record = field_key(unit, self.key.keyspace, self.meta.incarnation, name);
        let read = |record: &[u8]| Field::from_record(name, record).map(|field| field.value.to_vec());
        unit.get_with(Table::Elements, &record, read)?.transpose()
    }

    /// Reads the fields of these names together, which are looked at one by one next.
    pub(super) fn fetch<'n>(
        &self,
        unit: &mut Unit<'_>,
        names: impl ExactSizeIterator<Item = &'n [u8]>,
    ) -> Result<()> {
        if !self.meta.records || names.len() < 2 {
            return Ok(());
        }
        let keys =
            names.map(|name| field_key(unit, self.key.keyspace, self.meta.incarnation, name)).collect();
        unit.fetch(keys)
    }

    /// Sets a field; says whether it is new. What `check` refuses must have been refused.
    pub(super) fn set(&mut self, unit: &mut Unit<'_>, name: &[u8], value: &[u8]) -> Result<bool> {
        self.changed = true;
        let field = Field::new(name, value);
        let is_new = if self.meta.records {
            let record = field_key(unit, self.key.keyspace, self.meta.incarnation, name);
            let is_new = unit.get_with(Table::Elements, &record, |_| ())?.is_none();
            unit.put(Table::Elements, record, field.record());
            is_new
        } else {
            let mut entry = Vec::with_capacity(name.len() + value.len() + 8);
            field.put_inline(&mut entry);
            let range = Fields::new(&self.payload).find(name)?.map(|(_, range)| range);
            let is_new = range.is_none();
            let end = self.payload.len();
            self.payload.splice(range.unwrap_or(end..end), entry);
            is_new
        };
        self.meta.length += u64::from(is_new);
        let compact = self.meta.length <= COMPACT_FIELDS
            && name.len() <= COMPACT_ELEMENT_BYTES
            && value.len() <= COMPACT_ELEMENT_BYTES;
        if !compact {
            self.meta.flags |= flag::WIDE;
        }
        let small = self.payload.len() <= MAX_INLINE_BYTES && self.meta.length <= MAX_INLINE_ELEMENTS as u64;
        if !self.meta.records && !small {
            self.split(unit)?;
        }
        Ok(is_new)
    }

    /// Removes a field; says whether it was there.
    pub(super) fn delete(&mut self, unit: &mut Unit<'_>, name: &[u8]) -> Result<bool> {
        let found = if self.meta.records {
            let record = field_key(unit, self.key.keyspace, self.meta.incarnation, name);
            let found = unit.get_with(Table::Elements, &record, |_| ())?.is_some();
            if found {
                unit.delete(Table::Elements, record);
            }
            found
        } else {
            let range = Fields::new(&self.payload).find(name)?.map(|(_, range)| range);
            let found = range.is_some();
            self.payload.drain(range.unwrap_or(0..0));
            found
        };
        if found {
            self.changed = true;
            self.meta.length = self.meta.length.saturating_sub(1);
        }
        Ok(found)
    }

    /// Gives each field a record of its own.
    fn split(&mut self, unit: &mut Unit<'_>) -> Result<()> {
        self.key.check()?;
        self.meta.incarnation = unit.new_incarnation(self.key)?;
        self.meta.records = true;
        let payload = std::mem::take(&mut self.payload);
        for field in Fields::new(&payload) {
            let field = field?;
            let record = field_key(unit, self.key.keyspace, self.meta.incarnation, field.name);
            unit.put(Table::Elements, record, field.record());
        }
        Ok(())
    }

    /// Writes the header, or removes the key if nothing is left.
    pub(super) fn finish(mut self, unit: &mut Unit<'_>) -> Result<()> {
        if !self.changed {
            return Ok(());
        }
        match &self.before {
            Some(before) if self.meta.length == 0 => unit.delete_key(self.key, before),
            before => unit.put_header(self.key, before.as_ref(), &mut self.meta, &self.payload)?,
        }
        Ok(())
    }
}

/// What is wrong with the payload of a small hash, for `verify`.
pub(crate) fn check_inline(meta: &Meta, payload: &[u8]) -> Option<String> {
    let fields: Result<Vec<_>> = Fields::new(payload).collect();
    let Ok(fields) = fields else { return Some("fields that cannot be read".into()) };
    let mut names: Vec<&[u8]> = fields.iter().map(|field| field.name).collect();
    names.sort_unstable();
    let twice = names.windows(2).any(|pair| pair[0] == pair[1]);
    let fits = payload.len() <= MAX_INLINE_BYTES && fields.len() <= MAX_INLINE_ELEMENTS;
    let right = fields.len() as u64 == meta.length && !twice && fits && meta.length > 0;
    (!right).then(|| format!("{} fields in the header, {} counted", fields.len(), meta.length))
}

/// What `verify` asks of the records of a large one.
pub(crate) fn check_records(meta: &Meta, hash: HashKey) -> impl Check + use<> {
    let is_right = move |kind: u8, rest: &[u8], _: &[u8]| {
        let placed = split_position(rest).is_ok_and(|(at, name)| at == hash.hash53(name));
        kind == kind::FIELD && placed
    };
    Counted { length: meta.length, found: 0, what: "fields of a hash", is_right }
}
