//! `esker changes` and `esker consumers`

use crate::args::PrintArgs;
use crate::failure::Outcome;
use crate::output::{Cell, Item, ItemPrinter, Out};
use crate::store::StoreArgs;
use crate::text::bytes_text;
use crate::text::number::counted;
use clap::{Args, Subcommand};
use esker::{Change, FeedConsumerInfo, Operation, Position};
use serde_json::json;

const AFTER_HELP: &str = "\
Examples:
  esker changes --dir data
  esker changes --from 5f3a00c2d94e1b07-1234 --limit 10 --json
  esker changes --consumer search

Changes are kept by stores that are used with the option `feed`. A line for each operation: the position
behind its batch, its sequence number, the column family, what was done, and with what. Nothing is
acknowledged.";

/// Arguments of `esker changes`.
#[derive(Args, Debug)]
#[command(after_help = AFTER_HELP)]
pub struct ChangesArgs {
    /// Begin behind this position [default: where what is kept begins]
    #[arg(long, value_name = "POSITION")]
    pub from: Option<Position>,
    /// Begin where this consumer is
    #[arg(long, value_name = "NAME", conflicts_with = "from")]
    pub consumer: Option<String>,
    /// Print at most this many batches
    #[arg(short = 'n', long, value_name = "N")]
    pub limit: Option<u64>,
    /// How they are printed.
    #[command(flatten)]
    pub print: PrintArgs,
    /// The store.
    #[command(flatten)]
    pub store: StoreArgs,
}

const CONSUMERS_HELP: &str = "\
Examples:
  esker consumers list --dir data
  esker consumers remove search

A consumer that nobody reads for holds back what it has not read, up to a bound, until it is removed.";

/// Arguments of `esker consumers`.
#[derive(Args, Debug)]
#[command(after_help = CONSUMERS_HELP)]
pub struct ConsumersArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: ConsumersCommand,
}

/// What to do with consumers of changes.
#[derive(Debug, Subcommand)]
pub enum ConsumersCommand {
    /// Print the consumers of changes that the store remembers
    #[command(after_help = "Example:\n  esker consumers list --dir data --json")]
    List(ListArgs),
    /// Forget a consumer: nothing is kept for it any more
    #[command(after_help = "Example:\n  esker consumers remove search")]
    Remove(NameArgs),
}

/// Arguments of `esker consumers list`.
#[derive(Args, Debug)]
pub struct ListArgs {
    /// Print JSON, an object in each line
    #[arg(long)]
    pub json: bool,
    /// The store.
    #[command(flatten)]
    pub store: StoreArgs,
}

/// Arguments of `esker consumers remove`.
#[derive(Args, Debug)]
pub struct NameArgs {
    /// Its name
    pub name: String,
    /// The store.
    #[command(flatten)]
    pub store: StoreArgs,
}

/// Prints what was committed.
///
/// # Errors
/// There is no store, it keeps no changes, or not those that are asked for; they cannot be read or printed.
pub fn run(args: &ChangesArgs) -> Outcome {
    let db = args.store.open()?;
    let from = match (&args.from, &args.consumer) {
        (Some(position), _) => *position,
        (None, None) => db.feed_start()?,
        (None, Some(name)) => {
            let all = db.feed_consumers();
            let unknown = || esker::Error::NoSuchConsumer { name: name.as_str().into() };
            all.iter().find(|one| one.name == *name).ok_or_else(unknown)?.position
        }
    };
    let mut feed = db.changes(from)?;
    let mut printer = ItemPrinter::new(Out::stdout(), args.print.json, args.print.encoding);
    let mut left = args.limit.unwrap_or(u64::MAX);
    while left > 0 {
        let Some(batch) = feed.next_batch()? else { break };
        let position = batch.position();
        let mut operations = batch.operations();
        while let Some(change) = operations.next()? {
            printer.item(row(position, &change))?;
        }
        left -= 1;
    }
    printer.finish()?;
    drop(feed);
    Ok(db.close()?)
}

fn row(position: Position, change: &Change<'_>) -> Item {
    let bytes = |bytes: &[u8]| Cell::Bytes(bytes.to_vec());
    let end = |to: Option<&[u8]>| to.map_or(Cell::Empty, bytes);
    let (what, key, value) = match change.operation {
        Operation::Put { key, value, .. } => ("put", bytes(key), bytes(value)),
        Operation::Delete { key } => ("delete", bytes(key), Cell::Empty),
        Operation::Merge { key, operand, .. } => ("merge", bytes(key), bytes(operand)),
        Operation::DeleteRange { from, to } => ("delete-range", bytes(from), end(to)),
        Operation::DropRange { from, to } => ("drop-range", bytes(from), end(to)),
        Operation::Ingested { first, last, .. } => ("ingested", bytes(first), bytes(last)),
        _ => ("other", Cell::Empty, Cell::Empty),
    };
    let expires = match change.operation {
        Operation::Put { expires_ms: Some(ms), .. } => Cell::Number(ms),
        _ => Cell::Empty,
    };
    let family = change.family.map_or_else(|| format!("#{}", change.family_id), str::to_owned);
    Item::Row(vec![
        ("position", Cell::Text(position.to_string())),
        ("seq", Cell::Number(change.seq)),
        ("family", Cell::Text(family)),
        ("operation", Cell::Text(what.to_owned())),
        ("key", key),
        ("value", value),
        ("expires_ms", expires),
    ])
}

/// Lists consumers of changes, or forgets one.
///
/// # Errors
/// There is no store, or no consumer of this name.
pub fn run_consumers(args: &ConsumersArgs) -> Outcome {
    match &args.command {
        ConsumersCommand::List(args) => list(args),
        ConsumersCommand::Remove(args) => {
            let db = args.store.open()?;
            db.remove_feed_consumer(&args.name)?;
            Ok(db.close()?)
        }
    }
}

fn list(args: &ListArgs) -> Outcome {
    let db = args.store.open()?;
    let mut out = Out::stdout();
    for consumer in db.feed_consumers() {
        out.line(&if args.json { object(&consumer) } else { line(&consumer) })?;
    }
    out.finish()
}

fn object(consumer: &FeedConsumerInfo) -> String {
    let FeedConsumerInfo { name, position, lag, is_cut_loose, .. } = consumer;
    json!({ "name": name, "position": position.to_string(), "lag": lag, "cut_loose": is_cut_loose })
        .to_string()
}

fn line(consumer: &FeedConsumerInfo) -> String {
    let FeedConsumerInfo { name, position, lag, is_cut_loose, .. } = consumer;
    let name = bytes_text::escape(name.as_bytes());
    let state = match is_cut_loose {
        true => "what comes next is no longer kept".to_owned(),
        false => format!("{} behind", counted(*lag, "sequence number")),
    };
    format!("{name}: at {position}, {state}")
}
