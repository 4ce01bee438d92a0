//! Partition keys: rows of many tenants in one collection, each found by its tenant.

use std::collections::HashMap;

use millstream_gateway::pb::common::ConsistencyLevel;
use millstream_gateway::pb::schema::i_ds::IdField;
use millstream_gateway::pb::schema::template_value::Val;
use millstream_gateway::pb::schema::{CollectionSchema, TemplateValue};
use millstream_gateway::pb::schema::{DataType, FieldData, FieldSchema, IDs, LongArray};
use millstream_gateway::pb::search_request::SearchInput;
use millstream_gateway::pb::{
    CreateCollectionRequest, DescribeCollectionRequest, DescribeCollectionResponse,
    GetPartitionStatisticsRequest, HybridSearchRequest, QueryRequest, SearchRequest,
    ShowPartitionsRequest, UpsertRequest,
};
use millstream_tests::client::{Answer, Client, accept, hits, message, query, search};
use millstream_tests::on_both;
use millstream_tests::rows::{
    field, int_ids, int_key, longs, pair, read_longs, read_texts, schema, text_field, texts,
    vector_field, vectors,
};
use millstream_tests::server::get;
use millstream_tests::site::{Site, Variant};
use prost::Message;

const DIM: usize = 2;
const ROWS: i64 = 600;
const TENANTS: i64 = 30;

/// Key, tenant, value and vector.
fn tenants(name: &str) -> CollectionSchema {
    let tenant = FieldSchema { is_partition_key: true, ..text_field("tenant", 64) };
    let value = field("value", DataType::Int64);
    schema(name, vec![int_key(), tenant, value, vector_field("vector", DIM)])
}

fn request(schema: &CollectionSchema, shards: i32, partitions: i64) -> CreateCollectionRequest {
    CreateCollectionRequest {
        collection_name: schema.name.clone(),
        schema: schema.encode_to_vec().into(),
        shards_num: shards,
        num_partitions: partitions,
        ..CreateCollectionRequest::default()
    }
}

async fn create(client: &Client, request: CreateCollectionRequest) -> Answer<()> {
    accept(Some(&message(client.rpc().create_collection(request).await)?))
}

/// Creates, indexes and loads a collection of tenants.
async fn prepare(client: &Client, name: &str, shards: i32, partitions: i64) {
    create(client, request(&tenants(name), shards, partitions)).await.expect("a collection");
    client.index(name, "vector", "L2").await.expect("an index");
    client.load(name).await.expect("a load");
}

async fn describe(client: &Client, name: &str) -> DescribeCollectionResponse {
    let request = DescribeCollectionRequest {
        collection_name: name.to_owned(),
        ..DescribeCollectionRequest::default()
    };
    let answer = message(client.rpc().describe_collection(request).await).expect("an answer");
    accept(answer.status.as_ref()).expect("a description");
    answer
}

async fn partitions(client: &Client, name: &str) -> Vec<String> {
    let request = ShowPartitionsRequest {
        collection_name: name.to_owned(),
        ..ShowPartitionsRequest::default()
    };
    let answer = message(client.rpc().show_partitions(request).await).expect("an answer");
    accept(answer.status.as_ref()).expect("partitions");
    answer.partition_names
}

fn tenant(of: i64) -> String {
    format!("tenant-{of}")
}

/// Rows of these keys: the tenant is the key modulo the number of tenants.
fn rows(keys: impl Iterator<Item = i64> + Clone) -> Vec<FieldData> {
    let points: Vec<f32> = keys.clone().flat_map(|key| [key as f32, 0.0]).collect();
    vec![
        longs("id", keys.clone().collect()),
        texts("tenant", keys.clone().map(|key| tenant(key % TENANTS)).collect()),
        longs("value", keys.collect()),
        vectors("vector", DIM, &points),
    ]
}

async fn fill(client: &Client, name: &str) {
    for first in (0..ROWS).step_by(200) {
        client.insert(name, 200, rows(first..first + 200)).await.expect("rows");
    }
}

async fn keys(client: &Client, name: &str, filter: &str) -> Vec<i64> {
    let answer = client.query(query(name, filter, &["id"])).await.expect("rows");
    read_longs(&answer.fields_data, "id")
}

/// The partitions are made with the collection, and everything is described back, also after a
/// restart.
async fn a_partition_key_is_described_with_its_partitions(mut site: Site) {
    let client = site.client();
    let mut fields = tenants("many");
    fields.fields[2].is_clustering_key = true;
    let mut many = request(&fields, 2, 0);
    many.properties = vec![pair("partitionkey.isolation", "true")];
    create(&client, many.clone()).await.expect("a collection");
    create(&client, many.clone()).await.expect("the same again is fine");
    create(&client, request(&tenants("few"), 1, 3)).await.expect("a collection");
    let other = create(&client, request(&tenants("few"), 1, 4)).await.expect_err("another number");
    assert!(other.to_string().contains("create duplicate collection"), "{other}");
    for round in 0..2 {
        let described = describe(&client, "many").await;
        assert_eq!(described.num_partitions, 16);
        assert_eq!(described.properties, many.properties);
        let roles: Vec<(bool, bool)> = described.schema.expect("a schema").fields[1..3]
            .iter()
            .map(|field| (field.is_partition_key, field.is_clustering_key))
            .collect();
        assert_eq!(roles, [(true, false), (false, true)]);
        let names: Vec<String> = (0..16).map(|at| format!("_default_{at}")).collect();
        assert_eq!(partitions(&client, "many").await, names);
        assert_eq!(describe(&client, "few").await.num_partitions, 3);
        if round == 0 {
            site.kill();
            site.restart().expect("a restart");
        }
    }
}
on_both!(a_partition_key_is_described_with_its_partitions);

/// Queries, counts, searches and deletes by filter, with and without templates.
async fn rows_are_found_by_their_tenant(site: Site) {
    let client = site.client();
    prepare(&client, "rows", 3, 0).await;
    fill(&client, "rows").await;
    let of = |tenant: i64| (0..ROWS).filter(move |key| key % TENANTS == tenant);
    for at in [0, 7, 29] {
        let filter = format!("tenant == '{}'", tenant(at));
        assert_eq!(keys(&client, "rows", &filter).await, of(at).collect::<Vec<_>>());
        assert_eq!(client.count("rows", &filter).await.expect("a count"), ROWS / TENANTS);
        let near = SearchRequest { dsl: filter, ..search("rows", DIM, &[300.0, 0.0], 1) };
        let found = client.search(near).await.expect("a search");
        let nearest = of(at).min_by_key(|key| (key - 300).abs()).expect("rows");
        assert_eq!(int_ids(hits(&found).ids.as_ref()), [nearest]);
    }
    let two = format!("tenant in ['{}', '{}'] and value < 90", tenant(3), tenant(4));
    assert_eq!(keys(&client, "rows", &two).await, [3, 4, 33, 34, 63, 64]);
    let either = format!("tenant == '{}' or (tenant == '{}' and id < 9)", tenant(1), tenant(2));
    assert_eq!(client.count("rows", &either).await.expect("a count"), ROWS / TENANTS + 1);
    assert_eq!(client.count("rows", "tenant == 'nobody'").await.expect("a count"), 0);
    assert_eq!(client.count("rows", "").await.expect("a count"), ROWS);
    let value = TemplateValue { val: Some(Val::StringVal(tenant(5))) };
    let template = QueryRequest {
        expr_template_values: HashMap::from([("who".to_owned(), value)]),
        ..query("rows", "tenant == {who} and id < 100", &["tenant"])
    };
    let found = client.query(template).await.expect("rows");
    assert_eq!(read_texts(&found.fields_data, "tenant"), vec![tenant(5); 4]);

    let gone = client.delete("rows", &format!("tenant == '{}'", tenant(7))).await;
    assert_eq!(gone.expect("a delete").delete_cnt, ROWS / TENANTS);
    let some = format!("tenant in ['{}', '{}'] and value >= 300", tenant(8), tenant(9));
    assert_eq!(client.delete("rows", &some).await.expect("a delete").delete_cnt, 20);
    client.delete("rows", "id in [0, 1, 2]").await.expect("a delete");
    let left = ROWS - ROWS / TENANTS - 20 - 3;
    assert_eq!(client.count("rows", "").await.expect("a count"), left);
    assert_eq!(statistics(&client, "rows").await.iter().sum::<i64>(), left);
}
on_both!(rows_are_found_by_their_tenant);

/// The number of rows of each partition.
async fn statistics(client: &Client, name: &str) -> Vec<i64> {
    let mut counts = Vec::new();
    for partition_name in partitions(client, name).await {
        let request = GetPartitionStatisticsRequest {
            collection_name: name.to_owned(),
            partition_name,
            ..GetPartitionStatisticsRequest::default()
        };
        let answer = client.rpc().get_partition_statistics(request).await;
        let stats = message(answer).expect("statistics").stats;
        counts.push(stats[0].value.parse().expect("a number"));
    }
    counts
}

/// Searches that ask with rows, and several at once: what they compare with need not be the
/// tenant's own.
async fn searches_of_one_tenant_may_ask_with_the_rows_of_another(site: Site) {
    let client = site.client();
    prepare(&client, "rows", 2, 7).await;
    fill(&client, "rows").await;
    let id_field = Some(IdField::IntId(LongArray { data: vec![31] }));
    let like = SearchRequest {
        search_input: Some(SearchInput::Ids(IDs { id_field })),
        nq: 0,
        dsl: format!("tenant == '{}'", tenant(2)),
        ..search("rows", DIM, &[0.0, 0.0], 2)
    };
    let found = client.search(like).await.expect("a search");
    assert_eq!(int_ids(hits(&found).ids.as_ref()), [32, 2]);

    let of = |at: i64, point: f32| SearchRequest {
        dsl: format!("tenant == '{}'", tenant(at)),
        ..search("rows", DIM, &[point, 0.0], 1)
    };
    let request = HybridSearchRequest {
        collection_name: "rows".to_owned(),
        requests: vec![of(4, 100.0), of(5, 400.0)],
        rank_params: vec![pair("strategy", "rrf"), pair("params", "{\"k\":60}"), pair("limit", 5)],
        consistency_level: ConsistencyLevel::Strong.into(),
        ..HybridSearchRequest::default()
    };
    let answer = message(client.rpc().hybrid_search(request).await).expect("an answer");
    accept(answer.status.as_ref()).expect("a hybrid search");
    let mut ids = int_ids(hits(&answer).ids.as_ref());
    ids.sort_unstable();
    assert_eq!(ids, [94, 395]);
}
on_both!(searches_of_one_tenant_may_ask_with_the_rows_of_another);

async fn update(client: &Client, rows: u32, fields_data: Vec<FieldData>) -> Answer<()> {
    let request = UpsertRequest {
        collection_name: "rows".to_owned(),
        fields_data,
        num_rows: rows,
        partial_update: true,
        ..UpsertRequest::default()
    };
    accept(message(client.rpc().upsert(request).await)?.status.as_ref())
}

/// An upsert ends the old row wherever it is; a partial update leaves a row where it is unless it
/// names another tenant. A replay of the log finds the same.
async fn rows_move_between_tenants_and_are_never_two(mut site: Site) {
    let client = site.client();
    prepare(&client, "rows", 2, 0).await;
    fill(&client, "rows").await;
    // All rows of tenants 0 to 9 go to tenant 50, all at once.
    let moved: Vec<i64> = (0..ROWS).filter(|key| key % TENANTS < 10).collect();
    let mut columns = rows(moved.clone().into_iter());
    columns[1] = texts("tenant", vec![tenant(50); moved.len()]);
    client.upsert("rows", moved.len(), columns).await.expect("an upsert");
    assert_eq!(client.count("rows", "").await.expect("a count"), ROWS);
    assert_eq!(client.count("rows", "tenant == 'tenant-3'").await.expect("a count"), 0);
    assert_eq!(keys(&client, "rows", "tenant == 'tenant-50'").await, moved);

    // Values of rows of several tenants change; the tenants stay.
    let some: Vec<i64> = vec![599, 3, 10, 11, 40];
    let values = some.iter().map(|key| key + 10_000).collect();
    update(&client, 5, vec![longs("id", some), longs("value", values)]).await.expect("an update");
    let changed = client.query(query("rows", "value > 9999", &["tenant", "value"])).await;
    let changed = changed.expect("rows").fields_data;
    let expected = [50, 10, 11, 10, 29].map(tenant);
    assert_eq!(read_texts(&changed, "tenant"), expected);
    assert_eq!(read_longs(&changed, "value"), [10_003, 10_010, 10_011, 10_040, 10_599]);
    for at in [50, 10, 11, 29] {
        let filter = format!("tenant == '{}' and value > 9999", tenant(at));
        let count = if at == 10 { 2 } else { 1 };
        assert_eq!(client.count("rows", &filter).await.expect("a count"), count, "{filter}");
    }

    // The tenant alone changes; the rest stays.
    let names = vec![tenant(60), tenant(61)];
    update(&client, 2, vec![longs("id", vec![10, 599]), texts("tenant", names)])
        .await
        .expect("an update");
    assert_eq!(keys(&client, "rows", "tenant == 'tenant-60' and value == 10010").await, [10]);
    assert_eq!(keys(&client, "rows", "tenant in ['tenant-61'] and value == 10599").await, [599]);
    let new = update(&client, 1, vec![longs("id", vec![7_777]), longs("value", vec![1])]).await;
    assert!(new.expect_err("a row without a tenant").to_string().contains("key 7777"));

    client.delete("rows", "id in [10, 3]").await.expect("a delete");
    let before = statistics(&client, "rows").await;
    assert_eq!(before.iter().sum::<i64>(), ROWS - 2);
    site.kill();
    site.restart().expect("a restart");
    assert_eq!(statistics(&client, "rows").await, before);
    assert_eq!(keys(&client, "rows", "tenant == 'tenant-61'").await, [599]);
    assert_eq!(client.count("rows", "tenant == 'tenant-60'").await.expect("a count"), 0);
}
on_both!(rows_move_between_tenants_and_are_never_two);

/// A request whose rows go to many partitions is seen whole or not at all.
async fn the_rows_of_one_request_appear_together(site: Site) {
    let client = site.client();
    prepare(&client, "rows", 1, 64).await;
    let writer = site.client();
    let write = tokio::spawn(async move {
        for batch in 0..40 {
            let first = batch * 100;
            writer.insert("rows", 100, rows(first..first + 100)).await.expect("rows");
        }
    });
    let mut seen = 0;
    while seen < 4_000 {
        let count = client.count("rows", "").await.expect("a count");
        assert!(count % 100 == 0 && count >= seen, "{count} rows after {seen}");
        let by_filter = client.count("rows", "value >= 0").await.expect("a count");
        assert!(by_filter % 100 == 0 && by_filter >= count, "{by_filter} rows after {count}");
        seen = by_filter;
    }
    write.await.expect("a writer");
}
on_both!(the_rows_of_one_request_appear_together);

/// A collection that isolates tenants answers searches of tenants only.
async fn an_isolated_collection_is_searched_by_tenant(site: Site) {
    let client = site.client();
    let mut isolated = request(&tenants("rows"), 1, 0);
    isolated.properties = vec![pair("partitionkey.isolation", "true")];
    create(&client, isolated).await.expect("a collection");
    client.index("rows", "vector", "L2").await.expect("an index");
    client.load("rows").await.expect("a load");
    fill(&client, "rows").await;
    let with = |filter: &str| SearchRequest {
        dsl: filter.to_owned(),
        ..search("rows", DIM, &[0.0, 0.0], 3)
    };
    for open in ["", "id > 5", "tenant != 'tenant-1'", "tenant == 'tenant-1' or id == 3"] {
        let refused = client.search(with(open)).await.expect_err("no tenant");
        assert!(refused.to_string().contains("partition key not found in expr"), "{refused}");
    }
    let found = client.search(with("tenant == 'tenant-1' and id > 5")).await.expect("a search");
    assert_eq!(int_ids(hits(&found).ids.as_ref()), [31, 61, 91]);
    assert_eq!(client.count("rows", "id > 5").await.expect("a count"), ROWS - 6);
}
on_both!(an_isolated_collection_is_searched_by_tenant);

/// The number of rows that reads looked at so far.
fn scanned(site: &Site) -> u64 {
    let metrics = get(site.server.admin, "/metrics").expect("metrics");
    let line = metrics.lines().find(|line| line.starts_with("millstream_rows_scanned_total{"));
    let value = line.and_then(|line| line.rsplit(' ').next()).expect("a counter");
    value.parse().expect("a number")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_filter_on_one_tenant_looks_at_one_partition() {
    let site = Site::start(Variant::Embedded).expect("a server");
    let client = site.client();
    prepare(&client, "rows", 2, 0).await;
    fill(&client, "rows").await;
    let all = client.count("rows", "").await.expect("a count") as u64;
    let counted = statistics(&client, "rows").await;
    for at in 0..TENANTS {
        let before = scanned(&site);
        let filter = format!("tenant == '{}' and id >= 0", tenant(at));
        client.count("rows", &filter).await.expect("a count");
        let few = scanned(&site) - before;
        assert!(counted.contains(&(few as i64)), "{few} rows are no partition of {counted:?}");
        let near = SearchRequest { dsl: filter, ..search("rows", DIM, &[0.0, 0.0], 1) };
        client.search(near).await.expect("a search");
        assert_eq!(scanned(&site) - before, 2 * few);
    }
    let before = scanned(&site);
    client.count("rows", "id >= 0").await.expect("a count");
    assert_eq!(scanned(&site) - before, all);
}
