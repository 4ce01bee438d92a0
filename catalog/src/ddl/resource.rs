//! Resource groups: each change of them is one transaction.

#[cfg(test)]
mod tests;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::rows::{PartitionBody, from_json, to_json};
use super::{Change, StoredCatalog};
use crate::model::{Code, CollectionId, Fault, LoadState, limits};
use crate::resource::{
    DEFAULT_GROUP, DEFAULT_LIMIT, GroupChange, GroupConfig, NODES, ResourceControl, ResourceGroup,
    settle,
};
use crate::store::{At, Row, RowState, Table, Txn};

/// What a group's row holds as JSON.
#[derive(Serialize, Deserialize)]
struct GroupBody {
    config: GroupConfig,
    nodes: Vec<i64>,
    #[serde(default)]
    collections: Vec<CollectionId>,
}

#[async_trait]
impl ResourceControl for StoredCatalog {
    async fn groups(&self) -> Result<Vec<ResourceGroup>, Fault> {
        let loaded = load(&mut *self.store.read().await?).await?;
        Ok(loaded.into_iter().map(|(_, group)| group).collect())
    }

    async fn group_change(&self, wanted: GroupChange) -> Result<(), Fault> {
        let mut change = self.change().await?;
        let before = load(&mut *change.txn).await?;
        let mut groups: Vec<ResourceGroup> = before.iter().map(|(_, g)| g.clone()).collect();
        make(&mut change, &mut groups, wanted).await?;
        settle(&mut groups);
        keep(&mut change, before, groups).await?;
        self.commit(change).await
    }
}

impl StoredCatalog {
    /// Makes the default group with all nodes, unless it was made before.
    pub(super) async fn resource_start(&self) -> Result<(), Fault> {
        if self.store.read().await?.count(Table::ResourceGroups, None).await? > 0 {
            return Ok(());
        }
        let mut change = self.change().await?;
        let config = GroupConfig { limits: DEFAULT_LIMIT, ..GroupConfig::default() };
        let (name, nodes) = (DEFAULT_GROUP.to_owned(), NODES.to_vec());
        let default = ResourceGroup { name, config, nodes, collections: Vec::new() };
        keep(&mut change, Vec::new(), vec![default]).await?;
        self.commit(change).await
    }
}

/// All groups with their rows.
async fn load(txn: &mut dyn Txn) -> Result<Vec<(Row, ResourceGroup)>, Fault> {
    let read = |row: Row| {
        let body: GroupBody = from_json("resource group", row.id, &row.body)?;
        let GroupBody { config, nodes, collections } = body;
        let name = row.name.clone();
        Ok((row, ResourceGroup { name, config, nodes, collections }))
    };
    txn.list_all(Table::ResourceGroups).await?.into_iter().map(read).collect()
}

/// Writes what changed: groups come at the end, or go.
async fn keep(
    change: &mut Change,
    before: Vec<(Row, ResourceGroup)>,
    mut after: Vec<ResourceGroup>,
) -> Result<(), Fault> {
    let body = |group: ResourceGroup| {
        let ResourceGroup { config, nodes, collections, .. } = group;
        GroupBody { config, nodes, collections }
    };
    for (row, old) in before {
        let Some(at) = after.iter().position(|group| group.name == old.name) else {
            change.txn.end(Table::ResourceGroups, &[row.id], change.at).await?;
            change.touched = Some(None);
            continue;
        };
        let new = after.remove(at);
        if new != old {
            let body = to_json(&body(new))?;
            change.renew(Table::ResourceGroups, Row { body, ..row }).await?;
            change.touched = Some(None);
        }
    }
    for new in after {
        let (id, name) = (change.id().await?, new.name.clone());
        let state = RowState::Current;
        change.add(Table::ResourceGroups, (id, 0), &name, state, &body(new)).await?;
        change.touched = Some(None);
    }
    Ok(())
}

async fn make(
    change: &mut Change,
    groups: &mut Vec<ResourceGroup>,
    wanted: GroupChange,
) -> Result<(), Fault> {
    match wanted {
        GroupChange::Create { name, config } => create(groups, name, config),
        GroupChange::Update(configs) => update(groups, configs),
        GroupChange::Drop { name } => {
            let Some(at) = groups.iter().position(|group| group.name == name) else {
                return Ok(());
            };
            for collection in groups[at].collections.clone() {
                if is_loaded(&mut *change.txn, collection).await? {
                    return Err(not_empty(&name, collection));
                }
            }
            drop(groups, at)
        }
        GroupChange::TransferNode { from, to, nodes } => transfer_node(groups, &from, &to, nodes),
        GroupChange::TransferReplica { from, to, collection, replicas } => {
            let loaded = is_loaded(&mut *change.txn, collection).await?;
            transfer_replica(groups, (&from, &to), collection, (replicas, loaded))
        }
        GroupChange::Place { group, collection } => {
            let at = find(groups, &group)?;
            if groups[at].nodes.is_empty() {
                return Err(too_few_nodes(&group, 0, 1));
            }
            if !is_loaded(&mut *change.txn, collection).await? {
                put(groups, at, collection);
            }
            Ok(())
        }
    }
}

/// Whether a collection exists and a part of it is loaded.
async fn is_loaded(txn: &mut dyn Txn, collection: CollectionId) -> Result<bool, Fault> {
    let row = txn.get(Table::Collections, collection.0, At::Now).await?;
    if row.is_none_or(|row| row.state != RowState::Current) {
        return Ok(false);
    }
    for row in txn.list(Table::Partitions, &[collection.0], At::Now).await? {
        let body: PartitionBody = from_json("partition", row.id, &row.body)?;
        if body.load == LoadState::Loaded {
            return Ok(true);
        }
    }
    Ok(false)
}

fn find(groups: &[ResourceGroup], name: &str) -> Result<usize, Fault> {
    let found = groups.iter().position(|group| group.name == name);
    found.ok_or_else(|| not_found(name))
}

/// `resource group not found[rg=..]`, code 300.
fn not_found(name: &str) -> Fault {
    Fault::new(Code::ResourceGroupNotFound, format!("resource group not found[rg={name}]"))
}

fn too_few_nodes(name: &str, there: usize, wanted: i64) -> Fault {
    let text = format!(
        "resource group node not enough[rg={name}][currentNodeNum={there}]\
         [expectedNodeNum={wanted}]"
    );
    Fault::new(Code::ResourceGroupNodeNotEnough, text)
}

fn not_empty(name: &str, collection: CollectionId) -> Fault {
    Fault::expected(
        format!("some replicas still loaded in resource group[{name}], release it first"),
        "not loaded",
        format!("collection {collection}"),
    )
}

/// Refuses a config that makes no sense among the groups that there are.
fn check(groups: &[ResourceGroup], name: &str, config: &GroupConfig) -> Result<(), Fault> {
    let GroupConfig { requests, limits, transfer_from, transfer_to, .. } = config;
    let illegal = |why: String| {
        let text = format!(
            "{why}: resource group illegal config[rg={name}][config=requests:{requests} \
             limits:{limits}]"
        );
        Err(Fault::new(Code::ResourceGroupIllegalConfig, text))
    };
    if *requests < 0 || *limits < 0 {
        return illegal("node num in `requests` or `limits` should not less than 0".to_owned());
    }
    if limits < requests {
        return illegal("limits node num should not less than requests node num".to_owned());
    }
    for (key, list) in [("TransferFrom", transfer_from), ("TransferTo", transfer_to)] {
        for other in list {
            if other == name {
                return illegal(format!("resource group in `{key}` should not be itself"));
            }
            if find(groups, other).is_err() {
                return illegal(format!("resource group in `{key}` {other} not exist"));
            }
        }
    }
    Ok(())
}

fn create(groups: &mut Vec<ResourceGroup>, name: String, config: GroupConfig) -> Result<(), Fault> {
    if let Ok(at) = find(groups, &name) {
        if groups[at].config == config {
            return Ok(());
        }
        let text =
            format!("resource group already exist, but create with different config[rg={name}]");
        return Err(Fault::new(Code::ResourceGroupExists, text));
    }
    let max = limits::RESOURCE_GROUPS_MAX;
    if groups.len() >= max {
        let text = format!("resource group num reach limit[rg={name}][limit={max}]");
        return Err(Fault::new(Code::ResourceGroupNumLimit, text));
    }
    check(groups, &name, &config)?;
    groups.push(ResourceGroup { name, config, nodes: Vec::new(), collections: Vec::new() });
    Ok(())
}

fn update(groups: &mut [ResourceGroup], configs: Vec<(String, GroupConfig)>) -> Result<(), Fault> {
    for (name, config) in configs {
        let at = find(groups, &name)?;
        check(groups, &name, &config)?;
        groups[at].config = config;
    }
    Ok(())
}

/// Drops a group without replicas; its nodes go to the default group.
fn drop(groups: &mut Vec<ResourceGroup>, at: usize) -> Result<(), Fault> {
    let name = groups[at].name.clone();
    if name == DEFAULT_GROUP {
        let what = "default resource group is not deletable";
        return Err(Fault::expected(what, "not default resource group", name));
    }
    if groups[at].config.limits != 0 {
        let what = "resource group's limits node num is not 0";
        return Err(Fault::expected(what, "not empty resource group", name));
    }
    for other in groups.iter() {
        let config = &other.config;
        for (key, list) in
            [("TransferFrom", &config.transfer_from), ("TransferTo", &config.transfer_to)]
        {
            if list.contains(&name) {
                let what = format!(
                    "resource group {name} is used by {}'s `{key}`, remove that configuration \
                     first",
                    other.name
                );
                return Err(Fault::expected(what, format!("not `{key}` of resource group"), name));
            }
        }
    }
    let gone = groups.remove(at);
    groups[0].nodes.extend(gone.nodes);
    Ok(())
}

fn same(name: &str) -> Fault {
    Fault::invalid(format!(
        "source resource group and target resource group should not be the same, resource group: \
         {name}"
    ))
}

fn transfer_node(
    groups: &mut [ResourceGroup],
    from: &str,
    to: &str,
    nodes: i32,
) -> Result<(), Fault> {
    if from == to {
        return Err(same(from));
    }
    let (source, target) = (find(groups, from)?, find(groups, to)?);
    let there = groups[source].nodes.len();
    if there < usize::try_from(nodes).unwrap_or(0) {
        return Err(too_few_nodes(from, there, nodes.into()));
    }
    let moved = groups[source].nodes.split_off(there - usize::try_from(nodes).unwrap_or(0));
    groups[target].nodes.extend(moved);
    let config = &mut groups[source].config;
    config.requests = (config.requests - nodes).max(0);
    if from != DEFAULT_GROUP {
        config.limits = (config.limits - nodes).max(0);
    }
    config.limits = config.limits.max(config.requests);
    let config = &mut groups[target].config;
    config.requests = config.requests.saturating_add(nodes);
    config.limits = config.limits.max(config.requests);
    Ok(())
}

/// The group that has a collection's replica.
fn home(groups: &[ResourceGroup], collection: CollectionId) -> usize {
    groups.iter().position(|group| group.collections.contains(&collection)).unwrap_or(0)
}

fn put(groups: &mut [ResourceGroup], at: usize, collection: CollectionId) {
    for group in groups.iter_mut() {
        group.collections.retain(|there| *there != collection);
    }
    if at > 0 {
        groups[at].collections.push(collection);
    }
}

fn transfer_replica(
    groups: &mut [ResourceGroup],
    (from, to): (&str, &str),
    collection: CollectionId,
    (replicas, loaded): (i64, bool),
) -> Result<(), Fault> {
    let missing = |which: &str, name: &str| {
        not_found(name).prefixed(&format!("the {which} resource group[{name}] doesn't exist: "))
    };
    let source = find(groups, from).map_err(|_| missing("source", from))?;
    let target = find(groups, to).map_err(|_| missing("target", to))?;
    if from == to {
        return Err(same(from));
    }
    let there = i64::from(loaded && home(groups, collection) == source);
    if replicas > there {
        let why = format!(
            "only found [{there}] replicas of collection [{collection}] in source resource group \
             [{from}]"
        );
        let most = "NumReplica not greater than the number of replica in source resource group";
        return Err(Fault::expected(why, most, replicas));
    }
    if groups[target].nodes.is_empty() {
        return Err(too_few_nodes(to, 0, 1));
    }
    put(groups, target, collection);
    Ok(())
}

/// A collection that is released has no place any more.
pub(super) async fn forget(change: &mut Change, collection: CollectionId) -> Result<(), Fault> {
    let before = load(&mut *change.txn).await?;
    let mut after: Vec<ResourceGroup> = before.iter().map(|(_, group)| group.clone()).collect();
    if home(&after, collection) > 0 {
        let touched = change.touched;
        put(&mut after, 0, collection);
        keep(change, before, after).await?;
        change.touched = touched.or(Some(Some(collection)));
    }
    Ok(())
}
