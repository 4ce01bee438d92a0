//! `MetaCache`: collections by name, alias and id, read without SQL. Its lock is held for a look or
//! a change of one collection, however many are known.
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
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use millstream_catalog::catalog::Catalog;
use millstream_catalog::model::{Collection, CollectionId, Fault};
use parking_lot::{Mutex, RwLock};

#[derive(Default)]
struct Known {
    by_id: HashMap<CollectionId, Arc<Collection>>,
    by_name: HashMap<String, HashMap<String, CollectionId>>,
}

impl Known {
    fn named(&self, database: &str, name: &str) -> Option<&Arc<Collection>> {
        self.by_id.get(self.by_name.get(database)?.get(name)?)
    }

    fn keep(&mut self, collection: &Arc<Collection>) {
        self.forget(collection.id);
        self.by_id.insert(collection.id, Arc::clone(collection));
        let names = self.by_name.entry(collection.database_name.clone()).or_default();
        for name in collection.names() {
            names.insert(name.clone(), collection.id);
        }
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
    known: RwLock<Known>,
    changes: AtomicU64,
    /// Names that are being taken away, with their databases.
    leaving: Mutex<Vec<(String, String)>>,
}

impl Shared {
    /// Forgets one collection, or all.
    fn invalidate(&self, id: Option<CollectionId>) {
        self.changes.fetch_add(1, Ordering::SeqCst);
        let mut known = self.known.write();
        match id {
            None => *known = Known::default(),
            Some(id) => known.forget(id),
        }
    }

    fn is_leaving(&self, found: &Collection) -> bool {
        self.leaving.lock().iter().any(|(database, name)| {
            *database == found.database_name && found.names().any(|one| one == name)
        })
    }
}

/// While it is there, what is found under a name is not kept: it may be gone already.
pub struct Leaving {
    shared: Arc<Shared>,
    of: (String, String),
}

impl Drop for Leaving {
    fn drop(&mut self) {
        let mut leaving = self.shared.leaving.lock();
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
        let known = self.shared.known.read().named(database, name).map(Arc::clone);
        if let Some(found) = known {
            return Ok(found);
        }
        let changes = self.shared.changes.load(Ordering::SeqCst);
        let found = self.catalog.collection_get(database, name).await?;
        self.keep(changes, &found);
        Ok(found)
    }

    /// The id of a current collection by name or alias, without reading what belongs to it.
    ///
    /// # Errors
    /// Code 100 when there is none; errors of the catalog.
    pub async fn id(&self, database: &str, name: &str) -> Result<CollectionId, Fault> {
        let known = self.shared.known.read().named(database, name).map(|found| found.id);
        match known {
            Some(id) => Ok(id),
            None => self.catalog.collection_id(database, name).await,
        }
    }

    /// A current collection by id.
    ///
    /// # Errors
    /// Code 100 when there is none; errors of the catalog.
    pub async fn get_by_id(&self, id: CollectionId) -> Result<Arc<Collection>, Fault> {
        let known = self.shared.known.read().by_id.get(&id).map(Arc::clone);
        if let Some(found) = known {
            return Ok(found);
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
        self.shared.leaving.lock().push(of.clone());
        Leaving { shared: Arc::clone(&self.shared), of }
    }

    /// Keeps what was found, unless something was announced since `changes` were counted. A change
    /// that is announced while it is kept waits for the lock, and then forgets it.
    fn keep(&self, changes: u64, found: &Arc<Collection>) {
        let shared = &*self.shared;
        let mut known = shared.known.write();
        let before = known.by_id.get(&found.id).map(|before| before.meta_version);
        if before.is_some_and(|before| before < found.meta_version) {
            shared.changes.fetch_add(1, Ordering::SeqCst);
            known.forget(found.id);
            return;
        }
        let settled = shared.changes.load(Ordering::SeqCst) == changes;
        let newer = before.is_some_and(|before| before > found.meta_version);
        if settled && !newer && !shared.is_leaving(found) {
            known.keep(found);
        }
    }
}
