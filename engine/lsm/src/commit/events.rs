//! Telling those who listen what happens.

use super::stall::{Pressure, StallLimits, presses_most};
use super::store::{Store, Writer};
use super::work::Task;
use crate::base::error::{Error, Result};
use crate::base::filename::{FileKind, FileNumber};
use crate::fs::Fs;
use crate::hooks::{
    BackgroundError, BackgroundErrorEnded, BackgroundJob, Event, Events, FileCreated, FileRemoved, Stall,
    StallChanged, StallReason, Stalled,
};
use crate::version::Manifest;
use std::mem::discriminant;
use std::path::Path;

impl Store {
    /// Puts an event on its way, if anybody listens; `event` is given the time. Any lock may be held.
    #[inline]
    pub fn emit(&self, event: impl FnOnce(u64) -> Event) {
        self.events.emit(event);
    }

    /// Reports that a job has ended.
    pub fn report(&self, task: Task, result: Result<()>) {
        let after = result.as_ref().err().cloned();
        let before = self.work.report(task, result);
        self.failure_changed(task, before, after);
    }

    /// There is nothing of this kind to do; see [`super::Work::settle`].
    pub fn settle(&self, task: Task) {
        if let Some(before) = self.work.settle(task) {
            self.failure_changed(task, Some(before), None);
        }
    }

    fn failure_changed(&self, task: Task, before: Option<Error>, after: Option<Error>) {
        let job = match task {
            Task::Flush => BackgroundJob::Flush,
            Task::Compact => BackgroundJob::Compaction,
            Task::Sync => BackgroundJob::Sync,
            Task::Callbacks | Task::Upkeep | Task::Remove => BackgroundJob::Upkeep,
        };
        match (before, after) {
            // Tried again, it fails in the same way, if at another file.
            (Some(before), Some(after)) if discriminant(&before) == discriminant(&after) => {}
            (_, Some(error)) => {
                self.emit(|at_ms| Event::BackgroundError(BackgroundError { at_ms, job, error }));
            }
            (Some(error), None) => {
                self.emit(|at_ms| Event::BackgroundErrorEnded(BackgroundErrorEnded { at_ms, job, error }));
            }
            (None, None) => {}
        }
    }

    /// What writers must do has been judged anew.
    pub(super) fn stall_judged(&self, who: Stalled, old: Stall, new: Stall, pressure: Pressure) {
        if discriminant(&old) == discriminant(&new) {
            return;
        }
        self.emit(|at_ms| {
            let reason = reason(who, new, pressure, &self.options().stall);
            Event::StallChanged(StallChanged { at_ms, who, old, new, reason })
        });
    }

    /// Runs what may start a new segment of the log, and tells of it.
    #[inline]
    pub fn watching_log<R>(&self, writer: &mut Writer, run: impl FnOnce(&mut Writer) -> R) -> R {
        let before = writer.wal.current();
        let result = run(writer);
        self.tell_of_segment(writer, before);
        result
    }

    /// Tells of the segment that is written to, if it is another than `before`.
    #[inline]
    pub fn tell_of_segment(&self, writer: &Writer, before: FileNumber) {
        if writer.wal.current() != before {
            let (file, bytes) = (FileKind::Wal(writer.wal.current()), writer.wal.capacity());
            self.created(file, bytes);
        }
    }

    /// Runs what may write the manifest anew, and tells of it.
    pub(super) fn watching_manifest<R>(
        &self,
        manifest: &mut Manifest,
        run: impl FnOnce(&mut Manifest) -> R,
    ) -> R {
        let (before, bytes) = (manifest.number(), manifest.bytes());
        let result = run(manifest);
        if manifest.number() != before {
            self.created(FileKind::Manifest(manifest.number()), manifest.bytes());
            let file = FileKind::Manifest(before);
            // One that could not be removed is left to the next opening.
            let gone = || self.fs.open(&file.path(&self.dir)).is_err_and(|error| error.is_not_found());
            if self.events.wanted() && gone() {
                self.emit(|at_ms| Event::FileRemoved(FileRemoved { at_ms, file, bytes }));
            }
        }
        result
    }

    /// Tells of a file that was created.
    pub fn created(&self, file: FileKind, bytes: u64) {
        self.emit(|at_ms| Event::FileCreated(FileCreated { at_ms, file, bytes }));
    }

    /// Runs what removes a file, and tells of it.
    ///
    /// # Errors
    /// What `remove` gives.
    pub fn removing(&self, file: FileKind, remove: impl FnOnce() -> Result<()>) -> Result<()> {
        removing(&self.events, &self.fs, &self.dir, file, remove)
    }
}

/// Runs what removes a file of the store in `dir`, and tells of it.
pub(super) fn removing(
    events: &Events,
    fs: &Fs,
    dir: &Path,
    file: FileKind,
    remove: impl FnOnce() -> Result<()>,
) -> Result<()> {
    // Whose size cannot be had is about to go all the same.
    let size = || fs.open(&file.path(dir)).and_then(|file| file.size()).unwrap_or(0);
    let bytes = if events.wanted() { size() } else { 0 };
    remove()?;
    events.emit(|at_ms| Event::FileRemoved(FileRemoved { at_ms, file, bytes }));
    Ok(())
}

/// What presses most on writers who must do something.
fn reason(who: Stalled, stall: Stall, pressure: Pressure, limits: &StallLimits) -> StallReason {
    match (who, stall) {
        (_, Stall::None) => StallReason::Nothing,
        (Stalled::RangeWriters, _) => StallReason::Ranges(pressure.ranges),
        _ => presses_most(pressure, limits),
    }
}
