//! `MetaCache`: collections by name, alias and id, read without a lock and without SQL.
//!
//! **Invariant.** A collection that was read before a change was announced is never kept after it:
//! a fetch remembers the count of changes from before it began, and what it found is kept only if
//! none came meanwhile.
//!
//! **Invariant.** What a caller saw is not unseen by a later one: nothing older takes the place of
//! something newer, what is newer makes the older one forgotten under all of its names, and what
//! was found under a name that is being taken away is not kept.
//!
//! **Absent on purpose.** What does not exist is not remembered.

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use millstream_catalog::catalog::Catalog;
use millstream_catalog::model::{Collection, CollectionId, Fault};

#[derive(Clone, Default)]
struct Known {
    by_id: HashMap<CollectionId, Arc<Collection>>,
    by_name: HashMap<String, HashMap<String, CollectionId>>,
}

impl Known {
    fn keep(&mut self, collection: &Arc<Collection>) {
        self.forget(collection.id);
        self.by_id.insert(collection.id, Arc::clone(collection));
        let names = self.by_name.entry(collection.database_name.clone()).or_default();
        for name in collection.names() {
            names.insert(name.clone(), collection.id);
        }
    }

    /// Whether it knows another version of this collection, and an older one.
    fn is_behind(&self, found: &Collection) -> bool {
        self.by_id.get(&found.id).is_some_and(|known| known.meta_version < found.meta_version)
    }

    fn is_ahead(&self, found: &Collection) -> bool {
        self.by_id.get(&found.id).is_some_and(|known| known.meta_version > found.meta_version)
    }

    fn forget(&mut self, id: CollectionId) {
        if let Some(old) = self.by_id.remove(&id)
            && let Some(names) = self.by_name.get_mut(&old.database_name)
        {
            for name in old.names() {
                if names.get(name) == Some(&id) {
                    names.remove(name);
                }
            }
        }
    }
}

#[derive(Default)]
struct Shared {
    known: ArcSwap<Known>,
    changes: AtomicU64,
    /// Names that are being taken away, with their databases.
    leaving: Mutex<Vec<(String, String)>>,
}

impl Shared {
    /// Forgets one collection, or all.
    fn invalidate(&self, id: Option<CollectionId>) {
        self.changes.fetch_add(1, Ordering::SeqCst);
        match id {
            None => self.known.store(Arc::default()),
            Some(id) => {
                self.known.rcu(|known| {
                    let mut known = Known::clone(known);
                    known.forget(id);
                    known
                });
            }
        }
    }
}

/// While it is there, what is found under a name is not kept: it may be gone already.
pub struct Leaving {
    shared: Arc<Shared>,
    of: (String, String),
}

impl Drop for Leaving {
    fn drop(&mut self) {
        let mut leaving = self.shared.leaving.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = leaving.iter().position(|of| *of == self.of) {
            leaving.swap_remove(at);
        }
    }
}

/// What the gateway remembers of the catalog.
pub struct MetaCache {
    catalog: Arc<dyn Catalog>,
    shared: Arc<Shared>,
}

impl MetaCache {
    /// An empty cache that hears of every change.
    pub fn new(catalog: Arc<dyn Catalog>) -> MetaCache {
        let shared = Arc::new(Shared::default());
        let watched = Arc::clone(&shared);
        catalog.watch(Box::new(move |id| watched.invalidate(id)));
        MetaCache { catalog, shared }
    }

    /// A current collection by name or alias.
    ///
    /// # Errors
    /// Code 100 when there is none; errors of the catalog.
    pub async fn get(&self, database: &str, name: &str) -> Result<Arc<Collection>, Fault> {
        {
            let known = self.shared.known.load();
            let id = known.by_name.get(database).and_then(|names| names.get(name));
            if let Some(found) = id.and_then(|id| known.by_id.get(id)) {
                return Ok(Arc::clone(found));
            }
        }
        let changes = self.shared.changes.load(Ordering::SeqCst);
        let found = self.catalog.collection_get(database, name).await?;
        self.keep(changes, &found);
        Ok(found)
    }

    /// A current collection by id.
    ///
    /// # Errors
    /// Code 100 when there is none; errors of the catalog.
    pub async fn get_by_id(&self, id: CollectionId) -> Result<Arc<Collection>, Fault> {
        if let Some(found) = self.shared.known.load().by_id.get(&id) {
            return Ok(Arc::clone(found));
        }
        let changes = self.shared.changes.load(Ordering::SeqCst);
        let found = self.catalog.collection_by_id(id).await?;
        self.keep(changes, &found);
        Ok(found)
    }

    /// Forgets a collection that this process has changed, before it answers.
    pub fn invalidate(&self, id: CollectionId) {
        self.shared.invalidate(Some(id));
    }

    /// Says that a name is being taken away from what it stands for, until that is forgotten.
    pub fn leaving(&self, database: &str, name: &str) -> Leaving {
        let of = (database.to_owned(), name.to_owned());
        let mut leaving = self.shared.leaving.lock().unwrap_or_else(PoisonError::into_inner);
        leaving.push(of.clone());
        Leaving { shared: Arc::clone(&self.shared), of }
    }

    fn is_leaving(&self, found: &Collection) -> bool {
        let leaving = self.shared.leaving.lock().unwrap_or_else(PoisonError::into_inner);
        leaving.iter().any(|(database, name)| {
            *database == found.database_name && found.names().any(|one| one == name)
        })
    }

    fn keep(&self, changes: u64, found: &Arc<Collection>) {
        if self.shared.known.load().is_behind(found) {
            self.invalidate(found.id);
            return;
        }
        let settled = || self.shared.changes.load(Ordering::SeqCst) == changes;
        if !settled() || self.is_leaving(found) {
            return;
        }
        self.shared.known.rcu(|known| {
            let mut known = Known::clone(known);
            if !known.is_ahead(found) {
                known.keep(found);
            }
            known
        });
        // A change announced while it was stored may have found nothing to forget.
        if !settled() || self.is_leaving(found) {
            self.shared.known.rcu(|known| {
                let mut known = Known::clone(known);
                known.forget(found.id);
                known
            });
        }
    }
}
