//! Privileges and the groups of them that always exist, as data.
//!
//! Names, object types and levels are Milvus's: clients send them, and backups hold them.

use serde::{Deserialize, Serialize};

/// What a privilege is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum ObjectType {
    /// A collection of a database.
    Collection,
    /// Something that is no single collection and no user.
    Global,
    /// A user.
    User,
}

impl ObjectType {
    /// All of them.
    pub const ALL: [ObjectType; 3] = [ObjectType::Global, ObjectType::User, ObjectType::Collection];

    /// The name that clients send.
    pub const fn name(self) -> &'static str {
        match self {
            ObjectType::Collection => "Collection",
            ObjectType::Global => "Global",
            ObjectType::User => "User",
        }
    }

    /// The type of a name.
    pub fn from_name(name: &str) -> Option<ObjectType> {
        ObjectType::ALL.into_iter().find(|t| t.name() == name)
    }
}

/// How far a privilege reaches. The privileges of a group have one level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// The whole cluster: granted on every database.
    Cluster,
    /// A database: granted on all its collections.
    Database,
    /// A collection.
    Collection,
}

/// A privilege.
#[derive(Clone, Copy, Debug)]
pub struct Privilege {
    /// Its name.
    pub name: &'static str,
    /// What it is about.
    pub object_type: ObjectType,
    /// How far it reaches; `None` for one that holds others.
    pub level: Option<Level>,
}

/// Stands for any name: of a database, an object, or a privilege.
pub const ANY: &str = "*";
/// The privilege that holds all others.
pub const ALL: &str = "All";

const fn of_collection(name: &'static str) -> Privilege {
    Privilege { name, object_type: ObjectType::Collection, level: Some(Level::Collection) }
}

const fn global(name: &'static str, level: Level) -> Privilege {
    Privilege { name, object_type: ObjectType::Global, level: Some(level) }
}

const fn of_user(name: &'static str) -> Privilege {
    Privilege { name, object_type: ObjectType::User, level: Some(Level::Cluster) }
}

/// Every privilege.
pub const PRIVILEGES: &[Privilege] = &[
    Privilege { name: ALL, object_type: ObjectType::Global, level: None },
    of_collection("Load"),
    of_collection("Release"),
    of_collection("Compaction"),
    of_collection("Insert"),
    of_collection("Delete"),
    of_collection("Upsert"),
    of_collection("GetStatistics"),
    of_collection("CreateIndex"),
    of_collection("IndexDetail"),
    of_collection("DropIndex"),
    of_collection("Search"),
    of_collection("Flush"),
    of_collection("Query"),
    of_collection("LoadBalance"),
    of_collection("Import"),
    of_collection("GetLoadingProgress"),
    of_collection("GetLoadState"),
    of_collection("CreatePartition"),
    of_collection("DropPartition"),
    of_collection("ShowPartitions"),
    of_collection("HasPartition"),
    of_collection("GetFlushState"),
    of_collection("AddCollectionField"),
    global("DescribeCollection", Level::Collection),
    global("CreateAlias", Level::Collection),
    global("DropAlias", Level::Collection),
    global("DescribeAlias", Level::Collection),
    global("ListAliases", Level::Collection),
    global("GetImportProgress", Level::Collection),
    global("ListImport", Level::Collection),
    global("CreateCollection", Level::Database),
    global("DropCollection", Level::Database),
    global("ShowCollections", Level::Database),
    global("AlterDatabase", Level::Database),
    global("DescribeDatabase", Level::Database),
    global("RenameCollection", Level::Cluster),
    global("CreateDatabase", Level::Cluster),
    global("DropDatabase", Level::Cluster),
    global("ListDatabases", Level::Cluster),
    global("FlushAll", Level::Cluster),
    global("CreateOwnership", Level::Cluster),
    global("DropOwnership", Level::Cluster),
    global("SelectOwnership", Level::Cluster),
    global("ManageOwnership", Level::Cluster),
    global("BackupRBAC", Level::Cluster),
    global("RestoreRBAC", Level::Cluster),
    global("CreateResourceGroup", Level::Cluster),
    global("UpdateResourceGroups", Level::Cluster),
    global("DropResourceGroup", Level::Cluster),
    global("DescribeResourceGroup", Level::Cluster),
    global("ListResourceGroups", Level::Cluster),
    global("TransferReplica", Level::Cluster),
    global("TransferNode", Level::Cluster),
    global("CreatePrivilegeGroup", Level::Cluster),
    global("DropPrivilegeGroup", Level::Cluster),
    global("ListPrivilegeGroups", Level::Cluster),
    global("OperatePrivilegeGroup", Level::Cluster),
    of_user("UpdateUser"),
    of_user("SelectUser"),
];

/// A privilege by name.
pub fn privilege(name: &str) -> Option<&'static Privilege> {
    PRIVILEGES.iter().find(|p| p.name == name)
}

/// Privileges that another one brings with it.
pub const fn related(name: &str) -> &'static [&'static str] {
    match name.as_bytes() {
        b"Load" => &["GetLoadState", "GetLoadingProgress"],
        b"Flush" => &["GetFlushState"],
        _ => &[],
    }
}

/// A group that always exists: what it adds to the one it is built on.
#[derive(Clone, Copy, Debug)]
pub struct BuiltIn {
    /// Its name.
    pub name: &'static str,
    /// The group whose privileges it has too.
    pub base: Option<&'static str>,
    /// The privileges that it adds.
    pub adds: &'static [&'static str],
    /// The object type that an older grant of it names; `None` when only newer grants can.
    pub granted_on: Option<ObjectType>,
}

const READ: &[&str] = &[
    "Query",
    "Search",
    "IndexDetail",
    "GetFlushState",
    "GetLoadState",
    "GetLoadingProgress",
    "HasPartition",
    "ShowPartitions",
    "DescribeCollection",
    "DescribeAlias",
    "GetStatistics",
    "ListAliases",
];

const WRITE: &[&str] = &[
    "Load",
    "Release",
    "Insert",
    "Delete",
    "Upsert",
    "Import",
    "Flush",
    "Compaction",
    "LoadBalance",
    "CreateIndex",
    "DropIndex",
    "CreatePartition",
    "DropPartition",
];

const fn newer(
    name: &'static str,
    base: Option<&'static str>,
    adds: &'static [&'static str],
) -> BuiltIn {
    BuiltIn { name, base, adds, granted_on: None }
}

/// Every group that always exists: nine of newer grants, which [`listed`] names, then three of
/// older ones.
pub const GROUPS: &[BuiltIn] = &[
    newer(
        "ClusterReadOnly",
        None,
        &[
            "ListDatabases",
            "SelectOwnership",
            "SelectUser",
            "DescribeResourceGroup",
            "ListResourceGroups",
            "ListPrivilegeGroups",
        ],
    ),
    newer(
        "ClusterReadWrite",
        Some("ClusterReadOnly"),
        &["FlushAll", "TransferNode", "TransferReplica", "UpdateResourceGroups"],
    ),
    newer(
        "ClusterAdmin",
        Some("ClusterReadWrite"),
        &[
            "BackupRBAC",
            "RestoreRBAC",
            "CreateDatabase",
            "DropDatabase",
            "CreateOwnership",
            "DropOwnership",
            "ManageOwnership",
            "CreateResourceGroup",
            "DropResourceGroup",
            "UpdateUser",
            "RenameCollection",
            "CreatePrivilegeGroup",
            "DropPrivilegeGroup",
            "OperatePrivilegeGroup",
        ],
    ),
    newer("DatabaseReadOnly", None, &["ShowCollections", "DescribeDatabase"]),
    newer("DatabaseReadWrite", Some("DatabaseReadOnly"), &["AlterDatabase"]),
    newer("DatabaseAdmin", Some("DatabaseReadWrite"), &["CreateCollection", "DropCollection"]),
    newer("CollectionReadOnly", None, READ),
    newer("CollectionReadWrite", Some("CollectionReadOnly"), WRITE),
    newer(
        "CollectionAdmin",
        Some("CollectionReadWrite"),
        &["CreateAlias", "DropAlias", "AddCollectionField"],
    ),
    BuiltIn {
        name: "ReadOnly",
        base: Some("CollectionReadOnly"),
        adds: &["ShowCollections", "ListDatabases", "DescribeDatabase"],
        granted_on: Some(ObjectType::Collection),
    },
    BuiltIn {
        name: "ReadWrite",
        base: Some("ReadOnly"),
        adds: &[
            "Load",
            "Release",
            "Insert",
            "Delete",
            "Upsert",
            "Import",
            "Flush",
            "Compaction",
            "LoadBalance",
            "CreateIndex",
            "DropIndex",
            "CreatePartition",
            "DropPartition",
            "RenameCollection",
            "CreateAlias",
            "DropAlias",
        ],
        granted_on: Some(ObjectType::Collection),
    },
    BuiltIn {
        name: "Admin",
        base: Some("ReadWrite"),
        adds: &[
            "CreateCollection",
            "DropCollection",
            "CreateOwnership",
            "DropOwnership",
            "SelectOwnership",
            "ManageOwnership",
            "SelectUser",
            "UpdateUser",
            "BackupRBAC",
            "RestoreRBAC",
            "CreateResourceGroup",
            "UpdateResourceGroups",
            "DropResourceGroup",
            "DescribeResourceGroup",
            "ListResourceGroups",
            "TransferReplica",
            "TransferNode",
            "CreateDatabase",
            "DropDatabase",
            "AlterDatabase",
        ],
        granted_on: Some(ObjectType::Global),
    },
];

/// A group that always exists, by name.
pub fn built_in(name: &str) -> Option<&'static BuiltIn> {
    GROUPS.iter().find(|g| g.name == name)
}

/// The groups that lists of groups begin with.
pub fn listed() -> impl Iterator<Item = &'static BuiltIn> {
    GROUPS.iter().filter(|g| g.granted_on.is_none())
}

/// The privileges of a group that always exists, those of its base first.
pub fn members(group: &BuiltIn) -> Vec<&'static str> {
    let mut all = group.base.and_then(built_in).map(members).unwrap_or_default();
    all.extend(group.adds);
    all
}

/// Whether a name is a privilege or a group that always exists, so that no other group can have it.
pub fn is_defined(name: &str) -> bool {
    privilege(name).is_some() || built_in(name).is_some()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    /// A group that held something undefined would silently grant nothing.
    #[test]
    fn every_member_of_a_group_is_a_privilege_and_every_name_is_unique() {
        let mut names = HashSet::new();
        for name in PRIVILEGES.iter().map(|p| p.name).chain(GROUPS.iter().map(|g| g.name)) {
            assert!(names.insert(name), "{name} twice");
        }
        for group in GROUPS {
            let all = members(group);
            let unique: HashSet<_> = all.iter().collect();
            assert_eq!(unique.len(), all.len(), "{} holds one twice", group.name);
            assert!(all.iter().all(|name| privilege(name).is_some()), "{}", group.name);
            assert!(group.base.is_none_or(|base| built_in(base).is_some()));
        }
    }

    #[test]
    fn a_listed_group_has_the_level_of_its_name() {
        for group in listed() {
            let level = match group.name {
                name if name.starts_with("Cluster") => Level::Cluster,
                name if name.starts_with("Database") => Level::Database,
                _ => Level::Collection,
            };
            for name in members(group) {
                assert_eq!(privilege(name).unwrap().level, Some(level), "{name}");
            }
        }
    }

    #[test]
    fn loading_and_flushing_bring_the_right_to_watch_them() {
        assert_eq!(related("Load"), ["GetLoadState", "GetLoadingProgress"]);
        assert!(related("Insert").is_empty());
        assert!(PRIVILEGES.iter().flat_map(|p| related(p.name)).all(|r| privilege(r).is_some()));
    }
}
