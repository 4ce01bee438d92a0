//! Doing nothing, and starting again.

use std::time::{Duration, Instant};

use futures::future::try_join_all;
use millstream_benches::client::{Client, Failure, insert_request, search_request};
use millstream_benches::data::unit_vectors;
use millstream_benches::echo;
use millstream_benches::report::Figure;
use millstream_gateway::pb::common::ConsistencyLevel::Strong;

use crate::{Bench, DIM};

/// CPU and memory of a server that nobody uses: empty, and with a loaded collection.
pub(crate) async fn idle(bench: &Bench) -> Result<(), Failure> {
    let mut server = bench.server().await?;
    let mut client = server.connect().await?;
    for state in ["empty", "loaded"] {
        if state == "loaded" {
            client.collection_create("idle", DIM).await?;
            let vectors = unit_vectors(1000, DIM, 1);
            client.insert(insert_request("idle", 0, DIM, &vectors)).await?;
            client.search(search_request("idle", Strong, 1, DIM, &vectors[..DIM])).await?;
        }
        tokio::time::sleep(Duration::from_secs(2)).await;
        let cpu = server.cpu_seconds();
        let began = Instant::now();
        tokio::time::sleep(Duration::from_secs_f64(10.0 * bench.scale.clamp(0.2, 6.0))).await;
        let share = (server.cpu_seconds() - cpu) / began.elapsed().as_secs_f64();
        Figure::new(format!("idle_cpu_{state}"), share * 100.0, "% core").at_most(1.0).print();
        Figure::new(format!("idle_rss_{state}"), server.resident_mib(), "MiB")
            .at_most(80.0)
            .print();
    }
    Ok(())
}

/// Timestamps over gRPC, against a bare server that answers the same messages.
pub(crate) async fn timestamps(bench: &Bench) -> Result<(), Failure> {
    /// The servers take turns so often, so that both meet the same machine.
    const ROUNDS: usize = 5;
    let mut server = bench.server().await?;
    let bare = Client::connect(&echo::start()?.to_string()).await?;
    let ours = server.connect().await?;
    for callers in [1, 16] {
        let calls = bench.times(4_000) / callers;
        let (mut rates, mut peers) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            peers.push(timestamps_per_s(&bare, callers, calls).await?);
            rates.push(timestamps_per_s(&ours, callers, calls).await?);
        }
        let median = |mut all: Vec<f64>| {
            all.sort_by(f64::total_cmp);
            all[all.len() / 2]
        };
        Figure::new(format!("alloc_timestamp_c{callers}"), median(rates), "/s")
            .against("a bare gRPC echo", median(peers))
            .ratio_at_least(0.8)
            .print();
    }
    Ok(())
}

async fn timestamps_per_s(client: &Client, callers: usize, calls: usize) -> Result<f64, Failure> {
    let began = Instant::now();
    let call = |mut client: Client| async move {
        for _ in 0..calls {
            client.timestamp().await?;
        }
        Ok::<_, Failure>(())
    };
    try_join_all((0..callers).map(|_| call(client.clone()))).await?;
    Ok((callers * calls) as f64 / began.elapsed().as_secs_f64())
}

/// From the start of the process to the first complete answer, with 100,000 rows in the log.
pub(crate) async fn cold_start(bench: &Bench) -> Result<(), Failure> {
    const ROWS: usize = 100_000;
    let began = Instant::now();
    let mut server = bench.server().await?;
    Figure::new("start_empty_s", began.elapsed().as_secs_f64(), "s").print();
    let mut client = server.connect().await?;
    client.collection_create("cold", DIM).await?;
    let rows = unit_vectors(ROWS, DIM, 1);
    for (batch, vectors) in rows.chunks(1000 * DIM).enumerate() {
        client.insert(insert_request("cold", batch as i64 * 1000, DIM, vectors)).await?;
    }
    let cpu = server.cpu_seconds();
    Figure::new("loaded_rss", server.resident_mib(), "MiB")
        .against("the raw vectors", rows.len() as f64 * 4.0 / f64::from(1 << 20))
        .print();
    drop(client);

    // The vector of the last row acknowledged: an answer that has it has all of the log.
    let last = &rows[(ROWS - 1) * DIM..];
    let began = Instant::now();
    server.kill_and_restart()?;
    let mut client = server.connect().await?;
    let connected = began.elapsed();
    let (mut refused, answer) = (0, began + Duration::from_secs(60));
    loop {
        match client.search(search_request("cold", Strong, 1, DIM, last)).await {
            Ok(hits) if hits[0].first().is_some_and(|hit| hit.id == ROWS as i64 - 1) => break,
            Ok(hits) => {
                return Err(Failure::Wrong(format!("{:?} before the log was read", hits[0])));
            }
            Err(failure) if Instant::now() > answer => return Err(failure),
            Err(_) => refused += 1,
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let seconds = began.elapsed().as_secs_f64();
    let count = client.count("cold", Strong).await?;
    if count != ROWS as i64 {
        return Err(Failure::Wrong(format!("{count} rows after the restart")));
    }
    Figure::new("cold_start_kill9_s", seconds, "s").at_most(1.5).print();
    Figure::new("cold_start_listening_s", connected.as_secs_f64(), "s").print();
    Figure::new("cold_start_refused_searches", f64::from(refused), "").print();
    Figure::new("cold_start_server_cpu_s", server.cpu_seconds(), "s")
        .against("the inserts", cpu)
        .print();
    Ok(())
}
