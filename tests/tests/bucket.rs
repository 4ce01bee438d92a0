//! Flushed rows in a bucket: the machine's own disk holds copies only.

use std::fs;
use std::time::{Duration, Instant};

use millstream_tests::bucket::Bucket;
use millstream_tests::client::query;
use millstream_tests::history::DIM;
use millstream_tests::rows::read_longs;
use millstream_tests::site::{Site, Variant};
use millstream_tests::workload::columns;

fn site(variant: Variant, bucket: &Bucket) -> Site {
    let arguments = bucket.arguments();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    Site::start_with(variant, &arguments).expect("a server")
}

/// Rows of `value == id + 1`, from an id on.
async fn insert(site: &Site, name: &str, from: i64, count: i64) {
    let rows: Vec<(i64, i64)> = (from..from + count).map(|id| (id, id + 1)).collect();
    site.client().insert(name, rows.len(), columns(&rows)).await.expect("rows");
}

async fn values(site: &Site, name: &str, filter: &str) -> Vec<i64> {
    let answer = site.client().query(query(name, filter, &["value"])).await.expect("rows");
    read_longs(&answer.fields_data, "value")
}

/// A server with everything embedded but the bucket, and a collection of this name.
async fn embedded(name: &str) -> (Bucket, Site) {
    let bucket = Bucket::start().expect("a bucket");
    let site = site(Variant::Embedded, &bucket);
    site.client().prepare(name, DIM, 1).await.expect("a collection");
    (bucket, site)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_machine_that_lost_its_disk_finds_everything_in_catalog_log_and_bucket() {
    let bucket = Bucket::start().expect("a bucket");
    let mut site = site(Variant::Remote, &bucket);
    site.client().prepare("kept", DIM, 2).await.expect("a collection");
    insert(&site, "kept", 0, 3_000).await;
    site.client().delete("kept", "id % 2 == 1").await.expect("a delete");
    site.client().flush("kept").await.expect("a flush");
    insert(&site, "kept", 10_000, 10).await;
    assert!(bucket.objects().expect("a list").iter().any(|key| key.ends_with("-rows.arrow")));

    site.kill();
    fs::remove_dir_all(site.data()).expect("the disk is lost");
    site.restart().expect("a server on an empty disk");
    assert_eq!(site.client().count("kept", "").await.expect("a count"), 1_510);
    assert_eq!(values(&site, "kept", "id in [7, 8, 10003]").await, [9, 10_004]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_go_from_the_bucket_with_their_collection() {
    let (bucket, site) = embedded("gone").await;
    insert(&site, "gone", 0, 100).await;
    site.client().flush("gone").await.expect("a flush");
    assert!(!bucket.objects().expect("a list").is_empty());
    site.client().drop("gone").await.expect("a drop");
    for _ in 0..200 {
        if bucket.objects().expect("a list").is_empty() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("the bucket still holds {:?}", bucket.objects());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn objects_that_nothing_names_are_deleted_and_a_bucket_of_another_cluster_is_refused() {
    let bucket = Bucket::start().expect("a bucket");
    let mut first = site(Variant::Embedded, &bucket);
    first.client().prepare("named", DIM, 1).await.expect("a collection");
    insert(&first, "named", 0, 500).await;
    first.client().flush("named").await.expect("a flush");
    first.kill();
    let named = bucket.objects().expect("a list");
    // As a crash between writing and naming leaves one.
    let (folder, _) = named[0].rsplit_once('/').expect("a folder");
    bucket.put(&format!("{folder}/999-rows.arrow")).expect("an object");
    first.restart().expect("a server that starts again");
    assert_eq!(bucket.objects().expect("a list"), named);
    assert_eq!(first.client().count("named", "").await.expect("a count"), 500);
    first.kill();
    let arguments = bucket.arguments();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let refused = Site::start_with(Variant::Embedded, &arguments).expect_err("another catalog");
    assert!(refused.to_string().contains("the store belongs to cluster"), "{refused}");
    assert_eq!(bucket.objects().expect("a list"), named, "nothing is deleted");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_are_compacted_in_the_bucket_and_what_they_replace_goes() {
    let bucket = Bucket::start().expect("a bucket");
    let mut site = site(Variant::Embedded, &bucket);
    site.client().prepare("merged", DIM, 1).await.expect("a collection");
    for part in 0..4 {
        insert(&site, "merged", part * 500, 500).await;
        site.client().flush("merged").await.expect("a flush");
    }
    let files = || {
        let objects = bucket.objects().expect("a list");
        objects.iter().filter(|key| key.ends_with("-rows.arrow")).count()
    };
    // Four of about one size are merged without being asked.
    let end = Instant::now() + Duration::from_secs(20);
    while files() != 1 {
        assert!(Instant::now() < end, "{:?}", bucket.objects());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(values(&site, "merged", "id in [7, 1999]").await, [8, 2_000]);
    site.kill();
    fs::remove_dir_all(site.data().join("store-cache")).expect("copies are lost");
    site.restart().expect("a server without copies");
    assert_eq!(site.client().count("merged", "").await.expect("a count"), 2_000);
    assert_eq!(values(&site, "merged", "id in [7, 1999]").await, [8, 2_000]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_bucket_does_not_answer_writes_and_reads_go_on_and_flushes_wait() {
    let (bucket, site) = embedded("calm").await;
    insert(&site, "calm", 0, 500).await;
    bucket.pause().expect("a pause");
    let client = site.client();
    let flush = tokio::spawn(async move { client.flush("calm").await.map(drop) });
    insert(&site, "calm", 1_000, 500).await;
    assert_eq!(site.client().count("calm", "").await.expect("a count"), 1_000);
    assert_eq!(values(&site, "calm", "id in [499, 1499]").await, [500, 1_500]);
    assert!(!flush.is_finished(), "nothing can be in files yet");
    bucket.go_on().expect("an answering bucket");
    flush.await.expect("no panic").expect("the flush ends");
    assert!(bucket.objects().expect("a list").iter().any(|key| key.ends_with("-rows.arrow")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bucket_that_is_not_there_is_named_at_the_start() {
    let bucket = Bucket::start().expect("a bucket");
    let endpoint = bucket.arguments()[3].clone();
    let arguments = ["--store", "s3://nobody/x", "--s3-endpoint", endpoint.as_str()];
    let refused =
        Site::start_with(Variant::Embedded, &arguments).expect_err("no bucket").to_string();
    assert!(refused.contains("nobody") || refused.contains("NoSuchBucket"), "{refused}");
}
