//! Search: nearest neighbours.

use std::sync::Arc;
use std::time::Instant;

use millstream_catalog::model::{Code, Collection, Fault};
use millstream_dataflow::api::{Column, SearchReply, SearchRequest, Values};

use super::{Context, read};
use crate::convert::output::Output;
use crate::convert::placeholder::float_queries;
use crate::convert::schema::primary_field;
use crate::convert::search::{SearchParams, metric_of, search_params, vector_field};
use crate::convert::{data, status::success};
use crate::gateway::Gateway;
use crate::guarantee::{self, Asked};
use crate::names;
use crate::pb;
use crate::pb::common::DslType;
use crate::pb::schema::{SearchResultData, i_ds::IdField};
use crate::pb::search_request::SearchInput;
use crate::telemetry::Kind;

pub(super) async fn search(
    gateway: &Arc<Gateway>,
    context: &Context,
    mut request: pb::SearchRequest,
) -> Result<pb::SearchResults, Fault> {
    let begun = Instant::now();
    names::check_collection(&request.collection_name)?;
    let database = context.database(&request.db_name);
    let collection = gateway.collection(database, &request.collection_name).await?;
    check_supported(&request)?;
    let params = search_params(&request.search_params)?;
    let asked = Asked {
        level: request.consistency_level,
        use_default: request.use_default_consistency,
        guarantee_ts: request.guarantee_timestamp,
        travel_ts: request.travel_timestamp,
        iterator: params.iterator,
    };
    let guarantee = read::time(gateway, &collection, asked).await?;
    let needed = guarantee::needed(guarantee, &collection);
    let partitions = read::partitions(&collection, &request.partition_names)
        .map_err(|fault| prefix_not_loaded(fault, "failed to search: "))?;
    let field = vector_field(&collection, &params.anns_field)?;
    let metric = metric_of(&collection, field, params.metric.as_deref())?;
    let placeholders = match request.search_input.take() {
        Some(SearchInput::PlaceholderGroup(bytes)) => bytes,
        Some(SearchInput::Ids(_)) => {
            return Err(Fault::invalid("search by primary keys is not supported yet"));
        }
        None => return Err(Fault::invalid("placeholder_group is missing")),
    };
    let (queries, nq) = float_queries(field, &placeholders, request.nq)?;
    let output = Output::resolve(&collection.schema, &request.output_fields)?;
    let filter =
        read::filter(&collection, &request.dsl, std::mem::take(&mut request.expr_template_values))?;
    let question = SearchRequest {
        target: read::target(context, &collection, partitions, guarantee),
        field: field.id,
        metric,
        dim: field.dim,
        queries,
        topk: params.topk + params.offset,
        filter,
        output: output.fields.clone(),
    };
    let answer = gateway.dataflow.search(question);
    let reply =
        gateway.closer.read(&collection.channels, needed, context.timeout(), answer).await?;
    let session_ts = if params.iterator { reply.as_of.0 } else { 0 };
    let results = results(&collection, &params, &output, reply)?;
    gateway.telemetry.searched(&collection.name, nq as u64);
    gateway.telemetry.took(Kind::Search, begun.elapsed());
    Ok(pb::SearchResults {
        status: Some(success()),
        results: Some(results),
        collection_name: request.collection_name,
        session_ts,
    })
}

/// Refuses what would change the answer and is not done.
fn check_supported(request: &pb::SearchRequest) -> Result<(), Fault> {
    read::check_namespace(request.namespace.as_ref())?;
    let has_functions =
        request.function_score.as_ref().is_some_and(|score| !score.functions.is_empty());
    let refused = if has_functions || !request.function_chains.is_empty() {
        "re-ranking by functions"
    } else if request.highlighter.is_some() {
        "highlighting"
    } else if request.search_aggregation.is_some() {
        "aggregation over search results"
    } else if !request.sub_reqs.is_empty() {
        "searching several requests at once"
    } else if !request.dsl.trim().is_empty() && request.dsl_type != DslType::BoolExprV1 as i32 {
        "the old filter language"
    } else {
        return Ok(());
    };
    Err(Fault::invalid(format!("{refused} is not supported yet")))
}

/// Reads that find their collection not loaded say what failed.
pub(super) fn prefix_not_loaded(fault: Fault, prefix: &str) -> Fault {
    match fault.code {
        Code::CollectionNotLoaded | Code::PartitionNotLoaded => fault.prefixed(prefix),
        _ => fault,
    }
}

fn results(
    collection: &Collection,
    params: &SearchParams,
    output: &Output,
    mut reply: SearchReply,
) -> Result<SearchResultData, Fault> {
    if params.offset > 0 {
        skip(&mut reply, params.offset);
    }
    if let Some(decimals) = params.round_decimal {
        let factor = 10_f64.powi(decimals.cast_signed());
        for score in &mut reply.scores {
            *score = ((f64::from(*score) * factor).round() / factor) as f32;
        }
    }
    let topks: Vec<i64> = reply.hits.iter().map(|h| i64::from(*h)).collect();
    let pk = primary_field(&collection.schema)?;
    let mut ids = data::ids(reply.pks.values);
    if ids.id_field.is_none() {
        ids.id_field = Some(IdField::IntId(Default::default()));
    }
    Ok(SearchResultData {
        num_queries: i64::try_from(topks.len()).unwrap_or(i64::MAX),
        top_k: topks.iter().copied().max().unwrap_or(0),
        fields_data: output.render(&collection.schema, reply.columns)?,
        scores: reply.scores,
        ids: Some(ids),
        topks,
        output_fields: output.names.clone(),
        primary_field_name: pk.name.clone(),
        ..SearchResultData::default()
    })
}

/// Drops the first `offset` hits of each query.
fn skip(reply: &mut SearchReply, offset: u32) {
    let mut keep = Vec::with_capacity(reply.scores.len());
    for hits in &mut reply.hits {
        let dropped = offset.min(*hits);
        keep.extend((0..*hits).map(|hit| hit >= dropped));
        *hits -= dropped;
    }
    let mut kept = keep.iter();
    reply.scores.retain(|_| kept.next().copied().unwrap_or(false));
    keep_rows(&mut reply.pks, &keep);
    for column in &mut reply.columns {
        keep_rows(column, &keep);
    }
}

fn keep_rows(column: &mut Column, keep: &[bool]) {
    fn retain<T>(values: &mut Vec<T>, keep: &[bool]) {
        let mut kept = keep.iter();
        values.retain(|_| kept.next().copied().unwrap_or(false));
    }
    match &mut column.values {
        Values::Bool(v) => retain(v, keep),
        Values::Int(v) => retain(v, keep),
        Values::Long(v) => retain(v, keep),
        Values::Float(v) => retain(v, keep),
        Values::Double(v) => retain(v, keep),
        Values::Text(v) => retain(v, keep),
        Values::Json(v) => retain(v, keep),
        Values::FloatVector { dim, data } => {
            let rows = data.chunks_exact((*dim as usize * 4).max(1)).zip(keep);
            let kept = rows.filter(|(_, keep)| **keep).flat_map(|(row, _)| row);
            *data = kept.copied().collect::<Vec<u8>>().into();
        }
    }
}

#[cfg(test)]
mod tests {
    use millstream_catalog::model::{DataType, FieldId, Timestamp};

    use super::*;

    fn column(values: Values) -> Column {
        Column { field: FieldId(100), data_type: DataType::Int64, values }
    }

    fn vectors(rows: &[u8]) -> Values {
        let data: Vec<u8> = rows.iter().flat_map(|r| [*r; 4]).collect();
        Values::FloatVector { dim: 1, data: data.into() }
    }

    #[test]
    fn an_offset_drops_the_first_hits_of_each_query() {
        let mut reply = SearchReply {
            as_of: Timestamp(1),
            hits: vec![3, 0, 1, 2],
            pks: column(Values::Long(vec![1, 2, 3, 4, 5, 6])),
            scores: vec![0.1, 0.2, 0.3, 0.4, 0.5, 0.6],
            columns: vec![column(vectors(&[1, 2, 3, 4, 5, 6]))],
        };
        skip(&mut reply, 1);
        assert_eq!(reply.hits, [2, 0, 0, 1]);
        assert_eq!(reply.pks.values, Values::Long(vec![2, 3, 6]));
        assert_eq!(reply.scores, [0.2, 0.3, 0.6]);
        assert_eq!(reply.columns[0].values, vectors(&[2, 3, 6]));
    }
}
