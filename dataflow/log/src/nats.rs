//! `Nats`: the log on NATS JetStream, one stream for each channel.
//!
//! Channel `c` is the stream `<prefix>_DML_<c>` with the subject `<prefix>.dml.<c>` in file
//! storage, without limits of age or number, refusing new messages when it is full. The sequence
//! of the stream is the sequence of the log.
//!
//! **Invariant.** An entry is sent again only as the same bytes under the same `Nats-Msg-Id`, and
//! only well inside the server's window for duplicates; after that its outcome is unknown. A
//! subscriber gets sequences without gaps, or is told that the log is broken.
//!
//! **Absent on purpose.** No acknowledgements by readers and no durable consumers: the position of
//! a reader is the catalog's checkpoint. No expected-last-sequence: an entry that has to be sent
//! again may land behind later ones, and the rule of effective times makes that harmless.
//!
//! The server acknowledges before its data is on stable storage unless it runs with
//! `sync_interval: always`. Its API does not tell, so [`Log::notice`] says it.

mod consume;
mod publish;
mod streams;
#[cfg(test)]
mod tests;
mod url;

use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::{Context, context::ContextBuilder};
use async_nats::{Client, ConnectOptions, Event};
use async_trait::async_trait;
use futures::future::BoxFuture;
use millstream_catalog::fail;
use millstream_catalog::model::{ChannelId, Code, Fault, Timestamp};
use parking_lot::Mutex;
use tokio::sync::{mpsc, watch};
use tokio::task::AbortHandle;

use crate::entry::Entry;
use crate::inbox::Inbox;
use crate::log::{AppendDone, AppendError, Log, MsgId};
use crate::memory::out_of_reach;
use publish::Job;
pub use url::NatsUrl;

/// Entries of one channel in flight.
const WINDOW: usize = 32;
/// Largest entry, below the server's default `max_payload` of 1 MiB.
const ENTRY_BYTES_MAX: usize = 900 << 10;
/// What a message has beside its payload.
const HEADER_BYTES: usize = 4 << 10;
/// Channels that are read over one connection: the server drops a connection with 64 MiB pending.
const CHANNELS_PER_CONNECTION: usize = 16;
/// Oldest server whose streams survive a crash of the process (its release notes say so).
const SERVER_MIN: (i64, i64, i64) = (2, 10, 23);
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

fn unavailable(what: impl std::fmt::Display) -> Fault {
    Fault::new(Code::ServiceUnavailable, format!("log: {what}"))
}

/// A connection that tells when it was made again.
struct Link {
    client: Client,
    context: Context,
    connected: watch::Receiver<u64>,
}

impl Link {
    async fn connect(url: &NatsUrl) -> Result<Link, Fault> {
        let (sender, connected) = watch::channel(0);
        let options = ConnectOptions::new()
            .name("millstream")
            .connection_timeout(Duration::from_secs(5))
            .reconnect_delay_callback(|attempts| {
                Duration::from_millis((20 << attempts.min(6)).min(1_000))
            })
            .event_callback(move |event| {
                tracing::info!(%event, "connection to the log");
                if matches!(event, Event::Connected) {
                    sender.send_modify(|count| *count += 1);
                }
                std::future::ready(())
            });
        let options = url.authenticate(options);
        let client = options
            .connect(url.servers.clone())
            .await
            .map_err(|e| unavailable(format!("connecting to {}: {e}", url.servers.join(","))))?;
        let context = ContextBuilder::new()
            .timeout(REQUEST_TIMEOUT)
            .ack_timeout(REQUEST_TIMEOUT)
            .max_ack_inflight(1 << 16)
            .build(client.clone());
        Ok(Link { client, context, connected })
    }
}

/// The log on JetStream.
pub struct Nats {
    url: NatsUrl,
    writing: Link,
    reading: Vec<Link>,
    publishers: Vec<mpsc::UnboundedSender<Job>>,
    tasks: Mutex<Vec<AbortHandle>>,
    runtime: tokio::runtime::Handle,
}

impl Nats {
    /// Connects, creates the streams that are missing and checks those that are not. Must be
    /// called in a tokio runtime, which then does the work. The future is boxed so that the client
    /// is compiled here, and not again where this is awaited.
    ///
    /// # Errors
    /// When the server is not there or too old, and when a stream is set up so that it could lose
    /// data; the text names the stream and the setting.
    pub fn connect(url: &str, channels: u16) -> BoxFuture<'_, Result<Arc<Nats>, Fault>> {
        Box::pin(Nats::connected(url, channels))
    }

    async fn connected(url: &str, channels: u16) -> Result<Arc<Nats>, Fault> {
        let url: NatsUrl = url.parse()?;
        let writing = Link::connect(&url).await?;
        check_version(&writing.client)?;
        for channel in 0..channels {
            streams::ensure(&writing.context, &url, ChannelId(channel)).await?;
        }
        let mut reading = Vec::new();
        for _ in 0..usize::from(channels).div_ceil(CHANNELS_PER_CONNECTION) {
            reading.push(Link::connect(&url).await?);
        }
        let mut nats = Nats {
            url,
            writing,
            reading,
            publishers: Vec::new(),
            tasks: Mutex::default(),
            runtime: tokio::runtime::Handle::current(),
        };
        for channel in 0..channels {
            let (sender, jobs) = mpsc::unbounded_channel();
            let subject = nats.url.subject(ChannelId(channel));
            let link = (nats.writing.context.clone(), nats.writing.connected.clone());
            let task = nats.runtime.spawn(publish::run(link.0, link.1, subject, jobs));
            nats.tasks.lock().push(task.abort_handle());
            nats.publishers.push(sender);
        }
        if let Some(notice) = nats.notice() {
            tracing::warn!("{notice}");
        }
        Ok(Arc::new(nats))
    }

    async fn state(&self, channel: ChannelId) -> Result<(u64, u64), Fault> {
        let name = self.url.stream(channel);
        let stream = self.writing.context.get_stream(&name).await;
        let stream = stream.map_err(|e| unavailable(format!("stream {name}: {e}")))?;
        let state = &stream.cached_info().state;
        let first = state.first_sequence.max(1);
        Ok((if state.messages == 0 { state.last_sequence + 1 } else { first }, state.last_sequence))
    }
}

impl Drop for Nats {
    fn drop(&mut self) {
        for task in self.tasks.lock().drain(..) {
            task.abort();
        }
    }
}

fn check_version(client: &Client) -> Result<(), Fault> {
    let (major, minor, patch) = SERVER_MIN;
    if client.is_server_compatible(major, minor, patch) {
        return Ok(());
    }
    let version = client.server_info().version;
    Err(unavailable(format!(
        "nats-server {version} is too old: {major}.{minor}.{patch} is the oldest that keeps \
         acknowledged messages when it crashes"
    )))
}

#[async_trait]
impl Log for Nats {
    fn channels(&self) -> u16 {
        u16::try_from(self.publishers.len()).unwrap_or(u16::MAX)
    }

    fn exclusive(&self) -> bool {
        false
    }

    fn entry_bytes_max(&self) -> usize {
        let max_payload = self.writing.client.max_payload();
        ENTRY_BYTES_MAX.min(max_payload.saturating_sub(HEADER_BYTES))
    }

    fn window(&self) -> usize {
        WINDOW
    }

    fn append(&self, channel: ChannelId, entry: Entry, id: MsgId, done: AppendDone) {
        let Some(publisher) = self.publishers.get(usize::from(channel.0)) else {
            done(Err(AppendError::Refused(format!("the log has no channel {channel}"))));
            return;
        };
        let job = Job { payload: entry.to_bytes(), id, done };
        if let Err(mpsc::error::SendError(job)) = publisher.send(job) {
            (job.done)(Err(AppendError::Refused("the log is closed".into())));
        }
    }

    fn tick(&self, channel: ChannelId, ts: Timestamp) {
        // Ticks of a shared log are entries; see `Log::exclusive`.
        tracing::error!(%channel, %ts, "a tick in memory on a shared log is ignored");
    }

    async fn subscribe(
        &self,
        channel: ChannelId,
        after_seq: u64,
        inbox: Arc<Inbox>,
    ) -> Result<(), Fault> {
        let (first, last) = self.state(channel).await?;
        if after_seq + 1 < first || after_seq > last {
            return Err(out_of_reach(channel, after_seq, first, last));
        }
        let link = &self.reading[usize::from(channel.0) / CHANNELS_PER_CONNECTION];
        let follow = consume::Follow {
            context: link.context.clone(),
            stream: self.url.stream(channel),
            channel,
            last_seq: after_seq,
            inbox,
            connected: link.connected.clone(),
        };
        let task = self.runtime.spawn(follow.run());
        let mut tasks = self.tasks.lock();
        tasks.retain(|task| !task.is_finished());
        tasks.push(task.abort_handle());
        Ok(())
    }

    async fn bounds(&self, channel: ChannelId) -> Result<(u64, u64), Fault> {
        self.state(channel).await
    }

    async fn truncate(&self, channel: ChannelId, through_seq: u64) -> Result<(), Fault> {
        let (first, last) = self.state(channel).await?;
        if through_seq < first {
            return Ok(());
        }
        let name = self.url.stream(channel);
        let failed = |e: String| unavailable(format!("truncating stream {name}: {e}"));
        let stream = self.writing.context.get_stream_no_info(&name).await;
        let stream = stream.map_err(|e| failed(e.to_string()))?;
        // A purge to a sequence keeps that sequence itself.
        let keep_from = through_seq.min(last).saturating_add(1);
        fail::point("nats.before_purge");
        stream.purge().sequence(keep_from).await.map_err(|e| failed(e.to_string()))?;
        fail::point("nats.after_purge");
        Ok(())
    }

    async fn check(&self) -> Result<(), Fault> {
        check_version(&self.writing.client)?;
        let account = self.writing.context.query_account().await;
        account.map_err(|e| unavailable(format!("JetStream does not answer: {e}")))?;
        for channel in 0..self.channels() {
            streams::ensure(&self.writing.context, &self.url, ChannelId(channel)).await?;
        }
        Ok(())
    }

    fn notice(&self) -> Option<String> {
        let version = self.writing.client.server_info().version;
        Some(format!(
            "nats-server {version} does not tell whether it runs with `jetstream {{ sync_interval: \
             always }}`. Without it a power loss takes acknowledged writes; make sure it is set"
        ))
    }
}
