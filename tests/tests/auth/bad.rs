//! Bad credentials, names, passwords and grants: the code and the text are Milvus's, nothing
//! happens, and the next good request works.
// tidy: table

use std::fmt::Debug;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE};
use millstream_gateway::pb::common::Status;
use millstream_gateway::pb::{
    BackupRbacMetaRequest, CreateCredentialRequest, CreatePrivilegeGroupRequest, CreateRoleRequest,
    DropPrivilegeGroupRequest, DropRoleRequest, GrantEntity, GrantorEntity, ListCredUsersRequest,
    ObjectEntity, OperatePrivilegeGroupRequest, OperatePrivilegeRequest, OperatePrivilegeV2Request,
    OperateUserRoleRequest, PrivilegeEntity, RbacMeta, RestoreRbacMetaRequest, RoleEntity,
    SelectGrantRequest, UpdateCredentialRequest, UserInfo,
};
use millstream_tests::client::message;
use millstream_tests::on_both;
use millstream_tests::site::Site;
use prost::Message;
use tonic::Code;

use crate::raw::Raw;
use crate::{ROOT, by, create_role, create_user, header, rpc};

const FORMAT: &str = "invalid token format";
const KEY: &str = "please check api key is correct";
const WRONG: &str = "please check username and password are correct";

/// Headers, and what their senders are told.
fn headers() -> Vec<(Vec<u8>, &'static str)> {
    let text = |text: &str| text.as_bytes().to_vec();
    let encoded = |raw: &[u8]| STANDARD.encode(raw).into_bytes();
    let mut cases = vec![
        (text(""), KEY),
        (text("root:Milvus"), FORMAT),
        (text("Basic cm9vdDpNaWx2dXM="), FORMAT),
        (text("Bearer cm9vdDpNaWx2dXM="), FORMAT),
        (text("cm9vdDpNaWx2dXM"), FORMAT),
        (text("cm9vdDpNaWx2dXM=="), FORMAT),
        (text("cm9vdDpNaWx2dX=M"), FORMAT),
        (text(" cm9vdDpNaWx2dXM"), FORMAT),
        (text("=cm9vdDpNaWx2dXM"), FORMAT),
        (text("cm9v dDpNaWx2dXM="), FORMAT),
        (text("cm9vdDpNaWx2dXN="), FORMAT),
        (text("*"), FORMAT),
        (text("===="), FORMAT),
        (text("null"), KEY),
        ("größe".as_bytes().to_vec(), FORMAT),
        (vec![0x80, 0xff], FORMAT),
        (vec![b'A'; 8_000], FORMAT),
        (vec![b'='; 2_000], FORMAT),
        (STANDARD.encode(vec![b'a'; 4_000]).into_bytes(), FORMAT),
        (STANDARD.encode(format!("root:{}", "x".repeat(4_000))).into_bytes(), FORMAT),
        (URL_SAFE.encode(b"root:\xff\xfe\xfb\xef").into_bytes(), FORMAT),
        (STANDARD_NO_PAD.encode("root:Milvus").into_bytes(), FORMAT),
    ];
    for key in ["root", "Milvus", "a-key-of-something", " ", "\0", "root Milvus", "rootMilvus"] {
        cases.push((encoded(key.as_bytes()), KEY));
    }
    for wrong in [
        ":",
        "::",
        "root:",
        ":Milvus",
        "root:milvus",
        "root:Milvus ",
        "root: Milvus",
        " root:Milvus",
        "root :Milvus",
        "Root:Milvus",
        "ROOT:Milvus",
        "root:Milvus\n",
        "root:Milvus\0",
        "root\0:Milvus",
        "root::Milvus",
        "root:Milvus:",
        "admin:Milvus",
        "public:Milvus",
        "@@milvus-member@@:@@milvus-member@@",
        "root:___",
        "*:*",
        "'; DROP TABLE users; --:x",
        "root' OR '1'='1:Milvus",
        "ro\u{fe}ot:Milvus",
        "u:",
        "u:secret",
        "u:secret-uu",
        "u:SECRET-U",
        "nobody:secret-u",
    ] {
        cases.push((encoded(wrong.as_bytes()), WRONG));
    }
    for raw in [&b"\xff\xfe:x"[..], b"root:\xff\xfe", b"\x00:\x00", b"root\xff:Milvus"] {
        cases.push((encoded(raw), WRONG));
    }
    cases.push((encoded(&[&b"root:"[..], &[b'x'; 256]].concat()), WRONG));
    cases.push((encoded(&[&[b'r'; 300][..], b":Milvus"].concat()), WRONG));
    cases
}

async fn bad_credentials_are_refused_in_the_words_that_clients_know(site: Site) {
    create_user(&site, "u", "secret-u").await.expect("a user");
    let mut raw = Raw::new(&site);
    let users = ListCredUsersRequest::default().encode_to_vec().into();
    let cases = headers();
    assert!(cases.len() >= 60, "{} cases", cases.len());
    let mut wrong = Vec::new();
    for (value, due) in cases {
        let what = String::from_utf8_lossy(&value[..value.len().min(60)]).into_owned();
        match raw.call("ListCredUsers", &users, Some(&value)).await {
            Ok(_) => wrong.push(format!("{what}: let in")),
            Err(status) => {
                let text = status.message();
                if status.code() != Code::Unauthenticated || !text.contains(due) {
                    wrong.push(format!("{what}: {status}; \"{due}\" is due"));
                }
            }
        }
        let root = header(ROOT).into_bytes();
        raw.call("ListCredUsers", &users, Some(&root)).await.expect("root is let in");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
on_both!(bad_credentials_are_refused_in_the_words_that_clients_know, "--auth");

/// A header that says who sends is no credential.
async fn no_other_header_lets_anybody_in(site: Site) {
    let mut rpc = rpc(&site);
    let member = STANDARD.encode("@@milvus-member@@");
    for name in ["sourceid", "token", "x-forwarded-user", "user", "identifier"] {
        for value in [member.as_str(), "root", "cm9vdDpNaWx2dXM="] {
            let mut request = tonic::Request::new(ListCredUsersRequest::default());
            request.metadata_mut().insert(name, value.parse().expect("a value"));
            let status = rpc.list_cred_users(request).await.expect_err("a refusal");
            assert_eq!(status.code(), Code::Unauthenticated, "{name}: {value}");
        }
    }
}
on_both!(no_other_header_lets_anybody_in, "--auth");

/// A request about users that must be refused: code, old code if it has one of its own, text.
struct Due(i32, i32, &'static str);

const INVALID: i32 = 1_100;
const PLAIN: i32 = 65_535;

fn check(wrong: &mut Vec<String>, what: impl Debug, status: &Status, due: &Due) {
    let Due(code, old, text) = *due;
    if status.code != code || status.error_code != old || !status.reason.contains(text) {
        wrong.push(format!(
            "{what:?}: {} ({}) {}; {code} ({old}) \"{text}\" is due",
            status.code, status.error_code, status.reason
        ));
    }
}

fn role_entity(name: &str) -> Option<RoleEntity> {
    Some(RoleEntity { name: name.to_owned(), ..Default::default() })
}

fn grantor(privilege: &str) -> Option<GrantorEntity> {
    let privilege = Some(PrivilegeEntity { name: privilege.to_owned() });
    Some(GrantorEntity { user: None, privilege })
}

async fn bad_users_and_roles_are_refused(site: Site) {
    create_user(&site, "u", "secret-u").await.expect("a user");
    create_role(&site, "r").await.expect("a role");
    let mut wrong = Vec::new();
    let (long_user, long_role) = ("u".repeat(33), "r".repeat(256));
    let names = [
        ("", "must be not empty"),
        ("  ", "must be not empty"),
        ("1u", "first character must be a letter"),
        ("_u", "first character must be a letter"),
        ("u v", "username must contain only"),
        ("u:v", "username must contain only"),
        ("u(v)", "username must contain only"),
        ("u%v", "username must contain only"),
        ("u'v", "username must contain only"),
        ("名", "first character must be a letter"),
        (&*long_user, "length of username must be less than 32"),
    ];
    for (name, text) in names {
        let create = CreateCredentialRequest {
            username: name.to_owned(),
            password: STANDARD.encode("secret-x"),
            ..Default::default()
        };
        let status = message(rpc(&site).create_credential(by(ROOT, create)).await).expect("told");
        check(&mut wrong, ("create user", name), &status, &Due(INVALID, 5, text));
        let give = OperateUserRoleRequest {
            username: name.to_owned(),
            role_name: "r".to_owned(),
            ..Default::default()
        };
        let status = message(rpc(&site).operate_user_role(by(ROOT, give)).await).expect("told");
        check(&mut wrong, ("give to user", name), &status, &Due(INVALID, 5, text));
    }
    let names = [
        ("", "role name should be not empty"),
        (" ", "role name should be not empty"),
        ("1r", "the first character of role name must be an underscore or letter"),
        ("-r", "the first character of role name must be an underscore or letter"),
        ("r-s", "role name can only contain numbers, letters, dollars and underscores"),
        ("r s", "role name can only contain numbers, letters, dollars and underscores"),
        ("r(s)", "role name can only contain numbers, letters, dollars and underscores"),
        ("角", "the first character of role name must be an underscore or letter"),
        (&*long_role, "the length of role name must be not greater than limit"),
    ];
    for (name, text) in names {
        let create = CreateRoleRequest { entity: role_entity(name), ..Default::default() };
        let status = message(rpc(&site).create_role(by(ROOT, create)).await).expect("told");
        check(&mut wrong, ("create role", name), &status, &Due(INVALID, 5, text));
        let drop = DropRoleRequest { role_name: name.to_owned(), ..Default::default() };
        let status = message(rpc(&site).drop_role(by(ROOT, drop)).await).expect("told");
        check(&mut wrong, ("drop role", name), &status, &Due(INVALID, 5, text));
        let give = OperateUserRoleRequest {
            username: "u".to_owned(),
            role_name: name.to_owned(),
            ..Default::default()
        };
        let status = message(rpc(&site).operate_user_role(by(ROOT, give)).await).expect("told");
        check(&mut wrong, ("give role", name), &status, &Due(INVALID, 5, text));
    }
    for (user, role, kind, due) in [
        ("nobody", "r", 0, Due(PLAIN, 37, "not found the user, maybe the user isn't existed")),
        ("u", "none", 0, Due(PLAIN, 37, "not found the role, maybe the role isn't existed")),
        ("u", "none", 1, Due(PLAIN, 37, "not found the role, maybe the role isn't existed")),
        ("u", "r", 7, Due(PLAIN, 37, "invalid operate user role type")),
    ] {
        let give = OperateUserRoleRequest {
            username: user.to_owned(),
            role_name: role.to_owned(),
            r#type: kind,
            base: None,
        };
        let status = message(rpc(&site).operate_user_role(by(ROOT, give)).await).expect("told");
        check(&mut wrong, (user, role, kind), &status, &due);
    }
    let existing = CreateRoleRequest { entity: role_entity("r"), ..Default::default() };
    let status = message(rpc(&site).create_role(by(ROOT, existing)).await).expect("told");
    check(&mut wrong, "role again", &status, &Due(PLAIN, 35, "already exists"));
    let none = CreateRoleRequest::default();
    let status = message(rpc(&site).create_role(by(ROOT, none)).await).expect("told");
    check(&mut wrong, "no role", &status, &Due(PLAIN, 35, "the role entity is nil"));
    let drop = DropRoleRequest { role_name: "none".to_owned(), ..Default::default() };
    let status = message(rpc(&site).drop_role(by(ROOT, drop)).await).expect("told");
    check(&mut wrong, "no such role", &status, &Due(PLAIN, 36, "the role isn't existed"));
    for name in ["admin", "public"] {
        let drop = DropRoleRequest { role_name: name.to_owned(), ..Default::default() };
        let status = message(rpc(&site).drop_role(by(ROOT, drop)).await).expect("told");
        let text = "is a default role, which can't be dropped: privilege not permitted";
        check(&mut wrong, name, &status, &Due(1_401, 1, text));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let list = ListCredUsersRequest::default();
    let users = message(rpc(&site).list_cred_users(by(ROOT, list)).await).expect("users");
    assert_eq!(users.usernames, ["root", "u"]);
}
on_both!(bad_users_and_roles_are_refused, "--auth");

async fn bad_passwords_are_refused(site: Site) {
    create_user(&site, "u", "secret-u").await.expect("a user");
    let mut wrong = Vec::new();
    let long = STANDARD.encode("x".repeat(257));
    let (short, empty) = (STANDARD.encode("12345"), String::new());
    let text = "invalid password length: invalid parameter";
    for (password, due) in [
        (&*short, Due(INVALID, 5, "invalid parameter[5 out of range 6 <= value <= 256]")),
        (&*empty, Due(INVALID, 5, text)),
        (&*long, Due(INVALID, 5, "invalid parameter[257 out of range 6 <= value <= 256]")),
    ] {
        let create = CreateCredentialRequest {
            username: "v".to_owned(),
            password: password.to_owned(),
            ..Default::default()
        };
        let status = message(rpc(&site).create_credential(by(ROOT, create)).await).expect("told");
        check(&mut wrong, ("create", password), &status, &due);
        let update = UpdateCredentialRequest {
            username: "u".to_owned(),
            old_password: STANDARD.encode("secret-u"),
            new_password: password.to_owned(),
            ..Default::default()
        };
        let status = message(rpc(&site).update_credential(by(ROOT, update)).await).expect("told");
        check(&mut wrong, ("update", password), &status, &due);
    }
    for password in ["secret", "not base64!", "c2VjcmV0LXg"] {
        let create = CreateCredentialRequest {
            username: "v".to_owned(),
            password: password.to_owned(),
            ..Default::default()
        };
        let status = message(rpc(&site).create_credential(by(ROOT, create)).await).expect("told");
        check(&mut wrong, password, &status, &Due(PLAIN, 29, "decode password failed"));
    }
    for user in ["root", "u"] {
        let again = CreateCredentialRequest {
            username: user.to_owned(),
            password: STANDARD.encode("secret-x"),
            ..Default::default()
        };
        let status = message(rpc(&site).create_credential(by(ROOT, again)).await).expect("told");
        check(&mut wrong, user, &status, &Due(PLAIN, 29, "user already exists: "));
    }
    for user in ["hobo", "u", ""] {
        let update = UpdateCredentialRequest {
            username: user.to_owned(),
            old_password: STANDARD.encode("wrong-one"),
            new_password: STANDARD.encode("secret-x"),
            ..Default::default()
        };
        let status = message(rpc(&site).update_credential(by(ROOT, update)).await).expect("told");
        check(&mut wrong, user, &status, &Due(1_400, 1, "old password not correct for "));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
on_both!(bad_passwords_are_refused, "--auth");

fn older(role: &str, object: &str, name: &str, privilege: &str) -> OperatePrivilegeRequest {
    OperatePrivilegeRequest {
        entity: Some(GrantEntity {
            role: role_entity(role),
            object: Some(ObjectEntity { name: object.to_owned() }),
            object_name: name.to_owned(),
            grantor: grantor(privilege),
            db_name: String::new(),
        }),
        ..Default::default()
    }
}

async fn bad_grants_are_refused(site: Site) {
    create_role(&site, "r").await.expect("a role");
    let mut wrong = Vec::new();
    let types = "supported the object types: [Global User Collection]";
    for (request, due) in [
        (older("r", "Table", "c", "Insert"), Due(PLAIN, 41, "not found the object type[name: T")),
        (older("r", "collection", "c", "Insert"), Due(PLAIN, 41, types)),
        (older("r", "", "c", "Insert"), Due(INVALID, 5, "ObjectType should be not empty")),
        (older("r", "Collection", "", "Insert"), Due(INVALID, 5, "object name should be not")),
        (older("r", "Collection", "c d", "Insert"), Due(INVALID, 5, "object name can only")),
        (older("r", "Collection", "c", ""), Due(INVALID, 5, "Privilege should be not empty")),
        (older("r", "Collection", "c", "In sert"), Due(INVALID, 5, "Privilege can only contain")),
        (older("r", "Collection", "c", "Fly"), Due(PLAIN, 41, "not found the privilege name[Fly]")),
        (older("r", "Collection", "c", "insert"), Due(PLAIN, 41, "name[insert]")),
        (older("r", "Global", "*", "Insert"), Due(PLAIN, 41, "name[Insert] in object[Global]")),
        (older("r", "User", "*", "Insert"), Due(PLAIN, 41, "name[Insert] in object[User]")),
        (older("r", "Collection", "c", "PrivilegeInsert"), Due(PLAIN, 41, "PrivilegeInsert")),
        (older("none", "Collection", "c", "Insert"), Due(PLAIN, 41, "not found the role")),
        (older("", "Collection", "c", "Insert"), Due(INVALID, 5, "role name should be not")),
        (
            older("r", "Global", "*", "ClusterAdmin"),
            Due(PLAIN, 41, "can not operate the built-in privilege group [ClusterAdmin]"),
        ),
        (
            OperatePrivilegeRequest { r#type: 9, ..older("r", "Collection", "c", "Insert") },
            Due(PLAIN, 41, "invalid operate privilege type"),
        ),
        (OperatePrivilegeRequest::default(), Due(PLAIN, 41, "is nil")),
    ] {
        let what = format!("{request:?}");
        let status = message(rpc(&site).operate_privilege(by(ROOT, request)).await).expect("told");
        check(&mut wrong, what, &status, &due);
    }
    let newer = |role: &str, privilege: &str, db: &str, c: &str| OperatePrivilegeV2Request {
        role: role_entity(role),
        grantor: grantor(privilege),
        db_name: db.to_owned(),
        collection_name: c.to_owned(),
        ..Default::default()
    };
    for (request, due) in [
        (newer("r", "Fly", "d", "c"), Due(PLAIN, 41, "not found the privilege name[Fly]")),
        (newer("r", "", "d", "c"), Due(INVALID, 5, "Privilege should be not empty")),
        (newer("none", "Insert", "d", "c"), Due(PLAIN, 41, "not found the role")),
        (newer("r", "Insert", "1d", "c"), Due(802, 1, "invalid database name[database=1d]")),
        (newer("r", "Insert", "d", "c-"), Due(INVALID, 5, "object name")),
        (
            newer("r", "ClusterReadOnly", "d", "*"),
            Due(INVALID, 5, "should be * for the cluster level privilege: ClusterReadOnly"),
        ),
        (
            newer("r", "DatabaseReadOnly", "d", "c"),
            Due(INVALID, 5, "collectionName should be * for the database level privilege"),
        ),
        (
            newer("r", "CollectionAdmin", "*", "c"),
            Due(INVALID, 5, "please specify database name for the collection level privilege"),
        ),
        (OperatePrivilegeV2Request::default(), Due(PLAIN, 41, "is nil")),
    ] {
        let what = format!("{request:?}");
        let made = rpc(&site).operate_privilege_v2(by(ROOT, request)).await;
        check(&mut wrong, what, &message(made).expect("told"), &due);
    }
    let of = |role: &str, object: Option<&str>| GrantEntity {
        role: role_entity(role),
        object: object.map(|name| ObjectEntity { name: name.to_owned() }),
        ..Default::default()
    };
    for (entity, due) in [
        (None, Due(PLAIN, 42, "the grant entity in the request is nil")),
        (Some(of("none", None)), Due(PLAIN, 42, "not found the role, maybe the role isn't")),
        (Some(of("", None)), Due(PLAIN, 42, "the name in the role entity is empty")),
        (Some(of("r", Some("Table"))), Due(PLAIN, 42, "not found the object type[name: Table]")),
        (Some(GrantEntity::default()), Due(PLAIN, 42, "is nil")),
    ] {
        let what = format!("{entity:?}");
        let select = SelectGrantRequest { entity, base: None };
        let answer = message(rpc(&site).select_grant(by(ROOT, select)).await).expect("told");
        check(&mut wrong, what, &answer.status.unwrap_or_default(), &due);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let backup = rpc(&site).backup_rbac(by(ROOT, BackupRbacMetaRequest::default())).await;
    let saved = message(backup).expect("an answer").rbac_meta.expect("a backup");
    let granted = saved.grants.iter().filter(|g| g.role.as_ref().is_some_and(|r| r.name == "r"));
    assert_eq!(granted.count(), 0, "nothing was granted");
}
on_both!(bad_grants_are_refused, "--auth");

async fn bad_groups_and_backups_are_refused(site: Site) {
    create_role(&site, "r").await.expect("a role");
    let mut wrong = Vec::new();
    let create = |name: &str| CreatePrivilegeGroupRequest {
        group_name: name.to_owned(),
        ..Default::default()
    };
    let made = message(rpc(&site).create_privilege_group(by(ROOT, create("g"))).await);
    assert_eq!(made.expect("an answer").code, 0);
    let long = "g".repeat(256);
    for (name, text) in [
        ("", "privilege group name should be not empty"),
        ("1g", "the first character of privilege group name must be"),
        ("g-h", "privilege group name can only contain"),
        (&*long, "the length of privilege group name must be not greater than limit"),
        ("g", "privilege group name [g] is defined by users"),
        ("Search", "is defined by built in privileges or privilege groups"),
        ("ReadWrite", "is defined by built in privileges or privilege groups"),
        ("ClusterAdmin", "is defined by built in privileges or privilege groups"),
    ] {
        let made = message(rpc(&site).create_privilege_group(by(ROOT, create(name))).await);
        check(&mut wrong, name, &made.expect("told"), &Due(INVALID, 5, text));
    }
    let fill = |group: &str, names: &[&str], kind: i32| OperatePrivilegeGroupRequest {
        group_name: group.to_owned(),
        privileges: names.iter().map(|&n| PrivilegeEntity { name: n.to_owned() }).collect(),
        r#type: kind,
        base: None,
    };
    for (request, due) in [
        (fill("none", &["Search"], 0), Due(INVALID, 5, "no privilege group name [none]")),
        (fill("ClusterAdmin", &["Search"], 0), Due(INVALID, 5, "group name [ClusterAdmin]")),
        (fill("g", &[], 0), Due(INVALID, 5, "privileges is empty")),
        (fill("g", &["Fly"], 0), Due(INVALID, 5, "group name [Fly] defined in system")),
        (fill("g", &[""], 0), Due(INVALID, 5, "Privilege should be not empty")),
        (fill("g", &["Search", "CreateDatabase"], 0), Due(INVALID, 5, "not the same privilege")),
        (fill("g", &["Search"], 5), Due(PLAIN, 61, "unsupported operate type: 5")),
    ] {
        let what = format!("{request:?}");
        let made = message(rpc(&site).operate_privilege_group(by(ROOT, request)).await);
        check(&mut wrong, what, &made.expect("told"), &due);
    }
    let gone = DropPrivilegeGroupRequest { group_name: "none".to_owned(), base: None };
    let gone = message(rpc(&site).drop_privilege_group(by(ROOT, gone)).await).expect("told");
    assert_eq!(gone.code, 0, "what is not there is gone");
    let user = |password: &str| RbacMeta {
        users: vec![UserInfo {
            user: "v".to_owned(),
            password: password.to_owned(),
            ..Default::default()
        }],
        ..Default::default()
    };
    let bcrypt = "$2a$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy";
    let hungry = "$argon2id$v=19$m=4194304,t=2,p=1$c29tZXNhbHQ$\
                  RdescudvJCsgt3ub+b1dWRWJTmaaJObGRdescudvJCs";
    for (saved, due) in [
        (RbacMeta::default(), Due(PLAIN, 41, "restore RBAC meta is empty")),
        (user(""), Due(INVALID, 5, "no argon2 hash")),
        (user("secret"), Due(INVALID, 5, "no argon2 hash")),
        (user(bcrypt), Due(INVALID, 5, "no argon2 hash")),
        (user(hungry), Due(INVALID, 5, "of a bearable cost")),
        (
            RbacMeta { roles: role_entity("r").into_iter().collect(), ..Default::default() },
            Due(PLAIN, 41, "role [r] already exists"),
        ),
        (
            RbacMeta { roles: role_entity("1r").into_iter().collect(), ..Default::default() },
            Due(INVALID, 5, "the first character of role name"),
        ),
    ] {
        let what = format!("{saved:?}");
        let restore = RestoreRbacMetaRequest { rbac_meta: Some(saved), base: None };
        let status = message(rpc(&site).restore_rbac(by(ROOT, restore)).await).expect("told");
        check(&mut wrong, what, &status, &due);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
on_both!(bad_groups_and_backups_are_refused, "--auth");
