//! Hybrid ranking: hits of several searches, scored anew and joined by key.
//!
//! Scores are summed in the order of the searches, in single precision as Milvus does, so that ties
//! are the same. Ties fall to the smaller key.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::f32::consts::{FRAC_2_PI, PI};
use std::hash::Hash;

use millstream_catalog::model::Metric;

use crate::convert::rank::{GroupScore, Ranker};

/// Hits of one query in one search, best first: keys, scores, and the group of each hit if hits are
/// grouped.
#[derive(Clone, Debug)]
pub(super) struct Found<K> {
    pub(super) metric: Metric,
    pub(super) keys: Vec<K>,
    pub(super) scores: Vec<f32>,
    pub(super) groups: Vec<u64>,
}

/// A hit of the whole.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Ranked<K> {
    pub(super) key: K,
    pub(super) score: f32,
    pub(super) group: u64,
}

/// Which hits, or groups of hits, are wanted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted {
    pub(super) limit: usize,
    pub(super) offset: usize,
    /// How hits are grouped, if they are.
    pub(super) group: Option<Groups>,
}

/// How hits are grouped.
#[derive(Clone, Copy, Debug)]
pub(super) struct Groups {
    /// The most hits of a group.
    pub(super) size: usize,
    /// How groups are scored.
    pub(super) score: GroupScore,
    /// Whether groups with fewer hits are left out of the page that they are on.
    pub(super) strict: bool,
}

/// A score as the ranker of weights takes it.
///
/// Brought into `[0, 1]`, larger is better: half of one and a cosine; an inner product through the
/// arc tangent, of which zero is in the middle; BM25, which is never negative, likewise from zero
/// on; a distance likewise, with zero at one. Otherwise a distance is turned round only when it is
/// mixed with scores of which the larger is better.
fn weighed(metric: Metric, score: f32, norm: bool, mixed: bool) -> f32 {
    let distance = |score: f32| 1.0 - FRAC_2_PI * score.atan();
    match metric {
        Metric::Cosine if norm => (1.0 + score) * 0.5,
        Metric::Ip if norm => 0.5 + score.atan() / PI,
        Metric::Bm25 if norm => FRAC_2_PI * score.atan(),
        metric if metric.larger_is_better() => score,
        _ if norm || mixed => distance(score),
        _ => score,
    }
}

/// The hits of the whole, best first; grouped ones group by group.
pub(super) fn rank<K: Copy + Ord + Hash>(
    found: &[Found<K>],
    ranker: &Ranker,
    wanted: Wanted,
) -> Vec<Ranked<K>> {
    let larger = |f: &Found<K>| f.metric.larger_is_better();
    let mixed = found.iter().any(larger) && !found.iter().all(larger);
    let ascending = match ranker {
        Ranker::Rrf { .. } => false,
        Ranker::Weighted { norm, .. } => !norm && !found.is_empty() && !found.iter().any(larger),
    };
    let mut places: HashMap<K, usize> = HashMap::new();
    let mut ranked: Vec<Ranked<K>> = Vec::new();
    for (search, found) in found.iter().enumerate() {
        for (at, (&key, &score)) in found.keys.iter().zip(&found.scores).enumerate() {
            let score = match ranker {
                Ranker::Rrf { k } => 1.0 / (k + (at + 1) as f32),
                Ranker::Weighted { weights, norm } => {
                    let weight = weights.get(search).copied().unwrap_or(0.0);
                    weight * weighed(found.metric, score, *norm, mixed)
                }
            };
            let place = *places.entry(key).or_insert(ranked.len());
            match ranked.get_mut(place) {
                Some(known) => known.score += score,
                None => {
                    let group = found.groups.get(at).copied().unwrap_or(0);
                    ranked.push(Ranked { key, score, group });
                }
            }
        }
    }
    let better = |a: f32, b: f32| if ascending { a.total_cmp(&b) } else { b.total_cmp(&a) };
    ranked.sort_unstable_by(|a, b| better(a.score, b.score).then_with(|| a.key.cmp(&b.key)));
    match wanted.group {
        None => ranked.into_iter().skip(wanted.offset).take(wanted.limit).collect(),
        Some(by) => groups(ranked, by, wanted, better),
    }
}

/// The best groups; of equal ones first the larger, then the one with the smaller first key.
fn groups<K: Copy + Ord>(
    ranked: Vec<Ranked<K>>,
    by: Groups,
    wanted: Wanted,
    better: impl Fn(f32, f32) -> Ordering,
) -> Vec<Ranked<K>> {
    let mut places: HashMap<u64, usize> = HashMap::new();
    let mut groups: Vec<Vec<Ranked<K>>> = Vec::new();
    for hit in ranked {
        let place = *places.entry(hit.group).or_insert(groups.len());
        match groups.get_mut(place) {
            Some(group) if group.len() < by.size => group.push(hit),
            Some(_) => {}
            None => groups.push(vec![hit]),
        }
    }
    let score = |group: &[Ranked<K>]| {
        let sum: f32 = group.iter().map(|hit| hit.score).sum();
        match by.score {
            GroupScore::Max => group.first().map_or(0.0, |hit| hit.score),
            GroupScore::Sum => sum,
            GroupScore::Avg => sum / group.len() as f32,
        }
    };
    groups.sort_by(|a, b| {
        let first = |group: &[Ranked<K>]| group.first().map(|hit| hit.key);
        better(score(a), score(b))
            .then_with(|| b.len().cmp(&a.len()))
            .then_with(|| first(a).cmp(&first(b)))
    });
    let page = groups.into_iter().skip(wanted.offset).take(wanted.limit);
    page.filter(|group| !by.strict || group.len() >= by.size).flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(metric: Metric, hits: &[(i64, f32)]) -> Found<i64> {
        Found {
            metric,
            keys: hits.iter().map(|h| h.0).collect(),
            scores: hits.iter().map(|h| h.1).collect(),
            groups: Vec::new(),
        }
    }

    fn all(limit: usize) -> Wanted {
        Wanted { limit, offset: 0, group: None }
    }

    fn keys(ranked: &[Ranked<i64>]) -> Vec<i64> {
        ranked.iter().map(|r| r.key).collect()
    }

    #[test]
    fn reciprocal_ranks_are_summed_and_ties_fall_to_the_smaller_key() {
        let searches = [
            found(Metric::L2, &[(7, 0.1), (3, 0.2), (9, 0.3)]),
            found(Metric::Ip, &[(3, 9.0), (7, 8.0), (1, 7.0)]),
        ];
        let ranked = rank(&searches, &Ranker::Rrf { k: 60.0 }, all(10));
        assert_eq!(keys(&ranked), [3, 7, 1, 9]);
        assert_eq!(ranked[0].score, 1.0 / 62.0 + 1.0 / 61.0);
        assert_eq!(ranked[2].score, 1.0 / 63.0);
        let page = rank(&searches, &Ranker::Rrf { k: 60.0 }, Wanted { offset: 1, ..all(2) });
        assert_eq!(keys(&page), [7, 1]);
    }

    /// Every formula, written out again in double precision.
    #[test]
    fn weighted_scores_follow_the_formulas() {
        type Formula = fn(f64) -> f64;
        let cases: [(Metric, Formula); 6] = [
            (Metric::Cosine, |x| (1.0 + x) / 2.0),
            (Metric::Ip, |x| 0.5 + x.atan() / std::f64::consts::PI),
            (Metric::Bm25, |x| 2.0 * x.atan() / std::f64::consts::PI),
            (Metric::L2, |x| 1.0 - 2.0 * x.atan() / std::f64::consts::PI),
            (Metric::Hamming, |x| 1.0 - 2.0 * x.atan() / std::f64::consts::PI),
            (Metric::Jaccard, |x| 1.0 - 2.0 * x.atan() / std::f64::consts::PI),
        ];
        for (metric, formula) in cases {
            for score in [0.0_f32, 0.25, 0.5, 1.0, 3.0, 1e6] {
                let want = formula(f64::from(score)) as f32;
                let got = weighed(metric, score, true, false);
                assert!((got - want).abs() < 1e-6, "{metric:?} {score}: {got} {want}");
            }
        }
        let searches = [
            found(Metric::Cosine, &[(1, 0.9), (2, 0.5)]),
            found(Metric::L2, &[(2, 0.0), (3, 1.0)]),
        ];
        let ranker = Ranker::Weighted { weights: vec![0.6, 0.4], norm: true };
        let ranked = rank(&searches, &ranker, all(10));
        assert_eq!(keys(&ranked), [2, 1, 3]);
        let want = [0.6 * 0.75 + 0.4, 0.6 * 0.95, 0.4 * 0.5];
        for (hit, want) in ranked.iter().zip(want) {
            assert!((hit.score - want).abs() < 1e-6, "{hit:?} {want}");
        }
    }

    #[test]
    fn raw_distances_alone_rank_ascending_and_mixed_ones_are_turned_round() {
        let near = [(1, 0.5), (2, 2.0)];
        let ranker = Ranker::Weighted { weights: vec![1.0, 1.0], norm: false };
        let distances = [found(Metric::L2, &near), found(Metric::L2, &near)];
        let ranked = rank(&distances, &ranker, all(10));
        assert_eq!((keys(&ranked), ranked[0].score), (vec![1, 2], 1.0));
        let mixed = [found(Metric::L2, &near), found(Metric::Ip, &[(2, 5.0)])];
        let ranked = rank(&mixed, &ranker, all(10));
        assert_eq!(keys(&ranked), [2, 1]);
        assert!((ranked[1].score - weighed(Metric::L2, 0.5, true, false)).abs() < 1e-6);
    }

    #[test]
    fn groups_are_ranked_by_their_hits() {
        let mut one = found(Metric::Ip, &[(1, 0.9), (2, 0.8), (3, 0.7), (4, 0.1)]);
        one.groups = vec![10, 20, 20, 10];
        let ranker = Ranker::Weighted { weights: vec![1.0], norm: false };
        let by = |score, size| {
            let strict = false;
            Wanted { group: Some(Groups { size, score, strict }), ..all(10) }
        };
        let order = |score, size| keys(&rank(std::slice::from_ref(&one), &ranker, by(score, size)));
        assert_eq!(order(GroupScore::Max, 2), [1, 4, 2, 3]);
        assert_eq!(order(GroupScore::Sum, 2), [2, 3, 1, 4]);
        assert_eq!(order(GroupScore::Avg, 2), [2, 3, 1, 4]);
        assert_eq!(order(GroupScore::Sum, 1), [1, 2]);
        let page = Wanted { offset: 1, ..by(GroupScore::Max, 2) };
        assert_eq!(keys(&rank(&[one], &ranker, page)), [2, 3]);
    }

    #[test]
    fn strict_groups_are_full_or_left_out_of_their_page() {
        let mut one = found(Metric::Ip, &[(1, 0.9), (2, 0.8), (3, 0.7), (4, 0.6), (5, 0.5)]);
        one.groups = vec![10, 20, 30, 30, 20];
        let ranker = Ranker::Weighted { weights: vec![1.0], norm: false };
        let page = |offset, limit, strict| {
            let group = Some(Groups { size: 2, score: GroupScore::Max, strict });
            keys(&rank(std::slice::from_ref(&one), &ranker, Wanted { limit, offset, group }))
        };
        assert_eq!(page(0, 2, false), [1, 2, 5]);
        assert_eq!(page(0, 2, true), [2, 5], "no other group moves up");
        assert_eq!(page(1, 2, true), [2, 5, 3, 4]);
    }
}
