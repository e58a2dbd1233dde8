//! What is of a Redis newer than 7.0, against a model made from its documentation: no server to compare with
//! has it.

use super::{Connection, Protocol, Reply};
use crate::store::Store;
use esker::base::random::Random;
use esker::fs::{Fs, SimFs};
use std::collections::BTreeMap;

fn encoded(connection: &mut Connection, line: &str) -> String {
    let reply = connection.execute(&line.split(' ').collect::<Vec<_>>()).reply;
    let mut bytes = Vec::new();
    reply.encode(connection.session().protocol, &mut bytes);
    String::from_utf8(bytes).unwrap()
}

/// ZRANK and ZREVRANK: the rank alone, or behind WITHSCORE with the score, a double in RESP3 and its text in
/// RESP2; of what is not there nothing, and behind WITHSCORE no array.
#[test]
fn ranks_with_scores_are_those_of_a_model() {
    let builder = Store::builder("/data").deterministic(1);
    let store = builder.engine(|engine| engine.fs(Fs::Sim(SimFs::new()))).open().unwrap();
    let mut connection = Connection::new(&store);
    let random = Random::seeded(7);
    let mut model: BTreeMap<String, i64> = BTreeMap::new();
    // In its header, in records, and in records still when it is small again.
    for (adds, removes) in [(20, 5), (300, 50), (100, 300)] {
        for _ in 0..adds {
            let (member, score) = (format!("m{}", random.below(400)), random.below(40) as i64 - 20);
            encoded(&mut connection, &format!("zadd z {score}.5 {member}"));
            model.insert(member, score);
        }
        for _ in 0..removes {
            let member = format!("m{}", random.below(400));
            encoded(&mut connection, &format!("zrem z {member}"));
            model.remove(&member);
        }
        let mut order: Vec<(f64, &String)> =
            model.iter().map(|(member, score)| (format!("{score}.5").parse().unwrap(), member)).collect();
        order.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(b.1)));
        for protocol in [Protocol::Resp2, Protocol::Resp3] {
            connection.session_mut().protocol = protocol;
            for (at, (score, member)) in order.iter().enumerate() {
                let shown = score.to_string();
                let double = match protocol {
                    Protocol::Resp2 => format!("${}\r\n{shown}\r\n", shown.len()),
                    Protocol::Resp3 => format!(",{shown}\r\n"),
                };
                for (command, rank) in [("zrank", at), ("zrevrank", order.len() - 1 - at)] {
                    let plain = encoded(&mut connection, &format!("{command} z {member}"));
                    assert_eq!(plain, format!(":{rank}\r\n"));
                    let both = encoded(&mut connection, &format!("{command} z {member} WithScore"));
                    assert_eq!(both, format!("*2\r\n:{rank}\r\n{double}"), "{command} {member}");
                }
            }
        }
    }
    connection.execute(&["set", "text", "v"]);
    for (protocol, nothing, no_array) in
        [(Protocol::Resp2, "$-1\r\n", "*-1\r\n"), (Protocol::Resp3, "_\r\n", "_\r\n")]
    {
        connection.session_mut().protocol = protocol;
        for command in ["zrank", "zrevrank"] {
            let arity = format!("-ERR wrong number of arguments for '{command}' command\r\n");
            let wrong = "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n";
            for (rest, expected) in [
                ("z none", nothing),
                ("nosuch m", nothing),
                ("z none withscore", no_array),
                ("nosuch m withscore", no_array),
                ("z m1 withscores", "-ERR syntax error\r\n"),
                ("z m1 withscore more", &arity),
                ("z", &arity),
                ("text m withscore", wrong),
            ] {
                assert_eq!(encoded(&mut connection, &format!("{command} {rest}")), expected, "{rest}");
            }
        }
    }
    assert_eq!(connection.execute(&["zcard", "z"]).reply, Reply::count(model.len() as u64));
}
