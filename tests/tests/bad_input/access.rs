//! Wrong users, passwords, roles, grants, groups of privileges and resource groups.
// tidy: table

use std::collections::HashMap;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use millstream_gateway::pb::rg::{ResourceGroupConfig, ResourceGroupLimit, ResourceGroupTransfer};
use millstream_gateway::pb::{
    AlterRoleRequest, CreateCredentialRequest, CreatePrivilegeGroupRequest,
    CreateResourceGroupRequest, CreateRoleRequest, DeleteCredentialRequest,
    DescribeResourceGroupRequest, DropResourceGroupRequest, DropRoleRequest, GrantEntity,
    GrantorEntity, ListCredUsersRequest, ObjectEntity, OperatePrivilegeGroupRequest,
    OperatePrivilegeRequest, OperatePrivilegeV2Request, OperateUserRoleRequest, PrivilegeEntity,
    PrivilegeGroupInfo, RbacMeta, RestoreRbacMetaRequest, RoleEntity, SelectGrantRequest,
    TransferNodeRequest, TransferReplicaRequest, UpdateCredentialRequest,
    UpdateResourceGroupsRequest, UserInfo,
};
use millstream_tests::client::{Client, message};

use super::send::send;
use super::{Case, INVALID, PLAIN, Request, case};

fn own(name: &str) -> String {
    name.to_owned()
}

fn named(name: &str) -> Option<RoleEntity> {
    Some(RoleEntity { name: own(name), ..RoleEntity::default() })
}

fn user(name: &str, password: &str) -> Request {
    CreateCredentialRequest {
        username: own(name),
        password: STANDARD.encode(password),
        ..CreateCredentialRequest::default()
    }
    .into()
}

fn role(name: &str) -> Request {
    CreateRoleRequest { entity: named(name), ..CreateRoleRequest::default() }.into()
}

fn group(name: &str) -> Request {
    CreatePrivilegeGroupRequest { group_name: own(name), ..CreatePrivilegeGroupRequest::default() }
        .into()
}

fn give(user: &str, role: &str, kind: i32) -> Request {
    OperateUserRoleRequest {
        username: own(user),
        role_name: own(role),
        r#type: kind,
        ..OperateUserRoleRequest::default()
    }
    .into()
}

/// Makes the user `u`, the role `r` with one grant, the group `g`, and the resource group `rg`.
pub(crate) async fn prepare(client: &Client) {
    for request in [user("u", "secret-u"), role("r"), group("g"), group("h")] {
        send(client, request).await.expect("made");
    }
    // With `admin`, `public` and `r` there are as many as there can be.
    for number in 3..10 {
        send(client, role(&format!("r{number}"))).await.expect("a role");
    }
    let insert = older("r", "Collection", "c", "Insert", 0);
    send(client, insert).await.expect("a grant");
    send(client, fill("g", &["Search"], 0)).await.expect("a privilege");
    send(client, resource("rg", Some((0, 0)))).await.expect("a resource group");
}

/// Nothing of the refused changes can be seen.
pub(crate) async fn expect_nothing_changed(client: &Client) {
    let list = ListCredUsersRequest::default();
    let users = message(client.rpc().list_cred_users(list).await).expect("users");
    assert_eq!(users.usernames, ["root", "u"]);
    let list = millstream_gateway::pb::SelectRoleRequest::default();
    let roles = message(client.rpc().select_role(list).await).expect("roles").results;
    let roles: Vec<String> = roles.into_iter().filter_map(|r| Some(r.role?.name)).collect();
    assert_eq!(roles, ["admin", "public", "r", "r3", "r4", "r5", "r6", "r7", "r8", "r9"]);
    let list = millstream_gateway::pb::ListResourceGroupsRequest::default();
    let groups = message(client.rpc().list_resource_groups(list).await).expect("groups");
    assert_eq!(groups.resource_groups, ["__default_resource_group", "rg"]);
}

pub(crate) fn cases() -> Vec<Case> {
    let families: [fn() -> Vec<Case>; 6] =
        [users, passwords, roles, grants, groups_of_privileges, resource_groups];
    families.into_iter().flat_map(|family| family()).collect()
}

fn what(name: &str) -> String {
    format!("{name:?}").chars().take(16).collect()
}

fn users() -> Vec<Case> {
    let long = "u".repeat(33);
    let mut cases = Vec::new();
    for (name, due) in [
        ("", "invalid user name: username must be not empty"),
        ("  ", "invalid user name: username must be not empty"),
        ("1u", "invalid user name 1u, the first character must be a letter, but got 1"),
        ("_u", "invalid user name _u, the first character must be a letter, but got _"),
        ("-u", "invalid user name -u, the first character must be a letter, but got -"),
        ("$u", "invalid user name $u, the first character must be a letter, but got $"),
        ("名", "invalid user name 名, the first character must be a letter, but got 名"),
        ("u v", "invalid user name u v, username must contain only"),
        ("u:v", "invalid user name u:v, username must contain only"),
        ("u(v)", "invalid user name u(v), username must contain only"),
        ("u%v", "invalid user name u%v, username must contain only"),
        ("u'v", "invalid user name u'v, username must contain only"),
        ("u@v", "invalid user name u@v, username must contain only"),
        ("größe", "invalid user name größe, username must contain only"),
        ("u\0", "username must contain only"),
        (&long, "with length 33, the length of username must be less than 32"),
    ] {
        cases.push(case(what(name), user(name, "secret-x"), INVALID, due));
        cases.push(case(what(name), give(name, "r", 0), INVALID, due));
        cases.push(case(what(name), give(name, "r", 1), INVALID, due));
        let restored = restore(RbacMeta {
            users: vec![UserInfo { user: own(name), ..UserInfo::default() }],
            ..RbacMeta::default()
        });
        cases.push(case(what(name), restored, INVALID, due));
    }
    for name in ["u", "root"] {
        let due = format!("user already exists: {name}");
        cases.push(case("again", user(name, "secret-x"), PLAIN, &due));
    }
    let root = DeleteCredentialRequest { username: own("root"), ..Default::default() };
    let due = "root user cannot be deleted: privilege not permitted";
    cases.push(case("root", root, 1_401, due));
    for (user, role, kind, due) in [
        ("nobody", "r", 0, "not found the user, maybe the user isn't existed"),
        ("u", "none", 0, "not found the role, maybe the role isn't existed"),
        ("u", "none", 1, "not found the role, maybe the role isn't existed"),
        ("u", "r", 2, "invalid operate user role type, current type: 2"),
        ("u", "r", -1, "invalid operate user role type, current type: -1"),
    ] {
        cases.push(case(format!("{user}, {role}, {kind}"), give(user, role, kind), PLAIN, due));
    }
    cases
}

fn restore(saved: RbacMeta) -> Request {
    RestoreRbacMetaRequest { rbac_meta: Some(saved), ..RestoreRbacMetaRequest::default() }.into()
}

fn passwords() -> Vec<Case> {
    let mut cases = Vec::new();
    let create = |password: String| CreateCredentialRequest {
        username: own("fresh"),
        password,
        ..CreateCredentialRequest::default()
    };
    let update = |name: &str, old: String, new: String| UpdateCredentialRequest {
        username: own(name),
        old_password: old,
        new_password: new,
        ..UpdateCredentialRequest::default()
    };
    let good = || STANDARD.encode("secret-u");
    for length in [0, 1, 5, 257, 300, 4_096] {
        let due = format!(
            "invalid password length: invalid parameter[{length} out of range 6 <= value <= 256]"
        );
        let sent = || STANDARD.encode("x".repeat(length));
        cases.push(case(format!("{length} bytes"), create(sent()), INVALID, &due));
        cases.push(case(format!("{length} bytes"), update("u", good(), sent()), INVALID, &due));
    }
    for sent in [
        "secret!",
        "*",
        "c2VjcmV0LXU=\n",
        " c2VjcmV0LXg=",
        "c2VjcmV0LXg",
        "c2VjcmV0LXg==",
        "====",
        "größe",
        "c2Vj cmV0",
        &STANDARD_NO_PAD.encode("secret-xy"),
    ] {
        // Nine bytes need no padding.
        if STANDARD.decode(sent).is_ok() {
            continue;
        }
        let due = "decode password failed";
        cases.push(case(what(sent), create(own(sent)), PLAIN, due));
        cases.push(case(what(sent), update("u", good(), own(sent)), PLAIN, due));
        cases.push(case(what(sent), update("u", own(sent), good()), PLAIN, due));
    }
    for (name, old) in [
        ("u", "wrong-one"),
        ("u", "SECRET-U"),
        ("u", "secret-u "),
        ("u", ""),
        ("hobo", "secret-u"),
        ("root", "secret-u"),
        ("U", "secret-u"),
        ("", "secret-u"),
    ] {
        let request = update(name, STANDARD.encode(old), STANDARD.encode("secret-x"));
        let due = format!("old password not correct for {name}: not authenticated");
        cases.push(case(format!("{name} by {old:?}"), request, 1_400, &due));
    }
    cases
}

fn roles() -> Vec<Case> {
    let long = "r".repeat(256);
    let mut cases = Vec::new();
    for (name, due) in [
        ("", "role name should be not empty"),
        (" ", "role name should be not empty"),
        ("1r", "the first character of role name must be an underscore or letter"),
        ("-r", "the first character of role name must be an underscore or letter"),
        ("$r", "the first character of role name must be an underscore or letter"),
        ("角", "the first character of role name must be an underscore or letter"),
        ("r-s", "role name can only contain numbers, letters, dollars and underscores, found -"),
        ("r s", "role name can only contain numbers, letters, dollars and underscores, found  "),
        ("r(s)", "role name can only contain numbers, letters, dollars and underscores, found ("),
        ("r.s", "role name can only contain numbers, letters, dollars and underscores, found ."),
        ("r*", "role name can only contain numbers, letters, dollars and underscores, found *"),
        ("größe", "role name can only contain numbers, letters, dollars and underscores, found ö"),
        (
            &long,
            "the length of role name must be not greater than limit: invalid parameter[256 out of \
             range 0 <= value <= 255]",
        ),
    ] {
        let alter = AlterRoleRequest { role_name: own(name), ..Default::default() };
        let drop = DropRoleRequest { role_name: own(name), ..Default::default() };
        for request in [
            role(name),
            alter.into(),
            drop.into(),
            give("u", name, 0),
            older(name, "Collection", "c", "Insert", 0),
            newer(name, "Insert", "default", "c", 0),
        ] {
            cases.push(case(what(name), request, INVALID, due));
        }
    }
    let twice = "role [name:\"r\"] already exists";
    cases.push(case("again", role("r"), PLAIN, twice));
    cases.push(case("a default one", role("admin"), PLAIN, "role [name:\"admin\"] already exists"));
    let due = "unable to create role because the number of roles has reached the limit[limit=10]";
    cases.push(case("an eleventh", role("r10"), PLAIN, due));
    cases.push(case("none", CreateRoleRequest::default(), PLAIN, "the role entity is nil"));
    for name in ["admin", "public"] {
        for force_drop in [false, true] {
            let drop = DropRoleRequest { role_name: own(name), force_drop, ..Default::default() };
            let due = format!(
                "the role[{name}] is a default role, which can't be dropped: privilege not \
                 permitted"
            );
            cases.push(case(name, drop, 1_401, &due));
        }
    }
    let drop = |name: &str| DropRoleRequest { role_name: own(name), ..Default::default() };
    cases.push(case(
        "with a grant",
        drop("r"),
        PLAIN,
        "fail to drop the role that it has privileges",
    ));
    // In the words of the clients' tests.
    cases.push(case("no such role", drop("none"), PLAIN, "the role isn't existed"));
    cases
}

fn grantor(privilege: &str) -> Option<GrantorEntity> {
    let privilege = Some(PrivilegeEntity { name: own(privilege) });
    Some(GrantorEntity { privilege, ..GrantorEntity::default() })
}

fn grant(role: &str, object: &str, name: &str, privilege: &str) -> GrantEntity {
    GrantEntity {
        role: named(role),
        object: Some(ObjectEntity { name: own(object) }),
        object_name: own(name),
        grantor: grantor(privilege),
        ..GrantEntity::default()
    }
}

fn older(role: &str, object: &str, name: &str, privilege: &str, kind: i32) -> Request {
    OperatePrivilegeRequest {
        entity: Some(grant(role, object, name, privilege)),
        r#type: kind,
        ..OperatePrivilegeRequest::default()
    }
    .into()
}

fn newer(role: &str, privilege: &str, database: &str, collection: &str, kind: i32) -> Request {
    OperatePrivilegeV2Request {
        role: named(role),
        grantor: grantor(privilege),
        r#type: kind,
        db_name: own(database),
        collection_name: own(collection),
        ..OperatePrivilegeV2Request::default()
    }
    .into()
}

fn grants() -> Vec<Case> {
    let mut cases = Vec::new();
    for kind in [0, 1] {
        for object in ["Table", "collection", "GLOBAL", "Database", "Users"] {
            let due = format!(
                "not found the object type[name: {object}], supported the object types: [Global \
                 User Collection]"
            );
            cases.push(case(object, older("r", object, "c", "Insert", kind), PLAIN, &due));
        }
        for (privilege, object) in [
            ("Insert", "Global"),
            ("Insert", "User"),
            ("CreateCollection", "Collection"),
            ("CreateCollection", "User"),
            ("UpdateUser", "Collection"),
            ("UpdateUser", "Global"),
            ("Fly", "Collection"),
            ("insert", "Collection"),
            ("PrivilegeInsert", "Collection"),
        ] {
            let due = format!("not found the privilege name[{privilege}]");
            // What is about a user is about one of a good name.
            let request = older("r", object, "c", privilege, kind);
            cases.push(case(format!("{privilege} of {object}"), request, PLAIN, &due));
        }
        for privilege in ["ClusterAdmin", "DatabaseReadOnly", "CollectionReadWrite"] {
            let due = format!("can not operate the built-in privilege group [{privilege}]");
            cases.push(case(privilege, older("r", "Global", "*", privilege, kind), PLAIN, &due));
        }
        let due = "can not operate the custom privilege group [g]";
        cases.push(case("g", older("r", "Global", "*", "g", kind), PLAIN, due));
        for (object, name, privilege, due) in [
            ("", "c", "Insert", "ObjectType should be not empty"),
            ("Col lection", "c", "Insert", "ObjectType can only contain"),
            ("Collection", "", "Insert", "object name should be not empty"),
            ("Collection", "c d", "Insert", "object name can only contain"),
            ("Collection", "1c", "Insert", "the first character of object name must be"),
            ("User", "1u", "UpdateUser", "invalid user name 1u"),
            ("Collection", "c", "", "Privilege should be not empty"),
            ("Collection", "c", "In sert", "Privilege can only contain"),
            ("Collection", "c", "1nsert", "the first character of Privilege must be"),
        ] {
            let request = older("r", object, name, privilege, kind);
            cases.push(case(format!("{object:?} {name:?} {privilege:?}"), request, INVALID, due));
        }
        for privilege in ["Fly", "search", "PrivilegeSearch", "ReadWrite2"] {
            let due = format!("not found the privilege name[{privilege}]");
            cases.push(case(privilege, newer("r", privilege, "default", "c", kind), PLAIN, &due));
        }
        for (privilege, database, collection, code, due) in [
            ("Insert", "1d", "c", 802, "invalid database name[database=1d]"),
            ("Insert", "a-b", "c", 802, "invalid database name[database=a-b]"),
            ("Insert", "default", "c-", INVALID, "object name can only contain"),
            ("Insert", "default", "1c", INVALID, "the first character of object name must be"),
            ("", "default", "c", INVALID, "Privilege should be not empty"),
            (
                "ClusterReadOnly",
                "default",
                "*",
                INVALID,
                "dbName and collectionName should be * for the cluster level privilege: \
                 ClusterReadOnly",
            ),
            (
                "ClusterAdmin",
                "*",
                "c",
                INVALID,
                "dbName and collectionName should be * for the cluster level privilege: \
                 ClusterAdmin",
            ),
            (
                "DatabaseAdmin",
                "default",
                "c",
                INVALID,
                "collectionName should be * for the database level privilege: DatabaseAdmin",
            ),
            (
                "CollectionReadOnly",
                "*",
                "c",
                INVALID,
                "please specify database name for the collection level privilege: \
                 CollectionReadOnly",
            ),
        ] {
            let request = newer("r", privilege, database, collection, kind);
            let what = format!("{privilege:?} {database} {collection}");
            cases.push(case(what, request, code, due));
        }
        let due = "not found the role, maybe the role isn't existed";
        cases.push(case("no role", older("none", "Collection", "c", "Insert", kind), PLAIN, due));
        cases.push(case("no role", newer("none", "Insert", "default", "c", kind), PLAIN, due));
    }
    for kind in [2, 9, -1] {
        let due = format!("invalid operate privilege type, current type: {kind}");
        let request = older("r", "Collection", "c", "Insert", kind);
        cases.push(case(format!("kind {kind}"), request, PLAIN, &due));
        let request = newer("r", "Insert", "default", "c", kind);
        cases.push(case(format!("kind {kind}"), request, PLAIN, &due));
    }
    cases.extend(selections());
    cases
}

/// Messages that lack a part, and questions about grants.
fn selections() -> Vec<Case> {
    let whole = || grant("r", "Collection", "c", "Insert");
    let mut cases = Vec::new();
    for (entity, due) in [
        (None, "the entity in the request is nil"),
        (Some(GrantEntity { grantor: None, ..whole() }), "the grantor entity in the grant"),
        (
            Some(GrantEntity { grantor: Some(GrantorEntity::default()), ..whole() }),
            "the privilege entity in the grantor entity is nil",
        ),
        (Some(GrantEntity { object: None, ..whole() }), "the resource entity in the grant"),
        (Some(GrantEntity { role: None, ..whole() }), "the role entity in the grant entity is nil"),
    ] {
        let request = OperatePrivilegeRequest { entity, ..OperatePrivilegeRequest::default() };
        cases.push(case("a part is missing", request, PLAIN, due));
    }
    let newer = |role, grantor| OperatePrivilegeV2Request {
        role,
        grantor,
        ..OperatePrivilegeV2Request::default()
    };
    for (role, grantor, due) in [
        (None, grantor("Insert"), "the role in the request is nil"),
        (named("r"), None, "the grantor entity in the request is nil"),
        (named("r"), Some(GrantorEntity::default()), "the privilege entity in the grantor"),
    ] {
        cases.push(case("a part is missing", newer(role, grantor), PLAIN, due));
    }
    for (entity, due) in [
        (None, "the grant entity in the request is nil"),
        (Some(GrantEntity::default()), "the role entity is nil"),
        (Some(GrantEntity { role: named(""), ..whole() }), "the name in the role entity is empty"),
        (Some(GrantEntity { role: named("none"), ..whole() }), "not found the role, maybe"),
        (Some(grant("r", "Table", "c", "Insert")), "not found the object type[name: Table]"),
    ] {
        let request = SelectGrantRequest { entity, ..SelectGrantRequest::default() };
        cases.push(case("a selection", request, PLAIN, due));
    }
    let foreign = UserInfo { user: own("v"), password: own("$2a$10$N9"), ..UserInfo::default() };
    let odd = RbacMeta { grants: vec![grant("r", "Table", "c", "Insert")], ..RbacMeta::default() };
    let poor = RbacMeta { roles: named("1r").into_iter().collect(), ..RbacMeta::default() };
    let known = RbacMeta { roles: named("r").into_iter().collect(), ..RbacMeta::default() };
    let bad = PrivilegeGroupInfo { group_name: own("1g"), ..PrivilegeGroupInfo::default() };
    let mixed = RbacMeta { privilege_groups: vec![bad], ..RbacMeta::default() };
    cases.extend([
        case("nothing", restore(RbacMeta::default()), PLAIN, "restore RBAC meta is empty"),
        case(
            "another hash",
            restore(RbacMeta { users: vec![foreign], ..RbacMeta::default() }),
            INVALID,
            "no argon2 hash",
        ),
        case("an object", restore(odd), PLAIN, "not found the object type[name: Table]"),
        case("a role's name", restore(poor), INVALID, "the first character of role name"),
        case("a role again", restore(known), PLAIN, "role [r] already exists"),
        case("a group's name", restore(mixed), INVALID, "the first character of privilege group"),
    ]);
    cases
}

fn fill(group: &str, names: &[&str], kind: i32) -> Request {
    OperatePrivilegeGroupRequest {
        group_name: own(group),
        privileges: names.iter().map(|name| PrivilegeEntity { name: own(name) }).collect(),
        r#type: kind,
        ..OperatePrivilegeGroupRequest::default()
    }
    .into()
}

fn groups_of_privileges() -> Vec<Case> {
    let long = "g".repeat(256);
    let mut cases = Vec::new();
    for (name, due) in [
        ("", "privilege group name should be not empty"),
        (" ", "privilege group name should be not empty"),
        ("1g", "the first character of privilege group name must be an underscore or letter"),
        ("-g", "the first character of privilege group name must be an underscore or letter"),
        ("组", "the first character of privilege group name must be an underscore or letter"),
        ("g-h", "privilege group name can only contain numbers, letters, dollars and underscores"),
        ("g h", "privilege group name can only contain numbers, letters, dollars and underscores"),
        ("g*", "privilege group name can only contain numbers, letters, dollars and underscores"),
        (&long, "the length of privilege group name must be not greater than limit"),
    ] {
        cases.push(case(what(name), group(name), INVALID, due));
        cases.push(case(what(name), fill(name, &["Search"], 0), INVALID, due));
        cases.push(case(what(name), fill(name, &["Search"], 1), INVALID, due));
    }
    for name in ["Search", "Insert", "All", "ClusterAdmin", "DatabaseReadOnly", "ReadWrite"] {
        let due = format!("privilege group name [{name}] is defined by built in privileges");
        cases.push(case(name, group(name), INVALID, &due));
    }
    cases.push(case("g", group("g"), INVALID, "privilege group name [g] is defined by users"));
    for kind in [0, 1] {
        for name in ["none", "ClusterAdmin"] {
            let due = format!("there is no privilege group name [{name}] defined in system");
            cases.push(case(name, fill(name, &["Search"], kind), INVALID, &due));
        }
        let due = "privileges is empty when alter the privilege group";
        cases.push(case("nothing", fill("g", &[], kind), INVALID, due));
        let due = "there is no privilege name or privilege group name [Fly] defined in system";
        cases.push(case("Fly", fill("g", &["Search", "Fly"], kind), INVALID, due));
        cases.push(case(
            "no name",
            fill("g", &[""], kind),
            INVALID,
            "Privilege should be not empty",
        ));
    }
    for other in ["CreateDatabase", "CreateCollection", "ClusterReadOnly", "DatabaseAdmin"] {
        let due = "privileges are not the same privilege level";
        cases.push(case(other, fill("g", &[other], 0), INVALID, due));
        cases.push(case(other, fill("h", &["Search", other], 0), INVALID, due));
    }
    for kind in [2, 5, -1] {
        let due = format!("unsupported operate type: {kind}");
        cases.push(case(format!("kind {kind}"), fill("g", &["Search"], kind), PLAIN, &due));
    }
    cases
}

fn config(requests: i32, limits: i32, from: &[&str], to: &[&str]) -> ResourceGroupConfig {
    let names = |names: &[&str]| {
        names.iter().map(|name| ResourceGroupTransfer { resource_group: own(name) }).collect()
    };
    ResourceGroupConfig {
        requests: Some(ResourceGroupLimit { node_num: requests }),
        limits: Some(ResourceGroupLimit { node_num: limits }),
        transfer_from: names(from),
        transfer_to: names(to),
        ..ResourceGroupConfig::default()
    }
}

fn resource(name: &str, wanted: Option<(i32, i32)>) -> Request {
    let config = wanted.map(|(requests, limits)| config(requests, limits, &[], &[]));
    CreateResourceGroupRequest {
        resource_group: own(name),
        config,
        ..CreateResourceGroupRequest::default()
    }
    .into()
}

fn resource_groups() -> Vec<Case> {
    const DEFAULT: &str = "__default_resource_group";
    let nodes = |from: &str, to: &str, num_node| TransferNodeRequest {
        source_resource_group: own(from),
        target_resource_group: own(to),
        num_node,
        ..TransferNodeRequest::default()
    };
    let replicas = |from: &str, to: &str, num_replica| TransferReplicaRequest {
        source_resource_group: own(from),
        target_resource_group: own(to),
        collection_name: own("good"),
        num_replica,
        ..TransferReplicaRequest::default()
    };
    let long = "g".repeat(256);
    let mut cases = Vec::new();
    for (name, due) in [
        ("", "resource group name should be not empty"),
        ("1g", "the first character of resource group name must be an underscore or letter"),
        ("-g", "the first character of resource group name must be an underscore or letter"),
        ("组", "the first character of resource group name must be an underscore or letter"),
        ("g-h", "resource group name can only contain numbers, letters, dollars and underscores"),
        ("g h", "resource group name can only contain numbers, letters, dollars and underscores"),
        (&long, "the length of resource group name must be not greater than limit"),
    ] {
        cases.push(case(what(name), resource(name, None), INVALID, due));
        for request in [
            Request::from(nodes(name, DEFAULT, 1)),
            nodes(DEFAULT, name, 1).into(),
            replicas(name, DEFAULT, 1).into(),
            replicas(DEFAULT, name, 1).into(),
        ] {
            cases.push(case(what(name), request, INVALID, due));
        }
    }
    for (requests, limits, due) in [
        (-1, 1, "node num in `requests` or `limits` should not less than 0"),
        (0, -1, "node num in `requests` or `limits` should not less than 0"),
        (2, 1, "limits node num should not less than requests node num"),
    ] {
        let sizes = Some((requests, limits));
        cases.push(case(format!("{sizes:?}"), resource("fresh", sizes), 303, due));
        cases.push(case(
            format!("{sizes:?}"),
            update("rg", config(requests, limits, &[], &[])),
            303,
            due,
        ));
    }
    for (from, to, due) in [
        (&["rg"][..], &[][..], "resource group in `TransferFrom` should not be itself"),
        (&[], &["rg"], "resource group in `TransferTo` should not be itself"),
        (&["none"], &[], "resource group in `TransferFrom` none not exist"),
        (&[], &["none"], "resource group in `TransferTo` none not exist"),
    ] {
        cases.push(case(
            format!("{from:?} {to:?}"),
            update("rg", config(0, 0, from, to)),
            303,
            due,
        ));
    }
    for half in [
        ResourceGroupConfig::default(),
        ResourceGroupConfig { requests: None, ..config(0, 0, &[], &[]) },
        ResourceGroupConfig { limits: None, ..config(0, 0, &[], &[]) },
    ] {
        let due = "requests or limits is required: resource group illegal config[rg=rg]";
        cases.push(case("half a config", update("rg", half), 303, due));
    }
    cases.push(case("again", resource("rg", Some((0, 5))), 301, "with different config[rg=rg]"));
    let gone = "resource group not found[rg=none]";
    let describe =
        DescribeResourceGroupRequest { resource_group: own("none"), ..Default::default() };
    cases.push(case("none", describe, 300, gone));
    cases.push(case("none", update("none", config(0, 0, &[], &[])), 300, gone));
    cases.push(case("none", nodes("none", "rg", 1), 300, gone));
    cases.push(case("none", nodes("rg", "none", 1), 300, gone));
    cases.push(case("none", replicas("none", "rg", 1), 300, "the source resource group[none]"));
    cases.push(case("none", replicas("rg", "none", 1), 300, "the target resource group[none]"));
    for count in [0, -1, i32::MIN] {
        cases.push(case(format!("{count}"), nodes("rg", DEFAULT, count), INVALID, "NumNode > 0"));
        let request = replicas("rg", DEFAULT, count.into());
        cases.push(case(format!("{count}"), request, INVALID, "NumReplica > 0"));
    }
    let same = "source resource group and target resource group should not be the same";
    cases.push(case("the same", nodes("rg", "rg", 1), INVALID, same));
    cases.push(case("the same", replicas("rg", "rg", 1), INVALID, same));
    for count in [1, 7] {
        let due = "resource group node not enough[rg=rg][currentNodeNum=0]";
        cases.push(case(format!("{count} nodes"), nodes("rg", DEFAULT, count), 304, due));
        let due = "only found [0] replicas of collection";
        let request = replicas("rg", DEFAULT, count.into());
        cases.push(case(format!("{count} replicas"), request, INVALID, due));
    }
    let drop = DropResourceGroupRequest { resource_group: own(DEFAULT), ..Default::default() };
    cases.push(case("the default", drop, INVALID, "default resource group is not deletable"));
    cases
}

fn update(name: &str, config: ResourceGroupConfig) -> Request {
    UpdateResourceGroupsRequest {
        resource_groups: HashMap::from([(own(name), config)]),
        ..UpdateResourceGroupsRequest::default()
    }
    .into()
}
