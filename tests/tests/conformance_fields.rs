//! Fields that are added to a collection with rows: in memory, in files, in the log, after restarts.

use std::time::Duration;

use millstream_gateway::pb::alter_collection_schema_request::action::Op;
use millstream_gateway::pb::alter_collection_schema_request::{Action, AddRequest, FieldInfo};
use millstream_gateway::pb::schema::value_field::Data;
use millstream_gateway::pb::schema::{DataType, FieldData, FieldSchema, ValueField};
use millstream_gateway::pb::{
    AddCollectionFieldRequest, AlterCollectionSchemaRequest, DescribeCollectionRequest,
    InsertRequest,
};
use millstream_tests::client::{Answer, Client, Trouble, accept, hits, message, query, search};
use millstream_tests::history::DIM;
use millstream_tests::on_both;
use millstream_tests::rows::{
    column, field, longs, pair, plain_schema, read_ints, read_longs, read_texts, text_field, texts,
};
use millstream_tests::site::{Site, Variant};
use millstream_tests::workload::columns;
use prost::Message;

/// A field that may be added.
fn nullable(field: FieldSchema) -> FieldSchema {
    FieldSchema { nullable: true, ..field }
}

fn with_default(field: FieldSchema, data: Data) -> FieldSchema {
    FieldSchema { default_value: Some(ValueField { data: Some(data) }), ..nullable(field) }
}

async fn add(client: &Client, collection: &str, field: &FieldSchema) -> Answer<()> {
    let request = AddCollectionFieldRequest {
        collection_name: collection.to_owned(),
        schema: field.encode_to_vec().into(),
        ..AddCollectionFieldRequest::default()
    };
    accept(Some(&message(client.rpc().add_collection_field(request).await)?))
}

/// As newer clients add one.
async fn add_by_schema(client: &Client, collection: &str, field: FieldSchema) -> Answer<()> {
    let info = FieldInfo { field_schema: Some(field), ..FieldInfo::default() };
    let add = AddRequest { field_infos: vec![info], ..AddRequest::default() };
    let request = AlterCollectionSchemaRequest {
        collection_name: collection.to_owned(),
        action: Some(Action { op: Some(Op::AddRequest(add)) }),
        ..AlterCollectionSchemaRequest::default()
    };
    let answer = message(client.rpc().alter_collection_schema(request).await)?;
    accept(answer.alter_status.as_ref())
}

async fn fields(client: &Client, name: &str) -> Vec<FieldSchema> {
    let request = DescribeCollectionRequest {
        collection_name: name.to_owned(),
        ..DescribeCollectionRequest::default()
    };
    let answer = message(client.rpc().describe_collection(request).await).expect("an answer");
    answer.schema.expect("a schema").fields
}

/// Rows of `value == id`, from an id on, without later columns.
async fn insert(client: &Client, from: i64, count: i64) {
    let rows: Vec<(i64, i64)> = (from..from + count).map(|id| (id, id)).collect();
    client.insert("c", rows.len(), columns(&rows)).await.expect("rows");
}

/// The values of a column, null where there is none.
fn valid<T>(columns: &[FieldData], name: &str, values: Vec<T>) -> Vec<Option<T>> {
    let valid = &column(columns, name).expect("the column").valid_data;
    assert!(valid.is_empty() || valid.len() == values.len(), "{name}: {valid:?}");
    let valid = valid.iter().copied().chain(std::iter::repeat(true));
    values.into_iter().zip(valid).map(|(value, valid)| valid.then_some(value)).collect()
}

/// Rows 0 to 119 are older than the fields, 120 to 129 came without values of them, 130 to 139 with
/// such: `note` is the id, `grade` 5 and `word` "own".
async fn check(client: &Client) {
    for (filter, count) in [
        ("", 140),
        ("grade == 7", 130),
        ("grade == 5", 10),
        ("note is null", 130),
        ("note is not null", 10),
        ("note >= 135", 5),
        ("word == \"old\" and id >= 125", 5),
        ("text_match(word, \"old\")", 130),
        ("text_match(word, \"own\")", 10),
        ("flags is null", 140),
        ("grade == 7 and id % 2 == 0", 65),
    ] {
        assert_eq!(client.count("c", filter).await.expect("a count"), count, "{filter}");
    }
    let outputs = ["id", "note", "grade", "word", "flags"];
    let ids = "id in [5, 65, 115, 125, 135]";
    let answer = client.query(query("c", ids, &outputs)).await.expect("rows");
    let columns = &answer.fields_data;
    assert_eq!(read_longs(columns, "id"), [5, 65, 115, 125, 135]);
    let notes = valid(columns, "note", read_longs(columns, "note"));
    assert_eq!(notes, [None, None, None, None, Some(135)]);
    assert_eq!(read_ints(columns, "grade"), [7, 7, 7, 7, 5]);
    assert_eq!(read_texts(columns, "word"), ["old", "old", "old", "old", "own"]);
    let mut ordered = query("c", "id >= 128", &["id", "grade"]);
    ordered.query_params.extend([pair("order_by_fields", "grade:asc,id:desc"), pair("limit", 11)]);
    let answer = client.query(ordered).await.expect("rows in order");
    let expected: Vec<i64> = (130..140).rev().chain([129]).collect();
    assert_eq!(read_longs(&answer.fields_data, "id"), expected);
    let mut sums = query("c", "", &["grade", "count(*)", "sum(grade)", "count(note)"]);
    sums.query_params.push(pair("group_by_fields", "grade"));
    let answer = client.query(sums).await.expect("groups");
    let columns = &answer.fields_data;
    let mut groups: Vec<_> = read_ints(columns, "grade")
        .into_iter()
        .zip(read_longs(columns, "count(*)"))
        .zip(read_longs(columns, "sum(grade)"))
        .zip(read_longs(columns, "count(note)"))
        .collect();
    groups.sort_unstable();
    assert_eq!(groups, [(((5, 10), 50), 10), (((7, 130), 910), 0)]);
    let mut near = search("c", DIM, &[0.5; DIM], 200);
    near.dsl = "grade == 5".to_owned();
    near.output_fields = vec!["note".to_owned(), "grade".to_owned()];
    let answer = client.search(near).await.expect("hits");
    assert_eq!(read_ints(&hits(&answer).fields_data, "grade"), [5; 10]);
}

async fn rows_of_every_age_answer_with_added_fields(mut site: Site) {
    let client = site.client();
    client.prepare("c", DIM, 2).await.expect("a collection");
    insert(&client, 0, 60).await;
    client.flush("c").await.expect("a flush");
    insert(&client, 60, 60).await;
    let note = nullable(field("note", DataType::Int64));
    add(&client, "c", &note).await.expect("a field");
    let grade = with_default(field("grade", DataType::Int8), Data::IntData(7));
    add_by_schema(&client, "c", grade).await.expect("a field");
    let matched = [pair("enable_analyzer", "true"), pair("enable_match", "true")];
    let mut word = with_default(text_field("word", 16), Data::StringData("old".to_owned()));
    word.type_params.extend(matched);
    add(&client, "c", &word).await.expect("a field");
    let flags = FieldSchema {
        element_type: DataType::Bool.into(),
        type_params: vec![pair("max_capacity", 4)],
        ..nullable(field("flags", DataType::Array))
    };
    add(&client, "c", &flags).await.expect("a field");
    let described = fields(&client, "c").await;
    let names: Vec<_> = described.iter().map(|f| (f.name.as_str(), f.field_id)).collect();
    let added = [("note", 103), ("grade", 104), ("word", 105), ("flags", 106)];
    assert_eq!(names[3..], added);
    assert!(described[3..].iter().all(|f| f.nullable));
    assert_eq!(described[4].default_value, Some(ValueField { data: Some(Data::IntData(7)) }));

    // Clients that know the older columns go on.
    insert(&client, 120, 10).await;
    let rows: Vec<(i64, i64)> = (130..140).map(|id| (id, id)).collect();
    let mut whole = columns(&rows);
    whole.push(longs("note", (130..140).collect()));
    whole.push(millstream_tests::rows::ints("grade", DataType::Int8, vec![5; 10]));
    whole.push(texts("word", vec!["own".to_owned(); 10]));
    client.insert("c", 10, whole).await.expect("rows with values of their own");
    check(&client).await;
    for flush in [false, true, false] {
        if flush {
            site.client().flush("c").await.expect("a flush");
            check(&site.client()).await;
        }
        site.kill();
        site.restart().expect("a server that starts again");
        check(&site.client()).await;
    }
    let client = site.client();
    let deleted = client.delete("c", "grade == 7 and note is null and id < 100").await;
    assert_eq!(deleted.expect("a delete").delete_cnt, 100);
    assert_eq!(client.count("c", "grade == 7").await.expect("a count"), 30);
    client.upsert("c", 1, columns(&[(130, 1)])).await.expect("an upsert");
    assert_eq!(client.count("c", "grade == 7 and note is null").await.expect("a count"), 31);
}
on_both!(rows_of_every_age_answer_with_added_fields);

async fn a_collection_takes_fields_up_to_the_limit_and_a_dynamic_key_of_the_name_stays(site: Site) {
    let client = site.client();
    let schema = millstream_gateway::pb::schema::CollectionSchema {
        enable_dynamic_field: true,
        ..plain_schema("c", DIM)
    };
    client.create(&schema, 2).await.expect("a collection");
    client.index("c", "vector", "L2").await.expect("an index");
    client.load("c").await.expect("a load");
    let mut whole = columns(&[(1, 1), (2, 2)]);
    let keys = [r#"{"f3": 30, "x": 1}"#, r#"{"x": 2}"#].map(str::to_owned);
    whole.push(millstream_tests::rows::dynamic(keys.to_vec()));
    client.insert("c", 2, whole).await.expect("rows");
    assert_eq!(client.count("c", "f3 == 30").await.expect("a count"), 1);
    for n in 3..64 {
        let field = nullable(field(&format!("f{n}"), DataType::Int64));
        add(&client, "c", &field).await.expect("a field");
    }
    let more = nullable(field("more", DataType::Int64));
    let trouble = add(&client, "c", &more).await.expect_err("a refusal");
    assert!(trouble.to_string().contains("maximum value 64: invalid parameter"), "{trouble}");
    assert_eq!(fields(&client, "c").await.len(), 64);
    assert_eq!(client.count("c", "f3 is null and f63 is null").await.expect("a count"), 2);
    assert_eq!(client.count("c", "$meta[\"f3\"] == 30 and x == 1").await.expect("a count"), 1);
    let mut whole = columns(&[(3, 3)]);
    whole.push(longs("f63", vec![9]));
    whole.push(millstream_tests::rows::dynamic(vec![r#"{"x": 3}"#.to_owned()]));
    client.insert("c", 1, whole).await.expect("a row");
    let answer = client.query(query("c", "x == 3", &["f63", "f4"])).await.expect("rows");
    assert_eq!(read_longs(&answer.fields_data, "f63"), [9]);
}
on_both!(a_collection_takes_fields_up_to_the_limit_and_a_dynamic_key_of_the_name_stays);

/// Fields are added while rows come and the server is killed: what was acknowledged is there, and
/// what was not is there wholly or not at all.
async fn fields_survive_a_server_that_is_killed_while_they_are_added(mut site: Site) {
    site.client().prepare("c", DIM, 2).await.expect("a collection");
    let (mut next, mut rows, mut known) = (0, 0, 0);
    for round in 0..4_u64 {
        let client = site.client();
        let adding = tokio::spawn({
            let client = client.clone();
            async move {
                let mut added = 0;
                for n in known..60 {
                    let default = Data::LongData(n as i64);
                    let field = with_default(field(&format!("f{n}"), DataType::Int64), default);
                    if add(&client, "c", &field).await.is_err() {
                        break;
                    }
                    added = n + 1;
                }
                added
            }
        });
        let inserting = tokio::spawn(async move {
            let mut id = next;
            while client.insert("c", 1, columns(&[(id, id)])).await.is_ok() {
                id += 1;
            }
            id
        });
        tokio::time::sleep(Duration::from_millis(40 + 35 * round)).await;
        site.kill();
        let (added, last) = (adding.await.expect("a task"), inserting.await.expect("a task"));
        site.restart().expect("a server that starts again");
        let client = site.client();
        let names = fields(&client, "c").await;
        assert!(names.len() >= 3 + added, "{added} were acknowledged, {} are there", names.len());
        known = names.len() - 3;
        let sure = rows + last - next;
        for (n, field) in names[3..].iter().enumerate() {
            assert_eq!((&*field.name, field.field_id), (&*format!("f{n}"), 103 + n as i64));
            let filter = format!("f{n} == {n}");
            let there = client.count("c", &filter).await.expect("a count");
            assert!((sure..=sure + 1).contains(&there), "{there} of {sure} rows: {filter}");
        }
        rows = client.count("c", "").await.expect("a count");
        next = last + 1;
    }
    assert!(known > 0, "no field was added before a crash");
}
on_both!(fields_survive_a_server_that_is_killed_while_they_are_added);

/// A client that goes away leaves no half of a change behind.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_field_whose_client_went_away_is_added_or_not() {
    let site = Site::start(Variant::Embedded).expect("a server");
    let client = site.client();
    client.prepare("c", DIM, 1).await.expect("a collection");
    for n in 0..20_u64 {
        let added = nullable(field(&format!("f{n}"), DataType::Int64));
        let adding = add(&client, "c", &added);
        let _ = tokio::time::timeout(Duration::from_micros(300 * n), adding).await;
        client.insert("c", 1, columns(&[(n as i64, 1)])).await.expect("a row");
    }
    add(&client, "c", &nullable(field("last", DataType::Int64))).await.expect("a field");
    let names = fields(&client, "c").await;
    for field in &names[3..] {
        let filter = format!("{} is null", field.name);
        assert_eq!(client.count("c", &filter).await.expect("a count"), 20, "{filter}");
    }
}

/// Inserts a row that was made by the schema of a time.
async fn insert_by(client: &Client, id: i64, schema_timestamp: u64) -> Answer<()> {
    let request = InsertRequest {
        collection_name: "c".to_owned(),
        num_rows: 1,
        fields_data: columns(&[(id, id)]),
        schema_timestamp,
        ..InsertRequest::default()
    };
    let answer = message(client.rpc().insert(request).await)?;
    accept(answer.status.as_ref())
}

async fn rows_made_by_an_older_schema_are_refused_so_that_clients_look_at_it_again(site: Site) {
    let client = site.client();
    client.create(&plain_schema("c", DIM), 1).await.expect("a collection");
    let seen = async || {
        let request = DescribeCollectionRequest {
            collection_name: "c".to_owned(),
            ..DescribeCollectionRequest::default()
        };
        message(client.rpc().describe_collection(request).await).expect("an answer")
    };
    let first = seen().await.update_timestamp;
    client.index("c", "vector", "L2").await.expect("an index");
    client.load("c").await.expect("a load");
    assert_eq!(seen().await.update_timestamp, first, "neither changes the schema");
    insert_by(&client, 1, first).await.expect("rows");
    add(&client, "c", &nullable(field("note", DataType::Int64))).await.expect("a field");
    let second = seen().await.update_timestamp;
    assert!(second > first);
    for wrong in [first, second + (1 << 40)] {
        let Err(Trouble::Refused(status)) = insert_by(&client, 2, wrong).await else {
            panic!("taken by the schema of {wrong}")
        };
        assert_eq!((status.code, status.error_code, status.retriable), (109, 62, false));
        assert!(status.reason.contains("collection schema mismatch[collection=c]"));
    }
    insert_by(&client, 3, second).await.expect("rows");
    insert_by(&client, 4, 0).await.expect("rows of a client that says nothing");
    assert_eq!(client.count("c", "").await.expect("a count"), 3);
}
on_both!(rows_made_by_an_older_schema_are_refused_so_that_clients_look_at_it_again);
