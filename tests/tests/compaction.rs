//! Compaction: few segments of live rows, the past while it is kept, and a kill at any moment.

use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, Instant};

use millstream_gateway::pb::{
    AlterCollectionRequest, GetCompactionPlansRequest, GetCompactionPlansResponse,
    ManualCompactionRequest, ManualCompactionResponse, TruncateCollectionRequest,
};
use millstream_tests::client::{Answer, accept, message, pinned, query};
use millstream_tests::history::DIM;
use millstream_tests::on_both;
use millstream_tests::rows::{pair, read_longs};
use millstream_tests::site::Site;
use millstream_tests::workload::columns;

/// Rows of `value == id + 1`.
async fn upsert(site: &Site, name: &str, ids: &[i64], add: i64) -> Answer<()> {
    let rows: Vec<(i64, i64)> = ids.iter().map(|&id| (id, id + add)).collect();
    site.client().upsert(name, rows.len(), columns(&rows)).await.map(drop)
}

async fn compact(site: &Site, name: &str) -> Answer<ManualCompactionResponse> {
    let request = ManualCompactionRequest { collection_name: name.into(), ..Default::default() };
    let answer = message(site.client().rpc().manual_compaction(request).await)?;
    accept(answer.status.as_ref())?;
    Ok(answer)
}

async fn plans(site: &Site, id: i64) -> Answer<GetCompactionPlansResponse> {
    let request = GetCompactionPlansRequest { compaction_id: id, ..Default::default() };
    let rpc = site.client().rpc().get_compaction_state_with_plans(request).await;
    let answer = message(rpc)?;
    accept(answer.status.as_ref())?;
    Ok(answer)
}

/// Compacts until there is nothing left to do; the plans that were carried out.
async fn compact_all(site: &Site, name: &str) -> Vec<(Vec<i64>, i64)> {
    let mut done = Vec::new();
    let end = Instant::now() + Duration::from_secs(60);
    loop {
        let id = compact(site, name).await.expect("a compaction").compaction_id;
        if id == -1 {
            return done;
        }
        let merged = loop {
            assert!(Instant::now() < end, "compactions end");
            let plans = plans(site, id).await.expect("plans");
            if plans.state == 2 {
                break plans.merge_infos;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        done.extend(merged.into_iter().map(|info| (info.sources, info.target)));
    }
}

async fn all(site: &Site, name: &str) -> BTreeMap<i64, i64> {
    let answer = site.client().query(query(name, "id >= 0", &["id", "value"])).await;
    let answer = answer.expect("rows");
    let columns = ["id", "value"].map(|field| read_longs(&answer.fields_data, field));
    columns[0].iter().copied().zip(columns[1].iter().copied()).collect()
}

async fn segments_become_one_and_dead_rows_go(mut site: Site) {
    let client = site.client();
    client.prepare("merged", DIM, 1).await.expect("a collection");
    for part in 0..6_i64 {
        let ids: Vec<i64> = (part * 500..part * 500 + 600).collect();
        upsert(&site, "merged", &ids, 1 + part).await.expect("rows");
        client.flush("merged").await.expect("a flush");
    }
    client.delete("merged", "id % 3 == 1").await.expect("a delete");
    client.flush("merged").await.expect("a flush");
    let before = all(&site, "merged").await;
    assert_eq!(before.len(), 3_100 - 1_033);
    let merged = compact_all(&site, "merged").await;
    assert!(merged.iter().any(|(sources, _)| sources.len() > 1), "{merged:?}");
    assert_eq!(all(&site, "merged").await, before);
    let flushed = client.flush("merged").await.expect("a flush");
    assert_eq!(flushed.coll_seg_i_ds["merged"].data.len(), 1, "{merged:?}");
    for _ in 0..2 {
        site.kill();
        site.restart().expect("a server that starts again");
        assert_eq!(all(&site, "merged").await, before);
        assert_eq!(site.client().count("merged", "").await.expect("a count"), 2_067);
    }
}
on_both!(segments_become_one_and_dead_rows_go, "--retention-seconds=0");

async fn the_past_can_be_read_as_long_as_it_is_kept(site: Site) {
    let client = site.client();
    client.prepare("past", DIM, 1).await.expect("a collection");
    let ids: Vec<i64> = (0..500).collect();
    upsert(&site, "past", &ids, 1).await.expect("rows");
    client.flush("past").await.expect("a flush");
    let then = client.now().await.expect("a time");
    // A page of an iterator holds its time back for ten minutes.
    let page = query("past", "id == 5", &["value"]);
    client.query(pinned(page.clone(), then)).await.expect("the past");
    upsert(&site, "past", &ids, 2).await.expect("rows");
    client.flush("past").await.expect("a flush");
    compact_all(&site, "past").await;
    let answer = client.query(pinned(page.clone(), then)).await.expect("the past is held");
    assert_eq!(read_longs(&answer.fields_data, "value"), [6]);
    let answer = client.query(page.clone()).await.expect("the present");
    assert_eq!(read_longs(&answer.fields_data, "value"), [7]);

    client.prepare("gone", DIM, 1).await.expect("a collection");
    upsert(&site, "gone", &ids, 1).await.expect("rows");
    let then = client.now().await.expect("a time");
    upsert(&site, "gone", &ids, 2).await.expect("rows");
    client.flush("gone").await.expect("a flush");
    tokio::time::sleep(Duration::from_millis(300)).await;
    // Nothing is left to do when it was compacted by itself.
    compact_all(&site, "gone").await;
    let page = query("gone", "id == 5", &["value"]);
    let trouble = client.query(pinned(page.clone(), then)).await.expect_err("too old");
    assert!(trouble.to_string().contains("the oldest readable timestamp"), "{trouble}");
    assert_eq!(trouble.code(), 1_100);
    let answer = client.query(page).await.expect("the present");
    assert_eq!(read_longs(&answer.fields_data, "value"), [7]);
}
on_both!(the_past_can_be_read_as_long_as_it_is_kept, "--retention-seconds=0");

/// Sets the seconds that rows live, or lets them live for ever.
async fn set_ttl(site: &Site, name: &str, seconds: Option<&str>) {
    let key = "collection.ttl.seconds";
    let request = AlterCollectionRequest {
        collection_name: name.into(),
        properties: seconds.iter().map(|seconds| pair(key, seconds)).collect(),
        delete_keys: if seconds.is_none() { vec![key.to_owned()] } else { Vec::new() },
        ..Default::default()
    };
    let answer = message(site.client().rpc().alter_collection(request).await);
    accept(answer.ok().as_ref()).expect("a time to live");
}

/// Waits until the store has so many files of rows, while a collection is read.
async fn files_become(site: &Site, name: &str, wanted: usize) {
    let store = site.data().join("store");
    let end = Instant::now() + Duration::from_secs(20);
    let mut found = usize::MAX;
    while found != wanted {
        assert!(Instant::now() < end, "{found} files of rows, not {wanted}");
        tokio::time::sleep(Duration::from_millis(20)).await;
        // Time goes on in a channel when somebody reads or writes.
        site.client().count(name, "").await.expect("a count");
        let mut folders = vec![store.clone()];
        found = 0;
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
                match entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                    true => folders.push(entry.path()),
                    false => {
                        let name = entry.file_name();
                        found += usize::from(name.to_string_lossy().ends_with("-rows.arrow"));
                    }
                }
            }
        }
    }
}

async fn rows_that_expired_go_with_their_segments(mut site: Site) {
    site.client().prepare("brief", DIM, 1).await.expect("a collection");
    let ids: Vec<i64> = (0..10_000).collect();
    for part in ids.chunks(5_000) {
        upsert(&site, "brief", part, 1).await.expect("rows");
        site.client().flush("brief").await.expect("a flush");
    }
    set_ttl(&site, "brief", Some("1")).await;
    tokio::time::sleep(Duration::from_millis(1_200)).await;
    // Nothing brings back what expired.
    set_ttl(&site, "brief", Some("3600")).await;
    upsert(&site, "brief", &[3, 20_000], 7).await.expect("rows");
    site.client().flush("brief").await.expect("a flush");
    let _ = compact_all(&site, "brief").await;
    files_become(&site, "brief", 1).await;
    let young: BTreeMap<i64, i64> = [(3, 10), (20_000, 20_007)].into();
    assert_eq!(all(&site, "brief").await, young);
    assert_eq!(site.client().count("brief", "").await.expect("a count"), 2);
    // Not even this, and keys of rows that are gone are free.
    set_ttl(&site, "brief", None).await;
    assert_eq!(site.client().count("brief", "").await.expect("a count"), 2);
    upsert(&site, "brief", &[5], 8).await.expect("a row");
    site.client().delete("brief", "id in [3, 4]").await.expect("a delete");
    let after: BTreeMap<i64, i64> = [(5, 13), (20_000, 20_007)].into();
    for _ in 0..2 {
        assert_eq!(all(&site, "brief").await, after);
        assert_eq!(site.client().count("brief", "").await.expect("a count"), 2);
        site.kill();
        site.restart().expect("a server that starts again");
    }
}
on_both!(rows_that_expired_go_with_their_segments, "--retention-seconds=0");

async fn what_was_truncated_gives_its_files_back(mut site: Site) {
    site.client().prepare("cut", DIM, 1).await.expect("a collection");
    let ids: Vec<i64> = (0..500).collect();
    for add in 1..3 {
        upsert(&site, "cut", &ids, add).await.expect("rows");
        site.client().flush("cut").await.expect("a flush");
    }
    let request = TruncateCollectionRequest { collection_name: "cut".into(), ..Default::default() };
    let answer = message(site.client().rpc().truncate_collection(request).await);
    accept(answer.expect("an answer").status.as_ref()).expect("a truncation");
    files_become(&site, "cut", 0).await;
    upsert(&site, "cut", &ids[..5], 4).await.expect("rows");
    site.client().flush("cut").await.expect("a flush");
    for _ in 0..2 {
        files_become(&site, "cut", 1).await;
        assert_eq!(all(&site, "cut").await, ids[..5].iter().map(|id| (*id, id + 4)).collect());
        assert_eq!(site.client().count("cut", "").await.expect("a count"), 5);
        site.kill();
        site.restart().expect("a server that starts again");
    }
}
on_both!(what_was_truncated_gives_its_files_back, "--retention-seconds=0");

/// What one client did to its own keys: the value of each key after the last write that was
/// acknowledged, and what a write that was not may have made of it.
#[derive(Default)]
struct Known {
    sure: BTreeMap<i64, i64>,
    unsure: BTreeMap<i64, Option<i64>>,
}

impl Known {
    fn check(&self, found: &BTreeMap<i64, i64>, round: i64) {
        for key in 0..KEYS {
            let (found, sure) = (found.get(&key), self.sure.get(&key));
            let unsure = self.unsure.get(&key).map(Option::as_ref);
            assert!(found == sure || Some(found) == unsure, "round {round}, key {key}: {found:?}");
        }
    }
}

const KEYS: i64 = 600;

/// Writes, deletes, flushes and compacts without a pause, until the server is gone.
async fn storm(site: &Site, known: &mut Known, round: i64) {
    for step in 0.. {
        let add = 1 + round * 1_000 + step;
        let ids: Vec<i64> = (0..KEYS).filter(|id| (id + step) % 7 < 3).collect();
        let after = |deleted: bool| {
            let value = |id: i64| (!deleted).then_some(id + add);
            ids.iter().map(|&id| (id, value(id))).collect::<BTreeMap<i64, Option<i64>>>()
        };
        let deletes = step % 3 == 2;
        known.unsure = after(deletes);
        let done = match deletes {
            true => {
                let client = site.client();
                let filter = format!("id in {ids:?}");
                client.delete("storm", &filter).await.map(drop)
            }
            false => upsert(site, "storm", &ids, add).await,
        };
        if done.is_err() {
            return;
        }
        for (id, value) in std::mem::take(&mut known.unsure) {
            match value {
                Some(value) => known.sure.insert(id, value),
                None => known.sure.remove(&id),
            };
        }
        let flushed = site.client().flush("storm").await.is_ok();
        if !flushed || compact(site, "storm").await.is_err() {
            return;
        }
    }
}

async fn a_kill_at_any_moment_of_a_compaction_loses_nothing_and_brings_nothing_back(
    mut site: Site,
) {
    site.client().prepare("storm", DIM, 2).await.expect("a collection");
    let mut known = Known::default();
    let mut compacted = 0;
    for round in 0..6 {
        let pause = Duration::from_millis(700 + 230 * round as u64);
        // The server is killed from the side, in the middle of whatever it does.
        let _ = tokio::time::timeout(pause, storm(&site, &mut known, round)).await;
        site.kill();
        site.restart().expect("a server that starts again");
        let found = all(&site, "storm").await;
        known.check(&found, round);
        // What may have happened did or did not, for ever.
        (known.sure, known.unsure) = (found, BTreeMap::new());
        let count = site.client().count("storm", "").await.expect("a count");
        assert_eq!(count, known.sure.len() as i64, "round {round}");
        compacted += compact_all(&site, "storm").await.len();
        assert_eq!(all(&site, "storm").await, known.sure, "round {round}");
    }
    assert!(compacted > 0);
}
on_both!(
    a_kill_at_any_moment_of_a_compaction_loses_nothing_and_brings_nothing_back,
    "--retention-seconds=0"
);
