//! Tests of the parameters of searches.

use millstream_catalog::model::Metric;
use millstream_dataflow::api::Bound;

use super::*;

fn pairs(pairs: &[(&str, &str)]) -> Vec<KeyValuePair> {
    let pair = |(k, v): &(&str, &str)| KeyValuePair { key: (*k).into(), value: (*v).into() };
    pairs.iter().map(pair).collect()
}

fn text(given: &[(&str, &str)]) -> String {
    search_params(&pairs(given), None).unwrap_err().message
}

#[test]
fn the_parameters_of_a_plain_search_are_read() {
    let read = search_params(
        &pairs(&[
            ("anns_field", "v"),
            ("topk", "10"),
            ("metric_type", "L2"),
            ("params", "{\"nprobe\": 10}"),
            ("round_decimal", "-1"),
            ("ignore_growing", "False"),
            ("offset", "5"),
        ]),
        None,
    );
    let read = read.unwrap();
    assert_eq!((read.topk, read.offset, read.round_decimal), (10, 5, None));
    assert_eq!(read.metric.as_deref(), Some("L2"));
}

#[test]
fn parameters_out_of_range_are_refused_in_the_words_that_clients_know() {
    assert_eq!(text(&[]), "topk not found in search_params");
    assert!(
        text(&[("topk", "0")])
            .starts_with("topk [0] is invalid, top k should be in range [1, 16384], but got 0")
    );
    assert!(text(&[("topk", "x")]).contains("topk [x] is invalid"));
    assert!(text(&[("topk", "1"), ("offset", "-1")]).contains("offset [-1] is invalid"));
    assert!(text(&[("topk", "16384"), ("offset", "1")]).contains("but got 16385"));
    assert!(text(&[("topk", "1"), ("round_decimal", "7")]).contains("round_decimal [7]"));
    let maybe = text(&[("topk", "1"), ("ignore_growing", "maybe")]);
    assert!(maybe.contains("parse search growing failed"));
    let alone = text(&[("topk", "1"), ("params", "{\"range_filter\": 1}")]);
    assert!(alone.contains("range_filter requires radius"), "{alone}");
    let grouped = [("topk", "1"), ("group_by_field", "a"), ("params", "{\"radius\": 1}")];
    assert!(text(&grouped).contains("Not allowed to do range-search"));
}

#[test]
fn a_range_lies_between_the_filter_and_the_radius_of_its_metric() {
    let read = |params: &str| search_params(&pairs(&[("topk", "1"), ("params", params)]), None);
    let range = read(r#"{"radius": 2.5, "range_filter": "1"}"#).unwrap();
    let bounds = range.bounds(Metric::L2).unwrap();
    assert_eq!(bounds.best, Some(Bound { score: 1.0, inclusive: true }));
    assert_eq!(bounds.worst, Some(Bound { score: 2.5, inclusive: false }));
    let wrong = range.bounds(Metric::Ip).unwrap_err().message;
    assert!(wrong.contains("range_filter(1) must be greater than radius(2.5)"), "{wrong}");
    assert!(read(r#"{"radius": "far"}"#).is_err());
    assert_eq!(read("{}").unwrap().bounds(Metric::Ip).unwrap(), Default::default());
}

#[test]
fn a_page_begins_behind_the_page_before() {
    let page = [
        ("topk", "7"),
        ("iterator", "True"),
        ("search_iter_v2", "True"),
        ("search_iter_batch_size", "7"),
        ("search_iter_last_bound", "0.5"),
        ("params", r#"{"radius": 2, "range_filter": 0.25}"#),
    ];
    let read = search_params(&pairs(&page), None).unwrap();
    let bounds = read.bounds(Metric::L2).unwrap();
    assert_eq!(bounds.best, Some(Bound { score: 0.5, inclusive: false }));
    let without = |key: &str| {
        let left: Vec<_> = page.iter().copied().filter(|(k, _)| *k != key).collect();
        search_params(&pairs(&left), None)
    };
    let first = without("search_iter_last_bound").unwrap().bounds(Metric::L2).unwrap();
    assert_eq!(first.best, Some(Bound { score: 0.25, inclusive: true }));
    let sizeless = without("search_iter_batch_size").unwrap_err().message;
    assert!(sizeless.ends_with("batch size is required"), "{sizeless}");
    assert!(without("iterator").is_err());
}

#[test]
fn what_is_said_to_an_index_is_checked_by_its_type() {
    let check = |index, json: &str| {
        check_tuning(index, &serde_json::from_str(json).unwrap(), Some(10)).map_err(|f| f.message)
    };
    assert_eq!(check("HNSW", r#"{"ef": 10}"#), Ok(()));
    assert_eq!(check("FLAT", r#"{"ef": 1}"#), Ok(()));
    assert!(check("HNSW", r#"{"ef": 9}"#).unwrap_err().contains("larger than k(10)"));
    assert!(check("DISKANN", r#"{"search_list": 9}"#).unwrap_err().contains("larger than k(10)"));
    let few = check("SCANN", r#"{"nprobe": 8, "reorder_k": 9}"#).unwrap_err();
    assert_eq!(few, "reorder_k(9) should be larger than k(10)");
    assert_eq!(check("SCANN", r#"{"reorder_k": 10}"#), Ok(()));
    let few: Map<String, Value> = serde_json::from_str(r#"{"ef": 1}"#).unwrap();
    assert!(check_tuning("HNSW", &few, None).is_ok(), "nothing says how many hits there are");
    assert!(check("IVF_FLAT", r#"{"nprobe": 0}"#).unwrap_err().contains("[1, 65536]"));
    assert!(check("IVF_FLAT", r#"{"nprobe": "x"}"#).unwrap_err().contains("an integer"));
    let ratio = r#"{"drop_ratio_search": 1}"#;
    assert!(check("SPARSE_INVERTED_INDEX", ratio).unwrap_err().contains("drop_ratio_search"));
}
