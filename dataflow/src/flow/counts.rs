//! Row counts, exact at a time: a differential arrangement of (collection, partition) a channel.

use differential_dataflow::operators::arrange::TraceAgent;
use differential_dataflow::operators::arrange::arrangement::arrange_core;
use differential_dataflow::trace::TraceReader;
use differential_dataflow::trace::cursor::Cursor;
use differential_dataflow::trace::implementations::{
    ContainerChunker, KeyBatcher, KeyBuilder, KeySpine,
};
use millstream_catalog::model::{CollectionId, PartitionId, Timestamp};
use timely::dataflow::Stream;
use timely::dataflow::channels::pact::Pipeline;
use timely::progress::Antichain;
use timely::progress::frontier::AntichainRef;

/// (collection, partition).
pub(crate) type CountKey = (i64, i64);
/// A change of a count: differential's triple.
pub(crate) type CountUpdate = ((CountKey, ()), u64, isize);

/// Counts stay exact at every time of the last ten minutes; older ones come from the rows.
const HISTORY_MS: u64 = 600_000;

/// The counts of one channel.
pub(crate) struct CountTrace {
    trace: TraceAgent<KeySpine<CountKey, u64, isize>>,
}

/// Arranges the changes of a channel, on the worker where they arise.
pub(crate) fn arrange<'scope>(stream: Stream<'scope, u64, Vec<CountUpdate>>) -> CountTrace {
    let arranged = arrange_core::<
        _,
        _,
        ContainerChunker<Vec<CountUpdate>>,
        KeyBatcher<CountKey, u64, isize>,
        KeyBuilder<CountKey, u64, isize>,
        KeySpine<CountKey, u64, isize>,
    >(stream, Pipeline, "RowCounts");
    CountTrace { trace: arranged.trace }
}

/// What a look at the counts gives.
pub(crate) enum Counted {
    Rows(i64),
    /// The arrangement has not sealed this time yet; it will, within the next steps.
    NotYet,
    /// The time is before the kept history.
    TooOld,
}

/// The oldest time at which the counts of a channel are known that begins at a checkpoint closed
/// through `closed`.
pub(crate) fn history_from(closed: Timestamp) -> Timestamp {
    closed.minus_ms(HISTORY_MS)
}

impl CountTrace {
    /// Answers no longer for times before `since`.
    pub(crate) fn forget_before(&mut self, since: Timestamp) {
        self.trace.set_logical_compaction(AntichainRef::new(&[since.0]));
    }

    fn upper(&mut self) -> u64 {
        let mut upper = Antichain::new();
        self.trace.read_upper(&mut upper);
        upper.elements().first().copied().unwrap_or(u64::MAX)
    }

    /// Rows of a collection at `as_of`, in `partitions` (all when empty).
    pub(crate) fn rows(
        &mut self,
        collection: CollectionId,
        partitions: &[PartitionId],
        as_of: Timestamp,
    ) -> Counted {
        if self.upper() <= as_of.0 {
            return Counted::NotYet;
        }
        // Differential answers below its compaction frontier without a word, and wrongly.
        let since = self.trace.get_logical_compaction().first().copied().unwrap_or(u64::MAX);
        if as_of.0 < since {
            return Counted::TooOld;
        }
        let (mut cursor, storage) = self.trace.cursor();
        let mut rows = 0i64;
        cursor.seek_key(&storage, &(collection.0, i64::MIN));
        while let Some(&(of, partition)) = cursor.get_key(&storage) {
            if of != collection.0 {
                break;
            }
            if partitions.is_empty() || partitions.contains(&PartitionId(partition)) {
                cursor.map_times(&storage, |&time, &diff| {
                    if time <= as_of.0 {
                        rows += diff as i64;
                    }
                });
            }
            cursor.step_key(&storage);
        }
        Counted::Rows(rows)
    }

    /// Lets the trace merge its batches, and forget times beyond the kept history.
    pub(crate) fn compact(&mut self) {
        let upper = self.upper();
        if upper == u64::MAX {
            return;
        }
        let since = history_from(Timestamp(upper)).0;
        self.trace.set_logical_compaction(AntichainRef::new(&[since]));
        self.trace.set_physical_compaction(AntichainRef::new(&[upper]));
    }
}
