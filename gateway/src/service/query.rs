//! Query: rows that a filter keeps, and counts.

use std::sync::Arc;
use std::time::Instant;

use millstream_catalog::model::Fault;
use millstream_dataflow::api::{CountRequest, QueryRequest, Target};

use super::search::prefix_not_loaded;
use super::{Context, read};
use crate::convert::output::Output;
use crate::convert::schema::primary_field;
use crate::convert::search::query_params;
use crate::convert::status::success;
use crate::gateway::Gateway;
use crate::guarantee::{self, Asked};
use crate::names;
use crate::pb;
use crate::pb::schema::{DataType, FieldData, LongArray, ScalarField, field_data, scalar_field};
use crate::telemetry::Kind;

/// The output name that asks for the number of rows.
const COUNT: &str = "count(*)";

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
    let params = query_params(&request.query_params)?;
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
        .map_err(|fault| prefix_not_loaded(fault, "failed to query: "))?;
    let values = std::mem::take(&mut request.expr_template_values);
    let filter = read::filter(&collection, &request.expr, values)?;
    let target = read::target(context, &collection, partitions, guarantee);
    let pk = primary_field(&collection.schema)?;
    let mut results = if is_count(&request.output_fields) {
        if params.limit.is_some() {
            return Err(Fault::plain("count entities with pagination is not allowed"));
        }
        let count = gateway.dataflow.count(CountRequest { target, filter });
        let reply =
            gateway.closer.read(&collection.channels, needed, context.timeout(), count).await?;
        counted(i64::try_from(reply.rows).unwrap_or(i64::MAX))
    } else {
        if request.expr.trim().is_empty() && params.limit.is_none() {
            return Err(Fault::plain("empty expression should be used with limit"));
        }
        let output = Output::resolve(&collection.schema, &request.output_fields)?;
        let output = output.with_field(pk.id, &pk.name);
        let question = question(target, filter, &output, params.offset, params.limit);
        let answer = gateway.dataflow.query(question);
        let reply =
            gateway.closer.read(&collection.channels, needed, context.timeout(), answer).await?;
        pb::QueryResults {
            fields_data: output.render(&collection.schema, reply.columns)?,
            output_fields: output.names,
            session_ts: if params.iterator { reply.as_of.0 } else { 0 },
            ..pb::QueryResults::default()
        }
    };
    results.status = Some(success());
    results.primary_field_name = pk.name.clone();
    results.collection_name = request.collection_name;
    gateway.telemetry.took(Kind::Query, begun.elapsed());
    Ok(results)
}

fn question(
    target: Target,
    filter: Option<bytes::Bytes>,
    output: &Output,
    offset: u64,
    limit: Option<u64>,
) -> QueryRequest {
    QueryRequest { target, filter, output: output.fields.clone(), offset, limit }
}

fn is_count(output_fields: &[String]) -> bool {
    matches!(output_fields, [only] if only.trim().eq_ignore_ascii_case(COUNT))
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
