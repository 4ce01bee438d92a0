//! Following one channel: a pull consumer that is made again whenever it breaks.

use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::Context;
use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, pull};
use futures::StreamExt;
use millstream_catalog::model::ChannelId;
use tokio::sync::watch;

use crate::entry::Entry;
use crate::inbox::{Delivery, Inbox};

/// Bytes asked for at once. All channels of a connection together stay below the 64 MiB at which
/// the server drops it.
const PULL_BYTES: usize = 2 << 20;
const PULL_MESSAGES: usize = 64;
const PULL_EXPIRES: Duration = Duration::from_secs(30);
const HEARTBEAT: Duration = Duration::from_secs(5);
const RETRY_MAX: Duration = Duration::from_secs(1);

/// A subscriber's place in a stream.
pub(super) struct Follow {
    pub(super) context: Context,
    pub(super) stream: String,
    pub(super) channel: ChannelId,
    pub(super) last_seq: u64,
    pub(super) inbox: Arc<Inbox>,
    /// Counts connections: a new one knows nothing of the consumers of the one before.
    pub(super) connected: watch::Receiver<u64>,
}

enum End {
    /// The reader is gone.
    Closed,
    /// The log lacks something that was there.
    Broken(String),
    /// Try again, from after the last entry.
    Again(String),
}

impl Follow {
    /// Follows the stream until the inbox is closed or the log is broken.
    pub(super) async fn run(mut self) {
        let inbox = Arc::clone(&self.inbox);
        tokio::select! {
            () = inbox.closed() => {}
            () = self.follow() => {}
        }
    }

    async fn follow(&mut self) {
        let mut pause = Duration::from_millis(10);
        loop {
            let before = self.last_seq;
            match self.session().await {
                End::Closed => return,
                End::Broken(reason) => {
                    let reason = format!("channel {} of the log: {reason}", self.channel);
                    tracing::error!(reason, "the log is broken");
                    self.inbox.push_now(Delivery::Broken(reason));
                    return;
                }
                End::Again(reason) => {
                    tracing::info!(stream = self.stream, reason, "reading the log again");
                }
            }
            if self.last_seq > before {
                pause = Duration::from_millis(10);
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(RETRY_MAX);
        }
    }

    /// Reads with one consumer for as long as it lasts.
    async fn session(&mut self) -> End {
        let again = |e: &dyn std::fmt::Display| End::Again(e.to_string());
        self.connected.mark_unchanged();
        let stream = match self.context.get_stream(&self.stream).await {
            Ok(stream) => stream,
            Err(e) => return again(&e),
        };
        let state = &stream.cached_info().state;
        let next = self.last_seq + 1;
        if state.last_sequence < self.last_seq {
            return End::Broken(format!(
                "stream {} ends at {}, but entry {} was read from it: the server lost data",
                self.stream, state.last_sequence, self.last_seq
            ));
        }
        if state.first_sequence > next {
            return End::Broken(format!(
                "stream {} begins at {}, entry {next} is gone",
                self.stream, state.first_sequence
            ));
        }
        let config = pull::Config {
            deliver_policy: DeliverPolicy::ByStartSequence { start_sequence: next },
            ack_policy: AckPolicy::None,
            inactive_threshold: Duration::from_secs(60),
            memory_storage: true,
            num_replicas: 1,
            ..pull::Config::default()
        };
        let consumer = match stream.create_consumer(config).await {
            Ok(consumer) => consumer,
            Err(e) => return again(&e),
        };
        let messages = consumer
            .stream()
            .max_messages_per_batch(PULL_MESSAGES)
            .max_bytes_per_batch(PULL_BYTES)
            .expires(PULL_EXPIRES)
            .heartbeat(HEARTBEAT)
            .messages();
        let mut messages = match messages.await {
            Ok(messages) => messages,
            Err(e) => return again(&e),
        };
        self.hand_on(&mut messages).await
    }

    /// Hands on what a consumer gives, as long as it comes without a gap.
    async fn hand_on(&mut self, messages: &mut pull::Stream) -> End {
        let again = |e: &dyn std::fmt::Display| End::Again(e.to_string());
        let mut first = true;
        loop {
            // A server that was started again has forgotten the consumer, and says so only by the
            // heartbeats that stay away: the new connection tells at once.
            let message = tokio::select! {
                biased;
                changed = self.connected.changed() => return again(match changed {
                    Ok(()) => &"connected again",
                    Err(_) => &"the connection is closed",
                }),
                message = messages.next() => message,
            };
            let message = match message {
                Some(Ok(message)) => message,
                Some(Err(e)) => return again(&e),
                None => return again(&"the consumer ended"),
            };
            let seq = match message.info() {
                Ok(info) => info.stream_sequence,
                Err(e) => return again(&e),
            };
            if seq <= self.last_seq {
                continue;
            }
            if seq != self.last_seq + 1 && first {
                // Asked for by its sequence and not given: it is not there.
                return End::Broken(format!(
                    "stream {} lacks entry {}",
                    self.stream,
                    self.last_seq + 1
                ));
            }
            if seq != self.last_seq + 1 {
                return End::Again(format!("entry {seq} came after {}", self.last_seq));
            }
            first = false;
            let entry = Entry::stored(message.message.payload);
            if !self.inbox.push(Delivery::Entry { seq, entry }).await {
                return End::Closed;
            }
            self.last_seq = seq;
        }
    }
}
