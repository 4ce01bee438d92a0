"""Prints what hnswlib needs: CPU seconds of its build, then `ef CPU-microseconds recall` lines.

    hnswlib_figures.py FILE DIM

FILE has little-endian float32 vectors, row-major; the last 1,000 are the queries. Needs hnswlib and
numpy. M is 16, efConstruction 200, the metric cosine; CPU time is that of calls with many queries, so
that Python's own costs do not count.
"""

import sys
import time

import hnswlib
import numpy as np

K = 10


def main():
    file, dim = sys.argv[1], int(sys.argv[2])
    data = np.fromfile(file, dtype="<f4").reshape(-1, dim)
    data /= np.maximum(np.linalg.norm(data, axis=1, keepdims=True), 1e-30)
    vectors, queries = data[:-1000], data[-1000:]
    truth = np.argsort(-(queries @ vectors.T), axis=1, kind="stable")[:, :K]
    index = hnswlib.Index(space="ip", dim=dim)
    index.init_index(max_elements=len(vectors), M=16, ef_construction=200)
    start = time.process_time()
    index.add_items(vectors)
    print(f"{time.process_time() - start:.2f}")
    for ef in [16, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768]:
        index.set_ef(ef)
        best = float("inf")
        for _ in range(3):
            start = time.process_time()
            found, _ = index.knn_query(queries, k=K, num_threads=1)
            best = min(best, time.process_time() - start)
        same = sum(len(np.intersect1d(a, b)) for a, b in zip(found, truth))
        print(f"{ef} {best * 1e6 / len(queries):.1f} {same / truth.size:.4f}")


if __name__ == "__main__":
    main()
