//! What a server tells its clients must have been synced before.

use super::call::Call;

/// Where the texts that a trace was asked for stand in it.
#[derive(Clone, Debug, Default)]
pub struct Told {
    /// Texts that were sent.
    pub texts: usize,
    /// Those whose write to the log is in the trace.
    pub written: usize,
    /// What was sent before it was durable, or is not in the log at all.
    pub violations: Vec<String>,
}

fn contains(call: &Call, text: &[u8]) -> bool {
    call.strings.first().is_some_and(|data| data.windows(text.len()).any(|window| window == text))
}

/// Checks for each pair (told, logged): before the text `told` is sent to anybody, a sync of the log has
/// returned that began after the text `logged` was written to it. Pairs that are never told count for
/// nothing.
#[must_use]
pub fn check_told(calls: &[Call], pairs: &[(String, String)]) -> Told {
    let is_log = |call: &&Call| call.file.ends_with(".log") && call.result >= 0;
    let writes: Vec<&Call> = calls.iter().filter(|c| c.name == "pwrite64").filter(is_log).collect();
    let syncs: Vec<&Call> = calls.iter().filter(|c| c.name.ends_with("sync")).filter(is_log).collect();
    let sends: Vec<&Call> = calls.iter().filter(|call| call.name == "sendto" && call.result > 0).collect();
    let mut found = Told::default();
    for (told, logged) in pairs {
        let Some(send) = sends.iter().find(|call| contains(call, told.as_bytes())) else { continue };
        found.texts += 1;
        // Through a mapping the log is written without a call: then it was not before the text had come.
        let came = || calls.iter().find(|call| call.name == "recvfrom" && contains(call, logged.as_bytes()));
        let write = writes.iter().find(|call| contains(call, logged.as_bytes())).copied();
        let Some(write) = write.inspect(|_| found.written += 1).or_else(came) else {
            found.violations.push(format!("{logged} is not in the log"));
            continue;
        };
        let synced = |sync: &&&Call| sync.start > write.end && sync.end < send.start;
        if !syncs.iter().any(|sync| synced(&sync)) {
            found.violations.push(format!("line {}: {told} is told before it is durable", send.start));
        }
    }
    found
}
