"""Schemas of every served type, both kinds of keys, partitions, databases, consistency levels."""

import pymilvus
from pymilvus import DataType, MilvusClient
from support import URI, check, equal, nearest, raises, vectors

DIM = 16
# Iterators of older clients read every page at the level of the collection.
ITERATORS_HAVE_A_TIME = not pymilvus.__version__.startswith("2.4.")
client = MilvusClient(uri=URI)


def fresh(name):
    """Makes room for a collection of this name."""
    if client.has_collection(name):
        client.drop_collection(name)
    return name


def ids(rows, key="id"):
    """Keys of rows, sorted."""
    return sorted(row[key] for row in rows)


def every_type():
    """All scalar types, JSON paths and the dynamic field, stored, filtered and returned."""
    name = fresh("every_type")
    schema = client.create_schema(auto_id=False, enable_dynamic_field=True)
    schema.add_field("id", DataType.INT64, is_primary=True)
    schema.add_field("flag", DataType.BOOL)
    schema.add_field("tiny", DataType.INT8)
    schema.add_field("small", DataType.INT16)
    schema.add_field("medium", DataType.INT32)
    schema.add_field("large", DataType.INT64)
    schema.add_field("single", DataType.FLOAT)
    schema.add_field("real", DataType.DOUBLE)
    schema.add_field("word", DataType.VARCHAR, max_length=64)
    schema.add_field("document", DataType.JSON)
    schema.add_field("vector", DataType.FLOAT_VECTOR, dim=DIM)
    index = client.prepare_index_params()
    index.add_index(field_name="vector", index_type="FLAT", metric_type="IP")
    client.create_collection(
        name, schema=schema, index_params=index, consistency_level="Strong"
    )
    equal(client.get_load_state(name)["state"].name, "Loaded", "load state")
    data = vectors(200, DIM)
    rows = [
        {
            "id": i,
            "flag": i % 2 == 0,
            "tiny": i % 128 - 64,
            "small": -i,
            "medium": i * 1000,
            "large": i * 10**12,
            "single": i / 4,
            "real": i / 7,
            "word": f"wörd {i}",
            "document": {"n": i, "tags": ["a", "b"], "deep": {"x": i % 5}},
            "vector": data[i].tolist(),
            "extra": i * 2,
            "label": "even" if i % 2 == 0 else "odd",
        }
        for i in range(200)
    ]
    equal(client.insert(name, rows)["insert_count"], 200, "insert_count")
    filters = {
        "flag == true": lambda r: r["flag"],
        "tiny < -10": lambda r: r["tiny"] < -10,
        "small in [-3, -4, -5, 7]": lambda r: r["small"] in (-3, -4, -5),
        "medium >= 190000 and large < 195000000000000": lambda r: 190 <= r["id"] < 195,
        "single + 1 > 45.5": lambda r: r["single"] + 1 > 45.5,
        "id % 50 == 7": lambda r: r["id"] % 50 == 7,
        "real <= 0.5 or real > 28": lambda r: r["real"] <= 0.5 or r["real"] > 28,
        'word like "wörd 1%"': lambda r: r["word"].startswith("wörd 1"),
        'word == "wörd 42"': lambda r: r["id"] == 42,
        'not (word like "wörd 1%")': lambda r: not r["word"].startswith("wörd 1"),
        'document["n"] == 17': lambda r: r["id"] == 17,
        'document["deep"]["x"] == 3': lambda r: r["id"] % 5 == 3,
        "10 < id <= 20": lambda r: 10 < r["id"] <= 20,
        "id not in [1, 2] and id < 5": lambda r: r["id"] in (0, 3, 4),
        "extra == 84": lambda r: r["extra"] == 84,
        'label == "odd" && extra < 10': lambda r: r["label"] == "odd" and r["extra"] < 10,
        '$meta["label"] == "even"': lambda r: r["label"] == "even",
    }
    for text, keep in filters.items():
        want = [row["id"] for row in rows if keep(row)]
        equal(ids(client.query(name, filter=text, output_fields=["id"])), want, text)
        hits = client.search(name, data=[data[9].tolist()], filter=text, limit=10)[0]
        equal([hit["id"] for hit in hits], nearest("IP", data[want], data[9], want, 10), text)
    row = client.query(name, filter="id == 77", output_fields=["*"])[0]
    for key in ("flag", "tiny", "small", "medium", "large", "word", "document", "label"):
        equal(row[key], rows[77][key], key)
    check(abs(row["real"] - rows[77]["real"]) < 1e-12, "double")
    check(abs(row["single"] - rows[77]["single"]) < 1e-6, "float")
    equal(row["extra"], 154, "dynamic key")
    offset = client.query(name, filter="id >= 0", offset=5, limit=3, output_fields=["word"])
    equal([row["id"] for row in offset], [5, 6, 7], "offset and limit in key order")
    far = client.search(name, data=[data[9].tolist()], limit=4, search_params={"offset": 3})
    near = client.search(name, data=[data[9].tolist()], limit=7)
    equal([h["id"] for h in far[0]], [h["id"] for h in near[0]][3:], "offset of a search")
    client.drop_collection(name)


def varchar_keys():
    """Text keys: get, delete and upsert by key."""
    name = fresh("varchar_keys")
    client.create_collection(
        name,
        dimension=DIM,
        id_type="string",
        max_length=64,
        metric_type="L2",
        consistency_level="Strong",
    )
    data = vectors(50, DIM)
    rows = [{"id": f"k{i:02d}", "vector": data[i].tolist(), "n": i} for i in range(50)]
    equal(client.insert(name, rows)["insert_count"], 50, "insert_count")
    equal(ids(client.get(name, ids=["k03", "k44"])), ["k03", "k44"], "get")
    client.delete(name, ids=["k03"])
    equal(client.get(name, ids=["k03"]), [], "deleted")
    client.upsert(name, [{"id": "k44", "vector": data[3].tolist(), "n": 1000}])
    hits = client.search(name, data=[data[3].tolist()], limit=1, output_fields=["n"])[0]
    equal((hits[0]["id"], hits[0]["entity"]["n"]), ("k44", 1000), "the upserted row is nearest")
    client.drop_collection(name)


def duplicate_keys():
    """An insert never replaces: count(*) counts both rows, a search returns the key once."""
    name = fresh("duplicate_keys")
    client.create_collection(name, dimension=4, metric_type="L2", consistency_level="Strong")
    client.insert(name, [{"id": 1, "vector": [0.0, 0, 0, 0], "n": 1}])
    client.insert(name, [{"id": 1, "vector": [1.0, 0, 0, 0], "n": 2}])
    counted = client.query(name, filter="", output_fields=["count(*)"])
    equal(counted[0]["count(*)"], 2, "count(*) counts rows, not keys")
    hits = client.search(name, data=[[0.0, 0, 0, 0]], limit=10)[0]
    equal([hit["id"] for hit in hits], [1], "a key is returned once")
    newest = client.query(name, filter="id == 1", output_fields=["n"])
    equal([row["n"] for row in newest], [2], "a query returns the newest row of a key")
    client.delete(name, ids=[1])
    counted = client.query(name, filter="", output_fields=["count(*)"])
    equal(counted[0]["count(*)"], 0, "a delete ends every row of a key")
    client.drop_collection(name)


def automatic_keys():
    """Keys that the server hands out are unique over inserts."""
    name = fresh("automatic_keys")
    client.create_collection(name, dimension=4, auto_id=True, consistency_level="Strong")
    keys = []
    for batch in range(3):
        answer = client.insert(name, [{"vector": [1.0, 2, 3, batch]} for _ in range(100)])
        keys.extend(answer["ids"])
    equal(len(set(keys)), 300, "distinct keys")
    equal(len(client.get(name, ids=keys[:20])), 20, "rows by their automatic keys")
    client.drop_collection(name)


def partitions():
    """Rows live in partitions; reads and deletes can be limited to some."""
    name = fresh("partitions")
    client.create_collection(name, dimension=4, metric_type="L2", consistency_level="Strong")
    client.create_partition(name, "north")
    client.create_partition(name, "south")
    equal(sorted(client.list_partitions(name)), ["_default", "north", "south"], "partitions")
    check(client.has_partition(name, "north"), "has_partition")
    check(not client.has_partition(name, "west"), "has_partition of a missing one")
    client.load_partitions(name, ["north", "south"])
    for number, partition in enumerate(["north", "south", "_default"]):
        rows = [{"id": number * 10 + i, "vector": [number, i, 0, 0]} for i in range(5)]
        client.insert(name, rows, partition_name=partition)

    def count(*names):
        answer = client.query(
            name, filter="", output_fields=["count(*)"], partition_names=list(names)
        )
        return answer[0]["count(*)"]

    equal((count("north"), count("north", "south"), count()), (5, 10, 15), "counts")
    hits = client.search(name, data=[[0.0, 0, 0, 0]], limit=20, partition_names=["south"])[0]
    equal(ids(hits), [10, 11, 12, 13, 14], "a search in one partition")
    client.delete(name, filter="id >= 0", partition_name="south")
    equal((count("south"), count()), (0, 10), "counts after a delete in one partition")
    raises(lambda: client.insert(name, [{"id": 1, "vector": [0.0] * 4}], partition_name="west"),
           "partition not found", code=200)
    client.release_partitions(name, ["north"])
    client.drop_partition(name, "north")
    check(not client.has_partition(name, "north"), "the partition is dropped")
    equal(count(), 5, "its rows are gone")
    client.drop_collection(name)


def databases():
    """The same name in two databases is two collections."""
    if "library" in client.list_databases():
        other = MilvusClient(uri=URI, db_name="library")
        for name in other.list_collections():
            other.drop_collection(name)
        client.drop_database("library")
    client.create_database("library")
    check({"default", "library"} <= set(client.list_databases()), "databases are listed")
    other = MilvusClient(uri=URI, db_name="library")
    name = fresh("books")
    client.create_collection(name, dimension=4)
    equal(other.list_collections(), [], "a new database is empty")
    other.create_collection(name, dimension=8)
    other.insert(name, [{"id": 1, "vector": [0.0] * 8}])
    rows = client.query(name, filter="id >= 0", consistency_level="Strong")
    equal(rows, [], "rows stay in their database")
    raises(lambda: client.drop_database("library"), "not empty")
    other.drop_collection(name)
    other.close()
    client.drop_database("library")
    check("library" not in client.list_databases(), "the database is dropped")
    client.drop_collection(name)


def levels():
    """Every consistency level answers, and a Session read sees its own deletes."""
    name = fresh("levels")
    client.create_collection(name, dimension=4, metric_type="L2", consistency_level="Session")
    for i in range(20):
        client.insert(name, [{"id": i, "vector": [float(i), 0, 0, 0]}])
        rows = client.query(name, filter=f"id == {i}", output_fields=["id"])
        equal(ids(rows), [i], "a Session read sees its own insert")
        if i % 2:
            client.delete(name, ids=[i])
            rows = client.query(name, filter=f"id == {i}", output_fields=["id"])
            equal(rows, [], "a Session read sees its own delete")
    for level in ("Strong", "Session", "Bounded", "Eventually"):
        rows = client.query(name, filter="id >= 0", output_fields=["id"], consistency_level=level)
        check(set(ids(rows)) <= set(range(20)), f"{level} answers")
        hits = client.search(name, data=[[0.0] * 4], limit=3, consistency_level=level)
        check(len(hits[0]) <= 3, f"{level} answers a search")
    client.drop_collection(name)


def iterators():
    """Iterators page through everything once, at one time."""
    name = fresh("iterators")
    client.create_collection(name, dimension=4, metric_type="L2", consistency_level="Strong")
    client.insert(name, [{"id": i, "vector": [float(i), 0, 0, 0]} for i in range(1000)])
    iterator = client.query_iterator(name, batch_size=130, filter="id < 900")
    seen = []
    while True:
        batch = iterator.next()
        if not batch:
            break
        seen.extend(row["id"] for row in batch)
        # Rows that come or go meanwhile do not show: the iterator reads at its own time.
        if ITERATORS_HAVE_A_TIME:
            client.insert(name, [{"id": 899, "vector": [0.0] * 4}])
            client.delete(name, ids=[898])
    iterator.close()
    equal(seen, list(range(900)), "rows of the iterator")
    client.drop_collection(name)


for scenario in (
    every_type,
    varchar_keys,
    duplicate_keys,
    automatic_keys,
    partitions,
    databases,
    levels,
    iterators,
):
    scenario()
    print(f"{scenario.__name__}: ok", flush=True)
client.close()
