//! The bytes of a graph: a header and sections, as they are written, mapped and used.
//!
//! All numbers are little-endian, all offsets from the start of the file and multiples of 64. The
//! header has 512 bytes:
//!
//! | at | bytes | what |
//! |---|---|---|
//! | 0 | 8 | `MILLGRPH` |
//! | 8 | 4 | version: 1 |
//! | 12 | 4 | metric: 1 L2, 2 IP, 3 COSINE |
//! | 16 | 8 | rows |
//! | 24 | 4 | dimensions |
//! | 28 | 4 | M |
//! | 32 | 4 | efConstruction |
//! | 36 | 4 | step of the codes, an f32 |
//! | 40 | 4 | bit 0: rows with equal codes are chained; bit 1: codes are too coarse to walk on |
//! | 44 | 4 | levels above the lowest, at most 31 |
//! | 48 | 31 × 4 | nodes of each of these, from below |
//! | 172 | 5 × 4 | CRC32C of each section |
//! | 508 | 4 | CRC32C of the bytes before |
//!
//! The sections follow one another, each padded with zeros to a multiple of 64 bytes:
//!
//! 1. *centre*: per dimension the f32 that code 128 stands for.
//! 2. *codes*: per row its record; see `codes.rs`.
//! 3. *links*: per row 2 M rows; places that are not used hold the row itself.
//! 4. *twins*: per row the next row with the same codes, or the row itself at the end of the chain;
//!    empty without such rows. Only the first row of a chain has links.
//! 5. *levels*: for each level above the lowest, from below, three arrays, each padded: per node
//!    its row; per node its number on the level below (its row, on the first); per node M links,
//!    which are numbers of nodes of the level. Node 0 of the highest level is where walks begin; on
//!    a graph without levels that is row 0.

use std::ops::Range;

use millstream_catalog::model::Metric;

use super::GraphError;
use super::codes::stride_of;

/// Bytes of the header.
pub(crate) const HEADER_BYTES: usize = 512;
/// Sections are aligned to this.
const ALIGN: usize = 64;
/// The most levels above the lowest.
pub(crate) const LEVELS_MAX: usize = 31;
/// The most rows of a graph: pools pack row numbers in 30 bits.
pub(crate) const ROWS_MAX: usize = 1 << 30;

const MAGIC: [u8; 8] = *b"MILLGRPH";
const VERSION: u32 = 1;
/// Where the header has the sections' checksums, and its own.
const SUMS_AT: usize = 172;
const OWN_SUM_AT: usize = HEADER_BYTES - 4;
/// Number of sections.
pub(crate) const SECTIONS: usize = 5;

/// What a header says.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Header {
    pub(crate) metric: Metric,
    pub(crate) rows: usize,
    pub(crate) dim: usize,
    pub(crate) m: usize,
    pub(crate) ef_construction: usize,
    pub(crate) step: f32,
    pub(crate) twins: bool,
    /// Whether the codes do not tell which rows are near; there are no links then.
    pub(crate) coarse: bool,
    /// Nodes of each level above the lowest, from below.
    pub(crate) levels: Vec<usize>,
    pub(crate) sums: [u32; SECTIONS],
}

impl Header {
    /// The header's bytes.
    pub(crate) fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
        put(0, &MAGIC);
        put(8, &VERSION.to_le_bytes());
        put(12, &metric_number(self.metric).to_le_bytes());
        put(16, &(self.rows as u64).to_le_bytes());
        put(24, &(self.dim as u32).to_le_bytes());
        put(28, &(self.m as u32).to_le_bytes());
        put(32, &(self.ef_construction as u32).to_le_bytes());
        put(36, &self.step.to_le_bytes());
        put(40, &(u32::from(self.twins) | u32::from(self.coarse) << 1).to_le_bytes());
        put(44, &(self.levels.len() as u32).to_le_bytes());
        for (level, &nodes) in self.levels.iter().enumerate() {
            put(48 + level * 4, &(nodes as u32).to_le_bytes());
        }
        for (section, sum) in self.sums.iter().enumerate() {
            put(SUMS_AT + section * 4, &sum.to_le_bytes());
        }
        let sum = crc32c::crc32c(&bytes[..OWN_SUM_AT]);
        bytes[OWN_SUM_AT..].copy_from_slice(&sum.to_le_bytes());
        bytes
    }

    /// Reads a header, and checks all that can be checked without the sections.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Header, GraphError> {
        let Some(bytes) = bytes.first_chunk::<HEADER_BYTES>() else {
            return Err(GraphError::Corrupt("it is shorter than its header"));
        };
        let word = |at: usize| bytes[at..].first_chunk().map_or(0, |&x| u32::from_le_bytes(x));
        let long = |at: usize| bytes[at..].first_chunk().map_or(0, |&x| u64::from_le_bytes(x));
        if bytes[..8] != MAGIC {
            return Err(GraphError::Corrupt("it does not begin as a graph does"));
        }
        if word(OWN_SUM_AT) != crc32c::crc32c(&bytes[..OWN_SUM_AT]) {
            return Err(GraphError::Corrupt("the checksum of the header is another"));
        }
        if word(8) != VERSION {
            return Err(GraphError::Version(word(8)));
        }
        let metric = metric_of(word(12)).ok_or(GraphError::Corrupt("it has no known metric"))?;
        let level_count = word(44) as usize;
        let header = Header {
            metric,
            rows: long(16).try_into().unwrap_or(usize::MAX),
            dim: word(24) as usize,
            m: word(28) as usize,
            ef_construction: word(32) as usize,
            step: f32::from_le_bytes(word(36).to_le_bytes()),
            twins: word(40) & 1 != 0,
            coarse: word(40) & 2 != 0,
            levels: (0..level_count.min(LEVELS_MAX)).map(|l| word(48 + l * 4) as usize).collect(),
            sums: std::array::from_fn(|section| word(SUMS_AT + section * 4)),
        };
        let mut below = header.rows;
        for &nodes in &header.levels {
            if nodes == 0 || nodes > below {
                return Err(GraphError::Corrupt("a level has more nodes than the one below"));
            }
            below = nodes;
        }
        let sized = header.rows <= ROWS_MAX && header.dim > 0 && header.dim <= super::DIM_MAX;
        if !sized || header.m < 2 || header.m > super::M_MAX || level_count > LEVELS_MAX {
            return Err(GraphError::Corrupt("its header has a size out of bounds"));
        }
        Ok(header)
    }
}

fn metric_number(metric: Metric) -> u32 {
    match metric {
        Metric::L2 => 1,
        Metric::Cosine => 3,
        _ => 2,
    }
}

fn metric_of(number: u32) -> Option<Metric> {
    [Metric::L2, Metric::Ip, Metric::Cosine].into_iter().find(|&m| metric_number(m) == number)
}

/// Where a level above the lowest has its arrays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LevelLayout {
    pub(crate) nodes: usize,
    pub(crate) rows: Range<usize>,
    pub(crate) below: Range<usize>,
    pub(crate) links: Range<usize>,
}

/// Where everything is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Layout {
    pub(crate) centre: Range<usize>,
    pub(crate) codes: Range<usize>,
    pub(crate) links: Range<usize>,
    pub(crate) twins: Range<usize>,
    pub(crate) levels: Vec<LevelLayout>,
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
        let rows = header.rows;
        let centre = take(header.dim * 4);
        let codes = take(rows * stride_of(header.dim));
        let links = take(rows * 2 * header.m * 4);
        let twins = take(if header.twins { rows * 4 } else { 0 });
        let levels: Vec<LevelLayout> = header
            .levels
            .iter()
            .map(|&nodes| LevelLayout {
                nodes,
                rows: take(nodes * 4),
                below: take(nodes * 4),
                links: take(nodes * header.m * 4),
            })
            .collect();
        let upper = take(0).start;
        let levels_start = levels.first().map_or(upper, |level| level.rows.start);
        let starts = [centre.start, codes.start, links.start, twins.start, levels_start, upper];
        let sections = std::array::from_fn(|section| starts[section]..starts[section + 1]);
        Layout { centre, codes, links, twins, levels, sections }
    }

    /// Bytes of the whole.
    pub(crate) fn bytes(&self) -> usize {
        self.sections[SECTIONS - 1].end
    }
}

/// A whole number of little-endian `u32`.
pub(crate) fn words(bytes: &[u8]) -> &[[u8; 4]] {
    bytes.as_chunks::<4>().0
}

/// Writes a row of `u32`.
pub(crate) fn put_words(bytes: &mut [u8], values: impl Iterator<Item = u32>) {
    for (bytes, value) in bytes.as_chunks_mut::<4>().0.iter_mut().zip(values) {
        *bytes = value.to_le_bytes();
    }
}
