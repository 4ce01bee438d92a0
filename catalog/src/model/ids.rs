//! Identifiers. Each kind is its own type, so that one cannot stand in for another.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! id_type {
    ($(#[$doc:meta] $name:ident),* $(,)?) => {$(
        #[$doc]
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[derive(Serialize, Deserialize)]
        pub struct $name(pub i64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    )*};
}

id_type! {
    /// A database.
    DatabaseId,
    /// A collection; never reused, so that a dropped and re-created name is another collection.
    CollectionId,
    /// A partition of a collection.
    PartitionId,
    /// A field of a collection: user fields count from 100, as in Milvus.
    FieldId,
    /// An index definition on one field.
    IndexId,
    /// A segment.
    SegmentId,
}

/// A physical channel of the log: `0..channels`, fixed for the life of a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ChannelId(pub u16);

impl fmt::Display for ChannelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One shard of one collection. Its rows travel on one physical channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct VChannel {
    /// The collection.
    pub collection: CollectionId,
    /// The shard, `0..shards`.
    pub shard: u16,
}

/// Names one client request for ever, so that a retry is recognised as the same request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RequestId(pub u128);

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}
