//! Graphs of sealed segments: built in the background, used by searches, kept through restarts.

use std::collections::HashSet;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use millstream_gateway::pb::SearchRequest;
use millstream_tests::client::{Client, hits, search};
use millstream_tests::on_both;
use millstream_tests::rows::{int_ids, longs, plain_schema, vectors};
use millstream_tests::site::Site;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

const DIM: usize = 48;
const ROWS: usize = 12_000;
const QUERIES: usize = 40;
const K: usize = 10;

/// Vectors around a few centres, as real ones are.
fn clustered(random: &mut StdRng, rows: usize) -> Vec<f32> {
    let centres: Vec<f32> = (0..40 * DIM).map(|_| random.random_range(-1.0..1.0)).collect();
    let mut all = Vec::with_capacity(rows * DIM);
    for _ in 0..rows {
        let centre = random.random_range(0..40usize) * DIM;
        all.extend((0..DIM).map(|d| centres[centre + d] + random.random_range(-0.5..0.5)));
    }
    all
}

/// The keys of the nearest rows that are kept, by looking at all of them.
fn nearest(rows: &[f32], query: &[f32], keep: impl Fn(i64) -> bool) -> HashSet<i64> {
    let distance = |row: &[f32]| row.iter().zip(query).map(|(a, b)| (a - b) * (a - b)).sum::<f32>();
    let mut all: Vec<(f32, i64)> = (0i64..)
        .zip(rows.chunks(DIM))
        .filter(|(id, _)| keep(*id))
        .map(|(id, row)| (distance(row), id))
        .collect();
    all.sort_by(|a, b| a.0.total_cmp(&b.0));
    all.iter().take(K).map(|(_, id)| *id).collect()
}

fn graphs_in(folder: &Path) -> usize {
    let Ok(entries) = fs::read_dir(folder) else { return 0 };
    let of = |entry: std::io::Result<fs::DirEntry>| {
        let path = entry.expect("an entry of a folder").path();
        if path.is_dir() {
            graphs_in(&path)
        } else {
            usize::from(path.extension().is_some_and(|e| e == "graph"))
        }
    };
    entries.map(of).sum()
}

/// Asks all queries, and says which share of the nearest kept rows was found.
async fn recall(
    client: &Client,
    (rows, queries): (&[f32], &[f32]),
    filter: &str,
    keep: impl Fn(i64) -> bool + Copy,
) -> f64 {
    let mut found = 0;
    for query in queries.chunks(DIM) {
        let near = search("graphs", DIM, query, K);
        let near = SearchRequest { dsl: filter.to_owned(), ..near };
        let answer = client.search(near).await.expect("hits");
        let ids = int_ids(hits(&answer).ids.as_ref());
        assert_eq!(ids.len(), K, "{filter}");
        assert!(ids.iter().all(|id| keep(*id)), "{filter}: {ids:?}");
        let due = nearest(rows, query, keep);
        found += ids.iter().filter(|id| due.contains(id)).count();
    }
    found as f64 / (queries.len() / DIM * K) as f64
}

/// An HNSW index on rows that are flushed, found again after a restart.
async fn searches_walk_graphs_and_miss_next_to_nothing(mut site: Site) {
    let client = site.client();
    let mut random = StdRng::seed_from_u64(5);
    let rows = clustered(&mut random, ROWS);
    let queries = rows[..QUERIES * DIM].iter().map(|v| v + random.random_range(-0.1..0.1));
    let queries: Vec<f32> = queries.collect();
    client.create(&plain_schema("graphs", DIM), 1).await.expect("a collection");
    client.index_of("graphs", "vector", "HNSW", "L2").await.expect("an index");
    client.load("graphs").await.expect("loaded");
    for (part, rows) in (0i64..).zip(rows.chunks(2_000 * DIM)) {
        let ids: Vec<i64> = (part * 2_000..).take(rows.len() / DIM).collect();
        let columns = vec![
            longs("id", ids.clone()),
            longs("value", ids.iter().map(|id| id % 1_000).collect()),
            vectors("vector", DIM, rows),
        ];
        client.insert("graphs", ids.len(), columns).await.expect("rows");
    }
    client.flush("graphs").await.expect("a flush");
    let store = site.data().join("store");
    let end = Instant::now() + Duration::from_secs(60);
    while graphs_in(&store) == 0 {
        assert!(Instant::now() < end, "no graph was built");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    client.delete("graphs", "value in [7, 8]").await.expect("a delete");
    let alive = |id: i64| !matches!(id % 1_000, 7 | 8);
    for round in 0..2 {
        let client = site.client();
        let data = (&rows[..], &queries[..]);
        let all = recall(&client, data, "", alive).await;
        assert!(all >= 0.97, "round {round}: recall {all}");
        for (filter, share) in [("value < 500", 500), ("value < 100", 100), ("value < 20", 20)] {
            let keep = move |id: i64| alive(id) && id % 1_000 < share;
            let found = recall(&client, data, filter, keep).await;
            assert!(found >= all - 0.005, "round {round}, {filter}: recall {found}, {all} without");
        }
        site.kill();
        site.restart().expect("a server that starts again");
        assert_eq!(graphs_in(&store), 1, "the graph is not built twice");
    }
}
on_both!(searches_walk_graphs_and_miss_next_to_nothing);
