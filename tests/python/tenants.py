"""Many tenants in one collection under a partition key, as multi-tenant programs use it."""

from pymilvus import (
    AnnSearchRequest,
    Collection,
    CollectionSchema,
    DataType,
    FieldSchema,
    MilvusClient,
    RRFRanker,
    connections,
)
from support import HOST, PORT, URI, check, equal, nearest, raises, vectors

DIM = 8
ROWS = 900
TENANTS = 45
NAME = "documents"
UNNAMED = "not support manually specifying the partition names if partition key mode is used"
client = MilvusClient(uri=URI)


def tenant(number):
    """The name of a tenant."""
    return f"tenant-{number:03d}"


def make():
    """A collection with 32 partitions, loaded, and its rows."""
    if client.has_collection(NAME):
        client.drop_collection(NAME)
    schema = client.create_schema(auto_id=False, enable_dynamic_field=True)
    schema.add_field("id", DataType.INT64, is_primary=True)
    schema.add_field("tenant", DataType.VARCHAR, max_length=64, is_partition_key=True)
    schema.add_field("stars", DataType.INT64, is_clustering_key=True)
    schema.add_field("vector", DataType.FLOAT_VECTOR, dim=DIM)
    index = client.prepare_index_params()
    index.add_index(field_name="vector", index_type="FLAT", metric_type="L2")
    client.create_collection(
        NAME,
        schema=schema,
        index_params=index,
        num_partitions=32,
        consistency_level="Strong",
    )
    data = vectors(ROWS, DIM)
    rows = [
        {
            "id": i,
            "tenant": tenant(i % TENANTS),
            "stars": i % 5,
            "vector": data[i].tolist(),
            "title": f"document {i}",
        }
        for i in range(ROWS)
    ]
    for first in range(0, ROWS, 300):
        made = client.insert(NAME, rows[first : first + 300])
        equal(made["insert_count"], 300, "insert_count")
    return data, rows


def described():
    """What clients show of the collection."""
    collection = client.describe_collection(NAME)
    equal(collection["num_partitions"], 32, "num_partitions")
    keys = [field["name"] for field in collection["fields"] if field.get("is_partition_key")]
    equal(keys, ["tenant"], "partition keys")
    equal(
        client.list_partitions(NAME),
        [f"_default_{i}" for i in range(32)],
        "partitions",
    )
    counts = [
        client.get_partition_stats(NAME, name)["row_count"]
        for name in client.list_partitions(NAME)
    ]
    equal(sum(int(count) for count in counts), ROWS, "rows of all partitions")
    check(sum(1 for count in counts if int(count) > 0) > 16, "rows are spread", counts)


def isolated_reads(data, rows):
    """Each tenant sees its own rows, in every kind of read."""
    for number in (0, 7, 44):
        mine = [row["id"] for row in rows if row["tenant"] == tenant(number)]
        text = f'tenant == "{tenant(number)}"'
        found = client.query(NAME, filter=text, output_fields=["tenant", "title"])
        equal([row["id"] for row in found], mine, text)
        equal({row["tenant"] for row in found}, {tenant(number)}, "tenants")
        equal(found[0]["title"], rows[mine[0]]["title"], "a dynamic key")
        count = client.query(NAME, filter=text, output_fields=["count(*)"])
        equal(count[0]["count(*)"], len(mine), "count")
        hits = client.search(NAME, data=[data[100].tolist()], filter=text, limit=5)[0]
        equal(
            [hit["id"] for hit in hits],
            nearest("L2", data[mine], data[100], mine, 5),
            "a search of one tenant",
        )
    names = [tenant(n) for n in (1, 2, 3)]
    some = [r["id"] for r in rows if r["tenant"] in names and r["stars"] > 2]
    found = client.query(NAME, filter=f"tenant in {names} and stars > 2")
    equal([row["id"] for row in found], some, "several tenants")
    hits = client.search(NAME, data=[data[5].tolist()], limit=10)[0]
    equal(
        [hit["id"] for hit in hits],
        nearest("L2", data, data[5], list(range(ROWS)), 10),
        "a search of all tenants",
    )
    nobody = client.search(NAME, data=[data[5].tolist()], filter='tenant == "x"', limit=3)
    equal(list(nobody[0]), [], "a search of nobody")


def hybrid(data, rows):
    """A hybrid search of one tenant."""
    mine = [row["id"] for row in rows if row["tenant"] == tenant(9)]
    text = f'tenant == "{tenant(9)}"'
    request = [
        AnnSearchRequest([data[at].tolist()], "vector", {"metric_type": "L2"}, 5, expr=text)
        for at in (9, 400)
    ]
    hits = client.hybrid_search(NAME, request, RRFRanker(), limit=6, output_fields=["tenant"])[0]
    check(9 in [hit["id"] for hit in hits], "the nearest of the first search is itself", hits)
    check(all(hit["id"] in mine for hit in hits), "hits of other tenants", hits)
    check(len(hits) >= 5, "hits", hits)


def changes(rows):
    """Rows move between tenants, and are deleted by tenant."""
    row = dict(rows[17], tenant=tenant(500))
    client.upsert(NAME, [row])
    equal(client.get(NAME, ids=[17], output_fields=["tenant"])[0]["tenant"], tenant(500), "moved")
    old = client.query(NAME, filter=f'tenant == "{tenant(17)}" and id == 17')
    equal(list(old), [], "the old row")
    text = f'tenant == "{tenant(44)}"'
    mine = sum(1 for row in rows if row["tenant"] == tenant(44))
    client.delete(NAME, filter=text)
    equal(list(client.query(NAME, filter=text)), [], "deleted")
    client.delete(NAME, ids=[17])
    left = client.query(NAME, filter="", output_fields=["count(*)"])[0]["count(*)"]
    equal(left, ROWS - mine - 1, "rows left")


def refusals(data):
    """Partitions belong to the server in this mode."""
    raises(
        lambda: client.create_partition(NAME, "west"),
        "disable create partition if partition key mode is used",
    )
    raises(
        lambda: client.drop_partition(NAME, "_default_0"),
        "disable drop partition if partition key mode is used",
    )
    raises(
        lambda: client.load_partitions(NAME, ["_default_0"]),
        "disable load partitions if partition key mode is used",
    )
    raises(
        lambda: client.release_partitions(NAME, ["_default_0"]),
        "disable release partitions if partition key mode is used",
    )
    query = [data[0].tolist()]
    raises(lambda: client.search(NAME, query, limit=1, partition_names=["_default_0"]), UNNAMED)
    raises(lambda: client.query(NAME, "id > 0", partition_names=["_default_0"]), UNNAMED)
    row = {"id": 1, "tenant": "a", "stars": 1, "vector": query[0]}
    raises(lambda: client.insert(NAME, [row], partition_name="_default_0"), UNNAMED)


def object_style(data):
    """The older interface, with an integer key."""
    connections.connect(host=HOST, port=PORT)
    fields = [
        FieldSchema("id", DataType.INT64, is_primary=True, auto_id=True),
        FieldSchema("owner", DataType.INT64, is_partition_key=True),
        FieldSchema("vector", DataType.FLOAT_VECTOR, dim=DIM),
    ]
    schema = CollectionSchema(fields)
    collection = Collection("owned", schema, consistency_level="Strong")
    collection.create_index("vector", {"index_type": "FLAT", "metric_type": "L2", "params": {}})
    collection.load()
    equal(len(collection.partitions), 16, "partitions by default")
    collection.insert([[i % 10 for i in range(200)], data[:200].tolist()])
    for owner in (0, 9):
        found = collection.query(f"owner == {owner}", output_fields=["owner"])
        equal([row["owner"] for row in found], [owner] * 20, "owned rows")
        hits = collection.search(
            [data[owner].tolist()], "vector", {}, limit=3, expr=f"owner in [{owner}]"
        )[0]
        check(hits[0].distance < 1e-6 and len(hits) == 3, "a search of one owner")
    deleted = collection.delete("owner == 3")
    equal(deleted.delete_count, 20, "delete_count")
    equal(collection.query("owner == 3"), [], "deleted")
    collection.drop()


points, documents = make()
described()
isolated_reads(points, documents)
hybrid(points, documents)
refusals(points)
changes(documents)
client.drop_collection(NAME)
object_style(points)
print("ok")
