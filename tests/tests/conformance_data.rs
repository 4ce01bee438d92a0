//! Writing and reading rows: what the answers hold, for every type that is served.

use millstream_gateway::pb::common::ConsistencyLevel;
use millstream_gateway::pb::schema::{CollectionSchema, DataType, FieldSchema};
use millstream_gateway::pb::{
    FlushRequest, GetCollectionStatisticsRequest, GetFlushStateRequest, QueryRequest,
};
use millstream_tests::client::{Client, accept, hits, message, query, search, search_params};
use millstream_tests::on_both;
use millstream_tests::rows::{
    bools, column, doubles, dynamic, field, floats, int_ids, int_key, ints, jsons, longs, pair,
    read_ints, read_jsons, read_longs, read_texts, read_vectors, schema, text_field, text_ids,
    text_key, texts, vector_field, vectors,
};
use millstream_tests::site::Site;

/// Rows `first..first + count` of the plain schema: the value is ten times the key, the vector is
/// the key four times.
async fn insert_plain(client: &Client, name: &str, first: i64, count: i64) -> u64 {
    let keys: Vec<i64> = (first..first + count).collect();
    let values = keys.iter().map(|key| key * 10).collect();
    let flat: Vec<f32> = keys.iter().flat_map(|&key| [key as f32; 4]).collect();
    let columns = vec![longs("id", keys), longs("value", values), vectors("vector", 4, &flat)];
    let rows = usize::try_from(count).expect("a small count");
    client.insert(name, rows, columns).await.expect("rows").timestamp
}

/// The answer to a write counts rows and names keys; its timestamp shows the write to a session.
async fn writes_answer_with_counts_keys_and_a_timestamp(site: Site) {
    let client = site.client();
    client.prepare("plain", 4, 2).await.expect("a collection");
    let before = client.now().await.expect("a timestamp");
    let columns = || {
        vec![
            longs("id", vec![7, 8, 9]),
            longs("value", vec![1, 2, 3]),
            vectors("vector", 4, &[0.5; 12]),
        ]
    };
    let inserted = client.insert("plain", 3, columns()).await.expect("rows");
    assert_eq!(int_ids(inserted.i_ds.as_ref()), [7, 8, 9]);
    assert_eq!((inserted.insert_cnt, inserted.succ_index), (3, vec![0, 1, 2]));
    assert!(inserted.err_index.is_empty());
    assert!(inserted.timestamp > before);

    let upserted = client.upsert("plain", 3, columns()).await.expect("rows");
    assert_eq!(upserted.upsert_cnt, 3);
    assert_eq!(int_ids(upserted.i_ds.as_ref()), [7, 8, 9]);
    assert!(upserted.timestamp > inserted.timestamp);

    let deleted = client.delete("plain", "id in [7, 1000]").await.expect("a delete");
    assert_eq!(deleted.delete_cnt, 2, "the number of listed keys, as Milvus answers");
    assert!(deleted.timestamp > upserted.timestamp, "a delete has a timestamp too");
    let session = QueryRequest {
        consistency_level: ConsistencyLevel::Session.into(),
        guarantee_timestamp: deleted.timestamp,
        ..query("plain", "id > 0", &["id"])
    };
    let seen = client.query(session).await.expect("rows");
    assert_eq!(read_longs(&seen.fields_data, "id"), [8, 9], "a session sees its own delete");

    let by_filter = client.delete("plain", "value >= 3").await.expect("a delete");
    assert!(by_filter.timestamp > deleted.timestamp);
    assert_eq!(client.count("plain", "").await.expect("a count"), 1);
}
on_both!(writes_answer_with_counts_keys_and_a_timestamp);

/// Every type goes in and comes back as it was.
async fn every_type_comes_back_as_it_went_in(site: Site) {
    let client = site.client();
    let mut fields = vec![int_key()];
    for (name, data_type) in [
        ("flag", DataType::Bool),
        ("tiny", DataType::Int8),
        ("small", DataType::Int16),
        ("medium", DataType::Int32),
        ("single", DataType::Float),
        ("real", DataType::Double),
        ("document", DataType::Json),
    ] {
        fields.push(field(name, data_type));
    }
    fields.extend([text_field("word", 100), vector_field("vector", 2)]);
    let types = CollectionSchema { enable_dynamic_field: true, ..schema("types", fields) };
    client.create(&types, 2).await.expect("a collection");
    client.index("types", "vector", "IP").await.expect("an index");
    client.load("types").await.expect("a load");
    let words: Vec<String> = ["", "naïve 🦀", "tab\tquote\"", "x"].map(str::to_owned).to_vec();
    let columns = vec![
        longs("id", vec![i64::MIN, -1, 0, i64::MAX]),
        bools("flag", vec![true, false, true, false]),
        ints("tiny", DataType::Int8, vec![-128, 127, 0, 1]),
        ints("small", DataType::Int16, vec![-32768, 32767, 0, 1]),
        ints("medium", DataType::Int32, vec![i32::MIN, i32::MAX, 0, 1]),
        floats("single", &[-0.0, f32::MIN_POSITIVE, f32::MAX, 1.5]),
        doubles("real", vec![f64::MIN, f64::MAX, 1e-300, 0.1]),
        jsons(
            "document",
            [r#"{"a":[1,{"b":null}]}"#, "[]", "\"s\"", "3"].map(str::to_owned).to_vec(),
        ),
        texts("word", words.clone()),
        vectors("vector", 2, &[1.0, -1.0, 0.25, 3e38, -0.0, 0.0, 1e-40, 2.0]),
        dynamic([r#"{"k":1}"#, "{}", r#"{"k":"v","l":[2]}"#, "{}"].map(str::to_owned).to_vec()),
    ];
    client.insert("types", 4, columns.clone()).await.expect("rows");
    let request = query("types", "id in [-1, 0] or id < 0 or id > 0", &["*"]);
    let answer = client.query(request).await.expect("rows");
    assert_eq!(read_longs(&answer.fields_data, "id"), [i64::MIN, -1, 0, i64::MAX], "key order");
    for name in ["tiny", "small", "medium"] {
        assert_eq!(read_ints(&answer.fields_data, name), read_ints(&columns, name), "{name}");
    }
    assert_eq!(read_texts(&answer.fields_data, "word"), words);
    for name in ["flag", "real"] {
        let (got, put) = (column(&answer.fields_data, name), column(&columns, name));
        assert_eq!(got.expect("a column").field, put.expect("a column").field, "{name}");
    }
    let bits = |values: Vec<f32>| values.into_iter().map(f32::to_bits).collect::<Vec<u32>>();
    let got = bits(read_vectors(&answer.fields_data, "vector"));
    assert_eq!(got, bits(read_vectors(&columns, "vector")), "vectors come back bit by bit");
    let documents = read_jsons(&answer.fields_data, "document");
    assert_eq!(documents, read_jsons(&columns, "document"));
    let extra = answer.fields_data.iter().find(|column| column.is_dynamic).expect("dynamic keys");
    assert_eq!(extra.field_name, "$meta");
}
on_both!(every_type_comes_back_as_it_went_in);

/// Neighbours come best first, ties by key, with what was asked for and nothing more.
async fn a_search_answers_in_order_with_the_asked_fields(site: Site) {
    let client = site.client();
    client.prepare("near", 4, 3).await.expect("a collection");
    insert_plain(&client, "near", 0, 100).await;
    let mut request = search("near", 4, &[[10.4; 4], [50.0; 4]].concat(), 5);
    request.output_fields = vec!["value".to_owned()];
    let answer = client.search(request.clone()).await.expect("hits");
    let found = hits(&answer);
    assert_eq!(found.num_queries, 2);
    assert_eq!(found.top_k, 5);
    assert_eq!(found.topks, [5, 5]);
    assert_eq!(found.primary_field_name, "id");
    let ids = int_ids(found.ids.as_ref());
    assert_eq!(ids, [10, 11, 9, 12, 8, 50, 49, 51, 48, 52], "ties by key");
    let values: Vec<i64> = ids.iter().map(|id| id * 10).collect();
    assert_eq!(read_longs(&found.fields_data, "value"), values);
    assert_eq!(found.fields_data.len(), 1, "only the output fields");
    assert!((found.scores[0] - 0.64).abs() < 1e-4, "squared L2: {:?}", found.scores);
    assert_eq!(&found.scores[5..8], [0.0, 4.0, 4.0]);

    let mut paged = request.clone();
    paged.search_params.push(pair("offset", 3));
    let page = client.search(paged).await.expect("hits");
    assert_eq!(int_ids(hits(&page).ids.as_ref()), [12, 8, 13, 7, 14, 48, 52, 47, 53, 46]);

    let mut filtered = request.clone();
    filtered.dsl = "id > 50 and value % 20 == 10".to_owned();
    let answer = client.search(filtered).await.expect("hits");
    let ids = int_ids(hits(&answer).ids.as_ref());
    assert_eq!(ids, [51, 53, 55, 57, 59, 51, 53, 55, 57, 59]);

    let mut nothing = request.clone();
    nothing.dsl = "id < 0".to_owned();
    let answer = client.search(nothing).await.expect("an empty answer");
    let found = hits(&answer);
    assert_eq!((found.num_queries, found.topks.clone()), (2, vec![0, 0]));
    assert!(found.ids.is_some(), "ids are there and empty");

    let mut all = search("near", 4, &[0.0; 4], 1000);
    all.search_params = search_params("", "", 1000);
    let answer = client.search(all).await.expect("the only vector field and its metric are taken");
    assert_eq!(hits(&answer).topks, [100]);
}
on_both!(a_search_answers_in_order_with_the_asked_fields);

/// Each metric scores in its own scale.
async fn metrics_score_in_their_own_scale(site: Site) {
    let client = site.client();
    for (metric, want) in [
        ("L2", [(1, 0.0_f32), (2, 1.0), (3, 25.0)]),
        ("IP", [(3, 12.0), (1, 9.0), (2, 6.0)]),
        ("COSINE", [(1, 1.0), (2, 1.0), (3, 0.8)]),
    ] {
        let name = format!("metric_{metric}");
        let fields = vec![int_key(), vector_field("vector", 2)];
        client.create(&schema(&name, fields), 1).await.expect("a collection");
        client.index(&name, "vector", metric).await.expect("an index");
        client.load(&name).await.expect("a load");
        let flat = [3.0, 0.0, 2.0, 0.0, 4.0, 3.0];
        let flat = if metric == "L2" { [3.0, 0.0, 2.0, 0.0, 6.0, 4.0] } else { flat };
        let columns = vec![longs("id", vec![1, 2, 3]), vectors("vector", 2, &flat)];
        client.insert(&name, 3, columns).await.expect("rows");
        let mut request = search(&name, 2, &[3.0, 0.0], 3);
        request.search_params = search_params("vector", metric, 3);
        let answer = client.search(request).await.expect("hits");
        let found = hits(&answer);
        let ids = int_ids(found.ids.as_ref());
        assert_eq!(ids, want.map(|(id, _)| id), "{metric}: {:?}", found.scores);
        for (score, (_, want)) in found.scores.iter().zip(want) {
            assert!((score - want).abs() < 1e-5, "{metric}: {:?}", found.scores);
        }
    }
}
on_both!(metrics_score_in_their_own_scale);

/// Text keys and automatic keys work like integers.
async fn text_keys_and_automatic_keys_work(mut site: Site) {
    let client = site.client();
    client
        .create(&schema("words", vec![text_key(), vector_field("vector", 2)]), 4)
        .await
        .expect("a collection");
    client.index("words", "vector", "L2").await.expect("an index");
    client.load("words").await.expect("a load");
    let keys: Vec<String> = ["b", "a", "ä", "a b"].map(str::to_owned).to_vec();
    let flat = [0.0, 0.0, 1.0, 0.0, 2.0, 0.0, 3.0, 0.0];
    let columns = vec![texts("id", keys), vectors("vector", 2, &flat)];
    client.insert("words", 4, columns).await.expect("rows");
    client.delete("words", "id in ['a', 'none']").await.expect("a delete");
    let answer = client.query(query("words", "id >= 'a'", &["id"])).await.expect("rows");
    assert_eq!(read_texts(&answer.fields_data, "id"), ["a b", "b", "ä"], "in key order");
    let answer = client.search(search("words", 2, &[2.2, 0.0], 2)).await.expect("hits");
    assert_eq!(text_ids(hits(&answer).ids.as_ref()), ["ä", "a b"]);

    let key = FieldSchema { auto_id: true, ..int_key() };
    let automatic = schema("automatic", vec![key, vector_field("vector", 2)]);
    client.create(&automatic, 2).await.expect("a collection");
    client.index("automatic", "vector", "L2").await.expect("an index");
    client.load("automatic").await.expect("a load");
    let mut ids = Vec::new();
    for round in 0..3 {
        let columns = vec![vectors("vector", 2, &[round as f32; 20])];
        let answer = client.insert("automatic", 10, columns).await.expect("rows");
        ids.extend(int_ids(answer.i_ds.as_ref()));
        site.kill();
        site.restart().expect("a server that starts again");
    }
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 30, "automatic keys are unique, also across restarts");
    assert_eq!(client.count("automatic", "").await.expect("a count"), 30);
}
on_both!(text_keys_and_automatic_keys_work);

/// Queries: pages in key order, output fields, counts, keys that have several rows.
async fn a_query_pages_in_key_order(site: Site) {
    let client = site.client();
    client.prepare("pages", 4, 3).await.expect("a collection");
    insert_plain(&client, "pages", 0, 500).await;
    let page = |offset: usize, limit: usize| QueryRequest {
        query_params: vec![pair("offset", offset), pair("limit", limit)],
        ..query("pages", "value >= 1000", &["value"])
    };
    let mut seen = Vec::new();
    for offset in (0..420).step_by(70) {
        let answer = client.query(page(offset, 70)).await.expect("a page");
        seen.extend(read_longs(&answer.fields_data, "id"));
        assert_eq!(answer.collection_name, "pages");
    }
    assert_eq!(seen, (100..500).collect::<Vec<i64>>());
    let empty = client.query(query("pages", "id < 0", &["id", "vector"])).await.expect("rows");
    assert!(read_longs(&empty.fields_data, "id").is_empty(), "columns are there and empty");
    assert!(read_vectors(&empty.fields_data, "vector").is_empty());

    insert_plain(&client, "pages", 7, 1).await;
    assert_eq!(client.count("pages", "").await.expect("a count"), 501, "rows, not keys");
    assert_eq!(client.count("pages", "id == 7").await.expect("a count"), 2);
    let answer = client.query(query("pages", "id == 7", &["value"])).await.expect("rows");
    assert_eq!(read_longs(&answer.fields_data, "id"), [7], "a key is returned once");
    let answer = client.search(search("pages", 4, &[7.0; 4], 3)).await.expect("hits");
    assert_eq!(int_ids(hits(&answer).ids.as_ref()), [7, 6, 8]);
    client.delete("pages", "id in [7]").await.expect("a delete");
    assert_eq!(client.count("pages", "").await.expect("a count"), 499, "both rows are gone");
}
on_both!(a_query_pages_in_key_order);

/// A flush answers, its state becomes flushed, and the statistics count the rows.
async fn a_flush_is_answered_and_statistics_count_rows(site: Site) {
    let client = site.client();
    client.prepare("flushed", 4, 2).await.expect("a collection");
    insert_plain(&client, "flushed", 0, 50).await;
    let request =
        FlushRequest { collection_names: vec!["flushed".to_owned()], ..FlushRequest::default() };
    let answer = message(client.rpc().flush(request).await).expect("an answer");
    accept(answer.status.as_ref()).expect("a flush");
    let segments = answer.coll_seg_i_ds.get("flushed").map(|ids| ids.data.clone());
    let request = GetFlushStateRequest {
        segment_i_ds: segments.expect("segments of the collection"),
        flush_ts: answer.coll_flush_ts.get("flushed").copied().unwrap_or_default(),
        collection_name: "flushed".to_owned(),
        ..GetFlushStateRequest::default()
    };
    let state = message(client.rpc().get_flush_state(request).await).expect("an answer");
    accept(state.status.as_ref()).expect("a state");
    assert!(state.flushed);
    let request = GetCollectionStatisticsRequest {
        collection_name: "flushed".to_owned(),
        ..GetCollectionStatisticsRequest::default()
    };
    let stats = message(client.rpc().get_collection_statistics(request).await).expect("an answer");
    accept(stats.status.as_ref()).expect("statistics");
    assert_eq!(stats.stats, [pair("row_count", 50)]);
}
on_both!(a_flush_is_answered_and_statistics_count_rows);

/// A filter decides by its language: comparison, sets, logic, patterns, arithmetic, JSON paths.
async fn filters_select_rows(site: Site) {
    let client = site.client();
    let fields = vec![
        int_key(),
        field("n", DataType::Int32),
        field("x", DataType::Double),
        text_field("word", 50),
        field("doc", DataType::Json),
        vector_field("vector", 2),
    ];
    let filtered = CollectionSchema { enable_dynamic_field: true, ..schema("filtered", fields) };
    client.create(&filtered, 2).await.expect("a collection");
    client.index("filtered", "vector", "L2").await.expect("an index");
    client.load("filtered").await.expect("a load");
    let count = 20_i32;
    let keys: Vec<i64> = (0..count).map(i64::from).collect();
    let each = |f: fn(i32) -> String| (0..count).map(f).collect::<Vec<String>>();
    let columns = vec![
        longs("id", keys.clone()),
        ints("n", DataType::Int32, (0..count).map(|i| i % 5).collect()),
        doubles("x", (0..count).map(|i| f64::from(i) / 2.0).collect()),
        texts("word", each(|i| format!("w{i:02}"))),
        jsons("doc", each(|i| format!(r#"{{"a":{i},"t":["x",{i}],"s":"s{i}"}}"#))),
        vectors("vector", 2, &[0.0; 40]),
        dynamic(each(|i| if i % 2 == 0 { format!(r#"{{"d":{i}}}"#) } else { "{}".to_owned() })),
    ];
    client.insert("filtered", keys.len(), columns).await.expect("rows");
    type Keep = fn(i64) -> bool;
    let cases: [(&str, Keep); 16] = [
        ("id == 3", |i| i == 3),
        ("n != 2 and id < 10", |i| i % 5 != 2 && i < 10),
        ("x >= 9.0 or n == 0", |i| i >= 18 || i % 5 == 0),
        ("not (id > 2)", |i| i <= 2),
        ("id in [1, 5, 400]", |i| i == 1 || i == 5),
        ("word not in ['w03', 'w04'] && id <= 5", |i| i <= 5 && i != 3 && i != 4),
        ("word like 'w1%'", |i| i >= 10),
        ("word like '%7'", |i| i % 10 == 7),
        ("n + 1 == 5", |i| i % 5 == 4),
        ("id * 2 > 30", |i| i > 15),
        ("id % 7 == 3", |i| i % 7 == 3),
        ("doc['a'] < 4", |i| i < 4),
        ("doc['s'] == 's11'", |i| i == 11),
        ("doc['t'][1] == 12", |i| i == 12),
        ("d >= 10", |i| i % 2 == 0 && i >= 10),
        ("3 < id <= 6", |i| i > 3 && i <= 6),
    ];
    for (text, keep) in cases {
        let want: Vec<i64> = keys.iter().copied().filter(|&i| keep(i)).collect();
        let answer = client.query(query("filtered", text, &["id"])).await;
        let answer = answer.unwrap_or_else(|trouble| panic!("{text}: {trouble}"));
        assert_eq!(read_longs(&answer.fields_data, "id"), want, "{text}");
        let count = client.count("filtered", text).await.expect("a count");
        assert_eq!(count, want.len() as i64, "{text}");
    }
}
on_both!(filters_select_rows);
