//! `IdBlocks`: ids out of blocks that the catalog hands out, so that an id costs no transaction.
//!
//! **Invariant.** A block is taken durably before its first id is used and belongs to one
//! process for ever; what a crash leaves of it is never used.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use futures::lock::Mutex;

use crate::catalog::{Catalog, IdKind};
use crate::model::Fault;

/// Ids in one block when the caller has no better number.
pub const BLOCK_IDS: u32 = 1 << 20;

/// Hands out ids of one kind from blocks.
pub struct IdBlocks {
    catalog: Arc<dyn Catalog>,
    kind: IdKind,
    block: u32,
    /// What is left of the blocks, oldest first. The lock is held for a few instructions.
    left: parking_lot::Mutex<VecDeque<Range<i64>>>,
    /// Whether the hook was called since the last refill.
    asked: AtomicBool,
    /// Attempts to refill that have begun.
    attempts: AtomicU64,
    /// Held by whoever refills; the last attempt, if it failed.
    refilling: Mutex<Option<(u64, Fault)>>,
    /// Called when half of a block is left.
    low: OnceLock<Box<dyn Fn() + Send + Sync>>,
}

impl IdBlocks {
    /// An allocator without a block; the first allocation takes one of `block` ids.
    pub fn new(catalog: Arc<dyn Catalog>, kind: IdKind, block: u32) -> Arc<IdBlocks> {
        Arc::new(IdBlocks {
            catalog,
            kind,
            block: block.max(1),
            left: parking_lot::Mutex::default(),
            asked: AtomicBool::new(false),
            attempts: AtomicU64::new(0),
            refilling: Mutex::new(None),
            low: OnceLock::new(),
        })
    }

    /// Has `hook` called when half of a block is left or nothing fits: at most once per refill,
    /// from inside allocations, so it must not block. It is to see to it that
    /// [`IdBlocks::refill`] runs soon. The first hook stays.
    pub fn on_low(&self, hook: Box<dyn Fn() + Send + Sync>) {
        // A second hook would mean a second refiller, which could only wait for the first.
        let _first_stays = self.low.set(hook);
    }

    /// The first of `count` consecutive ids, if the blocks at hand have them. A count of 0 is
    /// taken as 1. Usable under a lock.
    pub fn try_alloc(&self, count: u32) -> Option<i64> {
        let count = i64::from(count.max(1));
        let (first, low) = {
            let mut left = self.left.lock();
            // What is too short at the front is given up only when a later block has room.
            let fits = left.iter().position(|range| range.end - range.start >= count);
            let first = fits.map(|skip| {
                left.drain(..skip);
                let range = &mut left[0];
                range.start += count;
                range.start - count
            });
            (first, first.is_none() || remaining(&left) * 2 < i64::from(self.block))
        };
        if low {
            self.ask();
        }
        first
    }

    /// The first of `count` consecutive ids; takes a block first when none has room.
    ///
    /// # Errors
    /// Those of the catalog.
    pub async fn alloc(&self, count: u32) -> Result<i64, Fault> {
        if count > self.block {
            return self.catalog.id_block(self.kind, count).await;
        }
        loop {
            if let Some(first) = self.try_alloc(count) {
                return Ok(first);
            }
            self.refill_for(count).await?;
        }
    }

    /// Takes another block if less than half of one is left; otherwise does nothing.
    ///
    /// # Errors
    /// Those of the catalog.
    pub async fn refill(&self) -> Result<(), Fault> {
        self.refill_for(1).await
    }

    /// Takes another block if less than half of one is left or none has room for `count`. One
    /// caller does it, the others wait and share what comes of it.
    async fn refill_for(&self, count: u32) -> Result<(), Fault> {
        let seen = self.attempts.load(Ordering::Acquire);
        let mut failed = self.refilling.lock().await;
        let enough = {
            let left = self.left.lock();
            let fits = left.iter().any(|range| range.end - range.start >= i64::from(count));
            fits && remaining(&left) * 2 >= i64::from(self.block)
        };
        if enough {
            self.asked.store(false, Ordering::Release);
            return Ok(());
        }
        if let Some((attempt, fault)) = &*failed
            && *attempt > seen
        {
            return Err(fault.clone());
        }
        let attempt = self.attempts.fetch_add(1, Ordering::AcqRel) + 1;
        let taken = self.catalog.id_block(self.kind, self.block).await;
        *failed = taken.as_ref().err().map(|fault| (attempt, fault.clone()));
        let taken = taken.map(|first| {
            self.left.lock().push_back(first..first + i64::from(self.block));
        });
        self.asked.store(false, Ordering::Release);
        taken
    }

    /// Calls the hook, once per refill.
    fn ask(&self) {
        if let Some(hook) = self.low.get()
            && !self.asked.load(Ordering::Relaxed)
            && !self.asked.swap(true, Ordering::AcqRel)
        {
            hook();
        }
    }
}

fn remaining(left: &VecDeque<Range<i64>>) -> i64 {
    left.iter().map(|range| range.end - range.start).sum()
}
