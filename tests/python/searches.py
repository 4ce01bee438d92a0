"""Every kind of search: range, groups, several at once, page after page, by text."""

import numpy as np
import pymilvus
from pymilvus import AnnSearchRequest, DataType, MilvusClient, RRFRanker, WeightedRanker
from support import URI, check, equal, nearest, raises, scores, vectors

DIM, ROWS = 16, 400
VERSION = tuple(int(part) for part in pymilvus.__version__.split(".")[:2])
client = MilvusClient(uri=URI)
data = vectors(ROWS, DIM, seed=23)
other = vectors(ROWS, DIM, seed=24)
NAME = "searches"


def setup():
    """One collection with two vector fields and fields to group by."""
    if client.has_collection(NAME):
        client.drop_collection(NAME)
    schema = client.create_schema(auto_id=False)
    schema.add_field("id", DataType.INT64, is_primary=True)
    schema.add_field("kind", DataType.VARCHAR, max_length=10)
    schema.add_field("part", DataType.INT32)
    schema.add_field("a", DataType.FLOAT_VECTOR, dim=DIM)
    schema.add_field("b", DataType.FLOAT_VECTOR, dim=DIM)
    index = client.prepare_index_params()
    index.add_index(field_name="a", index_type="FLAT", metric_type="L2")
    index.add_index(field_name="b", index_type="FLAT", metric_type="COSINE")
    client.create_collection(
        NAME, schema=schema, index_params=index, consistency_level="Strong"
    )
    client.insert(
        NAME,
        [
            {"id": i, "kind": f"k{i % 9}", "part": i % 4, "a": data[i].tolist(),
             "b": other[i].tolist()}
            for i in range(ROWS)
        ],
    )


def ranges():
    """Range searches keep what lies between their bounds."""
    exact = scores("L2", data, data[5])
    ordered = np.sort(exact)
    radius, inner = float(ordered[40]), float(ordered[10])
    hits = client.search(
        NAME, data=[data[5].tolist()], anns_field="a", limit=100,
        search_params={"metric_type": "L2", "params": {"radius": radius, "range_filter": inner}},
    )[0]
    want = [int(i) for i in np.argsort(exact, kind="stable") if inner <= exact[i] < radius]
    check(abs(len(hits) - len(want)) <= 2, f"ranges: {len(hits)} hits, want {len(want)}")
    check(all(inner * 0.9999 <= h["distance"] < radius * 1.0001 for h in hits), "ranges: bounds")
    cosine = scores("COSINE", other, other[5])
    hits = client.search(
        NAME, data=[other[5].tolist()], anns_field="b", limit=ROWS,
        search_params={"metric_type": "COSINE", "params": {"radius": 0.3, "range_filter": 0.9}},
    )[0]
    equal(
        {h["id"] for h in hits},
        {i for i in range(ROWS) if 0.3 < cosine[i] <= 0.9},
        "ranges: rows between two similarities",
    )
    raises(
        lambda: client.search(
            NAME, data=[data[5].tolist()], anns_field="a", limit=5,
            search_params={"metric_type": "L2", "params": {"radius": 1.0, "range_filter": 2.0}},
        ),
        "range_filter",
    )


def groups():
    """Groups give the best hit of each value, or several."""
    query = data[8]
    order = nearest("L2", data, query, list(range(ROWS)), ROWS)
    best = {}
    for row in order:
        best.setdefault(f"k{row % 9}", row)
    hits = client.search(
        NAME, data=[query.tolist()], anns_field="a", limit=5, group_by_field="kind",
        output_fields=["kind"],
    )[0]
    equal([h["id"] for h in hits], list(best.values())[:5], "groups: the best of each")
    equal(len({h["entity"]["kind"] for h in hits}), 5, "groups: five kinds")
    if VERSION >= (2, 5):
        hits = client.search(
            NAME, data=[query.tolist()], anns_field="a", limit=3, group_by_field="part",
            group_size=4, strict_group_size=True, output_fields=["part"],
        )[0]
        counts = {}
        for hit in hits:
            counts[hit["entity"]["part"]] = counts.get(hit["entity"]["part"], 0) + 1
        equal(sorted(counts.values()), [4, 4, 4], "groups: four hits of each of three")


def hybrid():
    """Two searches at once, ranked together."""
    requests = [
        AnnSearchRequest([data[8].tolist()], "a", {"metric_type": "L2"}, limit=30),
        AnnSearchRequest([other[8].tolist()], "b", {"metric_type": "COSINE"}, limit=30),
    ]
    first = nearest("L2", data, data[8], list(range(ROWS)), 30)
    second = nearest("COSINE", other, other[8], list(range(ROWS)), 30)
    ranked = {}
    for ids in (first, second):
        for rank, row in enumerate(ids):
            ranked[row] = ranked.get(row, 0.0) + 1 / (60 + rank + 1)
    want = sorted(ranked, key=lambda row: (-ranked[row], row))[:10]
    hits = client.hybrid_search(NAME, requests, RRFRanker(), limit=10, output_fields=["kind"])[0]
    equal([h["id"] for h in hits], want, "hybrid: RRF")
    check(abs(hits[0]["distance"] - ranked[want[0]]) < 1e-6, "hybrid: score of RRF")
    equal(hits[0]["entity"]["kind"], f"k{want[0] % 9}", "hybrid: output fields")
    hits = client.hybrid_search(NAME, requests, WeightedRanker(0.7, 0.3), limit=10)[0]
    equal(hits[0]["id"], 8, "hybrid: weighted")
    distances = [h["distance"] for h in hits]
    equal(distances, sorted(distances, reverse=True), "hybrid: weighted, best first")


def pages():
    """An iterator over a search gives every row once, nearest first."""
    if VERSION < (2, 5):
        return
    iterator = client.search_iterator(
        NAME, data=[data[3].tolist()], anns_field="a", batch_size=37, limit=200,
        search_params={"metric_type": "L2"},
    )
    seen = []
    while True:
        page = iterator.next()
        if not page:
            iterator.close()
            break
        seen.extend(hit["id"] for hit in page)
        # Rows that come meanwhile are not on any later page.
        client.upsert(NAME, [{"id": 10_000 + len(seen), "kind": "new", "part": 0,
                              "a": data[3].tolist(), "b": other[3].tolist()}])
    equal(seen, nearest("L2", data, data[3], list(range(ROWS)), 200), "pages: all in order")
    client.delete(NAME, filter="id >= 10000")


def by_text():
    """Full text: BM25 over an analyzed field, match filters."""
    if VERSION < (2, 5):
        return
    from pymilvus import Function, FunctionType

    name = "by_text"
    if client.has_collection(name):
        client.drop_collection(name)
    schema = client.create_schema(auto_id=False)
    schema.add_field("id", DataType.INT64, is_primary=True)
    schema.add_field(
        "text", DataType.VARCHAR, max_length=1000, enable_analyzer=True, enable_match=True,
        analyzer_params={"type": "english"},
    )
    schema.add_field("sparse", DataType.SPARSE_FLOAT_VECTOR)
    schema.add_function(
        Function(
            name="bm25", function_type=FunctionType.BM25, input_field_names=["text"],
            output_field_names=["sparse"],
        )
    )
    index = client.prepare_index_params()
    index.add_index(field_name="sparse", index_type="SPARSE_INVERTED_INDEX", metric_type="BM25",
                    params={"bm25_k1": 1.2, "bm25_b": 0.75})
    client.create_collection(
        name, schema=schema, index_params=index, consistency_level="Strong"
    )
    texts = [
        "A dataflow of streams keeps running totals exact.",
        "Streams of rows flow into sealed segments.",
        "The cat sleeps on a warm keyboard.",
        "Cats and dogs; dogs and more dogs.",
        "Vector search finds the nearest neighbours of a query vector.",
        "A mill by the stream grinds corn.",
    ]
    client.insert(name, [{"id": i, "text": text} for i, text in enumerate(texts)])
    hits = client.search(name, data=["stream"], anns_field="sparse", limit=10)[0]
    equal(sorted(h["id"] for h in hits), [0, 1, 5], "by_text: stemmed terms match")
    hits = client.search(
        name, data=["cats and dogs"], anns_field="sparse", limit=10, output_fields=["text"]
    )[0]
    equal([h["id"] for h in hits], [3, 2], "by_text: ranked by BM25")
    equal(hits[0]["entity"]["text"], texts[3], "by_text: output field")
    client.delete(name, ids=[3])
    hits = client.search(name, data=["dog"], anns_field="sparse", limit=10)[0]
    equal([h["id"] for h in hits], [], "by_text: deleted rows are not found")
    rows = client.query(name, filter="text_match(text, 'vectors corn')", output_fields=["id"])
    equal([row["id"] for row in rows], [4, 5], "by_text: text_match")
    if VERSION >= (2, 6):
        rows = client.query(
            name, filter="phrase_match(text, 'running totals')", output_fields=["id"]
        )
        equal([row["id"] for row in rows], [0], "by_text: phrase_match")
    client.drop_collection(name)


setup()
for test in (ranges, groups, hybrid, pages, by_text):
    test()
    print(f"{test.__name__}: good")
client.drop_collection(NAME)
