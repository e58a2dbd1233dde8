//! The server as a real process: its protocol, its limits, its promises.

use esker_tests::served::{Client, Served};
use std::io::{ErrorKind, Read, Write};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const PROGRAM: &str = env!("CARGO_BIN_EXE_esker-under-test");

fn serve(dir: &Path) -> Served {
    Served::start(PROGRAM, dir, &[])
}

#[test]
fn commands_make_a_round_trip_in_both_protocols() {
    let dir = tempfile::tempdir().unwrap();
    let server = serve(dir.path());
    let mut client = server.connect();
    for (words, reply) in [
        ("PING", "+PONG\r\n"),
        ("SET k v", "+OK\r\n"),
        ("GET k", "$1\r\nv\r\n"),
        ("GET none", "$-1\r\n"),
        ("INCR k", "-ERR value is not an integer or out of range\r\n"),
        ("HSET h f 1", ":1\r\n"),
        ("HGETALL h", "*2\r\n$1\r\nf\r\n$1\r\n1\r\n"),
        ("DBSIZE", ":2\r\n"),
        ("SELECT 3", "+OK\r\n"),
        ("GET k", "$-1\r\n"),
        ("SELECT 0", "+OK\r\n"),
        ("CLIENT SETNAME me", "+OK\r\n"),
        ("CLIENT GETNAME", "$2\r\nme\r\n"),
        ("CONFIG GET save", "*2\r\n$4\r\nsave\r\n$0\r\n\r\n"),
        ("CONFIG GET appendonly", "*2\r\n$10\r\nappendonly\r\n$3\r\nyes\r\n"),
        (
            "CONFIG SET maxmemory 5",
            "-ERR CONFIG SET failed (possibly related to argument 'maxmemory') - can't set immutable \
             config\r\n",
        ),
        ("COMMAND GETKEYS SET a b", "*1\r\n$1\r\na\r\n"),
        ("CLIENT NOSUCH", "-ERR unknown subcommand 'NOSUCH'. Try CLIENT HELP.\r\n"),
        ("NOSUCH a", "-ERR unknown command 'NOSUCH', with args beginning with: 'a' \r\n"),
        ("HELLO 4", "-NOPROTO unsupported protocol version\r\n"),
        ("AUTH x y", "-WRONGPASS invalid username-password pair or user is disabled.\r\n"),
        ("MULTI", "+OK\r\n"),
        ("SHUTDOWN", "-ERR Command not allowed inside a transaction\r\n"),
        ("EXEC", "-EXECABORT Transaction discarded because of previous errors.\r\n"),
    ] {
        assert_eq!(client.ask(words), reply, "{words}");
    }
    assert!(client.ask("HELLO 3").starts_with("%7\r\n$6\r\nserver\r\n"));
    for (words, reply) in [
        ("GET none", "_\r\n"),
        ("HGETALL h", "%1\r\n$1\r\nf\r\n$1\r\n1\r\n"),
        ("RESET", "+RESET\r\n"),
        ("GET none", "$-1\r\n"),
    ] {
        assert_eq!(client.ask(words), reply, "{words}");
    }
    assert!(client.ask("COMMAND COUNT").starts_with(':'));
    assert!(client.ask("COMMAND DOCS get").contains("summary"));
    assert!(client.ask("COMMAND").starts_with('*'));
    assert!(client.ask("INFO").contains("esker_version:"));
    assert!(client.ask("INFO keyspace").contains("db0:keys=2,"));
    assert!(client.ask("CLIENT LIST").contains("id="));
    assert_eq!(client.ask("QUIT"), "+OK\r\n");
    assert_eq!(client.rest().unwrap(), b"");
}

#[test]
fn there_are_as_many_databases_as_are_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let with = |count: &str| Served::start(PROGRAM, dir.path(), &["--databases", count]);
    let server = with("20");
    let mut client = server.connect();
    for (words, reply) in [
        ("CONFIG GET databases", "*2\r\n$9\r\ndatabases\r\n$2\r\n20\r\n"),
        ("SELECT 20", "-ERR DB index is out of range\r\n"),
        ("SELECT 19", "+OK\r\n"),
        ("SET k v", "+OK\r\n"),
        ("SWAPDB 19 2", "+OK\r\n"),
    ] {
        assert_eq!(client.ask(words), reply, "{words}");
    }
    server.kill();
    // As few as those that hold keys leave over, and then as many as before.
    for (count, last) in [("3", "2"), ("16", "15"), ("20", "19")] {
        let server = with(count);
        let mut client = server.connect();
        assert_eq!(client.ask(&format!("SELECT {last}")), "+OK\r\n");
        assert_eq!(client.ask(&format!("SELECT {count}")), "-ERR DB index is out of range\r\n");
        assert_eq!(client.ask("SWAPDB 0 2"), "+OK\r\n");
        assert_eq!(client.ask("SWAPDB 2 0"), "+OK\r\n");
        client.ask("SELECT 2");
        assert_eq!(client.ask("GET k"), "$1\r\nv\r\n");
        server.kill();
    }
    for (count, text) in [
        ("2", "database 2 holds keys: there must be 3 at least"),
        ("0", "0 is not in 1..=65536"),
        ("65537", "65537 is not in 1..=65536"),
    ] {
        let refused = std::process::Command::new(PROGRAM)
            .args(["serve", "--port", "0", "--databases", count, "--dir"])
            .arg(dir.path())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(!refused.status.success() && said.contains(text), "{count}: {said}");
    }
    // A flush empties those that are open, and all may go then.
    let server = with("3");
    assert_eq!(server.connect().ask("FLUSHALL"), "+OK\r\n");
    server.kill();
    with("1").kill();
}

#[test]
fn what_a_command_may_hold_can_be_set() {
    let dir = tempfile::tempdir().unwrap();
    let server = Served::start(PROGRAM, dir.path(), &["--command-memory", "64KiB"]);
    let mut client = server.connect();
    let value = "x".repeat(1000);
    for _ in 0..100 {
        client.ask(&format!("RPUSH l {value}"));
    }
    let limit = |bytes: &str| format!("*2\r\n$20\r\ncommand-memory-limit\r\n${}\r\n{bytes}\r\n", bytes.len());
    let refused = "-ERR the command would hold more in memory than command-memory-limit allows\r\n";
    assert_eq!(client.ask("CONFIG GET command-memory-limit"), limit("65536"));
    assert_eq!(client.ask("LPOP l 90"), refused);
    assert_eq!(client.ask("PING"), "+PONG\r\n");
    assert_eq!(client.ask("CONFIG SET command-memory-limit 100"), "+OK\r\n");
    assert_eq!(client.ask("SORT l ALPHA"), refused);
    assert!(client.ask("LPOP l").starts_with("$1000\r\n"), "one element is always given");
    assert!(client.ask("CONFIG SET command-memory-limit much").ends_with("must be a memory value\r\n"));
    assert_eq!(client.ask("CONFIG SET command-memory-limit 0"), "+OK\r\n");
    assert_eq!(client.ask("CONFIG GET command-memory-limit"), limit("0"));
    assert!(client.ask("LPOP l 90").starts_with("*90\r\n"));
}

#[test]
fn pipelines_halves_and_lines_are_understood() {
    let dir = tempfile::tempdir().unwrap();
    let server = serve(dir.path());
    let mut client = server.connect();
    let many = 20_000;
    let mut bytes = Vec::new();
    for number in 0..many {
        bytes.extend(Client::encode(&[
            b"SET",
            format!("k{number}").as_bytes(),
            b"some value of no great length",
        ]));
        bytes.extend(Client::encode(&[b"GET", format!("k{number}").as_bytes()]));
    }
    std::thread::scope(|scope| {
        let mut writer = server.stream();
        let mut reader = Client::new(writer.try_clone().unwrap());
        scope.spawn(move || writer.write_all(&bytes).unwrap());
        for _ in 0..many {
            assert_eq!(reader.reply().unwrap(), b"+OK\r\n");
            assert_eq!(reader.reply().unwrap(), b"$29\r\nsome value of no great length\r\n");
        }
    });
    let whole = Client::encode(&[b"ECHO", b"in pieces"]);
    for byte in &whole {
        client.send(&[*byte]).unwrap();
    }
    assert_eq!(client.reply().unwrap(), b"$9\r\nin pieces\r\n");
    client.send(b"SET line \"a b\"\r\nGET line\nPING\r\n").unwrap();
    for reply in [&b"+OK\r\n"[..], b"$3\r\na b\r\n", b"+PONG\r\n"] {
        assert_eq!(client.reply().unwrap(), reply);
    }
    client.send(&Client::encode(&[b"CLIENT", b"REPLY", b"SKIP"])).unwrap();
    client.send(&Client::encode(&[b"SET", b"unseen", b"1"])).unwrap();
    assert_eq!(client.ask("GET unseen"), "$1\r\n1\r\n");
    // A value of many reads, and a reply of many writes.
    let large = vec![b'x'; 8 << 20];
    client.send(&Client::encode(&[b"SET", b"large", &large])).unwrap();
    assert_eq!(client.reply().unwrap(), b"+OK\r\n");
    for _ in 0..4 {
        client.send(&Client::encode(&[b"GET", b"large"])).unwrap();
    }
    for _ in 0..4 {
        assert_eq!(client.reply().unwrap().len(), large.len() + "$8388608\r\n\r\n".len());
    }
    // Who closes its side gets its replies.
    let stream = server.stream();
    (&stream).write_all(b"PING\r\nGET line\r\nGET").unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(Client::new(stream).rest().unwrap(), b"+PONG\r\n$3\r\na b\r\n");
}

#[test]
fn what_is_no_command_is_refused_and_ends_the_connection() {
    let dir = tempfile::tempdir().unwrap();
    let server = serve(dir.path());
    let line = vec![b'a'; 70_000];
    for (bytes, error) in [
        (&b"*x\r\n"[..], "invalid multibulk length"),
        (b"*1048577\r\n", "invalid multibulk length"),
        (b"*1\r\n:1\r\n", "expected '$', got ':'"),
        (b"*1\r\n$-1\r\n", "invalid bulk length"),
        (b"*1\r\n$536870913\r\n", "invalid bulk length"),
        (b"*1\r\n$99999999999999999999\r\n", "invalid bulk length"),
        (b"get \"k\r\n", "unbalanced quotes in request"),
        (&line, "too big inline request"),
    ] {
        let mut client = server.connect();
        client.send(&[b"PING\r\n", bytes].concat()).unwrap();
        let rest = client.rest().unwrap();
        let expected = format!("+PONG\r\n-ERR Protocol error: {error}\r\n");
        assert_eq!(
            String::from_utf8_lossy(&rest),
            expected,
            "{}",
            bytes[..bytes.len().min(40)].escape_ascii()
        );
    }
    // Lengths that are allowed, and that nothing comes of.
    let before = server.resident();
    let declared: Vec<_> = (0..100)
        .map(|_| {
            let mut stream = server.stream();
            stream.write_all(b"*1048576\r\n$536870912\r\nabc").unwrap();
            stream
        })
        .collect();
    assert_eq!(server.connect().ask("PING"), "+PONG\r\n");
    if let (Some(before), Some(after)) = (before, server.resident()) {
        assert!(after < before + (32 << 20), "{before} {after}");
    }
    drop(declared);
}

#[test]
fn who_never_reads_is_held_back_and_then_closed() {
    let dir = tempfile::tempdir().unwrap();
    let server = serve(dir.path());
    let mut client = server.connect();
    client.send(&Client::encode(&[b"SET", b"k", &vec![b'x'; 100_000]])).unwrap();
    assert_eq!(client.reply().unwrap(), b"+OK\r\n");
    let limit = ["CONFIG", "SET", "client-output-buffer-limit", "normal 64mb 1mb 1"].map(str::as_bytes);
    client.send(&Client::encode(&limit)).unwrap();
    assert_eq!(client.reply().unwrap(), b"+OK\r\n");
    let mut deaf = server.stream();
    deaf.set_write_timeout(Some(Duration::from_secs(60))).unwrap();
    let commands = Client::encode(&[b"GET", b"k"]).repeat(1000);
    // It is not read from any more, and in the end it is closed.
    let error = loop {
        if let Err(error) = deaf.write_all(&commands) {
            break error;
        }
        assert_eq!(client.ask("PING"), "+PONG\r\n");
    };
    assert!(matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe), "{error}");
    if let Some(resident) = server.resident() {
        assert!(resident < 400 << 20, "{resident}");
    }
    assert!(client.ask("INFO stats").contains("client_limit_disconnections:1\r\n"));
}

/// What large values took stayed in the arenas of the workers' threads for good.
#[test]
fn what_large_commands_took_is_given_back() {
    const VALUE_BYTES: usize = 16 << 20;
    let dir = tempfile::tempdir().unwrap();
    let server = serve(dir.path());
    std::thread::scope(|scope| {
        for number in 0..8 {
            let mut client = server.connect();
            scope.spawn(move || {
                let key = format!("k{number}");
                client.send(&Client::encode(&[b"SET", key.as_bytes(), &vec![b'x'; VALUE_BYTES]])).unwrap();
                assert_eq!(client.reply().unwrap(), b"+OK\r\n");
                client.send(&Client::encode(&[b"GET", key.as_bytes()])).unwrap();
                assert!(client.reply().unwrap().len() > VALUE_BYTES);
            });
        }
    });
    // Flushes and compactions of it go on for a while.
    let mut client = server.connect();
    let end = std::time::Instant::now() + Duration::from_secs(30);
    while let Some(resident) = server.resident().filter(|resident| *resident > 192 << 20) {
        assert!(std::time::Instant::now() < end, "{resident} bytes are still there");
        assert_eq!(client.ask("PING"), "+PONG\r\n");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn small_commands_that_ask_for_much_are_within_the_limits() {
    let dir = tempfile::tempdir().unwrap();
    let server = serve(dir.path());
    let mut client = server.connect();
    let mut said = |args: &[&[u8]]| {
        client.send(&Client::encode(args)).unwrap();
        String::from_utf8(client.reply().unwrap()).unwrap()
    };
    said(&[b"SET", b"k", &vec![b'x'; 1 << 20]]);
    for (name, value) in [
        ("client-output-buffer-limit", "normal 8mb 1mb 60"),
        ("client-query-buffer-limit", "1mb"),
        ("tcp-keepalive", "60"),
    ] {
        assert_eq!(said(&[b"CONFIG", b"SET", name.as_bytes(), value.as_bytes()]), "+OK\r\n");
    }
    assert_eq!(said(&[b"CONFIG", b"GET", b"tcp-keepalive"]), "*2\r\n$13\r\ntcp-keepalive\r\n$2\r\n60\r\n");
    assert!(said(&[b"CONFIG", b"SET", b"tcp-keepalive", b"-1"]).contains("must be between 0 and 2147483647"));
    let times = |times: usize| [vec![&b"MGET"[..]], vec![&b"k"[..]; times]].concat();
    assert!(said(&times(7)).starts_with("*7\r\n$1048576\r\n"));
    assert!(said(&times(9)).starts_with("-ERR the reply would have more bytes"));
    assert_eq!(said(&[b"PING"]), "+PONG\r\n", "the connection goes on");
    for little in [&b"proto-max-bulk-len"[..], b"client-query-buffer-limit"] {
        let answer = said(&[b"CONFIG", b"SET", little, b"1000000"]);
        assert!(answer.contains("must be between 1048576"), "nobody could take it back: {answer}");
    }
    assert!(said(&[b"CONFIG", b"SET", b"timeout", b"0", b"TIMEOUT", b"0"]).contains("duplicate parameter"));
    // What is watched counts as what is queued does.
    let mut watcher = server.connect();
    let closed = (0..100_000).any(|at| {
        let watch = Client::encode(&[b"WATCH", format!("key{at}").as_bytes()]);
        watcher.send(&watch).is_err() || watcher.reply().is_err()
    });
    assert!(closed);
}

/// A browser that is tricked into a request to the port of a server without a password must not have what
/// follows its head carried out.
#[test]
fn requests_of_the_web_are_not_listened_to() {
    let dir = tempfile::tempdir().unwrap();
    let server = serve(dir.path());
    let requests: [&[u8]; 4] = [
        b"POST / HTTP/1.1\r\nHost: localhost\r\n\r\nSET pwned 1\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nSET pwned 1\r\n",
        b"SET seen 1\r\npost x\r\nSET pwned 1\r\n",
        b"*1\r\n$5\r\nhOst:\r\n*3\r\n$3\r\nSET\r\n$5\r\npwned\r\n$1\r\n1\r\n",
    ];
    for request in requests {
        let mut stream = server.stream();
        stream.write_all(request).unwrap();
        let mut said = String::new();
        // It ends, by a reset where something was not read.
        let _ = stream.read_to_string(&mut said);
        assert!(!said.contains("+OK") || said == "+OK\r\n", "{said}");
    }
    let mut client = server.connect();
    assert_eq!(client.ask("EXISTS pwned"), ":0\r\n");
    assert_eq!(client.ask("EXISTS seen"), ":1\r\n", "what came before is carried out");
}

#[test]
fn thousands_of_connections_cost_little() {
    let dir = tempfile::tempdir().unwrap();
    let server = serve(dir.path());
    let mut first = server.connect();
    let most = first.ask("CONFIG GET maxclients");
    let most: usize = most.lines().last().unwrap().parse().unwrap();
    let own = rlimit::increase_nofile_limit(6000).unwrap_or(1024) as usize;
    let count = most.saturating_sub(10).min(own.saturating_sub(200)).min(5000);
    let before = server.resident();
    let mut clients: Vec<Client> = (0..count).map(|_| server.connect()).collect();
    for (number, client) in clients.iter_mut().enumerate() {
        client.send(format!("SET k{number} {number}\r\n").as_bytes()).unwrap();
    }
    for client in &mut clients {
        assert_eq!(client.reply().unwrap(), b"+OK\r\n");
    }
    assert_eq!(first.ask("DBSIZE"), format!(":{count}\r\n"));
    if let (Some(before), Some(after)) = (before, server.resident()) {
        let each = after.saturating_sub(before) / count as u64;
        esker_tests::figure!("server: {count} connections, {each} bytes of memory for each");
        assert!(each < 16 << 10, "{each}");
    }
    let many = first.ask(&format!("CONFIG SET maxclients {}", count + 1));
    assert_eq!(many, "+OK\r\n");
    let mut refused = String::new();
    // The refusal may come with a reset, when the other side had sent something; here it has not.
    server.stream().read_to_string(&mut refused).unwrap();
    assert_eq!(refused, "-ERR max number of clients reached\r\n");
    assert_eq!(first.ask("PING"), "+PONG\r\n");
}

/// Most shells start it with a limit of 1,024, of which it left 384 for connections without a word.
#[test]
fn as_many_files_are_open_as_the_system_lets_it() {
    let dir = tempfile::tempdir().unwrap();
    let hard = rlimit::getrlimit(rlimit::Resource::NOFILE).unwrap().1;
    let server = Served::start_limited(PROGRAM, dir.path(), 1024);
    let mut client = server.connect();
    let most = client.ask("CONFIG GET maxclients");
    let most: u64 = most.lines().last().unwrap().parse().unwrap();
    assert_eq!(most, hard.saturating_sub(640).max(hard / 4).min(10_000));
    let too_many = client.ask("CONFIG SET maxclients 1000000");
    if hard < 1_000_640 {
        assert!(too_many.contains("not able to handle the specified number of clients"), "{too_many}");
    }
}

#[test]
fn transactions_of_different_connections_see_each_other() {
    let dir = tempfile::tempdir().unwrap();
    let server = serve(dir.path());
    let (mut a, mut b) = (server.connect(), server.connect());
    for (words, reply) in [("WATCH k", "+OK\r\n"), ("MULTI", "+OK\r\n"), ("SET k a", "+QUEUED\r\n")] {
        assert_eq!(a.ask(words), reply);
    }
    assert_eq!(b.ask("SET k b"), "+OK\r\n");
    assert_eq!(a.ask("EXEC"), "*-1\r\n");
    assert_eq!(a.ask("GET k"), "$1\r\nb\r\n");
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut client = server.connect();
                let mut done = 0;
                while done < 50 {
                    client.ask("WATCH n");
                    let number: u64 =
                        client.ask("GET n").lines().nth(1).map_or(0, |text| text.parse().unwrap());
                    client.ask("MULTI");
                    client.ask(&format!("SET n {}", number + 1));
                    done += u64::from(client.ask("EXEC") == "*1\r\n+OK\r\n");
                }
            });
        }
    });
    assert_eq!(a.ask("GET n"), "$3\r\n200\r\n");
}

#[test]
fn a_stop_is_graceful_and_keeps_everything() {
    let dir = tempfile::tempdir().unwrap();
    for (round, mode) in ["sync", "os", "sync"].into_iter().enumerate() {
        let server = Served::start(PROGRAM, dir.path(), &["--durability", mode]);
        let mut client = server.connect();
        assert_eq!(client.ask("DBSIZE"), format!(":{round}\r\n"));
        assert_eq!(client.ask(&format!("SET k{round} v")), "+OK\r\n");
        if round == 1 {
            let kill = std::process::Command::new("kill").args(["-TERM", &server.pid().to_string()]).status();
            assert!(kill.unwrap().success());
        } else {
            client
                .send(&[Client::encode(&[b"GET", b"k0"]), Client::encode(&[b"SHUTDOWN"])].concat())
                .unwrap();
            assert_eq!(client.reply().unwrap(), b"$1\r\nv\r\n");
        }
        assert_eq!(client.rest().unwrap(), b"");
        let (status, said) = server.wait();
        assert!(status.success() && said.contains("stopped"), "{status} {said}");
    }
}

#[test]
fn what_has_arrived_whole_is_answered_before_a_stop() {
    let dir = tempfile::tempdir().unwrap();
    let server = serve(dir.path());
    let mut clients: Vec<Client> = (0..8).map(|_| server.connect()).collect();
    // They are known to the workers.
    clients.iter_mut().for_each(|client| assert_eq!(client.ask("PING"), "+PONG\r\n"));
    let count = 500;
    for (number, client) in clients.iter_mut().enumerate() {
        let set = |at: usize| Client::encode(&[b"SET", format!("k{number}-{at}").as_bytes(), &[b'v'; 100]]);
        let all: Vec<u8> = (0..count).flat_map(set).collect();
        // The last command is a half one.
        client.send(&[&all[..], b"*2\r\n$3\r\nGET\r\n"].concat()).unwrap();
    }
    let kill = std::process::Command::new("kill").arg(server.pid().to_string()).status();
    assert!(kill.unwrap().success());
    for client in &mut clients {
        assert_eq!(String::from_utf8(client.rest().unwrap()).unwrap(), "+OK\r\n".repeat(count));
    }
    assert!(server.wait().0.success());
    let store = esker_structures::Store::open(dir.path()).unwrap();
    assert_eq!(store.unit().count_keys(0).unwrap(), 8 * count as u64);
    store.close().unwrap();
}

/// Of who goes on speaking no more than a MiB is read once the server stops.
#[test]
fn who_never_falls_silent_does_not_hold_up_a_stop() {
    let dir = tempfile::tempdir().unwrap();
    let server = serve(dir.path());
    let mut other = server.connect();
    let mut heard = server.stream();
    let mut spoken = heard.try_clone().unwrap();
    let commands = Client::encode(&[b"ECHO", &[b'x'; 1000]]).repeat(64);
    let is_stopped = AtomicBool::new(false);
    let after = std::thread::scope(|scope| {
        scope.spawn(|| while spoken.write_all(&commands).is_ok() {});
        let mut buffer = vec![0; 64 << 10];
        heard.read_exact(&mut buffer).unwrap();
        scope.spawn(|| {
            other.send(&Client::encode(&[b"SHUTDOWN"])).unwrap();
            assert_eq!(other.rest().unwrap(), b"");
            is_stopped.store(true, Ordering::Release);
        });
        let mut after = 0;
        while let Ok(count @ 1..) = heard.read(&mut buffer) {
            after += if is_stopped.load(Ordering::Acquire) { count } else { 0 };
        }
        after
    });
    assert!(server.wait().0.success());
    // And what was on its way to it is sent.
    assert!(after < 50 << 20, "{after}");
}

fn esker(args: &[&str]) -> String {
    let output = std::process::Command::new(PROGRAM).args(args).env_remove("ESKER_DIR").output().unwrap();
    let (said, told) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{args:?}: {said}{told}");
    said.into_owned()
}

#[test]
fn what_is_imported_as_hashes_is_served() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().to_str().unwrap();
    let fixtures = esker_tests::workspace::root().join("fixtures");
    let file = |name: &str| fixtures.join(name).to_str().unwrap().to_owned();
    for _ in 0..2 {
        let import = |file: &str, key: &str, prefix: &str| {
            esker(&["import", file, "--key", key, "--key-prefix", prefix, "--as", "hash", "--into", data])
        };
        assert!(import(&file("UnicodeData.txt"), "1", "char:").contains("34,924 records"));
        assert!(import(&file("earthquakes.jsonl"), "id", "quake:").contains("1,707 records"));
    }
    let server = serve(dir.path());
    let mut client = server.connect();
    assert_eq!(client.ask("DBSIZE"), format!(":{}\r\n", 34_924 + 1_707));
    assert_eq!(client.ask("HGET char:0041 2"), "$22\r\nLATIN CAPITAL LETTER A\r\n");
    assert_eq!(client.ask("HLEN char:0041"), ":15\r\n");
    assert_eq!(client.ask("HGET quake:ci37868143 type"), "$7\r\nFeature\r\n");
    assert_eq!(client.ask("HSET char:0041 mine yes"), ":1\r\n");
    client.send(&Client::encode(&[b"SHUTDOWN"])).unwrap();
    assert!(server.wait().0.success());
    let said = esker(&["verify", "--structures", "--dir", data]);
    assert!(said.contains("sound") && said.contains("structures agree: 36,631 keys"), "{said}");
}

/// What an HTTP client gets for a request.
fn fetch(address: &str, request: &str) -> String {
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut reply = String::new();
    stream.read_to_string(&mut reply).unwrap();
    reply
}

#[test]
fn metrics_are_served_over_http() {
    let dir = tempfile::tempdir().unwrap();
    let server = Served::start(PROGRAM, dir.path(), &["--metrics", "127.0.0.1:0"]);
    let address = server.said().split("http://").nth(1).unwrap().split('/').next().unwrap().to_owned();
    let mut client = server.connect();
    for n in 0..200 {
        assert_eq!(client.ask(&format!("SET k{n} v")), "+OK\r\n");
    }
    let reply = fetch(&address, "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert!(reply.starts_with("HTTP/1.1 200 OK\r\n"), "{reply}");
    let sample = |name: &str| -> f64 {
        let line = reply.lines().find(|line| line.starts_with(&format!("{name} "))).unwrap();
        line.split_once(' ').unwrap().1.parse().unwrap()
    };
    assert!(sample("esker_visible_seq") >= 200.0 && sample("esker_time_one_in") == 100.0);
    assert!(sample("esker_group_size_sum") >= 200.0 && sample("esker_sync_seconds_count") > 0.0);
    assert!(fetch(&address, "GET / HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 404 "));
    // Who says nothing and goes holds nobody up for good.
    drop(std::net::TcpStream::connect(&address).unwrap());
    assert!(fetch(&address, "HEAD /metrics HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 200 OK\r\n"));
    client.send(&Client::encode(&[b"SHUTDOWN"])).unwrap();
    assert!(server.wait().0.success());
}
