//! Carrying out compactions.

use super::flush::files;
use super::jobs::{Jobs, oldest_operand};
use super::resting::{asks_filter, is_bottom};
use crate::base::error::{Error, Result};
use crate::base::filename::{FileKind, FileNumber};
use crate::base::key::{NEVER, SeqNum};
use crate::base::limits::LEVELS;
use crate::base::panics::catch;
use crate::base::sync::Arc;
use crate::base::sync::atomic::Ordering;
use crate::commit::{Drawer, Stall, Task};
use crate::compaction::{
    Below, Calm, Claim, Claims, MergeSpec, Merged, Moment, Plan, Reason, dead_blobs, dead_pressure,
    debt_bytes, ended_ms, hides_since, hides_since_before, leftover, level0_pressure, merge, pick, pick_calm,
    pick_erasure, pick_manual, retired, small_blobs,
};
use crate::hooks::{CompactionWay, TableInfo};
use crate::iter::Merge;
use crate::table::Origin;
use crate::tree::{Family, Filtering};
use crate::version::{
    BlobFile, BlobMeta, CompactionStyle, Edit, EditOp, Leftover, Source, TableFile, TableMeta, Version,
};
use std::collections::BTreeSet;
use std::panic::resume_unwind;
use std::time::Duration;

/// How often a compaction that somebody asked for waits for the room that others are about to give back. Two
/// of them might else fill the disk by turns without end.
const MOST_WAITS_FOR_ROOM: u32 = 64;

/// What part of the time in which deleted bytes have to be gone counts as over when the value of a deleted
/// key is dead. It took that long, or twice that, until a compaction met the key; what is left is for the
/// blob file.
const SHARE_OF_KEYS: u64 = 4;

impl Jobs {
    /// Carries out the compaction that is most urgent. Returns false if none is due.
    pub fn compact_next(&self) -> Result<bool> {
        let mut families = self.store.families();
        // The family that presses most on writers comes first.
        families.sort_by_cached_key(|family| {
            let (version, shape) = (&family.pin().version, &self.store.options().shape);
            let style = family.rules().style;
            let (level0, debt) = (level0_pressure(version, shape, style), debt_bytes(version, shape, style));
            std::cmp::Reverse((level0, dead_pressure(version), debt))
        });
        // What should be gone soon goes before what is too large; by turns where writers wait for that.
        let late_first =
            !self.erased_last.swap(false, Ordering::Relaxed) || self.store.gate.get() == Stall::None;
        for late in [late_first, !late_first] {
            for family in &families {
                let hooked = !self.rests(family);
                let claimed = if late { self.claim_late(family) } else { self.claim_next(family, hooked) };
                let Some((claim, plan)) = claimed else { continue };
                self.erased_last.store(late, Ordering::Relaxed);
                return match self.run_claimed(family, plan, hooked, &claim) {
                    // It rests now; the others go on.
                    Err(Error::HookFailed(_)) => Ok(true),
                    result => result.map(|()| true),
                };
            }
        }
        self.store.settle(Task::Compact);
        Ok(false)
    }

    /// Chooses and claims what is most urgent in a family.
    fn claim_next(&self, family: &Family, hooked: bool) -> Option<(Claim, Plan)> {
        // Its hooks have failed: only what was deleted or has ended goes on its way, without them.
        let choose = if hooked { pick } else { pick_erasure };
        let mut claims = self.claims.lock();
        let claims = claims.entry(family.id()).or_default();
        let (horizons, view) = self.picking(family);
        let moment = self.moment(family, &horizons, &view.ranges);
        choose(&view.version, claims, &self.store.options().shape, &family.rules().policy, moment)
            .map(|plan| (claims.claim(&plan), plan))
    }

    /// Chooses and claims what of a family should be gone soon and is still there.
    fn claim_late(&self, family: &Family) -> Option<(Claim, Plan)> {
        let late_ms = self.late_ms(family)?;
        let mut claims = self.claims.lock();
        let claims = claims.entry(family.id()).or_default();
        {
            let view = family.pin();
            if !hides_since_before(&view.version, &view.ranges, late_ms) {
                return None;
            }
        }
        let (horizons, view) = self.picking(family);
        let moment = Moment { erase_ms: late_ms, ..self.moment(family, &horizons, &view.ranges) };
        pick_erasure(&view.version, claims, &self.store.options().shape, &family.rules().policy, moment)
            .map(|plan| (claims.claim(&plan), plan))
    }

    /// Carries out a compaction that only helps reads. Returns false if none is worth it, or the disk has not
    /// the room for it to spare.
    pub fn compact_calm(&self, calm: Calm) -> Result<bool> {
        for family in self.store.families() {
            // In other styles fewer writes are worth more than fewer runs.
            if self.rests(&family) || family.rules().style != CompactionStyle::Leveled {
                continue;
            }
            let claimed = {
                let mut claims = self.claims.lock();
                let claims = claims.entry(family.id()).or_default();
                let version = &family.pin().version;
                pick_calm(version, claims, &self.store.options().shape, &family.rules().policy, calm)
                    .filter(|plan| self.store.reserve.has_room_for(plan.input_bytes()))
                    .map(|plan| (claims.claim(&plan), plan))
            };
            if let Some((claim, plan)) = claimed {
                return match self.run_claimed(&family, plan, true, &claim) {
                    Err(Error::HookFailed(_)) => Ok(true),
                    result => result.map(|()| true),
                };
            }
        }
        Ok(false)
    }

    /// Compacts everything of a family between `from` and `to` into the last level, on the calling
    /// thread.
    pub fn compact_range(&self, family: &Arc<Family>, from: Option<&[u8]>, to: Option<&[u8]>) -> Result<()> {
        let _user = self.users.read();
        self.check()?;
        // Whoever asks for it wants to know whether what was damaged still is.
        if let Some(claims) = self.claims.lock().get_mut(&family.id()) {
            claims.forgive(Duration::MAX);
        }
        let mut patience = MOST_WAITS_FOR_ROOM;
        for level in 0..LEVELS {
            while self.compact_level(family, level, from, to, &mut patience)? {}
        }
        Ok(())
    }

    /// One step of [`Jobs::compact_range`]. Returns whether the level may need another.
    fn compact_level(
        &self,
        family: &Arc<Family>,
        level: usize,
        from: Option<&[u8]>,
        to: Option<&[u8]>,
        patience: &mut u32,
    ) -> Result<bool> {
        let (claim, plan) = {
            let mut all = self.claims.lock();
            loop {
                self.check()?;
                if family.is_dropped() {
                    return Ok(false);
                }
                let claims = all.entry(family.id()).or_default();
                let picked = {
                    // Let go of before waiting: tables that others replace meanwhile would stay on the disk.
                    let (horizons, view) = self.picking(family);
                    let moment = self.moment(family, &horizons, &view.ranges);
                    let options = self.store.options();
                    pick_manual(&view.version, claims, &options.shape, moment, level, from, to)
                };
                match picked {
                    Ok(None) => return Ok(false),
                    Ok(Some(plan)) => break (claims.claim(&plan), plan),
                    Err(_busy) if claims.is_empty() => {
                        // Nothing runs that it would have to wait for: damage stands in its way.
                        return claims.damaged().next().map_or(Ok(false), |(_, error)| Err(error.clone()));
                    }
                    Err(_busy) => {
                        self.released.wait_for(&mut all, Duration::from_millis(100));
                    }
                }
            }
        };
        match self.run_claimed(family, plan, true, &claim) {
            // Others may be using up the room that they are about to give back.
            Err(error @ Error::DiskFull(_)) if *patience > 0 => {
                *patience -= 1;
                self.wait_for_others(error).map(|()| true)
            }
            ran => ran.map(|()| level == LEVELS - 1),
        }
    }

    /// Waits until a compaction that is running has ended; the error if none is.
    fn wait_for_others(&self, error: Error) -> Result<()> {
        let mut all = self.claims.lock();
        if error.is_failed_sync() || all.values().all(Claims::is_empty) {
            return Err(error);
        }
        self.released.wait_for(&mut all, Duration::from_millis(100));
        self.check()
    }

    fn run_claimed(&self, family: &Arc<Family>, plan: Plan, hooked: bool, claim: &Claim) -> Result<()> {
        let (family_name, reason, level) = (family.name(), plan.reason, plan.output_level);
        let span = tracing::info_span!(target: "esker", "compaction", family = family_name, ?reason, level);
        let _span = span.entered();
        let calm = plan.reason == Reason::Calm;
        let run = || self.run(family, &plan, hooked);
        let begun = self.store.clock.source().monotonic();
        self.tell_compaction_begun(family, &plan);
        let ran = catch(|| {
            self.store.latching("compacting", || {
                if calm { run() } else { self.store.draw(Drawer::Compaction, run) }
            })
        });
        let outputs = match &ran {
            Ok(result) => result.clone(),
            Err(_) => self.store.poison.check().map(|()| Vec::new()),
        };
        if plan.way() == CompactionWay::Merged {
            self.store.timings.compaction.end(Some(begun), self.store.clock.source());
        }
        self.tell_compaction_ended(family, &plan, begun, &outputs);
        let mut result = outputs.map(drop);
        if family.is_dropped() {
            // What was being compacted is gone, and so is the reason to complain.
            result = Ok(());
        }
        if let Some(claims) = self.claims.lock().get_mut(&family.id()) {
            claims.release(claim);
            if let Err(error) = &result {
                let now = self.store.clock.source().monotonic();
                damaged_inputs(&plan, error, claims)
                    .into_iter()
                    .for_each(|number| claims.set_damaged(number, error.clone(), now));
            }
        }
        self.released.notify_all();
        self.store.update_pressure();
        if let Err(panic) = ran {
            resume_unwind(panic);
        }
        // Its inputs are removed once nobody holds them, which this plan does.
        drop(plan);
        if let Err(Error::HookFailed(failure)) = &result {
            self.rest(family, failure);
            return result;
        }
        // Also of a job that failed: what it has held of older tables may be the room that is missing.
        let purged = self.store.purge();
        let result = result.and(purged);
        if !(calm && matches!(&result, Err(error @ Error::DiskFull(_)) if !error.is_failed_sync())) {
            self.judge(Task::Compact, &result);
        }
        self.refill(&result)?;
        if result.is_ok() {
            self.shrink_reserve();
        }
        result
    }

    /// Carries out a plan, with the family's hooks or, where one of them has failed, without. Returns the
    /// tables that came of it.
    fn run(&self, family: &Arc<Family>, plan: &Plan, hooked: bool) -> Result<Vec<TableInfo>> {
        let mut outputs = Vec::new();
        if plan.trivial_move {
            let moved = plan.inputs.iter().map(|(_, table)| (plan.output_level, table.clone())).collect();
            self.install_compaction(family, plan, moved, Made::default(), None)?;
            outputs.extend(plan.inputs.iter().map(|(_, table)| table.meta.shown(plan.output_level)));
            self.counters.moved();
        } else if plan.reason == Reason::Oldest {
            let (filtering, newest) = self.store.snapshots.begin_filtering(family);
            // One that has registered since it was chosen.
            if plan.inputs.iter().any(|(_, table)| newest.is_some_and(|seq| seq >= table.meta.min_seq)) {
                return Ok(outputs);
            }
            self.install_compaction(family, plan, Vec::new(), Made::dropped(plan), Some(filtering))?;
            self.counters.outlived(plan.inputs.len() as u64, plan.input_bytes());
        } else if plan.drop_whole {
            self.install_compaction(family, plan, Vec::new(), Made::dropped(plan), None)?;
            self.counters.moved();
        } else {
            let filters = hooked && asks_filter(plan) && family.hooks().filters();
            let filtering = filters.then(|| self.store.snapshots.begin_filtering(family));
            let (filtering, above) = filtering.map_or((None, None), |(f, above)| (Some(f), above));
            let (merged, left) = self.merge(family, plan, hooked, above)?;
            files(&merged.tables, &merged.blobs).for_each(|(file, bytes)| self.store.created(file, bytes));
            outputs.extend(merged.tables.iter().map(|table| table.shown(plan.output_level)));
            let opened = self.open_merged(plan, &merged, left);
            let made = Made { blobs: &merged.blobs, ended_in: merged.ended_in.clone() };
            let install = |added| self.install_compaction(family, plan, added, made, filtering);
            if let Err(error) = opened.and_then(install) {
                self.discard(files(&merged.tables, &merged.blobs));
                return Err(error);
            }
            self.counters.compacted(plan.input_bytes(), merged.bytes_out);
            self.counters.separated(merged.blobs.iter().map(|blob| blob.size).sum());
            if hooked {
                self.rested(family);
            }
        }
        self.store.balance_memory();
        self.store.work.announce(Task::Compact);
        Ok(outputs)
    }

    /// Opens what a merge has made.
    fn open_merged(
        &self,
        plan: &Plan,
        merged: &Merged,
        left: Option<Leftover>,
    ) -> Result<Vec<(usize, Arc<TableFile>)>> {
        let (made, inputs) = (self.open_blobs(&merged.blobs)?, inputs(plan));
        let open = |meta| {
            let table = self.open_table(meta, &made, inputs.blobs())?;
            left.into_iter().for_each(|left| table.set_leftover(left));
            Ok((plan.output_level, table))
        };
        merged.tables.iter().map(open).collect()
    }

    fn merge(
        &self,
        family: &Family,
        plan: &Plan,
        hooked: bool,
        above: Option<SeqNum>,
    ) -> Result<(Merged, Option<Leftover>)> {
        let store = &self.store;
        let (view, rules) = (family.view(), family.rules());
        let hooks = if hooked { self.compaction_hooks(family, &view, plan, above)? } else { None };
        let within_level0 = plan.output_level == 0;
        let horizons = self
            .merge_horizons(family, |view| oldest_operand(view, |level, table| is_above(plan, level, table)));
        let metas = || plan.inputs.iter().map(|(_, table)| &table.meta);
        let origin = Origin {
            family: family.id(),
            store: store.with_manifest(|manifest| manifest.state().store),
            history: store.with_manifest(|manifest| manifest.state().history.id),
            created_ms: store.clock.now_ms(),
            newest_ms: newest_ms(rules.style, plan),
            oldest_deletion_ms: metas().map(|m| m.oldest_deletion_ms).min().unwrap_or(NEVER),
            outside: false,
        };
        // Other tables of level 0 may hold what is older.
        let below = match within_level0 {
            true => Below::unknown(),
            false => Below::new(&view.version, plan.output_level + 1),
        };
        let erase_ms = self.moment(family, &horizons, &view.ranges).erase_ms;
        let moved = self.moved_blobs(family, plan, &view.version, erase_ms);
        let inputs = inputs(plan);
        let (bottom, ranges, flushed) = (is_bottom(&view, plan), view.ranges.clone(), view.flushed);
        // Tables that are replaced meanwhile are not kept.
        drop(view);
        let spec = MergeSpec {
            tables: &store.tables,
            next_number: &|| store.next_number(),
            policy: &rules.policy,
            level: plan.output_level,
            table_bytes: if within_level0 { u64::MAX } else { store.options().shape.table_bytes },
            horizons: horizons.clone(),
            below,
            reminds: rules.erase_within_ms.is_some(),
            ranges: &ranges,
            ranges_seq: flushed,
            origin,
            ended_ms: ended_ms(plan, &horizons),
            check: &|| {
                if plan.reason == Reason::Calm {
                    store.reserve.leave_all()?
                } else {
                    store.reserve.leave_some()?
                }
                if family.is_dropped() { Err(Error::Closed) } else { self.check() }
            },
            blame: &|key| match deepest_with(plan, key) {
                Some(table) => table.reader.path(),
                None => FileKind::Current.path(&store.dir),
            },
            hooks,
            values: Some(self.values(&rules, inputs.blobs().clone(), moved)),
        };
        let merged = merge(&mut Merge::new(Source::of_tables(&inputs)), spec)?;
        let left = bottom.then(|| leftover(plan, &horizons, flushed, &merged));
        Ok((merged, left))
    }

    /// The blob files to which the outputs of a plan shall not refer. But for collections it is little: for
    /// values room was not asked for, and writers may be waiting.
    fn moved_blobs(
        &self,
        family: &Family,
        plan: &Plan,
        version: &Version,
        erase_ms: u64,
    ) -> BTreeSet<FileNumber> {
        let claims = self.claims.lock();
        let claims = claims.get(&family.id());
        match (plan.reason, claims) {
            (Reason::DeadValues, _) => plan.moved.iter().copied().collect(),
            (Reason::Manual, Some(claims)) => dead_blobs(version, claims, erase_ms),
            (_, Some(claims)) => small_blobs(version, claims, &self.store.options().shape, plan),
            (_, None) => BTreeSet::new(),
        }
    }

    fn install_compaction(
        &self,
        family: &Arc<Family>,
        plan: &Plan,
        added: Vec<(usize, Arc<TableFile>)>,
        made: Made<'_>,
        filtering: Option<Filtering<'_>>,
    ) -> Result<()> {
        self.store.with_manifest(|manifest| {
            if family.is_dropped() {
                return Err(Error::FamilyDropped { name: family.name().into() });
            }
            let id = family.id();
            let mut edit = Edit::default();
            let removed: Vec<_> = plan.inputs.iter().map(|(level, t)| (*level, t.meta.number)).collect();
            for meta in made.blobs {
                edit.push(EditOp::AddBlob { family: id, meta: *meta });
            }
            for &(level, number) in &removed {
                edit.push(EditOp::RemoveTable { family: id, level, number });
            }
            for (level, table) in &added {
                edit.push(EditOp::AddTable { family: id, level: *level, meta: table.meta.clone() });
            }
            // Tables and ranges change under the manifest's lock alone.
            let view = family.view();
            let version = view.version.changed(&removed, added);
            let gone = retired(&version, &view.ranges);
            for &seq in &gone {
                edit.push(EditOp::RemoveRange { family: id, seq });
            }
            let unneeded = view.version.blobs().gone(version.blobs());
            for file in &unneeded {
                edit.push(EditOp::RemoveBlob { family: id, number: file.meta.number });
            }
            let dead = self.newly_dead(family, &version, plan, &made.ended_in);
            for (file, since_ms) in &dead {
                let (number, since_ms) = (file.meta.number, *since_ms);
                edit.push(EditOp::DeadBlob { family: id, number, since_ms });
            }
            self.store.commit_edit(manifest, edit)?;
            if !plan.trivial_move {
                plan.inputs.iter().for_each(|(_, table)| table.mark_obsolete());
            }
            unneeded.iter().for_each(|file| file.mark_obsolete());
            dead.iter().for_each(|(file, since_ms)| file.set_dead_since_ms(*since_ms));
            let ranges = match gone.is_empty() {
                true => view.ranges.clone(),
                false => Arc::new(view.ranges.changed(&gone, None)),
            };
            let install = || family.install(None, version, ranges);
            match filtering {
                Some(filtering) => filtering.end(install),
                None => install(),
            }
            Ok(())
        })
    }
}

impl Jobs {
    /// Those of the blob files `ended_in` of which nobody has noted yet that they hold something which was
    /// deleted or has ended, if that has to be gone within a time. It was deleted a while ago, and its time
    /// counts from then on: from what the tables say of their oldest deletion, if the compaction came late.
    fn newly_dead(
        &self,
        family: &Family,
        version: &Version,
        plan: &Plan,
        ended_in: &BTreeSet<FileNumber>,
    ) -> Vec<(Arc<BlobFile>, u64)> {
        let Some(within) = family.rules().erase_within_ms else { return Vec::new() };
        let usual_ms = self.store.clock.now_ms().saturating_sub(within / SHARE_OF_KEYS);
        let oldest_ms = plan.inputs.iter().map(|(_, table)| hides_since(&table.meta)).min();
        let since_ms = oldest_ms.map_or(usual_ms, |oldest_ms| usual_ms.min(oldest_ms)).max(1);
        let files = version.blobs().files().iter();
        let ended = files.filter(|of| ended_in.contains(&of.live.file));
        let new = ended.filter(|of| of.dead_bytes() > 0 && of.file.dead_since_ms().is_none());
        new.map(|of| (of.file.clone(), since_ms)).collect()
    }
}

/// What came of a compaction besides tables.
#[derive(Default)]
struct Made<'a> {
    /// The blob files.
    blobs: &'a [BlobMeta],
    /// The blob files of which values went whose keys were deleted or have ended.
    ended_in: BTreeSet<FileNumber>,
}

impl Made<'_> {
    /// Nothing: the inputs go as they are.
    fn dropped(plan: &Plan) -> Self {
        let shares = plan.inputs.iter().flat_map(|(_, table)| &table.meta.blobs);
        Made { blobs: &[], ended_in: shares.map(|share| share.file).collect() }
    }
}

/// When the newest of the inputs was flushed; 0 where nobody asks how old a table is.
fn newest_ms(style: CompactionStyle, plan: &Plan) -> u64 {
    let written_ms = plan.inputs.iter().map(|(_, table)| table.reader.properties().written_ms());
    match style {
        CompactionStyle::Fifo(_) => written_ms.max().unwrap_or(0),
        _ => 0,
    }
}

/// Whether a table that is no input may hold what is newer than the inputs.
fn is_above(plan: &Plan, level: usize, table: &TableFile) -> bool {
    let input = plan.inputs.iter().any(|(_, input)| input.meta.number == table.meta.number);
    let overlaps = plan.range().is_some_and(|(from, to)| table.meta.overlaps(Some(from), Some(to)));
    !input && overlaps && (level == 0 || level < plan.output_level)
}

/// The inputs that cannot be read, if that is what the error is about: a table; or a blob file, which is not
/// collected then, so that the tables which refer to it can be merged as any. If that was known already, it
/// was not moving its values that met the damage but a hook that has to see one: then not these tables
/// either.
fn damaged_inputs(plan: &Plan, error: &Error, claims: &Claims) -> Vec<FileNumber> {
    let file = match error {
        Error::Corruption(corruption) => &corruption.file,
        Error::Io(failure) if failure.operation == "read" => &failure.path,
        _ => return Vec::new(),
    };
    let tables = || plan.inputs.iter().map(|(_, table)| &table.meta);
    match file.file_name().and_then(|name| FileKind::parse(name.to_str()?)) {
        Some(FileKind::Table(number)) => {
            tables().map(|meta| meta.number).filter(|input| *input == number).collect()
        }
        Some(FileKind::Blob(number)) => {
            let known = claims.has(number);
            let refers = |meta: &&Arc<TableMeta>| meta.blobs.iter().any(|share| share.file == number);
            tables().filter(|meta| known && refers(meta)).map(|meta| meta.number).chain([number]).collect()
        }
        _ => Vec::new(),
    }
}

/// The inputs of a plan, with the blob files that they refer to.
fn inputs(plan: &Plan) -> Arc<Version> {
    Arc::new(Version::default().changed(&[], plan.inputs.clone()))
}

/// The deepest input that may hold a key: what it is to be blamed on if two of them hold the same entry.
fn deepest_with<'p>(plan: &'p Plan, key: &[u8]) -> Option<&'p TableFile> {
    let holds = |(_, table): &&(usize, Arc<TableFile>)| table.meta.overlaps(Some(key), Some(key));
    plan.inputs.iter().filter(holds).max_by_key(|(level, _)| *level).map(|(_, table)| &**table)
}
