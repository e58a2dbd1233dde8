//! How many descriptors the process may have.

/// Descriptors that the engine and the server itself need: open tables, the log, pollers.
const RESERVED: u64 = 640;

/// Has the process take as many descriptors as so many connections need, if the system lets it: most
/// processes start with fewer than they may have.
pub(crate) fn raise(connections: u64) {
    // Where it may not, there are fewer connections.
    let _ = rlimit::increase_nofile_limit(connections.saturating_add(RESERVED));
}

/// The most connections under the limit on descriptors; `wanted` where the system does not tell it.
pub(crate) fn affordable(wanted: u64) -> u64 {
    rlimit::getrlimit(rlimit::Resource::NOFILE).map_or(wanted, |(limit, _)| under(limit, wanted))
}

fn under(limit: u64, wanted: u64) -> u64 {
    // A small limit is shared with the engine's tables.
    wanted.min(limit.saturating_sub(RESERVED).max(limit / 4)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_engine_has_its_part_of_the_limit() {
        let of = |limit| under(limit, 10_000);
        assert_eq!([of(1024), of(400), of(5640), of(1 << 20), of(0)], [384, 100, 5000, 10_000, 1]);
        raise(100);
        assert!(affordable(10) <= 10);
    }
}
