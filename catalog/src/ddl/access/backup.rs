//! Backups of users, roles, grants and groups.

use std::collections::{BTreeMap, BTreeSet};

use super::{Change, grant, group, load, role, user};
use crate::model::Fault;
use crate::rbac::password::PasswordHash;
use crate::rbac::privilege::{ANY, is_defined};
use crate::rbac::{ADMIN, Access, Backup, PUBLIC, ROOT, SavedUser};
use crate::rules;

impl Access {
    /// Everything that is not there by default.
    pub fn backup(&self) -> Backup {
        let saved = |user: &crate::rbac::User| {
            let password: PasswordHash = user.password.clone()?;
            let (name, roles) = (user.name.clone(), user.roles.clone());
            Some(SavedUser { name, password, roles })
        };
        let users = self.users().filter(|user| user.name != ROOT);
        let own = |name: &str| name != ADMIN && name != PUBLIC;
        let roles = self.roles().filter(|(name, _)| own(name));
        let grants = self.roles().flat_map(|(name, role)| {
            role.grants.iter().map(move |grant| (name.to_owned(), grant.clone()))
        });
        Backup {
            users: users.filter_map(|user| saved(user)).collect(),
            roles: roles.map(|(name, r)| (name.to_owned(), r.description.clone())).collect(),
            grants: grants.collect(),
            groups: self.groups().map(|(n, p)| (n.to_owned(), p.to_vec())).collect(),
        }
    }
}

/// Makes everything of a backup, or nothing when something of it is there or has no ground.
pub(super) async fn restore(change: &mut Change, saved: Backup) -> Result<(), Fault> {
    check(&load(&mut *change.txn).await?, &saved)?;
    role::check_room(change, saved.roles.len()).await?;
    user::check_room(change, saved.users.len()).await?;
    for (name, description) in &saved.roles {
        role::add(change, name, description).await?;
    }
    for (name, privileges) in saved.groups {
        group::add(change, &name, privileges).await?;
    }
    let mut ids: BTreeMap<String, i64> = BTreeMap::new();
    for (role, grant) in &saved.grants {
        let id = match ids.get(role) {
            Some(id) => *id,
            None => {
                let id = role::id(change, role).await?;
                ids.insert(role.clone(), id);
                id
            }
        };
        grant::add(change, id, grant).await?;
    }
    for SavedUser { name, password, roles } in saved.users {
        user::add(change, &name, Some(password), roles, "").await?;
    }
    Ok(())
}

/// The names of a list, each once and none of `taken`.
fn fresh<'a>(
    what: &str,
    names: impl Iterator<Item = &'a str>,
    taken: impl Fn(&str) -> bool,
) -> Result<BTreeSet<&'a str>, Fault> {
    let mut seen = BTreeSet::new();
    for name in names {
        rules::check_name(what, name)?;
        if taken(name) || !seen.insert(name) {
            return Err(Fault::plain(format!("{what} [{name}] already exists")));
        }
    }
    Ok(seen)
}

fn check(there: &Access, saved: &Backup) -> Result<(), Fault> {
    let Backup { users, roles, grants, groups } = saved;
    if users.is_empty() && roles.is_empty() && grants.is_empty() && groups.is_empty() {
        return Err(Fault::plain("restore RBAC meta is empty"));
    }
    let names = roles.iter().map(|(name, _)| name.as_str());
    let new_roles = fresh("role", names, |name| there.role(name).is_some())?;
    let has_role = |name: &str| new_roles.contains(name) || there.role(name).is_some();
    let group_there = |name: &str| there.groups().any(|(group, _)| group == name);
    let names = groups.iter().map(|(name, _)| name.as_str());
    let taken = |name: &str| is_defined(name) || group_there(name);
    let new_groups = fresh("privilege group", names, taken)?;
    let defined = |name: &str| {
        name == ANY || is_defined(name) || new_groups.contains(name) || group_there(name)
    };
    let held = groups.iter().flat_map(|(_, privileges)| privileges);
    let granted = grants.iter().map(|(_, grant)| &grant.privilege);
    if let Some(name) = held.chain(granted).find(|name| !defined(name)) {
        return Err(Fault::plain(format!("privilege [{name}] does not exist")));
    }
    let names = users.iter().map(|user| user.name.as_str());
    fresh("user", names, |name| there.user(name).is_some())?;
    let given = users.iter().flat_map(|user| &user.roles);
    let holders = grants.iter().map(|(role, _)| role);
    if let Some(name) = given.chain(holders).find(|name| !has_role(name)) {
        return Err(Fault::plain(format!("role [{name}] does not exist")));
    }
    Ok(())
}
