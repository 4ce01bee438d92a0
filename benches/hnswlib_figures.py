"""Measures hnswlib over the vectors of a file, alone or beside our own graph in the same run.

    hnswlib_figures.py FILE DIM [PROGRAM]

FILE has little-endian float32 vectors, row-major; the last 1,000 are the queries. Needs hnswlib and
numpy. M is 16, efConstruction 200, the metric cosine, one thread; CPU time is that of calls with many
queries, so that Python's own costs do not count.

Without PROGRAM it prints the CPU seconds of the build, then `ef CPU-microseconds recall` lines. With
it (target/release/examples/graph_speed, of the crate millstream-index) it prints both and ratios: ours
runs before and after hnswlib, and the better run counts.
"""

import subprocess
import sys
import time

import hnswlib
import numpy as np

K = 10
EFS = [16, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768]


def theirs(file, dim):
    """Figures of hnswlib: CPU seconds of the build, and (CPU microseconds, recall) by ef."""
    data = np.fromfile(file, dtype="<f4").reshape(-1, dim)
    data /= np.maximum(np.linalg.norm(data, axis=1, keepdims=True), 1e-30)
    vectors, queries = data[:-1000], data[-1000:]
    truth = np.argsort(-(queries @ vectors.T), axis=1, kind="stable")[:, :K]
    index = hnswlib.Index(space="ip", dim=dim)
    index.init_index(max_elements=len(vectors), M=16, ef_construction=200)
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


def ours(program, file, dim):
    """Figures of one run of ours, as those of hnswlib."""
    run = subprocess.run([program, file, str(dim)], capture_output=True, text=True, check=True)
    searches = {}
    for line in run.stdout.splitlines():
        words = line.split()
        if words[0] == "build_cpu_s":
            build = float(words[1])
        if words[0] == "search":
            searches[int(words[2])] = (float(words[4]), float(words[6]))
    return build, searches


def compare(program, file, dim):
    """Prints the figures of both, and their ratios."""
    first = ours(program, file, dim)
    peer_build, peer = theirs(file, dim)
    second = ours(program, file, dim)
    build = min(first[0], second[0])
    print(f"build   ours {build:.1f} s  hnswlib {peer_build:.1f} s  ratio {build / peer_build:.2f}")
    for ef in sorted(peer.keys() & first[1].keys()):
        (micros, recall), (again, _) = first[1][ef], second[1][ef]
        micros = min(micros, again)
        peer_micros, peer_recall = peer[ef]
        print(
            f"ef {ef:4}  ours {micros:.0f} us ({recall:.4f})  "
            f"hnswlib {peer_micros:.0f} us ({peer_recall:.4f})  ratio {micros / peer_micros:.2f}"
        )


def main():
    file, dim = sys.argv[1], int(sys.argv[2])
    if len(sys.argv) > 3:
        compare(sys.argv[3], file, dim)
        return
    build, searches = theirs(file, dim)
    print(f"{build:.2f}")
    for ef, (micros, recall) in searches.items():
        print(f"{ef} {micros:.1f} {recall:.4f}")


if __name__ == "__main__":
    main()
