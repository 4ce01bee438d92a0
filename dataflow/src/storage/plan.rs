//! What is worth compacting: segments by their sizes, and by the rows of them that are dead.

use std::collections::BTreeMap;
use std::sync::Arc;

use hashbrown::HashMap;
use millstream_catalog::model::{Segment, SegmentId, ShardState, Timestamp};
use millstream_segment::End;

use super::load::ROWS;

/// No segment is made larger than about this by merging.
const MERGED_BYTES_MAX: u64 = 512 << 20;
/// A segment of fewer bytes is small: it is merged with its small neighbours.
const SMALL_BYTES: u64 = MERGED_BYTES_MAX / 2;
/// So many small neighbours are worth merging when nobody asked, and so many are merged at once.
const INPUTS_MIN: usize = 4;
const INPUTS_MAX: usize = 32;
/// A segment is worth writing anew when nobody asked if so many of a hundred of its rows are dead.
const DEAD_PERCENT_MIN: u64 = 20;

/// Ends are counted by times of so many milliseconds, as a power of two.
const BUCKET_BITS: u32 = 7;

/// How many rows of each segment ended, by when: what the ends that are written out say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Dead(BTreeMap<(SegmentId, u64), u32>);

/// The segment that holds a row, of segments in the order of their slots and rows.
fn holder(segments: &[Arc<Segment>], end: &End) -> Option<SegmentId> {
    let (slot, row) = (end.row.slot, end.row.row);
    let after = segments.partition_point(|s| (s.slot, s.first_row) <= (slot, row));
    let segment = segments.get(after.checked_sub(1)?)?;
    (segment.slot == slot).then_some(segment.id)
}

impl Dead {
    /// Counts ends of rows of these segments, which are in the order of their slots and rows.
    pub(super) fn count(&mut self, segments: &[Arc<Segment>], ends: &[End]) {
        for end in ends {
            if let Some(segment) = holder(segments, end) {
                // No end is counted as older than it is.
                let bucket = (end.eff.physical_ms() >> BUCKET_BITS) + 1;
                *self.0.entry((segment, bucket)).or_default() += 1;
            }
        }
    }

    /// How many rows of each segment ended at or before `since`. What did is counted as one from
    /// now on.
    pub(super) fn by(&mut self, since: Timestamp) -> HashMap<SegmentId, u64> {
        let bucket = since.physical_ms() >> BUCKET_BITS;
        let mut sums: HashMap<SegmentId, u64> = HashMap::new();
        let old: Vec<_> = self.0.extract_if(.., |(_, at), _| *at <= bucket).collect();
        for ((segment, _), rows) in old {
            *sums.entry(segment).or_default() += u64::from(rows);
            *self.0.entry((segment, 0)).or_default() += rows;
        }
        sums
    }

    /// Whether no row of any segment ended.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Segments that become one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Plan {
    /// Neighbours of one slot, in order.
    pub(super) inputs: Vec<SegmentId>,
    /// Rows of them that are dead.
    pub(super) dead: u64,
}

/// A segment as the plans see it.
struct Candidate {
    id: SegmentId,
    rows: u64,
    dead: u64,
    /// Bytes of the rows that stay.
    bytes: u64,
}

/// What is worth compacting in a shard whose `segments` are in the order of their slots and rows.
/// Dead are the rows that ended, as they are counted, and those that came by `expired`. When somebody
/// asked, that is everything that makes fewer segments or fewer dead rows.
pub(super) fn plans(
    state: &ShardState,
    segments: &[Arc<Segment>],
    (dead, expired): (&HashMap<SegmentId, u64>, Timestamp),
    asked: bool,
) -> Vec<Plan> {
    let mut plans = Vec::new();
    for of_slot in segments.chunk_by(|a, b| a.slot == b.slot) {
        let slot = state.slots.get(of_slot[0].slot as usize);
        if slot.is_none_or(|slot| slot.dropped_at.is_some()) {
            continue;
        }
        let candidate = |s: &Arc<Segment>| candidate(s, dead, expired);
        let candidates: Vec<Candidate> = of_slot.iter().map(candidate).collect();
        let small = |c: &Candidate| c.bytes < SMALL_BYTES;
        for neighbours in candidates.chunk_by(|a, b| small(a) && small(b)) {
            if small(&neighbours[0]) {
                merges(neighbours, asked, &mut plans);
            } else {
                plans.extend(neighbours.iter().filter(|c| is_due(c, asked)).map(alone));
            }
        }
    }
    plans
}

/// About how many rows of a segment came by `expired`: as if they came evenly.
fn expired_rows(segment: &Segment, rows: u64, expired: Timestamp) -> u64 {
    if expired < segment.min_ts || expired == Timestamp::MIN {
        return 0;
    }
    if segment.max_ts <= expired {
        return rows;
    }
    let part = u128::from(expired.0 - segment.min_ts.0) * u128::from(rows);
    let whole = u128::from(segment.max_ts.0.saturating_sub(segment.min_ts.0)).max(1);
    u64::try_from(part / whole).unwrap_or(rows).max(1)
}

fn candidate(segment: &Segment, dead: &HashMap<SegmentId, u64>, expired: Timestamp) -> Candidate {
    let rows = u64::from(segment.rows).max(1);
    let expired = expired_rows(segment, rows, expired);
    let dead = dead.get(&segment.id).copied().unwrap_or(0).saturating_add(expired).min(rows);
    let bytes = segment.file(ROWS).map_or(0, |file| file.bytes);
    let stays = u128::from(bytes) * u128::from(rows - dead) / u128::from(rows);
    Candidate { id: segment.id, rows, dead, bytes: u64::try_from(stays).unwrap_or(bytes) }
}

/// Whether a segment alone is worth writing anew.
fn is_due(candidate: &Candidate, asked: bool) -> bool {
    let share = candidate.dead * 100 >= candidate.rows * DEAD_PERCENT_MIN;
    candidate.dead > 0 && (asked || share)
}

fn alone(candidate: &Candidate) -> Plan {
    Plan { inputs: vec![candidate.id], dead: candidate.dead }
}

/// Divides small neighbours into those that become one, newest first.
fn merges(neighbours: &[Candidate], asked: bool, plans: &mut Vec<Plan>) {
    let mut end = neighbours.len();
    while end > 0 {
        let from = end.saturating_sub(INPUTS_MAX);
        let fitting = (from..end).find(|from| {
            let group = &neighbours[*from..end];
            let bytes: u64 = group.iter().map(|c| c.bytes).sum();
            let largest = group.iter().map(|c| c.bytes).max().unwrap_or(0);
            // Unasked, every row doubles its company at least, so it is not written again and again.
            let pays = asked || (group.len() >= INPUTS_MIN && largest * 2 <= bytes);
            group.len() > 1 && bytes <= MERGED_BYTES_MAX && pays
        });
        match fitting {
            Some(from) => {
                let group = &neighbours[from..end];
                let inputs = group.iter().map(|c| c.id).collect();
                plans.push(Plan { inputs, dead: group.iter().map(|c| c.dead).sum() });
                end = from;
            }
            None => {
                end -= 1;
                let last = &neighbours[end];
                plans.extend(is_due(last, asked).then(|| alone(last)));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use millstream_catalog::model::{
        ChannelId, CollectionId, FileRef, LogPosition, PartitionId, SlotState, VChannel,
    };
    use millstream_segment::{Position, RowRef};

    use super::*;

    const V: VChannel = VChannel { collection: CollectionId(1), shard: 0 };

    fn state(slots: usize) -> ShardState {
        let slot = |at| SlotState { partition: PartitionId(at), rows: 1_000, dropped_at: None };
        ShardState {
            vchannel: V,
            channel: ChannelId(0),
            applied: LogPosition::default(),
            closed: Timestamp::MIN,
            since: Timestamp::MIN,
            slots: (0..slots as i64).map(slot).collect(),
            deltas: Vec::new(),
            expiry: Vec::new(),
            truncated: 0,
        }
    }

    /// Segments of 100 rows each in slot 0, numbered from 1, of so many MiB.
    fn segments(sizes: &[u64]) -> Vec<Arc<Segment>> {
        let segment = |(at, mib): (u32, &u64)| {
            let file = FileRef { name: format!("{at}"), bytes: mib << 20, crc32c: 0 };
            Arc::new(Segment {
                id: SegmentId(i64::from(at) + 1),
                vchannel: V,
                partition: PartitionId(0),
                slot: 0,
                first_row: at * 100,
                rows: 100,
                files: vec![(ROWS.to_owned(), file)],
                min_ts: Timestamp::MIN,
                max_ts: Timestamp::MIN,
            })
        };
        (0u32..).zip(sizes).map(segment).collect()
    }

    fn planned(sizes: &[u64], dead: &[(i64, u64)], asked: bool) -> Vec<Vec<i64>> {
        let dead = dead.iter().map(|(id, rows)| (SegmentId(*id), *rows)).collect();
        let plans = plans(&state(1), &segments(sizes), (&dead, Timestamp::MIN), asked);
        plans.iter().map(|p| p.inputs.iter().map(|id| id.0).collect()).collect()
    }

    #[test]
    fn small_neighbours_become_one_when_there_are_enough_of_about_one_size() {
        assert_eq!(planned(&[1, 1, 1], &[], false), Vec::<Vec<i64>>::new());
        assert_eq!(planned(&[1, 1, 1, 1], &[], false), [[1, 2, 3, 4]]);
        // One that is as large as all others together is left alone until they are more.
        assert_eq!(planned(&[40, 1, 1, 1], &[], false), Vec::<Vec<i64>>::new());
        assert_eq!(planned(&[4, 1, 1, 1, 1], &[], false), [[1, 2, 3, 4, 5]]);
        assert_eq!(planned(&[40, 1, 1, 1, 1], &[], false), [[2, 3, 4, 5]]);
        // One that is not small divides its neighbours, which stay in order.
        assert_eq!(planned(&[1, 1, 300, 1, 1], &[], false), Vec::<Vec<i64>>::new());
        assert_eq!(planned(&[1, 1, 300, 1, 1], &[], true), [[1, 2], [4, 5]]);
        assert_eq!(planned(&[200, 200, 200], &[], true), [[2, 3]]);
        let many: Vec<u64> = vec![1; 40];
        let lengths: Vec<usize> = planned(&many, &[], false).iter().map(Vec::len).collect();
        assert_eq!(lengths, [32, 8]);
    }

    #[test]
    fn a_segment_of_many_dead_rows_is_written_anew() {
        assert_eq!(planned(&[400], &[(1, 19)], false), Vec::<Vec<i64>>::new());
        assert_eq!(planned(&[400], &[(1, 20)], false), [[1]]);
        assert_eq!(planned(&[1], &[(1, 20)], false), [[1]]);
        assert_eq!(planned(&[400], &[(1, 1)], true), [[1]]);
        assert_eq!(planned(&[400], &[], true), Vec::<Vec<i64>>::new());
        // What stays of it counts.
        assert_eq!(planned(&[400, 1], &[(1, 80)], true), [[1, 2]]);
    }

    #[test]
    fn segments_of_dropped_partitions_are_left_alone() {
        let mut state = state(1);
        state.slots[0].dropped_at = Some(Timestamp(5));
        let dead = (&HashMap::new(), Timestamp::MIN);
        assert_eq!(plans(&state, &segments(&[1, 1, 1, 1]), dead, true), []);
    }

    #[test]
    fn rows_that_expired_are_dead_too() {
        let mut segments = segments(&[400]);
        let segment = Arc::make_mut(&mut segments[0]);
        (segment.min_ts, segment.max_ts) = (Timestamp(1_000), Timestamp(2_000));
        let dead_at = |at: u64, asked: bool| {
            let dead = [(SegmentId(1), 10)].into_iter().collect();
            let plans = plans(&state(1), &segments, (&dead, Timestamp(at)), asked);
            plans.first().map(|plan| plan.dead)
        };
        assert_eq!(dead_at(999, true), Some(10));
        assert_eq!(dead_at(1_000, true), Some(11));
        assert_eq!(dead_at(1_099, false), None);
        assert_eq!(dead_at(1_100, false), Some(20));
        assert_eq!(dead_at(1_500, false), Some(60));
        assert_eq!(dead_at(2_000, false), Some(100));
        assert_eq!(dead_at(9_000, false), Some(100));
    }

    #[test]
    fn rows_count_as_dead_once_all_that_ended_with_them_did() {
        let segments = segments(&[1, 1]);
        let end = |ms, row| End {
            eff: Timestamp::from_ms(ms),
            position: Position::default(),
            row: RowRef { slot: 0, row },
        };
        let mut dead = Dead::default();
        dead.count(&segments, &[end(1_000, 5), end(1_001, 150), end(9_000, 199)]);
        dead.count(&segments, &[End { row: RowRef { slot: 3, row: 5 }, ..end(1_000, 5) }]);
        assert!(dead.by(Timestamp::from_ms(900)).is_empty());
        let by = dead.by(Timestamp::from_ms(1_200));
        assert_eq!((by.get(&SegmentId(1)), by.get(&SegmentId(2))), (Some(&1), Some(&1)));
        for _ in 0..2 {
            let by = dead.by(Timestamp::from_ms(9_200));
            assert_eq!((by.get(&SegmentId(1)), by.get(&SegmentId(2))), (Some(&1), Some(&2)));
        }
        assert_eq!(dead.0.len(), 2);
    }
}
