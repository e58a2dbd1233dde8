//! The last moments of keys: commands that give a key a short life, and what is done to it in the same
//! instant.
//!
//! Redis goes by the clock of the wall, so that what it answers of a key whose end is near is a matter of
//! chance. Hence all that is done to such a key stands in one EXEC, in which its time stands still, and
//! nothing more is asked of it until its end has surely passed.

use super::generator::{Generator, KEYS};

/// The shortest relative life, and how much more it may be, in ms.
const LIFE_MS: (u64, u64) = (100, 60);
/// How far away an end is that is given as a time, in ms: far enough that the EXEC is done before.
const AHEAD_MS: u64 = 600;

/// Ways to give a life: a name for what counts them, and the commands. `K` stands for the key, `MS` for a
/// life and `AT` for a time in ms, `S` and `ATS` for those in seconds.
const FORMS: &[(&str, &str)] = &[
    ("PEXPIRE", "pexpire K MS"),
    ("PEXPIRE NX", "persist K | pexpire K MS nx"),
    ("PEXPIRE XX", "pexpire K 100000000 | pexpire K MS xx"),
    ("PEXPIRE GT", "pexpire K 20 | pexpire K MS gt"),
    ("PEXPIRE LT", "pexpire K MS lt"),
    ("PEXPIREAT", "pexpireat K AT"),
    ("EXPIRE", "expire K S"),
    ("EXPIREAT", "expireat K ATS"),
    ("SET PX", "set K V px MS"),
    ("SET PX GET", "set K V | set K 17 get px MS"),
    ("SET XX PX", "set K V | set K V xx px MS"),
    ("SET PXAT", "set K V pxat AT"),
    ("SET EX", "set K V ex S"),
    ("SET EXAT", "set K V exat ATS"),
    ("SET KEEPTTL", "pexpire K MS | set K V keepttl"),
    ("PSETEX", "psetex K MS V"),
    ("SETEX", "setex K S V"),
    ("GETEX PX", "set K V | getex K px MS"),
    ("GETEX PXAT", "set K V | getex K pxat AT"),
    ("GETEX EX", "set K V | getex K ex S"),
    ("GETEX EXAT", "set K V | getex K exat ATS"),
];

/// What makes a key of each type, small and large ones.
const MAKINGS: &[&str] = &[
    "set K V",
    "set K 41",
    "setrange K 9000 V",
    "hset K f1 V f2 2 count 3",
    "hset K FIELDS",
    "rpush K e1 e2 e3",
    "rpush K MEMBERS",
    "sadd K 1 2 3",
    "sadd K a MEMBERS",
    "zadd K 1 m1 2 m2 3 m3",
    "zadd K SCORES",
];

/// What may be done to a key once its end is known: it keeps, hands on or loses it. `D` is another key.
const DEEDS: &[&str] = &[
    "persist K",
    "rename K D",
    "renamenx K D",
    "copy K D",
    "copy K D replace",
    "copy K K db 1 replace",
    "move K 1",
    "set K V",
    "getset K V",
    "getex K persist",
    "getex K",
    "getdel K",
    "append K V",
    "incr K",
    "setrange K 3 V",
    "setbit K 9 1",
    "hset K f3 V",
    "hdel K f1 f2 count",
    "hincrby K count 1",
    "lpush K V",
    "lpop K 2",
    "lmove K D left right",
    "sadd K b",
    "srem K 1 2 3",
    "smove K D 2",
    "sunionstore D K",
    "zadd K 5 m9",
    "zrem K m1 m2 m3",
    "zunionstore D 1 K",
    "bitop not D K",
    "sort K by nosort store D",
    "pexpire K 100000000",
    "pexpire K MS",
    "pexpire K 0",
    "pexpire D MS",
    "ttl K",
    "exists K D",
];

/// What is done to a key in the instant in which it gets its end.
#[derive(Clone, Debug)]
pub struct LastMoments {
    /// How it gets it.
    pub form: &'static str,
    /// The key.
    pub key: &'static str,
    /// From MULTI to EXEC. The last command in between asks for the type of the key.
    pub commands: Vec<Vec<Vec<u8>>>,
    /// All of it must have been carried out before this time, in ms since the epoch; `None` if it gives no
    /// end as a time.
    pub before_ms: Option<u64>,
    /// How long after that the last end is, in ms.
    pub longest_ms: u64,
}

impl LastMoments {
    /// What is done to some of the keys, each of which is named by one of them only, if the time is `now_ms`.
    /// Ends come in seconds, which take one or two, or within less; `turn` says with which of the forms to
    /// begin, so that all have their turn.
    #[must_use]
    pub fn of_some(generator: &mut Generator, now_ms: u64, in_seconds: bool, turn: u64) -> Vec<LastMoments> {
        let is_in_seconds = |line: &str| line.split(' ').any(|word| ["S", "ATS"].contains(&word));
        let forms: Vec<_> = FORMS.iter().filter(|(_, line)| is_in_seconds(line) == in_seconds).collect();
        let mut keys = KEYS.to_vec();
        for at in (1..keys.len()).rev() {
            keys.swap(at, generator.below(at as u64 + 1) as usize);
        }
        let pairs = keys.as_chunks::<2>().0;
        let first = turn as usize * pairs.len();
        let forms = forms.iter().cycle().skip(first % forms.len());
        pairs
            .iter()
            .zip(forms)
            .map(|(pair, form)| LastMoments::new(generator, now_ms, **form, *pair))
            .collect()
    }

    fn new(
        generator: &mut Generator,
        now_ms: u64,
        (form, giving): (&'static str, &str),
        pair: [&'static str; 2],
    ) -> LastMoments {
        let mut any = |of: &[&'static str]| of[generator.below(of.len() as u64) as usize];
        let making = any(&[&["type K"; 6], MAKINGS, MAKINGS].concat());
        let deeds = [any(DEEDS), any(DEEDS), any(DEEDS)];
        let (end_ms, end_s) = (now_ms + AHEAD_MS, (now_ms + AHEAD_MS) / 1000 + 1);
        let mut lines = vec!["multi"];
        // As it is half of the time.
        lines.extend((generator.below(2) == 0).then_some("del K"));
        lines.push(making);
        lines.extend(giving.split(" | "));
        lines.extend(&deeds[..generator.below(4) as usize]);
        lines.extend(["type K", "exec"]);
        let has = |word: &str| lines.iter().any(|line| line.split(' ').any(|other| other == word));
        let (in_ms, in_s) = (has("AT"), has("ATS"));
        let ends = [(in_ms, AHEAD_MS), (in_s, end_s * 1000 - now_ms), (has("S"), 1000)];
        let ends = ends.iter().filter(|(is_there, _)| *is_there).map(|(_, end)| *end);
        let longest_ms = ends.fold(LIFE_MS.0 + LIFE_MS.1, u64::max);
        let mut command = |line: &str| {
            let words = line.split(' ').flat_map(|word| match word {
                "K" => vec![pair[0].to_owned()],
                "D" => vec![pair[1].to_owned()],
                "V" => vec![format!("v{}", generator.below(1000))],
                "MS" => vec![(LIFE_MS.0 + generator.below(LIFE_MS.1)).to_string()],
                "AT" => vec![end_ms.to_string()],
                "S" => vec!["1".to_owned()],
                "ATS" => vec![end_s.to_string()],
                "FIELDS" => (0..200).flat_map(|at| [format!("field{at}"), at.to_string()]).collect(),
                "MEMBERS" => (0..200).map(|at| format!("member{at}")).collect(),
                "SCORES" => (0..200).flat_map(|at| [(at % 7).to_string(), format!("m{at}")]).collect(),
                word => vec![word.to_owned()],
            });
            words.map(String::into_bytes).collect()
        };
        let commands = lines.iter().map(|line| command(line)).collect();
        let before_ms = (in_ms || in_s).then_some(end_ms);
        LastMoments { form, key: pair[0], commands, before_ms, longest_ms }
    }

    /// The names of all ways to get an end.
    pub fn forms() -> impl Iterator<Item = &'static str> {
        FORMS.iter().map(|(form, _)| *form)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn nothing_is_done_to_a_key_but_in_its_last_moments() {
        let mut generator = Generator::new(1);
        let mut met = BTreeSet::new();
        for round in 0..200 {
            let mut named = BTreeSet::new();
            for moments in LastMoments::of_some(&mut generator, 5_000, round % 2 == 0, round / 2) {
                met.insert(moments.form);
                let words = moments.commands.concat();
                let is_in_seconds = |word: &Vec<u8>| {
                    ["ex", "exat", "expire", "expireat", "setex"].iter().any(|name| word == name.as_bytes())
                };
                assert!(round % 2 == 0 || !words.iter().any(is_in_seconds), "{words:?}");
                let keys: BTreeSet<_> =
                    KEYS.iter().filter(|key| words.contains(&key.as_bytes().to_vec())).collect();
                assert!(keys.contains(&moments.key) && keys.len() <= 2, "{words:?}");
                assert!(keys.iter().all(|key| named.insert(**key)), "{words:?}");
                let names = [&moments.commands[0], moments.commands.last().unwrap()];
                assert_eq!(names, [&[b"multi".to_vec()], &[b"exec".to_vec()]]);
                let last = moments.before_ms.map_or(0, |before| before - 5_000);
                assert!(last <= moments.longest_ms && moments.longest_ms <= 2_000);
            }
        }
        assert_eq!(met.len(), FORMS.len());
    }
}
