// The Node SDK, unmodified: a compaction, its state and its plans.
// Usage: node compaction.cjs HOST:PORT
const assert = require("node:assert/strict");
const { connect, ok, run, small } = require("./support.cjs");

const NAME = "node_compaction";

async function main() {
  const client = await connect();
  await small(client, NAME, { shards_num: 1 });
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

run(main);
