"""Scored pairs as `PairTables` leaves them, planted: to cluster and explain without learning anything."""

from __future__ import annotations

import duckdb
import numpy as np
import pandas as pd

from c360ml.lakehouse import connect
from c360ml.linkage.clustering import Clustering
from c360ml.linkage.constraints import Constraints, NumberedConstraints
from c360ml.linkage.features import NAMED_FEATURES, Features

Weights = dict[tuple[int, int], float]


def names(records: int) -> list[str]:
    """Record ids in the order of their numbers."""
    return [f"r{number:03d}" for number in range(records)]


def planted(records: int, weights: Weights, **columns: list) -> tuple[duckdb.DuckDBPyConnection, Features]:
    """Records r000, r001, ... with the given columns, and scored pairs of the given weights."""
    con = connect()
    table = pd.DataFrame({"rid": range(1, records + 1), "record_id": names(records), "source": "s", **columns})
    table = table.assign(
        **{name: pd.Series(None, table.index, "string") for name in NAMED_FEATURES if name not in table}
    )
    pairs = sorted(weights)
    scored = pd.DataFrame(
        {
            "rid_l": [left + 1 for left, _ in pairs],
            "rid_r": [right + 1 for _, right in pairs],
            "pattern": range(len(pairs)),
            "blocked": True,
        }
    ).astype({"rid_l": "int64", "rid_r": "int64", "pattern": "int64"})
    values = np.array([weights[pair] for pair in pairs], dtype=float)
    weighed = pd.DataFrame(
        {"pattern": range(len(pairs)), "match_weight": values, "match_probability": 1 / (1 + np.exp2(-values))}
    ).astype({"pattern": "int64"})
    for name, frame in (("planted_features", table), ("scored_pairs", scored), ("pattern_weights", weighed)):
        con.register("frame", frame)
        con.execute(f"create temp table {name} as from frame").fetchall()
        con.unregister("frame")
    return con, Features("planted_features", records, frozenset(columns), ())


def clustered(records: int, weights: Weights, constraints: Constraints, weight: float = 0.0, **columns: list):
    """Cluster planted pairs; the clustering, and what explains it."""
    con, features = planted(records, weights, **columns)
    numbered = NumberedConstraints(con, features, constraints)
    return Clustering(con, features, numbered, weight).run(), (con, features, numbered, weight)


def partition(con: duckdb.DuckDBPyConnection) -> set[frozenset[int]]:
    """The clusters as sets of record numbers."""
    rows = con.execute("select list(record_id) from clusters group by cluster_id").fetchall()
    return {frozenset(int(record_id[1:]) for record_id in ids) for (ids,) in rows}


def reviewed(match: list[tuple[int, int]] = (), non_match: list[tuple[int, int]] = ()) -> pd.DataFrame:
    """Reviewers' decisions of pairs of record numbers."""
    rows = [(*pair, "match") for pair in match] + [(*pair, "non-match") for pair in non_match]
    return pd.DataFrame(
        {
            "record_id_l": [f"r{left:03d}" for left, _, _ in rows],
            "record_id_r": [f"r{right:03d}" for _, right, _ in rows],
            "decision": [decision for _, _, decision in rows],
        }
    )
