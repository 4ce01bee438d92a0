// Users, roles and privileges through the Node SDK, unmodified.
// Usage: node access.cjs HOST:PORT
const assert = require("node:assert/strict");
const { DataType, MilvusClient } = require("@zilliz/milvus2-sdk-node");
const { ok, run } = require("./support.cjs");

const NAME = "node_access";
const address = process.argv[2];

/** Stops unless a call is refused with this text, by an answer or by gRPC. */
async function refused(call, text) {
  let said;
  try {
    const answer = await call();
    said = (answer.status ?? answer).reason;
  } catch (error) {
    said = String(error.details ?? error.message ?? error);
  }
  assert.ok(said.includes(text), `"${text}" is due, not "${said}"`);
}

async function connect(username, password) {
  const client = new MilvusClient({ address, username, password, maxRetries: 0 });
  await client.connectPromise;
  return client;
}

async function main() {
  const root = await connect("root", "Milvus");
  ok(
    await root.createCollection({
      collection_name: NAME,
      fields: [
        { name: "id", data_type: DataType.Int64, is_primary_key: true, autoID: false },
        { name: "vector", data_type: DataType.FloatVector, dim: 2 },
      ],
    }),
    "create",
  );
  const data = [1, 2, 3].map((id) => ({ id, vector: [id, 0] }));
  ok(await root.insert({ collection_name: NAME, data }), "insert");
  ok(
    await root.createIndex({
      collection_name: NAME,
      field_name: "vector",
      index_type: "FLAT",
      metric_type: "L2",
    }),
    "index",
  );
  ok(await root.loadCollectionSync({ collection_name: NAME }), "load");

  ok(await root.createUser({ username: "nora", password: "secret-nora" }), "user");
  await refused(
    () => root.createUser({ username: "nora", password: "secret-nora" }),
    "user already exists: nora",
  );
  const nora = await connect("nora", "secret-nora");
  const query = (client) =>
    client.query({
      collection_name: NAME,
      filter: "id > 0",
      output_fields: ["id"],
      consistency_level: 0,
    });
  const denied = "PrivilegeQuery: permission deny to nora in the `default` database";
  await refused(() => query(nora), denied);
  ok(await root.createRole({ roleName: "reader" }), "role");
  ok(await root.addUserToRole({ username: "nora", roleName: "reader" }), "give");
  ok(
    await root.grantRolePrivilege({
      roleName: "reader",
      object: "Collection",
      objectName: NAME,
      privilegeName: "Query",
    }),
    "grant",
  );
  assert.equal(ok(await query(nora), "query").data.length, 3);
  const grants = ok(await root.listGrants({ roleName: "reader" }), "grants");
  assert.equal(grants.entities[0].object_name, NAME);
  ok(
    await root.revokeRolePrivilege({
      roleName: "reader",
      object: "Collection",
      objectName: NAME,
      privilegeName: "Query",
    }),
    "revoke",
  );
  await refused(() => query(nora), denied);
  const users = ok(await root.listUsers(), "users");
  assert.deepEqual(users.usernames, ["nora", "root"]);
  const wrong = await connect("nora", "wrong-one").catch((error) => error);
  if (wrong instanceof MilvusClient) {
    await refused(() => wrong.listCollections(), "check username and password are correct");
  }
  ok(await root.deleteUser({ username: "nora" }), "drop user");
  ok(await root.dropRole({ roleName: "reader" }), "drop role");
  ok(await root.dropCollection({ collection_name: NAME }), "drop");
  console.log("access: ok");
  process.exit(0);
}

run(main);
