"""Every vector type and metric: inserted, searched exactly, returned as it was sent."""

import ml_dtypes
import numpy as np
import pymilvus
from pymilvus import DataType, MilvusClient
from support import URI, check, equal, raises, vectors

DIM, ROWS = 32, 300
client = MilvusClient(uri=URI)
OLD = pymilvus.__version__.startswith("2.4.")


def make(name, data_type, metric, index, **params):
    """A loaded collection with one vector field."""
    if client.has_collection(name):
        client.drop_collection(name)
    schema = client.create_schema(auto_id=False)
    schema.add_field("id", DataType.INT64, is_primary=True)
    schema.add_field("n", DataType.INT64)
    schema.add_field("v", data_type, **params)
    indexes = client.prepare_index_params()
    indexes.add_index(field_name="v", index_type=index, metric_type=metric)
    client.create_collection(
        name, schema=schema, index_params=indexes, consistency_level="Strong"
    )


def fill(name, values):
    """Inserts rows whose key is their number."""
    rows = [{"id": i, "n": i % 7, "v": value} for i, value in enumerate(values)]
    equal(client.insert(name, rows)["insert_count"], len(rows), f"{name}: insert_count")


def float_scores(metric, data, query):
    """Scores in double precision, larger is better."""
    data, query = data.astype(np.float64), query.astype(np.float64)
    if metric == "L2":
        return -((data - query) ** 2).sum(axis=1)
    inner = data @ query
    if metric == "IP":
        return inner
    norms = np.linalg.norm(data, axis=1) * np.linalg.norm(query)
    return np.divide(inner, norms, out=np.zeros_like(inner), where=norms > 0)


def expect(name, hits, want, metric, tolerance):
    """Compares hits with exact scores; keys may swap only where scores are nearly equal."""
    order = np.argsort(-want, kind="stable")[: len(hits)]
    for hit, row in zip(hits, order):
        score = -hit["distance"] if metric in ("L2", "HAMMING", "JACCARD") else hit["distance"]
        check(
            abs(score - want[row]) <= tolerance * (1 + abs(want[row])),
            f"{name}: score {score} of {hit['id']}, want {want[row]} of {row}",
        )
        check(
            abs(want[hit["id"]] - want[row]) <= tolerance * (1 + abs(want[row])),
            f"{name}: {hit['id']} is not as near as {row}",
        )


def dense(kind, data_type, encode, decode, tolerance):
    """A dense float-like type under its three metrics."""
    data = vectors(ROWS, DIM, seed=5)
    sent = encode(data)
    values = decode(sent)
    for metric in ("L2", "IP", "COSINE"):
        name = f"{kind}_{metric.lower()}"
        make(name, data_type, metric, "FLAT", dim=DIM)
        fill(name, list(sent))
        hits = client.search(name, data=[sent[17], sent[99]], limit=10, output_fields=["v"])
        for row, found in zip((17, 99), hits):
            equal(len(found), 10, f"{name}: number of hits")
            expect(name, found, float_scores(metric, values, values[row]), metric, tolerance)
        filtered = client.search(name, data=[sent[17]], limit=10, filter="n == 3")[0]
        check(all(hit["id"] % 7 == 3 for hit in filtered), f"{name}: filter")
        back = client.query(name, filter="id == 99", output_fields=["v"])[0]["v"]
        raw = back[0] if isinstance(back, list) and isinstance(back[0], bytes) else back
        raw = raw if isinstance(raw, bytes) else np.asarray(raw).tobytes()
        equal(raw, np.asarray(sent[99]).tobytes(), f"{name}: the vector comes back as sent")
        client.drop_collection(name)


def half():
    """Float16."""
    dense(
        "half",
        DataType.FLOAT16_VECTOR,
        lambda data: data.astype(np.float16),
        lambda sent: sent.astype(np.float32),
        2e-3,
    )


def brain():
    """BFloat16."""
    dense(
        "brain",
        DataType.BFLOAT16_VECTOR,
        lambda data: data.astype(ml_dtypes.bfloat16),
        lambda sent: sent.astype(np.float32),
        2e-2,
    )


def int8():
    """Int8."""
    if OLD:
        return
    numbers = np.random.default_rng(3).integers(-128, 128, size=(ROWS, DIM)).astype(np.int8)
    for metric in ("L2", "IP", "COSINE"):
        name = f"int8_{metric.lower()}"
        make(name, DataType.INT8_VECTOR, metric, "HNSW", dim=DIM)
        fill(name, list(numbers))
        found = client.search(name, data=[numbers[17]], limit=10)[0]
        expect(name, found, float_scores(metric, numbers, numbers[17]), metric, 1e-5)
        back = client.query(name, filter="id == 99", output_fields=["v"])[0]["v"]
        raw = back[0] if isinstance(back, list) and isinstance(back[0], bytes) else back
        raw = raw if isinstance(raw, bytes) else np.asarray(raw, dtype=np.int8).tobytes()
        equal(raw, numbers[99].tobytes(), f"{name}: the vector comes back as sent")
        client.drop_collection(name)


def binary():
    """Bits under their metrics."""
    bits = np.random.default_rng(9).integers(0, 2, size=(ROWS, DIM)).astype(np.uint8)
    packed = [np.packbits(row).tobytes() for row in bits]
    queries = [17, 99]
    for metric in ("HAMMING", "JACCARD"):
        name = f"binary_{metric.lower()}"
        make(name, DataType.BINARY_VECTOR, metric, "BIN_FLAT", dim=DIM)
        fill(name, packed)
        hits = client.search(name, data=[packed[q] for q in queries], limit=10)
        for query, found in zip(queries, hits):
            both = (bits & bits[query]).sum(axis=1)
            either = (bits | bits[query]).sum(axis=1)
            different = (bits ^ bits[query]).sum(axis=1)
            distance = different if metric == "HAMMING" else 1 - both / np.maximum(either, 1)
            expect(name, found, -distance.astype(np.float64), metric, 1e-6)
        back = client.query(name, filter="id == 99", output_fields=["v"])[0]["v"]
        equal(b"".join(back), packed[99], f"{name}: the vector comes back as sent")
        client.drop_collection(name)


def sparse():
    """Sparse vectors under IP."""
    generator = np.random.default_rng(11)
    rows = []
    for _ in range(ROWS):
        places = generator.choice(1000, size=8, replace=False)
        rows.append({int(place): float(np.float32(generator.random())) for place in places})
    name = "sparse_ip"
    make(name, DataType.SPARSE_FLOAT_VECTOR, "IP", "SPARSE_INVERTED_INDEX")
    fill(name, rows)
    for query in (17, 99):
        found = client.search(name, data=[rows[query]], limit=5, output_fields=["v"])[0]
        inner = [sum(w * other.get(p, 0.0) for p, w in rows[query].items()) for other in rows]
        check(len(found) >= 1, "sparse: the row itself is found")
        equal(found[0]["id"], query, "sparse: the row itself is the nearest")
        for hit in found:
            check(abs(hit["distance"] - inner[hit["id"]]) < 1e-4, "sparse: score")
        back = found[0]["entity"]["v"]
        equal({int(k): v for k, v in back.items()}, rows[query], "sparse: as sent")
    raises(
        lambda: client.search(name, data=[rows[0]], limit=3, search_params={"metric_type": "L2"}),
        "metric type not match",
    )
    client.drop_collection(name)


def several():
    """Several vector fields in one collection, each searched by its own name."""
    name = "several"
    if client.has_collection(name):
        client.drop_collection(name)
    schema = client.create_schema(auto_id=False)
    schema.add_field("id", DataType.VARCHAR, is_primary=True, max_length=20)
    schema.add_field("dense", DataType.FLOAT_VECTOR, dim=DIM)
    schema.add_field("bits", DataType.BINARY_VECTOR, dim=64)
    schema.add_field("sparse", DataType.SPARSE_FLOAT_VECTOR)
    indexes = client.prepare_index_params()
    indexes.add_index(field_name="dense", index_type="AUTOINDEX", metric_type="COSINE")
    indexes.add_index(field_name="bits", index_type="BIN_IVF_FLAT", metric_type="HAMMING",
                      params={"nlist": 16})
    indexes.add_index(field_name="sparse", index_type="SPARSE_WAND", metric_type="IP",
                      params={"drop_ratio_build": 0.0})
    client.create_collection(
        name, schema=schema, index_params=indexes, consistency_level="Strong"
    )
    data = vectors(50, DIM)
    rows = [
        {
            "id": f"k{i}",
            "dense": data[i].tolist(),
            "bits": (i * 0x0101010101010101).to_bytes(8, "little"),
            "sparse": {i: 1.0, i + 1: 0.5},
        }
        for i in range(50)
    ]
    client.insert(name, rows)
    for field, query in (("dense", rows[7]["dense"]), ("bits", rows[7]["bits"]),
                         ("sparse", {7: 1.0, 8: 0.25})):
        found = client.search(name, data=[query], anns_field=field, limit=3)[0]
        equal(found[0]["id"], "k7", f"several: nearest by {field}")
    raises(lambda: client.search(name, data=[rows[7]["dense"]], limit=3), "multiple anns_fields")
    row = client.query(name, filter='id == "k7"', output_fields=["*"])[0]
    equal(sorted(row), ["bits", "dense", "id", "sparse"], "several: all fields are returned")
    client.drop_collection(name)


for test in (half, brain, int8, binary, sparse, several):
    test()
    print(f"{test.__name__}: good")
