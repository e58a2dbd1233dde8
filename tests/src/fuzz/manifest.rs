//! `CURRENT`, manifests and their edits.

use super::{allocation, disk, mend};
use esker::Error;
use esker::base::filename::FileKind;
use esker::fs::Fs;
use esker::inspect::{ManifestItem, walk_manifest};
use esker::record::{FileHeader, HEADER_BYTES};
use esker::version::{
    Current, Edit, EditOp, StoreState, decode_edit, edit_ops, encode_edit, load_manifest, read_current,
};
use std::path::Path;

/// The line in `CURRENT`.
pub(super) fn current(data: &[u8]) {
    for bytes in [data.to_vec(), mend::current(data)] {
        let disk = disk::disk([("CURRENT".to_string(), &bytes[..])]);
        let read =
            |fs: &Fs| allocation::within(allocation::plain(0), || read_current(fs, Path::new(disk::DIR)));
        let found = match read(&Fs::Sim(disk)) {
            Ok(found) => found.expect("there is a file"),
            Err(Error::Corruption(_) | Error::UnsupportedVersion { .. }) => continue,
            Err(error) => panic!("{error}"),
        };
        let again = disk::disk([("CURRENT".to_string(), &line(found)[..])]);
        assert_eq!(read(&Fs::Sim(again)).expect("a line that was just written"), Some(found));
    }
}

/// The line that names a manifest.
pub(super) fn line(current: Current) -> Vec<u8> {
    let Current { manifest, store } = current;
    mend::signed(format!("esker 1 {} {store:016x}", FileKind::Manifest(manifest).name()).as_bytes())
}

/// A manifest that `CURRENT` names.
pub(super) fn manifest(data: &[u8]) {
    whole(data);
    let mut mended = data.to_vec();
    mend::records(&mut mended);
    whole(&mended);
}

fn whole(bytes: &[u8]) {
    let Some(raw) = bytes.first_chunk::<{ HEADER_BYTES as usize }>() else { return };
    let header = FileHeader::fields(raw);
    let kind = FileKind::Manifest(header.number);
    let line = line(Current { manifest: header.number, store: header.store });
    let disk = disk::disk([("CURRENT".to_string(), &line[..]), (kind.name(), bytes)]);
    let fs = Fs::Sim(disk);
    let (loaded, walked) = allocation::within(allocation::plain(bytes.len()), || {
        (load_manifest(&fs, Path::new(disk::DIR)), walk(&fs, &disk::path(&kind.name())))
    });
    let loaded = match loaded {
        Ok(loaded) => loaded.expect("there is a CURRENT"),
        Err(Error::Corruption(_) | Error::UnsupportedVersion { .. }) => return,
        Err(error) => panic!("{error}"),
    };
    assert_eq!(loaded.number, header.number);
    let mut state = StoreState::default();
    state.apply(&Edit(walked)).expect("what opening accepts the tools can read");
    assert_eq!(state, loaded.state);
    describes_itself(&state);
}

/// The changes up to the first place where no record stands.
fn walk(fs: &Fs, path: &Path) -> Vec<EditOp> {
    let file = fs.open(path).expect("the file was just written");
    let (mut changes, mut beyond) = (Vec::new(), false);
    let result = walk_manifest(&file, |item| {
        match item {
            ManifestItem::Break(_) => beyond = true,
            ManifestItem::Op(op) if !beyond => allocation::aside(|| changes.push(op)),
            _ => {}
        }
        Ok::<_, Error>(())
    });
    assert!(matches!(result, Ok(()) | Err(Error::UnsupportedVersion { .. })), "{result:?}");
    changes
}

/// A state, written as one edit, is read back as it was.
fn describes_itself(state: &StoreState) {
    let mut bytes = Vec::new();
    encode_edit(&mut bytes, &state.to_edit());
    let mut again = StoreState::default();
    again.apply(&decode_edit(&bytes).expect("what was just encoded")).expect("a state that exists");
    assert_eq!(&again, state);
}

/// The payload of a manifest's record.
pub(super) fn edit(data: &[u8]) {
    let decoded = allocation::within(allocation::plain(data.len()), || decode_edit(data));
    let good = edit_ops(data).take_while(Result::is_ok).count();
    let Ok(edit) = decoded else { return };
    assert_eq!(edit.0.len(), good, "one by one as all at once");
    let mut again = Vec::new();
    encode_edit(&mut again, &edit);
    assert!(again.len() <= data.len(), "nothing is shorter than what the encoder writes");
    assert_eq!(decode_edit(&again).expect("what was just encoded"), edit);
    let mut state = StoreState::default();
    if state.apply(&edit).is_ok() {
        describes_itself(&state);
    }
}
