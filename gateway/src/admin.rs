//! The admin port: health and metrics for whoever reaches it, and the log level.

use std::sync::Arc;

use axum::extract::{RawQuery, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use metrics::{counter, gauge};
use metrics_exporter_prometheus::PrometheusHandle;
use millstream_catalog::model::ChannelId;
use serde::Deserialize;

use crate::auth::header::Credentials;
use crate::gateway::Gateway;
use crate::logging;
use crate::service::problems;

/// What the admin routes work with.
#[derive(Clone)]
pub struct Admin {
    /// The gateway.
    pub gateway: Arc<Gateway>,
    /// Renders the metrics.
    pub metrics: PrometheusHandle,
}

/// The routes of the admin port.
pub fn router(admin: Admin) -> Router {
    Router::new()
        .route("/healthz", get(healthz))
        .route("/api/v1/health", get(health))
        .route("/metrics", get(metrics))
        .route("/metrics_default", get(metrics))
        .merge(
            Router::new()
                .route("/log/level", get(level).put(set_level).post(set_level))
                .route_layer(from_fn_with_state(admin.clone(), only_admins)),
        )
        .with_state(admin)
}

async fn healthz(State(admin): State<Admin>) -> Response {
    let problems = problems(&admin.gateway).await;
    if problems.is_empty() {
        return "OK".into_response();
    }
    (StatusCode::INTERNAL_SERVER_ERROR, problems.join("\n")).into_response()
}

async fn health(State(admin): State<Admin>) -> Response {
    let problems = problems(&admin.gateway).await;
    if problems.is_empty() {
        return Json(serde_json::json!({"status": "ok"})).into_response();
    }
    let body = serde_json::json!({"status": "unhealthy", "reasons": problems});
    (StatusCode::INTERNAL_SERVER_ERROR, Json(body)).into_response()
}

async fn metrics(State(admin): State<Admin>) -> Response {
    if let Err(error) = measure(&admin.gateway).await {
        tracing::warn!(%error, "some metrics could not be read");
    }
    let text = admin.metrics.render();
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response()
}

/// Reads what is not counted as it happens.
async fn measure(gateway: &Gateway) -> Result<(), millstream_catalog::model::Fault> {
    let queues = &gateway.queues;
    let waiting = queues.ddl.waiting() + queues.dml.waiting() + queues.dql.waiting();
    gateway.telemetry.waiting.set(waiting as f64);
    gauge!("milvus_querynode_entity_num", "node_id" => "1").set(gateway.dataflow.rows() as f64);
    counter!("millstream_rows_scanned_total", "node_id" => "1")
        .absolute(gateway.dataflow.rows_scanned());
    let now = gateway.now().await?;
    gauge!("milvus_rootcoord_timestamp", "node_id" => "1").set(now.physical_ms() as f64);
    for channel in (0..gateway.catalog.channels()).map(ChannelId) {
        let stats = gateway.writer.stats(channel);
        let backlog = gateway.dataflow.backlog_bytes(channel);
        let closed = gateway.dataflow.closed(channel);
        // A channel with nothing under way is up to date, however old its last unit is.
        let idle = stats.bytes == 0 && backlog == 0;
        let behind = now.physical_ms().saturating_sub(closed.physical_ms());
        let lag_ms = if idle { 0 } else { behind };
        let name = channel.to_string();
        let labels = [("node_id", "1".to_owned()), ("channel_name", name)];
        gauge!("millstream_frontier_lag_ms", &labels).set(lag_ms as f64);
        gauge!("millstream_log_waiting_bytes", &labels).set(stats.bytes as f64);
        gauge!("millstream_log_backlog_bytes", &labels).set(backlog as f64);
    }
    let mut collections = 0;
    for database in gateway.catalog.database_list().await? {
        collections += gateway.catalog.collection_list(&database.name).await?.len();
    }
    gateway.telemetry.collections.set(collections as f64);
    Ok(())
}

async fn level() -> String {
    logging::level()
}

#[derive(Deserialize)]
struct Level {
    level: String,
}

/// Refuses whoever is not known to be allowed everything, when clients must say who they are.
async fn only_admins(State(admin): State<Admin>, request: Request, next: Next) -> Response {
    let door = &admin.gateway.door;
    if !door.is_on() {
        return next.run(request).await;
    }
    let refuse = || {
        let text = "credentials of an administrator are needed: Authorization: Basic ..\n";
        (StatusCode::UNAUTHORIZED, text).into_response()
    };
    let Some(credentials) = Credentials::of_http(request.headers()) else { return refuse() };
    let Ok(access) = door.access().await else {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    };
    let user = access.user(&credentials.user);
    match door.check(user, &credentials.password).await {
        Ok(true) if access.is_super(&credentials.user) => next.run(request).await,
        Ok(_) => refuse(),
        Err(_) => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}

/// `PUT /log/level` with `{"level":"debug"}`, `?level=debug`, or the bare word.
async fn set_level(RawQuery(query): RawQuery, body: String) -> Response {
    let wanted = match query.as_deref().and_then(|q| q.strip_prefix("level=")) {
        Some(level) => level.to_owned(),
        None => serde_json::from_str::<Level>(&body)
            .map_or_else(|_| body.trim().to_owned(), |parsed| parsed.level),
    };
    match logging::set_level(&wanted) {
        Ok(()) => format!("log level is {wanted}\n").into_response(),
        Err(error) => (StatusCode::BAD_REQUEST, format!("{error}\n")).into_response(),
    }
}
