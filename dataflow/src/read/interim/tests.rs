//! Growing rows through lists, against a scan of all of them.

use std::time::{Duration, Instant};

use millstream_catalog::model::{DataType, PartitionId, Timestamp};
use millstream_index::{Hit, TopK, scan};
use millstream_segment::{Batch, ColumnInput, ColumnSpec, Input, Selection, ShardWriter};

use super::*;

const KEY: FieldId = FieldId(100);
const VECTOR: FieldId = FieldId(101);
const DIM: usize = 64;
const K: usize = 10;

/// Values between -1 and 1 that follow from a number.
fn value(number: u64) -> f32 {
    let mixed = (number ^ 0x9E37_79B9).wrapping_mul(0xD6E8_FEB8_6659_FD93);
    let mixed = (mixed ^ mixed >> 32).wrapping_mul(0xD6E8_FEB8_6659_FD93);
    (mixed >> 40) as f32 / (1 << 23) as f32 - 1.0
}

/// A vector near one of fifty centres.
fn vector(row: u64) -> impl Iterator<Item = f32> {
    (0..DIM as u64).map(move |i| value((row % 50) << 32 | i) + 0.2 * value(row << 8 | i))
}

fn shard() -> ShardWriter {
    let key = ColumnSpec::new(KEY, DataType::Int64, 0);
    let specs = vec![key, ColumnSpec::new(VECTOR, DataType::FloatVector, DIM)];
    ShardWriter::new(specs, 0, |_, _, _, out| out.fill(1.0))
}

/// Appends rows with these numbers as keys, at a time.
fn append(shard: &mut ShardWriter, rows: std::ops::Range<u64>, at: u64) {
    let keys: Vec<u8> = rows.clone().flat_map(|row| row.cast_signed().to_le_bytes()).collect();
    let vectors: Vec<u8> = rows.clone().flat_map(vector).flat_map(f32::to_le_bytes).collect();
    let column = |bytes| ColumnInput::from(Input::Fixed(bytes));
    let columns = [(KEY, column(&keys)), (VECTOR, column(&vectors))];
    let batch = Batch { rows: (rows.end - rows.start) as usize, columns: &columns };
    shard.insert(PartitionId(1), Timestamp(at), &batch, &mut Vec::new()).unwrap();
}

fn queries() -> Queries {
    let values: Vec<f32> = (0..40).flat_map(|q| vector(1_000_000 + q)).collect();
    Queries::new(Metric::L2, DIM, &values).unwrap()
}

fn tie(a: u32, b: u32) -> std::cmp::Ordering {
    a.cmp(&b)
}

fn scan_into(queries: &Queries, chunks: &[&ChunkRef], tops: &mut [TopK]) {
    for chunk in chunks {
        let column = chunk.column(1);
        let (vectors, inv_norms) = vectors_of(&column).unwrap();
        let block = Block { vectors, inv_norms, mask: Some(&chunk.mask), first_row: chunk.base };
        scan(queries, &block, tops, &tie);
    }
}

fn finished(tops: Vec<TopK>) -> Vec<Vec<Hit>> {
    tops.into_iter().map(|top| top.finish(&tie)).collect()
}

fn exact(queries: &Queries, selection: &Selection) -> Vec<Vec<Hit>> {
    let mut tops = vec![TopK::new(K, Metric::L2); queries.nq()];
    scan_into(queries, &selection.chunks.iter().collect::<Vec<_>>(), &mut tops);
    finished(tops)
}

/// The hits, and how many rows were in lists.
fn found(queries: &Queries, selection: &Selection, interim: &Interim) -> (Vec<Vec<Hit>>, usize) {
    let ask = Ask { k: K, share: 0.125 };
    let field = Field { queries, column: 1, id: VECTOR, ask };
    let mut tops = vec![TopK::new(K, Metric::L2); queries.nq()];
    let mut chunks: Vec<&ChunkRef> = selection.chunks.iter().collect();
    let groups = field.divide(&mut chunks, interim);
    let (mut scratch, interest) = (Scratch::default(), Interest::default());
    for group in &groups {
        field.search(group, &mut tops, &mut scratch, (&tie, &interest));
    }
    scan_into(queries, &chunks, &mut tops);
    let listed = groups.iter().flat_map(|group| &group.chunks).map(|(chunk, _)| chunk.rows).sum();
    (finished(tops), listed)
}

/// Searches until at least so many rows are in lists.
fn found_in_lists(
    queries: &Queries,
    selection: &Selection,
    interim: &Interim,
    least: usize,
) -> Vec<Vec<Hit>> {
    let end = Instant::now() + Duration::from_secs(60);
    loop {
        let (found, listed) = found(queries, selection, interim);
        if listed >= least {
            return found;
        }
        assert!(Instant::now() < end, "{listed} rows are in lists, {least} are due");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn recall(exact: &[Vec<Hit>], found: &[Vec<Hit>]) -> f64 {
    let kept = |(exact, found): (&Vec<Hit>, &Vec<Hit>)| {
        found.iter().filter(|hit| exact.contains(hit)).count()
    };
    let kept: usize = exact.iter().zip(found).map(kept).sum();
    kept as f64 / exact.iter().map(Vec::len).sum::<usize>() as f64
}

#[test]
fn large_chunks_are_searched_through_lists_once_somebody_searched() {
    let (mut shard, interim, queries) = (shard(), Interim::start().unwrap(), queries());
    append(&mut shard, 0..60_000, 1);
    let selection = shard.view().select(Timestamp(1), &[]);
    let at_once = found(&queries, &selection, &interim);
    assert_eq!(at_once, (exact(&queries, &selection), 0), "a scan of all rows");
    let hits = found_in_lists(&queries, &selection, &interim, 30_000);
    assert!(recall(&exact(&queries, &selection), &hits) > 0.95);

    // What comes later is found, and is in the lists of the same anchor when its chunk is full.
    append(&mut shard, 60_000..140_000, 2);
    let later = shard.view().select(Timestamp(2), &[]);
    let hits = found_in_lists(&queries, &later, &interim, 110_000);
    assert!(recall(&exact(&queries, &later), &hits) > 0.95);
    // The past is what it was, and a chunk of which it sees a part is scanned.
    let past = shard.view().select(Timestamp(1), &[]);
    let (hits, listed) = found(&queries, &past, &interim);
    assert!(listed <= 60_000 && recall(&exact(&queries, &past), &hits) > 0.95);
    interim.stop();
}

#[test]
fn rows_that_are_not_selected_are_no_hits_and_few_selected_rows_are_scanned() {
    let (mut shard, interim, queries) = (shard(), Interim::start().unwrap(), queries());
    append(&mut shard, 0..60_000, 1);
    let mut selection = shard.view().select(Timestamp(1), &[]);
    found_in_lists(&queries, &selection, &interim, 30_000);
    for (pattern, in_lists) in [(0x7777_7777_7777_7777, true), (0x0101_0101_0101_0101, false)] {
        for chunk in &mut selection.chunks {
            chunk.mask.iter_mut().for_each(|word| *word &= pattern);
        }
        let exact = exact(&queries, &selection);
        let (found, listed) = found(&queries, &selection, &interim);
        assert_eq!(listed > 0, in_lists);
        assert!(recall(&exact, &found) > if in_lists { 0.95 } else { 0.9999 });
        for hit in found.iter().flatten() {
            let (chunk, row) = selection.locate(hit.row);
            assert_eq!(chunk.mask[row / 64] >> (row % 64) & 1, 1);
        }
    }
    interim.stop();
}
