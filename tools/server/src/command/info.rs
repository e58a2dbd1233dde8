//! INFO.

use super::table::{Call, is};
use crate::shared::Shared;
use esker::Durability;
use esker_structures::command::Reply;
use std::fmt::Write;
use std::sync::atomic::Ordering;

/// The version of Redis whose commands these are: clients choose by it what they use.
pub(super) const REDIS_VERSION: &str = "7.0.15";

/// Writes a section.
type Section = fn(&Shared, &mut String) -> std::fmt::Result;

const SECTIONS: &[(&str, Section)] = &[
    ("Server", server),
    ("Clients", clients),
    ("Memory", memory),
    ("Persistence", persistence),
    ("Stats", stats),
    ("Replication", replication),
    ("Keyspace", keyspace),
];

pub(super) fn info(call: &mut Call<'_>, args: &[&[u8]]) -> Option<Reply> {
    let asked = args.get(1..).unwrap_or_default();
    let all = asked.is_empty()
        || asked.iter().any(|name| ["all", "default", "everything"].iter().any(|word| is(name, word)));
    let mut text = String::new();
    for (name, section) in SECTIONS {
        if all || asked.iter().any(|asked| is(asked, name)) {
            let between = if text.is_empty() { "" } else { "\r\n" };
            // Writing to a string cannot fail.
            let _ = write!(text, "{between}# {name}\r\n");
            let _ = section(call.shared, &mut text);
        }
    }
    // What it counts was visible before.
    call.depends_on = call.shared.store.engine().visible_seq();
    Some(Reply::Verbatim(text))
}

fn server(shared: &Shared, out: &mut String) -> std::fmt::Result {
    let up = shared.started.elapsed().as_secs();
    write!(out, "redis_version:{REDIS_VERSION}\r\nredis_mode:standalone\r\n")?;
    write!(out, "esker_version:{}\r\n", env!("CARGO_PKG_VERSION"))?;
    write!(out, "os:{}\r\narch_bits:{}\r\n", std::env::consts::OS, usize::BITS)?;
    write!(out, "process_id:{}\r\ntcp_port:{}\r\n", std::process::id(), shared.address.port())?;
    write!(out, "uptime_in_seconds:{up}\r\nuptime_in_days:{}\r\n", up / 86_400)
}

fn clients(shared: &Shared, out: &mut String) -> std::fmt::Result {
    write!(out, "connected_clients:{}\r\n", shared.connected.load(Ordering::Relaxed))?;
    write!(out, "maxclients:{}\r\n", shared.settings.max_clients.get())?;
    write!(out, "blocked_clients:0\r\n")
}

/// What the process has in memory now and had at most, in bytes; 0 where the system does not tell.
fn resident() -> (u64, u64) {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let bytes = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0) * 1024
    };
    (bytes("VmRSS:"), bytes("VmHWM:"))
}

/// A size as Redis shows it to people.
fn human(bytes: u64) -> String {
    let units = [('G', 30), ('M', 20), ('K', 10)];
    match units.into_iter().find(|(_, bits)| bytes >> bits > 0) {
        Some((unit, bits)) => format!("{:.2}{unit}", bytes as f64 / f64::from(1 << bits)),
        None => format!("{bytes}B"),
    }
}

fn memory(shared: &Shared, out: &mut String) -> std::fmt::Result {
    let used = shared.store.engine().stats().memory_bytes;
    let (resident, peak) = resident();
    for (name, bytes) in [("used_memory", used), ("used_memory_rss", resident), ("used_memory_peak", peak)] {
        write!(out, "{name}:{bytes}\r\n{name}_human:{}\r\n", human(bytes))?;
    }
    write!(out, "mem_clients_normal:{}\r\n", shared.buffered.load(Ordering::Relaxed))?;
    write!(out, "maxmemory:0\r\nmaxmemory_policy:noeviction\r\n")
}

fn persistence(shared: &Shared, out: &mut String) -> std::fmt::Result {
    let db = shared.store.engine();
    let sync = shared.store.durability() == Durability::Sync;
    let saved = shared.saving.saved();
    write!(out, "loading:0\r\naof_enabled:1\r\n")?;
    write!(out, "rdb_bgsave_in_progress:{}\r\n", u8::from(saved.in_progress))?;
    write!(out, "rdb_last_save_time:{}\r\n", saved.last_s)?;
    write!(out, "rdb_last_bgsave_status:{}\r\n", if saved.failure.is_none() { "ok" } else { "err" })?;
    let why = saved.failure.unwrap_or_default();
    let why: String = why.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    write!(out, "last_backup:{}\r\nlast_backup_error:{why}\r\n", saved.number)?;
    write!(out, "durability:{}\r\n", if sync { "sync" } else { "os" })?;
    write!(out, "visible_seq:{}\r\ndurable_seq:{}\r\n", db.visible_seq(), db.durable_seq())?;
    write!(out, "aof_last_write_status:{}\r\n", if db.health().poisoned.is_none() { "ok" } else { "err" })
}

fn stats(shared: &Shared, out: &mut String) -> std::fmt::Result {
    let counters = &shared.counters;
    for (name, counter) in [
        ("total_connections_received", &counters.connections),
        ("total_commands_processed", &counters.commands),
        ("rejected_connections", &counters.rejected),
        ("client_limit_disconnections", &counters.closed_for_limits),
        ("protocol_errors", &counters.protocol_errors),
    ] {
        write!(out, "{name}:{}\r\n", counter.load(Ordering::Relaxed))?;
    }
    write!(out, "unreadable_expired_keys:{}\r\n", shared.store.unreadable_expired())
}

fn replication(_: &Shared, out: &mut String) -> std::fmt::Result {
    out.write_str("role:master\r\nconnected_slaves:0\r\n")
}

fn keyspace(shared: &Shared, out: &mut String) -> std::fmt::Result {
    let unit = shared.store.unit();
    for database in 0..shared.store.databases() {
        let keys = unit.count_keys(database).unwrap_or(0);
        if keys > 0 {
            write!(out, "db{database}:keys={keys},expires=0,avg_ttl=0\r\n")?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::table::ReplyMode;
    use crate::shared::{ClientInfo, Saving};
    use esker::fs::sim::{Fault, OperationKind};
    use esker::fs::{Fs, SimFs};
    use esker_structures::Store;
    use std::sync::Arc;

    #[test]
    fn a_failed_sync_shows() {
        let disk = SimFs::new();
        let builder = Store::builder("/data").deterministic(1);
        let on_disk = |engine: esker::Builder| engine.fs(Fs::Sim(disk.clone())).memory_budget(8 << 20);
        let store = builder.engine(on_disk).open().unwrap();
        let shared =
            Shared::new(store.clone(), "127.0.0.1:1".parse().unwrap(), 1, Saving::new(None), Vec::new());
        let shown = || {
            let mut text = String::new();
            persistence(&shared, &mut text).unwrap();
            text
        };
        assert!(shown().contains("aof_last_write_status:ok\r\n"));
        disk.set_fault(Box::new(|operation| {
            (operation.kind == OperationKind::Sync).then_some(Fault::FailedSyncDropsPages)
        }));
        let written = shared.connect().execute(&["set", "k", "v"]).depends_on;
        assert!(store.wait(written).is_err());
        assert!(shown().contains("aof_last_write_status:err\r\n"));
    }

    #[test]
    fn counts_depend_on_what_they_count() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path().join("data")).unwrap();
        let address = "127.0.0.1:1".parse().unwrap();
        let shared = Shared::new(store.clone(), address, 1, Saving::new(None), Vec::new());
        let (mut connection, mut mode) = (shared.connect(), ReplyMode::On);
        let written = connection.execute(&["set", "k", "v"]).depends_on;
        let info = Arc::new(ClientInfo::new(1, address, address));
        let mut call = Call {
            shared: &shared,
            connection: &mut connection,
            info: &info,
            mode: &mut mode,
            close: false,
            depends_on: 0,
        };
        let reply = super::info(&mut call, &[b"info", b"keyspace"]);
        assert!(matches!(reply, Some(Reply::Verbatim(text)) if text.contains("db0:keys=1,")));
        assert!(written > 0 && call.depends_on >= written);
        drop((connection, shared));
        store.close().unwrap();
    }
}
