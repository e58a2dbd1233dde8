"""redis-py at work: a queue, a leaderboard, sessions, transactions, pipelines, scans. Usage: redis_py.py PORT"""

import sys
import threading
import time

import redis

PORT = int(sys.argv[1])


def queue(r):
    """Jobs go through three lists; none is lost, none is done twice."""
    r.rpush("jobs", *[f"job:{n}" for n in range(100)])
    done = []
    while (job := r.lmove("jobs", "working", "LEFT", "RIGHT")) is not None:
        with r.pipeline() as p:
            p.lrem("working", 1, job)
            p.sadd("done", job)
            removed, added = p.execute()
        assert (removed, added) == (1, 1), (removed, added)
        done.append(job)
    assert done == [f"job:{n}" for n in range(100)]
    assert r.llen("jobs") == r.llen("working") == 0 and r.scard("done") == 100


def leaderboard(r):
    r.zadd("board", {f"player{n}": n * 1.5 for n in range(1000)})
    assert r.zincrby("board", 10_000, "player7") == 10_010.5
    assert r.zrevrange("board", 0, 0) == ["player7"]
    assert r.zrank("board", "player0") == 0 and r.zrevrank("board", "player7") == 0
    top = r.zrange("board", 0, 2, desc=True, withscores=True)
    assert [tuple(pair) for pair in top] == [("player7", 10010.5), ("player999", 1498.5), ("player998", 1497.0)]
    assert r.zcount("board", 0, "(15") == 9
    assert r.zremrangebyrank("board", 0, 99) == 100 and r.zcard("board") == 900


def sessions(r):
    r.hset("session:1", mapping={"user": "ada", "visits": 1})
    assert r.expire("session:1", 1800) and 1790 < r.ttl("session:1") <= 1800
    assert r.hincrby("session:1", "visits", 2) == 3
    assert r.hgetall("session:1") == {"user": "ada", "visits": "3"}
    assert r.set("session:2", "short", px=50)
    limit = time.monotonic() + 30
    while r.exists("session:2"):
        assert time.monotonic() < limit, "it does not expire"
    assert r.get("session:2") is None and r.ttl("session:2") == -2 and r.ttl("done") == -1


def transactions():
    """Four clients move units between accounts, each in a transaction that WATCHes both."""
    setup = redis.Redis(port=PORT, decode_responses=True)
    setup.mset({f"account:{n}": 100 for n in range(4)})

    def move(me):
        r = redis.Redis(port=PORT, decode_responses=True)
        for at in range(40):
            source, target = f"account:{(me + at) % 4}", f"account:{(me + at + 1 + at % 3) % 4}"

            def body(p):
                have, there = int(p.get(source)), int(p.get(target))
                amount = min(have, 7)
                p.multi()
                p.set(source, have - amount)
                p.set(target, there + amount)

            if source != target:
                r.transaction(body, source, target)

    threads = [threading.Thread(target=move, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(map(int, setup.mget([f"account:{n}" for n in range(4)]))) == 400
    with setup.pipeline() as p:
        p.watch("account:0")
        setup.incr("account:0")
        p.multi()
        p.get("account:0")
        try:
            p.execute()
        except redis.WatchError:
            return
    raise AssertionError("a change of what is watched went unnoticed")


def pipelines_and_scans(r):
    with r.pipeline(transaction=False) as p:
        for n in range(5000):
            p.set(f"item:{n}", n)
        assert all(p.execute())
    with r.pipeline(transaction=False) as p:
        for n in range(5000):
            p.get(f"item:{n}")
        assert p.execute() == [str(n) for n in range(5000)]
    assert {key for key in r.scan_iter(match="item:*", count=100)} == {f"item:{n}" for n in range(5000)}
    r.hset("wide", mapping={f"field{n}": n for n in range(2000)})
    assert len(dict(r.hscan_iter("wide"))) == 2000
    r.sadd("many", *range(3000))
    assert len(set(r.sscan_iter("many"))) == 3000
    assert len(dict(r.zscan_iter("board"))) == 900
    assert r.delete("wide", "many") == 2


def errors_and_numbers(r):
    r.set("text", "abc")
    for wrong in (lambda: r.lpush("text", 1), lambda: r.incr("text"), lambda: r.execute_command("nosuch")):
        try:
            wrong()
        except redis.ResponseError:
            continue
        raise AssertionError("an error was expected")
    assert r.setrange("text", 5, "z") == 6 and r.get("text") == "abc\0\0z"
    assert r.incrbyfloat("number", 1.5) == 1.5 and r.bitcount("text") == 15
    assert r.setbit("bits", 1_000_000, 1) == 0 and r.bitcount("bits") == 1
    assert r.info()["redis_version"] and r.config_get("save") == {"save": ""}
    assert r.client_setname("worker") and r.client_getname() == "worker"
    assert r.dbsize() == len(list(r.scan_iter()))


for protocol in (2, 3):
    r = redis.Redis(port=PORT, decode_responses=True, protocol=protocol)
    assert r.ping() and r.flushall()
    for work in (queue, leaderboard, sessions):
        work(r)
    transactions()
    pipelines_and_scans(r)
    errors_and_numbers(r)
print(f"redis-py {redis.__version__}: all is as with Redis, in RESP2 and RESP3")
