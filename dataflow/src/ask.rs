//! The messages of the read dataflow: tasks to the workers that own the shards, parts back.

use std::sync::Arc;

use millstream_catalog::model::{Fault, PartitionId, Timestamp, VChannel};
use serde::{Deserialize, Serialize};

use crate::api::{
    AggregateReply, AggregateRequest, CountReply, CountRequest, QueryReply, QueryRequest,
    SearchReply, SearchRequest, Target, TextStatistics,
};
use crate::part::{AggregatePart, CountPart, QueryPart, SearchPart, StatisticsPart};

/// A read.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Ask {
    Search(SearchRequest),
    Query(QueryRequest),
    Count(CountRequest),
    Aggregate(AggregateRequest),
    /// What BM25 must know before the search itself.
    Statistics(SearchRequest),
}

/// The answer to a read.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    Search(SearchReply),
    Query(QueryReply),
    Count(CountReply),
    Aggregate(AggregateReply),
    Statistics(Timestamp, Vec<TextStatistics>),
}

impl Ask {
    pub(crate) fn target(&self) -> &Target {
        match self {
            Ask::Search(search) | Ask::Statistics(search) => &search.target,
            Ask::Query(query) => &query.target,
            Ask::Count(count) => &count.target,
            Ask::Aggregate(aggregate) => &aggregate.target,
        }
    }

    /// The partitions whose rows are looked at; all when empty.
    pub(crate) fn partitions(&self) -> &[PartitionId] {
        match self {
            // Statistics are of the whole collection.
            Ask::Statistics(_) => &[],
            other => &other.target().partitions,
        }
    }
}

/// One worker's share of a read.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Task {
    /// Number of the caller at its origin.
    pub(crate) id: u64,
    /// The worker that merges.
    pub(crate) origin: usize,
    /// The worker that owns the shards.
    pub(crate) to: usize,
    /// How many workers have a share.
    pub(crate) targets: usize,
    /// The time of the read, chosen once.
    pub(crate) as_of: Timestamp,
    pub(crate) ask: Arc<Ask>,
    /// The shards of the share.
    pub(crate) shards: Vec<u16>,
}

impl Task {
    pub(crate) fn vchannels(&self) -> impl Iterator<Item = (VChannel, usize)> + '_ {
        let target = self.ask.target();
        self.shards.iter().filter_map(|&shard| {
            let channel = target.channels.get(usize::from(shard))?;
            let vchannel = VChannel { collection: target.collection, shard };
            Some((vchannel, usize::from(channel.0)))
        })
    }
}

/// What a share found.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Found {
    Search(SearchPart),
    Query(QueryPart),
    Count(CountPart),
    Aggregate(AggregatePart),
    Statistics(StatisticsPart),
}

/// The answer to a task.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Part {
    pub(crate) id: u64,
    pub(crate) origin: usize,
    pub(crate) targets: usize,
    pub(crate) as_of: Timestamp,
    pub(crate) found: Result<Found, Fault>,
}

/// Joins the parts of a read into its answer.
pub(crate) fn join(ask: &Ask, as_of: Timestamp, parts: Vec<Found>) -> Result<Reply, Fault> {
    macro_rules! of {
        ($variant:ident) => {
            parts
                .into_iter()
                .filter_map(|part| match part {
                    Found::$variant(part) => Some(part),
                    _ => None,
                })
                .collect::<Vec<_>>()
        };
    }
    Ok(match ask {
        Ask::Search(request) => {
            let whole = SearchPart::merge(of!(Search), request);
            let reply = whole.reply(as_of);
            Reply::Search(reply.ok_or_else(|| Fault::internal("a search without any part"))?)
        }
        Ask::Query(request) => {
            let most = request.limit.map(|limit| limit.saturating_add(request.offset));
            Reply::Query(
                QueryPart::merge(of!(Query), &request.order, most).reply(as_of, request.offset),
            )
        }
        Ask::Count(_) => {
            let rows = of!(Count).iter().map(|part| part.rows).sum();
            Reply::Count(CountReply { as_of, rows })
        }
        Ask::Aggregate(request) => {
            let whole = AggregatePart::merge(of!(Aggregate), &request.aggregates)?;
            Reply::Aggregate(whole.reply(request, as_of)?)
        }
        Ask::Statistics(_) => {
            let sums = StatisticsPart::merge(of!(Statistics));
            Reply::Statistics(as_of, sums.of_queries)
        }
    })
}
