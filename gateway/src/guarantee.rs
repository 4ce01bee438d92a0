//! The time of a read: from a consistency level to a guarantee, and the ticks that close it.
//!
//! A read that asks for a time which its channels have not closed yet would wait for the next
//! write. So together with the read a tick is asked for on each such channel; the read is not held
//! up by it, the workers answer as soon as the channels close.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use millstream_catalog::model::{ChannelId, Code, Collection, ConsistencyLevel, Fault, Timestamp};
use millstream_catalog::tso::Tso;
use millstream_dataflow::Dataflow;
use millstream_dataflow::api::Guarantee;
use millstream_log::Writer;

use crate::deadlines::{Deadlines, Elapsed};

/// How far back a bounded read may look.
pub const GRACEFUL_MS: u64 = 5_000;
/// How far ahead of the server's time a client's time may be: the read waits for it.
pub const SKEW_MS_MAX: u64 = 5_000;
/// A tick that was not seen after this long is published again.
const TICK_RETRY: Duration = Duration::from_millis(50);

/// What a request says about its time.
#[derive(Clone, Copy, Debug, Default)]
pub struct Asked {
    /// The level as a wire number.
    pub level: i32,
    /// Take the collection's level instead.
    pub use_default: bool,
    /// The guarantee timestamp: 0, 1 and 2 have the meanings that clients give them.
    pub guarantee_ts: u64,
    /// A time to read at exactly; 0 for none.
    pub travel_ts: u64,
    /// Whether the read is a page of an iterator, whose guarantee is then its snapshot.
    pub iterator: bool,
}

/// Clients write 2 for "bounded" where they cannot give a level.
const BOUNDED_TS: u64 = 2;

/// The time that a request needs, when the TSO says `now`.
pub fn resolve(
    asked: Asked,
    default: ConsistencyLevel,
    now: Timestamp,
) -> Result<Guarantee, Fault> {
    if asked.travel_ts > 0 {
        return Ok(Guarantee::Pinned(not_ahead(asked.travel_ts, now)?));
    }
    if asked.iterator && asked.guarantee_ts > BOUNDED_TS {
        return Ok(Guarantee::Pinned(not_ahead(asked.guarantee_ts, now)?));
    }
    let bounded = now.minus_ms(GRACEFUL_MS);
    let level = if asked.use_default {
        default
    } else if asked.level == 0 && asked.guarantee_ts > 0 {
        if asked.guarantee_ts == BOUNDED_TS {
            return Ok(Guarantee::AtLeast(bounded));
        }
        ConsistencyLevel::Customized
    } else {
        ConsistencyLevel::from_number(asked.level).ok_or_else(|| {
            Fault::invalid(format!("consistency level {} is not known", asked.level))
        })?
    };
    Ok(Guarantee::AtLeast(match level {
        ConsistencyLevel::Strong => now,
        ConsistencyLevel::Bounded => bounded,
        ConsistencyLevel::Eventually => Timestamp(1),
        ConsistencyLevel::Session | ConsistencyLevel::Customized => {
            not_ahead(asked.guarantee_ts, now)?
        }
    }))
}

fn not_ahead(ts: u64, now: Timestamp) -> Result<Timestamp, Fault> {
    let ts = Timestamp(ts);
    if ts.physical_ms() > now.physical_ms().saturating_add(SKEW_MS_MAX) {
        return Err(Fault::invalid(format!(
            "guarantee_timestamp {ts} lies {} ms in the future, it is {now} now",
            ts.physical_ms() - now.physical_ms()
        )));
    }
    Ok(ts)
}

/// The time that a read of a collection needs to be closed: its own, and the one by which the
/// workers know the collection.
pub fn needed(guarantee: Guarantee, collection: &Collection) -> Timestamp {
    match guarantee {
        Guarantee::AtLeast(ts) | Guarantee::Pinned(ts) => ts.max(collection.meta_version),
    }
}

/// Closes times on demand.
#[derive(Clone)]
pub struct Closer {
    /// The cluster's time.
    pub tso: Arc<Tso>,
    /// Publishes ticks.
    pub writer: Arc<Writer>,
    /// Knows what is closed.
    pub dataflow: Dataflow,
    /// Limits the time of reads.
    pub deadlines: Deadlines,
}

impl Closer {
    /// Runs a read and sees to it that its channels close the time that it needs.
    ///
    /// # Errors
    /// Those of the read, and a timeout that names the channels that hold it up.
    pub async fn read<T>(
        &self,
        channels: &[ChannelId],
        needed: Timestamp,
        timeout: Duration,
        read: impl Future<Output = Result<T, Fault>>,
    ) -> Result<T, Fault> {
        let read = self.read_ticking(channels, needed, read);
        match self.deadlines.limit(timeout, read).await {
            Ok(answer) => answer,
            Err(Elapsed) => {
                let ms = timeout.as_millis();
                let stalled = self.dataflow.stalled(channels, needed);
                let why = stalled.unwrap_or_else(|| "the scan is not done".to_owned());
                Err(Fault::new(Code::Timeout, format!("no answer within {ms} ms: {why}")))
            }
        }
    }

    async fn read_ticking<T>(
        &self,
        channels: &[ChannelId],
        needed: Timestamp,
        read: impl Future<Output = Result<T, Fault>>,
    ) -> Result<T, Fault> {
        self.catch_up(needed).await?;
        if !self.tick(channels, needed) {
            return read.await;
        }
        tokio::pin!(read);
        loop {
            match self.deadlines.limit(TICK_RETRY, &mut read).await {
                Ok(answer) => return answer,
                Err(Elapsed) if self.tick(channels, needed) => {}
                Err(Elapsed) => return read.await,
            }
        }
    }

    /// Waits until the TSO has passed a time that a client's fast clock made. Without this, a tick
    /// would close times that writes are still to be stamped with.
    async fn catch_up(&self, needed: Timestamp) -> Result<(), Fault> {
        loop {
            let now = self.tso.now().await?;
            if now >= needed {
                return Ok(());
            }
            let ahead_ms = needed.physical_ms().saturating_sub(now.physical_ms());
            tokio::time::sleep(Duration::from_millis(ahead_ms.clamp(1, SKEW_MS_MAX))).await;
        }
    }

    /// Asks for a tick on each channel that has not closed `needed`; whether there was any.
    fn tick(&self, channels: &[ChannelId], needed: Timestamp) -> bool {
        let mut open = false;
        for channel in channels {
            if self.dataflow.closed(*channel) < needed {
                self.writer.tick(std::slice::from_ref(channel), needed);
                open = true;
            }
        }
        open
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_ms(1_000_000);

    fn asked(level: i32, guarantee_ts: u64) -> Asked {
        Asked { level, guarantee_ts, ..Asked::default() }
    }

    fn at_least(asked: Asked) -> Timestamp {
        match resolve(asked, ConsistencyLevel::Bounded, NOW).unwrap() {
            Guarantee::AtLeast(ts) => ts,
            Guarantee::Pinned(ts) => panic!("pinned at {ts}"),
        }
    }

    #[test]
    fn each_level_has_its_time() {
        assert_eq!(at_least(asked(0, 0)), NOW);
        assert_eq!(at_least(asked(1, 77)), Timestamp(77));
        assert_eq!(at_least(asked(2, 2)), NOW.minus_ms(5_000));
        assert_eq!(at_least(asked(3, 1)), Timestamp(1));
        assert_eq!(at_least(asked(4, 99)), Timestamp(99));
        assert!(resolve(asked(9, 0), ConsistencyLevel::Strong, NOW).is_err());
    }

    #[test]
    fn older_clients_give_a_time_in_place_of_a_level() {
        assert_eq!(at_least(asked(0, 2)), NOW.minus_ms(5_000));
        assert_eq!(at_least(asked(0, 1)), Timestamp(1));
        assert_eq!(at_least(asked(0, 12_345)), Timestamp(12_345));
    }

    #[test]
    fn the_level_of_the_collection_stands_in_when_the_client_says_so() {
        let asked = Asked { use_default: true, ..asked(0, 0) };
        assert_eq!(at_least(asked), NOW.minus_ms(5_000));
    }

    #[test]
    fn an_iterator_and_time_travel_read_at_exactly_their_time() {
        let page = Asked { iterator: true, use_default: true, ..asked(0, 500) };
        let pinned = resolve(page, ConsistencyLevel::Strong, NOW).unwrap();
        assert_eq!(pinned, Guarantee::Pinned(Timestamp(500)));
        let travel = Asked { travel_ts: 600, ..asked(0, 0) };
        let pinned = resolve(travel, ConsistencyLevel::Strong, NOW).unwrap();
        assert_eq!(pinned, Guarantee::Pinned(Timestamp(600)));
    }

    #[test]
    fn a_time_far_in_the_future_is_an_error_that_names_it() {
        let ts = Timestamp::from_ms(1_060_000).0;
        let fault = resolve(asked(4, ts), ConsistencyLevel::Strong, NOW).unwrap_err();
        assert!(fault.message.contains(&ts.to_string()), "{fault}");
        assert!(fault.message.contains("60000 ms in the future"), "{fault}");
        let near = Timestamp::from_ms(1_004_000).0;
        assert!(resolve(asked(4, near), ConsistencyLevel::Strong, NOW).is_ok());
    }
}
