//! What tiered compaction merges, shown on small trees; see `picker_tests` for how they are written.

use super::picker_tests::{SHAPE, moment, policy, table, tables, tree};
use super::*;
use crate::table::{TablePolicy, Tables};
use crate::version::{CompactionStyle, Tiered, Version, check_levels};

const RULES: Tiered = Tiered { width: 3, runs: 5, space_percent: 200 };

fn with(claims: &Claims, rules: Tiered, room: u64, text: &str) -> String {
    let style = CompactionStyle::Tiered(rules);
    let moment = Moment { style, room: room << 10, ..moment(1000, 1000) };
    pick(&tree(text), claims, &SHAPE, &policy(), moment).map_or("nothing".into(), |plan| plan.describe())
}

fn picked(text: &str) -> String {
    with(&Claims::default(), RULES, u64::MAX >> 10, text)
}

#[test]
fn what_is_not_similar_and_not_too_much_is_left_alone() {
    assert_eq!(picked(""), "nothing");
    assert_eq!(picked("L0: 7[a-z]10"), "nothing");
    assert_eq!(picked("L0: 8[a-z]10 9[a-z]10\n L5: 3[a-z]40\n L6: 1[a-z]90"), "nothing");
    // Leveled compaction would have work in three places.
    assert_eq!(picked("L4: 5[a-z]200\n L5: 3[a-m]300 4[n-z]300\n L6: 1[a-z]500"), "nothing");
}

#[test]
fn similar_neighbours_go_right_above_the_next_older_run() {
    let large = "\n L6: 1[a-z]900";
    let newest = format!("L0: 7[a-z]10 8[b-y]12 9[a-z]9\n L4: 3[a-z]100{large}");
    assert_eq!(picked(&newest), "tier: L0[9 8 7] -> L3");
    // A run of more tables is as large as all of them; the newest one is too small to be like the others.
    let older = format!("L0: 9[a-z]1 8[b-y]40 7[a-z]50\n L4: 3[a-m]30 4[n-z]60{large}");
    assert_eq!(picked(&older), "tier: L0[8 7] + L4[3 4] -> L5");
    let uneven = format!("L0: 9[a-z]1\n L2: 8[b-y]40\n L3: 7[a-z]50\n L4: 3[a-m]30 4[n-z]60{large}");
    assert_eq!(picked(&uneven), "tier: L2[8] + L3[7] + L4[3 4] -> L5");
}

#[test]
fn where_there_is_no_level_between_they_become_one_table_of_level_0() {
    let text = "L0: 6[a-z]100 7[a-z]10 8[b-y]12 9[a-z]9\n L6: 1[a-z]900";
    assert_eq!(picked(text), "tier: L0[9 8 7] -> L0");
    assert_eq!(
        picked("L0: 7[a-z]10 8[b-y]12 9[a-z]9\n L1: 3[a-z]100\n L6: 1[a-z]900"),
        "tier: L0[9 8 7] -> L0"
    );
}

#[test]
fn all_are_merged_when_the_newer_ones_take_too_much() {
    let text = |newer: u32| format!("L0: 9[a-z]1\n L5: 3[a-m]{newer}\n L6: 1[a-z]100 2[zz-zzz]100");
    assert_eq!(picked(&text(399)), "nothing");
    assert_eq!(picked(&text(400)), "tier: L0[9] + L5[3] + L6[1 2] -> L6");
    // There is no room for it, and nothing else is due.
    assert_eq!(with(&Claims::default(), RULES, 500, &text(400)), "nothing");
    // Room for what is similar.
    let text = "L0: 7[a-z]10 8[b-y]12 9[a-z]9\n L5: 3[a-m]400\n L6: 1[a-z]200";
    assert_eq!(with(&Claims::default(), RULES, 500, text), "tier: L0[9 8 7] -> L4");
}

#[test]
fn of_too_many_runs_the_cheapest_neighbours_are_merged() {
    let text = "L0: 9[a-z]1\n L2: 8[a-z]3\n L3: 7[a-z]9\n L4: 5[a-z]27\n L5: 4[a-z]81\n L6: 1[a-z]900";
    assert_eq!(picked(text), "tier: L0[9] + L2[8] -> L2");
    let text = "L0: 9[a-z]40\n L2: 8[a-z]100\n L3: 7[a-z]5\n L4: 5[a-z]250\n L5: 4[a-z]600\n L6: 1[a-z]3000";
    assert_eq!(picked(text), "tier: L2[8] + L3[7] -> L3", "not the newest");
}

#[test]
fn what_shares_no_key_changes_its_level_unread() {
    let text = "L0: 7[a-b]10 8[c-d]12 9[e-f]9\n L3: 3[a-z]100\n L6: 1[a-z]900";
    // Raw tables must not sink to where all are compressed.
    assert_eq!(picked(text), "tier: L0[9 8 7] -> L2");
    let style = CompactionStyle::Tiered(RULES);
    let policy = TablePolicy { uncompressed_levels: 3, ..TablePolicy::default() };
    let moment = Moment { style, ..moment(1000, 1000) };
    let plan = pick(&tree(text), &Claims::default(), &SHAPE, &policy, moment).unwrap();
    assert_eq!(plan.describe(), "tier: L0[9 8 7] moves to L2");
    // Between the tables of a run that is there.
    let between = "L0: 7[c-d]10 8[g-h]12\n L2: 3[a-b]9 4[e-f]9\n L3: 1[a-z]900";
    let plan = pick(&tree(between), &Claims::default(), &SHAPE, &policy, moment).unwrap();
    assert_eq!(plan.describe(), "tier: L0[8 7] moves to L2");
    assert_eq!(picked(between), "tier: L0[8 7] + L2[3 4] -> L2", "their codec differs");
}

#[test]
fn what_is_being_compacted_stays_and_the_rest_goes_on_above_it() {
    let text = "L0: 4[a-z]10 5[a-z]10 6[a-z]10 7[a-z]10 8[a-z]10 9[a-z]10\n L6: 1[a-z]900";
    let version = tree(text);
    let inputs = version.level(0)[3..].iter().map(|table| (0, table.clone())).collect();
    let mut claims = Claims::default();
    let _older = claims.claim(&Plan::merging(Reason::Tier, inputs, 5));
    assert_eq!(with(&claims, RULES, u64::MAX >> 10, text), "tier: L0[9 8 7] -> L0");
}

#[test]
fn writers_are_held_back_only_where_merges_cannot_keep_up() {
    let style = CompactionStyle::Tiered(RULES);
    let debt = |text: &str| debt_bytes(&tree(text), &SHAPE, style) >> 10;
    assert_eq!(debt("L0: 9[a-z]1\n L5: 3[a-m]400\n L6: 1[a-z]100"), 1, "more than 400");
    assert_eq!(debt("L0: 9[a-z]1\n L5: 3[a-m]399\n L6: 1[a-z]100"), 0, "though a merge is due");
    let pressure = |text: &str| level0_pressure(&tree(text), &SHAPE, style);
    let five = "L0: 6[a-z]1 7[a-z]1 8[a-z]1 9[a-z]1\n L6: 1[a-z]900";
    assert_eq!((pressure("L0: 9[a-z]1"), pressure(five)), (1, SHAPE.level0_tables));
    assert_eq!(pressure(&format!("L0: 5[a-z]1 {}", &five[4..])), SHAPE.level0_tables + 1);
}

/// What becomes of a version when a plan is carried out: one table, as old as the newest that is in it.
fn carried_out(store: &Tables, version: &Version, plan: &Plan) -> Version {
    let removed: Vec<_> = plan.inputs.iter().map(|(level, t)| (*level, t.meta.number)).collect();
    let output_level = plan.output_level;
    if plan.trivial_move {
        let moved = plan.inputs.iter().map(|(_, table)| (output_level, table.clone())).collect();
        return version.changed(&removed, moved);
    }
    let (from, to) = plan.range().unwrap();
    let (from, to) = (std::str::from_utf8(from).unwrap(), std::str::from_utf8(to).unwrap());
    let number = 1 + removed.iter().map(|(_, number)| number).max().unwrap();
    let kib = plan.input_bytes() >> 10;
    let output = table(store, output_level, &format!("{number}[{from}-{to}]{kib}"));
    version.changed(&removed, vec![(output_level, output)])
}

#[test]
fn a_large_merge_is_made_in_parts() {
    let text = "L0: 90[a-z]1\n L4: 40[a-f]500 42[g-l]500 44[m-r]500 46[s-z]500\n \
                L5: 20[a-c]500 22[d-h]500 24[i-p]500 26[q-z]500\n \
                L6: 2[a-k]250 4[l-n]250 6[o-s]250 8[t-z]250";
    let first = "tier: L4[40 42] + L5[20 22 24] + L6[2 4 6] -> L6";
    assert_eq!(picked(text), first);
    // The whole of it would not fit.
    assert_eq!(with(&Claims::default(), RULES, 4000, text), first);
    // Under one wide table a part would be all.
    assert_eq!(picked(&text.replace("\n L4", "\n L3: 60[a-z]9\n L4")), first);
    let (style, store) = (CompactionStyle::Tiered(RULES), tables());
    let (mut version, mut parts) = (tree(text), 0);
    let moment = || Moment { style, ..moment(1000, 1000) };
    while let Some(plan) = pick(&version, &Claims::default(), &SHAPE, &policy(), moment()) {
        version = carried_out(&store, &version, &plan);
        assert_eq!(check_levels(&version), [] as [String; 0], "{}", plan.describe());
        parts += 1;
    }
    assert!((1..10).contains(&parts), "{parts}");
    assert!(version.level_bytes(4) + version.level_bytes(5) <= 2 * version.level_bytes(6));
}

/// A store that grows: each flush adds a table with all keys, merges end before the next.
#[test]
fn runs_and_space_stay_bounded_and_an_entry_is_written_once_for_each_tier() {
    let style = CompactionStyle::Tiered(RULES);
    let store = tables();
    let (mut version, mut written, mut most_runs) = (Version::default(), 0, 0);
    for flush in 1..=243u64 {
        let added = table(&store, 0, &format!("{}[a-z]1", flush * 1000));
        version = version.changed(&[], vec![(0, added)]);
        let moment = || Moment { style, ..moment(u64::MAX, 1000) };
        while let Some(plan) = pick(&version, &Claims::default(), &SHAPE, &policy(), moment()) {
            version = carried_out(&store, &version, &plan);
            assert_eq!(check_levels(&version), [] as [String; 0], "{}", plan.describe());
            written += plan.input_bytes() >> 10;
        }
        let runs: Vec<u64> = version.tables().map(|(_, table)| table.meta.size >> 10).collect();
        most_runs = most_runs.max(runs.len());
        let (oldest, newer) = (runs[runs.len() - 1], runs[..runs.len() - 1].iter().sum::<u64>());
        assert!(newer <= 2 * oldest, "{runs:?}");
        assert_eq!(oldest + newer, flush);
    }
    assert!(most_runs <= 5, "{most_runs}");
    // log 243 to the base 3 is 5; leveled compaction writes each entry again for each flush of four.
    assert!(written < 7 * 243, "{written}");
}
