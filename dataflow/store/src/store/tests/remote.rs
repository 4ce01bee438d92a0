//! A store in a bucket: copies come, stay while they are used, and go; damage and failures heal.

use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};

use object_store::memory::InMemory;
use object_store::path::Path as ObjectPath;
use object_store::{ObjectStore, ObjectStoreExt};

use super::*;

struct Bucket {
    objects: Arc<dyn ObjectStore>,
    folder: TempDir,
}

impl Bucket {
    fn new() -> Bucket {
        Bucket { objects: Arc::new(InMemory::new()), folder: tempfile::tempdir().unwrap() }
    }

    fn store(&self, cache_bytes_max: u64) -> Store {
        let objects = Arc::clone(&self.objects);
        let remote = Remote::open(objects, "data/v1", self.folder.path(), cache_bytes_max).unwrap();
        Store { backend: Arc::new(Backend::Remote(remote.with_part_bytes(1_000))) }
    }

    fn cached(&self) -> Vec<String> {
        let found = partial::list_folder(self.folder.path(), "").unwrap();
        found.into_iter().map(|file| file.name).collect()
    }

    fn overwrite(&self, name: &str, contents: &[u8]) {
        let path = ObjectPath::from(format!("data/v1/{name}"));
        let payload = contents.to_vec().into();
        futures::executor::block_on(self.objects.put(&path, payload)).unwrap();
    }
}

fn contents(length: usize) -> Vec<u8> {
    (0..length).map(|place| (place % 253) as u8).collect()
}

#[test]
fn files_of_any_number_of_parts_come_back_from_the_bucket() {
    let bucket = Bucket::new();
    let store = bucket.store(1 << 20);
    for length in [0, 1, 999, 1_000, 1_001, 12_345] {
        let contents = contents(length);
        let file = put(&store, &format!("a/{length}"), &contents).unwrap();
        assert_eq!(&store.open_file(&file, Access::Mapped).unwrap()[..], &contents[..]);
        fs::remove_file(bucket.folder.path().join(&file.name)).unwrap();
        for access in ACCESS {
            assert_eq!(&store.open_file(&file, access).unwrap()[..], &contents[..]);
        }
    }
    let again = put(&store, "a/12345", b"x".repeat(5_000).as_slice()).unwrap_err();
    assert!(matches!(again, StoreError::Exists { .. }), "{again}");
    assert_eq!(names(&store, "a/1"), ["a/1", "a/1000", "a/1001", "a/12345"]);
}

#[test]
fn a_small_file_is_read_as_the_bucket_has_it_and_a_deleted_one_serves_who_has_it_open() {
    let bucket = Bucket::new();
    let store = bucket.store(1 << 20);
    let file = put(&store, "NAME", b"first").unwrap();
    bucket.overwrite("NAME", b"another");
    assert_eq!(&store.read_file("NAME").unwrap()[..], b"another");
    let open = store.open_file(&file, Access::Mapped).unwrap();
    store.delete_file("NAME").unwrap();
    assert_eq!(&open[..], b"first");
    let missing = store.read_file("NAME").unwrap_err();
    assert!(matches!(missing, StoreError::Missing { name } if name == "NAME"));
}

#[test]
fn copies_stay_below_the_limit_and_the_least_recently_used_go_first() {
    let bucket = Bucket::new();
    let store = bucket.store(2_500);
    let files: Vec<_> = (0..3)
        .map(|number| put(&store, &format!("f{number}"), &contents(1_000)).unwrap())
        .collect();
    assert_eq!(bucket.cached(), ["f1", "f2"]);
    drop(store.open_file(&files[1], Access::Mapped).unwrap());
    drop(store.open_file(&files[0], Access::Mapped).unwrap());
    assert_eq!(bucket.cached(), ["f0", "f1"], "f2 was used before f1");
    assert_eq!(store.cached_bytes(), 2_000);
    assert_eq!(names(&store, ""), ["f0", "f1", "f2"], "the bucket has them all");
}

#[test]
fn a_copy_in_use_stays_and_its_bytes_with_it() {
    let bucket = Bucket::new();
    let store = bucket.store(1_500);
    let first = put(&store, "f1", &contents(1_000)).unwrap();
    let second = put(&store, "f2", &contents(1_000)).unwrap();
    let used = store.open_file(&first, Access::Mapped).unwrap().slice(10..20);
    drop(store.open_file(&second, Access::Mapped).unwrap());
    assert_eq!(bucket.cached(), ["f1", "f2"], "both were in use together");
    put(&store, "f3", &contents(400)).unwrap();
    assert_eq!(bucket.cached(), ["f1", "f3"]);
    assert_eq!(&used[..], &contents(20)[10..]);
    drop(used);
    put(&store, "f4", &contents(1_000)).unwrap();
    assert_eq!(bucket.cached(), ["f3", "f4"]);
    let whole = store.open_file(&second, Access::InMemory).unwrap();
    put(&store, "f5", &contents(1_000)).unwrap();
    assert_eq!(bucket.cached(), ["f5"], "what is in memory needs no copy");
    assert_eq!(&whole[..], &contents(1_000)[..]);
}

#[test]
fn a_damaged_copy_is_fetched_again_and_a_damaged_object_is_named() {
    let bucket = Bucket::new();
    let file = put(&bucket.store(1 << 20), "c/1", &contents(5_000)).unwrap();
    let path = bucket.folder.path().join("c/1");
    for damage in [contents(4_999), vec![7; 5_000]] {
        fs::write(&path, damage).unwrap();
        // An earlier process left the copy, so that even a trusted one is checked once.
        let store = bucket.store(1 << 20);
        let bytes = store.open_trusted(&file, Access::Mapped).unwrap();
        assert_eq!(&bytes[..], &contents(5_000)[..]);
        fs::write(&path, vec![8; 5_000]).unwrap();
        let bytes = store.open_file(&file, Access::Mapped).unwrap();
        assert_eq!(&bytes[..], &contents(5_000)[..]);
    }
    let store = bucket.store(1 << 20);
    bucket.overwrite("c/1", &[9; 5_000]);
    assert!(store.open_file(&file, Access::Mapped).is_ok(), "the copy is whole");
    fs::remove_file(&path).unwrap();
    for _ in 0..2 {
        let error = store.open_trusted(&file, Access::Mapped).unwrap_err();
        assert!(error.to_string().starts_with("c/1 is damaged: its CRC32C is"), "{error}");
    }
    bucket.overwrite("c/1", &[9; 4_000]);
    let error = store.open_file(&file, Access::Mapped).unwrap_err();
    assert_eq!(error.to_string(), "c/1 is damaged: it has 4000 bytes, 5000 were written");
    assert!(bucket.cached().is_empty());
}

#[test]
fn copies_outlive_the_process_and_deleted_files_do_not() {
    let bucket = Bucket::new();
    let file = put(&bucket.store(1 << 20), "c/1", &contents(700)).unwrap();
    let store = bucket.store(1 << 20);
    assert_eq!(store.cached_bytes(), 700);
    store.delete_file("c/1").unwrap();
    store.delete_file("c/1").unwrap();
    assert_eq!((bucket.cached().len(), store.cached_bytes()), (0, 0));
    let missing = store.open_file(&file, Access::Mapped).unwrap_err();
    assert!(matches!(missing, StoreError::Missing { name } if name == "c/1"));
    let smaller = put(&store, "c/2", &contents(800)).unwrap();
    assert_eq!(bucket.store(100).cached_bytes(), 0, "a smaller limit holds at once");
    assert!(store.open_file(&smaller, Access::Mapped).is_ok(), "who had counted on it fetches it");
}

#[test]
fn who_asks_for_a_file_that_is_being_fetched_waits_for_it() {
    let bucket = Bucket::new();
    let file = put(&bucket.store(1 << 20), "c/1", &contents(50_000)).unwrap();
    fs::remove_file(bucket.folder.path().join("c/1")).unwrap();
    let store = bucket.store(1 << 20);
    let failed = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let read = store.open_file(&file, Access::Mapped);
                let whole = read.is_ok_and(|bytes| bytes[..] == contents(50_000)[..]);
                failed.fetch_add(usize::from(!whole), Ordering::Relaxed);
            });
        }
    });
    assert_eq!((failed.into_inner(), store.cached_bytes()), (0, 50_000));
}

#[test]
fn a_store_may_be_used_and_dropped_inside_a_runtime() {
    let bucket = Bucket::new();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let store = bucket.store(1 << 20);
        let file = put(&store, "a", &contents(5_000)).unwrap();
        assert_eq!(store.open_file(&file, Access::Mapped).unwrap().len(), 5_000);
    });
}

#[test]
fn a_bucket_that_is_wrong_is_refused_by_name() {
    let options = StoreOptions::default();
    let text = |address| Store::open_with(address, &options).unwrap_err().to_string();
    assert!(text("s3://bucket/x").contains("s3://bucket/x needs a folder for local copies"));
    let folder = tempfile::tempdir().unwrap();
    let options = StoreOptions { cache_dir: Some(folder.path().into()), ..options };
    let text = |address| Store::open_with(address, &options).unwrap_err().to_string();
    assert!(text("s3:///x").contains("names no bucket"));
    assert!(text("s3://bucket/a b").contains("is no name"));
}
