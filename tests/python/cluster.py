"""Segments, replicas, resource groups, quotas, and requests that are repeated."""

from pymilvus import Collection, DataType, MilvusClient, connections, utility
from support import HOST, PORT, URI, check, equal, raises

DEFAULT = "__default_resource_group"
client = MilvusClient(uri=URI)
connections.connect("cluster", host=HOST, port=PORT)


def fresh(name, rows):
    """Makes a loaded collection with so many rows, which are flushed."""
    if client.has_collection(name):
        client.drop_collection(name)
    schema = client.create_schema(auto_id=False)
    schema.add_field("id", DataType.INT64, is_primary=True)
    schema.add_field("vector", DataType.FLOAT_VECTOR, dim=4)
    index = client.prepare_index_params()
    index.add_index(field_name="vector", index_type="HNSW", metric_type="L2",
                    params={"M": 8, "efConstruction": 32})
    client.create_collection(name, schema=schema, index_params=index, consistency_level="Strong")
    client.insert(name, [{"id": key, "vector": [float(key), 0, 0, 0]} for key in range(rows)])
    Collection(name, using="cluster").flush()
    return name


def segments():
    """What is flushed is listed, and what is loaded."""
    name = fresh("segments", 300)
    listed = utility.get_query_segment_info(name, using="cluster")
    equal(sum(info.num_rows for info in listed), 300, "rows of loaded segments")
    check(all(list(info.nodeIds) == [1] for info in listed), "the one node has them")
    if hasattr(client, "list_persistent_segments"):
        stored = client.list_persistent_segments(name)
        equal(sum(info.num_rows for info in stored), 300, "rows of stored segments")
        check(all(info.state_name == "Flushed" for info in stored), "they are flushed")
        check(all(info.is_sorted for info in stored), "nothing is to be waited for")
        check(all(info.level_name == "L1" for info in stored), "their level")
        loaded = client.list_loaded_segments(name)
        equal({info.segment_id for info in loaded}, {info.segment_id for info in stored}, "ids")
        check(all(info.index_name == "vector" and info.mem_size > 0 for info in loaded), "index")


def replicas():
    """A loaded collection has one replica."""
    name = fresh("replicas", 10)
    groups = Collection(name, using="cluster").get_replicas().groups
    equal(len(groups), 1, "replicas")
    equal((groups[0].resource_group, tuple(groups[0].group_nodes)), (DEFAULT, (1,)), "its place")
    equal([shard.shard_leader for shard in groups[0].shards], [1], "shards")
    if hasattr(client, "describe_replica"):
        replica = client.describe_replica(name)[0]
        equal((replica.resource_group, list(replica.group_nodes)), (DEFAULT, [1]), "its place")
    client.release_collection(name)
    raises(lambda: Collection(name, using="cluster").get_replicas(), "replica not found", code=400)


def resource_groups():
    """Groups come, take the node, give it back, and go."""
    name = fresh("grouped", 10)
    equal(utility.list_resource_groups(using="cluster"), [DEFAULT], "groups")
    utility.create_resource_group("rg", using="cluster")
    utility.transfer_node(DEFAULT, "rg", 1, using="cluster")
    group = utility.describe_resource_group("rg", using="cluster")
    equal((group.name, group.capacity, group.num_available_node), ("rg", 1, 1), "a group")
    utility.transfer_replica(DEFAULT, "rg", name, 1, using="cluster")
    group = utility.describe_resource_group("rg", using="cluster")
    equal(dict(group.num_loaded_replica), {name: 1}, "replicas")
    raises(lambda: utility.drop_resource_group("rg", using="cluster"), "", code=1100)
    utility.transfer_node("rg", DEFAULT, 1, using="cluster")
    utility.transfer_replica("rg", DEFAULT, name, 1, using="cluster")
    utility.drop_resource_group("rg", using="cluster")
    raises(lambda: utility.describe_resource_group("rg", using="cluster"),
           "resource group not found[rg=rg]", code=300)
    raises(lambda: utility.create_resource_group("r-g", using="cluster"),
           "can only contain numbers, letters", code=1100)
    if hasattr(client, "create_resource_group"):
        from pymilvus.client.types import ResourceGroupConfig

        config = ResourceGroupConfig(requests={"node_num": 0}, limits={"node_num": 1})
        client.create_resource_group("rg", config=config)
        equal(client.list_resource_groups(), [DEFAULT, "rg"], "groups")
        told = client.describe_resource_group("rg").config
        equal((told.requests.node_num, told.limits.node_num), (0, 1), "a config")
        config = ResourceGroupConfig(requests={"node_num": 0}, limits={"node_num": 0})
        client.update_resource_groups({"rg": config})
        client.drop_resource_group("rg")


def quotas():
    """Properties of a collection limit it; a limited request is tried again until it succeeds."""
    name = fresh("limited", 10)
    collection = Collection(name, using="cluster")
    collection.set_properties({"collection.queryRate.max.qps": 20})
    for _ in range(30):
        client.query(name, filter="id == 1", output_fields=["id"])
    collection.set_properties({"collection.queryRate.max.qps": -1})


segments()
replicas()
resource_groups()
quotas()
