//! Grants.

use std::collections::BTreeMap;

use super::group::level;
use super::{Change, groups, role};
use crate::model::{Fault, limits};
use crate::rbac::Grant;
use crate::rbac::privilege::{ANY, Level, ObjectType, built_in, is_defined, privilege};
use crate::store::{At, Table};

/// Adds a grant to a role; the same again is harmless.
pub(super) async fn add(change: &mut Change, role: i64, grant: &Grant) -> Result<(), Fault> {
    let key = grant.key();
    if change.txn.find(Table::Grants, role, &key, At::Now).await?.is_some() {
        return Ok(());
    }
    if change.txn.count(Table::Grants, None).await? >= limits::GRANTS_MAX as u64 {
        let max = limits::GRANTS_MAX;
        return Err(Fault::plain(format!("the number of grants has reached the limit[{max}]")));
    }
    change.add_access(Table::Grants, role, &key, grant).await.map(|_| ())
}

/// Grants or revokes.
pub(super) async fn operate(
    change: &mut Change,
    role: &str,
    grant: Grant,
    newer: bool,
    add: bool,
) -> Result<(), Fault> {
    let role = role::id(change, role).await?;
    let groups = groups(&mut *change.txn).await?;
    let grant = if newer { checked_newer(grant, &groups)? } else { checked(grant, &groups)? };
    if add {
        return self::add(change, role, &grant).await;
    }
    let found = change.txn.find(Table::Grants, role, &grant.key(), At::Now).await?;
    if let Some(row) = found {
        change.txn.end(Table::Grants, &[row.id], change.at).await?;
        change.touched = Some(None);
    }
    Ok(())
}

/// The names of the types, in Milvus's words.
fn types() -> String {
    ObjectType::ALL.map(ObjectType::name).join(" ")
}

/// The older form: the privilege must be about the type of object that it names.
fn checked(grant: Grant, groups: &BTreeMap<String, Vec<String>>) -> Result<Grant, Fault> {
    let (name, object_type) = (grant.privilege.as_str(), grant.object_type);
    if name == ANY {
        return Ok(whole(grant));
    }
    if groups.contains_key(name) {
        return Err(Fault::plain(format!("can not operate the custom privilege group [{name}]")));
    }
    let found = match (privilege(name), built_in(name)) {
        (Some(privilege), _) => privilege.object_type == object_type,
        (None, Some(group)) if group.granted_on.is_none() => {
            let text = format!("can not operate the built-in privilege group [{name}]");
            return Err(Fault::plain(text));
        }
        (None, Some(group)) => group.granted_on == Some(object_type),
        (None, None) => false,
    };
    if !found {
        let object = object_type.name();
        let text = format!(
            "not found the privilege name[{name}] in object[{object}]; the objects are [{}]",
            types()
        );
        return Err(Fault::plain(text));
    }
    Ok(whole(grant))
}

/// What is global has no name, unless a group is granted.
fn whole(mut grant: Grant) -> Grant {
    if grant.object_type == ObjectType::Global && built_in(&grant.privilege).is_none() {
        grant.object = ANY.to_owned();
    }
    grant
}

/// The newer form: the privilege says what it is about, and the level of a group where it can be
/// granted.
fn checked_newer(mut grant: Grant, groups: &BTreeMap<String, Vec<String>>) -> Result<Grant, Fault> {
    let name = grant.privilege.as_str();
    grant.object_type = privilege(name).map_or(ObjectType::Global, |p| p.object_type);
    let custom = groups.get(name).is_some_and(|members| !members.is_empty());
    if name != ANY && !groups.contains_key(name) && !is_defined(name) {
        return Err(Fault::plain(format!("not found the privilege name[{name}]")));
    }
    if !custom && built_in(name).is_none_or(|group| group.granted_on.is_some()) {
        return Ok(grant);
    }
    let why = match level(name, groups) {
        None => return Err(Fault::plain("not found the privilege level")),
        Some(Level::Cluster) if grant.database != ANY || grant.object != ANY => {
            "dbName and collectionName should be * for the cluster level privilege"
        }
        Some(Level::Database) if grant.object != ANY => {
            "collectionName should be * for the database level privilege"
        }
        Some(Level::Collection) if grant.database == ANY && grant.object != ANY => {
            "please specify database name for the collection level privilege"
        }
        Some(_) => return Ok(grant),
    };
    Err(Fault::invalid(format!("{why}: {name}")))
}
