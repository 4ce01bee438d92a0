//! Every call that takes a name, with every name that it cannot take.
// tidy: table

use millstream_gateway::pb::schema::DataType;
use millstream_gateway::pb::{
    AddCollectionFieldRequest, AlterCollectionFieldRequest, AlterCollectionRequest,
    AlterDatabaseRequest, AlterIndexRequest, CreateAliasRequest, CreateCollectionRequest,
    CreateDatabaseRequest, CreateIndexRequest, CreatePartitionRequest, DeleteRequest,
    DescribeCollectionRequest, DescribeDatabaseRequest, DescribeIndexRequest,
    DropCollectionRequest, DropDatabaseRequest, DropIndexRequest, DropPartitionRequest,
    FlushAllRequest, FlushAllTarget, FlushRequest, GetCollectionStatisticsRequest,
    GetFlushStateRequest, GetIndexBuildProgressRequest, GetIndexStateRequest,
    GetIndexStatisticsRequest, GetLoadStateRequest, GetLoadingProgressRequest,
    GetPartitionStatisticsRequest, GetPersistentSegmentInfoRequest, GetQuerySegmentInfoRequest,
    GetReplicasRequest, HasCollectionRequest, HasPartitionRequest, HybridSearchRequest,
    InsertRequest, ListAliasesRequest, ListIndexedSegmentRequest, LoadBalanceRequest,
    LoadCollectionRequest, LoadPartitionsRequest, QueryRequest, ReleaseCollectionRequest,
    ReleasePartitionsRequest, RenameCollectionRequest, RunAnalyzerRequest, SearchRequest,
    ShowCollectionsRequest, ShowPartitionsRequest, TransferReplicaRequest,
    TruncateCollectionRequest, UpsertRequest,
};
use millstream_tests::client::{query, search};
use millstream_tests::rows::{field, int_key, pair, schema, vector_field};
use prost::Message;

use super::super::writes::{good_insert, good_upsert};
use super::super::{Case, DIM, INVALID, PLAIN, Request, case};
use super::bad_names;

fn creation(db_name: &str, name: &str) -> Request {
    let fields = vec![int_key(), vector_field("vector", DIM)];
    of!(CreateCollectionRequest {
        db_name: db_name.to_owned(),
        collection_name: name.to_owned(),
        schema: schema(name, fields).encode_to_vec().into(),
    })
}

/// The calls that change a collection, each of which would be accepted with a good name.
fn changes(db: &str, name: &str) -> Vec<Request> {
    let (db_name, collection_name) = (|| db.to_owned(), || name.to_owned());
    let partition_name = || "_default".to_owned();
    let partition_names = || vec![partition_name()];
    let field = || millstream_gateway::pb::schema::FieldSchema {
        nullable: true,
        ..field("added", DataType::Int64)
    };
    vec![
        of!(LoadCollectionRequest { db_name: db_name(), collection_name: collection_name() }),
        of!(ReleaseCollectionRequest { db_name: db_name(), collection_name: collection_name() }),
        of!(LoadPartitionsRequest {
            db_name: db_name(),
            collection_name: collection_name(),
            partition_names: partition_names(),
        }),
        of!(ReleasePartitionsRequest {
            db_name: db_name(),
            collection_name: collection_name(),
            partition_names: partition_names(),
        }),
        of!(CreatePartitionRequest {
            db_name: db_name(),
            collection_name: collection_name(),
            partition_name: "west".to_owned(),
        }),
        of!(DropPartitionRequest {
            db_name: db_name(),
            collection_name: collection_name(),
            partition_name: "west".to_owned(),
        }),
        of!(CreateIndexRequest {
            db_name: db_name(),
            collection_name: collection_name(),
            field_name: "vector".to_owned(),
            extra_params: vec![pair("index_type", "FLAT"), pair("metric_type", "L2")],
        }),
        of!(DropIndexRequest {
            db_name: db_name(),
            collection_name: collection_name(),
            field_name: "vector".to_owned(),
        }),
        of!(TruncateCollectionRequest { db_name: db_name(), collection_name: collection_name() }),
        of!(AddCollectionFieldRequest {
            db_name: db_name(),
            collection_name: collection_name(),
            schema: field().encode_to_vec().into(),
        }),
        of!(FlushRequest { db_name: db_name(), collection_names: vec![collection_name()] }),
        of!(FlushAllRequest {
            flush_targets: vec![FlushAllTarget {
                db_name: db_name(),
                collection_names: vec![collection_name()],
            }],
        }),
        of!(LoadBalanceRequest { db_name: db_name(), collection_name: collection_name() }),
        of!(TransferReplicaRequest {
            db_name: db_name(),
            collection_name: collection_name(),
            source_resource_group: "__default_resource_group".to_owned(),
            target_resource_group: "other".to_owned(),
            num_replica: 1,
        }),
        InsertRequest { db_name: db_name(), collection_name: collection_name(), ..good_insert() }
            .into(),
        UpsertRequest { db_name: db_name(), collection_name: collection_name(), ..good_upsert() }
            .into(),
        of!(DeleteRequest {
            db_name: db_name(),
            collection_name: collection_name(),
            expr: "id in [1]".to_owned(),
        }),
    ]
}

/// The calls that ask about a collection.
fn questions(db: &str, name: &str) -> Vec<Request> {
    let (db_name, collection_name) = (|| db.to_owned(), || name.to_owned());
    let partition_name = || "_default".to_owned();
    vec![
        of!(DescribeCollectionRequest { db_name: db_name(), collection_name: collection_name() }),
        of!(GetCollectionStatisticsRequest {
            db_name: db_name(),
            collection_name: collection_name(),
        }),
        of!(GetLoadingProgressRequest { db_name: db_name(), collection_name: collection_name() }),
        of!(HasPartitionRequest {
            db_name: db_name(),
            collection_name: collection_name(),
            partition_name: partition_name(),
        }),
        of!(ShowPartitionsRequest { db_name: db_name(), collection_name: collection_name() }),
        of!(GetPartitionStatisticsRequest {
            db_name: db_name(),
            collection_name: collection_name(),
            partition_name: partition_name(),
        }),
        of!(DescribeIndexRequest { db_name: db_name(), collection_name: collection_name() }),
        of!(GetIndexStateRequest { db_name: db_name(), collection_name: collection_name() }),
        of!(GetIndexBuildProgressRequest {
            db_name: db_name(),
            collection_name: collection_name(),
        }),
        of!(GetIndexStatisticsRequest { db_name: db_name(), collection_name: collection_name() }),
        of!(GetReplicasRequest { db_name: db_name(), collection_name: collection_name() }),
        of!(GetPersistentSegmentInfoRequest {
            db_name: db_name(),
            collection_name: collection_name(),
        }),
        of!(GetQuerySegmentInfoRequest { db_name: db_name(), collection_name: collection_name() }),
    ]
}

/// The calls that answer "no" for a collection that is not there.
fn about_absence(db: &str, name: &str) -> Vec<Request> {
    let (db_name, collection_name) = (|| db.to_owned(), || name.to_owned());
    vec![
        of!(HasCollectionRequest { db_name: db_name(), collection_name: collection_name() }),
        of!(GetLoadStateRequest { db_name: db_name(), collection_name: collection_name() }),
        of!(DropCollectionRequest { db_name: db_name(), collection_name: collection_name() }),
    ]
}

/// The calls to which no name means something else.
fn with_a_name(db: &str, name: &str) -> Vec<Request> {
    let (db_name, collection_name) = (|| db.to_owned(), || name.to_owned());
    vec![
        of!(GetFlushStateRequest { db_name: db_name(), collection_name: collection_name() }),
        of!(RunAnalyzerRequest {
            db_name: db_name(),
            collection_name: collection_name(),
            field_name: "word".to_owned(),
            placeholder: vec!["a text".into()],
        }),
    ]
}

/// The calls that speak of collections otherwise, with a missing database.
fn in_database(db: &str) -> Vec<Request> {
    let db_name = || db.to_owned();
    let good = || "good".to_owned();
    vec![
        creation(db, "fresh"),
        of!(ShowCollectionsRequest { db_name: db_name(), collection_names: vec![good()] }),
        of!(AlterCollectionRequest {
            db_name: db_name(),
            collection_name: good(),
            properties: vec![pair("a", "b")],
        }),
        of!(AlterCollectionFieldRequest {
            db_name: db_name(),
            collection_name: "fields".to_owned(),
            field_name: "word".to_owned(),
            properties: vec![pair("max_length", "9")],
        }),
        of!(AlterIndexRequest {
            db_name: db_name(),
            collection_name: "fields".to_owned(),
            index_name: "vector".to_owned(),
            extra_params: vec![pair("mmap.enabled", "true")],
        }),
        of!(CreateAliasRequest {
            db_name: db_name(),
            alias: "fresh".to_owned(),
            collection_name: good(),
        }),
        of!(ListAliasesRequest { db_name: db_name(), collection_name: good() }),
        of!(RenameCollectionRequest {
            db_name: db_name(),
            old_name: good(),
            new_name: "fresh".to_owned(),
        }),
        of!(DescribeDatabaseRequest { db_name: db_name() }),
        of!(DropDatabaseRequest { db_name: db_name() }),
        of!(AlterDatabaseRequest { db_name: db_name(), properties: vec![pair("a", "b")] }),
        SearchRequest { db_name: db_name(), ..search("good", DIM, &[0.5; DIM], 1) }.into(),
        QueryRequest { db_name: db_name(), ..query("good", "id > 0", &["id"]) }.into(),
        of!(HybridSearchRequest {
            db_name: db_name(),
            collection_name: good(),
            requests: vec![search("good", DIM, &[0.5; DIM], 1)],
            rank_params: vec![pair("limit", 1)],
        }),
    ]
}

/// How a case is called after a name.
fn what(name: &str) -> String {
    format!("{name:?}").chars().take(12).collect()
}

/// Every call that takes a collection's name, with every bad name, with one that is in another
/// database only, and in a database that is not there.
pub(crate) fn collection_names() -> Vec<Case> {
    let mut cases = Vec::new();
    let everything = |db: &str, name: &str| {
        let mut all = changes(db, name);
        all.extend(questions(db, name));
        all
    };
    for (name, text) in bad_names() {
        let text = text.replace("NAME", "name");
        let mut all = everything("", &name);
        all.extend(about_absence("", &name));
        all.push(creation("", &name));
        all.push(of!(ListIndexedSegmentRequest { collection_name: name.clone() }));
        if !name.is_empty() {
            all.extend(with_a_name("", &name));
        }
        for request in all {
            cases.push(case(what(&name), request, INVALID, &text));
        }
    }
    let mut elsewhere = everything("else", "good");
    elsewhere.extend(with_a_name("else", "good"));
    for request in elsewhere {
        let text = "collection not found[database=else][collection=good]";
        cases.push(case("in another database", request, 100, text));
    }
    let mut nowhere = everything("nowhere", "good");
    nowhere.extend(about_absence("nowhere", "good"));
    nowhere.extend(with_a_name("nowhere", "good"));
    nowhere.extend(in_database("nowhere"));
    for request in nowhere {
        cases.push(case("no database", request, 800, "database not found[database=nowhere]"));
    }
    cases
}

/// Bad names of databases, partitions, indexes and fields.
pub(crate) fn other_names() -> Vec<Case> {
    let mut cases = databases();
    cases.extend(partitions());
    cases.extend(indexes());
    cases
}

fn databases() -> Vec<Case> {
    let first = "the first character of a database name must be an underscore or letter";
    let letters = "database name can only contain numbers, letters and underscores";
    let long = "d".repeat(256);
    let mut cases = Vec::new();
    for (name, why) in [
        ("", "database name couldn't be empty"),
        (" ", first),
        ("1d", first),
        ("-d", first),
        ("$d", first),
        (".d", first),
        ("中文", first),
        ("a-b", letters),
        ("a b", letters),
        ("a.b", letters),
        ("a(b)", letters),
        ("a%$#", letters),
        ("größe", letters),
        ("a\nb", letters),
        ("a\0b", letters),
        (&long, "the length of a database name must be less than 255 characters"),
    ] {
        let db_name = || name.to_owned();
        let text = format!("{why}: invalid database name[database={name}]");
        for request in [
            of!(CreateDatabaseRequest { db_name: db_name() }),
            of!(DropDatabaseRequest { db_name: db_name() }),
        ] {
            cases.push(case(what(name), request, 802, &text));
        }
        // Of no name is the default database.
        if !name.is_empty() {
            let text = format!("database not found[database={name}]");
            for request in [
                of!(DescribeDatabaseRequest { db_name: db_name() }),
                of!(AlterDatabaseRequest { db_name: db_name(), properties: vec![pair("a", "b")] }),
                of!(ShowCollectionsRequest { db_name: db_name() }),
                creation(name, "fresh"),
            ] {
                cases.push(case(what(name), request, 800, &text));
            }
        }
    }
    cases
}

fn partitions() -> Vec<Case> {
    let empty = "Partition name should not be empty.";
    let first = "The first character of a partition name must be an underscore or letter.";
    let letters = "Partition name can only contain numbers, letters and underscores.";
    let long = "p".repeat(256);
    let mut cases = Vec::new();
    for (name, why) in [
        ("", empty),
        (" ", empty),
        ("\t", empty),
        ("-p", first),
        ("$p", first),
        ("(p)", first),
        ("中文", first),
        ("a-b", letters),
        ("a b", letters),
        ("a.b", letters),
        ("a(b)", letters),
        ("12 s", letters),
        ("a%$#", letters),
        ("größe", letters),
        (&long, "The length of a partition name must be less than 255 characters."),
    ] {
        let collection_name = || "good".to_owned();
        let partition_name = || name.to_owned();
        let partition_names = || vec![name.to_owned()];
        let text = format!("Invalid partition name: {name}. {why}");
        for request in [
            of!(CreatePartitionRequest {
                collection_name: collection_name(),
                partition_name: partition_name(),
            }),
            of!(DropPartitionRequest {
                collection_name: collection_name(),
                partition_name: partition_name(),
            }),
            of!(HasPartitionRequest {
                collection_name: collection_name(),
                partition_name: partition_name(),
            }),
        ] {
            cases.push(case(what(name), request, PLAIN, &text));
        }
        let text = format!("partition not found[partition={name}]");
        for request in [
            of!(LoadPartitionsRequest {
                collection_name: collection_name(),
                partition_names: partition_names(),
            }),
            of!(ReleasePartitionsRequest {
                collection_name: collection_name(),
                partition_names: partition_names(),
            }),
            of!(GetLoadingProgressRequest {
                collection_name: collection_name(),
                partition_names: partition_names(),
            }),
            of!(GetLoadStateRequest {
                collection_name: collection_name(),
                partition_names: partition_names(),
            }),
            of!(ShowPartitionsRequest {
                collection_name: collection_name(),
                partition_names: partition_names(),
            }),
            of!(GetPartitionStatisticsRequest {
                collection_name: collection_name(),
                partition_name: partition_name(),
            }),
        ] {
            cases.push(case(what(name), request, 200, &text));
        }
    }
    cases
}

fn indexes() -> Vec<Case> {
    let first = "The first character of a index name must be an underscore or letter.";
    let letters = "Index name can only contain numbers, letters, and underscores.";
    let long = "i".repeat(256);
    let mut cases = Vec::new();
    for (name, why) in [
        (" ", first),
        ("1i", first),
        ("-i", first),
        ("$i", first),
        ("中文", first),
        ("a-b", letters),
        ("a b", letters),
        ("a(b)", letters),
        ("a%$#", letters),
        ("größe", letters),
        (&long, "The length of a index name must be less than 255 characters."),
    ] {
        let text = format!("Invalid index name: {name}. {why}");
        for request in [
            of!(CreateIndexRequest {
                collection_name: "idle".to_owned(),
                field_name: "vector".to_owned(),
                index_name: name.to_owned(),
                extra_params: vec![pair("index_type", "FLAT"), pair("metric_type", "L2")],
            }),
            of!(AlterIndexRequest {
                collection_name: "fields".to_owned(),
                index_name: name.to_owned(),
                extra_params: vec![pair("mmap.enabled", "true")],
            }),
        ] {
            cases.push(case(what(name), request, PLAIN, &text));
        }
        let text = format!("index not found[indexName={name}]");
        for request in [
            of!(DescribeIndexRequest {
                collection_name: "fields".to_owned(),
                index_name: name.to_owned(),
            }),
            of!(GetIndexStateRequest {
                collection_name: "fields".to_owned(),
                index_name: name.to_owned(),
            }),
            of!(ListIndexedSegmentRequest {
                collection_name: "fields".to_owned(),
                index_name: name.to_owned(),
            }),
        ] {
            cases.push(case(what(name), request, 700, &text));
        }
        // A field of that name is not there either.
        let text = format!("cannot create index on non-exist field: {name}");
        let request = of!(CreateIndexRequest {
            collection_name: "idle".to_owned(),
            field_name: name.to_owned(),
            extra_params: vec![pair("index_type", "FLAT"), pair("metric_type", "L2")],
        });
        cases.push(case(what(name), request, INVALID, &text));
        let text = format!("field {name} does not exist in collection fields");
        let request = of!(AlterCollectionFieldRequest {
            collection_name: "fields".to_owned(),
            field_name: name.to_owned(),
            properties: vec![pair("max_length", "9")],
        });
        cases.push(case(what(name), request, INVALID, &text));
    }
    cases
}
