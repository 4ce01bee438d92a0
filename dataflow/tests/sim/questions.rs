//! What clients of the simulation ask: through the dataflow, and of the oracle.

use millstream_catalog::model::{Fault, Metric, Timestamp};
use millstream_dataflow::Dataflow;
use millstream_dataflow::api::{
    Bounds, Column, CountRequest, Guarantee, KeyList, QueryReply, QueryRequest, QueryVectors,
    SearchRequest, Target, Values,
};

use crate::oracle::{Oracle, Row as OracleRow};
use crate::requests::{DIM, NOTE, PLACES, RANK, TOKEN, VECTOR, filter, plan};

/// Token, note and rank of a row.
type Row = (i64, Option<String>, i32);

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Question {
    Search { divisor: Option<i64>, query: [f32; DIM as usize], topk: u32 },
    Query { divisor: Option<i64>, offset: u64, limit: Option<u64> },
    Count { divisor: Option<i64> },
    Keys { keys: Vec<i64> },
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Answer {
    Hits(Vec<(i64, f32)>),
    Rows(Vec<Row>),
    Count(u64),
}

pub(crate) fn expected(
    oracle: &Oracle,
    place: usize,
    question: &Question,
    at: Timestamp,
) -> Answer {
    match question {
        Question::Search { divisor, query, topk } => {
            Answer::Hits(oracle.nearest(place, at.0, *divisor, query, *topk as usize))
        }
        Question::Query { divisor, offset, limit } => {
            let rows = oracle.newest(place, at.0, *divisor);
            let rows = rows.into_iter().map(row).skip(*offset as usize);
            let limit = limit.map_or(usize::MAX, |l| l as usize);
            Answer::Rows(rows.take(limit).collect())
        }
        Question::Count { divisor } => {
            Answer::Count(oracle.visible(place, at.0, *divisor).len() as u64)
        }
        Question::Keys { keys } => {
            let rows = oracle.newest(place, at.0, None);
            Answer::Rows(rows.into_iter().filter(|r| keys.contains(&r.pk)).map(row).collect())
        }
    }
}

fn row(row: &OracleRow) -> Row {
    (row.token, row.note.clone(), row.rank)
}

pub(crate) async fn ask(
    dataflow: Dataflow,
    place: usize,
    question: Question,
    guarantee: Guarantee,
    known_at: Timestamp,
) -> Result<(Timestamp, Answer), Fault> {
    let place = &PLACES[place];
    let target = Target {
        collection: place.id,
        channels: place.channels.to_vec(),
        partitions: Vec::new(),
        guarantee,
        known_at,
        timeout_ms: 1_000,
    };
    let encoded = |divisor: Option<i64>| divisor.map(|d| plan(&filter(d)));
    match question {
        Question::Search { divisor, query, topk } => {
            let request = SearchRequest {
                target,
                field: VECTOR,
                metric: Metric::L2,
                dim: DIM,
                queries: QueryVectors::Float(query.as_slice().into()),
                topk,
                bounds: Bounds::default(),
                group: None,
                text: None,
                filter: encoded(divisor),
                ef: None,
                nprobe: None,
                reorder_k: None,
                index: None,
                output: Vec::new(),
            };
            let reply = dataflow.search(request).await?;
            let Values::Long(pks) = reply.pks.values else { panic!("keys are Int64") };
            Ok((reply.as_of, Answer::Hits(pks.into_iter().zip(reply.scores).collect())))
        }
        Question::Query { divisor, offset, limit } => {
            let filter = encoded(divisor);
            let request = QueryRequest { filter, offset, limit, ..all_rows(target) };
            Ok(rows(dataflow.query(request).await?))
        }
        Question::Keys { keys } => {
            let keys = Some(KeyList::Int(keys));
            Ok(rows(dataflow.query(QueryRequest { keys, ..all_rows(target) }).await?))
        }
        Question::Count { divisor } => {
            let reply = dataflow.count(CountRequest { target, filter: encoded(divisor) }).await?;
            Ok((reply.as_of, Answer::Count(reply.rows)))
        }
    }
}

fn all_rows(target: Target) -> QueryRequest {
    QueryRequest {
        target,
        filter: None,
        keys: None,
        output: vec![TOKEN, NOTE, RANK],
        order: Vec::new(),
        offset: 0,
        limit: None,
    }
}

fn rows(reply: QueryReply) -> (Timestamp, Answer) {
    let [tokens, notes, ranks] = <[Column; 3]>::try_from(reply.columns).expect("three columns");
    let Values::Long(tokens) = tokens.values else { panic!("tokens are Int64") };
    let Values::Text(texts) = notes.values else { panic!("notes are VarChar") };
    let Values::Int(rank_values) = ranks.values else { panic!("ranks are Int32") };
    assert!(ranks.validity.is_none_or(|valid| valid.iter().all(|v| *v)), "ranks are never null");
    let valid = notes.validity.unwrap_or_else(|| vec![true; texts.len()]);
    let notes = texts.into_iter().zip(valid).map(|(text, valid)| {
        assert!(valid || text.is_empty());
        valid.then_some(text)
    });
    let rows = tokens.into_iter().zip(notes).zip(rank_values);
    (reply.as_of, Answer::Rows(rows.map(|((token, note), rank)| (token, note, rank)).collect()))
}
