//! Hands what the fuzzer makes up to the target that `ESKER_FUZZ` names. See `docs/testing.md`.
#![no_main]

use esker_tests::fuzz::{Counting, Target, target};
use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

static CHOSEN: LazyLock<&Target> = LazyLock::new(|| {
    let name = std::env::var("ESKER_FUZZ").expect("ESKER_FUZZ names the target");
    target(&name)
});

fuzz_target!(|data: &[u8]| (CHOSEN.run)(data));
