//! `Store`: what a back end keeps, in rows and transactions that know nothing of collections.
//!
//! All that the catalog describes is a [`Row`] of one of eleven [`Table`]s. A row is never changed:
//! its version is ended and another added, so every past moment can still be read. The rules of
//! what may change are in `ddl` and `rules`, once; a back end only keeps rows.

mod manifest;

use async_trait::async_trait;

pub use manifest::ManifestTxn;

use crate::catalog::Checkpoint;
use crate::model::{ChannelId, CollectionId, Fault, RequestId, Timestamp};
use crate::origin::ClientRequest;
use crate::tso::WindowStore;

/// The kinds of versioned rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Table {
    /// Databases; the owner is 0.
    Databases,
    /// Collections; the owner is the database.
    Collections,
    /// Schemas; the owner is the collection, the name is the version.
    Schemas,
    /// Partitions; the owner is the collection.
    Partitions,
    /// Indexes; the owner is the collection.
    Indexes,
    /// Aliases; the owner is the database.
    Aliases,
    /// Users; the owner is 0.
    Users,
    /// Roles; the owner is 0.
    Roles,
    /// Grants; the owner is the role, the name is what makes a grant one.
    Grants,
    /// Custom groups of privileges; the owner is 0.
    PrivilegeGroups,
    /// Groups of nodes; the owner is 0.
    ResourceGroups,
}

/// Where the thing that a row describes stands. The discriminants are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i64)]
pub enum RowState {
    /// Decided, not current yet.
    Creating = 0,
    /// Current.
    Current = 1,
    /// Decided to go; its name is free.
    Dropping = 2,
}

impl RowState {
    /// The state of a stored number.
    pub const fn from_number(number: i64) -> Option<RowState> {
        Some(match number {
            0 => RowState::Creating,
            1 => RowState::Current,
            2 => RowState::Dropping,
            _ => return None,
        })
    }
}

/// One version of one thing, valid in `[from, to)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Id of the thing.
    pub id: i64,
    /// Id of the thing that it belongs to.
    pub owner: i64,
    /// Name, unique among the rows of an owner that are not `Dropping`.
    pub name: String,
    /// Where it stands.
    pub state: RowState,
    /// Everything else, as JSON.
    pub body: String,
    /// The stamp of the change that made this version.
    pub from: Timestamp,
    /// The stamp of the change that ended it; [`Timestamp::MAX`] while it is valid.
    pub to: Timestamp,
}

/// Which versions a read means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    /// Those that are valid now.
    Now,
    /// Those that were valid at a past time.
    Past(Timestamp),
}

/// Numbers that only grow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Counter {
    /// The next id of a catalog object.
    Object,
    /// The next automatic row id.
    Row,
    /// Shards placed so far.
    Placement,
    /// Changes of who may do what.
    Access,
}

/// A back end.
#[async_trait]
pub trait Store: WindowStore + 'static {
    /// Takes the catalog over: from now on the changes, timestamps and ids of every earlier
    /// owner are refused.
    async fn claim(&self) -> Result<(), Fault>;
    /// A transaction that reads one consistent state.
    async fn read(&self) -> Result<Box<dyn Txn>, Fault>;
    /// A transaction that may change things; at most one is open in the whole cluster, and this
    /// waits for its turn. Refused when another process has taken the catalog over.
    async fn write(&self) -> Result<Box<dyn Txn>, Fault>;
    /// Adds to a counter, durably, and returns the value before.
    async fn count_up(&self, counter: Counter, by: i64) -> Result<i64, Fault>;
    /// The checkpoint of a channel, if one was ever set.
    async fn checkpoint_get(&self, channel: ChannelId) -> Result<Option<Checkpoint>, Fault>;
    /// Sets the checkpoint of a channel unless the one there is as far.
    async fn checkpoint_set(&self, channel: ChannelId, to: Checkpoint) -> Result<(), Fault>;
    /// Whether the back end answers.
    async fn check(&self) -> Result<(), Fault>;
    /// Ends what runs in the background and closes all connections; later calls may fail.
    async fn close(&self) {}
}

/// An open transaction. Dropping it undoes everything.
#[async_trait]
pub trait Txn: ManifestTxn {
    /// The row with an id, in any state.
    async fn get(&mut self, table: Table, id: i64, at: At) -> Result<Option<Row>, Fault>;
    /// The row with a name that is not `Dropping`.
    async fn find(
        &mut self,
        table: Table,
        owner: i64,
        name: &str,
        at: At,
    ) -> Result<Option<Row>, Fault>;
    /// All rows of some owners in any state, in order of their ids.
    async fn list(&mut self, table: Table, owners: &[i64], at: At) -> Result<Vec<Row>, Fault>;
    /// All rows that are valid now, in any state, in order of their ids.
    async fn list_all(&mut self, table: Table) -> Result<Vec<Row>, Fault>;
    /// The number of rows that are valid now, of one owner or of all.
    async fn count(&mut self, table: Table, owner: Option<i64>) -> Result<u64, Fault>;
    /// Adds versions, each valid from its `from` on.
    async fn add(&mut self, table: Table, rows: &[Row]) -> Result<(), Fault>;
    /// Ends the valid versions of some ids.
    async fn end(&mut self, table: Table, ids: &[i64], at: Timestamp) -> Result<(), Fault>;
    /// Ends the valid versions of all rows of an owner.
    async fn end_owned(&mut self, table: Table, owner: i64, at: Timestamp) -> Result<(), Fault>;

    /// Empties the bodies of the versions of an id that have ended.
    async fn scrub(&mut self, table: Table, id: i64) -> Result<(), Fault>;

    /// The value of a counter.
    async fn counter_get(&mut self, counter: Counter) -> Result<i64, Fault>;
    /// Adds to a counter and returns the value before.
    async fn count_up(&mut self, counter: Counter, by: i64) -> Result<i64, Fault>;
    /// Adds an intent, as JSON.
    async fn intent_add(&mut self, id: i64, body: &str, at: Timestamp) -> Result<(), Fault>;
    /// All intents with their ids, oldest first.
    async fn intent_list(&mut self) -> Result<Vec<(i64, String)>, Fault>;
    /// Removes an intent and returns it, if it is there.
    async fn intent_take(&mut self, id: i64) -> Result<Option<String>, Fault>;
    /// The collection that a request created, and the stamp of that change.
    async fn request_get(
        &mut self,
        id: RequestId,
    ) -> Result<Option<(CollectionId, Timestamp)>, Fault>;
    /// Notes the collection that a request created.
    async fn request_add(
        &mut self,
        id: RequestId,
        collection: CollectionId,
        at: Timestamp,
    ) -> Result<(), Fault>;
    /// What the last request noted for a client asked for.
    async fn client_request_get(&mut self, client: &str) -> Result<Option<String>, Fault>;
    /// Notes a request in the place of the client's last one; forgets those noted before `oldest`,
    /// and the oldest ones of too many.
    async fn client_request_set(
        &mut self,
        request: &ClientRequest,
        at: Timestamp,
        oldest: Timestamp,
    ) -> Result<(), Fault>;
    /// A setting.
    async fn setting_get(&mut self, key: &str) -> Result<Option<String>, Fault>;
    /// Adds a setting that is not there.
    async fn setting_add(&mut self, key: &str, value: &str) -> Result<(), Fault>;

    /// Commits, and tells the other processes that a collection changed (`None`: anything).
    /// `done` is called once the changes may be visible, even when the caller gives up waiting.
    ///
    /// # Errors
    /// `outcome unknown` when the answer was lost: the changes were made wholly or not at all.
    async fn commit(
        self: Box<Self>,
        changed: Option<CollectionId>,
        done: Box<dyn FnOnce() + Send>,
    ) -> Result<(), Fault>;
}
