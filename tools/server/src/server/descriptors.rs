//! How many descriptors the process may have.

/// Descriptors that the engine and the server itself need: open tables, the log, pollers.
const RESERVED: u64 = 640;

/// The most connections under the limit on descriptors; `wanted` where the system does not tell it.
pub(super) fn affordable(wanted: u64) -> u64 {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    soft_limit(&limits).map_or(wanted, |limit| {
        // A small limit is shared with the engine's tables.
        wanted.min(limit.saturating_sub(RESERVED).max(limit / 4)).max(1)
    })
}

fn soft_limit(limits: &str) -> Option<u64> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_found() {
        let text =
            "Limit      Soft Limit  Hard Limit  Units\nMax open files            1024      4096      files\n";
        assert_eq!(soft_limit(text), Some(1024));
        assert_eq!(soft_limit("Max open files  unlimited unlimited files"), None);
        assert!(affordable(10) <= 10);
    }
}
