// node-redis at work: a queue, a leaderboard, sessions, transactions, pipelines, scans. Usage: node_redis.mjs PORT
import assert from "node:assert/strict";
import { createClient } from "redis";

const url = `redis://127.0.0.1:${process.argv[2]}`;

async function connect(RESP) {
  const client = createClient({ url, RESP });
  client.on("error", (error) => {
    throw error;
  });
  return client.connect();
}

async function queue(r) {
  await r.rPush("jobs", Array.from({ length: 50 }, (_, n) => `job:${n}`));
  const done = [];
  for (let job; (job = await r.lMove("jobs", "working", "LEFT", "RIGHT")) !== null; ) {
    const [removed, added] = await r.multi().lRem("working", 1, job).sAdd("done", job).exec();
    assert.deepEqual([removed, added], [1, 1]);
    done.push(job);
  }
  assert.deepEqual(done, Array.from({ length: 50 }, (_, n) => `job:${n}`));
  assert.equal(await r.sCard("done"), 50);
}

async function leaderboard(r) {
  await r.zAdd("board", Array.from({ length: 500 }, (_, n) => ({ score: n / 2, value: `p${n}` })));
  assert.equal(await r.zIncrBy("board", 1000, "p3"), 1001.5);
  assert.equal(await r.zRevRank("board", "p3"), 0);
  const top = await r.zRangeWithScores("board", 0, 1, { REV: true });
  assert.deepEqual(top.map((entry) => [entry.value, entry.score]), [["p3", 1001.5], ["p499", 249.5]]);
  assert.equal(await r.zCount("board", 1, 2), 2);
}

async function sessions(r) {
  await r.hSet("session:1", { user: "ada", visits: "1" });
  assert.equal(await r.expire("session:1", 1800), 1);
  assert.equal(await r.hIncrBy("session:1", "visits", 2), 3);
  assert.deepEqual({ ...(await r.hGetAll("session:1")) }, { user: "ada", visits: "3" });
  await r.set("short", "lived", { PX: 30 });
  const limit = Date.now() + 30_000;
  while (await r.exists("short")) assert.ok(Date.now() < limit, "it does not expire");
}

async function transactions(r, RESP) {
  await r.set("counter", "0");
  const add = async () => {
    const mine = await connect(RESP);
    for (let done = 0; done < 25; ) {
      await mine.watch("counter");
      const value = Number(await mine.get("counter"));
      try {
        await mine.multi().set("counter", String(value + 1)).exec();
        done += 1;
      } catch (error) {
        assert.equal(error.constructor.name, "WatchError");
      }
    }
    mine.destroy();
  };
  await Promise.all([add(), add(), add(), add()]);
  assert.equal(await r.get("counter"), "100");
}

async function pipelinesAndScans(r) {
  const numbers = Array.from({ length: 3000 }, (_, n) => n);
  await Promise.all(numbers.map((n) => r.set(`item:${n}`, String(n))));
  const values = await Promise.all(numbers.map((n) => r.get(`item:${n}`)));
  assert.deepEqual(values, numbers.map(String));
  const found = new Set();
  for await (const keys of r.scanIterator({ MATCH: "item:*", COUNT: 200 })) {
    for (const key of [keys].flat()) found.add(key);
  }
  assert.equal(found.size, 3000);
}

for (const RESP of [2, 3]) {
  const r = await connect(RESP);
  await r.flushAll();
  await queue(r);
  await leaderboard(r);
  await sessions(r);
  await transactions(r, RESP);
  await pipelinesAndScans(r);
  await assert.rejects(r.lPush("short", "x").then(() => r.incr("short")), /WRONGTYPE/);
  r.destroy();
}
console.log("node-redis: all is as with Redis, in RESP2 and RESP3");
