//! `Known`: users, roles and grants as they are, read without a lock and without SQL.
//!
//! **Invariant.** What is handed out was true at some moment of the last [`CHECK`], and after the
//! last change that this process heard of.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use millstream_catalog::catalog::Catalog;
use millstream_catalog::model::Fault;
use millstream_catalog::rbac::Access;
use tokio::sync::Mutex;

/// How old what is known may be. A notification that gets lost delays a change no longer.
pub const CHECK: Duration = Duration::from_millis(500);

struct Seen {
    access: Arc<Access>,
    /// Changes heard of before it was read.
    changes: u64,
    read: Instant,
}

/// What a gateway knows of who may do what.
pub struct Known {
    catalog: Arc<dyn Catalog>,
    changes: Arc<AtomicU64>,
    seen: ArcSwapOption<Seen>,
    /// One reads for all who wait.
    turn: Mutex<()>,
}

impl Known {
    /// Knows nothing yet, and hears of every change.
    pub fn new(catalog: Arc<dyn Catalog>) -> Known {
        let changes = Arc::<AtomicU64>::default();
        let heard = Arc::clone(&changes);
        catalog.watch(Box::new(move |collection| {
            // A collection that changed changes nobody's rights.
            if collection.is_none() {
                heard.fetch_add(1, Ordering::SeqCst);
            }
        }));
        Known { catalog, changes, seen: ArcSwapOption::empty(), turn: Mutex::default() }
    }

    /// What is known, unless it may be too old.
    pub fn fresh(&self) -> Option<Arc<Access>> {
        let seen = self.seen.load();
        let seen = seen.as_ref()?;
        let unchanged = seen.changes == self.changes.load(Ordering::SeqCst);
        (unchanged && seen.read.elapsed() < CHECK).then(|| Arc::clone(&seen.access))
    }

    /// The same, read again if need be.
    ///
    /// # Errors
    /// Those of the catalog.
    pub async fn get(&self) -> Result<Arc<Access>, Fault> {
        let _turn = self.turn.lock().await;
        if let Some(access) = self.fresh() {
            return Ok(access);
        }
        // Noted before anything is read: what changes meanwhile is read again.
        let (changes, read) = (self.changes.load(Ordering::SeqCst), Instant::now());
        let version = self.catalog.access_version().await?;
        let old = self.seen.load_full().filter(|seen| seen.access.version == version);
        let access = match old {
            Some(seen) => Arc::clone(&seen.access),
            None => Arc::new(self.catalog.access_get().await?),
        };
        let seen = Seen { access: Arc::clone(&access), changes, read };
        self.seen.store(Some(Arc::new(seen)));
        Ok(access)
    }
}

#[cfg(test)]
mod tests {
    use millstream_catalog::StoredCatalog;
    use millstream_catalog::clock::SystemClock;
    use millstream_catalog::memory::{self, MemoryData};
    use millstream_catalog::rbac::{AccessChange, AccessControl};

    use super::*;

    fn open(data: &Arc<MemoryData>) -> Arc<StoredCatalog> {
        memory::open(data, Arc::new(SystemClock), 4).unwrap()
    }

    fn role(name: &str) -> AccessChange {
        AccessChange::RoleCreate { name: name.to_owned(), description: String::new() }
    }

    #[tokio::test]
    async fn a_change_by_this_process_is_known_at_once() {
        let catalog = open(&Arc::default());
        let known = Known::new(Arc::clone(&catalog) as Arc<dyn Catalog>);
        for name in ["a", "b", "c"] {
            assert!(known.get().await.unwrap().role(name).is_none());
            assert!(known.fresh().is_some());
            catalog.access_change(role(name)).await.unwrap();
            assert!(known.fresh().is_none(), "what was known is too old");
            assert!(known.get().await.unwrap().role(name).is_some());
        }
    }

    /// A revocation whose notification is lost must still be in force within a second.
    #[tokio::test]
    async fn a_change_that_nobody_told_of_is_known_after_the_next_check() {
        let data = Arc::default();
        let known = Known::new(open(&data));
        known.get().await.unwrap();
        open(&data).access_change(role("r")).await.unwrap();
        let begun = Instant::now();
        while known.get().await.unwrap().role("r").is_none() {
            assert!(begun.elapsed() < CHECK * 2, "still not known");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    #[tokio::test]
    async fn what_did_not_change_is_not_read_again() {
        let known = Known::new(open(&Arc::default()));
        let first = known.get().await.unwrap();
        tokio::time::sleep(CHECK).await;
        assert!(known.fresh().is_none());
        assert!(Arc::ptr_eq(&first, &known.get().await.unwrap()));
    }
}
