//! Behaviour of changes in place: properties, fields, indexes.

use std::sync::Arc;

use millstream_catalog::catalog::{CollectionAlter, FieldAlter};
use millstream_catalog::model::{Code, CollectionId, ConsistencyLevel, FieldId, LoadState, Props};

use crate::home::Home;
use crate::{create, new_index};

fn props(pairs: &[(&str, &str)]) -> Props {
    pairs.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect()
}

fn keys(keys: &[&str]) -> Vec<String> {
    keys.iter().map(|&key| key.to_owned()).collect()
}

fn altered(set: Props, drop: &[&str]) -> CollectionAlter {
    CollectionAlter { set, drop: keys(drop), ..CollectionAlter::default() }
}

pub(crate) async fn a_collections_properties_are_replaced_by_key(home: Arc<Home>) {
    let catalog = home.open().await;
    let c = create(&catalog, "c").await;
    let set = props(&[("ttl", "7"), ("x", "1"), ("mmap.enabled", "true")]);
    catalog.collection_alter(c.id, altered(set.clone(), &[])).await.unwrap();
    let now = catalog.collection_get("default", "c").await.unwrap();
    assert_eq!(now.properties, set);
    catalog.collection_alter(c.id, altered(set, &["none"])).await.unwrap();
    assert_eq!(catalog.collection_get("default", "c").await.unwrap(), now, "nothing changed");
    catalog.collection_alter(c.id, altered(Vec::new(), &["ttl", "mmap.enabled"])).await.unwrap();
    let later = catalog.collection_get("default", "c").await.unwrap();
    assert_eq!(later.properties, props(&[("x", "1")]));
    let past = catalog.collection_at("default", "c", now.meta_version).await.unwrap();
    assert_eq!(past, now);
}

pub(crate) async fn a_collections_level_and_description_are_altered_in_place(home: Arc<Home>) {
    let catalog = home.open().await;
    let c = create(&catalog, "c").await;
    assert_eq!(c.consistency, ConsistencyLevel::Bounded);
    let alter = CollectionAlter {
        consistency: Some(ConsistencyLevel::Strong),
        description: Some("of words".to_owned()),
        ..CollectionAlter::default()
    };
    catalog.collection_alter(c.id, alter.clone()).await.unwrap();
    let now = catalog.collection_get("default", "c").await.unwrap();
    assert_eq!(now.consistency, ConsistencyLevel::Strong);
    assert_eq!(now.schema.description, "of words");
    assert_eq!((&now.schema.fields, now.schema.version), (&c.schema.fields, c.schema.version));
    assert_eq!(now.properties, c.properties);
    assert!(now.meta_version > c.meta_version);
    catalog.collection_alter(c.id, alter).await.unwrap();
    assert_eq!(catalog.collection_get("default", "c").await.unwrap(), now, "nothing changed");
    let past = catalog.collection_at("default", "c", c.meta_version).await.unwrap();
    assert_eq!(past, c);
}

pub(crate) async fn how_data_are_held_is_fixed_while_they_are_loaded(home: Arc<Home>) {
    let catalog = home.open().await;
    let c = create(&catalog, "c").await;
    catalog.index_create(c.id, new_index("i", 101, "L2")).await.unwrap();
    catalog.load_set(c.id, &[], LoadState::Loaded).await.unwrap();
    let before = catalog.collection_get("default", "c").await.unwrap();
    let mmap = || props(&[("mmap.enabled", "true")]);
    let loaded = "collection already loaded[collection=c]";
    for (outcome, text) in [
        (
            catalog.collection_alter(c.id, altered(mmap(), &[])).await.map(drop),
            "can not alter mmap properties if collection loaded",
        ),
        (
            catalog.collection_alter(c.id, altered(Vec::new(), &["mmap.enabled"])).await.map(drop),
            "can not delete mmap properties if collection loaded",
        ),
        (
            catalog
                .field_alter(
                    c.id,
                    FieldId(101),
                    FieldAlter { set: mmap(), ..FieldAlter::default() },
                )
                .await,
            "can not alter collection field properties if collection loaded",
        ),
        (
            catalog.index_alter(c.id, "i", mmap(), Vec::new()).await,
            "can't alter index on loaded collection, please release the collection first",
        ),
    ] {
        let fault = outcome.unwrap_err();
        assert_eq!(fault.code, Code::CollectionLoaded);
        assert_eq!(fault.message, format!("{text}: {loaded}"));
    }
    assert_eq!(catalog.collection_get("default", "c").await.unwrap(), before);
    catalog.collection_alter(c.id, altered(props(&[("other", "1")]), &[])).await.unwrap();
}

pub(crate) async fn a_field_is_altered_in_place(home: Arc<Home>) {
    let catalog = home.open().await;
    let c = create(&catalog, "c").await;
    let alter = FieldAlter {
        set: props(&[("max_length", "9"), ("mmap.enabled", "true")]),
        max_length: Some(9),
        description: Some("words".to_owned()),
        ..FieldAlter::default()
    };
    catalog.field_alter(c.id, FieldId(102), alter.clone()).await.unwrap();
    let now = catalog.collection_get("default", "c").await.unwrap();
    let field = now.schema.field("n").unwrap();
    assert_eq!((field.max_length, &*field.description), (9, "words"));
    assert_eq!(field.type_params, alter.set);
    assert_eq!(now.schema.version, c.schema.version, "rows are stored as before");
    assert_eq!(now.schema.fields[..2], c.schema.fields[..2]);
    catalog.field_alter(c.id, FieldId(102), alter).await.unwrap();
    assert_eq!(catalog.collection_get("default", "c").await.unwrap(), now, "nothing changed");
    let drop = FieldAlter { drop: keys(&["mmap.enabled"]), ..FieldAlter::default() };
    catalog.field_alter(c.id, FieldId(102), drop).await.unwrap();
    let later = catalog.collection_get("default", "c").await.unwrap();
    assert_eq!(later.schema.field("n").unwrap().type_params, props(&[("max_length", "9")]));
    let past = catalog.collection_at("default", "c", c.meta_version).await.unwrap();
    assert_eq!(past.schema, c.schema);
    let missing = catalog.field_alter(c.id, FieldId(999), FieldAlter::default()).await;
    assert_eq!(missing.unwrap_err().code, Code::FieldNotFound);
}

pub(crate) async fn an_altered_index_is_still_the_same_index(home: Arc<Home>) {
    let catalog = home.open().await;
    let c = create(&catalog, "c").await;
    let made = catalog.index_create(c.id, new_index("i", 101, "L2")).await.unwrap();
    let set = props(&[("mmap.enabled", "true")]);
    catalog.index_alter(c.id, "i", set, Vec::new()).await.unwrap();
    let now = catalog.collection_get("default", "c").await.unwrap();
    assert_eq!((now.indexes[0].id, now.indexes[0].param("mmap.enabled")), (made.id, Some("true")));
    let again = catalog.index_create(c.id, new_index("i", 101, "L2")).await.unwrap();
    assert_eq!(again, now.indexes[0]);
    assert!(catalog.index_create(c.id, new_index("i", 101, "IP")).await.is_err());
    catalog.index_alter(c.id, "i", Vec::new(), keys(&["mmap.enabled"])).await.unwrap();
    assert_eq!(catalog.collection_get("default", "c").await.unwrap().indexes, [made]);
    let fault = catalog.index_alter(c.id, "j", Vec::new(), Vec::new()).await.unwrap_err();
    assert_eq!(
        (fault.code, &*fault.message),
        (Code::IndexNotFound, "index not found[indexName=j]")
    );
    let id = CollectionId(404);
    for fault in [
        catalog.index_alter(id, "i", Vec::new(), Vec::new()).await.unwrap_err(),
        catalog.collection_alter(id, CollectionAlter::default()).await.unwrap_err(),
        catalog.field_alter(id, FieldId(100), FieldAlter::default()).await.unwrap_err(),
    ] {
        assert_eq!(fault.message, "collection not found[collection=404]");
    }
}
