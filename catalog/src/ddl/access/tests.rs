//! Crash atomicity of changes of who may do what: each is cut off after each of its statements.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use super::super::StoredCatalog;
use super::super::tests::Fused;
use crate::catalog::Catalog;
use crate::clock::SystemClock;
use crate::memory::{MemoryData, MemoryStore};
use crate::model::Fault;
use crate::rbac::password::{Cost, PasswordHash, SALT_LEN};
use crate::rbac::privilege::ObjectType;
use crate::rbac::{AccessChange, AccessControl, Backup, Grant, ROOT, SavedUser};
use crate::rules::Limits;
use crate::store::{At, Store, Table};

fn hash(n: u8) -> PasswordHash {
    let cheap = Cost { memory_kib: 16, passes: 1, lanes: 1 };
    PasswordHash::make(&[n; 8], [n; SALT_LEN], cheap).unwrap()
}

fn grant(privilege: &str) -> Grant {
    Grant {
        database: "default".to_owned(),
        object_type: ObjectType::Collection,
        object: "c".to_owned(),
        privilege: privilege.to_owned(),
        grantor: ROOT.to_owned(),
    }
}

/// Every kind of change, each possible after those before it.
fn changes() -> Vec<AccessChange> {
    let (u, r, g): (String, String, String) = ("u".into(), "r".into(), "g".into());
    let granted =
        |add| AccessChange::Grant { role: r.clone(), grant: grant("Insert"), newer: false, add };
    let grouped = |add| AccessChange::GroupAlter {
        name: g.clone(),
        privileges: vec!["Insert".into(), "Search".into()],
        add,
    };
    vec![
        AccessChange::UserCreate { name: u.clone(), password: hash(1), description: "d".into() },
        AccessChange::RoleCreate { name: r.clone(), description: String::new() },
        AccessChange::UserRole { user: u.clone(), role: r.clone(), add: true },
        granted(true),
        AccessChange::UserUpdate { name: u.clone(), password: Some(hash(2)), description: None },
        AccessChange::GroupCreate { name: g.clone() },
        grouped(true),
        grouped(false),
        AccessChange::GroupDrop { name: g.clone() },
        AccessChange::Restore(Backup {
            users: vec![SavedUser {
                name: "v".into(),
                password: hash(3),
                roles: vec!["s".into(), r.clone()],
            }],
            roles: vec![("s".into(), "d".into())],
            grants: vec![("s".into(), grant("Load")), (r.clone(), grant("Query"))],
            groups: vec![("h".into(), vec!["Query".into()])],
        }),
        AccessChange::RoleAlter { name: r.clone(), description: "d".into() },
        granted(false),
        AccessChange::RoleDrop { name: r.clone(), force: true },
        AccessChange::UserDrop { name: u },
    ]
}

/// Everything that can be read, without the times, which differ from run to run.
async fn picture(catalog: &StoredCatalog) -> String {
    let access = catalog.access_get().await.unwrap();
    let users: Vec<_> = access
        .users()
        .map(|u| (&u.name, u.password.as_ref().map(|p| p.stored().to_owned()), &u.roles))
        .collect();
    let roles: Vec<_> = access.roles().map(|(name, r)| (name, &r.grants)).collect();
    let groups: Vec<_> = access.groups().collect();
    format!("{} {users:?} {roles:?} {groups:?}", access.version)
}

type Opened = (StoredCatalog, Arc<AtomicI64>);

async fn open(data: &Arc<MemoryData>) -> Opened {
    let fuse = Arc::new(AtomicI64::new(i64::MAX));
    let fused = Fused(Arc::new(MemoryStore::new(data)), Arc::clone(&fuse));
    let opened =
        StoredCatalog::start(Arc::new(fused), Arc::new(SystemClock), 4, Limits::default()).await;
    (opened.unwrap(), fuse)
}

/// Makes `done` changes, then one that is cut off after `left` statements. Returns how that ended,
/// and the pictures before, after, and after a retry.
async fn cut(done: usize, left: i64) -> (Result<(), Fault>, [String; 3]) {
    let data = Arc::default();
    let (catalog, _) = open(&data).await;
    for change in changes().into_iter().take(done) {
        catalog.access_change(change).await.unwrap();
    }
    let before = picture(&catalog).await;
    let (catalog, fuse) = open(&data).await;
    fuse.store(left, Ordering::SeqCst);
    let outcome = catalog.access_change(changes().swap_remove(done)).await;
    let (catalog, _) = open(&data).await;
    let found = picture(&catalog).await;
    // What is there already may be refused.
    let _there_already = catalog.access_change(changes().swap_remove(done)).await;
    (outcome, [before, found, picture(&catalog).await])
}

#[test]
fn a_change_of_access_cut_off_anywhere_is_whole_or_absent() {
    futures::executor::block_on(async {
        for done in 0..changes().len() {
            let mut left = 0;
            loop {
                let (outcome, [before, found, retried]) = cut(done, left).await;
                // A repeated change of a password is one more change.
                let renewed = matches!(changes()[done], AccessChange::UserUpdate { .. });
                let whole = found == retried || (renewed && found != before);
                assert!(found == before || whole, "change {done} cut at {left}");
                assert!(before != retried, "change {done} changes nothing");
                if outcome.is_ok() {
                    assert!(found != before, "change {done} was not made");
                    break;
                }
                left += 1;
                assert!(left < 100, "change {done} never ends");
            }
        }
    });
}

/// The hash of a password that was changed is in no version of any row; one whose change was
/// undone is still there.
#[test]
fn an_old_password_leaves_no_hash() {
    futures::executor::block_on(async {
        let data = Arc::default();
        let (catalog, fuse) = open(&data).await;
        catalog.access_change(changes().swap_remove(0)).await.unwrap();
        let then = catalog.tso().now().await.unwrap();
        let bodies = async || {
            let mut txn = MemoryStore::new(&data).read().await.unwrap();
            let mut all = String::new();
            for row in txn.list_all(Table::Users).await.unwrap() {
                let old = txn.get(Table::Users, row.id, At::Past(then)).await.unwrap();
                all += &(row.body + &old.map(|old| old.body).unwrap_or_default());
            }
            all
        };
        for left in 0..6 {
            fuse.store(left, Ordering::SeqCst);
            catalog.access_change(changes().swap_remove(4)).await.unwrap_err();
            assert!(bodies().await.contains(hash(1).stored()), "undone after {left}");
        }
        fuse.store(i64::MAX, Ordering::SeqCst);
        catalog.access_change(changes().swap_remove(4)).await.unwrap();
        assert!(!bodies().await.contains(hash(1).stored()));
        assert!(bodies().await.contains(hash(2).stored()));
    });
}
