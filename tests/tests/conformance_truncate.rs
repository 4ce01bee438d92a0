//! TruncateCollection: all rows go at once, everything else stays.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use millstream_gateway::pb::TruncateCollectionRequest;
use millstream_tests::client::{Answer, Client, accept, hits, message, pinned, query, search};
use millstream_tests::history::DIM;
use millstream_tests::on_both;
use millstream_tests::rows::read_longs;
use millstream_tests::site::{Site, Variant};
use millstream_tests::workload::columns;

async fn truncate(client: &Client, name: &str) -> Answer<()> {
    let request = TruncateCollectionRequest {
        collection_name: name.to_owned(),
        ..TruncateCollectionRequest::default()
    };
    let answer = message(client.rpc().truncate_collection(request).await)?;
    accept(answer.status.as_ref())
}

async fn insert(client: &Client, from: i64, count: i64) {
    let rows: Vec<(i64, i64)> = (from..from + count).map(|id| (id, id)).collect();
    client.insert("c", rows.len(), columns(&rows)).await.expect("rows");
}

async fn ids_at(client: &Client, at: u64) -> Vec<i64> {
    let request = pinned(query("c", "id >= 0", &["id"]), at);
    read_longs(&client.query(request).await.expect("rows").fields_data, "id")
}

async fn expect_ids(client: &Client, expected: &[i64]) {
    let answer = client.query(query("c", "id >= 0", &["id"])).await.expect("rows");
    assert_eq!(read_longs(&answer.fields_data, "id"), expected);
    let count = client.count("c", "").await.expect("a count");
    assert_eq!(count, expected.len() as i64);
    let found = client.search(search("c", DIM, &[0.5; DIM], 100)).await.expect("hits");
    assert_eq!(hits(&found).scores.len(), expected.len());
    let keys = client.query(query("c", "id in [3, 25, 503]", &["id"])).await.expect("rows");
    let keys = read_longs(&keys.fields_data, "id");
    assert!(keys.iter().all(|key| expected.contains(key)), "{keys:?}");
}

async fn a_truncation_ends_all_rows_before_it_and_none_after(mut site: Site) {
    let client = site.client();
    client.prepare("c", DIM, 2).await.expect("a collection");
    insert(&client, 0, 30).await;
    client.flush("c").await.expect("a flush");
    client.delete("c", "id in [0, 1]").await.expect("a delete");
    insert(&client, 30, 10).await;
    let before = client.now().await.expect("a timestamp");
    truncate(&client, "c").await.expect("a truncation");
    expect_ids(&client, &[]).await;
    // Loaded and indexed as before, and keys are free again.
    client.upsert("c", 1, columns(&[(3, 33)])).await.expect("an upsert");
    insert(&client, 500, 5).await;
    let after: Vec<i64> = [3].into_iter().chain(500..505).collect();
    let there: Vec<i64> = (2..40).collect();
    for flush in [false, true, true] {
        expect_ids(&site.client(), &after).await;
        assert_eq!(ids_at(&site.client(), before).await, there, "the past is as it was");
        if flush {
            site.client().flush("c").await.expect("a flush");
        }
        site.kill();
        site.restart().expect("a server that starts again");
    }
    let client = site.client();
    client.delete("c", "id >= 503").await.expect("a delete");
    expect_ids(&client, &[3, 500, 501, 502]).await;
    truncate(&client, "c").await.expect("a truncation");
    truncate(&client, "c").await.expect("a truncation of nothing");
    expect_ids(&client, &[]).await;
    site.kill();
    site.restart().expect("a server that starts again");
    expect_ids(&site.client(), &[]).await;
    assert_eq!(ids_at(&site.client(), before).await, there, "the past is as it was");
    let trouble = truncate(&site.client(), "missing").await.expect_err("a refusal");
    assert_eq!(trouble.code(), 100, "{trouble}");
}
on_both!(a_truncation_ends_all_rows_before_it_and_none_after);

/// Rows come all the time; the collection is truncated, and the server killed, in between. What was
/// acknowledged before an acknowledged truncation began is gone, what came after it is there.
async fn a_truncation_is_whole_under_load_and_crashes(mut site: Site) {
    site.client().prepare("c", DIM, 2).await.expect("a collection");
    let mut next = 0;
    for round in 0..4_u64 {
        let client = site.client();
        insert(&client, next, 50).await;
        let (first, from) = (next, next + 50);
        let is_done = Arc::new(AtomicBool::new(false));
        let inserting = tokio::spawn({
            let (client, is_done) = (client.clone(), Arc::clone(&is_done));
            async move {
                let mut acknowledged = Vec::new();
                for id in from.. {
                    let is_later = is_done.load(Ordering::SeqCst);
                    if client.insert("c", 1, columns(&[(id, id)])).await.is_err() {
                        break;
                    }
                    acknowledged.push((id, is_later));
                }
                acknowledged
            }
        });
        tokio::time::sleep(Duration::from_millis(20)).await;
        let truncated = truncate(&client, "c").await;
        is_done.store(true, Ordering::SeqCst);
        tokio::time::sleep(Duration::from_millis(10 + 10 * round)).await;
        site.kill();
        let acknowledged = inserting.await.expect("a task");
        site.restart().expect("a server that starts again");
        let client = site.client();
        truncated.expect("a truncation");
        let answer = client.query(query("c", "id >= 0", &["id"])).await.expect("rows");
        let there = read_longs(&answer.fields_data, "id");
        assert!(there.iter().all(|id| *id >= from), "rows from before {first}..{from} are there");
        assert!(there.is_sorted());
        for (id, is_later) in &acknowledged {
            assert!(!is_later || there.contains(id), "{id} came after the truncation");
        }
        assert_eq!(client.count("c", "").await.expect("a count"), there.len() as i64);
        next = acknowledged.last().map_or(from, |last| last.0) + 2;
        truncate(&client, "c").await.expect("a truncation");
    }
}
on_both!(a_truncation_is_whole_under_load_and_crashes);

/// A client that goes away does not leave a truncation for later, which would end rows of others.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_after_a_truncation_whose_client_went_away_stay() {
    let site = Site::start(Variant::Embedded).expect("a server");
    let client = site.client();
    client.prepare("c", DIM, 1).await.expect("a collection");
    for n in 0..20_u64 {
        let truncating = truncate(&client, "c");
        let _ = tokio::time::timeout(Duration::from_micros(200 * n), truncating).await;
        // Behind whatever is still on its way.
        truncate(&client, "c").await.expect("a truncation");
        insert(&client, 100, 3).await;
        client.prepare(&format!("other{n}"), DIM, 1).await.expect("another change");
        assert_eq!(client.count("c", "").await.expect("a count"), 3, "round {n}");
    }
}
