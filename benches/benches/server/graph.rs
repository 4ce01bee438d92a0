//! Graphs through gRPC: loading until everything is indexed, searches by recall, memory and disk,
//! a restart, and searches while rows arrive.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use futures::future::try_join_all;
use millstream_benches::client::{Client, Failure, Found, graph_request, insert_request};
use millstream_benches::data::{read_vectors, unit_vectors};
use millstream_benches::report::{Figure, note};
use millstream_benches::sample::Sample;
use millstream_benches::server::Server;
use millstream_catalog::model::Metric;
use millstream_gateway::pb::common::ConsistencyLevel::Strong;
use millstream_index::{Block, Queries, TopK, Vectors, inv_norms, scan};

use crate::{Bench, DIM};

/// Vectors at the end of the file that are searched for.
const QUERIES: usize = 1000;
const TOPK: usize = 10;
const BATCH_ROWS: usize = 5000;
const EFS: [usize; 10] = [16, 32, 48, 64, 96, 128, 192, 256, 384, 512];
/// What Milvus 2.3.5 reached with the same number of vectors of this kind on such a machine:
/// searches a second of 4 and 16 clients at recall 0.95, of 4 at 0.99; rows a second of one client.
const MILVUS_QPS: [f64; 2] = [668.0, 767.0];
const MILVUS_QPS_99: f64 = 449.0;
const MILVUS_ROWS_PER_S: f64 = 86_000.0;

/// Where the vectors come from, and what to compare with.
pub(crate) struct Given {
    /// A file of little-endian f32 vectors of 100 values, row-major, the last 1,000 the queries.
    pub vectors: Option<String>,
    /// A Python that has hnswlib and numpy.
    pub python: Option<String>,
    /// Seconds of searches beside inserts.
    pub mixed_seconds: f64,
}

/// Rows, queries, and the exact neighbours of the queries.
struct Data {
    rows: Vec<f32>,
    queries: Vec<f32>,
    truth: Vec<Vec<i64>>,
}

impl Data {
    fn new(given: &Given) -> Result<Data, Failure> {
        let mut rows = match &given.vectors {
            Some(file) => read_vectors(Path::new(file), DIM)?,
            None => {
                note("random vectors, which no graph likes: --vectors FILE gives real ones");
                unit_vectors(20_000 + QUERIES, DIM, 1)
            }
        };
        let queries = rows.split_off(rows.len().saturating_sub(QUERIES * DIM));
        let truth = exact(&rows, &queries)?;
        Ok(Data { rows, queries, truth })
    }

    fn count(&self) -> usize {
        self.rows.len() / DIM
    }

    fn query(&self, number: usize) -> (&[f32], &[i64]) {
        let at = number % self.truth.len();
        (&self.queries[at * DIM..(at + 1) * DIM], &self.truth[at])
    }
}

/// The nearest rows of each query by cosine, without any index.
fn exact(rows: &[f32], queries: &[f32]) -> Result<Vec<Vec<i64>>, Failure> {
    let vectors = Vectors::Float(rows);
    let mut norms = vec![0.0; rows.len() / DIM];
    inv_norms(DIM, rows, &mut norms);
    let block = Block { vectors, inv_norms: &norms, mask: None, first_row: 0 };
    let wrong = |error| Failure::Setup(format!("the queries: {error}"));
    let queries = Queries::new(Metric::Cosine, DIM, queries).map_err(wrong)?;
    let mut tops = vec![TopK::new(TOPK, Metric::Cosine); queries.nq()];
    scan(&queries, &block, &mut tops, &|a, b| a.cmp(&b));
    let ids =
        |top: TopK| top.finish(&|a, b| a.cmp(&b)).iter().map(|hit| i64::from(hit.row)).collect();
    Ok(tops.into_iter().map(ids).collect())
}

/// Searches of one collection at one `ef`.
struct Searched {
    recall: f64,
    /// Of all clients together.
    per_second: f64,
    server_us: f64,
    latency: Sample,
}

/// All sections, one after another on one server.
pub(crate) async fn graph(bench: &Bench, given: &Given) -> Result<(), Failure> {
    let data = Data::new(given)?;
    let raw_mib = data.rows.len() as f64 * 4.0 / f64::from(1 << 20);
    let mut server = bench.server().await?;
    let mut client = server.connect().await?;
    let built = load(&server, &mut client, &data).await?;

    Figure::new("graph_disk", folder_mib(server.folder()), "MiB")
        .against("the raw vectors", raw_mib)
        .ratio_at_most(2.0)
        .print();
    let peer = match (&given.python, &given.vectors) {
        (Some(python), Some(file)) => Some(hnswlib(python, file)?),
        _ => None,
    };
    if let Some(peer) = &peer {
        Figure::new("graph_load_server_cpu", built, "s")
            .against("hnswlib's build", peer.build)
            .print();
    }
    for (recall, name) in [(0.95, "r95"), (0.99, "r99")] {
        searches(bench, &mut server, &data, recall, name, peer.as_ref()).await?;
    }
    Figure::new("graph_rss_less_40", server.resident_mib() - 40.0, "MiB")
        .against("the raw vectors", raw_mib)
        .ratio_at_most(2.5)
        .print();
    restart(&mut server, &data).await?;
    mixed(&mut server, &data, given.mixed_seconds).await
}

/// Inserts everything, flushes, and waits for the graph; the server's CPU seconds.
async fn load(server: &Server, client: &mut Client, data: &Data) -> Result<f64, Failure> {
    let index = [
        ("index_type", "HNSW"),
        ("metric_type", "COSINE"),
        ("params", "{\"M\": 16, \"efConstruction\": 200}"),
    ];
    client.collection_create_with("graph", DIM, &index).await?;
    let batches = data.rows.chunks(BATCH_ROWS * DIM).enumerate();
    let requests: Vec<_> = batches
        .map(|(batch, rows)| insert_request("graph", (batch * BATCH_ROWS) as i64, DIM, rows))
        .collect();
    let cpu = server.cpu_seconds();
    let began = Instant::now();
    for request in requests {
        client.insert(request).await?;
    }
    let inserted = began.elapsed().as_secs_f64();
    Figure::new("graph_insert_rows_per_s", data.count() as f64 / inserted, "rows/s")
        .against("Milvus elsewhere", MILVUS_ROWS_PER_S)
        .ratio_at_least(3.0)
        .print();
    client.flush("graph").await?;
    Figure::new("graph_flushed_s", began.elapsed().as_secs_f64(), "s").print();
    while client.index_pending("graph").await? > 0 {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Figure::new("graph_ready_s", began.elapsed().as_secs_f64(), "s").print();
    Ok(server.cpu_seconds() - cpu)
}

/// The least `ef` that has a recall, and what searches with it cost.
async fn searches(
    bench: &Bench,
    server: &mut Server,
    data: &Data,
    recall: f64,
    name: &str,
    peer: Option<&Peer>,
) -> Result<(), Failure> {
    let times = bench.times(4000);
    let mut found = None;
    for ef in EFS {
        let one = search(server, data, ef, 1, QUERIES).await?;
        if one.recall >= recall {
            found = Some(ef);
            break;
        }
    }
    let Some(ef) = found else {
        note(&format!("no ef up to {} reaches recall {recall}", EFS[EFS.len() - 1]));
        return Ok(());
    };
    let one = search(server, data, ef, 1, times).await?;
    Figure::new(format!("graph_{name}_ef"), ef as f64, "").print();
    Figure::new(format!("graph_{name}_recall"), one.recall, "").at_least(recall).print();
    Figure::new(format!("graph_{name}_p50_c1"), one.latency.median_ms(), "ms").print();
    Figure::new(format!("graph_{name}_p99_c1"), one.latency.quantile_ms(0.99), "ms").print();
    Figure::new(format!("graph_{name}_qps_c1"), one.per_second, "/s").print();
    let cost = Figure::new(format!("graph_{name}_server_cpu"), one.server_us, "us");
    match peer.and_then(|peer| peer.at(one.recall)) {
        Some(us) => cost.against("hnswlib at that recall", us).ratio_at_most(1.0).print(),
        None => cost.print(),
    }
    for (clients, milvus) in [4, 16].into_iter().zip(MILVUS_QPS) {
        let many = search(server, data, ef, clients, times).await?;
        let (milvus, least) = match name {
            "r95" => (milvus, 3.0),
            _ => (MILVUS_QPS_99, 2.2),
        };
        Figure::new(format!("graph_{name}_qps_c{clients}"), many.per_second, "/s")
            .against("Milvus elsewhere", milvus)
            .ratio_at_least(least)
            .print();
        Figure::new(format!("graph_{name}_server_cpu_c{clients}"), many.server_us, "us").print();
    }
    Ok(())
}

async fn search(
    server: &mut Server,
    data: &Data,
    ef: usize,
    clients: usize,
    times: usize,
) -> Result<Searched, Failure> {
    let mut connected = Vec::new();
    for _ in 0..clients {
        connected.push(server.connect().await?);
    }
    let (cpu, began) = (server.cpu_seconds(), Instant::now());
    let runs = connected.into_iter().enumerate().map(|(first, mut client)| async move {
        let (mut latency, mut right) = (Sample::default(), 0);
        for number in (first..times).step_by(clients) {
            let (query, truth) = data.query(number);
            let sent = Instant::now();
            let hits = client.search(graph_request("graph", TOPK, ef, query)).await?;
            latency.add(sent.elapsed());
            right += same(&hits[0], truth);
        }
        Ok::<_, Failure>((latency, right))
    });
    let done = try_join_all(runs).await?;
    let seconds = began.elapsed().as_secs_f64();
    let server_us = (server.cpu_seconds() - cpu) * 1e6 / times as f64;
    let mut latency = Sample::default();
    done.iter().for_each(|(one, _)| latency.extend(one));
    let right: usize = done.iter().map(|(_, right)| right).sum();
    let recall = right as f64 / (times * TOPK) as f64;
    Ok(Searched { recall, per_second: times as f64 / seconds, server_us, latency })
}

/// How many of the hits are among the nearest.
fn same(hits: &[Found], truth: &[i64]) -> usize {
    hits.iter().filter(|hit| truth.contains(&hit.id)).count()
}

/// From kill -9 to the first complete answer.
async fn restart(server: &mut Server, data: &Data) -> Result<(), Failure> {
    let began = Instant::now();
    server.kill_and_restart()?;
    let mut client = server.connect().await?;
    let (query, truth) = data.query(0);
    let end = began + Duration::from_secs(60);
    let hits = loop {
        match client.search(graph_request("graph", TOPK, 512, query)).await {
            Ok(hits) => break hits,
            Err(failure) if Instant::now() > end => return Err(failure),
            Err(_) => tokio::time::sleep(Duration::from_millis(2)).await,
        }
    };
    let seconds = began.elapsed().as_secs_f64();
    let count = client.count("graph", Strong).await?;
    if count != data.count() as i64 || same(&hits[0], truth) < TOPK / 2 {
        return Err(Failure::Wrong(format!("{count} rows and {hits:?} after the restart")));
    }
    Figure::new("graph_restart_s", seconds, "s").at_most(1.0).print();
    Ok(())
}

/// Searches of one client, quiet and while 2,000 rows arrive each second.
async fn mixed(server: &mut Server, data: &Data, seconds: f64) -> Result<(), Failure> {
    let mut client = server.connect().await?;
    let quiet = search_for(&mut client, data, seconds.min(20.0)).await?;
    let writer = server.connect().await?;
    let writes = tokio::spawn(arrive(writer, data.count() as i64));
    let busy = search_for(&mut client, data, seconds).await?;
    writes.abort();
    if let Ok(Err(failure)) = writes.await {
        return Err(failure);
    }
    Figure::new("graph_mixed_qps_c1", busy.1, "/s")
        .against("quiet", quiet.1)
        .ratio_at_least(0.8)
        .print();
    Figure::new("graph_mixed_p99_ms", busy.0.quantile_ms(0.99), "ms")
        .against("quiet", quiet.0.quantile_ms(0.99))
        .ratio_at_most(2.0)
        .print();
    Ok(())
}

async fn search_for(
    client: &mut Client,
    data: &Data,
    seconds: f64,
) -> Result<(Sample, f64), Failure> {
    let (mut sample, began) = (Sample::default(), Instant::now());
    while began.elapsed().as_secs_f64() < seconds {
        let (query, _) = data.query(sample.count());
        let sent = Instant::now();
        client.search(graph_request("graph", TOPK, 64, query)).await?;
        sample.add(sent.elapsed());
    }
    let per_second = sample.count() as f64 / began.elapsed().as_secs_f64();
    Ok((sample, per_second))
}

/// Inserts 100 rows 20 times a second, until it is aborted.
async fn arrive(mut client: Client, from: i64) -> Result<(), Failure> {
    const ROWS: i64 = 100;
    let vectors = unit_vectors(ROWS as usize, DIM, 9);
    let mut ticks = tokio::time::interval(Duration::from_millis(50));
    for batch in 0.. {
        ticks.tick().await;
        client.insert(insert_request("graph", from + batch * ROWS, DIM, &vectors)).await?;
    }
    Ok(())
}

/// Of all files below a folder.
fn folder_mib(folder: &Path) -> f64 {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let size = |entry: std::fs::DirEntry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => folder_mib(&entry.path()),
        Ok(metadata) => metadata.len() as f64 / f64::from(1 << 20),
        Err(_) => 0.0,
    };
    entries.map(size).sum()
}

/// What hnswlib needs for the same, in this run.
struct Peer {
    /// CPU seconds.
    build: f64,
    /// Recall, and CPU us of a search; by growing recall.
    searches: Vec<(f64, f64)>,
}

impl Peer {
    /// CPU us of a search at a recall, between those that were measured.
    fn at(&self, recall: f64) -> Option<f64> {
        let above = self.searches.iter().position(|&(there, _)| there >= recall)?;
        let (high, high_us) = self.searches[above];
        let Some(&(low, low_us)) = above.checked_sub(1).and_then(|at| self.searches.get(at)) else {
            return Some(high_us);
        };
        let share = (recall - low) / (high - low).max(f64::MIN_POSITIVE);
        Some(low_us + share * (high_us - low_us))
    }
}

fn hnswlib(python: &str, file: &str) -> Result<Peer, Failure> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/hnswlib_figures.py");
    let output = Command::new(python).args([script, file, &DIM.to_string()]).output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let mut peer = Peer { build: f64::NAN, searches: Vec::new() };
    for line in text.lines() {
        let words: Vec<f64> = line.split(' ').filter_map(|word| word.parse().ok()).collect();
        match words[..] {
            [seconds] => peer.build = seconds,
            [_, us, recall] => peer.searches.push((recall, us)),
            _ => {}
        }
    }
    if peer.searches.is_empty() {
        let errors = String::from_utf8_lossy(&output.stderr);
        return Err(Failure::Setup(format!("hnswlib was not measured: {errors}")));
    }
    Ok(peer)
}
