"""Aliases, renaming, and properties of collections, fields, indexes and databases."""

from pymilvus import Collection, DataType, MilvusClient, connections, utility
from support import HOST, PORT, URI, check, equal, raises

client = MilvusClient(uri=URI)
connections.connect("names", host=HOST, port=PORT)


def fresh(name, rows=()):
    """Makes a loaded collection of this name with rows of these keys."""
    if client.has_collection(name):
        client.drop_collection(name)
    schema = client.create_schema(auto_id=False, enable_dynamic_field=True)
    schema.add_field("id", DataType.INT64, is_primary=True)
    schema.add_field("word", DataType.VARCHAR, max_length=8)
    schema.add_field("vector", DataType.FLOAT_VECTOR, dim=4)
    index = client.prepare_index_params()
    index.add_index(field_name="vector", index_type="FLAT", metric_type="L2")
    client.create_collection(
        name, schema=schema, index_params=index, consistency_level="Strong"
    )
    for key in rows:
        client.insert(name, [{"id": key, "word": f"w{key}", "vector": [float(key), 0, 0, 0]}])
    return name


def ids(name):
    """All keys of a collection."""
    rows = client.query(name, filter="id >= 0", output_fields=["id"], limit=100)
    return sorted(row["id"] for row in rows)


def aliases():
    """An alias is created, used in every kind of call, moved, and dropped."""
    blue, green = fresh("blue", [1, 2]), fresh("green", [3])
    client.create_alias(collection_name=blue, alias="live")
    equal(client.describe_alias("live")["collection_name"], blue, "describe_alias")
    equal(list(client.list_aliases(blue)["aliases"]), ["live"], "list_aliases")
    equal(list(client.describe_collection(blue)["aliases"]), ["live"], "aliases")
    check(client.has_collection("live"), "an alias is as good as a name")
    equal(ids("live"), [1, 2], "a query through the alias")
    client.insert("live", [{"id": 5, "word": "w", "vector": [5.0, 0, 0, 0]}])
    client.delete("live", ids=[1])
    hits = client.search("live", data=[[5.0, 0, 0, 0]], limit=2)[0]
    equal([hit["id"] for hit in hits], [5, 2], "a search through the alias")
    client.upsert("live", [{"id": 2, "word": "two", "vector": [2.0, 0, 0, 0]}])
    equal(client.get("live", ids=[2], output_fields=["word"])[0]["word"], "two", "an upsert")
    client.create_partition("live", "p")
    equal(sorted(client.list_partitions(blue)), ["_default", "p"], "partitions")
    equal(client.get_load_state("live")["state"].name, "Loaded", "load state")
    equal(list(client.list_indexes("live")), ["vector"], "indexes")

    client.alter_alias(collection_name=green, alias="live")
    equal(ids("live"), [3], "the alias has moved")
    equal(client.describe_alias("live")["collection_name"], green, "describe_alias")
    equal(list(client.describe_collection(blue)["aliases"]), [], "aliases")
    raises(lambda: client.create_alias(blue, "live"),
           "live is alias to another collection: green", code=1602)
    raises(lambda: client.create_alias(blue, green),
           "alias and collection name conflict[database=default][alias=green]", code=1601)
    raises(lambda: client.create_alias("nothing", "other"), "collection not found", code=100)
    raises(lambda: client.alter_alias(blue, "nothing"),
           "alias not found[database=default][alias=nothing]", code=1600)
    raises(lambda: client.describe_alias("nothing"), "alias not found", code=1600)
    raises(lambda: client.drop_collection("live"), "cannot drop the collection via alias = live")
    raises(lambda: client.drop_collection(green), "because it has associated aliases [live]")
    raises(lambda: fresh_alias_name("live"), "conflicts with an existing alias")
    client.drop_alias("live")
    client.drop_alias("live")
    raises(lambda: client.describe_alias("live"), "alias not found", code=1600)
    check(not client.has_collection("live"), "the alias is gone")
    client.drop_collection(green)
    client.drop_collection(blue)


def fresh_alias_name(name):
    """Asks for a collection under a name that is an alias."""
    schema = client.create_schema()
    schema.add_field("id", DataType.INT64, is_primary=True)
    schema.add_field("vector", DataType.FLOAT_VECTOR, dim=4)
    client.create_collection(name, schema=schema)


def orm_aliases():
    """The same through the ORM."""
    name = fresh("orm_blue", [1])
    utility.create_alias(name, "orm_live", using="names")
    equal(utility.list_aliases(name, using="names"), ["orm_live"], "list_aliases")
    live = Collection("orm_live", using="names")
    equal(list(live.aliases), ["orm_live"], "aliases of the collection")
    rows = live.query("id >= 0", output_fields=["id"], consistency_level="Strong")
    equal([row["id"] for row in rows], [1], "a query")
    other = fresh("orm_green", [2])
    utility.alter_alias(other, "orm_live", using="names")
    equal(utility.list_aliases(other, using="names"), ["orm_live"], "the alias has moved")
    utility.drop_alias("orm_live", using="names")
    equal(utility.list_aliases(other, using="names"), [], "the alias is gone")
    utility.rename_collection(other, "orm_teal", using="names")
    check(utility.has_collection("orm_teal", using="names"), "the new name")
    check(not utility.has_collection(other, using="names"), "the old name is gone")
    for gone in (name, "orm_teal"):
        utility.drop_collection(gone, using="names")


def renaming():
    """A collection keeps its rows under another name and in another database."""
    name = fresh("before", [1, 2, 3])
    client.rename_collection(name, "after")
    check(not client.has_collection(name), "the old name is gone")
    equal(ids("after"), [1, 2, 3], "rows")
    taken = fresh("taken")
    raises(lambda: client.rename_collection("after", taken),
           "duplicated new collection name default:taken with other collection name or alias")
    raises(lambda: client.rename_collection("nothing", "new"), "collection not found", code=100)
    client.create_alias("after", "also")
    raises(lambda: client.rename_collection("also", "new"),
           "unsupported use an alias to rename collection, alias:also")
    raises(lambda: client.rename_collection(taken, "also"),
           "cannot rename collection to an existing alias: also")
    equal(ids("also"), [1, 2, 3], "nothing happened")
    client.drop_alias("also")
    client.drop_collection(taken)

    client.create_database("shelf")
    client.rename_collection("after", "moved", "shelf")
    check(not client.has_collection("after"), "it has left its database")
    other = MilvusClient(uri=URI, db_name="shelf")
    equal(other.list_collections(), ["moved"], "it is in the other one")
    rows = other.query("moved", filter="id >= 0", output_fields=["id"], limit=9,
                       consistency_level="Strong")
    equal(sorted(row["id"] for row in rows), [1, 2, 3], "rows")
    other.drop_collection("moved")
    other.close()
    client.drop_database("shelf")


def properties():
    """Properties are altered, described and taken away."""
    name = fresh("altered", [1])
    client.alter_collection_properties(name, properties={"mine": "yours"})
    equal(dict(client.describe_collection(name)["properties"])["mine"], "yours", "a property")
    raises(lambda: client.alter_collection_properties(name, properties={"mmap.enabled": True}),
           "can not alter mmap properties if collection loaded", code=104)
    client.release_collection(name)
    client.alter_collection_properties(name, properties={"mmap.enabled": True})
    client.drop_collection_properties(name, property_keys=["mine"])
    left = dict(client.describe_collection(name)["properties"])
    check("mine" not in left and left["mmap.enabled"] == "True", "properties", left)

    client.alter_index_properties(name, "vector", properties={"mmap.enabled": True})
    index = client.describe_index(name, "vector")
    equal(str(index["mmap.enabled"]).lower(), "true", "a property of an index")
    client.drop_index_properties(name, "vector", property_keys=["mmap.enabled"])
    check("mmap.enabled" not in client.describe_index(name, "vector"), "it is gone")

    client.alter_collection_field(name, field_name="word", field_params={"max_length": 16})
    fields = {field["name"]: field for field in client.describe_collection(name)["fields"]}
    equal(int(fields["word"]["params"]["max_length"]), 16, "max_length")
    raises(lambda: client.alter_collection_field(name, "vector", {"max_length": 16}),
           "can not modify the maxlength for non-string types", code=1100)
    client.load_collection(name)
    client.insert(name, [{"id": 2, "word": "x" * 16, "vector": [0.0] * 4}])
    equal(ids(name), [1, 2], "a text that is allowed now")
    client.drop_collection(name)

    client.create_database("small", properties={"database.max.collections": 1})
    described = client.describe_database("small")
    equal(described["database.max.collections"], "1", "a property of a database")
    client.alter_database_properties("small", {"mine": "yours"})
    client.drop_database_properties("small", ["database.max.collections"])
    described = client.describe_database("small")
    equal(described["mine"], "yours", "a property of a database")
    check("database.max.collections" not in described, "it is gone")
    client.drop_database("small")


scenarios = [aliases, orm_aliases, renaming, properties]
for scenario in scenarios:
    scenario()
    print(f"{scenario.__name__}: ok", flush=True)
client.close()
