//! Starting and stopping: what must be the same afterwards, and what must be refused.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use millstream_gateway::pb::QueryRequest;
use millstream_gateway::pb::common::ConsistencyLevel;
use millstream_tests::client::{Client, pinned, query, search};
use millstream_tests::history::DIM;
use millstream_tests::on_both;
use millstream_tests::process::Process;
use millstream_tests::rows::read_longs;
use millstream_tests::server::{Server, command};
use millstream_tests::site::{Site, Variant};
use millstream_tests::workload::columns;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::collections::BTreeMap;

/// All rows at exactly this time.
async fn rows_at(client: &Client, name: &str, at: u64) -> Vec<(i64, i64)> {
    let request = pinned(query(name, "id >= 0", &["id", "value"]), at);
    let answer = client.query(request).await.expect("rows of the past");
    let keys = read_longs(&answer.fields_data, "id");
    keys.into_iter().zip(read_longs(&answer.fields_data, "value")).collect()
}

/// A naive model of one collection, with what it held at every timestamp that was noted.
#[derive(Default)]
struct Model {
    rows: BTreeMap<i64, i64>,
    past: Vec<(u64, Vec<(i64, i64)>)>,
    next: i64,
}

impl Model {
    /// A random write, in the server and here; notes what is there at its timestamp.
    async fn write(&mut self, client: &Client, name: &str, random: &mut StdRng) {
        let keys: Vec<i64> =
            (0..random.random_range(1..8)).map(|_| random.random_range(0..60)).collect();
        let mut rows: BTreeMap<i64, i64> = BTreeMap::new();
        for key in keys {
            self.next += 1;
            rows.insert(key, self.next);
        }
        let rows: Vec<(i64, i64)> = rows.into_iter().collect();
        let timestamp = match random.random_range(0..10) {
            0..6 => {
                let answer = client.upsert(name, rows.len(), columns(&rows)).await;
                self.rows.extend(rows);
                answer.expect("an upsert").timestamp
            }
            6..8 => {
                let keys: Vec<i64> = rows.iter().map(|row| row.0).collect();
                let answer = client.delete(name, &format!("id in {keys:?}")).await;
                self.rows.retain(|key, _| !keys.contains(key));
                answer.expect("a delete").timestamp
            }
            _ => {
                let bound = random.random_range(0..60);
                let filter = format!("id >= {bound} and value % 3 == 0");
                let answer = client.delete(name, &filter).await;
                self.rows.retain(|key, value| *key < bound || *value % 3 != 0);
                answer.expect("a delete by filter").timestamp
            }
        };
        let now = self.rows.iter().map(|(&key, &value)| (key, value)).collect();
        self.past.push((timestamp, now));
    }

    /// Reads at random noted times, by key filter and by count, equal what was noted.
    async fn check(&self, client: &Client, name: &str, random: &mut StdRng, reads: usize) {
        for _ in 0..reads {
            let (at, due) = &self.past[random.random_range(0..self.past.len())];
            assert_eq!(rows_at(client, name, *at).await, *due, "at {at}");
            let bound = random.random_range(0..60);
            let request = query(name, &format!("id < {bound}"), &["count(*)"]);
            let answer = client.query(pinned(request, *at)).await.expect("a count of the past");
            let count = read_longs(&answer.fields_data, "count(*)")[0];
            let want = due.iter().filter(|row| row.0 < bound).count();
            assert_eq!(count, want as i64, "count at {at}");
        }
    }
}

/// A reader at a past timestamp sees that past exactly, also after restarts.
async fn reads_at_past_timestamps_equal_a_model(mut site: Site) {
    let client = site.client();
    client.prepare("past", DIM, 3).await.expect("a collection");
    let mut random = StdRng::seed_from_u64(11);
    let mut model = Model::default();
    for _ in 0..4 {
        for _ in 0..40 {
            model.write(&client, "past", &mut random).await;
            model.check(&client, "past", &mut random, 1).await;
            if random.random_range(0..12) == 0 {
                client.flush("past").await.expect("a flush");
            }
        }
        site.kill();
        site.restart().expect("a server that starts again");
        model.check(&client, "past", &mut random, 20).await;
    }
}
on_both!(reads_at_past_timestamps_equal_a_model);

/// The same search, query and count at the same timestamp, before and after kill -9 and SIGTERM.
async fn a_restart_answers_the_same_at_the_same_timestamp(mut site: Site) {
    let client = site.client();
    client.prepare("same", DIM, 2).await.expect("a collection");
    for batch in 0..10_i64 {
        let rows: Vec<(i64, i64)> =
            (0..100).map(|n| (batch * 100 + n, 1 + (batch * 100 + n) * 7_919 % 65_521)).collect();
        client.insert("same", rows.len(), columns(&rows)).await.expect("rows");
    }
    client.flush("same").await.expect("a flush");
    client.delete("same", "value % 10 == 3").await.expect("a delete");
    let at = client.now().await.expect("a timestamp");
    let ask = async |client: &Client| {
        let rows = rows_at(client, "same", at).await;
        let mut near = search("same", DIM, &[9.0; DIM], 100);
        near.output_fields = vec!["value".to_owned()];
        near.guarantee_timestamp = at;
        near.consistency_level = ConsistencyLevel::Session.into();
        let hits = client.search(near).await.expect("hits").results;
        (rows, hits, client.count("same", "").await.expect("a count"))
    };
    let before = ask(&client).await;
    site.kill();
    site.restart().expect("a server that starts again");
    assert_eq!(ask(&client).await, before, "after kill -9");
    let status = site.server.stop().expect("an end");
    assert!(status.success(), "{status}\n{}", site.server.output());
    site.restart().expect("a server that starts again");
    assert_eq!(ask(&client).await, before, "after SIGTERM");
}
on_both!(a_restart_answers_the_same_at_the_same_timestamp);

/// A write that was acknowledged to one connection is seen by a Strong read of any other.
async fn a_strong_read_sees_what_other_connections_were_told(site: Site) {
    let writer = site.client();
    writer.prepare("strong", DIM, 4).await.expect("a collection");
    let readers: Vec<Client> = (0..4).map(|_| site.client()).collect();
    for round in 0..60_i64 {
        let rows = [(round, round + 1)];
        writer.insert("strong", 1, columns(&rows)).await.expect("a row");
        let reader = &readers[round as usize % readers.len()];
        let seen = reader.count("strong", "").await.expect("a count");
        assert_eq!(seen, round + 1);
        let answer = reader.query(query("strong", &format!("id == {round}"), &["value"])).await;
        let values = read_longs(&answer.expect("a row").fields_data, "value");
        assert_eq!(values, [round + 1]);
        let near = search("strong", DIM, &millstream_tests::history::vector(round + 1), 1);
        let hits = reader.search(near).await.expect("a hit").results.expect("a hit");
        assert_eq!(millstream_tests::rows::int_ids(hits.ids.as_ref()), [round]);
    }
    writer.delete("strong", "id >= 30").await.expect("a delete");
    for reader in &readers {
        assert_eq!(reader.count("strong", "").await.expect("a count"), 30);
    }
}
on_both!(a_strong_read_sees_what_other_connections_were_told);

/// Reads of every level answer at once on a quiet server, and a session token is honoured.
async fn quiet_channels_do_not_hold_reads_back(site: Site) {
    let client = site.client();
    client.prepare("quiet", DIM, 4).await.expect("a collection");
    let written = client.insert("quiet", 1, columns(&[(1, 1)])).await.expect("a row").timestamp;
    tokio::time::sleep(Duration::from_millis(300)).await;
    let began = Instant::now();
    for (level, guarantee) in [
        (ConsistencyLevel::Strong, 0),
        (ConsistencyLevel::Session, written),
        (ConsistencyLevel::Bounded, 2),
        (ConsistencyLevel::Eventually, 1),
    ] {
        let request = QueryRequest {
            consistency_level: level.into(),
            guarantee_timestamp: guarantee,
            ..query("quiet", "id >= 0", &["id"])
        };
        client.query(request).await.expect("an answer");
    }
    assert!(began.elapsed() < Duration::from_secs(1), "four reads took {:?}", began.elapsed());
}
on_both!(quiet_channels_do_not_hold_reads_back);

/// Arguments of a second server on the data of a site.
fn on_same_data(site: &Site) -> Vec<String> {
    vec!["--data-dir".to_owned(), site.data().display().to_string()]
}

#[test]
fn a_second_server_on_a_data_folder_refuses_to_start() {
    let site = Site::start(Variant::Embedded).expect("a server");
    let second = site.folder().join("second");
    fs::create_dir(&second).expect("a folder");
    let trouble = Server::start(&second, &on_same_data(&site)).expect_err("the folder is in use");
    let text = trouble.to_string();
    assert!(text.contains("ended with"), "{text}");
    assert!(text.contains("lock") || text.contains("another"), "it says why: {text}");
}

/// The file of the data folder that holds the format version: its only small text with a number.
fn version_file(site: &Site) -> PathBuf {
    let entries = fs::read_dir(site.data()).expect("a data folder");
    let mut found: Vec<PathBuf> = entries
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
            name.contains("format") || name.contains("version")
        })
        .collect();
    found.sort();
    found.into_iter().next().expect("a file with the format version")
}

#[test]
fn a_data_folder_of_an_unknown_format_is_refused_and_left_alone() {
    let mut site = Site::start(Variant::Embedded).expect("a server");
    assert!(site.server.stop().expect("an end").success());
    let file = version_file(&site);
    let good = fs::read_to_string(&file).expect("a text");
    let unknown = good.replace(|c: char| c.is_ascii_digit(), "9");
    assert_ne!(good, unknown, "the file has a number");
    fs::write(&file, &unknown).expect("another version");
    let text = site.restart().expect_err("the format is unknown").to_string();
    assert!(text.contains("ended with"), "{text}");
    assert!(text.contains("format") || text.contains("version"), "it says why: {text}");
    assert_eq!(fs::read_to_string(&file).expect("a text"), unknown, "nothing was changed");
    fs::write(&file, good).expect("the old version");
    site.restart().expect("a server that starts again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigterm_under_load_finishes_what_runs_and_exits_0() {
    let mut site = Site::start(Variant::Embedded).expect("a server");
    let client = site.client();
    client.prepare("stopped", DIM, 2).await.expect("a collection");
    let task = tokio::spawn({
        let client = client.clone();
        async move {
            let mut acknowledged = Vec::new();
            for key in 0.. {
                match client.insert("stopped", 1, columns(&[(key, key)])).await {
                    Ok(_) => acknowledged.push(key),
                    Err(_) => break,
                }
            }
            acknowledged
        }
    });
    tokio::time::sleep(Duration::from_millis(300)).await;
    let status = site.server.stop().expect("an end");
    assert!(status.success(), "{status}\n{}", site.server.output());
    let acknowledged = task.await.expect("a client that did not panic");
    assert!(!acknowledged.is_empty());
    site.restart().expect("a server that starts again");
    let answer = client.query(query("stopped", "id >= 0", &["id"])).await.expect("rows");
    let keys = read_longs(&answer.fields_data, "id");
    assert_eq!(keys[..acknowledged.len()], acknowledged[..], "nothing acknowledged is lost");
    assert!(keys.len() <= acknowledged.len() + 1, "at most the last one was not answered");
}

#[test]
fn an_unknown_setting_is_an_error() {
    let folder = tempfile::tempdir().expect("a folder");
    for arguments in [["standalone", "--no-such-flag"], ["no-such-command", "--help"]] {
        let mut command = command(folder.path()).expect("a server");
        let output = folder.path().join("output.log");
        let mut process =
            Process::start(command.args(arguments), &output).expect("a server that starts");
        let status = process.wait(Duration::from_secs(10)).expect("an end");
        assert!(!status.success(), "{arguments:?}: {}", process.output());
    }
    let settings = folder.path().join("millstream.toml");
    fs::write(&settings, "no_such_key = 1\n").expect("a file");
    let mut command = command(folder.path()).expect("a server");
    command.args(["standalone", "--config"]).arg(&settings);
    let output = folder.path().join("settings.log");
    let mut process = Process::start(&mut command, &output).expect("a server that starts");
    let status = process.wait(Duration::from_secs(10)).expect("an end");
    assert!(!status.success(), "{}", process.output());
    assert!(process.output().contains("no_such_key"), "it names the key: {}", process.output());
}

/// `millstream demo --exit` does its whole job, on free ports and in a folder of its own.
#[test]
fn the_demo_runs_to_its_end_with_a_recall_of_1() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut command = command(folder.path()).expect("a server");
    command.args(["demo", "--exit", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"]);
    command.arg("--data-dir").arg(folder.path().join("data"));
    let output = folder.path().join("demo.log");
    let mut process = Process::start(&mut command, &output).expect("a demo that starts");
    let status = process.wait(Duration::from_secs(120)).expect("an end");
    let printed = process.output();
    assert!(status.success(), "{status}:\n{printed}");
    for text in ["recall", "1.0", "king", "rows/s"] {
        assert!(printed.contains(text), "{text} is not in:\n{printed}");
    }
}
