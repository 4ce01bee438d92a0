//! Wrong resource groups.
// tidy: table

use std::collections::HashMap;

use millstream_gateway::pb::rg::{ResourceGroupConfig, ResourceGroupLimit, ResourceGroupTransfer};
use millstream_gateway::pb::{
    CreateResourceGroupRequest, DescribeResourceGroupRequest, DropResourceGroupRequest,
    TransferNodeRequest, TransferReplicaRequest, UpdateResourceGroupsRequest,
};

use super::super::{Case, INVALID, Request, case};
use super::{own, what};

fn config(requests: i32, limits: i32, from: &[&str], to: &[&str]) -> ResourceGroupConfig {
    let names = |names: &[&str]| {
        names.iter().map(|name| ResourceGroupTransfer { resource_group: own(name) }).collect()
    };
    ResourceGroupConfig {
        requests: Some(ResourceGroupLimit { node_num: requests }),
        limits: Some(ResourceGroupLimit { node_num: limits }),
        transfer_from: names(from),
        transfer_to: names(to),
        ..ResourceGroupConfig::default()
    }
}

pub(super) fn resource(name: &str, wanted: Option<(i32, i32)>) -> Request {
    let config = wanted.map(|(requests, limits)| config(requests, limits, &[], &[]));
    CreateResourceGroupRequest {
        resource_group: own(name),
        config,
        ..CreateResourceGroupRequest::default()
    }
    .into()
}

pub(super) fn cases() -> Vec<Case> {
    const DEFAULT: &str = "__default_resource_group";
    let nodes = |from: &str, to: &str, num_node| TransferNodeRequest {
        source_resource_group: own(from),
        target_resource_group: own(to),
        num_node,
        ..TransferNodeRequest::default()
    };
    let replicas = |from: &str, to: &str, num_replica| TransferReplicaRequest {
        source_resource_group: own(from),
        target_resource_group: own(to),
        collection_name: own("good"),
        num_replica,
        ..TransferReplicaRequest::default()
    };
    let long = "g".repeat(256);
    let mut cases = Vec::new();
    for (name, due) in [
        ("", "resource group name should be not empty"),
        ("1g", "the first character of resource group name must be an underscore or letter"),
        ("-g", "the first character of resource group name must be an underscore or letter"),
        ("组", "the first character of resource group name must be an underscore or letter"),
        ("g-h", "resource group name can only contain numbers, letters, dollars and underscores"),
        ("g h", "resource group name can only contain numbers, letters, dollars and underscores"),
        (&long, "the length of resource group name must be not greater than limit"),
    ] {
        cases.push(case(what(name), resource(name, None), INVALID, due));
        for request in [
            Request::from(nodes(name, DEFAULT, 1)),
            nodes(DEFAULT, name, 1).into(),
            replicas(name, DEFAULT, 1).into(),
            replicas(DEFAULT, name, 1).into(),
        ] {
            cases.push(case(what(name), request, INVALID, due));
        }
    }
    for (requests, limits, due) in [
        (-1, 1, "node num in `requests` or `limits` should not less than 0"),
        (0, -1, "node num in `requests` or `limits` should not less than 0"),
        (2, 1, "limits node num should not less than requests node num"),
    ] {
        let sizes = Some((requests, limits));
        cases.push(case(format!("{sizes:?}"), resource("fresh", sizes), 303, due));
        cases.push(case(
            format!("{sizes:?}"),
            update("rg", config(requests, limits, &[], &[])),
            303,
            due,
        ));
    }
    for (from, to, due) in [
        (&["rg"][..], &[][..], "resource group in `TransferFrom` should not be itself"),
        (&[], &["rg"], "resource group in `TransferTo` should not be itself"),
        (&["none"], &[], "resource group in `TransferFrom` none not exist"),
        (&[], &["none"], "resource group in `TransferTo` none not exist"),
    ] {
        cases.push(case(
            format!("{from:?} {to:?}"),
            update("rg", config(0, 0, from, to)),
            303,
            due,
        ));
    }
    for half in [
        ResourceGroupConfig::default(),
        ResourceGroupConfig { requests: None, ..config(0, 0, &[], &[]) },
        ResourceGroupConfig { limits: None, ..config(0, 0, &[], &[]) },
    ] {
        let due = "requests or limits is required: resource group illegal config[rg=rg]";
        cases.push(case("half a config", update("rg", half), 303, due));
    }
    cases.push(case("again", resource("rg", Some((0, 5))), 301, "with different config[rg=rg]"));
    let gone = "resource group not found[rg=none]";
    let describe =
        DescribeResourceGroupRequest { resource_group: own("none"), ..Default::default() };
    cases.push(case("none", describe, 300, gone));
    cases.push(case("none", update("none", config(0, 0, &[], &[])), 300, gone));
    cases.push(case("none", nodes("none", "rg", 1), 300, gone));
    cases.push(case("none", nodes("rg", "none", 1), 300, gone));
    cases.push(case("none", replicas("none", "rg", 1), 300, "the source resource group[none]"));
    cases.push(case("none", replicas("rg", "none", 1), 300, "the target resource group[none]"));
    for count in [0, -1, i32::MIN] {
        cases.push(case(format!("{count}"), nodes("rg", DEFAULT, count), INVALID, "NumNode > 0"));
        let request = replicas("rg", DEFAULT, count.into());
        cases.push(case(format!("{count}"), request, INVALID, "NumReplica > 0"));
    }
    let same = "source resource group and target resource group should not be the same";
    cases.push(case("the same", nodes("rg", "rg", 1), INVALID, same));
    cases.push(case("the same", replicas("rg", "rg", 1), INVALID, same));
    for count in [1, 7] {
        let due = "resource group node not enough[rg=rg][currentNodeNum=0]";
        cases.push(case(format!("{count} nodes"), nodes("rg", DEFAULT, count), 304, due));
        let due = "only found [0] replicas of collection";
        let request = replicas("rg", DEFAULT, count.into());
        cases.push(case(format!("{count} replicas"), request, INVALID, due));
    }
    let drop = DropResourceGroupRequest { resource_group: own(DEFAULT), ..Default::default() };
    cases.push(case("the default", drop, INVALID, "default resource group is not deletable"));
    cases
}

fn update(name: &str, config: ResourceGroupConfig) -> Request {
    UpdateResourceGroupsRequest {
        resource_groups: HashMap::from([(own(name), config)]),
        ..UpdateResourceGroupsRequest::default()
    }
    .into()
}
