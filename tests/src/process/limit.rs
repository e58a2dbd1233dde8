//! A limit on the time that a process may take.

use std::process::{Child, Command};
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// Kills a process that is still there when its time is over; dropped when the process has ended.
#[derive(Debug)]
pub struct Limit {
    ended: Option<Sender<()>>,
    watcher: Option<JoinHandle<()>>,
}

impl Limit {
    /// Watches over `child`.
    #[must_use]
    pub fn new(child: &Child, limit: Duration) -> Limit {
        let (ended, over) = channel::<()>();
        let pid = child.id().to_string();
        let watcher = std::thread::spawn(move || {
            if over.recv_timeout(limit) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
                // The test then finds a process that was killed, and fails by that.
                let _ = Command::new("kill").args(["-KILL", &pid]).status();
            }
        });
        Limit { ended: Some(ended), watcher: Some(watcher) }
    }
}

impl Drop for Limit {
    fn drop(&mut self) {
        drop(self.ended.take());
        if let Some(watcher) = self.watcher.take() {
            let _ = watcher.join();
        }
    }
}
