//! Parameters of hybrid searches: how the hits of several searches become one list.

use millstream_catalog::model::Fault;
use serde_json::{Map, Value};

use super::params::{find, parse_bool};
use super::query::window;
use super::search::{Grouping, grouping, round_decimal};
use crate::pb::common::KeyValuePair;
use crate::pb::schema::{FunctionScore, FunctionType};

/// The constant of reciprocal ranks when none is given.
const RRF_K: f64 = 60.0;
/// It must be smaller than this.
const RRF_K_END: f64 = 16_384.0;

/// How hits are scored anew.
#[derive(Clone, Debug, PartialEq)]
pub enum Ranker {
    /// The sum of `1 / (k + rank)`.
    Rrf {
        /// Holds back the first ranks.
        k: f32,
    },
    /// The weighted sum of scores.
    Weighted {
        /// One weight a search.
        weights: Vec<f32>,
        /// Whether scores are brought into `[0, 1]` first.
        norm: bool,
    },
}

/// How a group is scored from the scores of its hits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum GroupScore {
    /// By its best hit.
    #[default]
    Max,
    /// By the sum of its hits.
    Sum,
    /// By their mean.
    Avg,
}

/// What `rank_params` say.
#[derive(Clone, Debug, PartialEq)]
pub struct RankParams {
    /// How hits are scored anew.
    pub ranker: Ranker,
    /// Hits wanted after the offset; groups of hits when they are grouped.
    pub limit: u32,
    /// Hits, or groups, to skip.
    pub offset: u32,
    /// Decimals to round scores to.
    pub round_decimal: Option<u32>,
    /// How hits are grouped.
    pub group: Option<Grouping>,
    /// How groups are scored.
    pub group_score: GroupScore,
}

/// Reads `rank_params` of a hybrid search of `searches`, and the function that may replace them.
///
/// # Errors
/// Those of Milvus, for a parameter that is missing, unreadable or out of range.
pub fn rank_params(
    pairs: &[KeyValuePair],
    function: Option<&FunctionScore>,
    searches: usize,
) -> Result<RankParams, Fault> {
    let (limit, offset) = window(pairs, "limit")?;
    let limit = limit.ok_or_else(|| Fault::plain("limit not found in rank_params"))?;
    let narrow = |n: u64| u32::try_from(n).map_err(|_| Fault::internal("a window is a u32"));
    let functions = function.filter(|score| !score.functions.is_empty());
    let ranker = match functions {
        Some(score) => by_function(score, searches)?,
        None => by_params(pairs, searches)?,
    };
    Ok(RankParams {
        ranker,
        limit: narrow(limit)?,
        offset: narrow(offset)?,
        round_decimal: round_decimal(pairs)?,
        group: grouping(pairs)?,
        group_score: group_score(pairs)?,
    })
}

fn group_score(pairs: &[KeyValuePair]) -> Result<GroupScore, Fault> {
    match find(pairs, "rank_group_scorer") {
        None | Some("" | "max") => Ok(GroupScore::Max),
        Some("sum") => Ok(GroupScore::Sum),
        Some("avg") => Ok(GroupScore::Avg),
        Some(other) => {
            Err(Fault::invalid(format!("input group scorer type: {other} is not supported!")))
        }
    }
}

fn by_params(pairs: &[KeyValuePair], searches: usize) -> Result<Ranker, Fault> {
    let Some(strategy) = find(pairs, "strategy").filter(|s| !s.is_empty()) else {
        return Ok(Ranker::Rrf { k: RRF_K as f32 });
    };
    if !matches!(strategy, "rrf" | "weighted") {
        return Err(Fault::plain(format!("unsupported rank type {strategy}")));
    }
    let text = find(pairs, "params").filter(|text| !text.is_empty());
    let text = text.ok_or_else(|| Fault::plain("params not found in rank_params"))?;
    let params: Map<String, Value> = serde_json::from_str(text)
        .map_err(|_| Fault::plain(format!("params of rank_params is no JSON object: {text}")))?;
    if strategy == "rrf" {
        let k = params.get("k").ok_or_else(|| Fault::plain("k not found in rank_params"))?;
        return rrf(k);
    }
    let weights = params.get("weights");
    let weights = weights.ok_or_else(|| Fault::plain("weights not found in rank_params"))?;
    let norm = match params.get("norm_score") {
        None | Some(Value::Null) => true,
        Some(Value::Bool(norm)) => *norm,
        Some(_) => {
            return Err(Fault::plain("The type of rank param norm_score should be bool"));
        }
    };
    weighted(weights, norm, searches)
}

fn rrf(k: &Value) -> Result<Ranker, Fault> {
    let Some(k) = k.as_f64() else {
        return Err(Fault::plain("The type of rank param k should be float"));
    };
    if k <= 0.0 || k >= RRF_K_END {
        return Err(Fault::plain(format!(
            "The rank params k should be in range (0, {RRF_K_END}), but got {k}"
        )));
    }
    Ok(Ranker::Rrf { k: k as f32 })
}

fn weighted(weights: &Value, norm: bool, searches: usize) -> Result<Ranker, Fault> {
    let Value::Array(given) = weights else {
        return Err(Fault::plain("The weights param should be an array"));
    };
    let mut weights = Vec::with_capacity(given.len());
    for weight in given {
        let Some(weight) = weight.as_f64() else {
            return Err(Fault::plain("The type of rank param weight should be float"));
        };
        if !(0.0..=1.0).contains(&weight) {
            return Err(Fault::plain(format!(
                "rank param weight should be in range [0, 1], but got {weight}"
            )));
        }
        weights.push(weight as f32);
    }
    if weights.len() != searches {
        let text = "the length of weights param mismatch with ann search requests";
        return Err(Fault::expected(text, searches, weights.len()));
    }
    Ok(Ranker::Weighted { weights, norm })
}

fn by_function(score: &FunctionScore, searches: usize) -> Result<Ranker, Fault> {
    let [function] = score.functions.as_slice() else {
        return Err(Fault::invalid(format!(
            "Currently only supports one rerank, but got {}",
            score.functions.len()
        )));
    };
    if function.r#type != FunctionType::Rerank as i32 {
        return Err(Fault::invalid(format!("{} is not a rerank function", function.name)));
    }
    let param = |name: &str| find(&function.params, name).filter(|text| !text.is_empty());
    let Some(reranker) = param("reranker") else {
        return Err(Fault::invalid(format!("rerank function {} names no reranker", function.name)));
    };
    let json = |text: &str| serde_json::from_str(text).unwrap_or(Value::Null);
    match reranker.to_ascii_lowercase().as_str() {
        "rrf" => match param("k") {
            None => Ok(Ranker::Rrf { k: RRF_K as f32 }),
            Some(k) => rrf(&json(k)),
        },
        "weighted" => {
            let weights = param("weights");
            let weights =
                weights.ok_or_else(|| Fault::plain("weights not found in rank_params"))?;
            let norm = match param("norm_score") {
                None => false,
                Some(text) => parse_bool(text).ok_or_else(|| {
                    Fault::plain("The type of rank param norm_score should be bool")
                })?,
            };
            weighted(&json(weights), norm, searches)
        }
        "decay" | "boost" | "model" => {
            Err(Fault::invalid(format!("rerank function {reranker} is not supported yet")))
        }
        other => Err(Fault::invalid(format!("unsupported rerank function {other}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pb::schema::FunctionSchema;

    fn pairs(given: &[(&str, &str)]) -> Vec<KeyValuePair> {
        let pair = |(k, v): &(&str, &str)| KeyValuePair { key: (*k).into(), value: (*v).into() };
        given.iter().map(pair).collect()
    }

    fn ranker(given: &[(&str, &str)]) -> Result<Ranker, String> {
        let mut all = pairs(given);
        all.extend(pairs(&[("limit", "5")]));
        rank_params(&all, None, 2).map(|p| p.ranker).map_err(|fault| fault.message)
    }

    #[test]
    fn a_ranker_is_read_from_the_parameters() {
        assert_eq!(ranker(&[]), Ok(Ranker::Rrf { k: 60.0 }));
        let rrf = [("strategy", "rrf"), ("params", r#"{"k": 10}"#)];
        assert_eq!(ranker(&rrf), Ok(Ranker::Rrf { k: 10.0 }));
        let weighted = [("strategy", "weighted"), ("params", r#"{"weights": [0.5, 1]}"#)];
        let weights = vec![0.5, 1.0];
        assert_eq!(ranker(&weighted), Ok(Ranker::Weighted { weights, norm: true }));
    }

    #[test]
    fn wrong_rankers_are_refused_in_the_words_that_clients_know() {
        let refused =
            |strategy, params| ranker(&[("strategy", strategy), ("params", params)]).unwrap_err();
        assert_eq!(refused("best", "{}"), "unsupported rank type best");
        assert_eq!(refused("rrf", "{}"), "k not found in rank_params");
        assert!(refused("rrf", r#"{"k": 0}"#).contains("should be in range (0, 16384)"));
        assert!(refused("rrf", r#"{"k": "x"}"#).contains("should be float"));
        assert_eq!(refused("weighted", "{}"), "weights not found in rank_params");
        assert!(refused("weighted", r#"{"weights": 1}"#).contains("should be an array"));
        assert!(refused("weighted", r#"{"weights": [1, 2]}"#).contains("in range [0, 1]"));
        let short = refused("weighted", r#"{"weights": [1]}"#);
        assert!(short.ends_with("[expected=2][actual=1]"), "{short}");
    }

    #[test]
    fn a_function_replaces_the_parameters() {
        let score = |given: &[(&str, &str)]| FunctionScore {
            functions: vec![FunctionSchema {
                name: "f".into(),
                r#type: FunctionType::Rerank as i32,
                params: pairs(given),
                ..FunctionSchema::default()
            }],
            params: Vec::new(),
        };
        let read = |given: &[(&str, &str)]| {
            let limit = pairs(&[("limit", "5")]);
            rank_params(&limit, Some(&score(given)), 2).map(|p| p.ranker).map_err(|f| f.message)
        };
        assert_eq!(read(&[("reranker", "rrf")]), Ok(Ranker::Rrf { k: 60.0 }));
        let weights = [("reranker", "weighted"), ("weights", "[1, 0.5]"), ("norm_score", "True")];
        let weighted = Ranker::Weighted { weights: vec![1.0, 0.5], norm: true };
        assert_eq!(read(&weights), Ok(weighted));
        assert!(read(&[("reranker", "decay")]).unwrap_err().contains("function decay is not"));
    }
}
