//! Real threads on real stores: what they saw has an order that explains it, which is also the order of
//! sequence numbers; and what a loss of power amid their writes leaves is a beginning of that order.
//!
//! `ESKER_LINEAR_HISTORIES` says how many histories are run, `ESKER_LINEAR_SEED` from which seed on.

use esker_tests::figure;
use esker_tests::linear::{Plan, check, content_of, explain, overlapping, run, shown};

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name}={text}")))
}

/// A plan of each kind in turn: narrow and wide, on a simulated and on a real disk.
fn plan(seed: u64, dir: &std::path::Path) -> Plan {
    let single = seed % 3 == 2;
    Plan {
        seed,
        threads: 2 + seed as usize % 4,
        calls: if single { 150 } else { 24 },
        dir: (seed % 5 == 4).then(|| dir.join(seed.to_string())),
        single,
        numbered: seed.is_multiple_of(2),
    }
}

#[test]
fn threads_agree_on_one_order() {
    let (histories, first) = (number("ESKER_LINEAR_HISTORIES", 300), number("ESKER_LINEAR_SEED", 1));
    let dir = tempfile::tempdir().unwrap();
    let (mut calls, mut beside, mut losses) = (0, 0, 0);
    for seed in first..first + histories {
        let plan = plan(seed, dir.path());
        let recorded = run(&plan).unwrap_or_else(|error| panic!("{plan:?}: {error}"));
        calls += recorded.calls.len();
        beside += overlapping(&recorded.calls);
        match check(&recorded.calls) {
            Ok(None) => {}
            Ok(Some(part)) => panic!("{plan:?}: no order explains\n{}", shown(&part)),
            Err(undecided) => panic!("{plan:?}: {undecided:?}\n{}", shown(&recorded.calls)),
        }
        if let (Some((disk, durable)), true) = (recorded.lost, plan.numbered) {
            let found = content_of(&disk).unwrap_or_else(|error| panic!("{plan:?}: {error}"));
            let explained = explain(&recorded.calls, durable, &found);
            let calls = &recorded.calls;
            assert!(explained.is_some(), "{plan:?}: {found:?} from {durable} on\n{}", shown(calls));
            losses += 1;
        }
    }
    assert!(beside * 20 > calls, "only {beside} of {calls} calls had another beside them");
    figure!(
        "{histories} histories of real threads from seed {first}, {calls} calls, {beside} of them beside \
         others: all linearizable; \
         {losses} losses of power amid them, each a beginning of their order; violations 0"
    );
}
