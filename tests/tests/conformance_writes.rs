//! Writes that change rows: upserts of automatic keys, partial updates, nulls and default values.

use millstream_gateway::pb::schema::value_field::Data as DefaultData;
use millstream_gateway::pb::schema::{DataType, FieldData, FieldSchema, ValueField};
use millstream_gateway::pb::{MutationResult, UpsertRequest};
use millstream_tests::client::{Answer, Client, accept, message, query};
use millstream_tests::on_both;
use millstream_tests::rows::{
    column, dynamic, field, int_ids, int_key, longs, read_jsons, read_longs, read_texts, schema,
    text_field, text_ids, text_key, texts, vector_field, vectors,
};
use millstream_tests::site::Site;

const DIM: usize = 2;

/// Creates, indexes and loads a collection of these fields and a vector.
async fn prepare(client: &Client, name: &str, mut fields: Vec<FieldSchema>) {
    fields.push(vector_field("vector", DIM));
    client.create(&schema(name, fields), 3).await.expect("a collection");
    client.index(name, "vector", "L2").await.expect("an index");
    client.load(name).await.expect("a load");
}

fn points(rows: usize) -> FieldData {
    vectors("vector", DIM, &vec![0.5; rows * DIM])
}

async fn update(
    client: &Client,
    collection: &str,
    rows: u32,
    fields_data: Vec<FieldData>,
) -> Answer<MutationResult> {
    let request = UpsertRequest {
        collection_name: collection.to_owned(),
        fields_data,
        num_rows: rows,
        partial_update: true,
        ..UpsertRequest::default()
    };
    let answer = message(client.rpc().upsert(request).await)?;
    accept(answer.status.as_ref())?;
    Ok(answer)
}

/// The rows are there once, under new keys that the answer tells; the old keys are gone.
async fn an_upsert_of_automatic_keys_gives_the_rows_new_keys(site: Site) {
    let client = site.client();
    let rows = 50;
    let values = |from: i64| longs("value", (from..from + rows as i64).collect());
    let auto = FieldSchema { auto_id: true, ..int_key() };
    prepare(&client, "ints", vec![auto, field("value", DataType::Int64)]).await;
    let made = client.insert("ints", rows, vec![values(0), points(rows)]).await.expect("rows");
    let old = int_ids(made.i_ds.as_ref());
    let again = vec![longs("id", old.clone()), values(1_000), points(rows)];
    let made = client.upsert("ints", rows, again).await.expect("an upsert");
    let new = int_ids(made.i_ds.as_ref());
    assert!(new.len() == rows && new.iter().all(|key| !old.contains(key)));
    assert_eq!(client.count("ints", "").await.expect("a count"), rows as i64);
    let found = client.query(query("ints", &format!("id == {}", new[7]), &["value"])).await;
    assert_eq!(read_longs(&found.expect("a row").fields_data, "value"), [1_007]);

    let auto = FieldSchema { auto_id: true, ..text_key() };
    prepare(&client, "texts", vec![auto]).await;
    let made = client.insert("texts", rows, vec![points(rows)]).await.expect("rows");
    let old = text_ids(made.i_ds.as_ref());
    let made = client.upsert("texts", rows, vec![texts("id", old), points(rows)]).await;
    assert_eq!(text_ids(made.expect("an upsert").i_ds.as_ref()).len(), rows);
    assert_eq!(client.count("texts", "").await.expect("a count"), rows as i64);
}
on_both!(an_upsert_of_automatic_keys_gives_the_rows_new_keys);

/// What is not given stays; a row that is not there needs all that must have a value.
async fn a_partial_update_changes_what_it_gives(site: Site) {
    let client = site.client();
    let note = FieldSchema { nullable: true, ..text_field("note", 9) };
    prepare(&client, "rows", vec![int_key(), field("value", DataType::Int64), note]).await;
    let columns = vec![
        longs("id", vec![1, 2, 3]),
        longs("value", vec![10, 20, 30]),
        texts("note", vec!["a".to_owned(), "b".to_owned(), "c".to_owned()]),
        points(3),
    ];
    client.insert("rows", 3, columns).await.expect("rows");
    let changed = vec![longs("id", vec![3, 1]), longs("value", vec![33, 11])];
    let made = update(&client, "rows", 2, changed).await.expect("an update");
    assert_eq!((made.upsert_cnt, int_ids(made.i_ds.as_ref())), (2, vec![3, 1]));
    let cleared = FieldData { valid_data: vec![false], ..texts("note", Vec::new()) };
    update(&client, "rows", 1, vec![longs("id", vec![2]), cleared]).await.expect("an update");
    let found = client.query(query("rows", "id > 0", &["value", "note"])).await.expect("rows");
    assert_eq!(read_longs(&found.fields_data, "value"), [11, 20, 33]);
    assert_eq!(read_texts(&found.fields_data, "note"), ["a", "", "c"]);
    let note = column(&found.fields_data, "note").expect("a column");
    assert_eq!(note.valid_data, [true, false, true]);
    let missing = update(&client, "rows", 1, vec![longs("id", vec![9]), longs("value", vec![9])]);
    let trouble = missing.await.expect_err("a row without a vector");
    assert!(trouble.to_string().contains("vector"), "{trouble}");
    let whole = vec![longs("id", vec![9]), longs("value", vec![9]), points(1)];
    update(&client, "rows", 1, whole).await.expect("a new row");
    assert_eq!(client.count("rows", "").await.expect("a count"), 4);
}
on_both!(a_partial_update_changes_what_it_gives);

/// Dynamic keys that are given take the place of those that are there; the others stay.
async fn a_partial_update_keeps_dynamic_keys_that_it_does_not_give(site: Site) {
    let client = site.client();
    let mut rows = schema("rows", vec![int_key(), vector_field("vector", DIM)]);
    rows.enable_dynamic_field = true;
    client.create(&rows, 3).await.expect("a collection");
    client.index("rows", "vector", "L2").await.expect("an index");
    client.load("rows").await.expect("a load");
    let keys = |texts: [&str; 2]| dynamic(texts.map(str::to_owned).to_vec());
    let size = keys([r#"{"size":1,"color":"red"}"#, r#"{"size":2}"#]);
    client.insert("rows", 2, vec![longs("id", vec![1, 2]), size, points(2)]).await.expect("rows");
    let color = keys([r#"{"color":"blue"}"#, r#"{"color":"green","size":{"x":3}}"#]);
    update(&client, "rows", 2, vec![longs("id", vec![1, 2]), color]).await.expect("an update");
    let nothing = keys(["{}", "{}"]);
    let columns = vec![longs("id", vec![1, 2]), nothing, points(2)];
    update(&client, "rows", 2, columns).await.expect("an update");
    // Without the column nothing changes either, and a new row has no dynamic keys.
    let columns = vec![longs("id", vec![2, 3]), points(2)];
    update(&client, "rows", 2, columns).await.expect("an update");
    let found = client.query(query("rows", "id > 0", &["$meta"])).await.expect("rows");
    let wanted = [r#"{"size":1,"color":"blue"}"#, r#"{"color":"green","size":{"x":3}}"#, "{}"];
    assert_eq!(read_jsons(&found.fields_data, "$meta"), wanted);
    for (filter, count) in
        [("color == 'blue' and size == 1", 1), ("size['x'] == 3", 1), ("color == 'red'", 0)]
    {
        assert_eq!(client.count("rows", filter).await.expect("a count"), count, "{filter}");
    }
}
on_both!(a_partial_update_keeps_dynamic_keys_that_it_does_not_give);

/// A missing column, and a null, are the default value; without one they are null.
async fn rows_take_default_values(site: Site) {
    let client = site.client();
    let standard = Some(ValueField { data: Some(DefaultData::LongData(7)) });
    let level =
        FieldSchema { nullable: true, default_value: standard, ..field("level", DataType::Int64) };
    let free = FieldSchema { nullable: true, ..field("free", DataType::Int64) };
    prepare(&client, "rows", vec![int_key(), level, free]).await;
    client.insert("rows", 1, vec![longs("id", vec![1]), points(1)]).await.expect("a row");
    let some = FieldData { valid_data: vec![false, true], ..longs("level", vec![9]) };
    let columns = vec![longs("id", vec![2, 3]), some, longs("free", vec![4, 5]), points(2)];
    client.insert("rows", 2, columns).await.expect("rows");
    let found = client.query(query("rows", "id > 0", &["level", "free"])).await.expect("rows");
    assert_eq!(read_longs(&found.fields_data, "level"), [7, 7, 9]);
    assert_eq!(read_longs(&found.fields_data, "free"), [0, 4, 5]);
    let free = column(&found.fields_data, "free").expect("a column");
    assert_eq!(free.valid_data, [false, true, true]);
    assert_eq!(client.count("rows", "free is null").await.expect("a count"), 1);
    assert_eq!(client.count("rows", "level == 7").await.expect("a count"), 2);
}
on_both!(rows_take_default_values);

/// Two rows of one request with the same key have no one answer: nothing of it is written.
async fn an_upsert_that_names_a_key_twice_is_refused(site: Site) {
    let client = site.client();
    prepare(&client, "ints", vec![int_key()]).await;
    prepare(&client, "texts", vec![text_key()]).await;
    let words = |keys: [&str; 3]| texts("id", keys.map(str::to_owned).to_vec());
    let twice = [
        client.upsert("ints", 3, vec![longs("id", vec![5, 7, 5]), points(3)]).await,
        client.upsert("texts", 3, vec![words(["b", "a", "b"]), points(3)]).await,
        update(&client, "ints", 2, vec![longs("id", vec![5, 5]), points(2)]).await,
    ];
    for answer in twice {
        let trouble = answer.expect_err("a key twice");
        assert_eq!(trouble.code(), 1100);
        assert!(trouble.to_string().contains("duplicate primary keys are not allowed"));
    }
    assert_eq!(client.count("ints", "").await.expect("a count"), 0);
    client.upsert("ints", 2, vec![longs("id", vec![5, 7]), points(2)]).await.expect("rows");
    client
        .upsert("texts", 2, vec![texts("id", vec!["a".into(), "b".into()]), points(2)])
        .await
        .expect("rows");
    assert_eq!(client.count("ints", "").await.expect("a count"), 2);
}
on_both!(an_upsert_that_names_a_key_twice_is_refused);

/// Also when the rows of other shards could be updated: nothing of a refused request is written.
async fn a_refused_partial_update_writes_nothing_on_any_shard(site: Site) {
    let client = site.client();
    prepare(&client, "rows", vec![int_key(), field("value", DataType::Int64)]).await;
    let columns = vec![longs("id", (0..50).collect()), longs("value", vec![1; 50]), points(50)];
    client.insert("rows", 50, columns).await.expect("rows");
    let changed = vec![longs("id", (0..51).collect()), longs("value", vec![2; 51])];
    let trouble = update(&client, "rows", 51, changed).await.expect_err("key 50 has no row");
    assert!(trouble.code() == 1100 && trouble.to_string().contains("primary key 50"), "{trouble}");
    assert_eq!(client.count("rows", "value == 1").await.expect("a count"), 50);
    let changed = vec![longs("id", (0..50).collect()), longs("value", vec![2; 50])];
    update(&client, "rows", 50, changed).await.expect("an update");
    assert_eq!(client.count("rows", "value == 2").await.expect("a count"), 50);
}
on_both!(a_refused_partial_update_writes_nothing_on_any_shard);
