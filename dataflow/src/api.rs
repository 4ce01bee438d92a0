//! What a gateway asks of the workers, and what they answer: plain data that can cross a process.

use std::sync::Arc;

use bytes::Bytes;
use millstream_catalog::model::{
    ChannelId, CollectionId, DataType, FieldId, Metric, PartitionId, Timestamp,
};
use serde::{Deserialize, Serialize};

/// The time that a read needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Guarantee {
    /// At this time or later: the read runs at the latest time closed everywhere, if larger.
    AtLeast(Timestamp),
    /// Exactly at this time.
    Pinned(Timestamp),
}

/// Which rows a read covers, and when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// The collection.
    pub collection: CollectionId,
    /// The channel of each shard, by shard number.
    pub channels: Vec<ChannelId>,
    /// Only these partitions; all when empty.
    pub partitions: Vec<PartitionId>,
    /// The time.
    pub guarantee: Guarantee,
    /// The collection's ddl records are stamped at or before this (its `meta_version`, which is
    /// allocated after they were acknowledged). The read
    /// waits until this is closed too, so that it never meets a worker that has not heard of the
    /// collection; it does not move the time of the read.
    pub known_at: Timestamp,
    /// The gateway gives up after this many milliseconds.
    pub timeout_ms: u64,
}

/// A k-nearest-neighbours request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SearchRequest {
    /// Rows and time.
    pub target: Target,
    /// The vector field.
    pub field: FieldId,
    /// How vectors are compared.
    pub metric: Metric,
    /// Dimension of the field.
    pub dim: u32,
    /// Query vectors, row-major `[nq, dim]`.
    pub queries: Arc<[f32]>,
    /// Hits wanted for each query, offset included.
    pub topk: u32,
    /// Encoded filter plan (`millstream_expr::Plan::encode`); none keeps all rows.
    pub filter: Option<Bytes>,
    /// Fields of the hits to return, in this order. The pk is always returned apart.
    pub output: Vec<FieldId>,
}

/// The answer to a search: for each query its hits, best first, ties by pk.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SearchReply {
    /// The time the search ran at.
    pub as_of: Timestamp,
    /// Hits of each query; the columns below hold all hits of query 0, then query 1, ...
    pub hits: Vec<u32>,
    /// Primary keys.
    pub pks: Column,
    /// Scores in the metric's own scale.
    pub scores: Vec<f32>,
    /// The output fields.
    pub columns: Vec<Column>,
}

/// A scalar query.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct QueryRequest {
    /// Rows and time.
    pub target: Target,
    /// Encoded filter plan; none keeps all rows.
    pub filter: Option<Bytes>,
    /// Fields to return, in this order.
    pub output: Vec<FieldId>,
    /// Skips this many rows in pk order.
    pub offset: u64,
    /// Returns at most this many rows; all when none.
    pub limit: Option<u64>,
}

/// Rows in pk order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct QueryReply {
    /// The time the query ran at.
    pub as_of: Timestamp,
    /// The output fields.
    pub columns: Vec<Column>,
}

/// A count of rows. Counts every row, also rows that share a pk (as Milvus).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CountRequest {
    /// Rows and time.
    pub target: Target,
    /// Encoded filter plan; without one the count comes from the maintained counts.
    pub filter: Option<Bytes>,
}

/// The answer to a count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CountReply {
    /// The time the count is true at.
    pub as_of: Timestamp,
    /// Number of rows.
    pub rows: u64,
}

/// A column of values of one field, in the order of the rows it answers for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Column {
    /// The field.
    pub field: FieldId,
    /// Its type.
    pub data_type: DataType,
    /// The values.
    pub values: Values,
}

/// Values of one column.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Values {
    /// Booleans.
    Bool(Vec<bool>),
    /// Int8, Int16 and Int32, widened as they are on the wire.
    Int(Vec<i32>),
    /// Int64.
    Long(Vec<i64>),
    /// Float.
    Float(Vec<f32>),
    /// Double.
    Double(Vec<f64>),
    /// VarChar.
    Text(Vec<String>),
    /// JSON text in UTF-8.
    Json(Vec<Bytes>),
    /// Float vectors.
    FloatVector {
        /// Components of one vector.
        dim: u32,
        /// Little-endian f32, row-major `[rows, dim]`.
        data: Bytes,
    },
}

impl Values {
    /// Number of rows.
    pub fn len(&self) -> usize {
        match self {
            Values::Bool(v) => v.len(),
            Values::Int(v) => v.len(),
            Values::Long(v) => v.len(),
            Values::Float(v) => v.len(),
            Values::Double(v) => v.len(),
            Values::Text(v) => v.len(),
            Values::Json(v) => v.len(),
            Values::FloatVector { dim, data } => data.len() / (*dim as usize * 4).max(1),
        }
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Takes the first `rows` rows away, all when there are fewer.
    pub fn skip(&mut self, rows: usize) {
        let rows = rows.min(self.len());
        match self {
            Values::Bool(v) => drop(v.drain(..rows)),
            Values::Int(v) => drop(v.drain(..rows)),
            Values::Long(v) => drop(v.drain(..rows)),
            Values::Float(v) => drop(v.drain(..rows)),
            Values::Double(v) => drop(v.drain(..rows)),
            Values::Text(v) => drop(v.drain(..rows)),
            Values::Json(v) => drop(v.drain(..rows)),
            Values::FloatVector { dim, data } => *data = data.slice(rows * *dim as usize * 4..),
        }
    }
}
