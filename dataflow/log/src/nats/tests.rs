//! JetStream for real: a server of our own, killed and started again.
//!
//! `MILLSTREAM_TEST_NATS_SERVER` is the path of a nats-server; without it these tests say so and
//! do nothing.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use async_nats::jetstream::stream::Config;
use millstream_catalog::model::RequestId;
use tempfile::TempDir;

use super::*;
use crate::testkit::{Reader, entry, record, tso};
use crate::writer::Writer;

const C: ChannelId = ChannelId(0);

struct Server {
    binary: String,
    port: u16,
    folder: TempDir,
    child: Option<Child>,
}

impl Server {
    /// A server on a free port; `None` when there is no binary to run.
    fn new() -> Option<Server> {
        let Ok(binary) = std::env::var("MILLSTREAM_TEST_NATS_SERVER") else {
            eprintln!("MILLSTREAM_TEST_NATS_SERVER is not set: not testing JetStream");
            return None;
        };
        let free = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = free.local_addr().expect("bound").port();
        drop(free);
        let folder = TempDir::new().expect("a folder");
        let config = format!(
            "listen: 127.0.0.1:{port}\njetstream {{\n  store_dir: \"{}\"\n  sync_interval: always\n}}\n",
            folder.path().join("store").display()
        );
        std::fs::write(folder.path().join("nats.conf"), config).expect("written");
        let mut server = Server { binary, port, folder, child: None };
        server.start();
        Some(server)
    }

    fn start(&mut self) {
        let mut command = Command::new(&self.binary);
        command.arg("-c").arg(self.folder.path().join("nats.conf"));
        command.stdout(Stdio::null()).stderr(Stdio::null());
        self.child = Some(command.spawn().expect("the server starts"));
    }

    fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("killed");
            child.wait().expect("ended");
        }
    }

    fn url(&self) -> String {
        format!("nats://127.0.0.1:{}?prefix=test", self.port)
    }

    async fn connect(&self, channels: u16) -> Result<Arc<Nats>, Fault> {
        let begun = Instant::now();
        loop {
            let outcome = Nats::connect(&self.url(), channels).await;
            let starting = |fault: &Fault| {
                fault.message.contains("connecting") || fault.message.contains("responders")
            };
            match outcome {
                Err(fault) if starting(&fault) && begun.elapsed().as_secs() < 10 => {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                other => return other,
            }
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

async fn append(nats: &Nats, ts: u64) -> Result<u64, AppendError> {
    let (sender, receiver) = tokio::sync::oneshot::channel();
    let id = MsgId::Data { ts: Timestamp(ts), offset: 0 };
    let done: AppendDone = Box::new(move |outcome| sender.send(outcome).expect("waited for"));
    nats.append(C, entry(ts, &[record(1, 100)]), id, done);
    receiver.await.expect("told")
}

async fn subscribe(nats: &Nats, after_seq: u64) -> Reader {
    let reader = Reader::new(after_seq);
    nats.subscribe(C, after_seq, Arc::clone(&reader.inbox)).await.expect("subscribed");
    reader
}

/// Waits without keeping the runtime from its work.
fn wait(reader: &mut Reader, what: &str, until: impl Fn(&Reader) -> bool) {
    tokio::task::block_in_place(|| reader.wait(what, until));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_entry_sent_twice_is_stored_once() {
    let Some(server) = Server::new() else { return };
    let nats = server.connect(1).await.unwrap();
    let mut reader = subscribe(&nats, 0).await;
    assert_eq!(append(&nats, 5).await, Ok(1));
    assert_eq!(append(&nats, 5).await, Ok(1));
    assert_eq!(append(&nats, 6).await, Ok(2));
    wait(&mut reader, "both entries", |r| r.units.len() == 2);
    assert_eq!(nats.bounds(C).await.unwrap(), (1, 2));
    assert!(nats.check().await.is_ok());
    assert!(nats.notice().unwrap().contains("sync_interval"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_resume_and_a_truncated_log_keeps_the_rest() {
    let Some(server) = Server::new() else { return };
    let nats = server.connect(2).await.unwrap();
    assert_eq!(nats.bounds(C).await.unwrap(), (1, 0));
    for ts in 1..=10 {
        append(&nats, ts).await.unwrap();
    }
    let mut reader = subscribe(&nats, 4).await;
    wait(&mut reader, "six entries", |r| r.units.len() == 6);
    nats.truncate(C, 7).await.unwrap();
    assert_eq!(nats.bounds(C).await.unwrap(), (8, 10));
    let gone = nats.subscribe(C, 6, Arc::new(Inbox::new(1))).await;
    assert!(gone.expect_err("gone").message.contains("8 to 10"));
    let ahead = nats.subscribe(C, 11, Arc::new(Inbox::new(1))).await;
    assert!(ahead.is_err(), "a checkpoint past the end of the log is a loss");
    nats.truncate(C, 99).await.unwrap();
    assert_eq!(nats.bounds(C).await.unwrap(), (11, 10));
    let mut reader = subscribe(&nats, 10).await;
    assert_eq!(append(&nats, 11).await, Ok(11));
    wait(&mut reader, "the next entry", |r| r.units.len() == 1);
}

/// Writes go on while the server is killed and started again: every one that was acknowledged is
/// there once, and none is lost on the way to the reader.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_server_loses_and_doubles_nothing() {
    let Some(mut server) = Server::new() else { return };
    let nats = server.connect(1).await.unwrap();
    let mut reader = subscribe(&nats, 0).await;
    let writer = Writer::new(Arc::clone(&nats) as Arc<dyn Log>, tso());
    let mut tasks = Vec::new();
    for task in 0..8u128 {
        let writer = Arc::clone(&writer);
        tasks.push(tokio::spawn(async move {
            let mut acked = Vec::new();
            for n in 0..40 {
                let id = RequestId(task << 64 | n);
                let size = if n % 10 == 0 { 2 << 20 } else { 1000 };
                writer.write(id, vec![(C, vec![record(1, size)])]).await.expect("acknowledged");
                acked.push(id);
            }
            acked
        }));
    }
    for _ in 0..2 {
        tokio::time::sleep(Duration::from_millis(150)).await;
        server.kill();
        tokio::time::sleep(Duration::from_millis(100)).await;
        server.start();
    }
    let mut acked = Vec::new();
    for task in tasks {
        acked.extend(task.await.expect("no panic"));
    }
    wait(&mut reader, "all writes", |r| r.data().count() >= acked.len());
    let mut seen: BTreeMap<RequestId, usize> = BTreeMap::new();
    for unit in reader.data() {
        *seen.entry(unit.request).or_default() += 1;
    }
    assert_eq!(seen.len(), acked.len());
    assert!(seen.values().all(|&count| count == 1));
    let last = reader.assembler.last_seq();
    assert_eq!(nats.bounds(C).await.unwrap().1, last);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_missing_entry_breaks_the_reader_and_a_lost_tail_too() {
    let Some(server) = Server::new() else { return };
    let nats = server.connect(1).await.unwrap();
    for ts in 1..=5 {
        append(&nats, ts).await.unwrap();
    }
    let mut live = subscribe(&nats, 0).await;
    wait(&mut live, "five entries", |r| r.units.len() == 5);
    let context = &nats.writing.context;
    context.get_stream("test_DML_0").await.unwrap().delete_message(3).await.unwrap();
    let mut late = subscribe(&nats, 0).await;
    wait(&mut late, "the gap", |r| r.broken.is_some());
    assert_eq!(late.units.len(), 2);
    assert!(late.broken.unwrap().contains("lacks entry 3"));
    context.delete_stream("test_DML_0").await.unwrap();
    streams::ensure(context, &nats.url, C).await.unwrap();
    wait(&mut live, "the loss", |r| r.broken.is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ticks_close_a_shared_log() {
    let Some(server) = Server::new() else { return };
    let nats = server.connect(1).await.unwrap();
    let mut reader = subscribe(&nats, 0).await;
    let tso = tso();
    let writer = Writer::new(nats, Arc::clone(&tso));
    for _ in 0..20 {
        let ts = tso.now().await.unwrap();
        writer.tick(&[C], ts);
        wait(&mut reader, "the tick", |r| r.closed() >= ts);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_may_lose_data_is_refused() {
    let Some(server) = Server::new() else { return };
    let nats = server.connect(1).await.unwrap();
    let config = Config {
        name: "test_DML_1".into(),
        subjects: vec!["test.dml.1".into()],
        max_age: Duration::from_secs(3600),
        ..Config::default()
    };
    nats.writing.context.create_stream(config).await.unwrap();
    let fault = server.connect(2).await.err().expect("refused");
    assert!(fault.message.contains("max_age") && fault.message.contains("test_DML_1"), "{fault}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_closed_inbox_ends_its_reading() {
    let Some(server) = Server::new() else { return };
    let nats = server.connect(1).await.unwrap();
    let reader = subscribe(&nats, 0).await;
    reader.inbox.close();
    append(&nats, 1).await.unwrap();
    let begun = Instant::now();
    while !nats.tasks.lock().last().is_none_or(AbortHandle::is_finished) {
        assert!(begun.elapsed().as_secs() < 10, "still reading");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(reader.inbox.try_pop().is_none());
}
