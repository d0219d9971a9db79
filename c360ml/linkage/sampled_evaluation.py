"""Accuracy from a reviewed sample: draw pairs with known chances, and estimate precision and recall from answers.

Two kinds of samples. A stratified sample of scored pairs gives ratio estimates (Horvitz and Thompson 1952; Cochran
1977, section 6.11): each reviewed pair stands for `weight` pairs. A sample of fully resolved people (true clusters)
gives the estimators of Binette et al. 2022 (arXiv 2210.01230), which need no candidate pairs and see what blocking
missed. Ratios are corrected for their bias of order 1/n (Cochran 1977, section 6.8).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from c360ml.errors import ConfigError, DataError
from c360ml.lakehouse import as_relation, connect, same_kind
from c360ml.linkage.evaluation_intervals import ENTITY_SUMS, Floats, entity_sums_query, wilson
from c360ml.linkage.evaluation_tables import JUDGED, require_columns

if TYPE_CHECKING:
    import duckdb

Ints = NDArray[np.int64]

STRATA_ENDS = (0.02, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.999)
_FEWEST_PER_STRATUM = 2
# even a probability of nought or one may be wrong this often: keeps a share of the sample in sure strata
_DOUBT_OF_THE_SURE = 0.01


def draw_review_sample(pairs: Any, n: int, *, seed: int = 1) -> Any:
    """Draw scored pairs for a person to review, stratified by match probability, with their known weights.

    Strata in doubt get more than their share (Neyman 1934): in proportion to pairs * sqrt(p (1 - p)).

    Args:
        pairs: `record_id_l, record_id_r, match_probability`, as `LinkageModel.predict` gives.
        n: pairs to draw; all if there are fewer.
        seed: another seed draws other pairs.

    Returns:
        `record_id_l, record_id_r, match_probability, stratum, stratum_pairs, weight`, of the kind of table given;
        `weight` is how many pairs each stands for. Add `is_match` or `decision`, and hand it to `evaluate`.

    Raises:
        ColumnError: a column is missing.
        ConfigError: n is not positive.
        DataError: there are no pairs.

    >>> import pandas as pd
    >>> pairs = pd.DataFrame({"record_id_l": range(100), "record_id_r": range(100, 200),
    ...     "match_probability": [0.5] * 10 + [0.999] * 90})
    >>> sample = draw_review_sample(pairs, 20)
    >>> len(sample), round(sample["weight"].sum())
    (20, 100)
    """
    if n < 1:
        raise ConfigError("a sample must be of at least one pair", got=n, hint="choose a positive n")
    con = connect()
    given = as_relation(con, pairs)
    require_columns(given, "pairs", ("record_id_l", "record_id_r", "match_probability"))
    given.create_view("given_pairs")
    ends = ", ".join(map(repr, STRATA_ENDS))
    con.execute(f"""
        create temp table stratified as
        select record_id_l, record_id_r, match_probability,
               len(list_filter([{ends}], lambda least: match_probability >= least)) as stratum
        from given_pairs where match_probability is not null
    """).fetchall()
    strata = con.execute("""
        select stratum, count(*) as pairs, avg(match_probability) as p from stratified group by all order by stratum
    """).fetchall()
    if not strata:
        raise DataError("a sample must be drawn from at least one pair", got="no pairs", hint="lower the threshold")
    sizes = np.array([row[1] for row in strata], dtype=np.int64)
    drawn = _allocate(n, sizes, np.array([row[2] for row in strata], dtype=np.float64))
    rows = ", ".join(
        f"({stratum}, {size}, {count})" for (stratum, _, _), size, count in zip(strata, sizes, drawn, strict=True)
    )
    sample = con.sql(f"""
        with plan(stratum, stratum_pairs, drawn) as (values {rows}),
        numbered as (
            -- text with the seed in it: hash(a, b, seed) would only turn one order over for another seed
            select *, hash(concat_ws('|', {seed}, record_id_l, record_id_r)) as lot
            from stratified join plan using (stratum)
        ),
        shuffled as (
            select *, row_number() over (partition by stratum order by lot, record_id_l, record_id_r) as rank
            from numbered
        )
        select record_id_l, record_id_r, match_probability, stratum, stratum_pairs, stratum_pairs / drawn as weight
        from shuffled where rank <= drawn
        order by hash(lot), record_id_l, record_id_r
    """)
    return same_kind(sample, pairs)


def _allocate(n: int, sizes: Ints, probabilities: Floats) -> Ints:
    """Share n among strata: at least two each, the rest by size and doubt, none beyond its size."""
    n = min(n, int(sizes.sum()))
    least = np.minimum(sizes, _FEWEST_PER_STRATUM)
    if least.sum() > n:
        least = np.zeros_like(sizes)
    wanted = sizes * np.sqrt(probabilities * (1 - probabilities) + _DOUBT_OF_THE_SURE)
    drawn: Ints = least.copy()
    while drawn.sum() < n:
        open_ = np.where(drawn < sizes, wanted, 0.0)
        target = (n - drawn.sum()) * open_ / open_.sum()
        extra = np.minimum(np.floor(target).astype(np.int64), sizes - drawn)
        if not extra.any():
            extra = np.zeros_like(sizes)
            order = np.lexsort((np.arange(len(sizes)), -target))
            extra[order[: min(n - drawn.sum(), int((open_ > 0).sum()))]] = 1
        drawn += extra
    return drawn


# ---------------------------------------------------------------------- estimates from reviewed pairs
def estimate_from_pairs(
    con: duckdb.DuckDBPyConnection, clusters: str, labels: str, sampling: tuple[str, ...]
) -> dict[str, Any]:
    """Estimate precision and recall of "same cluster" over all pairs that the sample was drawn from.

    Args:
        con: connection that holds the tables.
        clusters: `record_id, cluster_id`.
        labels: `record_id_l, record_id_r, decision` with the columns that `sampling` names; pairs labelled
            `possible` are left out.
        sampling: `stratum` and `stratum_pairs`, by which weights follow from how many pairs of the stratum were
            reviewed, or `weight`.

    Raises:
        DataError: the columns do not give weights, or a weight is null or not positive.
    """
    stratified = {"stratum", "stratum_pairs"} <= set(sampling)
    if not stratified and "weight" not in sampling:
        raise DataError(
            "a reviewed sample must hold weight, or stratum and stratum_pairs",
            got=f"{', '.join(sampling)}",
            hint="keep the columns of draw_review_sample",
        )
    stratum = "stratum" if "stratum" in sampling else "'all'"
    weight = "max(stratum_pairs) over (partition by stratum) / count(*) over (partition by stratum)"
    answer = con.execute(f"""
        with judged as (
            select decision = 'match' as same, l.cluster_id = r.cluster_id as joined, {stratum} as stratum,
                   {"stratum_pairs" if stratified else "weight"}
            from {labels}
            join {clusters} l on l.record_id = record_id_l
            join {clusters} r on r.record_id = record_id_r
            where decision <> 'possible'
        )
        select cast(same as double) as same, cast(joined as double) as joined, stratum,
               {weight if stratified else "weight"} as weight
        from judged order by all
    """).fetchnumpy()
    weights = _checked_weights(answer["weight"])
    _, strata = np.unique(np.asarray(answer["stratum"], dtype=str), return_inverse=True)
    same, joined = np.asarray(answer["same"]), np.asarray(answer["joined"])
    both = same * joined
    parts = {"precision": (both, joined), "recall": (both, same), "f1": (2 * both, same + joined)}
    estimates = {name: _estimate(part, whole, weights, strata) for name, (part, whole) in parts.items()}
    return {
        "reviewed_pairs": len(weights),
        "sampled_from_pairs": round(float(weights.sum())),
        "estimated_true_pairs": round(float(weights @ same)),
        **_named(estimates, "estimated_link_{}"),
    }


def _checked_weights(values: Any) -> Floats:
    weights = np.ma.filled(np.ma.asarray(values, dtype=np.float64), np.nan)
    bad = int((~(weights > 0)).sum())
    if bad or not len(weights):
        raise DataError(
            "each sampled label must have a positive weight",
            got=f"{bad} without" if bad else "no sampled label of these records",
            hint="keep the columns of the sample",
        )
    return weights


# ---------------------------------------------------------------------- estimates from sampled people
def estimate_from_people(con: duckdb.DuckDBPyConnection, clusters: str, labels: str) -> dict[str, Any]:
    """Estimate pairwise, B-cubed and cluster measures from a sample of people all of whose records are known.

    Args:
        con: connection that holds `judged_records` of clusters and labels.
        clusters: all clusters `record_id, cluster_id`; they may hold records of people who were not sampled.
        labels: `record_id, true_id, weight`: one over the chance that the person was sampled, up to a factor.

    Raises:
        DataError: a weight is missing, not positive, or differs within a person.
    """
    con.execute(f"""
        create or replace temp table cluster_sizes as
        with sized as (select cluster_id, count(*) as size from {clusters} group by cluster_id),
        named as (
            select cluster_no, any_value(c.cluster_id) as cluster_id
            from {JUDGED} j join {clusters} c on c.record_id = j.record_id group by cluster_no
        )
        select cluster_no, size from named join sized using (cluster_id)
    """).fetchall()
    answer = con.execute(f"""
        with weights as (
            select true_no, if(min(weight) = max(weight) and count(weight) = count(*), min(weight), null) as weight
            from {JUDGED} join {labels} using (record_id) group by true_no
        )
        select {", ".join(ENTITY_SUMS)}, weight
        from ({entity_sums_query(JUDGED, sizes="cluster_sizes")}) join weights using (true_no) order by all
    """).fetchnumpy()
    con.execute("drop table cluster_sizes").fetchall()
    weights = _checked_weights(answer["weight"])
    sums = {name: np.asarray(answer[name], dtype=np.float64) for name in ENTITY_SUMS}
    together = np.zeros(len(weights), dtype=np.int64)
    estimates = {
        name: _estimate(part, whole, weights, together) for name, (part, whole) in _cluster_ratios(sums).items()
    }
    return {"sampled_people": len(weights), **_named(_with_f1(estimates), "estimated_{}")}


def _cluster_ratios(sums: dict[str, Floats]) -> dict[str, tuple[Floats, Floats]]:
    right, exact, records = sums["right_pairs"], sums["exact_clusters"], sums["records"]
    return {
        "pairwise_precision": (right, sums["found_pairs"]),
        "pairwise_recall": (right, sums["true_pairs"]),
        "b3_precision": (sums["b3_precision_sum"], records),
        "b3_recall": (sums["b3_recall_sum"], records),
        "cluster_precision": (exact, sums["clusters"]),
        "cluster_recall": (exact, np.ones_like(exact)),
    }


def _with_f1(estimates: dict[str, tuple[float, list[float]]]) -> dict[str, tuple[float, list[float]]]:
    """Add F1 of the estimates; its interval spans F1 of the low ends to F1 of the high ends."""
    whole = dict(estimates)
    for kind in ("pairwise", "b3", "cluster"):
        (precision, p_ends), (recall, r_ends) = estimates[f"{kind}_precision"], estimates[f"{kind}_recall"]
        value, low, high = (_f1(*both) for both in ((precision, recall), *zip(p_ends, r_ends, strict=True)))
        whole[f"{kind}_f1"] = value, [low, high]
    return whole


def _f1(precision: float, recall: float) -> float:
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def _estimate(part: Floats, whole: Floats, weights: Floats, strata: Ints) -> tuple[float, list[float]]:
    """Estimate a ratio of totals, with its 95 % interval.

    The variance is that of the linearised ratio within strata. The interval is Wilson's for as many trials as give
    that variance (Korn and Graubard 1998), which stays within 0 and 1 and does not collapse when no error was seen.
    """
    total = float(weights @ whole)
    if not total:
        return 1.0, [0.0, 1.0]
    raw = float(weights @ part) / total
    residuals = weights * (part - raw * whole) / total
    variance, covariance = _variance(residuals, residuals, strata), _variance(residuals, weights * whole, strata)
    value = float(np.clip(raw + covariance / total, 0.0, 1.0))
    seen = (weights * whole)[whole > 0]
    trials = float(seen.sum() ** 2 / (seen**2).sum())
    if variance > 0 and 0 < value < 1:
        trials = max(value * (1 - value) / variance, 1.0)
    low, high = wilson(value, trials)
    return value, [float(low), float(high)]


def _variance(one: Floats, other: Floats, strata: Ints) -> float:
    """Covariance of two estimated totals under sampling within strata; a stratum of one pair adds nothing."""
    counts = np.bincount(strata)
    means = [np.bincount(strata, each) / np.maximum(counts, 1) for each in (one, other)]
    products = np.bincount(strata, (one - means[0][strata]) * (other - means[1][strata]))
    return float((products * counts / np.maximum(counts - 1, 1) * (counts > 1)).sum())


def _named(estimates: dict[str, tuple[float, list[float]]], pattern: str) -> dict[str, Any]:
    values = {pattern.format(name): value for name, (value, _) in estimates.items()}
    return {**values, "intervals": {pattern.format(name): ends for name, (_, ends) in estimates.items()}}
