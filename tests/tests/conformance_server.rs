//! What the server says of itself: over gRPC, health, reflection and HTTP.

use std::collections::BTreeSet;

use futures::StreamExt;
use millstream_gateway::pb::common::{ClientInfo, StateCode};
use millstream_gateway::pb::{
    CheckHealthRequest, ConnectRequest, GetComponentStatesRequest, GetVersionRequest,
    InsertRequest, ListResourceGroupsRequest, SearchRequest, SelectRoleRequest,
};
use millstream_tests::client::{accept, hits, message, search};
use millstream_tests::on_both;
use millstream_tests::rows::{int_key, longs, schema, text_field, texts, vector_field, vectors};
use millstream_tests::server::{get, request};
use millstream_tests::site::{Site, Variant};
use tonic::transport::Endpoint;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;

/// What every client does first: connect, ask for the version, health and components.
async fn the_server_introduces_itself(site: Site) {
    let client = site.client();
    let mut identifiers = BTreeSet::new();
    for _ in 0..3 {
        let client_info = Some(ClientInfo {
            sdk_type: "Rust".to_owned(),
            sdk_version: "1".to_owned(),
            ..ClientInfo::default()
        });
        let request = ConnectRequest { client_info, ..ConnectRequest::default() };
        let answer = message(client.rpc().connect(request).await).expect("an answer");
        accept(answer.status.as_ref()).expect("a welcome");
        let info = answer.server_info.expect("what the server is");
        assert!(!info.build_tags.is_empty());
        assert_eq!(info.deploy_mode, "STANDALONE");
        assert_ne!(answer.identifier, 0);
        identifiers.insert(answer.identifier);
    }
    assert_eq!(identifiers.len(), 3, "every connection has an identifier of its own");

    let version = message(client.rpc().get_version(GetVersionRequest {}).await).expect("a version");
    accept(version.status.as_ref()).expect("a version");
    assert!(version.version.starts_with('v'), "{}", version.version);

    let health = message(client.rpc().check_health(CheckHealthRequest {}).await).expect("health");
    accept(health.status.as_ref()).expect("health");
    assert!(health.is_healthy, "{:?}", health.reasons);

    let request = GetComponentStatesRequest {};
    let states = message(client.rpc().get_component_states(request).await).expect("states");
    accept(states.status.as_ref()).expect("states");
    assert_eq!(states.state.expect("a state").state_code(), StateCode::Healthy);
}
on_both!(the_server_introduces_itself);

/// A request that is too large is refused at once and for good, and so is an answer.
async fn messages_that_are_too_large_are_refused_for_good(site: Site) {
    let client = site.client();
    let fields = vec![int_key(), text_field("word", 65_535), vector_field("vector", 2)];
    client.create(&schema("large", fields), 1).await.expect("a collection");
    client.index("large", "vector", "L2").await.expect("an index");
    client.load("large").await.expect("a load");
    let insert = |rows: i64| InsertRequest {
        collection_name: "large".to_owned(),
        fields_data: vec![
            longs("id", (0..rows).collect()),
            texts("word", vec!["x".repeat(65_535); usize::try_from(rows).expect("few rows")]),
            vectors("vector", 2, &vec![0.5; 2 * usize::try_from(rows).expect("few rows")]),
        ],
        num_rows: u32::try_from(rows).expect("few rows"),
        ..InsertRequest::default()
    };
    let refused = client.rpc().insert(insert(1_025)).await.expect_err("more than 64 MiB");
    assert_eq!(refused.code(), tonic::Code::ResourceExhausted, "{refused}");
    assert!(refused.message().contains("too large"), "{refused}");
    assert_eq!(client.count("large", "").await.expect("a count"), 0);

    let answer = message(client.rpc().insert(insert(1)).await).expect("an answer");
    accept(answer.status.as_ref()).expect("a row");
    let wide = |queries: usize| SearchRequest {
        output_fields: vec!["word".to_owned()],
        ..search("large", 2, &vec![0.5; 2 * queries], 1)
    };
    let refused = client.search(wide(4_200)).await.expect_err("more than 256 MiB");
    assert_eq!(refused.code(), 1_102);
    let text = "search results exceed the maxOutputSize Limit";
    assert!(refused.to_string().contains(text), "{refused}");
    let answer = client.search(wide(2)).await.expect("an answer of good size");
    assert_eq!(hits(&answer).topks, [1, 1]);
}
on_both!(messages_that_are_too_large_are_refused_for_good);

/// Tools ask for resource groups and roles after every step: the default state has true answers.
async fn resource_groups_and_roles_have_their_default_answers(site: Site) {
    let client = site.client();
    let request = ListResourceGroupsRequest::default();
    let groups = message(client.rpc().list_resource_groups(request).await).expect("groups");
    accept(groups.status.as_ref()).expect("groups");
    assert_eq!(groups.resource_groups, ["__default_resource_group"]);
    let request = SelectRoleRequest::default();
    let roles = message(client.rpc().select_role(request).await).expect("roles");
    accept(roles.status.as_ref()).expect("roles");
    let names: BTreeSet<String> =
        roles.results.into_iter().filter_map(|result| result.role).map(|role| role.name).collect();
    assert_eq!(names, BTreeSet::from(["admin".to_owned(), "public".to_owned()]));
}
on_both!(resource_groups_and_roles_have_their_default_answers);

/// Timestamps rise, from any number of connections, and across a kill -9.
async fn timestamps_rise_across_connections_and_restarts(mut site: Site) {
    let mut last = 0;
    for round in 0..3 {
        for _ in 0..50 {
            let ts = site.client().now().await.expect("a timestamp");
            assert!(ts > last, "{ts} after {last}, round {round}");
            last = ts;
        }
        let (a, b) = (site.client(), site.client());
        let both = tokio::join!(a.now(), b.now());
        let (a, b) = (both.0.expect("a timestamp"), both.1.expect("a timestamp"));
        assert!(a != b && a > last && b > last);
        last = a.max(b);
        site.kill();
        site.restart().expect("a server that starts again");
    }
}
on_both!(timestamps_rise_across_connections_and_restarts);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unknown_rpc_is_unimplemented_and_health_and_reflection_answer() {
    let site = Site::start(Variant::Embedded).expect("a server");
    let endpoint = Endpoint::from_shared(format!("http://{}", site.server.address));
    let channel = endpoint.expect("an address").connect().await.expect("a connection");

    let mut health = HealthClient::new(channel.clone());
    let answer = health.check(HealthCheckRequest::default()).await.expect("health").into_inner();
    assert_eq!(answer.status(), ServingStatus::Serving);

    let mut reflection = ServerReflectionClient::new(channel.clone());
    let request = ServerReflectionRequest {
        message_request: Some(MessageRequest::ListServices(String::new())),
        ..ServerReflectionRequest::default()
    };
    let requests = futures::stream::once(async { request });
    let answers = reflection.server_reflection_info(requests).await.expect("reflection");
    let answer = answers.into_inner().next().await.expect("an answer").expect("an answer");
    let Some(MessageResponse::ListServicesResponse(services)) = answer.message_response else {
        panic!("no list of services: {answer:?}");
    };
    let names: Vec<String> = services.service.into_iter().map(|service| service.name).collect();
    assert!(names.contains(&"milvus.proto.milvus.MilvusService".to_owned()), "{names:?}");

    let mut raw = tonic::client::Grpc::new(channel);
    raw.ready().await.expect("a connection");
    let path = http::uri::PathAndQuery::from_static("/milvus.proto.milvus.MilvusService/Dummy");
    let codec: tonic_prost::ProstCodec<GetVersionRequest, GetVersionRequest> =
        tonic_prost::ProstCodec::default();
    let answer = raw.unary(tonic::Request::new(GetVersionRequest {}), path, codec).await;
    assert_eq!(answer.expect_err("no such RPC").code(), tonic::Code::Unimplemented);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn health_metrics_and_log_level_answer_over_http() {
    let site = Site::start(Variant::Embedded).expect("a server");
    let client = site.client();
    client.prepare("metrics", 4, 1).await.expect("a collection");
    client.count("metrics", "").await.expect("a count");

    let health = get(site.server.admin, "/healthz").expect("health");
    assert!(health.ends_with("OK"), "{health}");
    let metrics = get(site.server.admin, "/metrics").expect("metrics");
    for name in ["milvus_proxy_req_count", "milvus_proxy_req_latency", "function_name=\"Query\""] {
        assert!(metrics.contains(name), "{name} is not in\n{metrics}");
    }
    assert!(metrics.contains("lag"), "no channel or frontier lag in\n{metrics}");

    let before = get(site.server.admin, "/log/level").expect("a level");
    assert!(before.starts_with("HTTP/1.1 200"), "{before}");
    let missing = get(site.server.admin, "/no-such-page").expect("an answer");
    assert!(missing.starts_with("HTTP/1.1 404"), "{missing}");
    let wrong = request(site.server.admin, "DELETE", "/healthz").expect("an answer");
    assert!(wrong.starts_with("HTTP/1.1 405"), "{wrong}");
}
