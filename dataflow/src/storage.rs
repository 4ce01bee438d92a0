//! Sealed shards in files: written out by one thread, named by the manifest, read at the start.
//!
//! A shard is written out as a whole at the position of a seal: with the files of earlier seals, the
//! new ones hold everything of it up to there. First the files are on stable storage, then one
//! transaction of the catalog names them, then readers see them in the place of the memory, and only
//! then the log may forget what they hold. Whatever stops this half way leaves files that nothing
//! names, and a log that still has everything.
//!
//! Segments of few rows or with many dead ones are compacted: what stays of neighbours becomes one,
//! with its indexes, and takes their place in one transaction, first in the manifest and then in the
//! memory. Reads that began before keep the files that they have open.
//!
//! # Files of a shard
//! All are Arrow tables; `N` is an id that is never used again.
//!
//! | name | rows | columns |
//! |---|---|---|
//! | `cC/sS/N-rows.arrow` | the rows of a segment, dead ones too | one for each stored field, by its name; for vectors with norms also `NAME/inv_norm`; for JSON also `NAME/at/POINTER` |
//! | `cC/sS/N-runs.arrow` | a row for each run of rows that one unit brought | `row` (first of the run), `eff`, `seq`, `index`, `ordinal` |
//! | `cC/sS/N-numbers.arrow` | a row for each run of rows whose numbers follow one another, of a compacted segment | `row` (first of the run), `number` |
//! | `cC/sS/N-FIELD.graph` | | what `millstream_index::graph::Graph` opens, of the vectors of a segment |
//! | `cC/sS/N-FIELD.lists` | | what `millstream_index::ivf::Ivf` opens, of the vectors of a segment |
//! | `cC/sS/N-ends.arrow` | a row for each row that ended | `eff`, `seq`, `index`, `slot`, `row` |
//!
//! A column `NAME/at/POINTER` has what lies at a frequent path of the JSON field (`POINTER` is the
//! path as a JSON pointer without its first `/`), where it is of the column's type; other rows are
//! null there.
//!
//! What is known of the rows of a segment is in the metadata of their table: under
//! `millstream:zones:NAME` the zone maps of a column, in base64; `millstream:complete:NAME` is there
//! when the rows that are null in such a column have nothing else, or a JSON null, at its path.

mod artefact;
mod background;
mod compact;
mod compactor;
mod facts;
mod flusher;
mod indexes;
mod interim;
mod load;
mod plan;
mod tables;
mod write;

use std::sync::Arc;

use millstream_catalog::catalog::{CompactCommit, FlushCommit};
use millstream_catalog::model::{
    ChannelId, CollectionId, CollectionSchema, Fault, FileRef, Segment, SegmentId, ShardState,
    VChannel,
};
use millstream_store::{Store, StoreError};

pub(crate) use artefact::Ask;
pub use artefact::{How, IndexSpec};
pub(crate) use compact::Compacted;
pub(crate) use compactor::Compactor;
pub use compactor::{Compaction, CompactionPlan, PlanState};
pub(crate) use facts::Facts;
pub(crate) use flusher::Flusher;
pub use indexes::Progress;
pub(crate) use indexes::{Built, Indexes, built_of};
pub(crate) use interim::{Interim, Lists, Wanted, lists_of};
pub(crate) use load::load;
pub use millstream_index::graph::GraphParams;
pub use millstream_index::ivf::{IvfKind, IvfParams};

pub use crate::retention::Keep;

/// What the world around the workers does for shards that are written out. Every call but
/// [`Archive::seal_due`] comes from a thread that writes files, and may block it.
pub trait Archive: Send + Sync {
    /// Takes `count` ids that nobody else gets, and returns the first.
    ///
    /// # Errors
    /// When the catalog does not answer; asked again later.
    fn ids(&self, count: u32) -> Result<i64, Fault>;

    /// Makes the files of a shard count, in one durable transaction; the same again is harmless.
    ///
    /// # Errors
    /// `CollectionNotFound` when the collection is gone: the files are deleted. Any other: tried
    /// again later.
    fn commit(&self, commit: FlushCommit) -> Result<(), Fault>;

    /// Makes compacted segments count in the place of others, in one durable transaction; the same
    /// again is harmless.
    ///
    /// # Errors
    /// `CollectionNotFound` or `SegmentNotFound` when what they replace is not there any more: the
    /// files are deleted. Any other: tried again later.
    fn compact(&self, commit: CompactCommit) -> Result<(), Fault>;

    /// What is kept of a collection's past, and whether it is compacted without being asked.
    ///
    /// # Errors
    /// When the catalog does not answer; asked again later.
    fn keep(&self, _: CollectionId) -> Result<Keep, Fault> {
        Ok(Keep::default())
    }

    /// What the indexes of a collection ask for beside sealed segments.
    ///
    /// # Errors
    /// When the catalog does not answer; asked again later.
    fn indexes(&self, collection: CollectionId) -> Result<Vec<IndexSpec>, Fault>;

    /// Makes the file of an index count, under its kind, in place of one that was there.
    ///
    /// # Errors
    /// `SegmentNotFound` when the segment is gone: the file is deleted. Any other: tried again later.
    fn index_built(&self, segment: SegmentId, kind: String, file: FileRef) -> Result<(), Fault>;

    /// Takes away the file of an index that no index asks for.
    ///
    /// # Errors
    /// When the catalog does not answer; asked again later.
    fn index_dropped(&self, segment: SegmentId, kind: String) -> Result<(), Fault>;

    /// A shard should be sealed: append a seal to its channel. Called on a worker: do not block.
    fn seal_due(&self, vchannel: VChannel);
}

/// A shard as it is when the workers start.
#[derive(Clone)]
pub struct StartShard {
    /// The shard.
    pub vchannel: VChannel,
    /// Its channel.
    pub channel: ChannelId,
    /// The newest schema of its collection.
    pub schema: Arc<CollectionSchema>,
    /// What was written out of it.
    pub stored: Option<(ShardState, Vec<Segment>)>,
}

/// Where sealed shards are kept.
#[derive(Clone)]
pub struct Storage {
    /// The files.
    pub store: Store,
    /// What they mean.
    pub archive: Arc<dyn Archive>,
    /// The shards of all collections that exist.
    pub shards: Vec<StartShard>,
}

/// A fault that says what the store says.
fn store_fault(error: StoreError) -> Fault {
    Fault::internal(error.to_string())
}
