// The Node SDK, unmodified: fields that are added, truncation, times to live.
// Usage: node changes.cjs HOST:PORT
const assert = require("node:assert/strict");
const { ConsistencyLevelEnum, DataType, MilvusClient } = require("@zilliz/milvus2-sdk-node");

const DIM = 4;
const NAME = "node_changes";

/** Stops when an answer carries an error. */
function ok(answer, what) {
  const status = answer.status ?? answer;
  assert.equal(status.error_code, "Success", `${what}: ${status.reason}`);
  return answer;
}

async function main() {
  const client = new MilvusClient({ address: process.argv[2] });
  await client.connectPromise;
  ok(await client.dropCollection({ collection_name: NAME }), "drop");
  ok(
    await client.createCollection({
      collection_name: NAME,
      consistency_level: ConsistencyLevelEnum.Strong,
      fields: [
        { name: "id", data_type: DataType.Int64, is_primary_key: true, autoID: false },
        { name: "vector", data_type: DataType.FloatVector, dim: DIM },
      ],
    }),
    "create",
  );
  const index = { field_name: "vector", index_type: "FLAT", metric_type: "L2" };
  ok(await client.createIndex({ collection_name: NAME, ...index }), "index");
  ok(await client.loadCollectionSync({ collection_name: NAME }), "load");
  const insert = async (ids, more) => {
    const data = ids.map((id) => ({ id, vector: [id, 0, 0, 0], ...more }));
    ok(await client.insert({ collection_name: NAME, data }), "insert");
  };
  const query = async (filter, fields) => {
    const request = { collection_name: NAME, filter, output_fields: fields };
    return ok(await client.query(request), filter).data;
  };
  const ids = async (filter) => (await query(filter, ["id"])).map((row) => Number(row.id));

  await insert([1, 2]);
  ok(
    await client.addCollectionField({
      collection_name: NAME,
      field: { name: "grade", data_type: DataType.Int32, nullable: true, default_value: 5 },
    }),
    "add a field",
  );
  await insert([3], { grade: 9 });
  assert.deepEqual(await ids("grade == 5"), [1, 2]);
  assert.deepEqual((await query("id == 3", ["grade"]))[0].grade, 9);
  const field = { name: "other", data_type: DataType.Int32, nullable: false };
  const refused = await client.addCollectionField({ collection_name: NAME, field });
  assert.match(refused.reason, /added field must be nullable/);

  ok(await client.truncateCollection({ collection_name: NAME }), "truncate");
  assert.deepEqual(await ids("id >= 0"), []);
  await insert([4], { grade: 1 });
  assert.deepEqual(await ids("id >= 0"), [4]);

  const properties = { "collection.ttl.seconds": 3 };
  ok(await client.alterCollectionProperties({ collection_name: NAME, properties }), "alter");
  await new Promise((resolve) => setTimeout(resolve, 3500));
  assert.deepEqual(await ids("id >= 0"), []);
  await insert([5], { grade: 1 });
  assert.deepEqual(await ids("id >= 0"), [5]);
  ok(await client.dropCollection({ collection_name: NAME }), "drop");
  await client.closeConnection();
  console.log("changes: ok");
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
