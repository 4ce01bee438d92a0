//! Segments, replicas, resource groups and metrics; the past; requests that are repeated.

use std::collections::HashMap;

use millstream_gateway::pb::common::{SegmentLevel, SegmentState};
use millstream_gateway::pb::{
    CreateResourceGroupRequest, DescribeResourceGroupRequest, DropCollectionRequest,
    DropResourceGroupRequest, GetMetricsRequest, GetPersistentSegmentInfoRequest,
    GetQuerySegmentInfoRequest, GetReplicasRequest, ListIndexedSegmentRequest,
    ListResourceGroupsRequest, LoadBalanceRequest, LoadCollectionRequest, PersistentSegmentInfo,
    QuerySegmentInfo, ReleaseCollectionRequest, RenameCollectionRequest, ReplicaInfo,
    ResourceGroup, ShowCollectionsRequest, TransferNodeRequest, TransferReplicaRequest,
    UpdateResourceGroupsRequest, rg,
};
use millstream_tests::client::{Answer, Client, accept, message};
use millstream_tests::history::DIM;
use millstream_tests::on_both;
use millstream_tests::rows::plain_schema;
use millstream_tests::site::Site;
use millstream_tests::workload::columns;
use serde_json::Value;

const DEFAULT: &str = "__default_resource_group";

async fn insert(client: &Client, name: &str, from: i64, rows: i64) {
    let rows: Vec<(i64, i64)> = (from..from + rows).map(|id| (id, id)).collect();
    client.insert(name, rows.len(), columns(&rows)).await.expect("rows");
}

async fn persistent(
    client: &Client,
    name: &str,
    states: &[SegmentState],
) -> Answer<Vec<PersistentSegmentInfo>> {
    let request = GetPersistentSegmentInfoRequest {
        collection_name: name.to_owned(),
        states: states.iter().map(|state| i32::from(*state)).collect(),
        ..GetPersistentSegmentInfoRequest::default()
    };
    let answer = message(client.rpc().get_persistent_segment_info(request).await)?;
    accept(answer.status.as_ref())?;
    Ok(answer.infos)
}

async fn loaded(client: &Client, name: &str) -> Answer<Vec<QuerySegmentInfo>> {
    let request = GetQuerySegmentInfoRequest {
        collection_name: name.to_owned(),
        ..GetQuerySegmentInfoRequest::default()
    };
    let answer = message(client.rpc().get_query_segment_info(request).await)?;
    accept(answer.status.as_ref())?;
    Ok(answer.infos)
}

async fn indexed(client: &Client, name: &str, index: &str) -> Answer<Vec<i64>> {
    let request = ListIndexedSegmentRequest {
        collection_name: name.to_owned(),
        index_name: index.to_owned(),
        ..ListIndexedSegmentRequest::default()
    };
    let answer = message(client.rpc().list_indexed_segment(request).await)?;
    accept(answer.status.as_ref())?;
    Ok(answer.segment_i_ds)
}

async fn release(client: &Client, name: &str) -> Answer<()> {
    let request = ReleaseCollectionRequest {
        collection_name: name.to_owned(),
        ..ReleaseCollectionRequest::default()
    };
    accept(Some(&message(client.rpc().release_collection(request).await)?))
}

/// Expects a refusal with a code and a part of its text.
fn expect<T: std::fmt::Debug>(answer: Answer<T>, code: i32, text: &str) {
    let trouble = answer.expect_err(text);
    assert_eq!(trouble.code(), code, "{trouble}");
    assert!(trouble.to_string().contains(text), "{trouble}; \"{text}\" is due");
}

async fn segments_are_what_the_collection_consists_of(mut site: Site) {
    let client = site.client();
    client.prepare("parts", DIM, 2).await.expect("a collection");
    assert!(persistent(&client, "parts", &[]).await.expect("segments").is_empty());
    insert(&client, "parts", 0, 500).await;
    assert!(persistent(&client, "parts", &[]).await.expect("segments").is_empty());
    let growing = persistent(&client, "parts", &[SegmentState::Growing]).await.expect("segments");
    assert_eq!(growing.iter().map(|s| s.num_rows).sum::<i64>(), 500);
    let mine = loaded(&client, "parts").await.expect("segments");
    assert!(mine.iter().all(|s| s.state() == SegmentState::Growing && s.mem_size > 0), "{mine:?}");
    assert_eq!(mine.iter().map(|s| s.num_rows).sum::<i64>(), 500);
    assert_eq!(mine[0].segment_id, growing[0].segment_id);

    let flushed = client.flush("parts").await.expect("a flush");
    insert(&client, "parts", 1_000, 30).await;
    for round in 0..2 {
        let client = site.client();
        let stored = persistent(&client, "parts", &[]).await.expect("segments");
        let mut ids: Vec<i64> = stored.iter().map(|s| s.segment_id).collect();
        ids.sort_unstable();
        let mut due = flushed.coll_seg_i_ds["parts"].data.clone();
        due.sort_unstable();
        assert_eq!(ids, due, "round {round}");
        assert_eq!(stored.iter().map(|s| s.num_rows).sum::<i64>(), 500);
        for segment in &stored {
            assert_eq!(segment.state(), SegmentState::Flushed);
            assert_eq!(segment.level(), SegmentLevel::L1);
            assert!(segment.is_sorted && segment.insert_channel.starts_with("channel-"));
        }
        let mine = loaded(&client, "parts").await.expect("segments");
        let of = |state| -> Vec<&QuerySegmentInfo> {
            mine.iter().filter(|s| s.state() == state).collect()
        };
        let rows = |list: Vec<&QuerySegmentInfo>| list.iter().map(|s| s.num_rows).sum::<i64>();
        assert_eq!(rows(of(SegmentState::Sealed)), 500, "round {round}: {mine:?}");
        assert_eq!(rows(of(SegmentState::Growing)), 30, "round {round}: {mine:?}");
        for sealed in of(SegmentState::Sealed) {
            assert!(ids.contains(&sealed.segment_id));
            assert_eq!((&*sealed.index_name, &*sealed.node_ids), ("vector", &[1][..]));
        }
        let mut with_index = indexed(&client, "parts", "vector").await.expect("segments");
        with_index.sort_unstable();
        assert_eq!(with_index, ids);
        site.kill();
        site.restart().expect("a server that starts again");
    }
    let client = site.client();
    expect(indexed(&client, "parts", "nothing").await, 700, "index not found[indexName=nothing]");
    release(&client, "parts").await.expect("a release");
    assert!(loaded(&client, "parts").await.expect("segments").is_empty());
    assert_eq!(persistent(&client, "parts", &[]).await.expect("segments").len(), 2);
    expect(persistent(&client, "none", &[]).await, 100, "[collection=none]");
    expect(loaded(&client, "").await, 1_100, "collection name should not be empty");
}
on_both!(segments_are_what_the_collection_consists_of);

async fn replicas(client: &Client, name: &str) -> Answer<Vec<ReplicaInfo>> {
    let request = GetReplicasRequest {
        collection_name: name.to_owned(),
        with_shard_nodes: true,
        ..GetReplicasRequest::default()
    };
    let answer = message(client.rpc().get_replicas(request).await)?;
    accept(answer.status.as_ref())?;
    Ok(answer.replicas)
}

async fn balance(client: &Client, from: i64, to: &[i64], segments: &[i64]) -> Answer<()> {
    let request = LoadBalanceRequest {
        collection_name: "one".to_owned(),
        src_node_id: from,
        dst_node_i_ds: to.to_vec(),
        sealed_segment_i_ds: segments.to_vec(),
        ..LoadBalanceRequest::default()
    };
    accept(Some(&message(client.rpc().load_balance(request).await)?))
}

async fn a_loaded_collection_has_one_replica_on_the_one_node(site: Site) {
    let client = site.client();
    client.create(&plain_schema("one", DIM), 2).await.expect("a collection");
    client.index("one", "vector", "L2").await.expect("an index");
    expect(replicas(&client, "one").await, 400, "replica not found");
    expect(balance(&client, 1, &[], &[]).await, 101, "collection not loaded");
    client.load("one").await.expect("loaded");
    let all = replicas(&client, "one").await.expect("replicas");
    assert_eq!(all.len(), 1);
    let replica = &all[0];
    assert_eq!((&*replica.node_ids, &*replica.resource_group_name), (&[1][..], DEFAULT));
    assert_eq!((replica.shard_replicas.len(), replica.partition_ids.len()), (2, 1));
    for shard in &replica.shard_replicas {
        assert_eq!((shard.leader_id, &*shard.node_ids), (1, &[1][..]));
        assert!(shard.dm_channel_name.starts_with("channel-"));
        assert_eq!(shard.leader_addr, site.server.address.to_string());
    }
    insert(&client, "one", 0, 10).await;
    let segments = client.flush("one").await.expect("a flush").coll_seg_i_ds["one"].data.clone();
    balance(&client, 1, &[], &segments).await.expect("nothing to do");
    expect(balance(&client, 7, &[], &segments).await, 901, "node not found[node=7]");
    expect(balance(&client, 1, &[9], &segments).await, 901, "node not found[node=9]");
    expect(balance(&client, 1, &[1], &segments).await, 1_100, "is the source node");
    expect(balance(&client, 1, &[], &[5]).await, 600, "segment 5 not found in source node 1");
}
on_both!(a_loaded_collection_has_one_replica_on_the_one_node);

async fn metrics(client: &Client, request: &str) -> Answer<Value> {
    let request = request.to_owned();
    let request = GetMetricsRequest { request, ..GetMetricsRequest::default() };
    let answer = message(client.rpc().get_metrics(request).await)?;
    accept(answer.status.as_ref())?;
    assert_eq!(answer.component_name, "standalone1");
    Ok(serde_json::from_str(&answer.response).expect("JSON"))
}

async fn metrics_are_json_in_the_shape_that_clients_read(site: Site) {
    let client = site.client();
    let answer = metrics(&client, r#"{"metric_type":"system_info"}"#).await.expect("metrics");
    let infos = &answer["nodes_info"][0]["infos"];
    assert_eq!((&infos["type"], &infos["has_error"]), (&"standalone".into(), &false.into()));
    let hardware = &infos["hardware_infos"];
    assert!(hardware["cpu_core_count"].as_u64().expect("a number") >= 1);
    let memory = hardware["memory_usage"].as_u64().expect("a number");
    assert!(memory > 1 << 20 && memory < hardware["memory"].as_u64().expect("a number"));
    assert_eq!(infos["system_info"]["deploy_mode"], "STANDALONE");
    let quota = &infos["quota_metrics"];
    assert_eq!(quota["limits"]["collection"]["rows"], 1_000.0);
    assert_eq!(quota["deny_to_write"], Value::Null);
    expect(metrics(&client, r#"{"metric_type":"x"}"#).await, 1_200, "metric not found[metric=x]");
    expect(metrics(&client, "{}").await, 65_535, "metric_type not found in request");
    expect(metrics(&client, "").await, 65_535, "failed to decode the request");
}
on_both!(metrics_are_json_in_the_shape_that_clients_read, "--quota", "collection.rows=1000");

fn config(requests: i32, limits: i32) -> rg::ResourceGroupConfig {
    rg::ResourceGroupConfig {
        requests: Some(rg::ResourceGroupLimit { node_num: requests }),
        limits: Some(rg::ResourceGroupLimit { node_num: limits }),
        ..rg::ResourceGroupConfig::default()
    }
}

async fn create_group(
    client: &Client,
    name: &str,
    config: Option<rg::ResourceGroupConfig>,
) -> Answer<()> {
    let resource_group = name.to_owned();
    let request = CreateResourceGroupRequest { resource_group, config, ..Default::default() };
    accept(Some(&message(client.rpc().create_resource_group(request).await)?))
}

async fn update_group(client: &Client, name: &str, to: rg::ResourceGroupConfig) -> Answer<()> {
    let resource_groups = HashMap::from([(name.to_owned(), to)]);
    let request = UpdateResourceGroupsRequest { resource_groups, ..Default::default() };
    accept(Some(&message(client.rpc().update_resource_groups(request).await)?))
}

async fn drop_group(client: &Client, name: &str) -> Answer<()> {
    let request =
        DropResourceGroupRequest { resource_group: name.to_owned(), ..Default::default() };
    accept(Some(&message(client.rpc().drop_resource_group(request).await)?))
}

async fn groups(client: &Client) -> Vec<String> {
    let request = ListResourceGroupsRequest::default();
    let answer = message(client.rpc().list_resource_groups(request).await).expect("an answer");
    accept(answer.status.as_ref()).expect("groups");
    answer.resource_groups
}

async fn group(client: &Client, name: &str) -> Answer<ResourceGroup> {
    let request =
        DescribeResourceGroupRequest { resource_group: name.to_owned(), ..Default::default() };
    let answer = message(client.rpc().describe_resource_group(request).await)?;
    accept(answer.status.as_ref())?;
    Ok(answer.resource_group.expect("a group"))
}

async fn move_nodes(client: &Client, from: &str, to: &str, nodes: i32) -> Answer<()> {
    let request = TransferNodeRequest {
        source_resource_group: from.to_owned(),
        target_resource_group: to.to_owned(),
        num_node: nodes,
        ..TransferNodeRequest::default()
    };
    accept(Some(&message(client.rpc().transfer_node(request).await)?))
}

async fn move_replica(client: &Client, from: &str, to: &str, replicas: i64) -> Answer<()> {
    let request = TransferReplicaRequest {
        source_resource_group: from.to_owned(),
        target_resource_group: to.to_owned(),
        collection_name: "c".to_owned(),
        num_replica: replicas,
        ..TransferReplicaRequest::default()
    };
    accept(Some(&message(client.rpc().transfer_replica(request).await)?))
}

async fn load_into(client: &Client, groups: &[&str]) -> Answer<()> {
    let request = LoadCollectionRequest {
        collection_name: "c".to_owned(),
        resource_groups: groups.iter().map(|&group| group.to_owned()).collect(),
        ..LoadCollectionRequest::default()
    };
    accept(Some(&message(client.rpc().load_collection(request).await)?))
}

async fn resource_groups_share_the_node(mut site: Site) {
    let client = site.client();
    let default = group(&client, DEFAULT).await.expect("a group");
    assert_eq!((default.capacity, default.num_available_node), (1_000_000, 1));
    assert_eq!((default.nodes[0].node_id, &*default.nodes[0].hostname), (1, "127.0.0.1"));
    create_group(&client, "a", None).await.expect("a group");
    create_group(&client, "a", None).await.expect("the same again");
    expect(create_group(&client, "a", Some(config(0, 1))).await, 301, "already exist");
    expect(create_group(&client, "b", Some(config(2, 1))).await, 303, "[rg=b]");
    assert_eq!(groups(&client).await, [DEFAULT, "a"]);
    expect(load_into(&client, &["a"]).await, 100, "[collection=c]");
    client.create(&plain_schema("c", DIM), 1).await.expect("a collection");
    client.index("c", "vector", "L2").await.expect("an index");
    expect(load_into(&client, &["a"]).await, 304, "resource group node not enough[rg=a]");
    expect(load_into(&client, &["x"]).await, 300, "resource group not found[rg=x]");
    expect(load_into(&client, &["a", DEFAULT]).await, 1_100, "resource group num can only be");
    load_into(&client, &[]).await.expect("loaded");
    expect(move_replica(&client, "a", DEFAULT, 1).await, 1_100, "only found [0] replicas");
    move_nodes(&client, DEFAULT, "a", 1).await.expect("the node moves");
    expect(move_nodes(&client, DEFAULT, "a", 1).await, 304, "[currentNodeNum=0]");
    let a = group(&client, "a").await.expect("a group");
    assert_eq!((a.capacity, a.num_available_node), (1, 1));
    assert_eq!(a.num_incoming_node, HashMap::from([("c".to_owned(), 1)]));
    let default = group(&client, DEFAULT).await.expect("a group");
    assert_eq!(default.num_outgoing_node, HashMap::from([("c".to_owned(), 1)]));
    move_replica(&client, DEFAULT, "a", 1).await.expect("the replica follows");
    for round in 0..2 {
        let client = site.client();
        let a = group(&client, "a").await.expect("a group");
        assert_eq!(a.num_loaded_replica, HashMap::from([("c".to_owned(), 1)]), "{round}");
        assert!(a.num_incoming_node.is_empty() && a.num_outgoing_node.is_empty());
        let all = replicas(&client, "c").await.expect("replicas");
        assert_eq!(all[0].resource_group_name, "a");
        assert_eq!(client.count("c", "").await.expect("a count"), 0);
        site.kill();
        site.restart().expect("a server that starts again");
    }
    let client = site.client();
    update_group(&client, "a", config(0, 0)).await.expect("the node goes back");
    assert_eq!(group(&client, DEFAULT).await.expect("a group").num_available_node, 1);
    expect(drop_group(&client, "a").await, 1_100, "some replicas still loaded");
    release(&client, "c").await.expect("a release");
    drop_group(&client, "a").await.expect("dropped");
    drop_group(&client, "a").await.expect("gone");
    expect(group(&client, "a").await, 300, "resource group not found[rg=a]");
    expect(update_group(&client, "a", config(0, 0)).await, 300, "[rg=a]");
    expect(drop_group(&client, DEFAULT).await, 1_100, "not deletable");
    assert_eq!(groups(&client).await, [DEFAULT]);
}
on_both!(resource_groups_share_the_node);

async fn wrong_names_and_numbers_of_groups_are_refused(site: Site) {
    let client = site.client();
    client.prepare("c", DIM, 1).await.expect("a collection");
    let long = "a".repeat(256);
    for (name, why) in [
        ("", "resource group name should be not empty"),
        (" ", "resource group name should be not empty"),
        ("1a", "the first character of resource group name must be an underscore or letter"),
        ("a-b", "resource group name can only contain numbers, letters"),
        ("größe", "resource group name can only contain numbers, letters"),
        (&*long, "the length of resource group name must be not greater than limit"),
    ] {
        expect(create_group(&client, name, None).await, 1_100, why);
        expect(move_nodes(&client, name, "a", 1).await, 1_100, why);
        expect(move_nodes(&client, "a", name, 1).await, 1_100, why);
        expect(move_replica(&client, name, "a", 1).await, 1_100, why);
        expect(move_replica(&client, "a", name, 1).await, 1_100, why);
    }
    for number in [0, -1] {
        expect(move_nodes(&client, DEFAULT, "a", number).await, 1_100, "NumNode > 0");
        let answer = move_replica(&client, DEFAULT, "a", number.into()).await;
        expect(answer, 1_100, "NumReplica > 0");
    }
    expect(move_nodes(&client, DEFAULT, DEFAULT, 1).await, 1_100, "should not be the same");
    expect(move_replica(&client, DEFAULT, DEFAULT, 1).await, 1_100, "should not be the same");
    expect(move_replica(&client, "x", DEFAULT, 1).await, 300, "source resource group[x]");
    expect(move_replica(&client, DEFAULT, "x", 1).await, 300, "target resource group[x]");
    for (requests, limits) in [(-1, 0), (0, -1), (i32::MAX, 1)] {
        let wrong = Some(config(requests, limits));
        expect(create_group(&client, "a", wrong).await, 303, "resource group illegal config");
        expect(update_group(&client, DEFAULT, config(requests, limits)).await, 303, "illegal");
    }
    let half = rg::ResourceGroupConfig { limits: None, ..config(0, 0) };
    expect(create_group(&client, "a", Some(half)).await, 303, "requests or limits is required");
    assert_eq!(groups(&client).await, [DEFAULT]);
    assert_eq!(client.count("c", "").await.expect("a count"), 0);
}
on_both!(wrong_names_and_numbers_of_groups_are_refused);

async fn show(client: &Client, at: u64) -> Answer<Vec<String>> {
    let request = ShowCollectionsRequest { time_stamp: at, ..ShowCollectionsRequest::default() };
    let answer = message(client.rpc().show_collections(request).await)?;
    accept(answer.status.as_ref())?;
    Ok(answer.collection_names)
}

async fn rename(client: &Client, from: &str, to: &str, id: &'static str) -> Answer<()> {
    let request = RenameCollectionRequest {
        old_name: from.to_owned(),
        new_name: to.to_owned(),
        ..RenameCollectionRequest::default()
    };
    let mut request = tonic::Request::new(request);
    let id = tonic::metadata::MetadataValue::from_static(id);
    request.metadata_mut().insert("client-request-id", id);
    accept(Some(&message(client.rpc().rename_collection(request).await)?))
}

async fn the_past_shows_what_there_was(mut site: Site) {
    let client = site.client();
    client.prepare("a", DIM, 1).await.expect("a collection");
    client.prepare("b", DIM, 1).await.expect("a collection");
    let before = client.now().await.expect("a time");
    rename(&client, "a", "z", "").await.expect("renamed");
    client.drop("b").await.expect("dropped");
    let after = client.now().await.expect("a time");
    for _ in 0..2 {
        let client = site.client();
        assert_eq!(show(&client, before).await.expect("names"), ["a", "b"]);
        assert_eq!(show(&client, after).await.expect("names"), ["z"]);
        assert_eq!(show(&client, 0).await.expect("names"), ["z"]);
        expect(show(&client, 1).await, 800, "database not found[database=default]");
        expect(show(&client, after + (1 << 40)).await, 1_100, "lies in the future");
        site.kill();
        site.restart().expect("a server that starts again");
    }
}
on_both!(the_past_shows_what_there_was);

async fn drop_with(client: &Client, name: &str, id: &'static str) -> Answer<()> {
    let collection_name = name.to_owned();
    let request = DropCollectionRequest { collection_name, ..DropCollectionRequest::default() };
    let mut request = tonic::Request::new(request);
    let id = tonic::metadata::MetadataValue::from_static(id);
    request.metadata_mut().insert("client-request-id", id);
    accept(Some(&message(client.rpc().drop_collection(request).await)?))
}

/// A change that is repeated under its id is answered and not made again, also after kill -9.
async fn a_repeated_request_is_made_once(mut site: Site) {
    let client = site.client();
    client.prepare("old", DIM, 1).await.expect("a collection");
    rename(&client, "old", "new", "r-1").await.expect("renamed");
    expect(rename(&client, "old", "newer", "").await, 100, "[collection=old]");
    expect(rename(&client, "old", "newer", "r-2").await, 100, "[collection=old]");
    drop_with(&client, "gone", "d-1").await.expect("nothing to drop");
    client.prepare("gone", DIM, 1).await.expect("a collection");
    for _ in 0..2 {
        let client = site.client();
        rename(&client, "old", "new", "r-1").await.expect("answered as it was");
        drop_with(&client, "gone", "d-1").await.expect("answered as it was");
        assert_eq!(client.count("gone", "").await.expect("a count"), 0, "it was not dropped");
        site.kill();
        site.restart().expect("a server that starts again");
    }
    // Another request under the same id is another request; the last one is what can be repeated.
    let client = site.client();
    drop_with(&client, "new", "r-1").await.expect("dropped");
    expect(rename(&client, "old", "new", "r-1").await, 100, "[collection=old]");
    client.prepare("new", DIM, 1).await.expect("a collection");
    drop_with(&client, "new", "r-1").await.expect("answered as it was");
    assert_eq!(client.count("new", "").await.expect("a count"), 0);
}
on_both!(a_repeated_request_is_made_once);
