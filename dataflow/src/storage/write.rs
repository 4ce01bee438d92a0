//! Writing a sealed shard out: files, then the transaction that names them.

use std::sync::Arc;

use bytes::Bytes;
use millstream_catalog::catalog::FlushCommit;
use millstream_catalog::fail;
use millstream_catalog::model::{
    Code, CollectionSchema, Fault, FileRef, LogPosition, PartitionId, Segment, SegmentId,
    ShardState, SlotState, Timestamp, VChannel,
};
use millstream_segment::{Arrival, ColumnSpec, End, SealedRows, merge};
use millstream_store::{Access, Store, Table, TableColumn, write_table};

use super::facts::Derived;
use super::load::{ROWS, RUNS, chunks_of};
use super::plan::Dead;
use super::tables::{Numbers, names, read_ends, row_columns};
use super::{Archive, store_fault};
use crate::channel::{Flush, Stored};

/// So many files of ends are read when a shard is loaded; the next one replaces them all.
const DELTAS_MAX: usize = 8;

/// What is known of a shard's files.
#[derive(Clone, Default)]
pub(super) struct Known {
    pub(super) state: Option<ShardState>,
    pub(super) schema: Option<Arc<CollectionSchema>>,
    /// The segments in the order of their slots and rows, as they were when they were made: indexes
    /// are not among their files.
    pub(super) segments: Vec<Arc<Segment>>,
    /// How many rows ended; nothing while nobody asked.
    pub(super) dead: Option<Dead>,
}

/// The order of segments within their shard.
pub(super) fn order(segment: &Arc<Segment>) -> (u32, u32) {
    (segment.slot, segment.first_row)
}

/// Why a shard was not written out.
pub(super) enum Failed {
    /// Its collection is gone, and nobody needs the rows.
    Gone,
    /// Something that may work later.
    Later(Fault),
}

/// Files of one attempt; they are deleted again when it fails.
pub(super) struct Attempt<'a> {
    store: &'a Store,
    folder: String,
    files: Vec<FileRef>,
}

impl<'a> Attempt<'a> {
    pub(super) fn new(store: &'a Store, folder: String) -> Attempt<'a> {
        Attempt { store, folder, files: Vec::new() }
    }

    pub(super) fn put(
        &mut self,
        name: &str,
        columns: &[TableColumn<'_>],
    ) -> Result<FileRef, Fault> {
        self.put_known(name, columns, &[])
    }

    /// As [`Attempt::put`], with what is known of the rows.
    pub(super) fn put_known(
        &mut self,
        name: &str,
        columns: &[TableColumn<'_>],
        known: &[(String, String)],
    ) -> Result<FileRef, Fault> {
        let name = format!("{}/{name}.arrow", self.folder);
        let write = |out: &mut dyn std::io::Write| write_table(out, columns, known).map(drop);
        fail::point("flush.before_put");
        let file = self.store.put_file(&name, write).map_err(store_fault)?;
        self.files.push(file.clone());
        Ok(file)
    }

    pub(super) fn undo(self) {
        delete_files(self.store, &self.files);
    }
}

/// Deletes files that do not count.
pub(super) fn delete_files<'f>(store: &Store, files: impl IntoIterator<Item = &'f FileRef>) {
    for file in files {
        if let Err(error) = store.delete_file(&file.name) {
            // It is found again, and named by nothing, at the next start.
            tracing::warn!(file = file.name, %error, "a file that is not needed was not deleted");
        }
    }
}

/// Writes the files of what a sealed shard holds; of one that holds nothing new only its position is
/// kept. They are deleted again when one of them cannot be written.
pub(super) fn prepare(
    store: &Store,
    archive: &dyn Archive,
    flush: &Flush,
    known: &Known,
) -> Result<FlushCommit, Fault> {
    let vchannel = flush.vchannel;
    let folder = format!("c{}/s{}", vchannel.collection, vchannel.shard);
    let mut attempt = Attempt::new(store, folder);
    let commit = commit_of(&mut attempt, archive, flush, known);
    if commit.is_err() {
        attempt.undo();
    }
    commit
}

/// Makes written files count, and opens them. After a fault nobody knows whether they count, so the
/// same must be tried again.
pub(super) fn finish(
    store: &Store,
    archive: &dyn Archive,
    flush: &Flush,
    commit: &FlushCommit,
    known: &mut Known,
) -> Result<Vec<Stored>, Failed> {
    fail::point("flush.written");
    if let Err(fault) = archive.commit(commit.clone()) {
        if fault.code != Code::CollectionNotFound {
            return Err(Failed::Later(fault));
        }
        // The collection's own files are garbage; these were never among them.
        let files = commit.added.iter().flat_map(|s| s.files.iter().map(|(_, file)| file));
        let before = known.state.as_ref().map_or(&[][..], |state| &state.deltas);
        let new = commit.state.deltas.iter().filter(|file| !before.contains(file));
        delete_files(store, files.chain(new));
        return Err(Failed::Gone);
    }
    fail::point("flush.named");
    known.segments.retain(|segment| !commit.removed.contains(&segment.id));
    known.segments.extend(commit.added.iter().cloned().map(Arc::new));
    known.segments.sort_unstable_by_key(order);
    known.state = Some(commit.state.clone());
    known.schema = Some(Arc::clone(&flush.schema));
    if let Some(dead) = &mut known.dead {
        dead.count(&known.segments, &flush.sealed.ends);
    }
    let open = |segment: &Segment| {
        let (slot, first_row, rows) = (segment.slot, segment.first_row, segment.rows);
        let chunks = chunks_of(store, segment, &flush.schema, false)?;
        Ok(Stored { slot, first_row, rows, chunks })
    };
    let opened: Result<Vec<Stored>, Fault> = commit.added.iter().map(open).collect();
    // The rows are safe in any case; those whose file does not open stay in memory.
    Ok(opened.unwrap_or_else(|fault| {
        tracing::error!(of = ?flush.vchannel, %fault, "segments just written cannot be opened");
        Vec::new()
    }))
}

/// Writes the files, and says what they are.
fn commit_of(
    attempt: &mut Attempt<'_>,
    archive: &dyn Archive,
    flush: &Flush,
    known: &Known,
) -> Result<FlushCommit, Fault> {
    let Flush { vchannel, channel, schema, eff, sealed, truncated } = flush;
    let (specs, _) = ColumnSpec::of_schema(schema).map_err(|e| Fault::internal(e.to_string()))?;
    let names = names(schema, &specs);
    let ids = sealed.rows.len() as u32 + u32::from(!sealed.ends.is_empty());
    let first_id = if ids > 0 { archive.ids(ids)? } else { 0 };
    let mut added = Vec::with_capacity(sealed.rows.len());
    for (id, rows) in (first_id..).zip(&sealed.rows) {
        let merged = merge(&rows.chunks, &[]);
        let derived = Derived::of(&names, &specs, &rows.chunks, &merged.spans);
        let mut columns = row_columns(&names, &specs, &rows.chunks, &merged.spans);
        columns.extend(derived.columns());
        let file = attempt.put_known(&format!("{id}-rows"), &columns, &derived.metadata)?;
        let runs = Numbers::runs(&merged.arrivals);
        let runs = attempt.put(&format!("{id}-runs"), &runs.columns())?;
        added.push(segment(SegmentId(id), *vchannel, (rows, &merged.arrivals), file, runs));
    }
    let released = |slot: u32| sealed.slots.get(slot as usize).is_some_and(|slot| slot.released);
    let mut deltas = known.state.as_ref().map_or_else(Vec::new, |state| state.deltas.clone());
    if !sealed.ends.is_empty() {
        let mut ends = Vec::new();
        if deltas.len() >= DELTAS_MAX {
            for file in std::mem::take(&mut deltas) {
                ends_of(attempt.store, &file, &mut ends)?;
            }
            ends.retain(|end: &End| !released(end.row.slot));
        }
        ends.extend(&sealed.ends);
        let id = first_id + i64::from(ids) - 1;
        deltas.push(attempt.put(&format!("{id}-ends"), &Numbers::ends(&ends).columns())?);
    }
    let removed = known.segments.iter().filter(|s| released(s.slot)).map(|s| s.id);
    // A compaction may have moved it since the seal.
    let since = known.state.as_ref().map_or(Timestamp::MIN, |state| state.since);
    let slot = |slot: &millstream_segment::SlotState| SlotState {
        partition: slot.partition,
        rows: slot.rows,
        dropped_at: slot.dropped_at,
    };
    let state = ShardState {
        vchannel: *vchannel,
        channel: *channel,
        applied: LogPosition { seq: sealed.applied.seq, index: sealed.applied.index },
        closed: *eff,
        since: sealed.since.max(since),
        slots: sealed.slots.iter().map(slot).collect(),
        deltas,
        expiry: sealed.expiry.steps().to_vec(),
        truncated: *truncated,
    };
    Ok(FlushCommit { state, added, removed: removed.collect(), checkpoint: None })
}

fn segment(
    id: SegmentId,
    vchannel: VChannel,
    (rows, arrivals): (&SealedRows, &[Arrival]),
    file: FileRef,
    runs: FileRef,
) -> Segment {
    let SealedRows { slot, partition, first_row, rows, .. } = rows;
    let times = || arrivals.iter().map(|a| a.eff);
    Segment {
        id,
        vchannel,
        partition: PartitionId(partition.0),
        slot: *slot,
        first_row: *first_row,
        rows: *rows,
        files: vec![(ROWS.to_owned(), file), (RUNS.to_owned(), runs)],
        min_ts: times().min().unwrap_or(Timestamp::MIN),
        max_ts: times().max().unwrap_or(Timestamp::MIN),
    }
}

/// Adds the ends that a file holds.
pub(super) fn ends_of(store: &Store, file: &FileRef, ends: &mut Vec<End>) -> Result<(), Fault> {
    let bytes = store.open_file(file, Access::Mapped).map_err(store_fault)?;
    ends_in(file, bytes, ends)
}

/// Adds the ends that the bytes of a file hold.
pub(super) fn ends_in(file: &FileRef, bytes: Bytes, ends: &mut Vec<End>) -> Result<(), Fault> {
    let table = Table::open(&file.name, bytes).map_err(|e| Fault::internal(e.to_string()))?;
    read_ends(&table, ends)
}
