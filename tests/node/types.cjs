// The Node SDK, unmodified: every vector type, arrays, nulls, and kinds of search.
// Usage: node types.cjs HOST:PORT
const assert = require("node:assert/strict");
const { ConsistencyLevelEnum, DataType } = require("@zilliz/milvus2-sdk-node");
const { connect, ok, run } = require("./support.cjs");

const ROWS = 200;
const DIM = 16;
const NAME = "node_types";

/** A vector that differs for every row, of whole numbers that every type can hold. */
const vector = (row) =>
  Array.from({ length: DIM }, (_, i) => ((row * 37 + i * 11 + row * i) % 61) - 30);
/** Bits that differ for every row. */
const bits = (row) => [row & 255, (row * 7) & 255];
const distance = (a, b) => a.reduce((sum, x, i) => sum + (x - b[i]) ** 2, 0);

/** Keys of the nearest rows by L2, ties by key. */
function nearest(query, limit) {
  const keys = Array.from({ length: ROWS }, (_, i) => i);
  keys.sort((a, b) => distance(vector(a), query) - distance(vector(b), query) || a - b);
  return keys.slice(0, limit);
}

const ids = (hits) => hits.map((hit) => Number(hit.id));

async function create(client) {
  ok(await client.dropCollection({ collection_name: NAME }), "drop");
  ok(
    await client.createCollection({
      collection_name: NAME,
      consistency_level: ConsistencyLevelEnum.Strong,
      fields: [
        { name: "id", data_type: DataType.Int64, is_primary_key: true, autoID: false },
        { name: "age", data_type: DataType.Int32, nullable: true },
        {
          name: "tags",
          data_type: DataType.Array,
          element_type: DataType.VarChar,
          max_capacity: 4,
          max_length: 16,
        },
        { name: "dense", data_type: DataType.FloatVector, dim: DIM },
        { name: "half", data_type: DataType.Float16Vector, dim: DIM },
        { name: "bits", data_type: DataType.BinaryVector, dim: 16 },
        { name: "sparse", data_type: DataType.SparseFloatVector },
      ],
    }),
    "create",
  );
  const index = (field_name, index_type, metric_type) => ({
    collection_name: NAME,
    field_name,
    index_type,
    metric_type,
  });
  ok(await client.createIndex(index("dense", "FLAT", "L2")), "index on dense");
  ok(await client.createIndex(index("half", "FLAT", "L2")), "index on half");
  ok(await client.createIndex(index("bits", "BIN_FLAT", "HAMMING")), "index on bits");
  ok(await client.createIndex(index("sparse", "SPARSE_INVERTED_INDEX", "IP")), "index on sparse");
  ok(await client.loadCollectionSync({ collection_name: NAME }), "load");
}

async function main() {
  const client = await connect();
  await create(client);
  const data = Array.from({ length: ROWS }, (_, i) => ({
    id: i,
    age: i % 3 === 0 ? null : i,
    tags: [`t${i % 5}`, "all"],
    dense: vector(i),
    half: vector(i),
    bits: bits(i),
    sparse: { [i]: 1, [i + 1]: 0.5 },
  }));
  const inserted = ok(await client.insert({ collection_name: NAME, data }), "insert");
  assert.equal(Number(inserted.insert_cnt), ROWS);

  const search = async (anns_field, query, more = {}) => {
    const request = { collection_name: NAME, anns_field, data: [query], limit: 5, ...more };
    const found = ok(await client.search(request), `search by ${anns_field}`);
    return Array.isArray(found.results[0]) ? found.results[0] : found.results;
  };
  assert.deepEqual(ids(await search("dense", vector(42))), nearest(vector(42), 5));
  assert.deepEqual(ids(await search("half", vector(42))), nearest(vector(42), 5));
  assert.equal(ids(await search("bits", bits(42)))[0], 42);
  assert.equal(ids(await search("sparse", { 42: 1, 43: 0.5 }))[0], 42);

  const query = async (filter, more = {}) =>
    ok(
      await client.query({ collection_name: NAME, filter, output_fields: ["*"], ...more }),
      filter,
    ).data;
  const one = (await query("id == 42"))[0];
  assert.equal(one.age, null);
  assert.deepEqual(Array.from(one.tags.data ?? one.tags), ["t2", "all"]);
  assert.deepEqual(Array.from(one.dense), vector(42));
  assert.deepEqual(one.sparse, { 42: 1, 43: 0.5 });
  assert.equal((await query("age is null", { limit: 1000 })).length, Math.ceil(ROWS / 3));
  assert.equal((await query('array_contains(tags, "t1")', { limit: 1000 })).length, ROWS / 5);

  const far = distance(vector(42), vector(nearest(vector(42), 30)[29]));
  const within = await search("dense", vector(42), { limit: 100, params: { radius: far } });
  assert.ok(within.length > 0 && within.every((hit) => hit.score < far), "a range");
  const grouped = await search("dense", vector(42), { group_by_field: "age", limit: 3 });
  assert.equal(grouped.length, 3);

  const both = ok(
    await client.hybridSearch({
      collection_name: NAME,
      data: [
        { anns_field: "dense", data: vector(42), limit: 20 },
        { anns_field: "sparse", data: { 42: 1, 43: 0.5 }, limit: 20 },
      ],
      limit: 5,
    }),
    "hybrid search",
  );
  const ranked = Array.isArray(both.results[0]) ? both.results[0] : both.results;
  assert.equal(Number(ranked[0].id), 42);
  ok(await client.dropCollection({ collection_name: NAME }), "drop");
  await client.closeConnection();
}

run(main);
