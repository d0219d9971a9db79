"""What a run's data and models looked like, in counts that name nobody: the profile that drift is measured on.

Values are counted without being kept: the frequent ones as ranks, all of them as shares of 64 buckets of a hash, each
of which holds many values, and by their length. With the counts goes what they vary by, see `sampling_error`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from c360ml import tables
from c360ml.tracking.drift_sample import (
    FIELDS,
    TERMS,
    WEEKS_PER_BAND,
    count_agreement,
    count_customers,
    count_sources,
    count_terms,
    purchase_effects,
    sampled_units,
)

if TYPE_CHECKING:
    from c360ml.lakehouse import Lakehouse
    from c360ml.pipeline import RunResult

PROFILE_FILE = "profile.json"
PROFILE_FORMAT = 2
"""Profiles of another format count other things: 1 had no sampling errors."""
_HOLDOUT = ("customers", "actual_purchases", "bias", "mae", "naive_bias", "naive_mae")
_COMPARED = (tables.IDENTITIES, tables.CUSTOMER_VALUE, tables.CUSTOMER_SEGMENTS)
_READ = (tables.RECORDS, tables.LINKS, tables.GOLDEN_RECORDS, *_COMPARED)
Profile = dict[str, Any]


def drift_profile(lake: Lakehouse, result: RunResult) -> Profile:
    """Count what drift is measured on: plain JSON, some ten kilobytes at any size of the project.

    Args:
        lake: the project's open lakehouse.
        result: what the run said of itself.
    """
    for table in _READ:
        lake.open(table)
    linked = result.summary("link")
    return {
        "format": PROFILE_FORMAT,
        "run_id": result.run_id,
        "data_digest": result.digest,
        "rows_landed": result.summary("land")["by_source"],
        "customers": result.summary("identify")["customers"],
        "households": result.summary("identify")["households"],
        "candidate_pairs": linked["candidate_pairs"],
        "pairs_by_rule": {_rule(rule): rule["pairs"] for rule in linked["blocking_rules"] if rule["chosen"]},
        "pairs_by_class": {name: number for name, number in linked["pairs_by_class"].items() if name != "unrelated"},
        "levels": _levels(lake),
        "purchase_model": (lake.read_json("models/customer_value.json") or {}).get("purchase_model"),
        "holdout": _numbers_of(result.summary("value").get("holdout"), _HOLDOUT),
        "kmeans": _numbers_of(result.summary("segment").get("kmeans"), ("ari_mean", "silhouette")),
        "versions": {table.path: lake.version(table) for table in _COMPARED},
        **_sampled(lake, result.summary("identify")["households"]),
    }


def _sampled(lake: Lakehouse, households: int) -> Profile:
    """Count what is told with its sampling error."""
    with sampled_units(lake, households) as one_in:
        by_source, shapes = count_sources(lake)
        sizes, segments = count_customers(lake)
        return {
            "units_taken": {"one_in": one_in, "units": lake.one("select count(distinct clump) from drift_units")},
            "records_by_source": by_source,
            "sources": _sources(lake, shapes),
            "terms": {field: count_terms(lake, field) for field in TERMS},
            "agreement": count_agreement(lake),
            "cluster_sizes": sizes,
            "purchases": _purchases(lake),
            "segments": segments,
        }


def _numbers_of(summary: dict[str, Any] | None, names: tuple[str, ...]) -> dict[str, float]:
    """Take the measures of a summary that are there; none of a holdout or clusters that there were not."""
    return {name: summary[name] for name in names if summary.get(name) is not None} if summary else {}


def _rule(rule: dict[str, Any]) -> str:
    return f"{rule['rule']} by {rule['split_by']}" if rule.get("split_by") else str(rule["rule"])


def _sources(lake: Lakehouse, shapes: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Count how many records of each source have each field, all of them: a small source may be hardly in a sample."""
    counts = ", ".join(f"count({field})" for field in FIELDS)
    rows = lake.rows(f"select source, count(*), {counts} from {tables.RECORDS.path} group by source order by source")
    return {
        source: {
            "records": records,
            "filled": dict(zip(FIELDS, filled, strict=True)),
            "shapes": shapes.get(source, {}),
        }
        for source, records, *filled in rows
    }


def _levels(lake: Lakehouse) -> dict[str, Any]:
    """Shares of agreement levels by comparison in each class of pairs, as the run's model has them: m and u."""
    model = lake.read_json("models/linkage.json") or {}
    return dict(model.get("classes", {}).get("levels", {}))


def _purchases(lake: Lakehouse) -> dict[str, Any]:
    """Repeat purchases by age, which a model's expectation can be held against, and spend."""
    purchases_effect, spend_effect = purchase_effects(lake)
    bands = lake.rows(f"""
        select floor(age_weeks / {WEEKS_PER_BAND}), count(*), avg(age_weeks), sum(repeat_purchases)::double,
               sum(repeat_purchases * repeat_purchases)::double
        from {tables.CUSTOMER_VALUE.path} group by 1 order by 1
    """)
    buyers, mean, variance = lake.rows(f"""
        select count(*), avg(ln(mean_spend)), var_samp(ln(mean_spend))
        from {tables.CUSTOMER_VALUE.path} where mean_spend > 0
    """)[0]
    return {
        "by_age": [[count, round(age, 6), total, squares] for _, count, age, total, squares in bands],
        "effect": purchases_effect,
        "spend": {
            "customers": buyers,
            "mean_log": _rounded(mean),
            "variance_log": _rounded(variance),
            "effect": spend_effect,
        },
    }


def _rounded(number: float | None) -> float | None:
    # The sums of a parallel query differ in the last digits from run to run.
    return None if number is None else round(number, 9)
