//! What records of each kind mean: the conventions between gateways and workers.
//!
//! - `Insert`, `Upsert`: one record a shard, one column a stored field, the primary key and the
//!   dynamic field included. A nullable field, or one with a default, may be left out: all rows are
//!   null then, or have the default. The rows go to the partition of the record. Under a partition
//!   key they may go to several: the partition is [`ALL_PARTITIONS`] then, the rows lie partition by
//!   partition, and the blob says how many go where ([`encode_runs`]).
//! - `Update`: like an upsert with some of the columns. At the record's own position the worker
//!   completes each row from the newest live row of its key, or from defaults and nulls when there
//!   is none. On a shard either all rows of a request come or, when one cannot be completed, none;
//!   the shard reports which, once a request. Without the column of the partition key a row stays in
//!   the partition of the row that it is completed from; only when there is none it goes to the
//!   partition of the record.
//! - In an `Upsert` or `Update` the column [`OLD_KEYS`], if it is there, holds the keys whose live
//!   rows end, one for each row; the rows themselves come under the keys of the primary key's
//!   column. Both keys of a row belong to the same shard. Rows end in the partition of the record,
//!   or in all partitions of a collection with a partition key.
//! - `Delete` by key: one column, the primary key. By filter: no column, and the blob is an encoded
//!   `millstream_expr::Plan`. The partition is [`ALL_PARTITIONS`] or one partition. A delete by
//!   filter may say in the column [`PARTITIONS`] in which partitions the rows are.
//! - `Ddl`: no column, and the blob is an encoded [`DdlRecord`].
//!
//! A record of an older schema than the shard has lacks the columns that came later: its rows have
//! the default there, or null.

use std::sync::Arc;

use millstream_catalog::model::{CollectionSchema, Fault, FieldId, PartitionId};
use serde::{Deserialize, Serialize};

/// Why an update is refused: a row has no value of a field, and there is no older row of its key.
pub fn incomplete(field: &str, key: &str) -> Fault {
    Fault::invalid(format!(
        "fieldSchema({field}) has no corresponding fieldData pass in, and there is no row of primary \
         key {key} to take it from"
    ))
}

/// The partition of a delete that covers all partitions.
pub const ALL_PARTITIONS: PartitionId = PartitionId(-1);

/// The column of an upsert or update that holds the keys whose rows end, when they are not the keys
/// of the new rows. Its type is that of the primary key.
pub const OLD_KEYS: FieldId = FieldId(-1);

/// The column of a delete by filter that lists the partitions where the rows are that match.
pub const PARTITIONS: FieldId = FieldId(-2);

/// Version byte that begins encoded runs.
const RUNS_VERSION: u8 = 1;
/// Bytes of one encoded run: the partition and the number of rows, little-endian.
const RUN_BYTES: usize = 12;

/// The blob of a record whose rows go to several partitions: one after the other, so many rows to
/// each.
pub fn encode_runs(runs: impl IntoIterator<Item = (PartitionId, u32)>) -> Vec<u8> {
    let mut bytes = vec![RUNS_VERSION];
    for (partition, rows) in runs {
        bytes.extend(partition.0.to_le_bytes());
        bytes.extend(rows.to_le_bytes());
    }
    bytes
}

/// Reads the blob that [`encode_runs`] made.
///
/// # Errors
/// A text that says what is wrong with the bytes.
pub fn decode_runs(bytes: &[u8]) -> Result<Vec<(PartitionId, u32)>, String> {
    let Some((&RUNS_VERSION, rest)) = bytes.split_first() else {
        return Err(format!("partitions of rows in an unknown form: {:?}", bytes.first()));
    };
    let (runs, odd) = rest.as_chunks::<RUN_BYTES>();
    if !odd.is_empty() {
        return Err(format!("partitions of rows end within a run of {} bytes", odd.len()));
    }
    let run = |run: &[u8; RUN_BYTES]| {
        let [a, b, c, d, e, f, g, h, rows @ ..] = *run;
        (PartitionId(i64::from_le_bytes([a, b, c, d, e, f, g, h])), u32::from_le_bytes(rows))
    };
    Ok(runs.iter().map(run).collect())
}

/// Version byte that begins an encoded [`DdlRecord`].
const VERSION: u8 = 2;

/// A change of what exists, at its position in the log of each channel of the collection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DdlRecord {
    /// The shard of the record begins, with this schema.
    CollectionCreate {
        /// The whole schema.
        schema: Arc<CollectionSchema>,
    },
    /// The shard of the record ends with all its rows.
    CollectionDrop,
    /// All rows of a partition end.
    PartitionDrop {
        /// The partition.
        partition: PartitionId,
    },
    /// From here on rows have the fields of this schema, which only adds some to the one before.
    SchemaSet {
        /// The whole schema.
        schema: Arc<CollectionSchema>,
    },
    /// All rows end; those that come later stay.
    Truncate {
        /// The intent, larger than those of earlier truncations: published again it ends nothing.
        intent: i64,
    },
    /// From here on rows expire when they are older than this; an expired row stays so.
    TtlSet {
        /// Milliseconds; rows live for ever when there are none.
        ms: Option<u64>,
    },
}

impl DdlRecord {
    /// The bytes of a record's blob.
    ///
    /// # Errors
    /// The text of the encoder; none is known for these types.
    pub fn encode(&self) -> Result<Vec<u8>, String> {
        postcard::to_extend(self, vec![VERSION]).map_err(|e| e.to_string())
    }

    /// Reads a blob.
    ///
    /// # Errors
    /// A text that says what is wrong with the bytes.
    pub fn decode(bytes: &[u8]) -> Result<DdlRecord, String> {
        match bytes {
            [VERSION, rest @ ..] => postcard::from_bytes(rest).map_err(|e| e.to_string()),
            [other, ..] => Err(format!("ddl record of unknown version {other}")),
            [] => Err("empty ddl record".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_survive_their_encoding_and_damage_is_an_error() {
        let runs = vec![(PartitionId(7), 3), (PartitionId(i64::MAX), u32::MAX)];
        let bytes = encode_runs(runs.iter().copied());
        assert_eq!(decode_runs(&bytes), Ok(runs));
        assert_eq!(decode_runs(&encode_runs([])), Ok(Vec::new()));
        assert!(decode_runs(&[]).is_err());
        assert!(decode_runs(&[2]).is_err());
        assert!(decode_runs(&bytes[..bytes.len() - 1]).is_err());
    }

    #[test]
    fn a_ddl_record_survives_its_encoding_and_damage_is_an_error() {
        let record = DdlRecord::PartitionDrop { partition: PartitionId(7) };
        let bytes = record.encode().unwrap();
        assert_eq!(DdlRecord::decode(&bytes), Ok(record));
        assert!(DdlRecord::decode(&[]).is_err());
        assert!(DdlRecord::decode(&[9, 0]).is_err());
        assert!(DdlRecord::decode(&bytes[..1]).is_err());
    }
}
