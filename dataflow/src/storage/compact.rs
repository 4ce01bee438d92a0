//! One compaction: the rows that stay of some segments in new files, then the swap in the manifest.
//!
//! Only rows go whose end is written out and lies at or before `since`, and rows that are expired
//! both at `since` and at the time that the shard is written out through. So the log's tail, which is
//! replayed over the manifest after a crash, finds every row that it may still ask for, and no read
//! that is allowed sees the difference. Rows keep their numbers: ends and texts go on naming them.

use std::sync::Arc;

use millstream_catalog::catalog::CompactCommit;
use millstream_catalog::fail;
use millstream_catalog::model::{
    Code, CollectionSchema, Fault, FileRef, Segment, SegmentId, ShardState, Timestamp, VChannel,
};
use millstream_segment::{Chunk, ColumnSpec, End, Expiry, Merged, merge};
use millstream_store::{Access, Store};

use super::facts::Derived;
use super::load::{NUMBERS, ROWS, RUNS, chunks_of};
use super::plan::Dead;
use super::tables::{Numbers, names, row_columns};
use super::write::{Attempt, Failed, Known, delete_files, ends_of, order};
use super::{Archive, store_fault};

/// The place of segments that are merged.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) vchannel: VChannel,
    pub(super) slot: u32,
    /// Number of the first row.
    pub(super) first_row: u32,
    /// Numbers from there on.
    pub(super) rows: u32,
}

/// What is written of merged segments, and not named yet.
pub(super) struct Output {
    pub(super) place: Place,
    pub(super) inputs: Vec<SegmentId>,
    /// Rows that ended at or before this time are gone, and those that came by the other one...
    pub(super) since: Timestamp,
    pub(super) expired: Timestamp,
    /// ... these ones, by their numbers in order.
    dropped: Vec<u32>,
    /// The segment with its rows, unless all of them are gone.
    pub(super) segment: Option<(Segment, Vec<Arc<Chunk>>)>,
}

/// What took the place of segments.
pub(crate) struct Compacted {
    pub(crate) vchannel: VChannel,
    pub(crate) since: Timestamp,
    /// Rows that came by this time are expired and gone.
    pub(crate) expired: Timestamp,
    /// Slot, first row and number of rows that are replaced.
    pub(crate) rows: (u32, u32, u32),
    pub(crate) chunks: Vec<Arc<Chunk>>,
}

/// Rows that came by this time are expired for every read from `since` on, and for every write that
/// is replayed over what is written out.
pub(super) fn expired_by(state: &ShardState, since: Timestamp) -> Timestamp {
    // Of two times to live set at one moment the later one holds, and it may be in the log's tail.
    let at = since.min(state.closed.prev());
    Expiry::new(state.expiry.clone()).expired_through(at)
}

/// Writes what stays of `inputs`, neighbours of one slot in order.
///
/// # Errors
/// What cannot be read or written; no file is left behind then.
pub(super) fn write(
    (store, archive): (&Store, &dyn Archive),
    schema: &CollectionSchema,
    state: &ShardState,
    inputs: &[Arc<Segment>],
    since: Timestamp,
) -> Result<Output, Fault> {
    let first = inputs.first().ok_or_else(|| Fault::internal("a compaction without segments"))?;
    let (vchannel, slot, first_row) = (first.vchannel, first.slot, first.first_row);
    let mut chunks: Vec<Arc<Chunk>> = Vec::new();
    for segment in inputs {
        // Damage would be hidden by what is written, so all bytes are checked.
        chunks.extend(chunks_of(store, segment, schema, true)?);
    }
    let end = chunks.last().map_or(first_row, |chunk| chunk.end_row());
    let mut ends = Vec::new();
    for file in &state.deltas {
        ends_of(store, file, &mut ends)?;
    }
    let within = |end_of: &&End| {
        let row = end_of.row;
        end_of.eff <= since && row.slot == slot && (first_row..end).contains(&row.row)
    };
    let mut dropped: Vec<u32> = ends.iter().filter(within).map(|end| end.row.row).collect();
    drop(ends);
    let expired = expired_by(state, since);
    for chunk in &chunks {
        for (run, rows) in chunk.runs_of(0, chunk.rows_at(expired)) {
            dropped.extend(run.number..run.number + rows);
        }
    }
    dropped.sort_unstable();
    dropped.dedup();
    let merged = merge(&chunks, &dropped);
    fail::point("compact.before_write");
    let segment = match merged.rows {
        0 => None,
        _ => {
            let folder = format!("c{}/s{}", vchannel.collection, vchannel.shard);
            let mut attempt = Attempt::new(store, folder);
            let segment = files(&mut attempt, archive, schema, (first, &chunks), &merged);
            let opened = segment.and_then(|segment| {
                let chunks = chunks_of(store, &segment, schema, false)?;
                Ok((segment, chunks))
            });
            match opened {
                Ok(opened) => Some(opened),
                Err(fault) => {
                    attempt.undo();
                    return Err(fault);
                }
            }
        }
    };
    fail::point("compact.written");
    let place = Place { vchannel, slot, first_row, rows: end - first_row };
    let inputs = inputs.iter().map(|segment| segment.id).collect();
    Ok(Output { place, inputs, since, expired, dropped, segment })
}

/// Writes the files of a merged segment.
fn files(
    attempt: &mut Attempt<'_>,
    archive: &dyn Archive,
    schema: &CollectionSchema,
    (first, chunks): (&Segment, &[Arc<Chunk>]),
    merged: &Merged,
) -> Result<Segment, Fault> {
    let (specs, _) = ColumnSpec::of_schema(schema).map_err(|e| Fault::internal(e.to_string()))?;
    let names = names(schema, &specs);
    let id = archive.ids(1)?;
    let derived = Derived::of(&names, &specs, chunks, &merged.spans);
    let mut columns = row_columns(&names, &specs, chunks, &merged.spans);
    columns.extend(derived.columns());
    let rows = attempt.put_known(&format!("{id}-rows"), &columns, &derived.metadata)?;
    drop(columns);
    drop(derived);
    let runs = attempt.put(&format!("{id}-runs"), &Numbers::runs(&merged.arrivals).columns())?;
    let mut files = vec![(ROWS.to_owned(), rows), (RUNS.to_owned(), runs)];
    if !merged.numbers.is_empty() {
        let numbers = Numbers::of_rows(&merged.numbers);
        let file = attempt.put(&format!("{id}-numbers"), &numbers.columns())?;
        files.push((NUMBERS.to_owned(), file));
    }
    let times = || merged.arrivals.iter().map(|arrival| arrival.eff);
    Ok(Segment {
        id: SegmentId(id),
        vchannel: first.vchannel,
        partition: first.partition,
        slot: first.slot,
        first_row: merged.first_row,
        rows: merged.rows,
        files,
        min_ts: times().min().unwrap_or(Timestamp::MIN),
        max_ts: times().max().unwrap_or(Timestamp::MIN),
    })
}

impl Output {
    /// Deletes the files of what will never count.
    pub(super) fn undo(&self, store: &Store) {
        let files = self.segment.iter().flat_map(|(segment, _)| &segment.files);
        delete_files(store, files.map(|(_, file)| file));
    }

    fn is_dropped(&self, end: &End) -> bool {
        end.row.slot == self.place.slot && self.dropped.binary_search(&end.row.row).is_ok()
    }

    /// The transaction that names what was written in the place of the inputs, with the ends of the
    /// rows that stay; `None` when the inputs are not what is there any more.
    ///
    /// # Errors
    /// When ends cannot be read or written; no file of them is left behind then.
    pub(super) fn prepare(
        &self,
        (store, archive): (&Store, &dyn Archive),
        known: &Known,
    ) -> Result<Option<CompactCommit>, Fault> {
        let Some(state) = &known.state else { return Ok(None) };
        let is_there = |id: &SegmentId| known.segments.iter().any(|segment| segment.id == *id);
        if !self.inputs.iter().all(is_there) {
            return Ok(None);
        }
        let mut deltas = state.deltas.clone();
        if !self.dropped.is_empty() {
            let mut ends = Vec::new();
            for file in &deltas {
                ends_of(store, file, &mut ends)?;
            }
            ends.retain(|end| !self.is_dropped(end));
            deltas.clear();
            if !ends.is_empty() {
                let VChannel { collection, shard } = self.place.vchannel;
                let mut attempt = Attempt::new(store, format!("c{collection}/s{shard}"));
                let name = format!("{}-ends", archive.ids(1)?);
                deltas.push(attempt.put(&name, &Numbers::ends(&ends).columns())?);
            }
        }
        Ok(Some(CompactCommit {
            vchannel: self.place.vchannel,
            since: state.since.max(self.since),
            deltas_before: state.deltas.clone(),
            deltas,
            added: self.segment.iter().map(|(segment, _)| segment.clone()).collect(),
            removed: self.inputs.clone(),
        }))
    }
}

/// Makes written files count. After a fault nobody knows whether they do, so the same must be tried
/// again.
pub(super) fn finish(
    (store, archive): (&Store, &dyn Archive),
    commit: &CompactCommit,
    known: &mut Known,
) -> Result<(), Failed> {
    fail::point("compact.prepared");
    if let Err(fault) = archive.compact(commit.clone()) {
        if fault.code != Code::CollectionNotFound && fault.code != Code::SegmentNotFound {
            return Err(Failed::Later(fault));
        }
        let new = commit.deltas.iter().filter(|file| !commit.deltas_before.contains(file));
        let files = commit.added.iter().flat_map(|s| s.files.iter().map(|(_, file)| file));
        delete_files(store, files.chain(new));
        return Err(Failed::Gone);
    }
    fail::point("compact.named");
    known.segments.retain(|segment| !commit.removed.contains(&segment.id));
    known.segments.extend(commit.added.iter().cloned().map(Arc::new));
    known.segments.sort_unstable_by_key(order);
    if let Some(state) = &mut known.state {
        state.since = commit.since;
        state.deltas.clone_from(&commit.deltas);
    }
    known.dead = dead_of(store, &commit.deltas, &known.segments).ok();
    Ok(())
}

/// The dead rows that the ends in files tell of.
pub(super) fn dead_of(
    store: &Store,
    deltas: &[FileRef],
    segments: &[Arc<Segment>],
) -> Result<Dead, Fault> {
    let (mut dead, mut ends) = (Dead::default(), Vec::new());
    for file in deltas {
        // It was checked when it was read first, or written by this process.
        ends.clear();
        let bytes = store.open_trusted(file, Access::Mapped).map_err(store_fault)?;
        super::write::ends_in(file, bytes, &mut ends)?;
        dead.count(segments, &ends);
    }
    Ok(dead)
}
