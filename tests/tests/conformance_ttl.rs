//! Times to live: a row expires as a function of the time that is read at, for every kind of read.

use std::time::Duration;

use millstream_gateway::pb::{
    AlterCollectionRequest, CreateCollectionRequest, DescribeCollectionRequest,
};
use millstream_tests::client::{Answer, Client, accept, hits, message, pinned, query, search};
use millstream_tests::history::DIM;
use millstream_tests::on_both;
use millstream_tests::rows::{pair, plain_schema, read_longs};
use millstream_tests::site::Site;
use millstream_tests::workload::columns;
use prost::Message;

const TTL: &str = "collection.ttl.seconds";
/// Milliseconds of a timestamp.
const MS: u64 = 1 << 18;

async fn create(client: &Client, ttl: Option<&str>) -> Answer<()> {
    let request = CreateCollectionRequest {
        collection_name: "c".to_owned(),
        schema: plain_schema("c", DIM).encode_to_vec().into(),
        shards_num: 2,
        properties: ttl.iter().map(|ttl| pair(TTL, ttl)).collect(),
        ..CreateCollectionRequest::default()
    };
    accept(Some(&message(client.rpc().create_collection(request).await)?))?;
    client.index("c", "vector", "L2").await?;
    client.load("c").await
}

async fn alter(client: &Client, ttl: Option<&str>) -> Answer<()> {
    let request = AlterCollectionRequest {
        collection_name: "c".to_owned(),
        properties: ttl.iter().map(|ttl| pair(TTL, ttl)).collect(),
        delete_keys: if ttl.is_none() { vec![TTL.to_owned()] } else { Vec::new() },
        ..AlterCollectionRequest::default()
    };
    accept(Some(&message(client.rpc().alter_collection(request).await)?))
}

async fn ttl_of(client: &Client) -> Option<String> {
    let request = DescribeCollectionRequest {
        collection_name: "c".to_owned(),
        ..DescribeCollectionRequest::default()
    };
    let answer = message(client.rpc().describe_collection(request).await).expect("an answer");
    let found = answer.properties.into_iter().find(|property| property.key == TTL);
    found.map(|property| property.value)
}

/// Inserts rows; a time by which they are there.
async fn insert(client: &Client, ids: std::ops::Range<i64>) -> u64 {
    let rows: Vec<(i64, i64)> = ids.map(|id| (id, id)).collect();
    client.insert("c", rows.len(), columns(&rows)).await.expect("rows").timestamp
}

/// What every kind of read sees at exactly this time: the same.
async fn ids_at(client: &Client, at: u64) -> Vec<i64> {
    let all = pinned(query("c", "id >= 0", &["id"]), at);
    let ids = read_longs(&client.query(all).await.expect("rows").fields_data, "id");
    for filter in ["", "value >= 0"] {
        let count = pinned(query("c", filter, &["count(*)"]), at);
        let answer = client.query(count).await.expect("a count");
        assert_eq!(read_longs(&answer.fields_data, "count(*)"), [ids.len() as i64], "{filter}");
    }
    let keys = pinned(query("c", "id in [0, 3, 11, 12, 25, 40]", &["id"]), at);
    let by_key = read_longs(&client.query(keys).await.expect("rows").fields_data, "id");
    let known = |id: &&i64| [0, 3, 11, 12, 25, 40].contains(*id);
    assert_eq!(by_key, ids.iter().filter(known).copied().collect::<Vec<_>>());
    let mut near = search("c", DIM, &[0.5; DIM], 1_000);
    near.travel_timestamp = at;
    let found = client.search(near).await.expect("hits");
    assert_eq!(hits(&found).scores.len(), ids.len());
    ids
}

async fn ids(client: &Client) -> Vec<i64> {
    let answer = client.query(query("c", "id >= 0", &["id"])).await.expect("rows");
    read_longs(&answer.fields_data, "id")
}

async fn wait(seconds: f64) {
    tokio::time::sleep(Duration::from_secs_f64(seconds)).await;
}

async fn rows_expire_for_every_read_at_the_same_time(mut site: Site) {
    let client = site.client();
    create(&client, Some("4")).await.expect("a collection");
    assert_eq!(ttl_of(&client).await.as_deref(), Some("4"));
    let first = insert(&client, 0..10).await;
    client.flush("c").await.expect("a flush");
    wait(1.0).await;
    let second = insert(&client, 10..20).await;
    let all: Vec<i64> = (0..20).collect();
    assert_eq!(ids(&client).await, all);
    wait(4.5).await;
    let now = client.now().await.expect("a timestamp");
    assert_eq!(ids(&client).await, [0; 0], "all are older than that");
    for _ in 0..2 {
        let client = site.client();
        assert_eq!(ids_at(&client, second).await, all);
        assert_eq!(ids_at(&client, first + 4_000 * MS).await, all[10..], "by the time asked for");
        assert_eq!(ids_at(&client, now).await, [0; 0]);
        client.flush("c").await.expect("a flush");
        site.kill();
        site.restart().expect("a server that starts again");
    }
    let client = site.client();
    // What is expired is neither deleted nor completed from, and its key is free.
    let deleted = client.delete("c", "value >= 0").await.expect("a delete");
    assert_eq!(deleted.delete_cnt, 0);
    insert(&client, 3..5).await;
    assert_eq!(ids(&client).await, [3, 4]);
    client.upsert("c", 1, columns(&[(11, 1)])).await.expect("an upsert");
    assert_eq!(ids(&client).await, [3, 4, 11]);
    let deleted = client.delete("c", "value >= 0").await.expect("a delete");
    assert_eq!(deleted.delete_cnt, 3);
    assert_eq!(ids(&client).await, [0; 0]);
}
on_both!(rows_expire_for_every_read_at_the_same_time);

async fn what_is_expired_stays_so_whatever_the_time_to_live_becomes(mut site: Site) {
    let client = site.client();
    create(&client, None).await.expect("a collection");
    insert(&client, 0..10).await;
    wait(3.3).await;
    let later = insert(&client, 10..20).await;
    alter(&client, Some("3")).await.expect("a time to live");
    assert_eq!(ttl_of(&client).await.as_deref(), Some("3"));
    let there: Vec<i64> = (10..20).collect();
    assert_eq!(ids(&client).await, there, "older rows are expired at once");
    alter(&client, Some("3600")).await.expect("a longer time to live");
    assert_eq!(ids(&client).await, there);
    for (restart, ttl) in [(true, None), (false, Some("-1")), (true, Some("0"))] {
        alter(&site.client(), ttl).await.expect("no time to live");
        assert_eq!(ttl_of(&site.client()).await.as_deref(), ttl);
        if restart {
            site.client().flush("c").await.expect("a flush");
            site.kill();
            site.restart().expect("a server that starts again");
        }
        assert_eq!(ids(&site.client()).await, there, "nothing comes back with {ttl:?}");
    }
    let client = site.client();
    wait(3.3).await;
    assert_eq!(ids(&client).await, there, "nothing expires any more");
    assert_eq!(ids_at(&client, later).await, (0..20).collect::<Vec<i64>>(), "the past stays");
    assert_eq!(client.count("c", "").await.expect("a count"), 10);
}
on_both!(what_is_expired_stays_so_whatever_the_time_to_live_becomes);
