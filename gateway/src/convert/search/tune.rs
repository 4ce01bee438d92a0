//! Parameters that index types read while they search: their types and ranges.
//!
//! A value that Milvus refuses is refused, also where the type is answered exactly.

use millstream_catalog::model::Fault;
use serde_json::{Map, Value};

use crate::convert::params::text_of;

/// An integer parameter: name, smallest and largest value.
type Integer = (&'static str, i64, i64);

/// Integer parameters of index types.
const INTEGERS: &[(&str, &[Integer])] = &[
    ("IVF_FLAT", &[("nprobe", 1, 65_536)]),
    ("IVF_SQ8", &[("nprobe", 1, 65_536)]),
    ("IVF_PQ", &[("nprobe", 1, 65_536)]),
    ("IVF_RABITQ", &[("nprobe", 1, 65_536)]),
    ("BIN_IVF_FLAT", &[("nprobe", 1, 65_536)]),
    ("SCANN", &[("nprobe", 1, 65_536), ("reorder_k", 1, i32::MAX as i64)]),
    ("HNSW", &[("ef", 1, i32::MAX as i64)]),
    ("HNSW_SQ", &[("ef", 1, i32::MAX as i64)]),
    ("HNSW_PQ", &[("ef", 1, i32::MAX as i64)]),
    ("HNSW_PRQ", &[("ef", 1, i32::MAX as i64)]),
    ("DISKANN", &[("search_list", 1, i32::MAX as i64)]),
    ("AUTOINDEX", &[("level", 1, 10)]),
];

/// Parameters that say among how many candidates an index looks for hits.
const CANDIDATES: [&str; 3] = ["ef", "search_list", "reorder_k"];

/// Checks what is said to an index of a type. `k` hits are wanted, those before the offset among
/// them; none when scores and not a number end the search.
///
/// # Errors
/// When a value is of another type, or out of its range, or when there are fewer candidates than
/// hits.
pub fn check_tuning(
    index_type: &str,
    tuning: &Map<String, Value>,
    k: Option<u32>,
) -> Result<(), Fault> {
    if tuning.is_empty() {
        return Ok(());
    }
    let known = INTEGERS.iter().find(|(name, _)| name.eq_ignore_ascii_case(index_type));
    for &(name, low, high) in known.map_or(&[][..], |(_, params)| params) {
        let Some(value) = integer(tuning, name)? else { continue };
        if !(low..=high).contains(&value) {
            return Err(Fault::invalid(format!(
                "Out of range in json: param '{name}' ({value}) should be in range [{low}, {high}]"
            )));
        }
        if let Some(k) = k.filter(|k| CANDIDATES.contains(&name) && value < i64::from(*k)) {
            return Err(Fault::plain(format!("{name}({value}) should be larger than k({k})")));
        }
    }
    if index_type.to_ascii_uppercase().starts_with("SPARSE") {
        ratio(tuning, "drop_ratio_search")?;
    }
    Ok(())
}

fn integer(tuning: &Map<String, Value>, name: &str) -> Result<Option<i64>, Fault> {
    match tuning.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => {
            let text = text_of(value);
            text.trim().parse().map(Some).map_err(|_| {
                Fault::invalid(format!(
                    "Type conflict in json: param '{name}' ({text}) should be an integer"
                ))
            })
        }
    }
}

fn ratio(tuning: &Map<String, Value>, name: &str) -> Result<(), Fault> {
    let Some(value) = tuning.get(name).filter(|v| !v.is_null()) else { return Ok(()) };
    let text = text_of(value);
    match text.trim().parse::<f64>() {
        Err(_) => Err(Fault::invalid(format!(
            "Type conflict in json: param '{name}' ({text}) should be a number"
        ))),
        Ok(ratio) if !(0.0..1.0).contains(&ratio) => Err(Fault::invalid(format!(
            "Out of range in json: param '{name}' ({text}) should be in range [0.000000, 1.000000)"
        ))),
        Ok(_) => Ok(()),
    }
}
