//! The crate `redis` at work against `esker serve`: a queue, a leaderboard, sessions, transactions, pipelines
//! and scans, in RESP2 and in RESP3. The other clients stand in `tests/clients/`; `.ci/clients` runs them.

use esker_tests::served::Served;
use redis::{Commands, Connection, RedisResult};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

const PROGRAM: &str = env!("CARGO_BIN_EXE_esker-under-test");

fn connect(server: &Served, protocol: &str) -> Connection {
    let url = format!("redis://{}/{protocol}", server.address());
    let connection = redis::Client::open(url).unwrap().get_connection().unwrap();
    connection.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    connection
}

fn queue(r: &mut Connection) -> RedisResult<()> {
    let jobs: Vec<String> = (0..100).map(|n| format!("job:{n}")).collect();
    let _: () = r.rpush("jobs", &jobs)?;
    let mut done = Vec::new();
    while let Some(job) =
        redis::cmd("LMOVE").arg(&["jobs", "working", "LEFT", "RIGHT"]).query::<Option<String>>(r)?
    {
        let both: (u32, u32) = redis::pipe().atomic().lrem("working", 1, &job).sadd("done", &job).query(r)?;
        assert_eq!(both, (1, 1));
        done.push(job);
    }
    assert_eq!(done, jobs);
    assert_eq!(r.scard::<_, u32>("done")?, 100);
    Ok(())
}

fn leaderboard(r: &mut Connection) -> RedisResult<()> {
    let scores: Vec<(f64, String)> = (0..500).map(|n| (f64::from(n) / 2.0, format!("p{n}"))).collect();
    let _: () = r.zadd_multiple("board", &scores)?;
    assert_eq!(r.zincr::<_, _, _, f64>("board", "p3", 1000)?, 1001.5);
    assert_eq!(r.zrevrank::<_, _, u32>("board", "p3")?, 0);
    let top: Vec<(String, f64)> = r.zrevrange_withscores("board", 0, 1)?;
    assert_eq!(top, [("p3".into(), 1001.5), ("p499".into(), 249.5)]);
    assert_eq!(r.zcount::<_, _, _, u32>("board", 1, "(2")?, 1);
    Ok(())
}

fn sessions(r: &mut Connection) -> RedisResult<()> {
    let _: () = r.hset_multiple("session:1", &[("user", "ada"), ("visits", "1")])?;
    assert!(r.expire::<_, bool>("session:1", 1800)?);
    assert_eq!(r.hincr::<_, _, _, i64>("session:1", "visits", 2)?, 3);
    let session: BTreeMap<String, String> = r.hgetall("session:1")?;
    assert_eq!(
        session,
        BTreeMap::from([("user", "ada"), ("visits", "3")].map(|(k, v)| (k.into(), v.into())))
    );
    let _: () = r.pset_ex("short", "lived", 30)?;
    let limit = Instant::now() + Duration::from_secs(30);
    while r.exists::<_, bool>("short")? {
        assert!(Instant::now() < limit, "it does not expire");
    }
    Ok(())
}

fn transactions(server: &Served, protocol: &str) -> RedisResult<()> {
    let mut setup = connect(server, protocol);
    let _: () = setup.set("counter", 0)?;
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut mine = connect(server, protocol);
                for _ in 0..25 {
                    let add = |r: &mut Connection, pipe: &mut redis::Pipeline| {
                        let value: i64 = r.get("counter")?;
                        pipe.set("counter", value + 1).ignore().get("counter").query(r)
                    };
                    let (_,): (i64,) = redis::transaction(&mut mine, &["counter"], add).unwrap();
                }
            });
        }
    });
    assert_eq!(setup.get::<_, i64>("counter")?, 100);
    Ok(())
}

fn pipelines_and_scans(r: &mut Connection) -> RedisResult<()> {
    let mut pipe = redis::pipe();
    for n in 0..3000 {
        pipe.set(format!("item:{n}"), n).ignore();
    }
    let _: () = pipe.query(r)?;
    let mut pipe = redis::pipe();
    for n in 0..3000 {
        pipe.get(format!("item:{n}"));
    }
    assert_eq!(pipe.query::<Vec<i64>>(r)?, (0..3000).collect::<Vec<i64>>());
    let found: BTreeSet<String> = r.scan_match("item:*")?.collect::<RedisResult<_>>()?;
    assert_eq!(found.len(), 3000);
    let wrong = r.lpush::<_, _, ()>("counter", 1).unwrap_err();
    assert_eq!(wrong.code(), Some("WRONGTYPE"));
    Ok(())
}

#[test]
fn redis_rs_does_real_work() {
    let dir = tempfile::tempdir().unwrap();
    let server = Served::start(PROGRAM, dir.path(), &[]);
    for protocol in ["?protocol=resp2", "?protocol=resp3"] {
        let mut r = connect(&server, protocol);
        let _: () = redis::cmd("FLUSHALL").query(&mut r).unwrap();
        queue(&mut r).unwrap();
        leaderboard(&mut r).unwrap();
        sessions(&mut r).unwrap();
        transactions(&server, protocol).unwrap();
        pipelines_and_scans(&mut r).unwrap();
    }
}
