//! Behaviour of databases, collections, partitions and indexes one by one.

use std::sync::Arc;

use millstream_catalog::model::{Code, CollectionId, LoadState, PartitionId, limits};

use crate::home::Home;
use crate::{create, drop_whole, intent, new_collection, new_index, request};

pub(crate) async fn the_default_database_exists_and_stays(home: Arc<Home>) {
    let catalog = home.open().await;
    let default = catalog.database_get("default").await.unwrap();
    assert_eq!(catalog.database_list().await.unwrap(), [default]);
    let fault = catalog.database_drop("default").await.unwrap_err();
    assert_eq!((fault.code, &*fault.message), (Code::Unexpected, "can not drop default database"));
}

pub(crate) async fn databases_are_listed_in_order_of_creation(home: Arc<Home>) {
    let catalog = home.open().await;
    for name in ["z", "a", "m"] {
        catalog.database_create(name, Vec::new()).await.unwrap();
    }
    let fault = catalog.database_create("a", Vec::new()).await.unwrap_err();
    assert_eq!((fault.code, &*fault.message), (Code::Unexpected, "database already exist: a"));
    catalog.database_drop("z").await.unwrap();
    let list = catalog.database_list().await.unwrap();
    assert_eq!(list.iter().map(|d| &*d.name).collect::<Vec<_>>(), ["default", "a", "m"]);
    assert!(list.is_sorted_by(|a, b| a.created < b.created && a.id < b.id));
}

pub(crate) async fn a_database_with_collections_is_not_dropped(home: Arc<Home>) {
    let catalog = home.open().await;
    catalog.database_create("d", Vec::new()).await.unwrap();
    let made = catalog.collection_create(request(1), new_collection("d", "c")).await.unwrap();
    let text = "database:d not empty, must drop all collections before drop database";
    assert_eq!(catalog.database_drop("d").await.unwrap_err().message, text);
    catalog.intent_finish(intent(made).id).await.unwrap();
    assert_eq!(catalog.database_drop("d").await.unwrap_err().message, text);
    let gone = catalog.collection_drop("d", "c").await.unwrap().unwrap();
    catalog.intent_finish(gone.id).await.unwrap();
    catalog.database_drop("d").await.unwrap();
    let fault = catalog.database_drop("d").await.unwrap_err();
    assert_eq!(fault.code, Code::DatabaseNotFound);
}

pub(crate) async fn a_databases_properties_are_replaced_by_key(home: Arc<Home>) {
    let catalog = home.open().await;
    let p = |k: &str, v: &str| (k.to_owned(), v.to_owned());
    catalog.database_create("d", vec![p("a", "1"), p("b", "2")]).await.unwrap();
    let (set, drop) = (vec![p("b", "3"), p("c", "4")], vec!["a".to_owned()]);
    catalog.database_alter("d", set, drop).await.unwrap();
    let database = catalog.database_get("d").await.unwrap();
    assert_eq!(database.properties, [p("b", "3"), p("c", "4")]);
    let fault = catalog.database_alter("none", Vec::new(), Vec::new()).await.unwrap_err();
    assert_eq!(fault.code, Code::DatabaseNotFound);
}

pub(crate) async fn the_number_of_databases_is_limited(home: Arc<Home>) {
    let catalog = home.open().await;
    for n in 1..limits::DATABASES_MAX {
        catalog.database_create(&format!("d{n}"), Vec::new()).await.unwrap();
    }
    let fault = catalog.database_create("more", Vec::new()).await.unwrap_err();
    assert_eq!(fault.code, Code::DatabaseNumLimit);
    assert!(fault.message.contains("[limit=64]"));
    catalog.database_drop("d1").await.unwrap();
    catalog.database_create("more", Vec::new()).await.unwrap();
}

pub(crate) async fn what_is_missing_is_named(home: Arc<Home>) {
    let catalog = home.open().await;
    let fault = catalog.database_get("x").await.unwrap_err();
    assert_eq!(
        (fault.code, &*fault.message),
        (Code::DatabaseNotFound, "database not found[database=x]")
    );
    let fault = catalog.collection_get("x", "c").await.unwrap_err();
    assert_eq!(fault.code, Code::DatabaseNotFound);
    let fault = catalog.collection_list("x").await.unwrap_err();
    assert_eq!(fault.code, Code::DatabaseNotFound);
    let fault = catalog.collection_create(request(1), new_collection("x", "c")).await.unwrap_err();
    assert_eq!(fault.code, Code::DatabaseNotFound);
    let fault = catalog.collection_get("default", "c").await.unwrap_err();
    assert_eq!(fault.code, Code::CollectionNotFound);
    let id = CollectionId(404);
    for fault in [
        catalog.collection_by_id(id).await.unwrap_err(),
        catalog.partition_create(id, "p").await.unwrap_err(),
        catalog.partition_drop(id, "p").await.unwrap_err(),
        catalog.index_create(id, new_index("i", 101, "L2")).await.unwrap_err(),
        catalog.index_drop(id, &["i"]).await.unwrap_err(),
        catalog.load_set(id, &[], LoadState::Loaded).await.unwrap_err(),
    ] {
        assert_eq!(fault.code, Code::CollectionNotFound);
        assert_eq!(fault.message, "collection not found[collection=404]");
    }
}

pub(crate) async fn collections_are_listed_in_order_of_creation(home: Arc<Home>) {
    let catalog = home.open().await;
    let mut all = Vec::new();
    for name in ["z", "a", "m", "b"] {
        all.push(create(&catalog, name).await);
    }
    assert_eq!(catalog.collection_list("default").await.unwrap(), all);
    drop_whole(&catalog, "a").await;
    all.remove(1);
    assert_eq!(catalog.collection_list("default").await.unwrap(), all);
    assert_eq!(catalog.collection_all().await.unwrap(), all);
}

pub(crate) async fn names_belong_to_their_database(home: Arc<Home>) {
    let catalog = home.open().await;
    catalog.database_create("d", Vec::new()).await.unwrap();
    let here = create(&catalog, "c").await;
    let made = catalog.collection_create(request(1), new_collection("d", "c")).await.unwrap();
    catalog.intent_finish(intent(made).id).await.unwrap();
    let there = catalog.collection_get("d", "c").await.unwrap();
    assert_ne!(here.id, there.id);
    assert_eq!((&*here.database_name, &*there.database_name), ("default", "d"));
    drop_whole(&catalog, "c").await;
    assert_eq!(catalog.collection_get("d", "c").await.unwrap(), there);
}

pub(crate) async fn creating_a_partition_again_returns_it(home: Arc<Home>) {
    let catalog = home.open().await;
    let c = create(&catalog, "c").await;
    let p = catalog.partition_create(c.id, "p").await.unwrap();
    assert_eq!(catalog.partition_create(c.id, "p").await.unwrap(), p);
    let default = catalog.partition_create(c.id, "_default").await.unwrap();
    let now = catalog.collection_get("default", "c").await.unwrap();
    assert_eq!(now.partitions, [default, p]);
}

pub(crate) async fn hundreds_of_partitions_are_loaded_and_dropped_as_one(home: Arc<Home>) {
    let catalog = home.open().await;
    let c = create(&catalog, "c").await;
    for n in 1..510 {
        catalog.partition_create(c.id, &format!("p{n}")).await.unwrap();
    }
    catalog.load_set(c.id, &[], LoadState::Loaded).await.unwrap();
    let now = catalog.collection_get("default", "c").await.unwrap();
    assert!(now.partitions.iter().all(|p| p.load == LoadState::Loaded));
    assert!(now.partitions.is_sorted_by(|a, b| a.id < b.id));
    assert_eq!(now.partitions.len(), 510);
    drop_whole(&catalog, "c").await;
    assert_eq!(catalog.collection_all().await.unwrap(), []);
}

pub(crate) async fn a_field_has_one_index_and_a_name_one_field(home: Arc<Home>) {
    let catalog = home.open().await;
    let c = create(&catalog, "c").await;
    let i = catalog.index_create(c.id, new_index("i", 101, "L2")).await.unwrap();
    assert_eq!(catalog.index_create(c.id, new_index("i", 101, "L2")).await.unwrap(), i);
    for other in [new_index("i", 101, "IP"), new_index("j", 101, "L2"), new_index("i", 102, "L2")] {
        let fault = catalog.index_create(c.id, other).await.unwrap_err();
        assert_eq!(fault.code, Code::Unexpected);
        assert_eq!(fault.message, "at most one distinct index is allowed per field");
    }
    let fault = catalog.index_create(c.id, new_index("k", 999, "L2")).await.unwrap_err();
    assert_eq!(fault.code, Code::FieldNotFound);
    let j = catalog.index_create(c.id, new_index("j", 102, "L2")).await.unwrap();
    assert_eq!(catalog.collection_get("default", "c").await.unwrap().indexes, [i, j.clone()]);
    catalog.index_drop(c.id, &["i"]).await.unwrap();
    assert_eq!(catalog.collection_get("default", "c").await.unwrap().indexes, [j]);
    let again = catalog.index_create(c.id, new_index("i", 101, "IP")).await.unwrap();
    assert_eq!(again.param("metric_type"), Some("IP"));
}

pub(crate) async fn a_loaded_collection_keeps_its_indexes_and_partitions(home: Arc<Home>) {
    let catalog = home.open().await;
    let c = create(&catalog, "c").await;
    catalog.index_create(c.id, new_index("i", 101, "L2")).await.unwrap();
    catalog.partition_create(c.id, "p").await.unwrap();
    catalog.load_set(c.id, &[], LoadState::Loaded).await.unwrap();
    let fault = catalog.index_drop(c.id, &["i"]).await.unwrap_err();
    let text = "index cannot be dropped, collection is loaded, please release it first";
    assert_eq!(fault.message, text);
    let fault = catalog.partition_drop(c.id, "p").await.unwrap_err();
    let text = "partition cannot be dropped, partition is loaded, please release it first";
    assert_eq!((fault.code, &*fault.message), (Code::Unexpected, text));
    catalog.load_set(c.id, &[], LoadState::NotLoaded).await.unwrap();
    catalog.index_drop(c.id, &["i"]).await.unwrap();
    assert!(catalog.partition_drop(c.id, "p").await.unwrap().is_some());
}

pub(crate) async fn loading_covers_later_partitions_only_when_the_whole_collection_is_loaded(
    home: Arc<Home>,
) {
    let catalog = home.open().await;
    let c = create(&catalog, "c").await;
    let p = catalog.partition_create(c.id, "p").await.unwrap();
    catalog.load_set(c.id, &[p.id], LoadState::Loaded).await.unwrap();
    let now = catalog.collection_get("default", "c").await.unwrap();
    assert_eq!(now.load(), LoadState::Loaded);
    assert_eq!(now.partitions[0].load, LoadState::NotLoaded);
    let q = catalog.partition_create(c.id, "q").await.unwrap();
    assert_eq!(q.load, LoadState::NotLoaded);
    catalog.load_set(c.id, &[], LoadState::Loaded).await.unwrap();
    let r = catalog.partition_create(c.id, "r").await.unwrap();
    assert_eq!(r.load, LoadState::Loaded);
    catalog.load_set(c.id, &[r.id], LoadState::NotLoaded).await.unwrap();
    let s = catalog.partition_create(c.id, "s").await.unwrap();
    assert_eq!(s.load, LoadState::NotLoaded);
    let version = catalog.collection_get("default", "c").await.unwrap().meta_version;
    catalog.load_set(c.id, &[r.id], LoadState::NotLoaded).await.unwrap();
    let now = catalog.collection_get("default", "c").await.unwrap();
    assert_eq!(now.meta_version, version, "nothing changed");
}

pub(crate) async fn loading_a_partition_that_is_missing_is_refused(home: Arc<Home>) {
    let catalog = home.open().await;
    let c = create(&catalog, "c").await;
    let both = [c.partitions[0].id, PartitionId(404)];
    let fault = catalog.load_set(c.id, &both, LoadState::Loaded).await.unwrap_err();
    assert_eq!(fault.code, Code::PartitionNotFound);
    assert_eq!(catalog.collection_get("default", "c").await.unwrap(), c);
}

pub(crate) async fn strange_names_are_only_names(home: Arc<Home>) {
    let catalog = home.open().await;
    let long = "x".repeat(255);
    for name in ["'; DROP TABLE collections; --", "%_\\", "Ünïcödé 语", "$1", &long] {
        let c = create(&catalog, name).await;
        assert_eq!(c.name, name);
        drop_whole(&catalog, name).await;
    }
    for name in ["", &"x".repeat(256)] {
        let new = new_collection("default", name);
        let fault = catalog.collection_create(request(1), new).await.unwrap_err();
        assert_eq!(fault.code, Code::ParameterInvalid);
        assert!(catalog.database_create(name, Vec::new()).await.is_err());
    }
}
