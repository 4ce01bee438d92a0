"""What the scripts share: the server's address, reproducible vectors, exact neighbours, checks."""

import sys

import numpy as np

HOST, PORT = sys.argv[1].removeprefix("http://").split(":")
URI = f"http://{HOST}:{PORT}"


def check(condition, *what):
    """Stops the script with a message when a condition does not hold."""
    if not condition:
        raise AssertionError(" ".join(str(part) for part in what) or "a check failed")


def equal(actual, expected, what):
    """Stops the script when two values differ."""
    check(actual == expected, f"{what}: got {actual!r}, want {expected!r}")


def vectors(rows, dim, seed=7):
    """Random vectors, the same at every run."""
    return np.random.default_rng(seed).normal(size=(rows, dim)).astype(np.float32)


def scores(metric, data, query):
    """Exact scores of all rows for one query, in the metric's own scale."""
    data, query = data.astype(np.float64), np.asarray(query, dtype=np.float64)
    if metric == "L2":
        return ((data - query) ** 2).sum(axis=1)
    inner = data @ query
    if metric == "IP":
        return inner
    return inner / (np.linalg.norm(data, axis=1) * np.linalg.norm(query))


def nearest(metric, data, query, keys, limit):
    """Exact neighbours: keys in order, best first."""
    all_scores = scores(metric, data, query)
    order = np.argsort(all_scores if metric == "L2" else -all_scores, kind="stable")
    return [keys[row] for row in order[:limit]]


def raises(call, *texts, code=None):
    """Calls something that must fail with one of the texts in its message."""
    from pymilvus import MilvusException

    try:
        call()
    except MilvusException as error:
        check(any(text in str(error) for text in texts), f"unexpected text: {error}")
        if code is not None:
            equal(error.code, code, f"code of {error}")
        return
    raise AssertionError(f"no error; wanted one of {texts}")
