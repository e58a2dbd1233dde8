//! `esker serve`

use super::backup::{paced, rate};
use crate::failure::{Failure, INTERRUPTED, Outcome};
use crate::output::notes;
use crate::store::tell_recovery;
use crate::text::{duration, size};
use clap::{Args, ValueEnum, value_parser};
use esker::Durability;
use esker_server::{BackupTo, MetricsEndpoint, Options, Server};
use esker_structures::Store;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU64;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const AFTER_HELP: &str = "\
Examples:
  esker serve
  esker serve --dir sessions --port 7000 --memory 4GiB
  redis-cli -p 7000 set greeting hello
  esker serve --backups backups       redis-cli bgsave adds one

A reply is sent when what it tells is on disk, unless --durability os is chosen. There is no password: whoever
reaches the address may do everything. SIGINT, SIGTERM and SHUTDOWN stop it in good order.";

/// With metrics, one in so many of the engine's reads and writes is timed.
const TIMED_ONE_IN: u32 = 100;

/// What a reply must survive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Survives {
    /// A loss of power.
    Sync,
    /// A kill of the process; a loss of power after the next interval.
    Os,
}

/// Arguments of `esker serve`.
#[derive(Args, Debug)]
#[command(after_help = AFTER_HELP)]
pub struct ServeArgs {
    /// The directory of the store; it is created if there is none
    #[arg(short, long, value_name = "DIR", default_value = "data", env = "ESKER_DIR")]
    pub dir: PathBuf,
    /// The address to listen on
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1")]
    pub bind: IpAddr,
    /// The port to listen on; 0 takes a free one
    #[arg(long, value_name = "PORT", default_value_t = 6379)]
    pub port: u16,
    /// What a reply must survive: sync (a loss of power) or os (a kill of the process)
    #[arg(long, value_name = "MODE", default_value = "sync", hide_possible_values = true)]
    pub durability: Survives,
    /// With --durability os: how much a loss of power may take back
    #[arg(long, value_name = "DURATION", default_value = "1s", value_parser = duration::parse)]
    pub sync_interval: Duration,
    /// Memory for write buffers and caches together
    #[arg(long, value_name = "SIZE", default_value = "512MB", value_parser = size::parse)]
    pub memory: u64,
    /// About what the elements that one command holds at once may take; more is an error. 0 for no limit
    #[arg(long, value_name = "SIZE", default_value = "512MiB", value_parser = size::parse)]
    pub command_memory: u64,
    /// How many databases there are; refused if further ones of the store hold keys
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = value_parser!(u32).range(1..=65536))]
    pub databases: u32,
    /// Threads that carry out commands; 0 for one for each core, and two at least
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = value_parser!(u16).range(..=1024))]
    pub workers: u16,
    /// Answer `GET /metrics` over HTTP here, such as 127.0.0.1:9121; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub metrics: Option<SocketAddr>,
    /// Where BGSAVE adds a backup; see `esker backup` for what can be done with them
    #[arg(long, value_name = "BACKUPS")]
    pub backups: Option<PathBuf>,
    /// How much a backup reads from the store in a second at most, such as 50MB
    #[arg(long, value_name = "SIZE", value_parser = rate, requires = "backups")]
    pub backup_rate: Option<NonZeroU64>,
    /// Write the log by calls, not through memory: slower with --durability os, but a disk that fails gives
    /// an error where it may otherwise end the process
    #[arg(long)]
    pub log_by_calls: bool,
    /// Open a store whose log is damaged, and give up all that was written behind the damage
    #[arg(long)]
    pub recover_to_damage: bool,
}

/// Serves a store until it is told to stop.
///
/// # Errors
/// The store cannot be opened or closed, or the address cannot be listened on.
pub fn run(args: &ServeArgs) -> Outcome {
    let durability = if args.durability == Survives::Sync { Durability::Sync } else { Durability::Os };
    let command_memory = usize::try_from(args.command_memory).ok().filter(|bytes| *bytes > 0);
    let store = Store::builder(&args.dir)
        .durability(durability)
        .databases(args.databases)
        .command_memory(command_memory.unwrap_or(usize::MAX))
        .engine(|engine| {
            engine
                .memory_budget(args.memory)
                .sync_interval(args.sync_interval)
                .recover_to_damage(args.recover_to_damage)
                .map_log(!args.log_by_calls)
                .time_one_in(if args.metrics.is_some() { TIMED_ONE_IN } else { 0 })
        })
        .open()
        .map_err(|error| Failure::error(plain(&error)))?;
    tell_recovery(store.engine().recovery());
    let address = SocketAddr::new(args.bind, args.port);
    let backups = args.backups.clone().map(|dir| BackupTo { dir, options: paced(args.backup_rate) });
    let options = Options { address, workers: args.workers.into(), backups, ..Options::default() };
    let server = Server::start(&store, &options)
        .map_err(|error| Failure::error(format!("cannot listen on {address}: {error}")))?;
    if server.max_clients() < options.max_clients {
        let most = server.max_clients();
        notes::note(&format!("at most {most} connections, since the process may not have more files open"));
    }
    let (stopper, asked) = (server.stopper(), AtomicBool::new(false));
    ctrlc::set_handler(move || {
        if asked.swap(true, Ordering::SeqCst) {
            std::process::exit(INTERRUPTED.into());
        }
        stopper.stop();
    })
    .map_err(|error| Failure::error(format!("cannot listen for signals: {error}")))?;
    let endpoint = args.metrics.map(|address| {
        let started = MetricsEndpoint::start(&store, address);
        started.map_err(|error| Failure::error(format!("cannot listen on {address}: {error}")))
    });
    let endpoint = endpoint.transpose()?;
    if let Some(endpoint) = &endpoint {
        notes::note(&format!("metrics on http://{}/metrics", endpoint.address()));
    }
    if !args.bind.is_loopback() {
        notes::warning("there is no password: whoever reaches this address may do everything");
    }
    let (address, dir) = (server.address(), args.dir.display());
    let promise = if durability == Durability::Sync { "a loss of power" } else { "a kill of the process" };
    notes::note(&format!("ready on {address}; store {dir}; replies survive {promise}"));
    let waited = server.wait();
    drop(endpoint);
    store.close().map_err(|error| Failure::error(plain(&error)))?;
    if waited.is_err() {
        return Err(Failure::error("stopped, because a thread of the server panicked"));
    }
    notes::note("stopped");
    Ok(())
}

/// The engine's text without the word that Redis puts in front.
fn plain(error: &esker_structures::Error) -> String {
    match error {
        esker_structures::Error::Engine(error) => error.to_string(),
        other => other.to_string(),
    }
}
