//! What a gateway asks of the workers, and what they answer: plain data that can cross a process.

use std::sync::Arc;

use bytes::Bytes;
use millstream_catalog::model::{
    ChannelId, CollectionId, DataType, FieldId, IndexId, Metric, PartitionId, Timestamp,
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
    /// What is searched for.
    pub queries: QueryVectors,
    /// Hits wanted for each query, offset included; groups of hits when they are grouped.
    pub topk: u32,
    /// Only hits whose scores lie within.
    pub bounds: Bounds,
    /// Hits are grouped by the value of a field.
    pub group: Option<GroupBy>,
    /// How texts are ranked; only searches for texts have it.
    pub text: Option<TextRank>,
    /// Rows that a walk of a graph keeps in sight for each query; chosen by the workers when none.
    pub ef: Option<u32>,
    /// Lists that each query visits, where the index has lists; chosen by the workers when none.
    pub nprobe: Option<u32>,
    /// Rows of these lists that are compared by their vectors for each query, where codes choose
    /// them; chosen by the workers when none.
    pub reorder_k: Option<u32>,
    /// The index that may be searched; with none every row is scored, as hits need that are
    /// read page after page.
    pub index: Option<IndexId>,
    /// Encoded filter plan (`millstream_expr::Plan::encode`); none keeps all rows.
    pub filter: Option<Bytes>,
    /// Fields of the hits to return, in this order. The pk is always returned apart.
    pub output: Vec<FieldId>,
}

/// The parameters of BM25, and what it needs to know of the corpus.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TextRank {
    /// How soon more of a term adds no more.
    pub k1: f32,
    /// How much long texts are held back.
    pub b: f32,
    /// For each query; filled in by `Dataflow::search` when empty.
    pub statistics: Vec<TextStatistics>,
}

/// What BM25 needs to know of all rows that are visible at the time of a search.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TextStatistics {
    /// Number of rows.
    pub documents: u64,
    /// Tokens of all rows.
    pub total_length: u64,
    /// Rows that have each term of the query.
    pub frequencies: Vec<u64>,
}

/// The scores that a search is interested in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Bounds {
    /// No hit is better than this.
    pub best: Option<Bound>,
    /// No hit is worse than this.
    pub worst: Option<Bound>,
}

/// A score where the hits of a search end.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Bound {
    /// The score, in the metric's own scale.
    pub score: f32,
    /// Whether a hit may have exactly this score.
    pub inclusive: bool,
}

/// How hits are grouped: the best groups, each with its best hits. A group is as good as its best
/// hit; rows without a value form a group of their own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GroupBy {
    /// The field: of an integer type, Bool or VarChar.
    pub field: FieldId,
    /// The most hits of one group.
    pub size: u32,
    /// Only these groups: their values, for each query one after the other, and how many of them
    /// each query has. A search for several hits a group first asks for one of each.
    pub only: Option<(Vec<u32>, Column)>,
}

/// The queries of a search, in the form of the field that they are compared with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum QueryVectors {
    /// Float vectors, row-major `[nq, dim]`.
    Float(Arc<[f32]>),
    /// Vectors of another dense type, in its little-endian form, row-major `[nq, dim]`: Float16,
    /// BFloat16, Int8, or Binary with `dim / 8` bytes each.
    Bytes(Bytes),
    /// Sparse vectors, each a cell of `millstream_catalog::model::cell`.
    Sparse(Vec<Bytes>),
    /// Texts, for BM25.
    Text(Vec<String>),
}

impl QueryVectors {
    /// Number of queries against a field with this many bytes a vector.
    pub fn count(&self, dim: usize, width: usize) -> usize {
        match self {
            QueryVectors::Float(values) => values.len() / dim.max(1),
            QueryVectors::Bytes(bytes) => bytes.len() / width.max(1),
            QueryVectors::Sparse(cells) => cells.len(),
            QueryVectors::Text(texts) => texts.len(),
        }
    }
}

/// The answer to a search: for each query its hits, best first, ties by pk. Grouped hits come group
/// by group, the best group first.
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
    /// The value that each hit was grouped by.
    pub groups: Option<Column>,
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
    /// The keys, when the filter is a list of them and nothing else: they are found through the
    /// index of keys then.
    pub keys: Option<KeyList>,
    /// Fields to return, in this order.
    pub output: Vec<FieldId>,
    /// Rows come in the order of these fields, the first one first, then by pk.
    pub order: Vec<OrderBy>,
    /// Skips this many rows in that order.
    pub offset: u64,
    /// Returns at most this many rows; all when none.
    pub limit: Option<u64>,
}

/// Primary keys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum KeyList {
    /// Of an Int64 primary key.
    Int(Vec<i64>),
    /// Of a VarChar primary key.
    Text(Vec<String>),
}

impl KeyList {
    /// The key at a place, as texts of errors name it; none beyond the end.
    pub fn name(&self, at: usize) -> Option<String> {
        match self {
            KeyList::Int(keys) => keys.get(at).map(i64::to_string),
            KeyList::Text(keys) => keys.get(at).cloned(),
        }
    }

    /// Number of keys.
    pub fn len(&self) -> usize {
        match self {
            KeyList::Int(keys) => keys.len(),
            KeyList::Text(keys) => keys.len(),
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// One step of an order of rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderBy {
    /// The field: a scalar one.
    pub field: FieldId,
    /// Largest first.
    pub descending: bool,
    /// Rows without a value come first.
    pub nulls_first: bool,
}

/// Rows in the order asked for.
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

/// Aggregates over the rows that a filter keeps, for each group of equal values. Takes every row,
/// also rows that share a pk, as a count does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AggregateRequest {
    /// Rows and time.
    pub target: Target,
    /// Encoded filter plan; none keeps all rows.
    pub filter: Option<Bytes>,
    /// The fields that make a group: of integer types, Bool or VarChar. Without any, all rows are
    /// one group, which is there even when it has no row.
    pub group: Vec<FieldId>,
    /// What is computed.
    pub aggregates: Vec<Aggregate>,
    /// Groups come in the order of these fields, which are group fields, then by the group's
    /// values, those without one last.
    pub order: Vec<OrderBy>,
    /// Skips this many groups.
    pub offset: u64,
    /// Returns at most this many groups; all when none.
    pub limit: Option<u64>,
}

/// One aggregate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Aggregate {
    /// What is computed.
    pub op: AggregateOp,
    /// Of which field; a count without one counts rows, with one it counts values.
    pub field: Option<FieldId>,
}

/// What an aggregate computes of the values of a group; rows without a value do not take part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AggregateOp {
    /// How many there are: an Int64.
    Count,
    /// The smallest, of the field's type.
    Min,
    /// The largest, of the field's type.
    Max,
    /// The sum: an Int64 over integers, a Double over floats.
    Sum,
    /// The mean: a Double.
    Avg,
}

/// Groups and their aggregates.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AggregateReply {
    /// The time the aggregates are true at.
    pub as_of: Timestamp,
    /// The value of each group field.
    pub group: Vec<Column>,
    /// Each aggregate, under the field it was computed of (0 when of none).
    pub aggregates: Vec<Column>,
}

/// A column of values of one field, in the order of the rows it answers for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Column {
    /// The field.
    pub field: FieldId,
    /// Its type.
    pub data_type: DataType,
    /// The values. A row without one holds zero, an empty text or an empty cell.
    pub values: Values,
    /// Whether each row has a value; `None` when all have.
    pub validity: Option<Vec<bool>>,
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
    /// Arrays, as cells of `millstream_catalog::model::cell`.
    Array {
        /// Type of the elements.
        element: DataType,
        /// One cell a row.
        cells: Vec<Bytes>,
    },
    /// Sparse vectors, as cells.
    Sparse(Vec<Bytes>),
    /// Float16, BFloat16, Int8 or Binary vectors.
    Dense {
        /// Bytes of one vector.
        width: u32,
        /// The vectors, row-major.
        data: Bytes,
    },
    /// Float vectors.
    FloatVector {
        /// Components of one vector.
        dim: u32,
        /// Little-endian f32, row-major `[rows, dim]`.
        data: Bytes,
    },
}

impl Column {
    /// Keeps the rows for which `keep` is set; rows beyond its end go.
    pub fn retain(&mut self, keep: &[bool]) {
        self.values.retain(keep);
        if let Some(validity) = &mut self.validity {
            retain(validity, keep);
        }
    }

    /// Whether a row has a value.
    pub fn is_valid(&self, row: usize) -> bool {
        self.validity.as_ref().is_none_or(|v| v.get(row).copied().unwrap_or(false))
    }
}

fn retain<T>(values: &mut Vec<T>, keep: &[bool]) {
    let mut kept = keep.iter();
    values.retain(|_| kept.next().copied().unwrap_or(false));
}

fn retain_rows(data: &Bytes, width: usize, keep: &[bool]) -> Bytes {
    let rows = data.chunks_exact(width.max(1)).zip(keep);
    rows.filter(|(_, keep)| **keep).flat_map(|(row, _)| row).copied().collect()
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
            Values::Json(v) | Values::Sparse(v) | Values::Array { cells: v, .. } => v.len(),
            Values::Dense { width, data } => data.len() / (*width as usize).max(1),
            Values::FloatVector { dim, data } => data.len() / (*dim as usize * 4).max(1),
        }
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn retain(&mut self, keep: &[bool]) {
        match self {
            Values::Bool(v) => retain(v, keep),
            Values::Int(v) => retain(v, keep),
            Values::Long(v) => retain(v, keep),
            Values::Float(v) => retain(v, keep),
            Values::Double(v) => retain(v, keep),
            Values::Text(v) => retain(v, keep),
            Values::Json(v) | Values::Sparse(v) | Values::Array { cells: v, .. } => retain(v, keep),
            Values::Dense { width, data } => *data = retain_rows(data, *width as usize, keep),
            Values::FloatVector { dim, data } => {
                *data = retain_rows(data, *dim as usize * 4, keep);
            }
        }
    }
}
