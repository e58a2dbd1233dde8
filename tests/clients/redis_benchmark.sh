#!/usr/bin/env bash
# redis-benchmark: its own tests, alone and in pipelines. Usage: redis_benchmark.sh PORT
set -euo pipefail
tests=ping_inline,ping_mbulk,set,get,incr,lpush,rpush,lpop,rpop,sadd,hset,spop,zadd,zpopmin,lrange_100,mset
for pipeline in 1 16; do
    said=$(redis-benchmark -p "$1" -t "$tests" -n 5000 -c 20 -P "$pipeline" -r 1000 --csv)
    # A line for each test, and what is no figure is an error that the server gave.
    printf '%s\n' "$said" | awk -F'","' 'NR > 1 { if ($2 + 0 <= 0) exit 1; rows++ } END { if (rows < 16) exit 1 }' || {
        printf '%s\n' "$said" >&2
        exit 1
    }
done
redis-cli -p "$1" set kept 1 >/dev/null
echo "redis-benchmark: 2 x 16 tests without an error"
