//! Which files are part of the program, and what a contents page holds.

use super::finding::Finding;
use super::lexer::{Rust, closing, is_word, item_end};
use crate::workspace::TextFile;
use std::collections::{BTreeMap, BTreeSet};

/// Rust files that no `mod` declaration reaches.
#[must_use]
pub fn dead_files(files: &[TextFile]) -> Vec<Finding> {
    let sources: BTreeMap<&str, &TextFile> = files
        .iter()
        .filter(|file| file.path.ends_with(".rs"))
        .map(|file| (file.path.as_str(), file))
        .collect();
    let mut waiting: Vec<String> = crate_roots(files);
    let mut reached = BTreeSet::new();
    while let Some(path) = waiting.pop() {
        if let Some(file) = sources.get(path.as_str())
            && reached.insert(path.clone())
        {
            waiting.extend(declared(&Rust::new(file), owns_its_folder(&path, files)));
        }
    }
    let dead = sources.keys().filter(|path| !reached.contains(**path));
    dead.map(|path| Finding::new(path, 0, "no mod declaration reaches this file")).collect()
}

/// The files that Cargo compiles by itself: by convention, and those that a manifest names.
fn crate_roots(files: &[TextFile]) -> Vec<String> {
    let mut roots = Vec::new();
    for manifest in
        files.iter().filter(|file| file.path == "Cargo.toml" || file.path.ends_with("/Cargo.toml"))
    {
        let dir = manifest.path.strip_suffix("Cargo.toml").unwrap_or_default();
        for file in files {
            let Some(inside) = file.path.strip_prefix(dir) else { continue };
            let parts: Vec<&str> = inside.split('/').collect();
            let named = manifest.text.contains(&format!("path = \"{inside}\""));
            let conventional = match parts[..] {
                ["build.rs"] | ["src", "lib.rs" | "main.rs"] => true,
                ["tests" | "benches" | "examples", name] | ["src", "bin", name] => name.ends_with(".rs"),
                ["tests" | "benches" | "examples", _, name] | ["src", "bin", _, name] => name == "main.rs",
                _ => false,
            };
            // A package named `tests` is no test folder of the workspace's root.
            let virtual_root = dir.is_empty() && !manifest.text.contains("[package]");
            if (conventional || named) && !virtual_root {
                roots.push(file.path.clone());
            }
        }
    }
    roots
}

fn owns_its_folder(path: &str, files: &[TextFile]) -> bool {
    path.ends_with("/mod.rs") || crate_roots(files).iter().any(|root| root == path)
}

/// The files that the `mod name;` declarations of a file may mean.
fn declared(rust: &Rust<'_>, owns_folder: bool) -> Vec<String> {
    let path = &rust.file.path;
    let dir = path.rsplit_once('/').map_or(String::new(), |(dir, _)| format!("{dir}/"));
    let base = if owns_folder { dir.clone() } else { format!("{}/", path.trim_end_matches(".rs")) };
    let mut found = Vec::new();
    let mut inline: Vec<(usize, String)> = Vec::new();
    let code = &rust.code;
    for (at, _) in code.match_indices("mod ") {
        if at > 0 && is_word(code.as_bytes()[at - 1]) {
            continue;
        }
        inline.retain(|(end, _)| *end > at);
        let name_at = at + 4 + code[at + 4..].len() - code[at + 4..].trim_start().len();
        let name: String = code[name_at..].chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        let rest = code[name_at + name.len()..].trim_start();
        if rest.starts_with('{') {
            let open = name_at + name.len() + code[name_at + name.len()..].find('{').unwrap_or_default();
            inline.push((closing(code, open), name));
        } else if rest.starts_with(';') {
            let nested: String = inline.iter().map(|(_, outer)| format!("{outer}/")).collect();
            match path_attribute(rust, at) {
                Some(own) if inline.is_empty() => found.push(normal(&format!("{dir}{own}"))),
                Some(own) => found.push(normal(&format!("{base}{nested}{own}"))),
                None => {
                    found.push(format!("{base}{nested}{name}.rs"));
                    found.push(format!("{base}{nested}{name}/mod.rs"));
                }
            }
        }
    }
    found
}

/// The value of a `#[path = ".."]` among the attributes right before the item at `at`.
fn path_attribute(rust: &Rust<'_>, at: usize) -> Option<String> {
    let start = rust.code[..at].rfind([';', '}', '{']).map_or(0, |n| n + 1);
    let attributes = &rust.file.text[start..at];
    let value = &attributes[attributes.find("#[path")?..];
    value.split('"').nth(1).map(str::to_string)
}

fn normal(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "." => {}
            ".." => {
                parts.pop();
            }
            _ => parts.push(part),
        }
    }
    parts.join("/")
}

/// Items other than `mod` and `use` in files that are contents pages.
#[must_use]
pub fn contents_pages(rust: &Rust<'_>) -> Vec<Finding> {
    let path = &rust.file.path;
    if !(path.ends_with("/mod.rs") || path.ends_with("/lib.rs")) {
        return Vec::new();
    }
    let code = &rust.code;
    let mut findings = Vec::new();
    let mut at = 0;
    while let Some(skip) = code[at..].find(|c: char| !c.is_whitespace()) {
        at += skip;
        if code[at..].starts_with('#') {
            let open = at + code[at..].find('[').unwrap_or_default();
            at = closing(code, open);
            continue;
        }
        let item = without_visibility(&code[at..]);
        let import = starts_with_word(item, "use");
        let end = if import {
            at + code[at..].find(';').map_or(code.len() - at, |n| n + 1)
        } else {
            item_end(code, at)
        };
        let declaration =
            starts_with_word(item, "mod") && (code[at..end].ends_with(';') || rust.in_tests(at));
        if !import && !declaration {
            let what = "an item in a contents page: give it a file of its own";
            findings.push(Finding::at(path, code, at, what));
        }
        at = end;
    }
    findings
}

fn without_visibility(item: &str) -> &str {
    let Some(rest) = item.strip_prefix("pub") else { return item };
    let rest = rest.trim_start();
    if rest.starts_with('(') { rest[closing(rest, 0)..].trim_start() } else { rest }
}

fn starts_with_word(text: &str, word: &str) -> bool {
    text.strip_prefix(word).is_some_and(|rest| !rest.bytes().next().is_some_and(is_word))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(files: &[(&str, &str)]) -> Vec<TextFile> {
        let mut all =
            vec![TextFile::new("Cargo.toml", "[workspace]\n"), TextFile::new("a/Cargo.toml", "[package]\n")];
        all.extend(files.iter().map(|(path, text)| TextFile::new(path, text)));
        all
    }

    fn dead(files: &[(&str, &str)]) -> Vec<String> {
        dead_files(&tree(files)).into_iter().map(|finding| finding.path).collect()
    }

    #[test]
    fn declared_files_are_alive() {
        let files = [
            ("a/src/lib.rs", "pub mod b;\nmod c;\nmod i { mod j; }\nmod k;\n"),
            ("a/src/b/mod.rs", "#[cfg(test)]\n#[path = \"x_tests.rs\"]\nmod tests;\nmod d;"),
            ("a/src/b/x_tests.rs", ""),
            ("a/src/b/d.rs", "#[cfg(test)]\n#[path = \"d_tests.rs\"]\nmod tests;"),
            ("a/src/b/d_tests.rs", ""),
            ("a/src/c.rs", "mod e;"),
            ("a/src/c/e.rs", ""),
            ("a/src/i/j.rs", ""),
            ("a/src/k.rs", ""),
            ("a/tests/t.rs", "mod u;"),
            ("a/tests/u.rs", ""),
            ("a/benches/v/main.rs", ""),
            ("a/src/bin/w.rs", ""),
        ];
        assert!(dead(&files).is_empty(), "{:?}", dead(&files));
    }

    #[test]
    fn undeclared_files_fire() {
        let files = [
            ("a/src/lib.rs", "// mod b;\npub mod c;"),
            ("a/src/b.rs", ""),
            ("a/src/c/mod.rs", ""),
            ("a/src/c/d.rs", ""),
            ("a/src/d.rs", ""),
            ("tests/e.rs", ""),
        ];
        assert_eq!(dead(&files), ["a/src/b.rs", "a/src/c/d.rs", "a/src/d.rs", "tests/e.rs"]);
    }

    #[test]
    fn items_in_contents_pages_fire() {
        let count = |path: &str, text: &str| contents_pages(&Rust::new(&TextFile::new(path, text))).len();
        let page = "//! Doc.\n#![deny(x)]\npub mod a;\n#[cfg(test)]\nmod tests {\n fn f() {}\n}\n/// Doc.\n\
                    pub use a::{B, C};\npub(crate) use a::{D as E};\nuse a::*;\n";
        assert_eq!(count("a/src/lib.rs", page), 0);
        assert_eq!(
            count("a/src/b/mod.rs", "pub mod c;\npub fn f() {}\nconst X: [u8; 2] = [1; 2];\nmod d;"),
            2
        );
        assert_eq!(
            count("a/src/b/mod.rs", "macro_rules! m { () => {} }\nimpl T for U {}\nmod_x!();\nmod i {}"),
            4
        );
        assert_eq!(count("a/src/b/c.rs", "fn f() {}"), 0);
    }
}
