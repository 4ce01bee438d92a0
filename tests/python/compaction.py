"""Compaction as clients ask for it: its id, its state and its plans."""

import time

from pymilvus import Collection, DataType, MilvusClient, connections
from support import HOST, PORT, URI, check, equal, raises

NAME = "compaction"
client = MilvusClient(uri=URI)
connections.connect("compaction", host=HOST, port=PORT)

if client.has_collection(NAME):
    client.drop_collection(NAME)
schema = client.create_schema(auto_id=False)
schema.add_field("id", DataType.INT64, is_primary=True)
schema.add_field("vector", DataType.FLOAT_VECTOR, dim=4)
index = client.prepare_index_params()
index.add_index(field_name="vector", index_type="FLAT", metric_type="L2")
client.create_collection(
    NAME, schema=schema, index_params=index, consistency_level="Strong", num_shards=1
)
collection = Collection(NAME, using="compaction")

# Nothing is written out yet.
collection.compact()
collection.wait_for_compaction_completed(timeout=10)

for part in range(3):
    rows = [{"id": part * 100 + i, "vector": [float(i), 0, 0, part]} for i in range(100)]
    client.insert(NAME, rows)
    collection.flush()
client.delete(NAME, filter="id < 50")
collection.flush()

collection.compact()
collection.wait_for_compaction_completed(timeout=30)
state = collection.get_compaction_state()
equal(state.state_name, "Completed", "state")
equal(state.in_executing, 0, "plans under way")
check(state.completed >= 1, "plans that are done", state)
plans = collection.get_compaction_plans()
check(len(plans.plans) == state.completed, "plans", plans)
check(all(len(plan.sources) >= 2 for plan in plans.plans), "sources", plans)
check(all(plan.target > 0 for plan in plans.plans), "targets", plans)
equal(len(client.query(NAME, filter="id >= 0", limit=1000)), 250, "rows")

# The same by the newer client, if this one is.
job = client.compact(NAME) if hasattr(client, "compact") else None
if job is not None:
    deadline = time.time() + 30
    while client.get_compaction_state(job) != "Completed":
        check(time.time() < deadline, "a compaction ends")
        time.sleep(0.1)

# Rows cannot be clustered without a key to do it by: there is nothing to do.
collection.compact(is_clustering=True)
raises(lambda: Collection("nowhere", using="compaction").compact(), "nowhere")
client.drop_collection(NAME)
print("compaction: ok")
