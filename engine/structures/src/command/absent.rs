//! What Redis 7.4 has and this crate does not: commands of data, by group, which answer `unknown command`,
//! and options of commands that are there.

/// Groups with the names of their commands.
pub(super) const ABSENT: &[(&str, &[&str])] = &[
    ("generic", &["DUMP", "MIGRATE", "RESTORE", "WAIT", "WAITAOF"]),
    (
        "hash (fields that expire)",
        &[
            "HEXPIRE",
            "HEXPIREAT",
            "HEXPIRETIME",
            "HPERSIST",
            "HPEXPIRE",
            "HPEXPIREAT",
            "HPEXPIRETIME",
            "HPTTL",
            "HTTL",
        ],
    ),
    ("list", &["BLMOVE", "BLMPOP", "BLPOP", "BRPOP", "BRPOPLPUSH"]),
    ("sorted-set", &["BZMPOP", "BZPOPMAX", "BZPOPMIN"]),
    (
        "stream",
        &[
            "XACK",
            "XADD",
            "XAUTOCLAIM",
            "XCLAIM",
            "XDEL",
            "XGROUP",
            "XINFO",
            "XLEN",
            "XPENDING",
            "XRANGE",
            "XREAD",
            "XREADGROUP",
            "XREVRANGE",
            "XSETID",
            "XTRIM",
        ],
    ),
    (
        "geo",
        &[
            "GEOADD",
            "GEODIST",
            "GEOHASH",
            "GEOPOS",
            "GEORADIUS",
            "GEORADIUSBYMEMBER",
            "GEORADIUSBYMEMBER_RO",
            "GEORADIUS_RO",
            "GEOSEARCH",
            "GEOSEARCHSTORE",
        ],
    ),
    ("hyperloglog", &["PFADD", "PFCOUNT", "PFMERGE"]),
    (
        "pub/sub",
        &[
            "PSUBSCRIBE",
            "PUBLISH",
            "PUBSUB",
            "PUNSUBSCRIBE",
            "SPUBLISH",
            "SSUBSCRIBE",
            "SUBSCRIBE",
            "SUNSUBSCRIBE",
            "UNSUBSCRIBE",
        ],
    ),
    ("scripting", &["EVAL", "EVALSHA", "EVALSHA_RO", "EVAL_RO", "FCALL", "FCALL_RO", "FUNCTION", "SCRIPT"]),
];

/// Options that are a syntax error.
pub(super) const ABSENT_OPTIONS: &[&str] = &["HSCAN .. NOVALUES"];

#[cfg(test)]
mod tests {
    use super::ABSENT;
    use crate::command::find;

    #[test]
    fn nothing_that_is_there_is_listed_as_absent() {
        let names = ABSENT.iter().flat_map(|(_, names)| names.iter());
        let there: Vec<&&str> = names.filter(|name| find(name.as_bytes()).is_some()).collect();
        assert!(there.is_empty(), "{there:?}");
    }
}
