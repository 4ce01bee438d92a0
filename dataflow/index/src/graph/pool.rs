//! The rows a walk has met: the nearest ones in order, and a set of all of them.

/// A node, its distance, whether it may be a hit, and whether the walk has been there.
///
/// Packed so that the order of the numbers is that of the distances, then of the nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Entry(u64);

impl Entry {
    const DONE: u64 = 1;
    const HIT: u64 = 2;

    pub(crate) fn new(distance: f32, node: u32, hit: bool) -> Entry {
        // Flips negative numbers as a whole and positive ones at the sign, so that the order of
        // floats becomes that of whole numbers; any bits have their place in it.
        let bits = distance.to_bits();
        let flip = ((bits.cast_signed() >> 31).cast_unsigned()) | 0x8000_0000;
        let hit = if hit { Entry::HIT } else { 0 };
        Entry(u64::from(bits ^ flip) << 32 | u64::from(node) << 2 | hit)
    }

    /// The entry of a node that needs no visit.
    pub(crate) fn done(self) -> Entry {
        Entry(self.0 | Entry::DONE)
    }

    pub(crate) fn node(self) -> u32 {
        (self.0 as u32) >> 2
    }

    pub(crate) fn is_hit(self) -> bool {
        self.0 & Entry::HIT != 0
    }

    fn is_done(self) -> bool {
        self.0 & Entry::DONE != 0
    }

    pub(crate) fn distance(self) -> f32 {
        let bits = (self.0 >> 32) as u32;
        let flip = if bits & 0x8000_0000 == 0 { u32::MAX } else { 0x8000_0000 };
        f32::from_bits(bits ^ flip)
    }
}

/// The nearest rows met so far, in order: up to the `ef`-th that may be a hit.
#[derive(Debug, Clone, Default)]
pub(crate) struct Pool {
    entries: Vec<Entry>,
    ef: usize,
    hits: usize,
    /// No entry before this one is left to visit.
    next: usize,
}

impl Pool {
    /// Empties the pool for a walk that ends with `ef` hits.
    pub(crate) fn reset(&mut self, ef: usize) {
        self.entries.clear();
        (self.ef, self.hits, self.next) = (ef.max(1), 0, 0);
    }

    /// The rows, nearest first.
    pub(crate) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Rows that may be hits.
    pub(crate) fn hits(&self) -> usize {
        self.hits
    }

    /// Whether there are `ef` hits.
    pub(crate) fn is_full(&self) -> bool {
        self.hits >= self.ef
    }

    /// Takes in a row; says whether it is near enough to matter.
    #[inline(always)]
    pub(crate) fn offer(&mut self, entry: Entry) -> bool {
        if self.is_full() && self.entries.last().is_some_and(|last| entry >= *last) {
            return false;
        }
        self.insert(entry);
        true
    }

    fn insert(&mut self, entry: Entry) {
        let at = self.entries.partition_point(|other| *other < entry);
        self.entries.insert(at, entry);
        if !entry.is_done() {
            self.next = self.next.min(at);
        }
        if entry.is_hit() {
            self.hits += 1;
        }
        if self.hits >= self.ef {
            self.cut();
        }
    }

    /// Drops what lies behind the `ef`-th hit.
    fn cut(&mut self) {
        while let Some(last) = self.entries.last() {
            if last.is_hit() {
                if self.hits <= self.ef {
                    break;
                }
                self.hits -= 1;
            }
            self.entries.pop();
        }
    }

    /// The nearest node that was not visited; from now on it was.
    pub(crate) fn visit(&mut self) -> Option<u32> {
        while let Some(entry) = self.entries.get_mut(self.next) {
            self.next += 1;
            if !entry.is_done() {
                *entry = entry.done();
                return Some(entry.node());
            }
        }
        None
    }
}

/// A set of nodes.
#[derive(Debug, Clone, Default)]
pub(crate) struct Visited {
    words: Vec<u64>,
}

impl Visited {
    /// Empties the set, for nodes below `nodes`.
    pub(crate) fn reset(&mut self, nodes: usize) {
        self.words.clear();
        self.words.resize(nodes.div_ceil(64), 0);
    }

    /// Puts a node in; says whether it was not there.
    #[inline(always)]
    pub(crate) fn insert(&mut self, node: u32) -> bool {
        let bit = 1 << (node % 64);
        let Some(word) = self.words.get_mut(node as usize / 64) else { return false };
        let new = *word & bit == 0;
        *word |= bit;
        new
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn entries_are_ordered_as_distances_are(a in any::<f32>(), b in any::<f32>()) {
            let (x, y) = (Entry::new(a, 7, true), Entry::new(b, 7, false));
            prop_assert_eq!(x.distance().to_bits(), a.to_bits());
            if a < b {
                prop_assert!(x < y);
            }
            prop_assert_eq!((x.node(), x.is_hit(), y.is_hit()), (7, true, false));
        }

        /// The model keeps everything, and cuts behind the `ef`-th hit.
        #[test]
        fn a_pool_keeps_what_lies_before_the_last_hit(
            ef in 1_usize..6,
            offers in prop::collection::vec((0_u8..30, any::<bool>()), 0..40),
        ) {
            let mut pool = Pool::default();
            pool.reset(ef);
            let mut model: Vec<Entry> = Vec::new();
            for (node, &(distance, hit)) in offers.iter().enumerate() {
                let entry = Entry::new(f32::from(distance), node as u32, hit);
                let bound = model.iter().filter(|x| x.is_hit()).nth(ef - 1).copied();
                prop_assert_eq!(pool.offer(entry), bound.is_none_or(|bound| entry < bound));
                model.push(entry);
                model.sort();
                let hits = |at: usize| model[..at].iter().filter(|x| x.is_hit()).count();
                let end = (0..=model.len()).find(|&at| hits(at) == ef).unwrap_or(model.len());
                prop_assert_eq!(pool.entries(), &model[..end]);
                model.truncate(end);
            }
            let mut visited = Vec::new();
            while let Some(node) = pool.visit() {
                visited.push(node);
            }
            let nodes: Vec<u32> = model.iter().map(|x| x.node()).collect();
            prop_assert_eq!(visited, nodes);
        }
    }
}
