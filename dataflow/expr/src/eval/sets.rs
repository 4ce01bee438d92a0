//! What a leaf needs besides its plan, made once per plan at the first evaluation.

use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashSet, HashTable};
use regex::bytes::Regex;

use crate::like::Pattern;
use crate::plan::Pred;
use crate::scalar::ScalarSet;

/// Made from a predicate, for its evaluation.
#[derive(Debug)]
pub(crate) enum Prepared {
    Nothing,
    Ints(IntSet),
    /// Ascending, without NaN.
    Floats(Vec<f64>),
    Texts(TextSet),
    Like(Pattern),
    Regex(Regex),
    Scalars(ScalarSet),
}

impl Prepared {
    pub(crate) fn new(pred: &Pred) -> Prepared {
        match pred {
            Pred::IntIn { values, .. } => Prepared::Ints(IntSet::new(values)),
            Pred::FloatIn { values, .. } => {
                let mut sorted: Vec<f64> = values.iter().copied().filter(|v| !v.is_nan()).collect();
                sorted.sort_by(f64::total_cmp);
                Prepared::Floats(sorted)
            }
            Pred::TextIn { values, .. } => Prepared::Texts(TextSet::new(values)),
            Pred::TextLike { pattern, .. } | Pred::JsonLike { pattern, .. } => {
                Prepared::Like(Pattern::new(pattern))
            }
            Pred::TextRegex { pattern, .. } | Pred::JsonRegex { pattern, .. } => {
                // The parser has compiled it once; on damaged bytes nothing matches.
                crate::regex::compile(pattern).map_or(Prepared::Nothing, Prepared::Regex)
            }
            Pred::JsonIn { values, .. }
            | Pred::JsonContains { values, .. }
            | Pred::ArrayContains { values, .. } => Prepared::Scalars(ScalarSet::new(values)),
            _ => Prepared::Nothing,
        }
    }
}

/// Integers of an `in` list, in the form that answers fastest.
#[derive(Debug)]
pub(crate) enum IntSet {
    /// A handful, compared one by one.
    Few(Vec<i64>),
    /// A bit for every integer from `lo` on.
    Dense { lo: i64, bits: Vec<u64> },
    /// Anything else; also in order.
    Hash(HashSet<i64>, Vec<i64>),
}

/// Longest list that is compared item by item.
const FEW_MAX: usize = 8;
/// Most bits that are spent on an item of a dense list: a hash set takes about as much.
const DENSE_BITS_PER_ITEM: u64 = 128;

impl IntSet {
    fn new(values: &[i64]) -> IntSet {
        let (Some(&lo), Some(&hi)) = (values.iter().min(), values.iter().max()) else {
            return IntSet::Few(Vec::new());
        };
        if values.len() <= FEW_MAX {
            return IntSet::Few(values.to_vec());
        }
        let span = hi.abs_diff(lo);
        if span / DENSE_BITS_PER_ITEM < values.len() as u64 {
            let mut bits = vec![0u64; (span / 64 + 1) as usize];
            for &v in values {
                let at = v.abs_diff(lo);
                bits[(at / 64) as usize] |= 1 << (at % 64);
            }
            return IntSet::Dense { lo, bits };
        }
        let mut sorted = values.to_vec();
        sorted.sort_unstable();
        IntSet::Hash(values.iter().copied().collect(), sorted)
    }

    /// Whether an integer of the list may lie in `min..=max`.
    pub(crate) fn may_meet(&self, min: i64, max: i64) -> bool {
        match self {
            IntSet::Few(values) => values.iter().any(|v| (min..=max).contains(v)),
            IntSet::Dense { lo, bits } => {
                let hi = lo.saturating_add((bits.len() * 64) as i64);
                let (from, to) = (min.max(*lo).abs_diff(*lo), max.min(hi).abs_diff(*lo));
                let words = (from / 64) as usize..=(to / 64) as usize;
                // What is left out of the first and the last word would cost more than it saves.
                let may = |words: &[u64]| words.iter().any(|word| *word != 0);
                let last = (*words.end()).min(bits.len() - 1);
                max >= *lo && min <= hi && bits.get(*words.start()..=last).is_some_and(may)
            }
            IntSet::Hash(_, sorted) => {
                let at = sorted.partition_point(|v| *v < min);
                sorted.get(at).is_some_and(|v| *v <= max)
            }
        }
    }

    #[inline]
    pub(crate) fn contains(&self, v: i64) -> bool {
        match self {
            IntSet::Few(values) => values.contains(&v),
            IntSet::Dense { lo, bits } => {
                // Below `lo` the difference wraps far past the end.
                let at = v.wrapping_sub(*lo) as u64;
                bits.get((at / 64) as usize).is_some_and(|word| word >> (at % 64) & 1 == 1)
            }
            IntSet::Hash(set, _) => set.contains(&v),
        }
    }
}

/// Texts of an `in` list: positions in the list, by hash; and which lengths there are.
#[derive(Debug)]
pub(crate) struct TextSet {
    table: HashTable<u32>,
    hasher: DefaultHashBuilder,
    /// Bit `l % 64` is set when a text of length `l` is in the list.
    lengths: u64,
    /// Positions of the first and the last one by their bytes.
    ends: Option<(u32, u32)>,
}

/// Longest list of texts that is held against a zone item by item.
const TEXTS_JUDGED_MAX: usize = 64;

impl TextSet {
    fn new(values: &[String]) -> TextSet {
        let hasher = DefaultHashBuilder::default();
        let hash = |at: &u32| hasher.hash_one(values[*at as usize].as_bytes());
        let mut table = HashTable::with_capacity(values.len());
        let mut lengths = 0;
        for (at, value) in (0u32..).zip(values) {
            let same = |other: &u32| values[*other as usize] == *value;
            table.entry(hash(&at), same, hash).or_insert(at);
            lengths |= 1 << (value.len() % 64);
        }
        let by_text = |a: &u32, b: &u32| values[*a as usize].cmp(&values[*b as usize]);
        let positions = || 0..values.len() as u32;
        let ends = positions().min_by(by_text).zip(positions().max_by(by_text));
        TextSet { table, hasher, lengths, ends }
    }

    /// Whether a text of the list `values` that the set was made from may lie in `min..=max`.
    pub(crate) fn may_meet(&self, min: &[u8], max: Option<&[u8]>, values: &[String]) -> bool {
        let below = |text: &[u8]| max.is_none_or(|max| text <= max);
        if values.len() <= TEXTS_JUDGED_MAX {
            return values.iter().any(|v| min <= v.as_bytes() && below(v.as_bytes()));
        }
        let at = |position: u32| values.get(position as usize).map_or(&[][..], |v| v.as_bytes());
        self.ends.is_some_and(|(first, last)| below(at(first)) && min <= at(last))
    }

    /// Whether a text is in the list `values` that the set was made from.
    #[inline]
    pub(crate) fn contains(&self, text: &[u8], values: &[String]) -> bool {
        if self.lengths >> (text.len() % 64) & 1 == 0 {
            return false;
        }
        let same = |at: &u32| values.get(*at as usize).is_some_and(|v| v.as_bytes() == text);
        self.table.find(self.hasher.hash_one(text), same).is_some()
    }
}
