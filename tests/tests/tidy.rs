//! The rules of the house, applied to the whole tree. What each rule means stands with the rule, in
//! `esker_tests::tidy`.

use esker_tests::golden;
use esker_tests::markdown;
use esker_tests::tidy::{self, Finding, Rust, report};
use esker_tests::workspace::{self, TextFile};

fn each_source(rule: impl Fn(&Rust<'_>) -> Vec<Finding>) -> Vec<Finding> {
    let files = workspace::text_files();
    files.iter().filter(|file| file.path.ends_with(".rs")).flat_map(|file| rule(&Rust::new(file))).collect()
}

fn written_here(rule: impl Fn(&TextFile) -> Vec<Finding>) -> Vec<Finding> {
    let mut files = workspace::text_files();
    files.retain(|file| !file.path.starts_with("fixtures/") || file.path == "fixtures/README.md");
    files.retain(|file| file.path != "Cargo.lock");
    files.iter().flat_map(rule).collect()
}

#[test]
fn folders_import_only_from_lower_layers() {
    report("layers", &each_source(tidy::layering));
}

#[test]
fn every_folder_of_the_engine_has_a_layer() {
    report("layer table", &tidy::unlisted_folders(&workspace::text_files()));
}

#[test]
fn golden_the_architecture_page_shows_the_layers() {
    golden::check_part("docs/architecture.md", "layers", &tidy::layer_table());
}

#[test]
fn locks_threads_and_clocks_are_named_in_one_place() {
    report("seams", &each_source(tidy::seams));
}

#[test]
fn the_engine_prints_nothing() {
    report("printing", &each_source(tidy::printing));
}

#[test]
fn every_source_file_is_compiled() {
    report("dead files", &tidy::dead_files(&workspace::text_files()));
}

#[test]
fn contents_pages_hold_contents() {
    report("contents pages", &each_source(tidy::contents_pages));
}

#[test]
fn files_and_lines_are_short() {
    report("lengths", &each_source(|rust| tidy::lengths(rust.file)));
}

#[test]
fn nothing_is_unfinished() {
    report("unfinished", &written_here(tidy::unfinished));
}

#[test]
fn no_test_is_ignored() {
    report("ignored tests", &each_source(tidy::ignored_tests));
}

#[test]
fn the_project_speaks_of_itself() {
    report("foreign words", &written_here(tidy::foreign_words));
}

#[test]
fn every_dependency_is_argued() {
    let read = |path: &str| std::fs::read_to_string(workspace::root().join(path)).unwrap();
    let found = tidy::undocumented_dependencies(&read("Cargo.toml"), &read("docs/dependencies.md"));
    report("dependencies", &found);
}

#[test]
fn every_page_is_linked_and_no_link_is_broken() {
    let files = workspace::text_files();
    let mut found = tidy::pages_without_link(&files);
    let exists = |path: &str| workspace::root().join(path).exists();
    for page in files.iter().filter(|file| file.path.ends_with(".md")) {
        found.extend(tidy::broken_links(page, exists));
    }
    report("links", &found);
}

#[test]
fn the_durability_contract_has_a_row_for_each_mode() {
    let page = std::fs::read_to_string(workspace::root().join("docs/durability.md")).unwrap();
    let rows = markdown::table(&page, "The contract");
    let modes: Vec<&str> = rows.iter().map(|row| row[0].as_str()).collect();
    assert_eq!(modes, ["`Sync`", "`Os`", "`None`"]);
    assert!(rows.iter().all(|row| row.len() == 4 && row.iter().all(|cell| !cell.is_empty())), "{rows:?}");
}
