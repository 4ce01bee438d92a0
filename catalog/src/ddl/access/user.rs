//! Users.

use super::super::rows::{from_json, to_json};
use super::{Change, UserBody};
use crate::model::{Code, Fault, Timestamp, limits};
use crate::rbac::ROOT;
use crate::rbac::password::PasswordHash;
use crate::rules;
use crate::store::{At, Row, Table};

/// `not found the user, ..`, in Milvus's words.
pub(super) fn missing() -> Fault {
    Fault::plain("not found the user, maybe the user isn't existed or internal system error")
}

/// A user's row and what it holds.
pub(super) async fn find(
    change: &mut Change,
    name: &str,
) -> Result<Option<(Row, UserBody)>, Fault> {
    let Some(row) = change.txn.find(Table::Users, 0, name, At::Now).await? else {
        return Ok(None);
    };
    let body = from_json("user", row.id, &row.body)?;
    Ok(Some((row, body)))
}

/// Another state of a user. No earlier one keeps its hash.
pub(super) async fn renew(change: &mut Change, row: Row, body: &UserBody) -> Result<(), Fault> {
    let (id, body) = (row.id, to_json(body)?);
    change.renew(Table::Users, Row { body, ..row }).await?;
    change.txn.scrub(Table::Users, id).await?;
    change.touched = Some(None);
    Ok(())
}

pub(super) async fn add(
    change: &mut Change,
    name: &str,
    password: Option<PasswordHash>,
    roles: Vec<String>,
    description: &str,
) -> Result<(), Fault> {
    let (description, created) = (description.to_owned(), change.at);
    let body = UserBody { password, roles, description, created };
    change.add_access(Table::Users, 0, name, &body).await.map(|_| ())
}

/// Refuses one user more than there may be.
pub(super) async fn check_room(change: &mut Change, more: usize) -> Result<(), Fault> {
    let count = change.txn.count(Table::Users, None).await?;
    if count + more as u64 > limits::USERS_MAX as u64 {
        let max = limits::USERS_MAX;
        return Err(Fault::plain(format!(
            "unable to add user because the number of users has reached the limit[limit={max}]"
        )));
    }
    Ok(())
}

pub(super) async fn create(
    change: &mut Change,
    name: &str,
    password: PasswordHash,
    description: &str,
) -> Result<(), Fault> {
    rules::check_name("user", name)?;
    if find(change, name).await?.is_some() {
        return Err(Fault::plain(format!("user already exists: {name}")));
    }
    check_room(change, 1).await?;
    add(change, name, Some(password), Vec::new(), description).await
}

pub(super) async fn update(
    change: &mut Change,
    name: &str,
    password: Option<PasswordHash>,
    description: Option<String>,
) -> Result<(), Fault> {
    let Some((row, body)) = find(change, name).await? else { return Err(missing()) };
    let description = description.unwrap_or(body.description);
    let password = password.or(body.password);
    let body = UserBody { password, description, ..body };
    renew(change, row, &body).await
}

pub(super) async fn rehash(
    change: &mut Change,
    name: &str,
    stamp: Timestamp,
    password: PasswordHash,
) -> Result<(), Fault> {
    match find(change, name).await? {
        Some((row, body)) if row.from == stamp => {
            renew(change, row, &UserBody { password: Some(password), ..body }).await
        }
        _ => Ok(()),
    }
}

pub(super) async fn drop(change: &mut Change, name: &str) -> Result<(), Fault> {
    if name == ROOT {
        let text = "root user cannot be deleted: privilege not permitted";
        return Err(Fault::new(Code::NotPermitted, text));
    }
    let Some((row, _)) = find(change, name).await? else { return Ok(()) };
    change.txn.end(Table::Users, &[row.id], change.at).await?;
    change.txn.scrub(Table::Users, row.id).await?;
    change.touched = Some(None);
    Ok(())
}
