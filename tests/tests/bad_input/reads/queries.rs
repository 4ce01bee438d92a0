//! Wrong queries: pages, orders, groups and aggregates.
// tidy: table

use millstream_gateway::pb::QueryRequest;
use millstream_tests::client::{pinned, query};
use millstream_tests::rows::pair;

use super::super::{Case, INVALID, PLAIN, case};
use super::{FILTERS, KINDS, NAMES, deep, limited};

pub(super) fn cases(now: u64) -> Vec<Case> {
    let mut cases = windows();
    cases.extend(places());
    cases.extend(filters());
    cases.extend(orders());
    cases.extend(groups());
    let hour = 3_600_000_u64 << 18;
    let future = pinned(query("good", "id > 0", &["id"]), now + hour);
    cases.push(case("the far future", future, INVALID, "in the future"));
    cases
}

fn windows() -> Vec<Case> {
    let mut cases = Vec::new();
    let good = |params: &[(&str, &str)]| limited("id > 0", params);
    for text in ["x", "1.5", "1e3", "None", "99999999999999999999"] {
        let want = format!("limit [{text}] is invalid");
        cases.push(case(format!("a limit of {text}"), good(&[("limit", text)]), PLAIN, &want));
        let want = format!("offset [{text}] is invalid");
        let request = good(&[("limit", "1"), ("offset", text)]);
        cases.push(case(format!("an offset of {text}"), request, PLAIN, &want));
    }
    for text in ["0", "-1", "-2", "-16384"] {
        let want = format!("limit [{text}] is invalid, should be greater than 0");
        cases.push(case(format!("a limit of {text}"), good(&[("limit", text)]), PLAIN, &want));
    }
    for text in ["-1", "-16384"] {
        let want = format!("offset [{text}] is invalid, should be gte than 0");
        let request = good(&[("limit", "1"), ("offset", text)]);
        cases.push(case(format!("an offset of {text}"), request, PLAIN, &want));
    }
    for (limit, offset) in
        [(16_385_u64, 0_u64), (16_384, 1), (1, 16_384), (8_000, 9_000), (1_u64 << 40, 0)]
    {
        let (limit, offset) = (limit.to_string(), offset.to_string());
        let request = good(&[("limit", &limit), ("offset", &offset)]);
        let want = "(offset+limit) should be in range [1, 16384], but got";
        cases.push(case(format!("{limit} from {offset}"), request, PLAIN, want));
    }
    for text in ["maybe", "yes", "2", "on"] {
        for (key, code, want) in [
            ("ignore_growing", PLAIN, "parse search growing failed"),
            ("reduce_stop_for_best", INVALID, "value for reduce_stop_for_best is invalid"),
            ("iterator", INVALID, "value for iterator field is invalid"),
        ] {
            cases.push(case(format!("{key} {text}"), good(&[(key, text)]), code, want));
        }
    }
    for (text, want) in [
        ("x", "value for collection id is invalid"),
        ("1.5", "value for collection id is invalid"),
        ("1", "Input collection id is not consistent"),
    ] {
        let request = good(&[("collection_id", text)]);
        cases.push(case(format!("the collection id {text}"), request, INVALID, want));
    }
    let count = QueryRequest {
        output_fields: vec!["count(*)".to_owned()],
        ..limited("id > 0", &[("limit", "1")])
    };
    let want = "count entities with pagination is not allowed";
    cases.push(case("a count of a page", count.clone(), PLAIN, want));
    let spaced = QueryRequest { output_fields: vec![" COUNT ( * ) ".to_owned()], ..count };
    cases.push(case("a spaced count of a page", spaced, PLAIN, want));
    for blank in ["", "  ", "\n"] {
        let want = "empty expression should be used with limit";
        cases.push(case("no filter and no limit", query("good", blank, &["id"]), PLAIN, want));
    }
    cases
}

fn places() -> Vec<Case> {
    let mut cases = Vec::new();
    for name in NAMES {
        let want = if name.is_empty() { "should not be empty" } else { name };
        let request = query(name, "id > 0", &["id"]);
        cases.push(case(format!("a collection {name:?}"), request, INVALID, want));
    }
    for name in ["west", "*", "_default_0", ""] {
        let request = QueryRequest {
            partition_names: vec![name.to_owned()],
            ..query("good", "id > 0", &["id"])
        };
        let want = format!("partition name {name} not found");
        cases.push(case(format!("a partition {name:?}"), request, PLAIN, &want));
    }
    for name in ["nothing", "Id", "$meta", "id,value", "id.value", "count", "count()x"] {
        let want = format!("field {name} not exist");
        let request = query("good", "id > 0", &[name]);
        cases.push(case(format!("an output of {name}"), request, PLAIN, &want));
    }
    let never = query("never", "id > 0", &["id"]);
    let nowhere =
        QueryRequest { db_name: "nowhere".to_owned(), ..query("good", "id > 0", &["id"]) };
    let level = QueryRequest { consistency_level: 9, ..query("good", "id > 0", &["id"]) };
    let namespace =
        QueryRequest { namespace: Some("n".to_owned()), ..query("good", "id > 0", &["id"]) };
    cases.extend([
        case("an unloaded collection", query("idle", "id > 0", &["id"]), 101, "not loaded"),
        case("no such collection", never, 100, "collection=never"),
        case("no such database", nowhere, 800, "database not found[database=nowhere]"),
        case("an unknown level", level, INVALID, "consistency level 9 is not known"),
        case("a namespace", namespace, INVALID, "namespace = n"),
    ]);
    cases
}

fn filters() -> Vec<Case> {
    let plan = "failed to create query plan: ";
    let of = |text: &str| query("good", text, &["id"]);
    let case_of = |text| case(format!("the filter {text}"), of(text), INVALID, plan);
    let mut cases: Vec<Case> = FILTERS.into_iter().map(case_of).collect();
    cases.push(case("a deep filter", of(&deep()), INVALID, plan));
    for text in FILTERS.into_iter().take(20) {
        let request = query("good", text, &["count(*)"]);
        cases.push(case(format!("a count of {text}"), request, INVALID, plan));
    }
    cases
}

/// A query of `kinds` for the first row in an order.
fn ordered(order: &str) -> QueryRequest {
    QueryRequest {
        query_params: vec![pair("limit", 1), pair("order_by_fields", order)],
        ..query(KINDS, "id > 0", &["id"])
    }
}

fn orders() -> Vec<Case> {
    let mut cases = Vec::new();
    for name in ["nothing", "ID", "$meta", "id desc", "doc[\"a\"]"] {
        let want = "does not exist in collection schema";
        cases.push(case(format!("an order by {name}"), ordered(name), INVALID, want));
    }
    for name in ["doc", "list", "floats", "halves", "bits", "sparse"] {
        let want = format!("order_by field '{name}' has type");
        cases.push(case(format!("an order by {name}"), ordered(name), INVALID, &want));
    }
    for direction in ["up", "down", "1", "descc"] {
        let request = ordered(&format!("id:{direction}"));
        let want = format!("invalid order direction '{direction}' for field 'id'");
        cases.push(case(format!("an order {direction}"), request, INVALID, &want));
    }
    for nulls in ["first", "last", "nulls"] {
        let want = format!("invalid null ordering '{nulls}'");
        let request = ordered(&format!("id:asc:{nulls}"));
        cases.push(case(format!("nulls {nulls}"), request, INVALID, &want));
    }
    let many = ["id"; 65].join(",");
    let want = "order_by_fields names 65 fields";
    cases.push(case("an order of 65 steps", ordered(&many), INVALID, want));
    let endless = limited("id > 0", &[("order_by_fields", "id")]);
    cases.push(case("an order without a limit", endless, INVALID, "requires explicit limit"));
    let paged =
        limited("id > 0", &[("order_by_fields", "id"), ("limit", "1"), ("iterator", "True")]);
    cases.push(case("pages in an order", paged, INVALID, "ORDER BY with iterator"));
    cases
}

/// A query of `kinds` for groups.
fn grouped(group: &str, output: &[&str]) -> QueryRequest {
    QueryRequest { query_params: vec![pair("group_by_fields", group)], ..query(KINDS, "", output) }
}

fn groups() -> Vec<Case> {
    let mut cases = Vec::new();
    for name in ["single", "real", "doc", "list", "floats", "bits", "sparse"] {
        let want = format!("group by field {name} has unsupported data type");
        let request = grouped(name, &["count(*)"]);
        cases.push(case(format!("groups by {name}"), request, INVALID, &want));
    }
    for name in ["nothing", "ID", "$meta"] {
        let want = format!("field {name} not exist");
        let request = grouped(name, &["count(*)"]);
        cases.push(case(format!("groups by {name}"), request, INVALID, &want));
    }
    for op in ["sum", "avg"] {
        for name in ["flag", "word", "doc", "list", "floats"] {
            let output = format!("{op}({name})");
            let want = format!("aggregate {output} is not supported on field {name}");
            let request = grouped("tiny", &[&output]);
            cases.push(case(output.clone(), request, INVALID, &want));
        }
    }
    for op in ["min", "max"] {
        for name in ["flag", "doc", "list", "sparse"] {
            let output = format!("{op}({name})");
            let want = format!("aggregate {output} is not supported on field {name}");
            let request = grouped("word", &[&output]);
            cases.push(case(output.clone(), request, INVALID, &want));
        }
    }
    for output in ["sum(*)", "min(*)", "max()", "avg( )", "count()"] {
        let want = "needs the name of a field";
        cases.push(case(output, grouped("word", &[output]), INVALID, want));
    }
    for name in ["nothing", "ID"] {
        let output = format!("sum({name})");
        let want = format!("field {name} not exist");
        cases.push(case(output.clone(), grouped("word", &[&output]), PLAIN, &want));
    }
    for name in ["real", "floats", "id"] {
        let want = format!("output field {name} is neither an aggregate");
        let request = grouped("word", &["word", name]);
        cases.push(case(format!("{name} beside groups"), request, INVALID, &want));
    }
    let many = ["count(*)"; 129];
    let want = "may return 128 columns, but 129 are asked for";
    cases.push(case("129 aggregates", grouped("word", &many), INVALID, want));
    let many = ["word"; 65].join(",");
    let want = "group_by_fields names 65 fields";
    cases.push(case("groups by 65 fields", grouped(&many, &["count(*)"]), INVALID, want));
    let many = vec!["id"; 16_385];
    let want = "maximum output fields' number should be limited to 16384, but got 16385";
    cases.push(case("16385 output fields", query("good", "id > 0", &many), PLAIN, want));
    for (order, want) in [
        ("id", "ORDER BY can only reference GROUP BY columns"),
        ("count(*)", "ORDER BY on aggregate expression"),
        ("nothing", "does not exist in collection schema"),
    ] {
        let mut request = grouped("word", &["word", "count(*)"]);
        request.query_params.extend([pair("order_by_fields", order), pair("limit", 5)]);
        cases.push(case(format!("groups in the order of {order}"), request, INVALID, want));
    }
    cases
}
