//! Sending the entries of one channel: in order, many in flight, again when need be.

use std::time::Duration;

use async_nats::jetstream::Context;
use async_nats::jetstream::context::{PublishAckFuture, PublishError, PublishErrorKind};
use async_nats::jetstream::message::PublishMessage;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use millstream_catalog::fail;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use crate::log::{AppendDone, AppendError, MsgId};

/// No entry is sent again after this: half of the server's window for duplicates.
const RESEND_MAX: Duration = Duration::from_secs(60);
/// How long an acknowledgement of data may take before it is sent again.
const DATA_PATIENCE: Duration = Duration::from_secs(5);
/// The same for a tick, for which somebody waits.
const TICK_PATIENCE: Duration = Duration::from_millis(50);

/// An entry to send.
pub(super) struct Job {
    pub(super) payload: Bytes,
    pub(super) id: MsgId,
    pub(super) done: AppendDone,
}

type Attempt = Result<PublishAckFuture, PublishError>;

struct Publisher {
    context: Context,
    subject: String,
}

/// Sends what comes until the log is dropped.
pub(super) async fn run(
    context: Context,
    connected: watch::Receiver<u64>,
    subject: String,
    mut jobs: mpsc::UnboundedReceiver<Job>,
) {
    let publisher = Publisher { context, subject };
    let mut flying = FuturesUnordered::new();
    loop {
        tokio::select! {
            job = jobs.recv() => {
                let Some(job) = job else { break };
                // Sent here, one after the other; only the waiting is concurrent.
                let mut connected = connected.clone();
                connected.mark_unchanged();
                fail::point("nats.before_send");
                let first = publisher.send(job.payload.clone(), job.id).await;
                fail::point("nats.sent");
                flying.push(publisher.settle(job, first, connected));
            }
            Some(()) = flying.next() => {}
        }
    }
    while flying.next().await.is_some() {}
}

impl Publisher {
    async fn send(&self, payload: Bytes, id: MsgId) -> Attempt {
        let message = PublishMessage::build().payload(payload).message_id(id.to_string());
        self.context.send_publish(self.subject.clone(), message).await
    }

    async fn settle(&self, job: Job, first: Attempt, connected: watch::Receiver<u64>) {
        let Job { payload, id, done } = job;
        done(self.outcome(&payload, id, first, connected).await);
    }

    async fn outcome(
        &self,
        payload: &Bytes,
        id: MsgId,
        first: Attempt,
        mut connected: watch::Receiver<u64>,
    ) -> Result<u64, AppendError> {
        let begun = Instant::now();
        let mut attempt = first;
        let mut maybe_stored = false;
        let mut patience = match id {
            MsgId::Tick(_) => TICK_PATIENCE,
            MsgId::Data { .. } => DATA_PATIENCE,
        };
        loop {
            let answer = match attempt {
                Ok(ack) => tokio::select! {
                    answer = ack => answer.map(|ack| ack.sequence),
                    // The connection was lost and made again: what was sent may have been lost.
                    _ = connected.changed() => Err(PublishErrorKind::BrokenPipe.into()),
                    () = tokio::time::sleep(patience) => Err(PublishErrorKind::TimedOut.into()),
                },
                Err(e) => Err(e),
            };
            let error: PublishError = match answer {
                Ok(sequence) => {
                    fail::point("nats.acknowledged");
                    return Ok(sequence);
                }
                Err(e) => e,
            };
            match error.kind() {
                PublishErrorKind::TimedOut | PublishErrorKind::BrokenPipe => maybe_stored = true,
                // Nobody listens: the server has just begun, or JetStream is off.
                PublishErrorKind::StreamNotFound | PublishErrorKind::MaxAckPending => {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
                _ if maybe_stored => return Err(AppendError::Unknown(text(&error))),
                _ => return Err(AppendError::Refused(text(&error))),
            }
            if begun.elapsed() > RESEND_MAX {
                return Err(match maybe_stored {
                    true => AppendError::Unknown(text(&error)),
                    false => AppendError::Refused(text(&error)),
                });
            }
            patience = (patience * 2).min(DATA_PATIENCE);
            tracing::debug!(%id, %error, "sending an entry again");
            attempt = self.send(payload.clone(), id).await;
        }
    }
}

fn text(error: &PublishError) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}
