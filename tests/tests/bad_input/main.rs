//! Bad input for every RPC: the code and the text are Milvus's, nothing happens, and the next good
//! request works.

/// A request of fields that matter and of others that do not.
macro_rules! of {
    ($type:ident { $($field:ident $(: $value:expr)?),* $(,)? }) => {
        Request::from($type { $($field $(: $value)?,)* ..$type::default() })
    };
}

mod access;
mod changes;
mod corpus;
mod ddl;
mod expressions;
mod fields;
mod indexes;
mod keys;
mod limits;
mod names;
mod order;
mod reads;
mod schemas;
mod send;
mod types;
mod writes;

use std::time::{Duration, Instant};

use millstream_gateway::pb::schema::CollectionSchema;
use millstream_tests::client::Client;
use millstream_tests::on_both;
use millstream_tests::rows::{int_key, longs, schema, vector_field, vectors};
use millstream_tests::site::Site;

use send::{Request, send};

/// Rows of the good collection, before and after every case.
const ROWS: i64 = 4;
/// Dimension of the good collection.
const DIM: usize = 4;
/// Code of a fault without one of its own; older and newer servers differ in where they use it.
const PLAIN: i32 = 65_535;
/// Code of an invalid parameter.
const INVALID: i32 = 1_100;
/// Longer than any answer may take on a machine that does something else at the same time.
const SLOW: Duration = Duration::from_secs(5);
/// Any code but success: only the text counts.
const ANY: i32 = -1;

/// A request that must be refused.
struct Case {
    what: String,
    request: Request,
    code: i32,
    text: String,
}

fn case(what: impl Into<String>, request: impl Into<Request>, code: i32, text: &str) -> Case {
    Case { what: what.into(), request: request.into(), code, text: text.to_owned() }
}

/// The collections that the cases speak of: `good` has rows and is loaded; `idle` is not loaded.
async fn prepare(client: &Client) {
    client.prepare("good", DIM, 2).await.expect("a collection");
    let columns = vec![
        longs("id", (0..ROWS).collect()),
        longs("value", vec![1; ROWS as usize]),
        vectors("vector", DIM, &[0.5; ROWS as usize * DIM]),
    ];
    client.insert("good", ROWS as usize, columns).await.expect("rows");
    let idle = schema("idle", vec![int_key(), vector_field("vector", DIM)]);
    client.create(&idle, 1).await.expect("a collection");
    writes::prepare(client).await;
}

/// Sends every case; collects what went wrong, so that one run shows all of it.
async fn refuse_all(client: &Client, cases: Vec<Case>) {
    let mut wrong = Vec::new();
    for Case { what, request, code, text } in cases {
        let rpc = request.name();
        let begun = Instant::now();
        let answer = send(client, request).await;
        if begun.elapsed() > SLOW {
            wrong.push(format!("{rpc}, {what}: answered after {:?}", begun.elapsed()));
        }
        match answer {
            Ok(()) => wrong.push(format!("{rpc}, {what}: accepted, {code} \"{text}\" is due")),
            Err(trouble) => {
                let code_fits = code == trouble.code() || (code == ANY && trouble.code() != 0);
                if !code_fits || !trouble.to_string().contains(&text) {
                    wrong.push(format!("{rpc}, {what}: {trouble}; {code} \"{text}\" is due"));
                }
            }
        }
        match client.count("good", "").await {
            Ok(ROWS) => {}
            other => wrong.push(format!("{rpc}, {what}: afterwards count(*) is {other:?}")),
        }
    }
    assert!(wrong.is_empty(), "{} cases:\n  {}", wrong.len(), wrong.join("\n  "));
}

async fn collections_of_wrong_shapes_are_refused(site: Site) {
    let client = site.client();
    prepare(&client).await;
    refuse_all(&client, ddl::collections()).await;
}
on_both!(collections_of_wrong_shapes_are_refused);

async fn wrong_ddl_is_refused(site: Site) {
    let client = site.client();
    prepare(&client).await;
    refuse_all(&client, ddl::others()).await;
}
on_both!(wrong_ddl_is_refused);

async fn wrong_names_and_properties_are_refused_and_change_nothing(site: Site) {
    let client = site.client();
    prepare(&client).await;
    names::prepare(&client).await;
    refuse_all(&client, names::spellings()).await;
    refuse_all(&client, names::aliases_and_names()).await;
    refuse_all(&client, names::properties_of_all()).await;
    refuse_all(&client, names::fields_and_indexes()).await;
    refuse_all(&client, names::collection_names()).await;
    refuse_all(&client, names::other_names()).await;
    names::expect_nothing_changed(&client).await;
}
on_both!(wrong_names_and_properties_are_refused_and_change_nothing);

async fn wrong_schemas_are_refused(site: Site) {
    let client = site.client();
    prepare(&client).await;
    refuse_all(&client, schemas::cases()).await;
}
on_both!(wrong_schemas_are_refused);

async fn wrong_indexes_are_refused(site: Site) {
    let client = site.client();
    prepare(&client).await;
    indexes::prepare(&client).await;
    refuse_all(&client, indexes::cases()).await;
}
on_both!(wrong_indexes_are_refused);

async fn calls_out_of_order_are_refused(site: Site) {
    let client = site.client();
    prepare(&client).await;
    order::prepare(&client).await;
    refuse_all(&client, order::cases()).await;
}
on_both!(calls_out_of_order_are_refused);

async fn wrong_users_roles_and_groups_are_refused_and_change_nothing(site: Site) {
    let client = site.client();
    prepare(&client).await;
    access::prepare(&client).await;
    refuse_all(&client, access::cases()).await;
    access::expect_nothing_changed(&client).await;
}
on_both!(wrong_users_roles_and_groups_are_refused_and_change_nothing);

async fn wrong_fields_and_truncations_are_refused_and_change_nothing(site: Site) {
    let client = site.client();
    prepare(&client).await;
    let cases = changes::cases();
    assert!(cases.len() >= 60, "{} cases", cases.len());
    refuse_all(&client, cases).await;
    changes::schema_cases(&client).await;
    changes::expect_nothing_changed(&client).await;
}
on_both!(wrong_fields_and_truncations_are_refused_and_change_nothing);

async fn wrong_writes_are_refused_and_write_nothing(site: Site) {
    let client = site.client();
    prepare(&client).await;
    refuse_all(&client, writes::cases()).await;
    writes::expect_nothing_written(&client).await;
}
on_both!(wrong_writes_are_refused_and_write_nothing);

async fn wrong_inserts_of_every_type_are_refused(site: Site) {
    let client = site.client();
    prepare(&client).await;
    types::prepare(&client).await;
    let cases = types::inserts();
    assert!(cases.len() >= 420, "{} cases", cases.len());
    refuse_all(&client, cases).await;
    types::expect_nothing_written(&client).await;
}
on_both!(wrong_inserts_of_every_type_are_refused);

async fn wrong_upserts_and_deletes_of_every_type_are_refused(site: Site) {
    let client = site.client();
    prepare(&client).await;
    types::prepare(&client).await;
    refuse_all(&client, types::others()).await;
    types::expect_nothing_written(&client).await;
}
on_both!(wrong_upserts_and_deletes_of_every_type_are_refused);

async fn wrong_partition_keys_and_named_partitions_are_refused(site: Site) {
    let client = site.client();
    prepare(&client).await;
    keys::prepare(&client).await;
    refuse_all(&client, keys::collections()).await;
    refuse_all(&client, keys::others()).await;
    keys::expect_nothing_written(&client).await;
}
on_both!(wrong_partition_keys_and_named_partitions_are_refused);

async fn wrong_searches_are_refused(site: Site) {
    let client = site.client();
    prepare(&client).await;
    reads::prepare(&client).await;
    refuse_all(&client, reads::searches()).await;
}
on_both!(wrong_searches_are_refused);

async fn wrong_queries_are_refused(site: Site) {
    let client = site.client();
    prepare(&client).await;
    reads::prepare(&client).await;
    let now = client.now().await.expect("a timestamp");
    refuse_all(&client, reads::queries(now)).await;
}
on_both!(wrong_queries_are_refused);

async fn wrong_filters_are_refused(site: Site) {
    let client = site.client();
    prepare(&client).await;
    expressions::prepare(&client).await;
    refuse_all(&client, expressions::cases()).await;
}
on_both!(wrong_filters_are_refused);

/// What is just allowed is allowed; the tables have what is one more.
async fn the_largest_of_everything_is_accepted(site: Site) {
    let client = site.client();
    prepare(&client).await;
    for request in limits::metadata().into_iter().chain(limits::reads()) {
        let what: String = format!("{request:?}").chars().take(300).collect();
        let begun = Instant::now();
        send(&client, request).await.unwrap_or_else(|trouble| panic!("{trouble}: {what}"));
        assert!(begun.elapsed() < SLOW, "{:?}: {what}", begun.elapsed());
    }
    let (fields, columns) = limits::rows();
    let collection = CollectionSchema { enable_dynamic_field: true, ..schema("rows", fields) };
    client.create(&collection, 1).await.expect("a collection");
    client.insert("rows", 2, columns).await.expect("the largest rows");
    client.index("rows", "vector", "L2").await.expect("an index");
    client.load("rows").await.expect("a load");
    assert_eq!(client.count("rows", "").await.expect("a count"), 2);
}
on_both!(the_largest_of_everything_is_accepted);

/// A dropped collection answers as one that never was, at once.
async fn a_dropped_collection_is_refused_everywhere(site: Site) {
    let client = site.client();
    prepare(&client).await;
    client.prepare("dropped", DIM, 2).await.expect("a collection");
    client.drop("dropped").await.expect("a drop");
    refuse_all(&client, ddl::on_missing("dropped")).await;
    refuse_all(&client, ddl::on_missing("never")).await;
}
on_both!(a_dropped_collection_is_refused_everywhere);
