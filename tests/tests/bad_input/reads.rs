//! Wrong searches and queries.

use bytes::Bytes;
use millstream_gateway::pb::search_request::SearchInput;
use millstream_gateway::pb::{QueryRequest, SearchRequest};
use millstream_tests::client::{pinned, query, search, search_params};
use millstream_tests::rows::{pair, placeholders};

use super::{ANY, Case, DIM, INVALID, PLAIN, case};

/// A search that would be accepted.
fn good() -> SearchRequest {
    search("good", DIM, &[0.5; DIM], 2)
}

/// A search with another parameter.
fn param(key: &str, value: &str) -> SearchRequest {
    let mut request = good();
    request.search_params.retain(|pair| pair.key != key);
    request.search_params.push(pair(key, value));
    request
}

fn filtered(filter: &str) -> SearchRequest {
    SearchRequest { dsl: filter.to_owned(), ..good() }
}

/// Wrong searches.
pub(crate) fn searches() -> Vec<Case> {
    let mut no_topk = good();
    no_topk.search_params.retain(|pair| pair.key != "topk");
    let mut wide = search("good", 8, &[0.5; 8], 2);
    wide.search_params = search_params("vector", "L2", 2);
    let garbage = SearchInput::PlaceholderGroup(Bytes::from_static(b"\xff\xff\xff"));
    let empty = SearchInput::PlaceholderGroup(placeholders(DIM, &[]));
    let half = SearchInput::PlaceholderGroup(placeholders(DIM - 1, &[0.5; DIM - 1]));
    let nan = SearchInput::PlaceholderGroup(placeholders(DIM, &[f32::NAN; DIM]));
    let input = |search_input| SearchRequest { search_input: Some(search_input), ..good() };
    let many = search("good", DIM, &vec![0.5; DIM * 16_385], 2);
    let partition = SearchRequest { partition_names: vec!["west".to_owned()], ..good() };
    let output = SearchRequest { output_fields: vec!["nothing".to_owned()], ..good() };
    let plan = "failed to create query plan: ";
    vec![
        case("an unloaded collection", search("idle", DIM, &[0.5; DIM], 2), 101, "not loaded"),
        case("a missing partition", partition, ANY, "west"),
        case("no topk", no_topk, ANY, "topk not found in search_params"),
        case("a topk of 0", param("topk", "0"), ANY, "should be in range [1, 16384], but got 0"),
        case("a topk of -1", param("topk", "-1"), ANY, "[1, 16384], but got -1"),
        case("a topk of 16385", param("topk", "16385"), ANY, "[1, 16384], but got 16385"),
        case("a topk that is a word", param("topk", "ten"), ANY, "ten"),
        case("an offset of -1", param("offset", "-1"), ANY, "offset [-1] is invalid"),
        case("an offset that is a word", param("offset", "x"), ANY, "offset [x] is invalid"),
        case("a far offset", param("offset", "16384"), ANY, "range [1, 16384], but got 16386"),
        case("another metric", param("metric_type", "IP"), INVALID, "metric type not match"),
        case("a missing metric", param("metric_type", "L3"), ANY, "metric type"),
        case("a missing field", param("anns_field", "zz"), ANY, "zz"),
        case("a field of numbers", param("anns_field", "value"), ANY, "value"),
        case("parameters that are no JSON", param("params", "{nprobe"), ANY, ""),
        case("7 decimals", param("round_decimal", "7"), ANY, "round_decimal [7] is invalid"),
        case("a maybe", param("ignore_growing", "maybe"), ANY, "parse search growing failed"),
        case("another dimension", wide, ANY, "dimension"),
        case("garbage as queries", input(garbage), ANY, ""),
        case("no query", SearchRequest { nq: 0, ..input(empty) }, ANY, "[1, 16384], but got 0"),
        case("a short query", input(half), ANY, "dimension"),
        case("a query that is no number", input(nan), ANY, ""),
        case("nothing to search for", SearchRequest { search_input: None, ..good() }, ANY, ""),
        case("16385 queries", many, ANY, "[1, 16384], but got 16385"),
        case("an unknown output field", output, PLAIN, "field nothing not exist"),
        case("a broken filter", filtered("id >"), INVALID, "cannot parse expression: id >"),
        case("a filter that is a number", filtered("id + 1"), INVALID, plan),
        case("an unknown field", filtered("nothing > 1"), INVALID, "field nothing not exist"),
        case("types that do not compare", filtered("id == 'a'"), INVALID, plan),
        case("an open text", filtered("id == 'a"), INVALID, plan),
        case("a deep filter", filtered(&deep()), ANY, ""),
    ]
}

/// Parentheses that would overflow a recursive parser.
fn deep() -> String {
    format!("{}id > 0{}", "(".repeat(500_000), ")".repeat(500_000))
}

fn limited(filter: &str, params: &[(&str, &str)]) -> QueryRequest {
    QueryRequest {
        query_params: params.iter().map(|(key, value)| pair(key, value)).collect(),
        ..query("good", filter, &["id"])
    }
}

/// Wrong queries; `now` is a timestamp.
pub(crate) fn queries(now: u64) -> Vec<Case> {
    let window = "(offset+limit) should be in range [1, 16384]";
    let partition = QueryRequest {
        partition_names: vec!["west".to_owned()],
        ..query("good", "id > 0", &["id"])
    };
    let counted = QueryRequest {
        output_fields: vec!["count(*)".to_owned()],
        ..limited("id > 0", &[("limit", "1")])
    };
    let hour = 3_600_000_u64 << 18;
    vec![
        case("an unloaded collection", query("idle", "id > 0", &["id"]), 101, "not loaded"),
        case("a missing partition", partition, ANY, "west"),
        case(
            "no filter and no limit",
            query("good", "", &["id"]),
            PLAIN,
            "empty expression should be used with limit",
        ),
        case("a count of a page", counted, ANY, "count entities with pagination is not allowed"),
        case("a limit of 16385", limited("id > 0", &[("limit", "16385")]), ANY, window),
        case("a limit of 0", limited("id > 0", &[("limit", "0")]), ANY, ""),
        case("a limit that is a word", limited("id > 0", &[("limit", "x")]), ANY, ""),
        case("a far page", limited("id > 0", &[("limit", "1"), ("offset", "16384")]), ANY, window),
        case(
            "an unknown output field",
            query("good", "id > 0", &["nothing"]),
            PLAIN,
            "field nothing not exist",
        ),
        case(
            "a broken filter",
            query("good", "id in [1,", &["id"]),
            INVALID,
            "failed to create query plan: cannot parse expression: id in [1,",
        ),
        case("a deep filter", query("good", &deep(), &["id"]), ANY, ""),
        case("the far future", pinned(query("good", "id > 0", &["id"]), now + hour), ANY, ""),
    ]
}
