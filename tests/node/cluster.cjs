// The Node SDK, unmodified: segments, replicas, resource groups, metrics.
// Usage: node cluster.cjs HOST:PORT
const assert = require("node:assert/strict");
const { ConsistencyLevelEnum, DataType, MilvusClient } = require("@zilliz/milvus2-sdk-node");

const NAME = "node_cluster";
const DEFAULT = "__default_resource_group";

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
        { name: "vector", data_type: DataType.FloatVector, dim: 4 },
      ],
    }),
    "create",
  );
  const index = { field_name: "vector", index_type: "FLAT", metric_type: "L2" };
  ok(await client.createIndex({ collection_name: NAME, ...index }), "index");
  ok(await client.loadCollectionSync({ collection_name: NAME }), "load");
  const data = Array.from({ length: 100 }, (_, id) => ({ id, vector: [id, 0, 0, 0] }));
  ok(await client.insert({ collection_name: NAME, data }), "insert");
  ok(await client.flushSync({ collection_names: [NAME] }), "flush");

  const rows = (infos) => infos.reduce((sum, info) => sum + Number(info.num_rows), 0);
  const stored = ok(
    await client.getPersistentSegmentInfo({ collectionName: NAME }),
    "stored segments",
  );
  assert.equal(rows(stored.infos), 100);
  assert.ok(stored.infos.every((info) => info.state === "Flushed"));
  const loaded = ok(await client.getQuerySegmentInfo({ collectionName: NAME }), "segments");
  assert.equal(rows(loaded.infos), 100);

  const { collectionID } = ok(await client.describeCollection({ collection_name: NAME }), "it");
  const replicas = ok(await client.getReplicas({ collectionID }), "replicas");
  assert.equal(replicas.replicas.length, 1);
  assert.equal(replicas.replicas[0].resource_group_name, DEFAULT);
  ok(await client.loadBalance({ src_nodeID: 1, collectionName: NAME }), "load balance");

  const metrics = ok(await client.getMetric({ request: { metric_type: "system_info" } }), "metrics");
  assert.equal(metrics.response.nodes_info[0].infos.type, "standalone");

  ok(await client.createResourceGroup({ resource_group: "node_rg" }), "a group");
  const groups = ok(await client.listResourceGroups(), "groups");
  assert.deepEqual(groups.resource_groups, [DEFAULT, "node_rg"]);
  const group = ok(await client.describeResourceGroup({ resource_group: "node_rg" }), "a group");
  assert.equal(group.resource_group.num_available_node, 0);
  const resource_groups = { node_rg: { requests: { node_num: 0 }, limits: { node_num: 1 } } };
  ok(await client.updateResourceGroups({ resource_groups }), "an update");
  const none = { node_rg: { requests: { node_num: 0 }, limits: { node_num: 0 } } };
  ok(await client.updateResourceGroups({ resource_groups: none }), "an update");
  ok(await client.dropResourceGroup({ resource_group: "node_rg" }), "dropped");
  ok(await client.dropCollection({ collection_name: NAME }), "drop");
  await client.closeConnection();
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
