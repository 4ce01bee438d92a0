//! Milvus's documented limits (2.4 defaults), in one place.

/// Longest name of a collection, partition, field, alias, database or role, in bytes.
pub const NAME_LENGTH_MAX: usize = 255;
/// Most fields in a schema.
pub const FIELDS_MAX: usize = 64;
/// Most vector fields in a schema. Milvus 2.6 raised it from 4; the newest is accepted.
pub const VECTOR_FIELDS_MAX: usize = 10;
/// Smallest dimension of a float vector field. Milvus 2.5 lowered it from 2; the newest is
/// accepted.
pub const DIM_MIN: u32 = 1;
/// Largest dimension of a float vector field.
pub const DIM_MAX: u32 = 32_768;
/// Smallest dimension of a binary vector field, in bits.
pub const BINARY_DIM_MIN: u32 = 8;
/// Largest dimension of a binary vector field, in bits.
pub const BINARY_DIM_MAX: u32 = 262_144;
/// Largest `max_capacity` of an Array field: elements of one value.
pub const ARRAY_CAPACITY_MAX: u32 = 4_096;
/// Largest index in a sparse vector.
pub const SPARSE_INDEX_MAX: u32 = u32::MAX - 1;
/// Largest `max_length` of a VarChar field, in bytes.
pub const VARCHAR_LENGTH_MAX: u32 = 65_535;
/// Largest JSON value, in bytes.
pub const JSON_LENGTH_MAX: usize = 65_536;
/// Longest default text of a field that is added to a collection, in bytes: rows that are there hold
/// it once each as soon as they are read.
pub const ADDED_DEFAULT_MAX: usize = 1_024;
/// The property of a collection that says after how many seconds its rows expire.
pub const COLLECTION_TTL: &str = "collection.ttl.seconds";
/// Most shards of a collection.
pub const SHARDS_MAX: u32 = 16;
/// Most partitions of a collection.
pub const PARTITIONS_MAX: usize = 4_096;
/// Most collections in a cluster, and in a database.
pub const COLLECTIONS_MAX: usize = 65_536;
/// Most databases.
pub const DATABASES_MAX: usize = 64;
/// Most users.
pub const USERS_MAX: usize = 100;
/// Longest name of a user, in bytes.
pub const USER_NAME_LENGTH_MAX: usize = 32;
/// Most roles, `admin` and `public` among them.
pub const ROLES_MAX: usize = 10;
/// Most grants of all roles together.
pub const GRANTS_MAX: usize = 65_536;
/// Most custom groups of privileges.
pub const PRIVILEGE_GROUPS_MAX: usize = 1_024;
/// Most resource groups, the default one among them.
pub const RESOURCE_GROUPS_MAX: usize = 1_024;
/// Largest `topk`, `nq` and `limit + offset`.
pub const TOPK_MAX: u64 = 16_384;
/// Largest gRPC message accepted, in bytes.
pub const MESSAGE_BYTES_MAX: usize = 64 << 20;
/// Largest response, in bytes.
pub const RESPONSE_BYTES_MAX: usize = 256 << 20;
/// Id of the first user field of a schema.
pub const FIRST_FIELD_ID: i64 = 100;
/// Name of the partition that every collection without a partition key has; with one it begins the
/// names of all partitions.
pub const DEFAULT_PARTITION: &str = "_default";
/// Partitions of a collection with a partition key that does not say how many.
pub const KEY_PARTITIONS: u16 = 16;
/// Name of the database that always exists.
pub const DEFAULT_DATABASE: &str = "default";
/// Most bytes of all properties of one object, keys and values together.
pub const PROPERTIES_BYTES_MAX: usize = 65_536;
/// Parameters of an index that can be altered, and that its structure does not depend on.
pub const INDEX_ALTERABLE: [&str; 2] = ["mmap.enabled", "indexoffsetcache.enabled"];
/// Property of a database: the most collections in it.
pub const DATABASE_COLLECTIONS: &str = "database.max.collections";
/// Name of the hidden JSON field that holds dynamic keys.
pub const DYNAMIC_FIELD: &str = "$meta";
