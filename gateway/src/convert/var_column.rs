//! `VarColumn`: values of different lengths that stay where the request has them.

use bytes::{Bytes, BytesMut};

use super::protobuf::{Fields, Value};

/// Marks a row whose value is the fallback.
const FALLBACK: (u32, u32) = (u32::MAX, 0);

/// Values of different lengths that lie somewhere in one run of bytes.
#[derive(Clone, Debug, Default)]
pub struct VarColumn {
    bytes: Bytes,
    /// Start and length of each value.
    spans: Vec<(u32, u32)>,
    /// The value of rows that give none.
    fallback: Bytes,
}

impl VarColumn {
    /// The same value in every row.
    pub fn repeated(value: Bytes, rows: u32) -> VarColumn {
        VarColumn { bytes: Bytes::new(), spans: vec![FALLBACK; rows as usize], fallback: value }
    }

    /// Texts that are made here.
    pub fn from_texts<T: AsRef<[u8]>>(texts: impl IntoIterator<Item = T>) -> VarColumn {
        let mut bytes = BytesMut::new();
        let mut ends = Vec::new();
        for text in texts {
            bytes.extend_from_slice(text.as_ref());
            ends.push(bytes.len());
        }
        VarColumn::from_ends(bytes.freeze(), ends)
    }

    /// Values that lie one after the other, by where each ends.
    pub fn from_ends(bytes: Bytes, ends: impl IntoIterator<Item = usize>) -> VarColumn {
        let mut start = 0;
        let span = |end: usize| {
            // Both fit: a request and what is made of it stay far below 4 GiB.
            let span = (start as u32, (end - start) as u32);
            start = end;
            span
        };
        let spans = ends.into_iter().map(span).collect();
        VarColumn { bytes, spans, fallback: Bytes::new() }
    }

    /// Finds the values of an encoded message of `repeated bytes value = 1` without copying them.
    /// An integer under number 2, the dimension of sparse vectors, is passed over.
    pub fn from_message(bytes: Bytes) -> Option<VarColumn> {
        let mut spans = Vec::new();
        let mut fields = Fields::new(&bytes);
        while let Some(field) = fields.field().ok()? {
            match field {
                (1, Value::Run(start, end)) => {
                    let length = u32::try_from(end - start).ok()?;
                    spans.push((u32::try_from(start).ok()?, length));
                }
                (2, Value::Varint(_)) => {}
                _ => return None,
            }
        }
        Some(VarColumn { bytes, spans, fallback: Bytes::new() })
    }

    /// Gives the rows that `valid` marks with 0 the value `fallback`. The values are either one for
    /// each row or one for each row that is marked with 1; false when they are neither.
    pub fn spread(&mut self, valid: &[u8], nulls: usize, fallback: Bytes) -> bool {
        if self.spans.len() == valid.len() {
            let rows = self.spans.iter_mut().zip(valid).filter(|(_, valid)| **valid == 0);
            rows.for_each(|(span, _)| *span = FALLBACK);
        } else if self.spans.len() + nulls == valid.len() {
            let mut given = self.spans.iter();
            let span = |valid: &u8| match valid {
                0 => FALLBACK,
                _ => given.next().copied().unwrap_or(FALLBACK),
            };
            self.spans = valid.iter().map(span).collect();
        } else {
            return false;
        }
        self.fallback = fallback;
        true
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
        match self.spans.get(row).copied() {
            None => &[],
            Some(FALLBACK) => &self.fallback,
            Some((start, length)) => &self.bytes[start as usize..start as usize + length as usize],
        }
    }

    /// All values.
    pub fn values(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.spans.len()).map(|row| self.value(row))
    }

    /// Bytes of all values.
    pub fn total(&self) -> usize {
        let length = |span: &(u32, u32)| match *span {
            FALLBACK => self.fallback.len(),
            (_, length) => length as usize,
        };
        self.spans.iter().map(length).sum()
    }
}
