//! Wrong partition keys, and what their mode does not allow.
// tidy: table

use millstream_gateway::pb::schema::{DataType, FieldSchema};
use millstream_gateway::pb::{
    CreateCollectionRequest, CreatePartitionRequest, DeleteRequest, DropPartitionRequest,
    HybridSearchRequest, InsertRequest, LoadPartitionsRequest, QueryRequest,
    ReleasePartitionsRequest, SearchRequest, UpsertRequest,
};
use millstream_tests::client::{Client, accept, message, query, search};
use millstream_tests::rows::{
    field, int_key, longs, pair, schema, text_field, texts, vector_field, vectors,
};
use prost::Message;

use super::{Case, DIM, INVALID, PLAIN, case};

/// The text of every refusal of a named partition.
const UNNAMED: &str =
    "not support manually specifying the partition names if partition key mode is used";

fn tenant() -> FieldSchema {
    FieldSchema { is_partition_key: true, ..text_field("tenant", 8) }
}

/// A collection with these fields beside a key and a vector.
fn with(name: &str, fields: Vec<FieldSchema>, partitions: i64) -> CreateCollectionRequest {
    let mut all = vec![int_key(), vector_field("vector", DIM)];
    all.extend(fields);
    CreateCollectionRequest {
        collection_name: name.to_owned(),
        schema: schema(name, all).encode_to_vec().into(),
        shards_num: 1,
        num_partitions: partitions,
        ..CreateCollectionRequest::default()
    }
}

/// Makes `keyed`, which has a partition key, three partitions and no rows, and is loaded.
pub(crate) async fn prepare(client: &Client) {
    let request = with("keyed", vec![tenant()], 3);
    let made = message(client.rpc().create_collection(request).await).expect("an answer");
    accept(Some(&made)).expect("a collection");
    client.index("keyed", "vector", "L2").await.expect("an index");
    client.load("keyed").await.expect("a load");
}

/// Nothing of the refused writes can be seen, and a good one works.
pub(crate) async fn expect_nothing_written(client: &Client) {
    assert_eq!(client.count("keyed", "").await.expect("a count"), 0);
    let insert = insert();
    client.insert("keyed", 2, insert.fields_data).await.expect("a good insert");
    assert_eq!(client.count("keyed", "tenant == 'a'").await.expect("a count"), 1);
}

fn insert() -> InsertRequest {
    InsertRequest {
        collection_name: "keyed".to_owned(),
        fields_data: vec![
            longs("id", vec![1, 2]),
            texts("tenant", vec!["a".to_owned(), "b".to_owned()]),
            vectors("vector", DIM, &[0.5; 2 * DIM]),
        ],
        num_rows: 2,
        ..InsertRequest::default()
    }
}

fn upsert(from: InsertRequest) -> UpsertRequest {
    UpsertRequest {
        collection_name: from.collection_name,
        partition_name: from.partition_name,
        fields_data: from.fields_data,
        num_rows: from.num_rows,
        ..UpsertRequest::default()
    }
}

fn keyed() -> String {
    "keyed".to_owned()
}

fn names(name: &str) -> Vec<String> {
    vec![name.to_owned()]
}

/// Collections whose partition key is wrong.
pub(crate) fn collections() -> Vec<Case> {
    let key = |data_type| FieldSchema { is_partition_key: true, ..field("tenant", data_type) };
    let types = "the data type of partition key should be Int64 or VarChar";
    let only = "num_partitions should only be specified with partition key field enabled";
    let few = "the specified partitions should be greater than 0 if partition key is used";
    let primary = FieldSchema { is_partition_key: true, ..int_key() };
    let primary = CreateCollectionRequest {
        schema: schema("new", vec![primary, vector_field("vector", DIM)]).encode_to_vec().into(),
        ..with("new", vec![], 0)
    };
    let second = FieldSchema { is_partition_key: true, ..field("second", DataType::Int64) };
    let list = FieldSchema {
        element_type: DataType::Int64.into(),
        type_params: vec![pair("max_capacity", 4)],
        ..key(DataType::Array)
    };
    let vector = FieldSchema { is_partition_key: true, ..vector_field("other", DIM) };
    let sorted =
        |name: &str| FieldSchema { is_clustering_key: true, ..field(name, DataType::Int64) };
    let sorted_vector = FieldSchema { is_clustering_key: true, ..vector_field("other", DIM) };
    let isolated = |fields, value: &str| CreateCollectionRequest {
        properties: vec![pair("partitionkey.isolation", value)],
        ..with("new", fields, 0)
    };
    let mut cases = vec![
        case(
            "two keys",
            with("new", vec![tenant(), second], 0),
            PLAIN,
            "there are more than one partition key, field name = tenant, second",
        ),
        case("the primary key", primary, PLAIN, "the partition key field must not be primary"),
        case(
            "a nullable key",
            with("new", vec![FieldSchema { nullable: true, ..tenant() }], 0),
            INVALID,
            "partition key field not support nullable, field name = tenant",
        ),
        case("a list as key", with("new", vec![list], 0), PLAIN, types),
        case("a vector as key", with("new", vec![vector], 0), PLAIN, types),
        case("partitions without a key", with("new", vec![], 1), PLAIN, only),
        case("many partitions without a key", with("new", vec![], 5_000), PLAIN, only),
        case("-1 partitions without a key", with("new", vec![], -1), PLAIN, only),
        case("-1 partitions", with("new", vec![tenant()], -1), PLAIN, few),
        case("the fewest partitions", with("new", vec![tenant()], i64::MIN), PLAIN, few),
        case(
            "4097 partitions",
            with("new", vec![tenant()], 4_097),
            INVALID,
            "partition number (4097) exceeds max configuration (4096), collection: new",
        ),
        case(
            "the most partitions",
            with("new", vec![tenant()], i64::MAX),
            INVALID,
            "exceeds max configuration (4096), collection: new",
        ),
        case(
            "another number of partitions",
            with("keyed", vec![tenant()], 4),
            PLAIN,
            "create duplicate collection with different parameters, collection: keyed",
        ),
        case(
            "another key",
            with("keyed", vec![text_field("tenant", 8)], 0),
            PLAIN,
            "create duplicate collection with different parameters, collection: keyed",
        ),
        case(
            "isolation without a key",
            isolated(vec![], "true"),
            105,
            "partition key isolation mode is enabled but no partition key field is set",
        ),
        case("a word as isolation", isolated(vec![tenant()], "maybe"), INVALID, "maybe"),
        case(
            "two clustering keys",
            with("new", vec![sorted("a"), sorted("b")], 0),
            PLAIN,
            "there are more than one clustering key, field name = a, b",
        ),
        case(
            "a vector as clustering key",
            with("new", vec![sorted_vector], 0),
            107,
            "vector clustering key not allowed",
        ),
    ];
    let wrong = [
        DataType::Bool,
        DataType::Int8,
        DataType::Int16,
        DataType::Int32,
        DataType::Float,
        DataType::Double,
        DataType::Json,
    ];
    let typed = |data_type: DataType| {
        let what = format!("a key of type {}", data_type.as_str_name());
        case(what, with("new", vec![key(data_type)], 0), PLAIN, types)
    };
    cases.extend(wrong.map(typed));
    cases
}

/// What the mode of a partition key does not allow.
pub(crate) fn others() -> Vec<Case> {
    let mut cases = Vec::new();
    for name in ["_default_0", "_default", "west"] {
        cases.extend(ddl(name));
        cases.extend(named(name));
    }
    let mut long = insert();
    long.fields_data[1] = texts("tenant", vec!["a".to_owned(), "a long one".to_owned()]);
    let mut missing = insert();
    missing.fields_data.remove(1);
    let mut null = insert();
    null.fields_data[1].valid_data = vec![true, false];
    let mut numbers = insert();
    numbers.fields_data[1] = longs("tenant", vec![1, 2]);
    for (what, request, text) in [
        ("a long tenant", long, "tenant exceeds max length (8)"),
        ("no tenant", missing, "fieldSchema(tenant) has no corresponding fieldData pass in"),
        ("a null tenant", null, "field tenant is not nullable"),
        ("a number as tenant", numbers, "varchar field 'tenant' is illegal"),
    ] {
        cases.push(case(what, upsert(request.clone()), INVALID, text));
        cases.push(case(what, request, INVALID, text));
    }
    let fresh = UpsertRequest {
        partial_update: true,
        fields_data: vec![longs("id", vec![7]), vectors("vector", DIM, &[0.5; DIM])],
        num_rows: 1,
        ..upsert(insert())
    };
    cases.push(case("a new row without a tenant", fresh, INVALID, "fieldSchema(tenant)"));
    cases
}

fn ddl(name: &str) -> Vec<Case> {
    let what = format!("partition {name}");
    vec![
        case(
            &what,
            CreatePartitionRequest {
                collection_name: keyed(),
                partition_name: name.to_owned(),
                ..CreatePartitionRequest::default()
            },
            PLAIN,
            "disable create partition if partition key mode is used",
        ),
        case(
            &what,
            DropPartitionRequest {
                collection_name: keyed(),
                partition_name: name.to_owned(),
                ..DropPartitionRequest::default()
            },
            PLAIN,
            "disable drop partition if partition key mode is used",
        ),
        case(
            &what,
            LoadPartitionsRequest {
                collection_name: keyed(),
                partition_names: names(name),
                ..LoadPartitionsRequest::default()
            },
            PLAIN,
            "disable load partitions if partition key mode is used",
        ),
        case(
            &what,
            ReleasePartitionsRequest {
                collection_name: keyed(),
                partition_names: names(name),
                ..ReleasePartitionsRequest::default()
            },
            PLAIN,
            "disable release partitions if partition key mode is used",
        ),
    ]
}

fn named(name: &str) -> Vec<Case> {
    let what = format!("partition {name}");
    let write = || InsertRequest { partition_name: name.to_owned(), ..insert() };
    let near = || search("keyed", DIM, &[0.0; DIM], 1);
    let partition_names = names(name);
    vec![
        case(&what, write(), PLAIN, UNNAMED),
        case(&what, upsert(write()), PLAIN, UNNAMED),
        case(
            &what,
            DeleteRequest {
                collection_name: keyed(),
                partition_name: name.to_owned(),
                expr: "id in [1]".to_owned(),
                ..DeleteRequest::default()
            },
            PLAIN,
            UNNAMED,
        ),
        case(
            &what,
            QueryRequest {
                partition_names: partition_names.clone(),
                ..query("keyed", "id > 0", &["id"])
            },
            PLAIN,
            UNNAMED,
        ),
        case(
            &what,
            SearchRequest { partition_names: partition_names.clone(), ..near() },
            PLAIN,
            UNNAMED,
        ),
        case(
            &what,
            HybridSearchRequest {
                collection_name: keyed(),
                requests: vec![near()],
                rank_params: vec![pair("limit", 3)],
                partition_names,
                ..HybridSearchRequest::default()
            },
            PLAIN,
            UNNAMED,
        ),
    ]
}
