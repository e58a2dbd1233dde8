//! Backups of a store that a process serves.

use esker_tests::served::{Client, Served};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

const PROGRAM: &str = env!("CARGO_BIN_EXE_esker-under-test");

/// What INFO says in a field of its section on persistence, once no backup is under way.
fn after_the_backup(client: &mut Client, field: &str) -> String {
    loop {
        let info = client.ask("INFO persistence");
        if info.contains("rdb_bgsave_in_progress:0\r\n") {
            let line = info.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
            return line.unwrap().to_owned();
        }
    }
}

#[test]
fn a_store_is_backed_up_while_it_is_served() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let server = Served::start(PROGRAM, &dir.path().join("data"), &["--backups", &path("backups")]);
    let mut client = server.connect();
    let said = |client: &mut Client| client.ask("LASTSAVE").trim()[1..].parse::<u64>().unwrap();
    let started = said(&mut client);
    assert_eq!(after_the_backup(&mut client, "last_backup"), "0");
    for n in 0..500 {
        assert_eq!(client.ask(&format!("SET k{n} {n}")), "+OK\r\n");
    }
    assert_eq!(client.ask("BGSAVE now"), "-ERR syntax error\r\n");
    // Writes go on meanwhile; each backup has what was acknowledged before it was asked for.
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let (server, stop) = (&server, &stop);
        scope.spawn(move || {
            let mut client = server.connect();
            for n in (0..).take_while(|_| !stop.load(Ordering::Relaxed)) {
                assert_eq!(client.ask(&format!("RPUSH l {n}")), format!(":{}\r\n", n + 1));
            }
        });
        for (number, word) in [("1", "BGSAVE"), ("2", "BGSAVE schedule")] {
            assert_eq!(client.ask(&format!("SET asked {number}")), "+OK\r\n");
            assert_eq!(client.ask(word), "+Background saving started\r\n");
            assert_eq!(after_the_backup(&mut client, "last_backup"), number);
            assert_eq!(after_the_backup(&mut client, "rdb_last_bgsave_status"), "ok");
        }
        stop.store(true, Ordering::Relaxed);
    });
    assert!(said(&mut client) >= started);
    client.send(&Client::encode(&[b"SHUTDOWN"])).unwrap();
    assert!(server.wait().0.success());
    for number in ["1", "2"] {
        let into = path(&format!("restored{number}"));
        let words = ["restore", &path("backups"), "--into", &into, "--backup", number];
        assert!(std::process::Command::new(PROGRAM).args(words).status().unwrap().success());
        let server = Served::start(PROGRAM, Path::new(&into), &[]);
        let mut client = server.connect();
        assert_eq!(client.ask("GET asked"), format!("$1\r\n{number}\r\n"));
        assert_eq!(client.ask("GET k499"), "$3\r\n499\r\n");
        assert_eq!(
            client.ask("BGSAVE"),
            "-ERR no directory for backups: start the server with --backups\r\n"
        );
        let length: u64 = client.ask("LLEN l").trim()[1..].parse().unwrap();
        assert!(
            length == 0
                || client.ask(&format!("LINDEX l {}", length - 1)).contains(&format!("\n{}\r", length - 1))
        );
    }
    let words = ["backup", "verify", &path("backups")];
    assert!(std::process::Command::new(PROGRAM).args(words).status().unwrap().success());
}

#[test]
fn a_backup_that_fails_says_why() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("no-directory");
    std::fs::write(&file, "a file").unwrap();
    let server = Served::start(PROGRAM, &dir.path().join("data"), &["--backups", file.to_str().unwrap()]);
    let mut client = server.connect();
    assert_eq!(client.ask("BGSAVE"), "+Background saving started\r\n");
    assert_eq!(after_the_backup(&mut client, "rdb_last_bgsave_status"), "err");
    assert!(after_the_backup(&mut client, "last_backup_error").contains("no-directory"));
    assert_eq!(client.ask("SET k v"), "+OK\r\n");
}
