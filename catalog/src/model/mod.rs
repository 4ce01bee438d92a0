//! The model: what exists, in types that know nothing of SQL, gRPC or timely.
//!
//! Every other crate of the project speaks in these types. They compile without any feature.

pub mod cell;
mod collection;
mod error;
mod ids;
pub mod limits;
mod manifest;
pub mod object;
mod schema;
mod time;

pub use collection::{
    Collection, CollectionState, ConsistencyLevel, Database, IndexDef, LoadState, Partition, Props,
    ttl_ms,
};
pub use error::{Code, Fault};
pub use ids::{
    ChannelId, CollectionId, DatabaseId, FieldId, IndexId, PartitionId, RequestId, SegmentId,
    VChannel,
};
pub use manifest::{FileRef, LogPosition, Segment, ShardState, SlotState};
pub use schema::{
    CollectionSchema, DataType, DefaultValue, FieldSchema, FunctionKind, FunctionSchema, Metric,
};
pub use time::Timestamp;
