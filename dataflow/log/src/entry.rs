//! `Entry`: the units, or parts of units, that go to the log together.
//!
//! An entry is a sequence of parts, each a 64-byte head and a range of its unit's bytes. The bytes
//! of a unit are its records one after the other. A unit that fits is one part.
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 4 | magic `MSUN` |
//! | 4 | 1 | version, 1 |
//! | 5 | 3 | zeros |
//! | 8 | 8 | ts of the unit |
//! | 16 | 16 | request |
//! | 32 | 8 | bytes of the whole unit; 0 for a tick |
//! | 40 | 8 | offset of this part in the unit |
//! | 48 | 4 | bytes of this part |
//! | 52 | 4 | records of the whole unit |
//! | 56 | 4 | zeros |
//! | 60 | 4 | CRC32C of the head's first 60 bytes |

use bytes::Bytes;
use millstream_catalog::model::{RequestId, Timestamp};

use crate::le;
use crate::record::{Corrupt, Record};

pub(crate) const MAGIC: u32 = u32::from_le_bytes(*b"MSUN");
pub(crate) const VERSION: u8 = 1;
/// Bytes before each part of an entry.
pub const PART_HEAD_BYTES: usize = 64;
/// Largest unit, in bytes.
pub const UNIT_BYTES_MAX: u64 = 1 << 30;

/// What stands before each part of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PartHead {
    pub(crate) ts: Timestamp,
    pub(crate) request: RequestId,
    pub(crate) unit_bytes: u64,
    pub(crate) offset: u64,
    pub(crate) part_bytes: u32,
    pub(crate) records: u32,
}

impl PartHead {
    pub(crate) fn encode(&self) -> [u8; PART_HEAD_BYTES] {
        let mut out = [0; PART_HEAD_BYTES];
        out[..4].copy_from_slice(&MAGIC.to_le_bytes());
        out[4] = VERSION;
        out[8..16].copy_from_slice(&self.ts.0.to_le_bytes());
        out[16..32].copy_from_slice(&self.request.0.to_le_bytes());
        out[32..40].copy_from_slice(&self.unit_bytes.to_le_bytes());
        out[40..48].copy_from_slice(&self.offset.to_le_bytes());
        out[48..52].copy_from_slice(&self.part_bytes.to_le_bytes());
        out[52..56].copy_from_slice(&self.records.to_le_bytes());
        let crc = crc32c::crc32c(&out[..60]);
        out[60..].copy_from_slice(&crc.to_le_bytes());
        out
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<PartHead, Corrupt> {
        if bytes.len() != PART_HEAD_BYTES || le::u32_at(bytes, 0) != MAGIC {
            return Corrupt::new("entry part does not begin as one");
        }
        if crc32c::crc32c(&bytes[..60]) != le::u32_at(bytes, 60) {
            return Corrupt::new("entry part head fails its checksum");
        }
        if bytes[4] != VERSION {
            return Corrupt::new(format!("entry version {} is not known", bytes[4]));
        }
        let head = PartHead {
            ts: Timestamp(le::u64_at(bytes, 8)),
            request: RequestId(le::u128_at(bytes, 16)),
            unit_bytes: le::u64_at(bytes, 32),
            offset: le::u64_at(bytes, 40),
            part_bytes: le::u32_at(bytes, 48),
            records: le::u32_at(bytes, 52),
        };
        let end = head.offset.saturating_add(u64::from(head.part_bytes));
        if head.unit_bytes > UNIT_BYTES_MAX || end > head.unit_bytes {
            return Corrupt::new("entry part lies outside its unit");
        }
        Ok(head)
    }

    /// Whether this part is a whole unit.
    pub(crate) fn whole(&self) -> bool {
        u64::from(self.part_bytes) == self.unit_bytes
    }
}

/// The bytes of one entry, in pieces that are never joined on the way to the disk or the reader.
#[derive(Clone, Debug, Default)]
pub struct Entry {
    chunks: Vec<Bytes>,
    bytes: usize,
    trusted: bool,
}

impl Entry {
    /// An entry as it came from a disk or a wire: everything in it will be checked.
    pub fn stored(bytes: Bytes) -> Entry {
        Entry { bytes: bytes.len(), chunks: vec![bytes], trusted: false }
    }

    /// An entry to be filled by this process.
    pub(crate) fn building() -> Entry {
        Entry { chunks: Vec::new(), bytes: 0, trusted: true }
    }

    /// Adds a part.
    pub(crate) fn part(&mut self, head: &PartHead, chunks: impl IntoIterator<Item = Bytes>) {
        self.chunk(Bytes::copy_from_slice(&head.encode()));
        for chunk in chunks {
            self.chunk(chunk);
        }
    }

    fn chunk(&mut self, chunk: Bytes) {
        self.bytes += chunk.len();
        self.chunks.push(chunk);
    }

    /// The pieces in order.
    pub fn chunks(&self) -> &[Bytes] {
        &self.chunks
    }

    /// Length in bytes.
    pub fn len(&self) -> usize {
        self.bytes
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// Whether the pieces never left this process, so that checksums need not be computed again.
    pub(crate) fn trusted(&self) -> bool {
        self.trusted
    }

    /// The entry as one run of bytes; copies unless it is one piece.
    pub fn to_bytes(&self) -> Bytes {
        if let [one] = self.chunks.as_slice() {
            return one.clone();
        }
        let mut joined = Vec::with_capacity(self.bytes);
        for chunk in &self.chunks {
            joined.extend_from_slice(chunk);
        }
        Bytes::from(joined)
    }
}

/// A range of a unit's bytes that fits into an entry.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    pub(crate) offset: u64,
    pub(crate) bytes: u32,
    pub(crate) chunks: Vec<Bytes>,
}

/// Cuts the bytes of a unit into parts of at most `part_max` bytes: between records where it can,
/// and inside a record that is longer than a part. One part when all fits; one empty part for a
/// tick. `part_max` is at least 64.
pub(crate) fn cut(records: &[Record], part_max: usize) -> Vec<Part> {
    let part_max = u32::try_from(part_max & !7).unwrap_or(!7).max(64);
    let mut parts = vec![Part { offset: 0, bytes: 0, chunks: Vec::new() }];
    for record in records {
        let mut rest = record.bytes().clone();
        while !rest.is_empty() {
            let Some(part) = parts.last_mut() else { break };
            // A record is at most RECORD_BYTES_MAX bytes long.
            let length = rest.len() as u32;
            if part.bytes > 0 && part_max - part.bytes < length {
                let offset = part.offset + u64::from(part.bytes);
                parts.push(Part { offset, bytes: 0, chunks: Vec::new() });
                continue;
            }
            let take = length.min(part_max);
            part.chunks.push(rest.split_to(take as usize));
            part.bytes += take;
        }
    }
    parts
}

/// Walks over pieces of bytes as if they were one.
pub(crate) struct Cursor<'a> {
    chunks: &'a [Bytes],
    at: usize,
    left: usize,
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(chunks: &'a [Bytes]) -> Cursor<'a> {
        Cursor { chunks, at: 0, left: chunks.iter().map(Bytes::len).sum() }
    }

    /// Bytes not taken yet.
    pub(crate) fn left(&self) -> usize {
        self.left
    }

    /// The next `N` bytes without taking them; `None` when there are fewer.
    pub(crate) fn peek<const N: usize>(&self) -> Option<[u8; N]> {
        if self.left < N {
            return None;
        }
        let mut out = [0; N];
        let (mut filled, mut at) = (0, self.at);
        for chunk in self.chunks {
            let from = chunk.get(at..).unwrap_or_default();
            let take = from.len().min(N - filled);
            out[filled..filled + take].copy_from_slice(&from[..take]);
            filled += take;
            if filled == N {
                break;
            }
            at = 0;
        }
        Some(out)
    }

    /// Takes the next `n` bytes as slices of the pieces, without copying; fewer at the end.
    pub(crate) fn take_chunks(&mut self, n: usize) -> Vec<Bytes> {
        let mut out = Vec::new();
        let mut wanted = n.min(self.left);
        self.left -= wanted;
        while wanted > 0 {
            let Some(chunk) = self.chunks.first() else { break };
            let take = wanted.min(chunk.len() - self.at);
            if take > 0 {
                out.push(chunk.slice(self.at..self.at + take));
            }
            wanted -= take;
            self.at += take;
            if self.at == chunk.len() {
                self.chunks = &self.chunks[1..];
                self.at = 0;
            }
        }
        out
    }

    /// Takes the next `n` bytes as one run; copies only when they lie in several pieces.
    /// `None` when there are fewer.
    pub(crate) fn take(&mut self, n: usize) -> Option<Bytes> {
        if self.left < n {
            return None;
        }
        if let Some(chunk) = self.chunks.first()
            && n > 0
            && chunk.len() - self.at > n
        {
            let out = chunk.slice(self.at..self.at + n);
            self.at += n;
            self.left -= n;
            return Some(out);
        }
        let mut pieces = self.take_chunks(n);
        if pieces.len() <= 1 {
            return Some(pieces.pop().unwrap_or_default());
        }
        let mut joined = Vec::with_capacity(n);
        for piece in &pieces {
            joined.extend_from_slice(piece);
        }
        Some(Bytes::from(joined))
    }
}
