//! Behaviour that only Postgres has: news from other processes, lost connections.

use std::sync::Arc;
use std::time::Duration;

use millstream_catalog::Limits;
use millstream_catalog::model::{CollectionId, Fault};
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::home::{Home, Kind, admin};
use crate::{create, run};

/// A gateway in another process must not serve what it cached.
#[test]
fn watchers_hear_of_changes_by_other_processes() {
    run(Kind::Postgres, |home: Arc<Home>| async move {
        let catalog = home.open().await;
        let heard = Arc::new(Mutex::new(Vec::new()));
        let (list, news) = (Arc::clone(&heard), Arc::new(Notify::new()));
        let hear = Arc::clone(&news);
        catalog.watch(Box::new(move |changed| {
            list.lock().push(changed);
            hear.notify_one();
        }));
        let url = home.url().unwrap();
        for payload in ["0:42", "0:0", "0:what"] {
            admin(&url, format!("SELECT pg_notify('millstream_catalog', '{payload}')")).await;
            news.notified().await;
        }
        assert_eq!(*heard.lock(), [Some(CollectionId(42)), None, None]);
    });
}

#[test]
fn a_catalog_whose_connections_are_cut_goes_on_and_says_that_anything_may_have_changed() {
    run(Kind::Postgres, |home: Arc<Home>| async move {
        let catalog = home.open().await;
        create(&catalog, "a").await;
        let (news, hear) = (Arc::new(Notify::new()), Arc::new(Mutex::new(0)));
        let (waker, count) = (Arc::clone(&news), Arc::clone(&hear));
        catalog.watch(Box::new(move |changed: Option<CollectionId>| {
            if changed.is_none() {
                *count.lock() += 1;
                waker.notify_one();
            }
        }));
        let cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                   WHERE datname = current_database() AND pid <> pg_backend_pid()";
        admin(&home.url().unwrap(), cut.to_owned()).await;
        tokio::time::timeout(Duration::from_secs(10), news.notified()).await.unwrap();
        create(&catalog, "b").await;
        assert_eq!(catalog.collection_list("default").await.unwrap().len(), 2);
        catalog.check().await.unwrap();
        // The role is held again: a second owner is still refused.
        let again: Result<_, Fault> = home.try_open(4).await.map(|_| ());
        assert!(again.unwrap_err().message.contains("another process owns this catalog"));
    });
}

#[test]
fn a_server_that_is_not_there_is_a_clear_error_without_the_password() {
    run(Kind::Memory, |home: Arc<Home>| async move {
        let clock: Arc<crate::home::Hand> = Arc::clone(&home.clock);
        let url = "postgres://me:secret@127.0.0.1:1/none";
        let opened = millstream_catalog::sql::open(url, clock, 4, Limits::default()).await;
        let Err(fault) = opened else { panic!("opened") };
        assert!(fault.message.contains("127.0.0.1:1"), "{fault}");
        assert!(!fault.message.contains("secret"));
        let clock: Arc<crate::home::Hand> = Arc::clone(&home.clock);
        let opened = millstream_catalog::sql::open("mysql://x", clock, 4, Limits::default()).await;
        let Err(fault) = opened else { panic!("opened") };
        assert!(fault.message.contains("sqlite://"));
    });
}
