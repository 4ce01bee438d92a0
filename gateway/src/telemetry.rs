//! Metrics under Milvus's names, with handles made once so that a request only adds numbers.

use std::collections::HashMap;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use parking_lot::Mutex;

/// Latency buckets in milliseconds, as Milvus has them.
const BUCKETS_MS: &[f64] = &[
    0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1_024.0, 2_048.0,
    4_096.0, 8_192.0, 16_384.0, 32_768.0, 65_536.0,
];
/// Collections with series of their own; later ones share one.
const COLLECTIONS_MAX: usize = 1_000;
const NODE: &str = "1";
/// Latencies that may pile up before they are counted into their buckets.
const UPKEEP_EVERY: u64 = 8_192;

/// The recorder of this process: servers in one process share it.
static RECORDER: OnceLock<PrometheusHandle> = OnceLock::new();

/// Makes the process's recorder, once; what it returns renders the metrics as text.
///
/// # Errors
/// When the buckets are refused.
pub fn recorder() -> Result<PrometheusHandle, String> {
    if let Some(handle) = RECORDER.get() {
        return Ok(handle.clone());
    }
    let latencies = Matcher::Suffix("_latency".to_owned());
    let builder = PrometheusBuilder::new()
        .set_buckets_for_metric(latencies, BUCKETS_MS)
        .map_err(|error| error.to_string())?;
    let recorder = builder.build_recorder();
    let handle = recorder.handle();
    Ok(match metrics::set_global_recorder(recorder) {
        Ok(()) => RECORDER.get_or_init(|| handle).clone(),
        // Two starts at once: the other one was faster.
        Err(_) => RECORDER.get().cloned().unwrap_or(handle),
    })
}

struct Rpc {
    total: Counter,
    success: Counter,
    fail: Counter,
    latency: Histogram,
}

impl Rpc {
    fn new(name: &'static str) -> Rpc {
        let count = |status: &'static str| {
            counter!(
                "milvus_proxy_req_count",
                "node_id" => NODE, "function_name" => name, "status" => status
            )
        };
        Rpc {
            total: count("total"),
            success: count("success"),
            fail: count("fail"),
            latency: histogram!(
                "milvus_proxy_req_latency", "node_id" => NODE, "function_name" => name
            ),
        }
    }
}

/// The gateway's metrics.
pub struct Telemetry {
    rpcs: HashMap<&'static str, Rpc>,
    answers: AtomicU64,
    vectors: Mutex<HashMap<String, [Counter; 2]>>,
    search_latency: Histogram,
    query_latency: Histogram,
    insert_latency: Histogram,
    upsert_latency: Histogram,
    delete_latency: Histogram,
    /// Requests that wait in the queues.
    pub waiting: Gauge,
    /// Collections that exist.
    pub collections: Gauge,
}

/// Kinds of reads and writes that have a latency of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Kind {
    Search,
    Query,
    Insert,
    Upsert,
    Delete,
}

impl Telemetry {
    /// The metrics of a gateway that serves these RPCs.
    pub fn new(rpcs: &[&'static str]) -> Telemetry {
        describe();
        let read = |kind: &'static str| {
            let name = "milvus_proxy_sq_latency";
            histogram!(name, "node_id" => NODE, "query_type" => kind)
        };
        let write = |kind: &'static str| {
            let name = "milvus_proxy_mutation_latency";
            histogram!(name, "node_id" => NODE, "msg_type" => kind)
        };
        gauge!("milvus_num_node", "node_id" => NODE, "role_name" => "standalone").set(1.0);
        Telemetry {
            rpcs: rpcs.iter().map(|name| (*name, Rpc::new(name))).collect(),
            answers: AtomicU64::new(0),
            vectors: Mutex::default(),
            search_latency: read("search"),
            query_latency: read("query"),
            insert_latency: write("insert"),
            upsert_latency: write("upsert"),
            delete_latency: write("delete"),
            waiting: gauge!("millstream_gateway_waiting_requests", "node_id" => NODE),
            collections: gauge!("milvus_rootcoord_collection_num", "node_id" => NODE),
        }
    }

    /// One request was answered.
    pub fn answered(&self, rpc: &str, ok: bool, took: Duration) {
        let Some(rpc) = self.rpcs.get(rpc) else { return };
        rpc.total.increment(1);
        if ok {
            rpc.success.increment(1)
        } else {
            rpc.fail.increment(1)
        }
        rpc.latency.record(took.as_secs_f64() * 1e3);
        // Without this they would pile up in memory while nobody reads the metrics.
        if self.answers.fetch_add(1, Ordering::Relaxed) % UPKEEP_EVERY == UPKEEP_EVERY - 1
            && let Some(recorder) = RECORDER.get()
        {
            recorder.run_upkeep();
        }
    }

    /// A read or write took this long.
    pub fn took(&self, kind: Kind, took: Duration) {
        let histogram = match kind {
            Kind::Search => &self.search_latency,
            Kind::Query => &self.query_latency,
            Kind::Insert => &self.insert_latency,
            Kind::Upsert => &self.upsert_latency,
            Kind::Delete => &self.delete_latency,
        };
        histogram.record(took.as_secs_f64() * 1e3);
    }

    /// Queries were searched for in a collection.
    pub fn searched(&self, collection: &str, queries: u64) {
        self.with_collection(collection, |counters| counters[0].increment(queries));
    }

    /// Rows were written to a collection.
    pub fn written(&self, collection: &str, rows: u64) {
        self.with_collection(collection, |counters| counters[1].increment(rows));
    }

    fn with_collection(&self, name: &str, count: impl FnOnce(&[Counter; 2])) {
        let mut all = self.vectors.lock();
        if let Some(counters) = all.get(name) {
            return count(counters);
        }
        let name = if all.len() < COLLECTIONS_MAX { name } else { "(others)" };
        let counters = all.entry(name.to_owned()).or_insert_with(|| {
            ["milvus_proxy_search_vectors_count", "milvus_proxy_insert_vectors_count"].map(
                |metric| counter!(metric, "node_id" => NODE, "collection_name" => name.to_owned()),
            )
        });
        count(counters);
    }
}

fn describe() {
    use metrics::{describe_counter, describe_gauge, describe_histogram};
    describe_counter!("milvus_proxy_req_count", "Requests by RPC and outcome.");
    describe_histogram!("milvus_proxy_req_latency", "Time to answer an RPC, in ms.");
    describe_histogram!("milvus_proxy_sq_latency", "Time to answer a search or query, in ms.");
    describe_histogram!("milvus_proxy_mutation_latency", "Time to acknowledge a write, in ms.");
    describe_counter!("milvus_proxy_search_vectors_count", "Query vectors searched for.");
    describe_counter!("milvus_proxy_insert_vectors_count", "Rows inserted or upserted.");
    describe_gauge!("milvus_num_node", "Processes by role.");
    describe_gauge!("milvus_rootcoord_collection_num", "Collections.");
    describe_gauge!("milvus_querynode_entity_num", "Rows by collection.");
    describe_counter!("millstream_rows_scanned_total", "Rows that reads looked at.");
    describe_gauge!("millstream_gateway_waiting_requests", "Requests that wait in a queue.");
    describe_gauge!("millstream_frontier_lag_ms", "How far each channel is behind, in ms.");
    describe_gauge!("millstream_log_waiting_bytes", "Bytes that wait to be written.");
    describe_gauge!("millstream_log_backlog_bytes", "Bytes read and not applied yet.");
}
