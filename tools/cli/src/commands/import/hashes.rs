//! `esker import --as hash`: each record becomes a hash in database 0, with a field for each of its columns,
//! as the commands DEL and HSET would make it. A pipeline of them is one write, which is durable before the
//! next.

use crate::commands::import::args::{ImportArgs, Mode, OnError};
use crate::commands::import::report::{self, Reporter};
use crate::failure::{Failure, Outcome};
use crate::output::{Out, notes};
use crate::records::{ReadError, Record, RecordReader};
use esker::Durability;
use esker_structures::Store;
use esker_structures::command::{Connection, Reply};
use indicatif::ProgressBar;
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::time::Instant;

/// A pipeline is carried out at this size, in bytes, or at its number of records.
const PIPELINE_BYTES: usize = 1 << 20;

/// A command as its words.
type Words = Vec<Vec<u8>>;

/// Refuses options that say nothing here.
///
/// # Errors
/// One of them is given.
pub fn refuse(args: &ImportArgs) -> Outcome {
    let given = [
        (args.key.is_none(), "--as hash needs --key"),
        (args.value != "all", "--as hash takes whole records, no --value"),
        (args.show.is_some() || args.show_range.is_some(), "--as hash does not go with --show"),
        (args.family.family.is_some(), "--as hash has families of its own"),
    ];
    match given.iter().find(|(is, _)| *is) {
        Some((_, why)) => Err(Failure::usage(*why)),
        None => Ok(()),
    }
}

/// Imports what the reader gives.
///
/// # Errors
/// The store cannot be opened or written; a record is bad and `--on-error` is `stop`.
pub fn run(
    args: &ImportArgs,
    mut reader: Box<dyn RecordReader + Send>,
    bar: &ProgressBar,
    started: Instant,
) -> Outcome {
    let (engine, durability) = match args.durability {
        Mode::Sync => (args.store.builder(true), Durability::Sync),
        Mode::Os => (args.store.builder(true), Durability::Os),
    };
    let open = Store::builder(&args.store.dir).durability(durability).engine(|_| engine).open();
    let store = open.map_err(told)?;
    crate::store::tell_recovery(store.engine().recovery());
    let mut writer = Writer {
        store: &store,
        connection: Connection::new(&store),
        reporter: Reporter::new(args.report, args.json),
        pipeline: Vec::new(),
        bytes: 0,
        records: 0,
    };
    let mut record = Record::default();
    let mut skipped = 0;
    let wrong = loop {
        let added = match reader.next(&mut record) {
            Ok(false) => break None,
            Ok(true) => writer.add(args, &record).map_err(|what| ReadError::record(record.line, what)),
            Err(error) => Err(error),
        };
        match added {
            Ok(()) if writer.is_full(args) => {
                if let Err(failure) = writer.write() {
                    break Some(failure);
                }
            }
            Ok(()) => {}
            Err(ReadError::Fatal(failure)) => break Some(failure),
            Err(ReadError::Record { line, what }) if args.on_error == OnError::Stop => {
                break Some(Failure::error(format!("line {line}: {what}")));
            }
            Err(ReadError::Record { line, what }) => {
                skipped += 1;
                bar.suspend(|| notes::warning(&format!("line {line} is skipped: {what}")));
            }
        }
    };
    let written = writer.write();
    let records = writer.records;
    drop(writer);
    let position = bar.position();
    bar.finish_and_clear();
    // What came before a mistake is kept.
    let closed = store.close().map_err(told);
    if let Some(failure) = wrong {
        return Err(failure);
    }
    written?;
    closed?;
    let mut out = Out::stdout();
    report::summary(&mut out, args.json, records, skipped, position, started.elapsed())?;
    out.finish()
}

fn told(error: esker_structures::Error) -> Failure {
    match error {
        esker_structures::Error::Engine(error) => error.into(),
        other => Failure::error(other.to_string()),
    }
}

struct Writer<'s> {
    store: &'s Store,
    connection: Connection,
    reporter: Reporter,
    pipeline: Vec<Words>,
    bytes: usize,
    records: u64,
}

impl Writer<'_> {
    fn add(&mut self, args: &ImportArgs, record: &Record) -> Result<(), String> {
        let fields = fields(&record.value, args.delimiter.is_some())?;
        let words = |words: &[&[u8]]| words.iter().map(|word| word.to_vec()).collect::<Words>();
        let mut set = words(&[b"HSET", &record.key]);
        set.extend(fields);
        self.bytes += set.iter().map(Vec::len).sum::<usize>();
        // The same key twice: the later record stays.
        self.pipeline.push(words(&[b"DEL", &record.key]));
        self.pipeline.push(set);
        if let Some(ttl) = args.ttl {
            let ms = ttl.as_millis().to_string();
            self.pipeline.push(words(&[b"PEXPIRE", &record.key, ms.as_bytes()]));
        }
        self.records += 1;
        Ok(())
    }

    fn is_full(&self, args: &ImportArgs) -> bool {
        let most = 3 * args.batch as usize;
        self.bytes >= PIPELINE_BYTES || self.pipeline.len() >= most
    }

    /// Carries out what has gathered, and waits until it is durable.
    fn write(&mut self) -> Outcome {
        let pipeline: Vec<Vec<&[u8]>> =
            self.pipeline.iter().map(|words| words.iter().map(Vec::as_slice).collect()).collect();
        let mut replies = Vec::with_capacity(pipeline.len());
        let seq = self.connection.execute_all(pipeline.iter().map(Vec::as_slice), &mut replies);
        if let Some(Reply::Error(text)) = replies.iter().find(|reply| reply.is_error()) {
            return Err(Failure::error(text.clone()));
        }
        self.store.wait(seq).map_err(told)?;
        self.pipeline.clear();
        self.bytes = 0;
        if self.store.durability() == Durability::Sync {
            self.reporter.reached(self.records);
        }
        Ok(())
    }
}

/// Fields and values in turn: those of an object, or the columns of a line, named by their numbers.
fn fields(record: &[u8], has_other_delimiter: bool) -> Result<Words, String> {
    if record.first() != Some(&b'{') {
        if has_other_delimiter {
            return Err("a line of columns without names, parted by something else than `;`".into());
        }
        let columns = record.split(|byte| *byte == b';').enumerate();
        return Ok(columns
            .flat_map(|(at, column)| [(at + 1).to_string().into_bytes(), column.to_vec()])
            .collect());
    }
    let members: BTreeMap<String, &RawValue> =
        serde_json::from_slice(record).map_err(|error| format!("no JSON object: {error}"))?;
    if members.is_empty() {
        return Err("an object without members makes no hash".into());
    }
    let value = |raw: &RawValue| match raw.get() {
        "null" => Ok(Vec::new()),
        text if text.starts_with('"') => serde_json::from_str::<String>(text).map(String::into_bytes),
        text => Ok(text.as_bytes().to_vec()),
    };
    let mut words = Vec::with_capacity(2 * members.len());
    for (name, raw) in members {
        words.push(name.into_bytes());
        words.push(value(raw).map_err(|error| format!("no text: {error}"))?);
    }
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(record: &str) -> Vec<String> {
        let words = fields(record.as_bytes(), false).unwrap();
        words.into_iter().map(|word| String::from_utf8(word).unwrap()).collect()
    }

    #[test]
    fn columns_and_members_become_fields() {
        assert_eq!(text("0041;LATIN;"), ["1", "0041", "2", "LATIN", "3", ""]);
        let object = r#"{"b":"x\ty","a":1.50,"c":null,"d":[1,{"e":2}],"f":true}"#;
        assert_eq!(text(object), ["a", "1.50", "b", "x\ty", "c", "", "d", r#"[1,{"e":2}]"#, "f", "true"]);
        assert!(
            fields(b"{}", false).is_err() && fields(b"{", false).is_err() && fields(b"a,b", true).is_err()
        );
    }
}
