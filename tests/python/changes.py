"""Fields that are added, truncation, and times to live, by clients that know these calls."""

import time

from pymilvus import DataType, MilvusClient, __version__
from support import URI, check, equal, raises

client = MilvusClient(uri=URI)


def fresh(name, **more):
    """Makes a loaded collection of this name."""
    if client.has_collection(name):
        client.drop_collection(name)
    schema = client.create_schema(auto_id=False, enable_dynamic_field=True)
    schema.add_field("id", DataType.INT64, is_primary=True)
    schema.add_field("vector", DataType.FLOAT_VECTOR, dim=4)
    index = client.prepare_index_params()
    index.add_index(field_name="vector", index_type="FLAT", metric_type="L2")
    client.create_collection(
        name, schema=schema, index_params=index, consistency_level="Strong", **more
    )
    return name


def rows(name, keys, **more):
    """Inserts rows of these keys."""
    client.insert(name, [{"id": key, "vector": [float(key), 0, 0, 0], **more} for key in keys])


def ids(name, text="id >= 0"):
    """The keys of the rows that a filter keeps."""
    found = client.query(name, filter=text, output_fields=["id"], limit=100)
    return sorted(row["id"] for row in found)


def fields():
    """Old rows have the default of an added field, or null; new ones their values."""
    name = fresh("fields")
    rows(name, range(5), color="red")
    client.flush(name)
    rows(name, range(5, 10), color="blue")
    client.add_collection_field(name, field_name="note", data_type=DataType.INT64, nullable=True)
    client.add_collection_field(
        name, field_name="grade", data_type=DataType.VARCHAR, max_length=16, nullable=True,
        default_value="none",
    )
    described = {field["name"]: field for field in client.describe_collection(name)["fields"]}
    equal(sorted(described), ["grade", "id", "note", "vector"], "fields")
    check(described["grade"]["nullable"], "an added field is nullable")
    rows(name, range(10, 12), note=7, grade="high", color="red")
    rows(name, range(12, 14))
    equal(ids(name, "note == 7"), [10, 11], "rows with a value")
    equal(ids(name, "note is null and id < 7"), list(range(7)), "rows without one")
    equal(len(ids(name, 'grade == "none"')), 12, "rows with the default")
    equal(ids(name, 'color == "red"'), [0, 1, 2, 3, 4, 10, 11], "dynamic keys are as before")
    found = client.get(name, ids=[3, 11], output_fields=["note", "grade", "color"])
    found = {row["id"]: (row["note"], row["grade"], row["color"]) for row in found}
    equal(found, {3: (None, "none", "red"), 11: (7, "high", "red")}, "values")
    hits = client.search(
        name, data=[[3.0, 0, 0, 0]], limit=2, filter='grade == "none"', output_fields=["grade"]
    )[0]
    equal([hit["entity"]["grade"] for hit in hits], ["none", "none"], "a search")
    client.upsert(name, [{"id": 3, "vector": [0.0] * 4, "note": 1}])
    equal(client.get(name, ids=[3], output_fields=["note"])[0]["note"], 1, "an upsert")
    index = client.prepare_index_params()
    index.add_index(field_name="note", index_type="INVERTED")
    client.create_index(name, index)
    check("note" in client.list_indexes(name), "an index on an added field")

    add = client.add_collection_field
    raises(lambda: add(name, field_name="x", data_type=DataType.INT64, nullable=False),
           "added field must be nullable, please check it, field name = x", code=1100)
    raises(lambda: add(name, field_name="note", data_type=DataType.INT64, nullable=True),
           "duplicated field name note", code=1100)
    client.drop_collection(name)


def truncation():
    """All rows go, and everything else stays."""
    name = fresh("truncation")
    client.create_partition(name, "p")
    rows(name, range(20))
    client.flush(name)
    rows(name, range(20, 30))
    client.truncate_collection(name)
    equal(ids(name), [], "no row is left")
    equal(client.query(name, output_fields=["count(*)"])[0]["count(*)"], 0, "count(*)")
    equal(client.get_load_state(name)["state"].name, "Loaded", "load state")
    equal(client.list_indexes(name), ["vector"], "indexes")
    equal(sorted(client.list_partitions(name)), ["_default", "p"], "partitions")
    rows(name, [3, 40])
    equal(ids(name), [3, 40], "rows that came later")
    raises(lambda: client.truncate_collection("missing"), "collection not found", code=100)
    client.drop_collection(name)


def times_to_live():
    """Rows expire, and what is expired stays so."""
    name = fresh("ttl", properties={"collection.ttl.seconds": 3})
    described = client.describe_collection(name)["properties"]
    equal(described["collection.ttl.seconds"], "3", "the property")
    rows(name, range(3))
    equal(ids(name), [0, 1, 2], "rows that live")
    time.sleep(3.5)
    equal(ids(name), [], "rows that are expired")
    equal(client.query(name, output_fields=["count(*)"])[0]["count(*)"], 0, "count(*)")
    client.alter_collection_properties(name, {"collection.ttl.seconds": 3600})
    rows(name, [7])
    equal(ids(name), [7], "a longer time brings nothing back")
    client.drop_collection_properties(name, ["collection.ttl.seconds"])
    check("collection.ttl.seconds" not in client.describe_collection(name)["properties"], "gone")
    equal(ids(name), [7], "no time to live")
    bad = {"collection.ttl.seconds": "soon"}
    raises(lambda: client.alter_collection_properties(name, bad),
           "collection TTL is not a valid positive integer", code=1100)
    bad = {"collection.ttl.seconds": -2}
    raises(lambda: client.alter_collection_properties(name, bad),
           "collection TTL is out of range, expect [-1, 3155760000], got -2", code=1100)
    client.drop_collection(name)


scenarios = []
# Older clients lack the calls.
if hasattr(client, "add_collection_field"):
    scenarios.append(fields)
if hasattr(client, "truncate_collection"):
    scenarios.append(truncation)
if hasattr(client, "alter_collection_properties"):
    scenarios.append(times_to_live)
if not __version__.startswith("2.4"):
    equal(len(scenarios), 3, f"scenarios of pymilvus {__version__}")
for scenario in scenarios:
    scenario()
    print(f"{scenario.__name__}: ok", flush=True)
client.close()
