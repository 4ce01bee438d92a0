//! Compaction: few segments of live rows, the past while it is kept, and a kill at any moment.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use millstream_gateway::pb::{
    GetCompactionPlansRequest, GetCompactionPlansResponse, ManualCompactionRequest,
    ManualCompactionResponse,
};
use millstream_tests::client::{Answer, accept, message, pinned, query};
use millstream_tests::history::DIM;
use millstream_tests::on_both;
use millstream_tests::rows::read_longs;
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
