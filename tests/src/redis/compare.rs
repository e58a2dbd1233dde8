//! When two replies to one command are the same.

use super::value::Value;
use esker_structures::command::{find, flags};

/// Commands whose replies are times: how far they may lie apart.
const TIMES: &[(&str, i64)] = &[("ttl", 1), ("expiretime", 1), ("pttl", 2_000), ("pexpiretime", 2_000)];

/// Commands whose arrays hold pairs.
const PAIRS: &[&str] = &["hgetall", "hscan", "zscan"];

/// Whether both replies are right for a command: the same to the byte, or as the table says, the same but for
/// the order, or for chance.
#[must_use]
pub fn agree(name: &str, ours: &Value, theirs: &Value) -> bool {
    if ours == theirs {
        return true;
    }
    let Some(command) = find(name.as_bytes()) else { return false };
    if let Some((_, within)) = TIMES.iter().find(|(time, _)| *time == command.name) {
        let near = |a: i64, b: i64| a >= 0 && b >= 0 && (a - b).abs() <= *within;
        return matches!((ours, theirs), (Value::Integer(a), Value::Integer(b)) if near(*a, *b));
    }
    if command.has(flags::CHANCE) {
        return same_shape(ours, theirs);
    }
    command.has(flags::UNORDERED) && unordered(ours, command.name) == unordered(theirs, command.name)
}

/// What is left to compare of replies by chance, of which [`super::chance`] knows whether they may be.
fn same_shape(ours: &Value, theirs: &Value) -> bool {
    match (ours, theirs) {
        (Value::Array(Some(a)), Value::Array(Some(b)))
        | (Value::Set(a), Value::Set(b))
        | (Value::Map(a), Value::Map(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same_shape(a, b))
        }
        (Value::Bulk(a), Value::Bulk(b)) => a.is_some() == b.is_some(),
        (Value::Double(_), Value::Double(_)) => true,
        _ => ours == theirs,
    }
}

/// The reply with what it holds in an order of its own; the items of a scan stand in its second part.
fn unordered(reply: &Value, name: &str) -> Value {
    let width = if PAIRS.contains(&name) { 2 } else { 1 };
    match reply {
        Value::Array(Some(items)) => match &items[..] {
            [cursor @ Value::Bulk(_), Value::Array(Some(items))] => {
                let items = Value::Array(Some(sorted(items, width)));
                Value::Array(Some(vec![cursor.clone(), items]))
            }
            items => Value::Array(Some(sorted(items, width))),
        },
        Value::Set(items) => Value::Set(sorted(items, 1)),
        Value::Map(items) => Value::Map(sorted(items, 2)),
        other => other.clone(),
    }
}

fn sorted(items: &[Value], width: usize) -> Vec<Value> {
    let mut groups: Vec<&[Value]> = items.chunks(width).collect();
    groups.sort_unstable();
    groups.concat()
}
