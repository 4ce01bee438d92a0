//! No file is lost and none is deleted that is needed, whatever happens: any sequence of changes
//! of the manifest against a naive model of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use millstream_catalog::catalog::FlushCommit;
use millstream_catalog::model::{
    Code, Collection, FileRef, Segment, SegmentId, ShardState, VChannel,
};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use crate::create;
use crate::home::{Home, Opened};
use crate::manifest::{file, flush, segment};

/// Sequences, and changes in each.
const SEQUENCES: usize = 4;
const CHANGES: usize = 40;

/// A change, in numbers that mean something once it is known what is there.
#[derive(Clone, Debug)]
enum Op {
    Flush { shard: u16, ahead: u64, add: usize, remove: Vec<i64>, deltas: Vec<u8> },
    FilesSet { segment: i64, add: Option<(u8, u8)>, remove: Option<u8> },
    Done { keep: usize },
    Restart,
}

fn op() -> impl Strategy<Value = Op> {
    let remove = prop::collection::btree_set(0..30_i64, 0..3);
    let deltas = prop::collection::btree_set(0..8_u8, 0..4);
    let flush = (0..2_u16, 0..4_u64, 0..4_usize, remove, deltas).prop_map(
        |(shard, ahead, add, remove, deltas)| Op::Flush {
            shard,
            ahead,
            add,
            remove: remove.into_iter().collect(),
            deltas: deltas.into_iter().collect(),
        },
    );
    let kind = || prop::option::of(0..3_u8);
    let files = (0..20_i64, prop::option::of((0..3_u8, 0..30_u8)), kind())
        .prop_map(|(segment, add, remove)| Op::FilesSet { segment, add, remove });
    prop_oneof![
        6 => flush,
        6 => files,
        1 => (0..3_usize).prop_map(|keep| Op::Done { keep }),
        1 => Just(Op::Restart),
    ]
}

/// What should be there.
#[derive(Default)]
struct Model {
    shards: BTreeMap<VChannel, ShardState>,
    segments: BTreeMap<SegmentId, Segment>,
    garbage: BTreeMap<String, FileRef>,
    last_id: i64,
}

impl Model {
    /// All files that anything names.
    fn named(&self) -> BTreeMap<String, FileRef> {
        let files = self.segments.values().flat_map(|s| s.files.iter().map(|(_, file)| file));
        let deltas = self.shards.values().flat_map(|state| &state.deltas);
        files.chain(deltas).map(|file| (file.name.clone(), file.clone())).collect()
    }

    /// Makes a change unless it names garbage; whether it was made.
    fn change(&mut self, make: impl FnOnce(&mut Model)) -> bool {
        let (shards, segments) = (self.shards.clone(), self.segments.clone());
        let before = self.named();
        make(self);
        let after = self.named();
        if after.keys().any(|name| self.garbage.contains_key(name)) {
            (self.shards, self.segments) = (shards, segments);
            return false;
        }
        let gone = before.into_iter().filter(|(name, _)| !after.contains_key(name));
        self.garbage.extend(gone);
        true
    }

    fn flush(&mut self, commit: &FlushCommit) -> bool {
        let shard = commit.state.vchannel;
        let same = self.shards.get(&shard) == Some(&commit.state);
        if same && commit.added.is_empty() && commit.removed.is_empty() {
            return true;
        }
        let fresh = self.shards.get(&shard).is_none_or(|s| s.applied < commit.state.applied);
        let has = |id| self.segments.get(id).is_some_and(|s| s.vchannel == shard);
        if !fresh || !commit.removed.iter().all(has) {
            return false;
        }
        self.change(|model| {
            model.segments.retain(|id, _| !commit.removed.contains(id));
            model.segments.extend(commit.added.iter().map(|s| (s.id, s.clone())));
            model.shards.insert(shard, commit.state.clone());
        })
    }

    /// The commit that an op means now.
    fn commit(&mut self, c: &Collection, op: &Op) -> FlushCommit {
        let Op::Flush { shard, ahead, add, remove, deltas } = op else { panic!("{op:?}") };
        let mut commit = flush(c, *shard, 0);
        let stored = self.shards.get(&commit.state.vchannel);
        commit.state.applied.seq = stored.map_or(1, |s| s.applied.seq) + ahead;
        commit.state.slots[0].rows = u32::try_from(self.last_id).unwrap();
        // Each shard has its own names.
        let name = |n: &u8| format!("{}/{shard}/d{n}", c.id);
        commit.state.deltas = deltas.iter().map(|n| file(&name(n))).collect();
        // Mostly what is there, sometimes what is not, or is another shard's.
        let there: Vec<SegmentId> = self.segments.keys().copied().collect();
        let pick = |n: &i64| there.get(usize::try_from(*n).unwrap()).copied();
        commit.removed = remove.iter().filter_map(pick).collect();
        for _ in 0..*add {
            self.last_id += 1;
            commit.added.push(segment(c, *shard, 1_000_000 + self.last_id));
        }
        commit
    }
}

async fn check(catalog: &Opened, model: &Model, deleted: &BTreeSet<String>, op: &Op) {
    let manifest = catalog.manifest().await.unwrap();
    let garbage = catalog.garbage().await.unwrap();
    let shards: Vec<_> = manifest.iter().map(|(state, _)| state).collect();
    assert_eq!(shards, model.shards.values().collect::<Vec<_>>(), "{op:?}");
    for (state, segments) in &manifest {
        let own = model.segments.values().filter(|s| s.vchannel == state.vchannel);
        assert_eq!(segments.iter().collect::<Vec<_>>(), own.collect::<Vec<_>>(), "{op:?}");
    }
    assert_eq!(garbage, model.garbage.values().cloned().collect::<Vec<_>>(), "{op:?}");
    let named = model.named();
    assert!(garbage.iter().all(|file| !named.contains_key(&file.name)), "{op:?}");
    assert!(deleted.iter().all(|name| !model.garbage.contains_key(name)), "{op:?}");
}

pub(crate) async fn any_sequence_of_changes_loses_no_file_and_deletes_none_in_use(home: Arc<Home>) {
    let mut runner = TestRunner::deterministic();
    let mut catalog = home.open().await;
    let mut model = Model::default();
    let (mut made, mut refused) = (0, 0);
    for sequence in 0..SEQUENCES {
        let c = create(&catalog, &format!("c{sequence}")).await;
        let ops = prop::collection::vec(op(), CHANGES).new_tree(&mut runner).unwrap().current();
        for op in ops {
            let mut deleted = BTreeSet::new();
            let (result, expected) = match &op {
                Op::Flush { .. } => {
                    let commit = model.commit(&c, &op);
                    let expected = model.flush(&commit);
                    (catalog.flush_commit(commit).await, expected)
                }
                Op::FilesSet { segment, add, remove } => {
                    let there = model.segments.keys().nth(usize::try_from(*segment).unwrap());
                    let id = there.copied().unwrap_or(SegmentId(7));
                    let kind = |n: &u8| format!("index/1/{n}");
                    let add = add.map(|(k, n)| (kind(&k), file(&format!("{id}.i{n}"))));
                    let remove: Vec<String> = remove.iter().map(kind).collect();
                    let expected = there.is_some()
                        && model.change(|model| {
                            let files = &mut model.segments.get_mut(&id).unwrap().files;
                            files.retain(|(kind, _)| !remove.contains(kind));
                            if let Some((kind, file)) = &add {
                                match files.iter().position(|(k, _)| k == kind) {
                                    Some(at) => files[at].1 = file.clone(),
                                    None => files.push((kind.clone(), file.clone())),
                                }
                            }
                        });
                    let add: Vec<_> = add.into_iter().collect();
                    let result = catalog.segment_files_set(id, add, remove).await;
                    if let (false, Err(fault)) = (model.segments.contains_key(&id), &result) {
                        assert_eq!(fault.code, Code::SegmentNotFound);
                    }
                    (result, expected)
                }
                Op::Done { keep } => {
                    deleted = model.garbage.keys().skip(*keep).cloned().collect();
                    let names: Vec<String> = deleted.iter().cloned().collect();
                    model.garbage.retain(|name, _| !deleted.contains(name));
                    (catalog.garbage_done(&names).await, true)
                }
                Op::Restart => {
                    drop(catalog);
                    catalog = home.open().await;
                    (Ok(()), true)
                }
            };
            assert_eq!(result.is_ok(), expected, "{op:?}: {result:?}");
            if expected {
                made += 1
            } else {
                refused += 1
            }
            check(&catalog, &model, &deleted, &op).await;
        }
    }
    assert!(made > 60 && refused > 20, "{made} made, {refused} refused: too much of one kind");
}
