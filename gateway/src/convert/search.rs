//! Parameters of reads: `search_params` and `query_params` with their ranges, in Milvus's words.

use millstream_catalog::model::limits::TOPK_MAX;
use millstream_catalog::model::{Collection, Fault, FieldSchema, Metric};
use millstream_expr::TemplateValue;
use std::collections::HashMap;

use super::params::{self, find, flag, integer, nested};
use crate::pb::common::KeyValuePair;
use crate::pb::schema as wire;

/// What the parameters of a search say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SearchParams {
    /// The vector field; chosen by the schema when empty.
    pub anns_field: String,
    /// Hits wanted after the offset.
    pub topk: u32,
    /// Hits to skip.
    pub offset: u32,
    /// The metric that the client expects; any when none.
    pub metric: Option<String>,
    /// Decimals to round scores to; not rounded when none.
    pub round_decimal: Option<u32>,
    /// Whether the client reads page after page at one time.
    pub iterator: bool,
}

/// Reads `search_params`.
pub fn search_params(pairs: &[KeyValuePair]) -> Result<SearchParams, Fault> {
    let topk_text = find(pairs, "topk").or_else(|| find(pairs, "limit"));
    let Some(topk_text) = topk_text else {
        return Err(Fault::plain("topk not found in search_params"));
    };
    let topk: i64 = topk_text
        .trim()
        .parse()
        .map_err(|_| Fault::plain(format!("topk [{topk_text}] is invalid")))?;
    let inner = nested(pairs)?;
    let offset =
        integer(pairs, "offset", |text| Fault::plain(format!("offset [{text}] is invalid")))?
            .or_else(|| inner.get("offset").and_then(serde_json::Value::as_i64))
            .unwrap_or(0);
    let (topk, offset) = window(topk, offset)?;
    check_growing(pairs)?;
    check_refused(pairs, &inner)?;
    let metric = find(pairs, "metric_type")
        .or_else(|| inner.get("metric_type").and_then(serde_json::Value::as_str))
        .filter(|text| !text.is_empty())
        .map(str::to_owned);
    Ok(SearchParams {
        anns_field: find(pairs, "anns_field").unwrap_or_default().to_owned(),
        topk,
        offset,
        metric,
        round_decimal: round_decimal(pairs)?,
        iterator: flag(pairs, "iterator"),
    })
}

fn window(topk: i64, offset: i64) -> Result<(u32, u32), Fault> {
    let max = TOPK_MAX.cast_signed();
    if !(1..=max).contains(&topk) {
        return Err(Fault::plain(format!(
            "topk [{topk}] is invalid, top k should be in range [1, {max}], but got {topk}"
        )));
    }
    if !(0..=max).contains(&offset) {
        return Err(Fault::plain(format!(
            "offset [{offset}] is invalid, it should be in range [0, {max}]"
        )));
    }
    if topk + offset > max {
        return Err(Fault::plain(format!(
            "top k + offset [{}] is invalid, it should be in range [1, {max}], but got {}",
            topk + offset,
            topk + offset
        )));
    }
    let narrow = |n: i64| u32::try_from(n).map_err(|_| Fault::internal("a window is a u32"));
    Ok((narrow(topk)?, narrow(offset)?))
}

fn round_decimal(pairs: &[KeyValuePair]) -> Result<Option<u32>, Fault> {
    let wrong = |text: &str| {
        Fault::plain(format!(
            "round_decimal [{text}] is invalid, should be -1 or an integer in range [0, 6]"
        ))
    };
    match integer(pairs, "round_decimal", wrong)? {
        None | Some(-1) => Ok(None),
        Some(decimals) => match u32::try_from(decimals) {
            Ok(decimals @ 0..=6) => Ok(Some(decimals)),
            _ => Err(wrong(&decimals.to_string())),
        },
    }
}

/// Growing rows are never ignored, but what a client writes there must be a boolean.
fn check_growing(pairs: &[KeyValuePair]) -> Result<(), Fault> {
    match find(pairs, "ignore_growing") {
        None | Some("") => Ok(()),
        Some(text) => match params::parse_bool(text) {
            Some(_) => Ok(()),
            None => Err(Fault::plain(format!("parse search growing failed: {text}"))),
        },
    }
}

/// Refuses what would change the answer and is not done.
fn check_refused(
    pairs: &[KeyValuePair],
    inner: &serde_json::Map<String, serde_json::Value>,
) -> Result<(), Fault> {
    for key in ["radius", "range_filter"] {
        if find(pairs, key).is_some() || inner.contains_key(key) {
            let text = format!("range search is not supported yet, parameter = {key}");
            return Err(Fault::invalid(text));
        }
    }
    for key in ["group_by_field", "group_by_fields", "order_by_fields"] {
        if find(pairs, key).is_some_and(|v| !v.is_empty() && v != "None") {
            return Err(Fault::invalid(format!("{key} is not supported yet")));
        }
    }
    Ok(())
}

/// The vector field of a search.
pub fn vector_field<'a>(collection: &'a Collection, name: &str) -> Result<&'a FieldSchema, Fault> {
    if name.is_empty() {
        let mut fields = collection.schema.vector_fields();
        return match (fields.next(), fields.next()) {
            (Some(only), None) => Ok(only),
            _ => Err(Fault::plain(
                "multiple anns_fields exist, please specify a anns_field in search_params",
            )),
        };
    }
    match collection.schema.field(name) {
        Some(field) if field.data_type.is_vector() => Ok(field),
        Some(field) => Err(Fault::invalid(format!(
            "failed to create query plan: field ({}) to search is not of vector type",
            field.name
        ))),
        None => Err(Fault::plain(format!(
            "failed to create query plan: failed to get field schema by name: fieldName({name}) \
             not found"
        ))),
    }
}

/// The metric of a search: that of the index, which a metric given must agree with.
pub fn metric_of(
    collection: &Collection,
    field: &FieldSchema,
    given: Option<&str>,
) -> Result<Metric, Fault> {
    let index = collection.index_on(field.id);
    let indexed = index.and_then(|i| i.param("metric_type")).and_then(Metric::from_name);
    let Some(given) = given else {
        return Ok(indexed.unwrap_or(Metric::Cosine));
    };
    let asked = Metric::from_name(given);
    match (indexed, asked) {
        (Some(indexed), asked) if asked != Some(indexed) => {
            Err(Fault::expected("metric type not match", indexed.name(), given))
        }
        (_, Some(asked)) => Ok(asked),
        (None, None) => Err(Fault::invalid(format!(
            "metric type {given} not found or not supported, supported: [L2 IP COSINE]"
        ))),
        (Some(indexed), None) => {
            Err(Fault::expected("metric type not match", indexed.name(), given))
        }
    }
}

/// What the parameters of a query say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueryParams {
    /// Rows wanted after the offset; all when none.
    pub limit: Option<u64>,
    /// Rows to skip.
    pub offset: u64,
    /// Whether the client reads page after page at one time.
    pub iterator: bool,
}

/// Reads `query_params`.
pub fn query_params(pairs: &[KeyValuePair]) -> Result<QueryParams, Fault> {
    check_growing(pairs)?;
    for key in ["group_by_fields", "order_by_fields"] {
        if find(pairs, key).is_some_and(|v| !v.is_empty() && v != "None") {
            return Err(Fault::invalid(format!("{key} is not supported yet")));
        }
    }
    let iterator = flag(pairs, "iterator");
    let limit = integer(pairs, "limit", |text| Fault::plain(format!("limit [{text}] is invalid")))?;
    let Some(limit) = limit.filter(|l| *l != -1) else {
        return Ok(QueryParams { iterator, ..QueryParams::default() });
    };
    let offset =
        integer(pairs, "offset", |text| Fault::plain(format!("offset [{text}] is invalid")))?
            .unwrap_or(0);
    let wrong = |what: String| Fault::plain(format!("invalid max query result window, {what}"));
    if limit <= 0 {
        return Err(wrong(format!("limit [{limit}] is invalid, should be greater than 0")));
    }
    if offset < 0 {
        return Err(wrong(format!("offset [{offset}] is invalid, should be gte than 0")));
    }
    let (limit, offset) = (limit.unsigned_abs(), offset.unsigned_abs());
    let end = limit.saturating_add(offset);
    if end > TOPK_MAX {
        let text = format!("(offset+limit) should be in range [1, {TOPK_MAX}], but got {end}");
        return Err(wrong(text));
    }
    Ok(QueryParams { limit: Some(limit), offset, iterator })
}

/// The values of `{name}` placeholders in a filter.
pub fn templates(
    values: HashMap<String, wire::TemplateValue>,
) -> Result<Vec<(String, TemplateValue)>, Fault> {
    let convert = |(name, value): (String, wire::TemplateValue)| match template(value, 0) {
        Some(value) => Ok((name, value)),
        None => {
            let text = format!("the value of template {{{name}}} is of a type not supported yet");
            Err(Fault::invalid(text))
        }
    };
    values.into_iter().map(convert).collect()
}

fn template(value: wire::TemplateValue, depth: u32) -> Option<TemplateValue> {
    use wire::template_value::Val;
    Some(match value.val? {
        Val::BoolVal(v) => TemplateValue::Bool(v),
        Val::Int64Val(v) => TemplateValue::Int(v),
        Val::FloatVal(v) => TemplateValue::Float(v),
        Val::StringVal(v) => TemplateValue::Text(v),
        Val::ArrayVal(array) => template_list(array, depth)?,
        Val::BytesVal(_) => return None,
    })
}

fn template_list(array: wire::TemplateArrayValue, depth: u32) -> Option<TemplateValue> {
    use wire::template_array_value::Data;
    if depth > 8 {
        return None;
    }
    let list = match array.data {
        None => Vec::new(),
        Some(Data::BoolData(a)) => a.data.into_iter().map(TemplateValue::Bool).collect(),
        Some(Data::LongData(a)) => a.data.into_iter().map(TemplateValue::Int).collect(),
        Some(Data::DoubleData(a)) => a.data.into_iter().map(TemplateValue::Float).collect(),
        Some(Data::StringData(a)) => a.data.into_iter().map(TemplateValue::Text).collect(),
        Some(Data::ArrayData(a)) => {
            a.data.into_iter().map(|a| template_list(a, depth + 1)).collect::<Option<_>>()?
        }
        Some(Data::JsonData(_)) => return None,
    };
    Some(TemplateValue::List(list))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(pairs: &[(&str, &str)]) -> Vec<KeyValuePair> {
        let pair = |(k, v): &(&str, &str)| KeyValuePair { key: (*k).into(), value: (*v).into() };
        pairs.iter().map(pair).collect()
    }

    #[test]
    fn the_parameters_of_a_plain_search_are_read() {
        let read = search_params(&pairs(&[
            ("anns_field", "v"),
            ("topk", "10"),
            ("metric_type", "L2"),
            ("params", "{\"nprobe\": 10}"),
            ("round_decimal", "-1"),
            ("ignore_growing", "False"),
            ("offset", "5"),
        ]));
        let read = read.unwrap();
        assert_eq!((read.topk, read.offset, read.round_decimal), (10, 5, None));
        assert_eq!(read.metric.as_deref(), Some("L2"));
    }

    #[test]
    fn parameters_out_of_range_are_refused_in_the_words_that_clients_know() {
        let text = |given: &[(&str, &str)]| search_params(&pairs(given)).unwrap_err().message;
        assert_eq!(text(&[]), "topk not found in search_params");
        assert!(
            text(&[("topk", "0")])
                .starts_with("topk [0] is invalid, top k should be in range [1, 16384], but got 0")
        );
        assert!(text(&[("topk", "x")]).contains("topk [x] is invalid"));
        assert!(text(&[("topk", "1"), ("offset", "-1")]).contains("offset [-1] is invalid"));
        assert!(text(&[("topk", "16384"), ("offset", "1")]).contains("but got 16385"));
        assert!(text(&[("topk", "1"), ("round_decimal", "7")]).contains("round_decimal [7]"));
        assert!(
            text(&[("topk", "1"), ("ignore_growing", "maybe")])
                .contains("parse search growing failed")
        );
        assert!(
            text(&[("topk", "1"), ("params", "{\"radius\": 1}")]).contains("range search is not")
        );
    }

    #[test]
    fn a_query_window_is_checked() {
        let read = |given: &[(&str, &str)]| query_params(&pairs(given));
        assert_eq!(read(&[]).unwrap().limit, None);
        assert_eq!(read(&[("limit", "5"), ("offset", "2")]).unwrap().offset, 2);
        let wide = read(&[("limit", "16384"), ("offset", "1")]).unwrap_err().message;
        assert_eq!(
            wide,
            "invalid max query result window, (offset+limit) should be in range [1, 16384], but \
             got 16385"
        );
        assert!(read(&[("limit", "0")]).is_err());
        assert!(read(&[("limit", "1"), ("offset", "-1")]).is_err());
    }
}
