//! Numbers that tell the open stores of a process apart.

/// A number that no other call in this process returns.
#[must_use]
pub fn unique_number() -> u64 {
    // Not part of any protocol, and constant at the start, which loom's atomics cannot be.
    static NEXT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(1);
    NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed)
}
