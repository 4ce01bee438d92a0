//! What a shard promises, in small cases; the property tests are beside.

mod later;
mod model;
mod runs;
mod sealed;
mod support;
mod types;

use std::time::{Duration, Instant};

use millstream_catalog::model::{PartitionId, Timestamp};

use crate::{Batch, ColumnSlice, Key, Keys, Position, RowRef, Scope, ShardView, WriteError};
use support::{ALL, Columns, DIM, RANK, insert, note, writer};

fn tokens(view: &ShardView, at: u64, partitions: &[i64], newest_only: bool) -> Vec<i64> {
    let rows = support::rows(view, at, partitions, newest_only);
    rows.into_iter().map(|row| row.token).collect()
}

#[test]
fn a_batch_without_a_column_of_the_schema_is_refused_and_changes_nothing() {
    let mut shard = writer(false);
    let columns = Columns::new(false, &[1, 2], 0);
    let all = columns.inputs(ALL);
    shard.begin(Position { seq: 1, index: 0 });
    let batch = Batch { rows: 2, columns: &all[..3] };
    let refused = insert(&mut shard, 1, 5, &batch);
    assert_eq!(refused, Err(WriteError::Column(RANK)));
    let batch = Batch { rows: 3, columns: &all };
    assert!(insert(&mut shard, 1, 5, &batch).is_err());
    assert!(tokens(&shard.view(), 9, &[], false).is_empty());
}

#[test]
fn columns_come_back_as_they_were_written_across_chunks() {
    let mut shard = writer(true);
    let keys: Vec<i64> = (0..5_000).collect();
    for (i, part) in keys.chunks(777).enumerate() {
        let columns = Columns::new(true, part, part[0]);
        shard.begin(Position { seq: 1 + i as u64, index: 0 });
        let batch = Batch { rows: part.len(), columns: &columns.inputs(ALL) };
        insert(&mut shard, 1, 5 + i as u64, &batch).unwrap();
    }
    let selection = shard.view().select(Timestamp(100), &[]);
    assert!(selection.chunks.len() > 1);
    assert_eq!(selection.count(), 5_000);
    for number in [0u32, 63, 64, 1_700, 4_999] {
        assert_eq!(selection.key(number), Key::Text(format!("key{number}").as_bytes()));
        let (chunk, row) = selection.locate(number);
        let ColumnSlice::Vector { data, inv_norms } = chunk.column(0) else { panic!("vector") };
        assert_eq!(data[row * DIM..][..DIM], [number as f32, 1.0]);
        let expected = 1.0 / ((number as f32).powi(2) + 1.0).sqrt();
        assert!((inv_norms[row] - expected).abs() < 1e-6);
        let ColumnSlice::Var { offsets, .. } = chunk.column(3) else { panic!("text") };
        let length = note(i64::from(number)).map_or(0, |note| note.len() as u32);
        assert_eq!(offsets[row + 1] - offsets[row], length);
        let valid = chunk.validity(3).expect("some notes are null")[row];
        assert_eq!(valid == 1, note(i64::from(number)).is_some());
        assert_eq!(chunk.validity(2), None);
    }
    assert_eq!(selection.chunks[0].chunk.position(3), Position { seq: 1, index: 0 });
}

#[test]
fn a_snapshot_taken_while_rows_arrive_does_not_change() {
    let mut shard = writer(false);
    let view = shard.view();
    let columns = Columns::new(false, &[1, 2, 3], 0);
    shard.begin(Position { seq: 1, index: 0 });
    let batch = Batch { rows: 3, columns: &columns.inputs(ALL) };
    insert(&mut shard, 1, 5, &batch).unwrap();
    let before = view.select(Timestamp(5), &[]);
    shard.begin(Position { seq: 2, index: 0 });
    shard.delete(Scope::All, Timestamp(6), Keys::new(columns.keys(), 3), &mut Vec::new());
    shard.begin(Position { seq: 3, index: 0 });
    insert(&mut shard, 1, 7, &batch).unwrap();
    assert_eq!(before.count(), 3);
    assert_eq!(tokens(&view, 5, &[], false), [0, 1, 2]);
    assert_eq!(tokens(&view, 6, &[], false), [] as [i64; 0]);
    assert_eq!(tokens(&view, 7, &[], false), [0, 1, 2]);
}

#[test]
fn memory_of_a_dropped_partition_is_released_when_since_passes() {
    let mut shard = writer(false);
    let view = shard.view();
    let columns = Columns::new(false, &[1, 2, 3], 0);
    shard.begin(Position { seq: 1, index: 0 });
    let batch = Batch { rows: 3, columns: &columns.inputs(ALL) };
    insert(&mut shard, 1, 5, &batch).unwrap();
    shard.begin(Position { seq: 2, index: 0 });
    shard.partition_drop(PartitionId(1), Timestamp(8), &mut Vec::new());
    assert!(shard.release_dropped(Timestamp(7)).is_empty());
    assert_eq!(tokens(&view, 7, &[], false), [0, 1, 2]);
    assert!(tokens(&view, 8, &[], false).is_empty());
    assert_eq!(view.since(), Timestamp(0), "nothing is gone yet");
    assert_eq!(shard.release_dropped(Timestamp(8)), [0]);
    assert_eq!(view.since(), Timestamp(8), "earlier reads would miss rows");
    assert!(shard.release_dropped(Timestamp(9)).is_empty());
    assert!(tokens(&view, 7, &[], false).is_empty());
}

#[test]
fn many_rows_of_one_key_are_ended_at_once() {
    const ROWS: usize = 60_000;
    let mut shard = writer(false);
    let view = shard.view();
    let columns = Columns::new(false, &vec![7; ROWS], 0);
    shard.begin(Position { seq: 1, index: 0 });
    insert(&mut shard, 1, 5, &Batch { rows: ROWS, columns: &columns.inputs(ALL) }).unwrap();
    shard.begin(Position { seq: 2, index: 0 });
    let odd = (0..ROWS as u32).filter(|row| row % 2 == 1).map(|row| RowRef { slot: 0, row });
    let (mut changed, begun) = (Vec::new(), Instant::now());
    shard.delete_rows(Timestamp(6), odd, &mut changed);
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    assert_eq!(changed.iter().map(|c| c.rows).sum::<i64>(), -(ROWS as i64) / 2);
    assert_eq!(view.select(Timestamp(6), &[]).count(), ROWS as u64 / 2);
    shard.begin(Position { seq: 3, index: 0 });
    shard.delete(Scope::All, Timestamp(7), Keys::new(columns.keys(), 1), &mut Vec::new());
    assert_eq!(view.select(Timestamp(7), &[]).count(), 0, "the others are found by their key");
}
