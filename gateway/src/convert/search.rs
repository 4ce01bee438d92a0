//! Parameters of searches: `search_params` with their ranges, in Milvus's words.

mod group;
mod page;
mod range;
#[cfg(test)]
mod tests;
mod tune;

use millstream_catalog::model::limits::TOPK_MAX;
use millstream_catalog::model::{Collection, DataType, Fault, FieldSchema, Metric};
use serde_json::{Map, Value};

use super::params::{self, find, flag, integer, nested};
use crate::pb::common::KeyValuePair;

pub use super::query::{QueryParams, query_params};
pub use super::templates::templates;
pub use group::{Grouping, grouping};
pub use page::{Page, new_token};
pub use tune::check_tuning;

/// What the parameters of a search say.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SearchParams {
    /// The vector field; chosen by the schema when empty.
    pub anns_field: String,
    /// Hits wanted after the offset; groups of hits when they are grouped.
    pub topk: u32,
    /// Hits, or groups, to skip.
    pub offset: u32,
    /// The metric that the client expects; any when none.
    pub metric: Option<String>,
    /// Decimals to round scores to; not rounded when none.
    pub round_decimal: Option<u32>,
    /// Whether the client reads page after page at one time.
    pub iterator: bool,
    /// The page of a search iterator of the second kind.
    pub page: Option<Page>,
    /// The collection that an iterator was made on.
    pub collection_id: Option<i64>,
    /// The scores where hits end: worst and best, as the client names them.
    pub radius: Option<f32>,
    /// See [`SearchParams::radius`].
    pub range_filter: Option<f32>,
    /// How hits are grouped.
    pub group: Option<Grouping>,
    /// What an index type reads: checked against the index of the field.
    pub tuning: Map<String, Value>,
}

impl SearchParams {
    /// Rows that a walk of a graph keeps in sight, if the client says; it was checked against the
    /// index.
    pub fn ef(&self) -> Option<u32> {
        self.count("ef").or_else(|| self.count("search_list"))
    }

    /// Lists that are visited, if the client says; checked as well.
    pub fn nprobe(&self) -> Option<u32> {
        self.count("nprobe")
    }

    /// Rows that are compared again, by their vectors, if the client says; checked as well.
    pub fn reorder_k(&self) -> Option<u32> {
        self.count("reorder_k")
    }

    fn count(&self, name: &str) -> Option<u32> {
        params::text_of(self.tuning.get(name)?).trim().parse().ok()
    }
}

/// Reads `search_params`. A search that is part of a hybrid one gives the hits that the whole wants,
/// which stand in for its own `topk`; such a search has no offset and no groups of its own.
///
/// # Errors
/// Those of Milvus, for a parameter that is missing, unreadable or out of range.
pub fn search_params(
    pairs: &[KeyValuePair],
    of_hybrid: Option<u32>,
) -> Result<SearchParams, Fault> {
    let inner = nested(pairs)?;
    let iterator = flag(pairs, "iterator");
    let mut topk = match (topk(pairs)?, of_hybrid) {
        (Some(topk), _) => topk,
        (None, Some(whole)) => i64::from(whole),
        (None, None) => return Err(Fault::plain("topk not found in search_params")),
    };
    if iterator && topk > TOPK_MAX.cast_signed() {
        topk = TOPK_MAX.cast_signed();
    }
    let offset = if of_hybrid.is_none() { offset(pairs, &inner)? } else { 0 };
    let (topk, offset) = window(topk, offset)?;
    check_growing(find(pairs, "ignore_growing"))?;
    let growing = inner.get("ignore_growing").map(params::text_of);
    check_growing(growing.as_deref())?;
    for key in ["order_by_fields"] {
        if find(pairs, key).is_some_and(|v| !v.is_empty() && v != "None") {
            return Err(Fault::invalid(format!("{key} is not supported yet in a search")));
        }
    }
    let (radius, range_filter) = range::read(pairs, &inner)?;
    let group = if of_hybrid.is_none() { grouping(pairs)? } else { None };
    if group.is_some() && iterator {
        return Err(Fault::invalid("Not allowed to do groupBy when doing iteration"));
    }
    let metric = find(pairs, "metric_type")
        .or_else(|| inner.get("metric_type").and_then(Value::as_str))
        .filter(|text| !text.is_empty())
        .map(str::to_owned);
    let params = SearchParams {
        anns_field: find(pairs, "anns_field").unwrap_or_default().to_owned(),
        topk,
        offset,
        metric,
        round_decimal: round_decimal(pairs)?,
        iterator,
        page: page::read(pairs, iterator, offset)?,
        collection_id: collection_id(pairs)?,
        radius,
        range_filter,
        group,
        tuning: inner,
    };
    check_group_range(&params)?;
    Ok(params)
}

/// A range has no best groups.
///
/// # Errors
/// When a search asks for groups within a range.
pub fn check_group_range(params: &SearchParams) -> Result<(), Fault> {
    if params.group.is_some() && params.radius.is_some() {
        let text = "Not allowed to do range-search when doing search-group-by";
        return Err(Fault::invalid(text));
    }
    Ok(())
}

fn topk(pairs: &[KeyValuePair]) -> Result<Option<i64>, Fault> {
    let Some(text) = find(pairs, "topk").or_else(|| find(pairs, "limit")) else { return Ok(None) };
    let read = text.trim().parse().map_err(|_| Fault::plain(format!("topk [{text}] is invalid")));
    read.map(Some)
}

fn offset(pairs: &[KeyValuePair], inner: &Map<String, Value>) -> Result<i64, Fault> {
    let wrong = |text: &str| Fault::plain(format!("offset [{text}] is invalid"));
    if let Some(offset) = integer(pairs, "offset", wrong)? {
        return Ok(offset);
    }
    match inner.get("offset") {
        None | Some(Value::Null) => Ok(0),
        Some(value) => {
            let text = params::text_of(value);
            text.trim().parse().map_err(|_| wrong(&text))
        }
    }
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

/// The decimals that scores are rounded to.
///
/// # Errors
/// When there are others than -1 or 0 to 6.
pub fn round_decimal(pairs: &[KeyValuePair]) -> Result<Option<u32>, Fault> {
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
///
/// # Errors
/// When it is not.
pub fn check_growing(text: Option<&str>) -> Result<(), Fault> {
    match text {
        None | Some("") => Ok(()),
        Some(text) => match params::parse_bool(text) {
            Some(_) => Ok(()),
            None => Err(Fault::plain(format!("parse search growing failed: {text}"))),
        },
    }
}

/// The collection that an iterator says it was made on.
///
/// # Errors
/// When it is no number.
pub fn collection_id(pairs: &[KeyValuePair]) -> Result<Option<i64>, Fault> {
    integer(pairs, "collection_id", |text| {
        Fault::expected("value for collection id is invalid", "int value for collection_id", text)
    })
}

/// An iterator goes on only on the collection that it was made on.
///
/// # Errors
/// When the name means another one now.
pub fn check_same_collection(collection: &Collection, given: Option<i64>) -> Result<(), Fault> {
    match given {
        Some(id) if id > 0 && id != collection.id.0 => Err(Fault::invalid(
            "Input collection id is not consistent to collectionID in the context,alias or \
             database may have changed",
        )),
        _ => Ok(()),
    }
}

/// The vector field of a search.
///
/// # Errors
/// When there is none of this name, or several and no name.
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

/// The metrics that rows of a field are compared by, the first when nobody names one.
const fn metrics(field: &FieldSchema) -> &'static [Metric] {
    match field.data_type {
        _ if field.is_function_output => &[Metric::Bm25],
        DataType::SparseFloatVector => &[Metric::Ip],
        DataType::BinaryVector => {
            &[Metric::Hamming, Metric::Jaccard, Metric::Substructure, Metric::Superstructure]
        }
        _ => &[Metric::Cosine, Metric::L2, Metric::Ip],
    }
}

/// The metric of a search: that of the index, which a metric given must agree with.
///
/// # Errors
/// When it does not, or is none of the field's.
pub fn metric_of(
    collection: &Collection,
    field: &FieldSchema,
    given: Option<&str>,
) -> Result<Metric, Fault> {
    let possible = metrics(field);
    let index = collection.index_on(field.id);
    let indexed = index.and_then(|i| i.param("metric_type")).and_then(Metric::from_name);
    let Some(given) = given else {
        return Ok(indexed.unwrap_or(possible[0]));
    };
    let asked = Metric::from_name(given);
    if let Some(indexed) = indexed {
        return match asked {
            Some(asked) if asked == indexed => Ok(indexed),
            _ => Err(Fault::expected("metric type not match", indexed.name(), given)),
        };
    }
    asked.filter(|asked| possible.contains(asked)).ok_or_else(|| {
        let names: Vec<&str> = possible.iter().map(|m| m.name()).collect();
        let names = names.join(" ");
        Fault::invalid(format!(
            "metric type {given} not found or not supported, supported: [{names}]"
        ))
    })
}
