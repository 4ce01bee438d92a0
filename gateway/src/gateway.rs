//! `Gateway`: what every service function works with.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use millstream_catalog::catalog::{Catalog, IdKind};
use millstream_catalog::ids::{BLOCK_IDS, IdBlocks};
use millstream_catalog::model::{
    ChannelId, Collection, CollectionId, Fault, LoadState, RequestId, Timestamp,
};
use millstream_catalog::tso::Tso;
use millstream_dataflow::Dataflow;
use millstream_log::Writer;
use tokio::sync::{Notify, Semaphore};

use crate::auth::Door;
use crate::deadlines::Deadlines;
use crate::guarantee::Closer;
use crate::meta_cache::MetaCache;
use crate::names;
use crate::queue::Queues;
use crate::quota::{self, Quotas};
use crate::telemetry::Telemetry;

/// A request without a deadline of its own is given up after this long.
pub const TIMEOUT: Duration = Duration::from_secs(60);

/// What the gateway is made from.
pub struct Parts {
    /// What exists.
    pub catalog: Arc<dyn Catalog>,
    /// Where writes go.
    pub writer: Arc<Writer>,
    /// Where reads go.
    pub dataflow: Dataflow,
    /// Told when there may be files that nothing names.
    pub garbage: Arc<Notify>,
    /// Half of the name of each request; random, so that two processes never use the same.
    pub process: u64,
    /// Requests that take longer are logged.
    pub slow: Duration,
    /// Whether clients must say who they are.
    pub auth: bool,
    /// Where clients connect.
    pub address: String,
    /// What the settings say of quotas.
    pub quotas: quota::Settings,
}

/// The state of a gateway. There is no state of clients: any gateway can answer any request.
pub struct Gateway {
    /// What exists.
    pub catalog: Arc<dyn Catalog>,
    /// The time.
    pub tso: Arc<Tso>,
    /// Who may do what.
    pub door: Door,
    /// What the gateway remembers of the catalog.
    pub cache: MetaCache,
    /// Stamps and writes.
    pub writer: Arc<Writer>,
    /// Answers reads.
    pub dataflow: Dataflow,
    /// Closes times that reads need.
    pub closer: Closer,
    /// Automatic row ids.
    pub row_ids: Arc<IdBlocks>,
    /// Places for requests.
    pub queues: Queues,
    /// Limits the time of requests.
    pub deadlines: Deadlines,
    /// Who may do how much.
    pub quotas: Quotas,
    /// Counts.
    pub telemetry: Telemetry,
    /// Requests that take longer are logged.
    pub slow: Duration,
    /// Told when there may be files that nothing names.
    pub garbage: Arc<Notify>,
    /// Whether a decided change waits to be carried to its end.
    pub unfinished: AtomicBool,
    /// The place of the one change of metadata that is on its way to the log.
    pub turn: Semaphore,
    /// Where clients connect.
    pub address: String,
    /// When the gateway was made.
    pub started: Instant,
    /// The same in the cluster's time.
    pub started_at: Timestamp,
    process: u64,
    requests: AtomicU64,
}

impl Gateway {
    /// A gateway over a catalog, a log and workers; must be made in a runtime.
    pub fn new(parts: Parts, rpcs: &[&'static str]) -> Arc<Gateway> {
        let Parts { catalog, writer, dataflow, garbage, process, slow, auth, address, quotas } =
            parts;
        let tso = catalog.tso();
        let deadlines = Deadlines::start();
        Arc::new(Gateway {
            door: Door::new(Arc::clone(&catalog), auth),
            cache: MetaCache::new(Arc::clone(&catalog)),
            closer: Closer {
                tso: Arc::clone(&tso),
                writer: Arc::clone(&writer),
                dataflow: dataflow.clone(),
                deadlines: deadlines.clone(),
            },
            row_ids: IdBlocks::new(Arc::clone(&catalog), IdKind::Row, BLOCK_IDS),
            queues: Queues::default(),
            quotas: Quotas::new(quotas, Arc::clone(&catalog)),
            deadlines,
            telemetry: Telemetry::new(rpcs),
            garbage,
            unfinished: AtomicBool::new(true),
            turn: Semaphore::new(1),
            requests: AtomicU64::new(1),
            catalog,
            started: Instant::now(),
            started_at: tso.try_now().unwrap_or(Timestamp::MIN),
            tso,
            writer,
            dataflow,
            slow,
            process,
            address,
        })
    }

    /// A name for a request that nothing else ever has.
    pub fn request_id(&self) -> RequestId {
        let count = self.requests.fetch_add(1, Ordering::Relaxed);
        RequestId(u128::from(self.process) << 64 | u128::from(count))
    }

    /// A time at which everything acknowledged so far is seen.
    ///
    /// # Errors
    /// Those of the TSO.
    pub async fn now(&self) -> Result<Timestamp, Fault> {
        match self.tso.try_now() {
            Some(now) => Ok(now),
            None => self.tso.now().await,
        }
    }

    /// The channels of the log.
    pub fn channels(&self) -> impl Iterator<Item = ChannelId> + use<> {
        (0..self.catalog.channels()).map(ChannelId)
    }

    /// A collection by name or alias.
    ///
    /// # Errors
    /// Code 1100 when no collection can have that name, code 100 when none has.
    pub async fn collection(&self, database: &str, name: &str) -> Result<Arc<Collection>, Fault> {
        names::check_collection(name)?;
        self.cache.get(database, name).await
    }

    /// A collection by id, which must be in a database.
    ///
    /// # Errors
    /// Code 100 when there is none.
    pub async fn collection_by_id(
        &self,
        database: &str,
        id: i64,
    ) -> Result<Arc<Collection>, Fault> {
        let found = self.cache.get_by_id(CollectionId(id)).await?;
        if found.database_name == database {
            return Ok(found);
        }
        Err(Fault::collection_not_found(database, id))
    }
}

/// Whether a collection is loaded wholly or in part.
pub fn is_loaded(collection: &Collection) -> bool {
    collection.load() == LoadState::Loaded
}
