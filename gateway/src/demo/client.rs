//! What the demo asks a server, through the same gRPC API as any client.

use std::net::SocketAddr;

use bytes::Bytes;
use prost::Message;
use tonic::transport::{Channel, Endpoint};

use super::words::Words;
use crate::pb::common::{
    KeyValuePair, PlaceholderGroup, PlaceholderType, PlaceholderValue, Status,
};
use crate::pb::milvus_service_client::MilvusServiceClient;
use crate::pb::schema::{
    CollectionSchema, DataType, FieldData, FieldSchema, FloatArray, IntArray, LongArray,
    ScalarField, StringArray, VectorField, field_data::Field, i_ds::IdField, scalar_field::Data,
    vector_field,
};
use crate::pb::{self, search_request::SearchInput};

const COLLECTION: &str = "words";

/// A connection to the server.
pub(super) struct Client(MilvusServiceClient<Channel>);

/// One neighbour.
#[derive(Debug)]
pub(super) struct Hit {
    /// Key.
    pub(super) id: i64,
    /// Cosine similarity.
    pub(super) score: f32,
}

fn pair(key: &str, value: impl ToString) -> KeyValuePair {
    KeyValuePair { key: key.to_owned(), value: value.to_string() }
}

/// What went wrong, if anything did.
fn check(what: &str, status: Option<Status>) -> Result<(), String> {
    let status = status.unwrap_or_default();
    if status.code == 0 {
        return Ok(());
    }
    Err(format!("{what}: {} (code {})", status.reason, status.code))
}

fn transport(what: &'static str) -> impl Fn(tonic::Status) -> String {
    move |status| format!("{what}: {status}")
}

impl Client {
    /// Connects.
    ///
    /// # Errors
    /// When nobody answers.
    pub(super) async fn connect(address: SocketAddr) -> Result<Client, String> {
        let endpoint = Endpoint::from_shared(format!("http://{address}"));
        let channel = endpoint.map_err(|e| e.to_string())?.tcp_nodelay(true).connect().await;
        let channel = channel.map_err(|e| format!("cannot connect to {address}: {e}"))?;
        let client = MilvusServiceClient::new(channel)
            .max_decoding_message_size(256 << 20)
            .max_encoding_message_size(64 << 20);
        Ok(Client(client))
    }

    /// Makes the collection anew.
    pub(super) async fn create(&mut self, dim: usize) -> Result<(), String> {
        let drop_old = pb::DropCollectionRequest {
            collection_name: COLLECTION.to_owned(),
            ..Default::default()
        };
        let dropped = self.0.drop_collection(drop_old).await.map_err(transport("drop"))?;
        check("drop", Some(dropped.into_inner()))?;
        let field = |name: &str, data_type: DataType, type_params: Vec<KeyValuePair>| FieldSchema {
            name: name.to_owned(),
            data_type: data_type as i32,
            is_primary_key: name == "id",
            type_params,
            ..Default::default()
        };
        let schema = CollectionSchema {
            name: COLLECTION.to_owned(),
            description: "GloVe word vectors".to_owned(),
            fields: vec![
                field("id", DataType::Int64, vec![]),
                field("word", DataType::VarChar, vec![pair("max_length", 64)]),
                field("rank", DataType::Int32, vec![]),
                field("length", DataType::Int16, vec![]),
                field("vector", DataType::FloatVector, vec![pair("dim", dim)]),
            ],
            ..Default::default()
        };
        let request = pb::CreateCollectionRequest {
            collection_name: COLLECTION.to_owned(),
            schema: schema.encode_to_vec().into(),
            shards_num: 1,
            ..Default::default()
        };
        let made = self.0.create_collection(request).await.map_err(transport("create"))?;
        check("create", Some(made.into_inner()))
    }

    /// Writes some rows.
    pub(super) async fn insert(
        &mut self,
        words: &Words,
        rows: std::ops::Range<usize>,
    ) -> Result<(), String> {
        let scalar = |name: &str, data: Data| FieldData {
            field_name: name.to_owned(),
            field: Some(Field::Scalars(ScalarField { data: Some(data) })),
            ..Default::default()
        };
        let floats = &words.vectors[rows.start * words.dim..rows.end * words.dim];
        let bytes: Vec<u8> = floats.iter().flat_map(|v| v.to_le_bytes()).collect();
        let texts = StringArray { data: words.words[rows.clone()].to_vec() };
        let vectors = VectorField {
            dim: i64::try_from(words.dim).map_err(|e| e.to_string())?,
            data: Some(vector_field::Data::FloatVector(FloatArray { data: vec![bytes.into()] })),
        };
        let int = |values: &[i32]| Data::IntData(IntArray { data: values.to_vec() });
        let request = pb::InsertRequest {
            collection_name: COLLECTION.to_owned(),
            fields_data: vec![
                scalar("id", Data::LongData(LongArray { data: words.ids[rows.clone()].to_vec() })),
                scalar("word", Data::StringData(texts.encode_to_vec().into())),
                scalar("rank", int(&words.ranks[rows.clone()])),
                scalar("length", int(&words.lengths[rows.clone()])),
                FieldData {
                    field_name: "vector".to_owned(),
                    field: Some(Field::Vectors(vectors)),
                    ..Default::default()
                },
            ],
            num_rows: u32::try_from(rows.len()).map_err(|e| e.to_string())?,
            ..Default::default()
        };
        let written = self.0.insert(request).await.map_err(transport("insert"))?;
        check("insert", written.into_inner().status)
    }

    /// Defines the index and loads the collection.
    pub(super) async fn index_and_load(&mut self) -> Result<(), String> {
        let request = pb::CreateIndexRequest {
            collection_name: COLLECTION.to_owned(),
            field_name: "vector".to_owned(),
            extra_params: vec![pair("index_type", "FLAT"), pair("metric_type", "COSINE")],
            ..Default::default()
        };
        let made = self.0.create_index(request).await.map_err(transport("create index"))?;
        check("create index", Some(made.into_inner()))?;
        let request = pb::LoadCollectionRequest {
            collection_name: COLLECTION.to_owned(),
            ..Default::default()
        };
        let loaded = self.0.load_collection(request).await.map_err(transport("load"))?;
        check("load", Some(loaded.into_inner()))
    }

    /// Nearest neighbours of one vector among the rows that a filter keeps.
    pub(super) async fn search(
        &mut self,
        vector: &[f32],
        topk: usize,
        filter: &str,
    ) -> Result<Vec<Hit>, String> {
        let bytes: Vec<u8> = vector.iter().flat_map(|v| v.to_le_bytes()).collect();
        let placeholder = PlaceholderValue {
            tag: "$0".to_owned(),
            r#type: PlaceholderType::FloatVector as i32,
            values: vec![Bytes::from(bytes)],
            ..Default::default()
        };
        let group = PlaceholderGroup { placeholders: vec![placeholder] };
        let request = pb::SearchRequest {
            collection_name: COLLECTION.to_owned(),
            dsl: filter.to_owned(),
            dsl_type: pb::common::DslType::BoolExprV1 as i32,
            search_input: Some(SearchInput::PlaceholderGroup(group.encode_to_vec().into())),
            search_params: vec![
                pair("anns_field", "vector"),
                pair("topk", topk),
                pair("metric_type", "COSINE"),
                pair("params", "{}"),
            ],
            nq: 1,
            ..Default::default()
        };
        let answer = self.0.search(request).await.map_err(transport("search"))?.into_inner();
        check("search", answer.status)?;
        let results = answer.results.unwrap_or_default();
        let ids = match results.ids.and_then(|ids| ids.id_field) {
            Some(IdField::IntId(ids)) => ids.data,
            _ => Vec::new(),
        };
        let hits = ids.into_iter().zip(results.scores);
        Ok(hits.map(|(id, score)| Hit { id, score }).collect())
    }

    /// The words that a filter keeps, in the order of their keys.
    pub(super) async fn query(&mut self, filter: &str, limit: usize) -> Result<Vec<i64>, String> {
        let request = pb::QueryRequest {
            collection_name: COLLECTION.to_owned(),
            expr: filter.to_owned(),
            output_fields: vec!["id".to_owned()],
            query_params: vec![pair("limit", limit)],
            ..Default::default()
        };
        let answer = self.0.query(request).await.map_err(transport("query"))?.into_inner();
        check("query", answer.status)?;
        let ids = answer.fields_data.into_iter().find(|f| f.field_name == "id");
        match ids.and_then(|f| f.field) {
            Some(Field::Scalars(ScalarField { data: Some(Data::LongData(ids)) })) => Ok(ids.data),
            _ => Ok(Vec::new()),
        }
    }
}
