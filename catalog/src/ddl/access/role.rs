//! Roles, and whom they were given to.

use super::super::rows::{from_json, to_json};
use super::{Change, RoleBody, UserBody, user};
use crate::model::{Code, Fault, limits};
use crate::rbac::{ADMIN, PUBLIC};
use crate::rules;
use crate::store::{At, Row, Table};

/// `not found the role, ..`, in Milvus's words.
fn missing() -> Fault {
    Fault::plain("not found the role, maybe the role isn't existed or internal system error")
}

/// The id of a role.
pub(super) async fn id(change: &mut Change, name: &str) -> Result<i64, Fault> {
    let row = change.txn.find(Table::Roles, 0, name, At::Now).await?;
    row.map(|row| row.id).ok_or_else(missing)
}

pub(super) async fn add(change: &mut Change, name: &str, description: &str) -> Result<i64, Fault> {
    let body = RoleBody { description: description.to_owned(), created: change.at };
    change.add_access(Table::Roles, 0, name, &body).await
}

/// Refuses more roles than there may be.
pub(super) async fn check_room(change: &mut Change, more: usize) -> Result<(), Fault> {
    let count = change.txn.count(Table::Roles, None).await?;
    if count + more as u64 > limits::ROLES_MAX as u64 {
        let max = limits::ROLES_MAX;
        return Err(Fault::plain(format!(
            "unable to create role because the number of roles has reached the limit[limit={max}]"
        )));
    }
    Ok(())
}

pub(super) async fn create(
    change: &mut Change,
    name: &str,
    description: &str,
) -> Result<(), Fault> {
    rules::check_name("role", name)?;
    if change.txn.find(Table::Roles, 0, name, At::Now).await?.is_some() {
        return Err(Fault::plain(format!("role [name:\"{name}\"] already exists")));
    }
    check_room(change, 1).await?;
    add(change, name, description).await.map(|_| ())
}

pub(super) async fn alter(
    change: &mut Change,
    name: &str,
    description: String,
) -> Result<(), Fault> {
    let row = change.txn.find(Table::Roles, 0, name, At::Now).await?.ok_or_else(missing)?;
    let body: RoleBody = from_json("role", row.id, &row.body)?;
    if body.description == description {
        return Ok(());
    }
    let body = to_json(&RoleBody { description, ..body })?;
    change.renew(Table::Roles, Row { body, ..row }).await?;
    change.touched = Some(None);
    Ok(())
}

pub(super) async fn drop(change: &mut Change, name: &str, force: bool) -> Result<(), Fault> {
    if [ADMIN, PUBLIC].contains(&name) {
        return Err(Fault::new(
            Code::NotPermitted,
            format!(
                "the role[{name}] is a default role, which can't be dropped: \
                 privilege not permitted"
            ),
        ));
    }
    let id = id(change, name).await?;
    if !force && change.txn.count(Table::Grants, Some(id)).await? > 0 {
        let text = "fail to drop the role that it has privileges. Use REVOKE API to revoke \
                    privileges";
        return Err(Fault::plain(text));
    }
    for row in change.txn.list_all(Table::Users).await? {
        let body: UserBody = from_json("user", row.id, &row.body)?;
        if body.roles.iter().any(|role| role == name) {
            let roles = body.roles.into_iter().filter(|role| role != name).collect();
            user::renew(change, row, &UserBody { roles, ..body }).await?;
        }
    }
    change.txn.end_owned(Table::Grants, id, change.at).await?;
    change.txn.end(Table::Roles, &[id], change.at).await?;
    change.touched = Some(None);
    Ok(())
}

/// Gives a role to a user, or takes it. What is so already stays so.
pub(super) async fn operate(
    change: &mut Change,
    user: &str,
    role: &str,
    add: bool,
) -> Result<(), Fault> {
    id(change, role).await?;
    let Some((row, mut body)) = user::find(change, user).await? else {
        return if add { Err(user::missing()) } else { Ok(()) };
    };
    let has = body.roles.iter().any(|r| r == role);
    if has == add {
        return Ok(());
    }
    match add {
        true => body.roles.push(role.to_owned()),
        false => body.roles.retain(|r| r != role),
    }
    user::renew(change, row, &body).await
}
