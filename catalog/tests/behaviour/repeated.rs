//! Behaviour of changes in the name of a client's request.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use millstream_catalog::origin::{ClientRequest, REPEATED_MS, REQUESTS_MAX, apart, within};

use crate::create;
use crate::home::{Home, Opened};

fn asked(client: &str, digest: &str) -> Arc<ClientRequest> {
    Arc::new(ClientRequest { client: client.to_owned(), digest: digest.to_owned() })
}

/// Makes a change in the name of a request.
async fn alter(catalog: &Opened, request: &Arc<ClientRequest>, value: &str) {
    let set = vec![("k".to_owned(), value.to_owned())];
    let alter = catalog.database_alter("default", set, Vec::new());
    within(Arc::clone(request), alter).await.unwrap();
}

pub(crate) async fn a_change_in_the_name_of_a_request_is_known_afterwards(home: Arc<Home>) {
    let request = asked("u/1", "alter");
    let catalog = home.open().await;
    assert!(!catalog.request_done(&request).await.unwrap());
    alter(&catalog, &request, "1").await;
    assert!(catalog.request_done(&request).await.unwrap());
    for other in [asked("u/2", "alter"), asked("u/1", "drop")] {
        assert!(!catalog.request_done(&other).await.unwrap());
    }
    // The same change again changes nothing, and is known all the same.
    let again = asked("u/3", "alter");
    alter(&catalog, &again, "1").await;
    catalog.close().await;
    let catalog = home.open().await;
    assert!(catalog.request_done(&request).await.unwrap());
    assert!(catalog.request_done(&again).await.unwrap());
}

pub(crate) async fn of_one_id_only_the_last_request_is_known(home: Arc<Home>) {
    let catalog = home.open().await;
    let (first, second) = (asked("u", "1"), asked("u", "2"));
    alter(&catalog, &first, "1").await;
    alter(&catalog, &second, "2").await;
    assert!(!catalog.request_done(&first).await.unwrap());
    assert!(catalog.request_done(&second).await.unwrap());
}

pub(crate) async fn a_change_that_failed_or_is_not_the_last_is_not_known(home: Arc<Home>) {
    let catalog = home.open().await;
    create(&catalog, "c").await;
    let request = asked("u", "1");
    within(Arc::clone(&request), catalog.database_drop("nowhere")).await.unwrap_err();
    assert!(!catalog.request_done(&request).await.unwrap());
    let first = apart(catalog.database_create("d", Vec::new()));
    within(Arc::clone(&request), first).await.unwrap();
    assert!(!catalog.request_done(&request).await.unwrap());
    // What somebody else decided is carried to its end by whoever comes.
    let intent = catalog.collection_drop("default", "c").await.unwrap().unwrap();
    within(Arc::clone(&request), catalog.intent_finish(intent.id)).await.unwrap();
    assert!(!catalog.request_done(&request).await.unwrap());
}

pub(crate) async fn requests_are_forgotten_after_a_while_and_when_they_are_too_many(
    home: Arc<Home>,
) {
    let catalog = home.open().await;
    let request = |n: usize| asked(&format!("u/{n}"), "alter");
    let many = if home.kind() == crate::Kind::Memory { REQUESTS_MAX } else { 20 };
    for n in 0..=many {
        alter(&catalog, &request(n), &n.to_string()).await;
    }
    let first = catalog.request_done(&request(0)).await.unwrap();
    assert_eq!(first, many < REQUESTS_MAX, "of {many}");
    assert!(catalog.request_done(&request(1)).await.unwrap());
    home.clock.0.fetch_add(REPEATED_MS + 1_000, Ordering::SeqCst);
    alter(&catalog, &asked("v", "alter"), "v").await;
    assert!(!catalog.request_done(&request(many)).await.unwrap());
    assert!(catalog.request_done(&asked("v", "alter")).await.unwrap());
}
