//! Index definitions: which types exist, on which fields, with which metrics, and the range of each
//! parameter.
//!
//! HNSW, HNSW_SQ, DISKANN and AUTOINDEX of dense vectors of numbers are graphs beside the sealed
//! segments; IVF_FLAT, IVF_SQ8, SCANN and BIN_IVF_FLAT are lists beside them. Every other type is
//! answered exactly, by scanning, which satisfies every index type: they are accepted with their
//! parameters checked, kept and described as given.

mod scalar;
#[cfg(test)]
mod tests;

use millstream_catalog::model::limits::INDEX_ALTERABLE;
use millstream_catalog::model::{Code, DataType, Fault, FieldSchema, IndexDef, Metric, Props};
use millstream_dataflow::storage::{GraphParams, How, IndexSpec, IvfKind, IvfParams};
use serde_json::{Map, Value};

use super::params;
use crate::pb::common::KeyValuePair;

/// The type that lets the server choose.
pub const AUTOINDEX: &str = "AUTOINDEX";

struct Param {
    name: &'static str,
    low: i64,
    high: i64,
}

const fn param(name: &'static str, low: i64, high: i64) -> Param {
    Param { name, low, high }
}

const NLIST: Param = param("nlist", 1, 65_536);
const NBITS: Param = param("nbits", 1, 16);
const HNSW_M: Param = param("M", 1, 2_048);
const EF: Param = param("efConstruction", 1, i32::MAX as i64);

/// The kinds of vectors that an index type is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum On {
    /// FloatVector only.
    Float,
    /// All dense vectors of numbers.
    Numbers,
    /// These and binary ones.
    Dense,
    Binary,
    Sparse,
    Any,
}

impl On {
    const fn fits(self, data_type: DataType) -> bool {
        match data_type {
            DataType::FloatVector => matches!(self, On::Float | On::Numbers | On::Dense | On::Any),
            DataType::BinaryVector => matches!(self, On::Dense | On::Binary | On::Any),
            DataType::SparseFloatVector => matches!(self, On::Sparse | On::Any),
            _ => matches!(self, On::Numbers | On::Dense | On::Any),
        }
    }

    const fn name(self) -> &'static str {
        match self {
            On::Binary => "binary",
            On::Sparse => "sparse float",
            _ => "float",
        }
    }
}

const FLOAT_METRICS: &[Metric] = &[Metric::L2, Metric::Ip, Metric::Cosine];
const BIT_METRICS: &[Metric] = &[Metric::Hamming, Metric::Jaccard];
const ALL_BIT_METRICS: &[Metric] =
    &[Metric::Hamming, Metric::Jaccard, Metric::Substructure, Metric::Superstructure];

/// The index types of vectors with the integer parameters that have a range.
const TYPES: &[(&str, On, &[Param])] = &[
    ("FLAT", On::Numbers, &[]),
    ("IVF_FLAT", On::Numbers, &[NLIST]),
    ("IVF_SQ8", On::Numbers, &[NLIST]),
    ("IVF_PQ", On::Numbers, &[NLIST, NBITS, param("m", 1, 32_768)]),
    ("HNSW", On::Dense, &[HNSW_M, EF]),
    ("HNSW_SQ", On::Numbers, &[HNSW_M, EF]),
    ("HNSW_PQ", On::Numbers, &[HNSW_M, EF, NBITS]),
    ("HNSW_PRQ", On::Numbers, &[HNSW_M, EF, NBITS]),
    ("IVF_RABITQ", On::Numbers, &[NLIST]),
    ("SCANN", On::Float, &[NLIST]),
    ("DISKANN", On::Numbers, &[]),
    ("BIN_FLAT", On::Binary, &[]),
    ("BIN_IVF_FLAT", On::Binary, &[NLIST]),
    ("SPARSE_INVERTED_INDEX", On::Sparse, &[]),
    ("SPARSE_WAND", On::Sparse, &[]),
    (AUTOINDEX, On::Any, &[]),
];

/// What can be given beside [`AUTOINDEX`].
const AUTOINDEX_KEYS: [&str; 3] = ["index_type", "metric_type", "params"];

/// The types whose sealed segments are walked on a graph.
const GRAPHS: [&str; 4] = ["HNSW", "HNSW_SQ", "DISKANN", AUTOINDEX];

/// The types whose sealed segments have lists, and what these hold.
///
/// SCANN looks for `reorder_k` rows by their codes and orders them by their vectors, which are always
/// there.
const LISTS: [(&str, IvfKind); 4] = [
    ("IVF_FLAT", IvfKind::Flat),
    ("IVF_SQ8", IvfKind::Sq8),
    ("SCANN", IvfKind::Sq8),
    ("BIN_IVF_FLAT", IvfKind::Bits),
];

/// The number of lists when nobody says.
const DEFAULT_NLIST: usize = 128;

/// The parameters of sparse indexes that are fractions, with their largest value.
const FRACTIONS: [(&str, f64); 3] = [("drop_ratio_build", 1.0), ("bm25_k1", 3.0), ("bm25_b", 1.0)];
/// How sparse indexes can be walked.
const ALGORITHMS: [&str; 3] = ["DAAT_WAND", "DAAT_MAXSCORE", "TAAT_NAIVE"];

/// An index definition that was checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Definition {
    /// Parameters to keep: `index_type` first, `metric_type` for vectors, the rest as given.
    pub params: Props,
    /// Whether searches are exact although the type is approximate.
    pub exact_in_place: bool,
}

/// The parameters of a request, flat or inside `params`.
struct Given<'a> {
    extra: &'a [KeyValuePair],
    nested: Map<String, Value>,
}

impl Given<'_> {
    /// The keys, but for what can be altered later.
    fn keys(&self) -> impl Iterator<Item = &str> {
        let flat = self.extra.iter().map(|pair| pair.key.as_str());
        let all = flat.chain(self.nested.keys().map(String::as_str));
        all.filter(|key| !INDEX_ALTERABLE.contains(key))
    }

    fn get(&self, key: &str) -> Option<String> {
        params::find(self.extra, key)
            .map(str::to_owned)
            .or_else(|| self.nested.get(key).map(plain))
            .filter(|text| !text.is_empty())
    }
}

/// Checks the parameters of a new index on a field.
pub fn define(field: &FieldSchema, extra: &[KeyValuePair]) -> Result<Definition, Fault> {
    params::check_pairs("index param", extra)?;
    let given = Given { extra, nested: params::nested(extra)? };
    let index_type = given.get("index_type").unwrap_or_else(|| AUTOINDEX.to_owned());
    if !field.data_type.is_vector() {
        return scalar::define(field, &index_type, &given);
    }
    let Some((name, on, ranges)) = TYPES.iter().find(|(name, ..)| *name == index_type) else {
        let name = &field.name;
        return Err(match scalar::is_type(&index_type) {
            true => Fault::invalid(format!(
                "invalid index type: {index_type} cannot be built on vector field {name}"
            )),
            false => Fault::invalid(format!("invalid index type: {index_type}")),
        });
    };
    if !on.fits(field.data_type) {
        return Err(invalid_params(&format!(
            "{name} only support {} vector data type, the field {} is {}",
            on.name(),
            field.name,
            field.data_type.name()
        )));
    }
    let metric = metric_of(field, name, given.get("metric_type"))?;
    if *name == AUTOINDEX && given.keys().any(|key| !AUTOINDEX_KEYS.contains(&key)) {
        return Err(Fault::plain("only metric type can be passed when use AutoIndex"));
    }
    for range in *ranges {
        if let Some(text) = given.get(range.name) {
            check_range(range, &text)?;
        }
    }
    if *name == "IVF_PQ" {
        check_divides(field, given.get("m"))?;
    }
    if *on == On::Sparse {
        check_sparse(&given)?;
    }
    let mut kept: Props = vec![
        ("index_type".to_owned(), index_type.clone()),
        ("metric_type".to_owned(), metric.name().to_owned()),
    ];
    keep_rest(&mut kept, extra);
    let built = GRAPHS.contains(name) || LISTS.iter().any(|(lists, _)| lists == name);
    let as_asked = matches!(*name, "FLAT" | "BIN_FLAT") || built || *on == On::Sparse;
    Ok(Definition { params: kept, exact_in_place: !as_asked })
}

/// What an index asks for beside sealed segments; none when its type is answered by scans.
pub fn spec_of(field: &FieldSchema, index: &IndexDef) -> Option<IndexSpec> {
    let kind = index.param("index_type")?;
    let metric = Metric::from_name(index.param("metric_type")?)?;
    let nested: Map<String, Value> =
        index.param("params").and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    let number = |key: &str, usual: usize| {
        let text = index.param(key).map(str::to_owned).or_else(|| nested.get(key).map(plain));
        text.and_then(|text| text.trim().parse().ok()).unwrap_or(usual)
    };
    let spec = |how| Some(IndexSpec { index: index.id, field: field.id, metric, how });
    if let Some(&(_, holds)) = LISTS.iter().find(|(name, _)| *name == kind) {
        let nlist = number("nlist", DEFAULT_NLIST).clamp(1, 65_536);
        return spec(How::Lists(IvfParams { kind: holds, nlist }));
    }
    let numbers = field.data_type.is_vector()
        && !matches!(field.data_type, DataType::BinaryVector | DataType::SparseFloatVector);
    if !numbers || !GRAPHS.contains(&kind) {
        return None;
    }
    let usual = GraphParams::default();
    // Milvus takes M from 1; a graph needs two links a node to hold together. What a type does not
    // list is not checked when the index is defined.
    let m = number("M", usual.m).clamp(2, 2_048);
    let ef_construction = number("efConstruction", usual.ef_construction).clamp(1, 1 << 20);
    spec(How::Graph(GraphParams { m, ef_construction }))
}

/// `<text>: invalid parameter[expected=valid index params][actual=invalid index params]`.
fn invalid_params(text: &str) -> Fault {
    Fault::expected(text, "valid index params", "invalid index params")
}

/// The metric of an index: as given, if it is one for the field, otherwise the usual one.
fn metric_of(field: &FieldSchema, index: &str, given: Option<String>) -> Result<Metric, Fault> {
    let field_name = &field.name;
    let (usual, all) = match field.data_type {
        DataType::BinaryVector if matches!(index, "BIN_FLAT" | AUTOINDEX) => {
            (Metric::Hamming, ALL_BIT_METRICS)
        }
        DataType::BinaryVector => (Metric::Hamming, BIT_METRICS),
        DataType::SparseFloatVector if field.is_function_output => {
            (Metric::Bm25, &[Metric::Bm25][..])
        }
        DataType::SparseFloatVector => (Metric::Ip, &[Metric::Ip][..]),
        _ => (Metric::Cosine, FLOAT_METRICS),
    };
    let Some(name) = given else { return Ok(usual) };
    let found = Metric::from_name(&name);
    if let Some(metric) = found.filter(|metric| all.contains(metric)) {
        return Ok(metric);
    }
    Err(match (field.data_type, found) {
        (DataType::SparseFloatVector, _) if field.is_function_output => Fault::invalid(format!(
            "index metric type of BM25 function output field must be BM25, got {name}, \
             field name = {field_name}"
        )),
        (DataType::SparseFloatVector, Some(Metric::Bm25)) => Fault::invalid(format!(
            "only BM25 Function output field support BM25 metric type, field name = {field_name}"
        )),
        (DataType::SparseFloatVector, _) => invalid_params(&format!(
            "only IP is the supported metric type for sparse index, got {name}, \
             field name = {field_name}"
        )),
        (DataType::BinaryVector, _) => {
            let all: Vec<&str> = all.iter().map(|m| m.name()).collect();
            let all = all.join(" ");
            Fault::invalid(format!(
                "metric type {name} not found or not supported, supported: [{all}], \
                 field name = {field_name}"
            ))
        }
        (_, Some(_)) => invalid_params(&format!(
            "float vector index does not support metric type: {name}, field name = {field_name}"
        )),
        (_, None) => Fault::invalid(format!(
            "metric type {name} not found or not supported, supported: \
             [L2 IP COSINE HAMMING JACCARD], field name = {field_name}"
        )),
    })
}

fn check_sparse(given: &Given<'_>) -> Result<(), Fault> {
    for (name, high) in FRACTIONS {
        let Some(text) = given.get(name) else { continue };
        let is_good = text.trim().parse::<f64>().is_ok_and(|v| (0.0..=high).contains(&v));
        if !is_good || (name == "drop_ratio_build" && text.trim().parse() == Ok(1.0)) {
            return Err(out_of_range(name, &text, "0", &high.to_string()));
        }
    }
    match given.get("inverted_index_algo") {
        Some(name) if !ALGORITHMS.contains(&name.as_str()) => Err(Fault::invalid(format!(
            "sparse inverted index algo {name} not found or not supported, supported: [{}]",
            ALGORITHMS.join(" ")
        ))),
        _ => Ok(()),
    }
}

fn keep_rest(kept: &mut Props, extra: &[KeyValuePair]) {
    for pair in extra {
        if !kept.iter().any(|(key, _)| *key == pair.key) {
            kept.push((pair.key.clone(), pair.value.clone()));
        }
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn check_range(range: &Param, text: &str) -> Result<(), Fault> {
    let Param { name, low, high } = range;
    match text.trim().parse::<i64>() {
        Ok(value) if (*low..=*high).contains(&value) => Ok(()),
        _ => Err(out_of_range(name, text, &low.to_string(), &high.to_string())),
    }
}

fn out_of_range(name: &str, text: &str, low: &str, high: &str) -> Fault {
    let text = format!(
        "param '{name}' out of range: \
         invalid parameter[{text} out of range {low} <= value <= {high}]"
    );
    Fault::new(Code::ParameterInvalid, text)
}

fn check_divides(field: &FieldSchema, m: Option<String>) -> Result<(), Fault> {
    let Some(text) = m else {
        return Err(Fault::invalid("param 'm' not exist"));
    };
    match text.trim().parse::<u32>() {
        Ok(m) if m > 0 && field.dim.is_multiple_of(m) => Ok(()),
        _ => Err(Fault::invalid(format!(
            "dimension must be able to be divided by `m`, dimension: {}, m: {text}",
            field.dim
        ))),
    }
}
