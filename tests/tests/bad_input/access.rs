//! Wrong users, passwords, roles, grants, groups of privileges and resource groups.
// tidy: table

mod grants;
mod resource;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use millstream_gateway::pb::{
    AlterRoleRequest, CreateCredentialRequest, CreatePrivilegeGroupRequest, CreateRoleRequest,
    DeleteCredentialRequest, DropRoleRequest, ListCredUsersRequest, OperateUserRoleRequest,
    RbacMeta, RestoreRbacMetaRequest, RoleEntity, UpdateCredentialRequest, UserInfo,
};
use millstream_tests::client::{Client, message};

use super::send::send;
use super::{Case, INVALID, PLAIN, Request, case};
use grants::{fill, newer, older};
use resource::resource;

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
        [users, passwords, roles, grants::grants, grants::groups, resource::cases];
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
    let description = "x".repeat(65_537);
    let more = "take 65537 bytes, more than 65536: parameter too large";
    let entity = RoleEntity { name: own("r10"), description: description.clone() };
    let wordy = CreateRoleRequest { entity: Some(entity), ..Default::default() };
    let due = format!("the words about the role {more}");
    cases.push(case("words", wordy, 1_102, &due));
    let wordy = AlterRoleRequest {
        role_name: own("r"),
        description: description.clone(),
        ..Default::default()
    };
    cases.push(case("words", wordy, 1_102, &due));
    let wordy = CreateCredentialRequest {
        username: own("fresh"),
        password: STANDARD.encode("secret-x"),
        description,
        ..Default::default()
    };
    cases.push(case("words", wordy, 1_102, &format!("the words about the user {more}")));
    cases.push(case("no such role", drop("none"), PLAIN, "the role isn't existed"));
    cases
}
