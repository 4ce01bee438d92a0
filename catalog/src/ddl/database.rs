//! Databases.

use super::Change;
use super::rows::{self, DatabaseBody, from_json, to_json};
use crate::model::{Code, Database, Fault, Props, limits};
use crate::rules::{self, Limits};
use crate::store::{At, Row, RowState, Table, Txn};

/// The row of a current database.
pub(super) async fn row(txn: &mut dyn Txn, name: &str, at: At) -> Result<Row, Fault> {
    let row = txn.find(Table::Databases, 0, name, at).await?;
    row.ok_or_else(|| rules::database_not_found(name))
}

pub(super) async fn get(txn: &mut dyn Txn, name: &str) -> Result<Database, Fault> {
    rows::database(row(txn, name, At::Now).await?)
}

pub(super) async fn list(txn: &mut dyn Txn) -> Result<Vec<Database>, Fault> {
    txn.list_all(Table::Databases).await?.into_iter().map(rows::database).collect()
}

pub(super) async fn create(
    change: &mut Change,
    name: &str,
    properties: Props,
    limits: &Limits,
) -> Result<Database, Fault> {
    rules::check_name("database", name)?;
    rules::check_props(&properties)?;
    if change.txn.find(Table::Databases, 0, name, At::Now).await?.is_some() {
        return Err(Fault::plain(format!("database already exist: {name}")));
    }
    if change.txn.count(Table::Databases, None).await? >= limits.databases as u64 {
        let text = format!("exceeded the limit number of database[limit={}]", limits.databases);
        return Err(Fault::new(Code::DatabaseNumLimit, text));
    }
    let id = change.id().await?;
    let body = DatabaseBody { properties, created: change.at };
    let row = change.add(Table::Databases, (id, 0), name, RowState::Current, &body).await?;
    change.touched = Some(None);
    rows::database(row)
}

pub(super) async fn drop(change: &mut Change, name: &str) -> Result<(), Fault> {
    if name == limits::DEFAULT_DATABASE {
        return Err(Fault::plain("can not drop default database"));
    }
    let row = row(&mut *change.txn, name, At::Now).await?;
    // Collections on their way in or out count too: their rows name this database.
    if change.txn.count(Table::Collections, Some(row.id)).await? > 0 {
        return Err(Fault::plain(format!(
            "database:{name} not empty, must drop all collections before drop database"
        )));
    }
    change.txn.end(Table::Databases, &[row.id], change.at).await?;
    change.touched = Some(None);
    Ok(())
}

/// Refuses one collection more than the database's own limit allows.
pub(super) async fn check_room(txn: &mut dyn Txn, row: &Row) -> Result<(), Fault> {
    let body: DatabaseBody = from_json("database", row.id, &row.body)?;
    let mut limits = body.properties.iter().filter(|(key, _)| key == limits::DATABASE_COLLECTIONS);
    let Some(max) = limits.next().and_then(|(_, value)| value.trim().parse().ok()) else {
        return Ok(());
    };
    match txn.count(Table::Collections, Some(row.id)).await? >= max {
        true => Err(rules::collections_full(&row.name, max)),
        false => Ok(()),
    }
}

pub(super) async fn alter(
    change: &mut Change,
    name: &str,
    set: Props,
    drop: &[String],
) -> Result<(), Fault> {
    let row = row(&mut *change.txn, name, At::Now).await?;
    let mut body: DatabaseBody = from_json("database", row.id, &row.body)?;
    body.properties = rules::props_changed(body.properties, set, drop)?;
    let body = to_json(&body)?;
    if body != row.body {
        change.renew(Table::Databases, Row { body, ..row }).await?;
        change.touched = Some(None);
    }
    Ok(())
}
