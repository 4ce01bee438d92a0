//! Files in a folder: what is durable when, and what failures and crashes leave.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;

use super::super::local::SyncFile;
use super::*;

fn with_sync(root: &Path, sync: SyncFile) -> Store {
    let local = Local::open(root, sync).unwrap();
    Store { backend: Arc::new(Backend::Local(local)) }
}

fn partial_files(root: &Path) -> usize {
    root.join(".partial").read_dir().unwrap().count()
}

#[test]
fn a_file_is_synced_before_it_has_its_name_and_every_folder_after() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("not/there/yet");
    let synced: Arc<Mutex<Vec<(u64, bool, bool)>>> = Arc::default();
    let (seen, target) = (Arc::clone(&synced), root.join("a/b/1"));
    let sync: SyncFile = Arc::new(move |file| {
        let metadata = file.metadata()?;
        seen.lock().push((metadata.ino(), metadata.is_dir(), target.exists()));
        Ok(())
    });
    let store = with_sync(&root, sync);
    let inode = |path: &Path| fs::metadata(path).unwrap().ino();
    let folders = |paths: &[&str]| -> Vec<(u64, bool, bool)> {
        paths.iter().map(|path| (inode(&folder.path().join(path)), true, false)).collect()
    };
    assert_eq!(*synced.lock(), folders(&["", "not", "not/there"]));
    synced.lock().clear();
    put(&store, "a/b/1", b"contents").unwrap();
    let mut expected = vec![(inode(&root.join("a/b/1")), false, false)];
    expected.extend(folders(&["not/there/yet", "not/there/yet/a"]));
    expected.push((inode(&root.join("a/b")), true, true));
    assert_eq!(*synced.lock(), expected);
    synced.lock().clear();
    put(&store, "a/b/2", b"contents").unwrap();
    assert_eq!(synced.lock().len(), 2, "folders that are durable are not synced again");
}

#[test]
fn a_sync_that_fails_leaves_nothing_and_the_next_attempt_succeeds() {
    let syncs = Arc::new(AtomicUsize::new(0));
    for failing in 0..4 {
        for (kind, full) in [(io::ErrorKind::Other, false), (io::ErrorKind::StorageFull, true)] {
            let folder = tempfile::tempdir().unwrap();
            let count = Arc::clone(&syncs);
            count.store(0, Ordering::Relaxed);
            let store = with_sync(
                folder.path(),
                Arc::new(move |_| match count.fetch_add(1, Ordering::Relaxed) {
                    number if number == failing => Err(kind.into()),
                    _ => Ok(()),
                }),
            );
            let error = put(&store, "a/b/1", b"contents").unwrap_err();
            assert_eq!(matches!(error, StoreError::Full { .. }), full, "{error}");
            assert_eq!(matches!(error, StoreError::Io { .. }), !full, "{error}");
            assert!(names(&store, "").is_empty());
            assert_eq!(partial_files(folder.path()), 0);
            put(&store, "a/b/1", b"contents").unwrap();
        }
    }
}

#[test]
fn a_disk_that_is_full_is_named() {
    let (_folder, store) = on_disk();
    let error = store.put_file("a/1", |_| Err(io::Error::from(io::ErrorKind::StorageFull).into()));
    assert!(matches!(error, Err(StoreError::Full { name, .. }) if name == "a/1"));
}

#[test]
fn what_a_crash_left_is_deleted_and_what_is_being_written_is_not() {
    let (folder, store) = on_disk();
    fs::write(folder.path().join(".partial/0123"), b"half").unwrap();
    put(&store, "a/1", b"whole").unwrap();
    let file = store.put_file("a/2", |out| {
        out.write_all(b"first ")?;
        assert_eq!(partial_files(folder.path()), 2);
        Store::open(folder.path().to_str().unwrap()).unwrap();
        assert_eq!(partial_files(folder.path()), 1, "only the abandoned one is gone");
        Ok(out.write_all(b"second")?)
    });
    let bytes = store.open_file(&file.unwrap(), Access::Mapped).unwrap();
    assert_eq!(&bytes[..], b"first second");
    assert_eq!(names(&store, ""), ["a/1", "a/2"]);
}

#[test]
fn damage_on_the_disk_is_named_and_not_served() {
    let (folder, store) = on_disk();
    let file = put(&store, "c/1", &[5; 10_000]).unwrap();
    let path = folder.path().join("c/1");
    let mut contents = fs::read(&path).unwrap();
    contents[7_777] ^= 4;
    fs::write(&path, &contents).unwrap();
    for access in ACCESS {
        let error = store.open_file(&file, access).unwrap_err().to_string();
        assert!(error.starts_with("c/1 is damaged: its CRC32C is "), "{error}");
    }
    fs::write(&path, &contents[..9_999]).unwrap();
    for access in ACCESS {
        let error = store.open_trusted(&file, access).unwrap_err();
        assert_eq!(error.to_string(), "c/1 is damaged: it has 9999 bytes, 10000 were written");
        assert!(matches!(error, StoreError::Corrupt(_)));
    }
}

#[test]
fn a_store_is_opened_by_a_folder_or_its_url() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("new/store");
    let first = Store::open(path.to_str().unwrap()).unwrap();
    put(&first, "a/1", b"x").unwrap();
    let second = Store::open(&format!("file://{}", path.display())).unwrap();
    assert_eq!(names(&second, ""), ["a/1"]);
    for address in ["ftp://host/x", "", "file://"] {
        assert!(matches!(Store::open(address), Err(StoreError::Input(_))), "{address}");
    }
    fs::write(folder.path().join("file"), b"").unwrap();
    let below_a_file = Store::open(folder.path().join("file/store").to_str().unwrap());
    assert!(matches!(below_a_file, Err(StoreError::Io { .. })));
}
