//! `millstream demo`: serves, loads real word vectors through the gRPC API, searches, and prints
//! what comes back, so that a person can judge it.

mod client;
mod words;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use millstream_catalog::clock::SystemClock;

use crate::cli::{announce, say, until_stopped};
use crate::config::{Config, Flags};
use crate::standalone;
use client::{Client, Hit};
use words::{Truth, Words};

/// Rows in one insert.
const BATCH_ROWS: usize = 1_000;
/// Words whose neighbours are printed.
const ASKED: [&str; 8] =
    ["king", "paris", "computer", "monday", "music", "seven", "river", "doctor"];
/// Neighbours printed for each.
const SHOWN: usize = 6;

/// A folder of the demo's own, removed with it.
struct OwnFolder(PathBuf);

impl Drop for OwnFolder {
    fn drop(&mut self) {
        // What cannot be removed stays in the system's folder for such things.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Runs the demo.
///
/// # Errors
/// A text for a person.
pub async fn run(config: &Config, flags: &Flags, exit: bool) -> Result<ExitCode, String> {
    if config.auth || config.tls_cert.is_some() {
        let text = "the demo has no credentials and no certificates: run it without auth and tls";
        return Err(text.to_owned());
    }
    let mut config = config.clone();
    let mut own = None;
    if flags.data_dir.is_none() {
        let name = format!("millstream-demo-{}", std::process::id());
        config.data_dir = std::env::temp_dir().join(name);
        own = Some(OwnFolder(config.data_dir.clone()));
    }
    let running = standalone::start(&config, Arc::new(SystemClock)).await;
    let running = running.map_err(|error| error.to_string())?;
    announce(&config, &running)?;
    if own.is_some() {
        say("(the data folder is removed when the demo ends; keep one with --data-dir)")?;
    }
    let shown = show(running.listen).await;
    if let Err(error) = shown {
        running.stop().await;
        return Err(error);
    }
    if exit {
        running.stop().await;
        return Ok(ExitCode::SUCCESS);
    }
    say("\nserving until Ctrl-C; try it with pymilvus:")?;
    say(format!(
        "  from pymilvus import MilvusClient\n  c = MilvusClient(\"http://{}\")\n  \
         c.query(\"words\", filter='word like \"inter%\"', output_fields=[\"word\"], limit=5)",
        running.listen
    ))?;
    let code = until_stopped(running).await;
    drop(own);
    code
}

async fn show(address: std::net::SocketAddr) -> Result<(), String> {
    let words = words::words()?;
    let mut client = Client::connect(address).await?;
    client.create(words.dim).await?;
    load(&mut client, &words).await?;
    client.index_and_load().await?;
    neighbours(&mut client, &words).await?;
    filtered(&mut client, &words).await?;
    recall(&mut client, &words, &words::truth()?).await
}

async fn load(client: &mut Client, words: &Words) -> Result<(), String> {
    let rows = words.ids.len();
    say(format!("\nloading {rows} words, each a vector of {} numbers", words.dim))?;
    let bar = ProgressBar::new(rows as u64);
    let style = ProgressStyle::with_template("  {bar:40} {pos}/{len} rows  {per_sec}");
    bar.set_style(style.map_err(|e| e.to_string())?);
    let begun = Instant::now();
    for start in (0..rows).step_by(BATCH_ROWS) {
        let batch = start..(start + BATCH_ROWS).min(rows);
        bar.inc(batch.len() as u64);
        client.insert(words, batch).await?;
    }
    bar.finish_and_clear();
    let took = begun.elapsed();
    say(format!(
        "  {rows} rows in {:.0} ms: {:.0} rows/s, each batch of {BATCH_ROWS} on stable storage \
         before the next",
        millis(took),
        rows as f64 / took.as_secs_f64()
    ))
}

async fn neighbours(client: &mut Client, words: &Words) -> Result<(), String> {
    say("\nnearest words")?;
    for word in ASKED {
        let hits = client.search(words.vector(row(words, word)?), SHOWN + 1, "").await?;
        say(line(words, word, &hits))?;
    }
    Ok(())
}

async fn filtered(client: &mut Client, words: &Words) -> Result<(), String> {
    let filter = "length >= 8 and rank < 5000";
    say(format!("\nnearest words where {filter}"))?;
    for word in ["king", "computer"] {
        let hits = client.search(words.vector(row(words, word)?), SHOWN + 1, filter).await?;
        say(line(words, word, &hits))?;
    }
    let filter = "word like \"inter%\" and not (length in [8, 9])";
    let ids = client.query(filter, 8).await?;
    let found: Vec<&str> = ids.iter().filter_map(|id| name(words, *id)).collect();
    say(format!("\nwords where {filter}\n  {}", found.join(", ")))
}

async fn recall(client: &mut Client, words: &Words, truth: &[Truth]) -> Result<(), String> {
    let mut times = Vec::with_capacity(truth.len());
    let (mut right, mut wanted) = (0, 0);
    for known in truth {
        let at = usize::try_from(known.id).map_err(|e| e.to_string())?;
        let begun = Instant::now();
        let hits = client.search(words.vector(at), known.neighbours.len(), "").await?;
        times.push(begun.elapsed());
        wanted += known.neighbours.len();
        right += hits.iter().filter(|h| known.neighbours.contains(&h.id)).count();
    }
    times.sort_unstable();
    let total: Duration = times.iter().sum();
    say(format!(
        "\nrecall against the true neighbours of {} words: {:.4} ({right} of {wanted})",
        truth.len(),
        right as f64 / wanted as f64
    ))?;
    say(format!(
        "searches one after the other over {} rows: {:.0}/s, median {:.2} ms",
        words.ids.len(),
        truth.len() as f64 / total.as_secs_f64(),
        millis(times[times.len() / 2])
    ))
}

fn row(words: &Words, word: &str) -> Result<usize, String> {
    words.rows.get(word).copied().ok_or_else(|| format!("there is no word {word}"))
}

fn name(words: &Words, id: i64) -> Option<&str> {
    words.words.get(usize::try_from(id).ok()?).map(String::as_str)
}

fn line(words: &Words, word: &str, hits: &[Hit]) -> String {
    let others = hits.iter().filter_map(|h| name(words, h.id).map(|n| (n, h.score)));
    let shown: Vec<String> = others
        .filter(|(n, _)| *n != word)
        .take(SHOWN)
        .map(|(n, score)| format!("{n:<12}{score:.2}"))
        .collect();
    format!("  {word:<10} {}", shown.join("  "))
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
