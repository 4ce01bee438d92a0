//! Users, roles and grants over gRPC: in force at once, kept over kill -9, secret.

use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use millstream_gateway::pb::OperatePrivilegeType::{Grant, Revoke};
use millstream_gateway::pb::{
    BackupRbacMetaRequest, CreateDatabaseRequest, CreatePrivilegeGroupRequest,
    DeleteCredentialRequest, DropRoleRequest, GrantEntity, ListDatabasesRequest,
    ListPrivilegeGroupsRequest, OperatePrivilegeGroupRequest, PrivilegeEntity, QueryRequest,
    RestoreRbacMetaRequest, RoleEntity, SelectGrantRequest, SelectRoleRequest, SelectUserRequest,
    ShowCollectionsRequest, UpdateCredentialRequest, UserEntity,
};
use millstream_tests::client::{Trouble, accept, message, query};
use millstream_tests::on_both;
use millstream_tests::server::{get, request};
use millstream_tests::site::Site;
use tonic::Code;

use crate::{ROOT, by, create_role, create_user, give, grant, rpc};

/// Makes a collection as `root`, through a client that has no credentials of its own.
async fn create_collection(site: &Site, name: &str) {
    use millstream_gateway::pb::LoadCollectionRequest;
    use millstream_gateway::pb::{CreateCollectionRequest, CreateIndexRequest};
    use millstream_tests::rows::{pair, plain_schema};
    use prost::Message;
    let create = CreateCollectionRequest {
        collection_name: name.to_owned(),
        schema: plain_schema(name, 4).encode_to_vec().into(),
        shards_num: 1,
        ..Default::default()
    };
    let made = message(rpc(site).create_collection(by(ROOT, create)).await).expect("an answer");
    accept(Some(&made)).expect("a collection");
    let index = CreateIndexRequest {
        collection_name: name.to_owned(),
        field_name: "vector".to_owned(),
        extra_params: vec![pair("index_type", "FLAT"), pair("metric_type", "L2")],
        ..Default::default()
    };
    let made = message(rpc(site).create_index(by(ROOT, index)).await).expect("an answer");
    accept(Some(&made)).expect("an index");
    let load = LoadCollectionRequest { collection_name: name.to_owned(), ..Default::default() };
    let made = message(rpc(site).load_collection(by(ROOT, load)).await).expect("an answer");
    accept(Some(&made)).expect("loaded");
}

/// How a query of somebody ends: gRPC's code.
async fn ask(site: &Site, credentials: &str, collection: &str) -> Code {
    let request: QueryRequest = query(collection, "id >= 0", &["id"]);
    let request =
        QueryRequest { query_params: vec![millstream_tests::rows::pair("limit", 1)], ..request };
    match rpc(site).query(by(credentials, request)).await {
        Ok(answer) => {
            accept(answer.into_inner().status.as_ref()).expect("a query that is let in works");
            Code::Ok
        }
        Err(status) => status.code(),
    }
}

async fn a_grant_is_in_force_at_once_and_a_revocation_too(site: Site) {
    create_collection(&site, "c").await;
    create_collection(&site, "d").await;
    create_user(&site, "u", "secret-u").await.expect("a user");
    create_role(&site, "r").await.expect("a role");
    assert_eq!(ask(&site, "u:secret-u", "c").await, Code::PermissionDenied);
    give(&site, "u", "r").await.expect("given");
    for _ in 0..3 {
        grant(&site, "r", ("default", "c", "CollectionReadOnly"), Grant).await.expect("granted");
        assert_eq!(ask(&site, "u:secret-u", "c").await, Code::Ok);
        assert_eq!(ask(&site, "u:secret-u", "d").await, Code::PermissionDenied);
        grant(&site, "r", ("default", "c", "CollectionReadOnly"), Revoke).await.expect("revoked");
        assert_eq!(ask(&site, "u:secret-u", "c").await, Code::PermissionDenied);
    }
    // Sixteen connections that ask without a pause hear of a revocation as soon.
    grant(&site, "r", ("default", "c", "Query"), Grant).await.expect("granted");
    let asking: Vec<_> = (0..16)
        .map(|_| {
            let mut rpc = rpc(&site);
            tokio::spawn(async move {
                let mut last_good = Instant::now();
                loop {
                    let request = query("c", "id in [1]", &["id"]);
                    match rpc.query(by("u:secret-u", request)).await {
                        Ok(_) => last_good = Instant::now(),
                        Err(status) => {
                            assert_eq!(status.code(), Code::PermissionDenied);
                            return last_good;
                        }
                    }
                }
            })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(300)).await;
    grant(&site, "r", ("default", "c", "Query"), Revoke).await.expect("revoked");
    let revoked = Instant::now();
    for task in asking {
        let last_good = task.await.expect("a client");
        assert!(last_good < revoked + Duration::from_secs(1));
    }
}
on_both!(a_grant_is_in_force_at_once_and_a_revocation_too, "--auth");

async fn a_changed_password_ends_the_old_one(site: Site) {
    create_collection(&site, "c").await;
    create_user(&site, "u", "first-one").await.expect("a user");
    give(&site, "u", "admin").await.expect("given");
    assert_eq!(ask(&site, "u:first-one", "c").await, Code::Ok);
    let update = |old: &str, new: &str| UpdateCredentialRequest {
        username: "u".to_owned(),
        old_password: STANDARD.encode(old),
        new_password: STANDARD.encode(new),
        ..Default::default()
    };
    let refused =
        rpc(&site).update_credential(by("u:first-one", update("wrong-one", "second-1"))).await;
    let status = message(refused).expect("an answer");
    assert_eq!(status.code, 1_400);
    assert_eq!(status.reason, "old password not correct for u: not authenticated");
    let changed =
        rpc(&site).update_credential(by("u:first-one", update("first-one", "second-1"))).await;
    accept(Some(&message(changed).expect("an answer"))).expect("changed");
    assert_eq!(ask(&site, "u:first-one", "c").await, Code::Unauthenticated);
    assert_eq!(ask(&site, "u:second-1", "c").await, Code::Ok);
    let gone = DeleteCredentialRequest { username: "u".to_owned(), ..Default::default() };
    let gone = message(rpc(&site).delete_credential(by(ROOT, gone)).await).expect("an answer");
    accept(Some(&gone)).expect("dropped");
    assert_eq!(ask(&site, "u:second-1", "c").await, Code::Unauthenticated);
    // A user of the same name is another one.
    create_user(&site, "u", "third-one").await.expect("a user");
    assert_eq!(ask(&site, "u:second-1", "c").await, Code::Unauthenticated);
    assert_eq!(ask(&site, "u:third-one", "c").await, Code::PermissionDenied);
}
on_both!(a_changed_password_ends_the_old_one, "--auth");

async fn users_and_grants_survive_kill_9(mut site: Site) {
    create_user(&site, "u", "secret-u").await.expect("a user");
    create_role(&site, "r").await.expect("a role");
    give(&site, "u", "r").await.expect("given");
    grant(&site, "r", ("default", "c", "CollectionReadWrite"), Grant).await.expect("granted");
    create_collection(&site, "c").await;
    site.kill();
    site.restart().expect("a server that starts again");
    assert_eq!(ask(&site, "u:secret-u", "c").await, Code::Ok);
    assert_eq!(ask(&site, "u:secret-v", "c").await, Code::Unauthenticated);
    let select = SelectUserRequest {
        user: Some(UserEntity { name: "u".to_owned() }),
        include_role_info: true,
        ..Default::default()
    };
    // Everybody may look at himself.
    let found = message(rpc(&site).select_user(by("u:secret-u", select)).await).expect("a user");
    assert_eq!(found.results[0].roles[0].name, "r");
    let select = SelectGrantRequest {
        entity: Some(GrantEntity {
            role: Some(RoleEntity { name: "r".to_owned(), ..Default::default() }),
            ..Default::default()
        }),
        ..Default::default()
    };
    let found = message(rpc(&site).select_grant(by("u:secret-u", select)).await).expect("grants");
    let entity = &found.entities[0];
    assert_eq!((&*entity.object_name, &*entity.db_name), ("c", "default"));
    let grantor = entity.grantor.clone().expect("a grantor");
    assert_eq!(grantor.user.map(|user| user.name).as_deref(), Some("root"));
    assert_eq!(grantor.privilege.map(|p| p.name).as_deref(), Some("CollectionReadWrite"));
}
on_both!(users_and_grants_survive_kill_9, "--auth");

async fn lists_show_only_what_somebody_may_use(site: Site) {
    create_collection(&site, "c").await;
    create_collection(&site, "d").await;
    let made = CreateDatabaseRequest { db_name: "shop".to_owned(), ..Default::default() };
    let made = message(rpc(&site).create_database(by(ROOT, made)).await).expect("an answer");
    accept(Some(&made)).expect("a database");
    create_user(&site, "u", "secret-u").await.expect("a user");
    create_role(&site, "r").await.expect("a role");
    give(&site, "u", "r").await.expect("given");
    let seen = async || {
        let show = ShowCollectionsRequest::default();
        let shown = message(rpc(&site).show_collections(by("u:secret-u", show)).await);
        let list = ListDatabasesRequest::default();
        let listed = message(rpc(&site).list_databases(by("u:secret-u", list)).await);
        (shown.expect("collections").collection_names, listed.expect("databases").db_names)
    };
    assert_eq!(seen().await, (vec![], vec![]));
    grant(&site, "r", ("default", "d", "Search"), Grant).await.expect("granted");
    assert_eq!(seen().await, (vec!["d".to_owned()], vec!["default".to_owned()]));
    grant(&site, "r", ("*", "*", "CollectionReadOnly"), Grant).await.expect("granted");
    let all = vec!["default".to_owned(), "shop".to_owned()];
    assert_eq!(seen().await, (vec!["c".to_owned(), "d".to_owned()], all));
}
on_both!(lists_show_only_what_somebody_may_use, "--auth");

async fn groups_and_backups_go_round(site: Site) {
    create_user(&site, "u", "secret-u").await.expect("a user");
    create_role(&site, "r").await.expect("a role");
    give(&site, "u", "r").await.expect("given");
    let group = CreatePrivilegeGroupRequest { group_name: "g".to_owned(), ..Default::default() };
    let made = message(rpc(&site).create_privilege_group(by(ROOT, group)).await);
    accept(Some(&made.expect("an answer"))).expect("a group");
    let privilege = |name: &str| PrivilegeEntity { name: name.to_owned() };
    let fill = OperatePrivilegeGroupRequest {
        group_name: "g".to_owned(),
        privileges: vec![privilege("Query"), privilege("Search")],
        ..Default::default()
    };
    let made = message(rpc(&site).operate_privilege_group(by(ROOT, fill)).await);
    accept(Some(&made.expect("an answer"))).expect("filled");
    grant(&site, "r", ("default", "*", "g"), Grant).await.expect("granted");
    create_collection(&site, "c").await;
    assert_eq!(ask(&site, "u:secret-u", "c").await, Code::Ok);
    let list = ListPrivilegeGroupsRequest::default();
    let listed = message(rpc(&site).list_privilege_groups(by(ROOT, list)).await).expect("groups");
    assert_eq!(listed.privilege_groups.len(), 10);
    assert_eq!(listed.privilege_groups[0].group_name, "g");

    let backup = rpc(&site).backup_rbac(by(ROOT, BackupRbacMetaRequest::default())).await;
    let saved = message(backup).expect("an answer").rbac_meta.expect("a backup");
    assert!(saved.users[0].password.starts_with("$argon2id$"));
    for request in [
        DropRoleRequest { role_name: "r".to_owned(), force_drop: false, ..Default::default() },
        DropRoleRequest { role_name: "r".to_owned(), force_drop: true, ..Default::default() },
    ] {
        let forced = request.force_drop;
        let status = message(rpc(&site).drop_role(by(ROOT, request)).await).expect("an answer");
        assert_eq!(status.code == 0, forced, "{}", status.reason);
        assert!(forced || status.error_code == 36);
    }
    let gone = DeleteCredentialRequest { username: "u".to_owned(), ..Default::default() };
    message(rpc(&site).delete_credential(by(ROOT, gone)).await).expect("an answer");
    let restore = |saved| RestoreRbacMetaRequest { rbac_meta: Some(saved), base: None };
    let refused = rpc(&site).restore_rbac(by(ROOT, restore(saved.clone()))).await;
    let refused = message(refused).expect("an answer");
    assert!(refused.reason.contains("privilege group [g] already exists"), "{}", refused.reason);
    let roles = SelectRoleRequest::default();
    let roles = message(rpc(&site).select_role(by(ROOT, roles)).await).expect("roles");
    assert_eq!(roles.results.len(), 2, "nothing of a refused backup is made");
    let mut rest = saved;
    rest.privilege_groups.clear();
    let restored = message(rpc(&site).restore_rbac(by(ROOT, restore(rest))).await);
    accept(Some(&restored.expect("an answer"))).expect("restored");
    assert_eq!(ask(&site, "u:secret-u", "c").await, Code::Ok, "with the old password");
}
on_both!(groups_and_backups_go_round, "--auth");

/// Neither a log line nor a file has a password or what it is hashed to, but the catalog the hash.
async fn secrets_are_in_no_log(site: Site) {
    let secret = "planted-Secret-77";
    create_user(&site, "u", secret).await.expect("a user");
    ask(&site, &format!("u:{secret}"), "c").await;
    ask(&site, &format!("u:{secret}x"), "c").await;
    ask(&site, &format!("nobody:{secret}"), "c").await;
    let refused = create_user(&site, "u", secret).await;
    assert!(matches!(refused, Err(Trouble::Refused(_))));
    let printed = site.server.output();
    assert!(printed.contains("wrong credentials"), "the log is at the level debug");
    let sent = STANDARD.encode(format!("u:{secret}"));
    for hidden in [secret, &STANDARD.encode(secret), &sent, "argon2id$"] {
        assert!(!printed.contains(hidden), "the log has {hidden}");
    }
    let catalog = site.data().join("catalog.db");
    for file in [catalog.clone(), catalog.with_extension("db-wal")] {
        let bytes = std::fs::read(file).unwrap_or_default();
        let plain = secret.as_bytes();
        assert!(!bytes.windows(plain.len()).any(|w| w == plain), "the catalog has the password");
    }
}
on_both!(secrets_are_in_no_log, "--auth", "--log-level", "debug");

/// Probes have no credentials; the level of the log is for administrators.
async fn the_admin_port_is_guarded_where_it_changes_something(site: Site) {
    let admin = site.server.admin;
    assert!(get(admin, "/healthz").expect("an answer").starts_with("HTTP/1.1 200"));
    assert!(get(admin, "/metrics").expect("an answer").starts_with("HTTP/1.1 200"));
    let refused = request(admin, "PUT", "/log/level?level=debug").expect("an answer");
    assert!(refused.starts_with("HTTP/1.1 401"), "{refused}");
    assert!(get(admin, "/log/level").expect("an answer").starts_with("HTTP/1.1 401"));
}
on_both!(the_admin_port_is_guarded_where_it_changes_something, "--auth");

/// Many connections of one program begin at once, and each needs its password verified.
async fn many_logins_at_once_are_served_and_guesses_do_not_stop_them(site: Site) {
    create_collection(&site, "c").await;
    create_user(&site, "u", "secret-u").await.expect("a user");
    give(&site, "u", "admin").await.expect("given");
    let guessing: Vec<_> = (0..8)
        .map(|n| {
            let mut rpc = rpc(&site);
            tokio::spawn(async move {
                for round in 0..5 {
                    let guess = format!("u:guess-{n}-{round}");
                    let answer = rpc.query(by(&guess, query("c", "id in [1]", &["id"]))).await;
                    assert_eq!(answer.expect_err("a guess").code(), Code::Unauthenticated);
                }
            })
        })
        .collect();
    let logins: Vec<_> = (0..64)
        .map(|_| {
            let mut rpc = rpc(&site);
            tokio::spawn(async move {
                let answer = rpc.query(by("u:secret-u", query("c", "id in [1]", &["id"]))).await;
                accept(answer.expect("let in").into_inner().status.as_ref()).expect("an answer");
            })
        })
        .collect();
    for task in logins.into_iter().chain(guessing) {
        task.await.expect("a client");
    }
    let begun = Instant::now();
    for _ in 0..200 {
        assert_eq!(ask(&site, "u:secret-u", "c").await, Code::Ok);
    }
    let each = begun.elapsed() / 200;
    assert!(each < Duration::from_millis(10), "a remembered login costs {each:?}");
}
on_both!(many_logins_at_once_are_served_and_guesses_do_not_stop_them, "--auth");
