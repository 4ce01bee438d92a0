//! The store: the same behaviour of every kind, and what only disks do.

mod disk;
mod faults;
mod remote;
mod s3;

use std::collections::BTreeMap;

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::error::Corrupt;

const ACCESS: [Access; 3] = [Access::Mapped, Access::MappedRandom, Access::InMemory];

fn on_disk() -> (TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path().to_str().unwrap()).unwrap();
    (folder, store)
}

/// A store of each kind; the folder lives as long as what is returned.
fn stores() -> (TempDir, [Store; 2]) {
    let (folder, store) = on_disk();
    (folder, [store, Store::memory().0])
}

fn put(store: &Store, name: &str, contents: &[u8]) -> Result<FileRef, StoreError> {
    store.put_file(name, |out| Ok(out.write_all(contents)?))
}

fn names(store: &Store, prefix: &str) -> Vec<String> {
    store.list_files(prefix).unwrap().into_iter().map(|file| file.name).collect()
}

#[test]
fn a_file_is_read_as_it_was_written() {
    let (_folder, stores) = stores();
    for store in stores {
        for length in [0, 1, 5_000, 700_000] {
            let contents: Vec<u8> = (0..length).map(|place| (place % 251) as u8).collect();
            let name = format!("c12/s-{length}_7.arrow");
            let written = store.put_file(&name, |out| {
                for piece in contents.chunks(1_000) {
                    out.write_all(piece)?;
                }
                Ok(())
            });
            let file = written.unwrap();
            assert_eq!((file.name.as_str(), file.bytes), (name.as_str(), length as u64));
            assert_eq!(file.crc32c, crc32c::crc32c(&contents));
            for access in ACCESS {
                let bytes = store.open_file(&file, access).unwrap();
                assert_eq!(&bytes[..], &contents[..]);
                assert_eq!(store.open_trusted(&file, access).unwrap(), bytes);
            }
        }
    }
}

#[test]
fn a_name_is_used_once() {
    let (_folder, stores) = stores();
    for store in stores {
        let file = put(&store, "a/1", b"first").unwrap();
        let again = put(&store, "a/1", b"second").unwrap_err();
        assert_eq!(again.to_string(), "a/1 is already in the store");
        assert!(matches!(again, StoreError::Exists { name } if name == "a/1"));
        assert_eq!(&store.open_file(&file, Access::Mapped).unwrap()[..], b"first");
        assert_eq!(names(&store, ""), ["a/1"]);
    }
}

#[test]
fn names_that_leave_the_store_or_hide_in_it_are_refused() {
    let (_folder, stores) = stores();
    let long = "x".repeat(256);
    for store in stores {
        for name in
            ["", "/a", "a/", "a//b", "../a", "a/../b", ".a", "a/.b", "a b", "ä", "a\\b", &long]
        {
            let text = put(&store, name, b"x").unwrap_err().to_string();
            assert!(text.ends_with("is no name of a file in the store"), "{text}");
            let file = FileRef { name: name.into(), bytes: 1, crc32c: 0 };
            assert!(matches!(store.open_file(&file, Access::Mapped), Err(StoreError::Input(_))));
            assert!(matches!(store.delete_file(name), Err(StoreError::Input(_))));
        }
        assert!(names(&store, "").is_empty());
    }
}

#[test]
fn a_file_that_is_gone_is_missing() {
    let (_folder, stores) = stores();
    for store in stores {
        let file = put(&store, "a/1", b"contents").unwrap();
        let open = ACCESS.map(|access| store.open_file(&file, access).unwrap());
        store.delete_file("a/1").unwrap();
        store.delete_file("a/1").unwrap();
        store.delete_file("b/2").unwrap();
        let missing = store.open_file(&file, Access::Mapped).unwrap_err();
        assert!(matches!(&missing, StoreError::Missing { name } if name == "a/1"));
        assert_eq!(missing.to_string(), "a/1 is not in the store");
        assert!(open.iter().all(|bytes| &bytes[..] == b"contents"), "who has it keeps it");
    }
}

#[test]
fn contents_that_cannot_be_written_leave_nothing() {
    let (folder, stores) = stores();
    for store in stores {
        let failed = store.put_file("a/1", |out| {
            out.write_all(&[1; 1_000_000])?;
            Err(WriteError::Input("two columns named \"x\"".into()))
        });
        let text = failed.unwrap_err().to_string();
        assert_eq!(text, "a/1: two columns named \"x\"");
        assert!(names(&store, "").is_empty());
        assert!(put(&store, "a/1", b"x").is_ok());
    }
    assert_eq!(folder.path().join(".partial").read_dir().unwrap().count(), 0);
}

#[test]
fn of_writers_of_one_name_one_succeeds() {
    let (_folder, stores) = stores();
    for store in stores {
        let results: Vec<_> = std::thread::scope(|scope| {
            let writers: Vec<_> = (0..4_u8)
                .map(|writer| {
                    let store = &store;
                    scope.spawn(move || put(store, "a/b/c", &[writer; 50_000]))
                })
                .collect();
            writers.into_iter().map(|writer| writer.join().unwrap()).collect()
        });
        let written: Vec<_> = results.iter().flatten().collect();
        assert_eq!(written.len(), 1);
        let exists = |e: &StoreError| matches!(e, StoreError::Exists { .. });
        assert!(results.iter().filter_map(|result| result.as_ref().err()).all(exists));
        store.open_file(written[0], Access::Mapped).unwrap();
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn the_store_holds_what_a_map_holds(
        operations in prop::collection::vec(
            (any::<bool>(), "[ab]{1,2}(/[ab]{1,2}){0,2}/[0-9]", 0usize..50),
            1..30,
        ),
        prefixes in prop::collection::vec("[ab]{0,2}(/[ab]{0,2}){0,1}", 4),
    ) {
        let (_folder, stores) = stores();
        for store in stores {
            let mut twin: BTreeMap<&str, FileRef> = BTreeMap::new();
            for (is_put, name, length) in &operations {
                if *is_put {
                    let written = put(&store, name, &vec![7; *length]);
                    prop_assert_eq!(written.is_err(), twin.contains_key(name.as_str()));
                    twin.extend(written.ok().map(|file| (name.as_str(), file)));
                } else {
                    store.delete_file(name).unwrap();
                    twin.remove(name.as_str());
                }
            }
            for prefix in &prefixes {
                let expected = twin.values().filter(|file| file.name.starts_with(prefix.as_str()));
                let expected: Vec<_> = expected
                    .map(|file| FileInfo { name: file.name.clone(), bytes: file.bytes })
                    .collect();
                prop_assert_eq!(store.list_files(prefix).unwrap(), expected);
            }
            for file in twin.values() {
                store.open_file(file, Access::Mapped).unwrap();
            }
        }
    }
}
