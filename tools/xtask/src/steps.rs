//! What there is to run, as data: a later task or nightly part is one more entry.

use std::time::Duration;

/// A command with its environment and the time after which it is killed.
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) environment: &'static [(&'static str, &'static str)],
    pub(crate) command: &'static [&'static str],
    /// When the step is taken for hanging.
    pub(crate) limit: Duration,
    /// Fail if it runs no test: a filter that matches nothing must not pass for a success.
    pub(crate) needs_tests: bool,
}

impl Step {
    /// The step as one would type it.
    pub(crate) fn shown(&self) -> String {
        let environment = self.environment.iter().map(|(name, value)| format!("{name}={}", quoted(value)));
        let command = self.command.iter().map(|word| quoted(word));
        environment.chain(command).collect::<Vec<_>>().join(" ")
    }
}

fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_=./:,+".contains(c);
    match word {
        _ if !word.is_empty() && word.chars().all(plain) => word.into(),
        _ if word.contains('\'') => format!("\"{word}\""),
        _ => format!("'{word}'"),
    }
}

/// A name for steps that are run one after the other.
#[derive(Debug)]
pub(crate) struct Task {
    pub(crate) name: &'static str,
    pub(crate) what: &'static str,
    pub(crate) steps: &'static [Step],
}

/// A part of the nightly run.
#[derive(Debug)]
pub(crate) struct Part {
    pub(crate) name: &'static str,
    pub(crate) step: Step,
}

const fn minutes(n: u64) -> Duration {
    Duration::from_secs(60 * n)
}

const fn step(command: &'static [&'static str], limit: Duration) -> Step {
    Step { environment: &[], command, limit, needs_tests: false }
}

const TEST: Step = step(&["cargo", "test", "--workspace"], minutes(30));

const LINTS: &[Step] = &[
    step(&["cargo", "fmt", "--all", "--check"], minutes(2)),
    step(&["cargo", "clippy", "--workspace", "--all-targets", "--", "-D", "warnings"], minutes(15)),
    Step {
        environment: &[("RUSTDOCFLAGS", "-D warnings")],
        ..step(&["cargo", "doc", "--workspace", "--no-deps", "--document-private-items"], minutes(10))
    },
];

const TIDY: Step = step(&["cargo", "test", "-p", "esker-tests", "--test", "tidy"], minutes(10));

const GOLDEN: Step = Step {
    environment: &[("ESKER_GOLDEN", "rewrite")],
    needs_tests: true,
    ..step(&["cargo", "test", "--workspace", "golden"], minutes(15))
};

const LOOM: Step = Step {
    environment: &[
        ("RUSTFLAGS", "--cfg loom"),
        ("CARGO_TARGET_DIR", "target/loom"),
        ("CARGO_PROFILE_RELEASE_LTO", "off"),
    ],
    needs_tests: true,
    ..step(&["cargo", "test", "-p", "esker", "--lib", "--release", "loom_"], minutes(15))
};

/// With every assertion on, unlike loom: a schedule takes milliseconds.
const SHUTTLE: Step = Step {
    environment: &[("RUSTFLAGS", "--cfg shuttle"), ("CARGO_TARGET_DIR", "target/shuttle")],
    needs_tests: true,
    ..step(&["cargo", "test", "-p", "esker", "--lib", "shuttle_"], minutes(15))
};

const SCHEDULES: Step = Step {
    environment: &[
        ("RUSTFLAGS", "--cfg shuttle"),
        ("CARGO_TARGET_DIR", "target/shuttle"),
        ("ESKER_SCHEDULES", "100000"),
    ],
    ..SHUTTLE
};

/// The sanitizer is unstable, but every toolchain ships it for this target.
const ASAN: Step = Step {
    environment: &[
        ("RUSTC_BOOTSTRAP", "1"),
        ("RUSTFLAGS", "-Zsanitizer=address"),
        ("CARGO_TARGET_DIR", "target/asan"),
        ("PROPTEST_CASES", "64"),
    ],
    needs_tests: true,
    ..step(&["cargo", "test", "-p", "esker", "--lib", "--target", "x86_64-unknown-linux-gnu"], minutes(20))
};

/// The test harness itself drops a few blocks that are "possibly lost"; only certain leaks count.
const VALGRIND: Step = Step {
    environment: &[
        ("PROPTEST_CASES", "4"),
        ("VALGRIND_OPTS", "--error-exitcode=1 --leak-check=full --show-leak-kinds=definite"),
    ],
    needs_tests: true,
    ..step(
        &[
            "cargo",
            "test",
            "-p",
            "esker",
            "--lib",
            "--config",
            "target.'cfg(all())'.runner = ['valgrind', '--quiet', '--errors-for-leak-kinds=definite']",
            "memtable::",
        ],
        minutes(30),
    )
};

const KILL: Step = Step {
    environment: &[("ESKER_KILLS", "20"), ("ESKER_KILL_LINES", "1000000")],
    needs_tests: true,
    ..step(&["cargo", "test", "-p", "esker-tests", "--release", "--test", "kill_import"], minutes(40))
};

const STRESS: Step = Step {
    environment: &[("ESKER_STRESS_KILLS", "2000")],
    needs_tests: true,
    ..step(&["cargo", "test", "-p", "esker-tests", "--release", "--test", "stress"], minutes(90))
};

const SERVER_KILL: Step = Step {
    environment: &[("ESKER_SERVER_KILLS", "500")],
    needs_tests: true,
    ..step(
        &["cargo", "test", "-p", "esker-tests", "--release", "--test", "server_durable", "--", "--nocapture"],
        minutes(60),
    )
};

const WIRE: Step = Step {
    environment: &[("ESKER_WIRE_COMMANDS", "2000000")],
    needs_tests: true,
    ..step(
        &["cargo", "test", "-p", "esker-tests", "--release", "--test", "redis_wire", "--", "--nocapture"],
        minutes(60),
    )
};

const CRASH: Step = Step {
    environment: &[("ESKER_CRASH_HISTORIES", "64")],
    needs_tests: true,
    ..step(
        &["cargo", "test", "-p", "esker-tests", "--test", "crash", "power", "--", "--nocapture"],
        minutes(60),
    )
};

const FAULTS: Step = Step {
    environment: &[("ESKER_FAULT_HISTORIES", "40")],
    needs_tests: true,
    ..step(
        &["cargo", "test", "-p", "esker-tests", "--test", "crash", "--", "--nocapture", "--skip", "power"],
        minutes(60),
    )
};

const DAMAGE: Step = Step {
    environment: &[("ESKER_DAMAGE_STORES", "8")],
    needs_tests: true,
    ..step(&["cargo", "test", "-p", "esker-tests", "--test", "damage", "--", "--nocapture"], minutes(60))
};

const REPAIR: Step = Step {
    environment: &[("ESKER_REPAIRS", "20000")],
    needs_tests: true,
    ..step(&["cargo", "test", "-p", "esker-tests", "--test", "repair"], minutes(30))
};

/// Who reads beside a writer, or reads its changes, sees nothing that a kill or a loss of power takes back.
const READERS: Step = Step {
    environment: &[
        ("ESKER_FEED_KILLS", "200"),
        ("ESKER_FOLLOWER_KILLS", "200"),
        ("ESKER_READER_HISTORIES", "600"),
    ],
    needs_tests: true,
    ..step(
        &[
            "cargo",
            "test",
            "-p",
            "esker-tests",
            "--test",
            "feed",
            "--test",
            "follower",
            "--test",
            "crash",
            "--",
            "readers_see",
            "a_reader_beside",
            "what_was_seen",
            "--nocapture",
        ],
        minutes(60),
    )
};

const MODEL: Step = Step {
    environment: &[
        ("ESKER_MODEL_SEQUENCES", "50000"),
        ("ESKER_MODEL_REAL", "1000"),
        ("ESKER_MODEL_SETS", "2000"),
    ],
    needs_tests: true,
    ..step(&["cargo", "test", "-p", "esker-tests", "--test", "model", "--", "--nocapture"], minutes(60))
};

/// It stops by itself, and when nothing happens for two minutes; whoever asks for hours gets them.
const SOAK: Step = Step {
    environment: &[("ESKER_SOAK_MINUTES", "30")],
    needs_tests: true,
    ..step(&["cargo", "test", "-p", "esker-tests", "--test", "soak", "--", "--nocapture"], minutes(24 * 60))
};

/// The gate tries it where it may mount a file system; here it must.
const FULL_DISK: Step = Step {
    environment: &[("ESKER_FULL_DISK", "must")],
    needs_tests: true,
    ..step(&["cargo", "test", "-p", "esker-tests", "--test", "full_disk"], minutes(10))
};

/// Keys, values and batches of the largest size take a few gigabytes of memory and disk.
const LIMITS: Step = Step {
    environment: &[("ESKER_LIMITS", "full")],
    needs_tests: true,
    ..step(&["cargo", "test", "-p", "esker-tests", "--test", "limits", "--", "--test-threads=1"], minutes(20))
};

const LINEAR: Step = Step {
    environment: &[("ESKER_LINEAR_HISTORIES", "3000"), ("ESKER_CLIENTS_HISTORIES", "2400")],
    needs_tests: true,
    ..step(
        &["cargo", "test", "-p", "esker-tests", "--test", "linearizable", "--test", "redis_clients"],
        minutes(30),
    )
};

/// Some 15,000 sequences of commands, each compared with a real server to the end.
const REDIS: Step = Step {
    environment: &[("ESKER_REDIS_COMMANDS", "5000000")],
    needs_tests: true,
    ..step(
        &["cargo", "test", "-p", "esker-tests", "--test", "redis_differential", "--test", "redis_expiry"],
        minutes(170),
    )
};

const STRUCTURES: Step = Step {
    environment: &[
        ("ESKER_STRUCTURES_CRASHES", "1000"),
        ("ESKER_STRUCTURES_FAULTS", "200"),
        ("ESKER_STRUCTURES_SEED", "1000"),
    ],
    needs_tests: true,
    ..step(&["cargo", "test", "-p", "esker-tests", "--test", "structures_crash"], minutes(60))
};

/// Half a minute for each bug, most of it building.
const PLANTED: Step = step(&["cargo", "xtask", "planted"], minutes(90));

const MUTANTS: Step = step(&["cargo", "xtask", "mutants"], minutes(150));

const BENCH: &[Step] = &[
    step(&["cargo", "run", "--release", "-p", "esker-benches", "--bin", "throughput"], minutes(15)),
    step(&["cargo", "run", "--release", "-p", "esker-benches", "--bin", "instructions"], minutes(15)),
    step(&["cargo", "run", "--release", "-p", "esker-structures", "--example", "large"], minutes(15)),
    step(&["cargo", "bench", "-p", "esker-benches"], minutes(20)),
];

const BENCH_SERVER: &[Step] = &[
    step(&["cargo", "build", "--release"], minutes(15)),
    step(&["cargo", "run", "--release", "-p", "esker-benches", "--bin", "server"], minutes(90)),
];

/// The tests that decode most, under an instrument that counts lines. It reads what the compiler's own
/// counters leave, and needs no LLVM beside it.
pub(crate) const COVERAGE: Step = Step {
    environment: &[("PROPTEST_CASES", "32")],
    needs_tests: true,
    ..step(
        &[
            "cargo",
            "tarpaulin",
            "--engine=llvm",
            "--package=esker",
            "--package=esker-tests",
            "--lib",
            "--test=basics",
            "--test=compatibility",
            "--test=damage",
            "--test=fuzz_corpus",
            "--test=repair",
            "--test=repair_cases",
            "--out=Lcov",
            "--output-dir=target/coverage",
            "--target-dir=target/tarpaulin",
            "--include-files=engine/lsm/src/*",
            "--skip-clean",
            "--timeout=900",
        ],
        minutes(45),
    )
};

/// Rewrites the inputs that fuzzing starts from.
const FUZZ_SEEDS: Step = Step {
    environment: &[("ESKER_FUZZ", "seeds")],
    needs_tests: true,
    ..step(&["cargo", "test", "-p", "esker-tests", "--test", "fuzz_corpus", "kept"], minutes(15))
};

/// A target of the fuzzer, for five minutes.
macro_rules! fuzz {
    ($target:literal) => {
        Part {
            name: concat!("fuzz-", $target),
            step: step(&["cargo", "xtask", "fuzz", $target, "300"], minutes(45)),
        }
    };
}

/// Everything that can be asked for by name, `nightly` apart.
pub(crate) const TASKS: &[Task] = &[
    Task { name: "test", what: "all tests", steps: &[TEST] },
    Task { name: "lint", what: "format, clippy and documentation without a warning", steps: LINTS },
    Task { name: "tidy", what: "the rules of the house alone", steps: &[TIDY] },
    Task { name: "golden", what: "rewrite the golden text; then review the difference", steps: &[GOLDEN] },
    Task { name: "loom", what: "model-check the lock-free protocols", steps: &[LOOM] },
    Task { name: "shuttle", what: "run whole stores under schedules chosen by a seed", steps: &[SHUTTLE] },
    Task { name: "asan", what: "the engine's unit tests under AddressSanitizer", steps: &[ASAN] },
    Task { name: "valgrind", what: "the memtable's unit tests under memcheck", steps: &[VALGRIND] },
    Task {
        name: "model",
        what: "compare 50,000 sequences with the model, 2,000 under 16 option sets",
        steps: &[MODEL],
    },
    Task { name: "soak", what: "half an hour of work, kills, full disks and clock jumps", steps: &[SOAK] },
    Task { name: "crash", what: "lose power everywhere in 64 histories", steps: &[CRASH] },
    Task { name: "faults", what: "let every kind of call fail in 40 histories", steps: &[FAULTS] },
    Task { name: "damage", what: "damage every byte of 16 stores", steps: &[DAMAGE] },
    Task { name: "bench", what: "throughput, instructions of one operation, micro benches", steps: BENCH },
    Task { name: "bench-server", what: "redis-benchmark beside redis-server", steps: BENCH_SERVER },
    Task { name: "fuzz-seeds", what: "make the inputs anew that fuzzing starts from", steps: &[FUZZ_SEEDS] },
    Task { name: "kill", what: "kill an import of a million lines twenty times", steps: &[KILL] },
    Task { name: "stress", what: "kill 2,000 processes that work on a store", steps: &[STRESS] },
    Task {
        name: "ci",
        what: "what has to pass before a change is taken",
        steps: &[step(&["bash", ".ci/run"], minutes(45))],
    },
];

/// The parts of the nightly run, in their order.
pub(crate) const NIGHTLY: &[Part] = &[
    Part { name: "test", step: TEST },
    Part { name: "loom", step: LOOM },
    Part { name: "asan", step: ASAN },
    Part { name: "valgrind", step: VALGRIND },
    Part { name: "crash", step: CRASH },
    Part { name: "faults", step: FAULTS },
    Part { name: "damage", step: DAMAGE },
    Part { name: "repair", step: REPAIR },
    Part { name: "readers", step: READERS },
    Part { name: "model", step: MODEL },
    Part { name: "kill", step: KILL },
    Part { name: "shuttle", step: SCHEDULES },
    Part { name: "linear", step: LINEAR },
    Part { name: "redis", step: REDIS },
    Part { name: "structures", step: STRUCTURES },
    Part { name: "soak", step: SOAK },
    Part { name: "full-disk", step: FULL_DISK },
    Part { name: "limits", step: LIMITS },
    Part { name: "stress", step: STRESS },
    Part { name: "server-kill", step: SERVER_KILL },
    Part { name: "redis-wire", step: WIRE },
    Part { name: "coverage", step: step(&["cargo", "xtask", "coverage"], minutes(50)) },
    fuzz!("records"),
    fuzz!("log"),
    fuzz!("batch"),
    fuzz!("current"),
    fuzz!("manifest"),
    fuzz!("edit"),
    fuzz!("block"),
    fuzz!("index"),
    fuzz!("filter"),
    fuzz!("compressed"),
    fuzz!("table"),
    fuzz!("store"),
    fuzz!("operations"),
    fuzz!("commands"),
    fuzz!("pipelines"),
    fuzz!("requests"),
    Part { name: "planted", step: PLANTED },
    Part { name: "mutants", step: MUTANTS },
];

/// The task of that name.
pub(crate) fn task(name: &str) -> Option<&'static Task> {
    TASKS.iter().find(|task| task.name == name)
}
