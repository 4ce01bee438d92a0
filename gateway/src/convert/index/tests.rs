//! Tests of index definitions.

use millstream_catalog::model::FieldId;

use super::*;

fn field(data_type: DataType) -> FieldSchema {
    FieldSchema { dim: 8, max_length: 4, ..FieldSchema::new(FieldId(101), "f", data_type) }
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<KeyValuePair> {
    let pair = |(k, v): &(&str, &str)| KeyValuePair { key: (*k).into(), value: (*v).into() };
    pairs.iter().map(pair).collect()
}

fn vector(given: &[(&str, &str)]) -> Result<Definition, Fault> {
    define(&field(DataType::FloatVector), &pairs(given))
}

fn on(data_type: DataType, index: &str, metric: &str) -> Result<Definition, Fault> {
    define(&field(data_type), &pairs(&[("index_type", index), ("metric_type", metric)]))
}

#[test]
fn the_index_of_hello_world_is_accepted_and_kept_as_given() {
    let params = "{\"nlist\": 128}";
    let made =
        vector(&[("index_type", "IVF_FLAT"), ("metric_type", "L2"), ("params", params)]).unwrap();
    assert!(!made.exact_in_place);
    let keys: Vec<&str> = made.params.iter().map(|(k, _)| k.as_str()).collect();
    assert_eq!(keys, ["index_type", "metric_type", "params"]);
    assert_eq!(made.params[2].1, params);
}

#[test]
fn a_parameter_out_of_range_is_refused() {
    for params in ["{\"nlist\": 0}", "{\"nlist\": 65537}", "{\"nlist\": \"x\"}"] {
        let fault = vector(&[("index_type", "IVF_SQ8"), ("params", params)]).unwrap_err();
        assert!(fault.message.contains("out of range 1 <= value <= 65536"), "{fault}");
    }
    let flat_key = vector(&[("index_type", "HNSW"), ("M", "4096")]).unwrap_err();
    assert!(flat_key.message.contains("'M' out of range"), "{flat_key}");
    let odd = vector(&[("index_type", "IVF_PQ"), ("params", "{\"m\": 3}")]).unwrap_err();
    assert!(odd.message.contains("divided by `m`"), "{odd}");
}

#[test]
fn unknown_types_and_metrics_are_refused_in_the_words_that_clients_know() {
    let kind = vector(&[("index_type", "MAGIC")]).unwrap_err();
    assert_eq!(kind.message, "invalid index type: MAGIC: invalid parameter");
    let metric = vector(&[("metric_type", "FOO")]).unwrap_err();
    assert!(metric.message.contains("metric type FOO not found or not supported"), "{metric}");
    let auto = vector(&[("index_type", "AUTOINDEX"), ("params", "{\"nlist\": 1}")]);
    assert!(auto.unwrap_err().message.contains("only metric type can be passed"));
    let flat = vector(&[("index_type", "AUTOINDEX"), ("M", "16")]).unwrap_err();
    assert_eq!(flat.code, Code::Unexpected);
    assert!(flat.message.contains("only metric type can be passed"));
    assert!(vector(&[("index_type", "AUTOINDEX"), ("mmap.enabled", "true")]).is_ok());
}

#[test]
fn without_parameters_the_server_chooses_type_and_metric() {
    for (data_type, metric) in [
        (DataType::FloatVector, "COSINE"),
        (DataType::Int8Vector, "COSINE"),
        (DataType::BinaryVector, "HAMMING"),
        (DataType::SparseFloatVector, "IP"),
    ] {
        let made = define(&field(data_type), &[]).unwrap();
        assert_eq!((made.params[0].1.as_str(), made.params[1].1.as_str()), ("AUTOINDEX", metric));
    }
}

#[test]
fn every_vector_type_has_its_index_types_and_metrics() {
    use DataType::{BFloat16Vector, BinaryVector, FloatVector, Int8Vector, SparseFloatVector};
    for data_type in [FloatVector, DataType::Float16Vector, BFloat16Vector, Int8Vector] {
        for metric in ["L2", "IP", "COSINE"] {
            assert!(on(data_type, "FLAT", metric).is_ok());
            assert!(on(data_type, "HNSW", metric).is_ok());
        }
        let text = on(data_type, "FLAT", "HAMMING").unwrap_err().message;
        assert!(text.contains("does not support metric type: HAMMING"), "{text}");
        assert!(on(data_type, "BIN_FLAT", "HAMMING").is_err());
        assert!(on(data_type, "SPARSE_WAND", "IP").is_err());
        assert_eq!(on(data_type, "SCANN", "L2").is_ok(), data_type == FloatVector);
    }
    for metric in ["HAMMING", "JACCARD", "SUBSTRUCTURE", "SUPERSTRUCTURE"] {
        assert!(on(BinaryVector, "BIN_FLAT", metric).is_ok());
    }
    let text = on(BinaryVector, "BIN_IVF_FLAT", "SUBSTRUCTURE").unwrap_err().message;
    assert!(text.contains("not supported, supported: [HAMMING JACCARD]"), "{text}");
    let text = on(BinaryVector, "FLAT", "L2").unwrap_err().message;
    assert!(text.contains("FLAT only support float vector data type"), "{text}");
    assert!(on(SparseFloatVector, "SPARSE_INVERTED_INDEX", "IP").is_ok());
    let text = on(SparseFloatVector, "SPARSE_INVERTED_INDEX", "L2").unwrap_err().message;
    assert!(text.contains("only IP is the supported metric type for sparse index"), "{text}");
    let text = on(SparseFloatVector, "HNSW", "IP").unwrap_err().message;
    assert!(text.ends_with("[expected=valid index params][actual=invalid index params]"), "{text}");
}

#[test]
fn bm25_is_the_metric_of_function_outputs_and_of_nothing_else() {
    let output = FieldSchema { is_function_output: true, ..field(DataType::SparseFloatVector) };
    let with = |metric| define(&output, &pairs(&[("metric_type", metric)]));
    assert!(with("BM25").is_ok());
    assert!(with("IP").unwrap_err().message.contains("must be BM25, got IP"));
    assert_eq!(define(&output, &[]).unwrap().params[1].1, "BM25");
    let text = on(DataType::SparseFloatVector, AUTOINDEX, "BM25").unwrap_err().message;
    assert!(text.contains("only BM25 Function output field"), "{text}");
    assert!(on(DataType::FloatVector, "FLAT", "BM25").is_err());
}

#[test]
fn parameters_of_sparse_indexes_are_checked() {
    let with = |params: &str| {
        let given = [("index_type", "SPARSE_INVERTED_INDEX"), ("params", params)];
        define(&field(DataType::SparseFloatVector), &pairs(&given))
    };
    assert!(with("{\"drop_ratio_build\": 0.2, \"inverted_index_algo\": \"DAAT_WAND\"}").is_ok());
    assert!(with("{\"drop_ratio_build\": 1}").is_err());
    assert!(with("{\"drop_ratio_build\": \"NaN\"}").is_err());
    assert!(with("{\"bm25_k1\": 3.5}").unwrap_err().message.contains("'bm25_k1' out of range"));
    assert!(with("{\"inverted_index_algo\": \"FAST\"}").unwrap_err().message.contains("FAST"));
}

#[test]
fn scalar_types_fit_their_fields_only() {
    let on = |data_type, kind| define(&field(data_type), &pairs(&[("index_type", kind)]));
    assert!(on(DataType::VarChar, "Trie").is_ok());
    assert!(on(DataType::Int64, "STL_SORT").is_ok());
    assert!(on(DataType::Bool, "INVERTED").is_ok());
    assert!(on(DataType::Int64, "Trie").is_err());
    assert!(on(DataType::Json, "INVERTED").unwrap_err().message.contains("is not supported"));
    assert!(on(DataType::Int64, "IVF_FLAT").is_err());
    assert!(on(DataType::Double, "BITMAP").is_err());
    assert!(on(DataType::VarChar, "NGRAM").is_err());
    let of = |element| FieldSchema { element_type: Some(element), ..field(DataType::Array) };
    let array = |element, kind| define(&of(element), &pairs(&[("index_type", kind)]));
    assert!(array(DataType::Int8, "BITMAP").is_ok());
    assert!(array(DataType::Float, "INVERTED").is_ok());
    assert!(array(DataType::Float, "BITMAP").is_err());
    assert!(array(DataType::Int8, "STL_SORT").is_err());
}

#[test]
fn an_index_on_json_is_for_a_path() {
    let with = |params: &str| {
        define(&field(DataType::Json), &pairs(&[("index_type", "INVERTED"), ("params", params)]))
    };
    let made = with("{\"json_path\": \"f['a']\", \"json_cast_type\": \"double\"}").unwrap();
    assert_eq!(made.params[1], ("json_path".to_owned(), "f['a']".to_owned()));
    let cast = with("{\"json_path\": \"f['a']\", \"json_cast_type\": \"date\"}").unwrap_err();
    assert!(cast.message.contains("json_cast_type date is not supported"), "{cast}");
}

#[test]
fn what_is_built_follows_from_the_type_and_its_parameters() {
    use millstream_catalog::model::{IndexId, Timestamp};
    let how = |data_type, given: &[(&str, &str)]| {
        let field = field(data_type);
        let params = define(&field, &pairs(given)).unwrap().params;
        let (id, name, created) = (IndexId(9), "f".to_owned(), Timestamp(1));
        let index = IndexDef { id, name, field: field.id, params, created };
        spec_of(&field, &index).map(|spec| spec.how)
    };
    let float = DataType::FloatVector;
    let lists = |kind, nlist| Some(How::Lists(IvfParams { kind, nlist }));
    let ivf = |params| how(float, &[("index_type", "IVF_FLAT"), ("params", params)]);
    assert_eq!(ivf("{\"nlist\": 1024}"), lists(IvfKind::Flat, 1024));
    assert_eq!(ivf("{}"), lists(IvfKind::Flat, 128));
    let flat = [("index_type", "IVF_SQ8"), ("nlist", "65536")];
    assert_eq!(how(float, &flat), lists(IvfKind::Sq8, 65_536));
    assert_eq!(how(float, &[("index_type", "SCANN")]), lists(IvfKind::Sq8, 128));
    let bits = [("index_type", "BIN_IVF_FLAT"), ("metric_type", "JACCARD")];
    assert_eq!(how(DataType::BinaryVector, &bits), lists(IvfKind::Bits, 128));
    let graph = How::Graph(GraphParams { m: 16, ef_construction: 200 });
    assert_eq!(how(float, &[]), Some(graph));
    assert_eq!(how(DataType::BinaryVector, &[]), None);
    assert_eq!(how(float, &[("index_type", "FLAT")]), None);
}
