"""A client over TLS, with or without a certificate of its own.

Usage: tls.py one-way|mutual FOLDER HOST:PORT, the folder with ca.pem, client.pem and client.key.
"""

import sys

from pymilvus import MilvusClient

mode, folder, address = sys.argv[1:]
if mode == "mutual":
    certificates = {
        "ca_pem_path": f"{folder}/ca.pem",
        "client_pem_path": f"{folder}/client.pem",
        "client_key_path": f"{folder}/client.key",
    }
else:
    certificates = {"server_pem_path": f"{folder}/ca.pem"}
client = MilvusClient(
    uri=f"https://{address}",
    token="root:Milvus",
    secure=True,
    server_name="localhost",
    **certificates,
)
if client.has_collection("tls"):
    client.drop_collection("tls")
client.create_collection("tls", dimension=2, metric_type="L2", consistency_level="Strong")
client.insert("tls", [{"id": i, "vector": [i, 0]} for i in range(1000)])
found = client.search("tls", data=[[7, 0]], limit=1)
if found[0][0]["id"] != 7:
    raise AssertionError(f"found {found}")
print(f"tls {mode}: ok")
