//! Wrong hybrid searches: their rankers, their parts, and what they agree on.
// tidy: table

use millstream_gateway::pb::common::ConsistencyLevel;
use millstream_gateway::pb::schema::{FunctionSchema, FunctionScore};
use millstream_gateway::pb::{HybridSearchRequest, SearchRequest};
use millstream_tests::client::search;
use millstream_tests::rows::pair;

use super::super::{Case, DIM, INVALID, PLAIN, case};
use super::{NAMES, good, param, with_param};

/// A hybrid search of `good` of these searches that would be accepted.
fn of(requests: Vec<SearchRequest>) -> HybridSearchRequest {
    HybridSearchRequest {
        collection_name: "good".to_owned(),
        requests,
        rank_params: vec![pair("limit", 2)],
        consistency_level: ConsistencyLevel::Strong.into(),
        ..HybridSearchRequest::default()
    }
}

fn good_hybrid() -> HybridSearchRequest {
    of(vec![good(), good()])
}

/// With other rank parameters.
fn ranked(params: &[(&str, &str)]) -> HybridSearchRequest {
    let mut request = good_hybrid();
    for (key, value) in params {
        request.rank_params.retain(|pair| pair.key != *key);
        request.rank_params.push(pair(key, value));
    }
    request
}

fn strategy(name: &str, params: &str) -> HybridSearchRequest {
    ranked(&[("strategy", name), ("params", params)])
}

pub(super) fn cases() -> Vec<Case> {
    let mut cases = rankers();
    cases.extend(windows());
    cases.extend(functions());
    cases.extend(parts());
    cases
}

fn rankers() -> Vec<Case> {
    let mut cases = Vec::new();
    for (name, params, want) in [
        ("best", "{}", "unsupported rank type best"),
        ("RRF", "{}", "unsupported rank type RRF"),
        ("rrf", "{}", "k not found in rank_params"),
        ("rrf", "", "params not found in rank_params"),
        ("rrf", "[60]", "no JSON object"),
        ("rrf", "{k}", "no JSON object"),
        ("rrf", "{\"k\": \"60\"}", "The type of rank param k should be float"),
        ("rrf", "{\"k\": null}", "The type of rank param k should be float"),
        ("rrf", "{\"k\": true}", "The type of rank param k should be float"),
        ("rrf", "{\"k\": 0}", "should be in range (0, 16384)"),
        ("rrf", "{\"k\": -1}", "should be in range (0, 16384)"),
        ("rrf", "{\"k\": 16384}", "should be in range (0, 16384)"),
        ("rrf", "{\"k\": 1e300}", "should be in range (0, 16384)"),
        ("weighted", "{}", "weights not found in rank_params"),
        ("weighted", "", "params not found in rank_params"),
        ("weighted", "{\"weights\": 1}", "The weights param should be an array"),
        ("weighted", "{\"weights\": \"1,1\"}", "The weights param should be an array"),
        ("weighted", "{\"weights\": {\"a\": 1}}", "The weights param should be an array"),
        ("weighted", "{\"weights\": [\"1\", 1]}", "The type of rank param weight should be float"),
        ("weighted", "{\"weights\": [null, 1]}", "The type of rank param weight should be float"),
        ("weighted", "{\"weights\": [true, 1]}", "The type of rank param weight should be float"),
        ("weighted", "{\"weights\": [1.1, 1]}", "rank param weight should be in range [0, 1]"),
        ("weighted", "{\"weights\": [0.5, -0.1]}", "rank param weight should be in range [0, 1]"),
        (
            "weighted",
            "{\"weights\": [1, 1], \"norm_score\": \"yes\"}",
            "The type of rank param norm_score should be bool",
        ),
        (
            "weighted",
            "{\"weights\": [1, 1], \"norm_score\": 1}",
            "The type of rank param norm_score should be bool",
        ),
    ] {
        cases.push(case(format!("{name} of {params}"), strategy(name, params), PLAIN, want));
    }
    for weights in ["[]", "[1]", "[1, 1, 1]"] {
        let request = strategy("weighted", &format!("{{\"weights\": {weights}}}"));
        let want = "the length of weights param mismatch with ann search requests";
        cases.push(case(format!("the weights {weights}"), request, INVALID, want));
    }
    cases
}

fn windows() -> Vec<Case> {
    let mut unlimited = good_hybrid();
    unlimited.rank_params.clear();
    let mut cases = vec![case("no limit", unlimited, PLAIN, "limit not found in rank_params")];
    for text in ["x", "1.5", "99999999999999999999"] {
        let want = format!("limit [{text}] is invalid");
        cases.push(case(format!("a limit of {text}"), ranked(&[("limit", text)]), PLAIN, &want));
    }
    for text in ["0", "-1", "-2", "16385"] {
        let want = "invalid max query result window";
        cases.push(case(format!("a limit of {text}"), ranked(&[("limit", text)]), PLAIN, want));
    }
    for (text, want) in [
        ("x", "offset [x] is invalid"),
        ("-1", "invalid max query result window"),
        ("16383", "(offset+limit) should be in range [1, 16384], but got 16385"),
    ] {
        cases.push(case(format!("an offset of {text}"), ranked(&[("offset", text)]), PLAIN, want));
    }
    for text in ["7", "-2", "x"] {
        let want = format!("round_decimal [{text}] is invalid");
        let request = ranked(&[("round_decimal", text)]);
        cases.push(case(format!("{text} decimals"), request, PLAIN, &want));
    }
    for text in ["median", "MAX", "1"] {
        let request = ranked(&[("group_by_field", "value"), ("rank_group_scorer", text)]);
        let want = format!("input group scorer type: {text} is not supported!");
        cases.push(case(format!("groups scored by {text}"), request, INVALID, &want));
    }
    for size in ["0", "101", "x"] {
        let request = ranked(&[("group_by_field", "value"), ("group_size", size)]);
        cases.push(case(format!("groups of {size}"), request, INVALID, "input group size:"));
    }
    let mut ranged = ranked(&[("group_by_field", "value")]);
    ranged.requests[1] = param("params", "{\"radius\": 1}");
    let want = "Not allowed to do range-search when doing search-group-by";
    cases.push(case("groups of a search within a range", ranged, INVALID, want));
    let nothing = ranked(&[("group_by_field", "nothing")]);
    cases.push(case("groups by nothing", nothing, 1700, "groupBy field not found in schema"));
    let vector = ranked(&[("group_by_field", "vector")]);
    cases.push(case("groups by a vector", vector, INVALID, "for group by operator"));
    cases
}

fn functions() -> Vec<Case> {
    let function = |kind: i32, params: &[(&str, &str)]| FunctionSchema {
        name: "f".to_owned(),
        r#type: kind,
        params: params.iter().map(|(key, value)| pair(key, value)).collect(),
        ..FunctionSchema::default()
    };
    let by = |functions| HybridSearchRequest {
        function_score: Some(FunctionScore { functions, params: Vec::new() }),
        ..good_hybrid()
    };
    let rerank = |params: &[(&str, &str)]| by(vec![function(3, params)]);
    let mut cases = Vec::new();
    for name in ["decay", "boost", "model"] {
        let want = format!("rerank function {name} is not supported yet");
        let request = rerank(&[("reranker", name)]);
        cases.push(case(format!("the function {name}"), request, INVALID, &want));
    }
    let rrf = [("reranker", "rrf")];
    let two = by(vec![function(3, &rrf), function(3, &rrf)]);
    let short = [("reranker", "weighted"), ("weights", "[1]")];
    cases.extend([
        case("another function", by(vec![function(1, &rrf)]), INVALID, "not a rerank function"),
        case("two functions", two, INVALID, "Currently only supports one rerank, but got 2"),
        case("no reranker", rerank(&[]), INVALID, "names no reranker"),
        case("an unknown one", rerank(&[("reranker", "x")]), INVALID, "rerank function x"),
        case("a k of 0", rerank(&[("reranker", "rrf"), ("k", "0")]), PLAIN, "(0, 16384)"),
        case("a k of x", rerank(&[("reranker", "rrf"), ("k", "x")]), PLAIN, "should be float"),
        case("no weights", rerank(&[("reranker", "weighted")]), PLAIN, "weights not found"),
        case("one weight", rerank(&short), INVALID, "[expected=2][actual=1]"),
    ]);
    cases
}

/// The searches themselves, and what they agree on.
fn parts() -> Vec<Case> {
    let mut cases = Vec::new();
    for name in NAMES {
        let request = HybridSearchRequest { collection_name: name.to_owned(), ..good_hybrid() };
        let want = if name.is_empty() { "should not be empty" } else { name };
        cases.push(case(format!("a collection {name:?}"), request, INVALID, want));
    }
    for (what, part, code, want) in [
        ("a topk of 0", param("topk", "0"), PLAIN, "but got 0"),
        ("a topk of x", param("topk", "x"), PLAIN, "topk [x] is invalid"),
        ("another metric", param("metric_type", "IP"), INVALID, "metric type not match"),
        ("no field", param("anns_field", "zz"), PLAIN, "zz"),
        ("a scalar", param("anns_field", "value"), INVALID, "not of vector type"),
        ("parameters", param("params", "{"), INVALID, "params is not a JSON object"),
        ("a range", param("params", "{\"radius\": \"x\"}"), INVALID, "param 'radius'"),
        ("decimals", param("round_decimal", "9"), PLAIN, "round_decimal [9] is invalid"),
        ("growing", param("ignore_growing", "x"), PLAIN, "parse search growing failed"),
        ("pages", param("iterator", "True"), INVALID, "an iterator is not supported"),
        ("nothing", SearchRequest { search_input: None, ..good() }, INVALID, "is missing"),
        ("a dimension", search("good", 8, &[0.5; 8], 2), INVALID, "dimension mismatch"),
        (
            "a filter",
            SearchRequest { dsl: "id >".to_owned(), ..good() },
            INVALID,
            "failed to create query plan: ",
        ),
        (
            "two queries",
            search("good", DIM, &[0.5; 2 * DIM], 2),
            INVALID,
            "must have the same number of queries",
        ),
    ] {
        let what = format!("{what} in the second search");
        cases.push(case(what, of(vec![good(), part]), code, want));
    }
    let west = HybridSearchRequest { partition_names: vec!["west".to_owned()], ..good_hybrid() };
    let output = HybridSearchRequest { output_fields: vec!["nothing".to_owned()], ..good_hybrid() };
    let idle = HybridSearchRequest { collection_name: "idle".to_owned(), ..good_hybrid() };
    let never = HybridSearchRequest { collection_name: "never".to_owned(), ..good_hybrid() };
    let wide = with_param(search("good", DIM, &[0.5; 300 * DIM], 2), "topk", "16384");
    cases.extend([
        case("no search", of(Vec::new()), INVALID, "at least one search request"),
        case("1025 searches", of(vec![good(); 1025]), PLAIN, "ann search requests is 1024"),
        case("a partition", west, PLAIN, "partition name west not found"),
        case("an output field", output, PLAIN, "field nothing not exist"),
        case("an unloaded collection", idle, 101, "not loaded"),
        case("no such collection", never, 100, "collection=never"),
        case("too many hits", of(vec![wide]), 1102, "a hybrid search may rank"),
    ]);
    cases
}
