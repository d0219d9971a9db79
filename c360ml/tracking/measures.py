"""What a run logs, by MLflow run: parameters and metrics out of settings, summaries and evaluation."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from platform import python_version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from c360ml.pipeline import RunResult

LIBRARIES = ("c360ml", "duckdb", "deltalake", "splink", "scikit-learn", "scipy", "numpy", "mlflow")
_BLOCKING_MEASURES = ("blocking_recall", "scored_recall", "model_recall", "clustering_recall", "recall_steps")
_LONGEST_PARAMETER = 500
_NOT_IN_NAMES = re.compile(r"[^\w\-. :/]", re.ASCII)


@dataclass(frozen=True)
class Logged:
    """Parameters and metrics of one MLflow run."""

    params: dict[str, str]
    metrics: dict[str, float]


def numbers(summary: Mapping[str, Any], prefix: str = "") -> dict[str, float]:
    """Flatten the finite numbers of nested dicts under dotted names that MLflow takes; lists are left out.

    >>> numbers({"links": 3, "sizes": {"Can't Lose": 2.5}, "notes": ["x"], "reason": None})
    {'links': 3.0, 'sizes.Can_t Lose': 2.5}
    """
    return dict(_numbers(summary, prefix))


def _numbers(summary: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, float]]:
    for key, value in summary.items():
        name = prefix + _NOT_IN_NAMES.sub("_", str(key))
        if isinstance(value, Mapping):
            yield from _numbers(value, f"{name}.")
        elif isinstance(value, bool | int | float) and math.isfinite(value):
            yield name, float(value)


def settings(sections: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Flatten settings under dotted names, as text of at most 500 characters.

    >>> settings({"value": {"horizon_weeks": 52}})
    {'value.horizon_weeks': '52'}
    """
    flat: dict[str, str] = {}
    for name, value in sections.items():
        if isinstance(value, Mapping):
            flat |= settings(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = str(value)[:_LONGEST_PARAMETER]
    return flat


def whole_run(result: RunResult) -> Logged:
    """Everything about the run as a whole: settings, versions, digest; rows in, times, customers."""
    config = result.config.model_dump(mode="json", exclude={"sources"})
    named = {source.name: source.model_dump(mode="json", exclude={"name"}) for source in result.config.sources}
    params = (
        settings(config)
        | settings({"source": named})
        | {
            "sources": ", ".join(source.name for source in result.config.sources)[:_LONGEST_PARAMETER],
            "data_digest": result.digest,
            "python": python_version(),
            **{f"version.{name}": version(name) for name in LIBRARIES},
        }
    )
    metrics = {f"seconds.{step.name}": step.seconds for step in result.steps}
    for step in ("land", "validate", "standardize", "identify", "collect", "profile"):
        metrics |= numbers(result.summary(step), f"{step}.")
    return Logged(params, metrics | accuracy(result))


def linkage_run(result: RunResult) -> Logged:
    """How records became people: blocking, classes, clusters, and how right they are."""
    summary = result.summary("link")
    chosen = [rule["rule"] for rule in summary["blocking_rules"] if rule["chosen"]]
    params = {
        "comparisons": ", ".join(summary["comparisons"]),
        "blocking_rules": "; ".join(chosen)[:_LONGEST_PARAMETER],
        **settings(result.config.linkage.model_dump(mode="json")),
    }
    blocking = {
        f"blocking.{name}_pairs": float(sum(rule[pairs] for rule in summary["blocking_rules"] if rule["chosen"]))
        for name, pairs in (("rule", "pairs"), ("hot", "hot_pairs"))
    }
    metrics = numbers(summary) | blocking | {"blocking.rules": float(len(chosen))}
    return Logged(params, metrics | numbers(result.summary("identify")) | accuracy(result))


def blocking_run(result: RunResult) -> Logged:
    """Which pairs were compared: rules, what each found and costs, and what blocking lost by the labels."""
    summary = result.summary("link")
    chosen = [rule for rule in summary["blocking_rules"] if rule["chosen"]]
    params = {
        f"rule.{number:02}": f"{rule['rule']} by {rule['split_by']}" if rule.get("split_by") else rule["rule"]
        for number, rule in enumerate(chosen, 1)
    }
    by_rule = {f"rule.{number:02}": rule for number, rule in enumerate(chosen, 1)}
    metrics = {"candidate_pairs": float(summary["candidate_pairs"]), "rules": float(len(chosen))}
    told = {name: result.evaluation[name] for name in _BLOCKING_MEASURES if name in result.evaluation}
    return Logged({"max_pairs": str(result.config.linkage.max_pairs), **params}, metrics | numbers(told | by_rule))


def identity_run(result: RunResult) -> Logged:
    """Who the customers are: master IDs kept, merged and split, households, and how right the clusters are."""
    params = settings(result.config.golden.model_dump(mode="json"))
    summary = result.summary("identify")
    clustering = numbers(result.summary("link").get("clustering", {}), "clustering.")
    return Logged(params, numbers(summary) | clustering | accuracy(result))


def accuracy(result: RunResult) -> dict[str, float]:
    """Measures against the labels that the project names, with 95 % intervals; empty without labels."""
    ends = {
        f"{name}.{end}": value
        for name, interval in result.evaluation.get("intervals", {}).items()
        for end, value in zip(("low", "high"), interval, strict=True)
    }
    return numbers(result.evaluation) | numbers(ends, "interval.")


def error_rows(result: RunResult) -> list[dict[str, str]]:
    """Examples of wrong pairs: the error, its kind, and the keys of the two records, nothing of them."""
    return [
        {"error": error, "kind": kind["kind"], "record_id_l": left, "record_id_r": right}
        for error, kinds in result.evaluation.get("errors", {}).items()
        for kind in kinds
        for left, right in kind["examples"]
    ]


def value_run(result: RunResult) -> Logged:
    """What customers are worth: fitted parameters, likelihoods, forecast errors, totals."""
    params = settings(result.config.value.model_dump(mode="json"))
    return Logged(params, numbers(result.summary("value")))


def segments_run(result: RunResult) -> Logged:
    """Who the customers are: sizes, cut points, clusters."""
    summary = result.summary("segment")
    params = settings(result.config.segments.model_dump(mode="json"))
    return Logged(params, numbers(summary))


def campaigns_run(result: RunResult) -> Logged:
    """How each campaign did."""
    params = settings(result.config.campaigns.model_dump(mode="json"))
    return Logged(params, numbers(result.summary("campaigns")))
