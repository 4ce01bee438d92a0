//! k-means over a sample of the rows.
//!
//! A centroid of numbers is the mean of its rows. One of bits has, under HAMMING, the bits that most
//! of its rows have; under JACCARD the most frequent ones, as many as a row has on average, because
//! rows of few bits have no majorities.
//!
//! What is chosen follows from row numbers, and sums are made in their order: the centroids are the
//! same every time, whatever the number of threads.

use millstream_catalog::model::Metric;

use super::IvfError;
use super::centroids::{Centroids, Crew, Nearest, Points, assign};
use crate::graph::source::{Source, mix};
use crate::scan::Vectors;

/// Sampled rows of a list, on average.
const LIST_SAMPLES: usize = 64;
/// Components of a sample at most, unless there are more lists: 256 MiB of floats.
const SAMPLE_COMPONENTS_MAX: usize = 1 << 26;
/// Times that rows move to the nearest centroid, and centroids to the middle of their rows.
const ROUNDS: usize = 10;

/// Chooses `count` of `all` numbers, ascending: one of each of `count` even parts.
fn spread(all: usize, count: usize) -> impl Iterator<Item = usize> {
    (0..count).map(move |part| {
        let at = |part: usize| (part as u128 * all as u128 / count.max(1) as u128) as usize;
        let (start, end) = (at(part), at(part + 1));
        start + (mix(part as u64) % (end - start).max(1) as u64) as usize
    })
}

/// The values of a sample, as rows of their own.
struct Sample {
    floats: Vec<f32>,
    bytes: Vec<u8>,
    rows: usize,
}

impl Sample {
    fn of(points: &Points<'_>, lists: usize) -> Sample {
        let dim = points.source.dim;
        let most = (SAMPLE_COMPONENTS_MAX / dim).max(lists);
        let rows = points.rows.min(lists * LIST_SAMPLES).min(most);
        let (mut floats, mut bytes) = (Vec::new(), Vec::new());
        match points.bits() {
            Some(all) => {
                let width = points.width();
                bytes.reserve(rows * width);
                for row in spread(points.rows, rows) {
                    bytes.extend_from_slice(&all[row * width..(row + 1) * width]);
                }
            }
            None => {
                floats.resize(rows * dim, 0.0);
                for (row, out) in spread(points.rows, rows).zip(floats.chunks_mut(dim)) {
                    points.source.row(row, out);
                }
            }
        }
        Sample { floats, bytes, rows }
    }

    fn points(&self, of: &Points<'_>) -> Points<'_> {
        let Source { dim, metric, .. } = of.source;
        let (vectors, metric) = match of.bits() {
            Some(_) => (Vectors::Binary(&self.bytes), metric),
            // Of unit length already, where that matters.
            None => (Vectors::Float(&self.floats), Metric::L2),
        };
        Points { source: Source { vectors, dim, inv_norms: &[], metric }, rows: self.rows }
    }
}

/// Finds the centroids of `lists` lists; there are at least as many rows.
///
/// # Errors
/// [`IvfError::Cancelled`].
pub(crate) fn train(
    points: &Points<'_>,
    lists: usize,
    crew: Crew<'_>,
) -> Result<Centroids, IvfError> {
    let sample = Sample::of(points, lists);
    let points = sample.points(points);
    let chosen: Vec<usize> = spread(points.rows, lists).collect();
    let mut centroids = pick(&points, &chosen);
    let mut before: Vec<u32> = Vec::new();
    for _ in 0..ROUNDS {
        let mut nearest = assign(&points, &centroids, crew, |_| {})?;
        fill_empty(&mut nearest, lists);
        let now: Vec<u32> = nearest.iter().map(|nearest| nearest.list).collect();
        if now == before {
            break;
        }
        let (ends, members) = by_list(&now, lists);
        match &mut centroids {
            Centroids::Numbers(values) => means(&points, &ends, &members, values),
            Centroids::Bits(bytes) => medians(&points, &ends, &members, bytes),
        }
        crew.check()?;
        before = now;
    }
    Ok(centroids)
}

/// Some rows as centroids.
fn pick(points: &Points<'_>, rows: &[usize]) -> Centroids {
    let (dim, width) = (points.source.dim, points.width());
    match points.bits() {
        Some(bytes) => {
            let rows = rows.iter().flat_map(|row| &bytes[row * width..(row + 1) * width]);
            Centroids::Bits(rows.copied().collect())
        }
        None => {
            let mut values = vec![0.0; rows.len() * dim];
            for (&row, out) in rows.iter().zip(values.chunks_mut(dim)) {
                points.source.row(row, out);
            }
            Centroids::Numbers(values)
        }
    }
}

/// Gives lists without rows those that are farthest from their centroids.
fn fill_empty(nearest: &mut [Nearest], lists: usize) {
    let mut counts = vec![0_u32; lists];
    nearest.iter().for_each(|nearest| counts[nearest.list as usize] += 1);
    let empty: Vec<u32> = (0..lists as u32).filter(|&l| counts[l as usize] == 0).collect();
    if empty.is_empty() {
        return;
    }
    let mut far: Vec<u32> = (0..nearest.len() as u32).collect();
    let distance = |row: u32| nearest[row as usize].distance;
    far.sort_unstable_by(|&a, &b| distance(b).total_cmp(&distance(a)).then(a.cmp(&b)));
    let mut far = far.into_iter();
    for list in empty {
        let spare = far.find(|&row| counts[nearest[row as usize].list as usize] > 1);
        let Some(row) = spare else { return };
        counts[nearest[row as usize].list as usize] -= 1;
        nearest[row as usize].list = list;
    }
}

/// Where each list ends, and the rows of all lists, one list after the other.
pub(crate) fn by_list(list_of: &[u32], lists: usize) -> (Vec<u32>, Vec<u32>) {
    let mut ends = vec![0_u32; lists];
    list_of.iter().for_each(|&list| ends[list as usize] += 1);
    let mut places: Vec<u32> = Vec::with_capacity(lists);
    let mut end = 0;
    for count in &mut ends {
        places.push(end);
        end += *count;
        *count = end;
    }
    let mut rows = vec![0; list_of.len()];
    for (row, &list) in list_of.iter().enumerate() {
        let place = &mut places[list as usize];
        rows[*place as usize] = row as u32;
        *place += 1;
    }
    (ends, rows)
}

/// The rows of each list that has some.
fn each_list<'a>(
    ends: &'a [u32],
    members: &'a [u32],
) -> impl Iterator<Item = (usize, &'a [u32])> + 'a {
    let start = |list: usize| list.checked_sub(1).map_or(0, |list| ends[list] as usize);
    let lists = (0..ends.len()).map(move |l| (l, &members[start(l)..ends[l] as usize]));
    lists.filter(|(_, rows)| !rows.is_empty())
}

fn means(points: &Points<'_>, ends: &[u32], members: &[u32], centroids: &mut [f32]) {
    let dim = points.source.dim;
    let (mut row, mut sums) = (vec![0.0; dim], vec![0.0_f64; dim]);
    for (list, rows) in each_list(ends, members) {
        sums.fill(0.0);
        for &member in rows {
            points.source.row(member as usize, &mut row);
            sums.iter_mut().zip(&row).for_each(|(sum, &x)| *sum += f64::from(x));
        }
        let centroid = &mut centroids[list * dim..(list + 1) * dim];
        for (centroid, sum) in centroid.iter_mut().zip(&sums) {
            *centroid = (sum / rows.len() as f64) as f32;
        }
    }
}

fn medians(points: &Points<'_>, ends: &[u32], members: &[u32], centroids: &mut [u8]) {
    let Some(bytes) = points.bits() else { return };
    let width = points.width();
    let mut counts = vec![0_u32; width * 8];
    for (list, rows) in each_list(ends, members) {
        counts.fill(0);
        for &member in rows {
            let row = &bytes[member as usize * width..][..width];
            for (counts, &byte) in counts.as_chunks_mut::<8>().0.iter_mut().zip(row) {
                for (bit, count) in counts.iter_mut().enumerate() {
                    *count += u32::from(byte >> bit & 1);
                }
            }
        }
        let least = match points.source.metric {
            Metric::Jaccard => frequent(&counts, rows.len()),
            _ => rows.len() as u32 / 2 + 1,
        };
        let centroid = &mut centroids[list * width..(list + 1) * width];
        for (byte, counts) in centroid.iter_mut().zip(counts.as_chunks::<8>().0) {
            let bit = |bit: usize| u8::from(counts[bit] >= least) << bit;
            *byte = (0..8).map(bit).sum();
        }
    }
}

/// How often the most frequent bits occur at least, as many bits as a row has on average.
fn frequent(counts: &[u32], rows: usize) -> u32 {
    let ones: u64 = counts.iter().map(|&count| u64::from(count)).sum();
    let wanted = ones.div_ceil(rows as u64) as usize;
    let Some(last) = wanted.min(counts.len()).checked_sub(1) else { return u32::MAX };
    let mut sorted = counts.to_vec();
    let (_, &mut least, _) = sorted.select_nth_unstable_by(last, |a, b| b.cmp(a));
    least.max(1)
}
