//! The server over gRPC: `cargo build --release && cargo bench -p millstream-benches --bench
//! server`.
//!
//! Each section starts a `millstream` of its own on an empty folder. The load generator is one
//! thread of this process; its CPU time is stated apart. See `--help` for the options.

use std::path::PathBuf;
use std::process::ExitCode;

use millstream_benches::client::Failure;
use millstream_benches::options::Options;
use millstream_benches::report::note;
use millstream_benches::server::{Server, Setup};

#[path = "server/graph.rs"]
mod graph;
#[path = "server/names.rs"]
mod names;
#[path = "server/queries.rs"]
mod queries;
#[path = "server/reads.rs"]
mod reads;
#[path = "server/rest.rs"]
mod rest;
#[path = "server/writes.rs"]
mod writes;

const USAGE: &str = "server [--server PATH] [--dir DIR] [--log embedded|nats://HOST:PORT] \
     [--catalog sqlite|postgres://...] [--only idle|bulk|single|freshness|levels|overhead|
     queries|cold|timestamps|names|graph] \
     [--scale X] [--vectors FILE] [--hnswlib PYTHON] [--mixed SECONDS]
  --server  the millstream program (default: beside this one, as cargo builds it)
  --dir     where the data folders are made (default: the system's temporary folder)
  --log     the log of every server started; a NATS server must be empty, so use it with --only
  --only    one section instead of all
  --scale   multiplies the number of requests (default 1)
  --vectors for graph: little-endian f32 vectors of 100 values, row-major, the last 1,000 the queries
  --hnswlib for graph: a Python that has hnswlib and numpy, which then measures the same
  --mixed   for graph: seconds of searches while rows arrive (default 20)";

/// Values per vector in every section.
const DIM: usize = 100;

/// What every section needs.
struct Bench {
    setup: Setup,
    scale: f64,
}

impl Bench {
    /// A number of requests, scaled.
    fn times(&self, count: usize) -> usize {
        ((count as f64 * self.scale) as usize).max(10)
    }

    /// A server of the section's own.
    async fn server(&self) -> Result<Server, Failure> {
        Server::start(&self.setup).await
    }
}

fn main() -> ExitCode {
    let mut options = Options::from_args(USAGE);
    let mut extra = Vec::new();
    for name in ["--log", "--catalog"] {
        if let Some(value) = options.text(name) {
            extra.extend([name.to_owned(), value]);
        }
    }
    let binary = options.text("--server").map_or_else(Setup::default_binary, PathBuf::from);
    let parent = options.text("--dir").map_or_else(std::env::temp_dir, PathBuf::from);
    let scale = options.number("--scale", 1.0);
    let only = options.text("--only");
    let given = graph::Given {
        vectors: options.text("--vectors"),
        python: options.text("--hnswlib"),
        mixed_seconds: options.number("--mixed", 20.0),
    };
    options.finish();
    let bench = Bench { setup: Setup { binary, parent, extra }, scale };

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let outcome = match runtime {
        Ok(runtime) => runtime.block_on(run(&bench, &given, only.as_deref())),
        Err(error) => Err(Failure::Io(error)),
    };
    if let Err(failure) = outcome {
        note(&format!("stopped: {failure}"));
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

/// Runs the sections asked for, in order.
async fn run(bench: &Bench, given: &graph::Given, only: Option<&str>) -> Result<(), Failure> {
    let wanted = |name| only.is_none_or(|only| only == name);
    if wanted("idle") {
        rest::idle(bench).await?;
    }
    if wanted("bulk") {
        writes::bulk(bench).await?;
    }
    if wanted("single") {
        writes::single(bench).await?;
    }
    if wanted("freshness") {
        reads::freshness(bench).await?;
    }
    if wanted("levels") {
        reads::levels(bench).await?;
    }
    if wanted("overhead") {
        reads::overhead(bench).await?;
    }
    if wanted("queries") {
        queries::queries(bench).await?;
    }
    if wanted("cold") {
        rest::cold_start(bench).await?;
    }
    if wanted("timestamps") {
        rest::timestamps(bench).await?;
    }
    if wanted("names") {
        names::names(bench).await?;
    }
    if wanted("graph") {
        graph::graph(bench, given).await?;
    }
    Ok(())
}
