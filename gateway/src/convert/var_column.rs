//! `VarColumn`: texts that stay where the request has them.

use bytes::{Bytes, BytesMut};

/// Values of different lengths that lie somewhere in one run of bytes.
#[derive(Clone, Debug)]
pub struct VarColumn {
    bytes: Bytes,
    /// Start and length of each value.
    spans: Vec<(u32, u32)>,
}

impl VarColumn {
    /// The same value in every row.
    pub fn repeated(value: &'static [u8], rows: u32) -> VarColumn {
        let length = u32::try_from(value.len()).unwrap_or(u32::MAX);
        let spans = vec![(0, length); rows as usize];
        VarColumn { bytes: Bytes::from_static(value), spans }
    }

    /// Texts that are made here.
    pub fn from_texts<T: AsRef<[u8]>>(texts: impl IntoIterator<Item = T>) -> VarColumn {
        let mut bytes = BytesMut::new();
        let mut spans = Vec::new();
        for text in texts {
            let text = text.as_ref();
            // Both fit: a request and what is made of it stay far below 4 GiB.
            spans.push((bytes.len() as u32, text.len() as u32));
            bytes.extend_from_slice(text);
        }
        VarColumn { bytes: bytes.freeze(), spans }
    }

    /// Finds the values of an encoded message of `repeated bytes value = 1` without copying them.
    pub fn from_message(bytes: Bytes) -> Option<VarColumn> {
        let mut spans = Vec::new();
        let mut at = 0;
        while at < bytes.len() {
            let (tag, next) = varint(&bytes, at)?;
            if tag != (1 << 3 | 2) {
                return None;
            }
            let (length, start) = varint(&bytes, next)?;
            let end = start.checked_add(usize::try_from(length).ok()?)?;
            if end > bytes.len() {
                return None;
            }
            spans.push((u32::try_from(start).ok()?, u32::try_from(length).ok()?));
            at = end;
        }
        Some(VarColumn { bytes, spans })
    }

    /// Number of values.
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// One value; empty when there is no such row.
    pub fn value(&self, row: usize) -> &[u8] {
        let (start, length) = self.spans.get(row).copied().unwrap_or_default();
        &self.bytes[start as usize..start as usize + length as usize]
    }

    /// All values.
    pub fn values(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.spans.len()).map(|row| self.value(row))
    }

    /// Bytes of all values.
    pub fn total(&self) -> usize {
        self.spans.iter().map(|(_, length)| *length as usize).sum()
    }
}

/// A varint of protobuf, and where the next thing begins.
fn varint(bytes: &[u8], mut at: usize) -> Option<(u64, usize)> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let byte = *bytes.get(at)?;
        at += 1;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some((value, at));
        }
    }
    None
}
