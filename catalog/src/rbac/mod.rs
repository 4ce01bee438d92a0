//! Users, roles and what they may do.
//!
//! A **user** has a password and roles. A **role** has grants. A **grant** is a privilege, or a
//! group of privileges, on an object: a database and a name in it, each of which may be `*`.
//! Everybody has the role `public` as well. Whoever has the role `admin`, and the user `root`,
//! may do everything.
//!
//! A worked example: the role `reader` has the grant `(CollectionReadOnly, db = shop,
//! object = items)`. Its user may search `items` of the database `shop`. It may not insert there
//! (no grant has `Insert`), nor search `items` of another database (the grant names one), nor
//! search `orders` (it names the other). With the object `*` it could search all of `shop`.
//!
//! **Invariant.** What no grant allows is denied. Decisions ([`Access::allows`]) are pure: they see
//! one state of the catalog, and nothing else.
//!
//! **Invariant.** The hash of a password leaves the catalog only in a backup, and the hash of one
//! that was changed is nowhere any more.
//!
//! **Absent on purpose.** No RPC and no request: who asks says which privilege he needs, on what.

mod decide;
pub mod password;
pub mod privilege;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::model::{Fault, Timestamp};
pub use decide::Need;
use decide::Scopes;
use password::PasswordHash;
use privilege::ObjectType;

/// The user that may do everything; it cannot be dropped.
pub const ROOT: &str = "root";
/// The password of `root` until it is changed.
pub const ROOT_PASSWORD: &str = "Milvus";
/// The role that may do everything; it cannot be dropped.
pub const ADMIN: &str = "admin";
/// The role that everybody has; it cannot be dropped.
pub const PUBLIC: &str = "public";

/// A user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// Name.
    pub name: String,
    /// The hash of the password. Only `root` can be without one: then its password is
    /// [`ROOT_PASSWORD`].
    pub password: Option<PasswordHash>,
    /// Names of the roles that were given to it; `public` is not among them, unless it was.
    pub roles: Vec<String>,
    /// What it is for, in the words of who made it.
    pub description: String,
    /// The change that made this state of the user: another one has another password, perhaps.
    pub stamp: Timestamp,
}

/// A privilege, or a group of them, on something.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Grant {
    /// The database; may be `*`.
    pub database: String,
    /// What the privilege is about.
    pub object_type: ObjectType,
    /// Name of the object; may be `*`.
    pub object: String,
    /// Name of the privilege or group; may be `*`: all privileges about this type of object.
    pub privilege: String,
    /// Who granted it.
    pub grantor: String,
}

impl Grant {
    /// What makes it one grant: the same given twice, by whomever, is one.
    pub fn key(&self) -> String {
        let Grant { database, object_type, object, privilege, .. } = self;
        serde_json::json!([database, object_type.name(), object, privilege]).to_string()
    }
}

/// A role.
#[derive(Clone, Debug)]
pub struct Role {
    /// What it is for, in the words of who made it.
    pub description: String,
    /// What it may do.
    pub grants: Vec<Grant>,
    scopes: Scopes,
}

/// Everybody and everything that may be done, at one moment.
#[derive(Clone, Debug, Default)]
pub struct Access {
    /// Counts the changes of users, roles, grants and groups.
    pub version: i64,
    users: BTreeMap<String, Arc<User>>,
    roles: BTreeMap<String, Role>,
    groups: BTreeMap<String, Vec<String>>,
}

impl Access {
    /// The state of some parts. `roles` are names with descriptions and grants; `groups` are the
    /// custom ones with their privileges.
    pub fn new(
        version: i64,
        users: Vec<User>,
        roles: Vec<(String, String, Vec<Grant>)>,
        groups: BTreeMap<String, Vec<String>>,
    ) -> Access {
        let users = users.into_iter().map(|user| (user.name.clone(), Arc::new(user))).collect();
        let role = |(name, description, grants): (String, String, Vec<Grant>)| {
            let scopes = Scopes::of(&grants, &groups);
            (name, Role { description, grants, scopes })
        };
        let roles = roles.into_iter().map(role).collect();
        Access { version, users, roles, groups }
    }

    /// All users by name.
    pub fn users(&self) -> impl Iterator<Item = &Arc<User>> {
        self.users.values()
    }

    /// A user.
    pub fn user(&self, name: &str) -> Option<&Arc<User>> {
        self.users.get(name)
    }

    /// All roles by name.
    pub fn roles(&self) -> impl Iterator<Item = (&str, &Role)> {
        self.roles.iter().map(|(name, role)| (name.as_str(), role))
    }

    /// A role.
    pub fn role(&self, name: &str) -> Option<&Role> {
        self.roles.get(name)
    }

    /// The custom groups with their privileges, by name.
    pub fn groups(&self) -> impl Iterator<Item = (&str, &[String])> {
        self.groups.iter().map(|(name, privileges)| (name.as_str(), privileges.as_slice()))
    }

    /// The users that a role was given to.
    pub fn users_of<'a>(&'a self, role: &'a str) -> impl Iterator<Item = &'a Arc<User>> {
        self.users().filter(move |user| user.roles.iter().any(|r| r == role))
    }

    /// Whether a user has a role; everybody has `public`.
    pub fn has_role(&self, user: &str, role: &str) -> bool {
        role == PUBLIC || self.user(user).is_some_and(|u| u.roles.iter().any(|r| r == role))
    }
}

/// A user in a backup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SavedUser {
    /// Name.
    pub name: String,
    /// The hash of the password.
    pub password: PasswordHash,
    /// Names of its roles.
    pub roles: Vec<String>,
}

/// Everything that is not there by default, to be made again elsewhere.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Backup {
    /// Users but `root`.
    pub users: Vec<SavedUser>,
    /// Roles with descriptions, but `admin` and `public`.
    pub roles: Vec<(String, String)>,
    /// Grants with the names of their roles.
    pub grants: Vec<(String, Grant)>,
    /// Custom groups and their privileges.
    pub groups: Vec<(String, Vec<String>)>,
}

/// One change of who may do what.
#[derive(Clone, Debug)]
pub enum AccessChange {
    /// A new user.
    UserCreate {
        /// Its name.
        name: String,
        /// The hash of its password.
        password: PasswordHash,
        /// What it is for.
        description: String,
    },
    /// Another password of a user, or another description.
    UserUpdate {
        /// Its name.
        name: String,
        /// The hash of the new password, if it changes.
        password: Option<PasswordHash>,
        /// The new description, if it changes.
        description: Option<String>,
    },
    /// The same password in a hash of the present cost. Harmless when the user changed since.
    UserRehash {
        /// Its name.
        name: String,
        /// The state of the user whose password was verified.
        stamp: Timestamp,
        /// The hash.
        password: PasswordHash,
    },
    /// A user goes; one that is not there is gone.
    UserDrop {
        /// Its name.
        name: String,
    },
    /// A new role.
    RoleCreate {
        /// Its name.
        name: String,
        /// What it is for.
        description: String,
    },
    /// Another description of a role.
    RoleAlter {
        /// Its name.
        name: String,
        /// What it is for.
        description: String,
    },
    /// A role goes, and with `force` its grants.
    RoleDrop {
        /// Its name.
        name: String,
        /// Whether it may have grants.
        force: bool,
    },
    /// A role is given to a user, or taken.
    UserRole {
        /// The user.
        user: String,
        /// The role.
        role: String,
        /// Given rather than taken.
        add: bool,
    },
    /// A role gets a grant, or loses it.
    Grant {
        /// The role.
        role: String,
        /// The grant.
        grant: Grant,
        /// Granted in the newer form, which knows groups and has rules for their levels.
        newer: bool,
        /// Granted rather than revoked.
        add: bool,
    },
    /// A new, empty group of privileges.
    GroupCreate {
        /// Its name.
        name: String,
    },
    /// A group of privileges goes.
    GroupDrop {
        /// Its name.
        name: String,
    },
    /// A group gets privileges, or loses them.
    GroupAlter {
        /// Its name.
        name: String,
        /// The privileges.
        privileges: Vec<String>,
        /// Gets rather than loses.
        add: bool,
    },
    /// Everything of a backup, or nothing.
    Restore(Backup),
}

/// Who may do what, kept.
#[async_trait]
pub trait AccessControl: Send + Sync {
    /// All of it.
    async fn access_get(&self) -> Result<Access, Fault>;
    /// Counts its changes: while this stays, so does all of it. Cheap.
    async fn access_version(&self) -> Result<i64, Fault>;
    /// Makes one change, as one serialized, durable transaction. Watchers are told of `None`.
    async fn access_change(&self, change: AccessChange) -> Result<(), Fault>;
}
