//! `Assembler`: turns the entries of one channel into its units, in order.
//!
//! **Invariant.** What it returns, and what it keeps, is a function of the entries alone: every
//! reader of a channel sees the same units at the same positions, also after a restart.
//!
//! **Absent on purpose.** No I/O, no clock: an incomplete unit is given up by the time of the log,
//! not of the machine. Also not here: the rule that turns a unit's ts into its time of effect.

use std::collections::BTreeMap;

use bytes::Bytes;
use millstream_catalog::model::{RequestId, Timestamp};

use crate::entry::{Cursor, Entry, PART_HEAD_BYTES, PartHead};
use crate::le;
use crate::record::{Corrupt, HEADER_BYTES, LENGTH_AT, Record};

/// A unit whose last part has not come when the channel's time is this much past its ts never
/// takes effect. Its writer gave up long before.
pub const INCOMPLETE_MS_MAX: u64 = 600_000;

/// A place in the log of a channel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Position {
    /// Sequence of the entry, from 1.
    pub seq: u64,
    /// Index in the entry.
    pub index: u32,
}

/// All records of one request on one channel. Without records it is a tick.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unit {
    /// Where its last part lies: there it takes effect.
    pub position: Position,
    /// Where reading must begin to see all of it.
    pub begins_after: Place,
    /// Its stamp. Its time of effect is `max(ts, closed-through + 1)`.
    pub ts: Timestamp,
    /// The request; 0 for a tick.
    pub request: RequestId,
    /// The records in the order they were written.
    pub records: Vec<Record>,
}

/// A place between two entries of a channel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// The last entry before it.
    pub seq: u64,
    /// The largest ts of a unit up to there.
    pub closed: Timestamp,
}

struct Staged {
    begins_after: Place,
    head: PartHead,
    parts: BTreeMap<u64, Vec<Bytes>>,
    bytes: u64,
    trusted: bool,
}

/// Builds the units of one channel.
pub struct Assembler {
    last_seq: u64,
    closed: Timestamp,
    staged: BTreeMap<(Timestamp, RequestId), Staged>,
}

impl Assembler {
    /// Begins after an entry, with the largest ts up to there: 0 and [`Timestamp::MIN`], or a
    /// checkpoint.
    pub fn new(after_seq: u64, closed: Timestamp) -> Assembler {
        Assembler { last_seq: after_seq, closed, staged: BTreeMap::new() }
    }

    /// The units that an entry completes. An entry that was seen before has none.
    ///
    /// # Errors
    /// [`Corrupt`] for damaged bytes and when an entry is missing in between; the reader must stop.
    pub fn push(&mut self, seq: u64, entry: &Entry) -> Result<Vec<Unit>, Corrupt> {
        if seq <= self.last_seq {
            return Ok(Vec::new());
        }
        if seq != self.last_seq + 1 {
            return Corrupt::new(format!("entry {seq} comes after entry {}", self.last_seq));
        }
        let at_seq = |e: Corrupt| Corrupt(format!("entry {seq}: {}", e.0));
        let mut units = Vec::new();
        let before = Place { seq: self.last_seq, closed: self.closed };
        let mut cursor = Cursor::new(entry.chunks());
        let mut index = 0;
        while cursor.left() > 0 {
            let head = cursor.take(PART_HEAD_BYTES).unwrap_or_default();
            let head = PartHead::decode(&head).map_err(at_seq)?;
            let position = Position { seq, index };
            let unit = self.part((position, before), head, &mut cursor, entry.trusted());
            let unit = unit.map_err(at_seq)?;
            if let Some(unit) = unit {
                self.closed = self.closed.max(unit.ts);
                units.push(unit);
            }
            index += 1;
        }
        self.last_seq = seq;
        self.give_up_stale();
        Ok(units)
    }

    fn part(
        &mut self,
        (position, before): (Position, Place),
        head: PartHead,
        cursor: &mut Cursor<'_>,
        trusted: bool,
    ) -> Result<Option<Unit>, Corrupt> {
        let length = head.part_bytes as usize;
        if cursor.left() < length {
            return Corrupt::new("entry ends inside a part");
        }
        if head.whole() {
            let records = records(cursor, length, &head, trusted)?;
            let (ts, request, begins_after) = (head.ts, head.request, before);
            return Ok(Some(Unit { position, begins_after, ts, request, records }));
        }
        let chunks = cursor.take_chunks(length);
        let key = (head.ts, head.request);
        let staged = self.staged.entry(key).or_insert_with(|| Staged {
            begins_after: before,
            head,
            parts: BTreeMap::new(),
            bytes: 0,
            trusted: true,
        });
        if staged.head.unit_bytes != head.unit_bytes || staged.head.records != head.records {
            return Corrupt::new("parts of one unit contradict each other");
        }
        staged.trusted &= trusted;
        if staged.parts.insert(head.offset, chunks).is_none() {
            staged.bytes += u64::from(head.part_bytes);
        }
        if staged.bytes < head.unit_bytes {
            return Ok(None);
        }
        let Some(staged) = self.staged.remove(&key) else { return Ok(None) };
        let chunks: Vec<Bytes> = staged.parts.into_values().flatten().collect();
        let mut cursor = Cursor::new(&chunks);
        let length = cursor.left();
        if length as u64 != head.unit_bytes {
            return Corrupt::new("parts of one unit overlap");
        }
        let records = records(&mut cursor, length, &head, staged.trusted)?;
        let (begins_after, ts, request) = (staged.begins_after, head.ts, head.request);
        Ok(Some(Unit { position, begins_after, ts, request, records }))
    }

    fn give_up_stale(&mut self) {
        let horizon = self.closed.minus_ms(INCOMPLETE_MS_MAX);
        while let Some(first) = self.staged.first_entry()
            && first.key().0 < horizon
        {
            let (ts, request) = *first.key();
            tracing::warn!(%request, %ts, "a unit was never completed and is dropped");
            first.remove();
        }
    }

    /// The last entry that was pushed.
    pub fn last_seq(&self) -> u64 {
        self.last_seq
    }

    /// The largest ts of a unit so far.
    pub fn closed(&self) -> Timestamp {
        self.closed
    }

    /// The place before the first part of a unit still incomplete. A checkpoint goes no further.
    pub fn first_staged(&self) -> Option<Place> {
        self.staged.values().map(|staged| staged.begins_after).min_by_key(|place| place.seq)
    }
}

fn records(
    cursor: &mut Cursor<'_>,
    length: usize,
    head: &PartHead,
    trusted: bool,
) -> Result<Vec<Record>, Corrupt> {
    let mut records = Vec::with_capacity((head.records as usize).min(length / HEADER_BYTES));
    let end = cursor.left() - length;
    while cursor.left() > end {
        let record_head = cursor.peek::<HEADER_BYTES>().unwrap_or([0; HEADER_BYTES]);
        let bytes = le::u32_at(&record_head, LENGTH_AT) as usize;
        if bytes < HEADER_BYTES || cursor.left() - end < bytes {
            return Corrupt::new("a record does not fit into its unit");
        }
        let bytes = cursor.take(bytes).unwrap_or_default();
        records.push(if trusted { Record::trust(bytes) } else { Record::open(bytes) }?);
    }
    if records.len() != head.records as usize {
        return Corrupt::new(format!("{} records in a unit of {}", records.len(), head.records));
    }
    Ok(records)
}

#[cfg(test)]
mod tests;
