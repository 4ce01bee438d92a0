"""Users, roles and privileges, as an administrator and his users live with them."""

from pymilvus import MilvusClient
from support import URI, check, equal, raises, vectors

DIM = 4
SHOP = "shop"


def connect(user=None, password=None, token=None, db_name=""):
    """A connection of somebody."""
    if token is not None:
        return MilvusClient(uri=URI, token=token, db_name=db_name)
    return MilvusClient(uri=URI, user=user, password=password, db_name=db_name)


def refused(*texts, **credentials):
    """Credentials that nobody has."""
    try:
        client = connect(**credentials)
        client.list_collections()
    except Exception as error:  # newer versions say less of why there is no connection
        texts = (*texts, "illegal connection params or server unavailable")
        check(any(text in str(error) for text in texts), f"unexpected text: {error}")
        return
    raise AssertionError(f"{credentials} was let in")


def denied(call, privilege, user, database="default"):
    """A call without the privilege that it needs."""
    text = f"Privilege{privilege}: permission deny to {user} in the `{database}` database"
    try:
        call()
    except Exception as error:  # gRPC's own in some versions, pymilvus's in others
        check(text in str(error), f"unexpected text: {error}")
        return
    raise AssertionError(f"no error; wanted {text}")


def make(client, name):
    """A loaded collection with ten rows."""
    client.create_collection(name, dimension=DIM, metric_type="L2", consistency_level="Strong")
    rows = [{"id": i, "vector": v.tolist()} for i, v in enumerate(vectors(10, DIM))]
    client.insert(name, rows)


wrong = "auth check failure, please check username and password are correct"
refused(wrong, user="root", password="milvus")
refused(wrong, token="root:wrong")
refused("please check api key is correct", token="some-api-key")
refused("missing authorization in header", user="", password="")

root = connect(token="root:Milvus")
equal(connect(user="root", password="Milvus").list_users(), ["root"], "users")
equal(sorted(root.list_roles()), ["admin", "public"], "roles")
for name in ("items", "orders"):
    make(root, name)

# Users.
root.create_user("ann", "secret-ann")
root.create_user("bob", "secret-bob")
raises(lambda: root.create_user("ann", "secret-ann"), "user already exists: ann", code=65535)
raises(lambda: root.create_user("eve", "12345"), "5 out of range 6 <= value <= 256", code=1100)
raises(lambda: root.drop_user("root"), "root user cannot be deleted", code=1401)
raises(
    lambda: root.update_password("ann", "wrong-one", "secret-2"),
    "old password not correct for ann: not authenticated",
    code=1400,
)
equal(root.list_users(), ["ann", "bob", "root"], "users")
ann = connect(user="ann", password="secret-ann")
bob = connect(token="bob:secret-bob")
equal(ann.list_collections(), [], "what ann sees")
denied(lambda: ann.query("items", filter="id >= 0", limit=1), "Query", "ann")
denied(lambda: ann.create_user("eve", "secret-eve"), "CreateOwnership", "ann")
denied(lambda: ann.describe_user("bob"), "SelectUser", "ann")
equal(ann.describe_user("ann")["user_name"], "ann", "ann by ann")

# Roles, in the older form.
root.create_role("reader")
raises(lambda: root.create_role("reader"), "already exists")
raises(lambda: root.drop_role("admin"), "the role[admin] is a default role", code=1401)
raises(lambda: root.drop_role("none"), "not found the role, maybe the role isn't existed")
raises(lambda: root.grant_role("none", "reader"), "not found the user, maybe the user")
root.grant_role("ann", "reader")
check("reader" in root.describe_user("ann")["roles"], "ann is a reader")
for privilege in ("Search", "Query", "Load", "GetStatistics"):
    root.grant_privilege("reader", "Collection", privilege, "items")
raises(
    lambda: root.grant_privilege("reader", "Collection", "Fly", "items"),
    "not found the privilege name[Fly]",
)
raises(
    lambda: root.grant_privilege("reader", "Table", "Search", "items"),
    "not found the object type[name: Table], supported the object types: [Global User Collection]",
)
equal(len(ann.query("items", filter="id >= 0", limit=20)), 10, "what ann reads")
found = ann.search("items", data=[vectors(1, DIM)[0].tolist()], limit=3)
equal(len(found[0]), 3, "what ann finds")
denied(lambda: ann.query("orders", filter="id >= 0", limit=1), "Query", "ann")
denied(lambda: ann.insert("items", {"id": 99, "vector": [0.0] * DIM}), "Insert", "ann")
denied(lambda: ann.drop_collection("items"), "DropCollection", "ann")
equal(ann.list_collections(), ["items"], "what ann sees")
granted = root.describe_role("reader")["privileges"]
equal({p["privilege"] for p in granted}, {"Search", "Query", "Load", "GetStatistics"}, "grants")
check(all(p["object_name"] == "items" and p["db_name"] == "default" for p in granted), granted)

# Revocations are in force at once.
root.revoke_privilege("reader", "Collection", "Query", "items")
denied(lambda: ann.query("items", filter="id >= 0", limit=1), "Query", "ann")
root.revoke_role("ann", "reader")
denied(lambda: ann.search("items", data=[[0.0] * DIM], limit=1), "Search", "ann")
raises(lambda: root.drop_role("reader"), "fail to drop the role that it has privileges")
for privilege in ("Search", "Load", "GetStatistics"):
    root.revoke_privilege("reader", "Collection", privilege, "items")
root.drop_role("reader")

# Another database, in the newer form, with groups.
root.create_database(SHOP)
keeper = connect(token="root:Milvus", db_name=SHOP)
make(keeper, "items")
root.create_role("writer")
root.grant_role("bob", "writer")
root.grant_privilege_v2("writer", "CollectionReadWrite", "items", db_name=SHOP)
shop = connect(token="bob:secret-bob", db_name=SHOP)
shop.insert("items", {"id": 99, "vector": [0.0] * DIM})
equal(len(shop.query("items", filter="id >= 0", limit=20)), 11, "what bob reads")
denied(lambda: bob.query("items", filter="id >= 0", limit=1), "Query", "bob")
denied(lambda: shop.drop_collection("items"), "DropCollection", "bob", SHOP)
raises(
    lambda: root.grant_privilege_v2("writer", "ClusterAdmin", "*", db_name=SHOP),
    "dbName and collectionName should be * for the cluster level privilege",
)
root.create_privilege_group("shoppers")
root.add_privileges_to_group("shoppers", ["Query", "Search"])
raises(
    lambda: root.add_privileges_to_group("shoppers", ["CreateDatabase"]),
    "privileges are not the same privilege level",
)
groups = {g["privilege_group"]: set(g["privileges"]) for g in root.list_privilege_groups()}
equal(groups["shoppers"], {"Query", "Search"}, "a group")
check({"ClusterAdmin", "DatabaseReadOnly", "CollectionReadWrite"} < set(groups), groups.keys())
root.grant_privilege_v2("writer", "shoppers", "*", db_name="default")
equal(len(bob.query("orders", filter="id >= 0", limit=20)), 10, "what bob reads by a group")
root.remove_privileges_from_group("shoppers", ["Query"])
denied(lambda: bob.query("orders", filter="id >= 0", limit=1), "Query", "bob")
root.revoke_privilege_v2("writer", "shoppers", "*", db_name="default")
root.drop_privilege_group("shoppers")
root.revoke_privilege_v2("writer", "CollectionReadWrite", "items", db_name=SHOP)
denied(lambda: shop.query("items", filter="id >= 0", limit=1), "Query", "bob", SHOP)

# Administrators.
root.grant_role("ann", "admin")
ann.create_user("eve", "secret-eve")
equal(sorted(ann.list_collections()), ["items", "orders"], "what ann sees as administrator")
root.revoke_role("ann", "admin")
denied(lambda: ann.drop_user("eve"), "DropOwnership", "ann")

# Passwords: everybody may change his own.
bob.update_password("bob", "secret-bob", "secret-new")
refused(wrong, user="bob", password="secret-bob")
equal(connect(user="bob", password="secret-new").list_collections(), [], "bob is let in")

for user in ("ann", "bob", "eve"):
    root.drop_user(user)
refused(wrong, user="ann", password="secret-ann")
root.drop_role("writer")
keeper.drop_collection("items")
root.drop_database(SHOP)
for name in ("items", "orders"):
    root.drop_collection(name)
equal((root.list_users(), sorted(root.list_roles())), (["root"], ["admin", "public"]), "the end")
print("access: ok")
