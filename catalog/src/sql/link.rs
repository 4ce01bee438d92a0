//! One way to speak to SQLite and to Postgres: texts, integers and rows of them.

use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPoolOptions, PgRow};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteRow, SqliteSynchronous,
};
use sqlx::{AssertSqlSafe, FromRow, PgPool, Postgres, Sqlite, SqlitePool, Transaction};

use crate::model::{Code, Fault};

/// How long a statement of SQLite waits for another process's lock.
const BUSY: Duration = Duration::from_secs(5);
/// Connections that read. Describing a collection is rare: its callers cache.
const READERS: u32 = 4;
/// Rows that SQLite's thread reads ahead: each wait for the other side costs more than a row.
const ROWS_AHEAD: usize = 1_024;
/// How long Postgres may take to accept a connection.
const CONNECT: Duration = Duration::from_secs(10);
/// More arguments than this make a text that is unlikely to come again.
const ARGS_REPEATED_MAX: usize = 16;

/// An argument of a statement.
#[derive(Clone, Copy, Debug)]
pub(super) enum Arg<'a> {
    Int(i64),
    Text(&'a str),
}

/// What a statement's rows can be read as, by either driver.
pub(super) trait Record:
    for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + Send + Unpin
{
}

impl<T> Record for T where
    T: for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + Send + Unpin
{
}

/// The connections to a back end.
#[derive(Clone)]
pub(super) enum Link {
    /// SQLite has one writer; a second connection that writes could only wait for the first.
    Sqlite {
        read: SqlitePool,
        write: SqlitePool,
    },
    Postgres(PgPool),
}

/// An open transaction of either.
pub(super) enum Open {
    Sqlite(Transaction<'static, Sqlite>),
    Postgres(Transaction<'static, Postgres>),
}

/// Runs a text with arguments on a connection and reads all rows.
macro_rules! run {
    ($sql:expr, $args:expr, $on:expr) => {{
        let args: &[Arg<'_>] = $args;
        let mut query = sqlx::query_as(AssertSqlSafe($sql));
        for arg in args {
            query = match *arg {
                Arg::Int(n) => query.bind(n),
                Arg::Text(text) => query.bind(text.to_owned()),
            };
        }
        query.persistent(args.len() <= ARGS_REPEATED_MAX).fetch_all($on).await
    }};
}

/// Runs a text with arguments on a connection and counts the rows it changed.
macro_rules! change {
    ($sql:expr, $args:expr, $on:expr) => {{
        let args: &[Arg<'_>] = $args;
        let mut query = sqlx::query(AssertSqlSafe($sql));
        for arg in args {
            query = match *arg {
                Arg::Int(n) => query.bind(n),
                Arg::Text(text) => query.bind(text.to_owned()),
            };
        }
        let query = query.persistent(args.len() <= ARGS_REPEATED_MAX);
        query.execute($on).await.map(|done| done.rows_affected())
    }};
}

impl Link {
    /// Connects to a SQLite file, making it if it is missing.
    pub(super) async fn sqlite(path: &str) -> Result<Link, Fault> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            // Every commit reaches the disk before it is answered.
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .row_buffer_size(ROWS_AHEAD)
            .busy_timeout(BUSY);
        let pool = |max| {
            SqlitePoolOptions::new()
                .max_connections(max)
                .test_before_acquire(false)
                .idle_timeout(None)
                .max_lifetime(None)
        };
        let failed = |e| Fault::plain(format!("cannot open the catalog sqlite://{path}: {e}"));
        // The writer first: it makes the file.
        let write = pool(1).connect_with(options.clone()).await.map_err(failed)?;
        let read = pool(READERS).connect_lazy_with(options);
        Ok(Link::Sqlite { read, write })
    }

    /// Connects to a Postgres database.
    pub(super) async fn postgres(options: PgConnectOptions) -> Result<Link, Fault> {
        let place = format!("postgres://{}:{}", options.get_host(), options.get_port());
        let pool = PgPoolOptions::new()
            .max_connections(READERS + 2)
            .acquire_timeout(CONNECT)
            .after_connect(|connection, _| {
                Box::pin(async move {
                    // Acknowledged means durable, whatever the server's default is.
                    let durable = "SELECT set_config('synchronous_commit', 'on', false) \
                                   WHERE current_setting('synchronous_commit') = 'off'";
                    sqlx::query(durable).execute(connection).await.map(|_| ())
                })
            })
            .connect_with(options)
            .await
            .map_err(|e| Fault::plain(format!("cannot open the catalog {place}: {e}")))?;
        Ok(Link::Postgres(pool))
    }

    /// A transaction that reads one state.
    pub(super) async fn begin_read(&self) -> Result<Open, sqlx::Error> {
        match self {
            Link::Sqlite { read, .. } => read.begin().await.map(Open::Sqlite),
            Link::Postgres(pool) => {
                let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
                pool.begin_with(begin).await.map(Open::Postgres)
            }
        }
    }

    /// A transaction that writes. SQLite takes its lock at once; for Postgres, see `ddl_lock`.
    pub(super) async fn begin_write(&self) -> Result<Open, sqlx::Error> {
        match self {
            Link::Sqlite { write, .. } => {
                write.begin_with("BEGIN IMMEDIATE").await.map(Open::Sqlite)
            }
            Link::Postgres(pool) => pool.begin().await.map(Open::Postgres),
        }
    }

    /// Runs one statement as a transaction of its own and reads its rows.
    pub(super) async fn query<T: Record>(
        &self,
        sql: String,
        args: &[Arg<'_>],
    ) -> Result<Vec<T>, sqlx::Error> {
        match self {
            Link::Sqlite { write, .. } => run!(sql, args, write),
            Link::Postgres(pool) => run!(sql, args, pool),
        }
    }

    /// Runs one statement as a transaction of its own and counts the rows it changed.
    pub(super) async fn change(&self, sql: String, args: &[Arg<'_>]) -> Result<u64, sqlx::Error> {
        match self {
            Link::Sqlite { write, .. } => change!(sql, args, write),
            Link::Postgres(pool) => change!(sql, args, pool),
        }
    }

    /// Closes every connection, waiting for those in use.
    pub(super) async fn close(&self) {
        match self {
            Link::Sqlite { read, write } => {
                read.close().await;
                write.close().await;
            }
            Link::Postgres(pool) => pool.close().await,
        }
    }
}

impl Open {
    /// Runs a statement and reads its rows.
    pub(super) async fn query<T: Record>(
        &mut self,
        sql: String,
        args: &[Arg<'_>],
    ) -> Result<Vec<T>, sqlx::Error> {
        match self {
            Open::Sqlite(on) => run!(sql, args, &mut **on),
            Open::Postgres(on) => run!(sql, args, &mut **on),
        }
    }

    /// Runs a statement and counts the rows it changed.
    pub(super) async fn change(
        &mut self,
        sql: String,
        args: &[Arg<'_>],
    ) -> Result<u64, sqlx::Error> {
        match self {
            Open::Sqlite(on) => change!(sql, args, &mut **on),
            Open::Postgres(on) => change!(sql, args, &mut **on),
        }
    }

    /// Commits.
    pub(super) async fn commit(self) -> Result<(), sqlx::Error> {
        match self {
            Open::Sqlite(on) => on.commit().await,
            Open::Postgres(on) => on.commit().await,
        }
    }
}

/// The fault of a statement that failed: nothing was changed.
pub(super) fn fault(error: sqlx::Error) -> Fault {
    if unreachable_now(&error) {
        let text = format!("the catalog's database does not answer: {error}");
        return Fault::new(Code::ServiceUnavailable, text);
    }
    Fault::internal(format!("the catalog's database failed: {error}"))
}

/// The fault of a commit that failed, and whether it is known that nothing was changed.
pub(super) fn commit_fault(error: sqlx::Error) -> (Fault, bool) {
    if let sqlx::Error::Database(e) = &error {
        let code = e.code().unwrap_or_default().into_owned();
        // SQLite: busy, full, constraint. Postgres: a statement or constraint was refused.
        let sqlite = e.try_downcast_ref::<sqlx::sqlite::SqliteError>().is_some();
        let undone = match sqlite {
            true => ["5", "13", "19"].contains(&code.as_str()),
            false => ["23", "25", "40"].iter().any(|class| code.starts_with(class)),
        };
        if undone {
            return (fault(error), true);
        }
    }
    let text = format!(
        "outcome unknown: the catalog's database failed while committing, so the change was \
         made wholly or not at all: {error}"
    );
    (Fault::plain(text), false)
}

/// Whether the same may succeed when the database is back.
fn unreachable_now(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed => true,
        sqlx::Error::Database(e) => {
            let code = e.code().unwrap_or_default();
            // SQLite: busy. Postgres: connection, too many of them, shutting down.
            code == "5" || ["08", "53", "57"].iter().any(|class| code.starts_with(class))
        }
        _ => false,
    }
}
