//! Makes a history that fails as short as it goes, and keeps it.

use crate::history::{Operation, print};
use crate::workspace;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// How long a history is made shorter at most; `ESKER_SHRINK=0` leaves it as it is, for whoever only wants to
/// know that it fails.
const PATIENCE: Duration = Duration::from_secs(20);

fn patience() -> Duration {
    if std::env::var_os("ESKER_SHRINK").is_some_and(|word| word == "0") { Duration::ZERO } else { PATIENCE }
}

/// Takes operations away as long as what is left still fails: halves first, then ever smaller runs (delta
/// debugging; Zeller and Hildebrandt, 2002).
pub fn shrink<T: Clone>(history: &[T], mut fails: impl FnMut(&[T]) -> bool) -> Vec<T> {
    let mut shortest = history.to_vec();
    let (mut run, begun, patience) = (shortest.len().div_ceil(2), Instant::now(), patience());
    while run > 0 {
        let mut at = 0;
        let mut taken = false;
        while at < shortest.len() {
            let mut shorter = shortest.clone();
            shorter.drain(at..(at + run).min(shortest.len()));
            if begun.elapsed() >= patience {
                return shortest;
            }
            if fails(&shorter) {
                shortest = shorter;
                taken = true;
            } else {
                at += run;
            }
        }
        if !(taken && run == 1) {
            run /= 2;
        }
    }
    shortest
}

/// Writes a history that fails to `fixtures/histories/`, where it is replayed from then on. Returns the path.
///
/// # Panics
/// If it cannot be written.
pub fn keep_failure(name: &str, history: &[Operation], why: &str) -> PathBuf {
    let dir = workspace::root().join("fixtures/histories");
    fs::create_dir_all(&dir).unwrap_or_else(|e| panic!("create {}: {e}", dir.display()));
    let path = dir.join(format!("{name}.txt"));
    let why: String = why.lines().map(|line| format!("# {line}\n")).collect();
    let text = format!("{why}{}", print(history));
    fs::write(&path, text).unwrap_or_else(|e| panic!("write {}: {e}", path.display()));
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_matter_is_taken_away() {
        let history: Vec<Operation> = (0..40).map(Operation::Tick).collect();
        let wanted = [Operation::Tick(7), Operation::Tick(31)];
        let shortest = shrink(&history, |shorter| wanted.iter().all(|w| shorter.contains(w)));
        assert_eq!(shortest, wanted);
    }
}
