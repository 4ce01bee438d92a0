//! Changes in place: properties of databases and collections, fields, indexes; and how far the
//! build of an index is.

use millstream_gateway::pb::common::{ConsistencyLevel, IndexState, KeyValuePair};
use millstream_gateway::pb::schema::FieldSchema;
use millstream_gateway::pb::{
    AlterCollectionFieldRequest, AlterCollectionRequest, AlterDatabaseRequest, AlterIndexRequest,
    CreateDatabaseRequest, DescribeCollectionRequest, DescribeCollectionResponse,
    DescribeDatabaseRequest, DescribeIndexRequest, GetIndexBuildProgressRequest,
    GetIndexStateRequest, GetIndexStatisticsRequest, ReleaseCollectionRequest,
};
use millstream_tests::client::{Answer, Client, accept, message};
use millstream_tests::on_both;
use millstream_tests::rows::{
    int_key, longs, pair, schema, text_field, texts, vector_field, vectors,
};
use millstream_tests::site::Site;

fn pairs(pairs: &[(&str, &str)]) -> Vec<KeyValuePair> {
    pairs.iter().map(|(key, value)| pair(key, value)).collect()
}

fn keys(keys: &[&str]) -> Vec<String> {
    keys.iter().map(|&key| key.to_owned()).collect()
}

#[track_caller]
fn expect(outcome: Answer<impl std::fmt::Debug>, code: i32, text: &str) {
    let trouble = outcome.expect_err("a refusal");
    assert_eq!(trouble.code(), code, "{trouble}");
    assert!(trouble.to_string().contains(text), "{trouble}");
}

async fn describe(client: &Client, name: &str) -> DescribeCollectionResponse {
    let request = DescribeCollectionRequest {
        collection_name: name.to_owned(),
        ..DescribeCollectionRequest::default()
    };
    let answer = message(client.rpc().describe_collection(request).await).expect("an answer");
    accept(answer.status.as_ref()).expect("a description");
    answer
}

async fn field(client: &Client, collection: &str, name: &str) -> FieldSchema {
    let schema = describe(client, collection).await.schema.expect("a schema");
    schema.fields.into_iter().find(|f| f.name == name).expect("the field")
}

async fn alter(client: &Client, name: &str, set: &[(&str, &str)], drop: &[&str]) -> Answer<()> {
    let request = AlterCollectionRequest {
        collection_name: name.to_owned(),
        properties: pairs(set),
        delete_keys: keys(drop),
        ..AlterCollectionRequest::default()
    };
    accept(Some(&message(client.rpc().alter_collection(request).await)?))
}

async fn alter_field(
    client: &Client,
    name: &str,
    set: &[(&str, &str)],
    drop: &[&str],
) -> Answer<()> {
    let request = AlterCollectionFieldRequest {
        collection_name: "c".to_owned(),
        field_name: name.to_owned(),
        properties: pairs(set),
        delete_keys: keys(drop),
        ..AlterCollectionFieldRequest::default()
    };
    accept(Some(&message(client.rpc().alter_collection_field(request).await)?))
}

async fn alter_index(
    client: &Client,
    index: &str,
    set: &[(&str, &str)],
    drop: &[&str],
) -> Answer<()> {
    let request = AlterIndexRequest {
        collection_name: "c".to_owned(),
        index_name: index.to_owned(),
        extra_params: pairs(set),
        delete_keys: keys(drop),
        ..AlterIndexRequest::default()
    };
    accept(Some(&message(client.rpc().alter_index(request).await)?))
}

async fn release(client: &Client, name: &str) {
    let request = ReleaseCollectionRequest {
        collection_name: name.to_owned(),
        ..ReleaseCollectionRequest::default()
    };
    let answer = message(client.rpc().release_collection(request).await).expect("an answer");
    accept(Some(&answer)).expect("a release");
}

/// A key, a text of at most four bytes, a vector: indexed and loaded.
async fn prepare(client: &Client) {
    let fields = vec![int_key(), text_field("word", 4), vector_field("vector", 4)];
    client.create(&schema("c", fields), 2).await.expect("a collection");
    client.index("c", "vector", "L2").await.expect("an index");
    client.load("c").await.expect("a load");
}

async fn insert(client: &Client, key: i64, word: &str) -> Answer<()> {
    let columns = vec![
        longs("id", vec![key]),
        texts("word", vec![word.to_owned()]),
        vectors("vector", 4, &[0.0; 4]),
    ];
    client.insert("c", 1, columns).await.map(|_| ())
}

async fn properties_of_a_collection_are_altered_and_described(mut site: Site) {
    let client = site.client();
    prepare(&client).await;
    let quota = ("collection.insertRate.max.mb", "12.5");
    alter(&client, "c", &[quota, ("mine", "yours")], &[]).await.expect("properties");
    alter(&client, "c", &[("mine", "ours")], &[]).await.expect("properties");
    let before = describe(&client, "c").await;
    assert_eq!(before.properties, pairs(&[quota, ("mine", "ours")]));
    let loaded = "collection already loaded[collection=c]";
    let mmap = &[("mmap.enabled", "true")];
    expect(alter(&client, "c", mmap, &[]).await, 104, loaded);
    expect(alter(&client, "c", &[], &["mmap.enabled"]).await, 104, loaded);
    release(&client, "c").await;
    alter(&client, "c", mmap, &[]).await.expect("it is released");
    alter(&client, "c", &[], &["mine", "nothing"]).await.expect("a key less");
    for round in 0..2 {
        let after = describe(&client, "c").await;
        assert_eq!(after.properties, pairs(&[quota, ("mmap.enabled", "true")]));
        if round == 0 {
            site.kill();
            site.restart().expect("a server that starts again");
        }
    }
    let request = AlterCollectionRequest {
        collection_id: before.collection_id,
        properties: pairs(&[("by", "id")]),
        ..AlterCollectionRequest::default()
    };
    let answer = message(client.rpc().alter_collection(request).await).expect("an answer");
    accept(Some(&answer)).expect("a collection by its id");
    assert!(describe(&client, "c").await.properties.contains(&pair("by", "id")));
    let set = &[("consistency_level", "Eventually"), ("collection.description", "of words")];
    alter(&client, "c", set, &[]).await.expect("a level and a description");
    let after = describe(&client, "c").await;
    assert_eq!(after.consistency_level(), ConsistencyLevel::Eventually);
    assert_eq!(after.schema.expect("a schema").description, "of words");
    assert!(after.properties.iter().all(|p| p.key != "consistency_level"));
}
on_both!(properties_of_a_collection_are_altered_and_described);

async fn a_field_holds_longer_texts_from_the_moment_it_may(mut site: Site) {
    let client = site.client();
    prepare(&client).await;
    let text = "exceeds max length (4)";
    let trouble = insert(&client, 1, "longer").await.expect_err("four bytes are allowed");
    assert!(trouble.to_string().contains(text), "{trouble}");
    alter_field(&client, "word", &[("max_length", "6")], &[]).await.expect("six bytes");
    insert(&client, 1, "longer").await.expect("six bytes");
    alter_field(&client, "word", &[("max_length", "2")], &[]).await.expect("two bytes");
    insert(&client, 2, "too long").await.expect_err("two bytes are allowed");
    insert(&client, 2, "ok").await.expect("two bytes");
    assert_eq!(client.count("c", "").await.expect("rows that are there stay"), 2);

    let mmap = &[("mmap_enabled", "True")];
    expect(alter_field(&client, "vector", mmap, &[]).await, 104, "already loaded[collection=c]");
    release(&client, "c").await;
    alter_field(&client, "vector", mmap, &[]).await.expect("it is released");
    let described = &[("field.description", "what is said")];
    alter_field(&client, "word", described, &[]).await.expect("a description");
    for round in 0..2 {
        let word = field(&client, "c", "word").await;
        assert_eq!(word.type_params, pairs(&[("max_length", "2")]));
        assert_eq!(word.description, "what is said");
        let vector = field(&client, "c", "vector").await;
        assert_eq!(vector.type_params, pairs(&[("dim", "4"), ("mmap.enabled", "True")]));
        if round == 0 {
            site.kill();
            site.restart().expect("a server that starts again");
        }
    }
    alter_field(&client, "vector", &[], &["mmap.enabled"]).await.expect("a key less");
    assert_eq!(field(&client, "c", "vector").await.type_params, pairs(&[("dim", "4")]));
    client.load("c").await.expect("a load");
    assert_eq!(client.count("c", "word == \"longer\"").await.expect("a count"), 1);
}
on_both!(a_field_holds_longer_texts_from_the_moment_it_may);

async fn an_index_is_altered_while_nothing_is_loaded(site: Site) {
    let client = site.client();
    prepare(&client).await;
    let params = async |client: &Client| {
        let request = DescribeIndexRequest {
            collection_name: "c".to_owned(),
            ..DescribeIndexRequest::default()
        };
        let answer = message(client.rpc().describe_index(request).await).expect("an answer");
        accept(answer.status.as_ref()).expect("indexes");
        answer.index_descriptions[0].params.clone()
    };
    let mmap = &[("mmap.enabled", "true")];
    let text = "can't alter index on loaded collection, please release the collection first: \
                collection already loaded[collection=c]";
    expect(alter_index(&client, "vector", mmap, &[]).await, 104, text);
    expect(alter_index(&client, "vector", &[], &["mmap.enabled"]).await, 104, text);
    release(&client, "c").await;
    alter_index(&client, "vector", mmap, &[]).await.expect("it is released");
    assert!(params(&client).await.contains(&pair("mmap.enabled", "true")));
    client.index("c", "vector", "L2").await.expect("the same index again is fine");
    assert!(client.index("c", "vector", "IP").await.is_err(), "another is not");
    alter_index(&client, "vector", &[], &["mmap.enabled"]).await.expect("a key less");
    let left = params(&client).await;
    assert_eq!(left, pairs(&[("index_type", "FLAT"), ("metric_type", "L2")]));
    expect(
        alter_index(&client, "nothing", mmap, &[]).await,
        700,
        "index not found[indexName=nothing]",
    );
}
on_both!(an_index_is_altered_while_nothing_is_loaded);

/// An index is finished when it is defined, and counts every row that is there.
async fn the_build_of_an_index_is_told_as_it_is(site: Site) {
    let client = site.client();
    prepare(&client).await;
    for (key, word) in [(1, "a"), (2, "b"), (3, "c")] {
        insert(&client, key, word).await.expect("a row");
    }
    client.delete("c", "id == 2").await.expect("a delete");
    assert_eq!(client.count("c", "").await.expect("a count"), 2);

    let ask = GetIndexStateRequest {
        collection_name: "c".to_owned(),
        field_name: "vector".to_owned(),
        index_name: "vector".to_owned(),
        ..GetIndexStateRequest::default()
    };
    let state = message(client.rpc().get_index_state(ask.clone()).await).expect("an answer");
    accept(state.status.as_ref()).expect("a state");
    assert_eq!((state.state(), &*state.fail_reason), (IndexState::Finished, ""));
    let ask = GetIndexStateRequest { index_name: "nothing".to_owned(), ..ask };
    let state = message(client.rpc().get_index_state(ask).await).expect("an answer");
    expect(accept(state.status.as_ref()), 700, "index not found[indexName=nothing]");

    let ask = GetIndexBuildProgressRequest {
        collection_name: "c".to_owned(),
        index_name: "vector".to_owned(),
        ..GetIndexBuildProgressRequest::default()
    };
    let progress = message(client.rpc().get_index_build_progress(ask.clone()).await);
    let progress = progress.expect("an answer");
    accept(progress.status.as_ref()).expect("progress");
    assert_eq!((progress.indexed_rows, progress.total_rows), (2, 2));
    let ask = GetIndexBuildProgressRequest { index_name: "nothing".to_owned(), ..ask };
    let progress = message(client.rpc().get_index_build_progress(ask).await).expect("an answer");
    expect(accept(progress.status.as_ref()), 700, "index not found[indexName=nothing]");

    let ask = GetIndexStatisticsRequest {
        collection_name: "c".to_owned(),
        ..GetIndexStatisticsRequest::default()
    };
    let answer = message(client.rpc().get_index_statistics(ask.clone()).await).expect("an answer");
    accept(answer.status.as_ref()).expect("statistics");
    let [index] = &answer.index_descriptions[..] else { panic!("{answer:?}") };
    assert_eq!((&*index.index_name, &*index.field_name), ("vector", "vector"));
    assert_eq!((index.total_rows, index.indexed_rows, index.pending_index_rows), (2, 2, 0));
    assert_eq!(index.state(), IndexState::Finished);
    let ask = GetIndexStatisticsRequest { index_name: "nothing".to_owned(), ..ask };
    let answer = message(client.rpc().get_index_statistics(ask).await).expect("an answer");
    expect(accept(answer.status.as_ref()), 700, "index not found[indexName=nothing]");
}
on_both!(the_build_of_an_index_is_told_as_it_is);

async fn properties_of_a_database_are_altered_described_and_obeyed(mut site: Site) {
    let client = site.client();
    let create = CreateDatabaseRequest {
        db_name: "d".to_owned(),
        properties: pairs(&[("database.max.collections", "1"), ("mine", "yours")]),
        ..CreateDatabaseRequest::default()
    };
    let answer = message(client.rpc().create_database(create).await).expect("an answer");
    accept(Some(&answer)).expect("a database");
    let alter = async |client: &Client, set: &[(&str, &str)], drop: &[&str]| {
        let request = AlterDatabaseRequest {
            db_name: "d".to_owned(),
            properties: pairs(set),
            delete_keys: keys(drop),
            ..AlterDatabaseRequest::default()
        };
        accept(Some(&message(client.rpc().alter_database(request).await)?))
    };
    let described = async |client: &Client| {
        let request = DescribeDatabaseRequest {
            db_name: "d".to_owned(),
            ..DescribeDatabaseRequest::default()
        };
        let answer = message(client.rpc().describe_database(request).await).expect("an answer");
        accept(answer.status.as_ref()).expect("a description");
        assert_eq!(answer.db_name, "d");
        assert!(answer.db_id > 0 && answer.created_timestamp > 0);
        answer.properties
    };
    let create = async |client: &Client, name: &str| {
        use prost::Message;
        let schema = schema(name, vec![int_key(), vector_field("vector", 4)]);
        let request = millstream_gateway::pb::CreateCollectionRequest {
            db_name: "d".to_owned(),
            collection_name: name.to_owned(),
            schema: schema.encode_to_vec().into(),
            shards_num: 1,
            ..Default::default()
        };
        accept(Some(&message(client.rpc().create_collection(request).await)?))
    };
    create(&client, "first").await.expect("one collection");
    let text = "exceeded the limit number of collections[dbName=d][limit=1]";
    expect(create(&client, "second").await, 102, text);
    alter(&client, &[("database.max.collections", "2")], &[]).await.expect("properties");
    create(&client, "second").await.expect("two collections");
    expect(create(&client, "third").await, 102, "[dbName=d][limit=2]");
    alter(&client, &[], &["database.max.collections"]).await.expect("no limit");
    create(&client, "third").await.expect("three collections");
    assert_eq!(described(&client).await, pairs(&[("mine", "yours")]));
    site.kill();
    site.restart().expect("a server that starts again");
    assert_eq!(described(&client).await, pairs(&[("mine", "yours")]));
}
on_both!(properties_of_a_database_are_altered_described_and_obeyed);
