//! Wrong parameters of searches.
// tidy: table

use bytes::Bytes;
use millstream_gateway::pb::SearchRequest;
use millstream_gateway::pb::common::{Highlighter, SearchAggregationSpec};
use millstream_gateway::pb::schema::i_ds::IdField;
use millstream_gateway::pb::schema::{FunctionSchema, FunctionScore, IDs, LongArray, StringArray};
use millstream_gateway::pb::search_request::SearchInput;
use millstream_tests::client::{search, search_params};
use millstream_tests::rows::{pair, placeholders};

use super::super::{Case, DIM, INVALID, PLAIN, case};
use super::{FILTERS, NAMES, deep, good, good_kinds, param, with_param};

pub(super) fn cases() -> Vec<Case> {
    let mut cases = numbers();
    cases.extend(places());
    cases.extend(filters());
    cases.extend(ranges());
    cases.extend(groups());
    cases.extend(pages());
    cases.extend(keys());
    cases.extend(others());
    cases
}

/// Numbers and booleans that are none, or out of range.
fn numbers() -> Vec<Case> {
    let mut cases = Vec::new();
    for text in ["ten", "1.5", "", " ", "1e3", "0x", "1,000", "99999999999999999999"] {
        let want = format!("topk [{text}] is invalid");
        cases.push(case(format!("a topk of {text:?}"), param("topk", text), PLAIN, &want));
    }
    for text in ["0", "-1", "-16384", "16385", "100000", "9223372036854775807"] {
        let want = format!("should be in range [1, 16384], but got {text}");
        cases.push(case(format!("a topk of {text}"), param("topk", text), PLAIN, &want));
    }
    for text in ["x", "1.5", "None", "--1", "99999999999999999999", "-1", "-16384", "16385"] {
        let want = format!("offset [{text}] is invalid");
        cases.push(case(format!("an offset of {text:?}"), param("offset", text), PLAIN, &want));
    }
    for text in ["16383", "16384"] {
        let want = "should be in range [1, 16384], but got";
        cases.push(case(format!("an offset of {text}"), param("offset", text), PLAIN, want));
    }
    for text in ["7", "-2", "100", "x", "1.5", "None"] {
        let want = format!("round_decimal [{text}] is invalid, should be -1 or an integer");
        cases.push(case(format!("{text:?} decimals"), param("round_decimal", text), PLAIN, &want));
    }
    for text in ["maybe", "yes", "no", "2", "TrUe", "on", "-1", "null"] {
        let want = format!("parse search growing failed: {text}");
        cases.push(case(format!("{text:?} growing"), param("ignore_growing", text), PLAIN, &want));
    }
    for text in ["{nprobe", "[1]", "1", "\"x\"", "nprobe=1", "{\"a\":}", "{'a': 1}"] {
        let want = "params is not a JSON object";
        cases.push(case(format!("{text} as parameters"), param("params", text), INVALID, want));
    }
    for (json, want) in [
        ("{\"offset\": \"x\"}", "offset [x] is invalid"),
        ("{\"offset\": -1}", "offset [-1] is invalid"),
        ("{\"ignore_growing\": \"maybe\"}", "parse search growing failed"),
    ] {
        cases.push(case(format!("{json} inside"), param("params", json), PLAIN, want));
    }
    for text in ["x", "1.5"] {
        let want = "value for collection id is invalid";
        cases.push(case("a collection id", param("collection_id", text), INVALID, want));
    }
    let want = "Input collection id is not consistent";
    cases.push(case("another collection's id", param("collection_id", "1"), INVALID, want));
    cases
}

/// Collections, partitions and fields that are not there.
fn places() -> Vec<Case> {
    let mut cases = Vec::new();
    for name in NAMES {
        let request = SearchRequest { collection_name: name.to_owned(), ..good() };
        let want = if name.is_empty() { "should not be empty" } else { name };
        cases.push(case(format!("a collection {name:?}"), request, INVALID, want));
    }
    let never = SearchRequest { collection_name: "never".to_owned(), ..good() };
    cases.push(case("no such collection", never, 100, "collection=never"));
    let database = SearchRequest { db_name: "nowhere".to_owned(), ..good() };
    cases.push(case("no such database", database, 800, "database not found[database=nowhere]"));
    let idle = search("idle", DIM, &[0.5; DIM], 2);
    cases.push(case("an unloaded collection", idle, 101, "not loaded"));
    for name in ["west", "*", "par*", "_default_0", ""] {
        let request = SearchRequest { partition_names: vec![name.to_owned()], ..good() };
        let want = format!("partition name {name} not found");
        cases.push(case(format!("a partition {name:?}"), request, PLAIN, &want));
    }
    for name in ["nothing", "Id", "vector2", "$meta", "id,value"] {
        let request = SearchRequest { output_fields: vec![name.to_owned()], ..good() };
        let want = format!("field {name} not exist");
        cases.push(case(format!("an output of {name}"), request, PLAIN, &want));
        let request = param("anns_field", name);
        cases.push(case(format!("a search of {name}"), request, PLAIN, name));
    }
    for name in ["id", "value"] {
        let want = format!("field ({name}) to search is not of vector type");
        cases.push(case(format!("a search of {name}"), param("anns_field", name), INVALID, &want));
    }
    for name in ["id", "word", "flag", "tiny", "single", "real", "doc", "list"] {
        let want = format!("field ({name}) to search is not of vector type");
        let request = with_param(good_kinds("floats"), "anns_field", name);
        cases.push(case(format!("a search of {name}"), request, INVALID, &want));
    }
    let unnamed = with_param(good_kinds("floats"), "anns_field", "");
    cases.push(case("one of several fields", unnamed, PLAIN, "multiple anns_fields exist"));
    cases
}

/// Filters that are none.
fn filters() -> Vec<Case> {
    let filtered = |text: &str| SearchRequest { dsl: text.to_owned(), ..good() };
    let plan = "failed to create query plan: ";
    let case_of = |text| case(format!("the filter {text}"), filtered(text), INVALID, plan);
    let mut cases: Vec<Case> = FILTERS.into_iter().map(case_of).collect();
    cases.push(case("a deep filter", filtered(&deep()), INVALID, plan));
    let old = SearchRequest { dsl_type: 0, ..filtered("id > 1") };
    cases.push(case("the old language", old, INVALID, "the old filter language"));
    cases
}

/// Bounds of scores that are none, or leave nothing between them.
fn ranges() -> Vec<Case> {
    let mut cases = Vec::new();
    for key in ["radius", "range_filter"] {
        for value in ["\"far\"", "true", "[1]", "{}", "\"\"", "\"NaN\""] {
            let json = format!("{{\"radius\": 1, \"{key}\": {value}}}");
            let want = format!("param '{key}'");
            cases.push(case(format!("a range of {json}"), param("params", &json), INVALID, &want));
        }
    }
    let alone = param("params", "{\"range_filter\": 1}");
    cases.push(case("an inner bound alone", alone, INVALID, "requires radius to be set"));
    for (field, smaller) in [
        ("floats", true),
        ("halves", false),
        ("brains", false),
        ("bytes", false),
        ("bits", true),
        ("sparse", false),
    ] {
        for (radius, best) in if smaller { [(1, 1), (1, 2)] } else { [(1, 1), (2, 1)] } {
            let json = format!("{{\"radius\": {radius}, \"range_filter\": {best}}}");
            let request = with_param(good_kinds(field), "params", &json);
            let relation = if smaller { "less" } else { "greater" };
            let want = format!("must be {relation} than radius");
            cases.push(case(format!("{json} of {field}"), request, INVALID, &want));
        }
    }
    cases
}

/// Groups by what makes none.
fn groups() -> Vec<Case> {
    let mut cases = Vec::new();
    for name in ["nothing", "VALUE", "doc2"] {
        let want = "groupBy field not found in schema";
        cases.push(case(format!("groups by {name}"), param("group_by_field", name), 1700, want));
    }
    for name in ["single", "real", "doc", "list", "floats", "bits", "sparse"] {
        let request = with_param(good_kinds("floats"), "group_by_field", name);
        let want = "for group by operator";
        cases.push(case(format!("groups by {name}"), request, INVALID, want));
    }
    for (size, want) in [
        ("0", "input group size:0 is negative"),
        ("-1", "input group size:-1 is negative"),
        ("101", "input group size:101 exceeds"),
        ("x", "failed to parse input group size:x"),
        ("1.5", "failed to parse input group size:1.5"),
    ] {
        let request = with_param(param("group_by_field", "value"), "group_size", size);
        cases.push(case(format!("groups of {size}"), request, INVALID, want));
    }
    let ranged = with_param(param("group_by_field", "value"), "params", "{\"radius\": 1}");
    let want = "Not allowed to do range-search when doing search-group-by";
    cases.push(case("groups within a range", ranged, INVALID, want));
    let paged = with_param(param("group_by_field", "value"), "iterator", "True");
    cases.push(case("pages of groups", paged, INVALID, "groupBy when doing iteration"));
    let several = param("group_by_fields", "value,id");
    cases.push(case("groups by several fields", several, INVALID, "several fields"));
    cases
}

/// Pages of iterators.
fn pages() -> Vec<Case> {
    let page = || {
        let request = with_param(param("iterator", "True"), "search_iter_v2", "True");
        with_param(request, "search_iter_batch_size", "2")
    };
    let mut cases = Vec::new();
    for size in ["0", "-1", "16385", "x", "1.5", ""] {
        let request = with_param(page(), "search_iter_batch_size", size);
        let want = if size.is_empty() { "batch size is required" } else { "batch size is invalid" };
        cases.push(case(format!("pages of {size:?}"), request, PLAIN, want));
    }
    for token in ["1", "token", "0123456789abcdef0123456789abcdef0123", "ü"] {
        let request = with_param(page(), "search_iter_id", token);
        cases.push(case(format!("the iterator {token}"), request, PLAIN, "invalid token format"));
    }
    for bound in ["x", "NaN", "1,5"] {
        let request = with_param(page(), "search_iter_last_bound", bound);
        let want = "failed to parse input last bound";
        cases.push(case(format!("a page after {bound}"), request, PLAIN, want));
    }
    let offset = with_param(page(), "offset", "1");
    cases.push(case("a page with an offset", offset, INVALID, "Setting an offset is not"));
    let single = with_param(page(), "iterator", "False");
    cases.push(case("a page of no iterator", single, PLAIN, "must be set in the SDK"));
    let mut two = page();
    two.search_input = Some(SearchInput::PlaceholderGroup(placeholders(DIM, &[0.5; 2 * DIM])));
    two.nq = 2;
    cases.push(case("a page of two queries", two, INVALID, "[expected=1][actual=2]"));
    cases
}

/// Searches by primary keys.
fn keys() -> Vec<Case> {
    let by = |id_field| SearchRequest {
        search_input: Some(SearchInput::Ids(IDs { id_field })),
        nq: 0,
        ..good()
    };
    let ints = |data: Vec<i64>| by(Some(IdField::IntId(LongArray { data })));
    let texts = by(Some(IdField::StrId(StringArray { data: vec!["a".to_owned()] })));
    let missing = "some of the provided primary key IDs do not exist: missing IDs = ";
    let want = |ids: &str| format!("{missing}[{ids}]");
    vec![
        case("a key that is not there", ints(vec![99]), INVALID, &want("99")),
        case("keys of which one is there", ints(vec![0, -5, 77]), INVALID, &want("-5, 77")),
        case("texts for integers", texts, INVALID, "[expected=Int64][actual=VarChar]"),
        case("no key", ints(vec![]), PLAIN, "[1, 16384], but got 0"),
        case("nothing for keys", by(None), PLAIN, "[1, 16384], but got 0"),
        case("16385 keys", ints((0..16_385).collect()), PLAIN, "[1, 16384], but got 16385"),
    ]
}

/// What is known and not done, and what is no search at all.
fn others() -> Vec<Case> {
    let score = |reranker: &str| FunctionScore {
        functions: vec![FunctionSchema {
            name: "f".to_owned(),
            r#type: 3,
            params: vec![pair("reranker", reranker)],
            ..FunctionSchema::default()
        }],
        params: Vec::new(),
    };
    let mut cases = Vec::new();
    for reranker in ["decay", "boost", "model", "rrf", "weighted"] {
        let request = SearchRequest { function_score: Some(score(reranker)), ..good() };
        let want = format!("rerank function f ({reranker}) is not supported yet");
        cases.push(case(format!("the ranker {reranker}"), request, INVALID, &want));
    }
    let garbage = SearchInput::PlaceholderGroup(Bytes::from_static(b"\xff\xff\xff"));
    let mut wide = search("good", 8, &[0.5; 8], 2);
    wide.search_params = search_params("vector", "L2", 2);
    let empty = SearchInput::PlaceholderGroup(placeholders(DIM, &[]));
    let input = |search_input| SearchRequest { search_input: Some(search_input), ..good() };
    let mut no_topk = good();
    no_topk.search_params.retain(|pair| pair.key != "topk");
    let many = search("good", DIM, &vec![0.5; DIM * 16_385], 2);
    let namespace = SearchRequest { namespace: Some("n".to_owned()), ..good() };
    let aggregation = SearchAggregationSpec { fields: vec!["value".to_owned()], size: 1 };
    let future = u64::MAX >> 1;
    cases.extend([
        case("no topk", no_topk, PLAIN, "topk not found in search_params"),
        case("another dimension", wide, INVALID, "vector dimension mismatch"),
        case("garbage as queries", input(garbage), INVALID, "cannot be decoded"),
        case("no query", SearchRequest { nq: 0, ..input(empty) }, PLAIN, "but got 0"),
        case("16385 queries", many, PLAIN, "[1, 16384], but got 16385"),
        case(
            "nothing to search for",
            SearchRequest { search_input: None, ..good() },
            INVALID,
            "placeholder_group is missing",
        ),
        case("a wrong number", SearchRequest { nq: 3, ..good() }, INVALID, "nq does not agree"),
        case("a namespace", namespace, INVALID, "namespace = n"),
        case(
            "highlights",
            SearchRequest { highlighter: Some(Highlighter::default()), ..good() },
            INVALID,
            "highlighting is not supported yet",
        ),
        case(
            "buckets",
            SearchRequest { search_aggregation: Some(aggregation), ..good() },
            INVALID,
            "aggregation over search results is not supported yet",
        ),
        case(
            "an unknown level",
            SearchRequest { consistency_level: 9, ..good() },
            INVALID,
            "consistency level 9 is not known",
        ),
        case(
            "the far future",
            SearchRequest { consistency_level: 4, guarantee_timestamp: future, ..good() },
            INVALID,
            "in the future",
        ),
        case("an order", param("order_by_fields", "value:asc"), INVALID, "order_by_fields"),
    ]);
    cases
}
