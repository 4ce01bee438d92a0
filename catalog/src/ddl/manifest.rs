//! The segment manifest: what a flush may change, and what becomes garbage by it.
//!
//! **Invariant.** A file that was ever named is named still, or it is garbage, or it was reported
//! as deleted; never two of them at once. So a file may be deleted exactly while it is garbage.

use std::collections::{HashMap, HashSet};

use super::rows::{CollectionBody, from_json};
use crate::catalog::{Checkpoint, CompactCommit, FlushCommit};
use crate::model::{
    ChannelId, CollectionId, Fault, FileRef, Segment, SegmentId, ShardState, Timestamp, VChannel,
};
use crate::rules;
use crate::store::{At, Table, Txn};

/// The largest number that every back end keeps.
const NUMBER_MAX: u64 = i64::MAX as u64;

/// Makes a flush current. False when there is nothing to commit, since it was made before.
pub(super) async fn flush(
    txn: &mut dyn Txn,
    commit: &FlushCommit,
    channels: u16,
) -> Result<bool, Fault> {
    check(commit, channels)?;
    let FlushCommit { state, added, removed, checkpoint } = commit;
    check_shard(txn, state).await?;
    let stored = txn.shard_get(state.vchannel).await?;
    let ids: Vec<SegmentId> = added.iter().map(|s| s.id).chain(removed.iter().copied()).collect();
    let there = txn.segment_get(&ids).await?;
    let there: HashMap<SegmentId, Segment> = there.into_iter().map(|s| (s.id, s)).collect();
    if let Some(stored) = &stored {
        if stored == state && is_made(added, removed, &there) {
            return forward(txn, checkpoint).await;
        }
        check_order(stored, state)?;
    }
    let deltas = stored.as_ref().map_or(&[][..], |stored| &stored.deltas);
    exchange(txn, (deltas, state), (added, removed), &there).await?;
    forward(txn, checkpoint).await?;
    Ok(true)
}

/// Puts a shard's state, segments and deltas in the place of those before.
async fn exchange(
    txn: &mut dyn Txn,
    (deltas, state): (&[FileRef], &ShardState),
    (added, removed): (&[Segment], &[SegmentId]),
    there: &HashMap<SegmentId, Segment>,
) -> Result<(), Fault> {
    let (gone, new) = exchanged_segments(state.vchannel, added, removed, there)?;
    let before: Vec<&FileRef> = gone.iter().flat_map(|s| files(s)).chain(deltas).collect();
    let after: Vec<&FileRef> = added.iter().flat_map(files).chain(&state.deltas).collect();
    let garbage = exchanged(txn, &before, &after).await?;
    txn.garbage_add(&garbage).await?;
    txn.segment_remove(removed).await?;
    txn.segment_add(&new).await?;
    txn.shard_put(state).await
}

/// Makes a compaction current. False when there is nothing to commit, since it was made before.
pub(super) async fn compact(txn: &mut dyn Txn, commit: &CompactCommit) -> Result<bool, Fault> {
    let CompactCommit { vchannel, since, deltas_before, deltas, added, removed } = commit;
    check_segments(*vchannel, added, removed)?;
    check_times(&[*since])?;
    let id = vchannel.collection;
    if txn.get(Table::Collections, id.0, At::Now).await?.is_none() {
        return Err(rules::collection_id_not_found(id));
    }
    let ids: Vec<SegmentId> = added.iter().map(|s| s.id).chain(removed.iter().copied()).collect();
    let there = txn.segment_get(&ids).await?;
    let there: HashMap<SegmentId, Segment> = there.into_iter().map(|s| (s.id, s)).collect();
    let stored = txn.shard_get(*vchannel).await?;
    let stored = stored.ok_or_else(|| rules::collection_id_not_found(id))?;
    if stored.deltas == *deltas && stored.since >= *since && is_made(added, removed, &there) {
        return Ok(false);
    }
    if let Some(gone) = removed.iter().find(|id| !there.contains_key(id)) {
        return Err(Fault::segment_not_found(gone));
    }
    if stored.deltas != *deltas_before {
        let text = format!("the deltas of {} are not those that were compacted", named(*vchannel));
        return Err(Fault::internal(text));
    }
    let state =
        ShardState { since: stored.since.max(*since), deltas: deltas.clone(), ..stored.clone() };
    exchange(txn, (&stored.deltas, &state), (added, removed), &there).await?;
    Ok(true)
}

/// Refuses a flush that is not later than the one before.
fn check_order(stored: &ShardState, state: &ShardState) -> Result<(), Fault> {
    let shard = named(state.vchannel);
    if stored.applied >= state.applied {
        let (at, given) = (stored.applied, state.applied);
        return Err(Fault::internal(format!("{shard} is flushed to {at}, not before {given}")));
    }
    if stored.since > state.since {
        let given = state.since;
        return Err(Fault::internal(format!("since of {shard} cannot go back to {given}")));
    }
    Ok(())
}

/// The stored segments that go and those that come, by the rules.
fn exchanged_segments<'t>(
    vchannel: VChannel,
    added: &[Segment],
    removed: &[SegmentId],
    there: &'t HashMap<SegmentId, Segment>,
) -> Result<(Vec<&'t Segment>, Vec<Segment>), Fault> {
    let mut gone = Vec::with_capacity(removed.len());
    for id in removed {
        let segment = there.get(id).filter(|segment| segment.vchannel == vchannel);
        let absent = || format!("segment {id} to remove is not one of {}", named(vchannel));
        gone.push(segment.ok_or_else(|| Fault::internal(absent()))?);
    }
    let mut new = Vec::with_capacity(added.len());
    for segment in added {
        match there.get(&segment.id) {
            None => new.push(segment.clone()),
            Some(stored) if is_same(segment, stored) => {}
            Some(_) => {
                let text = format!("segment {} is there with other content", segment.id);
                return Err(Fault::internal(text));
            }
        }
    }
    Ok((gone, new))
}

/// Moves a checkpoint forward, if one is given.
async fn forward(
    txn: &mut dyn Txn,
    checkpoint: &Option<(ChannelId, Checkpoint)>,
) -> Result<bool, Fault> {
    if let Some((channel, to)) = checkpoint {
        txn.checkpoint_forward(*channel, *to).await?;
    }
    Ok(checkpoint.is_some())
}

/// Changes the list of files of a segment. False when it is as wanted already.
pub(super) async fn files_set(
    txn: &mut dyn Txn,
    id: SegmentId,
    add: &[(String, FileRef)],
    remove: &[String],
) -> Result<bool, Fault> {
    check_files(id, add)?;
    let found = txn.segment_get(&[id]).await?.pop();
    let segment = found.ok_or_else(|| Fault::segment_not_found(id))?;
    let mut list = segment.files.clone();
    list.retain(|(kind, _)| !remove.contains(kind));
    for (kind, file) in add {
        match list.iter_mut().find(|(k, _)| k == kind) {
            Some((_, there)) => there.clone_from(file),
            None => list.push((kind.clone(), file.clone())),
        }
    }
    if list == segment.files {
        return Ok(false);
    }
    let before: Vec<&FileRef> = files(&segment).collect();
    let after: Vec<&FileRef> = list.iter().map(|(_, file)| file).collect();
    let garbage = exchanged(txn, &before, &after).await?;
    txn.garbage_add(&garbage).await?;
    txn.segment_files_put(id, &list).await?;
    Ok(true)
}

/// The shards of all collections that exist, with their segments.
pub(super) async fn all(txn: &mut dyn Txn) -> Result<Vec<(ShardState, Vec<Segment>)>, Fault> {
    let existing = existing(txn).await?;
    let exists = |shard: &VChannel| existing.contains(&shard.collection);
    let mut shards = txn.shard_list(None).await?;
    shards.retain(|state| exists(&state.vchannel));
    let mut segments = txn.segment_list(None).await?;
    segments.retain(|segment| exists(&segment.vchannel));
    together(shards, segments)
}

/// The shards of one collection, with their segments.
pub(super) async fn of(
    txn: &mut dyn Txn,
    collection: CollectionId,
) -> Result<Vec<(ShardState, Vec<Segment>)>, Fault> {
    let shards = txn.shard_list(Some(collection)).await?;
    together(shards, txn.segment_list(Some(collection)).await?)
}

/// The collections with a manifest that do not exist any more.
pub(super) async fn dropped(txn: &mut dyn Txn) -> Result<Vec<CollectionId>, Fault> {
    let existing = existing(txn).await?;
    let mut with_shards = txn.shard_collections().await?;
    with_shards.retain(|id| !existing.contains(id));
    Ok(with_shards)
}

/// Makes the files of a dropped collection garbage.
pub(super) async fn forget(
    txn: &mut dyn Txn,
    collection: CollectionId,
) -> Result<Vec<FileRef>, Fault> {
    if txn.get(Table::Collections, collection.0, At::Now).await?.is_some() {
        let text = format!("the manifest of collection {collection} is needed: it is not dropped");
        return Err(Fault::internal(text));
    }
    let manifest = of(txn, collection).await?;
    if manifest.is_empty() {
        return Ok(Vec::new());
    }
    let mut named: Vec<&FileRef> = Vec::new();
    for (state, segments) in &manifest {
        named.extend(segments.iter().flat_map(files).chain(&state.deltas));
    }
    let garbage = exchanged(txn, &named, &[]).await?;
    txn.garbage_add(&garbage).await?;
    txn.manifest_remove(collection).await?;
    Ok(garbage)
}

/// The ids of the collections that are creating, created or dropping.
async fn existing(txn: &mut dyn Txn) -> Result<HashSet<CollectionId>, Fault> {
    let rows = txn.list_all(Table::Collections).await?;
    Ok(rows.into_iter().map(|row| CollectionId(row.id)).collect())
}

/// Gives each shard its segments; both are in order.
fn together(
    shards: Vec<ShardState>,
    segments: Vec<Segment>,
) -> Result<Vec<(ShardState, Vec<Segment>)>, Fault> {
    let places: HashMap<VChannel, usize> =
        shards.iter().enumerate().map(|(at, state)| (state.vchannel, at)).collect();
    let mut all: Vec<_> = shards.into_iter().map(|state| (state, Vec::new())).collect();
    for segment in segments {
        match places.get(&segment.vchannel) {
            Some(at) => all[*at].1.push(segment),
            None => {
                let (id, shard) = (segment.id, named(segment.vchannel));
                let text = format!("segment {id} belongs to {shard}, which was never flushed");
                return Err(Fault::internal(text));
            }
        }
    }
    Ok(all)
}

/// What becomes garbage when the names `before` are exchanged for those `after`. A new name must
/// not be garbage, for whoever deletes that may be about to; and no name changes its content.
async fn exchanged(
    txn: &mut dyn Txn,
    before: &[&FileRef],
    after: &[&FileRef],
) -> Result<Vec<FileRef>, Fault> {
    let before: HashMap<&str, &FileRef> = before.iter().map(|file| (&*file.name, *file)).collect();
    let mut after_names = HashMap::new();
    let mut new = Vec::new();
    for &file in after {
        let first = *after_names.entry(&*file.name).or_insert(file);
        let old = before.get(&*file.name).copied();
        if first != file || old.is_some_and(|old| old != file) {
            let text = format!("the file {} is named with two contents", file.name);
            return Err(Fault::internal(text));
        }
        if old.is_none() {
            new.push(&*file.name);
        }
    }
    if let Some(name) = txn.garbage_find(&new).await?.first() {
        let text = format!("the file {name} is garbage, to be deleted, and cannot be named again");
        return Err(Fault::internal(text));
    }
    let mut garbage: Vec<FileRef> = before
        .into_values()
        .filter(|file| !after_names.contains_key(&*file.name))
        .cloned()
        .collect();
    garbage.sort();
    Ok(garbage)
}

fn files(segment: &Segment) -> impl Iterator<Item = &FileRef> {
    segment.files.iter().map(|(_, file)| file)
}

/// Whether a commit that carries the stored state was made as a whole.
fn is_made(added: &[Segment], removed: &[SegmentId], there: &HashMap<SegmentId, Segment>) -> bool {
    let has = |segment: &Segment| there.get(&segment.id).is_some_and(|it| is_same(segment, it));
    added.iter().all(has) && removed.iter().all(|id| !there.contains_key(id))
}

/// Whether a segment is the stored one, which may have got artefacts since.
fn is_same(segment: &Segment, stored: &Segment) -> bool {
    let bare = |segment: &Segment| Segment { files: Vec::new(), ..segment.clone() };
    bare(segment) == bare(stored) && segment.files.iter().all(|file| stored.files.contains(file))
}

/// Refuses a commit that contradicts itself, or that some back end could not keep.
fn check(commit: &FlushCommit, channels: u16) -> Result<(), Fault> {
    let FlushCommit { state, added, removed, checkpoint } = commit;
    check_segments(state.vchannel, added, removed)?;
    check_number("position", state.applied.seq)?;
    check_times(&[state.closed, state.since])?;
    for file in &state.deltas {
        check_number("length of a file", file.bytes)?;
    }
    if let Some((channel, to)) = checkpoint {
        rules::check_channel(*channel, channels)?;
        check_number("position", to.seq)?;
        check_times(&[to.closed])?;
    }
    Ok(())
}

/// Refuses segments that contradict each other or are not of the shard.
fn check_segments(
    vchannel: VChannel,
    added: &[Segment],
    removed: &[SegmentId],
) -> Result<(), Fault> {
    let mut ids = HashSet::new();
    if let Some(twice) = added.iter().map(|s| &s.id).chain(removed).find(|id| !ids.insert(*id)) {
        return Err(Fault::internal(format!("a flush names segment {twice} twice")));
    }
    for segment in added {
        if segment.vchannel != vchannel {
            let (id, shard) = (segment.id, named(vchannel));
            return Err(Fault::internal(format!("segment {id} is not one of {shard}")));
        }
        check_times(&[segment.min_ts, segment.max_ts])?;
        check_files(segment.id, &segment.files)?;
    }
    Ok(())
}

/// Refuses a flush of a shard that is not there.
async fn check_shard(txn: &mut dyn Txn, state: &ShardState) -> Result<(), Fault> {
    let id = state.vchannel.collection;
    let row = txn.get(Table::Collections, id.0, At::Now).await?;
    let row = row.ok_or_else(|| rules::collection_id_not_found(id))?;
    let body: CollectionBody = from_json("collection", row.id, &row.body)?;
    if body.channels.get(usize::from(state.vchannel.shard)) == Some(&state.channel) {
        return Ok(());
    }
    let text = format!("{} is not on channel {}", named(state.vchannel), state.channel);
    Err(Fault::internal(text))
}

/// Refuses two files of one kind.
fn check_files(id: SegmentId, files: &[(String, FileRef)]) -> Result<(), Fault> {
    for (at, (kind, file)) in files.iter().enumerate() {
        check_number("length of a file", file.bytes)?;
        if files[..at].iter().any(|(before, _)| before == kind) {
            let text = format!("segment {id} gets two files of the kind {kind}");
            return Err(Fault::internal(text));
        }
    }
    Ok(())
}

fn check_number(what: &str, number: u64) -> Result<(), Fault> {
    match number {
        0..=NUMBER_MAX => Ok(()),
        _ => Err(Fault::internal(format!("a {what} does not fit the catalog: {number}"))),
    }
}

fn check_times(times: &[Timestamp]) -> Result<(), Fault> {
    times.iter().try_for_each(|time| check_number("time", time.0))
}

/// A shard in the texts of faults.
fn named(shard: VChannel) -> String {
    format!("shard {} of collection {}", shard.shard, shard.collection)
}
