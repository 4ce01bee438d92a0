//! Crash atomicity of changes of resource groups: each is cut off after each of its statements, and
//! so is the note of the request in whose name it is made.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use super::super::tests::Fused;
use super::*;
use crate::catalog::Catalog;
use crate::clock::SystemClock;
use crate::memory::{MemoryData, MemoryStore};
use crate::origin::{ClientRequest, within};
use crate::rules::Limits;

/// Every kind of change, each possible after those before it.
fn changes() -> Vec<GroupChange> {
    let config = |requests, limits| GroupConfig { requests, limits, ..GroupConfig::default() };
    let (default, a, b) = (DEFAULT_GROUP.to_owned(), "a".to_owned(), "b".to_owned());
    let collection = CollectionId(7);
    vec![
        GroupChange::Create { name: a.clone(), config: config(0, 1) },
        GroupChange::Create { name: b.clone(), config: config(0, 0) },
        GroupChange::TransferNode { from: default, to: a.clone(), nodes: 1 },
        GroupChange::Place { group: a.clone(), collection },
        GroupChange::Update(vec![(a, config(0, 0)), (b.clone(), config(1, 1))]),
        GroupChange::Update(vec![(b.clone(), config(0, 0))]),
        GroupChange::Drop { name: b },
    ]
}

async fn open(data: &Arc<MemoryData>) -> (StoredCatalog, Arc<AtomicI64>) {
    let fuse = Arc::new(AtomicI64::new(i64::MAX));
    let fused = Fused(Arc::new(MemoryStore::new(data)), Arc::clone(&fuse));
    let opened =
        StoredCatalog::start(Arc::new(fused), Arc::new(SystemClock), 4, Limits::default()).await;
    (opened.unwrap(), fuse)
}

#[test]
fn a_change_of_groups_cut_off_anywhere_is_whole_or_absent() {
    futures::executor::block_on(async {
        for done in 0..changes().len() {
            for left in 0.. {
                let data = Arc::default();
                let (catalog, fuse) = open(&data).await;
                for change in changes().into_iter().take(done) {
                    catalog.group_change(change).await.unwrap();
                }
                let before = catalog.groups().await.unwrap();
                fuse.store(left, Ordering::SeqCst);
                let (client, digest) = ("c".to_owned(), "d".to_owned());
                let request = Arc::new(ClientRequest { client, digest });
                let wanted = || catalog.group_change(changes().swap_remove(done));
                let outcome = within(Arc::clone(&request), wanted()).await;
                let (catalog, _) = open(&data).await;
                let after = catalog.groups().await.unwrap();
                // Cut off in its commit, a change may be there without an answer.
                let changed = after != before;
                assert!(changed || outcome.is_err(), "change {done} cut at {left}");
                let noted = catalog.request_done(&request).await.unwrap();
                assert_eq!(noted, changed, "change {done} cut at {left}");
                if outcome.is_ok() {
                    break;
                }
                assert!(left < 100, "change {done} never ends");
            }
        }
    });
}
