// The Node SDK, unmodified: fields that are added, truncation, times to live.
// Usage: node changes.cjs HOST:PORT
const assert = require("node:assert/strict");
const { DataType } = require("@zilliz/milvus2-sdk-node");
const { connect, ok, run, small } = require("./support.cjs");

const NAME = "node_changes";

async function main() {
  const client = await connect();
  await small(client, NAME);
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

run(main);
