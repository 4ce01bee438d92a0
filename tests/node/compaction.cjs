// The Node SDK, unmodified: a compaction, its state and its plans.
// Usage: node compaction.cjs HOST:PORT
const assert = require("node:assert/strict");
const { ConsistencyLevelEnum, DataType, MilvusClient } = require("@zilliz/milvus2-sdk-node");

const NAME = "node_compaction";

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
  const fields = [
    { name: "id", data_type: DataType.Int64, is_primary_key: true, autoID: false },
    { name: "vector", data_type: DataType.FloatVector, dim: 4 },
  ];
  const consistency_level = ConsistencyLevelEnum.Strong;
  ok(
    await client.createCollection({ collection_name: NAME, consistency_level, fields, shards_num: 1 }),
    "create",
  );
  for (let part = 0; part < 3; part++) {
    const data = Array.from({ length: 50 }, (_, i) => ({ id: part * 50 + i, vector: [i, 0, 0, 0] }));
    ok(await client.insert({ collection_name: NAME, data }), "insert");
    ok(await client.flushSync({ collection_names: [NAME] }), "flush");
  }
  const { compactionID } = ok(await client.compact({ collection_name: NAME }), "compact");
  assert.ok(Number(compactionID) > 0, `an id: ${compactionID}`);
  for (let tries = 0; ; tries++) {
    const state = ok(await client.getCompactionState({ compactionID }), "state");
    if (state.state === "Completed") {
      assert.ok(Number(state.completedPlanNo) >= 1);
      break;
    }
    assert.ok(tries < 300, "a compaction ends");
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  const plans = ok(await client.getCompactionStateWithPlans({ compactionID }), "plans");
  assert.ok(plans.mergeInfos.length >= 1);
  assert.ok(plans.mergeInfos[0].sources.length >= 2);
  ok(await client.dropCollection({ collection_name: NAME }), "drop");
  await client.closeConnection();
  console.log("compaction: ok");
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
