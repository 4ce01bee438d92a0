//! What is flushed is in files: the log forgets it, damage to it is named, and drops delete it.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use millstream_tests::client::{Client, query};
use millstream_tests::history::DIM;
use millstream_tests::on_both;
use millstream_tests::process::{Process, free_address};
use millstream_tests::rows::read_longs;
use millstream_tests::server::{command, healthy};
use millstream_tests::site::{Site, Variant};
use millstream_tests::workload::columns;

/// All files below a folder but the one that names the cluster, with their lengths.
fn files(folder: &Path) -> Vec<(PathBuf, u64)> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.expect("an entry of a folder").path();
        match fs::metadata(&path) {
            Ok(metadata) if metadata.is_dir() => found.extend(files(&path)),
            Ok(_) if path.ends_with("CLUSTER") => {}
            Ok(metadata) => found.push((path, metadata.len())),
            // It was deleted meanwhile.
            Err(_) => {}
        }
    }
    found
}

/// Waits until something holds.
async fn eventually(what: &str, holds: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_secs(10);
    while !holds() {
        assert!(Instant::now() < end, "{what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Rows of `value == id + 1`, from an id on.
async fn insert(site: &Site, name: &str, from: i64, count: i64) {
    let client = site.client();
    let ids: Vec<i64> = (from..from + count).collect();
    for part in ids.chunks(2_000) {
        let rows: Vec<(i64, i64)> = part.iter().map(|&id| (id, id + 1)).collect();
        client.insert(name, rows.len(), columns(&rows)).await.expect("rows");
    }
}

async fn values(site: &Site, name: &str, filter: &str) -> Vec<i64> {
    let answer = site.client().query(query(name, filter, &["value"])).await.expect("rows");
    read_longs(&answer.fields_data, "value")
}

async fn flushed_rows_are_there_after_the_log_forgot_them(mut site: Site) {
    let client = site.client();
    client.prepare("kept", DIM, 2).await.expect("a collection");
    insert(&site, "kept", 0, 40_000).await;
    client.delete("kept", "id % 2 == 1").await.expect("a delete");
    let flushed = client.flush("kept").await.expect("a flush");
    assert!(!flushed.coll_seg_i_ds["kept"].data.is_empty());
    let store = site.data().join("store");
    let tables = files(&store);
    assert!(tables.iter().any(|(path, _)| path.to_string_lossy().ends_with("-rows.arrow")));
    let log = site.data().join("log");
    let log_bytes = || files(&log).iter().map(|(_, bytes)| bytes).sum::<u64>();
    insert(&site, "kept", 100_000, 10).await;
    for round in 0..2 {
        site.kill();
        site.restart().expect("a server that starts again");
        assert_eq!(site.client().count("kept", "").await.expect("a count"), 20_010, "{round}");
        assert_eq!(values(&site, "kept", "id in [7, 8, 100003]").await, [9, 100_004]);
        // The second time everything is in files.
        site.client().flush("kept").await.expect("a flush");
    }
    eprintln!("the log holds {} bytes, the store {}", log_bytes(), files(&store).len());
}
on_both!(flushed_rows_are_there_after_the_log_forgot_them);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deletes_of_flushed_rows_are_in_files_too() {
    let mut site = Site::start(Variant::Embedded).expect("a server");
    let client = site.client();
    client.prepare("ends", DIM, 1).await.expect("a collection");
    insert(&site, "ends", 0, 2_000).await;
    // More files of ends than are kept apart.
    for round in 0..20_i64 {
        client.flush("ends").await.expect("a flush");
        client.delete("ends", &format!("id in [{round}, {}]", 1_000 + round)).await.expect("ends");
    }
    client.flush("ends").await.expect("a flush");
    let tables = || files(&site.data().join("store"));
    let ends = || tables().iter().filter(|f| f.0.to_string_lossy().contains("-ends")).count();
    eventually("files of ends are merged, and those merged are deleted", || ends() <= 8).await;
    site.kill();
    site.restart().expect("a server that starts again");
    assert_eq!(site.client().count("ends", "").await.expect("a count"), 1_960);
    assert_eq!(values(&site, "ends", "id in [19, 20, 1019, 1020]").await, [21, 1_021]);
}

async fn the_files_of_a_dropped_collection_are_deleted(site: Site) {
    let client = site.client();
    for name in ["stays", "goes"] {
        client.prepare(name, DIM, 2).await.expect("a collection");
        insert(&site, name, 0, 500).await;
        client.flush(name).await.expect("a flush");
    }
    let store = site.data().join("store");
    let before = files(&store).len();
    client.drop("goes").await.expect("a drop");
    eventually("half of the files go", || files(&store).len() == before / 2).await;
    assert_eq!(client.count("stays", "").await.expect("a count"), 500);
}
on_both!(the_files_of_a_dropped_collection_are_deleted);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn damage_to_a_file_is_named_and_never_served_and_nothing_is_deleted() {
    let mut site = Site::start(Variant::Embedded).expect("a server");
    let client = site.client();
    client.prepare("damaged", DIM, 1).await.expect("a collection");
    insert(&site, "damaged", 0, 1_000).await;
    client.flush("damaged").await.expect("a flush");
    site.kill();
    let store = site.data().join("store");
    let all = files(&store);
    let (path, bytes) = all.iter().find(|f| f.0.to_string_lossy().contains("-rows")).expect("rows");
    let mut contents = fs::read(path).expect("a file");
    let middle = *bytes as usize / 2;
    contents[middle] ^= 0x10;
    fs::write(path, &contents).expect("a file that can be written");
    // It starts, is not healthy, and says why.
    let mut server = command(site.folder()).expect("a server");
    let addresses = [free_address(), free_address()].map(|address| address.expect("a port"));
    server.args(["--data-dir".to_owned(), site.data().display().to_string()]);
    server.args(["--listen".to_owned(), addresses[0].to_string()]);
    server.args(["--admin-listen".to_owned(), addresses[1].to_string()]);
    let output = site.folder().join("damaged.log");
    let mut process = Process::start(&mut server, &output).expect("a process");
    let says = |text: &str| process.output().contains(text);
    eventually("it is ready", || says("is ready")).await;
    assert!(says("-rows.arrow is damaged"), "{}", process.output());
    assert!(!healthy(addresses[1]));
    let client = Client::new(addresses[0]);
    let trouble = client.count("damaged", "").await.expect_err("damaged rows");
    assert!(trouble.to_string().contains("-rows.arrow is damaged"), "{trouble}");
    process.kill();
    assert_eq!(files(&store), all, "nothing is deleted");
    contents[middle] ^= 0x10;
    fs::write(path, &contents).expect("a file that can be written");
    site.restart().expect("a server that starts again");
    assert_eq!(site.client().count("damaged", "").await.expect("a count"), 1_000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_that_nothing_names_are_deleted_and_a_store_of_another_cluster_is_refused() {
    let mut site = Site::start(Variant::Embedded).expect("a server");
    let client = site.client();
    client.prepare("named", DIM, 1).await.expect("a collection");
    insert(&site, "named", 0, 500).await;
    client.flush("named").await.expect("a flush");
    site.kill();
    let store = site.data().join("store");
    let named = files(&store);
    // As a crash between writing and naming leaves one.
    let folder = named[0].0.parent().expect("a folder");
    fs::write(folder.join("999-rows.arrow"), b"rows").expect("a file");
    site.restart().expect("a server that starts again");
    assert_eq!(files(&store), named);
    assert_eq!(site.client().count("named", "").await.expect("a count"), 500);
    site.kill();
    // The catalog of another cluster, over the same store.
    let mut server = command(site.folder()).expect("a server");
    let addresses = [free_address(), free_address()].map(|address| address.expect("a port"));
    let other = site.folder().join("other");
    server.args(["--data-dir".to_owned(), other.display().to_string()]);
    server.args(["--store".to_owned(), format!("file://{}", store.display())]);
    server.args(["--listen".to_owned(), addresses[0].to_string()]);
    server.args(["--admin-listen".to_owned(), addresses[1].to_string()]);
    let mut process = Process::start(&mut server, &site.folder().join("other.log")).expect("one");
    let status = process.wait(Duration::from_secs(20)).expect("a process that ends");
    assert!(!status.success());
    assert!(process.output().contains("the store belongs to cluster"), "{}", process.output());
    assert_eq!(files(&store), named, "nothing is deleted");
}
