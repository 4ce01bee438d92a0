//! A finished graph over its bytes.

use bytes::Bytes;
use millstream_catalog::model::Metric;

use super::codes::{Codes, Scale};
use super::layout::{Header, Layout, words};
use super::walk::{Admit, Level};
use super::{GraphError, GraphParams};

/// A graph over the rows of a segment, used as its bytes are.
#[derive(Debug, Clone)]
pub struct Graph {
    bytes: Bytes,
    header: Header,
    layout: Layout,
    scale: Scale,
}

impl Graph {
    /// Opens the bytes that a build has made; nothing is copied, and only the header is read.
    ///
    /// Walks are fastest where the bytes are aligned to 64, as those of a mapped file are.
    ///
    /// # Errors
    /// [`GraphError::Corrupt`] if the header or the length is none of a graph's;
    /// [`GraphError::Version`] if it is of another version.
    pub fn open(bytes: Bytes) -> Result<Graph, GraphError> {
        let header = Header::decode(&bytes)?;
        let layout = Layout::new(&header);
        if layout.bytes() != bytes.len() {
            return Err(GraphError::Corrupt("its length is not what its header says"));
        }
        let centre = words(&bytes[layout.centre.clone()]);
        let centre = centre.iter().map(|&c| f32::from_le_bytes(c)).collect();
        let scale = Scale::new(header.metric, centre, header.step);
        Ok(Graph { bytes, header, layout, scale })
    }

    /// Reads the whole, and compares it with its checksums.
    ///
    /// # Errors
    /// [`GraphError::Corrupt`] if any byte has changed.
    pub fn verify(&self) -> Result<(), GraphError> {
        let sums = self.header.sums.iter().zip(&self.layout.sections);
        for (&sum, section) in sums {
            if crc32c::crc32c(&self.bytes[section.clone()]) != sum {
                return Err(GraphError::Corrupt("the checksum of a section is another"));
            }
        }
        Ok(())
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.header.rows
    }

    /// Dimensions of a vector.
    pub fn dim(&self) -> usize {
        self.header.dim
    }

    /// The metric it was built for.
    pub fn metric(&self) -> Metric {
        self.header.metric
    }

    /// What it was built with.
    pub fn params(&self) -> GraphParams {
        GraphParams { m: self.header.m, ef_construction: self.header.ef_construction }
    }

    /// Whether every search is a scan, because eight bits do not tell which rows are near: the
    /// vectors have few dimensions, or lie in clusters that are narrow for their distance.
    pub fn is_coarse(&self) -> bool {
        self.header.coarse
    }

    pub(crate) fn scale(&self) -> &Scale {
        &self.scale
    }

    pub(crate) fn codes(&self) -> Codes<'_> {
        let bytes = &self.bytes[self.layout.codes.clone()];
        Codes::new(self.header.metric, self.header.dim, bytes)
    }

    /// The lowest level, whose nodes are the rows.
    pub(crate) fn ground(&self) -> Mapped<'_> {
        Mapped {
            rows: &[],
            links: words(&self.bytes[self.layout.links.clone()]),
            width: 2 * self.header.m,
            nodes: self.header.rows,
            last_row: self.header.rows.saturating_sub(1) as u32,
        }
    }

    /// The levels above, the highest first, each with the numbers of its nodes on the next.
    pub(crate) fn upper(&self) -> impl Iterator<Item = (Mapped<'_>, &[[u8; 4]])> {
        self.layout.levels.iter().rev().map(|level| {
            let mapped = Mapped {
                rows: words(&self.bytes[level.rows.clone()]),
                links: words(&self.bytes[level.links.clone()]),
                width: self.header.m,
                nodes: level.nodes,
                last_row: self.header.rows.saturating_sub(1) as u32,
            };
            (mapped, words(&self.bytes[level.below.clone()]))
        })
    }

    /// Per row the next with the same codes; empty if there are none.
    pub(crate) fn twins(&self) -> &[[u8; 4]] {
        words(&self.bytes[self.layout.twins.clone()])
    }
}

/// A level as it lies in the bytes. Numbers that are too great become the greatest.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mapped<'a> {
    /// Rows of the nodes; empty on the lowest level.
    rows: &'a [[u8; 4]],
    links: &'a [[u8; 4]],
    width: usize,
    nodes: usize,
    last_row: u32,
}

impl Level for Mapped<'_> {
    fn nodes(&self) -> usize {
        self.nodes
    }

    #[inline(always)]
    fn row(&self, node: u32) -> u32 {
        let row = self.rows.get(node as usize).map_or(node, |&row| u32::from_le_bytes(row));
        row.min(self.last_row)
    }

    #[inline(always)]
    fn links(&self, node: u32) -> impl Iterator<Item = u32> {
        let last = self.nodes as u32 - 1;
        let links = &self.links[node.min(last) as usize * self.width..][..self.width];
        links.iter().map(move |&link| u32::from_le_bytes(link).min(last))
    }

    #[inline(always)]
    fn prefetch(&self, node: u32) {
        let last = self.nodes as u32 - 1;
        crate::kernel::prefetch(&self.links[node.min(last) as usize * self.width..][..self.width]);
    }
}

/// The rows that may be hits, and their twins.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Admitted<'a> {
    pub(crate) mask: Option<&'a [u64]>,
    pub(crate) twins: &'a [[u8; 4]],
    pub(crate) last_row: u32,
}

impl Admit for Admitted<'_> {
    const SOME: bool = true;

    #[inline(always)]
    fn admits(&self, row: u32) -> bool {
        let admits = |mask: &[u64]| mask[row as usize / 64] >> (row % 64) & 1 == 1;
        self.mask.is_none_or(admits)
    }

    #[inline(always)]
    fn twin(&self, row: u32) -> Option<u32> {
        let twin = u32::from_le_bytes(*self.twins.get(row as usize)?);
        (twin > row && twin <= self.last_row).then_some(twin)
    }
}
