//! The command from its beginning to its end.

use crate::commands::import::args::ImportArgs;
use crate::commands::import::parser::{Event, Parser};
use crate::commands::import::report::Reporter;
use crate::commands::import::writer::End;
use crate::commands::import::{hashes, report, show, writer};
use crate::failure::{Failure, INTERRUPTED, Outcome, USAGE};
use crate::output::{Out, progress};
use crate::records::{self, Format};
use crate::text::number::counted;
use std::fs::File;
use std::io::{BufRead, BufReader, IsTerminal, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::Instant;

/// Batches that may wait between the parser and the writer.
const BATCHES_IN_FLIGHT: usize = 2;

/// Imports a file.
///
/// # Errors
/// The input or the store cannot be opened; a record is bad and `--on-error` is `stop`; a write fails;
/// or Ctrl-C stopped it. What was reported as durable stays in every case.
pub fn run(args: &ImportArgs) -> Outcome {
    let started = Instant::now();
    let show = show::Show::new(args)?;
    let selection = args.selection()?;
    if args.structure.is_some() {
        hashes::refuse(args)?;
    }
    let (mut input, bar) = open_input(args)?;
    let format = match args.format {
        Some(format) => format,
        None => Format::guess(args.path(), &mut *input)?,
    };
    let reader = records::open(input, &args.shape(format)?, selection)?;

    if args.structure.is_some() {
        return hashes::run(args, reader, &bar, started);
    }
    let db = args.store.open_or_create()?;
    let family = args.family.open_or_create(&db)?;
    let (events, batches) = sync_channel(BATCHES_IN_FLIGHT);
    let interrupted = listen_for_interrupt(events.clone())?;
    let parser = Parser::new(args, &db, family.clone(), reader, bar.clone());
    std::thread::spawn(move || parser.run(&events));

    let reporter = Arc::new(Reporter::new(args.report, args.json));
    let written = writer::run(&db, args.durability, &batches, &interrupted, &reporter);
    // The parser may be waiting for input that never comes; closing the channel ends it otherwise.
    drop(batches);
    let position = bar.position();
    bar.finish_and_clear();
    let durable = reporter.durable();
    let end = match written {
        Ok(End::Whole { skipped }) => {
            let mut out = Out::stdout();
            report::summary(&mut out, args.json, durable, skipped, position, started.elapsed())?;
            show.print(&mut out, &family, args.json)?;
            out.finish()?;
            return Ok(db.close()?);
        }
        Ok(End::Stopped(failure)) | Err(failure) => name_file(args, failure, durable),
        Ok(End::Interrupted) => {
            let message = format!("interrupted; {} durable", are(durable));
            Failure::Told { code: INTERRUPTED, message }
        }
    };
    // What stopped the import may keep the store from being closed in good order, too; all that was
    // reported is on disk either way, and the failure to be told is the first one.
    let _ = db.close();
    Err(end)
}

fn are(records: u64) -> String {
    format!("{} {}", counted(records, "record"), if records == 1 { "is" } else { "are" })
}

/// Says in which file a mistake is, and what is durable all the same.
fn name_file(args: &ImportArgs, failure: Failure, durable: u64) -> Failure {
    match failure {
        Failure::Told { code, message } => {
            let file = args.path().map_or("standard input".into(), |path| path.display().to_string());
            // A mistake in the command line is found before anything is written.
            let kept = if code == USAGE { String::new() } else { format!(" ({} durable)", are(durable)) };
            Failure::Told { code, message: format!("{file}: {message}{kept}") }
        }
        other => other,
    }
}

type Input = Box<dyn BufRead + Send>;

fn open_input(args: &ImportArgs) -> Outcome<(Input, indicatif::ProgressBar)> {
    let (input, len): (Box<dyn Read + Send>, Option<u64>) = match args.path() {
        None => {
            let stdin = std::io::stdin();
            if args.file.is_none() && stdin.is_terminal() {
                return Err(Failure::usage("name a FILE, or - for standard input"));
            }
            (Box::new(stdin), None)
        }
        Some(path) => {
            let file = File::open(path).map_err(|e| Failure::file("open", path, &e))?;
            let about = file.metadata().map_err(|e| Failure::file("open", path, &e))?;
            if about.is_dir() {
                return Err(Failure::error(format!("cannot read {}: it is a directory", path.display())));
            }
            (Box::new(file), about.is_file().then_some(about.len()))
        }
    };
    let bar = progress::bytes("importing", len);
    let input = bar.wrap_read(input);
    Ok((Box::new(BufReader::with_capacity(256 << 10, input)), bar))
}

/// The first Ctrl-C asks for an orderly end; the second one gets an immediate one.
fn listen_for_interrupt(events: SyncSender<Event>) -> Outcome<Arc<AtomicBool>> {
    let interrupted = Arc::new(AtomicBool::new(false));
    let flag = interrupted.clone();
    ctrlc::set_handler(move || {
        if flag.swap(true, Ordering::SeqCst) {
            std::process::exit(INTERRUPTED.into());
        }
        // Wakes a writer that waits for input. If the channel is full it is awake anyway.
        let _ = events.try_send(Event::Interrupted);
    })
    .map_err(|e| Failure::error(format!("cannot listen for Ctrl-C: {e}")))?;
    Ok(interrupted)
}
