//! Searches: how fresh, at which level, and what a request costs beside its scan.

use std::hint::black_box;
use std::time::{Duration, Instant};

use millstream_benches::client::{Client, Failure, Found, insert_request, search_request};
use millstream_benches::data::unit_vectors;
use millstream_benches::process::cpu_seconds;
use millstream_benches::report::Figure;
use millstream_benches::sample::Sample;
use millstream_catalog::model::Metric;
use millstream_gateway::pb::common::ConsistencyLevel::{self, Bounded, Strong};
use millstream_index::{Block, Hit, Queries, TopK, Vectors, scan};

use crate::{Bench, DIM};

/// Rows of the searched collections.
const ROWS: usize = 10_000;
/// Hits asked for.
const TOPK: usize = 10;
/// How far the rows that arrive during searches are moved from all others, in every dimension.
const FAR: f32 = 50.0;

/// From an insert's acknowledgement to the reply of a Strong search that shows the row.
pub(crate) async fn freshness(bench: &Bench) -> Result<(), Failure> {
    let mut server = bench.server().await?;
    let mut client = server.connect().await?;
    fill(&mut client, "fresh", ROWS).await?;
    let times = bench.times(500);
    let vectors = unit_vectors(times, DIM, 7);
    let mut sample = Sample::default();
    let mut insert = Sample::default();
    for (number, vector) in vectors.chunks_exact(DIM).enumerate() {
        let id = (ROWS + number) as i64;
        let sent = Instant::now();
        client.insert(insert_request("fresh", id, DIM, vector)).await?;
        let acknowledged = Instant::now();
        insert.add(acknowledged - sent);
        let hits = client.search(search_request("fresh", Strong, TOPK, DIM, vector)).await?;
        sample.add(acknowledged.elapsed());
        if hits[0].first().is_none_or(|hit| hit.id != id) {
            return Err(Failure::Wrong(format!("row {id} was acknowledged and is not seen")));
        }
        // Rows arrive at moments of their own, not in step with anything in the server.
        tokio::time::sleep(Duration::from_micros(500 + 137 * (number as u64 % 29))).await;
    }
    Figure::new("freshness_strong_p50_ms", sample.median_ms(), "ms").at_most(2.5).print();
    Figure::new("freshness_strong_p99_ms", sample.quantile_ms(0.99), "ms").print();
    Figure::new("freshness_strong_max_ms", sample.quantile_ms(1.0), "ms").at_most(15.0).print();
    Figure::new("insert1_p50_ms", insert.median_ms(), "ms").print();
    Figure::new("insert1_p99_ms", insert.quantile_ms(0.99), "ms").print();
    Ok(())
}

/// Strong against Bounded searches, idle and while rows arrive.
pub(crate) async fn levels(bench: &Bench) -> Result<(), Failure> {
    let mut server = bench.server().await?;
    let mut client = server.connect().await?;
    let rows = fill(&mut client, "levels", ROWS).await?;
    let times = bench.times(2000);
    let searches = alternate(&mut client, &rows, times);
    let [strong, bounded] = searches.await?;
    print_levels("idle", &strong, &bounded);

    let writer = server.connect().await?;
    let writes = tokio::spawn(arrive(writer, Duration::from_millis(50), 100));
    tokio::time::sleep(Duration::from_millis(500)).await;
    let server_cpu = server.cpu_seconds();
    let began = Instant::now();
    let [strong, bounded] = alternate(&mut client, &rows, times).await?;
    let share = (server.cpu_seconds() - server_cpu) / began.elapsed().as_secs_f64();
    writes.abort();
    // A writer that was aborted, as asked for, has no result of its own.
    if let Ok(Err(failure)) = writes.await {
        return Err(failure);
    }
    print_levels("2000_rows_per_s", &strong, &bounded);
    Figure::new("search_mixed_server_cpu", share * 100.0, "% core").print();
    Ok(())
}

/// Prints both medians and their ratio.
fn print_levels(load: &str, strong: &Sample, bounded: &Sample) {
    Figure::new(format!("search_strong_p50_ms_{load}"), strong.median_ms(), "ms")
        .against("Bounded", bounded.median_ms())
        .ratio_at_most(1.3)
        .print();
    Figure::new(format!("search_strong_p99_ms_{load}"), strong.quantile_ms(0.99), "ms")
        .against("Bounded", bounded.quantile_ms(0.99))
        .print();
}

/// Strong and Bounded searches in turn, every answer compared with the exact one.
async fn alternate(
    client: &mut Client,
    rows: &[f32],
    times: usize,
) -> Result<[Sample; 2], Failure> {
    let queries = unit_vectors(100, DIM, 8);
    let truth: Vec<Vec<Hit>> = queries.chunks_exact(DIM).map(|query| exact(rows, query)).collect();
    let mut samples = [Sample::default(), Sample::default()];
    for number in 0..times {
        let at = number % truth.len();
        let query = &queries[at * DIM..(at + 1) * DIM];
        for (sample, level) in samples.iter_mut().zip([Strong, Bounded]) {
            let request = search_request("levels", level, TOPK, DIM, query);
            let sent = Instant::now();
            let hits = client.search(request).await?;
            sample.add(sent.elapsed());
            expect_hits(&hits[0], &truth[at], level)?;
        }
    }
    Ok(samples)
}

/// Inserts `rows` rows every `period`, far from all others, until it is aborted.
async fn arrive(mut client: Client, period: Duration, rows: usize) -> Result<(), Failure> {
    let mut vectors = unit_vectors(rows, DIM, 9);
    vectors.iter_mut().for_each(|x| *x += FAR);
    let mut ticks = tokio::time::interval(period);
    for batch in ROWS / rows.. {
        ticks.tick().await;
        let first_id = (batch * rows) as i64;
        client.insert(insert_request("levels", first_id, DIM, &vectors)).await?;
    }
    Ok(())
}

/// Server CPU of a request with one query, less the scan of its rows as measured here.
pub(crate) async fn overhead(bench: &Bench) -> Result<(), Failure> {
    const SMALL: usize = 1000;
    let mut server = bench.server().await?;
    let mut client = server.connect().await?;
    let rows = fill(&mut client, "small", SMALL).await?;
    let query = unit_vectors(1, DIM, 8);
    let truth = exact(&rows, &query);
    let began = Instant::now();
    for _ in 0..1000 {
        black_box(exact(&rows, &query));
    }
    let scan_us = began.elapsed().as_secs_f64() * 1e3;
    let times = bench.times(5000);
    for (level, name) in [(Bounded, "bounded"), (Strong, "strong")] {
        let (server_cpu, own_cpu) = (server.cpu_seconds(), cpu_seconds(std::process::id()));
        let mut sample = Sample::default();
        for _ in 0..times {
            let sent = Instant::now();
            let hits = client.search(search_request("small", level, TOPK, DIM, &query)).await?;
            sample.add(sent.elapsed());
            expect_hits(&hits[0], &truth, level)?;
        }
        let per_request = |seconds: f64| seconds * 1e6 / times as f64;
        let server_us = per_request(server.cpu_seconds() - server_cpu);
        let own_us = per_request(cpu_seconds(std::process::id()) - own_cpu);
        Figure::new(format!("search_overhead_cpu_us_{name}"), server_us - scan_us, "us")
            .at_most(150.0)
            .print();
        Figure::new(format!("search_server_cpu_us_{name}"), server_us, "us")
            .against("the scan alone", scan_us)
            .print();
        Figure::new(format!("search_client_cpu_us_{name}"), own_us, "us").print();
        Figure::new(format!("search_p50_ms_{name}"), sample.median_ms(), "ms").print();
    }
    Ok(())
}

/// Creates a collection and inserts `count` unit vectors, which it returns.
async fn fill(client: &mut Client, name: &str, count: usize) -> Result<Vec<f32>, Failure> {
    client.collection_create(name, DIM).await?;
    let rows = unit_vectors(count, DIM, 1);
    for (batch, vectors) in rows.chunks(1000 * DIM).enumerate() {
        client.insert(insert_request(name, batch as i64 * 1000, DIM, vectors)).await?;
    }
    Ok(rows)
}

/// The nearest rows by the same kernels, in this process.
fn exact(rows: &[f32], query: &[f32]) -> Vec<Hit> {
    let tie = |a: u32, b: u32| a.cmp(&b);
    let queries = Queries::new(Metric::L2, DIM, query).expect("whole vectors");
    let mut out = [TopK::new(TOPK, Metric::L2)];
    let vectors = Vectors::Float(rows);
    let block = Block { vectors, inv_norms: &[], mask: None, first_row: 0 };
    scan(&queries, &block, &mut out, &tie);
    let [top] = out;
    top.finish(&tie)
}

/// Refuses hits that differ from the exact ones.
fn expect_hits(hits: &[Found], truth: &[Hit], level: ConsistencyLevel) -> Result<(), Failure> {
    let same = |(found, hit): (&Found, &Hit)| found.id == i64::from(hit.row);
    if hits.len() == truth.len() && hits.iter().zip(truth).all(same) {
        return Ok(());
    }
    Err(Failure::Wrong(format!("{level:?}: {hits:?} instead of {truth:?}")))
}
