//! Inserts: batches of one client, and single rows of sixteen.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use futures::future::try_join_all;
use millstream_benches::client::{Client, Failure, insert_request};
use millstream_benches::data::unit_vectors;
use millstream_benches::process::cpu_seconds;
use millstream_benches::report::Figure;
use millstream_benches::sample::Sample;
use millstream_gateway::pb::common::ConsistencyLevel::Strong;

use crate::{Bench, DIM};

/// Rows of a batch.
const BATCH_ROWS: usize = 1000;
/// Concurrent clients of single rows.
const CLIENTS: usize = 16;

/// One client sends batches of 1,000 rows, one after another.
pub(crate) async fn bulk(bench: &Bench) -> Result<(), Failure> {
    let mut server = bench.server().await?;
    let mut client = server.connect().await?;
    client.collection_create("bulk", DIM).await?;
    let (warm, batches) = (20, bench.times(200));
    let vectors = unit_vectors(BATCH_ROWS, DIM, 5);
    let request = |batch: usize| insert_request("bulk", (batch * BATCH_ROWS) as i64, DIM, &vectors);
    for batch in 0..warm {
        client.insert(request(batch)).await?;
    }
    let requests: Vec<_> = (warm..warm + batches).map(request).collect();
    let floor = append_seconds(server.folder(), BATCH_ROWS * (DIM * 4 + 24), 50)?;

    let (server_cpu, own_cpu) = (server.cpu_seconds(), cpu_seconds(std::process::id()));
    let mut sample = Sample::default();
    let began = Instant::now();
    for request in requests {
        let sent = Instant::now();
        client.insert(request).await?;
        sample.add(sent.elapsed());
    }
    let seconds = began.elapsed().as_secs_f64();
    let rows = (batches * BATCH_ROWS) as f64;
    let server_us = (server.cpu_seconds() - server_cpu) * 1e6 / rows;
    let own_us = (cpu_seconds(std::process::id()) - own_cpu) * 1e6 / rows;
    expect_count(&mut client, "bulk", (warm + batches) * BATCH_ROWS).await?;

    Figure::new("insert_rows_per_s_b1000", rows / seconds, "rows/s")
        .against("append + fdatasync of the same bytes", BATCH_ROWS as f64 / floor)
        .at_least(200_000.0)
        .print();
    Figure::new("insert_server_cpu_us_per_row", server_us, "us").print();
    Figure::new("insert_client_cpu_us_per_row", own_us, "us").print();
    Figure::new("insert_b1000_p50_ms", sample.median_ms(), "ms").print();
    Figure::new("insert_b1000_p99_ms", sample.quantile_ms(0.99), "ms").print();
    Ok(())
}

/// Sixteen clients, each with its own connection, insert one row at a time.
pub(crate) async fn single(bench: &Bench) -> Result<(), Failure> {
    let mut server = bench.server().await?;
    let mut client = server.connect().await?;
    client.collection_create("single", DIM).await?;
    let mut clients = Vec::new();
    for _ in 0..CLIENTS {
        clients.push(server.connect().await?);
    }
    let each = bench.times(3000);
    let vectors = unit_vectors(CLIENTS, DIM, 6);
    let floor = append_seconds(server.folder(), DIM * 4, 200)?;

    let (server_cpu, own_cpu) = (server.cpu_seconds(), cpu_seconds(std::process::id()));
    let began = Instant::now();
    let runs = clients.into_iter().enumerate().map(|(number, client)| {
        let vector = &vectors[number * DIM..(number + 1) * DIM];
        insert_rows(client, (number * each) as i64, each, vector)
    });
    let samples = try_join_all(runs).await?;
    let seconds = began.elapsed().as_secs_f64();
    let rows = (CLIENTS * each) as f64;
    let server_us = (server.cpu_seconds() - server_cpu) * 1e6 / rows;
    let own_us = (cpu_seconds(std::process::id()) - own_cpu) * 1e6 / rows;
    expect_count(&mut client, "single", CLIENTS * each).await?;

    let mut all = Sample::default();
    samples.iter().for_each(|sample| all.extend(sample));
    Figure::new("insert1_rows_per_s_c16", rows / seconds, "rows/s")
        .against("one append + fdatasync at a time", 1.0 / floor)
        .at_least(8_000.0)
        .print();
    Figure::new("insert1_c16_p50_ms", all.median_ms(), "ms").print();
    Figure::new("insert1_c16_p99_ms", all.quantile_ms(0.99), "ms").print();
    Figure::new("insert1_server_cpu_us_per_row", server_us, "us").print();
    Figure::new("insert1_client_cpu_us_per_row", own_us, "us").print();
    Ok(())
}

/// One client's rows, one request each.
async fn insert_rows(
    mut client: Client,
    first_id: i64,
    count: usize,
    vector: &[f32],
) -> Result<Sample, Failure> {
    let mut sample = Sample::default();
    for id in (first_id..).take(count) {
        let request = insert_request("single", id, DIM, vector);
        let sent = Instant::now();
        client.insert(request).await?;
        sample.add(sent.elapsed());
    }
    Ok(sample)
}

/// Refuses a collection that does not hold exactly the rows that were acknowledged.
async fn expect_count(client: &mut Client, name: &str, rows: usize) -> Result<(), Failure> {
    let count = client.count(name, Strong).await?;
    if count == rows as i64 {
        return Ok(());
    }
    Err(Failure::Wrong(format!("{count} rows counted, {rows} acknowledged")))
}

/// Seconds that one append of `bytes` with fdatasync takes in `folder`: the median of `times`.
fn append_seconds(folder: &Path, bytes: usize, times: usize) -> Result<f64, Failure> {
    let mut file = File::create(folder.join("append"))?;
    let block = vec![7_u8; bytes];
    let mut sample = Sample::default();
    for _ in 0..times {
        let began = Instant::now();
        file.write_all(&block)?;
        file.sync_data()?;
        sample.add(began.elapsed().max(Duration::from_nanos(1)));
    }
    Ok(sample.median_ms() / 1e3)
}
