"""Scored pairs to clusters at every threshold of the grid, as Splink does it."""

from __future__ import annotations

GRID = (0.2, 0.5, 0.8, 0.9, 0.95, 0.99, 0.999, 0.9999, 0.99999)
DEFAULT = 0.95


def clusters_at(linker, pairs, threshold, key):
    """Record ids and cluster ids of connected components at a threshold."""
    clusters = linker.clustering.cluster_pairwise_predictions_at_threshold(pairs, threshold_match_probability=threshold)
    table = clusters.as_duckdbpyrelation().project(f"{key}, cluster_id").to_arrow_table()
    return table[key].to_pylist(), table["cluster_id"].to_pylist()


def clusters_of_grid(linker, pairs, key, watch):
    """Clusters at .95 while the watch runs, then at all the other thresholds."""
    cuts = {DEFAULT: clusters_at(linker, pairs, DEFAULT, key)}
    watch.stop()
    return cuts | {cut: clusters_at(linker, pairs, cut, key) for cut in GRID if cut != DEFAULT}
