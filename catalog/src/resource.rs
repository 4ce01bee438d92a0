//! Resource groups: which nodes serve the replicas of which collections.
//!
//! A **group** asks for nodes: at least `requests`, at most `limits`. Nodes move by themselves: a
//! group that lacks some takes them from groups that have more than their limits, from those that
//! it names, and from the default group; one that has too many gives them to groups that lack some,
//! to those that it names, and to the default group ([`settle`]).
//!
//! A collection has one replica, in the default group unless it was put elsewhere.
//!
//! **Invariant.** Every node is in exactly one group, and the default group is always there.

#[cfg(test)]
mod tests;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::model::{CollectionId, Fault, Props};

/// The group that always exists.
pub const DEFAULT_GROUP: &str = "__default_resource_group";
/// The most nodes of the default group.
pub const DEFAULT_LIMIT: i32 = 1_000_000;
/// The ids of the nodes that there are.
pub const NODES: [i64; 1] = [1];

/// What a group asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupConfig {
    /// Nodes that it needs.
    pub requests: i32,
    /// Nodes that it may have at most.
    pub limits: i32,
    /// Groups that nodes are taken from first.
    #[serde(default)]
    pub transfer_from: Vec<String>,
    /// Groups that nodes are given to first.
    #[serde(default)]
    pub transfer_to: Vec<String>,
    /// Labels of the nodes that it prefers.
    #[serde(default)]
    pub node_labels: Props,
}

/// A group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResourceGroup {
    /// Name.
    pub name: String,
    /// What it asks for.
    pub config: GroupConfig,
    /// Its nodes.
    pub nodes: Vec<i64>,
    /// The collections whose replicas were put into it; one that was dropped may still be named.
    /// The default group names none: it has all others.
    pub collections: Vec<CollectionId>,
}

impl ResourceGroup {
    /// How many nodes a client calls its capacity.
    pub fn capacity(&self) -> i32 {
        if self.name == DEFAULT_GROUP { DEFAULT_LIMIT } else { self.config.requests }
    }

    fn count(&self) -> i64 {
        self.nodes.len() as i64
    }

    /// Nodes that it needs and does not have.
    fn lacks(&self) -> i64 {
        (i64::from(self.config.requests) - self.count()).max(0)
    }

    /// Nodes that it has and does not need.
    fn spares(&self) -> i64 {
        (self.count() - i64::from(self.config.requests)).max(0)
    }

    /// Nodes that it must not have.
    fn exceeds(&self) -> i64 {
        (self.count() - i64::from(self.config.limits)).max(0)
    }

    /// Nodes that it could still have.
    fn room(&self) -> i64 {
        (i64::from(self.config.limits) - self.count()).max(0)
    }
}

/// A change of groups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GroupChange {
    /// Creates a group; the same again is harmless.
    Create {
        /// Name.
        name: String,
        /// What it asks for.
        config: GroupConfig,
    },
    /// Changes what groups ask for: all of them or none.
    Update(Vec<(String, GroupConfig)>),
    /// Drops a group that may have no node and has no replica; a missing one is gone.
    Drop {
        /// Name.
        name: String,
    },
    /// Moves nodes, and what the groups ask for with them.
    TransferNode {
        /// The group that gives.
        from: String,
        /// The group that takes.
        to: String,
        /// How many, 1 or more.
        nodes: i32,
    },
    /// Moves the replica of a loaded collection.
    TransferReplica {
        /// The group that gives.
        from: String,
        /// The group that takes.
        to: String,
        /// The collection.
        collection: CollectionId,
        /// How many, 1 or more.
        replicas: i64,
    },
    /// Puts a collection that is about to be loaded into a group; one that is loaded stays.
    Place {
        /// The group.
        group: String,
        /// The collection.
        collection: CollectionId,
    },
}

/// The door to resource groups.
#[async_trait]
pub trait ResourceControl: Send + Sync {
    /// All groups in order of creation, the default one first.
    async fn groups(&self) -> Result<Vec<ResourceGroup>, Fault>;
    /// Makes a change.
    ///
    /// # Errors
    /// 300 when a group is missing, 301 when it is there with another config, 302 when there are
    /// too many, 303 when a config makes no sense, 304 when a group has too few nodes; 1100.
    async fn group_change(&self, change: GroupChange) -> Result<(), Fault>;
}

/// Moves nodes between groups until nobody lacks or exceeds what can be mended. The default group
/// comes first.
pub fn settle(groups: &mut [ResourceGroup]) {
    while let Some((from, to)) = next_move(groups) {
        if let Some(node) = groups[from].nodes.pop() {
            groups[to].nodes.push(node);
        }
    }
}

/// The next node to move: from which group to which. Each move fills a lack without making another
/// one, or else empties an excess without making another one, so there are finitely many.
fn next_move(groups: &[ResourceGroup]) -> Option<(usize, usize)> {
    let all = || 0..groups.len();
    let named = |list: &[String], at: usize| list.contains(&groups[at].name);
    for to in all().filter(|&at| groups[at].lacks() > 0) {
        let others = || all().filter(move |&from| from != to);
        let exceeding = others().find(|&from| groups[from].exceeds() > 0);
        let spare = |from: &usize| groups[*from].spares() > 0;
        let from_named =
            || others().find(|from| spare(from) && named(&groups[to].config.transfer_from, *from));
        let from_default = || others().find(|from| *from == 0 && spare(from));
        if let Some(from) = exceeding.or_else(from_named).or_else(from_default) {
            return Some((from, to));
        }
    }
    for from in all().filter(|&at| groups[at].exceeds() > 0) {
        let roomy = |to: &usize| *to != from && groups[*to].room() > 0;
        let to_named = all().find(|to| roomy(to) && named(&groups[from].config.transfer_to, *to));
        if let Some(to) = to_named.or_else(|| Some(0).filter(roomy)) {
            return Some((from, to));
        }
    }
    None
}
