#!/usr/bin/env bash
# redis-cli at work: single commands, lines from a file, mass insertion, scans, big keys. Usage: redis_cli.sh PORT
set -euo pipefail
cli() { redis-cli -p "$1" "${@:2}"; }
port=$1

# expect TEXT COMMAND..: what redis-cli prints.
expect() {
    local expected=$1 found
    shift
    found=$(cli "$port" "$@")
    [[ $found == "$expected" ]] || {
        printf 'redis-cli %s\nexpected: %s\nfound:    %s\n' "$*" "$expected" "$found" >&2
        exit 1
    }
}

for version in -2 -3; do
    expect OK "$version" flushall
    expect OK "$version" set greeting 'hello, world'
    expect 'hello, world' "$version" get greeting
    expect 2 "$version" hset user:1 name Ada born 1815
    expect Ada "$version" hget user:1 name
    expect 3 "$version" rpush queue a b c
    expect a "$version" lpop queue
    expect 2 "$version" zadd board 1.5 x 2 y
    expect $'y\nx' "$version" zrevrange board 0 -1
    expect 1 "$version" expire greeting 100
    expect 'ERR value is not an integer or out of range' "$version" incr greeting
done
expect 4 dbsize
expect $'name\nAda\nborn\n1815' hgetall user:1
expect $'name Ada\nborn 1815' -3 hgetall user:1

# A transaction, as a person types it.
printf 'multi\nincr visits\nincr visits\nexec\n' | cli "$port" | tr '\n' ' ' | grep -q 'OK QUEUED QUEUED 1 2'
# Mass insertion speaks the protocol as it is.
for n in $(seq 20000); do
    printf '*3\r\n$3\r\nSET\r\n$%d\r\nkey:%d\r\n$%d\r\n%d\r\n' $((${#n} + 4)) "$n" ${#n} "$n"
done | cli "$port" --pipe | grep -q 'errors: 0, replies: 20000'
[[ $(cli "$port" --scan --pattern 'key:*' | sort -u | wc -l) == 20000 ]]
cli "$port" --bigkeys | grep -q 'Biggest string found'
cli "$port" -n 5 set elsewhere 1 | grep -q OK
expect 1 -n 5 dbsize
cli "$port" info server | grep -q '^esker_version:'
cli "$port" --csv lrange queue 0 -1 | grep -q '"b","c"'
echo "redis-cli: all is as with Redis"
