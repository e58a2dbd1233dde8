//! Every input that fuzzing has found worth keeping, tried again; see `docs/testing.md`.
//!
//! `ESKER_FUZZ=seeds` makes the seeds anew first: real files of the engine and their pieces.

use esker_tests::fuzz::{Counting, TARGETS, Target, corpus, corpus_dir, seeds};
use esker_tests::session::{Watchdog, catching};
use std::fs;
use std::time::{Duration, Instant};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// More inputs or bytes than this belong on no one's machine: keep those that reach something new.
const MOST_INPUTS: usize = 900;
const MOST_BYTES: usize = 1 << 20;

#[test]
fn no_kept_input_goes_wrong() {
    if std::env::var_os("ESKER_FUZZ").is_some_and(|word| word == "seeds") {
        rewrite_seeds();
    }
    let watchdog = Watchdog::new(Duration::from_secs(60));
    let (mut count, mut bytes, mut wrong) = (0, 0, Vec::new());
    let started = Instant::now();
    for target in TARGETS {
        let inputs = corpus(target.name);
        assert!(!inputs.is_empty(), "{} has no inputs", target.name);
        for (name, input) in inputs {
            watchdog.now(format!("{} {name}", target.name));
            count += 1;
            bytes += input.len();
            let result = catching(|| {
                (target.run)(&input);
                Ok(())
            });
            wrong.extend(result.err().map(|why| format!("{}/{name}: {why}", target.name)));
        }
    }
    esker_tests::figure!(
        "fuzzing, kept inputs: {count} (as they stand) of {} targets, {bytes} bytes, {} wrong, in {} ms",
        TARGETS.len(),
        wrong.len(),
        started.elapsed().as_millis()
    );
    assert!(wrong.is_empty(), "{} inputs go wrong:\n{}", wrong.len(), wrong.join("\n"));
    assert!(count <= MOST_INPUTS && bytes <= MOST_BYTES, "{count} inputs of {bytes} bytes are too many");
}

/// Writes `seed-NN` for each target in the place of those that are there.
fn rewrite_seeds() {
    for (target, inputs) in seeds().expect("a disk without faults") {
        let dir = corpus_dir(target);
        fs::create_dir_all(&dir).unwrap();
        for entry in fs::read_dir(&dir).unwrap() {
            let entry = entry.unwrap();
            if entry.file_name().to_string_lossy().starts_with("seed-") {
                fs::remove_file(entry.path()).unwrap();
            }
        }
        for (i, input) in inputs.iter().enumerate() {
            fs::write(dir.join(format!("seed-{i:02}")), input).unwrap();
        }
    }
}

/// Every input cut and flipped in a few places: a target that rejects all but its seeds tries nothing.
#[test]
fn inputs_beside_the_kept_ones_do_not_go_wrong_either() {
    let watchdog = Watchdog::new(Duration::from_secs(60));
    let mut wrong = Vec::new();
    for Target { name, run } in TARGETS {
        for (input, bytes) in corpus(name).into_iter().filter(|(input, _)| input.starts_with("seed-")).take(6)
        {
            watchdog.now(format!("{name} {input}"));
            let stride = (bytes.len() / 12).max(1);
            for at in (0..bytes.len()).step_by(stride) {
                let mut flipped = bytes.clone();
                flipped[at] ^= 1 << (at % 8);
                for input in [&flipped[..], &bytes[..at]] {
                    let result = catching(|| {
                        run(input);
                        Ok(())
                    });
                    wrong.extend(result.err().map(|why| format!("{name}, changed at {at}: {why}")));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} inputs go wrong:\n{}", wrong.len(), wrong.join("\n"));
}
