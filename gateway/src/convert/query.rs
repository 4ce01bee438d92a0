//! Parameters of queries: page, order, groups and aggregates, in Milvus's words.

#[cfg(test)]
mod tests;

use millstream_catalog::model::limits::{FIELDS_MAX, TOPK_MAX};
use millstream_catalog::model::{CollectionSchema, DataType, Fault, FieldId, FieldSchema};
use millstream_dataflow::api::{Aggregate, AggregateOp, OrderBy};

use super::params::{find, integer, parse_bool};
use super::search::{check_growing, collection_id};
use crate::pb::common::KeyValuePair;

/// The most columns of an answer that groups rows.
const COLUMNS_MAX: usize = 128;

/// What the parameters of a query say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QueryParams {
    /// Rows wanted after the offset; all when none.
    pub limit: Option<u64>,
    /// Rows to skip.
    pub offset: u64,
    /// Whether the client reads page after page at one time.
    pub iterator: bool,
    /// The collection that an iterator was made on.
    pub collection_id: Option<i64>,
    /// Names of the fields that make a group.
    pub group_by: Vec<String>,
    /// Fields that rows are ordered by, each with its direction.
    pub order_by: Vec<String>,
}

/// Reads `query_params`.
///
/// # Errors
/// Those of Milvus, for a parameter that is unreadable or out of range.
pub fn query_params(pairs: &[KeyValuePair]) -> Result<QueryParams, Fault> {
    check_growing(find(pairs, "ignore_growing"))?;
    boolean(pairs, "reduce_stop_for_best", "value for reduce_stop_for_best is invalid")?;
    let iterator = boolean(pairs, "iterator", "value for iterator field is invalid")?;
    let (limit, offset) = window(pairs, "limit")?;
    let params = QueryParams {
        limit,
        offset,
        iterator,
        collection_id: collection_id(pairs)?,
        group_by: names(pairs, "group_by_fields")?,
        order_by: names(pairs, "order_by_fields")?,
    };
    if !params.order_by.is_empty() && params.limit.is_none() {
        return Err(Fault::invalid("ORDER BY requires explicit limit"));
    }
    if !params.order_by.is_empty() && iterator {
        return Err(Fault::invalid("ORDER BY with iterator is not supported"));
    }
    Ok(params)
}

fn boolean(pairs: &[KeyValuePair], key: &str, wrong: &str) -> Result<bool, Fault> {
    match find(pairs, key) {
        None | Some("") => Ok(false),
        Some(text) => parse_bool(text).ok_or_else(|| Fault::expected(wrong, "true or false", text)),
    }
}

/// A limit under this key, and the offset, within the window of results.
///
/// # Errors
/// When they are unreadable or reach beyond it.
pub fn window(pairs: &[KeyValuePair], key: &str) -> Result<(Option<u64>, u64), Fault> {
    let limit = integer(pairs, key, |text| Fault::plain(format!("{key} [{text}] is invalid")))?;
    let Some(limit) = limit else { return Ok((None, 0)) };
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
    Ok((Some(limit), offset))
}

/// A list of fields: no more than a schema may have.
fn names(pairs: &[KeyValuePair], key: &str) -> Result<Vec<String>, Fault> {
    let list = find(pairs, key).filter(|list| *list != "None").unwrap_or_default();
    let names = || list.split(',').map(str::trim).filter(|name| !name.is_empty());
    let count = names().count();
    if count > FIELDS_MAX {
        return Err(Fault::invalid(format!(
            "{key} names {count} fields, more than the {FIELDS_MAX} that a collection may have"
        )));
    }
    Ok(names().map(str::to_owned).collect())
}

/// The steps of an order; each is `field[:asc|desc[:nulls_first|nulls_last]]`. A second step on a
/// field orders nothing.
///
/// # Errors
/// For a field that is none or cannot be ordered, or another direction.
pub fn order_of(schema: &CollectionSchema, steps: &[String]) -> Result<Vec<OrderBy>, Fault> {
    let step = |text: &String| {
        let mut parts = text.split(':').map(str::trim);
        let name = parts.next().unwrap_or_default();
        let descending = match parts.next().map(str::to_ascii_lowercase).as_deref() {
            None | Some("" | "asc" | "ascending") => false,
            Some("desc" | "descending") => true,
            Some(other) => {
                return Err(Fault::invalid(format!(
                    "invalid order direction '{other}' for field '{name}', must be 'asc' or 'desc'"
                )));
            }
        };
        let nulls_first = match parts.next().map(str::to_ascii_lowercase).as_deref() {
            None => descending,
            Some("nulls_first") => true,
            Some("nulls_last") => false,
            Some(other) => {
                return Err(Fault::invalid(format!(
                    "invalid null ordering '{other}', must be 'nulls_first' or 'nulls_last'"
                )));
            }
        };
        let Some(field) = schema.field(name) else {
            let text = format!("order_by field '{name}' does not exist in collection schema");
            return Err(Fault::invalid(text));
        };
        if !is_ordered(field.data_type) {
            return Err(Fault::invalid(format!(
                "order_by field '{name}' has type {} which is not sortable",
                field.data_type.name()
            )));
        }
        Ok(OrderBy { field: field.id, descending, nulls_first })
    };
    let mut order: Vec<OrderBy> = Vec::with_capacity(steps.len());
    for step in steps.iter().map(step) {
        let step = step?;
        if !order.iter().any(|before| before.field == step.field) {
            order.push(step);
        }
    }
    Ok(order)
}

const fn is_ordered(data_type: DataType) -> bool {
    is_number(data_type) || matches!(data_type, DataType::Bool | DataType::VarChar)
}

const fn is_number(data_type: DataType) -> bool {
    data_type.is_integer() || matches!(data_type, DataType::Float | DataType::Double)
}

/// A column of an answer that groups rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// The value of a group field, by its place in [`Grouped::group`].
    Group(usize),
    /// An aggregate, by its place in [`Grouped::aggregates`].
    Aggregate(usize),
}

/// A query for groups and their aggregates.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grouped {
    /// The fields that make a group.
    pub group: Vec<FieldId>,
    /// What is computed, each once.
    pub aggregates: Vec<Aggregate>,
    /// The columns of the answer, under the names that the client gave.
    pub columns: Vec<(String, Source)>,
}

/// The aggregate that an output name asks for, and of which field: `sum(x)`, `COUNT ( * )`.
fn aggregate_of(name: &str) -> Option<(AggregateOp, &str)> {
    let (op, rest) = name.trim().split_once('(')?;
    let of = rest.trim_end().strip_suffix(')')?.trim();
    let op = match op.trim_end().to_ascii_lowercase().as_str() {
        "count" => AggregateOp::Count,
        "sum" => AggregateOp::Sum,
        "avg" => AggregateOp::Avg,
        "min" => AggregateOp::Min,
        "max" => AggregateOp::Max,
        _ => return None,
    };
    let is_name = of.bytes().all(|b| b == b'_' || b == b'*' || b.is_ascii_alphanumeric());
    is_name.then_some((op, of))
}

/// Groups and aggregates, if the query asks for some.
///
/// # Errors
/// For a field that is none, or of a type that does not group or aggregate, for an output field
/// that is neither, and for too many of them.
pub fn grouped(
    schema: &CollectionSchema,
    output: &[String],
    params: &QueryParams,
) -> Result<Option<Grouped>, Fault> {
    let has_aggregates = output.iter().any(|name| aggregate_of(name).is_some());
    if !has_aggregates && params.group_by.is_empty() {
        return Ok(None);
    }
    if output.len() > COLUMNS_MAX {
        return Err(Fault::invalid(format!(
            "a query of groups and aggregates may return {COLUMNS_MAX} columns, but {} are asked \
             for",
            output.len()
        )));
    }
    let mut grouped = Grouped::default();
    for name in &params.group_by {
        let field = group_field(schema, name)?;
        if !grouped.group.contains(&field.id) {
            grouped.group.push(field.id);
        }
    }
    for name in output.iter().map(|name| name.trim()) {
        let source = match aggregate_of(name) {
            Some((op, of)) => {
                let wanted = aggregate(schema, name, op, of)?;
                let known = grouped.aggregates.iter().position(|a| *a == wanted);
                Source::Aggregate(known.unwrap_or_else(|| {
                    grouped.aggregates.push(wanted);
                    grouped.aggregates.len() - 1
                }))
            }
            None => {
                let field = schema.field(name);
                let field = field.ok_or_else(|| Fault::plain(format!("field {name} not exist")))?;
                let place = grouped.group.iter().position(|id| *id == field.id);
                Source::Group(place.ok_or_else(|| {
                    Fault::invalid(format!(
                        "output field {name} is neither an aggregate nor one of the group_by_fields"
                    ))
                })?)
            }
        };
        if !grouped.columns.iter().any(|(known, _)| known == name) {
            grouped.columns.push((name.to_owned(), source));
        }
    }
    check_order(schema, params)?;
    Ok(Some(grouped))
}

fn group_field<'s>(schema: &'s CollectionSchema, name: &str) -> Result<&'s FieldSchema, Fault> {
    let field = schema.field(name);
    let field = field.ok_or_else(|| Fault::invalid(format!("field {name} not exist")))?;
    match field.data_type {
        DataType::Bool | DataType::VarChar => Ok(field),
        integer if integer.is_integer() => Ok(field),
        other => Err(Fault::invalid(format!(
            "group by field {name} has unsupported data type {}",
            other.name()
        ))),
    }
}

fn aggregate(
    schema: &CollectionSchema,
    name: &str,
    op: AggregateOp,
    of: &str,
) -> Result<Aggregate, Fault> {
    if of == "*" && op == AggregateOp::Count {
        return Ok(Aggregate { op, field: None });
    }
    if of.is_empty() || of.contains('*') {
        return Err(Fault::invalid(format!("aggregate {name} needs the name of a field")));
    }
    let field = schema.field(of);
    let field = field.ok_or_else(|| Fault::plain(format!("field {of} not exist")))?;
    let fits = match op {
        AggregateOp::Count => !field.data_type.is_vector(),
        AggregateOp::Min | AggregateOp::Max => {
            is_number(field.data_type) || field.data_type == DataType::VarChar
        }
        AggregateOp::Sum | AggregateOp::Avg => is_number(field.data_type),
    };
    if !fits {
        return Err(Fault::invalid(format!(
            "aggregate {name} is not supported on field {of} of type {}",
            field.data_type.name()
        )));
    }
    Ok(Aggregate { op, field: Some(field.id) })
}

/// Groups are ordered by what makes them.
fn check_order(schema: &CollectionSchema, params: &QueryParams) -> Result<(), Fault> {
    for step in &params.order_by {
        let name = step.split(':').next().unwrap_or_default().trim();
        if aggregate_of(name).is_some() {
            let text = format!("ORDER BY on aggregate expression '{name}' is not yet supported");
            return Err(Fault::invalid(text));
        }
        let known = schema.field(name).is_some();
        if !params.group_by.iter().any(|group| group == name) && known {
            return Err(Fault::invalid(format!(
                "ORDER BY field '{name}' is not valid: when using GROUP BY or aggregates, ORDER BY \
                 can only reference GROUP BY columns. Valid targets are: [{}]",
                params.group_by.join(" ")
            )));
        }
    }
    Ok(())
}
