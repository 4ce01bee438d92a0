//! The best groups of rows, and the best rows of chosen groups, in bounded memory.
//!
//! A group's place in a result is that of its best row. [`BestGroups`] finds the k best groups with
//! the best row of each in one scan: that is the whole answer when one row a group is wanted.
//! [`GroupMembers`] finds the `group_size` best rows of each of these groups in a second scan.
//!
//! One scan cannot do both exactly in memory that does not grow with the number of groups: a row
//! that is far down may turn out to be the second best of a group whose best row comes last. For
//! the same reason, the groups of several shards are merged before members are looked for.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt;

use millstream_catalog::model::Metric;

use crate::topk::{Collect, Entry, Hit, Range, TopK, nearer};

/// Maps a row number to the number of its group; called for rows that may be hits only.
pub type GroupOf<'g> = &'g (dyn Fn(u32) -> u64 + Sync);

/// One row of a grouped result.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GroupHit {
    /// The group, as the caller numbers groups.
    pub group: u64,
    /// The row.
    pub hit: Hit,
}

/// Collects the `k` groups with the best rows, and the best row of each.
///
/// Memory grows with what is found, to 2k groups.
#[derive(Clone)]
pub struct BestGroups<'g> {
    k: usize,
    metric: Metric,
    near: f32,
    /// Rows farther than this cannot lift their group into the result.
    bound: f32,
    group_of: GroupOf<'g>,
    /// The best row of each group that may be among the k best.
    best: BTreeMap<u64, Entry>,
    full_at: usize,
}

impl<'g> BestGroups<'g> {
    /// A collector of at most `k` groups of rows whose scores lie in `range`.
    pub fn new(k: usize, metric: Metric, range: &Range, group_of: GroupOf<'g>) -> BestGroups<'g> {
        let full_at = k.saturating_add(k.max(16));
        let (near, bound) = range.distances(metric);
        BestGroups { k, metric, near, bound, group_of, best: BTreeMap::new(), full_at }
    }

    #[cold]
    #[inline(never)]
    fn accept(&mut self, group: u64, entry: Entry, tie: &dyn Fn(u32, u32) -> Ordering) {
        let best = self.best.entry(group).or_insert(entry);
        if nearer(&entry, best, tie).is_lt() {
            *best = entry;
        }
        if self.best.len() >= self.full_at {
            self.cut(tie);
        }
    }

    /// Keeps the k best groups, and tightens the bound to the k-th; returns them in no order.
    fn cut(&mut self, tie: &dyn Fn(u32, u32) -> Ordering) {
        if self.k == 0 {
            self.best.clear();
        } else if self.best.len() > self.k {
            let mut entries: Vec<Entry> = self.best.values().copied().collect();
            let order = |a: &Entry, b: &Entry| nearer(a, b, tie);
            let last = *entries.select_nth_unstable_by(self.k - 1, order).1;
            self.bound = last.distance;
            self.best.retain(|_, entry| nearer(entry, &last, tie).is_le());
        }
    }

    /// Takes over what `other` found among further rows of the same numbering.
    pub fn absorb(&mut self, other: BestGroups<'_>, tie: &dyn Fn(u32, u32) -> Ordering) {
        for (group, entry) in other.best {
            if entry.distance <= self.bound {
                self.accept(group, entry, tie);
            }
        }
    }

    /// The best row of each of the best `min(k, groups)` groups, best first.
    pub fn finish(mut self, tie: &dyn Fn(u32, u32) -> Ordering) -> Vec<GroupHit> {
        self.cut(tie);
        in_order(self.metric, self.best.into_iter().collect(), tie)
    }
}

impl Collect for BestGroups<'_> {
    #[inline(always)]
    fn bound(&self) -> f32 {
        self.bound
    }

    #[inline(always)]
    fn offer(&mut self, distance: f32, row: u32, tie: &dyn Fn(u32, u32) -> Ordering) {
        if distance <= self.bound && distance >= self.near {
            self.accept((self.group_of)(row), Entry { distance, row }, tie);
        }
    }
}

/// Collects the `group_size` best rows of each of the chosen groups.
///
/// Memory grows with what is found, to `2 * group_size + 16` rows a group.
#[derive(Clone)]
pub struct GroupMembers<'g> {
    metric: Metric,
    near: f32,
    /// The largest bound of any group.
    bound: f32,
    group_of: GroupOf<'g>,
    members: BTreeMap<u64, TopK>,
}

impl<'g> GroupMembers<'g> {
    /// A collector for the rows of `groups` whose scores lie in `range`.
    pub fn new(
        groups: impl IntoIterator<Item = u64>,
        group_size: usize,
        metric: Metric,
        range: &Range,
        group_of: GroupOf<'g>,
    ) -> GroupMembers<'g> {
        let (near, far) = range.distances(metric);
        let top = TopK::within(group_size, metric, range);
        let members: BTreeMap<u64, TopK> = groups.into_iter().map(|g| (g, top.clone())).collect();
        let bound = if members.is_empty() { f32::NEG_INFINITY } else { far };
        GroupMembers { metric, near, bound, group_of, members }
    }

    #[cold]
    #[inline(never)]
    fn accept(&mut self, entry: Entry, tie: &dyn Fn(u32, u32) -> Ordering) {
        let Some(top) = self.members.get_mut(&(self.group_of)(entry.row)) else { return };
        let before = top.bound();
        top.offer(entry.distance, entry.row, tie);
        // Only the group with the loosest bound can tighten the common one.
        if before == self.bound && top.bound() < before {
            self.bound =
                self.members.values().map(Collect::bound).fold(f32::NEG_INFINITY, f32::max);
        }
    }

    /// Takes over what `other` found among further rows of the same numbering and groups.
    pub fn absorb(&mut self, other: GroupMembers<'_>, tie: &dyn Fn(u32, u32) -> Ordering) {
        for (group, found) in other.members {
            if let Some(top) = self.members.get_mut(&group) {
                top.absorb(found, tie);
            }
        }
        self.bound = self.members.values().map(Collect::bound).fold(f32::NEG_INFINITY, f32::max);
    }

    /// The rows of all groups, best first; a group with fewer rows than `group_size` has them all.
    pub fn finish(self, tie: &dyn Fn(u32, u32) -> Ordering) -> Vec<GroupHit> {
        let rows = |(group, top): (u64, TopK)| {
            top.into_entries(tie).into_iter().map(move |entry| (group, entry)).collect::<Vec<_>>()
        };
        in_order(self.metric, self.members.into_iter().flat_map(rows).collect(), tie)
    }
}

impl Collect for GroupMembers<'_> {
    #[inline(always)]
    fn bound(&self) -> f32 {
        self.bound
    }

    #[inline(always)]
    fn offer(&mut self, distance: f32, row: u32, tie: &dyn Fn(u32, u32) -> Ordering) {
        if distance <= self.bound && distance >= self.near {
            self.accept(Entry { distance, row }, tie);
        }
    }
}

/// Rows of groups as hits, best first.
fn in_order(
    metric: Metric,
    mut rows: Vec<(u64, Entry)>,
    tie: &dyn Fn(u32, u32) -> Ordering,
) -> Vec<GroupHit> {
    rows.sort_unstable_by(|a, b| nearer(&a.1, &b.1, tie));
    rows.into_iter().map(|(group, entry)| GroupHit { group, hit: entry.hit(metric) }).collect()
}

impl fmt::Debug for BestGroups<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BestGroups").field("k", &self.k).field("best", &self.best).finish()
    }
}

impl fmt::Debug for GroupMembers<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GroupMembers").field("members", &self.members).finish()
    }
}
