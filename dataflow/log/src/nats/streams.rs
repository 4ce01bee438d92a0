//! The streams of the channels: made when missing, refused when they could lose data.

use std::time::Duration;

use async_nats::jetstream::context::GetStreamErrorKind;
use async_nats::jetstream::stream::{Config, DiscardPolicy, RetentionPolicy, StorageType};
use async_nats::jetstream::{Context, ErrorCode};
use millstream_catalog::model::{ChannelId, Fault};

use super::unavailable;
use super::url::NatsUrl;

/// How long the server recognises an entry that is sent again.
pub(super) const DUPLICATE_WINDOW: Duration = Duration::from_secs(120);

fn wanted(url: &NatsUrl, channel: ChannelId) -> Config {
    Config {
        name: url.stream(channel),
        description: Some(format!("Millstream log, channel {channel}")),
        subjects: vec![url.subject(channel)],
        retention: RetentionPolicy::Limits,
        discard: DiscardPolicy::New,
        storage: StorageType::File,
        num_replicas: url.replicas,
        duplicate_window: DUPLICATE_WINDOW,
        max_messages: -1,
        max_bytes: -1,
        max_messages_per_subject: -1,
        max_message_size: -1,
        ..Config::default()
    }
}

/// Makes sure that the stream of a channel exists and keeps what it acknowledges.
pub(super) async fn ensure(
    context: &Context,
    url: &NatsUrl,
    channel: ChannelId,
) -> Result<(), Fault> {
    let wanted = wanted(url, channel);
    let fail = |e: String| unavailable(format!("stream {}: {e}", wanted.name));
    let found = match context.get_stream(&wanted.name).await {
        Ok(stream) => stream.cached_info().config.clone(),
        Err(e) => {
            let missing = matches!(
                e.kind(),
                GetStreamErrorKind::JetStream(e) if e.error_code() == ErrorCode::STREAM_NOT_FOUND
            );
            if !missing {
                return Err(fail(e.to_string()));
            }
            let created = context.create_stream(wanted.clone()).await;
            created.map_err(|e| fail(e.to_string()))?.cached_info().config.clone()
        }
    };
    match differences(&wanted, &found).as_slice() {
        [] => Ok(()),
        all => Err(fail(format!("set up so that it may lose data: {}", all.join("; ")))),
    }
}

fn differences(wanted: &Config, found: &Config) -> Vec<String> {
    let mut all = Vec::new();
    let mut need = |good: bool, text: String| {
        if !good {
            all.push(text);
        }
    };
    need(found.subjects == wanted.subjects, format!("subjects are {:?}", found.subjects));
    need(found.storage == StorageType::File, "storage is not file".into());
    need(found.retention == RetentionPolicy::Limits, "retention is not limits".into());
    need(found.discard == DiscardPolicy::New, "discard is not new".into());
    need(found.max_age.is_zero(), format!("max_age is {:?}", found.max_age));
    need(
        found.max_messages_per_subject <= 0,
        format!("max_msgs_per_subject is {}", found.max_messages_per_subject),
    );
    need(!found.no_ack, "no_ack is set".into());
    need(!found.sealed, "it is sealed".into());
    need(
        found.duplicate_window >= DUPLICATE_WINDOW,
        format!("duplicate_window is {:?}, below {DUPLICATE_WINDOW:?}", found.duplicate_window),
    );
    need(
        found.num_replicas >= wanted.num_replicas,
        format!("num_replicas is {}, below {}", found.num_replicas, wanted.num_replicas),
    );
    all
}
