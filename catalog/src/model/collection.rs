//! Databases, collections, partitions and indexes, as the catalog describes them.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::ids::{ChannelId, CollectionId, DatabaseId, FieldId, IndexId, PartitionId, VChannel};
use super::limits::COLLECTION_TTL;
use super::schema::CollectionSchema;
use super::time::Timestamp;

/// Key-value properties in the order given.
pub type Props = Vec<(String, String)>;

/// A database: a name space of collections.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Database {
    /// Id.
    pub id: DatabaseId,
    /// Name.
    pub name: String,
    /// Properties.
    pub properties: Props,
    /// When it was created.
    pub created: Timestamp,
}

/// How fresh a read must be. The discriminants are Milvus's wire numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[repr(i32)]
pub enum ConsistencyLevel {
    /// Sees every write acknowledged before the read arrived.
    Strong = 0,
    /// Sees the client's own writes.
    Session = 1,
    /// Sees everything that is five seconds old.
    #[default]
    Bounded = 2,
    /// Sees some complete prefix.
    Eventually = 3,
    /// Sees everything up to a timestamp that the client gives.
    Customized = 4,
}

impl ConsistencyLevel {
    /// The level of a wire number.
    pub const fn from_number(number: i32) -> Option<ConsistencyLevel> {
        Some(match number {
            0 => ConsistencyLevel::Strong,
            1 => ConsistencyLevel::Session,
            2 => ConsistencyLevel::Bounded,
            3 => ConsistencyLevel::Eventually,
            4 => ConsistencyLevel::Customized,
            _ => return None,
        })
    }
}

/// Milliseconds of a time to live in seconds; none when rows live for ever: 0, -1 or nothing.
pub fn ttl_ms(value: &str) -> Option<u64> {
    let seconds: u64 = value.trim().parse().ok()?;
    let ms = seconds.saturating_mul(1_000).min(Timestamp::MAX.physical_ms());
    (ms > 0).then_some(ms)
}

/// Where a collection or partition stands between its intent and the moment it is current.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CollectionState {
    /// The intent to create is decided; its ddl records are not all acknowledged.
    Creating,
    /// Current.
    Created,
    /// The intent to drop is decided; unreadable from now on.
    Dropping,
}

/// Whether reads are served.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum LoadState {
    /// Reads are refused with 'not loaded'.
    #[default]
    NotLoaded,
    /// Reads are served.
    Loaded,
}

/// A partition of a collection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Partition {
    /// Id.
    pub id: PartitionId,
    /// Name.
    pub name: String,
    /// When it was created.
    pub created: Timestamp,
    /// Whether reads are served from it.
    pub load: LoadState,
}

/// An index on one field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IndexDef {
    /// Id.
    pub id: IndexId,
    /// Name, unique in its collection.
    pub name: String,
    /// The field.
    pub field: FieldId,
    /// `index_type`, `metric_type` and `params` as the client gave them.
    pub params: Props,
    /// When it was created.
    pub created: Timestamp,
}

impl IndexDef {
    /// The value of one parameter.
    pub fn param(&self, key: &str) -> Option<&str> {
        self.params.iter().find(|(k, _)| k == key).map(|(_, v)| v.as_str())
    }
}

/// A collection with everything that belongs to it, as of one moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Collection {
    /// Id.
    pub id: CollectionId,
    /// The database it is in.
    pub database: DatabaseId,
    /// Name of that database.
    pub database_name: String,
    /// Name.
    pub name: String,
    /// Other names, in order of creation; unique among the names of the database.
    #[serde(default)]
    pub aliases: Vec<String>,
    /// Fields.
    pub schema: Arc<CollectionSchema>,
    /// The physical channel of each shard, by shard number.
    pub channels: Vec<ChannelId>,
    /// The level of reads that ask for none.
    pub consistency: ConsistencyLevel,
    /// Properties.
    pub properties: Props,
    /// Partitions in order of creation, `_default` first. Under a partition key they are made with
    /// the collection and stay: a row's place in this list follows from its key.
    pub partitions: Vec<Partition>,
    /// Indexes in order of creation.
    pub indexes: Vec<IndexDef>,
    /// Where the collection stands.
    pub state: CollectionState,
    /// When it was created.
    pub created: Timestamp,
    /// Grows with every change of this collection's metadata; caches compare it.
    pub meta_version: Timestamp,
    /// When the schema became what it is; clients send it with rows that they made by it.
    #[serde(default)]
    pub schema_from: Timestamp,
}

impl Collection {
    /// Its name and its aliases.
    pub fn names(&self) -> impl Iterator<Item = &String> {
        std::iter::once(&self.name).chain(&self.aliases)
    }

    /// The partition with a name.
    pub fn partition(&self, name: &str) -> Option<&Partition> {
        self.partitions.iter().find(|p| p.name == name)
    }

    /// The index with a name.
    pub fn index(&self, name: &str) -> Option<&IndexDef> {
        self.indexes.iter().find(|i| i.name == name)
    }

    /// The index on a field.
    pub fn index_on(&self, field: FieldId) -> Option<&IndexDef> {
        self.indexes.iter().find(|i| i.field == field)
    }

    /// Loaded when at least one partition is.
    pub fn load(&self) -> LoadState {
        let loaded = self.partitions.iter().any(|p| p.load == LoadState::Loaded);
        if loaded { LoadState::Loaded } else { LoadState::NotLoaded }
    }

    /// Milliseconds after which rows expire; never when there are none.
    pub fn ttl_ms(&self) -> Option<u64> {
        let found = self.properties.iter().find(|(key, _)| key == COLLECTION_TTL);
        found.and_then(|(_, value)| ttl_ms(value))
    }

    /// The shards with their physical channels.
    pub fn vchannels(&self) -> impl Iterator<Item = (VChannel, ChannelId)> + '_ {
        let collection = self.id;
        (0u16..).zip(&self.channels).map(move |(shard, &c)| (VChannel { collection, shard }, c))
    }
}
