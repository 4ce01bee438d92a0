//! A store belongs to one cluster: only then files that its catalog does not name are nobody's.

use std::collections::HashSet;
use std::io::Write;
use std::sync::Arc;

use millstream_catalog::catalog::Catalog;
use millstream_catalog::fail;
use millstream_catalog::model::{Fault, Segment, ShardState};
use millstream_store::{FileInfo, Store, StoreError};

/// The file of a store that names its cluster.
const MARKER: &str = "CLUSTER";

/// Checks that a store belongs to the cluster of the catalog, or makes it so when it is new, and
/// deletes the files that nothing names: a crash between writing and naming leaves some. Call this
/// before anything is written.
///
/// # Errors
/// When the store belongs to another cluster, and those of the catalog and of the store. Nothing is
/// deleted then.
pub async fn adopt(catalog: &Arc<dyn Catalog>, store: &Store) -> Result<(), Fault> {
    let cluster = catalog.cluster_id(rand::random()).await?;
    let named = named(catalog).await?;
    let store = store.clone();
    let look = tokio::task::spawn_blocking(move || look(&store, cluster, &named)).await;
    look.map_err(|e| Fault::internal(e.to_string()))?
}

/// The names of all files that the catalog knows of.
async fn named(catalog: &Arc<dyn Catalog>) -> Result<HashSet<String>, Fault> {
    let mut named: HashSet<String> = catalog.garbage().await?.into_iter().map(|f| f.name).collect();
    let mut add = |shards: Vec<(ShardState, Vec<Segment>)>| {
        for (state, segments) in shards {
            named.extend(state.deltas.into_iter().map(|file| file.name));
            let files = segments.into_iter().flat_map(|segment| segment.files);
            named.extend(files.map(|(_, file)| file.name));
        }
    };
    add(catalog.manifest().await?);
    for collection in catalog.manifest_dropped().await? {
        add(catalog.manifest_of(collection).await?);
    }
    Ok(named)
}

fn fault(error: StoreError) -> Fault {
    Fault::internal(error.to_string())
}

/// The cluster that a store says it belongs to.
fn owner(store: &Store, files: &[FileInfo]) -> Result<Option<u128>, Fault> {
    if !files.iter().any(|file| file.name == MARKER) {
        return Ok(None);
    }
    // Its checksum is kept nowhere; what is no id is refused.
    let bytes = store.read_file(MARKER).map_err(fault)?;
    let text = String::from_utf8_lossy(&bytes);
    let broken =
        |_| Fault::internal(format!("the file {MARKER} of the store is damaged: {text:?}"));
    u128::from_str_radix(text.trim(), 16).map(Some).map_err(broken)
}

/// Whether a file may be one of a shard. A bucket may hold others beside them.
fn is_of_shard(name: &str) -> bool {
    let number = |part: &str, begin: char| {
        let digits = part.strip_prefix(begin);
        digits.is_some_and(|d| !d.is_empty() && d.bytes().all(|b| b.is_ascii_digit()))
    };
    let mut parts = name.split('/');
    let folders = [parts.next(), parts.next()].map(Option::unwrap_or_default);
    number(folders[0], 'c') && number(folders[1], 's') && parts.count() == 1
}

fn look(store: &Store, cluster: u128, named: &HashSet<String>) -> Result<(), Fault> {
    let files = store.list_files("").map_err(fault)?;
    match owner(store, &files)? {
        Some(owner) if owner != cluster => {
            return Err(Fault::internal(format!(
                "the store belongs to cluster {owner:032x} and the catalog to cluster \
                 {cluster:032x}; choose the --store of this catalog, or an empty one for a new \
                 cluster"
            )));
        }
        Some(_) => {}
        None if !files.is_empty() && !files.iter().any(|file| named.contains(&file.name)) => {
            return Err(Fault::internal(format!(
                "the store has {} files of which the catalog knows none; choose the --store of this \
                 catalog, or an empty one for a new cluster",
                files.len()
            )));
        }
        None => {
            let write = |out: &mut dyn Write| Ok(writeln!(out, "{cluster:032x}")?);
            store.put_file(MARKER, write).map_err(fault)?;
        }
    }
    let (mut count, mut bytes) = (0, 0);
    for file in files.iter().filter(|f| is_of_shard(&f.name) && !named.contains(&f.name)) {
        fail::point("garbage.orphan");
        match store.delete_file(&file.name) {
            Ok(()) => (count, bytes) = (count + 1, bytes + file.bytes),
            // It takes room and does no harm; the next start finds it again.
            Err(error) => tracing::warn!(file = file.name, %error, "a file was not deleted"),
        }
    }
    if count > 0 {
        tracing::info!(files = count, bytes, "files that nothing names were deleted");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(store: &Store, name: &str) {
        store.put_file(name, |out: &mut dyn Write| Ok(out.write_all(b"rows")?)).unwrap();
    }

    fn names(store: &Store) -> Vec<String> {
        store.list_files("").unwrap().into_iter().map(|file| file.name).collect()
    }

    fn named(names: &[&str]) -> HashSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn files_that_nothing_names_are_deleted_in_a_store_of_the_same_cluster_only() {
        let (store, _) = Store::memory();
        look(&store, 7, &named(&[])).unwrap();
        put(&store, "c1/s0/1-rows.arrow");
        put(&store, "c1/s0/2-rows.arrow");
        let fault = look(&store, 8, &named(&["c1/s0/1-rows.arrow"])).unwrap_err();
        assert!(fault.message.contains("belongs to cluster 00000000000000000000000000000007"));
        assert_eq!(names(&store).len(), 3);
        look(&store, 7, &named(&["c1/s0/1-rows.arrow"])).unwrap();
        assert_eq!(names(&store), [MARKER, "c1/s0/1-rows.arrow"]);
    }

    #[test]
    fn what_is_no_file_of_a_shard_is_nobodys_to_delete() {
        let (store, _) = Store::memory();
        look(&store, 7, &named(&[])).unwrap();
        let others = ["backup/c1/s0/1-rows.arrow", "c1/s0/x/1", "c1/sales", "notes.txt"];
        others.iter().chain(&["c1/s0/1"]).for_each(|name| put(&store, name));
        look(&store, 7, &named(&[])).unwrap();
        assert_eq!(names(&store)[1..], others);
    }

    #[test]
    fn a_store_without_a_marker_is_taken_over_by_the_catalog_that_knows_its_files() {
        let (store, _) = Store::memory();
        put(&store, "c1/s0/1-rows.arrow");
        let fault = look(&store, 7, &named(&["c1/s0/9-rows.arrow"])).unwrap_err();
        assert!(fault.message.contains("1 files of which the catalog knows none"), "{fault}");
        assert_eq!(names(&store), ["c1/s0/1-rows.arrow"]);
        look(&store, 7, &named(&["c1/s0/1-rows.arrow"])).unwrap();
        assert_eq!(names(&store), [MARKER, "c1/s0/1-rows.arrow"]);
    }

    #[test]
    fn a_damaged_marker_is_refused() {
        let (store, _) = Store::memory();
        put(&store, MARKER);
        let fault = look(&store, 7, &named(&[])).unwrap_err();
        assert!(fault.message.contains("is damaged"), "{fault}");
    }
}
