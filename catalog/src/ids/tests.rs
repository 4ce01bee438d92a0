//! Tests of `IdBlocks`: never the same id twice.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::executor::block_on;
use futures::future::join_all;
use proptest::prelude::*;

use super::IdBlocks;
use crate::catalog::{Catalog, IdKind};
use crate::clock::SystemClock;
use crate::memory::{self, MemoryData};

fn open(data: &Arc<MemoryData>) -> Arc<dyn Catalog> {
    memory::open(data, Arc::new(SystemClock), 4).unwrap()
}

#[test]
fn an_empty_allocator_tries_in_vain_and_takes_a_block_when_it_may_wait() {
    let ids = IdBlocks::new(open(&Arc::default()), IdKind::Row, 10);
    assert_eq!(ids.try_alloc(1), None);
    let first = block_on(ids.alloc(1)).unwrap();
    assert_eq!(ids.try_alloc(2), Some(first + 1));
}

#[test]
fn more_ids_than_a_block_has_come_as_one_range() {
    let ids = IdBlocks::new(open(&Arc::default()), IdKind::Row, 10);
    let first = block_on(ids.alloc(25)).unwrap();
    assert!(block_on(ids.alloc(1)).unwrap() >= first + 25);
}

#[test]
fn the_hook_is_called_once_when_half_of_a_block_is_used() {
    let ids = IdBlocks::new(open(&Arc::default()), IdKind::Row, 10);
    let calls = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&calls);
    block_on(ids.alloc(1)).unwrap();
    ids.on_low(Box::new(move || _ = counter.fetch_add(1, Ordering::SeqCst)));
    ids.try_alloc(4).unwrap();
    assert_eq!(calls.load(Ordering::SeqCst), 0);
    ids.try_alloc(1).unwrap();
    ids.try_alloc(1).unwrap();
    assert_eq!(calls.load(Ordering::SeqCst), 1);
    block_on(ids.refill()).unwrap();
    assert!(ids.try_alloc(10).is_some(), "the new block is there");
}

#[test]
fn waiters_share_one_block() {
    let catalog = open(&Arc::default());
    let ids = IdBlocks::new(Arc::clone(&catalog), IdKind::Row, 1_000);
    let all = block_on(join_all((0..100).map(|_| ids.alloc(3))));
    let distinct: HashSet<i64> = all.into_iter().map(Result::unwrap).collect();
    assert_eq!(distinct.len(), 100);
    let next = block_on(catalog.id_block(IdKind::Row, 1)).unwrap();
    assert_eq!(next, 1_001);
}

proptest! {
    /// A row id that comes twice would make two rows one.
    #[test]
    fn no_id_comes_twice_over_restarts(
        steps in proptest::collection::vec((0u32..40, any::<bool>(), 0u8..10), 1..100)
    ) {
        let data = Arc::default();
        let mut ids = IdBlocks::new(open(&data), IdKind::Row, 16);
        let mut seen = HashSet::new();
        for (count, wait, restart) in steps {
            if restart == 0 {
                ids = IdBlocks::new(open(&data), IdKind::Row, 16);
            }
            let first = if wait { block_on(ids.alloc(count)).ok() } else { ids.try_alloc(count) };
            for id in first.into_iter().flat_map(|f| f..f + i64::from(count.max(1))) {
                prop_assert!(seen.insert(id), "{id} came twice");
            }
        }
    }
}
