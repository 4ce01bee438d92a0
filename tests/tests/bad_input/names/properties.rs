//! Wrong properties of collections, fields, indexes and databases.
// tidy: table

use millstream_gateway::pb::{
    AlterCollectionFieldRequest, AlterDatabaseRequest, AlterIndexRequest, CreateDatabaseRequest,
    DescribeDatabaseRequest, GetIndexBuildProgressRequest, GetIndexStateRequest,
    GetIndexStatisticsRequest,
};
use millstream_tests::rows::pair;

use super::super::{Case, INVALID, PLAIN, case};
use super::{of_field, of_index, properties};

fn of_database(database: &str, set: &[(&str, &str)], drop: &[&str]) -> AlterDatabaseRequest {
    AlterDatabaseRequest {
        db_name: database.to_owned(),
        properties: set.iter().map(|(key, value)| pair(key, value)).collect(),
        delete_keys: drop.iter().map(|&key| key.to_owned()).collect(),
        ..AlterDatabaseRequest::default()
    }
}

/// Properties that are not, and values that they cannot have.
pub(crate) fn properties_of_all() -> Vec<Case> {
    let both = "cannot provide both DeleteKeys and ExtraParams";
    let loaded = "collection already loaded[collection=good]";
    let missing = "collection not found[database=default][collection=missing]";
    let mut cases = vec![
        case("no collection", properties("missing", &[("a", "b")], &[]), 100, missing),
        case("both", properties("good", &[("a", "b")], &["c"]), INVALID, both),
        case("neither", properties("good", &[], &[]), PLAIN, "must not be empty at the same time"),
        case("an empty key", properties("good", &[("", "b")], &[]), INVALID, "property is empty"),
        case(
            "loaded",
            properties("good", &[("mmap.enabled", "true")], &[]),
            104,
            &format!("can not alter mmap properties if collection loaded: {loaded}"),
        ),
        case(
            "loaded",
            properties("good", &[], &["mmap.enabled"]),
            104,
            &format!("can not delete mmap properties if collection loaded: {loaded}"),
        ),
        case(
            "loaded",
            properties("alias", &[("lazyload.enabled", "true")], &[]),
            104,
            &format!("can not alter lazyload properties if collection loaded: {loaded}"),
        ),
        case(
            "a long value",
            properties("good", &[("a", &"b".repeat(65_536))], &[]),
            1_102,
            "the properties take 65537 bytes, more than 65536",
        ),
        case(
            "no database",
            of_database("nowhere", &[("a", "b")], &[]),
            800,
            "database not found[database=nowhere]",
        ),
        case("neither", of_database("else", &[], &[]), PLAIN, "both cannot be empty"),
        case(
            "both",
            of_database("else", &[("a", "b")], &["c"]),
            PLAIN,
            "cannot modify properties and delete keys at the same time",
        ),
        case("an empty key", of_database("else", &[("", "b")], &[]), INVALID, "property is empty"),
        case(
            "no database",
            DescribeDatabaseRequest {
                db_name: "nowhere".to_owned(),
                ..DescribeDatabaseRequest::default()
            },
            800,
            "database not found[database=nowhere]",
        ),
    ];
    let long = "x".repeat(65_537);
    cases.push(case(
        "a long description",
        properties("good", &[("collection.description", &long)], &[]),
        1_102,
        "the words about the collection take 65537 bytes, more than 65536: parameter too large",
    ));
    for (key, value) in [
        ("mmap.enabled", "maybe"),
        ("lazyload.enabled", "2"),
        ("collection.autocompaction.enabled", "on"),
        ("partitionkey.isolation", "partly"),
        ("collection.replica.number", "many"),
        ("collection.replica.number", "-1"),
        ("collection.replica.number", "2"),
        ("collection.insertRate.max.mb", "fast"),
        ("collection.deleteRate.max.mb", "-2"),
        ("collection.queryRate.max.qps", "inf"),
        ("collection.searchRate.max.vps", ""),
        ("collection.diskProtection.diskQuota.mb", "NaN"),
        ("dynamicfield.enabled", "true"),
        ("allow_insert_auto_id", "true"),
        ("namespace.enabled", "true"),
    ] {
        cases.push(case(value, properties("fields", &[(key, value)], &[]), INVALID, key));
    }
    for key in ["consistency_level", "collection.description"] {
        cases.push(case(key, properties("fields", &[], &[key]), INVALID, key));
    }
    for value in ["strong", "5", "-1", ""] {
        let request = properties("fields", &[("consistency_level", value)], &[]);
        cases.push(case(value, request, INVALID, &format!("invalid consistency level: {value}")));
    }
    for (value, text) in [
        ("soon", "collection TTL is not a valid positive integer"),
        ("1.5", "collection TTL is not a valid positive integer"),
        ("-2", "collection TTL is out of range, expect [-1, 3155760000], got -2"),
        ("3155760001", "collection TTL is out of range, expect [-1, 3155760000], got 3155760001"),
    ] {
        let request = properties("good", &[("collection.ttl.seconds", value)], &[]);
        cases.push(case(value, request, INVALID, text));
    }
    for (key, value) in [
        ("database.max.collections", "-1"),
        ("database.max.collections", "some"),
        ("database.replica.number", "2"),
        ("database.replica.number", "few"),
        ("database.diskQuota.mb", "big"),
        ("database.force.deny.writing", "2"),
        ("database.force.deny.ddl", ""),
        ("database.force.deny.reading", "partly"),
        ("mmap.enabled", "no"),
    ] {
        cases.push(case(value, of_database("else", &[(key, value)], &[]), INVALID, key));
        let created = CreateDatabaseRequest {
            db_name: "fresh".to_owned(),
            properties: vec![pair(key, value)],
            ..CreateDatabaseRequest::default()
        };
        cases.push(case(value, created, INVALID, key));
    }
    cases
}

/// Changes of fields and indexes that cannot be made, and questions about indexes that are not.
pub(crate) fn fields_and_indexes() -> Vec<Case> {
    let loaded = "collection already loaded[collection=good]";
    let no_index = "index not found[indexName=missing]";
    let missing = "collection not found[database=default][collection=missing]";
    let named = |name: &str| name.to_owned();
    let in_good = |request: AlterCollectionFieldRequest| AlterCollectionFieldRequest {
        collection_name: named("good"),
        ..request
    };
    let of_missing = AlterCollectionFieldRequest {
        collection_name: named("missing"),
        ..of_field("word", &[("max_length", "9")], &[])
    };
    let mmap = &[("mmap.enabled", "true")];
    let on = |collection: &str, request: AlterIndexRequest| AlterIndexRequest {
        collection_name: named(collection),
        ..request
    };
    let mut cases = vec![
        case("no collection", of_missing, 100, missing),
        case(
            "no field",
            of_field("absent", &[("max_length", "9")], &[]),
            INVALID,
            "field absent does not exist in collection fields",
        ),
        case("nothing", of_field("word", &[], &[]), PLAIN, "collection field properties is empty"),
        case(
            "loaded",
            in_good(of_field("vector", mmap, &[])),
            104,
            &format!("can not alter collection field properties if collection loaded: {loaded}"),
        ),
        case(
            "loaded",
            in_good(of_field("vector", &[], &["mmap.enabled"])),
            104,
            &format!("can not drop collection field properties if collection loaded: {loaded}"),
        ),
        case("no collection", on("missing", of_index("vector", mmap, &[])), 100, missing),
        case("no index", of_index("missing", mmap, &[]), 700, no_index),
        case("no name", of_index("", mmap, &[]), INVALID, "index name is empty"),
        case("a bad name", of_index("1-2", mmap, &[]), PLAIN, "Invalid index name: 1-2"),
        case("neither", of_index("vector", &[], &[]), PLAIN, "must not be empty at the same time"),
        case(
            "both",
            of_index("vector", mmap, &["mmap.enabled"]),
            INVALID,
            "cannot provide both DeleteKeys and ExtraParams",
        ),
        case(
            "loaded",
            on("good", of_index("vector", mmap, &[])),
            104,
            &format!("please release the collection first: {loaded}"),
        ),
        case(
            "a word",
            of_index("vector", &[("mmap.enabled", "error_value")], &[]),
            INVALID,
            "invalid mmap.enabled value: error_value, expected: true, false",
        ),
        case(
            "no index",
            GetIndexStateRequest {
                collection_name: named("fields"),
                index_name: named("missing"),
                ..GetIndexStateRequest::default()
            },
            700,
            no_index,
        ),
        case(
            "no collection",
            GetIndexStateRequest { collection_name: named("missing"), ..Default::default() },
            100,
            missing,
        ),
        case(
            "no index",
            GetIndexBuildProgressRequest {
                collection_name: named("fields"),
                index_name: named("missing"),
                ..GetIndexBuildProgressRequest::default()
            },
            700,
            no_index,
        ),
        case(
            "no collection",
            GetIndexBuildProgressRequest {
                collection_name: named("missing"),
                ..GetIndexBuildProgressRequest::default()
            },
            100,
            missing,
        ),
        case(
            "no index",
            GetIndexStatisticsRequest {
                collection_name: named("fields"),
                index_name: named("missing"),
                ..GetIndexStatisticsRequest::default()
            },
            700,
            no_index,
        ),
        case(
            "no collection",
            GetIndexStatisticsRequest { collection_name: named("missing"), ..Default::default() },
            100,
            missing,
        ),
        case(
            "no index at all",
            GetIndexStatisticsRequest { collection_name: named("idle"), ..Default::default() },
            700,
            "index not found[collection=idle]",
        ),
    ];
    for (of, key, value, text) in [
        ("word", "max_length", "0", "(0, 65535]"),
        ("word", "max_length", "-1", "(0, 65535]"),
        ("word", "max_length", "65536", "65536 exceeds the maximum allowed value 65535"),
        ("word", "max_length", "99999999999999", "exceeds the maximum allowed value 65535"),
        ("word", "max_length", "200.5", "max_length should be an integer, but got 200.5"),
        ("word", "max_length", "many", "max_length should be an integer, but got many"),
        ("word", "max_length", "", "max_length should be an integer"),
        ("number", "max_length", "9", "number can not modify the maxlength for non-string types"),
        ("vector", "max_length", "9", "vector can not modify the maxlength for non-string types"),
        ("word", "max_capacity", "9", "word can not modify the maxcapacity for non-array types"),
        ("word", "mmap.enabled", "perhaps", "invalid mmap.enabled value: perhaps"),
        ("word", "mmap_enabled", "perhaps", "invalid mmap.enabled value: perhaps"),
        ("vector", "dim", "8", "dim does not allow update in collection field param"),
        ("word", "analyzer_params", "{}", "analyzer_params does not allow update in collection"),
        ("word", "element_type", "5", "element_type does not allow update in collection field"),
        ("word", "nullable", "true", "nullable does not allow update in collection field param"),
        ("word", "", "x", "does not allow update in collection field param"),
    ] {
        cases.push(case(value, of_field(of, &[(key, value)], &[]), INVALID, text));
    }
    for key in ["max_length", "dim", "field.description", ""] {
        let text = format!("{key} is not allowed to drop in collection field param");
        cases.push(case(key, of_field("word", &[], &[key]), INVALID, &text));
    }
    for key in ["index_type", "metric_type", "params", "nlist", "error_param_key", ""] {
        let text = format!("{key} is not a configable index property");
        cases.push(case(key, of_index("vector", &[(key, "1")], &[]), INVALID, &text));
        cases.push(case(key, of_index("vector", &[], &[key]), INVALID, &text));
    }
    cases
}
