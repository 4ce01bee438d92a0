//! A whole server in this process, asked over gRPC: answers, errors, and what survives a restart.
#![allow(clippy::unwrap_used)] // helpers of tests: a failure here is a failed test

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use millstream_catalog::clock::SystemClock;
use millstream_gateway::config::Config;
use millstream_gateway::pb::common::{KeyValuePair, Status};
use millstream_gateway::pb::milvus_service_client::MilvusServiceClient;
use millstream_gateway::pb::schema::{
    CollectionSchema, DataType, FieldData, FieldSchema, FloatArray, LongArray, ScalarField,
    VectorField, field_data::Field, scalar_field::Data, vector_field,
};
use millstream_gateway::pb::{self, search_request::SearchInput};
use millstream_gateway::standalone::{self, Running};
use prost::Message;
use tonic::transport::{Channel, Endpoint};

type Client = MilvusServiceClient<Channel>;

async fn start(folder: &Path) -> Running {
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let config = Config {
        data_dir: folder.join("data"),
        listen: any,
        admin_listen: any,
        channels: 4,
        workers: 1,
        scan_threads: 1,
        ..Config::default()
    };
    standalone::start(&config, Arc::new(SystemClock)).await.unwrap()
}

async fn connect(running: &Running) -> Client {
    let endpoint = Endpoint::from_shared(format!("http://{}", running.listen)).unwrap();
    MilvusServiceClient::new(endpoint.connect().await.unwrap())
}

fn pair(key: &str, value: &str) -> KeyValuePair {
    KeyValuePair { key: key.into(), value: value.into() }
}

fn schema(name: &str) -> CollectionSchema {
    let field = |name: &str, data_type: DataType, params: Vec<KeyValuePair>| FieldSchema {
        name: name.into(),
        data_type: data_type as i32,
        is_primary_key: name == "id",
        type_params: params,
        ..Default::default()
    };
    CollectionSchema {
        name: name.into(),
        fields: vec![
            field("id", DataType::Int64, vec![]),
            field("v", DataType::FloatVector, vec![pair("dim", "2")]),
        ],
        ..Default::default()
    }
}

async fn create(client: &mut Client, name: &str, shards_num: i32) -> Status {
    let request = pb::CreateCollectionRequest {
        collection_name: name.into(),
        schema: schema(name).encode_to_vec().into(),
        shards_num,
        ..Default::default()
    };
    client.create_collection(request).await.unwrap().into_inner()
}

async fn load(client: &mut Client, name: &str) {
    let index = pb::CreateIndexRequest {
        collection_name: name.into(),
        field_name: "v".into(),
        extra_params: vec![pair("index_type", "FLAT"), pair("metric_type", "L2")],
        ..Default::default()
    };
    assert_eq!(client.create_index(index).await.unwrap().into_inner().code, 0);
    let request = pb::LoadCollectionRequest { collection_name: name.into(), ..Default::default() };
    assert_eq!(client.load_collection(request).await.unwrap().into_inner().code, 0);
}

fn rows(ids: &[i64], dim: i64, floats: &[f32]) -> Vec<FieldData> {
    let bytes: Vec<u8> = floats.iter().flat_map(|f| f.to_le_bytes()).collect();
    let vectors = vector_field::Data::FloatVector(FloatArray { data: vec![bytes.into()] });
    vec![
        FieldData {
            field_name: "id".into(),
            field: Some(Field::Scalars(ScalarField {
                data: Some(Data::LongData(LongArray { data: ids.to_vec() })),
            })),
            ..Default::default()
        },
        FieldData {
            field_name: "v".into(),
            field: Some(Field::Vectors(VectorField { dim, data: Some(vectors) })),
            ..Default::default()
        },
    ]
}

async fn insert(client: &mut Client, name: &str, fields: Vec<FieldData>) -> pb::MutationResult {
    let num_rows = match &fields[0].field {
        Some(Field::Scalars(ScalarField { data: Some(Data::LongData(ids)) })) => ids.data.len(),
        _ => 0,
    };
    let request = pb::InsertRequest {
        collection_name: name.into(),
        fields_data: fields,
        num_rows: u32::try_from(num_rows).unwrap(),
        ..Default::default()
    };
    client.insert(request).await.unwrap().into_inner()
}

async fn count(client: &mut Client, name: &str, guarantee_timestamp: u64) -> Result<i64, Status> {
    let request = pb::QueryRequest {
        collection_name: name.into(),
        output_fields: vec!["count(*)".into()],
        consistency_level: if guarantee_timestamp == 0 { 0 } else { 1 },
        guarantee_timestamp,
        ..Default::default()
    };
    let answer = client.query(request).await.unwrap().into_inner();
    let status = answer.status.unwrap();
    if status.code != 0 {
        return Err(status);
    }
    match &answer.fields_data[0].field {
        Some(Field::Scalars(ScalarField { data: Some(Data::LongData(rows)) })) => Ok(rows.data[0]),
        other => panic!("{other:?}"),
    }
}

async fn search(client: &mut Client, name: &str, queries: &[&[f32]]) -> pb::SearchResults {
    let value = |q: &&[f32]| q.iter().flat_map(|f| f.to_le_bytes()).collect::<Vec<u8>>().into();
    let placeholder = pb::common::PlaceholderValue {
        r#type: pb::common::PlaceholderType::FloatVector as i32,
        values: queries.iter().map(value).collect(),
        ..Default::default()
    };
    let group = pb::common::PlaceholderGroup { placeholders: vec![placeholder] };
    let request = pb::SearchRequest {
        collection_name: name.into(),
        search_input: Some(SearchInput::PlaceholderGroup(group.encode_to_vec().into())),
        search_params: vec![pair("topk", "2"), pair("params", "{}")],
        ..Default::default()
    };
    client.search(request).await.unwrap().into_inner()
}

/// A token taken from a write must show that write, and a delete likewise.
#[tokio::test(flavor = "multi_thread")]
async fn a_session_sees_its_own_writes_and_a_restart_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let running = start(folder.path()).await;
    let mut client = connect(&running).await;
    assert_eq!(create(&mut client, "c", 2).await.code, 0);
    load(&mut client, "c").await;
    let ids: Vec<i64> = (0..50).collect();
    let floats: Vec<f32> = (0..100_u8).map(f32::from).collect();
    let written = insert(&mut client, "c", rows(&ids, 2, &floats)).await;
    assert_eq!((written.insert_cnt, written.succ_index.len()), (50, 50));
    assert_eq!(count(&mut client, "c", written.timestamp).await, Ok(50));
    let delete = pb::DeleteRequest {
        collection_name: "c".into(),
        expr: "id in [1, 2, 999]".into(),
        ..Default::default()
    };
    let deleted = client.delete(delete).await.unwrap().into_inner();
    assert_eq!(deleted.delete_cnt, 3);
    assert!(deleted.timestamp > written.timestamp);
    assert_eq!(count(&mut client, "c", deleted.timestamp).await, Ok(48));
    let before = search(&mut client, "c", &[&[10.0, 11.0], &[0.0, 0.0]]).await.results.unwrap();
    assert_eq!((before.topks.clone(), before.primary_field_name.as_str()), (vec![2, 2], "id"));
    drop(client);
    running.stop().await;

    let running = start(folder.path()).await;
    let mut client = connect(&running).await;
    assert_eq!(count(&mut client, "c", 0).await, Ok(48));
    let after = search(&mut client, "c", &[&[10.0, 11.0], &[0.0, 0.0]]).await.results.unwrap();
    assert_eq!(after, before);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_requests_get_their_code_and_the_next_good_one_works() {
    let folder = tempfile::tempdir().unwrap();
    let running = start(folder.path()).await;
    let mut client = connect(&running).await;
    let missing = count(&mut client, "nope", 0).await.unwrap_err();
    assert_eq!((missing.code, missing.error_code), (100, 4));
    assert_eq!(missing.reason, "collection not found[database=default][collection=nope]");
    assert_eq!(create(&mut client, "c", 1).await.code, 0);
    let unloaded = count(&mut client, "c", 0).await.unwrap_err();
    assert_eq!(unloaded.code, 101);
    assert!(unloaded.reason.starts_with("failed to query: collection not loaded[collection="));
    load(&mut client, "c").await;

    for (fields, text) in [
        (rows(&[1], 4, &[0.0; 4]), "the dim (4) of field data(v) is not equal to schema dim (2)"),
        (rows(&[1, 2], 2, &[0.0; 2]), "the num_rows (1) of field (v) is not equal to passed"),
        (rows(&[1], 2, &[f32::NAN, 0.0]), "value 'NaN' is not a number or infinity"),
        (rows(&[1], 2, &[0.0; 2])[..1].to_vec(), "fieldSchema(v) has no corresponding fieldData"),
    ] {
        let status = insert(&mut client, "c", fields).await.status.unwrap();
        assert!(status.code == 1100 && status.reason.contains(text), "{}", status.reason);
    }
    assert_eq!(count(&mut client, "c", 0).await, Ok(0));
    let narrow = search(&mut client, "c", &[&[1.0]]).await.status.unwrap();
    assert!(narrow.reason.contains("vector dimension mismatch"), "{}", narrow.reason);
    let future = count(&mut client, "c", u64::MAX / 2).await.unwrap_err();
    assert!(future.reason.contains("in the future"), "{}", future.reason);

    let written = insert(&mut client, "c", rows(&[1], 2, &[0.0, 0.0])).await;
    assert_eq!(written.status.unwrap().code, 0);
    assert_eq!(count(&mut client, "c", 0).await, Ok(1));
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_and_created_name_shows_no_old_row() {
    let folder = tempfile::tempdir().unwrap();
    let running = start(folder.path()).await;
    let mut client = connect(&running).await;
    for _ in 0..3 {
        assert_eq!(create(&mut client, "c", 2).await.code, 0);
        load(&mut client, "c").await;
        assert_eq!(count(&mut client, "c", 0).await, Ok(0));
        insert(&mut client, "c", rows(&[1, 2], 2, &[0.0; 4])).await;
        assert_eq!(count(&mut client, "c", 0).await, Ok(2));
        let request =
            pb::DropCollectionRequest { collection_name: "c".into(), ..Default::default() };
        assert_eq!(client.drop_collection(request).await.unwrap().into_inner().code, 0);
        assert_eq!(count(&mut client, "c", 0).await.unwrap_err().code, 100);
    }
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn health_and_reflection_answer_and_a_second_server_is_refused() {
    use tonic_health::pb::health_client::HealthClient;
    let folder = tempfile::tempdir().unwrap();
    let running = start(folder.path()).await;
    let endpoint = Endpoint::from_shared(format!("http://{}", running.listen)).unwrap();
    let channel = endpoint.connect().await.unwrap();
    let mut health = HealthClient::new(channel.clone());
    for service in ["", "milvus.proto.milvus.MilvusService"] {
        let request = tonic_health::pb::HealthCheckRequest { service: service.into() };
        let status = health.check(request).await.unwrap().into_inner().status;
        assert_eq!(status, tonic_health::pb::health_check_response::ServingStatus::Serving as i32);
    }
    use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
    use tonic_reflection::pb::v1::{ServerReflectionRequest, server_reflection_client};
    let mut reflection = server_reflection_client::ServerReflectionClient::new(channel);
    let ask = ServerReflectionRequest {
        message_request: Some(MessageRequest::FileContainingSymbol(
            "milvus.proto.milvus.MilvusService".into(),
        )),
        ..Default::default()
    };
    let mut answers =
        reflection.server_reflection_info(futures::stream::iter([ask])).await.unwrap().into_inner();
    let answer = answers.message().await.unwrap().unwrap();
    assert!(format!("{answer:?}").contains("FileDescriptorResponse"));

    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let config = Config {
        data_dir: folder.path().join("data"),
        listen: any,
        admin_listen: any,
        ..Config::default()
    };
    let Err(refused) = standalone::start(&config, Arc::new(SystemClock)).await else {
        panic!("two servers on one folder");
    };
    assert!(refused.to_string().contains("another process is using it"), "{refused}");
    running.stop().await;
}
