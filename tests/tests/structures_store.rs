//! What a store of structures is to who opens it, keeps house in it, or removes very much at once.

use esker::Db;
use esker::base::clock::{Clock, ManualClock};
use esker::fs::sim::{Fault, Image, OperationKind};
use esker::fs::{Fs, SimFs};
use esker_structures::Store;
use esker_structures::api::Watched;
use esker_structures::command::{Connection, Reply};
use esker_structures::store::Expired;
use std::sync::{Arc, Mutex};
use std::time::Duration;

fn on(disk: &SimFs, seed: u64) -> esker_structures::Builder {
    let disk = disk.clone();
    let builder = Store::builder("/data").deterministic(seed).databases(2);
    builder.engine(move |engine| engine.fs(Fs::Sim(disk)).memory_budget(16 << 20))
}

fn ask(connection: &mut Connection, line: &str) -> Reply {
    let args: Vec<&str> = line.split(' ').collect();
    connection.execute(&args).reply
}

/// Makes a large set: its members have records of their own.
fn fill(connection: &mut Connection, name: &str) {
    let members: Vec<String> = (0..130).map(|at| format!("m{at}")).collect();
    let mut args = vec!["sadd", name];
    args.extend(members.iter().map(String::as_str));
    assert_eq!(connection.execute(&args).reply, Reply::Integer(130));
}

#[test]
fn a_store_is_opened_as_what_it_is_and_tools_open_any() {
    let dir = tempfile::tempdir().unwrap();
    let (plain, made, mended) =
        (dir.path().join("plain"), dir.path().join("made"), dir.path().join("mended"));
    Db::open(&plain).unwrap().close().unwrap();
    let refused = Store::open(&plain).unwrap_err().to_string();
    assert!(refused.contains("esker::Db::open"), "{refused}");
    let store = Store::open(&made).unwrap();
    let mut connection = Connection::new(&store);
    ask(&mut connection, "set k v");
    fill(&mut connection, "s");
    drop(connection);
    store.close().unwrap();
    let refused = Db::open(&made).unwrap_err().to_string();
    assert!(refused.contains("the crate esker-structures"), "{refused}");

    // Who keeps house takes it as it is, and leaves it so.
    let db = Db::builder(&made).any_layer().create_if_missing(false).open().unwrap();
    assert!(db.verify().unwrap().problems.is_empty());
    db.compact().unwrap();
    db.close().unwrap();
    Db::repair(&made, &mended).unwrap();
    for dir in [&made, &mended] {
        assert!(Db::open(dir).is_err());
        let store = Store::open(dir).unwrap();
        let report = store.verify().unwrap();
        assert!(report.is_clean() && report.keys == 2, "{report:?}");
        assert_eq!(store.db(0).set("s").len().unwrap(), 130);
        store.close().unwrap();
    }
}

#[test]
fn a_repair_without_a_manifest_is_told_what_the_store_was() {
    let dir = tempfile::tempdir().unwrap();
    let (old, lost, saved, known) =
        (dir.path().join("old"), dir.path().join("lost"), dir.path().join("saved"), dir.path().join("known"));
    let store = Store::open(&old).unwrap();
    let mut connection = Connection::new(&store);
    ask(&mut connection, "set k v");
    fill(&mut connection, "s");
    drop(connection);
    store.close().unwrap();

    // A manifest knows more than who asks: nothing is assumed.
    let report = Store::repair(&old).write(&known).unwrap();
    assert!(report.layer_known && report.layer == "structures");
    assert!(report.families.iter().all(|family| family.name_known && !family.assumed), "{report}");
    Store::open(&known).unwrap().close().unwrap();

    for entry in std::fs::read_dir(&old).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if name == "CURRENT" || name.starts_with("MANIFEST") {
            std::fs::remove_file(old.join(name)).unwrap();
        }
    }
    let report = Db::repair(&old, &lost).unwrap();
    assert!(!report.layer_known && report.layer == "plain");
    assert!(report.to_string().contains("--structures"), "{report}");
    assert!(Store::open(&lost).is_err());
    let report = Store::repair(&old).write(&saved).unwrap();
    assert!(!report.layer_known && report.layer == "structures", "{report}");
    let assumed: Vec<bool> = report.families.iter().map(|family| family.assumed).collect();
    assert_eq!(assumed, [false, true, true, true], "{report}");
    assert!(Db::open(&saved).is_err());
    let store = Store::open(&saved).unwrap();
    assert!(store.verify().unwrap().is_clean());
    let mut connection = Connection::new(&store);
    assert_eq!(ask(&mut connection, "get k"), "v".into());
    assert_eq!(ask(&mut connection, "scard s"), Reply::Integer(130));
    assert_eq!(ask(&mut connection, "dbsize"), Reply::Integer(2));
    // Options came with the names: headers keep versions.
    let headers = store.engine().open_column_family("structures.headers").unwrap();
    let mut batch = esker::WriteBatch::new();
    batch.require_version(&headers, b"none", 1);
    let refused = store.engine().commit(batch, esker::Durability::Os).unwrap_err();
    assert!(matches!(refused, esker::Error::ConditionFailed { .. }), "{refused}");
    ask(&mut connection, "sadd s another");
    assert!(store.verify().unwrap().is_clean());
}

#[test]
fn removing_very_many_large_keys_is_one_write() {
    const KEYS: usize = 5000;
    let disk = SimFs::new();
    let store = on(&disk, 1).open().unwrap();
    let mut connection = Connection::new(&store);
    let names: Vec<String> = (0..KEYS).map(|at| format!("s{at}")).collect();
    for name in &names {
        fill(&mut connection, name);
    }
    let mut args = vec!["del"];
    args.extend(names.iter().map(String::as_str));
    let before = store.engine().visible_seq();
    assert_eq!(connection.execute(&args).reply, Reply::count(KEYS as u64));
    // Header, position and count of each key; a range or a note that it is given up.
    assert!(store.engine().visible_seq() - before <= 4 * KEYS as u64);
    assert_eq!(ask(&mut connection, "dbsize"), Reply::Integer(0));
    drop(connection);
    // All or nothing survives, and what is left to drop is dropped afterwards.
    store.wait(store.engine().visible_seq()).unwrap();
    let store = on(&disk.image(Image::Nothing, 7), 2).open().unwrap();
    assert!(store.verify().unwrap().is_clean());
    let mut connection = Connection::new(&store);
    assert_eq!(ask(&mut connection, "dbsize"), Reply::Integer(0));
    let swept = store.sweep(10_000).unwrap();
    assert!(swept.reclaimed >= KEYS - 4096, "{swept:?}");
    assert_eq!(store.sweep(10_000).unwrap().reclaimed, 0);
    // Nothing of them is left once everything was compacted.
    store.engine().compact().unwrap();
    let elements = store.engine().open_column_family("structures.elements").unwrap();
    assert_eq!(elements.iter().unwrap().count(), 0);
}

#[test]
fn a_large_hash_goes_in_a_few_records_and_its_bytes_by_the_promised_time() {
    const FIELDS: usize = 1_000_000;
    let clock = ManualClock::new(1_700_000_000_000);
    let (disk, time) = (SimFs::new(), Clock::Manual(clock.clone()));
    let builder = Store::builder("/data").deterministic(1).databases(1);
    let on = disk.clone();
    let engine = |engine: esker::Builder| engine.fs(Fs::Sim(on)).clock(time).memory_budget(32 << 20);
    let store = builder.engine(engine).open().unwrap();
    let mut connection = Connection::new(&store);
    for page in 0..FIELDS / 1000 {
        let mut args = vec!["hset".to_owned(), "h".to_owned()];
        for at in 0..1000 {
            args.extend([format!("f{:07}", page * 1000 + at), format!("marked-{at}")]);
        }
        assert_eq!(connection.execute(&args).reply, Reply::Integer(1000));
    }
    // A walk over all of it holds a page at a time, whatever it is long.
    let walked = store.db(0).hash("h").entries().unwrap().map(|entry| entry.unwrap().1.len()).sum::<usize>();
    assert!(walked > FIELDS * 8);
    let before = store.engine().visible_seq();
    assert_eq!(ask(&mut connection, "del h"), Reply::Integer(1));
    assert_eq!(store.engine().visible_seq() - before, 4, "a header, a position, a count and a range");
    ask(&mut connection, "set k v");

    // The promise is a day. A deterministic store works while it is used.
    for _ in 0..24 * 6 {
        clock.advance(Duration::from_secs(600));
        for _ in 0..120 {
            store.engine().contains_key("nothing").unwrap();
        }
    }
    let stats = store.engine().stats();
    for family in &stats.families {
        let left = (family.hidden_since_ms, family.erase_due_bytes);
        assert_eq!(left, (None, 0), "{}", family.name);
    }
    let tables = disk.paths().into_iter().filter(|path| path.extension().is_some_and(|end| end == "sst"));
    let bytes: usize = tables.map(|path| disk.read_raw(&path).unwrap().len()).sum();
    assert!(bytes < 64 << 10, "{bytes} bytes of tables hold one small string");
    for path in disk.paths() {
        let file = disk.read_raw(&path).unwrap();
        assert!(!file.windows(7).any(|window| window == b"marked-"), "{} still has it", path.display());
    }
    assert!(store.verify().unwrap().is_clean());
}

#[test]
fn a_damaged_header_does_not_hold_up_what_expires_behind_it() {
    let clock = ManualClock::new(1_700_000_000_000);
    let time = Clock::Manual(clock.clone());
    let store = on(&SimFs::new(), 1).engine(move |engine| engine.clock(time)).open().unwrap();
    let mut connection = Connection::new(&store);
    for (name, life) in [("a", 1000), ("b", 2000), ("c", 3000), ("later", 60_000)] {
        ask(&mut connection, &format!("set {name} v px {life}"));
    }
    let db = store.engine();
    let headers = db.open_column_family("structures.headers").unwrap();
    let index = db.open_column_family("structures.index").unwrap();
    let header =
        headers.iter().unwrap().map(|entry| entry.unwrap().0.to_vec()).find(|key| key.ends_with(b"b"));
    let header = header.unwrap();
    let keyspace = &header[..8];
    let mut batch = esker::WriteBatch::new();
    batch.put(&headers, &header, b"\xff");
    // Records of expiries (3), and of what was given up (4), which are none.
    batch.put(&index, [keyspace, b"\x03\x00"].concat(), b"");
    batch.put(&index, [keyspace, b"\x04x"].concat(), b"");
    db.write(batch, esker::Durability::Os).unwrap();

    clock.advance(Duration::from_secs(10));
    let swept = store.sweep(100).unwrap();
    assert_eq!((swept.removed, swept.unreadable, store.unreadable_expired()), (2, 2, 2), "{swept:?}");
    assert_eq!(swept.next_at_ms, Some(1_700_000_060_000), "{swept:?}");
    assert_eq!(store.sweep(100).unwrap().reclaimed, 0);
    assert!(ask(&mut connection, "get b").is_error());
    clock.advance(Duration::from_secs(60));
    assert_eq!(store.sweep(100).unwrap().removed, 1);
    assert_eq!(store.unreadable_expired(), 2);
    // Once it is written anew, nothing of it is left.
    let mut batch = esker::WriteBatch::new();
    batch.delete(&headers, &header);
    batch.delete(&index, [keyspace, b"\x03\x00"].concat());
    db.write(batch, esker::Durability::Os).unwrap();
    let swept = store.sweep(100).unwrap();
    assert_eq!((swept.refiled, swept.unreadable, store.unreadable_expired()), (1, 0, 0), "{swept:?}");
}

/// The keys that were told, each with what a loss of power would have left at that moment.
type Told = Arc<Mutex<Vec<(String, SimFs)>>>;

/// A store on a disk that tells of keys that expire.
fn listened(disk: &SimFs, seed: u64, clock: &Arc<ManualClock>, told: &Told) -> Store {
    let (time, heard, below) = (Clock::Manual(clock.clone()), told.clone(), disk.clone());
    let tell = move |expired: &Expired| {
        let key = format!("{}:{}", expired.database, String::from_utf8_lossy(&expired.key));
        heard.lock().unwrap().push((key, below.image(Image::Nothing, 7)));
    };
    on(disk, seed).engine(move |engine| engine.clock(time)).on_expired(tell).open().unwrap()
}

/// The names that were told since it was asked last.
fn heard(told: &Told) -> Vec<String> {
    let mut names: Vec<String> = told.lock().unwrap().drain(..).map(|(name, _)| name).collect();
    names.sort();
    names
}

#[test]
fn keys_that_expire_are_told_when_they_are_removed() {
    let clock = ManualClock::new(1_700_000_000_000);
    let told = Told::default();
    let disk = SimFs::new();
    let store = listened(&disk, 1, &clock, &told);
    let mut connection = Connection::new(&store);
    for line in ["set a v px 1000", "set b v px 1000", "set gone v px 1000", "set over v px 1000", "del gone"]
    {
        ask(&mut connection, line);
    }
    ask(&mut connection, "set over v");
    ask(&mut connection, "select 1");
    fill(&mut connection, "large");
    for line in ["pexpire large 1000", "hset kept f v", "pexpire kept 1000", "persist kept"] {
        ask(&mut connection, line);
    }
    store.wait(store.engine().visible_seq()).unwrap();
    clock.advance(Duration::from_secs(2));
    // A read removes nothing.
    assert_eq!(ask(&mut connection, "exists large"), Reply::Integer(0));
    ask(&mut connection, "select 0");
    assert_eq!(ask(&mut connection, "get a"), Reply::Null);
    assert_eq!(heard(&told), Vec::<String>::new());
    // A write does, unless it is given up.
    let given_up = store.transaction(|unit| {
        let keyspace = unit.keyspace(0)?;
        let key = esker_structures::store::Key { keyspace, name: b"a" };
        unit.writing(&[key], |unit| esker_structures::keys::delete(unit, key))?;
        Err::<(), _>(esker_structures::Error::NO_KEY)
    });
    assert!(given_up.is_err());
    assert_eq!(heard(&told), Vec::<String>::new());
    ask(&mut connection, "append a x");
    assert_eq!(heard(&told), ["0:a"]);
    let swept = store.sweep(100).unwrap();
    assert_eq!((swept.removed, heard(&told)), (2, vec!["0:b".to_owned(), "1:large".to_owned()]));
    assert_eq!((store.sweep(100).unwrap().removed, heard(&told)), (0, Vec::new()));
    assert!(store.verify().unwrap().is_clean());
}

#[test]
fn what_is_watched_decides_over_a_transaction() {
    let clock = ManualClock::new(1_700_000_000_000);
    let time = Clock::Manual(clock.clone());
    let builder = Store::builder("/data").deterministic(7);
    let store = builder.engine(|engine| engine.fs(Fs::Sim(SimFs::new())).clock(time)).open().unwrap();
    let db = store.db(0);
    db.string("k").set("1").unwrap();
    db.string("short").set_for("1", Duration::from_secs(60)).unwrap();
    let add = |watched: Watched| watched.transact(|t| t.db(0).string("n").increment(1));
    // Nobody does anything; somebody writes another key.
    assert_eq!(add(store.watched(0, &["k", "none"]).unwrap()).unwrap(), Some(1));
    let watched = store.watched(0, &["k"]).unwrap();
    db.string("other").set("1").unwrap();
    assert!(!watched.is_touched());
    assert_eq!(add(watched).unwrap(), Some(2));
    // Keys that are written, created, removed, emptied, or have expired; of whichever database.
    let touches: &[(u32, &str, &dyn Fn())] = &[
        (0, "k", &|| db.string("k").set("1").unwrap()),
        (0, "none", &|| assert!(db.set("none").add("a").unwrap())),
        (0, "none", &|| assert!(db.delete("none").unwrap())),
        (5, "k", &|| assert!(db.copy_to("k", 5, "k", false).unwrap())),
        (5, "k", &|| store.swap_databases(5, 6).unwrap()),
        (6, "k", &|| store.db(6).flush().unwrap()),
        (0, "short", &|| clock.advance(Duration::from_secs(60))),
    ];
    for (database, key, touch) in touches {
        let mut watched = store.watched(0, &["k2"]).unwrap();
        watched.add(*database, key).unwrap();
        touch();
        assert_eq!(add(watched).unwrap(), None, "{key}");
    }
    assert_eq!(db.string("n").get().unwrap().unwrap(), b"2");
    // An error of the body leaves nothing written, and what is dropped watches no longer.
    let watched = store.watched(0, &["k"]).unwrap();
    let refused = watched.transact(|t| {
        t.db(0).string("n").set("lost")?;
        t.db(0).list("k").len()
    });
    assert!(refused.unwrap_err().is_wrong_type());
    assert_eq!(db.string("n").get().unwrap().unwrap(), b"2");
    assert!(store.watched(16, &["k"]).is_err());
    store.close().unwrap();
}

/// What a transaction had read somebody else once changed before it was written: of two that counted up, one
/// was lost, and two that each looked at what the other took both took it.
#[test]
fn what_a_transaction_has_read_is_so_when_it_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::builder(dir.path().join("data")).durability(esker::Durability::Os).open().unwrap();
    let number = |value: Option<Vec<u8>>| -> i64 {
        value.map_or(0, |value| String::from_utf8(value).unwrap().parse().unwrap())
    };
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..500 {
                    let done = store.transact(|t| {
                        let n = number(t.db(0).string("n").get()?);
                        t.db(0).string("n").set((n + 1).to_string())
                    });
                    done.unwrap();
                }
            });
        }
    });
    assert_eq!(number(store.db(0).string("n").get().unwrap()), 2000);
    let together = std::sync::Barrier::new(2);
    for round in 0..500 {
        for key in ["a", "b"] {
            store.db(0).string(key).set("1").unwrap();
        }
        std::thread::scope(|scope| {
            for keys in [["a", "b"], ["b", "a"]] {
                let (store, together) = (&store, &together);
                scope.spawn(move || {
                    together.wait();
                    let done = store.transact(|t| {
                        let sum: i64 = t.db(0).get_many(&keys)?.into_iter().map(number).sum();
                        if sum == 2 { t.db(0).string(keys[0]).set("0") } else { Ok(()) }
                    });
                    done.unwrap();
                });
            }
        });
        let left: i64 = ["a", "b"].map(|key| number(store.db(0).string(key).get().unwrap())).iter().sum();
        assert_eq!(left, 1, "round {round}");
    }
    store.close().unwrap();
}

#[test]
fn nothing_that_is_told_to_have_expired_comes_back() {
    let clock = ManualClock::new(1_700_000_000_000);
    let (disk, told, again) = (SimFs::new(), Told::default(), Told::default());
    let store = listened(&disk, 1, &clock, &told);
    let mut connection = Connection::new(&store);
    for line in ["set a v px 1000", "set b v px 2000", "set c v px 3000", "set d v px 4000"] {
        ask(&mut connection, line);
    }
    store.wait(store.engine().visible_seq()).unwrap();
    for _ in 0..3 {
        clock.advance(Duration::from_millis(1000));
        assert_eq!(store.sweep(100).unwrap().removed, 1);
    }
    let moments = std::mem::take(&mut *told.lock().unwrap());
    assert_eq!(moments.len(), 3);
    for (number, (name, left)) in moments.iter().enumerate() {
        let store = listened(left, 10 + number as u64, &clock, &again);
        store.sweep(100).unwrap();
        assert!(!heard(&again).contains(name), "{name} was told, and came back");
    }
    // What cannot be made durable is not told; it comes back, and is told when it is removed for good.
    disk.set_fault(Box::new(|operation| {
        (operation.kind == OperationKind::Sync).then_some(Fault::FailedSyncDropsPages)
    }));
    clock.advance(Duration::from_millis(1000));
    // Asking to be told has the log synced.
    assert!(store.sweep(100).is_err());
    assert!(ask(&mut connection, "set e v").is_error());
    assert_eq!(heard(&told), Vec::<String>::new());
    let store = listened(&disk.image(Image::Nothing, 7), 20, &clock, &again);
    assert_eq!(store.sweep(100).unwrap().removed, 1);
    assert_eq!(heard(&again), ["0:d"]);
    assert!(store.verify().unwrap().is_clean());
}

#[test]
fn after_a_failed_sync_only_what_is_durable_is_counted() {
    let disk = SimFs::new();
    let store = on(&disk, 1).open().unwrap();
    let mut connection = Connection::new(&store);
    for line in ["set a v", "select 1", "set b v", "set c v"] {
        ask(&mut connection, line);
    }
    store.wait(store.engine().visible_seq()).unwrap();
    disk.set_fault(Box::new(|operation| {
        (operation.kind == OperationKind::Sync).then_some(Fault::FailedSyncDropsPages)
    }));
    for line in ["del b", "set d v", "set e v", "swapdb 0 1", "select 0", "flushdb"] {
        assert!(!ask(&mut connection, line).is_error(), "{line}");
    }
    assert!(store.wait(store.engine().visible_seq()).is_err());
    // Neither the counts nor the swap nor the emptying are there any more.
    assert_eq!(ask(&mut connection, "dbsize"), Reply::Integer(1));
    assert_eq!(ask(&mut connection, "exists a"), Reply::Integer(1));
    ask(&mut connection, "select 1");
    assert_eq!(ask(&mut connection, "dbsize"), Reply::Integer(2));
    assert_eq!(ask(&mut connection, "exists b c d"), Reply::Integer(2));
    assert!(store.verify().unwrap().is_clean());
    assert!(ask(&mut connection, "set f v").is_error());
}

#[test]
fn where_answers_need_not_survive_a_loss_of_power_keys_are_told_at_once() {
    let (clock, disk, told) = (ManualClock::new(1_700_000_000_000), SimFs::new(), Told::default());
    let (time, heard_by) = (Clock::Manual(clock.clone()), told.clone());
    let tell = move |expired: &Expired| {
        heard_by.lock().unwrap().push((String::from_utf8_lossy(&expired.key).into_owned(), SimFs::new()));
    };
    let builder = on(&disk, 1).durability(esker::Durability::Os).on_expired(tell);
    let store = builder.engine(move |engine| engine.clock(time)).open().unwrap();
    let mut connection = Connection::new(&store);
    ask(&mut connection, "set a v px 1000");
    clock.advance(Duration::from_secs(2));
    let durable = store.engine().durable_seq();
    ask(&mut connection, "append a x");
    assert_eq!(heard(&told), ["a"]);
    assert_eq!(store.engine().durable_seq(), durable, "nobody waited for the disk");
}
