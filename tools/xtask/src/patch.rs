//! Planted bugs as they lie in `tests/planted/`: a patch, and above it what it says about itself.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A bug that can be planted.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Patch {
    /// The name of the file without its extension.
    pub(crate) name: String,
    /// Where it lies.
    pub(crate) path: PathBuf,
    /// What is wrong with it, in words.
    pub(crate) bug: String,
    /// The tests that must notice it.
    pub(crate) catchers: Vec<Catcher>,
}

/// A test that must notice a bug.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Catcher {
    /// `unit` for the engine's unit tests, else the name of a test binary.
    pub(crate) binary: String,
    /// The full path of the test in it.
    pub(crate) test: String,
    /// What else it is told, as environment variables: the seed of a history that shows the bug.
    pub(crate) environment: Vec<(String, String)>,
}

/// All patches of a folder by name.
pub(crate) fn load(dir: &Path) -> Result<Vec<Patch>, String> {
    let wrong = |e| format!("cannot read {}: {e}", dir.display());
    let mut patches = Vec::new();
    for entry in fs::read_dir(dir).map_err(wrong)? {
        let path = entry.map_err(wrong)?.path();
        if path.extension().is_some_and(|extension| extension == "patch") {
            let text = fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
            patches.push(parse(&path, &text).map_err(|why| format!("{}: {why}", path.display()))?);
        }
    }
    patches.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(patches)
}

/// What stands above the first `diff`: `Bug:` with words over any number of lines, and a line `Catch: BINARY
/// TEST [NAME=VALUE ..]` for each test that must notice.
fn parse(path: &Path, text: &str) -> Result<Patch, String> {
    let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let mut patch = Patch { name, path: path.into(), bug: String::new(), catchers: Vec::new() };
    for line in text.lines().take_while(|line| !line.starts_with("diff ")) {
        if let Some(catcher) = line.strip_prefix("Catch: ") {
            patch.catchers.push(parse_catcher(catcher).ok_or_else(|| format!("`{line}` names no test"))?);
        } else if !line.is_empty() {
            let words = line.strip_prefix("Bug: ").unwrap_or(line);
            patch.bug += if patch.bug.is_empty() { "" } else { " " };
            patch.bug += words;
        }
    }
    match () {
        () if patch.bug.is_empty() => Err("it does not say what the bug is".into()),
        () if patch.catchers.is_empty() => Err("it does not say who must notice".into()),
        () => Ok(patch),
    }
}

fn parse_catcher(text: &str) -> Option<Catcher> {
    let mut words = text.split(' ').map(String::from);
    let (binary, test) = (words.next()?, words.next()?);
    let pair = |word: String| word.split_once('=').map(|(name, value)| (name.into(), value.into()));
    Some(Catcher { binary, test, environment: words.map(pair).collect::<Option<_>>()? })
}

/// Applies a patch to the tree at `root`, or only looks whether it applies.
pub(crate) fn apply(patch: &Patch, root: &Path, only_check: bool) -> Result<(), String> {
    let mut command = Command::new("git");
    command.args(["apply", "--recount"]);
    if only_check {
        command.arg("--check");
    }
    // A tree that is no repository of its own may lie within one.
    let ceiling = root.canonicalize().ok().and_then(|root| root.parent().map(Path::to_path_buf));
    command.arg(&patch.path).current_dir(root).envs(ceiling.map(|dir| ("GIT_CEILING_DIRECTORIES", dir)));
    let output = command.output().map_err(|e| format!("cannot start git: {e}"))?;
    match output.status.success() {
        true => Ok(()),
        false => Err(format!("does not apply: {}", String::from_utf8_lossy(&output.stderr).trim())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runner;

    #[test]
    fn a_patch_says_what_it_is() {
        let text = "Bug: Words\nand more.\n\nCatch: crash a::b SEED=5\nCatch: unit c\n\n\
                    diff --git a/x b/x\nCatch: no\n";
        let patch = parse(Path::new("dir/01-name.patch"), text).unwrap();
        assert_eq!((patch.name.as_str(), patch.bug.as_str()), ("01-name", "Words and more."));
        let catchers: Vec<_> = patch.catchers.iter().map(|c| (c.binary.as_str(), c.test.as_str())).collect();
        assert_eq!(catchers, [("crash", "a::b"), ("unit", "c")]);
        assert_eq!(patch.catchers[0].environment, [("SEED".to_string(), "5".to_string())]);
        for bad in [
            "Bug: words\n",
            "Catch: crash a\n",
            "Bug: words\nCatch: crash\n",
            "Bug: words\nCatch: crash a b\n",
        ] {
            assert!(parse(Path::new("x.patch"), bad).is_err(), "{bad}");
        }
    }

    /// A change of the engine that moves what a patch is about must move the patch along.
    #[test]
    fn every_planted_bug_applies_and_its_tests_exist() {
        let root = runner::root();
        let patches = load(&root.join("tests/planted")).unwrap();
        assert!(patches.len() >= 25, "only {} planted bugs", patches.len());
        let wrong: Vec<String> = patches
            .iter()
            .filter_map(|patch| {
                let missing = patch.catchers.iter().find(|catcher| !exists(&root, catcher));
                let missing = missing.map(|catcher| format!("there is no test {catcher:?}"));
                let why = missing.or_else(|| apply(patch, &root, true).err())?;
                Some(format!("{}: {why}", patch.name))
            })
            .collect();
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }

    fn exists(root: &Path, catcher: &Catcher) -> bool {
        let places = match catcher.binary.as_str() {
            "unit" => vec![root.join("engine/lsm/src")],
            name => ["tests/tests", "engine/lsm/tests"]
                .iter()
                .flat_map(|dir| [root.join(dir).join(format!("{name}.rs")), root.join(dir).join(name)])
                .collect(),
        };
        let function = catcher.test.rsplit("::").next().unwrap_or_default();
        places.iter().any(|place| mentions(place, &format!("fn {function}(")))
    }

    fn mentions(place: &Path, words: &str) -> bool {
        match fs::read_dir(place) {
            Ok(entries) => entries.flatten().any(|entry| mentions(&entry.path(), words)),
            Err(_) => fs::read_to_string(place).is_ok_and(|text| text.contains(words)),
        }
    }
}
