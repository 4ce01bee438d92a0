//! Users, roles, grants and groups: each change of them is one transaction.

mod backup;
mod grant;
mod group;
mod role;
#[cfg(test)]
mod tests;
mod user;

use std::collections::{BTreeMap, HashMap};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::rows::from_json;
use super::{Change, StoredCatalog};
use crate::model::{Fault, Timestamp};
use crate::rbac::password::PasswordHash;
use crate::rbac::privilege::{ANY, ObjectType};
use crate::rbac::{ADMIN, Access, AccessChange, AccessControl, Grant, PUBLIC, ROOT, User};
use crate::store::{Counter, RowState, Table, Txn};

/// What a user's row holds as JSON.
#[derive(Serialize, Deserialize)]
struct UserBody {
    password: Option<PasswordHash>,
    roles: Vec<String>,
    #[serde(default)]
    description: String,
    created: Timestamp,
}

/// What a role's row holds as JSON.
#[derive(Serialize, Deserialize)]
struct RoleBody {
    #[serde(default)]
    description: String,
    created: Timestamp,
}

/// What a group's row holds as JSON.
#[derive(Serialize, Deserialize)]
struct GroupBody {
    privileges: Vec<String>,
}

/// What everybody may do until `root` revokes it: describe collections and their indexes.
const OF_PUBLIC: [(ObjectType, &str); 3] = [
    (ObjectType::Global, "DescribeCollection"),
    (ObjectType::Global, "ListAliases"),
    (ObjectType::Collection, "IndexDetail"),
];

#[async_trait]
impl AccessControl for StoredCatalog {
    async fn access_get(&self) -> Result<Access, Fault> {
        load(&mut *self.store.read().await?).await
    }

    async fn access_version(&self) -> Result<i64, Fault> {
        self.store.read().await?.counter_get(Counter::Access).await
    }

    async fn access_change(&self, wanted: AccessChange) -> Result<(), Fault> {
        let mut change = self.change().await?;
        make(&mut change, wanted).await?;
        if change.touched.is_some() {
            change.txn.count_up(Counter::Access, 1).await?;
        }
        self.commit(change).await
    }
}

impl StoredCatalog {
    /// Makes what is there by default, unless it was made before.
    pub(super) async fn access_start(&self) -> Result<(), Fault> {
        if self.store.read().await?.count(Table::Roles, None).await? > 0 {
            return Ok(());
        }
        let mut change = self.change().await?;
        role::add(&mut change, ADMIN, "").await?;
        let public = role::add(&mut change, PUBLIC, "").await?;
        for (object_type, privilege) in OF_PUBLIC {
            let grant = Grant {
                database: ANY.to_owned(),
                object_type,
                object: ANY.to_owned(),
                privilege: privilege.to_owned(),
                grantor: ROOT.to_owned(),
            };
            grant::add(&mut change, public, &grant).await?;
        }
        user::add(&mut change, ROOT, None, vec![ADMIN.to_owned()], "").await?;
        change.txn.count_up(Counter::Access, 1).await?;
        self.commit(change).await
    }
}

async fn make(change: &mut Change, wanted: AccessChange) -> Result<(), Fault> {
    match wanted {
        AccessChange::UserCreate { name, password, description } => {
            user::create(change, &name, password, &description).await
        }
        AccessChange::UserUpdate { name, password, description } => {
            user::update(change, &name, password, description).await
        }
        AccessChange::UserRehash { name, stamp, password } => {
            user::rehash(change, &name, stamp, password).await
        }
        AccessChange::UserDrop { name } => user::drop(change, &name).await,
        AccessChange::RoleCreate { name, description } => {
            role::create(change, &name, &description).await
        }
        AccessChange::RoleAlter { name, description } => {
            role::alter(change, &name, description).await
        }
        AccessChange::RoleDrop { name, force } => role::drop(change, &name, force).await,
        AccessChange::UserRole { user, role, add } => {
            role::operate(change, &user, &role, add).await
        }
        AccessChange::Grant { role, grant, newer, add } => {
            grant::operate(change, &role, grant, newer, add).await
        }
        AccessChange::GroupCreate { name } => group::create(change, &name).await,
        AccessChange::GroupDrop { name } => group::drop(change, &name).await,
        AccessChange::GroupAlter { name, privileges, add } => {
            group::alter(change, &name, privileges, add).await
        }
        AccessChange::Restore(saved) => backup::restore(change, saved).await,
    }
}

/// Everything, as it is now.
async fn load(txn: &mut dyn Txn) -> Result<Access, Fault> {
    let version = txn.counter_get(Counter::Access).await?;
    let mut users = Vec::new();
    for row in txn.list_all(Table::Users).await? {
        let body: UserBody = from_json("user", row.id, &row.body)?;
        let UserBody { password, roles, description, .. } = body;
        users.push(User { name: row.name, password, roles, description, stamp: row.from });
    }
    let mut grants: HashMap<i64, Vec<Grant>> = HashMap::new();
    for row in txn.list_all(Table::Grants).await? {
        let grant: Grant = from_json("grant", row.id, &row.body)?;
        grants.entry(row.owner).or_default().push(grant);
    }
    let mut roles = Vec::new();
    for row in txn.list_all(Table::Roles).await? {
        let body: RoleBody = from_json("role", row.id, &row.body)?;
        let mine = grants.remove(&row.id).unwrap_or_default();
        roles.push((row.name, body.description, mine));
    }
    Ok(Access::new(version, users, roles, groups(txn).await?))
}

/// The custom groups and their privileges.
async fn groups(txn: &mut dyn Txn) -> Result<BTreeMap<String, Vec<String>>, Fault> {
    let mut groups = BTreeMap::new();
    for row in txn.list_all(Table::PrivilegeGroups).await? {
        let body: GroupBody = from_json("privilege group", row.id, &row.body)?;
        groups.insert(row.name, body.privileges);
    }
    Ok(groups)
}

impl Change {
    /// Adds a row of who may do what, and returns its id.
    async fn add_access(
        &mut self,
        table: Table,
        owner: i64,
        name: &str,
        body: &(impl Serialize + Sync),
    ) -> Result<i64, Fault> {
        let id = self.id().await?;
        self.add(table, (id, owner), name, RowState::Current, body).await?;
        self.touched = Some(None);
        Ok(id)
    }
}
