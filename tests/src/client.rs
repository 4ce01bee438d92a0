//! A plain client over the public gRPC API: thin, without retries, so that a test sees everything.

use std::net::SocketAddr;
use std::time::Duration;

use millstream_gateway::pb::common::{ConsistencyLevel, DslType, KeyValuePair, Status};
use millstream_gateway::pb::milvus_service_client::MilvusServiceClient;
use millstream_gateway::pb::schema::{CollectionSchema, FieldData, SearchResultData};
use millstream_gateway::pb::search_request::SearchInput;
use millstream_gateway::pb::{
    AllocTimestampRequest, CreateCollectionRequest, CreateIndexRequest, DeleteRequest,
    DropCollectionRequest, FlushRequest, FlushResponse, InsertRequest, LoadCollectionRequest,
    MutationResult, QueryRequest, QueryResults, SearchRequest, SearchResults, UpsertRequest,
};
use prost::Message;
use thiserror::Error;
use tonic::transport::{Channel, Endpoint};

use crate::rows::{pair, placeholders, plain_schema, read_longs};

/// Why a request has no answer.
#[derive(Clone, Debug, Error)]
pub enum Trouble {
    /// The server answered with an error: nothing happened.
    #[error("code {} ({}): {}", .0.code, .0.error_code, .0.reason)]
    Refused(Status),
    /// The transport failed: it may have happened or not.
    #[error("{0}")]
    Lost(#[from] Box<tonic::Status>),
}

impl Trouble {
    /// The server's code; 0 when the transport failed.
    pub fn code(&self) -> i32 {
        match self {
            Trouble::Refused(status) => status.code,
            Trouble::Lost(_) => 0,
        }
    }
}

/// An answer or the trouble.
pub type Answer<T> = Result<T, Trouble>;

/// A refusal as an error.
///
/// # Errors
/// When the status is one.
pub fn accept(status: Option<&Status>) -> Answer<()> {
    match status {
        Some(status) if status.code != 0 || status.error_code != 0 => {
            Err(Trouble::Refused(status.clone()))
        }
        _ => Ok(()),
    }
}

/// The message of a gRPC answer.
///
/// # Errors
/// When the call failed.
pub fn message<T>(answer: Result<tonic::Response<T>, tonic::Status>) -> Answer<T> {
    answer.map(tonic::Response::into_inner).map_err(|status| Trouble::Lost(Box::new(status)))
}

/// One connection. Clones share it.
#[derive(Clone, Debug)]
pub struct Client {
    rpc: MilvusServiceClient<Channel>,
}

impl Client {
    /// A client of a server; connects when first used, and again when the connection breaks.
    pub fn new(address: SocketAddr) -> Client {
        let endpoint = Endpoint::from_shared(format!("http://{address}")).expect("a valid address");
        let endpoint = endpoint
            .timeout(Duration::from_secs(20))
            .connect_timeout(Duration::from_secs(2))
            .tcp_nodelay(true);
        let rpc = MilvusServiceClient::new(endpoint.connect_lazy());
        Client {
            rpc: rpc.max_decoding_message_size(256 << 20).max_encoding_message_size(256 << 20),
        }
    }

    /// The generated client, for calls that have no method here.
    pub fn rpc(&self) -> MilvusServiceClient<Channel> {
        self.rpc.clone()
    }

    /// Creates a collection.
    ///
    /// # Errors
    /// As every call here: a refusal or a lost connection.
    pub async fn create(&self, schema: &CollectionSchema, shards: i32) -> Answer<()> {
        let request = CreateCollectionRequest {
            collection_name: schema.name.clone(),
            schema: schema.encode_to_vec().into(),
            shards_num: shards,
            consistency_level: ConsistencyLevel::Bounded.into(),
            ..CreateCollectionRequest::default()
        };
        accept(Some(&message(self.rpc().create_collection(request).await)?))
    }

    /// Creates a FLAT index.
    ///
    /// # Errors
    /// As [`Client::create`].
    pub async fn index(&self, collection: &str, field: &str, metric: &str) -> Answer<()> {
        self.index_of(collection, field, "FLAT", metric).await
    }

    /// Creates an index of a type.
    ///
    /// # Errors
    /// As [`Client::create`].
    pub async fn index_of(
        &self,
        collection: &str,
        field: &str,
        kind: &str,
        metric: &str,
    ) -> Answer<()> {
        let request = CreateIndexRequest {
            collection_name: collection.to_owned(),
            field_name: field.to_owned(),
            extra_params: vec![pair("index_type", kind), pair("metric_type", metric)],
            ..CreateIndexRequest::default()
        };
        accept(Some(&message(self.rpc().create_index(request).await)?))
    }

    /// Loads a collection.
    ///
    /// # Errors
    /// As [`Client::create`].
    pub async fn load(&self, collection: &str) -> Answer<()> {
        let request = LoadCollectionRequest {
            collection_name: collection.to_owned(),
            ..LoadCollectionRequest::default()
        };
        accept(Some(&message(self.rpc().load_collection(request).await)?))
    }

    /// Flushes a collection: what it holds is in files when this returns.
    ///
    /// # Errors
    /// As [`Client::create`].
    pub async fn flush(&self, collection: &str) -> Answer<FlushResponse> {
        let request = FlushRequest {
            collection_names: vec![collection.to_owned()],
            ..FlushRequest::default()
        };
        let answer = message(self.rpc().flush(request).await)?;
        accept(answer.status.as_ref())?;
        Ok(answer)
    }

    /// Creates, indexes (L2) and loads a collection of the plain schema.
    ///
    /// # Errors
    /// As [`Client::create`].
    pub async fn prepare(&self, name: &str, dim: usize, shards: i32) -> Answer<()> {
        self.create(&plain_schema(name, dim), shards).await?;
        self.index(name, "vector", "L2").await?;
        self.load(name).await
    }

    /// Drops a collection.
    ///
    /// # Errors
    /// As [`Client::create`].
    pub async fn drop(&self, collection: &str) -> Answer<()> {
        let request = DropCollectionRequest {
            collection_name: collection.to_owned(),
            ..DropCollectionRequest::default()
        };
        accept(Some(&message(self.rpc().drop_collection(request).await)?))
    }

    /// Inserts columns.
    ///
    /// # Errors
    /// As [`Client::create`].
    pub async fn insert(
        &self,
        collection: &str,
        rows: usize,
        columns: Vec<FieldData>,
    ) -> Answer<MutationResult> {
        let request = InsertRequest {
            collection_name: collection.to_owned(),
            fields_data: columns,
            num_rows: u32::try_from(rows).expect("few rows"),
            ..InsertRequest::default()
        };
        let answer = message(self.rpc().insert(request).await)?;
        accept(answer.status.as_ref())?;
        Ok(answer)
    }

    /// Upserts columns.
    ///
    /// # Errors
    /// As [`Client::create`].
    pub async fn upsert(
        &self,
        collection: &str,
        rows: usize,
        columns: Vec<FieldData>,
    ) -> Answer<MutationResult> {
        let request = UpsertRequest {
            collection_name: collection.to_owned(),
            fields_data: columns,
            num_rows: u32::try_from(rows).expect("few rows"),
            ..UpsertRequest::default()
        };
        let answer = message(self.rpc().upsert(request).await)?;
        accept(answer.status.as_ref())?;
        Ok(answer)
    }

    /// Deletes the rows that a filter keeps.
    ///
    /// # Errors
    /// As [`Client::create`].
    pub async fn delete(&self, collection: &str, filter: &str) -> Answer<MutationResult> {
        let request = DeleteRequest {
            collection_name: collection.to_owned(),
            expr: filter.to_owned(),
            ..DeleteRequest::default()
        };
        let answer = message(self.rpc().delete(request).await)?;
        accept(answer.status.as_ref())?;
        Ok(answer)
    }

    /// Queries.
    ///
    /// # Errors
    /// As [`Client::create`].
    pub async fn query(&self, request: QueryRequest) -> Answer<QueryResults> {
        let answer = message(self.rpc().query(request).await)?;
        accept(answer.status.as_ref())?;
        Ok(answer)
    }

    /// Searches.
    ///
    /// # Errors
    /// As [`Client::create`].
    pub async fn search(&self, request: SearchRequest) -> Answer<SearchResults> {
        let answer = message(self.rpc().search(request).await)?;
        accept(answer.status.as_ref())?;
        Ok(answer)
    }

    /// `count(*)` of a Strong query.
    ///
    /// # Errors
    /// As [`Client::create`].
    pub async fn count(&self, collection: &str, filter: &str) -> Answer<i64> {
        let answer = self.query(query(collection, filter, &["count(*)"])).await?;
        Ok(read_longs(&answer.fields_data, "count(*)").first().copied().unwrap_or(-1))
    }

    /// A new timestamp.
    ///
    /// # Errors
    /// As [`Client::create`].
    pub async fn now(&self) -> Answer<u64> {
        let request = AllocTimestampRequest::default();
        let answer = message(self.rpc().alloc_timestamp(request).await)?;
        accept(answer.status.as_ref())?;
        Ok(answer.timestamp)
    }
}

/// A Strong query.
pub fn query(collection: &str, filter: &str, output: &[&str]) -> QueryRequest {
    QueryRequest {
        collection_name: collection.to_owned(),
        expr: filter.to_owned(),
        output_fields: output.iter().map(|&name| name.to_owned()).collect(),
        consistency_level: ConsistencyLevel::Strong.into(),
        ..QueryRequest::default()
    }
}

/// The same query at exactly this time, as an iterator asks.
pub fn pinned(request: QueryRequest, at: u64) -> QueryRequest {
    let mut query_params = request.query_params;
    query_params.push(pair("iterator", "True"));
    QueryRequest { guarantee_timestamp: at, use_default_consistency: true, query_params, ..request }
}

/// Parameters of a search.
pub fn search_params(field: &str, metric: &str, topk: usize) -> Vec<KeyValuePair> {
    vec![
        pair("anns_field", field),
        pair("metric_type", metric),
        pair("topk", topk),
        pair("params", "{}"),
        pair("round_decimal", -1),
    ]
}

/// A Strong search for the nearest rows by L2.
pub fn search(collection: &str, dim: usize, queries: &[f32], topk: usize) -> SearchRequest {
    SearchRequest {
        collection_name: collection.to_owned(),
        dsl_type: DslType::BoolExprV1.into(),
        search_input: Some(SearchInput::PlaceholderGroup(placeholders(dim, queries))),
        search_params: search_params("vector", "L2", topk),
        nq: i64::try_from(queries.len() / dim.max(1)).expect("few queries"),
        consistency_level: ConsistencyLevel::Strong.into(),
        ..SearchRequest::default()
    }
}

/// The hits of a search.
///
/// # Panics
/// When the answer has none.
pub fn hits(answer: &SearchResults) -> &SearchResultData {
    answer.results.as_ref().expect("results of a search")
}
