//! Nodes settle where they are asked for.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

fn group(name: &str, (requests, limits): (i32, i32), nodes: &[i64]) -> ResourceGroup {
    let config = GroupConfig { requests, limits, ..GroupConfig::default() };
    ResourceGroup { name: name.into(), config, nodes: nodes.to_vec(), collections: Vec::new() }
}

fn nodes(groups: &[ResourceGroup]) -> Vec<usize> {
    groups.iter().map(|group| group.nodes.len()).collect()
}

#[test]
fn a_group_takes_what_it_needs_from_the_default_group_and_gives_back_what_it_may_not_have() {
    let default = || group(DEFAULT_GROUP, (0, DEFAULT_LIMIT), &[1, 2, 3]);
    let mut groups = [default(), group("a", (2, 3), &[]), group("b", (2, 2), &[])];
    settle(&mut groups);
    assert_eq!(nodes(&groups), [0, 2, 1]);
    groups[1].config = GroupConfig::default();
    settle(&mut groups);
    assert_eq!(nodes(&groups), [1, 0, 2]);
}

#[test]
fn nodes_come_from_the_groups_that_are_named() {
    let default = group(DEFAULT_GROUP, (0, DEFAULT_LIMIT), &[]);
    let mut groups = [default, group("a", (0, 2), &[1]), group("b", (1, 1), &[])];
    settle(&mut groups);
    assert_eq!(nodes(&groups), [0, 1, 0], "nobody gives what it may keep");
    groups[2].config.transfer_from = vec!["a".into()];
    settle(&mut groups);
    assert_eq!(nodes(&groups), [0, 0, 1]);
    groups[0].config.requests = 1;
    groups[2].config = GroupConfig { transfer_to: vec!["a".into()], ..GroupConfig::default() };
    settle(&mut groups);
    assert_eq!(nodes(&groups), [1, 0, 0], "who lacks one comes before who is named");
}

proptest! {
    #[test]
    fn no_node_gets_lost_and_nobody_lacks_what_could_be_had(
        asked in prop::collection::vec((0..4i32, 0..4i32, any::<u8>(), any::<u8>()), 1..6),
        placed in prop::collection::vec(0..6usize, 0..9),
    ) {
        let name = |at: usize| if at == 0 { DEFAULT_GROUP.to_owned() } else { format!("g{at}") };
        let count = asked.len();
        let names = |bits: u8| (0..count).filter(|at| bits >> at & 1 == 1).map(name).collect();
        let mut groups: Vec<ResourceGroup> = asked
            .iter()
            .enumerate()
            .map(|(at, &(requests, more, from, to))| {
                let mut made = group(&name(at), (requests, requests + more), &[]);
                made.config.transfer_from = names(from);
                made.config.transfer_to = names(to);
                made
            })
            .collect();
        groups[0].config.limits = DEFAULT_LIMIT;
        for (node, at) in placed.iter().enumerate() {
            groups[at % count].nodes.push(node as i64);
        }
        settle(&mut groups);
        let all: Vec<i64> = groups.iter().flat_map(|group| group.nodes.clone()).collect();
        let distinct: BTreeSet<i64> = all.iter().copied().collect();
        prop_assert_eq!(distinct.len(), placed.len());
        prop_assert_eq!(all.len(), placed.len());
        // The default group has room for all that nobody else may have.
        prop_assert!(groups.iter().all(|group| group.exceeds() == 0));
        let spare = groups[0].spares() > 0;
        prop_assert!(!spare || groups[1..].iter().all(|group| group.lacks() == 0));
        let again = groups.clone();
        settle(&mut groups);
        prop_assert_eq!(groups, again);
    }
}
