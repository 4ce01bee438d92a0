//! Behaviour of collections whose rows choose their partitions by the values of a field.

use std::sync::Arc;

use millstream_catalog::catalog::{Created, IntentOp};
use millstream_catalog::model::{Code, Collection, DataType, FieldId, FieldSchema, LoadState};

use crate::home::{Home, Opened};
use crate::{NewCollection, drop_whole, intent, new_collection, request};

/// A request for a collection with a partition key.
fn keyed(name: &str, partitions: u16) -> NewCollection {
    let new = new_collection("default", name);
    let mut schema = (*new.schema).clone();
    let key = FieldSchema::new(FieldId(103), "tenant", DataType::VarChar);
    schema.fields.push(FieldSchema { is_partition_key: true, max_length: 64, ..key });
    NewCollection { schema: Arc::new(schema), partitions, ..new }
}

async fn create_keyed(catalog: &Opened, name: &str, partitions: u16) -> Arc<Collection> {
    let made = catalog.collection_create(request(1), keyed(name, partitions)).await.unwrap();
    catalog.intent_finish(intent(made).id).await.unwrap();
    catalog.collection_get("default", name).await.unwrap()
}

fn names(collection: &Collection) -> Vec<&str> {
    collection.partitions.iter().map(|p| p.name.as_str()).collect()
}

pub(crate) async fn a_collection_with_a_partition_key_is_made_with_its_partitions(home: Arc<Home>) {
    let catalog = home.open().await;
    let made = catalog.collection_create(request(1), keyed("c", 3)).await.unwrap();
    let intent = intent(made);
    let IntentOp::CollectionCreate(decided) = &intent.op else { panic!("{intent:?}") };
    assert_eq!(names(decided), ["_default_0", "_default_1", "_default_2"]);
    catalog.intent_finish(intent.id).await.unwrap();
    let c = catalog.collection_get("default", "c").await.unwrap();
    assert_eq!(c.partitions, decided.partitions);
    assert!(c.partitions.is_sorted_by(|a, b| a.id < b.id && a.created == b.created));
    assert_eq!(c.schema.partition_key().map(|f| &*f.name), Some("tenant"));
    catalog.close().await;
    assert_eq!(home.open().await.collection_get("default", "c").await.unwrap(), c);
}

pub(crate) async fn the_partitions_of_a_partition_key_cannot_be_changed(home: Arc<Home>) {
    let catalog = home.open().await;
    let c = create_keyed(&catalog, "c", 2).await;
    let one = [c.partitions[0].id];
    let faults = [
        ("create partition", catalog.partition_create(c.id, "p").await.map(|_| ())),
        ("create partition", catalog.partition_create(c.id, "_default_0").await.map(|_| ())),
        ("drop partition", catalog.partition_drop(c.id, "_default_0").await.map(|_| ())),
        ("drop partition", catalog.partition_drop(c.id, "none").await.map(|_| ())),
        ("load partitions", catalog.load_set(c.id, &one, LoadState::Loaded).await),
        ("release partitions", catalog.load_set(c.id, &one, LoadState::NotLoaded).await),
    ];
    for (what, outcome) in faults {
        let fault = outcome.unwrap_err();
        assert_eq!(fault.code, Code::Unexpected);
        assert_eq!(fault.message, format!("disable {what} if partition key mode is used"));
    }
    assert_eq!(catalog.collection_get("default", "c").await.unwrap(), c);
    catalog.load_set(c.id, &[], LoadState::Loaded).await.unwrap();
    let loaded = catalog.collection_get("default", "c").await.unwrap();
    assert!(loaded.partitions.iter().all(|p| p.load == LoadState::Loaded));
    catalog.load_set(c.id, &[], LoadState::NotLoaded).await.unwrap();
    drop_whole(&catalog, "c").await;
    assert_eq!(catalog.collection_all().await.unwrap(), []);
}

pub(crate) async fn the_number_of_partitions_of_a_partition_key_is_part_of_the_definition(
    home: Arc<Home>,
) {
    let catalog = home.open().await;
    let c = create_keyed(&catalog, "c", 4).await;
    let same = catalog.collection_create(request(2), keyed("c", 4)).await.unwrap();
    assert_eq!(same, Created::Same(c));
    let mut plain = keyed("c", 4);
    plain.schema = new_collection("default", "c").schema;
    for (n, other) in [keyed("c", 5), plain].into_iter().enumerate() {
        let fault = catalog.collection_create(request(10 + n as u128), other).await.unwrap_err();
        let text = "create duplicate collection with different parameters, collection: c";
        assert_eq!((fault.code, &*fault.message), (Code::Unexpected, text));
    }
    let none = catalog.collection_create(request(20), keyed("d", 0)).await.unwrap_err();
    let text = "the specified partitions should be greater than 0 if partition key is used";
    assert_eq!((none.code, &*none.message), (Code::Unexpected, text));
    let many = catalog.collection_create(request(21), keyed("d", 4_097)).await.unwrap_err();
    assert_eq!(many.code, Code::ParameterInvalid);
    assert!(many.message.contains("partition number (4097) exceeds max configuration (4096)"));
}

pub(crate) async fn four_thousand_partitions_are_made_in_one_change(home: Arc<Home>) {
    let catalog = home.open().await;
    let c = create_keyed(&catalog, "c", 4_096).await;
    assert_eq!(c.partitions.len(), 4_096);
    let expected = |n: usize| format!("_default_{n}");
    assert!(c.partitions.iter().enumerate().all(|(n, p)| p.name == expected(n)));
    drop_whole(&catalog, "c").await;
    assert_eq!(catalog.collection_all().await.unwrap(), []);
}
