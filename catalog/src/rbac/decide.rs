//! The decision: whether some user may do something, by one state of the catalog.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::privilege::{self, ALL, ANY, ObjectType};
use super::{ADMIN, Access, Grant, PUBLIC, ROOT, Role};

/// What a request needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Need<'a> {
    /// Name of the privilege.
    pub privilege: &'a str,
    /// What it is about.
    pub object_type: ObjectType,
    /// The database that it is asked in.
    pub database: &'a str,
    /// The object; `*` for a request that names none, which only a grant on `*` allows.
    pub object: &'a str,
}

/// Where a grant allows something.
#[derive(Clone, Debug)]
struct Scope {
    database: String,
    object: String,
    /// The only type of objects; `None` for any.
    object_type: Option<ObjectType>,
}

impl Scope {
    fn of(grant: &Grant, object_type: Option<ObjectType>) -> Scope {
        Scope { database: grant.database.clone(), object: grant.object.clone(), object_type }
    }

    fn holds(&self, need: &Need<'_>) -> bool {
        (self.database == ANY || self.database == need.database)
            && (self.object == ANY || self.object == need.object)
            && self.object_type.is_none_or(|t| t == need.object_type)
    }
}

/// The grants of a role by privilege, groups taken apart.
#[derive(Clone, Debug, Default)]
pub(super) struct Scopes {
    by_privilege: HashMap<String, Vec<Scope>>,
    /// Of grants that hold every privilege.
    every: Vec<Scope>,
}

impl Scopes {
    pub(super) fn of(grants: &[Grant], groups: &BTreeMap<String, Vec<String>>) -> Scopes {
        let mut scopes = Scopes::default();
        for grant in grants {
            match grant.privilege.as_str() {
                ANY => scopes.every.push(Scope::of(grant, Some(grant.object_type))),
                ALL => scopes.every.push(Scope::of(grant, None)),
                name => {
                    for privilege in expand(name, groups) {
                        let list = scopes.by_privilege.entry(privilege.to_owned()).or_default();
                        list.push(Scope::of(grant, None));
                    }
                }
            }
        }
        scopes
    }

    fn allow(&self, need: &Need<'_>) -> bool {
        let named = self.by_privilege.get(need.privilege);
        self.every.iter().chain(named.into_iter().flatten()).any(|scope| scope.holds(need))
    }
}

/// The privileges that a name stands for: a group's, its groups' included, or its own; each with
/// those that it brings with it.
fn expand<'a>(name: &'a str, groups: &'a BTreeMap<String, Vec<String>>) -> BTreeSet<&'a str> {
    let mut found = BTreeSet::new();
    let mut seen = BTreeSet::from([name]);
    let mut todo = vec![name];
    while let Some(name) = todo.pop() {
        let members: Vec<&str> = match (groups.get(name), privilege::built_in(name)) {
            (Some(members), _) => members.iter().map(String::as_str).collect(),
            (None, Some(group)) => privilege::members(group),
            (None, None) => {
                found.insert(name);
                found.extend(privilege::related(name));
                continue;
            }
        };
        // Groups may hold groups, and so each other.
        todo.extend(members.into_iter().filter(|member| seen.insert(*member)));
    }
    found
}

impl Access {
    /// Whether a user may do something. Whoever is not there may do nothing.
    pub fn allows(&self, user: &str, need: &Need<'_>) -> bool {
        let Some(user) = self.user(user) else { return false };
        if self.is_super(&user.name) {
            return true;
        }
        // Everybody may read and change himself.
        if need.object_type == ObjectType::User && need.object == user.name {
            return true;
        }
        let roles = user.roles.iter().map(String::as_str).chain([PUBLIC]);
        roles.filter_map(|name| self.role(name)).any(|role| role.scopes.allow(need))
    }

    /// Whether a user may do everything.
    pub fn is_super(&self, user: &str) -> bool {
        user == ROOT || self.has_role(user, ADMIN)
    }

    /// Whether a list shows a database to a user, or a collection of it: some role that was given
    /// to him has a grant there. What everybody may do by `public` shows nothing.
    pub fn shows(&self, user: &str, database: &str, collection: Option<&str>) -> bool {
        if self.is_super(user) {
            return true;
        }
        let Some(user) = self.user(user) else { return false };
        let own = user.roles.iter().filter(|name| *name != PUBLIC);
        own.filter_map(|name| self.role(name)).any(|role| role.shows(database, collection))
    }
}

impl Role {
    fn shows(&self, database: &str, collection: Option<&str>) -> bool {
        self.grants.iter().any(|grant| {
            let here = grant.database == ANY || grant.database == database;
            here && collection.is_none_or(|name| grant.shows_collection(name))
        })
    }
}

impl Grant {
    /// Named, or one of all of those that the grant is about.
    fn shows_collection(&self, name: &str) -> bool {
        if self.object != ANY {
            return self.object == name && self.object_type != ObjectType::User;
        }
        match privilege::privilege(&self.privilege) {
            Some(p) if p.name == ALL || p.name == "ShowCollections" => true,
            Some(p) => p.level == Some(privilege::Level::Collection),
            // A group, or all privileges of a type.
            None => self.object_type != ObjectType::User,
        }
    }
}
