//! Calls that come before what they need, or after what forbids them.
// tidy: table

mod loading;

use millstream_gateway::pb::{
    AlterAliasRequest, AlterCollectionFieldRequest, AlterCollectionRequest, AlterDatabaseRequest,
    AlterIndexRequest, CreateAliasRequest, CreateCollectionRequest, CreateDatabaseRequest,
    CreateIndexRequest, CreatePartitionRequest, DescribeAliasRequest, DescribeIndexRequest,
    DropAliasRequest, DropCollectionRequest, DropDatabaseRequest, DropIndexRequest,
    DropPartitionRequest, GetIndexBuildProgressRequest, GetIndexStateRequest,
    GetIndexStatisticsRequest, GetPartitionStatisticsRequest, LoadCollectionRequest,
    LoadPartitionsRequest, RenameCollectionRequest, ShowPartitionsRequest,
};
use millstream_tests::client::Client;
use millstream_tests::rows::{field, int_key, pair, schema, text_field, vector_field};
use prost::Message;

use millstream_gateway::pb::schema::{DataType, FieldSchema};

use super::send::send;
use super::{ANY, Case, DIM, PLAIN, Request, case};

/// The states that cases speak of, one collection each.
const STATES: [&str; 5] = ["plain", "half", "indexed", "loaded", "partly"];

fn own(name: &str) -> String {
    name.to_owned()
}

async fn done(client: &Client, request: Request) {
    let name = request.name();
    send(client, request).await.unwrap_or_else(|trouble| panic!("{name}: {trouble}"));
}

fn create(name: &str) -> Request {
    let fields = vec![
        int_key(),
        text_field("word", 8),
        field("number", DataType::Int64),
        vector_field("vector", DIM),
        vector_field("second", DIM),
    ];
    of!(CreateCollectionRequest {
        collection_name: own(name),
        schema: schema(name, fields).encode_to_vec().into(),
    })
}

fn alias(name: &str, of: &str) -> Request {
    of!(CreateAliasRequest { alias: own(name), collection_name: own(of) })
}

fn partition(of: &str, name: &str) -> Request {
    of!(CreatePartitionRequest { collection_name: own(of), partition_name: own(name) })
}

fn index(of: &str, field: &str, name: &str, kind: &str, metric: &str) -> Request {
    of!(CreateIndexRequest {
        collection_name: own(of),
        field_name: own(field),
        index_name: own(name),
        extra_params: vec![pair("index_type", kind), pair("metric_type", metric)],
    })
}

/// Makes a collection in each of [`STATES`]: without an index, with one of two, with both, loaded,
/// and with the partition `west` loaded and `east` not; `loaded` has the alias `also`; the database
/// `full` has a collection.
pub(crate) async fn prepare(client: &Client) {
    for name in STATES {
        done(client, create(name)).await;
        done(client, partition(name, "west")).await;
        done(client, partition(name, "east")).await;
        if name == "plain" {
            continue;
        }
        done(client, index(name, "vector", "", "FLAT", "L2")).await;
        if name != "half" {
            done(client, index(name, "second", "other", "FLAT", "IP")).await;
        }
        match name {
            "loaded" => {
                done(client, of!(LoadCollectionRequest { collection_name: own(name) })).await
            }
            "partly" => {
                let partition_names = vec![own("west")];
                let collection_name = own(name);
                done(client, of!(LoadPartitionsRequest { collection_name, partition_names })).await;
            }
            _ => {}
        }
    }
    done(client, alias("also", "loaded")).await;
    done(client, of!(CreateDatabaseRequest { db_name: own("full") })).await;
    let fields = vec![int_key(), vector_field("vector", DIM)];
    let request = CreateCollectionRequest {
        db_name: own("full"),
        collection_name: own("inside"),
        schema: schema("inside", fields).encode_to_vec().into(),
        ..CreateCollectionRequest::default()
    };
    done(client, request.into()).await;
    let properties = vec![pair("database.max.collections", 1)];
    done(client, of!(AlterDatabaseRequest { db_name: own("full"), properties })).await;
    // With `default` and `full` there are as many as there can be.
    for number in 2..64 {
        done(client, of!(CreateDatabaseRequest { db_name: format!("d{number}") })).await;
    }
}

pub(crate) fn cases() -> Vec<Case> {
    let families: [fn() -> Vec<Case>; 8] = [
        loading::loading,
        loading::fields,
        loading::reading,
        while_loaded,
        full,
        indexing,
        naming,
        partitions,
    ];
    families.into_iter().flat_map(|family| family()).collect()
}

/// Changes that a loaded collection, or one that has aliases or indexes, does not allow.
fn while_loaded() -> Vec<Case> {
    let mut cases = Vec::new();
    for name in ["loaded", "partly", "also"] {
        for (field, index_name) in
            [("vector", ""), ("second", "other"), ("", "vector"), ("second", ""), ("", "")]
        {
            let drop = of!(DropIndexRequest {
                collection_name: own(name),
                field_name: own(field),
                index_name: own(index_name),
            });
            let due = "index cannot be dropped, collection is loaded, please release it first";
            cases.push(case(format!("{name}: {field}/{index_name}"), drop, PLAIN, due));
        }
        let mmap = vec![pair("mmap.enabled", "true")];
        let altered = of!(AlterIndexRequest {
            collection_name: own(name),
            index_name: own("vector"),
            extra_params: mmap.clone(),
        });
        let due = "please release the collection first: collection already loaded[collection=";
        cases.push(case(format!("the index of {name}"), altered, 104, due));
        let altered = of!(AlterCollectionFieldRequest {
            collection_name: own(name),
            field_name: own("word"),
            properties: mmap.clone(),
        });
        let due = "can not alter collection field properties if collection loaded: collection \
                   already loaded[collection=";
        cases.push(case(format!("a field of {name}"), altered, 104, due));
        for key in ["mmap.enabled", "lazyload.enabled"] {
            let what = key.trim_end_matches(".enabled");
            let set = of!(AlterCollectionRequest {
                collection_name: own(name),
                properties: vec![pair(key, "true")],
            });
            let due = format!("can not alter {what} properties if collection loaded");
            cases.push(case(format!("{key} of {name}"), set, 104, &due));
            let drop = of!(AlterCollectionRequest {
                collection_name: own(name),
                delete_keys: vec![own(key)],
            });
            let due = format!("can not delete {what} properties if collection loaded");
            cases.push(case(format!("{key} of {name}"), drop, 104, &due));
        }
    }
    for (name, partition) in
        [("loaded", "west"), ("loaded", "east"), ("also", "west"), ("partly", "west")]
    {
        let drop = of!(DropPartitionRequest {
            collection_name: own(name),
            partition_name: own(partition),
        });
        let due = "partition cannot be dropped, partition is loaded, please release it first";
        cases.push(case(format!("{name}.{partition}"), drop, PLAIN, due));
    }
    let drop = of!(DropCollectionRequest { collection_name: own("loaded") });
    let due = "unable to drop the collection [loaded] because it has associated aliases [also]";
    cases.push(case("an alias is left", drop, PLAIN, due));
    let drop = of!(DropCollectionRequest { collection_name: own("also") });
    cases.push(case("by its alias", drop, PLAIN, "cannot drop the collection via alias = also"));
    let drop = of!(DropDatabaseRequest { db_name: own("full") });
    let due = "database:full not empty, must drop all collections before drop database";
    cases.push(case("a collection is left", drop, PLAIN, due));
    let drop = of!(DropDatabaseRequest { db_name: own("default") });
    cases.push(case("the default one", drop, PLAIN, "can not drop default database"));
    for name in ["full", "default"] {
        let again = of!(CreateDatabaseRequest { db_name: own(name) });
        let due = format!("database already exist: {name}");
        cases.push(case("again", again, PLAIN, &due));
    }
    cases
}

/// One more than there can be.
fn full() -> Vec<Case> {
    let fields = vec![int_key(), vector_field("vector", DIM)];
    let second = of!(CreateCollectionRequest {
        db_name: own("full"),
        collection_name: own("second"),
        schema: schema("second", fields).encode_to_vec().into(),
    });
    let due = "exceeded the limit number of collections[dbName=full][limit=1]";
    let more = of!(CreateDatabaseRequest { db_name: own("d64") });
    vec![
        case("a second collection", second, 102, due),
        case("65 databases", more, 801, "exceeded the limit number of database[limit=64]"),
    ]
}

/// A second index on a field, a name that another index has, questions before there is one.
fn indexing() -> Vec<Case> {
    let mut cases = Vec::new();
    let due = "at most one distinct index is allowed per field";
    for name in ["half", "indexed", "loaded", "partly", "also"] {
        for (what, request) in [
            ("another type", index(name, "vector", "", "HNSW", "L2")),
            ("another metric", index(name, "vector", "", "FLAT", "COSINE")),
            ("another name", index(name, "vector", "again", "FLAT", "L2")),
            ("a name that is taken", index(name, "word", "vector", "Trie", "")),
        ] {
            cases.push(case(format!("{what} in {name}"), request, PLAIN, due));
        }
    }
    let collection_name = || own("plain");
    let none = "index not found[collection=plain]";
    for request in [
        of!(DescribeIndexRequest { collection_name: collection_name() }),
        of!(GetIndexStateRequest { collection_name: collection_name() }),
        of!(GetIndexStatisticsRequest { collection_name: collection_name() }),
        of!(GetIndexBuildProgressRequest { collection_name: collection_name() }),
        of!(DescribeIndexRequest { collection_name: collection_name(), field_name: own("vector") }),
        of!(GetIndexStateRequest { collection_name: collection_name(), field_name: own("vector") }),
    ] {
        cases.push(case("no index", request, 700, none));
    }
    for name in ["half", "indexed"] {
        let due = "index not found[indexName=missing]";
        let (collection_name, index_name) = (|| own(name), || own("missing"));
        for request in [
            of!(DescribeIndexRequest {
                collection_name: collection_name(),
                index_name: index_name(),
            }),
            of!(GetIndexStateRequest {
                collection_name: collection_name(),
                index_name: index_name(),
            }),
            of!(GetIndexStatisticsRequest {
                collection_name: collection_name(),
                index_name: index_name(),
            }),
            of!(GetIndexBuildProgressRequest {
                collection_name: collection_name(),
                index_name: index_name(),
            }),
            of!(AlterIndexRequest {
                collection_name: collection_name(),
                index_name: index_name(),
                extra_params: vec![pair("mmap.enabled", "true")],
            }),
        ] {
            cases.push(case(format!("no such index of {name}"), request, 700, due));
        }
    }
    cases
}

/// Names that are taken by a collection or an alias.
fn naming() -> Vec<Case> {
    let mut cases = Vec::new();
    let nullable = FieldSchema { nullable: true, ..field("more", DataType::Int64) };
    for (what, fields) in [
        ("fewer fields", vec![int_key(), vector_field("vector", DIM)]),
        (
            "another dimension",
            vec![int_key(), field("value", DataType::Int64), vector_field("vector", 2 * DIM)],
        ),
        (
            "another type",
            vec![int_key(), field("value", DataType::Int32), vector_field("vector", DIM)],
        ),
        (
            "another order",
            vec![int_key(), vector_field("vector", DIM), field("value", DataType::Int64)],
        ),
        (
            "a field more",
            vec![int_key(), field("value", DataType::Int64), vector_field("vector", DIM), nullable],
        ),
        (
            "automatic keys",
            vec![
                FieldSchema { auto_id: true, ..int_key() },
                field("value", DataType::Int64),
                vector_field("vector", DIM),
            ],
        ),
    ] {
        let request = of!(CreateCollectionRequest {
            collection_name: own("good"),
            schema: schema("good", fields).encode_to_vec().into(),
            shards_num: 2,
            consistency_level: 2,
        });
        let due = "create duplicate collection with different parameters, collection: good";
        cases.push(case(what, request, PLAIN, due));
    }
    let due = "collection name [also] conflicts with an existing alias";
    cases.push(case("a collection like an alias", create("also"), PLAIN, due));
    for name in STATES {
        let due = format!("alias and collection name conflict[database=default][alias={name}]");
        cases.push(case("an alias like a collection", alias(name, "good"), 1601, &due));
        let request = of!(AlterAliasRequest { alias: own(name), collection_name: own("good") });
        cases.push(case("a collection for an alias", request, 1601, &due));
        let request = of!(RenameCollectionRequest { old_name: own("good"), new_name: own(name) });
        let due = format!(
            "duplicated new collection name default:{name} with other collection name or alias"
        );
        cases.push(case("a name that is taken", request, PLAIN, &due));
        let request = of!(DescribeAliasRequest { alias: own(name) });
        let due = format!("alias not found[database=default][alias={name}]");
        cases.push(case("a collection as alias", request, 1600, &due));
        let due = "also is alias to another collection: loaded: alias already exist";
        if name != "loaded" {
            cases.push(case("an alias that is taken", alias("also", name), 1602, due));
        }
    }
    for of in ["plain", "good"] {
        let due = "collection not found[database=default][collection=also]";
        let request = of!(AlterAliasRequest { alias: own("also"), collection_name: own("also") });
        cases.push(case(format!("a ring of {of}"), request, 100, due));
    }
    let due = "collection not found[database=full][collection=loaded]";
    let alias = of!(CreateAliasRequest {
        db_name: own("full"),
        alias: own("there"),
        collection_name: own("loaded"),
    });
    cases.push(case("an alias over databases", alias, 100, due));
    let gone = of!(DropAliasRequest { db_name: own("gone"), alias: own("also") });
    cases.push(case("an alias of no database", gone, 800, "database not found[database=gone]"));
    cases
}

/// Partitions that stay, and those that are not there.
fn partitions() -> Vec<Case> {
    let mut cases = Vec::new();
    for name in STATES {
        let (collection_name, partition_name) = (|| own(name), || own("_default"));
        let drop = of!(DropPartitionRequest {
            collection_name: collection_name(),
            partition_name: partition_name(),
        });
        // Of one that is loaded that is said first.
        let due = match name {
            "loaded" => "partition cannot be dropped, partition is loaded, please release it first",
            _ => "efault partition cannot be deleted",
        };
        cases.push(case(format!("the default one of {name}"), drop, ANY, due));
        let due = "partition not found[partition=north]";
        let rows = of!(GetPartitionStatisticsRequest {
            collection_name: collection_name(),
            partition_name: own("north"),
        });
        cases.push(case(format!("rows of {name}.north"), rows, 200, due));
        let show = of!(ShowPartitionsRequest {
            collection_name: collection_name(),
            partition_names: vec![own("west"), own("north")],
        });
        cases.push(case(format!("{name}.north"), show, 200, due));
    }
    cases
}
