//! Behaviour of users, roles, grants and groups of privileges.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use millstream_catalog::model::{Code, limits};
use millstream_catalog::rbac::password::{Cost, PasswordHash, SALT_LEN, Verdict};
use millstream_catalog::rbac::privilege::ObjectType;
use millstream_catalog::rbac::{
    ADMIN, AccessChange, Grant, Need, PUBLIC, ROOT, ROOT_PASSWORD, SavedUser,
};

use crate::home::{Home, Opened};

fn hash(password: &str) -> PasswordHash {
    let cheap = Cost { memory_kib: 16, passes: 1, lanes: 1 };
    PasswordHash::make(password.as_bytes(), [7; SALT_LEN], cheap).unwrap()
}

async fn make(catalog: &Opened, change: AccessChange) {
    catalog.access_change(change).await.unwrap();
}

/// Code and text of a refused change, which must change nothing.
async fn refused(catalog: &Opened, change: AccessChange) -> (Code, String) {
    let before = catalog.access_version().await.unwrap();
    let fault = catalog.access_change(change).await.unwrap_err();
    assert_eq!(catalog.access_version().await.unwrap(), before, "{fault}");
    (fault.code, fault.message)
}

fn user(name: &str) -> AccessChange {
    let (password, description) = (hash(name), String::new());
    AccessChange::UserCreate { name: name.to_owned(), password, description }
}

fn drop_user(name: &str) -> AccessChange {
    AccessChange::UserDrop { name: name.to_owned() }
}

fn role(name: &str) -> AccessChange {
    AccessChange::RoleCreate { name: name.to_owned(), description: String::new() }
}

fn drop_role(name: &str, force: bool) -> AccessChange {
    AccessChange::RoleDrop { name: name.to_owned(), force }
}

fn give(user: &str, role: &str, add: bool) -> AccessChange {
    AccessChange::UserRole { user: user.to_owned(), role: role.to_owned(), add }
}

fn grant(database: &str, object: &str, privilege: &str) -> Grant {
    Grant {
        database: database.to_owned(),
        object_type: ObjectType::Collection,
        object: object.to_owned(),
        privilege: privilege.to_owned(),
        grantor: ROOT.to_owned(),
    }
}

fn older(role: &str, grant: Grant, add: bool) -> AccessChange {
    AccessChange::Grant { role: role.to_owned(), grant, newer: false, add }
}

fn newer(role: &str, grant: Grant, add: bool) -> AccessChange {
    AccessChange::Grant { role: role.to_owned(), grant, newer: true, add }
}

fn group(name: &str) -> AccessChange {
    AccessChange::GroupCreate { name: name.to_owned() }
}

fn members(name: &str, privileges: &[&str], add: bool) -> AccessChange {
    let privileges = privileges.iter().map(|&p| p.to_owned()).collect();
    AccessChange::GroupAlter { name: name.to_owned(), privileges, add }
}

async fn allows(catalog: &Opened, user: &str, privilege: &str, object: &str) -> bool {
    let object_type = ObjectType::Collection;
    let need = Need { privilege, object_type, database: "default", object };
    catalog.access_get().await.unwrap().allows(user, &need)
}

pub(crate) async fn root_and_the_default_roles_are_there_and_stay(home: Arc<Home>) {
    for _ in 0..2 {
        let catalog = home.open().await;
        let access = catalog.access_get().await.unwrap();
        let users: Vec<_> = access.users().map(|u| (u.name.as_str(), u.roles.clone())).collect();
        assert_eq!(users, [(ROOT, vec![ADMIN.to_owned()])]);
        assert_eq!(access.user(ROOT).unwrap().password, None, "its password is {ROOT_PASSWORD}");
        assert_eq!(access.roles().map(|(name, _)| name).collect::<Vec<_>>(), [ADMIN, PUBLIC]);
        let public: Vec<_> =
            access.role(PUBLIC).unwrap().grants.iter().map(|g| g.privilege.as_str()).collect();
        assert_eq!(public, ["DescribeCollection", "ListAliases", "IndexDetail"]);
        let text = "root user cannot be deleted: privilege not permitted".to_owned();
        assert_eq!(refused(&catalog, drop_user(ROOT)).await, (Code::NotPermitted, text));
        for name in [ADMIN, PUBLIC] {
            let text = format!(
                "the role[{name}] is a default role, which can't be dropped: \
                 privilege not permitted"
            );
            let found = refused(&catalog, drop_role(name, true)).await;
            assert_eq!(found, (Code::NotPermitted, text));
        }
        catalog.close().await;
    }
}

pub(crate) async fn what_public_may_do_can_be_revoked_for_good(home: Arc<Home>) {
    let catalog = home.open().await;
    make(&catalog, user("u")).await;
    assert!(allows(&catalog, "u", "IndexDetail", "c").await);
    make(&catalog, older(PUBLIC, grant("*", "*", "IndexDetail"), false)).await;
    assert!(!allows(&catalog, "u", "IndexDetail", "c").await);
    catalog.close().await;
    let catalog = home.open().await;
    assert!(!allows(&catalog, "u", "IndexDetail", "c").await, "a restart grants nothing");
}

pub(crate) async fn users_come_and_go_and_change_their_passwords(home: Arc<Home>) {
    let catalog = home.open().await;
    make(&catalog, user("u")).await;
    let (code, text) = refused(&catalog, user("u")).await;
    assert_eq!((code, &*text), (Code::Unexpected, "user already exists: u"));
    let stamp = catalog.access_get().await.unwrap().user("u").unwrap().stamp;
    let change = AccessChange::UserUpdate {
        name: "u".to_owned(),
        password: Some(hash("second")),
        description: Some("two".to_owned()),
    };
    make(&catalog, change).await;
    let now = Arc::clone(catalog.access_get().await.unwrap().user("u").unwrap());
    assert!(now.stamp > stamp && now.description == "two");
    let password = now.password.as_ref().unwrap();
    assert_eq!(password.verify(b"second"), Verdict::RightButOld);
    assert_eq!(password.verify(b"u"), Verdict::Wrong);
    let change = AccessChange::UserUpdate {
        name: "u".to_owned(),
        password: None,
        description: Some("three".to_owned()),
    };
    make(&catalog, change).await;
    let same = Arc::clone(catalog.access_get().await.unwrap().user("u").unwrap());
    assert_eq!((&same.password, &*same.description), (&now.password, "three"));
    make(&catalog, drop_user("u")).await;
    make(&catalog, drop_user("u")).await;
    assert!(catalog.access_get().await.unwrap().user("u").is_none());
    let change = AccessChange::UserUpdate {
        name: "u".to_owned(),
        password: Some(hash("third")),
        description: None,
    };
    assert!(refused(&catalog, change).await.1.starts_with("not found the user"));
    make(&catalog, user("u")).await;
}

/// A login verifies a state of the user that may be gone when its new hash arrives.
pub(crate) async fn a_new_hash_of_a_password_that_changed_meanwhile_is_ignored(home: Arc<Home>) {
    let catalog = home.open().await;
    make(&catalog, user("u")).await;
    let stamp = catalog.access_get().await.unwrap().user("u").unwrap().stamp;
    let rehash = |stamp| AccessChange::UserRehash {
        name: "u".to_owned(),
        stamp,
        password: PasswordHash::make(b"u", [9; SALT_LEN], Cost::NOW).unwrap(),
    };
    make(&catalog, rehash(stamp)).await;
    let now = Arc::clone(catalog.access_get().await.unwrap().user("u").unwrap());
    assert_eq!(now.password.as_ref().unwrap().verify(b"u"), Verdict::Right);
    let version = catalog.access_version().await.unwrap();
    make(&catalog, rehash(stamp)).await;
    make(&catalog, drop_user("u")).await;
    make(&catalog, rehash(now.stamp)).await;
    assert_eq!(catalog.access_version().await.unwrap(), version + 1);
    assert!(catalog.access_get().await.unwrap().user("u").is_none());
}

pub(crate) async fn a_role_is_given_and_taken(home: Arc<Home>) {
    let catalog = home.open().await;
    for change in [user("u"), role("r"), older("r", grant("default", "c", "Insert"), true)] {
        make(&catalog, change).await;
    }
    assert!(!allows(&catalog, "u", "Insert", "c").await);
    make(&catalog, give("u", "r", true)).await;
    let version = catalog.access_version().await.unwrap();
    make(&catalog, give("u", "r", true)).await;
    assert_eq!(catalog.access_version().await.unwrap(), version, "given once");
    assert!(allows(&catalog, "u", "Insert", "c").await);
    assert!(!allows(&catalog, "u", "Insert", "d").await);
    let access = catalog.access_get().await.unwrap();
    assert_eq!(access.users_of("r").map(|u| u.name.as_str()).collect::<Vec<_>>(), ["u"]);
    make(&catalog, give("u", "r", false)).await;
    make(&catalog, give("nobody", "r", false)).await;
    assert!(!allows(&catalog, "u", "Insert", "c").await);
    let (code, text) = refused(&catalog, give("u", "none", true)).await;
    let due = "not found the role, maybe the role isn't existed or internal system error";
    assert_eq!((code, &*text), (Code::Unexpected, due));
    let (_, text) = refused(&catalog, give("nobody", "r", true)).await;
    assert_eq!(text, "not found the user, maybe the user isn't existed or internal system error");
    // Whoever has the role of administrators may do everything.
    make(&catalog, give("u", ADMIN, true)).await;
    assert!(allows(&catalog, "u", "Search", "d").await);
}

pub(crate) async fn a_role_with_grants_goes_only_by_force_and_from_everybody(home: Arc<Home>) {
    let catalog = home.open().await;
    for change in [
        user("u"),
        user("v"),
        role("r"),
        role("s"),
        give("u", "r", true),
        give("u", "s", true),
        give("v", "r", true),
        older("r", grant("default", "c", "Insert"), true),
    ] {
        make(&catalog, change).await;
    }
    let (code, text) = refused(&catalog, drop_role("r", false)).await;
    let due = "fail to drop the role that it has privileges. Use REVOKE API to revoke privileges";
    assert_eq!((code, &*text), (Code::Unexpected, due));
    let alter = |name: &str| AccessChange::RoleAlter {
        name: name.to_owned(),
        description: "reads".to_owned(),
    };
    make(&catalog, alter("r")).await;
    assert_eq!(catalog.access_get().await.unwrap().role("r").unwrap().description, "reads");
    assert!(allows(&catalog, "u", "Insert", "c").await, "its grants stay");
    assert!(refused(&catalog, alter("none")).await.1.starts_with("not found the role"));
    make(&catalog, drop_role("r", true)).await;
    let access = catalog.access_get().await.unwrap();
    assert_eq!(access.user("u").unwrap().roles, ["s"]);
    assert_eq!(access.user("v").unwrap().roles, [""; 0]);
    let (_, text) = refused(&catalog, drop_role("r", false)).await;
    assert!(text.starts_with("not found the role"));
    // A role of the same name is another one.
    for change in [role("r"), give("u", "r", true)] {
        make(&catalog, change).await;
    }
    assert!(!allows(&catalog, "u", "Insert", "c").await);
    let (_, text) = refused(&catalog, role("r")).await;
    assert_eq!(text, "role [name:\"r\"] already exists");
}

pub(crate) async fn a_grant_is_one_however_often_it_is_given(home: Arc<Home>) {
    let catalog = home.open().await;
    make(&catalog, role("r")).await;
    let one = || grant("default", "c", "Insert");
    make(&catalog, older("r", one(), true)).await;
    let version = catalog.access_version().await.unwrap();
    make(&catalog, older("r", one(), true)).await;
    make(&catalog, newer("r", Grant { grantor: "other".to_owned(), ..one() }, true)).await;
    assert_eq!(catalog.access_version().await.unwrap(), version, "it is the same grant");
    assert_eq!(catalog.access_get().await.unwrap().role("r").unwrap().grants, [one()]);
    make(&catalog, newer("r", one(), false)).await;
    make(&catalog, newer("r", one(), false)).await;
    assert!(catalog.access_get().await.unwrap().role("r").unwrap().grants.is_empty());
    make(&catalog, drop_role("r", false)).await;
}

pub(crate) async fn a_grant_that_makes_no_sense_is_refused(home: Arc<Home>) {
    let catalog = home.open().await;
    for change in [role("r"), group("g"), members("g", &["CreateDatabase"], true), group("e")] {
        make(&catalog, change).await;
    }
    for (privilege, due) in [
        ("Fly", "not found the privilege name[Fly]"),
        ("CreateDatabase", "not found the privilege name[CreateDatabase] in object[Collection]"),
        ("g", "can not operate the custom privilege group [g]"),
        ("CollectionAdmin", "can not operate the built-in privilege group [CollectionAdmin]"),
        ("Admin", "not found the privilege name[Admin] in object[Collection]"),
    ] {
        let (code, text) = refused(&catalog, older("r", grant("d", "c", privilege), true)).await;
        assert!(code == Code::Unexpected && text.starts_with(due), "{text}");
    }
    let level = |what: &str, name: &str| format!("{what} privilege: {name}: invalid parameter");
    let cluster = "dbName and collectionName should be * for the cluster level";
    for (database, object, privilege, due) in [
        ("d", "*", "ClusterAdmin", level(cluster, "ClusterAdmin")),
        ("*", "c", "g", level(cluster, "g")),
        (
            "d",
            "c",
            "DatabaseAdmin",
            level("collectionName should be * for the database level", "DatabaseAdmin"),
        ),
        (
            "*",
            "c",
            "CollectionReadOnly",
            level("please specify database name for the collection level", "CollectionReadOnly"),
        ),
        ("d", "c", "Fly", "not found the privilege name[Fly]".to_owned()),
    ] {
        let change = newer("r", grant(database, object, privilege), true);
        assert_eq!(refused(&catalog, change).await.1, due);
    }
    let missing = older("none", grant("d", "c", "Insert"), true);
    assert!(refused(&catalog, missing).await.1.starts_with("not found the role"));
    for good in [
        newer("r", grant("*", "*", "g"), true),
        newer("r", grant("d", "c", "e"), true),
        newer("r", grant("d", "c", "*"), true),
        older("r", grant("d", "c", "ReadWrite"), true),
        older("r", grant("d", "c", "*"), true),
    ] {
        make(&catalog, good).await;
    }
}

pub(crate) async fn groups_hold_privileges_of_one_level(home: Arc<Home>) {
    let catalog = home.open().await;
    for change in [user("u"), role("r"), give("u", "r", true), group("g")] {
        make(&catalog, change).await;
    }
    let (code, text) = refused(&catalog, group("g")).await;
    let due = "privilege group name [g] is defined by users: invalid parameter";
    assert_eq!((code, &*text), (Code::ParameterInvalid, due));
    for taken in ["Insert", "ClusterAdmin", "ReadOnly"] {
        let (_, text) = refused(&catalog, group(taken)).await;
        assert!(text.contains("is defined by built in privileges"), "{text}");
    }
    make(&catalog, members("g", &["Insert", "Search"], true)).await;
    let (_, text) = refused(&catalog, members("g", &["CreateDatabase"], true)).await;
    assert_eq!(text, "privileges are not the same privilege level: invalid parameter");
    let (_, text) = refused(&catalog, members("g", &["Fly"], true)).await;
    assert!(text.contains("privilege group name [Fly] defined in system to operate"), "{text}");
    let (_, text) = refused(&catalog, members("g", &[], true)).await;
    assert!(text.starts_with("privileges is empty"), "{text}");
    let (_, text) = refused(&catalog, members("none", &["Insert"], true)).await;
    assert!(text.contains("there is no privilege group name [none]"), "{text}");

    // What a group holds is in force for those who have it.
    make(&catalog, newer("r", grant("default", "c", "g"), true)).await;
    assert!(allows(&catalog, "u", "Insert", "c").await);
    make(&catalog, members("g", &["Insert"], false)).await;
    assert!(!allows(&catalog, "u", "Insert", "c").await);
    assert!(allows(&catalog, "u", "Search", "c").await);
    let (_, text) = refused(&catalog, AccessChange::GroupDrop { name: "g".to_owned() }).await;
    let due = "privilege group [g] is used by role [r], Use REVOKE API to revoke it first";
    assert_eq!(text, due);
    make(&catalog, newer("r", grant("default", "c", "g"), false)).await;
    make(&catalog, AccessChange::GroupDrop { name: "g".to_owned() }).await;
    make(&catalog, AccessChange::GroupDrop { name: "g".to_owned() }).await;
    assert_eq!(catalog.access_get().await.unwrap().groups().count(), 0);
}

pub(crate) async fn users_and_roles_are_limited(home: Arc<Home>) {
    let catalog = home.open().await;
    for n in 1..limits::USERS_MAX {
        make(&catalog, user(&format!("u{n}"))).await;
    }
    let (code, text) = refused(&catalog, user("more")).await;
    assert_eq!(code, Code::Unexpected);
    assert!(text.contains("the number of users has reached the limit"), "{text}");
    for n in 2..limits::ROLES_MAX {
        make(&catalog, role(&format!("r{n}"))).await;
    }
    let (_, text) = refused(&catalog, role("more")).await;
    let due = "unable to create role because the number of roles has reached the limit";
    assert!(text.starts_with(due), "{text}");
    for change in [drop_user("u1"), drop_role("r2", false), user("more"), role("more")] {
        make(&catalog, change).await;
    }
}

pub(crate) async fn a_backup_makes_the_same_elsewhere_or_nothing(home: Arc<Home>) {
    let catalog = home.open().await;
    for change in [
        user("u"),
        role("r"),
        give("u", "r", true),
        group("g"),
        members("g", &["Insert"], true),
        newer("r", grant("d", "*", "g"), true),
        older("r", grant("default", "c", "Search"), true),
        older(PUBLIC, grant("default", "open", "Search"), true),
    ] {
        make(&catalog, change).await;
    }
    let saved = catalog.access_get().await.unwrap().backup();
    assert!(saved.users.iter().all(|u| u.name != ROOT) && saved.roles.len() == 1);
    let restore = |saved: &millstream_catalog::rbac::Backup| AccessChange::Restore(saved.clone());
    let (_, text) = refused(&catalog, restore(&saved)).await;
    assert_eq!(text, "role [r] already exists");
    for change in [
        drop_user("u"),
        drop_role("r", true),
        AccessChange::GroupDrop { name: "g".to_owned() },
        older(PUBLIC, grant("default", "open", "Search"), false),
    ] {
        make(&catalog, change).await;
    }
    let mut broken = saved.clone();
    let (name, password) = ("w".to_owned(), hash("w"));
    broken.users.push(SavedUser { name, password, roles: vec!["none".to_owned()] });
    assert_eq!(refused(&catalog, restore(&broken)).await.1, "role [none] does not exist");
    let mut broken = saved.clone();
    broken.grants.push(("r".to_owned(), grant("d", "c", "Fly")));
    assert_eq!(refused(&catalog, restore(&broken)).await.1, "privilege [Fly] does not exist");
    let mut broken = saved.clone();
    broken.users.push(saved.users[0].clone());
    assert_eq!(refused(&catalog, restore(&broken)).await.1, "user [u] already exists");
    let empty = refused(&catalog, AccessChange::Restore(Default::default())).await;
    assert_eq!(empty.1, "restore RBAC meta is empty");
    make(&catalog, restore(&saved)).await;
    assert_eq!(catalog.access_get().await.unwrap().backup(), saved);
    assert!(allows(&catalog, "u", "Search", "open").await);
}

pub(crate) async fn access_is_the_same_after_a_restart(home: Arc<Home>) {
    let catalog = home.open().await;
    for change in [
        user("u"),
        role("r"),
        give("u", "r", true),
        older("r", grant("default", "c", "Search"), true),
        group("g"),
        members("g", &["Load"], true),
    ] {
        make(&catalog, change).await;
    }
    let picture = async |catalog: &Opened| {
        let access = catalog.access_get().await.unwrap();
        let version = catalog.access_version().await.unwrap();
        assert_eq!(access.version, version);
        (version, access.backup(), access.user("u").unwrap().stamp)
    };
    let before = picture(&catalog).await;
    catalog.close().await;
    let catalog = home.open().await;
    assert_eq!(picture(&catalog).await, before);
}

/// Every gateway must hear of a revocation, also one that only hears that something changed.
pub(crate) async fn watchers_hear_of_every_change_of_access(home: Arc<Home>) {
    let catalog = home.open().await;
    let heard = Arc::<AtomicU64>::default();
    let count = Arc::clone(&heard);
    catalog.watch(Box::new(move |collection| {
        if collection.is_none() {
            count.fetch_add(1, Ordering::SeqCst);
        }
    }));
    let mut version = catalog.access_version().await.unwrap();
    for (n, change) in (1..).zip([
        user("u"),
        role("r"),
        give("u", "r", true),
        older("r", grant("default", "c", "Search"), true),
        older("r", grant("default", "c", "Search"), false),
        drop_role("r", false),
    ]) {
        make(&catalog, change).await;
        assert_eq!(heard.load(Ordering::SeqCst), n);
        let now = catalog.access_version().await.unwrap();
        assert!(now > version);
        version = now;
    }
    make(&catalog, drop_user("nobody")).await;
    assert_eq!(heard.load(Ordering::SeqCst), 6, "nothing changed");
}

pub(crate) async fn concurrent_changes_of_access_are_all_made(home: Arc<Home>) {
    let catalog = Arc::new(home.open().await);
    make(&catalog, role("r")).await;
    let tasks: Vec<_> = (0..8)
        .map(|n| {
            let catalog = Arc::clone(&catalog);
            tokio::spawn(async move {
                let name = format!("u{n}");
                make(&catalog, user(&name)).await;
                make(&catalog, give(&name, "r", true)).await;
                for object in ["a", "b"] {
                    make(&catalog, older("r", grant("default", object, "Search"), true)).await;
                }
                if n % 2 == 0 {
                    make(&catalog, drop_user(&name)).await;
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let access = catalog.access_get().await.unwrap();
    let users: Vec<_> = access.users_of("r").map(|u| u.name.as_str()).collect();
    assert_eq!(users, ["u1", "u3", "u5", "u7"]);
    assert_eq!(access.role("r").unwrap().grants.len(), 2);
}
