"""The ORM hello-world: schema, insert of columns, flush, index, load, search, query, delete."""

import random

from pymilvus import (
    Collection,
    CollectionSchema,
    DataType,
    FieldSchema,
    connections,
    utility,
)
from support import HOST, PORT, check, equal, nearest, raises, vectors

ROWS, DIM, NAME = 3000, 8, "hello_orm"
data = vectors(ROWS, DIM, seed=19530)
numbers = random.Random(3)
weights = [numbers.random() for _ in range(ROWS)]

connections.connect("default", host=HOST, port=PORT)
check(utility.get_server_version(), "the server has a version")
if utility.has_collection(NAME):
    utility.drop_collection(NAME)

schema = CollectionSchema(
    [
        FieldSchema("pk", DataType.VARCHAR, is_primary=True, auto_id=False, max_length=100),
        FieldSchema("weight", DataType.DOUBLE),
        FieldSchema("embeddings", DataType.FLOAT_VECTOR, dim=DIM),
    ],
    "a first collection",
)
hello = Collection(NAME, schema, consistency_level="Strong")
equal(hello.description, "a first collection", "description")
equal([field.name for field in hello.schema.fields], ["pk", "weight", "embeddings"], "fields")
check(NAME in utility.list_collections(), "the collection is listed")

keys = [f"key-{i:05d}" for i in range(ROWS)]
inserted = hello.insert([keys, weights, data.tolist()])
equal(inserted.insert_count, ROWS, "insert_count")
equal(list(inserted.primary_keys)[:2], keys[:2], "primary keys of the answer")
check(inserted.timestamp > 0, "an insert has a timestamp")
hello.flush()
equal(hello.num_entities, ROWS, "num_entities")

raises(
    lambda: hello.search([data[0].tolist()], "embeddings", {"metric_type": "L2"}, limit=3),
    "not loaded",
)
index = {"index_type": "IVF_FLAT", "metric_type": "L2", "params": {"nlist": 128}}
hello.create_index("embeddings", index)
check(hello.has_index(), "the index exists")
equal(hello.index().params["index_type"], "IVF_FLAT", "type of the index")
utility.wait_for_index_building_complete(NAME)
hello.load()
equal(utility.loading_progress(NAME)["loading_progress"], "100%", "loading progress")

parameters = {"metric_type": "L2", "params": {"nprobe": 128}}
queries = data[-2:].tolist()
found = hello.search(queries, "embeddings", parameters, limit=3, output_fields=["weight"])
for number, hits in enumerate(found):
    want = nearest("L2", data, queries[number], keys, 3)
    equal(hits.ids, want, "hits")
    check(abs(hits[0].distance) < 1e-5, "the row itself is at distance 0")
    for hit in hits:
        value = hit.entity.get("weight")
        check(abs(value - weights[keys.index(hit.id)]) < 1e-12, "the output field of a hit")

heavy = [i for i in range(ROWS) if weights[i] > 0.5]
filtered = hello.search(
    queries, "embeddings", parameters, limit=3, expr="weight > 0.5", output_fields=["weight"]
)
for number, hits in enumerate(filtered):
    want = nearest("L2", data[heavy], queries[number], [keys[i] for i in heavy], 3)
    equal(hits.ids, want, "hits of the filtered search")

answer = hello.query("weight > 0.5", output_fields=["weight", "embeddings"])
equal(sorted(row["pk"] for row in answer), [keys[i] for i in heavy], "rows of the query")
equal(len(answer[0]["embeddings"]), DIM, "a vector comes back whole")
page = hello.query("weight > 0.5", limit=4, offset=2, output_fields=["weight"])
equal([row["pk"] for row in page], [keys[i] for i in heavy[2:6]], "a page is in key order")

hello.delete(f'pk in ["{keys[0]}", "{keys[1]}"]')
equal(hello.query(f'pk in ["{keys[0]}", "{keys[1]}"]'), [], "deleted rows are gone")
hello.delete("weight > 0.5")
count = hello.query("", output_fields=["count(*)"])[0]["count(*)"]
equal(count, ROWS - len(set(heavy) | {0, 1}), "count(*) after the deletes")

upserted = hello.upsert([keys[:2], [2.0, 3.0], data[:2].tolist()])
equal(upserted.upsert_count, 2, "upsert_count")
rows = hello.query(f'pk in ["{keys[0]}", "{keys[1]}"]', output_fields=["weight"])
equal(sorted(row["weight"] for row in rows), [2.0, 3.0], "rows after the upsert")

# Rows as dictionaries work too, and an iterator pages through everything in key order.
hello.insert([{"pk": "zz-last", "weight": 9.0, "embeddings": data[0].tolist()}])
iterator = hello.query_iterator(batch_size=500, expr="weight >= 0", output_fields=["weight"])
seen = []
while True:
    batch = iterator.next()
    if not batch:
        iterator.close()
        break
    seen.extend(row["pk"] for row in batch)
equal(seen, sorted(seen), "the iterator is in key order")
equal(len(seen), count + 3, "the iterator sees every row once")

hello.release()
raises(lambda: hello.query("weight > 1", output_fields=["weight"]), "not loaded")
hello.drop_index()
check(not hello.has_index(), "the index is dropped")
hello.create_index("embeddings", {"index_type": "FLAT", "metric_type": "IP", "params": {}})
hello.load()
hits = hello.search(queries[:1], "embeddings", {"metric_type": "IP"}, limit=5)[0]
check(len(hits) == 5 and hits.distances == sorted(hits.distances, reverse=True), "IP falls")

utility.drop_collection(NAME)
check(not utility.has_collection(NAME), "the collection is dropped")
connections.disconnect("default")
print("hello_orm: ok")
