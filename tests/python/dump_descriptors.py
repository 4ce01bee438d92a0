"""Writes the protobuf descriptors of the installed pymilvus as one FileDescriptorSet.

Usage: dump_descriptors.py OUTPUT. A Rust test compares them with the server's own.
"""

import sys

from google.protobuf import descriptor_pb2
from pymilvus.grpc_gen import common_pb2, feder_pb2, milvus_pb2, msg_pb2, rg_pb2, schema_pb2


def add_file(files, seen, file):
    """Adds a file after the files that it imports."""
    if file.name in seen:
        return
    seen.add(file.name)
    for dependency in file.dependencies:
        add_file(files, seen, dependency)
    file.CopyToProto(files.file.add())


def main():
    files = descriptor_pb2.FileDescriptorSet()
    seen = set()
    for module in (common_pb2, schema_pb2, msg_pb2, rg_pb2, feder_pb2, milvus_pb2):
        add_file(files, seen, module.DESCRIPTOR)
    with open(sys.argv[1], "wb") as out:
        out.write(files.SerializeToString())
    print(f"{len(files.file)} files: {', '.join(sorted(seen))}")


main()
