//! Plants known bugs, one after the other, and looks whether the tests notice.
//!
//! It is done to a copy of the workspace in `target/planted`, which keeps what it has built. A bug counts as
//! caught if each test that its patch names fails - the test itself, not the build. Whoever passes for good
//! must do so without the bug, too: the named tests are run once on the copy as it is.

use crate::patch::{self, Catcher, Patch};
use crate::runner::{self, Outcome};
use crate::state::{State, revision};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

pub(crate) const WHAT: &str =
    "plant each known bug and see it caught; `planted NAME..` some, `planted again` all";

/// How the tests are run: not larger than in the gate, so that what is caught here is caught there.
const ENVIRONMENT: &[(&str, &str)] = &[
    ("ESKER_CRASH_HISTORIES", "8"),
    ("ESKER_FAULT_HISTORIES", "4"),
    ("ESKER_MODEL_SEQUENCES", "300"),
    ("ESKER_SHRINK", "0"),
    ("PROPTEST_CASES", "64"),
];

/// The build is most of the work: less optimisation and no debug information make it several times faster.
const PROFILE: &[(&str, &str)] = &[("CARGO_PROFILE_TEST_OPT_LEVEL", "1"), ("CARGO_PROFILE_TEST_DEBUG", "0")];

const BUILD_LIMIT: Duration = Duration::from_secs(20 * 60);
const TEST_LIMIT: Duration = Duration::from_secs(10 * 60);

/// The name under which it is kept that all tests pass without a bug.
const SOUND: &str = "without a bug";

/// Plants the bugs whose names begin with the words, or those that were not caught yet at this revision.
pub(crate) fn run(words: &[&str]) -> Result<(), String> {
    let dir = runner::root().join("target/planted");
    fs::create_dir_all(&dir).map_err(|e| format!("cannot create {}: {e}", dir.display()))?;
    // Two runs would plant into one tree.
    let lock = fs::File::create(dir.join("lock")).map_err(|e| format!("cannot create a lock: {e}"))?;
    lock.try_lock().map_err(|e| format!("another run is planting: {e}"))?;
    let field = Field { tree: dir.join("tree"), dir };
    let all = patch::load(&runner::root().join("tests/planted"))?;
    let mut state = match words {
        ["again"] => State::new(&revision()),
        _ => State::read(&field.dir.join("state"), &revision()),
    };
    let named = |patch: &Patch| words.iter().any(|word| patch.name.starts_with(word));
    let chosen: Vec<&Patch> = match words {
        [] | ["again"] => all.iter().filter(|patch| !state.has(&patch.name)).collect(),
        _ => all.iter().filter(|patch| named(patch)).collect(),
    };
    if chosen.is_empty() && !words.is_empty() {
        return Err("there is no such bug in tests/planted".into());
    }
    let mut failed = Vec::new();
    if words.is_empty() || words == ["again"] {
        field.sound(&all, &mut state)?;
    }
    for patch in chosen {
        let started = Instant::now();
        let caught = field.plant(patch);
        let seconds = started.elapsed().as_secs();
        match caught {
            Ok(how) => {
                println!("{}: caught in {seconds} s", patch.name);
                let passed = patch.catchers.len() as u64;
                let figures = std::iter::once(patch.bug.clone()).chain(how).collect();
                state.passed(&patch.name, &Outcome { seconds, passed, figures });
            }
            Err(why) => {
                println!("{}: NOT CAUGHT after {seconds} s: {why}", patch.name);
                state.forget(&patch.name);
                failed.push(patch.name.as_str());
            }
        }
        state.write(&field.dir.join("state"))?;
    }
    print!("{}", state.text());
    let caught = all.iter().filter(|patch| state.has(&patch.name)).count();
    println!("figure: planted bugs: {caught} of {} caught", all.len());
    if failed.is_empty() { Ok(()) } else { Err(format!("not caught: {}", failed.join(", "))) }
}

/// Where bugs are planted.
struct Field {
    dir: PathBuf,
    tree: PathBuf,
}

impl Field {
    /// Runs all named tests on the workspace as it is.
    fn sound(&self, all: &[Patch], state: &mut State) -> Result<(), String> {
        if state.has(SOUND) {
            return Ok(());
        }
        let started = Instant::now();
        copy_workspace(&runner::root(), &self.tree)?;
        let catchers: BTreeSet<&Catcher> = all.iter().flat_map(|patch| &patch.catchers).collect();
        let built = self.build(&catchers)?;
        for catcher in &catchers {
            println!("{} {}", catcher.binary, catcher.test);
            let (passed, lines) = self.test(&built, catcher)?;
            let ran = lines.iter().any(|line| line.starts_with("test result: ok. 1 passed"));
            if !(passed && ran) {
                return Err(format!("{} does not pass without a bug", catcher.test));
            }
        }
        let (seconds, passed) = (started.elapsed().as_secs(), catchers.len() as u64);
        state.passed(SOUND, &Outcome { seconds, passed, figures: Vec::new() });
        state.write(&self.dir.join("state"))
    }

    /// Plants a bug and returns a line for each test that notices it.
    fn plant(&self, patch: &Patch) -> Result<Vec<String>, String> {
        copy_workspace(&runner::root(), &self.tree)?;
        patch::apply(patch, &self.tree, false)?;
        let catchers: BTreeSet<&Catcher> = patch.catchers.iter().collect();
        let built = self.build(&catchers)?;
        let mut how = Vec::new();
        for catcher in &patch.catchers {
            let started = Instant::now();
            let (_, lines) = self.test(&built, catcher)?;
            let log = self.dir.join(format!("{}-{}.log", patch.name, catcher.binary));
            fs::write(&log, lines.join("\n")).map_err(|e| format!("cannot write {}: {e}", log.display()))?;
            if !lines.iter().any(|line| *line == format!("test {} ... FAILED", catcher.test)) {
                return Err(format!("{} {} does not fail", catcher.binary, catcher.test));
            }
            how.push(format!(
                "by {}, {}, in {} s",
                catcher.binary,
                catcher.test,
                started.elapsed().as_secs()
            ));
        }
        Ok(how)
    }

    /// Builds test binaries; returns where they are by name. The packages are always the same ones: others
    /// would turn on other features, and build the engine anew.
    fn build(&self, catchers: &BTreeSet<&Catcher>) -> Result<BTreeMap<String, PathBuf>, String> {
        let binaries: BTreeSet<&str> = catchers.iter().map(|catcher| catcher.binary.as_str()).collect();
        let mut command = Command::new("cargo");
        command.args(["test", "--no-run", "--locked", "--package", "esker", "--package", "esker-tests"]);
        for binary in binaries {
            match binary {
                "unit" => command.arg("--lib"),
                name => command.args(["--test", name]),
            };
        }
        command.current_dir(&self.tree).envs(PROFILE.iter().copied());
        command.env("CARGO_TARGET_DIR", self.dir.join("build"));
        let (succeeded, lines) = runner::watch(command, BUILD_LIMIT)?;
        if !succeeded {
            let errors: Vec<&str> =
                lines.iter().filter(|l| l.starts_with("error")).map(String::as_str).collect();
            return Err(format!("it does not build: {}", errors.join("; ")));
        }
        Ok(lines.iter().filter_map(|line| executable(line)).collect())
    }

    fn test(
        &self,
        built: &BTreeMap<String, PathBuf>,
        catcher: &Catcher,
    ) -> Result<(bool, Vec<String>), String> {
        let name = if catcher.binary == "unit" { "esker" } else { &catcher.binary };
        let binary = built.get(name).ok_or_else(|| format!("{name} was not built"))?;
        let of_tests = self.tree.join(format!("tests/tests/{name}.rs")).exists();
        let mut command = Command::new(self.tree.join(binary));
        command.args([&catcher.test, "--exact"]).envs(ENVIRONMENT.iter().copied());
        command.envs(catcher.environment.iter().map(|(name, value)| (name, value)));
        command.current_dir(self.tree.join(if of_tests { "tests" } else { "engine/lsm" }));
        runner::watch(command, TEST_LIMIT)
    }
}

/// The name and the path in a line such as `Executable tests/crash.rs (target/debug/deps/crash-0123)`.
fn executable(line: &str) -> Option<(String, PathBuf)> {
    let path = line.trim().strip_prefix("Executable ")?.rsplit_once(" (")?.1.strip_suffix(')')?;
    let path = PathBuf::from(path);
    let name = path.file_name()?.to_str()?.rsplit_once('-')?.0.to_string();
    Some((name, path))
}

/// Makes `tree` a copy of what belongs to the workspace. A file that is the same already is left alone, so
/// that it does not look new to the build; what the workspace does not have goes.
fn copy_workspace(root: &Path, tree: &Path) -> Result<(), String> {
    let mut command = Command::new("git");
    command.args(["ls-files", "--cached", "--others", "--exclude-standard", "-z"]).current_dir(root);
    let output = command.output().map_err(|e| format!("cannot start git: {e}"))?;
    let names = String::from_utf8_lossy(&output.stdout);
    let names: BTreeSet<PathBuf> = names
        .split('\0')
        .filter(|n| !n.is_empty())
        .map(PathBuf::from)
        .filter(|n| root.join(n).is_file())
        .collect();
    if !output.status.success() || names.is_empty() {
        return Err("git does not list the files of the workspace".into());
    }
    let wrong = |path: &Path, e: std::io::Error| format!("cannot copy {}: {e}", path.display());
    for name in &names {
        let (from, to) = (root.join(name), tree.join(name));
        let bytes = fs::read(&from).map_err(|e| wrong(&from, e))?;
        if fs::read(&to).is_ok_and(|there| there == bytes) {
            continue;
        }
        to.parent().map_or(Ok(()), fs::create_dir_all).map_err(|e| wrong(&to, e))?;
        fs::write(&to, bytes).map_err(|e| wrong(&to, e))?;
    }
    remove_others(tree, tree, &names).map_err(|e| wrong(tree, e))
}

fn remove_others(tree: &Path, dir: &Path, names: &BTreeSet<PathBuf>) -> std::io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let path = entry.path();
        if entry.file_type()?.is_dir() {
            remove_others(tree, &path, names)?;
        } else if !path.strip_prefix(tree).is_ok_and(|name| names.contains(name)) {
            fs::remove_file(&path)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn built_binaries_are_found_in_what_cargo_says() {
        let line = "  Executable tests/known_bugs/main.rs (target/debug/deps/known_bugs-0a1b)";
        let path = PathBuf::from("target/debug/deps/known_bugs-0a1b");
        assert_eq!(executable(line), Some(("known_bugs".into(), path)));
        let unit = "  Executable unittests src/lib.rs (/x/esker_tests-9)";
        assert_eq!(executable(unit), Some(("esker_tests".into(), "/x/esker_tests-9".into())));
        assert_eq!(executable("   Compiling esker v0.1.0 (/x/esker-1)"), None);
    }
}
