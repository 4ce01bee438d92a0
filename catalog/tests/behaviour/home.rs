//! Where a catalog under test keeps its data: in memory, in a SQLite file, in Postgres.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use millstream_catalog::catalog::Catalog;
use millstream_catalog::clock::Clock;
use millstream_catalog::memory::{self, MemoryData};
use millstream_catalog::model::{Code, Fault};
use millstream_catalog::{Limits, StoredCatalog, sql};
use sqlx::{AssertSqlSafe, Connection, PgConnection};

/// Channels of every catalog under test.
pub(crate) const CHANNELS: u16 = 4;

/// A clock that stands where it is put.
pub(crate) struct Hand(pub(crate) AtomicU64);

impl Clock for Hand {
    fn now_ms(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }
}

/// A back end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Memory,
    Sqlite,
    Postgres,
}

enum Place {
    Memory(Arc<MemoryData>),
    Sqlite(tempfile::TempDir),
    Postgres { server: String, name: String },
}

/// The data of one test, and the clock of its machine.
pub(crate) struct Home {
    place: Place,
    pub(crate) clock: Arc<Hand>,
}

/// An open catalog.
pub(crate) struct Opened {
    pub(crate) catalog: Arc<dyn Catalog>,
    sql: Option<Arc<StoredCatalog>>,
}

impl Opened {
    /// Ends it in an orderly way.
    pub(crate) async fn close(self) {
        if let Some(sql) = self.sql {
            sql.close().await;
        }
    }
}

impl std::ops::Deref for Opened {
    type Target = dyn Catalog;

    fn deref(&self) -> &Self::Target {
        &*self.catalog
    }
}

impl Home {
    /// An empty home; `None` where no Postgres is at hand.
    pub(crate) async fn new(kind: Kind) -> Option<Home> {
        let place = match kind {
            Kind::Memory => Place::Memory(Arc::default()),
            Kind::Sqlite => Place::Sqlite(tempfile::tempdir().unwrap()),
            Kind::Postgres => {
                let server = std::env::var("MILLSTREAM_TEST_POSTGRES").ok()?;
                static NEXT: AtomicU32 = AtomicU32::new(0);
                let count = NEXT.fetch_add(1, Ordering::Relaxed);
                let name = format!("millstream_test_{}_{count}", std::process::id());
                admin(&server, format!("CREATE DATABASE {name}")).await;
                Place::Postgres { server, name }
            }
        };
        let clock = Arc::new(Hand(AtomicU64::new(1_700_000_000_000)));
        Some(Home { place, clock })
    }

    /// The back end.
    pub(crate) fn kind(&self) -> Kind {
        match self.place {
            Place::Memory(_) => Kind::Memory,
            Place::Sqlite(_) => Kind::Sqlite,
            Place::Postgres { .. } => Kind::Postgres,
        }
    }

    /// The URL for SQL.
    pub(crate) fn url(&self) -> Option<String> {
        match &self.place {
            Place::Memory(_) => None,
            Place::Sqlite(folder) => {
                Some(format!("sqlite://{}", folder.path().join("catalog.db").display()))
            }
            Place::Postgres { server, name } => {
                // The path is the database's name; a query may follow.
                let (base, query) = server.split_once('?').unwrap_or((server, ""));
                let scheme = base.find("://").unwrap() + 3;
                let end = base[scheme..].find('/').map_or(base.len(), |at| scheme + at);
                Some(format!("{}/{name}?{query}", &base[..end]))
            }
        }
    }

    /// Opens the home. A task of the opened-before may still hold it for a moment; a process
    /// that ended would not.
    pub(crate) async fn open(&self) -> Opened {
        for _ in 0..1_000 {
            match self.try_open(CHANNELS).await {
                Err(fault) if fault.code == Code::ServiceUnavailable => {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
                opened => return opened.unwrap(),
            }
        }
        panic!("the home stays in use")
    }

    pub(crate) async fn try_open(&self, channels: u16) -> Result<Opened, Fault> {
        let clock: Arc<Hand> = Arc::clone(&self.clock);
        match (&self.place, self.url()) {
            (Place::Memory(data), _) => {
                let catalog = memory::open(data, clock, channels)?;
                Ok(Opened { catalog, sql: None })
            }
            (_, url) => {
                let sql = sql::open(&url.unwrap(), clock, channels, Limits::default()).await?;
                Ok(Opened { catalog: Arc::<StoredCatalog>::clone(&sql), sql: Some(sql) })
            }
        }
    }

    /// Removes what the test leaves on a server.
    pub(crate) async fn remove(self) {
        if let Place::Postgres { server, name } = &self.place {
            admin(server, format!("DROP DATABASE {name} WITH (FORCE)")).await;
        }
    }
}

/// Runs a statement on the server of the tests.
pub(crate) async fn admin(server: &str, sql: String) {
    let mut connection = PgConnection::connect(server).await.unwrap();
    sqlx::query(AssertSqlSafe(sql)).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}
