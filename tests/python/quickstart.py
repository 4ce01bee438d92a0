"""The MilvusClient quick start: a collection from a dimension, rows, search, query, delete."""

from pymilvus import MilvusClient
from support import URI, check, equal, nearest, raises, vectors

ROWS, DIM, NAME = 3000, 32, "quickstart"
data = vectors(ROWS, DIM)
subjects = ("history", "physics", "biology")

client = MilvusClient(uri=URI)
if client.has_collection(NAME):
    client.drop_collection(NAME)

client.create_collection(collection_name=NAME, dimension=DIM)
check(client.has_collection(NAME), "the collection exists")
check(NAME in client.list_collections(), "the collection is listed")
described = client.describe_collection(NAME)
equal([field["name"] for field in described["fields"]], ["id", "vector"], "fields")
check(described["enable_dynamic_field"], "the dynamic field is on")

rows = [
    {"id": i, "vector": data[i].tolist(), "text": f"document {i}", "subject": subjects[i % 3]}
    for i in range(ROWS)
]
inserted = client.insert(collection_name=NAME, data=rows)
equal(inserted["insert_count"], ROWS, "insert_count")
equal(list(inserted["ids"])[:3], [0, 1, 2], "ids of the answer")

# A Strong read sees the rows at once, before any flush.
counted = client.query(NAME, filter="", output_fields=["count(*)"], consistency_level="Strong")
equal(counted[0]["count(*)"], ROWS, "count(*) right after the insert")

query = vectors(2, DIM, seed=8)
found = client.search(
    collection_name=NAME,
    data=query.tolist(),
    limit=5,
    output_fields=["text", "subject"],
    consistency_level="Strong",
)
equal(len(found), 2, "one list of hits for each query")
for hits, vector in zip(found, query):
    equal([hit["id"] for hit in hits], nearest("COSINE", data, vector, range(ROWS), 5), "hits")
    for hit in hits:
        equal(hit["entity"]["text"], f"document {hit['id']}", "the dynamic key of a hit")
        equal(hit["entity"]["subject"], subjects[hit["id"] % 3], "the dynamic key of a hit")
    distances = [hit["distance"] for hit in hits]
    equal(distances, sorted(distances, reverse=True), "COSINE falls along the hits")

filtered = client.search(
    collection_name=NAME,
    data=[query[0].tolist()],
    filter='subject == "physics"',
    limit=7,
    output_fields=["subject"],
    consistency_level="Strong",
)
physics = list(range(1, ROWS, 3))
equal(
    [hit["id"] for hit in filtered[0]],
    nearest("COSINE", data[physics], query[0], physics, 7),
    "hits of the filtered search",
)

answer = client.query(
    collection_name=NAME,
    filter='subject == "history" and id < 12',
    output_fields=["text", "subject"],
    consistency_level="Strong",
)
equal(sorted(row["id"] for row in answer), [0, 3, 6, 9], "rows of the query")
check(all(row["subject"] == "history" for row in answer), "subject of the rows")

got = client.get(collection_name=NAME, ids=[5, 17], consistency_level="Strong")
equal(sorted(row["id"] for row in got), [5, 17], "get by ids")
equal(len(got[0]["vector"]), DIM, "a vector comes back whole")

client.delete(collection_name=NAME, ids=[5, 17])
equal(client.get(NAME, ids=[5, 17], consistency_level="Strong"), [], "deleted rows are gone")
client.delete(collection_name=NAME, filter='subject == "biology" and id < 30')
left = client.query(NAME, filter="id < 30", output_fields=["id"], consistency_level="Strong")
gone = {5, 17} | {i for i in range(30) if i % 3 == 2}
equal(sorted(row["id"] for row in left), sorted(set(range(30)) - gone), "rows that are left")

upserted = client.upsert(
    NAME, [{"id": 0, "vector": data[1].tolist(), "text": "new", "subject": "art"}]
)
equal(upserted["upsert_count"], 1, "upsert_count")
row = client.get(NAME, ids=[0], consistency_level="Strong")[0]
equal((row["text"], row["subject"]), ("new", "art"), "the row after the upsert")

total = client.query(NAME, filter="", output_fields=["count(*)"], consistency_level="Strong")
equal(total[0]["count(*)"], ROWS - len(gone), "count(*) after deletes and an upsert")

client.flush(NAME)
equal(int(client.get_collection_stats(NAME)["row_count"]) > 0, True, "row_count after a flush")

client.drop_collection(NAME)
check(not client.has_collection(NAME), "the collection is dropped")
raises(lambda: client.describe_collection(NAME), "can't find collection", "not found")

# The same name again: nothing of the old collection shows.
client.create_collection(collection_name=NAME, dimension=DIM)
counted = client.query(NAME, filter="", output_fields=["count(*)"], consistency_level="Strong")
equal(counted[0]["count(*)"], 0, "count(*) of the new collection of the same name")
client.drop_collection(NAME)

SECOND = "quickstart_automatic"
if client.has_collection(SECOND):
    client.drop_collection(SECOND)
client.create_collection(collection_name=SECOND, dimension=8, metric_type="L2", auto_id=True)
first = client.insert(SECOND, [{"vector": [float(i)] * 8} for i in range(4)])
equal(len(set(first["ids"])), 4, "automatic ids differ")
hits = client.search(SECOND, data=[[1.1] * 8], limit=10, consistency_level="Strong")[0]
equal([hit["id"] for hit in hits], [first["ids"][i] for i in (1, 2, 0, 3)], "L2 order")
client.drop_collection(SECOND)
client.close()
print("quickstart: ok")
