//! Resource groups.

use std::collections::HashMap;
use std::sync::Arc;

use millstream_catalog::model::{Code, Collection, Fault};
use millstream_catalog::origin;
use millstream_catalog::resource::{DEFAULT_GROUP, GroupChange, GroupConfig, ResourceGroup};

use super::Context;
use super::segment::NODE_ID;
use crate::auth::names::check_resource_group;
use crate::convert::params;
use crate::convert::status::success;
use crate::gateway::{Gateway, is_loaded};
use crate::names;
use crate::pb;
use crate::pb::common::{NodeInfo, Status};
use crate::pb::rg;

/// What a group asks for, of a message. Clients that know no configs ask for nothing.
fn config_of(name: &str, config: Option<rg::ResourceGroupConfig>) -> Result<GroupConfig, Fault> {
    let Some(config) = config else { return Ok(GroupConfig::default()) };
    let (Some(requests), Some(limits)) = (config.requests, config.limits) else {
        let text =
            format!("requests or limits is required: resource group illegal config[rg={name}]");
        return Err(Fault::new(Code::ResourceGroupIllegalConfig, text));
    };
    let names = |list: Vec<rg::ResourceGroupTransfer>| {
        list.into_iter().map(|transfer| transfer.resource_group).collect()
    };
    let labels = config.node_filter.map(|filter| filter.node_labels).unwrap_or_default();
    params::check_pairs("node label", &labels)?;
    Ok(GroupConfig {
        requests: requests.node_num,
        limits: limits.node_num,
        transfer_from: names(config.transfer_from),
        transfer_to: names(config.transfer_to),
        node_labels: params::to_props(labels),
    })
}

fn config_to_wire(config: &GroupConfig) -> rg::ResourceGroupConfig {
    let names = |list: &[String]| {
        let transfer = |name: &String| rg::ResourceGroupTransfer { resource_group: name.clone() };
        list.iter().map(transfer).collect()
    };
    let labels = params::from_props(&config.node_labels);
    let filter = rg::ResourceGroupNodeFilter { node_labels: labels };
    rg::ResourceGroupConfig {
        requests: Some(rg::ResourceGroupLimit { node_num: config.requests }),
        limits: Some(rg::ResourceGroupLimit { node_num: config.limits }),
        transfer_from: names(&config.transfer_from),
        transfer_to: names(&config.transfer_to),
        node_filter: (!filter.node_labels.is_empty()).then_some(filter),
    }
}

pub(super) async fn create(
    gateway: &Arc<Gateway>,
    _: &Context,
    request: pb::CreateResourceGroupRequest,
) -> Result<Status, Fault> {
    let name = request.resource_group;
    check_resource_group(&name)?;
    let config = config_of(&name, request.config)?;
    gateway.catalog.group_change(GroupChange::Create { name, config }).await?;
    Ok(success())
}

pub(super) async fn drop_group(
    gateway: &Arc<Gateway>,
    _: &Context,
    request: pb::DropResourceGroupRequest,
) -> Result<Status, Fault> {
    let name = request.resource_group;
    if name == DEFAULT_GROUP {
        let what = "default resource group is not deletable";
        return Err(Fault::expected(what, "not default resource group", name));
    }
    gateway.catalog.group_change(GroupChange::Drop { name }).await?;
    Ok(success())
}

pub(super) async fn update(
    gateway: &Arc<Gateway>,
    _: &Context,
    request: pb::UpdateResourceGroupsRequest,
) -> Result<Status, Fault> {
    let config = |(name, config): (String, rg::ResourceGroupConfig)| {
        let config = config_of(&name, Some(config))?;
        Ok((name, config))
    };
    let configs = request.resource_groups.into_iter().map(config);
    let mut configs: Vec<(String, GroupConfig)> = configs.collect::<Result<_, Fault>>()?;
    // The order of a map is chance; of several that are wrong, the same one is named each time.
    configs.sort_by(|a, b| a.0.cmp(&b.0));
    gateway.catalog.group_change(GroupChange::Update(configs)).await?;
    Ok(success())
}

pub(super) async fn transfer_node(
    gateway: &Arc<Gateway>,
    _: &Context,
    request: pb::TransferNodeRequest,
) -> Result<Status, Fault> {
    let (from, to) = (request.source_resource_group, request.target_resource_group);
    check_resource_group(&from)?;
    check_resource_group(&to)?;
    let nodes = request.num_node;
    if nodes <= 0 {
        return Err(Fault::expected("invalid NumNode", "NumNode > 0", nodes));
    }
    gateway.catalog.group_change(GroupChange::TransferNode { from, to, nodes }).await?;
    Ok(success())
}

pub(super) async fn transfer_replica(
    gateway: &Arc<Gateway>,
    context: &Context,
    request: pb::TransferReplicaRequest,
) -> Result<Status, Fault> {
    let (from, to) = (request.source_resource_group, request.target_resource_group);
    check_resource_group(&from)?;
    check_resource_group(&to)?;
    names::check_collection(&request.collection_name)?;
    let replicas = request.num_replica;
    if replicas <= 0 {
        return Err(Fault::expected("invalid NumReplica", "NumReplica > 0", replicas));
    }
    let database = context.database(&request.db_name);
    let collection = gateway.collection(database, &request.collection_name).await?.id;
    let change = GroupChange::TransferReplica { from, to, collection, replicas };
    gateway.catalog.group_change(change).await?;
    Ok(success())
}

pub(super) async fn list(
    gateway: &Arc<Gateway>,
    _: &Context,
    _: pb::ListResourceGroupsRequest,
) -> Result<pb::ListResourceGroupsResponse, Fault> {
    let groups = gateway.catalog.groups().await?;
    let resource_groups = groups.into_iter().map(|group| group.name).collect();
    Ok(pb::ListResourceGroupsResponse { status: Some(success()), resource_groups })
}

pub(super) async fn describe(
    gateway: &Arc<Gateway>,
    _: &Context,
    request: pb::DescribeResourceGroupRequest,
) -> Result<pb::DescribeResourceGroupResponse, Fault> {
    let groups = gateway.catalog.groups().await?;
    let name = &request.resource_group;
    let Some(group) = groups.iter().find(|group| group.name == *name) else {
        let text = format!("resource group not found[rg={name}]");
        return Err(Fault::new(Code::ResourceGroupNotFound, text));
    };
    let mut loaded: Vec<(Arc<Collection>, &ResourceGroup)> = Vec::new();
    for collection in gateway.catalog.collection_all().await? {
        if is_loaded(&collection) {
            let home = home(&groups, &collection);
            loaded.extend(home.map(|home| (collection, home)));
        }
    }
    let replicas = |filter: &dyn Fn(&ResourceGroup) -> bool| -> HashMap<String, i32> {
        let chosen = loaded.iter().filter(|(_, home)| filter(home));
        chosen.map(|(collection, _)| (collection.name.clone(), 1)).collect()
    };
    let nodes = group.nodes.iter().map(|&node_id| NodeInfo {
        node_id,
        address: gateway.address.clone(),
        hostname: hostname(&gateway.address),
    });
    let is_this = |home: &ResourceGroup| home.name == group.name;
    let resource_group = pb::ResourceGroup {
        name: group.name.clone(),
        capacity: group.capacity(),
        num_available_node: i32::try_from(group.nodes.len()).unwrap_or(i32::MAX),
        num_loaded_replica: replicas(&is_this),
        // Replicas are served by the nodes that there are, also when these went to another group.
        num_outgoing_node: replicas(&|home| is_this(home) && home.nodes.is_empty()),
        num_incoming_node: replicas(&|home| {
            !is_this(home) && home.nodes.is_empty() && group.nodes.contains(&NODE_ID)
        }),
        config: Some(config_to_wire(&group.config)),
        nodes: nodes.collect(),
    };
    Ok(pb::DescribeResourceGroupResponse {
        status: Some(success()),
        resource_group: Some(resource_group),
    })
}

fn hostname(address: &str) -> String {
    address.rsplit_once(':').map_or(address, |(host, _)| host).to_owned()
}

/// The group that has a collection's replica.
pub(super) fn home<'a>(
    groups: &'a [ResourceGroup],
    collection: &Collection,
) -> Option<&'a ResourceGroup> {
    let placed = groups.iter().find(|group| group.collections.contains(&collection.id));
    placed.or_else(|| groups.first())
}

/// Puts a collection that is about to be loaded into the group that its client names, or into the
/// default one.
pub(super) async fn place(
    gateway: &Gateway,
    collection: &Collection,
    named: Vec<String>,
) -> Result<(), Fault> {
    let group = match named.len() {
        0 => DEFAULT_GROUP.to_owned(),
        1 => named.into_iter().next().unwrap_or_default(),
        count => {
            let what = "resource group num can only be 0, 1 or same as replica number";
            return Err(Fault::expected(what, 1, count));
        }
    };
    if is_loaded(collection) && group == DEFAULT_GROUP {
        return Ok(());
    }
    let collection = collection.id;
    origin::apart(gateway.catalog.group_change(GroupChange::Place { group, collection })).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_config_goes_over_the_wire_and_back() {
        let config = GroupConfig {
            requests: 1,
            limits: 2,
            transfer_from: vec!["a".into()],
            transfer_to: vec!["b".into(), "c".into()],
            node_labels: vec![("zone".into(), "x".into())],
        };
        assert_eq!(config_of("g", Some(config_to_wire(&config))), Ok(config));
        assert_eq!(config_of("g", None), Ok(GroupConfig::default()));
    }

    #[test]
    fn a_config_without_numbers_is_refused_by_the_name_of_its_group() {
        let fault = config_of("g", Some(rg::ResourceGroupConfig::default())).unwrap_err();
        assert_eq!(fault.code, Code::ResourceGroupIllegalConfig);
        assert!(fault.message.contains("requests or limits is required"), "{fault}");
        assert!(fault.message.contains("[rg=g]"), "{fault}");
    }
}
