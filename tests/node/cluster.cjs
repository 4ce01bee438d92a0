// The Node SDK, unmodified: segments, replicas, resource groups, metrics.
// Usage: node cluster.cjs HOST:PORT
const assert = require("node:assert/strict");
const { connect, ok, run, small } = require("./support.cjs");

const NAME = "node_cluster";
const DEFAULT = "__default_resource_group";

async function main() {
  const client = await connect();
  await small(client, NAME);
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

run(main);
