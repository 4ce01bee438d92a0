//! Reading what was written out of a shard.

use std::sync::Arc;

use millstream_catalog::model::{CollectionSchema, Fault, Segment};
use millstream_segment::{
    Chunk, ColumnSpec, Expiry, History, NormFn, Position, ShardWriter, SlotState, Stored,
    StoredSlot,
};
use millstream_store::{Access, Store, Table};

use super::facts::Facts;
use super::indexes::attach_stored;
use super::tables::{frozen, names, read_numbers, read_runs};
use super::write::ends_of;
use super::{StartShard, store_fault};

/// The kind of a segment's file of rows.
pub(super) const ROWS: &str = "rows";
/// The kind of a segment's file of runs.
pub(super) const RUNS: &str = "runs";
/// The kind of a segment's file of row numbers, of one that was compacted.
pub(super) const NUMBERS: &str = "numbers";

/// The rows of a shard as they were written out, and how they came to be; an empty shard when none
/// were.
///
/// # Errors
/// What cannot be read, by the name of its file; nothing else is lost by that.
pub(crate) fn load(
    store: &Store,
    start: &StartShard,
    norms: NormFn,
) -> Result<(ShardWriter, History), Fault> {
    let at = |fault: Fault| {
        let text = format!("shard {:?}: {}", start.vchannel, fault.message);
        Fault { message: text, ..fault }
    };
    let (specs, pk) =
        ColumnSpec::of_schema(&start.schema).map_err(|e| Fault::internal(e.to_string()))?;
    let Some((state, segments)) = &start.stored else {
        return Ok((ShardWriter::new(specs, pk, norms), History::new()));
    };
    let mut slots: Vec<StoredSlot> = Vec::with_capacity(state.slots.len());
    for slot in &state.slots {
        let (partition, rows, dropped_at) = (slot.partition, slot.rows, slot.dropped_at);
        let state = SlotState { partition, rows, dropped_at, released: false };
        slots.push(StoredSlot { state, chunks: Vec::new() });
    }
    let mut ordered: Vec<&Segment> = segments.iter().collect();
    ordered.sort_unstable_by_key(|segment| (segment.slot, segment.first_row));
    for segment in ordered {
        let chunks = chunks_of(store, segment, &start.schema, true).map_err(at)?;
        let slot = slots.get_mut(segment.slot as usize);
        let missing = || at(Fault::internal(format!("segment {} has no slot", segment.id)));
        slot.ok_or_else(missing)?.chunks.extend(chunks);
    }
    let mut ends = Vec::new();
    for file in &state.deltas {
        ends_of(store, file, &mut ends).map_err(at)?;
    }
    let applied = Position { seq: state.applied.seq, index: state.applied.index };
    let (closed, since) = (state.closed, state.since);
    let expiry = Expiry::new(state.expiry.clone());
    let stored = Stored { applied, closed, since, expiry, slots, ends };
    let loaded = ShardWriter::load(specs, pk, norms, stored);
    loaded.map_err(|corrupt| at(Fault::internal(corrupt.to_string())))
}

/// The rows of a segment, mapped. Their checksum is compared when the file comes from an earlier
/// life of the process.
pub(super) fn chunks_of(
    store: &Store,
    segment: &Segment,
    schema: &CollectionSchema,
    verified: bool,
) -> Result<Vec<Arc<Chunk>>, Fault> {
    let (specs, _) = ColumnSpec::of_schema(schema).map_err(|e| Fault::internal(e.to_string()))?;
    let names = names(schema, &specs);
    let open = |kind: &str| {
        let missing = || Fault::internal(format!("segment {} has no {kind}", segment.id));
        let file = segment.file(kind).ok_or_else(missing)?;
        let bytes = match verified {
            true => store.open_file(file, Access::Mapped),
            false => store.open_trusted(file, Access::Mapped),
        };
        let bytes = bytes.map_err(store_fault)?;
        Table::open(&file.name, bytes).map_err(|e| Fault::internal(e.to_string()))
    };
    let (rows, runs) = (open(ROWS)?, open(RUNS)?);
    let numbers = match segment.file(NUMBERS) {
        Some(_) => read_numbers(&open(NUMBERS)?)?,
        None => Vec::new(),
    };
    let facts = Facts::of(&rows, &names, &specs);
    let rows = frozen(&rows, &names, &specs, (read_runs(&runs)?, numbers))?;
    if rows.rows != segment.rows as usize {
        let text = format!("segment {} has {} rows, not {}", segment.id, rows.rows, segment.rows);
        return Err(Fault::internal(text));
    }
    let chunks = rows.chunks(&specs, (segment.id.0, segment.first_row));
    let chunks =
        chunks.map_err(|corrupt| Fault::internal(format!("segment {}: {corrupt}", segment.id)))?;
    if let Some(whole) = chunks.first().and_then(|chunk| chunk.segment()) {
        whole.set_facts(Arc::new(facts));
        attach_stored(store, segment, whole);
    }
    Ok(chunks)
}
