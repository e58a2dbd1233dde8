//! A rate limiter: so many requests a minute for each address, counted without reading.
//!
//! Each request adds one to its address's counter. The first of a minute makes the counter, which lives for
//! the minute; the others keep its end. When it is over the counter is gone, and nobody has to remove it.
//!
//! ```text
//! cargo run --release --example rate_limiter
//! ```

use esker::base::clock::{Clock, ManualClock};
use esker::hooks::Counter;
use esker::{ColumnFamily, Db, Durability, Result, WriteBatch};
use std::time::Duration;

const WINDOW: Duration = Duration::from_secs(60);
const LIMIT: i64 = 5;

struct Limiter {
    db: Db,
    counters: ColumnFamily,
}

impl Limiter {
    /// Counts a request; returns whether it may pass.
    fn admit(&self, address: &str) -> Result<bool> {
        let mut batch = WriteBatch::new();
        batch.merge_with_ttl(&self.counters, address, 1i64.to_le_bytes(), WINDOW);
        // Lost counts after a loss of power are no harm.
        self.db.write(batch, Durability::Os)?;
        Ok(self.requests(address)? <= LIMIT)
    }

    /// The requests of an address in its present minute.
    fn requests(&self, address: &str) -> Result<i64> {
        let count = self.counters.get(address)?;
        let count =
            count.map(|bytes| i64::from_le_bytes(bytes[..].try_into().expect("a counter has 8 bytes")));
        Ok(count.unwrap_or(0))
    }
}

fn main() -> Result<()> {
    let path = std::env::temp_dir().join(format!("esker-rate-limiter-{}", std::process::id()));
    // So that the example does not take a minute.
    let clock = ManualClock::new(1_700_000_000_000);
    let builder = Db::builder(&path).clock(Clock::Manual(clock.clone()));
    let db = builder.merge_operator("counters", Counter).open()?;
    let limiter = Limiter { counters: db.column_family("counters")?, db };
    for request in 1..=8 {
        clock.advance(Duration::from_secs(5));
        let passes = limiter.admit("10.0.0.1")?;
        println!("request {request} of 10.0.0.1: {}", if passes { "passes" } else { "refused" });
        assert_eq!(passes, request <= LIMIT);
    }
    assert!(limiter.admit("10.0.0.2")?, "each address has a counter of its own");
    // Compacted, the counters are plain values; they end all the same.
    limiter.db.compact()?;
    assert_eq!(limiter.requests("10.0.0.1")?, 8);
    clock.advance(WINDOW - Duration::from_secs(35));
    println!("a minute after its first request 10.0.0.1 has {}", limiter.requests("10.0.0.1")?);
    assert_eq!(limiter.requests("10.0.0.1")?, 0);
    assert_eq!(limiter.requests("10.0.0.2")?, 1);
    assert!(limiter.admit("10.0.0.1")?);
    println!("{} operands were folded in the background", limiter.db.stats().hooks.folded);
    let Limiter { db, counters } = limiter;
    drop(counters);
    db.close()?;
    std::fs::remove_dir_all(&path).expect("its own folder");
    Ok(())
}
