//! Groups of privileges that clients define.

use std::collections::{BTreeMap, BTreeSet};

use super::super::rows::{from_json, to_json};
use super::{Change, GroupBody, groups};
use crate::model::{Fault, limits};
use crate::rbac::Grant;
use crate::rbac::privilege::{Level, built_in, is_defined, members, privilege};
use crate::rules;
use crate::store::{At, Row, Table};

/// The level of a privilege; of a group, that of its first privilege.
pub(super) fn level(name: &str, groups: &BTreeMap<String, Vec<String>>) -> Option<Level> {
    let mut name = name;
    let mut seen = BTreeSet::new();
    // Groups may hold each other.
    while seen.insert(name) {
        if let Some(group) = built_in(name) {
            return members(group).first().and_then(|first| privilege(first)?.level);
        }
        match groups.get(name) {
            None => return privilege(name)?.level,
            Some(members) => name = members.first()?,
        }
    }
    None
}

pub(super) async fn add(
    change: &mut Change,
    name: &str,
    privileges: Vec<String>,
) -> Result<(), Fault> {
    let body = GroupBody { privileges };
    change.add_access(Table::PrivilegeGroups, 0, name, &body).await.map(|_| ())
}

pub(super) async fn create(change: &mut Change, name: &str) -> Result<(), Fault> {
    rules::check_name("privilege group", name)?;
    if change.txn.find(Table::PrivilegeGroups, 0, name, At::Now).await?.is_some() {
        let text = format!("privilege group name [{name}] is defined by users");
        return Err(Fault::invalid(text));
    }
    if is_defined(name) {
        return Err(Fault::invalid(format!(
            "privilege group name [{name}] is defined by built in privileges or privilege groups \
             in system"
        )));
    }
    let max = limits::PRIVILEGE_GROUPS_MAX;
    if change.txn.count(Table::PrivilegeGroups, None).await? >= max as u64 {
        let text = format!("the number of privilege groups has reached the limit[{max}]");
        return Err(Fault::plain(text));
    }
    add(change, name, Vec::new()).await
}

/// Drops a group; one that is not there is gone, and those that always exist stay.
pub(super) async fn drop(change: &mut Change, name: &str) -> Result<(), Fault> {
    let found = change.txn.find(Table::PrivilegeGroups, 0, name, At::Now).await?;
    let Some(row) = found else { return Ok(()) };
    for held in change.txn.list_all(Table::Grants).await? {
        let grant: Grant = from_json("grant", held.id, &held.body)?;
        if grant.privilege == name {
            let role = change.txn.get(Table::Roles, held.owner, At::Now).await?;
            let role = role.map_or_else(String::new, |role| role.name);
            return Err(Fault::plain(format!(
                "privilege group [{name}] is used by role [{role}], Use REVOKE API to revoke it \
                 first"
            )));
        }
    }
    change.txn.end(Table::PrivilegeGroups, &[row.id], change.at).await?;
    change.touched = Some(None);
    Ok(())
}

pub(super) async fn alter(
    change: &mut Change,
    name: &str,
    privileges: Vec<String>,
    add: bool,
) -> Result<(), Fault> {
    let found = change.txn.find(Table::PrivilegeGroups, 0, name, At::Now).await?;
    let Some(row) = found else {
        let text =
            format!("there is no privilege group name [{name}] defined in system to operate");
        return Err(Fault::invalid(text));
    };
    if privileges.is_empty() {
        return Err(Fault::invalid("privileges is empty when alter the privilege group"));
    }
    let all = groups(&mut *change.txn).await?;
    let unknown = |p: &&String| !is_defined(p) && !all.contains_key(*p);
    if let Some(unknown) = privileges.iter().find(unknown) {
        return Err(Fault::invalid(format!(
            "there is no privilege name or privilege group name [{unknown}] defined in system to \
             operate"
        )));
    }
    let body: GroupBody = from_json("privilege group", row.id, &row.body)?;
    let asked: BTreeSet<String> = privileges.into_iter().collect();
    let mut held: BTreeSet<String> = body.privileges.into_iter().collect();
    let before = held.len();
    match add {
        true => {
            held.extend(asked);
            let levels: Vec<_> = held.iter().map(|p| level(p, &all)).collect();
            if levels.windows(2).any(|pair| pair[0] != pair[1]) {
                return Err(Fault::invalid("privileges are not the same privilege level"));
            }
        }
        false => held.retain(|p| !asked.contains(p)),
    }
    if held.len() != before {
        let body = to_json(&GroupBody { privileges: held.into_iter().collect() })?;
        change.renew(Table::PrivilegeGroups, Row { body, ..row }).await?;
        change.touched = Some(None);
    }
    Ok(())
}
