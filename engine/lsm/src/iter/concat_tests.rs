use super::runs::{Fuse, Owned, RunCursor, key, moves, put, sorted, walk_alike};
use super::{Concat, RunSource};
use crate::base::cursor::Cursor;
use crate::base::error::{Error, Result};
use crate::base::key::Trailer;
use proptest::prelude::*;
use std::cell::Cell;

struct Files {
    files: Vec<Vec<Owned>>,
    fuse: Fuse,
    opened: Cell<u32>,
}

impl RunSource for Files {
    type Cursor = RunCursor;

    fn len(&self) -> usize {
        self.files.len()
    }

    fn smallest(&self, i: usize) -> (&[u8], Trailer) {
        let entry = self.files[i].first().expect("files are not empty");
        (&entry.key, entry.entry().trailer())
    }

    fn largest(&self, i: usize) -> (&[u8], Trailer) {
        let entry = self.files[i].last().expect("files are not empty");
        (&entry.key, entry.entry().trailer())
    }

    fn open(&self, i: usize) -> Result<RunCursor> {
        self.opened.set(self.opened.get() + 1);
        match self.fuse.get() {
            Some(0) => return Err(Error::Closed),
            Some(left) => self.fuse.set(Some(left - 1)),
            None => {}
        }
        Ok(RunCursor::new(self.files[i].clone(), &self.fuse))
    }
}

fn files(entries: &[Owned], cuts: &[usize], fuse: Option<u32>) -> Concat<Files> {
    let mut files: Vec<Vec<Owned>> = Vec::new();
    for (i, entry) in entries.iter().enumerate() {
        if files.is_empty() || cuts.contains(&i) {
            files.push(Vec::new());
        }
        files.last_mut().expect("just pushed").push(entry.clone());
    }
    Concat::new(Files { files, fuse: Fuse::new(Cell::new(fuse)), opened: Cell::new(0) })
}

proptest! {
    #[test]
    fn files_one_behind_the_other_walk_like_one(
        keys in prop::collection::vec(key(), 0..60),
        cuts in prop::collection::vec(0usize..60, 0..20),
        moves in moves(),
        fuse in prop::option::weighted(0.3, 0u32..100),
    ) {
        let entries = keys.iter().enumerate().map(|(seq, key)| put(key, seq as u64)).collect();
        let entries = sorted(entries);
        let mut model = RunCursor::new(entries.clone(), &Fuse::default());
        walk_alike(&mut files(&entries, &cuts, fuse), &mut model, &moves);
    }
}

#[test]
fn only_the_file_that_is_needed_is_opened() {
    let entries: Vec<_> = (0..100).map(|i| put(&[i], 1)).collect();
    let cuts: Vec<usize> = (0..100).step_by(10).collect();
    let mut concat = files(&entries, &cuts, None);
    assert_eq!(concat.source().opened.get(), 0);
    concat.seek(&[55], 1).unwrap();
    concat.next().unwrap();
    concat.seek(&[53], 1).unwrap();
    concat.seek_before(&[53], 1).unwrap();
    assert_eq!((concat.user_key(), concat.source().opened.get()), (&[52][..], 1));
    concat.seek_before(&[50], 1).unwrap();
    assert_eq!((concat.user_key(), concat.source().opened.get()), (&[49][..], 2));
}
