//! Databases, collections, partitions, indexes and what is loaded.

use std::collections::BTreeMap;

use millstream_gateway::pb::common::{ConsistencyLevel, IndexState, LoadState};
use millstream_gateway::pb::schema::{CollectionSchema, DataType};
use millstream_gateway::pb::{
    CreateDatabaseRequest, CreateIndexRequest, CreatePartitionRequest, DescribeCollectionRequest,
    DescribeCollectionResponse, DescribeIndexRequest, DropDatabaseRequest, DropIndexRequest,
    DropPartitionRequest, GetLoadStateRequest, GetLoadingProgressRequest, HasCollectionRequest,
    HasPartitionRequest, IndexDescription, InsertRequest, ListDatabasesRequest,
    LoadPartitionsRequest, ReleaseCollectionRequest, ReleasePartitionsRequest,
    ShowCollectionsRequest, ShowPartitionsRequest,
};
use millstream_tests::client::{Answer, Client, accept, message, query};
use millstream_tests::on_both;
use millstream_tests::rows::{
    field, int_key, longs, pair, plain_schema, schema, text_field, vector_field, vectors,
};
use millstream_tests::site::Site;

async fn describe(client: &Client, name: &str) -> Answer<DescribeCollectionResponse> {
    let request = DescribeCollectionRequest {
        collection_name: name.to_owned(),
        ..DescribeCollectionRequest::default()
    };
    let answer = message(client.rpc().describe_collection(request).await)?;
    accept(answer.status.as_ref())?;
    Ok(answer)
}

async fn has(client: &Client, name: &str) -> bool {
    let request = HasCollectionRequest {
        collection_name: name.to_owned(),
        ..HasCollectionRequest::default()
    };
    let answer = message(client.rpc().has_collection(request).await).expect("an answer");
    accept(answer.status.as_ref()).expect("yes or no");
    answer.value
}

async fn load_state(client: &Client, name: &str) -> LoadState {
    let request =
        GetLoadStateRequest { collection_name: name.to_owned(), ..GetLoadStateRequest::default() };
    let answer = message(client.rpc().get_load_state(request).await).expect("an answer");
    accept(answer.status.as_ref()).expect("a state");
    answer.state()
}

async fn indexes(client: &Client, name: &str) -> Answer<Vec<IndexDescription>> {
    let request = DescribeIndexRequest {
        collection_name: name.to_owned(),
        ..DescribeIndexRequest::default()
    };
    let answer = message(client.rpc().describe_index(request).await)?;
    accept(answer.status.as_ref())?;
    Ok(answer.index_descriptions)
}

/// A schema with every type that is served.
fn every_type(name: &str) -> CollectionSchema {
    let mut fields = vec![int_key()];
    for (field_name, data_type) in [
        ("flag", DataType::Bool),
        ("tiny", DataType::Int8),
        ("small", DataType::Int16),
        ("medium", DataType::Int32),
        ("large", DataType::Int64),
        ("single", DataType::Float),
        ("real", DataType::Double),
        ("document", DataType::Json),
    ] {
        fields.push(field(field_name, data_type));
    }
    fields.extend([text_field("word", 300), vector_field("vector", 8)]);
    CollectionSchema {
        description: "every type".to_owned(),
        enable_dynamic_field: true,
        ..schema(name, fields)
    }
}

/// What was created is described as it was asked for, with ids, and the dynamic field stays hidden.
async fn a_collection_is_described_as_it_was_created(mut site: Site) {
    let client = site.client();
    let asked = every_type("shapes");
    let before = client.now().await.expect("a timestamp");
    client.create(&asked, 3).await.expect("a collection");
    client.create(&asked, 3).await.expect("the same again is fine");
    let other = plain_schema("shapes", 8);
    let trouble = client.create(&other, 3).await.expect_err("another schema is not");
    assert!(trouble.to_string().contains("create duplicate collection"), "{trouble}");

    for round in 0..2 {
        let described = describe(&client, "shapes").await.expect("a description");
        let got = described.schema.clone().expect("a schema");
        assert_eq!(got.name, "shapes");
        assert_eq!(got.description, "every type");
        assert!(got.enable_dynamic_field);
        let names = |schema: &CollectionSchema| -> Vec<(String, i32)> {
            schema.fields.iter().map(|field| (field.name.clone(), field.data_type)).collect()
        };
        assert_eq!(names(&got), names(&asked));
        let ids: Vec<i64> = got.fields.iter().map(|field| field.field_id).collect();
        assert_eq!(ids, (100..100 + ids.len() as i64).collect::<Vec<i64>>());
        let text = got.fields.iter().find(|field| field.name == "word").expect("the text field");
        assert!(text.type_params.contains(&pair("max_length", 300)));
        let vector = got.fields.iter().find(|field| field.name == "vector").expect("the vector");
        assert!(vector.type_params.contains(&pair("dim", 8)));
        assert_eq!(described.shards_num, 3);
        assert_eq!(described.consistency_level(), ConsistencyLevel::Bounded);
        assert_eq!(described.virtual_channel_names.len(), 3);
        assert_eq!(described.physical_channel_names.len(), 3);
        assert_eq!(described.db_name, "default");
        assert_eq!(described.num_partitions, 1);
        assert_ne!(described.collection_id, 0);
        assert!(described.created_timestamp > before);
        assert_eq!(described.created_utc_timestamp, described.created_timestamp >> 18);

        let by_id = DescribeCollectionRequest {
            collection_id: described.collection_id,
            ..DescribeCollectionRequest::default()
        };
        let by_id = message(client.rpc().describe_collection(by_id).await).expect("an answer");
        accept(by_id.status.as_ref()).expect("a description by id");
        assert_eq!(by_id.collection_name, "shapes");
        if round == 0 {
            site.kill();
            site.restart().expect("a server that starts again");
        }
    }
}
on_both!(a_collection_is_described_as_it_was_created);

/// Collections come and go, drops are idempotent, and a name can be used again.
async fn collections_are_listed_dropped_and_created_again(site: Site) {
    let client = site.client();
    for name in ["first", "second"] {
        client.create(&plain_schema(name, 4), 1).await.expect("a collection");
    }
    let list = async |client: &Client| {
        let request = ShowCollectionsRequest::default();
        let answer = message(client.rpc().show_collections(request).await).expect("a list");
        accept(answer.status.as_ref()).expect("a list");
        assert_eq!(answer.collection_names.len(), answer.collection_ids.len());
        let mut names = answer.collection_names;
        names.sort();
        names
    };
    assert_eq!(list(&client).await, ["first", "second"]);
    assert!(has(&client, "first").await && !has(&client, "third").await);
    let first = describe(&client, "first").await.expect("a description").collection_id;

    client.drop("first").await.expect("a drop");
    client.drop("first").await.expect("a drop of nothing is fine");
    assert!(!has(&client, "first").await);
    let trouble = describe(&client, "first").await.expect_err("it is gone");
    assert_eq!(trouble.code(), 100);
    let text = "can't find collection collection not found[database=default][collection=first]";
    assert!(trouble.to_string().contains(text), "{trouble}");

    client.prepare("first", 4, 1).await.expect("the name again");
    let again = describe(&client, "first").await.expect("a description").collection_id;
    assert_ne!(first, again, "ids are never used again");
    assert_eq!(client.count("first", "").await.expect("a count"), 0);
    assert_eq!(list(&client).await, ["first", "second"]);
}
on_both!(collections_are_listed_dropped_and_created_again);

/// Databases hold collections of the same names; the body of a request goes before the metadata.
async fn databases_keep_their_collections_apart(site: Site) {
    let client = site.client();
    let create = |name: &str| CreateDatabaseRequest {
        db_name: name.to_owned(),
        ..CreateDatabaseRequest::default()
    };
    let answer = message(client.rpc().create_database(create("library")).await);
    accept(Some(&answer.expect("an answer"))).expect("a database");
    let again = message(client.rpc().create_database(create("library")).await);
    let trouble = accept(Some(&again.expect("an answer"))).expect_err("it exists");
    assert!(trouble.to_string().contains("database already exist: library"), "{trouble}");

    let list = message(client.rpc().list_databases(ListDatabasesRequest::default()).await);
    let mut names = list.expect("a list").db_names;
    names.sort();
    assert_eq!(names, ["default", "library"]);

    client.create(&plain_schema("books", 4), 1).await.expect("a collection in default");
    let has_in = async |body: &str, metadata: &str| {
        let mut request = tonic::Request::new(HasCollectionRequest {
            db_name: body.to_owned(),
            collection_name: "books".to_owned(),
            ..HasCollectionRequest::default()
        });
        if !metadata.is_empty() {
            request.metadata_mut().insert("dbname", metadata.parse().expect("a value"));
        }
        let answer = message(client.rpc().has_collection(request).await).expect("an answer");
        accept(answer.status.as_ref()).map(|()| answer.value)
    };
    assert!(has_in("", "").await.expect("an answer"));
    assert!(!has_in("library", "").await.expect("an answer"));
    assert!(!has_in("", "library").await.expect("an answer"));
    assert!(has_in("default", "library").await.expect("an answer"));
    let trouble = has_in("nowhere", "").await.expect_err("no such database");
    assert_eq!(trouble.code(), 800);
    assert!(trouble.to_string().contains("database not found[database=nowhere]"), "{trouble}");

    let drop = |name: &str| DropDatabaseRequest {
        db_name: name.to_owned(),
        ..DropDatabaseRequest::default()
    };
    let answer = message(client.rpc().drop_database(drop("default")).await).expect("an answer");
    let trouble = accept(Some(&answer)).expect_err("the default database stays");
    assert!(trouble.to_string().contains("can not drop default database"), "{trouble}");
    let answer = message(client.rpc().drop_database(drop("library")).await).expect("an answer");
    accept(Some(&answer)).expect("a drop");
}
on_both!(databases_keep_their_collections_apart);

/// Two rows into a partition of `parts`.
async fn insert_into(client: &Client, partition: &str, first: i64) {
    let request = InsertRequest {
        collection_name: "parts".to_owned(),
        partition_name: partition.to_owned(),
        num_rows: 2,
        fields_data: vec![
            longs("id", vec![first, first + 1]),
            longs("value", vec![0, 0]),
            vectors("vector", 4, &[0.0; 8]),
        ],
        ..InsertRequest::default()
    };
    let answer = message(client.rpc().insert(request).await).expect("an answer");
    accept(answer.status.as_ref()).expect("rows");
}

/// Rows of a dropped partition are gone, and a partition that is loaded cannot be dropped.
async fn partitions_come_and_go(site: Site) {
    let client = site.client();
    client.prepare("parts", 4, 2).await.expect("a collection");
    let create = |name: &str| CreatePartitionRequest {
        collection_name: "parts".to_owned(),
        partition_name: name.to_owned(),
        ..CreatePartitionRequest::default()
    };
    for name in ["north", "south", "south"] {
        let answer = message(client.rpc().create_partition(create(name)).await);
        accept(Some(&answer.expect("an answer"))).expect("a partition, also when it exists");
    }
    let show = async |client: &Client| {
        let request = ShowPartitionsRequest {
            collection_name: "parts".to_owned(),
            ..ShowPartitionsRequest::default()
        };
        let answer = message(client.rpc().show_partitions(request).await).expect("a list");
        accept(answer.status.as_ref()).expect("a list");
        assert_eq!(answer.partition_names.len(), answer.partition_i_ds.len());
        answer.partition_names
    };
    assert_eq!(show(&client).await, ["_default", "north", "south"]);
    let request = HasPartitionRequest {
        collection_name: "parts".to_owned(),
        partition_name: "north".to_owned(),
        ..HasPartitionRequest::default()
    };
    assert!(message(client.rpc().has_partition(request.clone()).await).expect("an answer").value);

    insert_into(&client, "north", 0).await;
    insert_into(&client, "south", 10).await;
    assert_eq!(client.count("parts", "").await.expect("a count"), 4);
    let drop = DropPartitionRequest {
        collection_name: "parts".to_owned(),
        partition_name: "north".to_owned(),
        ..DropPartitionRequest::default()
    };
    let answer = message(client.rpc().drop_partition(drop.clone()).await).expect("an answer");
    let trouble = accept(Some(&answer)).expect_err("it is loaded");
    let text = "partition cannot be dropped, partition is loaded, please release it first";
    assert!(trouble.to_string().contains(text), "{trouble}");

    let release = ReleasePartitionsRequest {
        collection_name: "parts".to_owned(),
        partition_names: vec!["north".to_owned()],
        ..ReleasePartitionsRequest::default()
    };
    let answer = message(client.rpc().release_partitions(release).await).expect("an answer");
    accept(Some(&answer)).expect("a release");
    let mut request = query("parts", "id >= 0", &["id"]);
    request.partition_names = vec!["north".to_owned()];
    let trouble = client.query(request).await.expect_err("it is released");
    assert!(trouble.to_string().contains("not loaded"), "{trouble}");
    for _ in 0..2 {
        let answer = message(client.rpc().drop_partition(drop.clone()).await).expect("an answer");
        accept(Some(&answer)).expect("a drop, also of nothing");
    }
    assert_eq!(client.count("parts", "").await.expect("a count"), 2);
    assert_eq!(show(&client).await, ["_default", "south"]);
}
on_both!(partitions_come_and_go);

/// An index is described as it was asked for, and a vector field without one cannot be loaded.
async fn indexes_are_described_as_they_were_created(site: Site) {
    let client = site.client();
    client.create(&plain_schema("indexed", 4), 1).await.expect("a collection");
    let trouble = indexes(&client, "indexed").await.expect_err("there is none");
    assert_eq!(trouble.code(), 700);
    assert!(trouble.to_string().contains("index not found[collection=indexed]"), "{trouble}");
    let trouble = client.load("indexed").await.expect_err("no index, no load");
    let texts = ["index not found", "please create index firstly"];
    assert!(texts.iter().any(|text| trouble.to_string().contains(text)), "{trouble}");

    let create = |kind: &str, metric: &str, params: &str| CreateIndexRequest {
        collection_name: "indexed".to_owned(),
        field_name: "vector".to_owned(),
        extra_params: vec![
            pair("index_type", kind),
            pair("metric_type", metric),
            pair("params", params),
        ],
        ..CreateIndexRequest::default()
    };
    let request = create("AUTOINDEX", "COSINE", "{}");
    for _ in 0..2 {
        let answer = message(client.rpc().create_index(request.clone()).await).expect("an answer");
        accept(Some(&answer)).expect("an index; the same again is fine");
    }
    let answer = message(client.rpc().create_index(create("FLAT", "L2", "{}")).await);
    let trouble = accept(Some(&answer.expect("an answer"))).expect_err("another one is not");
    assert!(trouble.to_string().contains("at most one distinct index is allowed per field"));

    let found = indexes(&client, "indexed").await.expect("indexes");
    assert_eq!(found.len(), 1);
    assert_eq!((&*found[0].index_name, &*found[0].field_name), ("vector", "vector"));
    assert_eq!(found[0].state(), IndexState::Finished);
    assert_eq!(found[0].pending_index_rows, 0);
    let params: BTreeMap<_, _> =
        found[0].params.iter().map(|pair| (pair.key.as_str(), pair.value.as_str())).collect();
    assert_eq!(params.get("index_type"), Some(&"AUTOINDEX"));
    assert_eq!(params.get("metric_type"), Some(&"COSINE"));

    client.load("indexed").await.expect("a load");
    let drop = DropIndexRequest {
        collection_name: "indexed".to_owned(),
        field_name: "vector".to_owned(),
        index_name: "vector".to_owned(),
        ..DropIndexRequest::default()
    };
    let answer = message(client.rpc().drop_index(drop.clone()).await).expect("an answer");
    let trouble = accept(Some(&answer)).expect_err("it is in use");
    let text = "index cannot be dropped, collection is loaded, please release it first";
    assert!(trouble.to_string().contains(text), "{trouble}");
    let release = ReleaseCollectionRequest {
        collection_name: "indexed".to_owned(),
        ..ReleaseCollectionRequest::default()
    };
    let answer = message(client.rpc().release_collection(release).await).expect("an answer");
    accept(Some(&answer)).expect("a release");
    let answer = message(client.rpc().drop_index(drop).await).expect("an answer");
    accept(Some(&answer)).expect("a drop");
    assert_eq!(indexes(&client, "indexed").await.expect_err("it is gone").code(), 700);
}
on_both!(indexes_are_described_as_they_were_created);

/// Reads need a loaded collection; load state and progress say how it is.
async fn only_a_loaded_collection_can_be_read(mut site: Site) {
    let client = site.client();
    client.create(&plain_schema("loaded", 4), 1).await.expect("a collection");
    assert_eq!(load_state(&client, "loaded").await, LoadState::NotLoad);
    assert_eq!(load_state(&client, "missing").await, LoadState::NotExist);
    let trouble = client.count("loaded", "").await.expect_err("not loaded");
    assert_eq!(trouble.code(), 101);
    assert!(trouble.to_string().contains("collection not loaded"), "{trouble}");

    client.index("loaded", "vector", "L2").await.expect("an index");
    client.load("loaded").await.expect("a load");
    client.load("loaded").await.expect("a load of what is loaded");
    assert_eq!(load_state(&client, "loaded").await, LoadState::Loaded);
    let request = GetLoadingProgressRequest {
        collection_name: "loaded".to_owned(),
        ..GetLoadingProgressRequest::default()
    };
    let progress = message(client.rpc().get_loading_progress(request).await).expect("progress");
    accept(progress.status.as_ref()).expect("progress");
    assert_eq!(progress.progress, 100);
    assert_eq!(client.count("loaded", "").await.expect("a count"), 0);

    site.kill();
    site.restart().expect("a server that starts again");
    assert_eq!(load_state(&client, "loaded").await, LoadState::Loaded, "it stays loaded");
    let release = ReleaseCollectionRequest {
        collection_name: "loaded".to_owned(),
        ..ReleaseCollectionRequest::default()
    };
    let answer = message(client.rpc().release_collection(release).await).expect("an answer");
    accept(Some(&answer)).expect("a release");
    assert_eq!(load_state(&client, "loaded").await, LoadState::NotLoad);

    let request = LoadPartitionsRequest {
        collection_name: "loaded".to_owned(),
        partition_names: vec!["_default".to_owned()],
        ..LoadPartitionsRequest::default()
    };
    let answer = message(client.rpc().load_partitions(request).await).expect("an answer");
    accept(Some(&answer)).expect("a load of one partition");
    assert_eq!(client.count("loaded", "").await.expect("a count"), 0);
}
on_both!(only_a_loaded_collection_can_be_read);
