//! The bytes of an index of lists: a header and sections, as they are written, mapped and used.
//!
//! All numbers are little-endian, all offsets from the start of the file and multiples of 64. The
//! header has 128 bytes:
//!
//! | at | bytes | what |
//! |---|---|---|
//! | 0 | 8 | `MILLLIST` |
//! | 8 | 4 | version: 1 |
//! | 12 | 4 | kind: 1 flat, 2 eight-bit codes, 3 Binary vectors |
//! | 16 | 4 | metric: 1 L2, 2 IP, 3 COSINE, 4 HAMMING, 5 JACCARD |
//! | 20 | 4 | dimensions |
//! | 24 | 8 | rows |
//! | 32 | 4 | nlist that was asked for |
//! | 36 | 4 | lists |
//! | 40 | 4 | step of the codes, an f32 |
//! | 44 | 4 | bit 0: there are codes; without, kind 2 had codes that do not tell which rows are near |
//! | 48 | 5 × 4 | CRC32C of each section |
//! | 124 | 4 | CRC32C of the bytes before |
//!
//! The sections follow one another, each padded with zeros to a multiple of 64 bytes:
//!
//! 1. *centroids*: per list its centroid, an f32 a dimension, or a bit a dimension of kind 3.
//! 2. *ends*: per list the place behind its last row; the first list begins at place 0.
//! 3. *rows*: per place the number of its row.
//! 4. *centre*: per dimension the f32 that code 128 stands for; empty without codes.
//! 5. *codes*: per place the record of its row, see `graph/codes.rs`; empty without codes.

use std::ops::Range;

use millstream_catalog::model::Metric;

use super::{IvfError, IvfKind, NLIST_MAX};
use crate::graph::DIM_MAX;
use crate::graph::codes::stride_of;

/// Bytes of the header.
pub(crate) const HEADER_BYTES: usize = 128;
/// Sections are aligned to this.
const ALIGN: usize = 64;
/// The most rows.
pub(crate) const ROWS_MAX: usize = 1 << 30;
/// The most dimensions of a Binary vector.
pub(crate) const BITS_MAX: usize = 8 * DIM_MAX;

const MAGIC: [u8; 8] = *b"MILLLIST";
const VERSION: u32 = 1;
/// Where the header has the sections' checksums, and its own.
const SUMS_AT: usize = 48;
const OWN_SUM_AT: usize = HEADER_BYTES - 4;
/// Number of sections.
pub(crate) const SECTIONS: usize = 5;

/// The kinds, from number 1 on.
const KINDS: [IvfKind; 3] = [IvfKind::Flat, IvfKind::Sq8, IvfKind::Bits];
/// The metrics, from number 1 on.
const METRICS: [Metric; 5] =
    [Metric::L2, Metric::Ip, Metric::Cosine, Metric::Hamming, Metric::Jaccard];

/// What a header says.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Header {
    pub(crate) kind: IvfKind,
    pub(crate) metric: Metric,
    pub(crate) dim: usize,
    pub(crate) rows: usize,
    pub(crate) nlist: usize,
    pub(crate) lists: usize,
    pub(crate) step: f32,
    pub(crate) coded: bool,
    pub(crate) sums: [u32; SECTIONS],
}

impl Header {
    /// The header's bytes.
    pub(crate) fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
        put(0, &MAGIC);
        put(8, &VERSION.to_le_bytes());
        put(12, &number_of(&KINDS, self.kind).to_le_bytes());
        put(16, &number_of(&METRICS, self.metric).to_le_bytes());
        put(20, &(self.dim as u32).to_le_bytes());
        put(24, &(self.rows as u64).to_le_bytes());
        put(32, &(self.nlist as u32).to_le_bytes());
        put(36, &(self.lists as u32).to_le_bytes());
        put(40, &self.step.to_le_bytes());
        put(44, &u32::from(self.coded).to_le_bytes());
        for (section, sum) in self.sums.iter().enumerate() {
            put(SUMS_AT + section * 4, &sum.to_le_bytes());
        }
        let sum = crc32c::crc32c(&bytes[..OWN_SUM_AT]);
        bytes[OWN_SUM_AT..].copy_from_slice(&sum.to_le_bytes());
        bytes
    }

    /// Reads a header, and checks all that can be checked without the sections.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Header, IvfError> {
        let Some(bytes) = bytes.first_chunk::<HEADER_BYTES>() else {
            return Err(IvfError::Corrupt("it is shorter than its header"));
        };
        let word = |at: usize| bytes[at..].first_chunk().map_or(0, |&x| u32::from_le_bytes(x));
        let long = |at: usize| bytes[at..].first_chunk().map_or(0, |&x| u64::from_le_bytes(x));
        if bytes[..8] != MAGIC {
            return Err(IvfError::Corrupt("it does not begin as one does"));
        }
        if word(OWN_SUM_AT) != crc32c::crc32c(&bytes[..OWN_SUM_AT]) {
            return Err(IvfError::Corrupt("the checksum of the header is another"));
        }
        if word(8) != VERSION {
            return Err(IvfError::Version(word(8)));
        }
        let kind = of_number(&KINDS, word(12)).ok_or(IvfError::Corrupt("it has no known kind"))?;
        let metric =
            of_number(&METRICS, word(16)).ok_or(IvfError::Corrupt("it has no known metric"))?;
        let header = Header {
            kind,
            metric,
            dim: word(20) as usize,
            rows: long(24).try_into().unwrap_or(usize::MAX),
            nlist: word(32) as usize,
            lists: word(36) as usize,
            step: f32::from_le_bytes(word(40).to_le_bytes()),
            coded: word(44) & 1 != 0,
            sums: std::array::from_fn(|section| word(SUMS_AT + section * 4)),
        };
        if is_for(kind, metric).is_none_or(|dims| !dims.contains(&header.dim)) {
            return Err(IvfError::Corrupt(
                "its header has a dimension or a metric of another kind",
            ));
        }
        let whole = kind != IvfKind::Bits || header.dim.is_multiple_of(8);
        let sized = header.rows <= ROWS_MAX && (1..=NLIST_MAX).contains(&header.nlist);
        if !whole || !sized || header.lists == 0 || header.lists > header.nlist {
            return Err(IvfError::Corrupt("its header has a size out of bounds"));
        }
        if header.coded && kind != IvfKind::Sq8 {
            return Err(IvfError::Corrupt("it has codes, and is of a kind without"));
        }
        Ok(header)
    }

    /// Bytes of a centroid.
    pub(crate) fn centroid_bytes(&self) -> usize {
        if self.kind == IvfKind::Bits { self.dim / 8 } else { self.dim * 4 }
    }
}

/// The dimensions that vectors of a kind may have under a metric; none if it is not for them.
pub(crate) fn is_for(kind: IvfKind, metric: Metric) -> Option<std::ops::RangeInclusive<usize>> {
    match (kind, metric) {
        (IvfKind::Bits, Metric::Hamming | Metric::Jaccard) => Some(8..=BITS_MAX),
        (IvfKind::Flat | IvfKind::Sq8, Metric::L2 | Metric::Ip | Metric::Cosine) => {
            Some(1..=DIM_MAX)
        }
        _ => None,
    }
}

fn number_of<T: PartialEq>(all: &[T], one: T) -> u32 {
    all.iter().position(|other| *other == one).map_or(0, |at| at as u32 + 1)
}

fn of_number<T: Copy>(all: &[T], number: u32) -> Option<T> {
    all.get((number as usize).checked_sub(1)?).copied()
}

/// Where everything is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Layout {
    pub(crate) centroids: Range<usize>,
    pub(crate) ends: Range<usize>,
    pub(crate) rows: Range<usize>,
    pub(crate) centre: Range<usize>,
    pub(crate) codes: Range<usize>,
    /// The sections with their padding, in order, without a gap.
    pub(crate) sections: [Range<usize>; SECTIONS],
}

impl Layout {
    /// The layout that follows from a header within its bounds.
    pub(crate) fn new(header: &Header) -> Layout {
        let mut end = HEADER_BYTES;
        let mut take = |bytes: usize| {
            let start = end;
            end = (start + bytes).next_multiple_of(ALIGN);
            start..start + bytes
        };
        let coded = |bytes: usize| if header.coded { bytes } else { 0 };
        let centroids = take(header.lists * header.centroid_bytes());
        let ends = take(header.lists * 4);
        let rows = take(header.rows * 4);
        let centre = take(coded(header.dim * 4));
        let codes = take(coded(header.rows * stride_of(header.dim)));
        let last = take(0).start;
        let starts = [centroids.start, ends.start, rows.start, centre.start, codes.start, last];
        let sections = std::array::from_fn(|section| starts[section]..starts[section + 1]);
        Layout { centroids, ends, rows, centre, codes, sections }
    }

    /// Bytes of the whole.
    pub(crate) fn bytes(&self) -> usize {
        self.sections[SECTIONS - 1].end
    }
}
