//! Behaviour of changes of what rows are: added fields, truncation, times to live.

use std::sync::Arc;

use millstream_catalog::catalog::{CollectionAlter, FieldAlter, IntentOp};
use millstream_catalog::model::{
    Code, Collection, CollectionId, DataType, FieldId, FieldSchema, Props,
};

use crate::home::{Home, Opened};
use crate::{create, drop_whole};

const TTL: &str = "collection.ttl.seconds";

fn nullable(name: &str) -> FieldSchema {
    FieldSchema { nullable: true, ..FieldSchema::new(FieldId(0), name, DataType::Int64) }
}

async fn current(catalog: &Opened) -> Arc<Collection> {
    catalog.collection_get("default", "c").await.unwrap()
}

/// Adds a field to the end.
async fn add(catalog: &Opened, collection: CollectionId, name: &str) {
    let intent = catalog.field_add(collection, nullable(name)).await.unwrap();
    catalog.intent_finish(intent.id).await.unwrap();
}

pub(crate) async fn an_added_field_is_current_only_when_it_is_finished(home: Arc<Home>) {
    let catalog = home.open().await;
    let c = create(&catalog, "c").await;
    let intent = catalog.field_add(c.id, nullable("a")).await.unwrap();
    let IntentOp::FieldAdd(after, field) = &intent.op else { panic!("{intent:?}") };
    assert_eq!((*field, after.schema.version), (FieldId(103), 1));
    assert_eq!(after.schema.fields[..3], c.schema.fields);
    assert_eq!(after.schema.fields[3], FieldSchema { id: *field, ..nullable("a") });
    assert_eq!(current(&catalog).await, c, "only decided");
    let fault = catalog.field_add(c.id, nullable("b")).await.unwrap_err();
    assert!(fault.message.contains("another field is being added to collection c"), "{fault}");
    // What is altered meanwhile stays.
    let alter = FieldAlter { max_length: Some(77), ..FieldAlter::default() };
    catalog.field_alter(c.id, FieldId(102), alter).await.unwrap();
    catalog.close().await;

    let catalog = home.open().await;
    assert_eq!(catalog.intents_pending().await.unwrap(), std::slice::from_ref(&intent));
    for _ in 0..2 {
        catalog.intent_finish(intent.id).await.unwrap();
        let now = current(&catalog).await;
        assert_eq!(now.schema.fields[3], after.schema.fields[3]);
        assert_eq!((now.schema.version, now.schema.fields[2].max_length), (1, 77));
        assert!(now.meta_version > c.meta_version);
    }
    let past = catalog.collection_at("default", "c", c.meta_version).await.unwrap();
    assert_eq!(past, c);
    add(&catalog, c.id, "b").await;
    let now = current(&catalog).await;
    assert_eq!((now.schema.version, now.schema.fields[4].id), (2, FieldId(104)));
}

pub(crate) async fn a_field_that_cannot_be_added_is_refused(home: Arc<Home>) {
    let catalog = home.open().await;
    let c = create(&catalog, "c").await;
    let fault = catalog.field_add(c.id, nullable("n")).await.unwrap_err();
    assert_eq!(fault.code, Code::ParameterInvalid);
    assert_eq!(fault.message, "duplicated field name n: invalid parameter");
    let fault = catalog.field_add(CollectionId(-1), nullable("a")).await.unwrap_err();
    assert_eq!(fault.code, Code::CollectionNotFound);
    for n in 3..64 {
        add(&catalog, c.id, &format!("f{n}")).await;
    }
    let fault = catalog.field_add(c.id, nullable("more")).await.unwrap_err();
    assert!(fault.message.contains("number of fields has reached the maximum value 64"), "{fault}");
    assert_eq!(current(&catalog).await.schema.fields.len(), 64);
}

pub(crate) async fn a_change_of_a_collection_that_is_dropped_meanwhile_ends(home: Arc<Home>) {
    let catalog = home.open().await;
    let c = create(&catalog, "c").await;
    let added = catalog.field_add(c.id, nullable("a")).await.unwrap();
    let truncated = catalog.collection_truncate(c.id).await.unwrap();
    let ttl = alter_ttl(&catalog, c.id, Some("9")).await.expect("another time to live");
    drop_whole(&catalog, "c").await;
    for intent in [added.id, truncated.id, ttl] {
        catalog.intent_finish(intent).await.unwrap();
    }
    assert_eq!(catalog.collection_all().await.unwrap(), []);
    assert_eq!(catalog.intents_pending().await.unwrap(), []);
}

pub(crate) async fn a_truncation_changes_nothing_but_the_version(home: Arc<Home>) {
    let catalog = home.open().await;
    let c = create(&catalog, "c").await;
    let first = catalog.collection_truncate(c.id).await.unwrap();
    assert_eq!(first.op, IntentOp::Truncate(Arc::clone(&c)));
    assert_eq!(current(&catalog).await, c, "only decided");
    catalog.intent_finish(first.id).await.unwrap();
    let now = current(&catalog).await;
    assert!(now.meta_version > c.meta_version);
    assert_eq!(Collection { meta_version: c.meta_version, ..Collection::clone(&now) }, *c);
    let second = catalog.collection_truncate(c.id).await.unwrap();
    assert!(second.id > first.id, "later truncations have larger intents");
    let fault = catalog.collection_truncate(CollectionId(-1)).await.unwrap_err();
    assert_eq!(fault.code, Code::CollectionNotFound);
}

/// Alters the time to live, or removes it; the intent.
async fn alter_ttl(catalog: &Opened, id: CollectionId, value: Option<&str>) -> Option<i64> {
    let set: Props = value.iter().map(|value| (TTL.to_owned(), (*value).to_owned())).collect();
    let drop = if value.is_none() { vec![TTL.to_owned()] } else { Vec::new() };
    let alter = CollectionAlter { set, drop, ..CollectionAlter::default() };
    catalog.collection_alter(id, alter).await.unwrap().map(|intent| intent.id)
}

pub(crate) async fn a_time_to_live_is_current_only_when_it_is_finished(home: Arc<Home>) {
    let catalog = home.open().await;
    let c = create(&catalog, "c").await;
    let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    let set = vec![pair("k", "v"), pair(TTL, "60")];
    let alter = CollectionAlter { set, ..CollectionAlter::default() };
    let intent = catalog.collection_alter(c.id, alter).await.unwrap().expect("an intent");
    let IntentOp::TtlSet(there, value) = &intent.op else { panic!("{intent:?}") };
    assert_eq!((there.id, value.as_deref()), (c.id, Some("60")));
    let now = current(&catalog).await;
    assert_eq!(now.properties, [pair("ttl", "5"), pair("k", "v")], "the rest is there at once");
    assert_eq!(now.ttl_ms(), None);
    for _ in 0..2 {
        catalog.intent_finish(intent.id).await.unwrap();
        let now = current(&catalog).await;
        assert_eq!(now.properties, [pair("ttl", "5"), pair("k", "v"), pair(TTL, "60")]);
        assert_eq!(now.ttl_ms(), Some(60_000));
    }
    assert_eq!(alter_ttl(&catalog, c.id, Some("60")).await, None, "the same again");
    for (value, ms) in [(Some("0"), None), (Some("1"), Some(1_000)), (None, None)] {
        let intent = alter_ttl(&catalog, c.id, value).await.expect("an intent");
        catalog.intent_finish(intent).await.unwrap();
        assert_eq!(current(&catalog).await.ttl_ms(), ms, "{value:?}");
    }
    assert_eq!(current(&catalog).await.properties, [pair("ttl", "5"), pair("k", "v")]);
    assert_eq!(alter_ttl(&catalog, c.id, None).await, None, "there is none to remove");
}
