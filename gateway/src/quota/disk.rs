//! How much is stored of collections and databases whose properties limit that.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use millstream_catalog::catalog::Catalog;
use millstream_catalog::model::{Code, Collection, CollectionId, Fault, Segment, ShardState};

/// How long a look at what is stored counts, in nanoseconds.
const FRESH: u64 = 1_000_000_000;
/// Most looks that are remembered.
const KNOWN_MAX: usize = 1 << 14;

/// What is stored of something, and when somebody looked.
type Known = HashMap<String, (u64, u64)>;

/// What is stored, looked up by whoever writes when nobody did lately.
#[derive(Default)]
pub(super) struct Disk(ArcSwap<Known>);

/// Bytes of the files of some shards.
fn bytes<'a>(shards: impl Iterator<Item = &'a (ShardState, Vec<Segment>)>) -> u64 {
    let of = |(state, segments): &(ShardState, Vec<Segment>)| -> u64 {
        let files = segments.iter().flat_map(|segment| &segment.files).map(|(_, file)| file);
        files.chain(&state.deltas).map(|file| file.bytes).sum()
    };
    shards.map(of).sum()
}

/// What is stored of a collection.
async fn of_collection(catalog: &dyn Catalog, id: CollectionId) -> Result<u64, Fault> {
    Ok(bytes(catalog.manifest_of(id).await?.iter()))
}

/// What is stored of the collections of a database.
async fn of_database(catalog: &dyn Catalog, name: &str) -> Result<u64, Fault> {
    let collections: Vec<Arc<Collection>> = catalog.collection_list(name).await?;
    let mine = |id: CollectionId| collections.iter().any(|collection| collection.id == id);
    let stored = catalog.manifest().await?;
    Ok(bytes(stored.iter().filter(|(state, _)| mine(state.vchannel.collection))))
}

impl Disk {
    /// Refuses a write to what holds its limit already. `name` says whose limit it is.
    pub(super) async fn check(
        &self,
        catalog: &dyn Catalog,
        (name, database, collection): (&str, &str, Option<CollectionId>),
        max: f64,
        now: u64,
    ) -> Result<(), Fault> {
        let key = match collection {
            Some(id) => id.to_string(),
            None => name.to_owned(),
        };
        let known = self.0.load().get(&key).filter(|(at, _)| now < at + FRESH).copied();
        let stored = match (known, collection) {
            (Some((_, stored)), _) => stored,
            (None, Some(id)) => of_collection(catalog, id).await?,
            (None, None) => of_database(catalog, database).await?,
        };
        if known.is_none() {
            self.0.rcu(|before| {
                let fits = before.len() < KNOWN_MAX;
                let mut after = if fits { Known::clone(before) } else { Known::new() };
                after.insert(key.clone(), (now, stored));
                after
            });
        }
        match stored as f64 >= max {
            true => Err(full(name, stored, max)),
            false => Ok(()),
        }
    }
}

fn full(name: &str, stored: u64, max: f64) -> Fault {
    let text = format!(
        "quota exceeded[reason=disk quota exceeded, please allocate more resources][{name}]: \
         {stored} bytes are stored, and {max} may be"
    );
    Fault::new(Code::QuotaDenied, text)
}
