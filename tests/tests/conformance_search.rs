//! Searching and querying beyond the plain case: every vector type, ranges, groups, pages, keys,
//! hybrid searches, orders and aggregates.

use bytes::Bytes;
use millstream_gateway::pb::common::{
    ConsistencyLevel, DslType, PlaceholderGroup, PlaceholderType, PlaceholderValue,
};
use millstream_gateway::pb::schema::field_data::Field;
use millstream_gateway::pb::schema::i_ds::IdField;
use millstream_gateway::pb::schema::scalar_field::Data;
use millstream_gateway::pb::schema::vector_field::Data as Vectors;
use millstream_gateway::pb::schema::{
    DataType, DoubleArray, FieldData, FieldSchema, IDs, LongArray, ScalarField, SearchResultData,
    SparseFloatArray, StringArray, VectorField,
};
use millstream_gateway::pb::search_request::SearchInput;
use millstream_gateway::pb::{HybridSearchRequest, QueryRequest, SearchRequest, SearchResults};
use millstream_tests::client::{Client, accept, hits, message, query, search, search_params};
use millstream_tests::on_both;
use millstream_tests::rows::{
    column, field, float_bytes, int_ids, int_key, longs, pair, read_longs, read_texts, schema,
    text_field, texts, vector_field, vectors,
};
use millstream_tests::site::Site;
use prost::Message;

/// A column of vectors of any type: bytes row-major, sparse ones as their message.
fn typed(name: &str, data_type: DataType, dim: i64, data: Vectors) -> FieldData {
    FieldData {
        r#type: data_type.into(),
        field_name: name.to_owned(),
        field: Some(Field::Vectors(VectorField { dim, data: Some(data) })),
        ..FieldData::default()
    }
}

/// The vectors of the column of this name.
fn read_typed(columns: &[FieldData], name: &str) -> Vectors {
    match column(columns, name).and_then(|c| c.field.clone()) {
        Some(Field::Vectors(VectorField { data: Some(data), .. })) => data,
        other => panic!("no vectors in column {name}: {other:?}"),
    }
}

fn sparse_row(pairs: &[(u32, f32)]) -> Vec<u8> {
    let bytes = |(at, value): &(u32, f32)| [at.to_le_bytes(), value.to_le_bytes()].concat();
    pairs.iter().flat_map(bytes).collect()
}

/// The same column, with nulls where `valid` says so.
fn nullable(column: FieldData, valid: Vec<bool>) -> FieldData {
    FieldData { valid_data: valid, ..column }
}

/// A Strong search with queries of a type.
fn typed_search(
    collection: &str,
    field: &str,
    kind: PlaceholderType,
    queries: Vec<Vec<u8>>,
    topk: usize,
) -> SearchRequest {
    let nq = queries.len();
    let value = PlaceholderValue {
        tag: "$0".to_owned(),
        r#type: kind.into(),
        values: queries.into_iter().map(Bytes::from).collect(),
        ..PlaceholderValue::default()
    };
    let group = PlaceholderGroup { placeholders: vec![value] }.encode_to_vec();
    SearchRequest {
        collection_name: collection.to_owned(),
        dsl_type: DslType::BoolExprV1.into(),
        search_input: Some(SearchInput::PlaceholderGroup(group.into())),
        search_params: search_params(field, "", topk),
        nq: i64::try_from(nq).expect("few queries"),
        consistency_level: ConsistencyLevel::Strong.into(),
        ..SearchRequest::default()
    }
}

fn set(mut request: SearchRequest, key: &str, value: impl ToString) -> SearchRequest {
    request.search_params.retain(|pair| pair.key != key);
    request.search_params.push(pair(key, value));
    request
}

async fn found(client: &Client, request: SearchRequest) -> (Vec<i64>, Vec<f32>) {
    let answer = client.search(request).await.expect("hits");
    let found = hits(&answer);
    (int_ids(found.ids.as_ref()), found.scores.clone())
}

async fn hybrid(client: &Client, request: HybridSearchRequest) -> SearchResultData {
    let answer: SearchResults =
        message(client.rpc().hybrid_search(request).await).expect("an answer");
    accept(answer.status.as_ref()).expect("a hybrid search");
    answer.results.expect("results")
}

/// Half-precision bits of small whole numbers.
fn half(value: u16) -> u16 {
    match value {
        0 => 0,
        n => {
            let exponent = n.ilog2() as u16;
            ((exponent + 15) << 10) | ((n << (10 - exponent)) & 0x3FF)
        }
    }
}

/// Makes `vectors`, with a field of every type of vector but the plain one.
async fn prepare_vectors(client: &Client) {
    let dim = |name: &str, data_type, dim: usize| FieldSchema {
        type_params: vec![pair("dim", dim)],
        ..field(name, data_type)
    };
    let fields = vec![
        int_key(),
        dim("halves", DataType::Float16Vector, 2),
        dim("brains", DataType::BFloat16Vector, 2),
        dim("bytes", DataType::Int8Vector, 2),
        dim("bits", DataType::BinaryVector, 8),
        field("sparse", DataType::SparseFloatVector),
    ];
    client.create(&schema("vectors", fields), 2).await.expect("a collection");
    for (name, kind, metric) in [
        ("halves", "FLAT", "L2"),
        ("brains", "FLAT", "IP"),
        ("bytes", "FLAT", "COSINE"),
        ("bits", "BIN_FLAT", "JACCARD"),
        ("sparse", "SPARSE_INVERTED_INDEX", "IP"),
    ] {
        client.index_of("vectors", name, kind, metric).await.expect("an index");
    }
    client.load("vectors").await.expect("a load");
}

/// Twenty rows of `vectors`: each vector is made of the key.
fn vector_columns() -> Vec<FieldData> {
    let rows: Vec<u16> = (0..20).collect();
    let halves: Vec<u8> =
        rows.iter().flat_map(|&i| [half(i), half(1)]).flat_map(u16::to_le_bytes).collect();
    let brains: Vec<u8> = rows
        .iter()
        .flat_map(|&i| [f32::from(i), 1.0])
        .flat_map(|x| ((x.to_bits() >> 16) as u16).to_le_bytes())
        .collect();
    let bytes: Vec<u8> = rows.iter().flat_map(|&i| [i as u8, 10]).collect();
    let bits: Vec<u8> = rows.iter().map(|&i| i as u8).collect();
    let contents: Vec<Bytes> =
        rows.iter().map(|&i| sparse_row(&[(u32::from(i), 1.0), (100, 0.5)]).into()).collect();
    let sparse = SparseFloatArray { contents, dim: 101 }.encode_to_vec();
    vec![
        longs("id", (0..20).collect()),
        typed("halves", DataType::Float16Vector, 2, Vectors::Float16Vector(halves.into())),
        typed("brains", DataType::BFloat16Vector, 2, Vectors::Bfloat16Vector(brains.into())),
        typed("bytes", DataType::Int8Vector, 2, Vectors::Int8Vector(bytes.into())),
        typed("bits", DataType::BinaryVector, 8, Vectors::BinaryVector(bits.into())),
        typed("sparse", DataType::SparseFloatVector, 0, Vectors::SparseFloatVector(sparse.into())),
    ]
}

/// Vectors of every type are kept, returned as they were, and searched by their metrics.
async fn every_vector_type_is_searched(site: Site) {
    let client = site.client();
    prepare_vectors(&client).await;
    let columns = vector_columns();
    client.insert("vectors", 20, columns.clone()).await.expect("rows");

    let answer = client.query(query("vectors", "id >= 0", &["*"])).await.expect("rows");
    for name in ["halves", "brains", "bytes", "bits"] {
        assert_eq!(
            read_typed(&answer.fields_data, name),
            read_typed(&columns, name),
            "{name} come back as they went in"
        );
    }
    let Vectors::SparseFloatVector(got) = read_typed(&answer.fields_data, "sparse") else {
        panic!("sparse vectors");
    };
    let Vectors::SparseFloatVector(put) = read_typed(&columns, "sparse") else {
        panic!("sparse vectors");
    };
    let contents = |bytes: Bytes| SparseFloatArray::decode(bytes).expect("a message").contents;
    assert_eq!(contents(got), contents(put));

    let query = [half(7), half(1)].iter().flat_map(|x| x.to_le_bytes()).collect();
    let request = typed_search("vectors", "halves", PlaceholderType::Float16Vector, vec![query], 3);
    assert_eq!(found(&client, request).await, (vec![7, 6, 8], vec![0.0, 1.0, 1.0]));
    let query: Vec<u8> =
        [2.0_f32, 0.0].iter().flat_map(|x| ((x.to_bits() >> 16) as u16).to_le_bytes()).collect();
    let request =
        typed_search("vectors", "brains", PlaceholderType::BFloat16Vector, vec![query], 2);
    assert_eq!(found(&client, request).await, (vec![19, 18], vec![38.0, 36.0]));
    let request =
        typed_search("vectors", "bytes", PlaceholderType::Int8Vector, vec![vec![5, 10]], 1);
    let (ids, scores) = found(&client, request).await;
    assert_eq!(ids, [5]);
    assert!((scores[0] - 1.0).abs() < 1e-6);
    let request = typed_search("vectors", "bits", PlaceholderType::BinaryVector, vec![vec![3]], 3);
    let (ids, scores) = found(&client, request).await;
    assert_eq!(ids, [3, 7, 11]);
    assert!((scores[1] - 1.0 / 3.0).abs() < 1e-6, "{scores:?}");
    let queries = vec![sparse_row(&[(4, 2.0)]), sparse_row(&[(4, 2.0), (100, 1.0)])];
    let kind = PlaceholderType::SparseFloatVector;
    let request = typed_search("vectors", "sparse", kind, queries, 2);
    let (ids, scores) = found(&client, request).await;
    assert_eq!(
        (ids, scores),
        (vec![4, 4, 0], vec![2.0, 2.5, 0.5]),
        "only rows that share an index"
    );
}
on_both!(every_vector_type_is_searched);

/// A collection of 100 rows on three shards: `kind` is the key modulo 4, null where it is 3; `word`
/// the kind as a text; `real` half the key; the vector lies on a line.
async fn prepare(client: &Client, name: &str) {
    let nullable_kind = FieldSchema { nullable: true, ..field("kind", DataType::Int64) };
    let fields = vec![
        int_key(),
        nullable_kind,
        text_field("word", 10),
        FieldSchema { nullable: true, ..field("real", DataType::Double) },
        vector_field("vector", 2),
        vector_field("other", 2),
    ];
    client.create(&schema(name, fields), 3).await.expect("a collection");
    client.index(name, "vector", "L2").await.expect("an index");
    client.index(name, "other", "IP").await.expect("an index");
    client.load(name).await.expect("a load");
    insert(client, name, 0..100).await;
}

async fn insert(client: &Client, name: &str, keys: std::ops::Range<i64>) {
    let keys: Vec<i64> = keys.collect();
    let kinds: Vec<i64> = keys.iter().map(|k| if k % 4 == 3 { 0 } else { k % 4 }).collect();
    let valid = keys.iter().map(|k| k % 4 != 3).collect();
    let reals = DoubleArray { data: keys.iter().map(|&k| k as f64 / 2.0).collect() };
    let real = FieldData {
        r#type: DataType::Double.into(),
        field_name: "real".to_owned(),
        field: Some(Field::Scalars(ScalarField { data: Some(Data::DoubleData(reals)) })),
        valid_data: keys.iter().map(|k| k % 10 != 0).collect(),
        ..FieldData::default()
    };
    let line: Vec<f32> = keys.iter().flat_map(|&k| [k as f32, 0.0]).collect();
    let other: Vec<f32> = keys.iter().flat_map(|&k| [1.0, (k % 10) as f32]).collect();
    let columns = vec![
        longs("id", keys.clone()),
        nullable(longs("kind", kinds), valid),
        texts("word", keys.iter().map(|k| format!("w{}", k % 4)).collect()),
        real,
        vectors("vector", 2, &line),
        vectors("other", 2, &other),
    ];
    client.insert(name, keys.len(), columns).await.expect("rows");
}

/// Distances end below the radius and begin at the filter; products the other way round.
async fn a_range_search_keeps_the_scores_between_its_bounds(site: Site) {
    let client = site.client();
    prepare(&client, "ranges").await;
    let line = || search("ranges", 2, &[10.0, 0.0], 50);
    let ranged = |params: &str| set(line(), "params", params);
    let (ids, _) = found(&client, ranged(r#"{"radius": 9}"#)).await;
    assert_eq!(ids, [10, 9, 11, 8, 12], "the radius itself is out");
    let (ids, _) = found(&client, ranged(r#"{"radius": 9.5, "range_filter": 4}"#)).await;
    assert_eq!(ids, [8, 12, 7, 13], "the filter itself is in");
    let (ids, _) = found(&client, set(ranged(r#"{"radius": 9.5}"#), "offset", 5)).await;
    assert_eq!(ids, [7, 13]);
    let mut product = search("ranges", 2, &[0.0, 1.0], 50);
    product.search_params = search_params("other", "IP", 50);
    let product = set(product, "params", r#"{"radius": 7, "range_filter": 8}"#);
    let (ids, scores) = found(&client, product).await;
    assert_eq!(ids, (0..10).map(|i| i * 10 + 8).collect::<Vec<i64>>());
    assert!(scores.iter().all(|score| *score == 8.0));
}
on_both!(a_range_search_keeps_the_scores_between_its_bounds);

/// The best groups, each with its best hits; rows without a value are a group.
async fn a_grouped_search_returns_the_best_of_each_group(site: Site) {
    let client = site.client();
    prepare(&client, "groups").await;
    let line = |field: &str| {
        let request = search("groups", 2, &[[10.2, 0.0], [49.9, 0.0]].concat(), 3);
        set(request, "group_by_field", field)
    };
    let answer = client.search(line("word")).await.expect("hits");
    let one = hits(&answer);
    assert_eq!(int_ids(one.ids.as_ref()), [10, 11, 9, 50, 49, 51]);
    let values = one.group_by_field_value.clone().expect("the values of the groups");
    let names = ["w2", "w3", "w1", "w2", "w1", "w3"];
    assert_eq!(read_texts(&[values], "word"), names);

    let answer = client.search(set(line("kind"), "group_size", 2)).await.expect("hits");
    let two = hits(&answer);
    assert_eq!(two.topks, [6, 6]);
    let ids = int_ids(two.ids.as_ref());
    assert_eq!(ids[..6], [10, 14, 11, 7, 9, 13], "group by group, the best group first");
    let values = two.group_by_field_value.clone().expect("the values of the groups");
    assert_eq!(values.valid_data[..6], [true, true, false, false, true, true]);
    assert_eq!(read_longs(std::slice::from_ref(&values), "kind")[..2], [2, 2]);

    let page = set(set(line("word"), "group_size", 2), "offset", 2);
    let (ids, _) = found(&client, page).await;
    assert_eq!(ids[..4], [9, 13, 12, 8], "the offset skips groups");
    let all = set(set(line("word"), "topk", 10), "strict_group_size", "True");
    let answer = client.search(set(all, "group_size", 100)).await.expect("hits");
    assert_eq!(hits(&answer).topks, [100, 100], "every row is in one of the groups");
}
on_both!(a_grouped_search_returns_the_best_of_each_group);

/// Pages follow each other without a gap or a repetition, at the time of the first.
async fn a_search_iterator_sees_every_row_once_while_rows_come_and_go(site: Site) {
    let client = site.client();
    prepare(&client, "pages").await;
    let mut request = search("pages", 2, &[0.0, 1.0], 7);
    request.search_params = search_params("other", "IP", 7);
    let mut request = set(request, "iterator", "True");
    request = set(request, "search_iter_v2", "True");
    request = set(request, "search_iter_batch_size", 7);
    let (mut seen, mut pages) = (Vec::new(), 0);
    loop {
        let answer = client.search(request.clone()).await.expect("a page");
        let page = hits(&answer);
        let place = page.search_iterator_v2_results.clone().expect("where the iterator stands");
        let ids = int_ids(page.ids.as_ref());
        if ids.is_empty() {
            break;
        }
        if pages == 0 {
            request.guarantee_timestamp = answer.session_ts;
            request.use_default_consistency = true;
            request = set(request, "search_iter_id", &place.token);
            assert_eq!(place.token.len(), 36);
        }
        assert_eq!(Some(&place.last_bound), page.scores.last());
        request = set(request, "search_iter_last_bound", place.last_bound);
        seen.extend(ids);
        pages += 1;
        insert(&client, "pages", 100 + pages * 10..110 + pages * 10).await;
        client.delete("pages", &format!("id in [{pages}]")).await.expect("a delete");
    }
    assert_eq!(pages, 10, "a page holds all rows of its last score");
    let mut sorted = seen.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, (0..100).collect::<Vec<i64>>());
    assert!(seen.windows(2).all(|two| two[0] % 10 >= two[1] % 10), "best first");
}
on_both!(a_search_iterator_sees_every_row_once_while_rows_come_and_go);

/// A page ends with a whole score, unless so many rows have it that no page could.
async fn a_page_with_too_many_rows_of_one_score_is_refused(site: Site) {
    let client = site.client();
    let bits =
        FieldSchema { type_params: vec![pair("dim", 8)], ..field("bits", DataType::BinaryVector) };
    client.create(&schema("alike", vec![int_key(), bits]), 2).await.expect("a collection");
    client.index_of("alike", "bits", "BIN_FLAT", "HAMMING").await.expect("an index");
    client.load("alike").await.expect("a load");
    let rows = 262_200;
    let column = |data: Vec<u8>| {
        typed("bits", DataType::BinaryVector, 8, Vectors::BinaryVector(data.into()))
    };
    let columns = vec![longs("id", (0..rows).collect()), column(vec![7; 262_200])];
    client.insert("alike", 262_200, columns).await.expect("rows");
    let page = |filter: &str| {
        let request =
            typed_search("alike", "bits", PlaceholderType::BinaryVector, vec![vec![3]], 7);
        let request = set(set(request, "iterator", "True"), "search_iter_v2", "True");
        let request = set(request, "search_iter_batch_size", 7);
        SearchRequest { dsl: filter.to_owned(), ..request }
    };
    let refused = client.search(page("")).await.expect_err("a page that is too large");
    assert_eq!(refused.code(), 1_102);
    assert!(refused.to_string().contains("262144 rows have the score 1"), "{refused}");
    let (ids, scores) = found(&client, page("id < 1000")).await;
    assert_eq!(ids, (0..1_000).collect::<Vec<i64>>(), "ties by key");
    assert!(scores.iter().all(|score| *score == 1.0));
}
on_both!(a_page_with_too_many_rows_of_one_score_is_refused);

/// Rows like the rows of given keys.
async fn a_search_by_keys_takes_the_vectors_of_rows(site: Site) {
    let client = site.client();
    prepare(&client, "like").await;
    let by = |ids: Vec<i64>| {
        let id_field = Some(IdField::IntId(LongArray { data: ids }));
        SearchRequest {
            search_input: Some(SearchInput::Ids(IDs { id_field })),
            nq: 0,
            ..search("like", 2, &[0.0, 0.0], 2)
        }
    };
    let (ids, _) = found(&client, by(vec![50, 3, 50])).await;
    assert_eq!(ids, [50, 49, 3, 2, 50, 49]);
    client.delete("like", "id in [3]").await.expect("a delete");
    let refused = client.search(by(vec![50, 3])).await.expect_err("a row that is gone");
    assert!(refused.to_string().contains("missing IDs = [3]"), "{refused}");
}
on_both!(a_search_by_keys_takes_the_vectors_of_rows);

/// Ranks and weighted scores are those of the formulas, with the fields of the best rows.
async fn a_hybrid_search_ranks_several_searches(site: Site) {
    let client = site.client();
    prepare(&client, "hybrid").await;
    let near = || search("hybrid", 2, &[10.0, 0.0], 4);
    let high = || {
        let request = search("hybrid", 2, &[0.0, 1.0], 4);
        SearchRequest { search_params: search_params("other", "IP", 4), ..request }
    };
    let of = |params: Vec<(&str, String)>| HybridSearchRequest {
        collection_name: "hybrid".to_owned(),
        requests: vec![near(), high()],
        rank_params: params.into_iter().map(|(key, value)| pair(key, value)).collect(),
        output_fields: vec!["word".to_owned()],
        consistency_level: ConsistencyLevel::Strong.into(),
        ..HybridSearchRequest::default()
    };
    let limit = |n: usize| ("limit", n.to_string());
    // Near 10: 10, 9, 11, 8. The largest products: 9, 19, 29, 39, by key.
    let ranks = hybrid(&client, of(vec![limit(4)])).await;
    assert_eq!(int_ids(ranks.ids.as_ref()), [9, 10, 19, 11]);
    assert_eq!(read_texts(&ranks.fields_data, "word"), ["w1", "w2", "w3", "w3"]);
    assert_eq!(ranks.topks, [4]);
    let want = [1.0 / 62.0 + 1.0 / 61.0, 1.0 / 61.0, 1.0 / 62.0, 1.0 / 63.0];
    for (score, want) in ranks.scores.iter().zip(want) {
        assert!((score - want).abs() < 1e-6, "{:?}", ranks.scores);
    }
    let page = vec![limit(2), ("offset", "1".to_owned()), ("round_decimal", "3".to_owned())];
    let page = hybrid(&client, of(page)).await;
    assert_eq!(int_ids(page.ids.as_ref()), [10, 19]);
    assert_eq!(page.scores, [0.016, 0.016]);

    let weights = r#"{"weights": [0.3, 0.7]}"#.to_owned();
    let weighted = vec![limit(3), ("strategy", "weighted".to_owned()), ("params", weights)];
    let weighted = hybrid(&client, of(weighted)).await;
    let pi = std::f64::consts::PI;
    let product = 0.7 * (0.5 + 9_f64.atan() / pi);
    let want = [product + 0.3 * (1.0 - 2.0 * 1_f64.atan() / pi), product, product];
    assert_eq!(int_ids(weighted.ids.as_ref()), [9, 19, 29]);
    for (score, want) in weighted.scores.iter().zip(want) {
        assert!((f64::from(*score) - want).abs() < 1e-6, "{:?}", weighted.scores);
    }

    let by = |field: &str| ("group_by_field", field.to_owned());
    let grouped = vec![limit(2), by("word"), ("group_size", "2".to_owned())];
    let grouped = hybrid(&client, of(grouped)).await;
    let groups = grouped.group_by_field_value.clone().expect("the values of the groups");
    let words = read_texts(&[groups], "word");
    assert_eq!((words.len(), words[0].as_str()), (grouped.scores.len(), "w1"), "9 is the best");
    // Of five rows only two are of one word.
    let strict = |strict: &str| {
        let mut params = vec![limit(4), by("word"), ("group_size", "2".to_owned())];
        params.push(("strict_group_size", strict.to_owned()));
        let mut request = of(params);
        for part in &mut request.requests {
            part.dsl = "id in [8, 9, 10, 11, 13]".to_owned();
        }
        request
    };
    let mut ids = int_ids(hybrid(&client, strict("False")).await.ids.as_ref());
    ids.sort_unstable();
    assert_eq!(ids, [8, 9, 10, 11, 13]);
    let mut ids = int_ids(hybrid(&client, strict("True")).await.ids.as_ref());
    ids.sort_unstable();
    assert_eq!(ids, [9, 13], "groups that are not full are left out");
    let same = HybridSearchRequest { output_fields: Vec::new(), ..of(vec![limit(4)]) };
    assert!(hybrid(&client, same).await.fields_data.is_empty());
}
on_both!(a_hybrid_search_ranks_several_searches);

/// Rows in the order of fields, nulls where they belong, pages of them.
async fn a_query_orders_rows(site: Site) {
    let client = site.client();
    prepare(&client, "orders").await;
    let ordered = |order: &str, offset: usize, limit: usize| QueryRequest {
        query_params: vec![
            pair("order_by_fields", order),
            pair("offset", offset),
            pair("limit", limit),
        ],
        ..query("orders", "", &["id"])
    };
    let client = &client;
    let ids = async |order: &str, offset: usize, limit: usize| {
        let answer = client.query(ordered(order, offset, limit)).await.expect("rows");
        read_longs(&answer.fields_data, "id")
    };
    assert_eq!(ids("id:desc", 0, 3).await, [99, 98, 97]);
    assert_eq!(ids("word:desc,id:desc", 1, 3).await, [95, 91, 87]);
    assert_eq!(ids("kind", 0, 2).await, [0, 4], "ties by key");
    assert_eq!(ids("kind", 74, 3).await, [98, 3, 7], "nulls last");
    assert_eq!(ids("kind:desc", 24, 3).await, [99, 2, 6], "nulls first");
    assert_eq!(ids("kind:desc:nulls_last,real:desc", 0, 2).await, [10, 30]);
    assert_eq!(ids("real:asc:nulls_first", 9, 3).await, [90, 1, 2]);
}
on_both!(a_query_orders_rows);

/// Groups and aggregates, typed as Milvus types them.
async fn a_query_groups_and_aggregates(site: Site) {
    let client = site.client();
    prepare(&client, "sums").await;
    let output =
        ["word", "count(*)", "sum(id)", "avg(real)", "min(id)", "max(word)", "count(kind)"];
    let grouped = QueryRequest {
        query_params: vec![pair("group_by_fields", "word")],
        ..query("sums", "id < 80", &output)
    };
    let answer = client.query(grouped.clone()).await.expect("groups");
    let columns = &answer.fields_data;
    assert_eq!(answer.output_fields, output);
    assert_eq!(read_texts(columns, "word"), ["w0", "w1", "w2", "w3"]);
    assert_eq!(read_longs(columns, "count(*)"), [20; 4]);
    assert_eq!(read_longs(columns, "sum(id)"), [760, 780, 800, 820]);
    assert_eq!(read_longs(columns, "min(id)"), [0, 1, 2, 3]);
    assert_eq!(read_texts(columns, "max(word)"), ["w0", "w1", "w2", "w3"]);
    assert_eq!(read_longs(columns, "count(kind)"), [20, 20, 20, 0], "nulls do not count");
    let Some(Field::Scalars(ScalarField { data: Some(Data::DoubleData(means)) })) =
        column(columns, "avg(real)").and_then(|c| c.field.clone())
    else {
        panic!("a mean is a double");
    };
    assert!((means.data[1] - 19.5).abs() < 1e-9, "{means:?}");
    let mut page = grouped;
    page.query_params.extend([pair("order_by_fields", "word:desc"), pair("limit", 2)]);
    let answer = client.query(page).await.expect("groups");
    assert_eq!(read_texts(&answer.fields_data, "word"), ["w3", "w2"]);

    let whole = query("sums", "", &["sum(kind)", "max(real)", "count(*)"]);
    let answer = client.query(whole).await.expect("one group");
    assert_eq!(read_longs(&answer.fields_data, "sum(kind)"), [75]);
    assert_eq!(read_longs(&answer.fields_data, "count(*)"), [100]);
    let nothing = client.query(query("sums", "id < 0", &["max(id)", "count(id)"])).await;
    let nothing = nothing.expect("one group").fields_data;
    assert_eq!(read_longs(&nothing, "count(id)"), [0]);
    let none = column(&nothing, "max(id)").expect("a column");
    assert_eq!(none.valid_data, [false], "nothing has no largest");
}
on_both!(a_query_groups_and_aggregates);

/// Rows by their keys, also at a time before they were replaced or deleted.
async fn rows_are_got_by_their_keys_at_any_time(site: Site) {
    let client = site.client();
    prepare(&client, "got").await;
    let by_keys = |text: &str| query("got", text, &["id", "word"]);
    let answer = client.query(by_keys("id in [7, 3, 1000, 3]")).await.expect("rows");
    assert_eq!(read_longs(&answer.fields_data, "id"), [3, 7], "once, in key order");
    let before = client.now().await.expect("a timestamp");
    client.delete("got", "id in [3]").await.expect("a delete");
    let answer = client.query(by_keys("id == 3")).await.expect("rows");
    assert!(read_longs(&answer.fields_data, "id").is_empty());
    let past = millstream_tests::client::pinned(by_keys("id in [3, 7]"), before);
    let answer = client.query(past).await.expect("rows");
    assert_eq!(read_longs(&answer.fields_data, "id"), [3, 7], "as it was");
    assert_eq!(answer.session_ts, before);
    let travel = QueryRequest { travel_timestamp: before, ..by_keys("id in [3, 7]") };
    let answer = client.query(travel).await.expect("rows");
    assert_eq!(read_longs(&answer.fields_data, "id"), [3, 7], "as it was");
    let words = StringArray { data: vec!["w3".to_owned()] };
    let filter = client.query(by_keys("id in [3, 7] and word == 'w3'")).await.expect("rows");
    assert_eq!(read_texts(&filter.fields_data, "word"), words.data);
}
on_both!(rows_are_got_by_their_keys_at_any_time);

/// Scores are rounded on the way out, also those of many queries.
async fn many_queries_are_answered_at_once(site: Site) {
    let client = site.client();
    prepare(&client, "many").await;
    let queries: Vec<f32> = (0..2_000).flat_map(|i| [(i % 100) as f32 + 0.26, 0.0]).collect();
    let request = set(search("many", 2, &queries, 1), "round_decimal", 1);
    let answer = client.search(request).await.expect("hits");
    let found = hits(&answer);
    assert_eq!(found.topks, vec![1; 2_000]);
    let want: Vec<i64> = (0..2_000).map(|i| i % 100).collect();
    assert_eq!(int_ids(found.ids.as_ref()), want);
    assert!(found.scores.iter().all(|score| *score == 0.1), "{:?}", &found.scores[..5]);
    assert_eq!(float_bytes(&[1.0]).len(), 4);
}
on_both!(many_queries_are_answered_at_once);
