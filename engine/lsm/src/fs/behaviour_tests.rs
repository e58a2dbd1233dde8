//! What every file system must do while nothing goes wrong: the operating system's and the
//! simulated one run the same suite, so that the simulation can stand in for the real thing.

use super::{Fs, OpenFile, OsFs, SimFs};
use crate::base::error::{Error, Result};
use std::io::ErrorKind;
use std::path::Path;

#[test]
fn the_operating_system_behaves() {
    let dir = tempfile::tempdir().unwrap();
    behaves(&Fs::Os(OsFs), dir.path());
}

#[test]
fn the_simulation_behaves() {
    behaves(&Fs::Sim(SimFs::new()), Path::new("/store"));
}

#[test]
fn the_simulation_behaves_under_a_relative_path() {
    behaves(&Fs::Sim(SimFs::new()), Path::new("store"));
}

#[test]
fn the_empty_path_is_the_current_directory() {
    for fs in [Fs::Os(OsFs), Fs::Sim(SimFs::new())] {
        let empty = Path::new("");
        fs.create_dir_all(empty).unwrap();
        fs.sync_dir(empty).unwrap();
        assert_eq!(fs.list(empty).unwrap(), fs.list(Path::new(".")).unwrap());
    }
}

/// A part of the suite and the name of the directory that it has for itself.
type Part = (&'static str, fn(&Fs, &Path));

#[test]
fn what_is_no_file_is_refused_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let fs = Fs::default();
    let pipe = dir.path().join("000001.sst");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let socket = dir.path().join("000002.log");
    let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    for (path, what) in
        [(&*pipe, "a named pipe"), (&*socket, "a socket"), (Path::new("/dev/zero"), "a device")]
    {
        let refused = [
            fs.open(path).map(drop).unwrap_err(),
            fs.open_writable(path).map(drop).unwrap_err(),
            fs.lock(path, "me").map(drop).unwrap_err(),
            fs.hold(path).map(drop).unwrap_err(),
        ];
        for error in refused {
            assert!(error.to_string().ends_with(&format!("it is {what}, not a regular file")), "{error}");
        }
    }
}

#[test]
fn two_ways_to_one_place_are_told() {
    let dir = tempfile::tempdir().unwrap();
    let (fs, root) = (Fs::default(), dir.path().canonicalize().unwrap());
    std::fs::create_dir_all(root.join("store/sub")).unwrap();
    std::os::unix::fs::symlink(root.join("store"), root.join("link")).unwrap();
    let leads = |path: &str| fs.resolve(&root.join(path));
    assert_eq!(leads("link/new/er").unwrap(), root.join("store/new/er"));
    assert_eq!(leads("store/sub/../new").unwrap(), root.join("store/new"));
    assert_eq!(leads("./other/.").unwrap(), root.join("other"));
    assert!(leads("store/none/../../new").is_err(), "making the directories would make `none`");
    let sim = Fs::Sim(crate::fs::SimFs::new());
    assert_eq!(sim.resolve(Path::new("/a/b/../c/./d")).unwrap(), Path::new("/a/c/d"));
}

fn behaves(fs: &Fs, dir: &Path) {
    let parts: [Part; 10] = [
        ("contents", contents),
        ("handles", handles),
        ("lengths", lengths),
        ("space", space),
        ("names", names),
        ("renames", renames),
        ("links", links),
        ("removal", removal),
        ("directories", directories),
        ("locks", locks),
    ];
    for (name, part) in parts {
        let dir = dir.join(name);
        fs.create_dir_all(&dir).unwrap();
        part(fs, &dir);
    }
}

fn kind<T>(result: Result<T>) -> ErrorKind {
    match result {
        Err(Error::Io(failure) | Error::DiskFull(failure)) => failure.source.kind(),
        Err(other) => panic!("not an error of a file: {other}"),
        Ok(_) => panic!("an error was expected"),
    }
}

fn file(fs: &Fs, path: &Path, bytes: &[u8]) -> OpenFile {
    let file = fs.create_new(path).unwrap();
    file.write_all_at(bytes, 0).unwrap();
    file
}

fn all(fs: &Fs, path: &Path) -> Vec<u8> {
    fs.read_all(path, 1 << 20).unwrap()
}

fn contents(fs: &Fs, dir: &Path) {
    let path = dir.join("a");
    let file = file(fs, &path, b"hello");
    assert_eq!(all(fs, &path), b"hello");
    file.write_all_at(b"J", 0).unwrap();
    file.write_all_at(b"y", 4).unwrap();
    assert_eq!(all(fs, &path), b"Jelly");
    // A gap reads as zeros.
    file.write_all_at(b"end", 10_000).unwrap();
    assert_eq!(file.size().unwrap(), 10_003);
    let mut middle = [1; 9_995];
    file.read_exact_at(&mut middle, 5).unwrap();
    assert_eq!(middle, [0; 9_995]);
    // Across pages and sectors.
    let long: Vec<u8> = (0..20_000u32).map(|n| (n % 251) as u8).collect();
    file.write_all_at(&long, 3_000).unwrap();
    let mut back = vec![0; 20_000];
    file.read_exact_at(&mut back, 3_000).unwrap();
    assert!(back == long);
    // At the end and behind it there is nothing.
    assert_eq!(file.read_at(&mut back, 23_000).unwrap(), 0);
    assert_eq!(file.read_at(&mut back, 1 << 30).unwrap(), 0);
    assert_eq!(file.read_at(&mut back, 22_999).unwrap(), 1);
    assert_eq!(kind(file.read_exact_at(&mut back, 22_999)), ErrorKind::UnexpectedEof);
    file.sync().unwrap();
    file.sync().unwrap();
    file.write_all_at(b"", 1 << 21).unwrap();
    assert_eq!(file.size().unwrap(), 23_000);
}

fn handles(fs: &Fs, dir: &Path) {
    let path = dir.join("a");
    let writer = file(fs, &path, b"one");
    let reader = fs.open(&path).unwrap();
    let second = fs.open_writable(&path).unwrap();
    writer.write_all_at(b"two", 0).unwrap();
    second.write_all_at(b"!", 3).unwrap();
    let mut bytes = [0; 4];
    reader.read_exact_at(&mut bytes, 0).unwrap();
    assert_eq!(&bytes, b"two!");
    assert!(reader.write_all_at(b"x", 0).is_err());
    assert!(reader.truncate(0).is_err());
    assert_eq!(all(fs, &path), b"two!");
    assert_eq!(kind(fs.create_new(&path)), ErrorKind::AlreadyExists);
    assert_eq!(kind(fs.open(&dir.join("b"))), ErrorKind::NotFound);
    assert_eq!(kind(fs.open_writable(&dir.join("b"))), ErrorKind::NotFound);
    assert_eq!(kind(fs.create_new(&dir.join("no/such"))), ErrorKind::NotFound);
    assert_eq!(kind(fs.create_new(&path.join("below"))), ErrorKind::NotADirectory);
}

fn lengths(fs: &Fs, dir: &Path) {
    let path = dir.join("a");
    let file = file(fs, &path, &[7; 5_000]);
    file.truncate(4_200).unwrap();
    assert_eq!(all(fs, &path), [7; 4_200]);
    // What was cut off does not come back.
    file.truncate(5_000).unwrap();
    let bytes = all(fs, &path);
    assert_eq!(bytes.len(), 5_000);
    assert!(bytes[..4_200].iter().all(|&b| b == 7) && bytes[4_200..].iter().all(|&b| b == 0));
    file.truncate(0).unwrap();
    assert_eq!(file.size().unwrap(), 0);
    file.truncate(100_000).unwrap();
    assert_eq!(all(fs, &path), vec![0; 100_000]);
    assert!(file.truncate(u64::MAX).is_err());
    assert_eq!(file.size().unwrap(), 100_000);
}

fn space(fs: &Fs, dir: &Path) {
    let path = dir.join("a");
    let file = file(fs, &path, b"kept");
    assert!(file.allocate(0).is_ok());
    if !file.allocate(9_000).unwrap() {
        return;
    }
    let mut expected = b"kept".to_vec();
    expected.resize(9_000, 0);
    assert_eq!(all(fs, &path), expected);
    // Less than there is changes nothing.
    assert!(file.allocate(10).unwrap());
    assert_eq!(all(fs, &path), expected);
    let reader = fs.open(&path).unwrap();
    assert!(reader.allocate(20_000).is_err());
}

fn names(fs: &Fs, dir: &Path) {
    assert_eq!(fs.list(dir).unwrap(), Vec::<String>::new());
    for name in ["b", "a", "c.10", "c.9"] {
        file(fs, &dir.join(name), name.as_bytes());
    }
    fs.create_dir_all(&dir.join("bb/deep")).unwrap();
    assert_eq!(fs.list(dir).unwrap(), ["a", "b", "bb", "c.10", "c.9"]);
    assert_eq!(fs.list(&dir.join("bb")).unwrap(), ["deep"]);
    assert_eq!(all(fs, &dir.join("./bb/../a")), b"a");
    assert_eq!(kind(fs.list(&dir.join("none"))), ErrorKind::NotFound);
    assert_eq!(kind(fs.list(&dir.join("a"))), ErrorKind::NotADirectory);
}

fn renames(fs: &Fs, dir: &Path) {
    let (a, b, c) = (dir.join("a"), dir.join("b"), dir.join("c"));
    let first = file(fs, &a, b"first");
    let second = file(fs, &b, b"second");
    fs.rename(&a, &b).unwrap();
    assert_eq!(fs.list(dir).unwrap(), ["b"]);
    assert_eq!(all(fs, &b), b"first");
    // Handles stay with their files.
    first.write_all_at(b"F", 0).unwrap();
    second.write_all_at(b"S", 0).unwrap();
    assert_eq!(all(fs, &b), b"First");
    let mut bytes = [0; 6];
    second.read_exact_at(&mut bytes, 0).unwrap();
    assert_eq!(&bytes, b"Second");
    fs.rename(&b, &b).unwrap();
    assert_eq!(all(fs, &b), b"First");
    assert_eq!(kind(fs.rename(&a, &c)), ErrorKind::NotFound);
    assert_eq!(kind(fs.rename(&b, &dir.join("none/c"))), ErrorKind::NotFound);
    let other = dir.join("other");
    fs.create_dir_all(&other).unwrap();
    assert_eq!(kind(fs.rename(&b, &other)), ErrorKind::IsADirectory);
    fs.rename(&b, &other.join("b")).unwrap();
    assert_eq!(fs.list(dir).unwrap(), ["other"]);
    assert_eq!(all(fs, &other.join("b")), b"First");
    fs.sync_dir(dir).unwrap();
    fs.sync_dir(&other).unwrap();
}

fn links(fs: &Fs, dir: &Path) {
    let (a, b) = (dir.join("a"), dir.join("b"));
    let open = file(fs, &a, b"shared");
    assert!(fs.link(&a, &b).unwrap());
    assert_eq!(fs.list(dir).unwrap(), ["a", "b"]);
    open.write_all_at(b"S", 0).unwrap();
    assert_eq!(all(fs, &b), b"Shared");
    assert_eq!(kind(fs.link(&a, &b)), ErrorKind::AlreadyExists);
    let other = dir.join("other");
    fs.create_dir_all(&other).unwrap();
    assert_eq!(kind(fs.link(&a, &other)), ErrorKind::AlreadyExists);
    assert_eq!(kind(fs.link(&a, &dir.join("none/b"))), ErrorKind::NotFound);
    assert_eq!(kind(fs.link(&dir.join("none"), &dir.join("c"))), ErrorKind::NotFound);
    assert!(fs.link(&a, &other.join("c")).unwrap());
    // Each name goes by itself.
    fs.remove(&a).unwrap();
    assert_eq!(all(fs, &b), b"Shared");
    fs.remove(&b).unwrap();
    assert_eq!(all(fs, &other.join("c")), b"Shared");
}

fn removal(fs: &Fs, dir: &Path) {
    let path = dir.join("a");
    let open = file(fs, &path, b"still here");
    fs.remove(&path).unwrap();
    fs.sync_dir(dir).unwrap();
    assert_eq!(kind(fs.open(&path)), ErrorKind::NotFound);
    assert_eq!(kind(fs.remove(&path)), ErrorKind::NotFound);
    // The name is free, and the old file is not the new one.
    file(fs, &path, b"new");
    open.write_all_at(b"!", 10).unwrap();
    open.sync().unwrap();
    let mut bytes = [0; 11];
    open.read_exact_at(&mut bytes, 0).unwrap();
    assert_eq!(&bytes, b"still here!");
    assert_eq!(all(fs, &path), b"new");
    fs.create_dir_all(&dir.join("d")).unwrap();
    assert!(fs.remove(&dir.join("d")).is_err());
}

fn directories(fs: &Fs, dir: &Path) {
    let deep = dir.join("x/y/z");
    fs.create_dir_all(&deep).unwrap();
    fs.create_dir_all(&deep).unwrap();
    fs.create_dir_all(&dir.join("x/y")).unwrap();
    fs.sync_dir(&deep).unwrap();
    assert_eq!(kind(fs.sync_dir(&dir.join("none"))), ErrorKind::NotFound);
    assert_eq!(kind(fs.open(&deep)), ErrorKind::IsADirectory);
    assert_eq!(kind(fs.open_writable(&deep)), ErrorKind::IsADirectory);
    assert_eq!(kind(fs.create_new(&deep)), ErrorKind::AlreadyExists);
    let path = dir.join("file");
    file(fs, &path, b"");
    assert_eq!(kind(fs.create_dir_all(&path)), ErrorKind::AlreadyExists);
    assert_eq!(kind(fs.create_dir_all(&path.join("below"))), ErrorKind::NotADirectory);
    assert_eq!(kind(fs.sync_dir(&path)), ErrorKind::NotADirectory);
    if let Fs::Os(_) = fs {
        let unopened = fs.sync_dir(&dir.join("none")).unwrap_err();
        assert!(!unopened.is_failed_sync(), "nothing was synced: {unopened}");
    }
}

fn locks(fs: &Fs, dir: &Path) {
    let path = dir.join("LOCK");
    let guard = fs.lock(&path, "the first").unwrap().unwrap();
    assert_eq!(fs.lock(&path, "the second").unwrap().unwrap_err(), "the first");
    let other = fs.lock(&dir.join("LOCK2"), "beside").unwrap().unwrap();
    drop(guard);
    let guard = fs.lock(&path, "next").unwrap().unwrap();
    assert_eq!(fs.lock(&path, "the second").unwrap().unwrap_err(), "next");
    drop((guard, other));
    assert_eq!(all(fs, &path), b"next");
    assert_eq!(kind(fs.lock(&dir.join("none/LOCK"), "")), ErrorKind::NotFound);
}
