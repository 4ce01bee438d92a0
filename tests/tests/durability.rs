//! Acknowledged means durable: nothing that was acknowledged is lost, whatever is killed.

use std::time::Duration;

use millstream_tests::check::assert_holds;
use millstream_tests::client::Client;
use millstream_tests::history::{DIM, History, Level, Outcome, Seen};
use millstream_tests::site::{Site, Variant};
use millstream_tests::workload::{Ask, Workload, columns};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// After the last fault the server answers within this time.
const HEAL_LIMIT: Duration = Duration::from_secs(10);

/// What is killed in a trial.
#[derive(Clone, Copy, Debug)]
enum Fault {
    Server,
    Nats,
    Both,
    /// The server, and again while it starts.
    ServerTwice,
}

/// Trials of each kind: few by default, `MILLSTREAM_TEST_CRASH_TRIALS` for more.
fn trials() -> u64 {
    let set = std::env::var("MILLSTREAM_TEST_CRASH_TRIALS").ok();
    set.and_then(|count| count.parse().ok()).unwrap_or(3)
}

/// The first seed; a failure prints the seed of its trial, which `MILLSTREAM_TEST_CRASH_SEED`
/// repeats.
fn first_seed() -> u64 {
    let set = std::env::var("MILLSTREAM_TEST_CRASH_SEED").ok();
    set.and_then(|seed| seed.parse().ok()).unwrap_or(1)
}

async fn pause(random: &mut StdRng, from_ms: u64, to_ms: u64) {
    tokio::time::sleep(Duration::from_millis(random.random_range(from_ms..to_ms))).await;
}

/// Kills and starts again.
async fn strike(site: &mut Site, fault: Fault, random: &mut StdRng) {
    match fault {
        Fault::Server => site.kill(),
        Fault::ServerTwice => {
            site.kill();
            site.restart().expect("a server that starts again");
            pause(random, 0, 30).await;
            site.kill();
        }
        Fault::Nats | Fault::Both => {
            if matches!(fault, Fault::Both) {
                site.kill();
            }
            let nats = site.nats.as_mut().expect("a nats-server");
            nats.kill();
            pause(random, 0, 400).await;
            nats.restart().expect("a nats-server that starts again");
        }
    }
    // A server whose log failed in the middle of an append may end itself; it starts again.
    if !matches!(fault, Fault::Nats) {
        site.restart().expect("a server that starts again");
    }
}

/// Waits until a write and a Strong read succeed.
async fn healed(site: &mut Site, client: &Client, workload: &Workload) -> History {
    let end = tokio::time::Instant::now() + HEAL_LIMIT;
    loop {
        if let Some(status) = site.server.ended() {
            eprintln!("the server ended itself: {status}");
            site.restart().expect("a server that starts again");
        }
        let written = client.delete("durable", "id in [0]").await;
        let read = workload.read(usize::MAX - 1, Level::Strong, Ask::Rows).await;
        if let (Ok(_), Some(read)) = (&written, read) {
            return History { reads: vec![read], ..History::default() };
        }
        let now = tokio::time::Instant::now();
        assert!(now < end, "not healed after {HEAL_LIMIT:?}: {written:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Rows go to files all the time, so that faults meet every step of that.
async fn flush_again_and_again(client: Client, pause_ms: u64) {
    loop {
        // A server that is down flushes nothing.
        let _ = client.flush("durable").await;
        tokio::time::sleep(Duration::from_millis(pause_ms)).await;
    }
}

/// One trial: load, faults at random moments, and everything that was acknowledged is there.
async fn trial(variant: Variant, fault: Fault, seed: u64) {
    eprintln!("{variant:?}, {fault:?}: MILLSTREAM_TEST_CRASH_SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let mut site = Site::start(variant).expect("a server");
    let client = site.client();
    // Requests on one shard are atomic whatever happens; on several the checker allows less.
    let shards = if seed % 2 == 1 { 1 } else { 3 };
    client.prepare("durable", DIM, shards).await.expect("a collection");
    let workload = Workload::new(client.clone(), "durable", shards as usize);
    let mut history = History { late_parts: variant.has_nats(), ..History::default() };
    let flushes = tokio::spawn(flush_again_and_again(client.clone(), random.random_range(5..120)));
    for round in 0..2 {
        let running = workload.start(4, 2, seed.wrapping_mul(31).wrapping_add(round));
        pause(&mut random, 200, 900).await;
        strike(&mut site, fault, &mut random).await;
        history.append(healed(&mut site, &client, &workload).await);
        pause(&mut random, 50, 300).await;
        history.append(running.finish().await);
    }
    for ask in [Ask::Rows, Ask::Count, Ask::Nearest { token: 1_000, topk: 50 }] {
        let read = workload.read(usize::MAX, Level::Strong, ask).await.expect("an answer");
        history.reads.push(read);
    }
    flushes.abort();
    let unknown = history.writes.iter().filter(|write| write.outcome == Outcome::Unknown).count();
    let rows = match &history.reads[history.reads.len() - 3].seen {
        Seen::Rows(rows) => rows.len(),
        other => panic!("not rows: {other:?}"),
    };
    let acknowledged = history.acknowledged();
    eprintln!("  {acknowledged} writes acknowledged, {unknown} unknown, {rows} rows at the end");
    assert!(acknowledged > 20, "too few writes to show anything: {acknowledged}");
    assert_holds(&history);
}

async fn trials_of(variant: Variant, fault: Fault) {
    for seed in first_seed()..first_seed() + trials() {
        trial(variant, fault, seed).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killing_the_server_loses_nothing_on_the_embedded_log() {
    trials_of(Variant::Embedded, Fault::Server).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killing_the_server_twice_loses_nothing_on_the_embedded_log() {
    trials_of(Variant::Embedded, Fault::ServerTwice).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killing_the_server_loses_nothing_on_nats() {
    trials_of(Variant::Remote, Fault::Server).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killing_nats_loses_nothing() {
    trials_of(Variant::Remote, Fault::Nats).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killing_the_server_and_nats_at_once_loses_nothing() {
    trials_of(Variant::NatsOnly, Fault::Both).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killing_the_server_loses_nothing_with_the_catalog_on_postgres() {
    trials_of(Variant::PostgresOnly, Fault::Server).await;
}

/// Without any fault the whole history keeps every rule too, with more clients than cores.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_busy_server_keeps_every_rule() {
    for variant in [Variant::Embedded, Variant::Remote] {
        let site = Site::start(variant).expect("a server");
        let client = site.client();
        client.prepare("durable", DIM, 3).await.expect("a collection");
        let workload = Workload::new(client.clone(), "durable", 3);
        let running = workload.start(8, 6, 99);
        tokio::time::sleep(Duration::from_secs(3)).await;
        let history = running.finish().await;
        eprintln!("{variant:?}: {} acknowledged", history.acknowledged());
        assert!(history.writes.iter().all(|write| write.outcome != Outcome::Unknown));
        assert_holds(&history);
    }
}

/// DDL that was answered is there after a kill -9; DDL that was not is there wholly or not at all.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killing_the_server_in_the_middle_of_ddl_leaves_whole_collections() {
    for (variant, seed) in [(Variant::Embedded, 5), (Variant::Remote, 6)] {
        let mut random = StdRng::seed_from_u64(seed);
        let mut site = Site::start(variant).expect("a server");
        let mut due: Vec<String> = Vec::new();
        for round in 0..trials() {
            let client = site.client();
            let task = tokio::spawn(async move {
                let (mut made, mut dropped) = (Vec::new(), Vec::new());
                for number in 0.. {
                    let name = format!("ddl_{round}_{number}");
                    if client.prepare(&name, 4, 2).await.is_err() {
                        break;
                    }
                    if number % 3 == 2 {
                        dropped.push(name.clone());
                        if client.drop(&name).await.is_err() {
                            break;
                        }
                    } else {
                        made.push(name);
                    }
                }
                (made, dropped)
            });
            pause(&mut random, 50, 500).await;
            site.kill();
            site.restart().expect("a server that starts again");
            let (made, dropped) = task.await.expect("a client that did not panic");
            due.extend(made);
            let client = site.client();
            for name in &due {
                let count = client.count(name, "").await;
                assert_eq!(count.expect("a loaded collection"), 0, "{name}");
            }
            // The last drop may not have been answered; the others were.
            let answered = dropped.len().saturating_sub(1);
            for name in &dropped[..answered] {
                let trouble = client.count(name, "").await.expect_err("it was dropped");
                assert_eq!(trouble.code(), 100, "{trouble}");
            }
        }
    }
}

/// Rows that are written while their collection is dropped are ignored, also by a server that
/// found the collection at its start: every channel goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drop_under_load_after_a_restart_leaves_every_channel_working() {
    let mut site = Site::start(Variant::Embedded).expect("a server");
    let client = site.client();
    client.prepare("kept", DIM, 16).await.expect("a collection");
    for round in 0..4 {
        let doomed = format!("doomed_{round}");
        client.prepare(&doomed, DIM, 16).await.expect("a collection");
        site.kill();
        site.restart().expect("a server that starts again");
        let mut writers = tokio::task::JoinSet::new();
        for writer in 0..8_i64 {
            let (client, doomed) = (site.client(), doomed.clone());
            writers.spawn(async move {
                for number in 0..400 {
                    let rows: Vec<(i64, i64)> =
                        (0..20).map(|row| (writer * 10_000 + number * 20 + row, 1)).collect();
                    if client.insert(&doomed, rows.len(), columns(&rows)).await.is_err() {
                        break;
                    }
                }
            });
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
        client.drop(&doomed).await.expect("a drop");
        while writers.join_next().await.is_some() {}
        let rows: Vec<(i64, i64)> = (0..200).map(|row| (round * 200 + row, 1)).collect();
        client.insert("kept", rows.len(), columns(&rows)).await.expect("rows");
        let count = client.count("kept", "").await.expect("every channel answers");
        assert_eq!(count, (round + 1) * 200);
    }
}
