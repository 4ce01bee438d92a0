//! The catalog in SQL: SQLite for one machine, Postgres for a cluster.
//!
//! **Invariant.** One process owns a catalog at a time. Opening it counts an epoch up; whoever
//! has an older one can neither change anything nor move the bound of the timestamps, so two
//! processes cannot hand out the same timestamp, id or name, even when the first does not know
//! that it lost its place. On Postgres a session lock refuses the second owner politely before
//! it comes to that; on SQLite the lock on the data folder does.
//!
//! **Absent on purpose.** No statement differs between the back ends, but for the locks and the
//! news; no rule of the catalog is written in SQL.

mod link;
mod listen;
mod manifest;
mod txn;

use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use async_trait::async_trait;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use sqlx::migrate::{MigrateError, Migrator};
use sqlx::postgres::{PgConnectOptions, PgListener};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use crate::catalog::{Catalog, Checkpoint};
use crate::clock::Clock;
use crate::ddl::StoredCatalog;
use crate::fail;
use crate::ids::IdBlocks;
use crate::model::{ChannelId, Code, Fault, Timestamp};
use crate::rules::Limits;
use crate::store::{Counter, Store, Txn};
use crate::tso::{Tso, WindowStore};
use link::{Arg, Link, fault};
use txn::SqlTxn;

/// The forward-only changes of the tables, in the binary.
static MIGRATIONS: Migrator = sqlx::migrate!();
/// The channel of Postgres's notifications.
const CHANGES: &str = "millstream_catalog";
/// The advisory lock of Postgres that serializes changes: 'mill', 'ddl'.
const DDL_LOCK: i64 = 0x6d69_6c6c_0064_646c;

/// Opens the catalog at `sqlite://PATH` or `postgres://…`, making it if it is empty, and becomes
/// its owner. Needs a tokio runtime, which also runs what it does in the background.
///
/// The future is boxed, and the catalog knows its store by its trait only, so that neither sqlx
/// nor the rules are compiled again in the crates that use them.
///
/// # Errors
/// When the database cannot be reached, was made by a newer version or with another number of
/// `channels`, or has another owner that is alive.
pub fn open(
    url: &str,
    clock: Arc<dyn Clock>,
    channels: u16,
    limits: Limits,
) -> BoxFuture<'_, Result<Arc<StoredCatalog>, Fault>> {
    Box::pin(async move {
        let (store, listener) = SqlStore::connect(url).await?;
        let shared: Arc<dyn Store> = Arc::<SqlStore>::clone(&store);
        let catalog = Arc::new(StoredCatalog::start(shared, clock, channels, limits).await?);
        let mut tasks = vec![extend_in_background(&catalog.tso())];
        if let Some(listener) = listener {
            let watchers = Arc::clone(&catalog.watchers);
            let epoch = store.epoch.load(Ordering::Acquire);
            tasks.push(tokio::spawn(listen::listen(listener, watchers, epoch)));
        }
        *store.tasks.lock() = tasks;
        Ok(catalog)
    })
}

/// Extends the TSO's window when half of it is used.
fn extend_in_background(tso: &Arc<Tso>) -> JoinHandle<()> {
    let low = Arc::new(Notify::new());
    let hook = Arc::clone(&low);
    tso.on_low(Box::new(move || hook.notify_one()));
    let tso = Arc::downgrade(tso);
    tokio::spawn(async move {
        loop {
            low.notified().await;
            let Some(tso) = tso.upgrade() else { return };
            if let Err(fault) = tso.extend().await {
                // Not fatal: whoever finds no room tries again, and is told.
                tracing::warn!(%fault, "the timestamps' window was not extended");
            }
        }
    })
}

impl IdBlocks {
    /// Refills in a task of the running tokio runtime when half of a block is left, so that
    /// [`IdBlocks::try_alloc`] finds ids. The task ends with the allocator.
    pub fn refill_in_background(self: &Arc<IdBlocks>) {
        let low = Arc::new(Notify::new());
        let hook = Arc::clone(&low);
        self.on_low(Box::new(move || hook.notify_one()));
        let ids = Arc::downgrade(self);
        low.notify_one();
        tokio::spawn(async move {
            // The hook lives as long as the allocator: with it alone gone, nothing wakes this.
            while Arc::strong_count(&low) > 1 {
                low.notified().await;
                let Some(ids) = ids.upgrade() else { return };
                if let Err(fault) = ids.refill().await {
                    tracing::warn!(%fault, "no block of ids was taken ahead of use");
                }
            }
        });
    }
}

/// A [`Store`] on SQLite or Postgres.
pub struct SqlStore {
    link: Link,
    /// Counts the owners; this one's number.
    epoch: AtomicI64,
    /// Those of this process who want to change something: only the first asks the database.
    queue: Arc<tokio::sync::Mutex<()>>,
    /// What runs in the background, to be ended with the store.
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

impl SqlStore {
    /// Connects and brings the tables up to date; on Postgres takes the role of the owner too.
    pub(crate) async fn connect(url: &str) -> Result<(Arc<SqlStore>, Option<PgListener>), Fault> {
        let (link, listener) = if let Some(path) = url.strip_prefix("sqlite://") {
            (Link::sqlite(path).await?, None)
        } else if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            let wrong = |e| Fault::plain(format!("the catalog's URL is wrong: {e}"));
            let options = PgConnectOptions::from_str(url).map_err(wrong)?;
            let options = options.application_name("millstream");
            let link = Link::postgres(options.clone()).await?;
            listen::check_durable(&link).await?;
            (link, Some(listen::take_role(options).await?))
        } else {
            let text = "the catalog's URL must begin with sqlite:// or postgres://";
            return Err(Fault::plain(text));
        };
        let migrated = match &link {
            Link::Sqlite { write, .. } => MIGRATIONS.run(write).await,
            Link::Postgres(pool) => MIGRATIONS.run(pool).await,
        };
        migrated.map_err(migrate_fault)?;
        let store = SqlStore {
            link,
            epoch: AtomicI64::new(0),
            queue: Arc::default(),
            tasks: Mutex::default(),
        };
        Ok((Arc::new(store), listener))
    }

    fn end_tasks(&self) {
        for task in self.tasks.lock().drain(..) {
            task.abort();
        }
    }

    fn epoch(&self) -> i64 {
        self.epoch.load(Ordering::Acquire)
    }
}

impl Drop for SqlStore {
    fn drop(&mut self) {
        self.end_tasks();
    }
}

/// A timestamp as SQL keeps it.
fn ts(t: Timestamp) -> Result<i64, Fault> {
    i64::try_from(t.0).map_err(|_| Fault::internal("a timestamp is past the year 3084"))
}

/// A timestamp that SQL kept.
fn from_sql(t: i64) -> Result<Timestamp, Fault> {
    let broken = |_| Fault::internal("the catalog holds a negative timestamp");
    u64::try_from(t).map(Timestamp).map_err(broken)
}

fn fenced() -> Fault {
    let text = "another process has taken the catalog over; this one can change nothing";
    Fault::new(Code::ServiceUnavailable, text)
}

fn migrate_fault(error: MigrateError) -> Fault {
    match error {
        MigrateError::VersionMissing(version) => Fault::plain(format!(
            "the catalog was made by a newer version of Millstream (its migration {version} is \
             unknown here)"
        )),
        other => Fault::plain(format!("cannot prepare the catalog's tables: {other}")),
    }
}

#[async_trait]
impl WindowStore for SqlStore {
    async fn load(&self) -> Result<Timestamp, Fault> {
        let sql = "SELECT bound FROM owner WHERE id = 1".to_owned();
        let rows: Vec<(i64,)> = self.link.query(sql, &[]).await.map_err(fault)?;
        let row = rows.first().ok_or_else(|| Fault::internal("the catalog has no time"))?;
        from_sql(row.0)
    }

    async fn save(&self, bound: Timestamp) -> Result<(), Fault> {
        let sql = "UPDATE owner SET bound = $1 WHERE id = 1 AND epoch = $2 AND bound <= $1";
        let args = [Arg::Int(ts(bound)?), Arg::Int(self.epoch())];
        fail::point("tso.before_save");
        if self.link.change(sql.to_owned(), &args).await.map_err(fault)? == 1 {
            fail::point("tso.after_save");
            return Ok(());
        }
        let there = self.load().await?;
        if there > bound {
            return Err(Fault::internal("the bound of the timestamps cannot go back"));
        }
        Err(fenced())
    }
}

#[async_trait]
impl Store for SqlStore {
    async fn claim(&self) -> Result<(), Fault> {
        let sql = "UPDATE owner SET epoch = epoch + 1 WHERE id = 1 RETURNING epoch".to_owned();
        let rows: Vec<(i64,)> = self.link.query(sql, &[]).await.map_err(fault)?;
        let row = rows.first().ok_or_else(|| Fault::internal("the catalog has no owner row"))?;
        self.epoch.store(row.0, Ordering::Release);
        fail::point("start.catalog_claimed");
        Ok(())
    }

    async fn read(&self) -> Result<Box<dyn Txn>, Fault> {
        let open = self.link.begin_read().await.map_err(fault)?;
        Ok(Box::new(SqlTxn { open, epoch: self.epoch(), turn: None }))
    }

    async fn write(&self) -> Result<Box<dyn Txn>, Fault> {
        let turn = Some(Arc::clone(&self.queue).lock_owned().await);
        fail::point("catalog.begin");
        let mut open = self.link.begin_write().await.map_err(fault)?;
        if let link::Open::Postgres(_) = open {
            let sql = "SELECT pg_advisory_xact_lock($1)".to_owned();
            open.change(sql, &[Arg::Int(DDL_LOCK)]).await.map_err(fault)?;
        }
        let sql = "SELECT epoch FROM owner WHERE id = 1".to_owned();
        let rows: Vec<(i64,)> = open.query(sql, &[]).await.map_err(fault)?;
        let epoch = self.epoch();
        if rows.first().is_none_or(|row| row.0 != epoch) {
            return Err(fenced());
        }
        Ok(Box::new(SqlTxn { open, epoch, turn }))
    }

    async fn count_up(&self, counter: Counter, by: i64) -> Result<i64, Fault> {
        let args = [Arg::Int(by), Arg::Text(txn::counter_name(counter)), Arg::Int(i64::MAX - by)];
        fail::point("catalog.before_count");
        let rows = self.link.query(txn::COUNT_UP.to_owned(), &args).await.map_err(fault)?;
        fail::point("catalog.after_count");
        txn::counted(rows)
    }

    async fn checkpoint_get(&self, channel: ChannelId) -> Result<Option<Checkpoint>, Fault> {
        let sql = "SELECT seq, closed FROM checkpoints WHERE channel = $1".to_owned();
        let args = [Arg::Int(i64::from(channel.0))];
        let rows: Vec<(i64, i64)> = self.link.query(sql, &args).await.map_err(fault)?;
        let Some((seq, closed)) = rows.first().copied() else { return Ok(None) };
        let broken = |_| Fault::internal("the catalog holds a negative sequence");
        Ok(Some(Checkpoint { seq: u64::try_from(seq).map_err(broken)?, closed: from_sql(closed)? }))
    }

    async fn checkpoint_set(&self, channel: ChannelId, to: Checkpoint) -> Result<(), Fault> {
        let args = manifest::checkpoint_args(channel, to)?;
        let sql = manifest::CHECKPOINT_FORWARD.to_owned();
        fail::point("checkpoint.before_set");
        self.link.change(sql, &args).await.map_err(fault)?;
        fail::point("checkpoint.after_set");
        Ok(())
    }

    async fn check(&self) -> Result<(), Fault> {
        // The write side: a catalog that can only be read is not well.
        let rows: Result<Vec<(i64,)>, _> =
            self.link.query("SELECT epoch FROM owner WHERE id = 1".to_owned(), &[]).await;
        match rows.map_err(fault)?.first() {
            Some(row) if row.0 == self.epoch() => Ok(()),
            _ => Err(fenced()),
        }
    }

    async fn close(&self) {
        self.end_tasks();
        self.link.close().await;
    }
}
