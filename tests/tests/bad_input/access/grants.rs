//! Wrong grants, backups and groups of privileges.
// tidy: table

use millstream_gateway::pb::{
    GrantEntity, GrantorEntity, ObjectEntity, OperatePrivilegeGroupRequest,
    OperatePrivilegeRequest, OperatePrivilegeV2Request, PrivilegeEntity, PrivilegeGroupInfo,
    RbacMeta, SelectGrantRequest, UserInfo,
};

use super::super::{Case, INVALID, PLAIN, Request, case};
use super::{group, named, own, restore, what};

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

pub(super) fn older(role: &str, object: &str, name: &str, privilege: &str, kind: i32) -> Request {
    OperatePrivilegeRequest {
        entity: Some(grant(role, object, name, privilege)),
        r#type: kind,
        ..OperatePrivilegeRequest::default()
    }
    .into()
}

pub(super) fn newer(
    role: &str,
    privilege: &str,
    database: &str,
    collection: &str,
    kind: i32,
) -> Request {
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

pub(super) fn grants() -> Vec<Case> {
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

pub(super) fn fill(group: &str, names: &[&str], kind: i32) -> Request {
    OperatePrivilegeGroupRequest {
        group_name: own(group),
        privileges: names.iter().map(|name| PrivilegeEntity { name: own(name) }).collect(),
        r#type: kind,
        ..OperatePrivilegeGroupRequest::default()
    }
    .into()
}

pub(super) fn groups() -> Vec<Case> {
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
