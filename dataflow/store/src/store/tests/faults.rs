//! The store in memory fails where it is told to.

use super::*;

#[test]
fn a_damaged_file_is_named_and_not_served() {
    let (store, files) = Store::memory();
    let file = put(&store, "c/1", b"contents").unwrap();
    assert!(!files.damage("c/1", 8, 1) && !files.damage("c/2", 0, 1));
    assert!(files.damage("c/1", 3, 0x10));
    let damaged = store.open_file(&file, Access::Mapped).unwrap_err();
    assert!(matches!(&damaged, StoreError::Corrupt(Corrupt { file, .. }) if file == "c/1"));
    assert!(damaged.to_string().starts_with("c/1 is damaged: its CRC32C is "), "{damaged}");
    assert!(files.damage("c/1", 3, 0x10));
    assert!(store.open_file(&file, Access::Mapped).is_ok());
}

#[test]
fn an_operation_fails_by_its_number_and_only_once() {
    let (store, files) = Store::memory();
    files.fail_at(1, Fault::Full);
    files.fail_at(2, Fault::Io);
    files.fail_at(3, Fault::Unreachable);
    let full = put(&store, "a", b"x").unwrap_err();
    assert!(matches!(&full, StoreError::Full { name, .. } if name == "a"), "{full}");
    assert!(full.to_string().starts_with("no space is left for a: "), "{full}");
    assert!(matches!(put(&store, "a", b"x"), Err(StoreError::Io { .. })));
    assert!(matches!(put(&store, "a", b"x"), Err(StoreError::Remote { .. })));
    assert_eq!(files.operations(), 3);
    let file = put(&store, "a", b"x").unwrap();
    files.fail_at(files.operations() + 1, Fault::Io);
    assert!(store.open_file(&file, Access::Mapped).is_err());
    assert!(store.open_file(&file, Access::Mapped).is_ok());
}

#[test]
fn what_was_not_answered_has_happened() {
    let (store, files) = Store::memory();
    files.fail_at(1, Fault::Unanswered);
    assert!(matches!(put(&store, "a", b"x"), Err(StoreError::Remote { .. })));
    assert!(matches!(put(&store, "a", b"x"), Err(StoreError::Exists { .. })));
    files.fail_at(3, Fault::Unanswered);
    assert!(store.delete_file("a").is_err());
    assert!(names(&store, "").is_empty());
}
