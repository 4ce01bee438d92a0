//! Wrong indexes: every index type on the fields that it is not for, with the metrics and the
//! parameters that it does not take.
// tidy: table

use millstream_gateway::pb::CreateIndexRequest;
use millstream_gateway::pb::schema::{DataType, FieldSchema};
use millstream_tests::client::Client;
use millstream_tests::rows::{field, int_key, pair, schema, text_field};

use super::fields::{ELEMENTS, SCALARS, VECTORS};
use super::{Case, INVALID, PLAIN, case};

/// The collection with a field of every type and no index.
const NAME: &str = "bare";

/// What index types and metrics say of the vectors of a type.
fn class_of(vector: DataType) -> &'static str {
    match vector {
        DataType::BinaryVector => "binary",
        DataType::SparseFloatVector => "sparse",
        _ => "float",
    }
}

/// Index types of vectors, what they are for (as their refusals say it), and the metric that fits.
const TYPES: [(&str, &str, &str); 15] = [
    ("FLAT", "float", "L2"),
    ("IVF_FLAT", "float", "L2"),
    ("IVF_SQ8", "float", "L2"),
    ("IVF_PQ", "float", "L2"),
    ("HNSW", "float", "L2"),
    ("HNSW_SQ", "float", "L2"),
    ("HNSW_PQ", "float", "L2"),
    ("HNSW_PRQ", "float", "L2"),
    ("IVF_RABITQ", "float", "L2"),
    ("SCANN", "float", "L2"),
    ("DISKANN", "float", "L2"),
    ("BIN_FLAT", "binary", "HAMMING"),
    ("BIN_IVF_FLAT", "binary", "HAMMING"),
    ("SPARSE_INVERTED_INDEX", "sparse float", "IP"),
    ("SPARSE_WAND", "sparse float", "IP"),
];

/// Makes the collection.
pub(crate) async fn prepare(client: &Client) {
    let vector = |&(name, data_type): &(&str, DataType)| {
        let sparse = data_type == DataType::SparseFloatVector;
        let type_params = if sparse { Vec::new() } else { vec![pair("dim", 16)] };
        FieldSchema { type_params, ..field(name, data_type) }
    };
    let array = |&(name, element): &(&str, DataType)| FieldSchema {
        element_type: element.into(),
        type_params: vec![pair("max_capacity", 4), pair("max_length", 8)],
        ..field(name, DataType::Array)
    };
    let mut fields = vec![int_key(), text_field("word", 8), field("doc", DataType::Json)];
    fields.extend(SCALARS[..7].iter().map(|(name, data_type)| field(name, *data_type)));
    fields.extend(ELEMENTS.iter().map(array));
    fields.extend(VECTORS.iter().map(vector));
    client.create(&schema(NAME, fields), 1).await.expect("a collection");
}

/// An index with parameters beside its type; those in `json` as newer clients send them.
fn index(field: &str, kind: &str, flat: &[(&str, &str)], json: &str) -> CreateIndexRequest {
    let mut extra_params = vec![pair("index_type", kind)];
    extra_params.extend(flat.iter().map(|(key, value)| pair(key, value)));
    if !json.is_empty() {
        extra_params.push(pair("params", json));
    }
    CreateIndexRequest {
        collection_name: NAME.to_owned(),
        field_name: field.to_owned(),
        extra_params,
        ..CreateIndexRequest::default()
    }
}

pub(crate) fn cases() -> Vec<Case> {
    let families: [fn() -> Vec<Case>; 6] =
        [other_vectors, unknown, metrics, ranges, scalars, paths];
    families.into_iter().flat_map(|family| family()).collect()
}

/// Index types on vectors that they are not for.
fn other_vectors() -> Vec<Case> {
    let mut cases = Vec::new();
    for (kind, on, metric) in TYPES {
        for (field, data_type) in VECTORS {
            let class = class_of(data_type);
            // HNSW has binary vectors too.
            let fits = on.starts_with(class)
                || (kind == "HNSW" && class == "binary")
                || (on == "sparse float" && class == "sparse");
            let float_only = kind == "SCANN" && data_type != DataType::FloatVector;
            if fits && !float_only {
                continue;
            }
            let due = format!(
                "{kind} only support {on} vector data type, the field {field} is {data_type:?}: \
                 invalid parameter[expected=valid index params][actual=invalid index params]"
            );
            let request = index(field, kind, &[("metric_type", metric)], "");
            cases.push(case(format!("{kind} on {field}"), request, INVALID, &due));
        }
    }
    cases
}

/// Index types that there are not, also those of other machines, on every kind of field.
fn unknown() -> Vec<Case> {
    let mut cases = Vec::new();
    for kind in [
        "BEST",
        "flat",
        "Hnsw",
        "HNSW2",
        "IVF",
        "IVF FLAT",
        "ANNOY",
        "NSG",
        "RHNSW_FLAT",
        "HYBRID",
        "GPU_CAGRA",
        "GPU_IVF_FLAT",
        "GPU_IVF_PQ",
        "GPU_BRUTE_FORCE",
        "MINHASH_LSH",
        "中文",
        "%$#",
        " ",
    ] {
        for field in ["floats", "bits", "sparse", "word", "large"] {
            let due = format!("invalid index type: {kind}");
            cases.push(case(
                format!("{kind} on {field}"),
                index(field, kind, &[], ""),
                INVALID,
                &due,
            ));
        }
    }
    for kind in ["STL_SORT", "Trie", "INVERTED", "BITMAP", "NGRAM", "RTREE"] {
        for (field, _) in VECTORS {
            let due = format!("invalid index type: {kind} cannot be built on vector field {field}");
            cases.push(case(
                format!("{kind} on {field}"),
                index(field, kind, &[], ""),
                INVALID,
                &due,
            ));
        }
    }
    for field in ["nothing", "Floats", "floats ", "$meta", "RowID"] {
        let due = format!("cannot create index on non-exist field: {field}");
        cases.push(case(
            format!("the field {field}"),
            index(field, "FLAT", &[], ""),
            INVALID,
            &due,
        ));
    }
    cases
}

/// Metrics of other vectors, and those that are none.
fn metrics() -> Vec<Case> {
    let all = [
        "L2",
        "IP",
        "COSINE",
        "HAMMING",
        "JACCARD",
        "SUBSTRUCTURE",
        "SUPERSTRUCTURE",
        "BM25",
        "TANIMOTO",
        "MHJACCARD",
        "l 2",
        "%$#",
        "中文",
    ];
    let known = &all[..8];
    let mut cases = Vec::new();
    for (kind, on, _) in TYPES.into_iter().chain([("AUTOINDEX", "", "")]) {
        for (field, data_type) in VECTORS {
            let class = class_of(data_type);
            if !(on.is_empty() || on.starts_with(class)) || (kind == "SCANN" && field != "floats") {
                continue;
            }
            let bits: &[&str] = match kind {
                "BIN_IVF_FLAT" => &["HAMMING", "JACCARD"],
                _ => &["HAMMING", "JACCARD", "SUBSTRUCTURE", "SUPERSTRUCTURE"],
            };
            let fits: &[&str] = match class {
                "float" => &["L2", "IP", "COSINE"],
                "binary" => bits,
                _ => &["IP"],
            };
            // One field of each class is enough for all but one index type.
            if class == "float" && field != "floats" && kind != "HNSW" {
                continue;
            }
            for metric in all.into_iter().filter(|metric| !fits.contains(metric)) {
                let due = match class {
                    "sparse" if metric == "BM25" => {
                        "only BM25 Function output field support BM25 metric type".to_owned()
                    }
                    "sparse" => "only IP is the supported metric type for sparse index".to_owned(),
                    "binary" => format!(
                        "metric type {metric} not found or not supported, supported: [{}]",
                        bits.join(" ")
                    ),
                    _ if known.contains(&metric) => {
                        format!("float vector index does not support metric type: {metric}")
                    }
                    _ => format!(
                        "metric type {metric} not found or not supported, supported: [L2 IP COSINE \
                         HAMMING JACCARD]"
                    ),
                };
                let request = index(field, kind, &[("metric_type", metric)], "");
                cases.push(case(format!("{kind} on {field} by {metric}"), request, INVALID, &due));
            }
        }
    }
    cases
}

/// A parameter, its smallest and largest value, and values that it cannot have.
type Bounded = (&'static str, &'static str, &'static str, [&'static str; 4]);

/// Parameters that are no numbers or out of their range, flat and inside `params`.
fn ranges() -> Vec<Case> {
    let mut cases = Vec::new();
    let nlist = [("nlist", "1", "65536", ["0", "-1", "65537", "many"])];
    let hnsw = [
        ("M", "1", "2048", ["0", "-1", "2049", "many"]),
        ("efConstruction", "1", "2147483647", ["0", "-1", "2147483648", "1.5"]),
    ];
    let nbits = [("nbits", "1", "16", ["0", "-8", "17", "eight"])];
    let plan: [(&str, &str, &str, Vec<Bounded>); 10] = [
        ("IVF_FLAT", "floats", "", nlist.to_vec()),
        ("IVF_SQ8", "halves", "", nlist.to_vec()),
        ("IVF_PQ", "floats", "\"m\": 4", [&nlist[..], &nbits[..]].concat()),
        ("IVF_RABITQ", "floats", "", nlist.to_vec()),
        ("SCANN", "floats", "", nlist.to_vec()),
        ("BIN_IVF_FLAT", "bits", "", nlist.to_vec()),
        ("HNSW", "floats", "", hnsw.to_vec()),
        ("HNSW_SQ", "brains", "", hnsw.to_vec()),
        ("HNSW_PQ", "floats", "", [&hnsw[..], &nbits[..]].concat()),
        ("HNSW_PRQ", "floats", "", [&hnsw[..], &nbits[..]].concat()),
    ];
    for (kind, field, others, params) in plan {
        for (name, low, high, values) in params {
            for value in values {
                let due = format!(
                    "param '{name}' out of range: invalid parameter[{value} out of range {low} <= \
                     value <= {high}]"
                );
                let mut flat = vec![(name, value)];
                if !others.is_empty() {
                    flat.push(("m", "4"));
                }
                let request = index(field, kind, &flat, "");
                cases.push(case(format!("{kind}, {name} = {value}"), request, INVALID, &due));
                let comma = if others.is_empty() { "" } else { ", " };
                let json = format!("{{\"{name}\": \"{value}\"{comma}{others}}}");
                let request = index(field, kind, &[], &json);
                cases.push(case(format!("{kind} of {json}"), request, INVALID, &due));
            }
        }
    }
    for m in ["3", "5", "17", "0", "-4", "four"] {
        let request = index("floats", "IVF_PQ", &[], &format!("{{\"m\": \"{m}\"}}"));
        let due = if ["0", "-4", "four"].contains(&m) {
            "param 'm' out of range".to_owned()
        } else {
            format!("dimension must be able to be divided by `m`, dimension: 16, m: {m}")
        };
        cases.push(case(format!("IVF_PQ of m {m}"), request, INVALID, &due));
    }
    cases.push(case("IVF_PQ without m", index("floats", "IVF_PQ", &[], ""), INVALID, "param 'm'"));
    for kind in ["SPARSE_INVERTED_INDEX", "SPARSE_WAND"] {
        for value in ["-0.1", "1", "1.5", "some", "NaN"] {
            let json = format!("{{\"drop_ratio_build\": \"{value}\"}}");
            let due =
                format!("param 'drop_ratio_build' out of range: invalid parameter[{value} out");
            cases.push(case(
                format!("{kind} of {json}"),
                index("sparse", kind, &[], &json),
                INVALID,
                &due,
            ));
        }
        for algorithm in ["DAAT", "daat_wand", "TAAT", "BLOCK_MAX"] {
            let json = format!("{{\"inverted_index_algo\": \"{algorithm}\"}}");
            let due = format!(
                "sparse inverted index algo {algorithm} not found or not supported, supported: \
                 [DAAT_WAND DAAT_MAXSCORE TAAT_NAIVE]"
            );
            cases.push(case(
                format!("{kind} of {json}"),
                index("sparse", kind, &[], &json),
                INVALID,
                &due,
            ));
        }
    }
    for json in ["{", "[1]", "nlist=128", "1", "\"x\"", "{'nlist': 128}", "{\"nlist\": }"] {
        let due = format!("params is not a JSON object: {json}");
        cases.push(case(
            format!("the parameters {json}"),
            index("floats", "IVF_FLAT", &[], json),
            INVALID,
            &due,
        ));
    }
    for (key, value) in [("index_type", "HNSW"), ("metric_type", "IP"), ("nlist", "64")] {
        let flat = [("metric_type", "L2"), ("nlist", "128"), (key, value)];
        let due = format!("duplicated index param (key={key}) (value={value}) found");
        let request = index("floats", "IVF_FLAT", &flat, "");
        cases.push(case(format!("{key} twice"), request, INVALID, &due));
    }
    let long = "x".repeat(65_536);
    for (field, kind) in [("floats", "HNSW"), ("word", "Trie"), ("sparse", "SPARSE_WAND")] {
        let request = index(field, kind, &[("note", &long)], "");
        let due = format!("all index params take {} bytes, more than 65536", 65_550 + kind.len());
        cases.push(case(format!("a long parameter of {kind}"), request, 1102, &due));
    }
    let due = "only metric type can be passed when use AutoIndex";
    for (name, value) in [("M", "16"), ("efConstruction", "100"), ("nlist", "128"), ("level", "1")]
    {
        for field in ["floats", "bits", "sparse"] {
            let json = format!("{{\"{name}\": {value}}}");
            let what = format!("AUTOINDEX of {json} on {field}");
            cases.push(case(what, index(field, "AUTOINDEX", &[], &json), PLAIN, due));
            let what = format!("AUTOINDEX, {name} = {value} on {field}");
            let request = index(field, "AUTOINDEX", &[(name, value)], "");
            cases.push(case(what, request, PLAIN, due));
        }
    }
    cases
}

/// Index types of scalars on fields that they are not for.
fn scalars() -> Vec<Case> {
    let mut cases = Vec::new();
    let refused: [(&str, &[&str]); 7] = [
        ("STL_SORT", &["flag", "doc", "flags", "larges", "doubles", "words"]),
        (
            "Trie",
            &[
                "id", "flag", "tiny", "small", "middle", "large", "single", "double", "larges",
                "words",
            ],
        ),
        ("marisa-trie", &["id", "flag", "large", "double", "words"]),
        ("BITMAP", &["id", "single", "double", "doubles"]),
        ("NGRAM", &["id", "flag", "tiny", "large", "single", "double", "larges", "words"]),
        ("RTREE", &["id", "flag", "large", "double", "word", "words"]),
        ("TRIE", &["tiny", "single", "flags"]),
    ];
    for (kind, fields) in refused {
        for field in fields.iter().filter(|field| **field != "doc") {
            let due = format!("{kind} are not supported on ");
            let request = index(field, kind, &[], "");
            let what = format!("{kind} on {field}");
            let mut made = case(what, request, INVALID, &due);
            made.text.push_str(type_of(field));
            made.text.push_str(&format!(" field: {field}"));
            cases.push(made);
        }
    }
    for kind in ["FLAT", "IVF_FLAT", "HNSW", "DISKANN", "BIN_FLAT", "SPARSE_WAND", "SCANN"] {
        for field in ["id", "flag", "double", "word", "doc", "larges"] {
            let due = format!("invalid index type: {kind}, the field {field} is ");
            cases.push(case(
                format!("{kind} on {field}"),
                index(field, kind, &[], ""),
                INVALID,
                &due,
            ));
        }
    }
    for json in [
        "{}",
        "{\"min_gram\": 2}",
        "{\"max_gram\": 2}",
        "{\"min_gram\": 3, \"max_gram\": 2}",
        "{\"min_gram\": 0, \"max_gram\": 2}",
        "{\"min_gram\": -1, \"max_gram\": 2}",
        "{\"min_gram\": \"a\", \"max_gram\": 2}",
    ] {
        let due = "Ngram index must specify both min_gram and max_gram";
        cases.push(case(
            format!("NGRAM of {json}"),
            index("word", "NGRAM", &[], json),
            INVALID,
            due,
        ));
    }
    cases
}

/// The name of a field's type, as refusals have it.
fn type_of(field: &str) -> &'static str {
    match field {
        "id" | "large" => "Int64",
        "flag" => "Bool",
        "tiny" => "Int8",
        "small" => "Int16",
        "middle" => "Int32",
        "single" => "Float",
        "double" => "Double",
        "word" => "VarChar",
        _ => "Array",
    }
}

/// Indexes on JSON that name no path, or no type of what is there.
fn paths() -> Vec<Case> {
    let mut cases = Vec::new();
    let path = ("json_path", "doc[\"a\"]");
    for kind in ["INVERTED", "AUTOINDEX"] {
        for flat in [&[][..], &[path], &[("json_cast_type", "DOUBLE")]] {
            let due = "create index on JSON field is not supported";
            let what = format!("{kind} with {flat:?}");
            cases.push(case(what, index("doc", kind, flat, ""), INVALID, due));
        }
        for cast in ["INT", "INT64", "FLOAT", "STRING", "ARRAY", "OBJECT", "8"] {
            let due = format!("json_cast_type {cast} is not supported, supported: [BOOL DOUBLE");
            let request = index("doc", kind, &[path, ("json_cast_type", cast)], "");
            cases.push(case(format!("{kind} of {cast}"), request, INVALID, &due));
        }
    }
    for kind in ["STL_SORT", "Trie", "BITMAP", "RTREE"] {
        let request = index("doc", kind, &[path, ("json_cast_type", "DOUBLE")], "");
        let due = format!("{kind} are not supported on JSON field: doc");
        cases.push(case(format!("{kind} on doc"), request, INVALID, &due));
    }
    cases
}
