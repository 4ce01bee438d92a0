//! Behaviour of the segment manifest: flushes, artefacts, garbage.

use std::sync::Arc;

use millstream_catalog::catalog::{Checkpoint, CompactCommit, FlushCommit};
use millstream_catalog::model::{
    ChannelId, Code, Collection, CollectionId, FileRef, LogPosition, PartitionId, Segment,
    SegmentId, ShardState, SlotState, Timestamp,
};
use parking_lot::Mutex;

use crate::home::Home;
use crate::{create, drop_whole, intent, new_collection, request};

/// A file whose content follows from its name.
pub(crate) fn file(name: &str) -> FileRef {
    FileRef { name: name.to_owned(), bytes: 100 + name.len() as u64, crc32c: 0xffff_fff0 }
}

/// A segment of a shard with its two files.
pub(crate) fn segment(c: &Collection, shard: u16, id: i64) -> Segment {
    let (vchannel, _) = c.vchannels().nth(shard.into()).unwrap();
    let kinds = ["rows", "runs"];
    Segment {
        id: SegmentId(id),
        vchannel,
        partition: c.partitions[0].id,
        slot: 0,
        first_row: 3,
        rows: u32::MAX,
        files: kinds.map(|kind| (kind.to_owned(), file(&format!("{id}.{kind}")))).to_vec(),
        min_ts: Timestamp::MIN,
        max_ts: Timestamp(i64::MAX as u64),
    }
}

/// A flush of a shard up to a position.
pub(crate) fn flush(c: &Collection, shard: u16, seq: u64) -> FlushCommit {
    let (vchannel, channel) = c.vchannels().nth(shard.into()).unwrap();
    let state = ShardState {
        vchannel,
        channel,
        applied: LogPosition { seq, index: 7 },
        closed: Timestamp::from_ms(seq),
        since: Timestamp::from_ms(seq / 2),
        slots: vec![SlotState { partition: c.partitions[0].id, rows: 9, dropped_at: None }],
        deltas: Vec::new(),
        expiry: vec![(Timestamp::from_ms(1), Some(1_000)), (Timestamp::from_ms(seq), None)],
        truncated: i64::MAX,
    };
    FlushCommit { state, added: Vec::new(), removed: Vec::new(), checkpoint: None }
}

fn names(files: &[FileRef]) -> Vec<&str> {
    files.iter().map(|file| &*file.name).collect()
}

pub(crate) async fn a_flush_is_there_after_a_restart(home: Arc<Home>) {
    let mut catalog = home.open().await;
    assert_eq!(catalog.manifest().await.unwrap(), []);
    let (b, c) = (create(&catalog, "b").await, create(&catalog, "c").await);
    let mut commits = [flush(&c, 1, 10), flush(&c, 0, 11), flush(&b, 0, 5)];
    let dropped_at = Some(Timestamp::MAX);
    let slot = SlotState { partition: PartitionId(i64::MAX), rows: u32::MAX, dropped_at };
    commits[0].state.slots.push(slot);
    commits[0].state.deltas = vec![file("z \"'; 语"), file("a")];
    commits[0].added = vec![segment(&c, 1, 9_003), segment(&c, 1, 9_001)];
    commits[1].added = vec![segment(&c, 0, 9_002)];
    let channel = commits[0].state.channel;
    let at = Checkpoint { seq: 9, closed: Timestamp::from_ms(9) };
    commits[0].checkpoint = Some((channel, at));
    for commit in &commits {
        catalog.flush_commit(commit.clone()).await.unwrap();
    }
    let [second, first, other] = commits;
    let found = vec![
        (other.state, Vec::new()),
        (first.state, first.added),
        (second.state, second.added.into_iter().rev().collect()),
    ];
    for _ in 0..2 {
        assert_eq!(catalog.manifest().await.unwrap(), found);
        assert_eq!(catalog.manifest_of(c.id).await.unwrap(), found[1..]);
        assert_eq!(catalog.manifest_of(b.id).await.unwrap(), found[..1]);
        assert_eq!(catalog.manifest_of(CollectionId(1 << 40)).await.unwrap(), []);
        assert_eq!(catalog.checkpoint_get(channel).await.unwrap(), at);
        assert_eq!(catalog.garbage().await.unwrap(), []);
        drop(catalog);
        catalog = home.open().await;
    }
}

pub(crate) async fn files_that_a_flush_does_not_name_any_more_are_garbage(home: Arc<Home>) {
    let catalog = home.open().await;
    let c = create(&catalog, "c").await;
    let mut first = flush(&c, 0, 10);
    first.added = vec![segment(&c, 0, 1_001), segment(&c, 0, 1_002)];
    first.state.deltas = vec![file("d1"), file("d2")];
    catalog.flush_commit(first).await.unwrap();
    let artefact = vec![("index/101/7".to_owned(), file("i1"))];
    catalog.segment_files_set(SegmentId(1_001), artefact, Vec::new()).await.unwrap();

    // A compaction that takes a file over as it is.
    let mut second = flush(&c, 0, 20);
    second.removed = vec![SegmentId(1_001)];
    let mut merged = segment(&c, 0, 1_003);
    merged.files[1].1 = file("1001.runs");
    second.added = vec![merged];
    second.state.deltas = vec![file("d3"), file("d2")];
    catalog.flush_commit(second.clone()).await.unwrap();
    let [(state, segments)] = &catalog.manifest().await.unwrap()[..] else { panic!() };
    assert_eq!(*state, second.state);
    assert_eq!(*segments, [segment(&c, 0, 1_002), second.added[0].clone()]);
    assert_eq!(segments[1].file("runs"), Some(&file("1001.runs")));
    let garbage = catalog.garbage().await.unwrap();
    assert_eq!(garbage, [file("1001.rows"), file("d1"), file("i1")]);

    drop(catalog);
    let catalog = home.open().await;
    assert_eq!(catalog.garbage().await.unwrap(), garbage);
    catalog.garbage_done(&["i1".to_owned(), "none".to_owned()]).await.unwrap();
    assert_eq!(names(&catalog.garbage().await.unwrap()), ["1001.rows", "d1"]);
    catalog.garbage_done(&["d1".to_owned(), "1001.rows".to_owned()]).await.unwrap();
    catalog.garbage_done(&[]).await.unwrap();
    assert_eq!(catalog.garbage().await.unwrap(), []);
}

/// The answer of a commit may be lost: whoever asks again must not be told of a failure.
pub(crate) async fn the_same_flush_again_is_harmless(home: Arc<Home>) {
    let catalog = home.open().await;
    let c = create(&catalog, "c").await;
    let mut first = flush(&c, 0, 10);
    first.added = vec![segment(&c, 0, 1_001), segment(&c, 0, 1_002)];
    let mut second = flush(&c, 0, 20);
    second.removed = vec![SegmentId(1_001)];
    second.added = vec![segment(&c, 0, 1_003)];
    for commit in [first.clone(), first.clone(), second.clone(), second.clone()] {
        catalog.flush_commit(commit).await.unwrap();
    }
    // What the segment has got since is no other content.
    let artefact = vec![("index/101/7".to_owned(), file("i1"))];
    catalog.segment_files_set(SegmentId(1_003), artefact, Vec::new()).await.unwrap();
    let (manifest, garbage) = (catalog.manifest().await.unwrap(), catalog.garbage().await.unwrap());
    catalog.flush_commit(second.clone()).await.unwrap();
    let channel = second.state.channel;
    let at = Checkpoint { seq: 20, closed: Timestamp::from_ms(20) };
    second.checkpoint = Some((channel, at));
    catalog.flush_commit(second).await.unwrap();
    assert_eq!(catalog.checkpoint_get(channel).await.unwrap(), at);
    let fault = catalog.flush_commit(first).await.unwrap_err();
    assert_eq!(fault.code, Code::Internal);
    assert!(fault.message.contains("is flushed to 20/7, not before 10/7"), "{fault}");
    assert_eq!(catalog.manifest().await.unwrap(), manifest);
    assert_eq!(catalog.garbage().await.unwrap(), garbage);
}

/// What makes a flush wrong.
type Spoil = Box<dyn Fn(&mut FlushCommit)>;

/// Ways to spoil a flush of a shard that is flushed to 20/7, and what the refusal says.
fn wrong_flushes() -> Vec<(&'static str, Spoil)> {
    vec![
        ("is flushed to 20/7", Box::new(|f| f.state.applied.seq = 20)),
        ("is flushed to 20/7", Box::new(|f| f.state.applied = LogPosition { seq: 20, index: 6 })),
        ("is flushed to 20/7", Box::new(|f| f.state.applied.seq = 3)),
        ("cannot go back", Box::new(|f| f.state.since = Timestamp::from_ms(9))),
        ("segment 5 to remove is not one of shard 0", Box::new(|f| f.removed[0].0 = 5)),
        ("segment 1003 to remove is not one", Box::new(|f| f.removed[0].0 = 1_003)),
        ("names segment 1001 twice", Box::new(|f| f.removed.push(SegmentId(1_001)))),
        ("names segment 1001 twice", Box::new(|f| f.added[0].id.0 = 1_001)),
        ("segment 1002 is there with other content", Box::new(|f| f.added[0].id.0 = 1_002)),
        ("segment 1004 is not one of shard 0", Box::new(|f| f.added[0].vchannel.shard = 1)),
        ("two files of the kind rows", Box::new(|f| f.added[0].files[1].0 = "rows".to_owned())),
        ("the file old is garbage", Box::new(|f| f.added[0].files[0].1 = file("old"))),
        ("the file old is garbage", Box::new(|f| f.state.deltas.push(file("old")))),
        ("the file d1 is named with two contents", Box::new(|f| f.state.deltas[0].crc32c = 1)),
        (
            "1004.rows is named with two contents",
            Box::new(|f| {
                f.state.deltas.push(FileRef { bytes: 1, ..file("1004.rows") });
            }),
        ),
        ("is not on channel 3", Box::new(|f| f.state.channel = ChannelId(3))),
        (
            "is not on channel",
            Box::new(|f| {
                f.state.vchannel.shard = 2;
                f.added[0].vchannel.shard = 2;
            }),
        ),
        (
            "channel 4 is not one of the 4",
            Box::new(|f| {
                f.checkpoint = Some((ChannelId(4), Checkpoint::default()));
            }),
        ),
        ("does not fit the catalog", Box::new(|f| f.state.applied.seq = u64::MAX)),
        ("does not fit the catalog", Box::new(|f| f.state.closed = Timestamp::MAX)),
        ("does not fit the catalog", Box::new(|f| f.added[0].max_ts = Timestamp::MAX)),
        ("does not fit the catalog", Box::new(|f| f.added[0].files[0].1.bytes = u64::MAX)),
        ("does not fit the catalog", Box::new(|f| f.state.deltas[0].bytes = u64::MAX)),
    ]
}

pub(crate) async fn a_flush_that_contradicts_the_manifest_changes_nothing(home: Arc<Home>) {
    let catalog = home.open().await;
    let c = create(&catalog, "c").await;
    let mut first = flush(&c, 0, 10);
    first.added = vec![segment(&c, 0, 1_001), segment(&c, 0, 1_002)];
    first.state.deltas = vec![file("d1"), file("old")];
    let mut other = flush(&c, 1, 10);
    other.added = vec![segment(&c, 1, 1_003)];
    let mut next = flush(&c, 0, 20);
    next.state.deltas = vec![file("d1")];
    for commit in [first, other, next] {
        catalog.flush_commit(commit).await.unwrap();
    }
    let before = (catalog.manifest().await.unwrap(), catalog.garbage().await.unwrap());
    assert_eq!(names(&before.1), ["old"]);

    let mut right = flush(&c, 0, 30);
    right.state.deltas = vec![file("d1"), file("d2")];
    right.removed = vec![SegmentId(1_001)];
    right.added = vec![segment(&c, 0, 1_004)];
    let at = Checkpoint { seq: 30, closed: Timestamp::from_ms(30) };
    right.checkpoint = Some((right.state.channel, at));
    for (text, spoil) in wrong_flushes() {
        let mut commit = right.clone();
        spoil(&mut commit);
        let fault = catalog.flush_commit(commit).await.unwrap_err();
        assert_eq!(fault.code, Code::Internal, "{text}: {fault}");
        assert!(fault.message.contains(text), "{text}: {fault}");
        let now = (catalog.manifest().await.unwrap(), catalog.garbage().await.unwrap());
        assert_eq!(now, before, "{text}");
        let checkpoint = catalog.checkpoint_get(right.state.channel).await.unwrap();
        assert_eq!(checkpoint, Checkpoint::default());
    }
    catalog.flush_commit(right).await.unwrap();
}

/// A late flush must not leave rows of the manifest that nobody would ever remove.
pub(crate) async fn only_what_exists_is_flushed(home: Arc<Home>) {
    let catalog = home.open().await;
    let made = catalog.collection_create(request(1), new_collection("default", "c")).await;
    let creating = intent(made.unwrap());
    let c = catalog.collection_all().await.unwrap().pop().unwrap();
    catalog.flush_commit(flush(&c, 0, 1)).await.unwrap();
    catalog.intent_finish(creating.id).await.unwrap();
    catalog.flush_commit(flush(&c, 0, 2)).await.unwrap();
    let dropping = catalog.collection_drop("default", "c").await.unwrap().unwrap();
    let mut last = flush(&c, 0, 3);
    last.added = vec![segment(&c, 0, 1_001)];
    catalog.flush_commit(last.clone()).await.unwrap();
    assert_eq!(catalog.manifest().await.unwrap().len(), 1);
    assert_eq!(catalog.manifest_dropped().await.unwrap(), []);
    let fault = catalog.manifest_forget(c.id).await.unwrap_err();
    assert!(fault.message.contains("it is not dropped"), "{fault}");

    catalog.intent_finish(dropping.id).await.unwrap();
    for commit in [last, flush(&c, 0, 4)] {
        let fault = catalog.flush_commit(commit).await.unwrap_err();
        assert_eq!(fault.code, Code::CollectionNotFound);
        assert_eq!(fault.message, format!("collection not found[collection={}]", c.id));
    }
}

pub(crate) async fn a_dropped_collection_keeps_its_manifest_until_it_is_forgotten(home: Arc<Home>) {
    let catalog = home.open().await;
    let (b, c) = (create(&catalog, "b").await, create(&catalog, "c").await);
    let mut kept = flush(&b, 0, 10);
    kept.added = vec![segment(&b, 0, 1_001)];
    let mut gone = flush(&c, 0, 10);
    gone.added = vec![segment(&c, 0, 1_002)];
    gone.state.deltas = vec![file("d1")];
    for commit in [kept.clone(), gone.clone(), flush(&c, 1, 12)] {
        catalog.flush_commit(commit).await.unwrap();
    }
    drop_whole(&catalog, "c").await;
    drop(catalog);
    let catalog = home.open().await;
    let left = vec![(kept.state, kept.added)];
    assert_eq!(catalog.manifest().await.unwrap(), left);
    assert_eq!(catalog.manifest_of(c.id).await.unwrap().len(), 2);
    assert_eq!(catalog.manifest_dropped().await.unwrap(), [c.id]);
    // An index build that was under way: its file goes with the others.
    let artefact = vec![("index/101/7".to_owned(), file("i1"))];
    catalog.segment_files_set(SegmentId(1_002), artefact, Vec::new()).await.unwrap();

    let files = catalog.manifest_forget(c.id).await.unwrap();
    assert_eq!(names(&files), ["1002.rows", "1002.runs", "d1", "i1"]);
    assert_eq!(catalog.garbage().await.unwrap(), files);
    assert_eq!(catalog.manifest_forget(c.id).await.unwrap(), []);
    assert_eq!(catalog.manifest_forget(CollectionId(1 << 40)).await.unwrap(), []);
    assert_eq!(catalog.manifest_of(c.id).await.unwrap(), []);
    assert_eq!(catalog.manifest_dropped().await.unwrap(), []);
    assert_eq!(catalog.manifest().await.unwrap(), left);
    let fault = catalog.segment_files_set(SegmentId(1_002), Vec::new(), Vec::new()).await;
    assert_eq!(fault.unwrap_err().code, Code::SegmentNotFound);
}

pub(crate) async fn artefacts_come_and_go(home: Arc<Home>) {
    let catalog = home.open().await;
    let c = create(&catalog, "c").await;
    let id = SegmentId(1_001);
    let one = |kind: &str, name: &str| vec![(kind.to_owned(), file(name))];
    let missing = catalog.segment_files_set(id, one("index/1/2", "i"), Vec::new()).await;
    let fault = missing.unwrap_err();
    assert_eq!(fault.code, Code::SegmentNotFound);
    assert_eq!(fault.message, "segment not found[segment=1001]");

    let mut commit = flush(&c, 0, 10);
    commit.added = vec![segment(&c, 0, id.0), segment(&c, 0, 1_002)];
    catalog.flush_commit(commit).await.unwrap();
    for _ in 0..2 {
        catalog.segment_files_set(id, one("index/1/2", "i1"), Vec::new()).await.unwrap();
    }
    let files = async || {
        let mut manifest = catalog.manifest_of(c.id).await.unwrap();
        let (_, segments) = manifest.pop().unwrap();
        assert_eq!(segments[1], segment(&c, 0, 1_002));
        let list = segments[0].files.iter();
        list.map(|(kind, file)| format!("{kind}={}", file.name)).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(files().await, "rows=1001.rows runs=1001.runs index/1/2=i1");
    assert_eq!(catalog.garbage().await.unwrap(), []);

    // Built anew: the one before is garbage. Another goes at the same time.
    let remove = vec!["runs".to_owned(), "none".to_owned()];
    catalog.segment_files_set(id, one("index/1/2", "i2"), remove.clone()).await.unwrap();
    catalog.segment_files_set(id, one("index/1/2", "i2"), remove).await.unwrap();
    assert_eq!(files().await, "rows=1001.rows index/1/2=i2");
    assert_eq!(names(&catalog.garbage().await.unwrap()), ["1001.runs", "i1"]);

    let back = catalog.segment_files_set(id, one("index/1/3", "i1"), Vec::new()).await;
    assert!(back.unwrap_err().message.contains("the file i1 is garbage"));
    let other = vec![("index/1/2".to_owned(), FileRef { bytes: 1, ..file("i2") })];
    let fault = catalog.segment_files_set(id, other, Vec::new()).await.unwrap_err();
    assert!(fault.message.contains("the file i2 is named with two contents"), "{fault}");
    let twice = [one("index/1/3", "i3"), one("index/1/3", "i4")].concat();
    let fault = catalog.segment_files_set(id, twice, Vec::new()).await.unwrap_err();
    assert!(fault.message.contains("two files of the kind index/1/3"), "{fault}");
    // The same file under another name of its kind is not garbage.
    let remove = vec!["index/1/2".to_owned()];
    catalog.segment_files_set(id, one("index/1/4", "i2"), remove).await.unwrap();
    assert_eq!(files().await, "rows=1001.rows index/1/4=i2");
    assert_eq!(names(&catalog.garbage().await.unwrap()), ["1001.runs", "i1"]);
}

pub(crate) async fn a_flush_never_moves_a_checkpoint_back(home: Arc<Home>) {
    let catalog = home.open().await;
    let c = create(&catalog, "c").await;
    let at = |seq| Checkpoint { seq, closed: Timestamp::from_ms(seq) };
    let channel = c.channels[0];
    for (seq, to, then) in [(10, 8, 8), (20, 5, 8), (30, 25, 25), (40, 25, 25)] {
        let mut commit = flush(&c, 0, seq);
        commit.checkpoint = Some((channel, at(to)));
        catalog.flush_commit(commit).await.unwrap();
        assert_eq!(catalog.checkpoint_get(channel).await.unwrap(), at(then));
    }
    catalog.checkpoint_set(channel, at(24)).await.unwrap();
    assert_eq!(catalog.checkpoint_get(channel).await.unwrap(), at(25));
}

pub(crate) async fn thousands_of_segments_are_one_flush(home: Arc<Home>) {
    let catalog = home.open().await;
    let c = create(&catalog, "c").await;
    let mut first = flush(&c, 0, 10);
    first.added = (0..2_000).map(|n| segment(&c, 0, 10_000 + n)).collect();
    catalog.flush_commit(first.clone()).await.unwrap();
    catalog.flush_commit(first.clone()).await.unwrap();
    let manifest = catalog.manifest().await.unwrap();
    assert_eq!(manifest, [(first.state, first.added.clone())]);
    let mut second = flush(&c, 0, 20);
    second.removed = first.added.iter().map(|segment| segment.id).collect();
    catalog.flush_commit(second.clone()).await.unwrap();
    assert_eq!(catalog.manifest().await.unwrap(), [(second.state, Vec::new())]);
    let garbage = catalog.garbage().await.unwrap();
    assert!(garbage.len() == 4_000 && garbage.is_sorted());
    let gone: Vec<String> = garbage[1..].iter().map(|file| file.name.clone()).collect();
    catalog.garbage_done(&gone).await.unwrap();
    assert_eq!(catalog.garbage().await.unwrap(), garbage[..1]);
}

/// Caches of objects are not emptied by every flush.
pub(crate) async fn flushes_of_many_shards_at_once_are_no_news(home: Arc<Home>) {
    let catalog = Arc::new(home.open().await);
    let mut all = Vec::new();
    for n in 0..4 {
        all.push(create(&catalog, &format!("c{n}")).await);
    }
    let heard = Arc::new(Mutex::new(Vec::new()));
    let list = Arc::clone(&heard);
    catalog.watch(Box::new(move |changed| list.lock().push(changed)));
    let tasks: Vec<_> = (0..8_u16)
        .map(|n| {
            let (catalog, c) = (Arc::clone(&catalog), Arc::clone(&all[usize::from(n % 4)]));
            tokio::spawn(async move {
                let shard = n / 4;
                for round in 1..=5_u32 {
                    let id = |round: u32| i64::from(n) * 100 + i64::from(round) + 10_000;
                    let mut commit = flush(&c, shard, round.into());
                    commit.added = vec![segment(&c, shard, id(round))];
                    if round > 1 {
                        commit.removed = vec![SegmentId(id(round - 1))];
                    }
                    catalog.flush_commit(commit).await.unwrap();
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let manifest = catalog.manifest().await.unwrap();
    assert_eq!(manifest.len(), 8);
    assert!(manifest.iter().all(|(state, s)| state.applied.seq == 5 && s.len() == 1));
    assert_eq!(catalog.garbage().await.unwrap().len(), 8 * 4 * 2);
    assert_eq!(*heard.lock(), []);
}

pub(crate) async fn a_compaction_puts_segments_and_deltas_in_the_place_of_others(home: Arc<Home>) {
    let catalog = home.open().await;
    let c = create(&catalog, "c").await;
    let mut first = flush(&c, 0, 10);
    first.added = [1_001, 1_002, 1_003].map(|id| segment(&c, 0, id)).to_vec();
    first.state.deltas = vec![file("d1"), file("d2")];
    catalog.flush_commit(first.clone()).await.unwrap();
    let artefact = vec![("index/101/7".to_owned(), file("i1"))];
    catalog.segment_files_set(SegmentId(1_001), artefact, Vec::new()).await.unwrap();
    let compaction = CompactCommit {
        vchannel: first.state.vchannel,
        since: Timestamp::from_ms(9),
        deltas_before: first.state.deltas.clone(),
        deltas: vec![file("d3")],
        added: vec![segment(&c, 0, 1_004)],
        removed: vec![SegmentId(1_001), SegmentId(1_002)],
    };
    let state = ShardState {
        since: Timestamp::from_ms(9),
        deltas: vec![file("d3")],
        ..first.state.clone()
    };
    let gone = ["1001.rows", "1001.runs", "1002.rows", "1002.runs", "d1", "d2", "i1"];
    // The answer may be lost: the same again is harmless.
    for _ in 0..2 {
        catalog.compact_commit(compaction.clone()).await.unwrap();
        let left = vec![segment(&c, 0, 1_003), segment(&c, 0, 1_004)];
        assert_eq!(catalog.manifest().await.unwrap(), [(state.clone(), left)]);
        assert_eq!(names(&catalog.garbage().await.unwrap()), gone);
    }
    // A flush goes on from there, and one that came before the compaction cannot follow it.
    let mut second = flush(&c, 0, 30);
    second.state.deltas = vec![file("d3"), file("d4")];
    catalog.flush_commit(second.clone()).await.unwrap();
    let mut late = compaction.clone();
    (late.removed, late.added) = (vec![SegmentId(1_003)], vec![segment(&c, 0, 1_005)]);
    (late.deltas_before, late.deltas) = (vec![file("d3")], vec![file("d5")]);
    let fault = catalog.compact_commit(late.clone()).await.unwrap_err();
    assert!(fault.message.contains("are not those that were compacted"), "{fault}");
    late.deltas_before = second.state.deltas.clone();
    late.removed.push(SegmentId(1_002));
    let fault = catalog.compact_commit(late.clone()).await.unwrap_err();
    assert_eq!(fault.code, Code::SegmentNotFound);
    assert_eq!(names(&catalog.garbage().await.unwrap()), gone);
    late.removed.pop();
    late.since = Timestamp::MIN;
    // All rows of a segment may be gone.
    late.added.clear();
    drop(catalog);
    let catalog = home.open().await;
    catalog.compact_commit(late).await.unwrap();
    let [(state, segments)] = &catalog.manifest().await.unwrap()[..] else { panic!() };
    assert_eq!((state.since, state.applied), (second.state.since, second.state.applied));
    assert_eq!(
        (&state.deltas[..], &segments[..]),
        (&[file("d5")][..], &[segment(&c, 0, 1_004)][..])
    );
    drop_whole(&catalog, "c").await;
    let fault = catalog.compact_commit(compaction).await.unwrap_err();
    assert_eq!(fault.code, Code::CollectionNotFound);
}

pub(crate) async fn the_id_of_the_cluster_never_changes(home: Arc<Home>) {
    let catalog = home.open().await;
    assert_eq!(catalog.cluster_id(u128::MAX - 5).await.unwrap(), u128::MAX - 5);
    assert_eq!(catalog.cluster_id(7).await.unwrap(), u128::MAX - 5);
    drop(catalog);
    assert_eq!(home.open().await.cluster_id(7).await.unwrap(), u128::MAX - 5);
}
