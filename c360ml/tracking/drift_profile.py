"""What a run's data and models looked like, in counts that name nobody: the profile that drift is measured on.

Values are counted without being kept: the frequent ones as ranks, all of them as shares of 64 buckets of a hash, each
of which holds many values.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from c360ml import tables

if TYPE_CHECKING:
    from c360ml.lakehouse import Lakehouse
    from c360ml.pipeline import RunResult

PROFILE_FILE = "profile.json"
FIELDS = (
    "given_name",
    "middle_name",
    "surname",
    "email",
    "phone",
    "date_of_birth",
    "national_id",
    "gender",
    "street",
    "city",
    "state",
    "postcode",
)
_TERMS = ("given_name", "surname", "email", "phone", "date_of_birth", "gender", "city", "state", "postcode")
_AGREEING = ("given_name", "surname", "email", "phone", "date_of_birth", "postcode")
_SEGMENTS = ("value_tier", "rfm_segment", "kmeans_segment", "behaviour_segment")
_HOLDOUT = ("customers", "actual_purchases", "bias", "mae", "naive_bias", "naive_mae")
_COMPARED = (tables.IDENTITIES, tables.CUSTOMER_VALUE, tables.CUSTOMER_SEGMENTS)
_BUCKETS = 64
_RANKS = 20
_LARGEST_SIZE = 10
_WEEKS_PER_BAND = 4
Profile = dict[str, Any]


def drift_profile(lake: Lakehouse, result: RunResult) -> Profile:
    """Count what drift is measured on: plain JSON, a few kilobytes at any size of the project.

    Args:
        lake: the project's open lakehouse.
        result: what the run said of itself.
    """
    for table in (tables.RECORDS, tables.LINKS, tables.IDENTITIES, tables.CUSTOMER_VALUE, tables.CUSTOMER_SEGMENTS):
        lake.open(table)
    linked = result.summary("link")
    return {
        "format": 1,
        "run_id": result.run_id,
        "data_digest": result.digest,
        "rows_landed": result.summary("land")["by_source"],
        "sources": _sources(lake),
        "terms": {field: _terms(lake, field) for field in _TERMS},
        "customers": result.summary("identify")["customers"],
        "households": result.summary("identify")["households"],
        "candidate_pairs": linked["candidate_pairs"],
        "pairs_by_rule": {_rule(rule): rule["pairs"] for rule in linked["blocking_rules"] if rule["chosen"]},
        "pairs_by_class": {name: number for name, number in linked["pairs_by_class"].items() if name != "unrelated"},
        "levels": _levels(lake),
        "agreement": _agreement(lake),
        "cluster_sizes": _cluster_sizes(lake),
        "purchases": _purchases(lake),
        "purchase_model": (lake.read_json("models/customer_value.json") or {}).get("purchase_model"),
        "holdout": _numbers_of(result.summary("value").get("holdout"), _HOLDOUT),
        "kmeans": _numbers_of(result.summary("segment").get("kmeans"), ("ari_mean", "silhouette")),
        "versions": {table.path: lake.version(table) for table in _COMPARED},
        "segments": {kind: _sizes(lake, kind) for kind in _SEGMENTS},
    }


def _numbers_of(summary: dict[str, Any] | None, names: tuple[str, ...]) -> dict[str, float]:
    """Take the measures of a summary that are there; none of a holdout or clusters that there were not."""
    return {name: summary[name] for name in names if summary.get(name) is not None} if summary else {}


def _rule(rule: dict[str, Any]) -> str:
    return f"{rule['rule']} by {rule['split_by']}" if rule.get("split_by") else str(rule["rule"])


def _sources(lake: Lakehouse) -> dict[str, Any]:
    counts = ", ".join(f"count({field})" for field in FIELDS)
    rows = lake.rows(f"select source, count(*), {counts} from {tables.RECORDS.path} group by source order by source")
    return {
        source: {"records": records, "filled": dict(zip(FIELDS, filled, strict=True))}
        for source, records, *filled in rows
    }


def _terms(lake: Lakehouse, field: str) -> dict[str, list[int]]:
    """Count values by rank and by bucket; the hash is DuckDB's MD5, which no version changes."""
    with lake.scratch(
        "drift_terms",
        f"select {field} as term, count(*) as records from {tables.RECORDS.path} where {field} is not null group by 1",
    ) as terms:
        ranks = lake.rows(f"select records from {terms} order by records desc limit {_RANKS}")
        buckets = dict(
            lake.rows(
                f"select (md5_number_lower(term) % {_BUCKETS})::int, sum(records)::bigint from {terms} group by 1"
            )
        )
    return {"ranks": [count for (count,) in ranks], "buckets": [buckets.get(number, 0) for number in range(_BUCKETS)]}


def _levels(lake: Lakehouse) -> dict[str, Any]:
    """Shares of agreement levels by comparison in each class of pairs, as the run's model has them: m and u."""
    model = lake.read_json("models/linkage.json") or {}
    return dict(model.get("classes", {}).get("levels", {}))


def _agreement(lake: Lakehouse) -> dict[str, dict[str, int]]:
    """Count the links of which both records have a field, and those of which it is alike to the letter."""
    both = [f"count(*) filter (l.{field} is not null and r.{field} is not null)" for field in _AGREEING]
    same = [f"count(*) filter (l.{field} = r.{field})" for field in _AGREEING]
    found = lake.rows(f"""
        select {", ".join(both + same)}
        from {tables.LINKS.path} as links
        join {tables.RECORDS.path} as l on l.record_id = record_id_l
        join {tables.RECORDS.path} as r on r.record_id = record_id_r
        where is_link
    """)[0]
    counts = zip(_AGREEING, found[: len(_AGREEING)], found[len(_AGREEING) :], strict=True)
    return {field: {"same": alike, "other": known - alike} for field, known, alike in counts}


def _cluster_sizes(lake: Lakehouse) -> dict[str, int]:
    rows = lake.rows(f"""
        with customers as (select count(*) as records from {tables.IDENTITIES.path} group by master_id)
        select least(records, {_LARGEST_SIZE}), count(*) from customers group by 1 order by 1
    """)
    return {str(size) if size < _LARGEST_SIZE else f"{size} or more": count for size, count in rows}


def _purchases(lake: Lakehouse) -> dict[str, Any]:
    """Repeat purchases by age, which a model's expectation can be held against, and spend."""
    bands = lake.rows(f"""
        select floor(age_weeks / {_WEEKS_PER_BAND}), count(*), avg(age_weeks), sum(repeat_purchases)::double,
               sum(repeat_purchases * repeat_purchases)::double
        from {tables.CUSTOMER_VALUE.path} group by 1 order by 1
    """)
    buyers, mean, variance = lake.rows(f"""
        select count(*), avg(ln(mean_spend)), var_samp(ln(mean_spend))
        from {tables.CUSTOMER_VALUE.path} where mean_spend > 0
    """)[0]
    return {
        "by_age": [[count, round(age, 6), total, squares] for _, count, age, total, squares in bands],
        "spend": {"customers": buyers, "mean_log": _rounded(mean), "variance_log": _rounded(variance)},
    }


def _rounded(number: float | None) -> float | None:
    # The sums of a parallel query differ in the last digits from run to run.
    return None if number is None else round(number, 9)


def _sizes(lake: Lakehouse, kind: str) -> dict[str, int]:
    return dict(lake.rows(f"select {kind}, count(*) from {tables.CUSTOMER_SEGMENTS.path} group by 1 order by 1"))
