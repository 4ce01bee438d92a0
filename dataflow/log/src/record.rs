//! `Record`: one column batch for one shard, as bytes.
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 4 | magic `MSRC` |
//! | 4 | 1 | version, 2 |
//! | 5 | 1 | kind |
//! | 6 | 2 | flags, 0 |
//! | 8 | 8 | collection |
//! | 16 | 8 | partition |
//! | 24 | 4 | rows |
//! | 28 | 4 | schema version |
//! | 32 | 2 | shard |
//! | 34 | 2 | sections |
//! | 36 | 4 | length of the whole record, a multiple of 8 |
//! | 40 | 4 | reserved, 0 |
//! | 44 | 4 | CRC32C of everything but these four bytes |
//! | 48 | | sections in order, each padded with zeros to 8 bytes |
//! | length − 32 · sections | | directory, 32 bytes a section |
//!
//! A directory entry is field (8), type number (4), encoding (1), zeros (3), width (4), offset (4),
//! length without padding (4), zeros (4). Encoding 0 is `rows · width` bytes; 1 is `rows + 1`
//! offsets (`u32`, from 0), padded to 8, and then the bytes they cut; 2 is the blob, at most one; 3
//! is a validity: one byte a row, 1 for a value and 0 for null, right behind the values of its
//! field. A field without one has no null.
//!
//! **Invariant.** A `Record` exists only after its bytes were checked: sections lie one after the
//! other without gap or overlap, offsets grow and end at the last byte, a validity follows its
//! values and is 0 or 1. Reading one therefore cannot fail.
//!
//! **Absent on purpose.** The timestamp and the request: they belong to the unit that carries the
//! record, so that records are final, and their checksums computed, before the stamp is known.
//! Whether VarChar bytes are UTF-8 is checked where they enter, in the gateway.

mod builder;
mod column;
#[cfg(test)]
mod tests;

use bytes::Bytes;
use millstream_catalog::model::{CollectionId, DataType, FieldId, PartitionId};

pub use builder::{BuildError, RecordBuilder};
pub use column::{Column, ColumnData};

use crate::le;

pub(crate) const MAGIC: u32 = u32::from_le_bytes(*b"MSRC");
pub(crate) const VERSION: u8 = 2;
/// Bytes of a record's header.
pub const HEADER_BYTES: usize = 48;
pub(crate) const SECTION_BYTES: usize = 32;
pub(crate) const LENGTH_AT: usize = 36;
pub(crate) const CRC_AT: usize = 44;
/// Longest record, in bytes: above most requests that the gateway takes. It cuts the others.
pub const RECORD_BYTES_MAX: usize = 256 << 20;

pub(crate) const FIXED: u8 = 0;
pub(crate) const VAR: u8 = 1;
pub(crate) const BLOB: u8 = 2;
pub(crate) const VALIDITY: u8 = 3;

/// Bytes of the log that are not what was written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("log data is corrupt: {0}")]
pub struct Corrupt(pub String);

impl Corrupt {
    pub(crate) fn new<T>(what: impl Into<String>) -> Result<T, Corrupt> {
        Err(Corrupt(what.into()))
    }
}

/// What a record asks the reader to do. A tick is no record: it is a unit without any.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Kind {
    /// Adds rows.
    Insert = 1,
    /// Ends rows, by primary key or by a plan in the blob.
    Delete = 2,
    /// Ends the live rows of each primary key and adds the new ones.
    Upsert = 3,
    /// Ends the growing segments of a shard.
    Seal = 4,
    /// Changes the schema or ends rows; the blob says how.
    Ddl = 5,
    /// An upsert whose rows carry only some columns: the newest live row of the key has the others.
    Update = 6,
}

impl Kind {
    const fn from_number(number: u8) -> Option<Kind> {
        Some(match number {
            1 => Kind::Insert,
            2 => Kind::Delete,
            3 => Kind::Upsert,
            4 => Kind::Seal,
            5 => Kind::Ddl,
            6 => Kind::Update,
            _ => return None,
        })
    }
}

/// A checked view of a record over shared bytes. Cloning it copies no data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    bytes: Bytes,
    kind: Kind,
}

struct Section {
    field: i64,
    data_type: i32,
    encoding: u8,
    width: usize,
    offset: usize,
    length: usize,
}

impl Record {
    /// Checks bytes and takes them as a record.
    ///
    /// # Errors
    /// [`Corrupt`] when the bytes are not exactly one whole, undamaged record. Never panics, and
    /// allocates nothing but the text of the error.
    pub fn open(bytes: Bytes) -> Result<Record, Corrupt> {
        if bytes.len() < HEADER_BYTES {
            return Corrupt::new(format!("a record of {} bytes is no record", bytes.len()));
        }
        let (found, stored) = (checksum(&bytes), le::u32_at(&bytes, CRC_AT));
        if found != stored {
            return Corrupt::new(format!("record checksum is {found:08x}, not {stored:08x}"));
        }
        Record::trust(bytes)
    }

    /// Like [`Record::open`] without the checksum, for bytes that never left this process.
    pub(crate) fn trust(bytes: Bytes) -> Result<Record, Corrupt> {
        if bytes.len() < HEADER_BYTES || le::u32_at(&bytes, 0) != MAGIC {
            return Corrupt::new("record does not begin as one");
        }
        if bytes[4] != VERSION {
            return Corrupt::new(format!("record version {} is not known", bytes[4]));
        }
        let Some(kind) = Kind::from_number(bytes[5]) else {
            return Corrupt::new(format!("record kind {} is not known", bytes[5]));
        };
        let length = le::u32_at(&bytes, LENGTH_AT) as usize;
        if length != bytes.len() || !length.is_multiple_of(8) || length > RECORD_BYTES_MAX {
            return Corrupt::new(format!("record of {length} bytes in {} bytes", bytes.len()));
        }
        let record = Record { bytes, kind };
        record.check_sections()?;
        Ok(record)
    }

    fn check_sections(&self) -> Result<(), Corrupt> {
        let count = usize::from(le::u16_at(&self.bytes, 34));
        let Some(directory) = self.bytes.len().checked_sub(count * SECTION_BYTES) else {
            return Corrupt::new(format!("{count} sections do not fit into the record"));
        };
        let mut end = HEADER_BYTES;
        let mut blobs = 0;
        // The values that the next section may be the validity of.
        let mut values: Option<Section> = None;
        for index in 0..count {
            let section = self.section(index);
            if section.offset != end || directory.saturating_sub(end) < section.length {
                return Corrupt::new(format!("section {index} lies outside its place"));
            }
            end = le::align8(section.offset + section.length);
            match section.encoding {
                FIXED => self.check_fixed(&section)?,
                VAR => self.check_var(&section)?,
                BLOB if blobs == 0 => blobs = 1,
                VALIDITY => self.check_validity(&section, values.take())?,
                other => return Corrupt::new(format!("section encoding {other} is not known")),
            }
            values = matches!(section.encoding, FIXED | VAR).then_some(section);
        }
        if end != directory {
            return Corrupt::new("sections do not end at the directory");
        }
        Ok(())
    }

    fn check_fixed(&self, section: &Section) -> Result<(), Corrupt> {
        data_type(section)?;
        let expected = (self.rows() as usize).checked_mul(section.width);
        if expected != Some(section.length) {
            return Corrupt::new(format!("field {}: a wrong number of bytes", section.field));
        }
        Ok(())
    }

    fn check_var(&self, section: &Section) -> Result<(), Corrupt> {
        data_type(section)?;
        let split = var_split(self.rows() as usize);
        let Some(bytes) = section.length.checked_sub(split) else {
            return Corrupt::new(format!("field {}: offsets do not fit", section.field));
        };
        let offsets = &self.bytes[section.offset..section.offset + 4 * (self.rows() as usize + 1)];
        let mut last = 0;
        let mut sorted = le::u32_at(offsets, 0) == 0;
        for offset in offsets.chunks_exact(4) {
            let offset = le::u32_at(offset, 0);
            sorted &= offset >= last;
            last = offset;
        }
        if !sorted || last as usize != bytes {
            return Corrupt::new(format!("field {}: offsets are out of order", section.field));
        }
        Ok(())
    }

    fn check_validity(&self, section: &Section, values: Option<Section>) -> Result<(), Corrupt> {
        let of = |v: &Section| (v.field, v.data_type) == (section.field, section.data_type);
        if !values.as_ref().is_some_and(of) {
            return Corrupt::new(format!("field {}: a validity without values", section.field));
        }
        let bytes = &self.bytes[section.offset..section.offset + section.length];
        if bytes.len() != self.rows() as usize || !is_validity(bytes) {
            return Corrupt::new(format!("field {}: no validity", section.field));
        }
        Ok(())
    }

    fn section(&self, index: usize) -> Section {
        let count = usize::from(le::u16_at(&self.bytes, 34));
        let at = self.bytes.len() - (count - index) * SECTION_BYTES;
        let entry = &self.bytes[at..at + SECTION_BYTES];
        Section {
            field: le::i64_at(entry, 0),
            data_type: le::i32_at(entry, 8),
            encoding: entry[12],
            width: le::u32_at(entry, 16) as usize,
            offset: le::u32_at(entry, 20) as usize,
            length: le::u32_at(entry, 24) as usize,
        }
    }

    /// What the record asks for.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The collection.
    pub fn collection(&self) -> CollectionId {
        CollectionId(le::i64_at(&self.bytes, 8))
    }

    /// The partition; what 0 means is up to the kind.
    pub fn partition(&self) -> PartitionId {
        PartitionId(le::i64_at(&self.bytes, 16))
    }

    /// Number of rows.
    pub fn rows(&self) -> u32 {
        le::u32_at(&self.bytes, 24)
    }

    /// Version of the schema that the columns follow.
    pub fn schema_version(&self) -> u32 {
        le::u32_at(&self.bytes, 28)
    }

    /// The shard of the collection.
    pub fn shard(&self) -> u16 {
        le::u16_at(&self.bytes, 32)
    }

    /// The record as bytes.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The columns in the order they were written, without copying.
    pub fn columns(&self) -> impl Iterator<Item = Column> + '_ {
        let count = usize::from(le::u16_at(&self.bytes, 34));
        (0..count).filter_map(move |index| self.column_at(index, count))
    }

    /// The column of a field.
    pub fn column(&self, field: FieldId) -> Option<Column> {
        let count = usize::from(le::u16_at(&self.bytes, 34));
        let of = |s: Section| s.field == field.0 && matches!(s.encoding, FIXED | VAR);
        let index = (0..count).find(|&index| of(self.section(index)))?;
        self.column_at(index, count)
    }

    /// The payload of a ddl record or of a delete by plan, or the partitions of rows.
    pub fn blob(&self) -> Option<Bytes> {
        let count = usize::from(le::u16_at(&self.bytes, 34));
        let section = (0..count).map(|index| self.section(index)).find(|s| s.encoding == BLOB)?;
        Some(self.bytes.slice(section.offset..section.offset + section.length))
    }

    /// The column whose values are a section, of `count`; `None` for sections of other kinds.
    fn column_at(&self, index: usize, count: usize) -> Option<Column> {
        let section = self.section(index);
        let (start, end) = (section.offset, section.offset + section.length);
        let data = match section.encoding {
            FIXED => {
                ColumnData::Fixed { width: section.width, bytes: self.bytes.slice(start..end) }
            }
            VAR => {
                let rows = self.rows() as usize;
                ColumnData::Var {
                    offsets: self.bytes.slice(start..start + 4 * (rows + 1)),
                    bytes: self.bytes.slice(start + var_split(rows)..end),
                }
            }
            _ => return None,
        };
        let data_type = DataType::from_number(section.data_type)?;
        let next = (index + 1 < count).then(|| self.section(index + 1));
        let validity = next.filter(|next| next.encoding == VALIDITY);
        let validity = validity.map(|v| self.bytes.slice(v.offset..v.offset + v.length));
        Some(Column { field: FieldId(section.field), data_type, data, validity })
    }
}

fn data_type(section: &Section) -> Result<DataType, Corrupt> {
    DataType::from_number(section.data_type)
        .ok_or_else(|| Corrupt(format!("type {} is not known", section.data_type)))
}

/// Whether every byte is 0 or 1.
pub(crate) fn is_validity(bytes: &[u8]) -> bool {
    bytes.iter().fold(0, |all, byte| all | byte) <= 1
}

/// Where the bytes of a column of different lengths begin in its section.
pub(crate) const fn var_split(rows: usize) -> usize {
    le::align8(4 * (rows + 1))
}

/// CRC32C of a record without the field that holds it. `bytes` has at least a header.
pub(crate) fn checksum(bytes: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&bytes[..CRC_AT]), &bytes[CRC_AT + 4..])
}
