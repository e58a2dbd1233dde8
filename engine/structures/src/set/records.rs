//! Members in records of their own, and the step from the header to them.

use crate::base::error::{Error, Result};
use crate::base::hash::HashKey;
use crate::base::number::parse_i64;
use crate::encoding::check::{Check, Counted};
use crate::encoding::header::{Meta, Type, flag};
use crate::encoding::items::{Items, put_item};
use crate::encoding::key::{self, kind, position_bytes, split_position};
use crate::encoding::limits::{COMPACT_INTEGERS, MAX_INLINE_BYTES, MAX_INLINE_ELEMENTS, MAX_NAME_BYTES};
use crate::store::{Key, Scattered, Table, Unit};

/// Refuses a member that is too long.
pub(super) fn check(member: &[u8]) -> Result<()> {
    if member.len() > MAX_NAME_BYTES { Err(Error::MEMBER_TOO_LONG) } else { Ok(()) }
}

/// A set that is there, as it stands in its header.
pub(super) struct View<'k> {
    pub(super) key: Key<'k>,
    pub(super) meta: Meta,
    pub(super) payload: Vec<u8>,
}

impl<'k> View<'k> {
    /// The set under a key.
    pub(super) fn load(unit: &mut Unit<'_>, key: Key<'k>) -> Result<Option<View<'k>>> {
        Ok(unit.load_of(key, Type::Set)?.map(|(meta, payload)| View { key, meta, payload }))
    }

    /// The members that have records.
    pub(super) fn records(&self) -> Scattered {
        Scattered::new(key::kind_prefix(self.key.keyspace, self.meta.incarnation, kind::MEMBER))
    }

    /// The key of a member's record.
    pub(super) fn record(&self, unit: &Unit<'_>, member: &[u8]) -> Vec<u8> {
        let hash = position_bytes(unit.hash_key().hash53(member));
        key::element(self.key.keyspace, self.meta.incarnation, kind::MEMBER, &hash, member)
    }

    /// Whether there is a member.
    pub(super) fn contains(&self, unit: &Unit<'_>, member: &[u8]) -> Result<bool> {
        if !self.meta.records {
            return Ok(Items::new(&self.payload).find(member)?.is_some());
        }
        Ok(unit.get_with(Table::Elements, &self.record(unit, member), |_| ())?.is_some())
    }

    /// Which of several members there are. Their records are read together.
    pub(super) fn contains_many<M: AsRef<[u8]>>(&self, unit: &Unit<'_>, members: &[M]) -> Result<Vec<bool>> {
        if !self.meta.records {
            return members.iter().map(|member| self.contains(unit, member.as_ref())).collect();
        }
        let records: Vec<Vec<u8>> = members.iter().map(|m| self.record(unit, m.as_ref())).collect();
        let found = unit.multi_get(Table::Elements, &records)?;
        Ok(found.iter().map(Option::is_some).collect())
    }

    /// Hands every member to `each`, until it says `false`.
    pub(super) fn all(&self, unit: &Unit<'_>, mut each: impl FnMut(&[u8]) -> Result<bool>) -> Result<()> {
        if self.meta.records {
            return self.records().walk(unit, |member, _| each(member));
        }
        for item in Items::new(&self.payload) {
            if !each(item?.0)? {
                break;
            }
        }
        Ok(())
    }

    /// About `count` members from a cursor on, and the cursor to go on with, 0 at the end. Members in the
    /// header come at once.
    pub(super) fn page(&self, unit: &Unit<'_>, from: u64, count: u64) -> Result<(u64, Vec<Vec<u8>>)> {
        let mut members = Vec::new();
        let next = if self.meta.records {
            self.records().page(unit, from, count, |member, _| {
                members.push(member.to_vec());
                Ok(())
            })?
        } else {
            for item in Items::new(&self.payload) {
                members.push(item?.0.to_vec());
            }
            0
        };
        Ok((next, members))
    }
}

/// A set that is being changed: what stands in its header is changed here and written by [`Draft::finish`].
pub(super) struct Draft<'k> {
    pub(super) view: View<'k>,
    before: Option<Meta>,
    changed: bool,
}

impl<'k> Draft<'k> {
    /// The set under a key, or a new one.
    pub(super) fn open(unit: &mut Unit<'_>, key: Key<'k>) -> Result<Draft<'k>> {
        Ok(match View::load(unit, key)? {
            Some(view) => Draft { before: Some(view.meta), view, changed: false },
            None => Draft::absent(key),
        })
    }

    /// A new set under a key that does not exist.
    pub(super) fn absent(key: Key<'k>) -> Draft<'k> {
        let view = View { key, meta: Meta::new(Type::Set), payload: Vec::new() };
        Draft { view, before: None, changed: false }
    }

    /// Whether there is such a key.
    pub(super) fn exists(&self) -> bool {
        self.before.is_some()
    }

    /// Reads these members together, which are looked at one by one next.
    pub(super) fn fetch(&self, unit: &mut Unit<'_>, members: &[&[u8]]) -> Result<()> {
        if !self.view.meta.records || members.len() < 2 {
            return Ok(());
        }
        let keys = members.iter().map(|member| self.view.record(unit, member)).collect();
        unit.fetch(keys)
    }

    /// Adds a member; says whether it is new. What `check` refuses must have been refused.
    pub(super) fn add(&mut self, unit: &mut Unit<'_>, member: &[u8]) -> Result<bool> {
        if self.view.contains(unit, member)? {
            return Ok(false);
        }
        self.insert(unit, member)?;
        Ok(true)
    }

    /// Adds a member that is not there.
    pub(super) fn insert(&mut self, unit: &mut Unit<'_>, member: &[u8]) -> Result<()> {
        self.changed = true;
        let View { meta, payload, .. } = &mut self.view;
        meta.length += 1;
        if meta.length > COMPACT_INTEGERS || (!meta.has(flag::WIDE) && parse_i64(member).is_none()) {
            meta.flags |= flag::WIDE;
        }
        if meta.records {
            let record = self.view.record(unit, member);
            unit.put(Table::Elements, record, Vec::new());
            return Ok(());
        }
        put_item(payload, member);
        if payload.len() > MAX_INLINE_BYTES || meta.length > MAX_INLINE_ELEMENTS as u64 {
            self.split(unit)?;
        }
        Ok(())
    }

    /// Removes a member; says whether it was there.
    pub(super) fn remove(&mut self, unit: &mut Unit<'_>, member: &[u8]) -> Result<bool> {
        if self.view.meta.records {
            if !self.view.contains(unit, member)? {
                return Ok(false);
            }
            let record = self.view.record(unit, member);
            unit.delete(Table::Elements, record);
        } else {
            let Some(range) = Items::new(&self.view.payload).find(member)? else { return Ok(false) };
            self.view.payload.drain(range);
        }
        self.changed = true;
        self.view.meta.length = self.view.meta.length.saturating_sub(1);
        Ok(true)
    }

    /// Gives each member a record of its own.
    fn split(&mut self, unit: &mut Unit<'_>) -> Result<()> {
        self.view.key.check()?;
        self.view.meta.incarnation = unit.new_incarnation(self.view.key)?;
        self.view.meta.records = true;
        let payload = std::mem::take(&mut self.view.payload);
        for item in Items::new(&payload) {
            let record = self.view.record(unit, item?.0);
            unit.put(Table::Elements, record, Vec::new());
        }
        Ok(())
    }

    /// Writes the header, or removes the key if nothing is left.
    pub(super) fn finish(mut self, unit: &mut Unit<'_>) -> Result<()> {
        let View { key, meta, payload } = &mut self.view;
        match &self.before {
            _ if !self.changed => {}
            Some(before) if meta.length == 0 => unit.delete_key(*key, before),
            None if meta.length == 0 => {}
            before => unit.put_header(*key, before.as_ref(), meta, payload)?,
        }
        Ok(())
    }
}

/// What is wrong with the payload of a small set, for `verify`.
pub(crate) fn check_inline(meta: &Meta, payload: &[u8]) -> Option<String> {
    if meta.length == 0 {
        return Some("an empty set".into());
    }
    let Ok(items) = Items::new(payload).list() else { return Some("members that cannot be read".into()) };
    let mut members: Vec<&[u8]> = items.iter().map(|(member, _)| *member).collect();
    members.sort_unstable();
    let twice = members.windows(2).any(|pair| pair[0] == pair[1]);
    let fits = payload.len() <= MAX_INLINE_BYTES && members.len() <= MAX_INLINE_ELEMENTS;
    let narrow = !meta.has(flag::WIDE) && members.iter().any(|member| parse_i64(member).is_none());
    let right = members.len() as u64 == meta.length && !twice && fits && !narrow;
    (!right).then(|| format!("{} members in the header, {} counted", members.len(), meta.length))
}

/// What `verify` asks of the records of a large one.
pub(crate) fn check_records(meta: &Meta, hash: HashKey) -> impl Check + use<> {
    let is_right = move |kind: u8, rest: &[u8], value: &[u8]| {
        let placed = split_position(rest).is_ok_and(|(at, member)| at == hash.hash53(member));
        kind == kind::MEMBER && value.is_empty() && placed
    };
    Counted { length: meta.length, found: 0, what: "members of a set", is_right }
}
