// The Node SDK, unmodified: schema, insert, index, load, search, query, delete, upsert, drop.
// Usage: node quickstart.cjs HOST:PORT
const assert = require("node:assert/strict");
const { ConsistencyLevelEnum, DataType } = require("@zilliz/milvus2-sdk-node");
const { connect, ok, run } = require("./support.cjs");

const ROWS = 1000;
const DIM = 8;
const NAME = "node_quickstart";

/** A vector that differs for every row. */
const vector = (row) => Array.from({ length: DIM }, (_, i) => ((row * 37 + i * 11) % 101) / 10);

const distance = (a, b) => a.reduce((sum, x, i) => sum + (x - b[i]) ** 2, 0);

async function main() {
  const client = await connect();
  ok(await client.checkHealth(), "health");
  assert.ok((await client.getVersion()).version, "a version");
  ok(await client.dropCollection({ collection_name: NAME }), "drop");

  ok(
    await client.createCollection({
      collection_name: NAME,
      consistency_level: ConsistencyLevelEnum.Strong,
      enable_dynamic_field: true,
      fields: [
        { name: "id", data_type: DataType.Int64, is_primary_key: true, autoID: false },
        { name: "word", data_type: DataType.VarChar, max_length: 32 },
        { name: "vector", data_type: DataType.FloatVector, dim: DIM },
      ],
    }),
    "create",
  );
  ok(
    await client.createIndex({
      collection_name: NAME,
      field_name: "vector",
      index_type: "FLAT",
      metric_type: "L2",
    }),
    "index",
  );
  ok(await client.loadCollectionSync({ collection_name: NAME }), "load");

  const data = Array.from({ length: ROWS }, (_, i) => ({
    id: i,
    word: `word ${i}`,
    vector: vector(i),
    even: i % 2 === 0,
  }));
  const inserted = ok(await client.insert({ collection_name: NAME, data }), "insert");
  assert.equal(Number(inserted.insert_cnt), ROWS);

  const query = vector(1001);
  const found = ok(
    await client.search({
      collection_name: NAME,
      data: query,
      limit: 5,
      output_fields: ["id", "word"],
      consistency_level: ConsistencyLevelEnum.Strong,
    }),
    "search",
  );
  const nearest = data
    .map((row) => ({ id: row.id, far: distance(row.vector, query) }))
    .sort((a, b) => a.far - b.far || a.id - b.id)
    .slice(0, 5);
  assert.equal(found.results.length, 5);
  found.results.forEach((hit, place) => {
    assert.ok(Math.abs(hit.score - nearest[place].far) < 1e-3, "the score of a hit");
    assert.equal(Number(hit.id), nearest[place].id, "the key of a hit");
    assert.equal(hit.word, `word ${hit.id}`, "the output field of a hit");
  });

  const filtered = ok(
    await client.query({
      collection_name: NAME,
      filter: "even == true and id < 10",
      output_fields: ["id", "word", "even"],
      consistency_level: ConsistencyLevelEnum.Strong,
    }),
    "query",
  );
  assert.deepEqual(filtered.data.map((row) => Number(row.id)).sort(), [0, 2, 4, 6, 8]);

  ok(await client.delete({ collection_name: NAME, filter: "id in [0, 2]" }), "delete");
  ok(
    await client.upsert({
      collection_name: NAME,
      data: [{ id: 4, word: "new", vector: vector(4), even: false }],
    }),
    "upsert",
  );
  const left = ok(
    await client.query({
      collection_name: NAME,
      filter: "even == true and id < 10",
      output_fields: ["id"],
      consistency_level: ConsistencyLevelEnum.Strong,
    }),
    "query after the writes",
  );
  assert.deepEqual(left.data.map((row) => Number(row.id)).sort(), [6, 8]);
  const counted = ok(await client.count({ collection_name: NAME, expr: "" }), "count");
  assert.equal(Number(counted.data), ROWS - 2);

  const missing = await client.describeCollection({ collection_name: "no_such_collection" });
  assert.notEqual(missing.status.error_code, "Success", "a missing collection is an error");
  ok(await client.dropCollection({ collection_name: NAME }), "drop");
  await client.closeConnection();
  console.log("node quickstart: ok");
}

run(main);
