//! Wrong queries of every vector type, and metrics and parameters that an index does not have.

use millstream_gateway::pb::SearchRequest;
use millstream_gateway::pb::common::PlaceholderType;
use millstream_tests::rows::float_bytes;

use super::super::{Case, INVALID, PLAIN, case};
use super::{VECTORS, good_kinds, group, kinds, with_param};

const QUERY_TYPES: [PlaceholderType; 8] = [
    PlaceholderType::FloatVector,
    PlaceholderType::Float16Vector,
    PlaceholderType::BFloat16Vector,
    PlaceholderType::Int8Vector,
    PlaceholderType::BinaryVector,
    PlaceholderType::SparseFloatVector,
    PlaceholderType::VarChar,
    PlaceholderType::EmbListFloatVector,
];

const METRICS: [&str; 10] = [
    "L2",
    "IP",
    "COSINE",
    "HAMMING",
    "JACCARD",
    "SUBSTRUCTURE",
    "SUPERSTRUCTURE",
    "BM25",
    "TANIMOTO",
    "l 2",
];

pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (name, _, kind, width, _, metric) in VECTORS {
        for other in QUERY_TYPES.into_iter().filter(|other| *other != kind) {
            let request = kinds(name, other, vec![0; width]);
            let want = format!("[expected={}]", kind.as_str_name());
            let what = format!("{} for {name}", other.as_str_name());
            cases.push(case(what, request, INVALID, &want));
        }
        for other in METRICS.into_iter().filter(|other| *other != metric) {
            let request = with_param(good_kinds(name), "metric_type", other);
            let want = format!("metric type not match: invalid parameter[expected={metric}]");
            cases.push(case(format!("{name} by {other}"), request, INVALID, &want));
        }
        if width > 0 {
            for bytes in [0, 1, width - 1, width + 1, 2 * width].into_iter().filter(|b| *b != width)
            {
                let request = kinds(name, kind, vec![0; bytes]);
                let want = format!("expected vector size(byte) {width}, actual {bytes}");
                cases.push(case(format!("{bytes} bytes for {name}"), request, INVALID, &want));
            }
        }
        let two = vec![vec![0; width]; 2];
        let both =
            SearchRequest { search_input: Some(group(kind, two)), nq: 1, ..good_kinds(name) };
        cases.push(case(format!("two for one in {name}"), both, INVALID, "nq does not agree"));
        let none = SearchRequest {
            search_input: Some(group(kind, Vec::new())),
            nq: 0,
            ..good_kinds(name)
        };
        cases.push(case(format!("no query of {name}"), none, PLAIN, "but got 0"));
    }
    cases.extend(unusual());
    cases.extend(sparse());
    cases.extend(tuning());
    cases
}

/// Components that are no numbers.
fn unusual() -> Vec<Case> {
    let mut cases = Vec::new();
    for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let mut query = [0.5; 16];
        query[15] = value;
        let full = float_bytes(&query);
        let brain: Vec<u8> = query.iter().flat_map(|x| x.to_le_bytes()[2..].to_vec()).collect();
        let bits: u16 = if value.is_nan() { 0x7E00 } else { 0x7C00 };
        let mut half = vec![0; 30];
        half.extend(bits.to_le_bytes());
        for (name, kind, query) in [
            ("floats", PlaceholderType::FloatVector, full),
            ("halves", PlaceholderType::Float16Vector, half),
            ("brains", PlaceholderType::BFloat16Vector, brain),
        ] {
            let want = "is not a number or infinity";
            cases.push(case(
                format!("{value} for {name}"),
                kinds(name, kind, query),
                INVALID,
                want,
            ));
        }
    }
    cases
}

/// Sparse queries that are no lists of ascending pairs.
fn sparse() -> Vec<Case> {
    let pairs = |pairs: &[(u32, f32)]| -> Vec<u8> {
        let bytes = |(at, value): &(u32, f32)| [at.to_le_bytes(), value.to_le_bytes()].concat();
        pairs.iter().flat_map(bytes).collect()
    };
    let rows = [
        ("half a pair", vec![0; 7]),
        ("four bytes", vec![0; 4]),
        ("falling indices", pairs(&[(5, 1.0), (4, 1.0)])),
        ("an index twice", pairs(&[(5, 1.0), (5, 1.0)])),
        ("NaN", pairs(&[(5, f32::NAN)])),
        ("infinity", pairs(&[(5, f32::INFINITY)])),
        ("the largest index", pairs(&[(u32::MAX, 1.0)])),
    ];
    let kind = PlaceholderType::SparseFloatVector;
    let case_of = |(what, row)| case(what, kinds("sparse", kind, row), INVALID, "sparse");
    rows.into_iter().map(case_of).collect()
}

/// Parameters that an index type reads.
fn tuning() -> Vec<Case> {
    let mut cases = Vec::new();
    for (field, name, values) in [
        ("floats", "nprobe", ["0", "-1", "65537", "\"x\"", "1.5"]),
        ("halves", "ef", ["0", "-1", "2147483648", "\"x\"", "true"]),
        ("sparse", "drop_ratio_search", ["1", "-0.1", "1.5", "\"x\"", "true"]),
    ] {
        for value in values {
            let json = format!("{{\"{name}\": {value}}}");
            let request = with_param(good_kinds(field), "params", &json);
            cases.push(case(format!("{json} for {field}"), request, INVALID, name));
        }
    }
    // The hits before the offset are looked for too.
    for (ef, offset, want) in [
        (1, "0", "ef(1) should be larger than k(2)"),
        (15, "18", "ef(15) should be larger than k(20)"),
    ] {
        let request = with_param(good_kinds("halves"), "params", &format!("{{\"ef\": {ef}}}"));
        let request = with_param(request, "offset", offset);
        cases.push(case(format!("ef {ef} from {offset}"), request, PLAIN, want));
    }
    cases
}
