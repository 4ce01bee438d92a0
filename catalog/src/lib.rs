//! The catalog: what exists, what time it is, and in which order it changes.
//!
//! Everything that a client can name (databases, collections, aliases, partitions, indexes) is
//! described here, by [`catalog::Catalog`]; rows are not. The crate is also the cluster's clock
//! ([`tso::Tso`]) and its source of ids ([`ids::IdBlocks`]), because both must survive every
//! crash, and this is the one place that already does.
//!
//! The catalog also holds the segment *manifest*: which files hold the rows of a shard, and up to
//! which position of its log. [`catalog::Catalog::flush_commit`] changes it, with the checkpoint
//! of a channel, in one transaction, and notes in it which files nobody needs any more.
//!
//! # How changes are serialized
//! A change of metadata is one transaction. It waits for its turn (SQLite: the writer's lock;
//! Postgres: an advisory lock), checks that this process still owns the catalog, takes a
//! timestamp, decides by the rules, writes, commits, and only then tells the watchers. Since the
//! timestamp is taken after the lock, the order of the timestamps is the order of the changes.
//!
//! A change that touches data needs the log as well, which no SQL transaction covers:
//!
//! 1. `collection_create`, `collection_drop` and `partition_drop` write an *intent* in their
//!    transaction. From then on the change is decided: after a crash it is rolled forward.
//! 2. The caller publishes the change's ddl record on every channel of the collection.
//! 3. `intent_finish` makes the change current, stamped later than the records, and forgets the
//!    intent. Then the client is answered.
//!
//! A collection between 1 and 3 of its creation cannot be found; one that is being dropped is
//! unreadable at once, and its name is free for another collection, which has another id.
//!
//! Who may do what is here too ([`rbac`]): users, roles and grants change like everything else, and
//! whether somebody may do something is a pure function of them.
//!
//! No object is overwritten, but the hash of an old password is erased. Each row is valid in an
//! interval of TSO time; a change ends versions and adds versions. `collection_at` reads the
//! versions of a past moment, in turn with the changes, so that what it once answered for a time
//! stays true.
//!
//! **Invariant.** A change is made wholly or not at all; its stamp is larger than those of all
//! changes before it; no id and no timestamp is handed out twice, by whatever process; a request
//! to create that is repeated with its `RequestId` finds its own work. An answer lost in a commit
//! is reported as `outcome unknown`, never as success or failure.
//!
//! **Absent on purpose.** No SQL outside `sql`, and no rule inside it: [`store::Store`] keeps
//! rows, `ddl` and `rules` decide, so memory, SQLite and Postgres cannot differ. No cache: the
//! gateway has one and hears of changes by `watch`. No lease: a second owner is fenced off by an
//! epoch that every change and every extension of the time's window checks. Without the feature
//! `sql` there is neither tokio nor sqlx, and everything runs deterministically in memory.

pub mod catalog;
pub mod clock;
mod ddl;
pub mod fail;
pub mod ids;
pub mod memory;
pub mod model;
pub mod origin;
pub mod rbac;
pub mod resource;
mod rules;
#[cfg(feature = "sql")]
pub mod sql;
pub mod store;
pub mod tso;

pub use ddl::StoredCatalog;
pub use rules::Limits;
