//! Rules about the documents.

use super::finding::Finding;
use crate::markdown::local_links;
use crate::workspace::TextFile;

/// Dependencies of the workspace that the page about them does not name.
#[must_use]
pub fn undocumented_dependencies(manifest: &str, page: &str) -> Vec<Finding> {
    let named = |name: &str| page.contains(&format!("| `{name}` |"));
    let mut findings = Vec::new();
    for name in dependencies(manifest).into_iter().filter(|name| !named(name)) {
        let what = format!("{name} has no row in docs/dependencies.md: what for, and why this one?");
        findings.push(Finding::new("Cargo.toml", 0, what));
    }
    findings
}

/// The names under `[workspace.dependencies]`, without the workspace's own crates.
fn dependencies(manifest: &str) -> Vec<String> {
    let section = manifest.lines().skip_while(|line| line.trim() != "[workspace.dependencies]").skip(1);
    let entries = section.take_while(|line| !line.starts_with('['));
    let foreign = entries.filter(|line| !line.trim_start().starts_with('#') && !line.contains("path ="));
    foreign.filter_map(|line| Some(line.split_once('=')?.0.trim().to_string())).collect()
}

/// Pages of docs/ that the contents page does not link.
#[must_use]
pub fn pages_without_link(files: &[TextFile]) -> Vec<Finding> {
    let contents = files.iter().find(|file| file.path == "docs/README.md");
    let links = contents.map(|file| local_links(&file.text)).unwrap_or_default();
    let pages = files.iter().filter_map(|file| Some((file, file.path.strip_prefix("docs/")?)));
    let pages = pages.filter(|(_, page)| page.ends_with(".md") && *page != "README.md");
    let lonely = pages.filter(|(_, page)| !links.iter().any(|link| link == page));
    lonely.map(|(file, _)| Finding::new(&file.path, 0, "docs/README.md does not link this page")).collect()
}

/// Links between documents that lead nowhere; `exists` says whether a path is there.
pub fn broken_links(file: &TextFile, exists: impl Fn(&str) -> bool) -> Vec<Finding> {
    let dir = file.path.rsplit_once('/').map_or(String::new(), |(dir, _)| format!("{dir}/"));
    let broken = local_links(&file.text).into_iter().filter(|link| !exists(&format!("{dir}{link}")));
    broken.map(|link| Finding::new(&file.path, 0, format!("the link to {link} leads nowhere"))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dependencies_without_a_row_fire() {
        let manifest = "[workspace]\n[workspace.dependencies]\nesker = { path = \"engine/lsm\" }\n# x = 1\n\
                        zstd = \"0\"\nlibc = { version = \"0\" }\n[profile.test]\nopt-level = 2\n";
        let found = undocumented_dependencies(manifest, "| `zstd` | compresses | small |");
        assert_eq!(found.len(), 1);
        assert!(found[0].what.starts_with("libc "), "{}", found[0]);
    }

    #[test]
    fn pages_that_nothing_links_fire() {
        let files = [
            TextFile::new("docs/README.md", "[a](a.md), [c](format/c.md)"),
            TextFile::new("docs/a.md", ""),
            TextFile::new("docs/format/b.md", ""),
            TextFile::new("docs/format/c.md", ""),
        ];
        let found = pages_without_link(&files);
        assert_eq!(found.iter().map(|f| f.path.as_str()).collect::<Vec<_>>(), ["docs/format/b.md"]);
    }

    #[test]
    fn links_that_lead_nowhere_fire() {
        let page = TextFile::new("docs/README.md", "[a](a.md) [b](../b.md) [c](c.md)");
        let found = broken_links(&page, |path| path != "docs/c.md");
        assert_eq!(found.len(), 1);
        assert!(found[0].what.contains("c.md"));
    }
}
