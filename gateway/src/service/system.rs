//! The server itself: connecting, version, health and time.
#![allow(clippy::unused_async)] // the table of RPCs calls all handlers alike

use std::sync::Arc;

use millstream_catalog::model::Fault;

use super::Context;
use crate::convert::status::success;
use crate::gateway::Gateway;
use crate::pb;
use crate::pb::QuotaState;
use crate::pb::common::{ServerInfo, StateCode};

/// The version as clients see it: the version of Milvus whose behaviour is followed, and ours.
pub const VERSION: &str = concat!("v2.6.0-millstream-", env!("CARGO_PKG_VERSION"));

pub(super) async fn connect(
    gateway: &Arc<Gateway>,
    _: &Context,
    request: pb::ConnectRequest,
) -> Result<pb::ConnectResponse, Fault> {
    let identifier = gateway.now().await?.0.cast_signed();
    if let Some(client) = request.client_info {
        let (sdk, version) = (client.sdk_type, client.sdk_version);
        tracing::debug!(sdk, version, host = client.host, identifier, "a client connected");
    }
    let server_info = ServerInfo {
        build_tags: VERSION.to_owned(),
        build_time: String::new(),
        git_commit: String::new(),
        go_version: String::new(),
        deploy_mode: "STANDALONE".to_owned(),
        ..ServerInfo::default()
    };
    Ok(pb::ConnectResponse { status: Some(success()), server_info: Some(server_info), identifier })
}

pub(super) async fn version(
    _: &Arc<Gateway>,
    _: &Context,
    _: pb::GetVersionRequest,
) -> Result<pb::GetVersionResponse, Fault> {
    Ok(pb::GetVersionResponse { status: Some(success()), version: VERSION.to_owned() })
}

pub(super) async fn health(
    gateway: &Arc<Gateway>,
    _: &Context,
    _: pb::CheckHealthRequest,
) -> Result<pb::CheckHealthResponse, Fault> {
    let mut reasons = problems(gateway).await;
    let is_healthy = reasons.is_empty();
    let denied = gateway.quotas.writes_denied(gateway);
    let quota_states = denied.iter().map(|_| QuotaState::DenyToWrite.into()).collect();
    reasons.extend(denied);
    Ok(pb::CheckHealthResponse { status: Some(success()), is_healthy, reasons, quota_states })
}

/// What is wrong with the back ends; empty when nothing is.
pub(crate) async fn problems(gateway: &Gateway) -> Vec<String> {
    let mut reasons = Vec::new();
    if let Err(fault) = gateway.catalog.check().await {
        reasons.push(format!("catalog: {fault}"));
    }
    if let Err(fault) = gateway.writer.log().check().await {
        reasons.push(format!("log: {fault}"));
    }
    for (channel, fault) in gateway.dataflow.broken() {
        reasons.push(format!("channel {channel} stopped: {fault}"));
    }
    reasons
}

pub(super) async fn components(
    gateway: &Arc<Gateway>,
    _: &Context,
    _: pb::GetComponentStatesRequest,
) -> Result<pb::ComponentStates, Fault> {
    let healthy = problems(gateway).await.is_empty();
    let state_code = if healthy { StateCode::Healthy } else { StateCode::Abnormal } as i32;
    let component = |role: &str| pb::ComponentInfo {
        node_id: 1,
        role: role.to_owned(),
        state_code,
        ..pb::ComponentInfo::default()
    };
    Ok(pb::ComponentStates {
        state: Some(component("standalone")),
        subcomponent_states: ["gateway", "worker", "catalog", "log"].map(component).to_vec(),
        status: Some(success()),
    })
}

pub(super) async fn alloc_timestamp(
    gateway: &Arc<Gateway>,
    _: &Context,
    _: pb::AllocTimestampRequest,
) -> Result<pb::AllocTimestampResponse, Fault> {
    let timestamp = gateway.now().await?.0;
    Ok(pb::AllocTimestampResponse { status: Some(success()), timestamp })
}
