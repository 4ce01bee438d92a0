//! Rates that are not to be exceeded, and what is denied altogether.

use std::time::{Duration, Instant};

use millstream_gateway::pb::common::{ErrorCode, Status};
use millstream_gateway::pb::{
    AlterCollectionRequest, AlterDatabaseRequest, CheckHealthRequest, CreateDatabaseRequest,
    CreatePartitionRequest, HasCollectionRequest, QuotaState,
};
use millstream_tests::client::{Answer, Client, Trouble, accept, message, search};
use millstream_tests::history::DIM;
use millstream_tests::on_both;
use millstream_tests::rows::{pair, plain_schema};
use millstream_tests::site::Site;
use millstream_tests::workload::columns;

async fn insert(client: &Client, name: &str, from: i64, rows: i64) -> Answer<()> {
    let rows: Vec<(i64, i64)> = (from..from + rows).map(|id| (id, id)).collect();
    client.insert(name, rows.len(), columns(&rows)).await.map(|_| ())
}

async fn search_one(client: &Client, name: &str) -> Answer<()> {
    client.search(search(name, DIM, &[0.5; DIM], 1)).await.map(|_| ())
}

fn refused(answer: Answer<()>) -> Status {
    match answer.expect_err("a refusal") {
        Trouble::Refused(status) => status,
        lost @ Trouble::Lost(_) => panic!("{lost}"),
    }
}

/// Expects that a request came too soon, in Milvus's words; clients try such a one again.
fn expect_too_soon(answer: Answer<()>, text: &str) {
    let status = refused(answer);
    assert_eq!((status.code, status.retriable), (8, true), "{}", status.reason);
    assert_eq!(status.error_code, i32::from(ErrorCode::RateLimit));
    let words = "request is rejected by grpc RateLimiter middleware, please retry later: rate \
                 limit exceeded[rate=";
    assert!(status.reason.starts_with(words), "{}", status.reason);
    assert!(status.reason.contains(text), "{}; {text} is due", status.reason);
}

/// Expects that a request is denied.
fn expect_denied(answer: Answer<()>, text: &str) {
    let status = refused(answer);
    assert_eq!((status.code, status.retriable), (9, false), "{}", status.reason);
    assert!(status.reason.starts_with("quota exceeded[reason="), "{}", status.reason);
    assert!(status.reason.contains(text), "{}; {text} is due", status.reason);
}

async fn alter(client: &Client, name: &str, key: &str, value: &str) -> Answer<()> {
    let request = AlterCollectionRequest {
        collection_name: name.to_owned(),
        properties: vec![pair(key, value)],
        ..AlterCollectionRequest::default()
    };
    accept(Some(&message(client.rpc().alter_collection(request).await)?))
}

async fn alter_database(client: &Client, key: &str, value: &str) -> Answer<()> {
    let request = AlterDatabaseRequest {
        db_name: "default".to_owned(),
        properties: vec![pair(key, value)],
        ..AlterDatabaseRequest::default()
    };
    accept(Some(&message(client.rpc().alter_database(request).await)?))
}

async fn without_settings_nothing_is_limited(site: Site) {
    let client = site.client();
    client.prepare("free", DIM, 1).await.expect("a collection");
    for round in 0..40 {
        insert(&client, "free", round * 100, 100).await.expect("rows");
        search_one(&client, "free").await.expect("hits");
        client.flush("free").await.expect("a flush");
    }
    let health = message(client.rpc().check_health(CheckHealthRequest {}).await).expect("health");
    assert!(health.is_healthy && health.quota_states.is_empty() && health.reasons.is_empty());
}
on_both!(without_settings_nothing_is_limited);

async fn rates_of_the_settings_are_kept(site: Site) {
    let client = site.client();
    for name in ["one", "two"] {
        client.prepare(name, DIM, 1).await.expect("a collection");
    }
    // A request beyond the limit is let through and paid for later.
    insert(&client, "one", 0, 1_000).await.expect("rows");
    expect_too_soon(insert(&client, "one", 5_000, 1).await, "[rate=50][collection=one][rows]");
    insert(&client, "two", 0, 10).await.expect("the other collection has rows of its own");
    let mut last = Ok(());
    for _ in 0..100 {
        last = client.count("one", "").await.map(|_| ());
        if last.is_err() {
            break;
        }
    }
    expect_too_soon(last, "[rate=1][server][query_qps]");
    let end = Instant::now() + Duration::from_secs(5);
    while client.count("two", "").await.is_err() {
        assert!(Instant::now() < end, "a rate is kept for longer than it should be");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    search_one(&client, "one").await.expect("searches are not limited");
}
on_both!(rates_of_the_settings_are_kept, "--quota", "collection.rows=50", "--quota", "query_qps=1");

async fn changes_of_metadata_have_a_rate_for_each_database(site: Site) {
    let client = site.client();
    let request =
        CreateDatabaseRequest { db_name: "other".to_owned(), ..CreateDatabaseRequest::default() };
    let made = message(client.rpc().create_database(request).await).expect("an answer");
    accept(Some(&made)).expect("a change of another database");
    client.create(&plain_schema("b", DIM), 1).await.expect("a first change of this one");
    let refused = client.create(&plain_schema("c", DIM), 1).await;
    expect_too_soon(refused, "[rate=0.01][database=default][ddl]");
    let request =
        HasCollectionRequest { collection_name: "c".to_owned(), ..HasCollectionRequest::default() };
    let there = message(client.rpc().has_collection(request).await).expect("an answer");
    assert!(!there.value, "what is refused is not made");
}
on_both!(changes_of_metadata_have_a_rate_for_each_database, "--quota", "database.ddl=0.01");

async fn properties_of_collections_win(mut site: Site) {
    let client = site.client();
    client.prepare("c", DIM, 1).await.expect("a collection");
    insert(&client, "c", 0, 10).await.expect("rows");
    alter(&client, "c", "collection.insertRate.max.mb", "0.00001").await.expect("altered");
    insert(&client, "c", 10, 10).await.expect("a full bucket");
    for _ in 0..2 {
        let client = site.client();
        let text = "[collection=c][insert_mb]";
        let mut second = insert(&client, "c", 20, 10).await;
        if second.is_ok() {
            // After a restart the bucket is full again.
            second = insert(&client, "c", 30, 10).await;
        }
        expect_too_soon(second, text);
        site.kill();
        site.restart().expect("a server that starts again");
    }
    let client = site.client();
    alter(&client, "c", "collection.insertRate.max.mb", "-1").await.expect("altered");
    for n in 0..5 {
        insert(&client, "c", 100 + n, 1).await.expect("no limit any more");
    }
    alter(&client, "c", "collection.searchRate.max.vps", "0").await.expect("altered");
    expect_denied(search_one(&client, "c").await, "[collection=c][search_vps]");
    client.count("c", "").await.expect("queries are something else");
    let wrong = alter(&client, "c", "collection.searchRate.max.vps", "fast").await;
    assert_eq!(refused(wrong).code, 1_100);
}
on_both!(properties_of_collections_win);

async fn what_is_denied_is_denied_until_it_is_not(mut site: Site) {
    let client = site.client();
    client.prepare("c", DIM, 1).await.expect("a collection");
    insert(&client, "c", 0, 10).await.expect("rows");
    let deny = "access has been disabled by the administrator][database=default]";
    alter_database(&client, "database.force.deny.writing", "true").await.expect("altered");
    for _ in 0..2 {
        let client = site.client();
        expect_denied(insert(&client, "c", 10, 1).await, &format!("{deny}[writing]"));
        expect_denied(client.delete("c", "id == 1").await.map(|_| ()), "[writing]");
        assert_eq!(client.count("c", "").await.expect("reading is allowed"), 10);
        site.kill();
        site.restart().expect("a server that starts again");
    }
    let client = site.client();
    alter_database(&client, "database.force.deny.writing", "false").await.expect("altered");
    insert(&client, "c", 10, 1).await.expect("rows");
    alter_database(&client, "database.force.deny.reading", "true").await.expect("altered");
    expect_denied(search_one(&client, "c").await, "[reading]");
    expect_denied(client.count("c", "").await.map(|_| ()), "[reading]");
    insert(&client, "c", 20, 1).await.expect("writing is allowed");
    alter_database(&client, "database.force.deny.reading", "false").await.expect("altered");
    assert_eq!(client.count("c", "").await.expect("a count"), 12);

    alter_database(&client, "database.force.deny.ddl", "true").await.expect("altered");
    expect_denied(client.create(&plain_schema("d", DIM), 1).await, "[ddl]");
    let request = CreatePartitionRequest {
        collection_name: "c".to_owned(),
        partition_name: "p".to_owned(),
        ..CreatePartitionRequest::default()
    };
    let made = message(client.rpc().create_partition(request).await).expect("an answer");
    expect_denied(accept(Some(&made)), "[ddl]");
    expect_denied(client.flush("c").await.map(|_| ()), "[ddl]");
    alter_database(&client, "database.force.deny.ddl", "false").await.expect("not denied itself");
    client.flush("c").await.expect("a flush");

    alter(&client, "c", "collection.force.deny.writing", "true").await.expect("altered");
    client.prepare("d", DIM, 1).await.expect("a collection");
    expect_denied(insert(&client, "c", 30, 1).await, "[collection=c][writing]");
    insert(&client, "d", 30, 1).await.expect("the other collection is free");
    let wrong = alter_database(&client, "database.force.deny.writing", "maybe").await;
    assert_eq!(refused(wrong).code, 1_100);
}
on_both!(what_is_denied_is_denied_until_it_is_not);

async fn what_is_stored_has_a_limit(site: Site) {
    let client = site.client();
    for name in ["c", "d"] {
        client.prepare(name, DIM, 1).await.expect("a collection");
        insert(&client, name, 0, 1_000).await.expect("rows");
        client.flush(name).await.expect("a flush");
    }
    let full = "reason=disk quota exceeded, please allocate more resources]";
    alter(&client, "c", "collection.diskProtection.diskQuota.mb", "0.001").await.expect("altered");
    expect_denied(insert(&client, "c", 2_000, 1).await, &format!("{full}[collection=c]"));
    insert(&client, "d", 2_000, 1).await.expect("the other collection has room");
    alter(&client, "c", "collection.diskProtection.diskQuota.mb", "1000").await.expect("altered");
    insert(&client, "c", 2_000, 1).await.expect("there is room again");
    alter_database(&client, "database.diskQuota.mb", "0.001").await.expect("altered");
    expect_denied(insert(&client, "d", 3_000, 1).await, &format!("{full}[database=default]"));
    assert_eq!(client.count("d", "").await.expect("a count"), 1_001);
    alter_database(&client, "database.diskQuota.mb", "-1").await.expect("altered");
    insert(&client, "d", 3_000, 1).await.expect("no limit any more");
}
on_both!(what_is_stored_has_a_limit);

/// A server that holds more than it may takes no writes and says why; everything else goes on.
async fn a_server_without_memory_takes_no_writes(site: Site) {
    let client = site.client();
    client.prepare("c", DIM, 1).await.expect("a collection");
    let denied = insert(&client, "c", 0, 1).await;
    expect_denied(denied, "memory quota exceeded, please allocate more resources");
    expect_denied(client.delete("c", "id == 1").await.map(|_| ()), "takes no writes beyond 0 %");
    assert_eq!(client.count("c", "").await.expect("a count"), 0);
    let health = message(client.rpc().check_health(CheckHealthRequest {}).await).expect("health");
    assert!(health.is_healthy);
    assert_eq!(health.quota_states, [i32::from(QuotaState::DenyToWrite)]);
    assert!(health.reasons[0].contains("memory quota exceeded"), "{:?}", health.reasons);
}
on_both!(a_server_without_memory_takes_no_writes, "--quota", "memory_percent=0");
