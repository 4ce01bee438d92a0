//! Lists of sealed segments: built in the background, visited by searches as far as `nprobe` says,
//! kept through restarts, and built anew for another index.

use std::collections::HashSet;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use bytes::Bytes;
use millstream_gateway::pb::common::{PlaceholderGroup, PlaceholderType, PlaceholderValue};
use millstream_gateway::pb::schema::field_data::Field;
use millstream_gateway::pb::schema::vector_field::Data as Vectors;
use millstream_gateway::pb::schema::{DataType, FieldData, FieldSchema, VectorField};
use millstream_gateway::pb::search_request::SearchInput;
use millstream_gateway::pb::{
    DropIndexRequest, GetIndexBuildProgressRequest, ReleaseCollectionRequest, SearchRequest,
};
use millstream_tests::client::{Client, accept, hits, message, search, search_params};
use millstream_tests::on_both;
use millstream_tests::rows::{field, int_ids, longs, pair, plain_schema, vectors};
use millstream_tests::site::Site;
use prost::Message;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

const NAME: &str = "lists";
const DIM: usize = 32;
/// Bytes of a Binary vector.
const WIDTH: usize = 64;
const ROWS: usize = 20_000;
const QUERIES: usize = 40;
const K: usize = 10;
/// Around so many centres lie the rows.
const CENTRES: usize = 300;

/// The rows and the queries of both fields.
struct Data {
    floats: Vec<f32>,
    bits: Vec<u8>,
    float_queries: Vec<f32>,
    bit_queries: Vec<u8>,
}

impl Data {
    fn new(random: &mut StdRng) -> Data {
        let centres: Vec<f32> =
            (0..CENTRES * DIM).map(|_| random.random_range(-1.0..1.0)).collect();
        let bit_centres: Vec<u8> = (0..CENTRES * WIDTH).map(|_| random.random()).collect();
        let mut data = Data {
            floats: Vec::new(),
            bits: Vec::new(),
            float_queries: Vec::new(),
            bit_queries: Vec::new(),
        };
        for row in 0..ROWS + QUERIES {
            let centre = random.random_range(0..CENTRES);
            let near = &centres[centre * DIM..(centre + 1) * DIM];
            let floats = near.iter().map(|x| x + random.random_range(-0.8..0.8));
            let floats: Vec<f32> = floats.collect();
            // Three of sixteen bits are others than those of the centre.
            let near = &bit_centres[centre * WIDTH..(centre + 1) * WIDTH];
            let flip = |random: &mut StdRng| {
                let [a, b, c, d]: [u8; 4] = random.random();
                a & b & (c | d)
            };
            let bits: Vec<u8> = near.iter().map(|x| x ^ flip(random)).collect();
            if row < ROWS {
                data.floats.extend(floats);
                data.bits.extend(bits);
            } else {
                data.float_queries.extend(floats);
                data.bit_queries.extend(bits);
            }
        }
        data
    }

    /// The keys of the rows nearest to a query that are kept, by looking at all of them.
    fn nearest(&self, on: On, query: usize, keep: impl Fn(i64) -> bool) -> HashSet<i64> {
        let far = |id: i64| {
            let row = id as usize;
            match on {
                On::Floats => {
                    let row = &self.floats[row * DIM..(row + 1) * DIM];
                    let query = &self.float_queries[query * DIM..(query + 1) * DIM];
                    row.iter().zip(query).map(|(a, b)| (a - b) * (a - b)).sum::<f32>()
                }
                On::Bits => {
                    let row = &self.bits[row * WIDTH..(row + 1) * WIDTH];
                    let query = &self.bit_queries[query * WIDTH..(query + 1) * WIDTH];
                    row.iter().zip(query).map(|(a, b)| (a ^ b).count_ones()).sum::<u32>() as f32
                }
            }
        };
        let mut all: Vec<(f32, i64)> =
            (0..ROWS as i64).filter(|&id| keep(id)).map(|id| (far(id), id)).collect();
        all.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        all.iter().take(K).map(|(_, id)| *id).collect()
    }

    fn request(&self, on: On, query: usize) -> SearchRequest {
        let floats = &self.float_queries[query * DIM..(query + 1) * DIM];
        let request = search(NAME, DIM, floats, K);
        match on {
            On::Floats => request,
            On::Bits => {
                let bits = &self.bit_queries[query * WIDTH..(query + 1) * WIDTH];
                let value = PlaceholderValue {
                    tag: "$0".to_owned(),
                    r#type: PlaceholderType::BinaryVector.into(),
                    values: vec![Bytes::copy_from_slice(bits)],
                    ..PlaceholderValue::default()
                };
                let group = PlaceholderGroup { placeholders: vec![value] };
                let input = SearchInput::PlaceholderGroup(group.encode_to_vec().into());
                SearchRequest { search_input: Some(input), ..request }
            }
        }
    }
}

/// The field that is searched.
#[derive(Clone, Copy, Debug)]
enum On {
    Floats,
    Bits,
}

/// Asks all queries, and says which share of the nearest kept rows was found.
async fn recall(
    client: &Client,
    data: &Data,
    (on, nprobe): (On, Option<usize>),
    (filter, keep): (&str, impl Fn(i64) -> bool + Copy),
) -> f64 {
    let (name, metric) = match on {
        On::Floats => ("vector", "L2"),
        On::Bits => ("bits", "HAMMING"),
    };
    let mut params = search_params(name, metric, K);
    if let Some(nprobe) = nprobe {
        params.retain(|param| param.key != "params");
        params.push(pair("params", format!("{{\"nprobe\": {nprobe}}}")));
    }
    let mut found = 0;
    for query in 0..QUERIES {
        let request = data.request(on, query);
        let request =
            SearchRequest { dsl: filter.to_owned(), search_params: params.clone(), ..request };
        let answer = client.search(request).await.expect("hits");
        let ids = int_ids(hits(&answer).ids.as_ref());
        assert_eq!(ids.len(), K, "{filter}");
        assert!(ids.iter().all(|id| keep(*id)), "{filter}: {ids:?}");
        let due = data.nearest(on, query, keep);
        found += ids.iter().filter(|id| due.contains(id)).count();
    }
    found as f64 / (QUERIES * K) as f64
}

fn files_in(folder: &Path, ending: &str) -> usize {
    let Ok(entries) = fs::read_dir(folder) else { return 0 };
    let of = |entry: std::io::Result<fs::DirEntry>| {
        let path = entry.expect("an entry of a folder").path();
        if path.is_dir() {
            files_in(&path, ending)
        } else {
            usize::from(path.extension().is_some_and(|e| e == ending))
        }
    };
    entries.map(of).sum()
}

/// Waits until an index says that it is built over all rows.
async fn wait_built(client: &Client, index: &str) {
    let end = Instant::now() + Duration::from_secs(60);
    loop {
        let request = GetIndexBuildProgressRequest {
            collection_name: NAME.to_owned(),
            index_name: index.to_owned(),
            ..GetIndexBuildProgressRequest::default()
        };
        let progress = client.rpc().get_index_build_progress(request).await;
        let progress = message(progress).expect("progress");
        accept(progress.status.as_ref()).expect("progress");
        assert!(progress.total_rows > 0 && progress.total_rows <= ROWS as i64, "{progress:?}");
        if progress.indexed_rows == progress.total_rows {
            return;
        }
        assert!(Instant::now() < end, "{index} is not built: {progress:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Waits until a folder has so many files of lists, and of graphs.
async fn wait_files(folder: &Path, (lists, graphs): (usize, usize)) {
    let end = Instant::now() + Duration::from_secs(60);
    while (files_in(folder, "lists"), files_in(folder, "graph")) != (lists, graphs) {
        assert!(Instant::now() < end, "no {lists} files of lists and {graphs} of graphs");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Rows of both fields, flushed, with an index on each.
async fn fill(client: &Client, data: &Data) {
    let mut schema = plain_schema(NAME, DIM);
    let dim = vec![pair("dim", WIDTH * 8)];
    schema.fields.push(FieldSchema { type_params: dim, ..field("bits", DataType::BinaryVector) });
    client.create(&schema, 1).await.expect("a collection");
    client.index_of(NAME, "vector", "IVF_FLAT", "L2").await.expect("an index");
    client.index_of(NAME, "bits", "BIN_IVF_FLAT", "HAMMING").await.expect("an index");
    client.load(NAME).await.expect("loaded");
    const PART: usize = 4_000;
    for (part, floats) in data.floats.chunks(PART * DIM).enumerate() {
        let ids: Vec<i64> = (0..PART).map(|row| (part * PART + row) as i64).collect();
        let bits = &data.bits[part * PART * WIDTH..(part + 1) * PART * WIDTH];
        let bits = Some(Vectors::BinaryVector(Bytes::copy_from_slice(bits)));
        let dim = i64::try_from(WIDTH * 8).expect("a small dimension");
        let columns = vec![
            longs("id", ids.clone()),
            longs("value", ids.iter().map(|id| id % 1_000).collect()),
            vectors("vector", DIM, floats),
            FieldData {
                r#type: DataType::BinaryVector.into(),
                field_name: "bits".to_owned(),
                field: Some(Field::Vectors(VectorField { dim, data: bits })),
                ..FieldData::default()
            },
        ];
        client.insert(NAME, ids.len(), columns).await.expect("rows");
    }
    client.flush(NAME).await.expect("a flush");
}

/// Puts another index on the floats.
async fn change_index(client: &Client, kind: &str) {
    let release = ReleaseCollectionRequest {
        collection_name: NAME.to_owned(),
        ..ReleaseCollectionRequest::default()
    };
    let released = message(client.rpc().release_collection(release).await).expect("an answer");
    accept(Some(&released)).expect("released");
    let drop = DropIndexRequest {
        collection_name: NAME.to_owned(),
        field_name: "vector".to_owned(),
        index_name: "vector".to_owned(),
        ..DropIndexRequest::default()
    };
    let dropped = message(client.rpc().drop_index(drop).await).expect("an answer");
    accept(Some(&dropped)).expect("dropped");
    client.index_of(NAME, "vector", kind, "L2").await.expect("an index");
    client.load(NAME).await.expect("loaded");
    wait_built(client, "vector").await;
}

/// Searches with and without filters; `alive` are the rows that were not deleted.
async fn check(client: &Client, data: &Data, on: On, alive: impl Fn(i64) -> bool + Copy) {
    let one = recall(client, data, (on, Some(1)), ("", alive)).await;
    let usual = recall(client, data, (on, None), ("", alive)).await;
    let all = recall(client, data, (on, Some(65_536)), ("", alive)).await;
    assert!(one < usual && usual <= all, "{on:?}: {one}, {usual}, {all}");
    assert!(usual >= 0.85, "{on:?}: recall {usual}");
    // Bits have equal distances, of which any may be hits.
    assert!(all >= if matches!(on, On::Bits) { 0.95 } else { 1.0 }, "{on:?}: recall {all}");
    for (filter, share) in [("value < 500", 500), ("value < 100", 100), ("value < 20", 20)] {
        let keep = move |id: i64| alive(id) && id % 1_000 < share;
        let found = recall(client, data, (on, None), (filter, keep)).await;
        assert!(found >= usual - 0.05, "{on:?}, {filter}: recall {found}, {usual} without");
    }
}

/// Lists of floats and of bits, found again after a restart, and other indexes after them.
async fn searches_visit_as_many_lists_as_nprobe_says(mut site: Site) {
    let data = Data::new(&mut StdRng::seed_from_u64(7));
    let client = site.client();
    fill(&client, &data).await;
    wait_built(&client, "vector").await;
    wait_built(&client, "bits").await;
    let store = site.data().join("store");
    wait_files(&store, (2, 0)).await;
    client.delete(NAME, "value in [7, 8]").await.expect("a delete");
    let alive = |id: i64| !matches!(id % 1_000, 7 | 8);
    for _ in 0..2 {
        let client = site.client();
        check(&client, &data, On::Floats, alive).await;
        check(&client, &data, On::Bits, alive).await;
        site.kill();
        site.restart().expect("a server that starts again");
        wait_files(&store, (2, 0)).await;
    }
    let client = site.client();
    change_index(&client, "IVF_SQ8").await;
    wait_files(&store, (2, 0)).await;
    check(&client, &data, On::Floats, alive).await;
    change_index(&client, "HNSW").await;
    wait_files(&store, (1, 1)).await;
    let walked = recall(&client, &data, (On::Floats, None), ("", alive)).await;
    assert!(walked >= 0.95, "recall {walked}");
}
on_both!(searches_visit_as_many_lists_as_nprobe_says);
