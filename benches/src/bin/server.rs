//! `esker serve` beside `redis-server`, with `redis-benchmark` as the client of both, at equal durability.
//!
//! For each row: operations a second (the median of the rounds; rounds of both servers take turns), the
//! ratio, and the CPU time that each server took for an operation. At the end the memory that each has
//! resident; and what both have resident with keys of 100 bytes, `esker serve` under a budget of 64 MiB.
//! `target/release/esker` must be there: `cargo xtask bench-server` builds it first.

use clap::Parser;
use std::error::Error;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

type Fallible<T> = Result<T, Box<dyn Error>>;

/// Measure esker serve beside redis-server
#[derive(Debug, Parser)]
struct Args {
    /// Rounds of each row; the median counts
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Operations of a round with 50 connections that send pipelines; other rounds have fewer
    #[arg(long, default_value_t = 400_000)]
    operations: u64,
    /// Keys
    #[arg(long, default_value_t = 1_000_000)]
    keys: u64,
    /// Rows, such as get,set; all without it
    #[arg(long, value_delimiter = ',')]
    tests: Vec<String>,
    /// os, sync, or both without it
    #[arg(long, value_delimiter = ',')]
    durability: Vec<String>,
    /// Connections
    #[arg(long, value_delimiter = ',', default_value = "1,50")]
    connections: Vec<u64>,
    /// Commands in a pipeline
    #[arg(long, value_delimiter = ',', default_value = "1,16")]
    pipelines: Vec<u64>,
    /// Only the memory that keys of 100 bytes take
    #[arg(long)]
    memory: bool,
    /// Where the stores are put
    #[arg(long)]
    dir: Option<PathBuf>,
}

/// The rows: names that redis-benchmark knows, or a command.
const TESTS: &[(&str, &[&str])] = &[
    ("get", &["-t", "get"]),
    ("set", &["-t", "set"]),
    ("incr", &["-t", "incr"]),
    ("lpush", &["-t", "lpush"]),
    ("lpop", &["-t", "lpop"]),
    ("sadd", &["-t", "sadd"]),
    ("hset", &["-t", "hset"]),
    ("zadd", &["-t", "zadd"]),
    ("lrange_100", &["lrange", "hundred", "0", "99"]),
];

struct Server {
    name: &'static str,
    child: Child,
    port: u16,
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn free_port() -> Fallible<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

impl Server {
    fn start(name: &'static str, mut command: Command, port: u16) -> Fallible<Server> {
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let child = child.map_err(|error| format!("{name}: {error}"))?;
        let mut server = Server { name, child, port };
        let limit = Instant::now() + Duration::from_secs(20);
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            if Instant::now() > limit || server.child.try_wait()?.is_some() {
                return Err(format!("{name} does not answer").into());
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(server)
    }

    fn esker(program: &Path, dir: &Path, durability: &str, more: &[&str]) -> Fallible<Server> {
        let port = free_port()?;
        let mut command = Command::new(program);
        command.args(["serve", "--port", &port.to_string(), "--durability", durability]).args(more);
        command.arg("--dir").arg(dir);
        Server::start("esker", command, port)
    }

    fn redis(dir: &Path, durability: &str) -> Fallible<Server> {
        let port = free_port()?;
        std::fs::create_dir_all(dir)?;
        let fsync = if durability == "sync" { "always" } else { "everysec" };
        let mut command = Command::new("redis-server");
        command.args([
            "--port",
            &port.to_string(),
            "--save",
            "",
            "--appendonly",
            "yes",
            "--appendfsync",
            fsync,
        ]);
        command.arg("--dir").arg(dir);
        Server::start("redis", command, port)
    }

    /// User and system time of all its threads.
    fn cpu(&self) -> Fallible<Duration> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        let behind = stat.rsplit_once(") ").ok_or("no such text in stat")?.1;
        let ticks = behind.split(' ').skip(11).take(2).map(str::parse::<u64>);
        let ticks = ticks.collect::<Result<Vec<_>, _>>()?.iter().sum::<u64>();
        // The system tells it in hundredths of a second.
        Ok(Duration::from_millis(10 * ticks))
    }

    fn resident(&self) -> Fallible<u64> {
        self.status("VmRSS:")
    }

    /// A line of its status, in bytes.
    fn status(&self, name: &str) -> Fallible<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix(name)).ok_or("no such line")?;
        Ok(line.split_whitespace().next().ok_or("no number")?.parse::<u64>()? * 1024)
    }

    /// Gives a command for each of so many keys, in pipelines; all must be answered by `reply`.
    fn each_key(&self, keys: u64, command: impl Fn(&str) -> String, reply: &str) -> Fallible<()> {
        const PIPELINE: u64 = 500;
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
        for start in (0..keys).step_by(PIPELINE as usize) {
            let numbers = start..(start + PIPELINE).min(keys);
            let count = (numbers.end - numbers.start) as usize;
            // Keys that follow each other in time stand far from each other in order.
            let key = |number: u64| format!("key:{:016x}", number.wrapping_mul(0x9E37_79B9_7F4A_7C15));
            let bytes: String = numbers.map(|number| command(&key(number))).collect();
            stream.write_all(bytes.as_bytes())?;
            let mut replies = vec![0; reply.len() * count];
            stream.read_exact(&mut replies)?;
            if !replies.chunks(reply.len()).all(|other| other == reply.as_bytes()) {
                return Err(format!("{}: a command was refused", self.name).into());
            }
        }
        Ok(())
    }

    /// Runs redis-benchmark; returns operations a second.
    fn run(&self, operations: u64, keys: u64, load: (u64, u64), what: &[&str]) -> Fallible<f64> {
        let (connections, pipeline) = load;
        let numbers = [self.port.into(), operations, connections, pipeline, keys].map(|n| n.to_string());
        let [port, operations, connections, pipeline, keys] = numbers.each_ref().map(String::as_str);
        let output = Command::new("redis-benchmark")
            .args(["-p", port, "-n", operations, "-c", connections, "-P", pipeline, "-r", keys])
            .args(["-d", "100", "--csv"])
            .args(what)
            .output()?;
        let text = String::from_utf8_lossy(&output.stdout);
        let row = text.lines().nth(1).ok_or_else(|| format!("{}: {what:?}: {text}", self.name))?;
        let rate = row.split("\",\"").nth(1).ok_or("no rate")?;
        Ok(rate.parse()?)
    }

    fn fill(&self, keys: u64) -> Fallible<()> {
        self.run(keys, keys, (50, 16), &["-t", "set"])?;
        self.run(100, 1, (1, 1), &["rpush", "hundred", "xxxxxxxxxx"])?;
        Ok(())
    }
}

/// What a server does in a row.
#[derive(Default)]
struct Measured {
    rates: Vec<f64>,
    cpu: Duration,
    operations: u64,
}

impl Measured {
    fn median(&mut self) -> f64 {
        self.rates.sort_by(f64::total_cmp);
        self.rates.get(self.rates.len() / 2).copied().unwrap_or(0.0)
    }

    /// Microseconds for an operation.
    fn cpu_us(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.operations.max(1) as f64
    }
}

/// Fewer operations where each takes a round trip, and fewer still where it takes a sync of its own.
fn operations(args: &Args, durability: &str, load: (u64, u64)) -> u64 {
    let share = match load {
        (1, 1) if durability == "sync" => 100,
        (1, _) if durability == "sync" => 10,
        (1, 1) => 20,
        (1, _) | (_, 1) => 4,
        _ => 1,
    };
    (args.operations / share).max(100)
}

/// What both have resident with so many keys, the moment after they were set and a while later.
fn memory(program: &Path, dir: &Path, keys: u64) -> Fallible<()> {
    let servers = [
        Server::esker(program, &dir.join("esker-memory"), "os", &["--memory", "64MB"])?,
        Server::redis(&dir.join("redis-memory"), "os")?,
    ];
    println!("| {keys} keys of 100 bytes | resident before | loaded | 10 s later | peak | read, too |");
    println!("|---|---|---|---|---|---|");
    for server in &servers {
        let before = server.resident()?;
        let value = format!("$100\r\n{}\r\n", "v".repeat(100));
        let set = |key: &str| format!("*3\r\n$3\r\nSET\r\n$20\r\n{key}\r\n{value}");
        server.each_key(keys, set, "+OK\r\n")?;
        let loaded = server.resident()?;
        thread::sleep(Duration::from_secs(10));
        let later = server.resident()?;
        server.each_key(keys, |key| format!("*2\r\n$3\r\nGET\r\n$20\r\n{key}\r\n"), &value)?;
        let mib = |bytes: u64| format!("{:.0} MiB", bytes as f64 / f64::from(1 << 20));
        let (peak, read) = (server.status("VmHWM:")?, server.resident()?);
        let [before, loaded, later, peak, read] = [before, loaded, later, peak, read].map(mib);
        println!("| {} | {before} | {loaded} | {later} | {peak} | {read} |", server.name);
    }
    Ok(())
}

fn main() -> Fallible<()> {
    let args = Args::parse();
    let program = std::env::current_exe()?.with_file_name("esker");
    let dir = match &args.dir {
        Some(dir) => tempfile::tempdir_in(dir)?,
        None => tempfile::tempdir()?,
    };
    if args.memory {
        return memory(&program, dir.path(), args.keys);
    }
    let modes =
        if args.durability.is_empty() { vec!["os".into(), "sync".into()] } else { args.durability.clone() };
    println!("| mode | c | P | test | esker /s | redis /s | ratio | esker us | redis us |");
    println!("|---|---|---|---|---|---|---|---|---|");
    for mode in &modes {
        let servers = [
            Server::esker(&program, &dir.path().join(format!("esker-{mode}")), mode, &[])?,
            Server::redis(&dir.path().join(format!("redis-{mode}")), mode)?,
        ];
        for server in &servers {
            server.fill(args.keys)?;
        }
        for &connections in &args.connections {
            for &pipeline in &args.pipelines {
                for (name, what) in TESTS {
                    if args.tests.is_empty() || args.tests.iter().any(|wanted| wanted == name) {
                        row(&args, &servers, mode, (connections, pipeline), name, what)?;
                    }
                }
            }
        }
        for server in &servers {
            println!("{mode}: {} has {} MiB resident", server.name, server.resident()? >> 20);
        }
    }
    memory(&program, dir.path(), args.keys)
}

fn row(
    args: &Args,
    servers: &[Server; 2],
    mode: &str,
    load: (u64, u64),
    name: &str,
    what: &[&str],
) -> Fallible<()> {
    let operations = operations(args, mode, load);
    let mut measured = [Measured::default(), Measured::default()];
    for _ in 0..args.rounds {
        for (server, measured) in servers.iter().zip(&mut measured) {
            let before = server.cpu()?;
            measured.rates.push(server.run(operations, args.keys, load, what)?);
            measured.cpu += server.cpu()? - before;
            measured.operations += operations;
        }
    }
    let [ours, theirs] = &mut measured;
    let (a, b) = (ours.median(), theirs.median());
    let (connections, pipeline) = load;
    println!(
        "| {mode} | {connections} | {pipeline} | {name} | {a:.0} | {b:.0} | {:.2} | {:.1} | {:.1} |",
        a / b.max(1.0),
        ours.cpu_us(),
        theirs.cpu_us()
    );
    Ok(())
}
