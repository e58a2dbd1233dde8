//! A run that hangs must fail, and say what it was doing.

use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// Aborts the process unless it is told again and again that things go on.
#[derive(Debug)]
pub struct Watchdog {
    sign: Mutex<Sender<()>>,
    doing: Arc<Mutex<String>>,
}

impl Watchdog {
    /// A watchdog that waits so long for the next sign of life.
    #[must_use]
    pub fn new(patience: Duration) -> Arc<Watchdog> {
        let (sign, signs) = mpsc::channel();
        let doing = Arc::new(Mutex::new(String::from("starting")));
        let shown = doing.clone();
        thread::spawn(move || {
            loop {
                match signs.recv_timeout(patience) {
                    Ok(()) => {}
                    Err(RecvTimeoutError::Disconnected) => return,
                    Err(RecvTimeoutError::Timeout) => {
                        let doing = shown.lock().map(|text| text.clone()).unwrap_or_default();
                        eprintln!("nothing has happened for {} s in: {doing}", patience.as_secs());
                        std::process::abort();
                    }
                }
            }
        });
        Arc::new(Watchdog { sign: Mutex::new(sign), doing })
    }

    /// A sign of life, with what is being done now.
    pub fn now(&self, doing: impl Into<String>) {
        if let Ok(mut text) = self.doing.lock() {
            *text = doing.into();
        }
        if let Ok(sign) = self.sign.lock() {
            let _ = sign.send(());
        }
    }
}
