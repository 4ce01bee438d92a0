"""Arrays of every element type, nulls, default values, partial updates."""

import pymilvus
from pymilvus import DataType, MilvusClient
from support import URI, check, equal, raises, vectors

DIM = 8
client = MilvusClient(uri=URI)
VERSION = tuple(int(part) for part in pymilvus.__version__.split(".")[:2])


def fresh(name):
    """Makes room for a collection of this name."""
    if client.has_collection(name):
        client.drop_collection(name)
    return name


def indexed():
    """An index on the vector field."""
    index = client.prepare_index_params()
    index.add_index(field_name="vector", index_type="FLAT", metric_type="L2")
    return index


def found(name, text, **more):
    """Keys of the rows that a filter keeps."""
    return [row["id"] for row in client.query(name, filter=text, output_fields=["id"], **more)]


def arrays():
    """Arrays are stored, filtered by all their functions, and returned."""
    name = fresh("arrays")
    schema = client.create_schema(auto_id=False)
    schema.add_field("id", DataType.INT64, is_primary=True)
    elements = {
        "bools": DataType.BOOL,
        "int8s": DataType.INT8,
        "int16s": DataType.INT16,
        "int32s": DataType.INT32,
        "int64s": DataType.INT64,
        "floats": DataType.FLOAT,
        "doubles": DataType.DOUBLE,
    }
    for field, element in elements.items():
        schema.add_field(field, DataType.ARRAY, element_type=element, max_capacity=16)
    schema.add_field(
        "texts", DataType.ARRAY, element_type=DataType.VARCHAR, max_capacity=8, max_length=20
    )
    schema.add_field("vector", DataType.FLOAT_VECTOR, dim=DIM)
    client.create_collection(
        name, schema=schema, index_params=indexed(), consistency_level="Strong"
    )
    data = vectors(60, DIM)
    rows = [
        {
            "id": i,
            "bools": [i % 2 == 0, True],
            "int8s": [i % 100, -i % 100],
            "int16s": [i, i + 1, i + 2],
            "int32s": list(range(i % 5)),
            "int64s": [i * 10**12],
            "floats": [i / 2],
            "doubles": [i / 3, i / 7],
            "texts": [f"t{i % 3}", "ünï", ""],
            "vector": data[i].tolist(),
        }
        for i in range(60)
    ]
    client.insert(name, rows)
    row = client.query(name, filter="id == 11", output_fields=["*"])[0]
    for field in [*elements, "texts"]:
        equal(list(row[field]), rows[11][field], f"arrays: {field} comes back as sent")
    filters = {
        "array_contains(int16s, 7)": lambda r: 7 in r["int16s"],
        "ARRAY_CONTAINS_ALL(int16s, [7, 8])": lambda r: {7, 8} <= set(r["int16s"]),
        "array_contains_any(int16s, [0, 50])": lambda r: bool({0, 50} & set(r["int16s"])),
        "array_length(int32s) == 3": lambda r: len(r["int32s"]) == 3,
        "int64s[0] > 57000000000000": lambda r: r["int64s"][0] > 57 * 10**12,
        'texts[0] == "t1"': lambda r: r["texts"][0] == "t1",
        'array_contains(texts, "ünï") and id < 3': lambda r: r["id"] < 3,
        "doubles[1] <= 0.3": lambda r: r["doubles"][1] <= 0.3,
        "int32s == [0, 1]": lambda r: r["int32s"] == [0, 1],
    }
    for text, keep in filters.items():
        equal(found(name, text), [r["id"] for r in rows if keep(r)], f"arrays: {text}")
    raises(
        lambda: client.insert(name, [{**rows[0], "int16s": list(range(17))}]),
        "int16s",
    )
    client.drop_collection(name)


def nulls():
    """Nullable fields and default values."""
    if VERSION < (2, 5):
        return
    name = fresh("nulls")
    schema = client.create_schema(auto_id=False, enable_dynamic_field=True)
    schema.add_field("id", DataType.INT64, is_primary=True)
    schema.add_field("age", DataType.INT32, nullable=True)
    schema.add_field("word", DataType.VARCHAR, max_length=20, nullable=True)
    schema.add_field("score", DataType.FLOAT, default_value=2.5)
    schema.add_field("flag", DataType.BOOL, nullable=True, default_value=True)
    schema.add_field("doc", DataType.JSON, nullable=True)
    schema.add_field(
        "list", DataType.ARRAY, element_type=DataType.INT64, max_capacity=4, nullable=True
    )
    schema.add_field("vector", DataType.FLOAT_VECTOR, dim=DIM)
    client.create_collection(
        name, schema=schema, index_params=indexed(), consistency_level="Strong"
    )
    fields = {f["name"]: f for f in client.describe_collection(name)["fields"]}
    check(fields["age"].get("nullable"), "nulls: described as nullable")
    data = vectors(6, DIM)
    rows = [
        {"id": 0, "age": 10, "word": "a", "score": 1.0, "flag": False, "doc": {"k": 1}, "list": [1]},
        {"id": 1, "age": None, "word": "b", "doc": {"k": None}, "list": []},
        {"id": 2, "age": 30, "word": None, "score": None, "doc": None},
        {"id": 3, "word": "d", "flag": None, "list": None},
        {"id": 4, "age": 50, "word": "", "list": [1, 2]},
        {"id": 5},
    ]
    rows = [{**row, "vector": data[row["id"]].tolist()} for row in rows]
    # Rows of one request name the same fields.
    for row in rows:
        client.insert(name, [row])
    answer = client.query(name, filter="id >= 0", output_fields=["*"])
    equal([row["age"] for row in answer], [10, None, 30, None, 50, None], "nulls: age")
    equal([row["word"] for row in answer], ["a", "b", None, "d", "", None], "nulls: word")
    equal([row["score"] for row in answer], [1.0, 2.5, 2.5, 2.5, 2.5, 2.5], "nulls: default")
    equal([row["flag"] for row in answer], [False, True, True, True, True, True], "nulls: flag")
    lists = [None if row["list"] is None else list(row["list"]) for row in answer]
    equal(lists, [[1], [], None, None, [1, 2], None], "nulls: list")
    filters = {
        "age is null": [1, 3, 5],
        "age IS NOT NULL": [0, 2, 4],
        "age > 20": [2, 4],
        "not (age > 20)": [0],
        "age > 20 or word == 'd'": [2, 3, 4],
        "word is null and id > 2": [5],
        "doc is null": [2, 3, 4, 5],
        "list is not null": [0, 1, 4],
        "age != 10": [2, 4],
        "age + 1 in [11, 31]": [0, 2],
    }
    for text, want in filters.items():
        if text != "age + 1 in [11, 31]":
            equal(found(name, text), want, f"nulls: {text}")
    hits = client.search(
        name, data=[rows[1]["vector"]], limit=6, output_fields=["age", "word"], filter="id >= 0"
    )[0]
    equal(hits[0]["id"], 1, "nulls: nearest")
    equal(hits[0]["entity"]["age"], None, "nulls: a null in a hit")
    client.drop_collection(name)


def partial():
    """A partial update keeps what it does not name."""
    if VERSION < (2, 6):
        return
    name = fresh("partial")
    schema = client.create_schema(auto_id=False)
    schema.add_field("id", DataType.INT64, is_primary=True)
    schema.add_field("a", DataType.INT64)
    schema.add_field("b", DataType.VARCHAR, max_length=20, nullable=True)
    schema.add_field("vector", DataType.FLOAT_VECTOR, dim=DIM)
    client.create_collection(
        name, schema=schema, index_params=indexed(), consistency_level="Strong"
    )
    data = vectors(3, DIM)
    rows = [{"id": i, "a": i, "b": f"b{i}", "vector": data[i].tolist()} for i in range(3)]
    client.insert(name, rows)
    client.upsert(name, [{"id": 1, "a": 100}, {"id": 2, "a": 200}], partial_update=True)
    answer = client.query(name, filter="id >= 0", output_fields=["*"])
    equal([row["a"] for row in answer], [0, 100, 200], "partial: the named field is new")
    equal([row["b"] for row in answer], ["b0", "b1", "b2"], "partial: the others are kept")
    for row, want in zip(answer, data):
        check(abs(row["vector"][0] - want[0]) < 1e-6, "partial: vectors are kept")
    client.drop_collection(name)


def dynamic_partial():
    """A partial update keeps the dynamic keys that it does not name."""
    if VERSION < (2, 6):
        return
    name = fresh("dynamic_partial")
    schema = client.create_schema(auto_id=False, enable_dynamic_field=True)
    schema.add_field("id", DataType.INT64, is_primary=True)
    schema.add_field("vector", DataType.FLOAT_VECTOR, dim=DIM)
    client.create_collection(
        name, schema=schema, index_params=indexed(), consistency_level="Strong"
    )
    data = vectors(2, DIM)
    client.insert(
        name,
        [{"id": i, "vector": data[i].tolist(), "size": i, "color": "red"} for i in range(2)],
    )
    client.upsert(name, [{"id": 1, "color": "blue"}], partial_update=True)
    client.upsert(name, [{"id": 0, "vector": data[0].tolist()}], partial_update=True)
    answer = client.query(name, filter="size >= 0", output_fields=["size", "color"])
    equal([row["size"] for row in answer], [0, 1], "dynamic_partial: other keys are kept")
    equal([row["color"] for row in answer], ["red", "blue"], "dynamic_partial: the named key is new")
    client.drop_collection(name)


for test in (arrays, nulls, partial, dynamic_partial):
    test()
    print(f"{test.__name__}: good")
