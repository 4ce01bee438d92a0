//! Query: rows that a filter keeps, counts, groups and aggregates.

use std::sync::Arc;
use std::time::Instant;

use millstream_catalog::model::{Collection, Fault};
use millstream_dataflow::api::{
    AggregateReply, AggregateRequest, CountRequest, QueryRequest, Target,
};
use millstream_expr::Plan;

use super::search::prefix_not_loaded;
use super::{Context, admit, read};
use crate::convert::data;
use crate::convert::output::Output;
use crate::convert::query::{Grouped, QueryParams, Source, grouped, order_of, query_params};
use crate::convert::schema::primary_field;
use crate::convert::search::check_same_collection;
use crate::convert::status::success;
use crate::dml;
use crate::gateway::Gateway;
use crate::guarantee::Asked;
use crate::names;
use crate::pb;
use crate::pb::schema::{DataType, FieldData, LongArray, ScalarField, field_data, scalar_field};
use crate::telemetry::Kind;

/// The output name that asks for the number of rows.
const COUNT: &str = "count(*)";

/// A query, ready but for what it returns.
struct Question<'c> {
    collection: &'c Collection,
    params: QueryParams,
    target: Target,
    filter: Option<Plan>,
    output_fields: &'c [String],
}

pub(super) async fn query(
    gateway: &Arc<Gateway>,
    context: &Context,
    mut request: pb::QueryRequest,
) -> Result<pb::QueryResults, Fault> {
    let begun = Instant::now();
    names::check_collection(&request.collection_name)?;
    read::check_namespace(request.namespace.as_ref())?;
    let database = context.database(&request.db_name);
    let collection = gateway.collection(database, &request.collection_name).await?;
    let named = (&*collection, &*request.partition_names);
    admit::query(gateway, database, named).await?;
    let params = query_params(&request.query_params)?;
    check_same_collection(&collection, params.collection_id)?;
    let asked = Asked {
        level: request.consistency_level,
        use_default: request.use_default_consistency,
        guarantee_ts: request.guarantee_timestamp,
        travel_ts: request.travel_timestamp,
        iterator: params.iterator,
    };
    let partitions = read::partitions(&collection, &request.partition_names)
        .map_err(|fault| prefix_not_loaded(fault, "failed to query: "))?;
    let values = std::mem::take(&mut request.expr_template_values);
    let filter = read::filter(&collection, &request.expr, values)?;
    let partitions = dml::pruned(&collection, partitions, filter.as_ref())?;
    let (target, needed) = read::begin(gateway, context, &collection, asked, partitions).await?;
    let output_fields = &request.output_fields;
    let blank = request.expr.trim().is_empty();
    let question = Question { collection: &collection, params, target, filter, output_fields };
    let answer = answer(gateway, question, blank)?;
    let mut results =
        gateway.closer.read(&collection.channels, needed, context.timeout(), answer).await?;
    results.status = Some(success());
    results.primary_field_name = primary_field(&collection.schema)?.name.clone();
    results.collection_name = request.collection_name;
    gateway.telemetry.took(Kind::Query, begun.elapsed());
    Ok(results)
}

/// The answer to a query that is well-formed; all that is wrong with it is found before the wait.
fn answer<'q>(
    gateway: &'q Gateway,
    question: Question<'q>,
    blank: bool,
) -> Result<impl Future<Output = Result<pb::QueryResults, Fault>> + 'q, Fault> {
    let Question { collection, params, target, filter, output_fields } = question;
    let schema = &collection.schema;
    let groups = grouped(schema, output_fields, &params)?;
    let order = order_of(schema, &params.order_by)?;
    let count = is_count(output_fields) && params.group_by.is_empty();
    if count && params.limit.is_some() {
        return Err(Fault::plain("count entities with pagination is not allowed"));
    }
    if blank && params.limit.is_none() && groups.is_none() {
        return Err(Fault::plain("empty expression should be used with limit"));
    }
    let output = match groups {
        Some(_) => Output::default(),
        None => {
            let pk = primary_field(schema)?;
            Output::resolve(schema, output_fields)?.with_field(pk.id, &pk.name)
        }
    };
    Ok(async move {
        let encoded = filter.as_ref().map(|plan| plan.encode().into());
        if count {
            let request = CountRequest { target, filter: encoded };
            let reply = gateway.dataflow.count(request).await?;
            return Ok(counted(i64::try_from(reply.rows).unwrap_or(i64::MAX)));
        }
        if let Some(groups) = groups {
            let request = AggregateRequest {
                target,
                filter: encoded,
                group: groups.group.clone(),
                aggregates: groups.aggregates.clone(),
                order,
                offset: params.offset,
                limit: params.limit,
            };
            let reply = gateway.dataflow.aggregate(request).await?;
            return aggregated(&groups, reply);
        }
        let keys = filter.as_ref().and_then(|plan| plan.pk_list()).map(read::key_list);
        let request = QueryRequest {
            target,
            filter: if keys.is_some() { None } else { encoded },
            keys,
            output: output.fields.clone(),
            order,
            offset: params.offset,
            limit: params.limit,
        };
        let reply = gateway.dataflow.query(request).await?;
        Ok(pb::QueryResults {
            fields_data: output.render(&collection.schema, reply.columns)?,
            output_fields: output.names,
            session_ts: if params.iterator { reply.as_of.0 } else { 0 },
            ..pb::QueryResults::default()
        })
    })
}

fn is_count(output_fields: &[String]) -> bool {
    match output_fields {
        [only] => {
            let name: String = only.chars().filter(|c| !c.is_whitespace()).collect();
            name.eq_ignore_ascii_case(COUNT)
        }
        _ => false,
    }
}

fn counted(rows: i64) -> pb::QueryResults {
    let column = FieldData {
        r#type: DataType::Int64 as i32,
        field_name: COUNT.to_owned(),
        field: Some(field_data::Field::Scalars(ScalarField {
            data: Some(scalar_field::Data::LongData(LongArray { data: vec![rows] })),
        })),
        ..FieldData::default()
    };
    pb::QueryResults {
        fields_data: vec![column],
        output_fields: vec![COUNT.to_owned()],
        ..pb::QueryResults::default()
    }
}

/// Groups and aggregates as columns under the names that the client gave.
fn aggregated(groups: &Grouped, reply: AggregateReply) -> Result<pb::QueryResults, Fault> {
    let lacking = || Fault::internal("an aggregation answers with too few columns");
    let mut fields_data = Vec::with_capacity(groups.columns.len());
    let mut output_fields = Vec::with_capacity(groups.columns.len());
    for (name, source) in &groups.columns {
        let column = match source {
            Source::Group(at) => reply.group.get(*at),
            Source::Aggregate(at) => reply.aggregates.get(*at),
        };
        let column = column.cloned().ok_or_else(lacking)?;
        fields_data.push(data::named(name, column));
        output_fields.push(name.clone());
    }
    Ok(pb::QueryResults { fields_data, output_fields, ..pb::QueryResults::default() })
}
