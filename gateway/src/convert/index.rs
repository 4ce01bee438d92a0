//! Index definitions: which types exist, on which fields, and the range of each parameter.
//!
//! Every search is answered exactly for now, by scanning; an exact answer satisfies every index
//! type. So the approximate types are accepted with their parameters checked, kept and described
//! as given, and start to matter when their structures are built.

use millstream_catalog::model::{Code, DataType, Fault, FieldSchema, Metric, Props};
use serde_json::Value;

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

/// The index types of float vectors with the integer parameters that have a range.
const FLOAT_TYPES: &[(&str, &[Param])] = &[
    ("FLAT", &[]),
    ("IVF_FLAT", &[NLIST]),
    ("IVF_SQ8", &[NLIST]),
    ("IVF_PQ", &[NLIST, NBITS, param("m", 1, 32_768)]),
    ("HNSW", &[HNSW_M, EF]),
    ("HNSW_SQ", &[HNSW_M, EF]),
    ("HNSW_PQ", &[HNSW_M, EF, NBITS]),
    ("HNSW_PRQ", &[HNSW_M, EF, NBITS]),
    ("IVF_RABITQ", &[NLIST]),
    ("SCANN", &[NLIST]),
    ("DISKANN", &[]),
    (AUTOINDEX, &[]),
];

/// An index definition that was checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Definition {
    /// Parameters to keep: `index_type` first, `metric_type` for vectors, the rest as given.
    pub params: Props,
    /// Whether searches are exact although the type is approximate.
    pub exact_in_place: bool,
}

/// Checks the parameters of a new index on a field.
pub fn define(field: &FieldSchema, extra: &[KeyValuePair]) -> Result<Definition, Fault> {
    let nested = params::nested(extra)?;
    let given = |key: &str| {
        params::find(extra, key)
            .map(str::to_owned)
            .or_else(|| nested.get(key).map(plain))
            .filter(|text| !text.is_empty())
    };
    let index_type = given("index_type").unwrap_or_else(|| AUTOINDEX.to_owned());
    if !field.data_type.is_vector() {
        return scalar(field, &index_type, extra);
    }
    let Some((name, ranges)) = FLOAT_TYPES.iter().find(|(name, _)| *name == index_type) else {
        return Err(Fault::invalid(format!("invalid index type: {index_type}")));
    };
    let metric_name = given("metric_type").unwrap_or_else(|| Metric::Cosine.name().to_owned());
    let Some(metric) = Metric::from_name(&metric_name) else {
        return Err(Fault::invalid(format!(
            "metric type {metric_name} not found or not supported, supported: [L2 IP COSINE]"
        )));
    };
    if *name == AUTOINDEX && !nested.is_empty() {
        let only_metric = nested.keys().all(|k| k == "metric_type" || k == "index_type");
        if !only_metric {
            return Err(Fault::invalid("only metric type can be passed when use AutoIndex"));
        }
    }
    for range in *ranges {
        if let Some(text) = given(range.name) {
            check_range(range, &text)?;
        }
    }
    if *name == "IVF_PQ" {
        check_divides(field, given("m"))?;
    }
    let mut kept: Props = vec![
        ("index_type".to_owned(), index_type.clone()),
        ("metric_type".to_owned(), metric.name().to_owned()),
    ];
    keep_rest(&mut kept, extra);
    Ok(Definition { params: kept, exact_in_place: *name != "FLAT" && *name != AUTOINDEX })
}

fn scalar(
    field: &FieldSchema,
    index_type: &str,
    extra: &[KeyValuePair],
) -> Result<Definition, Fault> {
    let numeric = field.data_type.is_integer()
        || matches!(field.data_type, DataType::Float | DataType::Double);
    let text = field.data_type == DataType::VarChar;
    let fits = match index_type {
        "STL_SORT" => numeric || text,
        "Trie" | "TRIE" | "marisa-trie" => text,
        "INVERTED" => numeric || text || field.data_type == DataType::Bool,
        "BITMAP" => {
            !field.is_primary
                && (field.data_type.is_integer() || text || field.data_type == DataType::Bool)
        }
        AUTOINDEX | "" => true,
        other => {
            return Err(Fault::invalid(format!("invalid index type: {other}")));
        }
    };
    if field.data_type == DataType::Json {
        return Err(Fault::invalid("create index on JSON field is not supported"));
    }
    if !fits {
        return Err(Fault::invalid(format!(
            "{index_type} are not supported on {} field: {}",
            field.data_type.name(),
            field.name
        )));
    }
    let mut kept: Props = vec![("index_type".to_owned(), index_type.to_owned())];
    keep_rest(&mut kept, extra);
    Ok(Definition { params: kept, exact_in_place: false })
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
        _ => Err(Fault::new(
            Code::ParameterInvalid,
            format!(
                "param '{name}' out of range: \
                 invalid parameter[{text} out of range {low} <= value <= {high}]"
            ),
        )),
    }
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

#[cfg(test)]
mod tests {
    use millstream_catalog::model::FieldId;

    use super::*;

    fn field(data_type: DataType) -> FieldSchema {
        FieldSchema {
            id: FieldId(101),
            name: "f".into(),
            description: String::new(),
            data_type,
            is_primary: false,
            auto_id: false,
            is_dynamic: false,
            dim: 8,
            max_length: 4,
            type_params: Vec::new(),
        }
    }

    fn pairs(pairs: &[(&str, &str)]) -> Vec<KeyValuePair> {
        let pair = |(k, v): &(&str, &str)| KeyValuePair { key: (*k).into(), value: (*v).into() };
        pairs.iter().map(pair).collect()
    }

    fn vector(given: &[(&str, &str)]) -> Result<Definition, Fault> {
        define(&field(DataType::FloatVector), &pairs(given))
    }

    #[test]
    fn the_index_of_hello_world_is_accepted_and_kept_as_given() {
        let params = "{\"nlist\": 128}";
        let made = vector(&[("index_type", "IVF_FLAT"), ("metric_type", "L2"), ("params", params)])
            .unwrap();
        assert!(made.exact_in_place);
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
    }

    #[test]
    fn without_parameters_the_server_chooses_type_and_metric() {
        let made = vector(&[]).unwrap();
        assert_eq!(made.params[0].1, "AUTOINDEX");
        assert_eq!(made.params[1].1, "COSINE");
    }

    #[test]
    fn scalar_types_fit_their_fields_only() {
        let on = |data_type, kind| define(&field(data_type), &pairs(&[("index_type", kind)]));
        assert!(on(DataType::VarChar, "Trie").is_ok());
        assert!(on(DataType::Int64, "STL_SORT").is_ok());
        assert!(on(DataType::Bool, "INVERTED").is_ok());
        assert!(on(DataType::Int64, "Trie").is_err());
        assert!(on(DataType::Json, "INVERTED").is_err());
        assert!(on(DataType::Int64, "IVF_FLAT").is_err());
    }
}
