//! Spans around what takes long.

use super::store::{builder, key};
use esker::base::clock::ManualClock;
use esker::{Backups, Db, Result};
use std::fmt::Debug;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

/// Keeps the spans of this crate with their fields, as they are entered.
#[derive(Clone, Default)]
struct Spans {
    next: Arc<AtomicU64>,
    named: Arc<Mutex<Vec<(u64, String)>>>,
    entered: Arc<Mutex<Vec<String>>>,
}

struct Words(String);

impl Visit for Words {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0 += &format!(" {}={value:?}", field.name());
    }
}

impl Subscriber for Spans {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "esker"
    }
    fn new_span(&self, span: &Attributes<'_>) -> Id {
        let id = self.next.fetch_add(1, Ordering::Relaxed) + 1;
        let mut words = Words(span.metadata().name().to_owned());
        span.record(&mut words);
        self.named.lock().unwrap().push((id, words.0));
        Id::from_u64(id)
    }
    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, _: &Event<'_>) {}
    fn enter(&self, id: &Id) {
        let named = self.named.lock().unwrap();
        let name = named.iter().find(|(of, _)| *of == id.into_u64()).map(|(_, name)| name.clone());
        self.entered.lock().unwrap().extend(name);
    }
    fn exit(&self, _: &Id) {}
}

impl Spans {
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.entered.lock().unwrap())
    }
}

#[test]
fn what_takes_long_stands_in_a_span() -> Result<()> {
    let (spans, dir) = (Spans::default(), tempfile::tempdir().unwrap());
    let path = |name: &str| dir.path().join(name);
    tracing::subscriber::with_default(spans.clone(), || -> Result<()> {
        let db = Db::builder(path("data")).deterministic(1).open()?;
        let opened = spans.take();
        assert!(opened[0].starts_with("open path=") && opened[1].starts_with("recovery path="), "{opened:?}");
        for n in 0..10 {
            db.put(key(n), "v")?;
            db.get(key(n))?;
        }
        assert_eq!(spans.take(), [""; 0], "neither reads nor writes");
        db.flush()?;
        assert_eq!(spans.take()[0], "flush memtables=1");
        db.put(key(1), "w")?;
        db.compact()?;
        let told = spans.take();
        let compaction = "compaction family=\"default\" reason=Manual level=";
        assert!(told.iter().any(|span| span.starts_with(compaction)), "{told:?}");
        db.checkpoint(path("copy"))?;
        Backups::at(path("backups")).create(&db)?;
        let told = spans.take();
        for span in ["checkpoint into=", "backup into="] {
            assert!(told.iter().any(|told| told.starts_with(span)), "{span} in {told:?}");
        }
        db.close()
    })
}

#[test]
fn a_stall_stands_in_a_span() -> Result<()> {
    let spans = Spans::default();
    tracing::subscriber::with_default(spans.clone(), || -> Result<()> {
        let db =
            builder(&ManualClock::new(1)).deterministic(1).memory_budget(1 << 20).max_ranges(1).open()?;
        for n in 0..16 {
            db.put(key(n), "v")?;
        }
        db.flush()?;
        let snapshot = db.snapshot();
        for n in 0..8 {
            db.delete_range(key(2 * n)..key(2 * n + 1))?;
            db.flush()?;
        }
        assert!(spans.take().iter().any(|span| span == "stall"));
        drop(snapshot);
        Ok(())
    })
}
