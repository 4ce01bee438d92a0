//! The statements of the segment manifest.

use async_trait::async_trait;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::link::{Arg, fault};
use super::txn::{CHUNK, SqlTxn, marks};
use super::{from_sql, ts};
use crate::catalog::Checkpoint;
use crate::model::{
    ChannelId, CollectionId, Fault, FileRef, LogPosition, PartitionId, Segment, SegmentId,
    ShardState, VChannel,
};
use crate::store::ManifestTxn;

/// The columns of a shard, as [`ShardRecord`] reads them.
const SHARD: &str = "collection, shard, channel, applied_seq, applied_index, closed, since, slots, \
                     deltas, expiry, truncated";
/// [`SHARD`] as they come.
type ShardRecord = (i64, i64, i64, i64, i64, i64, i64, String, String, String, i64);
/// The columns of a segment, as [`SegmentRecord`] reads them.
const SEGMENT: &str = "id, collection, shard, partition_id, slot, first_row, row_count, min_ts, \
                       max_ts, files";
/// [`SEGMENT`] as they come.
type SegmentRecord = (i64, i64, i64, i64, i64, i64, i64, i64, i64, String);

/// The statement that moves a checkpoint forward, with [`checkpoint_args`].
pub(super) const CHECKPOINT_FORWARD: &str = "INSERT INTO checkpoints (channel, seq, closed) \
     VALUES ($1, $2, $3) ON CONFLICT (channel) DO UPDATE SET seq = excluded.seq, \
     closed = excluded.closed WHERE excluded.seq > checkpoints.seq";

/// The arguments of [`CHECKPOINT_FORWARD`].
pub(super) fn checkpoint_args(
    channel: ChannelId,
    to: Checkpoint,
) -> Result<[Arg<'static>; 3], Fault> {
    let large = |_| Fault::internal("a sequence does not fit the catalog");
    let seq = i64::try_from(to.seq).map_err(large)?;
    Ok([Arg::Int(i64::from(channel.0)), Arg::Int(seq), Arg::Int(ts(to.closed)?)])
}

fn to_json(list: &(impl Serialize + ?Sized)) -> Result<String, Fault> {
    serde_json::to_string(list).map_err(|e| Fault::internal(format!("cannot encode: {e}")))
}

/// A list that SQL kept; what cannot be read is named, never guessed.
fn from_json<T: DeserializeOwned>(json: &str, what: impl Fn() -> String) -> Result<T, Fault> {
    let broken = |e| format!("the {} cannot be read from the catalog: {e}", what());
    serde_json::from_str(json).map_err(|e| Fault::internal(broken(e)))
}

/// A number that SQL kept.
fn small<T: TryFrom<i64>>(number: i64) -> Result<T, Fault> {
    let broken = || Fault::internal(format!("the catalog's manifest holds a wrong {number}"));
    T::try_from(number).map_err(|_| broken())
}

/// A number for SQL.
fn large(number: u64) -> Result<i64, Fault> {
    let broken = |_| Fault::internal(format!("{number} does not fit the catalog"));
    i64::try_from(number).map_err(broken)
}

fn to_shard(record: ShardRecord) -> Result<ShardState, Fault> {
    let (collection, shard, channel, seq, index, closed, since, slots, deltas, expiry, truncated) =
        record;
    let of = |list: &str| format!("{list} of shard {shard} of collection {collection}");
    Ok(ShardState {
        vchannel: VChannel { collection: CollectionId(collection), shard: small(shard)? },
        channel: ChannelId(small(channel)?),
        applied: LogPosition { seq: small(seq)?, index: small(index)? },
        closed: from_sql(closed)?,
        since: from_sql(since)?,
        slots: from_json(&slots, || of("slots"))?,
        deltas: from_json(&deltas, || of("deltas"))?,
        expiry: from_json(&expiry, || of("times to live"))?,
        truncated,
    })
}

fn to_segment(record: SegmentRecord) -> Result<Segment, Fault> {
    let (id, collection, shard, partition, slot, first_row, rows, min_ts, max_ts, files) = record;
    Ok(Segment {
        id: SegmentId(id),
        vchannel: VChannel { collection: CollectionId(collection), shard: small(shard)? },
        partition: PartitionId(partition),
        slot: small(slot)?,
        first_row: small(first_row)?,
        rows: small(rows)?,
        files: from_json(&files, || format!("files of segment {id}"))?,
        min_ts: from_sql(min_ts)?,
        max_ts: from_sql(max_ts)?,
    })
}

/// The condition on the collection, and its argument.
fn owned(of: Option<CollectionId>) -> (&'static str, Vec<Arg<'static>>) {
    match of {
        Some(id) => (" WHERE collection = $1", vec![Arg::Int(id.0)]),
        None => ("", Vec::new()),
    }
}

impl SqlTxn {
    async fn shards(&mut self, sql: String, args: &[Arg<'_>]) -> Result<Vec<ShardState>, Fault> {
        let records: Vec<ShardRecord> = self.open.query(sql, args).await.map_err(fault)?;
        records.into_iter().map(to_shard).collect()
    }

    async fn segments(&mut self, sql: String, args: &[Arg<'_>]) -> Result<Vec<Segment>, Fault> {
        let records: Vec<SegmentRecord> = self.open.query(sql, args).await.map_err(fault)?;
        records.into_iter().map(to_segment).collect()
    }
}

#[async_trait]
impl ManifestTxn for SqlTxn {
    async fn shard_get(&mut self, shard: VChannel) -> Result<Option<ShardState>, Fault> {
        let sql = format!("SELECT {SHARD} FROM shards WHERE collection = $1 AND shard = $2");
        let args = [Arg::Int(shard.collection.0), Arg::Int(i64::from(shard.shard))];
        Ok(self.shards(sql, &args).await?.pop())
    }

    async fn shard_list(&mut self, of: Option<CollectionId>) -> Result<Vec<ShardState>, Fault> {
        let (owned, args) = owned(of);
        let sql = format!("SELECT {SHARD} FROM shards{owned} ORDER BY collection, shard");
        self.shards(sql, &args).await
    }

    async fn shard_collections(&mut self) -> Result<Vec<CollectionId>, Fault> {
        let sql = "SELECT DISTINCT collection FROM shards ORDER BY collection".to_owned();
        let rows: Vec<(i64,)> = self.open.query(sql, &[]).await.map_err(fault)?;
        Ok(rows.into_iter().map(|row| CollectionId(row.0)).collect())
    }

    async fn shard_put(&mut self, state: &ShardState) -> Result<(), Fault> {
        let sql = format!(
            "INSERT INTO shards ({SHARD}) VALUES ({}) ON CONFLICT (collection, shard) \
             DO UPDATE SET channel = excluded.channel, applied_seq = excluded.applied_seq, \
             applied_index = excluded.applied_index, closed = excluded.closed, \
             since = excluded.since, slots = excluded.slots, deltas = excluded.deltas, \
             expiry = excluded.expiry, truncated = excluded.truncated",
            marks(0, 11)
        );
        let (slots, deltas) = (to_json(&state.slots)?, to_json(&state.deltas)?);
        let expiry = to_json(&state.expiry)?;
        let args = [
            Arg::Int(state.vchannel.collection.0),
            Arg::Int(i64::from(state.vchannel.shard)),
            Arg::Int(i64::from(state.channel.0)),
            Arg::Int(large(state.applied.seq)?),
            Arg::Int(i64::from(state.applied.index)),
            Arg::Int(ts(state.closed)?),
            Arg::Int(ts(state.since)?),
            Arg::Text(&slots),
            Arg::Text(&deltas),
            Arg::Text(&expiry),
            Arg::Int(state.truncated),
        ];
        self.change(sql, &args).await.map(|_| ())
    }

    async fn segment_get(&mut self, ids: &[SegmentId]) -> Result<Vec<Segment>, Fault> {
        let mut found = Vec::new();
        for ids in ids.chunks(CHUNK) {
            let marks = marks(0, ids.len());
            let sql = format!("SELECT {SEGMENT} FROM segments WHERE id IN ({marks})");
            let args: Vec<_> = ids.iter().map(|id| Arg::Int(id.0)).collect();
            found.extend(self.segments(sql, &args).await?);
        }
        found.sort_by_key(|segment| segment.id);
        Ok(found)
    }

    async fn segment_list(&mut self, of: Option<CollectionId>) -> Result<Vec<Segment>, Fault> {
        let (owned, args) = owned(of);
        let sql = format!("SELECT {SEGMENT} FROM segments{owned} ORDER BY id");
        self.segments(sql, &args).await
    }

    async fn segment_add(&mut self, segments: &[Segment]) -> Result<(), Fault> {
        for segments in segments.chunks(CHUNK) {
            let lists = segments.iter().map(|s| to_json(&s.files));
            let lists: Vec<String> = lists.collect::<Result<_, _>>()?;
            let mut values = Vec::with_capacity(segments.len());
            let mut args = Vec::with_capacity(segments.len() * 10);
            for (segment, files) in segments.iter().zip(&lists) {
                values.push(format!("({})", marks(args.len(), 10)));
                args.extend([
                    Arg::Int(segment.id.0),
                    Arg::Int(segment.vchannel.collection.0),
                    Arg::Int(i64::from(segment.vchannel.shard)),
                    Arg::Int(segment.partition.0),
                    Arg::Int(i64::from(segment.slot)),
                    Arg::Int(i64::from(segment.first_row)),
                    Arg::Int(i64::from(segment.rows)),
                    Arg::Int(ts(segment.min_ts)?),
                    Arg::Int(ts(segment.max_ts)?),
                    Arg::Text(files),
                ]);
            }
            let sql = format!("INSERT INTO segments ({SEGMENT}) VALUES {}", values.join(", "));
            self.change(sql, &args).await?;
        }
        Ok(())
    }

    async fn segment_files_put(
        &mut self,
        id: SegmentId,
        files: &[(String, FileRef)],
    ) -> Result<(), Fault> {
        let sql = "UPDATE segments SET files = $1 WHERE id = $2".to_owned();
        self.change(sql, &[Arg::Text(&to_json(files)?), Arg::Int(id.0)]).await.map(|_| ())
    }

    async fn segment_remove(&mut self, ids: &[SegmentId]) -> Result<(), Fault> {
        for ids in ids.chunks(CHUNK) {
            let sql = format!("DELETE FROM segments WHERE id IN ({})", marks(0, ids.len()));
            let args: Vec<_> = ids.iter().map(|id| Arg::Int(id.0)).collect();
            self.change(sql, &args).await?;
        }
        Ok(())
    }

    async fn manifest_remove(&mut self, of: CollectionId) -> Result<(), Fault> {
        for table in ["shards", "segments"] {
            let sql = format!("DELETE FROM {table} WHERE collection = $1");
            self.change(sql, &[Arg::Int(of.0)]).await?;
        }
        Ok(())
    }

    async fn garbage_find(&mut self, names: &[&str]) -> Result<Vec<String>, Fault> {
        let mut found: Vec<String> = Vec::new();
        for names in names.chunks(CHUNK) {
            let marks = marks(0, names.len());
            let sql = format!("SELECT name FROM garbage WHERE name IN ({marks})");
            let args: Vec<_> = names.iter().map(|name| Arg::Text(name)).collect();
            let rows: Vec<(String,)> = self.open.query(sql, &args).await.map_err(fault)?;
            found.extend(rows.into_iter().map(|row| row.0));
        }
        Ok(found)
    }

    async fn garbage_list(&mut self) -> Result<Vec<FileRef>, Fault> {
        let sql = "SELECT name, bytes, crc32c FROM garbage".to_owned();
        let rows: Vec<(String, i64, i64)> = self.open.query(sql, &[]).await.map_err(fault)?;
        let file = |(name, bytes, crc32c)| {
            Ok(FileRef { name, bytes: small(bytes)?, crc32c: small(crc32c)? })
        };
        let mut files: Vec<FileRef> = rows.into_iter().map(file).collect::<Result<_, Fault>>()?;
        // Here, since Postgres may order texts by a language.
        files.sort();
        Ok(files)
    }

    async fn garbage_add(&mut self, files: &[FileRef]) -> Result<(), Fault> {
        for files in files.chunks(CHUNK) {
            let mut values = Vec::with_capacity(files.len());
            let mut args = Vec::with_capacity(files.len() * 3);
            for file in files {
                values.push(format!("({})", marks(args.len(), 3)));
                let (bytes, crc32c) = (large(file.bytes)?, i64::from(file.crc32c));
                args.extend([Arg::Text(&file.name), Arg::Int(bytes), Arg::Int(crc32c)]);
            }
            let sql = format!(
                "INSERT INTO garbage (name, bytes, crc32c) VALUES {} \
                 ON CONFLICT (name) DO NOTHING",
                values.join(", ")
            );
            self.change(sql, &args).await?;
        }
        Ok(())
    }

    async fn garbage_remove(&mut self, names: &[String]) -> Result<(), Fault> {
        for names in names.chunks(CHUNK) {
            let sql = format!("DELETE FROM garbage WHERE name IN ({})", marks(0, names.len()));
            let args: Vec<_> = names.iter().map(|name| Arg::Text(name)).collect();
            self.change(sql, &args).await?;
        }
        Ok(())
    }

    async fn checkpoint_forward(
        &mut self,
        channel: ChannelId,
        to: Checkpoint,
    ) -> Result<(), Fault> {
        let args = checkpoint_args(channel, to)?;
        self.change(CHECKPOINT_FORWARD.to_owned(), &args).await.map(|_| ())
    }

    async fn commit_quietly(self: Box<Self>) -> Result<(), Fault> {
        self.finish(Box::new(|| ())).await
    }
}
