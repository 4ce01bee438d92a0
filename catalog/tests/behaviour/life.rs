//! Behaviour over restarts and under several owners.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use millstream_catalog::catalog::{Checkpoint, Created, IdKind};
use millstream_catalog::ids::IdBlocks;
use millstream_catalog::model::{ChannelId, Code, LoadState, Timestamp};

use crate::home::Home;
use crate::{create, new_collection, new_index, request};

pub(crate) async fn everything_is_there_after_a_restart(home: Arc<Home>) {
    let catalog = home.open().await;
    let p = ("k".to_owned(), "v".to_owned());
    catalog.database_create("d", vec![p]).await.unwrap();
    let c = create(&catalog, "c").await;
    catalog.partition_create(c.id, "p").await.unwrap();
    catalog.index_create(c.id, new_index("i", 101, "COSINE")).await.unwrap();
    catalog.load_set(c.id, &[], LoadState::Loaded).await.unwrap();
    let (databases, all) =
        (catalog.database_list().await.unwrap(), catalog.collection_all().await.unwrap());
    catalog.close().await;
    for _ in 0..3 {
        let catalog = home.open().await;
        assert_eq!(catalog.database_list().await.unwrap(), databases);
        assert_eq!(catalog.collection_all().await.unwrap(), all);
        let then = catalog.collection_at("default", "c", c.created).await.unwrap();
        assert_eq!(then, c);
        catalog.check().await.unwrap();
        // Without an orderly end, as if the process were killed.
        drop(catalog);
    }
}

/// Another number of channels would send rows of old collections elsewhere.
pub(crate) async fn another_number_of_channels_is_refused(home: Arc<Home>) {
    home.open().await.close().await;
    let Err(fault) = home.try_open(8).await else { panic!("opened") };
    assert!(fault.message.contains("channels=4") && fault.message.contains("channels=8"));
    assert!(home.try_open(0).await.is_err());
    assert_eq!(home.open().await.channels(), 4);
}

pub(crate) async fn ids_are_never_handed_out_twice(home: Arc<Home>) {
    let mut seen = HashSet::new();
    for _ in 0..3 {
        let catalog = home.open().await;
        let rows = IdBlocks::new(Arc::clone(&catalog.catalog), IdKind::Row, 100);
        rows.refill_in_background();
        for count in [1, 7, 60, 60, 150, 3] {
            let first = rows.alloc(count).await.unwrap();
            assert!((first..first + i64::from(count)).all(|id| seen.insert(id)));
        }
        drop(catalog);
    }
    let catalog = home.open().await;
    let block = catalog.id_block(IdKind::Object, 10).await.unwrap();
    let c = create(&catalog, "c").await;
    assert!(c.id.0 >= block + 10, "objects do not take ids out of a block given away");
}

/// G4: a restart, and a clock set back meanwhile, must not repeat a timestamp.
pub(crate) async fn time_goes_on_above_the_old_time_after_a_restart(home: Arc<Home>) {
    let mut last = Timestamp::MIN;
    for ms in [0i64, 5_000, -3_600_000, 100, 7_200_000, -315_360_000_000] {
        let catalog = home.open().await;
        let tso = catalog.tso();
        for _ in 0..3 {
            let now = tso.now().await.unwrap();
            assert!(now > last);
            last = tso.alloc(1_000).await.unwrap();
            assert!(last > now);
        }
        let step = |now: u64| Some(now.saturating_add_signed(ms));
        home.clock.0.fetch_update(Ordering::SeqCst, Ordering::SeqCst, step).unwrap();
        let now = tso.now().await.unwrap();
        assert!(now.0 >= last.0 + 1_000);
        last = now;
        drop(catalog);
    }
}

pub(crate) async fn a_checkpoint_only_moves_forward(home: Arc<Home>) {
    let catalog = home.open().await;
    let at = |seq, ms| Checkpoint { seq, closed: Timestamp::from_ms(ms) };
    let channel = ChannelId(3);
    assert_eq!(catalog.checkpoint_get(channel).await.unwrap(), Checkpoint::default());
    catalog.checkpoint_set(channel, at(10, 100)).await.unwrap();
    catalog.checkpoint_set(channel, at(9, 200)).await.unwrap();
    assert_eq!(catalog.checkpoint_get(channel).await.unwrap(), at(10, 100));
    catalog.checkpoint_set(channel, at(12, 300)).await.unwrap();
    catalog.close().await;
    let catalog = home.open().await;
    assert_eq!(catalog.checkpoint_get(channel).await.unwrap(), at(12, 300));
    assert_eq!(catalog.checkpoint_get(ChannelId(0)).await.unwrap(), Checkpoint::default());
    assert!(catalog.checkpoint_set(ChannelId(4), at(1, 1)).await.is_err());
}

/// Two owners that both hand out timestamps would repeat them.
pub(crate) async fn an_owner_that_lost_its_place_can_change_nothing(home: Arc<Home>) {
    let old = home.open().await;
    let mut last = old.tso().now().await.unwrap();
    let new = match home.try_open(4).await {
        Ok(new) => new,
        // Postgres refuses a second owner while the first one's session lives.
        Err(fault) => {
            assert!(fault.message.contains("another process owns this catalog"));
            let url = home.url().unwrap();
            let end = "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' \
                       AND database = (SELECT oid FROM pg_database \
                       WHERE datname = current_database()) AND pid <> pg_backend_pid()";
            let (mut waited, mut opened) = (0, None);
            // The old owner's session comes back by itself, and the new one races with it.
            while opened.is_none() {
                if waited < 3 {
                    crate::home::admin(&url, end.to_owned()).await;
                } else {
                    // It may always win: then it still is the only owner, which is as good.
                    match old.database_create("d", Vec::new()).await {
                        Ok(_) => return,
                        Err(fault) => assert!(waited < 500, "nobody owns the catalog: {fault}"),
                    }
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                opened = home.try_open(4).await.ok();
                waited += 1;
            }
            opened.unwrap()
        }
    };
    let fault = old.database_create("d", Vec::new()).await.unwrap_err();
    assert_eq!(fault.code, Code::ServiceUnavailable);
    assert!(fault.message.contains("taken the catalog over"));
    // What is left of the old window is below the new owner's time.
    while let Some(now) = old.tso().try_alloc(1 << 24) {
        last = now;
    }
    assert!(old.tso().alloc(1 << 30).await.is_err());
    assert!(new.tso().now().await.unwrap().0 >= last.0 + (1 << 24));
    new.database_create("d", Vec::new()).await.unwrap();
}

pub(crate) async fn concurrent_changes_of_all_kinds_leave_one_consistent_state(home: Arc<Home>) {
    let catalog = Arc::new(home.open().await);
    let shared = create(&catalog, "shared").await.id;
    let tasks: Vec<_> = (0..8u128)
        .map(|n| {
            let catalog = Arc::clone(&catalog);
            tokio::spawn(async move {
                for round in 0..5u128 {
                    let name = format!("c{}", n % 4);
                    let id = request(1_000 + n * 100 + round);
                    let made = catalog.collection_create(id, new_collection("default", &name));
                    if let Created::Intent(intent) = made.await.unwrap() {
                        catalog.intent_finish(intent.id).await.unwrap();
                    }
                    catalog.partition_create(shared, &format!("p{n}_{round}")).await.unwrap();
                    if let Some(gone) = catalog.collection_drop("default", &name).await.unwrap() {
                        catalog.intent_finish(gone.id).await.unwrap();
                    }
                    catalog.collection_list("default").await.unwrap();
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(catalog.intents_pending().await.unwrap(), []);
    let shared = catalog.collection_get("default", "shared").await.unwrap();
    assert_eq!(shared.partitions.len(), 41);
    assert!(shared.partitions.is_sorted_by(|a, b| a.created < b.created && a.id < b.id));
    assert_eq!(catalog.collection_all().await.unwrap().len(), 1);
}
