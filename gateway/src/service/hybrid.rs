//! Hybrid search: several searches at one time, ranked into one list.

use std::hash::Hash;
use std::sync::Arc;
use std::time::Instant;

use futures::future::try_join_all;
use millstream_catalog::model::{Code, Collection, Fault, Metric};
use millstream_dataflow::api::{Column, Guarantee, KeyList, SearchReply, Target, Values};

use super::ranking::{self, Found, Ranked};
use super::search::{Question, ask, check_supported, prefix_not_loaded, question};
use super::{Context, admit, by_keys, hits, read};
use crate::convert::output::Output;
use crate::convert::rank::{RankParams, rank_params};
use crate::convert::schema::primary_field;
use crate::convert::search::{SearchParams, check_group_range, search_params};
use crate::convert::status::success;
use crate::gateway::Gateway;
use crate::guarantee::Asked;
use crate::names;
use crate::pb;
use crate::telemetry::Kind;

/// The most searches of one hybrid search.
const SEARCHES_MAX: usize = 1_024;
/// The most hits of all searches together, before they are ranked.
const HITS_MAX: usize = 1 << 22;

pub(super) async fn search(
    gateway: &Arc<Gateway>,
    context: &Context,
    mut request: pb::HybridSearchRequest,
) -> Result<pb::SearchResults, Fault> {
    let begun = Instant::now();
    names::check_collection(&request.collection_name)?;
    read::check_namespace(request.namespace.as_ref())?;
    if !request.function_chains.is_empty() {
        return Err(Fault::invalid("re-ranking by chains of functions is not supported yet"));
    }
    let database = context.database(&request.db_name);
    let collection = gateway.collection(database, &request.collection_name).await?;
    let each = request.requests.iter().map(|search| search.nq.max(1));
    let vectors = each.fold(0, i64::saturating_add);
    let named = (&*collection, &*request.partition_names);
    admit::search(gateway, database, named, vectors).await?;
    let searches = request.requests.len();
    if searches == 0 {
        return Err(Fault::invalid("a hybrid search needs at least one search request"));
    }
    if searches > SEARCHES_MAX {
        return Err(Fault::plain(format!(
            "maximum of ann search requests is {SEARCHES_MAX}, but got {searches}"
        )));
    }
    let ranks = rank_params(&request.rank_params, request.function_score.as_ref(), searches)?;
    let asked = Asked {
        level: request.consistency_level,
        use_default: request.use_default_consistency,
        guarantee_ts: request.guarantee_timestamp,
        travel_ts: request.travel_timestamp,
        iterator: false,
    };
    let partitions = read::partitions(&collection, &request.partition_names)
        .map_err(|fault| prefix_not_loaded(fault, "failed to search: "))?;
    let (target, needed) = read::begin(gateway, context, &collection, asked, partitions).await?;
    let output = Output::resolve(&collection.schema, &request.output_fields)?;
    let questions = questions(&collection, &target, &ranks, &mut request.requests)?;
    let nq = questions[0].nq;
    let answer = answer(gateway, &collection, target, questions, &ranks, &output);
    let mut reply =
        gateway.closer.read(&collection.channels, needed, context.timeout(), answer).await?;
    hits::round(&mut reply.scores, ranks.round_decimal);
    let results = hits::results(&collection, &output, reply)?;
    gateway.telemetry.searched(&collection.name, (nq * searches) as u64);
    gateway.telemetry.took(Kind::Search, begun.elapsed());
    Ok(pb::SearchResults {
        status: Some(success()),
        results: Some(results),
        collection_name: request.collection_name,
        session_ts: 0,
    })
}

/// The searches, each for as many hits as it asks for itself.
fn questions(
    collection: &Collection,
    target: &Target,
    ranks: &RankParams,
    requests: &mut [pb::SearchRequest],
) -> Result<Vec<Question>, Fault> {
    let mut questions: Vec<Question> = Vec::with_capacity(requests.len());
    let (mut most, nothing) = (0usize, Output::default());
    for request in requests {
        check_supported(request)?;
        let params = search_params(&request.search_params, Some(ranks.limit + ranks.offset))?;
        if params.page.is_some() || params.iterator {
            return Err(Fault::invalid("an iterator is not supported in a hybrid search"));
        }
        let params = SearchParams { group: ranks.group.clone(), ..params };
        check_group_range(&params)?;
        let question = question(collection, target.clone(), params, request, &nothing)?;
        if let Some(first) = questions.first().filter(|first| first.nq != question.nq) {
            let text = "all searches of a hybrid search must have the same number of queries";
            return Err(Fault::expected(text, first.nq, question.nq));
        }
        let size = ranks.group.as_ref().map_or(1, |group| group.size as usize);
        most = most.saturating_add(question.nq * question.request.topk as usize * size);
        questions.push(question);
    }
    if most > HITS_MAX {
        return Err(Fault::new(
            Code::ParameterTooLarge,
            format!(
                "a hybrid search may rank {HITS_MAX} hits, but its searches may find {most}: ask \
                 for fewer queries or hits"
            ),
        ));
    }
    Ok(questions)
}

/// Runs the searches at one time, ranks their hits, and fetches the rows of the best.
async fn answer(
    gateway: &Gateway,
    collection: &Collection,
    mut target: Target,
    questions: Vec<Question>,
    ranks: &RankParams,
    output: &Output,
) -> Result<SearchReply, Fault> {
    let as_of = gateway.dataflow.time_of(&target);
    target.guarantee = Guarantee::Pinned(as_of);
    let nq = questions.first().map_or(0, |question| question.nq);
    let metrics: Vec<Metric> = questions.iter().map(|q| q.request.metric).collect();
    let asked = questions.into_iter().map(|mut question| {
        question.request.target.guarantee = Guarantee::Pinned(as_of);
        ask(gateway, question)
    });
    let replies = try_join_all(asked).await?;
    let pk = primary_field(&collection.schema)?.id;
    let integers = replies.iter().all(|reply| matches!(reply.pks.values, Values::Long(_)));
    let (hits, keys, scores) = if integers {
        let key = |reply: &SearchReply, row: usize| match &reply.pks.values {
            Values::Long(keys) => keys[row],
            _ => 0,
        };
        let (hits, ranked) = ranked(&replies, &metrics, nq, ranks, key);
        let keys = ranked.iter().map(|hit| hit.key).collect();
        (hits, KeyList::Int(keys), ranked.iter().map(|hit| hit.score).collect())
    } else {
        let (hits, ranked) =
            ranked(&replies, &metrics, nq, ranks, |reply, row| match &reply.pks.values {
                Values::Text(keys) => keys[row].as_str(),
                _ => "",
            });
        let keys = ranked.iter().map(|hit| hit.key.to_owned()).collect();
        (hits, KeyList::Text(keys), ranked.iter().map(|hit: &Ranked<&str>| hit.score).collect())
    };
    let group = ranks.group.as_ref().and_then(|by| collection.schema.field(&by.field));
    let mut fields = vec![pk];
    fields.extend(group.map(|field| field.id));
    fields.extend(&output.fields);
    let (columns, rows) = by_keys::fetch(gateway, &target, &fields, &keys).await?;
    let rows: Option<Vec<u32>> = rows.into_iter().collect();
    let rows = rows.ok_or_else(|| Fault::internal("a row that was found is not there"))?;
    let mut columns = columns.iter().map(|column| column.take(&rows));
    let pks = columns.next().ok_or_else(|| Fault::internal("rows without keys"))?;
    let groups = group.and_then(|_| columns.next());
    Ok(SearchReply { as_of, hits, pks, scores, groups, columns: columns.collect() })
}

/// The best hits of every query, and how many each has.
fn ranked<'r, K: Copy + Ord + Hash>(
    replies: &'r [SearchReply],
    metrics: &[Metric],
    nq: usize,
    ranks: &RankParams,
    key: impl Fn(&'r SearchReply, usize) -> K,
) -> (Vec<u32>, Vec<Ranked<K>>) {
    let mut groups = Numbers::default();
    let mut starts = vec![0usize; replies.len()];
    let (mut counts, mut all) = (Vec::with_capacity(nq), Vec::new());
    let wanted = ranking::Wanted {
        limit: ranks.limit as usize,
        offset: ranks.offset as usize,
        group: ranks.group.as_ref().map(|group| ranking::Groups {
            size: group.size as usize,
            score: ranks.group_score,
            strict: group.strict,
        }),
    };
    for query in 0..nq {
        let mut found = Vec::with_capacity(replies.len());
        for ((reply, start), &metric) in replies.iter().zip(&mut starts).zip(metrics) {
            let count = reply.hits.get(query).copied().unwrap_or(0) as usize;
            let rows = *start..*start + count;
            *start = rows.end;
            let mut order: Vec<usize> = rows.clone().collect();
            if reply.groups.is_some() {
                // Hits come group by group; their ranks are those of their scores.
                let better = |a: f32, b: f32| match metric.larger_is_better() {
                    true => b.total_cmp(&a),
                    false => a.total_cmp(&b),
                };
                order.sort_by(|&a, &b| {
                    let by_score = better(reply.scores[a], reply.scores[b]);
                    by_score.then_with(|| key(reply, a).cmp(&key(reply, b)))
                });
            }
            found.push(Found {
                metric,
                keys: order.iter().map(|&row| key(reply, row)).collect(),
                scores: order.iter().map(|&row| reply.scores[row]).collect(),
                groups: match &reply.groups {
                    Some(column) => order.iter().map(|&row| groups.of(column, row)).collect(),
                    None => Vec::new(),
                },
            });
        }
        let best = ranking::rank(&found, &ranks.ranker, wanted);
        counts.push(best.len() as u32);
        all.extend(best);
    }
    (counts, all)
}

/// Numbers for the values that hits are grouped by.
#[derive(Default)]
struct Numbers(std::collections::HashMap<Option<Value>, u64>);

#[derive(PartialEq, Eq, Hash)]
enum Value {
    Int(i64),
    Text(String),
}

impl Numbers {
    fn of(&mut self, column: &Column, row: usize) -> u64 {
        let value = column.is_valid(row).then(|| match &column.values {
            Values::Bool(v) => Value::Int(i64::from(v[row])),
            Values::Int(v) => Value::Int(i64::from(v[row])),
            Values::Long(v) => Value::Int(v[row]),
            Values::Text(v) => Value::Text(v[row].clone()),
            _ => Value::Int(0),
        });
        let next = self.0.len() as u64;
        *self.0.entry(value).or_insert(next)
    }
}
