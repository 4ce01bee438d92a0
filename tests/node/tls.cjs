// The Node SDK over TLS, with or without a certificate of its own.
// Usage: node tls.cjs one-way|mutual FOLDER HOST:PORT
const assert = require("node:assert/strict");
const { MilvusClient } = require("@zilliz/milvus2-sdk-node");
const { run } = require("./support.cjs");

const [mode, folder, address] = process.argv.slice(2);

async function main() {
  const tls = { rootCertPath: `${folder}/ca.pem`, serverName: "localhost" };
  if (mode === "mutual") {
    tls.certChainPath = `${folder}/client.pem`;
    tls.privateKeyPath = `${folder}/client.key`;
  }
  const client = new MilvusClient({
    address,
    ssl: true,
    tls,
    username: "root",
    password: "Milvus",
  });
  await client.connectPromise;
  const users = await client.listUsers();
  assert.deepEqual(users.usernames, ["root"]);
  assert.ok((await client.listCollections()).data.length >= 1);
  console.log(`tls ${mode}: ok`);
  process.exit(0);
}

run(main);
