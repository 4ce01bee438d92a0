//! Behaviour of names: aliases and renaming.

use std::sync::Arc;

use millstream_catalog::model::{Code, Fault, LoadState};
use parking_lot::Mutex;

use crate::home::{Home, Opened};
use crate::{create, drop_whole, intent, new_collection, new_index, request};

async fn create_in(catalog: &Opened, database: &str, name: &str, id: u128) {
    let made = catalog.collection_create(request(id), new_collection(database, name)).await;
    catalog.intent_finish(intent(made.unwrap()).id).await.unwrap();
}

fn expect(outcome: Result<impl std::fmt::Debug, Fault>, code: Code, text: &str) {
    let fault = outcome.unwrap_err();
    assert_eq!((fault.code, &*fault.message), (code, text));
}

pub(crate) async fn an_alias_stands_for_the_name_of_its_collection(home: Arc<Home>) {
    let catalog = home.open().await;
    let c = create(&catalog, "c").await;
    for alias in ["b", "a"] {
        catalog.alias_create("default", alias, "c").await.unwrap();
    }
    let now = catalog.collection_get("default", "c").await.unwrap();
    assert_eq!(now.aliases, ["b", "a"], "in order of creation");
    assert!(now.meta_version > c.meta_version);
    catalog.alias_create("default", "a", "c").await.unwrap();
    assert_eq!(catalog.collection_get("default", "a").await.unwrap(), now, "nothing changed");
    assert_eq!(catalog.collection_by_id(c.id).await.unwrap(), now);
    assert_eq!(catalog.collection_list("default").await.unwrap(), [Arc::clone(&now)]);
    assert_eq!(catalog.alias_list("default").await.unwrap(), ["b", "a"]);
    catalog.alias_drop("default", "b").await.unwrap();
    assert_eq!(catalog.collection_get("default", "c").await.unwrap().aliases, ["a"]);
    assert_eq!(catalog.alias_list("default").await.unwrap(), ["a"]);
    let nobody = catalog.collection_get("default", "a\0").await.unwrap_err();
    assert_eq!(nobody.code, Code::CollectionNotFound, "{nobody}");
    let nowhere = catalog.database_get("a\0").await.unwrap_err();
    assert_eq!(nowhere.code, Code::DatabaseNotFound, "{nowhere}");
    expect(
        catalog.collection_get("default", "b").await,
        Code::CollectionNotFound,
        "collection not found[database=default][collection=b]",
    );
    let past = catalog.collection_at("default", "b", now.meta_version).await.unwrap();
    assert_eq!(past, now, "history knows the alias");
}

pub(crate) async fn a_name_means_one_thing_in_a_database(home: Arc<Home>) {
    let catalog = home.open().await;
    create(&catalog, "c").await;
    create(&catalog, "d").await;
    catalog.database_create("else", Vec::new()).await.unwrap();
    create_in(&catalog, "else", "c", 1).await;
    catalog.alias_create("default", "a", "c").await.unwrap();
    catalog.alias_create("else", "a", "c").await.unwrap();
    let both = [("default", "a"), ("else", "a")].map(|(database, alias)| {
        let catalog = &catalog;
        async move { catalog.collection_get(database, alias).await.unwrap().id }
    });
    let [here, there] = both;
    assert_ne!(here.await, there.await, "a database has its own aliases");

    let taken = "alias and collection name conflict[database=default][alias=d]";
    for name in ["c", "d", "missing"] {
        expect(catalog.alias_create("default", "d", name).await, Code::AliasNameConflict, taken);
        expect(catalog.alias_alter("default", "d", name).await, Code::AliasNameConflict, taken);
    }
    let text = "a is alias to another collection: c: alias already \
                exist[database=default][alias=a]";
    expect(catalog.alias_create("default", "a", "d").await, Code::AliasExists, text);
    let text = "collection not found[database=default][collection=a]";
    expect(catalog.alias_create("default", "b", "a").await, Code::CollectionNotFound, text);
    let text = "collection name [a] conflicts with an existing alias, please choose a unique name";
    let new = catalog.collection_create(request(2), new_collection("default", "a")).await;
    expect(new, Code::Unexpected, text);
    for alias in ["", &"x".repeat(256)] {
        assert!(catalog.alias_create("default", alias, "c").await.is_err());
    }
    assert_eq!(catalog.alias_list("default").await.unwrap(), ["a"], "nothing happened");
}

pub(crate) async fn an_alias_moves_in_one_step(home: Arc<Home>) {
    let catalog = home.open().await;
    let c = create(&catalog, "c").await;
    let d = create(&catalog, "d").await;
    catalog.alias_create("default", "live", "c").await.unwrap();
    let before = catalog.tso().now().await.unwrap();
    let heard = Arc::new(Mutex::new(Vec::new()));
    let list = Arc::clone(&heard);
    catalog.watch(Box::new(move |changed| list.lock().push(changed)));
    catalog.alias_alter("default", "live", "d").await.unwrap();
    catalog.alias_alter("default", "live", "d").await.unwrap();
    assert_eq!(*heard.lock(), [None], "both collections changed, once");
    let now = catalog.collection_get("default", "live").await.unwrap();
    assert_eq!((now.id, &*now.aliases), (d.id, &["live".to_owned()][..]));
    let left = catalog.collection_get("default", "c").await.unwrap();
    assert_eq!(left.aliases, Vec::<String>::new());
    assert_eq!(left.meta_version, now.meta_version);
    let past = catalog.collection_at("default", "live", before).await.unwrap();
    assert_eq!((past.id, &*past.aliases), (c.id, &["live".to_owned()][..]));
}

pub(crate) async fn an_alias_that_is_missing_is_not_moved_and_need_not_be_dropped(home: Arc<Home>) {
    let catalog = home.open().await;
    let before = create(&catalog, "c").await;
    for missing in ["a", "c"] {
        catalog.alias_drop("default", missing).await.unwrap();
    }
    assert_eq!(catalog.collection_get("default", "c").await.unwrap(), before);
    let text = "alias not found[database=default][alias=a]";
    expect(catalog.alias_alter("default", "a", "c").await, Code::AliasNotFound, text);
    let text = "database not found[database=x]";
    for outcome in [
        catalog.alias_create("x", "a", "c").await,
        catalog.alias_alter("x", "a", "c").await,
        catalog.alias_drop("x", "a").await,
        catalog.alias_list("x").await.map(|_| ()),
    ] {
        expect(outcome, Code::DatabaseNotFound, text);
    }
}

/// A name that points nowhere would be a trap for whoever takes it next.
pub(crate) async fn a_collection_with_aliases_is_not_dropped(home: Arc<Home>) {
    let catalog = home.open().await;
    create(&catalog, "c").await;
    for alias in ["a", "b"] {
        catalog.alias_create("default", alias, "c").await.unwrap();
    }
    let text = "unable to drop the collection [c] because it has associated aliases [a b], please \
                remove all aliases before dropping the collection";
    expect(catalog.collection_drop("default", "c").await, Code::Unexpected, text);
    let text = "cannot drop the collection via alias = a";
    expect(catalog.collection_drop("default", "a").await, Code::Unexpected, text);
    assert_eq!(catalog.intents_pending().await.unwrap(), []);
    for alias in ["a", "b"] {
        catalog.alias_drop("default", alias).await.unwrap();
    }
    drop_whole(&catalog, "c").await;
    let again = create(&catalog, "a").await;
    assert_eq!(again.aliases, Vec::<String>::new());
}

pub(crate) async fn a_renamed_collection_keeps_everything_but_its_name(home: Arc<Home>) {
    let catalog = home.open().await;
    let c = create(&catalog, "c").await;
    catalog.partition_create(c.id, "p").await.unwrap();
    catalog.index_create(c.id, new_index("i", 101, "L2")).await.unwrap();
    catalog.load_set(c.id, &[], LoadState::Loaded).await.unwrap();
    catalog.alias_create("default", "a", "c").await.unwrap();
    let before = catalog.collection_get("default", "c").await.unwrap();
    let renamed = catalog.collection_rename(("default", "c"), ("default", "n")).await.unwrap();
    assert_eq!(renamed, c.id);
    let mut after = (*catalog.collection_get("default", "n").await.unwrap()).clone();
    assert_eq!(*catalog.collection_get("default", "a").await.unwrap(), after);
    assert!(after.meta_version > before.meta_version);
    after.name.clone_from(&before.name);
    after.meta_version = before.meta_version;
    assert_eq!(after, *before);
    assert!(catalog.collection_get("default", "c").await.is_err());
    let past = catalog.collection_at("default", "c", before.meta_version).await.unwrap();
    assert_eq!(past, before);
    let other = create(&catalog, "c").await;
    assert_ne!(other.id, c.id, "the name is free");
}

pub(crate) async fn a_collection_moves_to_another_database(home: Arc<Home>) {
    let catalog = home.open().await;
    let c = create(&catalog, "c").await;
    let limit = vec![("database.max.collections".to_owned(), "1".to_owned())];
    catalog.database_create("d", limit).await.unwrap();
    catalog.alias_create("default", "a", "c").await.unwrap();
    let fault = catalog.collection_rename(("default", "c"), ("d", "c")).await.unwrap_err();
    assert_eq!(fault.code, Code::Unexpected);
    assert!(fault.message.contains("must drop all aliases of this collection"), "{fault}");
    catalog.alias_drop("default", "a").await.unwrap();
    expect(
        catalog.collection_rename(("default", "c"), ("x", "c")).await,
        Code::DatabaseNotFound,
        "target database:x not found: database not found[database=x]",
    );
    catalog.collection_rename(("default", "c"), ("d", "c")).await.unwrap();
    let moved = catalog.collection_get("d", "c").await.unwrap();
    assert_eq!((moved.id, &*moved.database_name), (c.id, "d"));
    assert_eq!(catalog.collection_list("default").await.unwrap(), []);
    assert!(catalog.database_drop("d").await.unwrap_err().message.contains("not empty"));
    create(&catalog, "more").await;
    let fault = catalog.collection_rename(("default", "more"), ("d", "m")).await.unwrap_err();
    assert_eq!(fault.code, Code::CollectionNumLimit);
    assert!(fault.message.contains("[dbName=d][limit=1]"), "{fault}");
    let fault = catalog.collection_create(request(5), new_collection("d", "m")).await.unwrap_err();
    assert_eq!(fault.code, Code::CollectionNumLimit);
    catalog.collection_rename(("d", "c"), ("default", "c")).await.unwrap();
    catalog.database_drop("d").await.unwrap();
}

pub(crate) async fn a_name_that_is_taken_stops_a_rename(home: Arc<Home>) {
    let catalog = home.open().await;
    let c = create(&catalog, "c").await;
    create(&catalog, "d").await;
    let coming = catalog.collection_create(request(1), new_collection("default", "coming")).await;
    catalog.alias_create("default", "a", "c").await.unwrap();
    let rename = async |from: &str, to: &str| {
        catalog.collection_rename(("default", from), ("default", to)).await
    };
    for taken in ["c", "d", "coming"] {
        let text = format!(
            "duplicated new collection name default:{taken} with other collection name or alias"
        );
        expect(rename("c", taken).await, Code::Unexpected, &text);
    }
    let text = "cannot rename collection to an existing alias: a";
    expect(rename("d", "a").await, Code::Unexpected, text);
    let text = "unsupported use an alias to rename collection, alias:a";
    expect(rename("a", "n").await, Code::Unexpected, text);
    let text = "collection not found[database=default][collection=missing]";
    expect(rename("missing", "n").await, Code::CollectionNotFound, text);
    assert_eq!(rename("coming", "n").await.unwrap_err().code, Code::CollectionNotFound);
    assert!(rename("c", "").await.is_err());
    assert_eq!(catalog.collection_get("default", "c").await.unwrap().id, c.id);
    catalog.intent_finish(intent(coming.unwrap()).id).await.unwrap();
}

pub(crate) async fn names_are_there_after_a_restart(home: Arc<Home>) {
    let catalog = home.open().await;
    create(&catalog, "c").await;
    catalog.alias_create("default", "a", "c").await.unwrap();
    catalog.collection_rename(("default", "c"), ("default", "n")).await.unwrap();
    let before = catalog.collection_get("default", "a").await.unwrap();
    assert_eq!((&*before.name, &*before.aliases), ("n", &["a".to_owned()][..]));
    catalog.close().await;
    let catalog = home.open().await;
    assert_eq!(catalog.collection_get("default", "a").await.unwrap(), before);
    assert_eq!(catalog.collection_get("default", "n").await.unwrap(), before);
    assert_eq!(catalog.alias_list("default").await.unwrap(), ["a"]);
}

/// Whoever renames first wins; nothing is lost, and no name is had twice.
pub(crate) async fn concurrent_changes_of_names_leave_one_consistent_state(home: Arc<Home>) {
    let catalog = Arc::new(home.open().await);
    let ids = [create(&catalog, "n0").await.id, create(&catalog, "n1").await.id];
    let tasks: Vec<_> = (0..8usize)
        .map(|task| {
            let catalog = Arc::clone(&catalog);
            tokio::spawn(async move {
                for round in 0..10usize {
                    let name = |n: usize| format!("n{}", n % 4);
                    let (from, to) = (name(task + round), name(task + 2 * round + 1));
                    let alias = format!("a{}", round % 2);
                    // Each may find its name gone or taken; none may break anything.
                    let _lost =
                        catalog.collection_rename(("default", &from), ("default", &to)).await;
                    let _lost = match (task + round) % 3 {
                        0 => catalog.alias_create("default", &alias, &to).await,
                        1 => catalog.alias_alter("default", &alias, &to).await,
                        _ => catalog.alias_drop("default", &alias).await,
                    };
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let all = catalog.collection_list("default").await.unwrap();
    assert_eq!(all.iter().map(|c| c.id).collect::<Vec<_>>(), ids);
    assert_ne!(all[0].name, all[1].name);
    let mut listed: Vec<&String> = all.iter().flat_map(|c| &c.aliases).collect();
    listed.sort();
    let mut aliases = catalog.alias_list("default").await.unwrap();
    aliases.sort();
    assert_eq!(listed, aliases.iter().collect::<Vec<_>>());
    for c in &all {
        for name in c.names() {
            assert_eq!(catalog.collection_get("default", name).await.unwrap().id, c.id);
        }
    }
}
