//! Behaviour of resource groups.

use std::sync::Arc;

use millstream_catalog::model::{Code, CollectionId, LoadState, limits};
use millstream_catalog::resource::{
    DEFAULT_GROUP, DEFAULT_LIMIT, GroupChange, GroupConfig, ResourceGroup,
};

use crate::home::{Home, Opened};
use crate::{create, drop_whole};

fn config(requests: i32, limits: i32) -> GroupConfig {
    GroupConfig { requests, limits, ..GroupConfig::default() }
}

fn new(name: &str, config: GroupConfig) -> GroupChange {
    GroupChange::Create { name: name.to_owned(), config }
}

fn gone(name: &str) -> GroupChange {
    GroupChange::Drop { name: name.to_owned() }
}

fn update(name: &str, config: GroupConfig) -> GroupChange {
    GroupChange::Update(vec![(name.to_owned(), config)])
}

fn transfer(from: &str, to: &str, nodes: i32) -> GroupChange {
    GroupChange::TransferNode { from: from.to_owned(), to: to.to_owned(), nodes }
}

fn replica(from: &str, to: &str, collection: CollectionId) -> GroupChange {
    let (from, to) = (from.to_owned(), to.to_owned());
    GroupChange::TransferReplica { from, to, collection, replicas: 1 }
}

async fn make(catalog: &Opened, change: GroupChange) {
    catalog.group_change(change).await.unwrap();
}

/// Code and text of a refused change, which must change nothing.
async fn refused(catalog: &Opened, change: GroupChange) -> (Code, String) {
    let before = catalog.groups().await.unwrap();
    let fault = catalog.group_change(change).await.unwrap_err();
    assert_eq!(catalog.groups().await.unwrap(), before, "{fault}");
    (fault.code, fault.message)
}

async fn group(catalog: &Opened, name: &str) -> ResourceGroup {
    let groups = catalog.groups().await.unwrap();
    groups.into_iter().find(|group| group.name == name).unwrap()
}

async fn names(catalog: &Opened) -> Vec<String> {
    catalog.groups().await.unwrap().into_iter().map(|group| group.name).collect()
}

pub(crate) async fn the_default_group_has_all_nodes_and_stays(home: Arc<Home>) {
    for _ in 0..2 {
        let catalog = home.open().await;
        let default = group(&catalog, DEFAULT_GROUP).await;
        assert_eq!((default.nodes.as_slice(), default.capacity()), (&[1][..], DEFAULT_LIMIT));
        assert_eq!(names(&catalog).await, [DEFAULT_GROUP]);
        let (code, text) = refused(&catalog, gone(DEFAULT_GROUP)).await;
        assert_eq!(code, Code::ParameterInvalid);
        assert!(text.starts_with("default resource group is not deletable"), "{text}");
    }
}

pub(crate) async fn groups_come_and_go(home: Arc<Home>) {
    let catalog = home.open().await;
    make(&catalog, new("a", config(0, 0))).await;
    make(&catalog, new("a", config(0, 0))).await;
    make(&catalog, new("b", config(0, 1))).await;
    assert_eq!(names(&catalog).await, [DEFAULT_GROUP, "a", "b"]);
    let (code, text) = refused(&catalog, new("a", config(0, 1))).await;
    assert_eq!(code, Code::ResourceGroupExists);
    assert!(text.contains("already exist") && text.ends_with("[rg=a]"), "{text}");
    let (code, text) = refused(&catalog, gone("b")).await;
    assert_eq!(code, Code::ParameterInvalid);
    assert!(text.contains("limits node num is not 0") && text.contains("actual=b"), "{text}");
    make(&catalog, update("b", config(0, 0))).await;
    for name in ["a", "b", "b"] {
        make(&catalog, gone(name)).await;
    }
    assert_eq!(names(&catalog).await, [DEFAULT_GROUP]);
}

pub(crate) async fn configs_that_make_no_sense_are_refused_and_change_nothing(home: Arc<Home>) {
    let catalog = home.open().await;
    make(&catalog, new("a", config(0, 0))).await;
    let from = |name: &str| GroupConfig { transfer_from: vec![name.into()], ..config(0, 0) };
    let to = |name: &str| GroupConfig { transfer_to: vec![name.into()], ..config(0, 0) };
    for (config, why) in [
        (config(-1, 0), "should not less than 0"),
        (config(0, -1), "should not less than 0"),
        (config(2, 1), "limits node num should not less than requests node num"),
        (from("b"), "`TransferFrom` should not be itself"),
        (to("b"), "`TransferTo` should not be itself"),
        (from("x"), "`TransferFrom` x not exist"),
        (to("x"), "`TransferTo` x not exist"),
    ] {
        let (code, text) = refused(&catalog, new("b", config)).await;
        assert_eq!(code, Code::ResourceGroupIllegalConfig);
        assert!(text.contains(why) && text.contains("[rg=b]"), "{text}");
    }
    // All of several updates, or none.
    let both = vec![("a".to_owned(), config(0, 1)), ("x".to_owned(), config(0, 0))];
    let (code, text) = refused(&catalog, GroupChange::Update(both)).await;
    assert_eq!((code, &*text), (Code::ResourceGroupNotFound, "resource group not found[rg=x]",));
    make(&catalog, new("b", from("a"))).await;
    let (_, text) = refused(&catalog, gone("a")).await;
    assert!(text.contains("resource group a is used by b's `TransferFrom`"), "{text}");
}

pub(crate) async fn nodes_move_between_groups(home: Arc<Home>) {
    let catalog = home.open().await;
    make(&catalog, new("a", config(0, 0))).await;
    let (code, text) = refused(&catalog, transfer("a", DEFAULT_GROUP, 1)).await;
    assert_eq!(code, Code::ResourceGroupNodeNotEnough);
    assert_eq!(text, "resource group node not enough[rg=a][currentNodeNum=0][expectedNodeNum=1]");
    let (code, _) = refused(&catalog, transfer("a", "a", 1)).await;
    assert_eq!(code, Code::ParameterInvalid);
    for (from, to) in [("x", "a"), ("a", "x")] {
        let (code, text) = refused(&catalog, transfer(from, to, 1)).await;
        assert_eq!((code, text.contains("[rg=x]")), (Code::ResourceGroupNotFound, true));
    }
    make(&catalog, transfer(DEFAULT_GROUP, "a", 1)).await;
    let a = group(&catalog, "a").await;
    assert_eq!((a.nodes.as_slice(), a.config, 1), (&[1][..], config(1, 1), 1));
    assert!(group(&catalog, DEFAULT_GROUP).await.nodes.is_empty());
    // A group that asks for a node gets one that is spared.
    make(&catalog, new("b", GroupConfig { transfer_from: vec!["a".into()], ..config(1, 1) })).await;
    assert_eq!(group(&catalog, "a").await.nodes, [1], "who needs it keeps it");
    make(&catalog, update("a", config(0, 1))).await;
    assert_eq!(group(&catalog, "b").await.nodes, [1]);
    make(&catalog, update("b", config(0, 0))).await;
    assert_eq!(group(&catalog, DEFAULT_GROUP).await.nodes, [1]);
}

pub(crate) async fn a_replica_moves_and_has_no_place_any_more_when_it_is_released(home: Arc<Home>) {
    let catalog = home.open().await;
    let c = create(&catalog, "c").await.id;
    make(&catalog, new("a", config(1, 1))).await;
    let (code, text) = refused(&catalog, replica(DEFAULT_GROUP, "a", c)).await;
    assert_eq!(code, Code::ParameterInvalid);
    assert!(text.contains("only found [0] replicas of collection"), "{text}");
    let place = |group: &str| GroupChange::Place { group: group.to_owned(), collection: c };
    let (code, _) = refused(&catalog, place(DEFAULT_GROUP)).await;
    assert_eq!(code, Code::ResourceGroupNodeNotEnough, "its node went to a");
    assert_eq!(refused(&catalog, place("x")).await.0, Code::ResourceGroupNotFound);
    make(&catalog, place("a")).await;
    assert_eq!(group(&catalog, "a").await.collections, [c]);
    catalog.load_set(c, &[], LoadState::Loaded).await.unwrap();
    make(&catalog, transfer("a", DEFAULT_GROUP, 1)).await;
    let (_, text) = refused(&catalog, gone("a")).await;
    assert!(text.contains("some replicas still loaded in resource group[a]"), "{text}");
    let (code, text) = refused(&catalog, replica("x", "a", c)).await;
    assert_eq!(code, Code::ResourceGroupNotFound);
    assert!(text.starts_with("the source resource group[x] doesn't exist"), "{text}");
    make(&catalog, replica("a", DEFAULT_GROUP, c)).await;
    assert!(group(&catalog, "a").await.collections.is_empty());
    make(&catalog, transfer(DEFAULT_GROUP, "a", 1)).await;
    make(&catalog, replica(DEFAULT_GROUP, "a", c)).await;
    catalog.load_set(c, &[], LoadState::NotLoaded).await.unwrap();
    assert!(group(&catalog, "a").await.collections.is_empty());
    // A collection that is gone holds nobody up.
    make(&catalog, place("a")).await;
    catalog.load_set(c, &[], LoadState::Loaded).await.unwrap();
    drop_whole(&catalog, "c").await;
    make(&catalog, update("a", config(0, 0))).await;
    make(&catalog, gone("a")).await;
}

pub(crate) async fn the_number_of_groups_is_limited(home: Arc<Home>) {
    // Each creation reads all groups: on disk, a few stand for all.
    if home.kind() != crate::Kind::Memory {
        return;
    }
    let catalog = home.open().await;
    for n in 1..limits::RESOURCE_GROUPS_MAX {
        make(&catalog, new(&format!("g{n}"), config(0, 0))).await;
    }
    let (code, text) = refused(&catalog, new("more", config(0, 0))).await;
    assert_eq!(code, Code::ResourceGroupNumLimit);
    assert_eq!(text, "resource group num reach limit[rg=more][limit=1024]");
}

pub(crate) async fn groups_are_the_same_after_a_restart(home: Arc<Home>) {
    let catalog = home.open().await;
    let c = create(&catalog, "c").await.id;
    let named = GroupConfig {
        transfer_from: vec![DEFAULT_GROUP.into()],
        node_labels: vec![("zone".into(), "\"x\"".into())],
        ..config(1, 2)
    };
    make(&catalog, new("a", named)).await;
    make(&catalog, GroupChange::Place { group: "a".into(), collection: c }).await;
    let before = catalog.groups().await.unwrap();
    catalog.close().await;
    assert_eq!(home.open().await.groups().await.unwrap(), before);
}
