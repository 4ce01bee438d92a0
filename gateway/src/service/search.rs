//! Search: nearest neighbours.

use std::sync::Arc;
use std::time::Instant;

use millstream_catalog::model::{Code, Collection, Fault, FieldId, PartitionId};
use millstream_dataflow::api::{
    Bound, Bounds, Guarantee, KeyList, QueryVectors, SearchReply, SearchRequest, Target, TextRank,
};

use super::{Context, admit, by_keys, hits, keys, read};
use crate::convert::index::spec_of;
use crate::convert::output::Output;
use crate::convert::placeholder;
use crate::convert::schema::primary_field;
use crate::convert::search::{
    Page, SearchParams, check_same_collection, check_tuning, metric_of, new_token, search_params,
    vector_field,
};
use crate::convert::status::success;
use crate::dml;
use crate::gateway::Gateway;
use crate::guarantee::Asked;
use crate::names;
use crate::pb;
use crate::pb::common::DslType;
use crate::pb::schema::{FunctionScore, SearchIteratorV2Results};
use crate::pb::search_request::SearchInput;
use crate::telemetry::Kind;

/// The most hits with the last score of a page of an iterator.
///
/// A page ends with a whole score: all that a client sends back of the place where it stands is one
/// score, under a name that stays the same, and there is no state of clients to keep a key in.
const TIES_MAX: u32 = 1 << 18;

/// What is searched for.
pub(super) enum Wanted {
    /// Vectors or texts.
    Queries(QueryVectors),
    /// What rows are near to the rows of these keys.
    Like(KeyList),
}

/// A search, ready but for its time and rows.
pub(super) struct Question {
    /// The primary key.
    pk: FieldId,
    /// The partitions that may be searched; those of the request are the ones that the filter
    /// leaves.
    partitions: Vec<PartitionId>,
    pub(super) params: SearchParams,
    pub(super) wanted: Wanted,
    pub(super) nq: usize,
    pub(super) request: SearchRequest,
}

pub(super) async fn search(
    gateway: &Arc<Gateway>,
    context: &Context,
    mut request: pb::SearchRequest,
) -> Result<pb::SearchResults, Fault> {
    let begun = Instant::now();
    names::check_collection(&request.collection_name)?;
    let database = context.database(&request.db_name);
    let collection = gateway.collection(database, &request.collection_name).await?;
    let named = (&*collection, &*request.partition_names);
    admit::search(gateway, database, named, request.nq).await?;
    check_supported(&request)?;
    check_function(request.function_score.as_ref())?;
    let params = search_params(&request.search_params, None)?;
    check_same_collection(&collection, params.collection_id)?;
    let asked = Asked {
        level: request.consistency_level,
        use_default: request.use_default_consistency,
        guarantee_ts: request.guarantee_timestamp,
        travel_ts: request.travel_timestamp,
        iterator: params.iterator,
    };
    let partitions = read::partitions(&collection, &request.partition_names)
        .map_err(|fault| prefix_not_loaded(fault, "failed to search: "))?;
    let (target, needed) = read::begin(gateway, context, &collection, asked, partitions).await?;
    let output = Output::resolve(&collection.schema, &request.output_fields)?;
    let question = question(&collection, target, params, &mut request, &output)?;
    let nq = question.nq;
    let (iterator, round_decimal) = (question.params.iterator, question.params.round_decimal);
    let offset = question.params.offset;
    let page = question.params.page.clone();
    let answer = ask(gateway, question);
    let mut reply =
        gateway.closer.read(&collection.channels, needed, context.timeout(), answer).await?;
    let session_ts = if iterator { reply.as_of.0 } else { 0 };
    let place = page.map(|page| place_of(page, &reply));
    hits::skip(&mut reply, offset);
    hits::round(&mut reply.scores, round_decimal);
    let mut results = hits::results(&collection, &output, reply)?;
    results.search_iterator_v2_results = place;
    gateway.telemetry.searched(&collection.name, nq as u64);
    gateway.telemetry.took(Kind::Search, begun.elapsed());
    Ok(pb::SearchResults {
        status: Some(success()),
        results: Some(results),
        collection_name: request.collection_name,
        session_ts,
    })
}

/// What a search request asks the workers.
pub(super) fn question(
    collection: &Collection,
    target: Target,
    params: SearchParams,
    request: &mut pb::SearchRequest,
    output: &Output,
) -> Result<Question, Fault> {
    let field = vector_field(collection, &params.anns_field)?;
    let metric = metric_of(collection, field, params.metric.as_deref())?;
    let index = collection.index_on(field.id);
    let index_type = index.and_then(|index| index.param("index_type")).unwrap_or_default();
    let unnumbered = params.radius.is_some() || params.page.is_some();
    let k = (!unnumbered).then_some(params.topk + params.offset);
    check_tuning(index_type, &params.tuning, k)?;
    let (wanted, nq) = match request.search_input.take() {
        Some(SearchInput::PlaceholderGroup(bytes)) => {
            let (queries, nq) = placeholder::queries(field, &bytes, request.nq)?;
            (Wanted::Queries(queries), nq)
        }
        Some(SearchInput::Ids(ids)) => {
            let keys = by_keys::keys(&collection.schema, field, ids)?;
            let nq = keys.len();
            (Wanted::Like(keys), nq)
        }
        None => return Err(Fault::invalid("placeholder_group is missing")),
    };
    if params.page.is_some() && nq != 1 {
        let text = "search iterator v2 takes one query";
        return Err(Fault::expected(text, 1, nq));
    }
    let values = std::mem::take(&mut request.expr_template_values);
    let filter = read::filter(collection, &request.dsl, values)?;
    keys::check_isolated(collection, filter.as_ref())?;
    let partitions = target.partitions.clone();
    let left = dml::pruned(collection, target.partitions, filter.as_ref())?;
    let target = Target { partitions: left, ..target };
    let bounds = params.bounds(metric)?;
    let text = field.is_function_output.then(|| {
        let number = |key: &str, default: f32| {
            let given = index.and_then(|index| index.param(key));
            given.and_then(|text| text.trim().parse().ok()).unwrap_or(default)
        };
        let (k1, b) = (number("bm25_k1", 1.2), number("bm25_b", 0.75));
        TextRank { k1, b, statistics: Vec::new() }
    });
    let group = read::group_by(collection, params.group.as_ref())?;
    let in_pages = params.page.is_some() || params.iterator;
    let searched = index.filter(|index| !in_pages && spec_of(field, index).is_some());
    let searched = searched.map(|index| index.id);
    let request = SearchRequest {
        target,
        field: field.id,
        metric,
        dim: field.dim,
        queries: QueryVectors::Text(Vec::new()),
        topk: params.page.as_ref().map_or(params.topk + params.offset, |page| page.size),
        bounds,
        group,
        text,
        filter: filter.map(|plan| plan.encode().into()),
        ef: params.ef(),
        nprobe: params.nprobe(),
        reorder_k: params.reorder_k(),
        index: searched,
        output: output.fields.clone(),
    };
    let pk = primary_field(&collection.schema)?.id;
    Ok(Question { pk, partitions, params, wanted, nq, request })
}

/// Asks the workers, once or several times at one time.
pub(super) async fn ask(gateway: &Gateway, question: Question) -> Result<SearchReply, Fault> {
    let Question { pk, partitions, params, wanted, mut request, .. } = question;
    request.queries = match wanted {
        Wanted::Queries(queries) => queries,
        Wanted::Like(keys) => {
            let at = gateway.dataflow.time_of(&request.target);
            request.target.guarantee = Guarantee::Pinned(at);
            let fields = [pk, request.field];
            // The rows that are asked with need not match the filter.
            let target = Target { partitions, ..request.target.clone() };
            by_keys::vectors(gateway, &target, &fields, keys).await?
        }
    };
    match params.page {
        Some(page) => ask_page(gateway, request, &page).await,
        None => gateway.dataflow.search(request).await,
    }
}

/// A page holds all hits of its last score, or the next page, which begins behind that score, would
/// miss some.
async fn ask_page(
    gateway: &Gateway,
    request: SearchRequest,
    page: &Page,
) -> Result<SearchReply, Fault> {
    let size = page.size as usize;
    let one_more = SearchRequest { topk: page.size + 1, ..request.clone() };
    let mut reply = gateway.dataflow.search(one_more).await?;
    if reply.scores.len() <= size {
        return Ok(reply);
    }
    let last = reply.scores[size - 1];
    let kept = if reply.scores[size] == last {
        reply.scores.iter().filter(|score| **score != last).count()
    } else {
        size
    };
    truncate(&mut reply, kept);
    if kept == size {
        return Ok(reply);
    }
    let bound = Some(Bound { score: last, inclusive: true });
    let mut target = request.target.clone();
    target.guarantee = Guarantee::Pinned(reply.as_of);
    let equal = SearchRequest {
        target,
        topk: TIES_MAX + 1,
        bounds: Bounds { best: bound, worst: bound },
        ..request
    };
    let equal = gateway.dataflow.search(equal).await?;
    check_ties(equal.scores.len(), last)?;
    Ok(append(reply, equal))
}

/// Refuses a page that would end with too many hits of one score.
fn check_ties(hits: usize, score: f32) -> Result<(), Fault> {
    if hits <= TIES_MAX as usize {
        return Ok(());
    }
    let text = format!(
        "more than {TIES_MAX} rows have the score {score} at which a page of the iterator ends, \
         and a page holds all rows of its last score: filter the search"
    );
    Err(Fault::new(Code::ParameterTooLarge, text))
}

fn truncate(reply: &mut SearchReply, rows: usize) {
    let keep: Vec<bool> = (0..reply.scores.len()).map(|row| row < rows).collect();
    reply.scores.truncate(rows);
    reply.hits = vec![rows as u32];
    reply.pks.retain(&keep);
    reply.columns.iter_mut().for_each(|column| column.retain(&keep));
}

/// The hits of one query behind each other.
fn append(mut first: SearchReply, second: SearchReply) -> SearchReply {
    first.scores.extend(second.scores);
    first.hits = vec![first.scores.len() as u32];
    first.pks = first.pks.followed_by(&second.pks);
    let columns = first.columns.iter().zip(&second.columns);
    first.columns = columns.map(|(a, b)| a.followed_by(b)).collect();
    first
}

/// Where an iterator stands after a page.
fn place_of(page: Page, reply: &SearchReply) -> SearchIteratorV2Results {
    let token = page.token.unwrap_or_else(|| new_token(rand::random()));
    let last_bound = reply.scores.last().copied().or(page.after).unwrap_or(0.0);
    SearchIteratorV2Results { token, last_bound }
}

/// Refuses what would change the answer and is not done.
pub(super) fn check_supported(request: &pb::SearchRequest) -> Result<(), Fault> {
    read::check_namespace(request.namespace.as_ref())?;
    let refused = if !request.function_chains.is_empty() {
        "re-ranking by chains of functions"
    } else if request.highlighter.is_some() {
        "highlighting"
    } else if request.search_aggregation.is_some() {
        "aggregation over search results"
    } else if !request.sub_reqs.is_empty() {
        "searching several requests at once"
    } else if !request.dsl.trim().is_empty() && request.dsl_type != DslType::BoolExprV1 as i32 {
        "the old filter language"
    } else {
        return Ok(());
    };
    Err(Fault::invalid(format!("{refused} is not supported yet")))
}

/// Functions that score the hits of a single search anew.
fn check_function(score: Option<&FunctionScore>) -> Result<(), Fault> {
    let Some(function) = score.and_then(|score| score.functions.first()) else { return Ok(()) };
    let reranker = function.params.iter().find(|p| p.key == "reranker");
    let reranker = reranker.map_or("", |pair| pair.value.as_str());
    Err(Fault::invalid(format!(
        "rerank function {} ({reranker}) is not supported yet outside of a hybrid search",
        function.name
    )))
}

/// Reads that find their collection not loaded say what failed.
pub(super) fn prefix_not_loaded(fault: Fault, prefix: &str) -> Fault {
    match fault.code {
        Code::CollectionNotLoaded | Code::PartitionNotLoaded => fault.prefixed(prefix),
        _ => fault,
    }
}
