//! Wrong collections, partitions, indexes, databases, and everything on a missing collection.
// tidy: table

use bytes::Bytes;
use millstream_gateway::pb::schema::{CollectionSchema, DataType, FieldSchema};
use millstream_gateway::pb::{
    CreateCollectionRequest, CreateDatabaseRequest, CreateIndexRequest, CreatePartitionRequest,
    DeleteRequest, DescribeCollectionRequest, DescribeIndexRequest, DropCollectionRequest,
    DropDatabaseRequest, DropIndexRequest, DropPartitionRequest, FlushRequest,
    GetCollectionStatisticsRequest, GetLoadingProgressRequest, HasPartitionRequest,
    LoadCollectionRequest, LoadPartitionsRequest, ReleaseCollectionRequest,
    ReleasePartitionsRequest, ShowCollectionsRequest, ShowPartitionsRequest,
};
use millstream_tests::client::{query, search};
use millstream_tests::rows::{field, int_key, pair, schema, text_field, text_key, vector_field};
use prost::Message;

use super::writes::{good_insert, good_upsert};
use super::{ANY, Case, DIM, INVALID, PLAIN, case};

fn create(schema: &CollectionSchema) -> CreateCollectionRequest {
    CreateCollectionRequest {
        collection_name: schema.name.clone(),
        schema: schema.encode_to_vec().into(),
        shards_num: 1,
        ..CreateCollectionRequest::default()
    }
}

/// A collection called `new` with these fields beside a key and a vector.
fn with(fields: Vec<FieldSchema>) -> CreateCollectionRequest {
    let mut all = vec![int_key(), vector_field("vector", DIM)];
    all.extend(fields);
    create(&schema("new", all))
}

fn only(fields: Vec<FieldSchema>) -> CreateCollectionRequest {
    create(&schema("new", fields))
}

fn named(name: &str) -> CreateCollectionRequest {
    create(&schema(name, vec![int_key(), vector_field("vector", DIM)]))
}

fn dim(value: &str) -> FieldSchema {
    FieldSchema { type_params: vec![pair("dim", value)], ..field("v2", DataType::FloatVector) }
}

fn length(value: &str) -> FieldSchema {
    FieldSchema { type_params: vec![pair("max_length", value)], ..field("t", DataType::VarChar) }
}

/// CreateCollection with wrong names and schemas.
pub(crate) fn collections() -> Vec<Case> {
    let first = "the first character of a collection name must be an underscore or letter";
    let letters = "collection name can only contain numbers, letters and underscores";
    let vector = |number: usize| vector_field(&format!("v{number}"), DIM);
    let many =
        |count: usize| (0..count).map(|n| field(&format!("f{n}"), DataType::Int64)).collect();
    let mut other_name = named("new");
    other_name.collection_name = "other".to_owned();
    let mut garbage = named("new");
    garbage.schema = Bytes::from_static(b"\xff\xff not a schema");
    let mut shards = named("new");
    shards.shards_num = 17;
    let mut database = named("new");
    database.db_name = "nowhere".to_owned();
    let auto_value = FieldSchema { auto_id: true, ..field("n", DataType::Int64) };
    vec![
        case("no name", named(""), INVALID, "collection name should not be empty"),
        case("a digit first", named("1abc"), INVALID, first),
        case("a hyphen first", named("-abc"), INVALID, first),
        case("a blank first", named(" abc"), INVALID, first),
        case("a hyphen", named("a-b"), INVALID, letters),
        case("a blank", named("a b"), INVALID, letters),
        case("a parenthesis", named("a(b)"), INVALID, letters),
        case("signs", named("a%$#"), INVALID, letters),
        case("other alphabets", named("中文"), INVALID, "Invalid collection name: 中文"),
        case(
            "a long name",
            named(&"a".repeat(256)),
            INVALID,
            "the length of a collection name must be less than 255 characters",
        ),
        case("another name in the schema", other_name, INVALID, "schema name"),
        case("garbage as schema", garbage, ANY, ""),
        case("a missing database", database, 800, "database not found[database=nowhere]"),
        case("17 shards", shards, PLAIN, "maximum shards's number should be limited to 16"),
        case("no field", only(vec![]), ANY, ""),
        case("no key", only(vec![vector(1)]), PLAIN, "primary key is not specified"),
        case(
            "two keys",
            with(vec![FieldSchema { name: "id2".to_owned(), ..int_key() }]),
            PLAIN,
            "there are more than one primary key",
        ),
        case(
            "a float key",
            only(vec![
                FieldSchema { is_primary_key: true, ..field("id", DataType::Float) },
                vector(1),
            ]),
            PLAIN,
            "the data type of primary key should be Int64 or VarChar",
        ),
        case("no vector", only(vec![int_key()]), INVALID, "schema does not contain vector field"),
        case(
            "eleven vectors",
            with((1..11).map(vector).collect()),
            PLAIN,
            "maximum vector field's number should be limited to 10",
        ),
        case("65 fields", with(many(63)), PLAIN, "maximum field's number should be limited to 64"),
        case(
            "a field twice",
            with(vec![field("n", DataType::Int64), field("n", DataType::Bool)]),
            ANY,
            "duplicated field name",
        ),
        case(
            "a text without length",
            with(vec![field("t", DataType::VarChar)]),
            PLAIN,
            "type param(max_length) should be specified for varChar field of collection new",
        ),
        case("a length of 0", with(vec![length("0")]), ANY, "(0, 65535]"),
        case("a length of 65536", with(vec![length("65536")]), ANY, "(0, 65535]"),
        case("a length that is a word", with(vec![length("long")]), ANY, ""),
        case("no dimension", with(vec![field("v2", DataType::FloatVector)]), ANY, "dim"),
        case("a dimension of 0", with(vec![dim("0")]), ANY, "invalid dimension: 0"),
        case("a dimension of -1", with(vec![dim("-1")]), ANY, "dim"),
        case("a dimension of 32769", with(vec![dim("32769")]), ANY, "invalid dimension: 32769"),
        case("a dimension that is a word", with(vec![dim("four")]), ANY, "dim"),
        case("a dimension of 4.5", with(vec![dim("4.5")]), ANY, "dim"),
        case("a field called 1x", with(vec![field("1x", DataType::Int64)]), 1701, "1x"),
        case("a field called a-b", with(vec![field("a-b", DataType::Int64)]), 1701, "a-b"),
        case("a field without a name", with(vec![field("", DataType::Int64)]), 1701, ""),
        case("a field of no type", with(vec![field("n", DataType::None)]), ANY, ""),
        case(
            "a String field",
            with(vec![field("s", DataType::String)]),
            ANY,
            "string data type not supported yet, please use VarChar type instead",
        ),
        case("an automatic value", with(vec![auto_value]), ANY, ""),
        case(
            "a dynamic field in so many words",
            with(vec![FieldSchema { is_dynamic: true, ..field("d", DataType::Json) }]),
            ANY,
            "cannot explicitly set a field as a dynamic field",
        ),
        case("another schema for a name", other_good(), PLAIN, "create duplicate collection"),
    ]
}

fn other_good() -> CreateCollectionRequest {
    create(&schema("good", vec![text_key(), vector_field("vector", 2), text_field("t", 9)]))
}

fn index(field_name: &str, kind: &str, metric: &str) -> CreateIndexRequest {
    CreateIndexRequest {
        collection_name: "idle".to_owned(),
        field_name: field_name.to_owned(),
        extra_params: vec![pair("index_type", kind), pair("metric_type", metric)],
        ..CreateIndexRequest::default()
    }
}

fn partition(name: &str) -> CreatePartitionRequest {
    CreatePartitionRequest {
        collection_name: "good".to_owned(),
        partition_name: name.to_owned(),
        ..CreatePartitionRequest::default()
    }
}

fn partitions(names: &[&str]) -> Vec<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

/// Wrong partitions, indexes, loads and databases.
pub(crate) fn others() -> Vec<Case> {
    let good = || "good".to_owned();
    let database = |name: &str| CreateDatabaseRequest {
        db_name: name.to_owned(),
        ..CreateDatabaseRequest::default()
    };
    vec![
        case("a blank", partition("a b"), ANY, "Invalid partition name: a b"),
        case("a hyphen first", partition("-a"), ANY, "Invalid partition name: -a"),
        case("no name", partition(""), ANY, "artition name should not be empty"),
        case("a long name", partition(&"p".repeat(256)), ANY, "Invalid partition name"),
        case(
            "the default partition",
            DropPartitionRequest {
                collection_name: "idle".to_owned(),
                partition_name: "_default".to_owned(),
                ..DropPartitionRequest::default()
            },
            ANY,
            "efault partition cannot be deleted",
        ),
        case(
            "a missing partition",
            LoadPartitionsRequest {
                collection_name: good(),
                partition_names: partitions(&["west"]),
                ..LoadPartitionsRequest::default()
            },
            200,
            "partition not found[partition=west]",
        ),
        case(
            "a missing partition",
            ReleasePartitionsRequest {
                collection_name: good(),
                partition_names: partitions(&["west"]),
                ..ReleasePartitionsRequest::default()
            },
            200,
            "partition not found[partition=west]",
        ),
        case("a missing field", index("nothing", "FLAT", "L2"), ANY, "nothing"),
        case("a missing kind", index("vector", "BEST", "L2"), INVALID, "invalid index type: BEST"),
        case("a missing metric", index("vector", "FLAT", "L3"), ANY, "metric type"),
        case("a metric of bits", index("vector", "FLAT", "HAMMING"), ANY, "metric type"),
        case("a vector index on the key", index("id", "FLAT", "L2"), ANY, ""),
        case(
            "a load without an index",
            LoadCollectionRequest {
                collection_name: "idle".to_owned(),
                ..LoadCollectionRequest::default()
            },
            ANY,
            "index",
        ),
        case(
            "no index",
            DescribeIndexRequest {
                collection_name: "idle".to_owned(),
                ..DescribeIndexRequest::default()
            },
            700,
            "index not found[collection=idle]",
        ),
        case("no name", database(""), 802, "invalid database name"),
        case("a hyphen", database("a-b"), 802, "invalid database name[database=a-b]"),
        case("a digit first", database("1a"), 802, "invalid database name[database=1a]"),
        case("a long name", database(&"d".repeat(256)), 802, "invalid database name"),
        case("the default again", database("default"), ANY, "database already exist: default"),
        case(
            "the default database",
            DropDatabaseRequest { db_name: "default".to_owned(), ..DropDatabaseRequest::default() },
            ANY,
            "can not drop default database",
        ),
        case(
            "a missing database",
            ShowCollectionsRequest {
                db_name: "nowhere".to_owned(),
                ..ShowCollectionsRequest::default()
            },
            800,
            "database not found[database=nowhere]",
        ),
        case(
            "a wrong name",
            DropCollectionRequest {
                collection_name: "1-2".to_owned(),
                ..DropCollectionRequest::default()
            },
            INVALID,
            "Invalid collection name: 1-2",
        ),
    ]
}

/// Every RPC that needs a collection, on one that is not there.
pub(crate) fn on_missing(name: &str) -> Vec<Case> {
    let named = || name.to_owned();
    let text = format!("collection not found[database=default][collection={name}]");
    let missing = |request: super::Request| case("no collection", request, 100, &text);
    let mut insert = good_insert();
    insert.collection_name = named();
    let mut upsert = good_upsert();
    upsert.collection_name = named();
    vec![
        missing(
            DescribeCollectionRequest { collection_name: named(), ..Default::default() }.into(),
        ),
        missing(
            GetCollectionStatisticsRequest { collection_name: named(), ..Default::default() }
                .into(),
        ),
        missing(
            CreatePartitionRequest {
                collection_name: named(),
                partition_name: "p".to_owned(),
                ..Default::default()
            }
            .into(),
        ),
        missing(
            DropPartitionRequest {
                collection_name: named(),
                partition_name: "p".to_owned(),
                ..Default::default()
            }
            .into(),
        ),
        missing(
            HasPartitionRequest {
                collection_name: named(),
                partition_name: "p".to_owned(),
                ..Default::default()
            }
            .into(),
        ),
        missing(ShowPartitionsRequest { collection_name: named(), ..Default::default() }.into()),
        missing(LoadCollectionRequest { collection_name: named(), ..Default::default() }.into()),
        missing(ReleaseCollectionRequest { collection_name: named(), ..Default::default() }.into()),
        missing(
            LoadPartitionsRequest {
                collection_name: named(),
                partition_names: partitions(&["p"]),
                ..Default::default()
            }
            .into(),
        ),
        missing(
            ReleasePartitionsRequest {
                collection_name: named(),
                partition_names: partitions(&["p"]),
                ..Default::default()
            }
            .into(),
        ),
        missing(
            GetLoadingProgressRequest { collection_name: named(), ..Default::default() }.into(),
        ),
        missing(
            CreateIndexRequest { collection_name: named(), ..index("vector", "FLAT", "L2") }.into(),
        ),
        missing(DescribeIndexRequest { collection_name: named(), ..Default::default() }.into()),
        missing(
            DropIndexRequest {
                collection_name: named(),
                field_name: "vector".to_owned(),
                ..Default::default()
            }
            .into(),
        ),
        missing(insert.into()),
        missing(upsert.into()),
        missing(
            DeleteRequest {
                collection_name: named(),
                expr: "id in [1]".to_owned(),
                ..Default::default()
            }
            .into(),
        ),
        missing(FlushRequest { collection_names: vec![named()], ..Default::default() }.into()),
        missing(search(name, DIM, &[0.0; DIM], 1).into()),
        missing(query(name, "id > 0", &["id"]).into()),
    ]
}
