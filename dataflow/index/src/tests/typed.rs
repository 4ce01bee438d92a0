//! Every vector type under every metric, with ranges and masks, against a naive model.
//!
//! The values are small whole numbers and powers of two, so that every score but a cosine is exact
//! in every type and the model's hits must be met to the bit.

use std::cmp::Ordering;

use millstream_catalog::model::{DataType, Metric};
use proptest::prelude::*;
use proptest::sample::select;

use super::{by_key, key};
use crate::kernel::{Isa, available};
use crate::scan::scan_on;
use crate::{Block, Hit, IndexError, Queries, Range, TopK, Vectors, inv_norms_of, scan};

/// Types with the metrics they are compared under.
const PAIRS: [(DataType, &[Metric]); 6] = [
    (DataType::FloatVector, &[Metric::L2, Metric::Ip, Metric::Cosine]),
    (DataType::Float16Vector, &[Metric::L2, Metric::Ip, Metric::Cosine]),
    (DataType::BFloat16Vector, &[Metric::L2, Metric::Ip, Metric::Cosine]),
    (DataType::Int8Vector, &[Metric::L2, Metric::Ip, Metric::Cosine]),
    (
        DataType::BinaryVector,
        &[Metric::Hamming, Metric::Jaccard, Metric::Substructure, Metric::Superstructure],
    ),
    (DataType::SparseFloatVector, &[Metric::Ip]),
];

/// A search over rows of one type. Components are in -8..=8, halved for floats.
#[derive(Debug, Clone)]
struct Case {
    data_type: DataType,
    metric: Metric,
    dim: usize,
    rows: Vec<Vec<i8>>,
    queries: Vec<Vec<i8>>,
    mask: Option<Vec<u64>>,
    k: usize,
    range: Range,
}

/// Rows in the form of their type, as a segment holds them.
#[derive(Default)]
struct Column {
    floats: Vec<f32>,
    halves: Vec<u16>,
    int8s: Vec<i8>,
    bytes: Vec<u8>,
    offsets: Vec<u32>,
}

impl Column {
    fn vectors(&self, data_type: DataType) -> Vectors<'_> {
        match data_type {
            DataType::FloatVector => Vectors::Float(&self.floats),
            DataType::Float16Vector => Vectors::Half(&self.halves),
            DataType::BFloat16Vector => Vectors::BHalf(&self.halves),
            DataType::Int8Vector => Vectors::Int8(&self.int8s),
            DataType::BinaryVector => Vectors::Binary(&self.bytes),
            _ => Vectors::Sparse { offsets: &self.offsets, bytes: &self.bytes },
        }
    }
}

/// A small multiple of one half as half precision.
fn half(value: f32) -> u16 {
    if value == 0.0 {
        return 0;
    }
    let bits = value.to_bits();
    let exponent = (bits >> 23 & 0xFF) + 15 - 127;
    ((bits >> 31) << 15 | exponent << 10 | (bits >> 13 & 0x3FF)) as u16
}

/// The value of a component.
fn value(data_type: DataType, x: i8) -> f32 {
    match data_type {
        DataType::Int8Vector => f32::from(x),
        _ => f32::from(x) / 2.0,
    }
}

/// Vectors as they are on the wire.
fn bytes_of(data_type: DataType, vector: &[i8]) -> Vec<u8> {
    let values = || vector.iter().map(|&x| value(data_type, x));
    match data_type {
        DataType::FloatVector => values().flat_map(f32::to_le_bytes).collect(),
        DataType::Float16Vector => values().flat_map(|x| half(x).to_le_bytes()).collect(),
        DataType::BFloat16Vector => {
            values().flat_map(|x| ((x.to_bits() >> 16) as u16).to_le_bytes()).collect()
        }
        DataType::Int8Vector => vector.iter().map(|x| x.cast_unsigned()).collect(),
        DataType::BinaryVector => {
            let byte = |bits: &[i8]| bits.iter().fold(0, |b, &x| b << 1 | u8::from(x > 0));
            vector.chunks(8).map(byte).collect()
        }
        _ => {
            let pairs = values().enumerate().filter(|(_, x)| *x != 0.0);
            // Indices far apart, some of which fall in one class of the query's filter.
            let pair = |(i, x): (usize, f32)| (i as u32 * 4096, x);
            let bytes = |(i, x): (u32, f32)| [i.to_le_bytes(), x.to_le_bytes()].concat();
            pairs.map(pair).flat_map(bytes).collect()
        }
    }
}

impl Case {
    fn column(&self, rows: &[Vec<i8>]) -> (Column, Vec<f32>) {
        let mut column = Column { offsets: vec![0], ..Column::default() };
        for row in rows {
            let bytes = bytes_of(self.data_type, row);
            column.bytes.extend(&bytes);
            column.offsets.push(column.bytes.len() as u32);
            column.halves.extend(bytes.as_chunks().0.iter().map(|&x| u16::from_le_bytes(x)));
            column.floats.extend(bytes.as_chunks().0.iter().map(|&x| f32::from_le_bytes(x)));
            column.int8s.extend(row);
        }
        let mut inv = vec![0.0; rows.len()];
        inv_norms_of(self.data_type, self.dim, &column.bytes, &mut inv);
        (column, inv)
    }

    fn admits(&self, row: usize) -> bool {
        self.mask.as_ref().is_none_or(|m| m[row / 64] >> (row % 64) & 1 == 1)
    }

    fn prepare(&self, queries: &[Vec<i8>]) -> Queries {
        let cells: Vec<Vec<u8>> = queries.iter().map(|q| bytes_of(self.data_type, q)).collect();
        if self.data_type == DataType::SparseFloatVector {
            Queries::sparse(self.metric, cells.iter().map(Vec::as_slice)).unwrap()
        } else {
            Queries::new_typed(self.metric, self.data_type, self.dim, &cells.concat()).unwrap()
        }
    }

    /// The crate's hits for some of the queries, over blocks of `block_rows`.
    fn search_on(&self, isa: Isa, queries: &[Vec<i8>], block_rows: usize) -> Vec<Vec<Hit>> {
        self.search_parts(isa, queries, block_rows, usize::MAX / 2)
    }

    /// [`Case::search_on`], with each block cut into parts of `part_rows`.
    fn search_parts(
        &self,
        isa: Isa,
        queries: &[Vec<i8>],
        block_rows: usize,
        part_rows: usize,
    ) -> Vec<Vec<Hit>> {
        let prepared = self.prepare(queries);
        let mut out = vec![TopK::within(self.k, self.metric, &self.range); queries.len()];
        for (number, rows) in self.rows.chunks(block_rows).enumerate() {
            let (column, inv_norms) = self.column(rows);
            let first_row = (number * block_rows) as u32;
            let mask = self.mask.as_ref().map(|m| &m[first_row as usize / 64..]);
            let vectors = column.vectors(self.data_type);
            let block = Block { vectors, inv_norms: &inv_norms, mask, first_row };
            for part in block.parts(self.dim, part_rows) {
                scan_on(isa, &prepared, &part, &mut out, &by_key);
            }
        }
        out.into_iter().map(|top| top.finish(&by_key)).collect()
    }

    /// The score of a row, exact but for a cosine; `None` for a row that is no hit.
    fn score(&self, query: &[i8], row: &[i8]) -> Option<f64> {
        let pairs = || {
            let value = |&x: &i8| f64::from(value(self.data_type, x));
            query.iter().map(value).zip(row.iter().map(value))
        };
        let bits = |f: fn(bool, bool) -> bool| {
            query.iter().zip(row).filter(|(q, x)| f(**q > 0, **x > 0)).count() as f64
        };
        let dot = || pairs().map(|(q, x)| q * x).sum::<f64>();
        let score = match self.metric {
            Metric::L2 => pairs().map(|(q, x)| (q - x).powi(2)).sum(),
            Metric::Ip if self.data_type == DataType::SparseFloatVector => {
                return (dot() > 0.0).then(dot);
            }
            Metric::Ip => dot(),
            Metric::Cosine => {
                let squares: (f64, f64) =
                    pairs().fold((0.0, 0.0), |s, (q, x)| (s.0 + q * q, s.1 + x * x));
                if squares.0 * squares.1 == 0.0 {
                    0.0
                } else {
                    dot() / (squares.0 * squares.1).sqrt()
                }
            }
            Metric::Hamming => bits(|q, x| q != x),
            Metric::Jaccard => {
                let (both, either) = (bits(|q, x| q && x), bits(|q, x| q || x));
                if either == 0.0 { 1.0 } else { f64::from(((either - both) / either) as f32) }
            }
            Metric::Substructure => return (bits(|q, x| q && !x) == 0.0).then_some(0.0),
            Metric::Superstructure => return (bits(|q, x| x && !q) == 0.0).then_some(0.0),
            Metric::Bm25 => panic!("no vectors"),
        };
        // A sum of nothing but -0.0 is 0.0 to the crate.
        Some(score + 0.0)
    }

    /// Whether a score lies within the range.
    fn in_range(&self, score: f64) -> bool {
        let worse = |a: f64, b: f64| if self.metric.larger_is_better() { a < b } else { a > b };
        self.range.radius.is_none_or(|r| worse(f64::from(r), score))
            && self.range.range_filter.is_none_or(|r| !worse(f64::from(r), score))
            && self.range.after.is_none_or(|r| worse(score, f64::from(r)))
    }

    /// The hits of a search that looks at every row, in order.
    fn model(&self, query: &[i8]) -> Vec<(f64, u32)> {
        let mut hits: Vec<(f64, u32)> = (0..self.rows.len())
            .filter(|&row| self.admits(row))
            .filter_map(|row| Some((self.score(query, &self.rows[row])?, row as u32)))
            .filter(|&(score, _)| self.in_range(score))
            .collect();
        hits.sort_by(|a, b| {
            let by_score = a.0.total_cmp(&b.0);
            let by_score =
                if self.metric.larger_is_better() { by_score.reverse() } else { by_score };
            by_score.then(key(a.1).cmp(&key(b.1)))
        });
        hits.truncate(self.k);
        hits
    }
}

/// One search of any type and metric.
fn cases() -> impl Strategy<Value = Case> {
    let pairs: Vec<(DataType, Metric)> =
        PAIRS.iter().flat_map(|(t, metrics)| metrics.iter().map(|m| (*t, *m))).collect();
    let dim = prop_oneof![1_usize..20, 20_usize..150];
    let rows = prop_oneof![0_usize..10, 10_usize..200];
    let nq = prop_oneof![Just(1_usize), 2_usize..20];
    let k = prop_oneof![0_usize..5, 5_usize..250];
    (select(pairs), dim, rows, nq, k).prop_flat_map(|((data_type, metric), dim, rows, nq, k)| {
        let dim = if data_type == DataType::BinaryVector { dim.div_ceil(8) * 8 } else { dim };
        // Mostly zeros or ones make subsets, empty sets and zero vectors.
        let component = prop_oneof![3 => Just(0_i8), 1 => -8_i8..=8];
        let dense = prop::collection::vec(-8_i8..=8, dim);
        let full = Just(vec![8_i8; dim]);
        let vector = prop_oneof![
            4 => dense,
            4 => prop::collection::vec(component, dim),
            1 => Just(vec![0_i8; dim]),
            1 => full,
        ];
        let word = prop_oneof![Just(u64::MAX), Just(0), any::<u64>()];
        let mask = prop::option::of(prop::collection::vec(word, rows.div_ceil(64)));
        let bound = move || {
            let score = prop_oneof![-20_i16..400, -1_i16..=1].prop_map(f32::from);
            let scale = if matches!(metric, Metric::Cosine | Metric::Jaccard) { 0.01 } else { 1.0 };
            prop::option::of(score.prop_map(move |s| s * scale))
        };
        let range = (bound(), bound(), bound());
        (
            prop::collection::vec(vector.clone(), rows),
            prop::collection::vec(vector, nq),
            mask,
            range,
        )
            .prop_map(move |(rows, queries, mask, (radius, range_filter, after))| Case {
                data_type,
                metric,
                dim,
                rows,
                queries,
                mask,
                k,
                range: Range { radius, range_filter, after },
            })
    })
}

/// Cosines are rounded: near bounds and ties the model cannot say which rows are hits.
fn check_cosines(case: &Case, query: &[i8], hits: &[Hit]) -> Result<(), TestCaseError> {
    let slack = 1e-5;
    for pair in hits.windows(2) {
        let order = pair[1].score.total_cmp(&pair[0].score).then(by_key(pair[0].row, pair[1].row));
        prop_assert_eq!(order, Ordering::Less);
    }
    let mut certain = 0;
    for row in (0..case.rows.len()).filter(|&row| case.admits(row)) {
        let score = case.score(query, &case.rows[row]).unwrap_or(0.0);
        let hit = hits.iter().find(|hit| hit.row == row as u32);
        if let Some(hit) = hit {
            prop_assert!((f64::from(hit.score) - score).abs() < slack, "{hit:?} is {score}");
            prop_assert!(case.in_range(f64::from(hit.score)));
        }
        let inside = [-slack, slack].iter().all(|off| case.in_range(score + off));
        let last = hits.last().map_or(f64::NEG_INFINITY, |hit| f64::from(hit.score));
        let missing = inside && hit.is_none();
        certain += usize::from(inside);
        prop_assert!(!missing || hits.len() == case.k, "row {row} ({score}) is missing");
        prop_assert!(!missing || case.k == 0 || score <= last + slack, "row {row} ({score})");
    }
    prop_assert!(hits.len() >= certain.min(case.k) && hits.len() <= case.k);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn every_type_and_metric_returns_what_the_model_returns(case in cases()) {
        for isa in available() {
            let results = case.search_on(isa, &case.queries, 64);
            for (query, hits) in case.queries.iter().zip(&results) {
                if case.metric == Metric::Cosine {
                    check_cosines(&case, query, hits)?;
                } else {
                    let hits: Vec<(f64, u32)> =
                        hits.iter().map(|h| (f64::from(h.score), h.row)).collect();
                    prop_assert_eq!(hits, case.model(query), "{:?}", isa);
                }
            }
        }
    }

    /// Ties, paging and tests rely on this: the path a row takes must not show in its score.
    #[test]
    fn typed_results_are_the_same_bits_alone_in_batches_and_in_other_blocks(case in cases()) {
        for isa in available() {
            let batch = case.search_on(isa, &case.queries, 64);
            let whole = case.search_on(isa, &case.queries, 1024);
            for (q, query) in case.queries.iter().enumerate() {
                let alone = case.search_on(isa, std::slice::from_ref(query), 128);
                let bits = |hits: &[Hit]| -> Vec<(u32, u32)> {
                    hits.iter().map(|h| (h.row, h.score.to_bits())).collect()
                };
                prop_assert_eq!(bits(&alone[0]), bits(&batch[q]), "{:?}", isa);
                prop_assert_eq!(bits(&whole[q]), bits(&batch[q]), "{:?}", isa);
            }
        }
    }

    #[test]
    fn a_block_is_scanned_as_its_parts_are(case in cases(), part_rows in 0_usize..150) {
        let isa = available()[0];
        let parts = case.search_parts(isa, &case.queries, 1024, part_rows);
        prop_assert_eq!(parts, case.search_on(isa, &case.queries, 1024));
    }

    /// A search iterator asks page after page for what is worse than the last score.
    #[test]
    fn pages_after_one_another_are_one_descending_list(
        scores in prop::collection::vec(0_u8..40, 0..100),
        page in 1_usize..20,
    ) {
        let rows: Vec<f32> = scores.iter().map(|&s| f32::from(s)).collect();
        let queries = Queries::new(Metric::L2, 1, &[0.0]).unwrap();
        let mut after = None;
        let mut seen = Vec::new();
        loop {
            let mut out = [TopK::within(page, Metric::L2, &Range { after, ..Range::default() })];
            let vectors = Vectors::Float(&rows);
            let block = Block { vectors, inv_norms: &[], mask: None, first_row: 0 };
            scan(&queries, &block, &mut out, &by_key);
            let [top] = out;
            let hits = top.finish(&by_key);
            prop_assert!(hits.iter().all(|h| after.is_none_or(|a| h.score > a)));
            let Some(last) = hits.last() else { break };
            after = Some(last.score);
            seen.extend(hits.iter().map(|h| h.score));
        }
        let mut distinct: Vec<f32> = rows.iter().map(|x| x * x).collect();
        distinct.sort_by(f32::total_cmp);
        distinct.dedup();
        prop_assert!(seen.is_sorted());
        seen.dedup();
        prop_assert_eq!(seen, distinct);
    }
}

#[test]
fn a_metric_of_another_type_is_refused() {
    for (data_type, metrics) in PAIRS {
        let all =
            ["L2", "IP", "COSINE", "HAMMING", "JACCARD", "SUBSTRUCTURE", "SUPERSTRUCTURE", "BM25"];
        for metric in all.into_iter().filter_map(Metric::from_name) {
            let result = if data_type == DataType::SparseFloatVector {
                Queries::sparse(metric, [])
            } else {
                Queries::new_typed(metric, data_type, 8, &[])
            };
            let expected = metrics.contains(&metric);
            assert_eq!(result.is_ok(), expected, "{metric:?} for {data_type:?}");
            if let Err(error) = result {
                assert_eq!(error, IndexError::Metric { metric, data_type });
            }
        }
    }
    let error = Queries::new(Metric::Hamming, 4, &[0.0; 4]).unwrap_err();
    assert_eq!(error.to_string(), "metric HAMMING does not compare FloatVector vectors");
}

#[test]
fn bytes_that_are_no_vectors_are_refused() {
    for (data_type, dim, bytes) in [
        (DataType::FloatVector, 2, 12),
        (DataType::Float16Vector, 2, 6),
        (DataType::BFloat16Vector, 0, 4),
        (DataType::Int8Vector, 3, 4),
        (DataType::Int8Vector, 32_769, 0),
        (DataType::BinaryVector, 12, 2),
        (DataType::BinaryVector, 16, 3),
    ] {
        let metric = if data_type == DataType::BinaryVector { Metric::Jaccard } else { Metric::L2 };
        let error = Queries::new_typed(metric, data_type, dim, &vec![0; bytes]).unwrap_err();
        assert_eq!(error, IndexError::Width { data_type, dim, bytes });
    }
    let pair = |index: u32, value: f32| [index.to_le_bytes(), value.to_le_bytes()].concat();
    let bad = [
        vec![0; 7],
        [pair(3, 1.0), pair(3, 1.0)].concat(),
        [pair(3, 1.0), pair(2, 1.0)].concat(),
        pair(3, f32::NAN),
        pair(3, f32::INFINITY),
    ];
    for cell in bad {
        let cells = [&[][..], &cell[..]];
        let error = Queries::sparse(Metric::Ip, cells).unwrap_err();
        assert!(matches!(error, IndexError::Sparse { query: 1, .. }), "{error}");
    }
}

#[test]
fn the_largest_whole_numbers_are_compared_exactly() {
    let dim = 32_768;
    let (low, high) = (vec![-128_i8; dim], vec![127_i8; dim]);
    let bytes = |v: &[i8]| v.iter().map(|x| x.cast_unsigned()).collect::<Vec<u8>>();
    let wide = dim as f64;
    for (metric, expected) in [
        (Metric::L2, [wide * 255.0 * 255.0, 0.0]),
        (Metric::Ip, [wide * -128.0 * 127.0, wide * 127.0 * 127.0]),
    ] {
        let query = Queries::new_typed(metric, DataType::Int8Vector, dim, &bytes(&high)).unwrap();
        for isa in available() {
            let rows = [low.clone(), high.clone()].concat();
            let block =
                Block { vectors: Vectors::Int8(&rows), inv_norms: &[], mask: None, first_row: 0 };
            let mut out = [TopK::new(2, metric)];
            scan_on(isa, &query, &block, &mut out, &by_key);
            let [top] = out;
            for hit in top.finish(&by_key) {
                assert_eq!(hit.score, expected[hit.row as usize] as f32, "{metric:?} {isa:?}");
            }
        }
    }
}

#[test]
fn inverse_norms_of_every_type_are_those_of_its_values() {
    let vector = [3_i8, 4, 0, 0];
    let types = [
        DataType::FloatVector,
        DataType::Float16Vector,
        DataType::BFloat16Vector,
        DataType::Int8Vector,
    ];
    for data_type in types {
        let rows = [bytes_of(data_type, &vector), bytes_of(data_type, &[0; 4])].concat();
        let mut inv = [9.0; 3];
        inv_norms_of(data_type, 4, &rows, &mut inv);
        let length = f64::from(value(data_type, 3)) / 3.0 * 5.0;
        assert_eq!(inv, [(1.0 / length) as f32, 0.0, 9.0], "{data_type:?}");
    }
    let mut inv = [9.0];
    inv_norms_of(DataType::BinaryVector, 8, &[1], &mut inv);
    assert_eq!(inv, [9.0]);
}
