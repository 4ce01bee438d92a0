"""Compares our graphs with hnswlib's over the same vectors, in one run.

    pip install hnswlib numpy
    cargo build --release -p millstream-index --example graph_speed
    python3 graph_against_hnswlib.py FILE DIM target/release/examples/graph_speed

FILE has little-endian float32 vectors, row-major; the last 1,000 are the queries. Both build with
one thread, M 16 and efConstruction 200; CPU time of hnswlib is that of its calls with many queries,
so that Python's own costs do not count. Ours runs before and after hnswlib, the better run counts.
"""

import subprocess
import sys
import time

import hnswlib
import numpy as np

K = 10
EFS = [32, 64, 128, 256, 512]


def ours(program, file, dim):
    """Figures of one run: CPU seconds of the build, and (CPU microseconds, recall) by ef."""
    text = subprocess.run([program, file, str(dim)], capture_output=True, text=True, check=True).stdout
    searches = {}
    for line in text.splitlines():
        words = line.split()
        if words[0] == "build_cpu_s":
            build = float(words[1])
        if words[0] == "search":
            searches[int(words[2])] = (float(words[4]), float(words[6]))
    return build, searches


def hnswlib_figures(vectors, queries, truth):
    index = hnswlib.Index(space="ip", dim=vectors.shape[1])
    index.init_index(max_elements=len(vectors), M=16, ef_construction=200)
    index.set_num_threads(1)
    start = time.process_time()
    index.add_items(vectors, num_threads=1)
    build = time.process_time() - start
    searches = {}
    for ef in EFS:
        index.set_ef(ef)
        best = float("inf")
        for _ in range(3):
            start = time.process_time()
            found, _ = index.knn_query(queries, k=K, num_threads=1)
            best = min(best, time.process_time() - start)
        same = sum(len(np.intersect1d(a, b)) for a, b in zip(found, truth))
        searches[ef] = (best * 1e6 / len(queries), same / truth.size)
    return build, searches


def main():
    file, dim, program = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    data = np.fromfile(file, dtype="<f4").reshape(-1, dim)
    data /= np.maximum(np.linalg.norm(data, axis=1, keepdims=True), 1e-30)
    vectors, queries = data[:-1000], data[-1000:]
    truth = np.argsort(-(queries @ vectors.T), axis=1, kind="stable")[:, :K]
    runs = [ours(program, file, dim)]
    peer_build, peer = hnswlib_figures(vectors, queries, truth)
    runs.append(ours(program, file, dim))
    build = min(run[0] for run in runs)
    print(f"build   ours {build:.1f} s  hnswlib {peer_build:.1f} s  ratio {build / peer_build:.2f}")
    for ef in EFS:
        micros = min(run[1][ef][0] for run in runs)
        recall = runs[0][1][ef][1]
        peer_micros, peer_recall = peer[ef]
        print(
            f"ef {ef:4}  ours {micros:.0f} us ({recall:.4f})  "
            f"hnswlib {peer_micros:.0f} us ({peer_recall:.4f})  ratio {micros / peer_micros:.2f}"
        )


if __name__ == "__main__":
    main()
