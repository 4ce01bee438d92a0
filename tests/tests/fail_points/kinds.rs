//! Every kind of change of metadata: what it needs, the request, and how it is taken back.
// tidy: table

use std::collections::HashMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use millstream_gateway::pb::common::{ConsistencyLevel, KeyValuePair};
use millstream_gateway::pb::schema::{CollectionSchema, DataType, FieldSchema};
use millstream_gateway::pb::{
    GrantEntity, GrantorEntity, ObjectEntity, OperatePrivilegeGroupType, OperatePrivilegeType,
    OperateUserRoleType, PrivilegeEntity, PrivilegeGroupInfo, RbacMeta, RoleEntity, UserEntity, rg,
};
use millstream_tests::rows::{
    field, int_key, longs, pair, plain_schema, schema, text_field, vector_field, vectors,
};
use prost::Message;

use crate::call::{Call, call};

/// Dimension of all vectors.
pub(crate) const DIM: usize = 4;
/// How names of groups of privileges begin that always exist.
pub(crate) const GROUPS_BUILT_IN: [&str; 3] = ["Cluster", "Database", "Collection"];
/// Rows of a collection that has some.
pub(crate) const ROWS: i64 = 20;

/// A kind of change.
#[derive(Clone, Debug)]
pub(crate) struct Kind {
    pub(crate) name: &'static str,
    /// Makes what the change needs.
    pub(crate) setup: Vec<Call>,
    pub(crate) change: Call,
    /// Takes the change and the setup back.
    pub(crate) undo: Vec<Call>,
    /// What the same request is told, once it was carried out, by a server that does not know it as
    /// the same; nothing when it is accepted again.
    pub(crate) again: Option<&'static str>,
    /// Whether a server knows the same request by its id. What has a password is noted nowhere.
    pub(crate) has_ids: bool,
}

fn kind(name: &'static str, setup: Vec<Call>, change: Call, undo: Vec<Call>) -> Kind {
    Kind { name, setup, change, undo, again: None, has_ids: true }
}

impl Kind {
    fn again(self, text: &'static str) -> Kind {
        Kind { again: Some(text), ..self }
    }

    fn without_ids(self) -> Kind {
        Kind { has_ids: false, ..self }
    }
}

fn s(text: &str) -> String {
    text.to_owned()
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<KeyValuePair> {
    pairs.iter().map(|(key, value)| pair(key, value)).collect()
}

fn create(
    schema: CollectionSchema,
    db_name: &str,
    shards_num: i32,
    props: &[(&str, &str)],
) -> Call {
    call!(create_collection CreateCollectionRequest {
        db_name: s(db_name),
        collection_name: schema.name.clone(),
        schema: schema.encode_to_vec().into(),
        shards_num,
        consistency_level: ConsistencyLevel::Strong.into(),
        properties: pairs(props),
    })
}

fn plain(name: &str) -> Call {
    create(plain_schema(name, DIM), "", 2, &[])
}

fn drop_in(db_name: &str, name: &str) -> Call {
    call!(drop_collection DropCollectionRequest { db_name: s(db_name), collection_name: s(name) })
}

fn drop(name: &str) -> Call {
    drop_in("", name)
}

fn index(name: &str, field: &str, index_name: &str, extra: &[(&str, &str)]) -> Call {
    call!(create_index CreateIndexRequest {
        collection_name: s(name),
        field_name: s(field),
        index_name: s(index_name),
        extra_params: pairs(extra),
    })
}

fn flat(name: &str) -> Call {
    index(name, "vector", "", &[("index_type", "FLAT"), ("metric_type", "L2")])
}

fn load(name: &str) -> Call {
    call!(load_collection LoadCollectionRequest { collection_name: s(name) })
}

fn release(name: &str) -> Call {
    call!(release_collection ReleaseCollectionRequest { collection_name: s(name) })
}

/// Rows from this key on.
pub(crate) fn insert(name: &str, partition: &str, first: i64) -> Call {
    let keys: Vec<i64> = (first..first + ROWS).collect();
    let flat: Vec<f32> = keys.iter().flat_map(|&key| [key as f32; DIM]).collect();
    call!(insert InsertRequest {
        collection_name: s(name),
        partition_name: s(partition),
        fields_data: vec![
            longs("id", keys.clone()),
            longs("value", keys.clone()),
            vectors("vector", DIM, &flat),
        ],
        num_rows: keys.len() as u32,
    })
}

/// A loaded collection with rows.
fn full(name: &str) -> Vec<Call> {
    vec![plain(name), flat(name), load(name), insert(name, "", 0)]
}

fn partition(name: &str, partition: &str) -> Call {
    call!(create_partition CreatePartitionRequest {
        collection_name: s(name),
        partition_name: s(partition),
    })
}

fn load_partition(name: &str, partition: &str) -> Call {
    call!(load_partitions LoadPartitionsRequest {
        collection_name: s(name),
        partition_names: vec![s(partition)],
    })
}

fn release_partition(name: &str, partition: &str) -> Call {
    call!(release_partitions ReleasePartitionsRequest {
        collection_name: s(name),
        partition_names: vec![s(partition)],
    })
}

fn database(name: &str) -> Call {
    let properties = pairs(&[("database.max.collections", "9")]);
    call!(create_database CreateDatabaseRequest { db_name: s(name), properties })
}

fn drop_database(name: &str) -> Call {
    call!(drop_database DropDatabaseRequest { db_name: s(name) })
}

fn databases() -> Vec<Kind> {
    let alter = call!(alter_database AlterDatabaseRequest {
        db_name: s("d"),
        properties: pairs(&[("database.max.collections", "7")]),
    });
    vec![
        kind("create a database", vec![], database("d"), vec![drop_database("d")])
            .again("already exist"),
        kind("alter a database", vec![database("d")], alter, vec![drop_database("d")]),
        kind("drop a database", vec![database("d")], drop_database("d"), vec![])
            .again("database not found"),
    ]
}

fn keyed() -> CollectionSchema {
    let key = FieldSchema { is_partition_key: true, ..field("tenant", DataType::Int64) };
    schema("k", vec![int_key(), key, text_field("text", 64), vector_field("vector", DIM)])
}

fn alter_collection(set: &[(&str, &str)], delete: &[&str]) -> Call {
    call!(alter_collection AlterCollectionRequest {
        collection_name: s("c"),
        properties: pairs(set),
        delete_keys: delete.iter().map(|key| s(key)).collect(),
    })
}

fn rename(db_name: &str, old_name: &str, new_db_name: &str, new_name: &str) -> Call {
    call!(rename_collection RenameCollectionRequest {
        db_name: s(db_name),
        old_name: s(old_name),
        new_db_name: s(new_db_name),
        new_name: s(new_name),
    })
}

fn collections() -> Vec<Kind> {
    let ttl = [("collection.ttl.seconds", "86400")];
    let texts = schema("t", vec![int_key(), text_field("text", 64), vector_field("vector", DIM)]);
    let alter_field = call!(alter_collection_field AlterCollectionFieldRequest {
        collection_name: s("t"),
        field_name: s("text"),
        properties: pairs(&[("max_length", "128")]),
    });
    let added = FieldSchema { nullable: true, ..field("added", DataType::Int64) };
    let add_field = call!(add_collection_field AddCollectionFieldRequest {
        collection_name: s("c"),
        schema: added.encode_to_vec().into(),
    });
    let truncate = call!(truncate_collection TruncateCollectionRequest { collection_name: s("c") });
    let moved = vec![rename("d", "e", "default", "c"), drop("c"), drop_database("d")];
    let mut before_move = full("c");
    before_move.push(database("d"));
    vec![
        kind("create a collection", vec![], plain("c"), vec![drop("c")]),
        kind(
            "create a collection with a lifetime",
            vec![],
            create(plain_schema("c", DIM), "", 3, &ttl),
            vec![drop("c")],
        ),
        kind(
            "create a collection with a partition key",
            vec![],
            create(keyed(), "", 1, &[]),
            vec![drop("k")],
        ),
        kind("drop a collection", full("c"), drop("c"), vec![]),
        kind("rename a collection", full("c"), rename("", "c", "", "e"), vec![drop("e")])
            .again("duplicated new collection name"),
        kind("move a collection", before_move, rename("", "c", "d", "e"), moved)
            .again("duplicated new collection name"),
        kind(
            "alter a collection",
            vec![plain("c")],
            alter_collection(&[("mmap.enabled", "true")], &[]),
            vec![drop("c")],
        ),
        kind("set a lifetime", full("c"), alter_collection(&ttl, &[]), vec![drop("c")]),
        kind(
            "take a lifetime away",
            vec![create(plain_schema("c", DIM), "", 2, &ttl)],
            alter_collection(&[], &["collection.ttl.seconds"]),
            vec![drop("c")],
        ),
        kind("alter a field", vec![create(texts, "", 1, &[])], alter_field, vec![drop("t")]),
        kind("add a field", full("c"), add_field, vec![drop("c")]).again("duplicate"),
        kind("truncate a collection", full("c"), truncate, vec![drop("c")]),
    ]
}

fn partitions() -> Vec<Kind> {
    let with = |more: Vec<Call>| -> Vec<Call> { full("c").into_iter().chain(more).collect() };
    let drop_partition = call!(drop_partition DropPartitionRequest {
        collection_name: s("c"),
        partition_name: s("p"),
    });
    let rows = vec![partition("c", "p"), insert("c", "p", 100), release_partition("c", "p")];
    let idle = vec![plain("c"), flat("c"), partition("c", "p"), insert("c", "p", 100)];
    vec![
        kind("create a partition", vec![plain("c")], partition("c", "p"), vec![drop("c")]),
        kind(
            "create a partition of a loaded collection",
            full("c"),
            partition("c", "p"),
            vec![drop("c")],
        ),
        kind("drop a partition", with(rows), drop_partition, vec![drop("c")]),
        kind("load a partition", idle, load_partition("c", "p"), vec![drop("c")]),
        kind(
            "release a partition",
            with(vec![partition("c", "p"), insert("c", "p", 100)]),
            release_partition("c", "p"),
            vec![drop("c")],
        ),
    ]
}

fn alias(name: &str) -> Call {
    call!(create_alias CreateAliasRequest { collection_name: s(name), alias: s("a") })
}

fn aliases() -> Vec<Kind> {
    let alter = call!(alter_alias AlterAliasRequest { collection_name: s("kept"), alias: s("a") });
    let drop_alias = call!(drop_alias DropAliasRequest { alias: s("a") });
    let undo = || vec![drop_alias.clone(), drop("c")];
    vec![
        kind("create an alias", vec![plain("c")], alias("c"), undo()),
        kind("alter an alias", vec![plain("c"), alias("c")], alter, undo()),
        kind("drop an alias", vec![plain("c"), alias("c")], drop_alias.clone(), vec![drop("c")]),
    ]
}

fn indexes() -> Vec<Kind> {
    let hnsw = [
        ("index_type", "HNSW"),
        ("metric_type", "COSINE"),
        ("params", "{\"M\":8,\"efConstruction\":40}"),
    ];
    let alter = call!(alter_index AlterIndexRequest {
        collection_name: s("c"),
        index_name: s("vector"),
        extra_params: pairs(&[("mmap.enabled", "true")]),
    });
    let named = call!(drop_index DropIndexRequest {
        collection_name: s("c"),
        index_name: s("vector"),
    });
    let all = call!(drop_index DropIndexRequest { collection_name: s("c") });
    let scalar = || index("c", "value", "sorted", &[("index_type", "STL_SORT")]);
    let undo = || vec![drop("c")];
    vec![
        kind("create an index", vec![plain("c")], index("c", "vector", "v", &hnsw), undo()),
        kind("create a scalar index", vec![plain("c"), flat("c")], scalar(), undo()),
        kind("alter an index", vec![plain("c"), flat("c")], alter, undo()),
        kind("drop an index", vec![plain("c"), flat("c"), scalar()], named, undo()),
        kind("drop all indexes", vec![plain("c"), flat("c"), scalar()], all, undo()),
    ]
}

fn loads() -> Vec<Kind> {
    let into = call!(load_collection LoadCollectionRequest {
        collection_name: s("c"),
        resource_groups: vec![s("g")],
    });
    let idle = || vec![plain("c"), flat("c"), insert("c", "", 0)];
    let mut grouped = idle();
    grouped.extend([group("g"), move_node("__default_resource_group", "g")]);
    vec![
        kind("load a collection", idle(), load("c"), vec![drop("c")]),
        kind("load a collection in a group", grouped, into, undo_group(vec![drop("c")])),
        kind("release a collection", full("c"), release("c"), vec![drop("c")]),
    ]
}

fn user(name: &str) -> Call {
    call!(create_credential CreateCredentialRequest {
        username: s(name),
        password: STANDARD.encode("secret-1"),
        description: s("somebody"),
    })
}

fn drop_user(name: &str) -> Call {
    call!(delete_credential DeleteCredentialRequest { username: s(name) })
}

fn role(name: &str) -> Call {
    let entity = RoleEntity { name: s(name), description: s("a role") };
    call!(create_role CreateRoleRequest { entity: Some(entity.clone()) })
}

fn drop_role(name: &str) -> Call {
    call!(drop_role DropRoleRequest { role_name: s(name), force_drop: true })
}

fn give_role(kind: OperateUserRoleType) -> Call {
    call!(operate_user_role OperateUserRoleRequest {
        username: s("u"),
        role_name: s("r"),
        r#type: kind.into(),
    })
}

fn grantor(privilege: &str) -> GrantorEntity {
    GrantorEntity {
        user: Some(UserEntity { name: s("root") }),
        privilege: Some(PrivilegeEntity { name: s(privilege) }),
    }
}

fn entity(role: &str) -> GrantEntity {
    GrantEntity {
        role: Some(RoleEntity { name: s(role), ..RoleEntity::default() }),
        object: Some(ObjectEntity { name: s("Collection") }),
        object_name: s("kept"),
        grantor: Some(grantor("Search")),
        db_name: s("default"),
    }
}

fn grant(kind: OperatePrivilegeType) -> Call {
    call!(operate_privilege OperatePrivilegeRequest {
        entity: Some(entity("r")),
        r#type: kind.into(),
    })
}

fn grant_v2(kind: OperatePrivilegeType) -> Call {
    call!(operate_privilege_v2 OperatePrivilegeV2Request {
        role: Some(RoleEntity { name: s("r"), ..RoleEntity::default() }),
        grantor: Some(grantor("CollectionReadOnly")),
        r#type: kind.into(),
        db_name: s("default"),
        collection_name: s("kept"),
    })
}

fn users() -> Vec<Kind> {
    let password = call!(update_credential UpdateCredentialRequest {
        username: s("u"),
        old_password: STANDARD.encode("secret-1"),
        new_password: STANDARD.encode("secret-2"),
        description: Some(s("somebody else")),
    });
    let words = call!(update_credential UpdateCredentialRequest {
        username: s("u"),
        description: Some(s("nobody")),
    });
    let both = || vec![user("u"), role("r")];
    let gone = || vec![drop_user("u"), drop_role("r")];
    let given = || vec![user("u"), role("r"), give_role(OperateUserRoleType::AddUserToRole)];
    vec![
        kind("create a user", vec![], user("u"), vec![drop_user("u")])
            .again("already exists")
            .without_ids(),
        kind("change a password", vec![user("u")], password, vec![drop_user("u")])
            .again("old password not correct")
            .without_ids(),
        kind("describe a user", vec![user("u")], words, vec![drop_user("u")]),
        kind("drop a user", given(), drop_user("u"), vec![drop_role("r")]),
        kind("give a role", both(), give_role(OperateUserRoleType::AddUserToRole), gone()),
        kind("take a role", given(), give_role(OperateUserRoleType::RemoveUserFromRole), gone()),
    ]
}

fn roles() -> Vec<Kind> {
    let alter = call!(alter_role AlterRoleRequest { role_name: s("r"), description: s("other") });
    let granted = || vec![role("r"), grant(OperatePrivilegeType::Grant)];
    let granted_v2 = || vec![role("r"), grant_v2(OperatePrivilegeType::Grant)];
    let mut used = granted();
    used.extend([user("u"), give_role(OperateUserRoleType::AddUserToRole)]);
    let gone = || vec![drop_role("r")];
    vec![
        kind("create a role", vec![], role("r"), gone()).again("already exist"),
        kind("alter a role", vec![role("r")], alter, gone()),
        kind("drop a role", used, drop_role("r"), vec![drop_user("u")]).again("not found the role"),
        kind("grant", vec![role("r")], grant(OperatePrivilegeType::Grant), gone()),
        kind("revoke", granted(), grant(OperatePrivilegeType::Revoke), gone()),
        kind("grant a group", vec![role("r")], grant_v2(OperatePrivilegeType::Grant), gone()),
        kind("revoke a group", granted_v2(), grant_v2(OperatePrivilegeType::Revoke), gone()),
    ]
}

fn change_group(kind: OperatePrivilegeGroupType) -> Call {
    let privileges = ["Search", "Query"].map(|name| PrivilegeEntity { name: s(name) });
    call!(operate_privilege_group OperatePrivilegeGroupRequest {
        group_name: s("readers"),
        privileges: privileges.to_vec(),
        r#type: kind.into(),
    })
}

fn privileges() -> Vec<Kind> {
    let create =
        call!(create_privilege_group CreatePrivilegeGroupRequest { group_name: s("readers") });
    let drop = call!(drop_privilege_group DropPrivilegeGroupRequest { group_name: s("readers") });
    let add = change_group(OperatePrivilegeGroupType::AddPrivilegesToGroup);
    let remove = change_group(OperatePrivilegeGroupType::RemovePrivilegesFromGroup);
    let restored = RbacMeta {
        users: Vec::new(),
        roles: vec![RoleEntity { name: s("r"), description: s("restored") }],
        grants: vec![entity("r")],
        privilege_groups: vec![PrivilegeGroupInfo {
            group_name: s("readers"),
            privileges: vec![PrivilegeEntity { name: s("Query") }],
        }],
    };
    let restore = call!(restore_rbac RestoreRbacMetaRequest { rbac_meta: Some(restored.clone()) });
    let gone = || vec![drop.clone()];
    let full = || vec![create.clone(), add.clone()];
    vec![
        kind("create a group of privileges", vec![], create.clone(), gone())
            .again("is defined by users"),
        kind("add privileges to a group", vec![create.clone()], add.clone(), gone()),
        kind("remove privileges from a group", full(), remove, gone()),
        kind("drop a group of privileges", full(), drop.clone(), vec![]),
        kind("restore roles", vec![], restore, vec![drop_role("r"), drop.clone()])
            .again("already exist"),
    ]
}

fn config(requests: i32, limits: i32) -> rg::ResourceGroupConfig {
    rg::ResourceGroupConfig {
        requests: Some(rg::ResourceGroupLimit { node_num: requests }),
        limits: Some(rg::ResourceGroupLimit { node_num: limits }),
        ..rg::ResourceGroupConfig::default()
    }
}

fn group(name: &str) -> Call {
    call!(create_resource_group CreateResourceGroupRequest { resource_group: s(name) })
}

fn update_group(name: &str, to: rg::ResourceGroupConfig) -> Call {
    let resource_groups = HashMap::from([(s(name), to)]);
    call!(update_resource_groups UpdateResourceGroupsRequest {
        resource_groups: resource_groups.clone(),
    })
}

fn drop_group(name: &str) -> Call {
    call!(drop_resource_group DropResourceGroupRequest { resource_group: s(name) })
}

fn move_node(from: &str, to: &str) -> Call {
    call!(transfer_node TransferNodeRequest {
        source_resource_group: s(from),
        target_resource_group: s(to),
        num_node: 1,
    })
}

fn move_replica() -> Call {
    call!(transfer_replica TransferReplicaRequest {
        source_resource_group: s("__default_resource_group"),
        target_resource_group: s("g"),
        collection_name: s("c"),
        num_replica: 1,
    })
}

fn undo_group(mut before: Vec<Call>) -> Vec<Call> {
    before.extend([update_group("g", config(0, 0)), drop_group("g")]);
    before
}

fn resource_groups() -> Vec<Kind> {
    let default = "__default_resource_group";
    let mut placed = full("c");
    placed.extend([group("g"), move_node(default, "g")]);
    vec![
        kind("create a resource group", vec![], group("g"), undo_group(vec![])),
        kind(
            "update a resource group",
            vec![group("g")],
            update_group("g", config(0, 3)),
            undo_group(vec![]),
        ),
        kind("drop a resource group", vec![group("g")], drop_group("g"), vec![]),
        kind("move a node", vec![group("g")], move_node(default, "g"), undo_group(vec![]))
            .again("node not enough"),
        kind("move a replica", placed, move_replica(), undo_group(vec![drop("c")]))
            .again("only found [0] replicas"),
    ]
}

/// All kinds.
pub(crate) fn kinds() -> Vec<Kind> {
    [
        databases(),
        collections(),
        partitions(),
        aliases(),
        indexes(),
        loads(),
        users(),
        roles(),
        privileges(),
        resource_groups(),
    ]
    .concat()
}

/// A collection that no change is about, with rows in files and rows that are not, and some ended.
pub(crate) fn kept() -> Vec<Call> {
    vec![
        plain("kept"),
        flat("kept"),
        load("kept"),
        insert("kept", "", 0),
        call!(delete DeleteRequest { collection_name: s("kept"), expr: s("id in [3, 4, 5]") }),
    ]
}
