//! Compactions that clients ask for: what was planned, and how it is doing.

use std::sync::Arc;

use millstream_catalog::model::{Collection, Fault, SegmentId};
use millstream_dataflow::storage::{Compaction, CompactionPlan, PlanState};

use super::Context;
use crate::convert::status::success;
use crate::gateway::Gateway;
use crate::pb;
use crate::pb::common::{CompactionState, CompactionTaskState, CompactionType};

/// The id of a compaction that has nothing to do, and the target of a plan without one.
const NONE: i64 = -1;

/// The collection that a request names, or whose id it gives.
async fn collection(
    gateway: &Arc<Gateway>,
    context: &Context,
    (db_name, name, id): (&str, &str, i64),
) -> Result<Arc<Collection>, Fault> {
    let database = context.database(db_name);
    match name.is_empty() && id != 0 {
        true => gateway.collection_by_id(database, id).await,
        false => gateway.collection(database, name).await,
    }
}

/// Plans all that makes fewer segments or fewer dead rows. It is carried out behind.
pub(super) async fn compact(
    gateway: &Arc<Gateway>,
    context: &Context,
    request: pb::ManualCompactionRequest,
) -> Result<pb::ManualCompactionResponse, Fault> {
    let named = (&*request.db_name, &*request.collection_name, request.collection_id);
    let collection = collection(gateway, context, named).await?;
    check(&request)?;
    let none = pb::ManualCompactionResponse {
        status: Some(success()),
        compaction_id: NONE,
        compaction_plan_count: 0,
    };
    // Without a key there is nothing that rows could be clustered by.
    if request.major_compaction && !collection.schema.fields.iter().any(|f| f.is_clustering_key) {
        return Ok(none);
    }
    // What can be given up depends on how far time is closed, and nothing may be written for long.
    let now = gateway.now().await?;
    let channels: Vec<_> = collection.vchannels().map(|(_, channel)| channel).collect();
    let closed = gateway.dataflow.wait_closed(&channels, now);
    gateway.closer.read(&channels, now, context.timeout(), closed).await?;
    let (dataflow, id) = (gateway.dataflow.clone(), collection.id);
    // It looks at files.
    let planned = tokio::task::spawn_blocking(move || dataflow.compact(id)).await;
    let Compaction { id, plans, .. } = planned.map_err(|e| Fault::internal(e.to_string()))??;
    if plans.is_empty() {
        return Ok(none);
    }
    let count = i32::try_from(plans.len()).unwrap_or(i32::MAX);
    Ok(pb::ManualCompactionResponse { compaction_id: id, compaction_plan_count: count, ..none })
}

/// Refuses what a compaction cannot be limited to.
fn check(request: &pb::ManualCompactionRequest) -> Result<(), Fault> {
    let refused = |what: &str| {
        Err(Fault::invalid(format!("a compaction of one {what} only is not supported yet")))
    };
    if request.partition_id != 0 {
        return refused("partition");
    }
    if !request.channel.is_empty() {
        return refused("channel");
    }
    if !request.segment_ids.is_empty() {
        return refused("list of segments");
    }
    if request.target_size < 0 {
        let size = request.target_size;
        return Err(Fault::expected("invalid target_size", "0 or more", size));
    }
    Ok(())
}

/// Whether some plan is not carried out yet. A compaction that is too long ago is done.
fn state_of(plans: &[CompactionPlan]) -> CompactionState {
    let executing = plans.iter().any(|plan| plan.state == PlanState::Executing);
    if executing { CompactionState::Executing } else { CompactionState::Completed }
}

pub(super) async fn state(
    gateway: &Arc<Gateway>,
    _: &Context,
    request: pb::GetCompactionStateRequest,
) -> Result<pb::GetCompactionStateResponse, Fault> {
    let compaction = gateway.dataflow.compaction(request.compaction_id);
    let plans = compaction.map_or_else(Vec::new, |compaction| compaction.plans);
    let count = |of: fn(&PlanState) -> bool| {
        i64::try_from(plans.iter().filter(|plan| of(&plan.state)).count()).unwrap_or(i64::MAX)
    };
    Ok(pb::GetCompactionStateResponse {
        status: Some(success()),
        state: state_of(&plans).into(),
        executing_plan_no: count(|state| *state == PlanState::Executing),
        timeout_plan_no: 0,
        completed_plan_no: count(|state| matches!(state, PlanState::Completed(_))),
        failed_plan_no: count(|state| *state == PlanState::Failed),
    })
}

pub(super) async fn plans(
    gateway: &Arc<Gateway>,
    context: &Context,
    request: pb::GetCompactionPlansRequest,
) -> Result<pb::GetCompactionPlansResponse, Fault> {
    let (name, id) = (&*request.collection_name, request.collection_id);
    let all = if request.compaction_id == 0 && (!name.is_empty() || id != 0) {
        let collection = collection(gateway, context, (&request.db_name, name, id)).await?;
        gateway.dataflow.compactions(collection.id)
    } else {
        gateway.dataflow.compaction(request.compaction_id).into_iter().collect()
    };
    let plans: Vec<CompactionPlan> = all.iter().flat_map(|of| of.plans.clone()).collect();
    let infos = all.iter().flat_map(|of| (0..).zip(&of.plans).map(|(n, plan)| info(of, n, plan)));
    Ok(pb::GetCompactionPlansResponse {
        status: Some(success()),
        state: state_of(&plans).into(),
        merge_infos: infos.collect(),
    })
}

/// A plan as clients know it.
fn info(compaction: &Compaction, number: i64, plan: &CompactionPlan) -> pb::CompactionMergeInfo {
    let target = match plan.state {
        PlanState::Completed(target) => target,
        PlanState::Executing | PlanState::Failed => None,
    };
    let state = match plan.state {
        PlanState::Executing => CompactionTaskState::Executing,
        PlanState::Completed(_) => CompactionTaskState::Completed,
        PlanState::Failed => CompactionTaskState::Failed,
    };
    let failed = plan.state == PlanState::Failed;
    pb::CompactionMergeInfo {
        sources: plan.sources.iter().map(|segment| segment.0).collect(),
        target: target.map_or(NONE, |SegmentId(id)| id),
        plan_id: number,
        trigger_id: compaction.id,
        collection_id: compaction.collection.0,
        r#type: CompactionType::Mix.into(),
        state: state.into(),
        failure_reason: if failed { "the segments were left as they were" } else { "" }.to_owned(),
        targets: target.iter().map(|segment| segment.0).collect(),
        ..Default::default()
    }
}
