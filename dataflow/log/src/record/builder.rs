//! `RecordBuilder`: writes a record's columns straight into its final bytes.

use bytes::Bytes;
use millstream_catalog::model::{CollectionId, DataType, FieldId, PartitionId};

use super::{
    BLOB, CRC_AT, FIXED, HEADER_BYTES, Kind, LENGTH_AT, MAGIC, RECORD_BYTES_MAX, Record,
    SECTION_BYTES, VALIDITY, VAR, VERSION, checksum, is_validity, var_split,
};
use crate::le::align8;

/// Why columns do not make a record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BuildError {
    /// A column does not have one value for each row.
    #[error("field {field}: {actual} bytes or offsets where {rows} rows need {expected}")]
    Length {
        /// The field.
        field: FieldId,
        /// Rows of the record.
        rows: u32,
        /// Bytes, or offsets, that the rows need.
        expected: usize,
        /// Bytes, or offsets, that were given.
        actual: usize,
    },
    /// Offsets do not begin at 0, fall, or do not end at the last byte.
    #[error("field {0}: offsets do not cut its bytes")]
    Offsets(FieldId),
    /// A row number past the end of the source column.
    #[error("field {field}: no row {row} to take")]
    Row {
        /// The field.
        field: FieldId,
        /// The row.
        row: u32,
    },
    /// A validity that does not follow the values of its field, or has a byte above 1.
    #[error("field {0}: a validity is bytes of 0 and 1 right behind the values of its field")]
    Validity(FieldId),
    /// The record would be longer than [`RECORD_BYTES_MAX`].
    #[error("a record of {0} bytes is longer than {RECORD_BYTES_MAX}")]
    TooLarge(usize),
    /// More than 65,535 columns, or a second blob.
    #[error("too many columns or blobs in one record")]
    TooMany,
}

struct Section {
    field: i64,
    data_type: i32,
    encoding: u8,
    width: usize,
    offset: usize,
    length: usize,
}

/// Collects the columns of one record. A mistake is kept and told by [`RecordBuilder::finish`].
pub struct RecordBuilder {
    bytes: Vec<u8>,
    sections: Vec<Section>,
    rows: u32,
    error: Option<BuildError>,
}

impl RecordBuilder {
    /// Begins a record of `rows` rows.
    pub fn new(
        kind: Kind,
        collection: CollectionId,
        partition: PartitionId,
        shard: u16,
        schema_version: u32,
        rows: u32,
    ) -> RecordBuilder {
        let mut head = [0; HEADER_BYTES];
        head[..4].copy_from_slice(&MAGIC.to_le_bytes());
        head[4] = VERSION;
        head[5] = kind as u8;
        head[8..16].copy_from_slice(&collection.0.to_le_bytes());
        head[16..24].copy_from_slice(&partition.0.to_le_bytes());
        head[24..28].copy_from_slice(&rows.to_le_bytes());
        head[28..32].copy_from_slice(&schema_version.to_le_bytes());
        head[32..34].copy_from_slice(&shard.to_le_bytes());
        RecordBuilder { bytes: head.to_vec(), sections: Vec::new(), rows, error: None }
    }

    /// Makes room for columns of this many bytes in all, so that the buffer is allocated once.
    /// Allow 40 bytes a column beside the values.
    #[must_use]
    pub fn reserve(mut self, bytes: usize) -> RecordBuilder {
        self.bytes.reserve(bytes.min(RECORD_BYTES_MAX));
        self
    }

    /// A column of `rows · width` bytes: one copy.
    pub fn fixed(&mut self, field: FieldId, ty: DataType, width: usize, values: &[u8]) {
        self.fixed_from(field, ty, width, |out| out.extend_from_slice(values));
    }

    /// A column whose `rows · width` bytes are appended by `fill`.
    pub fn fixed_from(
        &mut self,
        field: FieldId,
        ty: DataType,
        width: usize,
        fill: impl FnOnce(&mut Vec<u8>),
    ) {
        let expected = (self.rows as usize).saturating_mul(width);
        let start = self.begin(expected);
        fill(&mut self.bytes);
        let actual = self.bytes.len().saturating_sub(start);
        if actual != expected || self.bytes.len() < start {
            self.fail(BuildError::Length { field, rows: self.rows, expected, actual });
        }
        self.end(field.0, ty as i32, FIXED, width, start);
    }

    /// A column that takes the given rows, one for each row of the record, from a larger one:
    /// how a request is scattered over shards without a copy in between.
    pub fn fixed_gather(
        &mut self,
        field: FieldId,
        ty: DataType,
        width: usize,
        source: &[u8],
        rows: &[u32],
    ) {
        let mut missing = None;
        self.fixed_from(field, ty, width, |out| {
            for &row in rows {
                let at = (row as usize).saturating_mul(width);
                match source.get(at..at.saturating_add(width)) {
                    Some(value) => out.extend_from_slice(value),
                    None => missing = missing.or(Some(row)),
                }
            }
        });
        if let Some(row) = missing {
            self.error = Some(BuildError::Row { field, row });
        }
    }

    /// A column of different lengths: `rows + 1` offsets, from 0, into `values`.
    pub fn var(&mut self, field: FieldId, ty: DataType, offsets: &[u32], values: &[u8]) {
        let expected = self.rows as usize + 1;
        if offsets.len() != expected {
            let actual = offsets.len();
            self.fail(BuildError::Length { field, rows: self.rows, expected, actual });
            return;
        }
        let ends = offsets.first() == Some(&0)
            && offsets.last().is_some_and(|&last| last as usize == values.len());
        if !ends || !offsets.is_sorted() {
            self.fail(BuildError::Offsets(field));
            return;
        }
        let start = self.begin(var_split(self.rows as usize) + values.len());
        for offset in offsets {
            self.bytes.extend_from_slice(&offset.to_le_bytes());
        }
        self.pad();
        self.bytes.extend_from_slice(values);
        self.end(field.0, ty as i32, VAR, 0, start);
    }

    /// A column of different lengths from its values, one for each row: for callers that hold
    /// strings. Gathering is `rows.iter().map(|&r| &source[r])`.
    pub fn var_values<'a>(
        &mut self,
        field: FieldId,
        ty: DataType,
        values: impl IntoIterator<Item = &'a [u8]>,
    ) {
        let rows = self.rows as usize;
        let start = self.begin(var_split(rows));
        let data = start + var_split(rows);
        self.bytes.resize(data, 0);
        let mut count = 0;
        for value in values {
            count += 1;
            let length = self.bytes.len() - data + value.len();
            if length > RECORD_BYTES_MAX {
                self.fail(BuildError::TooLarge(length));
                break;
            }
            if count > rows {
                continue;
            }
            self.bytes.extend_from_slice(value);
            // Fits: the running length is at most RECORD_BYTES_MAX.
            let end = (self.bytes.len() - data) as u32;
            let at = start + 4 * count;
            self.bytes[at..at + 4].copy_from_slice(&end.to_le_bytes());
        }
        if count != rows {
            // Behind a value that is too large, which is told.
            self.fail(BuildError::Length { field, rows: self.rows, expected: rows, actual: count });
        }
        self.end(field.0, ty as i32, VAR, 0, start);
    }

    /// Which rows of the column written last, `field`, have a value: one byte a row, 1 for a value
    /// and 0 for null. Leave it out when no row is null: that is what readers are fast with.
    pub fn validity(&mut self, field: FieldId, valid: &[u8]) {
        self.validity_from(field, |out| out.extend_from_slice(valid));
    }

    /// Like [`RecordBuilder::validity`], of the given rows of a larger column. Writes nothing when
    /// none of these is null.
    pub fn validity_gather(&mut self, field: FieldId, source: &[u8], rows: &[u32]) {
        let at = |row: &u32| source.get(*row as usize).copied();
        if let Some(&row) = rows.iter().find(|row| at(row).is_none()) {
            self.fail(BuildError::Row { field, row });
        } else if rows.iter().any(|row| at(row) != Some(1)) {
            self.validity_from(field, |out| out.extend(rows.iter().filter_map(at)));
        }
    }

    fn validity_from(&mut self, field: FieldId, fill: impl FnOnce(&mut Vec<u8>)) {
        let values = self.sections.last().filter(|s| s.field == field.0);
        let Some(values) = values.filter(|s| matches!(s.encoding, FIXED | VAR)) else {
            return self.fail(BuildError::Validity(field));
        };
        let (data_type, expected) = (values.data_type, self.rows as usize);
        let start = self.begin(expected);
        fill(&mut self.bytes);
        let actual = self.bytes.len().saturating_sub(start);
        if actual != expected {
            self.fail(BuildError::Length { field, rows: self.rows, expected, actual });
        } else if !is_validity(&self.bytes[start..]) {
            self.fail(BuildError::Validity(field));
        }
        self.end(field.0, data_type, VALIDITY, 1, start);
    }

    /// The payload of a ddl record or of a delete by plan, or the partitions of rows; at most one.
    pub fn blob(&mut self, payload: &[u8]) {
        if self.sections.iter().any(|s| s.encoding == BLOB) {
            self.fail(BuildError::TooMany);
        }
        let start = self.begin(payload.len());
        self.bytes.extend_from_slice(payload);
        self.end(0, 0, BLOB, 0, start);
    }

    /// Completes the record and its checksum.
    ///
    /// # Errors
    /// The first mistake made by a column; [`BuildError::TooLarge`].
    pub fn finish(mut self) -> Result<Record, BuildError> {
        if let Some(error) = self.error {
            return Err(error);
        }
        let length = self.bytes.len() + self.sections.len() * SECTION_BYTES;
        if length > RECORD_BYTES_MAX {
            return Err(BuildError::TooLarge(length));
        }
        let count = u16::try_from(self.sections.len()).map_err(|_| BuildError::TooMany)?;
        for section in &self.sections {
            // Every length fits: the whole record is at most RECORD_BYTES_MAX bytes.
            let mut entry = [0; SECTION_BYTES];
            entry[..8].copy_from_slice(&section.field.to_le_bytes());
            entry[8..12].copy_from_slice(&section.data_type.to_le_bytes());
            entry[12] = section.encoding;
            entry[16..20].copy_from_slice(&(section.width as u32).to_le_bytes());
            entry[20..24].copy_from_slice(&(section.offset as u32).to_le_bytes());
            entry[24..28].copy_from_slice(&(section.length as u32).to_le_bytes());
            self.bytes.extend_from_slice(&entry);
        }
        self.bytes[34..36].copy_from_slice(&count.to_le_bytes());
        self.bytes[LENGTH_AT..LENGTH_AT + 4].copy_from_slice(&(length as u32).to_le_bytes());
        let crc = checksum(&self.bytes);
        self.bytes[CRC_AT..CRC_AT + 4].copy_from_slice(&crc.to_le_bytes());
        let kind = Kind::from_number(self.bytes[5]).unwrap_or(Kind::Insert);
        Ok(Record { bytes: Bytes::from(self.bytes), kind })
    }

    fn begin(&mut self, bytes: usize) -> usize {
        self.bytes.reserve(align8(bytes.min(RECORD_BYTES_MAX)) + SECTION_BYTES);
        self.bytes.len()
    }

    fn end(&mut self, field: i64, data_type: i32, encoding: u8, width: usize, offset: usize) {
        let length = self.bytes.len().saturating_sub(offset);
        self.pad();
        self.sections.push(Section { field, data_type, encoding, width, offset, length });
    }

    fn pad(&mut self) {
        self.bytes.resize(align8(self.bytes.len()), 0);
    }

    fn fail(&mut self, error: BuildError) {
        self.error.get_or_insert(error);
    }
}
