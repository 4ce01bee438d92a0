//! Behaviour of changes: intents, idempotence, history, order.

use std::collections::HashSet;
use std::sync::Arc;

use millstream_catalog::catalog::{Created, IntentOp};
use millstream_catalog::model::{Code, CollectionState, ConsistencyLevel, Timestamp};
use parking_lot::Mutex;

use crate::home::Home;
use crate::{create, drop_whole, intent, new_collection, new_index, request};

pub(crate) async fn a_collection_is_current_only_when_its_intent_is_finished(home: Arc<Home>) {
    let catalog = home.open().await;
    let made = catalog.collection_create(request(1), new_collection("default", "c")).await;
    let intent = intent(made.unwrap());
    let IntentOp::CollectionCreate(decided) = &intent.op else { panic!("{intent:?}") };
    assert_eq!(decided.state, CollectionState::Creating);
    assert_eq!(decided.partitions[0].name, "_default");
    let missing = catalog.collection_get("default", "c").await.unwrap_err();
    assert_eq!(missing.message, "collection not found[database=default][collection=c]");
    assert!(catalog.collection_by_id(decided.id).await.is_err());
    assert_eq!(catalog.collection_list("default").await.unwrap(), []);
    assert_eq!(catalog.collection_all().await.unwrap().len(), 1);
    assert_eq!(catalog.intents_pending().await.unwrap(), std::slice::from_ref(&intent));

    catalog.intent_finish(intent.id).await.unwrap();
    catalog.intent_finish(intent.id).await.unwrap();
    assert_eq!(catalog.intents_pending().await.unwrap(), []);
    let c = catalog.collection_get("default", "c").await.unwrap();
    assert_eq!((c.id, c.state), (decided.id, CollectionState::Created));
    assert_eq!(c.schema, new_collection("default", "c").schema);
    assert_eq!(c.channels, decided.channels);
    assert_eq!(c.properties, [("ttl".to_owned(), "5".to_owned())]);
    assert!(c.created > decided.created && c.meta_version == c.created);
    assert_eq!(catalog.collection_by_id(c.id).await.unwrap(), c);
    assert_eq!(catalog.collection_at("default", "c", c.created).await.unwrap(), c);
}

/// A client that lost the answer sends the request again: it must not make a second thing.
pub(crate) async fn a_retry_of_a_request_finds_its_own_work(home: Arc<Home>) {
    let catalog = home.open().await;
    let ask = || catalog.collection_create(request(7), new_collection("default", "c"));
    let first = intent(ask().await.unwrap());
    assert_eq!(intent(ask().await.unwrap()), first);
    catalog.intent_finish(first.id).await.unwrap();
    let c = catalog.collection_get("default", "c").await.unwrap();
    assert_eq!(ask().await.unwrap(), Created::Same(Arc::clone(&c)));
    drop_whole(&catalog, "c").await;
    // The request was carried out; that somebody dropped the collection since is another matter.
    let Created::Same(then) = ask().await.unwrap() else { panic!("made again") };
    assert_eq!(then.id, c.id);
    assert!(catalog.collection_get("default", "c").await.is_err());
}

pub(crate) async fn creating_the_same_again_is_harmless_and_another_definition_is_refused(
    home: Arc<Home>,
) {
    let catalog = home.open().await;
    let new = || new_collection("default", "c");
    let pending = intent(catalog.collection_create(request(1), new()).await.unwrap());
    let again = intent(catalog.collection_create(request(2), new()).await.unwrap());
    assert_eq!(again, pending);
    catalog.intent_finish(pending.id).await.unwrap();
    let c = catalog.collection_get("default", "c").await.unwrap();
    let mut other_ids = new();
    let mut schema = (*other_ids.schema).clone();
    schema.version = 9;
    schema.fields[1].id.0 = 555;
    other_ids.schema = Arc::new(schema);
    other_ids.properties = Vec::new();
    let same = catalog.collection_create(request(3), other_ids).await.unwrap();
    assert_eq!(same, Created::Same(c));

    let mut other_dim = new();
    let mut schema = (*other_dim.schema).clone();
    schema.fields[1].dim = 16;
    other_dim.schema = Arc::new(schema);
    let other_shards = crate::NewCollection { shards: 1, ..new() };
    let other_level = crate::NewCollection { consistency: ConsistencyLevel::Strong, ..new() };
    for (n, other) in [other_dim, other_shards, other_level].into_iter().enumerate() {
        let fault = catalog.collection_create(request(10 + n as u128), other).await.unwrap_err();
        assert_eq!(fault.code, Code::Unexpected);
        let text = "create duplicate collection with different parameters, collection: c";
        assert_eq!(fault.message, text);
    }
}

pub(crate) async fn sixteen_concurrent_creators_of_one_name_make_one_collection(home: Arc<Home>) {
    let catalog = Arc::new(home.open().await);
    let creators: Vec<_> = (0..16)
        .map(|n| {
            let catalog = Arc::clone(&catalog);
            tokio::spawn(async move {
                let new = new_collection("default", "c");
                match catalog.collection_create(request(n), new).await.unwrap() {
                    Created::Intent(intent) => {
                        catalog.intent_finish(intent.id).await.unwrap();
                        match intent.op {
                            IntentOp::CollectionCreate(c) => c.id,
                            other => panic!("{other:?}"),
                        }
                    }
                    Created::Same(c) => c.id,
                }
            })
        })
        .collect();
    let mut ids = HashSet::new();
    for creator in creators {
        ids.insert(creator.await.unwrap());
    }
    assert_eq!(ids.len(), 1);
    let all = catalog.collection_list("default").await.unwrap();
    assert_eq!(all.len(), 1);
    assert!(ids.contains(&all[0].id));
    assert_eq!(catalog.intents_pending().await.unwrap(), []);
}

/// G8: after drop and create of a name no old row may be found, so the id must differ.
pub(crate) async fn a_dropped_collection_is_unreadable_at_once_and_its_name_is_free(
    home: Arc<Home>,
) {
    let catalog = home.open().await;
    let old = create(&catalog, "c").await;
    catalog.partition_create(old.id, "p").await.unwrap();
    catalog.index_create(old.id, new_index("i", 101, "L2")).await.unwrap();
    let dropping = catalog.collection_drop("default", "c").await.unwrap().unwrap();
    let IntentOp::CollectionDrop(gone) = &dropping.op else { panic!("{dropping:?}") };
    assert_eq!(
        (gone.id, gone.state, gone.partitions.len()),
        (old.id, CollectionState::Dropping, 2)
    );
    assert!(catalog.collection_get("default", "c").await.is_err());
    let fault = catalog.partition_create(old.id, "q").await.unwrap_err();
    assert_eq!(fault.code, Code::CollectionNotFound);
    assert_eq!(catalog.collection_drop("default", "c").await.unwrap(), None);

    let new = create(&catalog, "c").await;
    assert_ne!(new.id, old.id);
    assert!(new.partitions[0].id != old.partitions[0].id && new.indexes.is_empty());
    let all = catalog.collection_all().await.unwrap();
    assert_eq!(all.iter().map(|c| c.id).collect::<Vec<_>>(), [old.id, new.id]);
    catalog.intent_finish(dropping.id).await.unwrap();
    assert_eq!(catalog.collection_all().await.unwrap(), [new]);
}

pub(crate) async fn dropping_what_is_missing_is_harmless(home: Arc<Home>) {
    let catalog = home.open().await;
    assert_eq!(catalog.collection_drop("default", "none").await.unwrap(), None);
    let c = create(&catalog, "c").await;
    assert_eq!(catalog.partition_drop(c.id, "none").await.unwrap(), None);
    catalog.index_drop(c.id, &["none"]).await.unwrap();
    catalog.intent_finish(1_000_000).await.unwrap();
    assert_eq!(catalog.collection_get("default", "c").await.unwrap(), c);
}

pub(crate) async fn the_past_is_described_as_it_was(home: Arc<Home>) {
    let catalog = home.open().await;
    let tso = catalog.tso();
    let before = tso.now().await.unwrap();
    let mut states = vec![create(&catalog, "c").await];
    let id = states[0].id;
    let mut times = vec![tso.now().await.unwrap()];
    for step in 0..4 {
        match step {
            0 => _ = catalog.partition_create(id, "p").await.unwrap(),
            1 => _ = catalog.index_create(id, new_index("i", 101, "L2")).await.unwrap(),
            2 => catalog.index_drop(id, &["i"]).await.unwrap(),
            _ => {
                let intent = catalog.partition_drop(id, "p").await.unwrap().unwrap();
                catalog.intent_finish(intent.id).await.unwrap();
            }
        }
        states.push(catalog.collection_get("default", "c").await.unwrap());
        times.push(tso.now().await.unwrap());
    }
    drop_whole(&catalog, "c").await;
    let new = create(&catalog, "c").await;
    for (then, at) in states.iter().zip(&times) {
        assert_eq!(catalog.collection_at("default", "c", *at).await.unwrap(), *then);
    }
    assert!(states.windows(2).all(|w| w[0].meta_version < w[1].meta_version));
    assert_eq!(states.iter().map(|c| c.partitions.len()).collect::<Vec<_>>(), [1, 2, 2, 2, 1]);
    let fault = catalog.collection_at("default", "c", before).await.unwrap_err();
    assert_eq!(fault.code, Code::CollectionNotFound);
    assert!(catalog.collection_at("default", "c", new.created.prev()).await.is_err());
    assert!(catalog.collection_at("default", "c", Timestamp::MIN).await.is_err());
    let now = tso.now().await.unwrap();
    assert_eq!(catalog.collection_at("default", "c", now).await.unwrap(), new);
}

pub(crate) async fn a_partition_drop_is_decided_before_it_is_finished(home: Arc<Home>) {
    let catalog = home.open().await;
    let c = create(&catalog, "c").await;
    let old = catalog.partition_create(c.id, "p").await.unwrap();
    let intent = catalog.partition_drop(c.id, "p").await.unwrap().unwrap();
    let IntentOp::PartitionDrop(after, id) = &intent.op else { panic!("{intent:?}") };
    assert_eq!((*id, after.partition("p")), (old.id, None));
    assert_eq!(*catalog.collection_get("default", "c").await.unwrap(), **after);
    let new = catalog.partition_create(c.id, "p").await.unwrap();
    assert_ne!(new.id, old.id);
    catalog.intent_finish(intent.id).await.unwrap();
    let now = catalog.collection_get("default", "c").await.unwrap();
    assert_eq!(now.partition("p"), Some(&new));
    let fault = catalog.partition_drop(c.id, "_default").await.unwrap_err();
    assert_eq!(fault.message, "default partition cannot be deleted");
}

pub(crate) async fn pending_intents_survive_a_restart_and_are_rolled_forward(home: Arc<Home>) {
    let catalog = home.open().await;
    let c = create(&catalog, "a").await;
    catalog.partition_create(c.id, "p").await.unwrap();
    create(&catalog, "b").await;
    catalog.partition_drop(c.id, "p").await.unwrap().unwrap();
    catalog.collection_drop("default", "b").await.unwrap().unwrap();
    let new = new_collection("default", "d");
    intent(catalog.collection_create(request(1), new).await.unwrap());
    let pending = catalog.intents_pending().await.unwrap();
    assert_eq!(pending.len(), 3);
    catalog.close().await;

    let catalog = home.open().await;
    assert_eq!(catalog.intents_pending().await.unwrap(), pending);
    for intent in &pending {
        catalog.intent_finish(intent.id).await.unwrap();
    }
    assert_eq!(catalog.intents_pending().await.unwrap(), []);
    let names = catalog.collection_all().await.unwrap();
    assert_eq!(names.iter().map(|c| &*c.name).collect::<Vec<_>>(), ["a", "d"]);
    assert_eq!(names[0].partitions.len(), 1);
}

pub(crate) async fn shards_are_spread_over_the_channels(home: Arc<Home>) {
    let catalog = home.open().await;
    let mut used = [0; 4];
    for n in 0..6 {
        let c = create(&catalog, &format!("c{n}")).await;
        assert_ne!(c.channels[0], c.channels[1]);
        c.channels.iter().for_each(|channel| used[usize::from(channel.0)] += 1);
    }
    assert_eq!(used, [3, 3, 3, 3]);
    let many = crate::NewCollection { shards: 5, ..new_collection("default", "many") };
    let fault = catalog.collection_create(request(1), many).await.unwrap_err();
    assert_eq!(fault.message, "maximum shards's number should be limited to 4");
}

pub(crate) async fn every_change_has_a_larger_stamp(home: Arc<Home>) {
    let catalog = home.open().await;
    let tso = catalog.tso();
    let mut last = tso.now().await.unwrap();
    let c = create(&catalog, "c").await;
    for n in 0..20 {
        let partition = catalog.partition_create(c.id, &format!("p{n}")).await.unwrap();
        let now = catalog.collection_get("default", "c").await.unwrap();
        assert!(partition.created > last);
        assert_eq!(now.meta_version, partition.created);
        last = tso.now().await.unwrap();
        assert!(last > now.meta_version);
    }
}

/// A cache that hears of a change too early keeps the old state for ever.
pub(crate) async fn watchers_hear_of_each_change_after_it_is_committed(home: Arc<Home>) {
    let catalog = home.open().await;
    let heard = Arc::new(Mutex::new(Vec::new()));
    let list = Arc::clone(&heard);
    catalog.watch(Box::new(move |changed| list.lock().push(changed)));
    let c = create(&catalog, "c").await;
    assert_eq!(*heard.lock(), [Some(c.id), Some(c.id)]);
    heard.lock().clear();
    catalog.partition_create(c.id, "p").await.unwrap();
    catalog.partition_create(c.id, "p").await.unwrap();
    assert!(catalog.partition_create(c.id, "").await.is_err());
    assert_eq!(*heard.lock(), [Some(c.id)], "only what changed is news");
    heard.lock().clear();
    catalog.database_create("d", Vec::new()).await.unwrap();
    assert_eq!(*heard.lock(), [None]);
}

pub(crate) async fn the_past_is_listed_as_it_was(home: Arc<Home>) {
    let catalog = home.open().await;
    let names = async |at| {
        let listed = catalog.collection_list_at("default", at).await.unwrap();
        listed.iter().map(|c| c.name.clone()).collect::<Vec<_>>()
    };
    let start = catalog.tso().now().await.unwrap();
    create(&catalog, "a").await;
    create(&catalog, "b").await;
    let both = catalog.tso().now().await.unwrap();
    catalog.collection_rename(("default", "a"), ("default", "z")).await.unwrap();
    let renamed = catalog.tso().now().await.unwrap();
    drop_whole(&catalog, "b").await;
    let dropped = catalog.tso().now().await.unwrap();
    assert_eq!(names(start).await, [""; 0]);
    assert_eq!(names(both).await, ["a", "b"]);
    assert_eq!(names(renamed).await, ["z", "b"]);
    assert_eq!(names(dropped).await, ["z"]);
    let then = catalog.collection_list_at("default", both).await.unwrap();
    assert_eq!(*then[0], *catalog.collection_at("default", "a", both).await.unwrap());
    let before = catalog.collection_list_at("default", Timestamp::MIN).await.unwrap_err();
    assert!(before.message.contains("database not found[database=default]"), "{before}");
}
