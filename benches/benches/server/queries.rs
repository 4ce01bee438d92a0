//! Queries: what one by a key costs, and that a count does not depend on the rows it counts.

use std::time::Instant;

use millstream_benches::client::{Client, Failure, insert_request, key_query};
use millstream_benches::data::unit_vectors;
use millstream_benches::report::Figure;
use millstream_benches::sample::Sample;
use millstream_benches::server::Server;
use millstream_gateway::pb::common::ConsistencyLevel::Bounded;

use crate::Bench;

/// Rows of the two collections that are counted; queries by a key go to the larger.
const FEW: usize = 10_000;
const MANY: usize = 1_000_000;
/// Values per vector: nothing reads the vectors.
const DIM: usize = 4;

/// Server CPU and latency of a query by one key, and of `count(*)` over few and many rows.
pub(crate) async fn queries(bench: &Bench) -> Result<(), Failure> {
    let mut server = bench.server().await?;
    let mut client = server.connect().await?;
    fill(&mut client, "few", FEW).await?;
    fill(&mut client, "many", MANY).await?;
    let times = bench.times(5000);

    let begun = Spent::new(&server);
    let mut sample = Sample::default();
    for number in 0..times {
        let key = (number * 7919 % MANY) as i64;
        let sent = Instant::now();
        let words = client.query_words(key_query("many", key, Bounded)).await?;
        sample.add(sent.elapsed());
        if words != [format!("word-{key}")] {
            return Err(Failure::Wrong(format!("key {key} answered {words:?}")));
        }
    }
    let cost = begun.us_per_request(&server, times);
    Figure::new("query_by_key_server_cpu_us", cost, "us").at_most(150.0).print();
    Figure::new("query_by_key_p50_ms", sample.median_ms(), "ms").print();

    let few = counts(&server, &mut client, "few", FEW, times).await?;
    let many = counts(&server, &mut client, "many", MANY, times).await?;
    Figure::new("count_p50_ms_1M_rows", many.0.median_ms(), "ms")
        .against("10k rows", few.0.median_ms())
        .ratio_at_most(1.2)
        .print();
    Figure::new("count_server_cpu_us_1M_rows", many.1, "us").against("10k rows", few.1).print();
    Ok(())
}

/// Exact counts at a recent time: their durations, and the server's CPU time for each in us.
async fn counts(
    server: &Server,
    client: &mut Client,
    name: &str,
    rows: usize,
    times: usize,
) -> Result<(Sample, f64), Failure> {
    let begun = Spent::new(server);
    let mut sample = Sample::default();
    for _ in 0..times {
        let sent = Instant::now();
        let count = client.count(name, Bounded).await?;
        sample.add(sent.elapsed());
        if count != rows as i64 {
            return Err(Failure::Wrong(format!("{count} of {rows} rows counted")));
        }
    }
    Ok((sample, begun.us_per_request(server, times)))
}

async fn fill(client: &mut Client, name: &str, rows: usize) -> Result<(), Failure> {
    const BATCH: usize = 10_000;
    client.collection_create(name, DIM).await?;
    let vectors = unit_vectors(BATCH, DIM, 1);
    for first in (0..rows).step_by(BATCH) {
        client.insert(insert_request(name, first as i64, DIM, &vectors)).await?;
    }
    Ok(())
}

/// The server's CPU time since a moment.
struct Spent(f64);

impl Spent {
    fn new(server: &Server) -> Spent {
        Spent(server.cpu_seconds())
    }

    fn us_per_request(&self, server: &Server, requests: usize) -> f64 {
        (server.cpu_seconds() - self.0) * 1e6 / requests as f64
    }
}
