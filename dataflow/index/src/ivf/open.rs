//! Finished lists over their bytes.

use std::ops::Range;

use bytes::Bytes;
use millstream_catalog::model::Metric;

use super::centroids::Centroids;
use super::layout::{Header, Layout};
use super::{IvfError, IvfKind, IvfParams};
use crate::graph::codes::{Codes, Scale};
use crate::graph::layout::words;

/// Lists of the rows of a segment, used as their bytes are.
#[derive(Debug, Clone)]
pub struct Ivf {
    bytes: Bytes,
    header: Header,
    layout: Layout,
    pub(crate) centroids: Centroids,
    pub(crate) scale: Scale,
}

impl Ivf {
    /// Opens the bytes that a build has made; only the header and the centroids are read, and
    /// nothing but the centroids is copied.
    ///
    /// # Errors
    /// [`IvfError::Corrupt`] if the header or the length is none of such an index;
    /// [`IvfError::Version`] if it is of another version.
    pub fn open(bytes: Bytes) -> Result<Ivf, IvfError> {
        let header = Header::decode(&bytes)?;
        let layout = Layout::new(&header);
        if layout.bytes() != bytes.len() {
            return Err(IvfError::Corrupt("its length is not what its header says"));
        }
        let centroids = &bytes[layout.centroids.clone()];
        let centroids = match header.kind {
            IvfKind::Bits => Centroids::Bits(centroids.to_vec()),
            IvfKind::Flat | IvfKind::Sq8 => Centroids::Numbers(floats(centroids)),
        };
        let centre = floats(&bytes[layout.centre.clone()]);
        let scale = Scale::new(header.metric, centre, header.step);
        Ok(Ivf { bytes, header, layout, centroids, scale })
    }

    /// Reads the whole, and compares it with its checksums.
    ///
    /// # Errors
    /// [`IvfError::Corrupt`] if any byte has changed.
    pub fn verify(&self) -> Result<(), IvfError> {
        let sums = self.header.sums.iter().zip(&self.layout.sections);
        for (&sum, section) in sums {
            if crc32c::crc32c(&self.bytes[section.clone()]) != sum {
                return Err(IvfError::Corrupt("the checksum of a section is another"));
            }
        }
        Ok(())
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.header.rows
    }

    /// Number of lists.
    pub fn lists(&self) -> usize {
        self.header.lists
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
    pub fn params(&self) -> IvfParams {
        IvfParams { kind: self.header.kind, nlist: self.header.nlist }
    }

    /// Whether rows are compared by codes; not where eight bits do not tell which rows are near.
    pub fn is_coded(&self) -> bool {
        self.header.coded && self.header.rows > 0
    }

    /// The places of a list; none for a list that is not there.
    pub(crate) fn list(&self, list: u32) -> Range<usize> {
        let ends = words(&self.bytes[self.layout.ends.clone()]);
        let end = |list: usize| {
            let end = ends.get(list).map_or(0, |&end| u32::from_le_bytes(end) as usize);
            end.min(self.header.rows)
        };
        let start = (list as usize).checked_sub(1).map_or(0, end);
        // The ends of damaged lists may descend.
        start..end(list as usize).max(start)
    }

    /// The rows at some places; numbers that are too great become the greatest.
    pub(crate) fn rows_at(&self, places: Range<usize>) -> impl Iterator<Item = u32> {
        let last = self.header.rows.saturating_sub(1) as u32;
        let rows = &words(&self.bytes[self.layout.rows.clone()])[places];
        rows.iter().map(move |&row| u32::from_le_bytes(row).min(last))
    }

    /// The codes by place.
    pub(crate) fn codes(&self) -> Codes<'_> {
        let bytes = &self.bytes[self.layout.codes.clone()];
        Codes::new(self.header.metric, self.header.dim, bytes)
    }
}

fn floats(bytes: &[u8]) -> Vec<f32> {
    words(bytes).iter().map(|&x| f32::from_le_bytes(x)).collect()
}
