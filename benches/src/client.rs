//! The load generator's client: builds requests, sends them, and refuses every answer that is not
//! right.

use bytes::Bytes;
use millstream_gateway::pb;
use millstream_gateway::pb::milvus_service_client::MilvusServiceClient;
use millstream_gateway::pb::schema::{self, DataType, FieldData, FieldSchema};
use pb::common::{ConsistencyLevel, KeyValuePair, PlaceholderGroup, PlaceholderType};
use pb::common::{PlaceholderValue, Status};
use prost::Message;
use tonic::transport::{Channel, Endpoint};

/// Why a run ended early.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// Something is missing or did not start.
    #[error("{0}")]
    Setup(String),
    /// The operating system refused.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// No connection.
    #[error("no connection: {0}")]
    Transport(#[from] tonic::transport::Error),
    /// The call failed in gRPC.
    #[error("{0}")]
    Rpc(Box<tonic::Status>),
    /// The server answered with an error.
    #[error("{call}: code {code}, error_code {error_code}: {reason}")]
    Answer {
        /// The RPC.
        call: &'static str,
        /// The newer code.
        code: i32,
        /// The older code.
        error_code: i32,
        /// The text.
        reason: String,
    },
    /// The server's answer is wrong.
    #[error("wrong answer: {0}")]
    Wrong(String),
}

impl From<tonic::Status> for Failure {
    fn from(status: tonic::Status) -> Failure {
        Failure::Rpc(Box::new(status))
    }
}

/// One hit of a search.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Found {
    /// Primary key.
    pub id: i64,
    /// Score.
    pub score: f32,
}

/// One connection.
#[derive(Debug, Clone)]
pub struct Client {
    rpc: MilvusServiceClient<Channel>,
}

impl Client {
    /// Connects to `host:port`.
    ///
    /// # Errors
    /// If nobody listens there.
    pub async fn connect(address: &str) -> Result<Client, Failure> {
        let endpoint = Endpoint::from_shared(format!("http://{address}"))?.tcp_nodelay(true);
        let channel = endpoint.connect().await?;
        Ok(Client { rpc: MilvusServiceClient::new(channel).max_decoding_message_size(64 << 20) })
    }

    /// Creates a collection (int64 key `id`, varchar `word`, `vector` under L2) and loads it.
    ///
    /// # Errors
    /// Every failure and every answer but success.
    pub async fn collection_create(&mut self, name: &str, dim: usize) -> Result<(), Failure> {
        self.collection_create_with(name, dim, &[("index_type", "FLAT"), ("metric_type", "L2")])
            .await
    }

    /// The same with an index of one's own on `vector`.
    ///
    /// # Errors
    /// Every failure and every answer but success.
    pub async fn collection_create_with(
        &mut self,
        name: &str,
        dim: usize,
        index: &[(&str, &str)],
    ) -> Result<(), Failure> {
        let collection_name = name.to_owned();
        let request = pb::CreateCollectionRequest {
            collection_name: collection_name.clone(),
            schema: collection_schema(name, dim).encode_to_vec().into(),
            shards_num: 1,
            consistency_level: ConsistencyLevel::Bounded.into(),
            ..Default::default()
        };
        let answer = self.rpc.create_collection(request).await?.into_inner();
        check("CreateCollection", Some(&answer))?;
        let request = pb::CreateIndexRequest {
            collection_name: collection_name.clone(),
            field_name: "vector".to_owned(),
            extra_params: pairs(index),
            ..Default::default()
        };
        let answer = self.rpc.create_index(request).await?.into_inner();
        check("CreateIndex", Some(&answer))?;
        let request = pb::LoadCollectionRequest { collection_name, ..Default::default() };
        let answer = self.rpc.load_collection(request).await?.into_inner();
        check("LoadCollection", Some(&answer))
    }

    /// Creates a collection of four fields, and nothing else.
    ///
    /// # Errors
    /// Every failure and every answer but success.
    pub async fn collection_define(&mut self, name: &str, dim: usize) -> Result<(), Failure> {
        let mut schema = collection_schema(name, dim);
        schema.fields.push(FieldSchema {
            name: "year".to_owned(),
            data_type: DataType::Int64.into(),
            ..Default::default()
        });
        let request = pb::CreateCollectionRequest {
            collection_name: name.to_owned(),
            schema: schema.encode_to_vec().into(),
            shards_num: 1,
            ..Default::default()
        };
        let answer = self.rpc.create_collection(request).await?.into_inner();
        check("CreateCollection", Some(&answer))
    }

    /// A timestamp of the server.
    ///
    /// # Errors
    /// Every failure and every answer but success.
    pub async fn timestamp(&mut self) -> Result<u64, Failure> {
        let request = pb::AllocTimestampRequest::default();
        let answer = self.rpc.alloc_timestamp(request).await?.into_inner();
        check("AllocTimestamp", answer.status.as_ref())?;
        Ok(answer.timestamp)
    }

    /// Describes a collection: the number of its fields.
    ///
    /// # Errors
    /// Every failure and every answer but success.
    pub async fn describe(&mut self, name: &str) -> Result<usize, Failure> {
        let collection_name = name.to_owned();
        let request = pb::DescribeCollectionRequest { collection_name, ..Default::default() };
        let answer = self.rpc.describe_collection(request).await?.into_inner();
        check("DescribeCollection", answer.status.as_ref())?;
        Ok(answer.schema.map_or(0, |schema| schema.fields.len()))
    }

    /// Creates a partition.
    ///
    /// # Errors
    /// Every failure and every answer but success.
    pub async fn partition_create(&mut self, name: &str, partition: &str) -> Result<(), Failure> {
        let request = pb::CreatePartitionRequest {
            collection_name: name.to_owned(),
            partition_name: partition.to_owned(),
            ..Default::default()
        };
        let answer = self.rpc.create_partition(request).await?.into_inner();
        check("CreatePartition", Some(&answer))
    }

    /// Creates a database.
    ///
    /// # Errors
    /// Every failure and every answer but success.
    pub async fn database_create(&mut self, name: &str) -> Result<(), Failure> {
        let request = pb::CreateDatabaseRequest { db_name: name.to_owned(), ..Default::default() };
        let answer = self.rpc.create_database(request).await?.into_inner();
        check("CreateDatabase", Some(&answer))
    }

    /// Sends a prepared insert.
    ///
    /// # Errors
    /// Every failure, every answer but success, and a wrong number of rows.
    pub async fn insert(&mut self, request: pb::InsertRequest) -> Result<(), Failure> {
        let rows = i64::from(request.num_rows);
        let answer = self.rpc.insert(request).await?.into_inner();
        check("Insert", answer.status.as_ref())?;
        if answer.insert_cnt != rows {
            return Err(Failure::Wrong(format!("{} of {rows} rows inserted", answer.insert_cnt)));
        }
        Ok(())
    }

    /// Sends a prepared search; the hits of each query, best first.
    ///
    /// # Errors
    /// Every failure, every answer but success, and an answer whose parts do not fit together.
    pub async fn search(&mut self, request: pb::SearchRequest) -> Result<Vec<Vec<Found>>, Failure> {
        let answer = self.rpc.search(request).await?.into_inner();
        check("Search", answer.status.as_ref())?;
        let wrong = || Failure::Wrong("a search result whose parts do not fit".to_owned());
        let results = answer.results.ok_or_else(wrong)?;
        let ids = match results.ids.and_then(|ids| ids.id_field) {
            Some(schema::i_ds::IdField::IntId(ids)) => ids.data,
            _ => return Err(wrong()),
        };
        let total: i64 = results.topks.iter().sum();
        if ids.len() as i64 != total || results.scores.len() != ids.len() {
            return Err(wrong());
        }
        let mut found = ids.iter().zip(&results.scores).map(|(&id, &score)| Found { id, score });
        let of_query = |&hits: &i64| found.by_ref().take(hits as usize).collect();
        Ok(results.topks.iter().map(of_query).collect())
    }

    /// The `word` of each row that a prepared query finds.
    ///
    /// # Errors
    /// Every failure, every answer but success, and an answer without that field.
    pub async fn query_words(&mut self, request: pb::QueryRequest) -> Result<Vec<String>, Failure> {
        let answer = self.rpc.query(request).await?.into_inner();
        check("Query", answer.status.as_ref())?;
        let mut fields = answer.fields_data.into_iter().filter(|field| field.field_name == "word");
        match fields.next().and_then(|field| field.field) {
            Some(schema::field_data::Field::Scalars(schema::ScalarField {
                data: Some(schema::scalar_field::Data::StringData(words)),
            })) => {
                let words = schema::StringArray::decode(words).map_err(|error| {
                    Failure::Wrong(format!("words that are not texts: {error}"))
                })?;
                Ok(words.data)
            }
            other => Err(Failure::Wrong(format!("the words are {other:?}"))),
        }
    }

    /// Flushes a collection; returns when its rows are in files.
    ///
    /// # Errors
    /// Every failure and every answer but success.
    pub async fn flush(&mut self, name: &str) -> Result<(), Failure> {
        let collection_names = vec![name.to_owned()];
        let request = pb::FlushRequest { collection_names, ..Default::default() };
        let answer = self.rpc.flush(request).await?.into_inner();
        check("Flush", answer.status.as_ref())
    }

    /// Rows of a collection that its index still has to take up.
    ///
    /// # Errors
    /// Every failure and every answer but success.
    pub async fn index_pending(&mut self, name: &str) -> Result<i64, Failure> {
        let collection_name = name.to_owned();
        let request = pb::DescribeIndexRequest { collection_name, ..Default::default() };
        let answer = self.rpc.describe_index(request).await?.into_inner();
        check("DescribeIndex", answer.status.as_ref())?;
        Ok(answer.index_descriptions.iter().map(|index| index.pending_index_rows).sum())
    }

    /// `count(*)` of a collection.
    ///
    /// # Errors
    /// Every failure and every answer but success.
    pub async fn count(&mut self, name: &str, level: ConsistencyLevel) -> Result<i64, Failure> {
        let request = pb::QueryRequest {
            collection_name: name.to_owned(),
            output_fields: vec!["count(*)".to_owned()],
            consistency_level: level.into(),
            ..Default::default()
        };
        let answer = self.rpc.query(request).await?.into_inner();
        check("Query", answer.status.as_ref())?;
        let field = answer.fields_data.into_iter().next().and_then(|field| field.field);
        match field {
            Some(schema::field_data::Field::Scalars(schema::ScalarField {
                data: Some(schema::scalar_field::Data::LongData(counts)),
            })) if counts.data.len() == 1 => Ok(counts.data[0]),
            other => Err(Failure::Wrong(format!("count(*) answered {other:?}"))),
        }
    }
}

/// Refuses a status that is not success in both of its codes.
fn check(call: &'static str, status: Option<&Status>) -> Result<(), Failure> {
    let status = status.ok_or_else(|| Failure::Wrong(format!("{call} without a status")))?;
    if status.code == 0 && status.error_code == 0 {
        return Ok(());
    }
    let Status { code, error_code, ref reason, .. } = *status;
    Err(Failure::Answer { call, code, error_code, reason: reason.clone() })
}

/// Parameters as the protocol has them.
fn pairs(pairs: &[(&str, &str)]) -> Vec<KeyValuePair> {
    let pair = |(key, value): &(&str, &str)| KeyValuePair {
        key: (*key).to_owned(),
        value: (*value).to_owned(),
    };
    pairs.iter().map(pair).collect()
}

/// The schema of every benchmark's collection.
fn collection_schema(name: &str, dim: usize) -> schema::CollectionSchema {
    let field = |name: &str, data_type: DataType, params: &[(&str, &str)]| FieldSchema {
        name: name.to_owned(),
        data_type: data_type.into(),
        type_params: pairs(params),
        is_primary_key: name == "id",
        ..Default::default()
    };
    schema::CollectionSchema {
        name: name.to_owned(),
        fields: vec![
            field("id", DataType::Int64, &[]),
            field("word", DataType::VarChar, &[("max_length", "32")]),
            field("vector", DataType::FloatVector, &[("dim", &dim.to_string())]),
        ],
        ..Default::default()
    }
}

/// An insert of rows with the keys `first_id..`; `vectors` is row-major `[rows, dim]`.
pub fn insert_request(name: &str, first_id: i64, dim: usize, vectors: &[f32]) -> pb::InsertRequest {
    use schema::field_data::Field;
    use schema::scalar_field::Data;
    let ids: Vec<i64> = (first_id..).take(vectors.len() / dim).collect();
    let words = schema::StringArray { data: ids.iter().map(|id| format!("word-{id}")).collect() };
    let num_rows = ids.len() as u32;
    let column = |name: &str, data_type: DataType, field| FieldData {
        r#type: data_type.into(),
        field_name: name.to_owned(),
        field: Some(field),
        ..Default::default()
    };
    let scalars = |data| Field::Scalars(schema::ScalarField { data: Some(data) });
    let vectors = Field::Vectors(schema::VectorField {
        dim: dim as i64,
        data: Some(schema::vector_field::Data::FloatVector(schema::FloatArray {
            data: vec![float_bytes(vectors)],
        })),
    });
    pb::InsertRequest {
        collection_name: name.to_owned(),
        num_rows,
        fields_data: vec![
            column("id", DataType::Int64, scalars(Data::LongData(schema::LongArray { data: ids }))),
            column(
                "word",
                DataType::VarChar,
                scalars(Data::StringData(words.encode_to_vec().into())),
            ),
            column("vector", DataType::FloatVector, vectors),
        ],
        ..Default::default()
    }
}

/// A search of one or more queries, row-major `[nq, dim]`.
pub fn search_request(
    name: &str,
    level: ConsistencyLevel,
    topk: usize,
    dim: usize,
    queries: &[f32],
) -> pb::SearchRequest {
    let placeholder = PlaceholderValue {
        tag: "$0".to_owned(),
        r#type: PlaceholderType::FloatVector.into(),
        values: queries.chunks_exact(dim).map(float_bytes).collect(),
        ..Default::default()
    };
    let group = PlaceholderGroup { placeholders: vec![placeholder] };
    let topk = topk.to_string();
    let params = [
        ("anns_field", "vector"),
        ("topk", topk.as_str()),
        ("metric_type", "L2"),
        ("params", "{}"),
        ("round_decimal", "-1"),
    ];
    pb::SearchRequest {
        collection_name: name.to_owned(),
        dsl_type: pb::common::DslType::BoolExprV1.into(),
        search_input: Some(pb::search_request::SearchInput::PlaceholderGroup(
            group.encode_to_vec().into(),
        )),
        search_params: pairs(&params),
        nq: (queries.len() / dim) as i64,
        consistency_level: level.into(),
        ..Default::default()
    }
}

/// A search of one vector by its cosine, on a graph walked with `ef` candidates.
pub fn graph_request(name: &str, topk: usize, ef: usize, query: &[f32]) -> pb::SearchRequest {
    let mut request = search_request(name, ConsistencyLevel::Bounded, topk, query.len(), query);
    for pair in &mut request.search_params {
        match pair.key.as_str() {
            "metric_type" => pair.value = "COSINE".to_owned(),
            "params" => pair.value = format!("{{\"ef\": {ef}}}"),
            _ => {}
        }
    }
    request
}

/// A query for the word of the row with this key.
pub fn key_query(name: &str, key: i64, level: ConsistencyLevel) -> pb::QueryRequest {
    pb::QueryRequest {
        collection_name: name.to_owned(),
        expr: format!("id == {key}"),
        output_fields: vec!["word".to_owned()],
        consistency_level: level.into(),
        ..Default::default()
    }
}

/// Floats as the bytes that both encodings of them consist of.
fn float_bytes(values: &[f32]) -> Bytes {
    values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>().into()
}
