//! Quotas: who may do how much a second, and what is denied altogether.
//!
//! Rates come from the settings and from the properties of collections, which win. States of denial
//! come from the properties of databases and collections, and from [`protect`]: a server that is too
//! far behind takes no writes. A request is checked against its server, its database, its collection
//! and its partitions, and counts in all of them or in none.
//!
//! **Invariant.** A check takes no lock and does not wait, once the properties of the database are
//! known.
//!
//! **Absent on purpose.** Nothing is counted over several gateways: each has the rates to itself.

mod bucket;
mod disk;
mod kinds;
mod properties;
mod protect;
mod settings;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use arc_swap::ArcSwap;
use millstream_catalog::catalog::Catalog;
use millstream_catalog::model::{Code, Collection, CollectionId, Fault, PartitionId, Timestamp};

use crate::gateway::Gateway;
use bucket::Bucket;
use disk::Disk;
pub use kinds::{Deed, KINDS, Kind, SCOPES, Scope};
use properties::{Denied, Given};
use protect::Protection;
pub use settings::Settings;

/// Limits that are remembered of one kind; beyond them, all are made anew.
const KNOWN_MAX: usize = 1 << 17;

/// What one scope allows.
struct Limits {
    /// The state of the metadata that it was made from.
    version: Timestamp,
    /// Says whose limits they are: `collection=c`.
    name: String,
    buckets: [Option<Bucket>; KINDS],
    denied: Denied,
    /// The most bytes that may be stored.
    stored: Option<f64>,
}

impl Limits {
    fn new(
        name: String,
        version: Timestamp,
        rates: &[Option<f64>; KINDS],
        given: &Given,
        before: Option<&Limits>,
    ) -> Limits {
        let bucket = |at: usize| {
            let rate = given.rates[at].unwrap_or(rates[at])?;
            let before = before.and_then(|before| before.buckets[at].as_ref());
            Some(before.map_or_else(|| Bucket::new(rate), |before| before.with_rate(rate)))
        };
        let buckets = std::array::from_fn(bucket);
        let Given { denied, stored, .. } = *given;
        Limits { version, name, buckets, denied, stored }
    }

    fn bucket(&self, kind: Kind) -> Option<&Bucket> {
        self.buckets[kind as usize].as_ref()
    }
}

/// `rate limit exceeded[rate=..]`, code 8: clients wait and try again.
fn too_fast(limits: &Limits, kind: Kind, rate: f64) -> Fault {
    if rate == 0.0 {
        // Trying again would not help.
        return denied(limits, kind.name());
    }
    let text = format!(
        "request is rejected by grpc RateLimiter middleware, please retry later: rate limit \
         exceeded[rate={rate}][{}][{}]",
        limits.name,
        kind.name()
    );
    Fault::new(Code::RateLimit, text)
}

/// `quota exceeded[reason=..]`, code 9.
fn denied(limits: &Limits, what: &str) -> Fault {
    let text = format!(
        "quota exceeded[reason=access has been disabled by the administrator][{}][{what}]",
        limits.name
    );
    Fault::new(Code::QuotaDenied, text)
}

/// One request, as quotas see it.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// What it does.
    pub deed: Deed,
    /// Its database.
    pub database: &'a str,
    /// Its collection.
    pub collection: Option<&'a Collection>,
    /// The partitions that it names.
    pub partitions: &'a [PartitionId],
}

type Known<K> = ArcSwap<HashMap<K, Arc<Limits>>>;

/// The quotas of a gateway.
pub struct Quotas {
    settings: Settings,
    catalog: Arc<dyn Catalog>,
    began: Instant,
    server: Limits,
    databases: Arc<Known<String>>,
    /// Counts the changes after which databases must be looked up again.
    changes: Arc<AtomicU64>,
    collections: Known<CollectionId>,
    partitions: Known<PartitionId>,
    protection: Protection,
    disk: Disk,
}

impl Quotas {
    /// The quotas of some settings.
    pub fn new(settings: Settings, catalog: Arc<dyn Catalog>) -> Quotas {
        let rates = &settings.rates[Scope::Server as usize];
        let none = Given::default();
        let server = Limits::new("server".to_owned(), Timestamp::MIN, rates, &none, None);
        let databases: Arc<Known<String>> = Arc::default();
        let changes = Arc::new(AtomicU64::new(0));
        let (known, counted) = (Arc::clone(&databases), Arc::clone(&changes));
        catalog.watch(Box::new(move |changed| {
            if changed.is_none() {
                counted.fetch_add(1, Ordering::SeqCst);
                known.store(Arc::default());
            }
        }));
        Quotas {
            protection: Protection::new(&settings),
            settings,
            catalog,
            began: Instant::now(),
            server,
            databases,
            changes,
            collections: Known::default(),
            partitions: Known::default(),
            disk: Disk::default(),
        }
    }

    /// What the settings say.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Why all writes are denied now, if they are.
    pub fn writes_denied(&self, gateway: &Gateway) -> Option<String> {
        self.protection.look(gateway)
    }

    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    fn rates(&self, scope: Scope) -> &[Option<f64>; KINDS] {
        &self.settings.rates[scope as usize]
    }

    /// Lets a request through, or says why not. `amounts` is asked what it takes of each kind that
    /// is limited somewhere, of those in `kinds`.
    ///
    /// # Errors
    /// Code 8 when it comes too soon, 9 when it is denied; those of the catalog.
    pub async fn admit(
        &self,
        gateway: &Gateway,
        request: Request<'_>,
        kinds: &[Kind],
        amount: impl Fn(Kind) -> f64,
    ) -> Result<(), Fault> {
        let now = self.now();
        if request.deed == Deed::Write {
            self.protection.check(gateway, now)?;
        }
        let database = self.database(request.database).await?;
        let mut all: Vec<Arc<Limits>> = Vec::new();
        if let Some(collection) = request.collection {
            all.extend(self.collection(collection));
            all.extend(self.partitions(collection, request.partitions));
        }
        let scopes = || {
            let inner = all.iter().map(|limits| &**limits);
            std::iter::once(&self.server).chain(database.as_deref()).chain(inner)
        };
        for limits in scopes() {
            if let Some(what) = limits.denied.denies(request.deed) {
                return Err(denied(limits, what));
            }
        }
        if request.deed == Deed::Write {
            let id = request.collection.map(|collection| collection.id);
            let of_collections = all.iter().map(|limits| (&**limits, id));
            for (limits, id) in
                database.iter().map(|limits| (&**limits, None)).chain(of_collections)
            {
                let Some(max) = limits.stored else { continue };
                let of = (&*limits.name, request.database, id);
                self.disk.check(&*self.catalog, of, max, now).await?;
            }
        }
        for &kind in kinds {
            for limits in scopes() {
                if let Some(bucket) = limits.bucket(kind)
                    && !bucket.is_open(now)
                {
                    return Err(too_fast(limits, kind, bucket.rate()));
                }
            }
        }
        for &kind in kinds {
            let mut buckets = scopes().filter_map(|limits| limits.bucket(kind)).peekable();
            if buckets.peek().is_some() {
                let amount = amount(kind);
                buckets.for_each(|bucket| bucket.take(now, amount));
            }
        }
        Ok(())
    }

    /// The limits of a database, if it is there.
    async fn database(&self, name: &str) -> Result<Option<Arc<Limits>>, Fault> {
        if let Some(known) = self.databases.load().get(name) {
            return Ok(Some(Arc::clone(known)));
        }
        let changes = self.changes.load(Ordering::SeqCst);
        let found = match self.catalog.database_get(name).await {
            Ok(found) => found,
            Err(fault) if fault.code == Code::DatabaseNotFound => return Ok(None),
            Err(fault) => return Err(fault),
        };
        let given = Given::of_database(&found.properties);
        let name_of = format!("database={name}");
        let rates = self.rates(Scope::Database);
        let limits = Arc::new(Limits::new(name_of, Timestamp::MIN, rates, &given, None));
        let keep = |known: &Arc<HashMap<String, Arc<Limits>>>| {
            let mut known = HashMap::clone(known);
            known.insert(name.to_owned(), Arc::clone(&limits));
            known
        };
        if self.changes.load(Ordering::SeqCst) == changes {
            self.databases.rcu(keep);
            // A change announced meanwhile may have found nothing to forget.
            if self.changes.load(Ordering::SeqCst) != changes {
                self.databases.store(Arc::default());
            }
        }
        Ok(Some(limits))
    }

    /// The limits of a collection, if it has any.
    fn collection(&self, collection: &Collection) -> Option<Arc<Limits>> {
        let rates = self.rates(Scope::Collection);
        let limited = rates.iter().any(Option::is_some);
        if !limited && !Given::is_of_collection(&collection.properties) {
            return None;
        }
        let version = collection.meta_version;
        let make = |before: Option<&Limits>| {
            let given = Given::of_collection(&collection.properties);
            let name = format!("collection={}", collection.name);
            Limits::new(name, version, rates, &given, before)
        };
        Some(known(&self.collections, collection.id, version, make))
    }

    /// The limits of the partitions that a request names, or of the one there is.
    fn partitions(&self, collection: &Collection, named: &[PartitionId]) -> Vec<Arc<Limits>> {
        let rates = self.rates(Scope::Partition);
        if rates.iter().all(Option::is_none) {
            return Vec::new();
        }
        let of = |id: PartitionId| {
            let partition = collection.partitions.iter().find(|p| p.id == id)?;
            let make = |before: Option<&Limits>| {
                let name = format!("partition={}", partition.name);
                Limits::new(name, Timestamp::MIN, rates, &Given::default(), before)
            };
            Some(known(&self.partitions, id, Timestamp::MIN, make))
        };
        match (named, &collection.partitions[..]) {
            ([], [only]) => of(only.id).into_iter().collect(),
            _ => named.iter().filter_map(|id| of(*id)).collect(),
        }
    }
}

/// The limits under a key as of a version, made when they are not there.
fn known<K: std::hash::Hash + Eq + Copy>(
    all: &Known<K>,
    key: K,
    version: Timestamp,
    make: impl Fn(Option<&Limits>) -> Limits,
) -> Arc<Limits> {
    let is_new = |limits: &&Arc<Limits>| limits.version >= version;
    if let Some(there) = all.load().get(&key).filter(is_new) {
        return Arc::clone(there);
    }
    let made = Arc::new(make(all.load().get(&key).map(|limits| &**limits)));
    let mut kept = Arc::clone(&made);
    all.rcu(|before| {
        let mut after = match before.len() < KNOWN_MAX {
            true => HashMap::clone(before),
            false => HashMap::new(),
        };
        // Whoever was first is kept, with what it has counted.
        kept = match after.get(&key).filter(is_new) {
            Some(first) => Arc::clone(first),
            None => Arc::clone(&made),
        };
        after.insert(key, Arc::clone(&kept));
        after
    });
    kept
}
