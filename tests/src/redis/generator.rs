//! Random commands, from a line for each.

use esker::base::random::Random;

/// How the arguments of each command look: a new command joins with a line. Words stand for what
/// [`Generator`] makes of them, or for themselves; `?` in front makes one optional, `+` behind repeats it,
/// `|` stands between alternatives and `,` between words that come together.
pub const SHAPES: &[(&str, &str)] = &[
    // keys
    ("del", "key+"),
    ("unlink", "key+"),
    ("exists", "key+"),
    ("touch", "key+"),
    ("type", "key"),
    ("rename", "key key"),
    ("renamenx", "key key"),
    // Keys may have the name of an option, and the last of two options counts.
    ("copy", "key|key|key|db key|key|key|db ?db,base ?replace ?db,base"),
    ("move", "key base"),
    ("expire", "key life ?nx|xx|gt|lt ?gt|lt|xx"),
    ("pexpire", "key lifems ?nx|xx|gt|lt"),
    ("expireat", "key when ?nx|xx|gt|lt"),
    ("pexpireat", "key whenms ?nx|xx|gt|lt"),
    ("ttl", "key"),
    ("pttl", "key"),
    ("expiretime", "key"),
    ("pexpiretime", "key"),
    ("persist", "key"),
    ("scan", "cursor count,1000 ?match,pattern ?type,string|type,hash|type,nosuch"),
    ("keys", "pattern"),
    ("randomkey", ""),
    ("object", "encoding key"),
    ("rpush", "qkey num+"),
    ("sadd", "skey num+"),
    ("set", "wkey num"),
    (
        "sort",
        "qkey|skey|zkey|key ?desc|asc ?alpha ?limit,index,index ?get,#|get,k*|get,k*->f1|get,fixed ?get,#",
    ),
    ("sort", "qkey|skey|zkey by,w*|by,k*->f1 ?desc ?limit,index,index ?get,w*"),
    ("sort", "qkey|lkey by,nosort ?desc ?limit,index,index ?get,# ?store,key"),
    ("sort", "qkey|skey|key ?alpha ?desc ?limit,index,index ?get,k* store,key|store,qkey"),
    ("sort", "skey by,nosort store,key"),
    ("sort", "qkey by,w*|by,nosort|by,k*->f1 by,w*|by,nosort ?by,k* ?desc ?limit,index,index"),
    ("sort_ro", "qkey|skey ?desc|asc ?alpha ?limit,index,index ?get,#|get,k*|get,k*->f1 ?store,key"),
    ("sort_ro", "qkey|skey by,w* ?desc ?limit,index,index"),
    // strings
    ("set", "key value ?nx|xx ?get ?keepttl|ex,life|px,lifems|exat,later|pxat,laterms"),
    ("get", "key"),
    // The same option twice, and others that do not go together.
    ("set", "key value ex,life|px,lifems|exat,later|keepttl ex,life|px,lifems|exat,later|keepttl ?ex,life"),
    ("getex", "key ?persist|ex,life|px,lifems|exat,when|pxat,whenms"),
    ("getex", "key persist|ex,life|px,lifems persist|ex,life|px,lifems ?persist"),
    ("getdel", "key"),
    ("getset", "key value"),
    ("setnx", "key value"),
    ("setex", "key life value"),
    ("psetex", "key lifems value"),
    ("mset", "key,value+"),
    ("msetnx", "key,value+"),
    ("mget", "key+"),
    ("append", "key value"),
    ("strlen", "key"),
    ("getrange", "key index index"),
    ("substr", "key index index"),
    ("setrange", "key offset value"),
    ("incr", "key"),
    ("decr", "key"),
    ("incrby", "key int"),
    ("decrby", "key int"),
    ("incrbyfloat", "key float"),
    ("lcs", "key key ?len|idx ?minmatchlen,small ?withmatchlen"),
    // bits
    ("getbit", "key offset"),
    ("setbit", "key offset bit"),
    ("bitcount", "key ?index,index|index,index,bit|index,index,byte|index"),
    ("bitpos", "key bit ?index|index,index|index,index,bit|index,index,byte"),
    ("bitop", "and|or|xor|not key key+"),
    ("bitfield", "key ?overflow,wrap|overflow,sat|overflow,fail field_op+"),
    ("bitfield_ro", "key get,width,offset+"),
    // A string as long as there can be, which is never read whole.
    ("getbit", "far far_offset"),
    ("bitfield", "far get,width,far_offset|incrby,width,far_offset,int|get,width,offset+"),
    ("strlen", "far"),
    ("getrange", "far -9 index"),
    // hashes
    ("hset", "key field,value+"),
    ("hmset", "key field,value+"),
    ("hsetnx", "key field value"),
    ("hget", "key field"),
    ("hmget", "key field+"),
    ("hdel", "key field+"),
    ("hexists", "key field"),
    ("hlen", "key"),
    ("hstrlen", "key field"),
    ("hincrby", "key field int"),
    ("hincrbyfloat", "key field float"),
    ("hgetall", "key"),
    ("hkeys", "key"),
    ("hvals", "key"),
    ("hscan", "key cursor count,100000 ?match,pattern"),
    ("hrandfield", "key ?small|negative|small,withvalues|negative,withvalues"),
    // lists
    ("lpush", "key element+"),
    ("rpush", "key element+"),
    ("lpushx", "key element+"),
    ("rpushx", "key element+"),
    ("lpop", "key ?small"),
    ("rpop", "key ?small|negative"),
    ("llen", "key"),
    ("lrange", "key|qkey index index"),
    ("lindex", "key index"),
    ("lset", "key index element"),
    ("linsert", "key before|after|nowhere element element"),
    ("lrem", "key 0|1|-1|2|-3|x element"),
    ("ltrim", "key index index"),
    ("lpos", "key element ?rank,1|rank,-1|rank,2|rank,-2|rank,0 ?count,small|count,negative ?maxlen,small"),
    ("lmove", "key key left|right|up left|right"),
    ("rpoplpush", "key key"),
    ("lmpop", "2,key,key,left|1,key,right|numkeys,key,left ?count,small|count,negative"),
    // sets
    ("sadd", "key member+"),
    ("srem", "key member+"),
    ("sismember", "key member"),
    ("smismember", "key member+"),
    ("scard", "key"),
    ("smembers", "key"),
    ("spop", "key ?small|small|negative"),
    ("srandmember", "key ?small|negative"),
    ("smove", "key key member"),
    ("sscan", "key cursor count,100000 ?match,pattern"),
    ("sinter", "key+"),
    ("sinterstore", "key key+"),
    ("sintercard", "2,key,key|1,key|numkeys,key ?limit,small|limit,negative"),
    ("sunion", "key+"),
    ("sunionstore", "key key+"),
    ("sdiff", "key+"),
    ("sdiffstore", "key key+"),
    // sorted sets
    ("zadd", "zkey ?nx|xx|gt|lt ?gt|lt ?ch score,zmember+"),
    ("zadd", "zkey ?nx|xx|gt|lt ?ch incr score zmember"),
    ("zadd", "zkey crowd"),
    ("zadd", "lkey 0,zmember+"),
    ("zadd", "lkey same_crowd"),
    ("zscore", "key zmember"),
    ("zmscore", "key zmember+"),
    ("zcard", "zkey|lkey"),
    ("zrem", "zkey zmember+"),
    ("zincrby", "zkey score zmember"),
    (
        "zrange",
        "zkey,index,index|zkey,edge,edge,byscore|lkey,lex,lex,bylex ?withscores ?limit,index,index ?rev",
    ),
    ("zrevrange", "zkey index index ?withscores ?rev"),
    ("zrangebyscore", "zkey edge edge ?withscores ?limit,index,index"),
    ("zrevrangebyscore", "zkey edge edge ?withscores ?limit,index,index"),
    ("zrangebylex", "lkey lex lex ?limit,index,index ?withscores"),
    ("zrevrangebylex", "lkey lex lex ?limit,index,index"),
    ("zrank", "zkey|lkey zmember"),
    ("zrevrank", "zkey zmember"),
    ("zcount", "zkey edge edge"),
    ("zlexcount", "lkey lex lex"),
    ("zpopmin", "zkey ?small|negative"),
    ("zpopmax", "zkey ?small|negative"),
    ("zmpop", "1,zkey|2,zkey,zkey|0,key|2,zkey min|max|mid ?count,small"),
    ("zremrangebyrank", "zkey index index"),
    ("zremrangebyscore", "zkey edge edge"),
    ("zremrangebylex", "lkey lex lex"),
    ("zrandmember", "zkey ?small|negative|small,withscores|negative,withscores"),
    ("zscan", "zkey cursor count,100000 ?match,pattern"),
    (
        "zrangestore",
        "zkey zkey,index,index|zkey,edge,edge,byscore|zkey,edge,edge,byscore,limit,1,5 ?rev ?limit,1,1",
    ),
    ("zunion", "1,zkey|2,zkey,zkey,weights,weight,weight|3,zkey,zkey,key ?aggregate,fold ?withscores"),
    ("zinter", "1,zkey|2,zkey,zkey,weights,weight,weight|2,zkey,key ?aggregate,fold ?withscores"),
    ("zdiff", "1,zkey|2,zkey,zkey|3,zkey,zkey,key|0,key|3,key ?withscores"),
    ("zunionstore", "zkey 1,zkey|2,zkey,zkey,weights,weight,weight|3,zkey,zkey,key ?aggregate,fold"),
    ("zinterstore", "zkey 1,zkey|2,zkey,zkey,weights,weight,weight|2,zkey,key ?aggregate,fold"),
    ("zdiffstore", "zkey 1,zkey|2,zkey,zkey|3,zkey,zkey,key|0,key|3,key"),
    ("zintercard", "1,zkey|2,zkey,zkey|2,zkey,key|0,key ?limit,small|limit,negative"),
    // transactions, connections, databases
    ("multi", ""),
    ("exec", ""),
    ("discard", ""),
    ("watch", "key+"),
    ("unwatch", ""),
    ("select", "base"),
    ("swapdb", "base base"),
    ("flushdb", "?async|sync"),
    ("dbsize", ""),
    ("ping", "?value"),
    ("echo", "value"),
];

/// The keys that commands name.
pub const KEYS: &[&str] = &[
    "k0", "k1", "k2", "k3", "k4", "k5", "k6", "k7", "z0", "z1", "z2", "z3", "l0", "l1", "l2", "q0", "q1",
    "s0", "s1",
];

/// Makes commands.
#[derive(Debug)]
pub struct Generator {
    random: Random,
}

impl Generator {
    /// All that it makes follows from the seed.
    #[must_use]
    pub fn new(seed: u64) -> Generator {
        Generator { random: Random::seeded(seed) }
    }

    /// A random number below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.random.below(bound)
    }

    fn one_in(&mut self, of: u64) -> bool {
        self.below(of) == 0
    }

    fn of<'a>(&mut self, words: &[&'a str]) -> &'a str {
        self.any(words)
    }

    fn any<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len() as u64) as usize]
    }

    /// A command; rarely one with an argument too few or too many, or of no known name.
    pub fn command(&mut self) -> Vec<Vec<u8>> {
        let (name, shape) = SHAPES[self.below(SHAPES.len() as u64) as usize];
        self.of_shape(name, shape)
    }

    fn of_shape(&mut self, name: &str, shape: &str) -> Vec<Vec<u8>> {
        let mut args = vec![if self.one_in(20) { name.to_uppercase() } else { name.to_owned() }.into_bytes()];
        for word in shape.split_whitespace() {
            let (optional, word) = word.strip_prefix('?').map_or((false, word), |word| (true, word));
            if optional && !self.one_in(3) {
                continue;
            }
            let (times, word) = word.strip_suffix('+').map_or((1, word), |word| (1 + self.below(4), word));
            for _ in 0..times {
                let alternatives: Vec<&str> = word.split('|').collect();
                for atom in self.of(&alternatives).split(',') {
                    self.atom(atom, &mut args);
                }
            }
        }
        // Not both: a count of a scan that is one too small makes its cursor, which is a matter of each.
        if self.one_in(60) {
            args.truncate(args.len().saturating_sub(1).max(1));
        } else if !["zrank", "zrevrank"].contains(&name) && self.one_in(60) {
            // (Redis 7.2 takes an argument more of these two than 7.0.)
            let extra = self.of(&["extra", "1", "key"]);
            args.push(extra.into());
        }
        args
    }

    /// What a word of a shape stands for.
    fn atom(&mut self, atom: &str, args: &mut Vec<Vec<u8>>) {
        let made = match atom {
            "key" => format!("k{}", self.below(8)),
            // Keys that are sorted sets more often than not, and those whose members have one score.
            "zkey" if self.one_in(8) => format!("k{}", self.below(8)),
            "zkey" => format!("z{}", self.below(4)),
            "lkey" => format!("l{}", self.below(3)),
            // What is sorted: a list, a set; and what it is sorted by.
            "qkey" => format!("q{}", self.below(2)),
            "skey" => format!("s{}", self.below(2)),
            "wkey" => format!("w{}", self.below(10)),
            "num" if self.one_in(40) => self.of(&["x", "", "1e400", "inf"]).into(),
            "num" if self.one_in(4) => self.of(&["-3", "1.5", "1e2", "01", " 7", "-0"]).into(),
            "num" => self.below(12).to_string(),
            "zmember" if self.one_in(60) => "m".repeat(63 + self.below(2) as usize),
            "zmember" => format!("m{}", self.below(60)),
            // More members than a header holds. (In one set or the other: by chance alone few grow so large.)
            "crowd" | "same_crowd" => {
                let (from, count) = (self.below(100), 20 + self.below(250));
                for at in from..from + count {
                    let score = if atom == "crowd" { self.below(50) } else { 0 };
                    args.extend([score.to_string().into_bytes(), format!("m{at}").into_bytes()]);
                }
                return;
            }
            "score" if self.one_in(2) => self.below(20).to_string(),
            "score" => self
                .of(&[
                    "0.1",
                    "-1.5",
                    "3",
                    "1e3",
                    "1e17",
                    "-7",
                    "inf",
                    "-inf",
                    "x",
                    "nan",
                    "1e400",
                    "2.5",
                    "0x1p-2000",
                    "0x1.8p1",
                    "0x10000000p-1090",
                ])
                .into(),
            "weight" => self.of(&["1", "2", "0.5", "3", "inf", "1e300", "x", "nan"]).into(),
            "fold" => self.of(&["sum", "min", "max", "avg"]).into(),
            "edge" if self.one_in(3) => format!("({}", self.below(20)),
            "edge" if self.one_in(2) => self.below(20).to_string(),
            "edge" => {
                self.of(&["-inf", "+inf", "(1.5", "1e400", "-7", "x", "((1", "", "(", " 3", "nan"]).into()
            }
            "lex" if self.one_in(3) => format!("({}", "m".to_owned() + &self.below(60).to_string()),
            "lex" if self.one_in(2) => format!("[{}", "m".to_owned() + &self.below(60).to_string()),
            "lex" => self.of(&["-", "+", "[m", "(m4", "[", "(", "[n", "x", "", "-x"]).into(),
            "field" | "member" if self.one_in(20) => {
                let name: &[u8] = self.any(&[b"\xff", b"\x80", b"\xc3\xa4", b"\x7f", b""]);
                args.push(name.to_vec());
                return;
            }
            "field" if self.one_in(2) => format!("f{}", self.below(8)),
            "field" if self.one_in(30) => "f".repeat(63 + self.below(4) as usize),
            "field" => format!("field{}", self.below(200)),
            "member" if self.one_in(2) => self.below(700).to_string(),
            "member" => self.of(&["a", "b", "c", "-7", "01", "1.5", "", "9223372036854775808"]).into(),
            "element" if self.one_in(40) => "e".repeat(300 + self.below(2000) as usize),
            "element" => format!("e{}", self.below(12)),
            "numkeys" => self.of(&["0", "-1", "2", "9", "x"]).into(),
            "base" => {
                self.of(&["0", "0", "1", "2", "15", "16", "-1", "x", "99999999999", "-2147483649"]).into()
            }
            // Seldom the same twice: which of two such times is later depends on the millisecond.
            "life" if self.one_in(2) => (100_000 + self.below(100_000)).to_string(),
            "life" => self.of(&["0", "-1", "x", "9223372036854775807"]).into(),
            "lifems" if self.one_in(2) => (100_000_000 + 1000 * self.below(100_000)).to_string(),
            "lifems" => self.of(&["0", "-5", "y", "9223372036854775807"]).into(),
            // Of a key that has ended, when it stops being counted is a matter of chance.
            "later" => self.of(&["33177117420", "33277117420", "33377117420", "0", "-1", "z"]).into(),
            "laterms" => self.of(&["33177117420000", "33277117420000", "-1", "0", "z"]).into(),
            "when" => self.of(&["33177117420", "33277117420", "33377117420", "1", "0", "-1", "z"]).into(),
            "whenms" => {
                self.of(&["33177117420000", "33277117420000", "33377117420000", "1", "-1", "z"]).into()
            }
            "pattern" if self.one_in(3) => {
                let pattern: &[u8] = self.any(&[
                    b"**",
                    b"k**",
                    b"**1",
                    b"[a-\xff]",
                    b"[\x80-\xff]*",
                    b"[^\x80]",
                    b"*\xff",
                    b"[",
                    b"[^",
                    b"k[1-",
                    b"",
                ]);
                args.push(pattern.to_vec());
                return;
            }
            "pattern" => {
                self.of(&["*", "k*", "k[1-3]", "f*", "?1", "nosuch", "k1", "*1*", "[^k]*", "k\\1"]).into()
            }
            // All that stand for the beginning; where others lead is a matter of each.
            "cursor" if self.one_in(4) => self.of(&["", "-0", "+0", "00", "\0", "0\0x"]).into(),
            "cursor" if self.one_in(20) => {
                self.of(&["x", " 0", "0 ", "-", "1x", "18446744073709551616", "-18446744073709551616"]).into()
            }
            "cursor" => "0".into(),
            // A few: each makes the other server write half a gibibyte.
            "far_offset" if self.one_in(6) => {
                self.of(&["4294967295", "4294967288", "4294967294", "#536870911", "#67108863"]).into()
            }
            "far_offset" => self.of(&["4294967296", "0", "9000", "#536870912", "x"]).into(),
            "int" => self
                .of(&[
                    "1",
                    "-1",
                    "7",
                    "100",
                    "9223372036854775807",
                    "-9223372036854775808",
                    "x",
                    "1.5",
                    " 1",
                    "",
                ])
                .into(),
            "small" => self.of(&["0", "1", "2", "5", "20", "300", "1", "2", "x"]).into(),
            "negative" => self.of(&["-1", "-2", "-5", "-300"]).into(),
            "float" => self
                .of(&[
                    "0.1",
                    "-0.1",
                    "1.5",
                    "3",
                    "1e3",
                    "1e-3",
                    "-2.25",
                    "0.3",
                    "1e17",
                    "x",
                    "nan",
                    "inf",
                    "1e400",
                    "0x1p4",
                    "0x1p-2000",
                    "0x1p-16446",
                    "1e-4940",
                ])
                .into(),
            "index" => {
                self.of(&["0", "1", "2", "5", "-1", "-2", "-5", "10", "100", "5000", "-5000", "x"]).into()
            }
            "offset" => self
                .of(&[
                    "0",
                    "1",
                    "7",
                    "8",
                    "63",
                    "100",
                    "4095",
                    "4096",
                    "9000",
                    "40000",
                    "-1",
                    "x",
                    "4294967296",
                ])
                .into(),
            "bit" if args.len() < 4 => self.of(&["0", "1", "0", "1", "1", "2", "x"]).into(),
            "width" => {
                self.of(&["u1", "u8", "i8", "i16", "u7", "u31", "i64", "u63", "u64", "i5", "x8"]).into()
            }
            "field_op" => {
                let kind = self.of(&["get", "set", "incrby"]);
                args.push(kind.into());
                self.atom("width", args);
                let place = self.of(&["0", "5", "8", "#1", "#3", "100", "-1"]);
                args.push(place.into());
                if kind != "get" {
                    let value = self.of(&["1", "-1", "100", "255", "-128", "9223372036854775807"]);
                    args.push(value.into());
                }
                return;
            }
            "value" => {
                let value = self.value();
                args.push(value);
                return;
            }
            literal => literal.into(),
        };
        args.push(made.into_bytes());
    }

    /// A value: numbers, texts about the lengths at which encodings change, bytes of every kind.
    fn value(&mut self) -> Vec<u8> {
        match self.below(12) {
            0..=2 => self.below(1000).to_string().into_bytes(),
            3 => format!("{}.{}", self.below(100), self.below(100)).into_bytes(),
            4 => Vec::new(),
            5 => vec![b'v'; 40 + self.below(8) as usize],
            6 => vec![b'w'; 60 + self.below(8) as usize],
            7 => (0..self.below(20)).map(|_| self.below(256) as u8).collect(),
            8 if self.one_in(3) => vec![b'x'; 4090 + self.below(12) as usize],
            9 if self.one_in(4) => (0..9000 + self.below(9000)).map(|at| (at % 251) as u8).collect(),
            _ => format!("text{}", self.below(50)).into_bytes(),
        }
    }
}

/// A command for people, long arguments cut.
#[must_use]
pub fn shown(args: &[Vec<u8>]) -> String {
    let shown = |arg: &Vec<u8>| {
        let text = arg[..arg.len().min(80)].escape_ascii().to_string();
        if arg.len() > 80 { format!("{text}..({})", arg.len()) } else { text }
    };
    args.iter().map(shown).collect::<Vec<_>>().join(" ")
}
