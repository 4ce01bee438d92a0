//! `SqlTxn`: the statements of a catalog transaction.

use async_trait::async_trait;
use tokio::sync::OwnedMutexGuard;

use super::link::{Arg, Open, commit_fault, fault};
use super::{CHANGES, from_sql, ts};
use crate::fail;
use crate::model::{CollectionId, Fault, RequestId, Timestamp};
use crate::origin::{ClientRequest, REQUESTS_MAX};
use crate::store::{At, Counter, Row, RowState, Table, Txn};

/// Rows or ids in one statement: SQLite allows 32,766 arguments, and a row has 10 at most.
pub(super) const CHUNK: usize = 500;
/// `valid_to` of the versions that are valid now.
const OPEN: i64 = i64::MAX;
/// The columns of a row, as [`Record`] reads them.
const COLUMNS: &str = "id, owner, name, state, body, valid_from, valid_to";

/// [`COLUMNS`] as they come.
type Record = (i64, i64, String, i64, String, i64, i64);

/// A transaction on SQLite or Postgres.
pub(super) struct SqlTxn {
    pub(super) open: Open,
    /// Whose changes these are; listeners of the same owner need not be told.
    pub(super) epoch: i64,
    /// This process's place in the queue of those who change something.
    pub(super) turn: Option<OwnedMutexGuard<()>>,
}

/// The name of a table.
const fn name(table: Table) -> &'static str {
    match table {
        Table::Databases => "databases",
        Table::Collections => "collections",
        Table::Schemas => "schemas",
        Table::Partitions => "partitions",
        Table::Indexes => "indexes",
        Table::Aliases => "aliases",
        Table::Users => "users",
        Table::Roles => "roles",
        Table::Grants => "grants",
        Table::PrivilegeGroups => "privilege_groups",
        Table::ResourceGroups => "resource_groups",
    }
}

/// The name of a counter.
pub(super) const fn counter_name(counter: Counter) -> &'static str {
    match counter {
        Counter::Object => "object",
        Counter::Row => "row",
        Counter::Placement => "placement",
        Counter::Access => "access",
    }
}

/// The statement that adds to a counter, and what it yields when the counter is at its end.
pub(super) const COUNT_UP: &str = "UPDATE counters SET next_value = next_value + $1 \
     WHERE name = $2 AND next_value <= $3 RETURNING next_value - $1";

/// The value before, from the rows of [`COUNT_UP`].
pub(super) fn counted(rows: Vec<(i64,)>) -> Result<i64, Fault> {
    let row = rows.into_iter().next();
    row.map(|row| row.0).ok_or_else(|| Fault::internal("all ids of a kind are used up"))
}

/// The condition on the versions that a read means.
fn versions(at: At) -> Result<String, Fault> {
    Ok(match at {
        At::Now => format!("valid_to = {OPEN}"),
        At::Past(t) => {
            let t = ts(t)?;
            format!("valid_from <= {t} AND valid_to > {t}")
        }
    })
}

/// `$1, $2, ..` for a list of ids that follows `before` arguments.
pub(super) fn marks(before: usize, count: usize) -> String {
    let marks: Vec<String> = (before + 1..=before + count).map(|n| format!("${n}")).collect();
    marks.join(", ")
}

fn to_row((id, owner, name, state, body, from, to): Record) -> Result<Row, Fault> {
    let broken = || Fault::internal(format!("the catalog's row {id} has no such state: {state}"));
    let state = RowState::from_number(state).ok_or_else(broken)?;
    let to = if to == OPEN { Timestamp::MAX } else { from_sql(to)? };
    Ok(Row { id, owner, name, state, body, from: from_sql(from)?, to })
}

impl SqlTxn {
    async fn rows(&mut self, sql: String, args: &[Arg<'_>]) -> Result<Vec<Row>, Fault> {
        let records: Vec<Record> = self.open.query(sql, args).await.map_err(fault)?;
        records.into_iter().map(to_row).collect()
    }

    pub(super) async fn change(&mut self, sql: String, args: &[Arg<'_>]) -> Result<u64, Fault> {
        fail::point("catalog.statement");
        self.open.change(sql, args).await.map_err(fault)
    }

    /// Commits and calls `done` when the changes may be visible.
    pub(super) async fn finish(self, done: Box<dyn FnOnce() + Send>) -> Result<(), Fault> {
        let SqlTxn { open, turn, .. } = self;
        // A task of its own: a caller that goes away cannot part the commit from its news.
        let task = tokio::spawn(async move {
            fail::point("catalog.before_commit");
            let outcome = open.commit().await.map_err(commit_fault);
            fail::point("catalog.after_commit");
            drop(turn);
            if !matches!(outcome, Err((_, true))) {
                done();
            }
            outcome.map_err(|(fault, _)| fault)
        });
        let lost = |e| Fault::plain(format!("outcome unknown: the commit's task was lost: {e}"));
        task.await.unwrap_or_else(|e| Err(lost(e)))
    }
}

#[async_trait]
impl Txn for SqlTxn {
    async fn get(&mut self, table: Table, id: i64, at: At) -> Result<Option<Row>, Fault> {
        let (table, versions) = (name(table), versions(at)?);
        let sql = format!("SELECT {COLUMNS} FROM {table} WHERE id = $1 AND {versions}");
        Ok(self.rows(sql, &[Arg::Int(id)]).await?.pop())
    }

    async fn find(
        &mut self,
        table: Table,
        owner: i64,
        named: &str,
        at: At,
    ) -> Result<Option<Row>, Fault> {
        // Nothing is called so, and PostgreSQL refuses it in any text.
        if named.contains('\0') {
            return Ok(None);
        }
        let (table, versions) = (name(table), versions(at)?);
        let sql = format!(
            "SELECT {COLUMNS} FROM {table} \
             WHERE owner = $1 AND name = $2 AND state <> 2 AND {versions}"
        );
        Ok(self.rows(sql, &[Arg::Int(owner), Arg::Text(named)]).await?.pop())
    }

    async fn list(&mut self, table: Table, owners: &[i64], at: At) -> Result<Vec<Row>, Fault> {
        let (table, versions) = (name(table), versions(at)?);
        let mut all = Vec::new();
        for owners in owners.chunks(CHUNK) {
            let marks = marks(0, owners.len());
            let sql = format!(
                "SELECT {COLUMNS} FROM {table} WHERE owner IN ({marks}) AND {versions} ORDER BY id"
            );
            let args: Vec<_> = owners.iter().map(|id| Arg::Int(*id)).collect();
            all.extend(self.rows(sql, &args).await?);
        }
        all.sort_by_key(|row| row.id);
        Ok(all)
    }

    async fn list_all(&mut self, table: Table) -> Result<Vec<Row>, Fault> {
        let (table, versions) = (name(table), versions(At::Now)?);
        let sql = format!("SELECT {COLUMNS} FROM {table} WHERE {versions} ORDER BY id");
        self.rows(sql, &[]).await
    }

    async fn count(&mut self, table: Table, owner: Option<i64>) -> Result<u64, Fault> {
        let (table, versions) = (name(table), versions(At::Now)?);
        let mut sql = format!("SELECT count(*) FROM {table} WHERE {versions}");
        let args: Vec<_> = owner.map(Arg::Int).into_iter().collect();
        if owner.is_some() {
            sql += " AND owner = $1";
        }
        let rows: Vec<(i64,)> = self.open.query(sql, &args).await.map_err(fault)?;
        let count = rows.first().map_or(0, |row| row.0);
        u64::try_from(count).map_err(|_| Fault::internal("a count is negative"))
    }

    async fn add(&mut self, table: Table, rows: &[Row]) -> Result<(), Fault> {
        for rows in rows.chunks(CHUNK) {
            let mut values = Vec::with_capacity(rows.len());
            let mut args = Vec::with_capacity(rows.len() * 7);
            for row in rows {
                values.push(format!("({})", marks(args.len(), 7)));
                let to = if row.to == Timestamp::MAX { OPEN } else { ts(row.to)? };
                args.extend([
                    Arg::Int(row.id),
                    Arg::Int(row.owner),
                    Arg::Text(&row.name),
                    Arg::Int(row.state as i64),
                    Arg::Text(&row.body),
                    Arg::Int(ts(row.from)?),
                    Arg::Int(to),
                ]);
            }
            let (table, values) = (name(table), values.join(", "));
            let sql = format!("INSERT INTO {table} ({COLUMNS}) VALUES {values}");
            self.change(sql, &args).await?;
        }
        Ok(())
    }

    async fn end(&mut self, table: Table, ids: &[i64], at: Timestamp) -> Result<(), Fault> {
        for ids in ids.chunks(CHUNK) {
            let (table, marks) = (name(table), marks(1, ids.len()));
            let sql = format!(
                "UPDATE {table} SET valid_to = $1 WHERE id IN ({marks}) AND valid_to = {OPEN}"
            );
            let ids = ids.iter().map(|id| Arg::Int(*id));
            let args: Vec<_> = std::iter::once(Arg::Int(ts(at)?)).chain(ids).collect();
            self.change(sql, &args).await?;
        }
        Ok(())
    }

    async fn end_owned(&mut self, table: Table, owner: i64, at: Timestamp) -> Result<(), Fault> {
        let table = name(table);
        let sql =
            format!("UPDATE {table} SET valid_to = $1 WHERE owner = $2 AND valid_to = {OPEN}");
        self.change(sql, &[Arg::Int(ts(at)?), Arg::Int(owner)]).await.map(|_| ())
    }

    async fn scrub(&mut self, table: Table, id: i64) -> Result<(), Fault> {
        let table = name(table);
        let sql = format!("UPDATE {table} SET body = '' WHERE id = $1 AND valid_to <> {OPEN}");
        self.change(sql, &[Arg::Int(id)]).await.map(|_| ())
    }

    async fn counter_get(&mut self, counter: Counter) -> Result<i64, Fault> {
        let sql = "SELECT next_value FROM counters WHERE name = $1".to_owned();
        let args = [Arg::Text(counter_name(counter))];
        let rows: Vec<(i64,)> = self.open.query(sql, &args).await.map_err(fault)?;
        let row = rows.first().ok_or_else(|| Fault::internal("the catalog lacks a counter"))?;
        Ok(row.0)
    }

    async fn count_up(&mut self, counter: Counter, by: i64) -> Result<i64, Fault> {
        let args = [Arg::Int(by), Arg::Text(counter_name(counter)), Arg::Int(i64::MAX - by)];
        counted(self.open.query(COUNT_UP.to_owned(), &args).await.map_err(fault)?)
    }

    async fn intent_add(&mut self, id: i64, body: &str, at: Timestamp) -> Result<(), Fault> {
        let sql = "INSERT INTO intents (id, body, decided) VALUES ($1, $2, $3)".to_owned();
        let args = [Arg::Int(id), Arg::Text(body), Arg::Int(ts(at)?)];
        self.change(sql, &args).await.map(|_| ())
    }

    async fn intent_list(&mut self) -> Result<Vec<(i64, String)>, Fault> {
        let sql = "SELECT id, body FROM intents ORDER BY id".to_owned();
        self.open.query(sql, &[]).await.map_err(fault)
    }

    async fn intent_take(&mut self, id: i64) -> Result<Option<String>, Fault> {
        let sql = "DELETE FROM intents WHERE id = $1 RETURNING body".to_owned();
        let rows: Vec<(String,)> = self.open.query(sql, &[Arg::Int(id)]).await.map_err(fault)?;
        Ok(rows.into_iter().next().map(|row| row.0))
    }

    async fn request_get(
        &mut self,
        id: RequestId,
    ) -> Result<Option<(CollectionId, Timestamp)>, Fault> {
        let sql = "SELECT collection, decided FROM requests WHERE request = $1".to_owned();
        let args = [Arg::Text(&id.to_string())];
        let rows: Vec<(i64, i64)> = self.open.query(sql, &args).await.map_err(fault)?;
        let row = rows.into_iter().next();
        row.map(|(collection, at)| Ok((CollectionId(collection), from_sql(at)?))).transpose()
    }

    async fn request_add(
        &mut self,
        id: RequestId,
        collection: CollectionId,
        at: Timestamp,
    ) -> Result<(), Fault> {
        let sql = "INSERT INTO requests (request, collection, decided) VALUES ($1, $2, $3)";
        let args = [Arg::Text(&id.to_string()), Arg::Int(collection.0), Arg::Int(ts(at)?)];
        self.change(sql.to_owned(), &args).await.map(|_| ())
    }

    async fn client_request_get(&mut self, client: &str) -> Result<Option<String>, Fault> {
        let sql = "SELECT digest FROM client_requests WHERE client = $1".to_owned();
        let args = [Arg::Text(client)];
        let rows: Vec<(String,)> = self.open.query(sql, &args).await.map_err(fault)?;
        Ok(rows.into_iter().next().map(|row| row.0))
    }

    async fn client_request_set(
        &mut self,
        request: &ClientRequest,
        at: Timestamp,
        oldest: Timestamp,
    ) -> Result<(), Fault> {
        let sql = format!(
            "DELETE FROM client_requests WHERE client = $1 OR decided < $2 OR decided <= \
             (SELECT decided FROM client_requests ORDER BY decided DESC LIMIT 1 OFFSET {})",
            REQUESTS_MAX - 1
        );
        self.change(sql, &[Arg::Text(&request.client), Arg::Int(ts(oldest)?)]).await?;
        let sql = "INSERT INTO client_requests (client, digest, decided) VALUES ($1, $2, $3)";
        let args = [Arg::Text(&request.client), Arg::Text(&request.digest), Arg::Int(ts(at)?)];
        self.change(sql.to_owned(), &args).await.map(|_| ())
    }

    async fn setting_get(&mut self, key: &str) -> Result<Option<String>, Fault> {
        let sql = "SELECT value FROM settings WHERE name = $1".to_owned();
        let rows: Vec<(String,)> = self.open.query(sql, &[Arg::Text(key)]).await.map_err(fault)?;
        Ok(rows.into_iter().next().map(|row| row.0))
    }

    async fn setting_add(&mut self, key: &str, value: &str) -> Result<(), Fault> {
        let sql = "INSERT INTO settings (name, value) VALUES ($1, $2)".to_owned();
        self.change(sql, &[Arg::Text(key), Arg::Text(value)]).await.map(|_| ())
    }

    async fn commit(
        mut self: Box<Self>,
        changed: Option<CollectionId>,
        done: Box<dyn FnOnce() + Send>,
    ) -> Result<(), Fault> {
        if matches!(self.open, Open::Postgres(_)) {
            let payload = format!("{}:{}", self.epoch, changed.map_or(0, |id| id.0));
            let sql = format!("SELECT pg_notify('{CHANGES}', $1)");
            self.change(sql, &[Arg::Text(&payload)]).await?;
        }
        self.finish(done).await
    }
}
