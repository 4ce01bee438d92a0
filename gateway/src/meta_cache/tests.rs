//! The cache over a catalog in memory: every name finds its collection, and no other.

use millstream_catalog::catalog::{Created, NewCollection};
use millstream_catalog::clock::SystemClock;
use millstream_catalog::model::{
    Code, CollectionSchema, ConsistencyLevel, DataType, FieldId, FieldSchema, RequestId,
};
use millstream_catalog::{StoredCatalog, memory};

use super::*;

fn open() -> (Arc<StoredCatalog>, MetaCache) {
    let catalog = memory::open(&Arc::default(), Arc::new(SystemClock), 4).unwrap();
    let shared: Arc<dyn Catalog> = Arc::<StoredCatalog>::clone(&catalog);
    (catalog, MetaCache::new(shared))
}

async fn create(catalog: &StoredCatalog, name: &str, request: u128) -> CollectionId {
    let key = FieldSchema::new(FieldId(100), "id", DataType::Int64);
    let schema = CollectionSchema {
        name: name.to_owned(),
        description: String::new(),
        enable_dynamic_field: false,
        fields: vec![FieldSchema { is_primary: true, ..key }],
        version: 0,
        functions: Vec::new(),
    };
    let new = NewCollection {
        database: "default".to_owned(),
        name: name.to_owned(),
        schema: Arc::new(schema),
        shards: 1,
        partitions: 0,
        consistency: ConsistencyLevel::Strong,
        properties: Vec::new(),
    };
    let made = catalog.collection_create(RequestId(request), new).await.unwrap();
    let Created::Intent(intent) = made else { panic!("there already") };
    catalog.intent_finish(intent.id).await.unwrap();
    catalog.collection_get("default", name).await.unwrap().id
}

/// Whether a name is answered from memory.
fn is_warm(cache: &MetaCache, name: &str) -> bool {
    cache.shared.known.read().named("default", name).is_some()
}

#[tokio::test]
async fn an_alias_is_answered_from_memory_like_the_name() {
    let (catalog, cache) = open();
    let c = create(&catalog, "c", 1).await;
    catalog.alias_create("default", "a", "c").await.unwrap();
    assert_eq!(cache.get("default", "a").await.unwrap().id, c);
    assert!(is_warm(&cache, "a") && is_warm(&cache, "c"));
    catalog.alias_drop("default", "a").await.unwrap();
    assert!(!is_warm(&cache, "a") && !is_warm(&cache, "c"));
    let fault = cache.get("default", "a").await.unwrap_err();
    assert_eq!(fault.code, Code::CollectionNotFound);
    assert_eq!(cache.get("default", "c").await.unwrap().aliases, Vec::<String>::new());
}

#[tokio::test]
async fn an_alias_that_moved_is_never_answered_with_its_old_collection() {
    let (catalog, cache) = open();
    let ends = [create(&catalog, "c", 1).await, create(&catalog, "d", 2).await];
    catalog.alias_create("default", "live", "c").await.unwrap();
    for round in 0..6 {
        let (id, name) = (ends[round % 2], ["c", "d"][round % 2]);
        catalog.alias_alter("default", "live", name).await.unwrap();
        // In either order: keeping one collection must not bring a name of the other back.
        let other = ["d", "c"][round % 2];
        for name in [other, "live", other, name] {
            cache.get("default", name).await.unwrap();
        }
        assert_eq!(cache.get("default", "live").await.unwrap().id, id);
        assert_eq!(cache.get("default", other).await.unwrap().aliases, Vec::<String>::new());
    }
}

#[tokio::test]
async fn a_renamed_collection_is_not_found_by_its_old_name() {
    let (catalog, cache) = open();
    let c = create(&catalog, "c", 1).await;
    catalog.database_create("else", Vec::new()).await.unwrap();
    assert_eq!(cache.get("default", "c").await.unwrap().id, c);
    catalog.collection_rename(("default", "c"), ("default", "n")).await.unwrap();
    assert_eq!(cache.get("default", "c").await.unwrap_err().code, Code::CollectionNotFound);
    assert_eq!(cache.get("default", "n").await.unwrap().id, c);
    catalog.collection_rename(("default", "n"), ("else", "n")).await.unwrap();
    assert_eq!(cache.get("default", "n").await.unwrap_err().code, Code::CollectionNotFound);
    assert_eq!(cache.get("else", "n").await.unwrap().database_name, "else");
    assert_eq!(cache.get_by_id(c).await.unwrap().database_name, "else");
}
