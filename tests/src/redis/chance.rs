//! Whether a reply by chance is one that there can be.

use super::value::Value;
use std::collections::BTreeSet;

/// The command that shows all that a command chooses from; `None` if it chooses nothing.
#[must_use]
pub fn shown_by(args: &[Vec<u8>]) -> Option<Vec<Vec<u8>>> {
    let (before, behind): (&str, &[&str]) = match args[0].to_ascii_lowercase().as_slice() {
        b"srandmember" => ("smembers", &[]),
        b"hrandfield" => ("hgetall", &[]),
        b"zrandmember" => ("zrange", &["0", "-1", "withscores"]),
        b"randomkey" => return Some(vec![b"keys".to_vec(), b"*".to_vec()]),
        _ => return None,
    };
    let words = behind.iter().map(|word| word.as_bytes().to_vec());
    Some([before.as_bytes().to_vec(), args.get(1)?.clone()].into_iter().chain(words).collect())
}

/// Whether a reply to a command may be, where `all` is what [`shown_by`] was answered: members of it, as many
/// as were asked for, different ones if they are to be, each with the value that it has.
#[must_use]
pub fn is_valid(args: &[Vec<u8>], reply: &Value, all: &Value) -> bool {
    // Errors are compared.
    if matches!(reply, Value::Error(_)) || matches!(all, Value::Error(_)) {
        return true;
    }
    let has_values = !matches!(args[0].to_ascii_lowercase().as_slice(), b"srandmember" | b"randomkey");
    let (there, found) = (flat(all), flat(reply));
    let there: Vec<&[Vec<u8>]> = there.chunks(if has_values { 2 } else { 1 }).collect();
    let Some(count) = args.get(2) else {
        let is_there = |member: &Vec<u8>| there.iter().any(|known| known[0] == *member);
        return found.len() == there.len().min(1) && found.iter().all(is_there);
    };
    let Ok(count) = String::from_utf8_lossy(count).parse::<i64>() else { return false };
    let width = if args.len() > 3 { 2 } else { 1 };
    let known: BTreeSet<&[Vec<u8>]> = there.iter().map(|member| &member[..width]).collect();
    let chosen: Vec<&[Vec<u8>]> = found.chunks(width).collect();
    let different: BTreeSet<&[Vec<u8>]> = chosen.iter().copied().collect();
    let expected = match usize::try_from(count) {
        Ok(count) => count.min(there.len()),
        Err(_) if there.is_empty() => 0,
        Err(_) => count.unsigned_abs() as usize,
    };
    let all_different = count < 0 || different.len() == chosen.len();
    chosen.len() == expected && all_different && different.is_subset(&known)
}

/// Every text in a reply, in order.
fn flat(reply: &Value) -> Vec<Vec<u8>> {
    match reply {
        Value::Bulk(Some(bytes)) | Value::Double(bytes) => vec![bytes.clone()],
        Value::Array(Some(items)) | Value::Set(items) | Value::Map(items) => {
            items.iter().flat_map(flat).collect()
        }
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<Vec<u8>> {
        line.split(' ').map(|word| word.as_bytes().to_vec()).collect()
    }

    fn bulks(line: &str) -> Vec<Value> {
        let words = line.split(' ').filter(|word| !word.is_empty());
        words.map(|word| Value::Bulk(Some(word.as_bytes().to_vec()))).collect()
    }

    #[test]
    fn replies_by_chance_are_of_what_is_there() {
        let array = |line: &str| Value::Array(Some(bulks(line)));
        let nested = Value::Array(Some(vec![array("g 2"), array("f 1")]));
        let (set, hash) = (Value::Set(bulks("a b c")), Value::Map(bulks("f 1 g 2")));
        for (line, reply, all, expected) in [
            ("srandmember s", bulks("b").remove(0), &set, true),
            ("srandmember s", bulks("x").remove(0), &set, false),
            ("srandmember s", Value::Null, &set, false),
            ("srandmember s", Value::Null, &Value::Set(Vec::new()), true),
            ("srandmember s 2", array("c a"), &set, true),
            ("srandmember s 2", array("c c"), &set, false),
            ("srandmember s 2", array("c"), &set, false),
            ("srandmember s 9", array("c a b"), &set, true),
            ("srandmember s -2", array("c c"), &set, true),
            ("srandmember s -2", array("c x"), &set, false),
            ("hrandfield h", bulks("g").remove(0), &hash, true),
            ("hrandfield h", bulks("2").remove(0), &hash, false),
            ("hrandfield h 5", array("g f"), &hash, true),
            ("hrandfield h 5 withvalues", array("g 2 f 1"), &hash, true),
            ("hrandfield h 5 withvalues", nested, &hash, true),
            ("hrandfield h 5 withvalues", array("g 1 f 2"), &hash, false),
            ("randomkey", bulks("a").remove(0), &array("a b"), true),
            ("randomkey", bulks("c").remove(0), &array("a b"), false),
        ] {
            assert_eq!(is_valid(&words(line), &reply, all), expected, "{line}: {reply:?}");
        }
        assert_eq!(shown_by(&words("HRANDFIELD h 1")), Some(words("hgetall h")));
        assert_eq!(shown_by(&words("zrandmember z")), Some(words("zrange z 0 -1 withscores")));
        assert_eq!((shown_by(&words("get k")), shown_by(&words("srandmember"))), (None, None));
    }
}
