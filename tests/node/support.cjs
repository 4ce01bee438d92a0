// What the scripts share: a client, answers that must be good, a small collection.
const assert = require("node:assert/strict");
const { ConsistencyLevelEnum, DataType, MilvusClient } = require("@zilliz/milvus2-sdk-node");

/** Stops when an answer carries an error. */
function ok(answer, what) {
  const status = answer.status ?? answer;
  assert.equal(status.error_code, "Success", `${what}: ${status.reason}`);
  return answer;
}

/** A client of the server that the script is told of. */
async function connect() {
  const client = new MilvusClient({ address: process.argv[2] });
  await client.connectPromise;
  return client;
}

/** Makes a collection of an `id` and a `vector` of 4 values anew, indexed and loaded. */
async function small(client, name, more) {
  ok(await client.dropCollection({ collection_name: name }), "drop");
  const fields = [
    { name: "id", data_type: DataType.Int64, is_primary_key: true, autoID: false },
    { name: "vector", data_type: DataType.FloatVector, dim: 4 },
  ];
  const consistency_level = ConsistencyLevelEnum.Strong;
  const request = { collection_name: name, consistency_level, fields, ...more };
  ok(await client.createCollection(request), "create");
  const index = { field_name: "vector", index_type: "FLAT", metric_type: "L2" };
  ok(await client.createIndex({ collection_name: name, ...index }), "index");
  ok(await client.loadCollectionSync({ collection_name: name }), "load");
}

/** Runs a script to its end, and says how it went. */
function run(main) {
  main().catch((error) => {
    console.error(error);
    process.exit(1);
  });
}

module.exports = { connect, ok, run, small };
