//! Random questions, and their answers by the model.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use bytes::Bytes;
use futures::executor::block_on;
use millstream_catalog::model::{ChannelId, DataType, FieldId, Metric, PartitionId, Timestamp};
use millstream_dataflow::api::{
    Aggregate, AggregateOp, AggregateRequest, Bound, Bounds, Column, CountRequest, GroupBy,
    Guarantee, KeyList, OrderBy, QueryRequest, QueryVectors, SearchRequest, Target, Values,
};
use rand::RngExt;
use rand::rngs::StdRng;

use crate::World;
use crate::model::{
    COLLECTION, DIM, KIND, PK, Row, VECTORS, WORD, encoded, random_vector, schema, score,
};

/// Filters, and which rows they keep.
type Keep = fn(&Row) -> bool;
const FILTERS: [(&str, Keep); 13] = [
    ("", |_| true),
    ("kind >= 1", |r| r.kind.is_some_and(|k| k >= 1)),
    ("word == 'w1'", |r| r.word == "w1"),
    ("kind is null", |r| r.kind.is_none()),
    ("pk < 20 or pk >= 90", |r| r.pk < 20 || r.pk >= 90),
    ("word like 'w1%' and pk + 1 > 30", |r| r.word == "w1" && r.pk >= 30),
    ("doc['n'] < 30", |r| r.pk < 30 && r.pk % 7 != 0),
    ("doc['n'] != 9 and doc['in']['w'] == 'w1'", |r| r.pk != 9 && r.word == "w1"),
    ("exists doc['k']", |r| r.kind.is_some()),
    ("doc['k'] in [1, 2.0] or doc['n'] == '14'", |r| {
        r.kind.is_some_and(|k| k == 1 || k == 2) || r.pk == 14
    }),
    ("not (doc['k'] > 0.5)", |r| r.kind.is_none_or(|k| k == 0)),
    ("pk % 3 == 0", |r| r.pk % 3 == 0),
    ("not (kind == 2) and word in ['w0', 'w2']", |r| {
        r.kind.is_some_and(|k| k != 2) && r.word != "w1"
    }),
];

/// What all questions have in common.
struct Question<'w> {
    world: &'w World,
    rows: Vec<Row>,
    target: Target,
    filter: Option<Bytes>,
    what: String,
}

pub(crate) fn any(world: &World, at: usize, rng: &mut StdRng, seed: u64) {
    let partitions = match rng.random_range(0..3) {
        0 => vec![PartitionId(rng.random_range(1..3))],
        _ => Vec::new(),
    };
    let filter = rng.random_range(0..FILTERS.len());
    let question = Question::new(world, at, partitions, filter, &format!("seed {seed}"));
    match rng.random_range(0..6) {
        0..=2 => question.search(rng),
        3 => question.query(rng),
        4 => question.aggregate(),
        _ => question.count(),
    }
}

/// Counts what each filter keeps after the last write.
pub(crate) fn counts(world: &World) {
    for filter in 0..FILTERS.len() {
        Question::new(world, world.snapshots.len() - 1, Vec::new(), filter, "many rows").count();
    }
}

fn random_group(rng: &mut StdRng) -> GroupBy {
    let field = [KIND, WORD][rng.random_range(0..2)];
    GroupBy { field, size: rng.random_range(1..4), only: None }
}

/// The newest row of each key, by key.
fn newest(rows: &[Row]) -> Vec<Row> {
    let by_key: BTreeMap<i64, &Row> = rows.iter().map(|row| (row.pk, row)).collect();
    by_key.into_values().cloned().collect()
}

fn longs(column: &Column) -> Vec<Option<i64>> {
    let Values::Long(values) = &column.values else { panic!("{column:?} holds no Int64") };
    values.iter().enumerate().map(|(at, v)| column.is_valid(at).then_some(*v)).collect()
}

impl<'w> Question<'w> {
    /// At the time after a write, about what a filter keeps of some partitions.
    fn new(
        world: &'w World,
        at: usize,
        partitions: Vec<PartitionId>,
        filter: usize,
        what: &str,
    ) -> Question<'w> {
        let (time, snapshot) = &world.snapshots[at];
        let last = at + 1 == world.snapshots.len();
        let guarantee = if last { Guarantee::AtLeast(*time) } else { Guarantee::Pinned(*time) };
        let (text, keep) = FILTERS[filter];
        let covered = |row: &&Row| partitions.is_empty() || partitions.contains(&row.partition);
        let rows = snapshot.iter().filter(covered).filter(|row| keep(row)).cloned().collect();
        let plan = || millstream_expr::parse(text, &schema()).unwrap().encode().into();
        let what = format!("{what}, after write {at}, {partitions:?}, filter {text:?}");
        let channels: Vec<ChannelId> = (0..crate::SHARDS).map(ChannelId).collect();
        let target = Target {
            collection: COLLECTION,
            channels: channels.clone(),
            partitions,
            guarantee,
            known_at: Timestamp::MIN,
            timeout_ms: 1_000,
        };
        world.writer.tick(&channels, *time);
        let filter = (!text.is_empty()).then(plan);
        Question { world, rows, target, filter, what }
    }

    fn search(self, rng: &mut StdRng) {
        let (field, data_type, metrics) = VECTORS[rng.random_range(0..VECTORS.len())];
        let metric = metrics[rng.random_range(0..metrics.len())];
        let nq = [1, 1, 2, 9][rng.random_range(0..4)];
        let queries: Vec<_> = (0..nq).map(|_| random_vector(rng)).collect();
        let larger = metric.larger_is_better();
        let exact = matches!(metric, Metric::L2 | Metric::Ip | Metric::Hamming);
        let bounds = if exact && rng.random_range(0..3) == 0 {
            let (a, b) = (rng.random_range(0..20), rng.random_range(0..20));
            let (best, worst) = if larger { (a.max(b), a.min(b)) } else { (a.min(b), a.max(b)) };
            let bound = |score: i32, inclusive| Some(Bound { score: score as f32, inclusive });
            Bounds { best: bound(best, rng.random()), worst: bound(worst, rng.random()) }
        } else {
            Bounds::default()
        };
        let group = match rng.random_range(0..3) {
            0 if exact => Some(random_group(rng)),
            _ => None,
        };
        let topk = rng.random_range(1..25);
        let of = format!("{metric:?} over {data_type:?}, {topk}, {bounds:?}, {group:?}");
        let what = format!("{}: {of}", self.what);
        let request = SearchRequest {
            target: self.target,
            field,
            metric,
            dim: if data_type == DataType::SparseFloatVector { 0 } else { DIM as u32 },
            queries: wire(data_type, &queries),
            topk,
            bounds,
            group: group.clone(),
            text: None,
            filter: self.filter,
            ef: None,
            nprobe: None,
            reorder_k: None,
            index: None,
            output: vec![PK, field, KIND],
        };
        let reply = block_on(self.world.dataflow.search(request)).unwrap();
        assert_eq!(reply.pks.values, reply.columns[0].values, "{what}");
        let rows = newest(&self.rows);
        let mut at = 0;
        for (query, &count) in queries.iter().zip(&reply.hits) {
            let span = at..at + count as usize;
            at = span.end;
            let pks: Vec<i64> = longs(&reply.pks)[span.clone()].iter().flatten().copied().collect();
            let scores = &reply.scores[span];
            let mut hits: Vec<(f64, &Row)> = rows
                .iter()
                .filter_map(|row| Some((score(data_type, metric, query, &row.vector)?, row)))
                .filter(|(score, _)| within(*score, &bounds, larger))
                .collect();
            hits.sort_by(|a, b| {
                let order = a.0.total_cmp(&b.0);
                let order = if larger { order.reverse() } else { order };
                order.then(a.1.pk.cmp(&b.1.pk))
            });
            let hits = match &group {
                Some(group) => grouped(&hits, group, topk as usize),
                None => hits.into_iter().take(topk as usize).collect(),
            };
            check(&what, &hits, &pks, scores, exact);
            for (row, pk) in pks.iter().enumerate() {
                let model = rows.iter().find(|r| r.pk == *pk).unwrap();
                let kind = longs(&reply.columns[2])[at - pks.len() + row];
                assert_eq!(kind, model.kind, "{what}: the output follows its row");
            }
        }
    }

    fn query(self, rng: &mut StdRng) {
        let step = |field, rng: &mut StdRng| OrderBy {
            field,
            descending: rng.random(),
            nulls_first: rng.random(),
        };
        let order = match rng.random_range(0..3) {
            0 => vec![step(KIND, rng), step(WORD, rng)],
            1 => vec![step(WORD, rng)],
            _ => Vec::new(),
        };
        let (offset, limit) = (rng.random_range(0..8), rng.random_range(0..30));
        let keys: Option<Vec<i64>> = rng
            .random_range(0..2)
            .eq(&0)
            .then(|| (0..12).map(|_| rng.random_range(-3..65)).collect());
        let mut rows = self.rows.clone();
        if let Some(keys) = &keys {
            rows.retain(|row| keys.contains(&row.pk));
        }
        let mut rows = newest(&rows);
        rows.sort_by(|a, b| {
            let steps = order.iter().map(|step| compare(step, a, b));
            steps.into_iter().find(|o| o.is_ne()).unwrap_or(Ordering::Equal).then(a.pk.cmp(&b.pk))
        });
        let rows: Vec<&Row> = rows.iter().skip(offset).take(limit).collect();
        let what = format!("{}: {order:?}, {offset}, {limit}, {keys:?}", self.what);
        let floats = VECTORS[0].0;
        let request = QueryRequest {
            target: self.target,
            filter: self.filter,
            keys: keys.map(KeyList::Int),
            output: vec![PK, KIND, WORD, floats],
            order,
            offset: offset as u64,
            limit: Some(limit as u64),
        };
        let reply = block_on(self.world.dataflow.query(request)).unwrap();
        let pks: Vec<Option<i64>> = rows.iter().map(|row| Some(row.pk)).collect();
        assert_eq!(longs(&reply.columns[0]), pks, "{what}");
        let kinds: Vec<Option<i64>> = rows.iter().map(|row| row.kind).collect();
        assert_eq!(longs(&reply.columns[1]), kinds, "{what}");
        let words = rows.iter().map(|row| row.word.clone()).collect();
        assert_eq!(reply.columns[2].values, Values::Text(words), "{what}");
        let data: Vec<u8> =
            rows.iter().flat_map(|row| encoded(DataType::FloatVector, &row.vector)).collect();
        let vectors = Values::FloatVector { dim: DIM as u32, data: data.into() };
        assert_eq!(reply.columns[3].values, vectors, "{what}");
    }

    fn aggregate(self) {
        let of = |op, field: Option<FieldId>| Aggregate { op, field };
        let request = AggregateRequest {
            target: self.target,
            filter: self.filter,
            group: vec![WORD],
            aggregates: vec![
                of(AggregateOp::Count, None),
                of(AggregateOp::Count, Some(KIND)),
                of(AggregateOp::Sum, Some(KIND)),
                of(AggregateOp::Min, Some(PK)),
                of(AggregateOp::Max, Some(KIND)),
                of(AggregateOp::Avg, Some(PK)),
            ],
            order: vec![OrderBy { field: WORD, descending: true, nulls_first: false }],
            offset: 0,
            limit: None,
        };
        let reply = block_on(self.world.dataflow.aggregate(request)).unwrap();
        let mut groups: BTreeMap<&str, Vec<&Row>> = BTreeMap::new();
        self.rows.iter().for_each(|row| groups.entry(&row.word).or_default().push(row));
        let groups: Vec<(&str, Vec<&Row>)> = groups.into_iter().rev().collect();
        let what = &self.what;
        let words = groups.iter().map(|(word, _)| (*word).to_owned()).collect();
        assert_eq!(reply.group[0].values, Values::Text(words), "{what}");
        let each = |f: fn(&[&Row]) -> Option<i64>| -> Vec<Option<i64>> {
            groups.iter().map(|(_, rows)| f(rows)).collect()
        };
        let kinds = |rows: &[&Row]| rows.iter().filter_map(|r| r.kind).collect::<Vec<i64>>();
        let want = [
            each(|rows| Some(rows.len() as i64)),
            each(|rows| Some(rows.iter().filter(|r| r.kind.is_some()).count() as i64)),
            each(|rows| {
                rows.iter().filter_map(|r| r.kind).fold(None, |sum, k| Some(sum.unwrap_or(0) + k))
            }),
            each(|rows| rows.iter().map(|r| r.pk).min()),
            each(|rows| rows.iter().filter_map(|r| r.kind).max()),
        ];
        assert!(groups.iter().all(|(_, rows)| kinds(rows).len() <= rows.len()));
        for (column, want) in reply.aggregates.iter().zip(want) {
            assert_eq!(longs(column), want, "{what}");
        }
        let Values::Double(means) = &reply.aggregates[5].values else { panic!("{what}") };
        for (mean, (_, rows)) in means.iter().zip(&groups) {
            let want = rows.iter().map(|r| r.pk).sum::<i64>() as f64 / rows.len() as f64;
            assert!((mean - want).abs() < 1e-9, "{what}");
        }
    }

    fn count(self) {
        let request = CountRequest { target: self.target, filter: self.filter };
        let reply = block_on(self.world.dataflow.count(request)).unwrap();
        assert_eq!(reply.rows, self.rows.len() as u64, "{}", self.what);
    }
}

fn wire(data_type: DataType, queries: &[[u8; DIM]]) -> QueryVectors {
    let cells = queries.iter().map(|query| encoded(data_type, query));
    match data_type {
        DataType::FloatVector => {
            QueryVectors::Float(queries.iter().flatten().map(|&x| f32::from(x)).collect())
        }
        DataType::SparseFloatVector => QueryVectors::Sparse(cells.map(Bytes::from).collect()),
        _ => QueryVectors::Bytes(cells.flatten().collect::<Vec<u8>>().into()),
    }
}

fn within(score: f64, bounds: &Bounds, larger: bool) -> bool {
    let side = |bound: &Option<Bound>, better: bool| match bound {
        None => true,
        Some(bound) => {
            let edge = f64::from(bound.score);
            let inside = if better == larger { score < edge } else { score > edge };
            inside || (bound.inclusive && score == edge)
        }
    };
    side(&bounds.best, true) && side(&bounds.worst, false)
}

/// The best groups of hits, group by group.
fn grouped<'r>(hits: &[(f64, &'r Row)], by: &GroupBy, topk: usize) -> Vec<(f64, &'r Row)> {
    let value = |row: &Row| match by.field {
        KIND => row.kind.map_or("null".to_owned(), |kind| kind.to_string()),
        _ => row.word.clone(),
    };
    let mut groups: Vec<(String, Vec<(f64, &Row)>)> = Vec::new();
    for hit in hits {
        let value = value(hit.1);
        match groups.iter_mut().find(|(group, _)| *group == value) {
            Some((_, members)) => members.push(*hit),
            None => groups.push((value, vec![*hit])),
        }
    }
    let members = |(_, members): (String, Vec<(f64, &'r Row)>)| {
        members.into_iter().take(by.size as usize).collect::<Vec<_>>()
    };
    groups.into_iter().take(topk).flat_map(members).collect()
}

/// Scores must be those of the model; where these are exact, so must the hits be.
fn check(what: &str, want: &[(f64, &Row)], pks: &[i64], scores: &[f32], exact: bool) {
    assert_eq!(pks.len(), want.len(), "{what}: {pks:?}");
    for (at, (score, row)) in want.iter().enumerate() {
        let got = f64::from(scores[at]);
        assert!((got - score).abs() < 1e-5, "{what}: hit {at} scores {got}, not {score}");
        if exact {
            assert_eq!(pks[at], row.pk, "{what}: hit {at}");
        }
    }
    let mut different = pks.to_vec();
    different.sort_unstable();
    different.dedup();
    assert_eq!(different.len(), pks.len(), "{what}: a key comes once");
}

fn compare(step: &OrderBy, a: &Row, b: &Row) -> Ordering {
    let order = match step.field {
        WORD => a.word.cmp(&b.word),
        _ => match (a.kind, b.kind) {
            (Some(a), Some(b)) => a.cmp(&b),
            (a, b) if step.nulls_first => return a.is_some().cmp(&b.is_some()),
            (a, b) => return b.is_some().cmp(&a.is_some()),
        },
    };
    if step.descending { order.reverse() } else { order }
}
