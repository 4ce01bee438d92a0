//! Metrics as JSON, in the shape that clients of Milvus read.
#![allow(clippy::unused_async)] // the table of RPCs calls all handlers alike

use std::sync::Arc;

use millstream_catalog::model::limits::DEFAULT_PARTITION;
use millstream_catalog::model::{Code, Fault};
use serde_json::{Map, Value, json};

use super::segment::NODE_ID;
use super::{Context, VERSION};
use crate::convert::status::success;
use crate::gateway::Gateway;
use crate::machine::Usage;
use crate::pb;
use crate::quota::{Kind, Scope};

/// The name of the one kind of metrics that is served.
const SYSTEM_INFO: &str = "system_info";
/// The node's role, as clients see it.
const ROLE: &str = "standalone";

/// The answer is text, and so may be its error; the name says which component speaks.
pub(super) async fn get(
    gateway: &Arc<Gateway>,
    _: &Context,
    request: pb::GetMetricsRequest,
) -> Result<pb::GetMetricsResponse, Fault> {
    let wanted = metric_type(&request.request)?;
    if wanted != SYSTEM_INFO {
        return Err(Fault::new(Code::MetricNotFound, format!("metric not found[metric={wanted}]")));
    }
    let component_name = format!("{ROLE}{NODE_ID}");
    let response = system_info(gateway, &component_name).to_string();
    Ok(pb::GetMetricsResponse { status: Some(success()), response, component_name })
}

/// What a request asks for.
fn metric_type(request: &str) -> Result<String, Fault> {
    let parsed: Value = serde_json::from_str(request)
        .map_err(|e| Fault::plain(format!("failed to decode the request: {e}")))?;
    match parsed.get("metric_type") {
        Some(Value::String(kind)) => Ok(kind.clone()),
        Some(other) => Err(Fault::plain(format!("invalid metric_type: {other}"))),
        None => Err(Fault::plain("metric_type not found in request")),
    }
}

fn system_info(gateway: &Gateway, name: &str) -> Value {
    let usage = Usage::now();
    let lived = gateway.started.elapsed().as_secs_f64().max(1e-3);
    let cpu_percent = 100.0 * usage.cpu.as_secs_f64() / lived;
    let hardware = json!({
        "ip": gateway.address,
        "cpu_core_count": usage.cores,
        "cpu_core_usage": cpu_percent,
        "memory": usage.memory_max,
        "memory_usage": usage.memory,
        "disk": 0.0,
        "disk_usage": 0.0,
    });
    let infos = json!({
        "has_error": false,
        "error_reason": "",
        "name": name,
        "hardware_infos": hardware,
        "system_info": {
            "system_version": VERSION,
            "deploy_mode": "STANDALONE",
            "build_version": VERSION,
            "build_time": "",
            "used_go_version": "",
        },
        "created_time": gateway.started_at.to_string(),
        "updated_time": gateway.started_at.to_string(),
        "type": ROLE,
        "id": NODE_ID,
        "system_configurations": {
            "default_partition_name": DEFAULT_PARTITION,
            "channels": gateway.catalog.channels(),
        },
        "quota_metrics": quota(gateway),
    });
    let node = json!({ "identifier": NODE_ID, "connected": [], "infos": infos });
    json!({ "nodes_info": [node] })
}

/// What is limited, what is denied, and how far the workers are behind.
fn quota(gateway: &Gateway) -> Value {
    let settings = gateway.quotas.settings();
    let mut limits = Map::new();
    for scope in Scope::ALL {
        let rates = &settings.rates[scope as usize];
        let given = Kind::ALL.iter().filter_map(|kind| Some((kind, rates[*kind as usize]?)));
        let rates: Map<String, Value> = given
            .map(|(kind, rate)| (kind.name().to_owned(), (rate / kind.unit()).into()))
            .collect();
        limits.insert(scope.name().to_owned(), rates.into());
    }
    let backlog: usize = gateway.channels().map(|c| gateway.dataflow.backlog_bytes(c)).sum();
    let waiting: usize = gateway.channels().map(|c| gateway.writer.stats(c).bytes).sum();
    json!({
        "Hms": {},
        "Rms": [],
        "limits": limits,
        "deny_to_write": gateway.quotas.writes_denied(gateway),
        "entities": gateway.dataflow.rows(),
        "log_backlog_bytes": backlog,
        "log_waiting_bytes": waiting,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_says_what_it_asks_for_or_is_refused() {
        assert_eq!(metric_type(r#"{"metric_type":"system_info"}"#).unwrap(), SYSTEM_INFO);
        for (bad, why) in [
            ("", "failed to decode the request"),
            ("{", "failed to decode the request"),
            ("{}", "metric_type not found in request"),
            (r#"{"metric_type":1}"#, "invalid metric_type: 1"),
        ] {
            assert!(metric_type(bad).unwrap_err().message.starts_with(why), "{bad}");
        }
    }
}
