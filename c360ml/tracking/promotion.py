"""Who serves: compares a challenger with its champion, refuses what is worse with reasons, promotes what is not."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from math import sqrt
from pathlib import Path
from typing import TYPE_CHECKING, Any

from c360ml import tables
from c360ml.errors import ModelError
from c360ml.pipeline.judge import open_labels
from c360ml.tables import Table
from c360ml.tracking import champion_comparison as comparison
from c360ml.tracking.champion_comparison import Impact
from c360ml.tracking.drift_profile import PROFILE_FILE, Profile
from c360ml.tracking.exports import export_champion_of
from c360ml.tracking.registry import CHALLENGER, CHAMPION, DECISION, PARENT_RUN, version_by_alias
from c360ml.tracking.store import tracking_store

if TYPE_CHECKING:
    from c360ml.config import Config
    from c360ml.lakehouse import Lakehouse

MODELS = ("c360-linkage", "c360-value", "c360-segments", "c360-scorer")
WORSE, AS_GOOD, BETTER, TOLD = "worse", "as good", "better", ""
LARGEST_IDENTITY_CHANGE = 0.05
"""Share of customers who may change master ID, unless labels show the challenger to be better."""
LARGEST_ERROR_GROWTH = 0.05
LARGEST_STABILITY_LOSS = 0.1
_STANDARD_ERRORS = 1.96
_LINKAGE, _VALUE, _SEGMENTS = {MODELS[0], MODELS[3]}, {MODELS[1], MODELS[3]}, {MODELS[2], MODELS[3]}


@dataclass(frozen=True)
class Check:
    """One comparison: what each side measured, and `better`, `as good`, `worse` or nothing if it is only told."""

    name: str
    champion: str
    challenger: str
    verdict: str
    reason: str


@dataclass(frozen=True)
class Promotion:
    """What became of one challenger."""

    model: str
    champion_version: str
    challenger_version: str
    checks: tuple[Check, ...]
    forced: bool = False

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why the challenger is worse; empty if it is not."""
        return tuple(check.reason for check in self.checks if check.verdict == WORSE)

    @property
    def promoted(self) -> bool:
        """Whether the challenger is the champion now."""
        return self.forced or not self.reasons

    @property
    def decision(self) -> str:
        """The decision in words, as the version's tag keeps it."""
        if not self.reasons:
            return f"champion: not worse than version {self.champion_version}"
        found = "; ".join(self.reasons)
        return f"champion: forced, though {found}" if self.forced else f"challenger: refused, for {found}"


def promote(lake: Lakehouse, config: Config, *, model: str | None = None, force: bool = False) -> list[Promotion]:
    """Compare challengers with their champions, and make champions of those that are not worse.

    Both sides are asked the same: their master IDs are judged by today's labels on the records that both know.
    Backtests are those of their runs, each beside its naive forecast. What customers would notice is counted on the
    tables of their runs. A new champion is exported to `models/NAME`.

    Args:
        lake: the project's open lakehouse.
        config: the project's config.
        model: one registered model; without it each that has a challenger.
        force: promote what is worse too, with the reasons noted.

    Raises:
        ModelError: there is no such model, or it has no challenger.
    """
    names = MODELS if model is None else (_known(model),)
    with tracking_store(lake.folder):
        import mlflow

        client = mlflow.MlflowClient()
        challenged = {name: sides for name in names if (sides := _sides(client, name))}
        if model is not None and not challenged:
            raise ModelError(
                f"{model} must have a challenger", got="none", hint="`c360ml run` makes one when the model changes"
            )
        found = []
        for name, sides in challenged.items():
            profiles = [_profile(client, side) for side in sides]
            checks = tuple(_checks(lake, config, name, profiles))
            found.append(Promotion(name, str(sides[0].version), str(sides[1].version), checks, force))
            _decide(client, found[-1])
        for each in found:
            if each.promoted:
                export_champion_of(lake.folder, each.model)
    return found


def _sides(client: Any, name: str) -> list[Any]:
    """Look up champion and challenger; empty if one is missing."""
    sides = [version_by_alias(client, name, alias) for alias in (CHAMPION, CHALLENGER)]
    return [] if any(side is None for side in sides) else sides


def _known(model: str) -> str:
    if model not in MODELS:
        raise ModelError(f"a model must be one of {', '.join(MODELS)}", got=model, hint="leave it out for all")
    return model


def _decide(client: Any, promotion: Promotion) -> None:
    """Move the aliases: the champion's first, so that there is one at every moment."""
    name, new = promotion.model, promotion.challenger_version
    client.set_model_version_tag(name, new, DECISION, promotion.decision[:5000])
    if promotion.promoted:
        client.set_registered_model_alias(name, CHAMPION, new)
        client.delete_registered_model_alias(name, CHALLENGER)


def _profile(client: Any, version: Any) -> Profile:
    """Read the profile of the run that made a version; empty if it kept none."""
    run_id = version.tags.get(PARENT_RUN)
    if run_id is None or PROFILE_FILE not in {file.path for file in client.list_artifacts(run_id)}:
        return {}
    with tempfile.TemporaryDirectory() as folder:
        content: Profile = json.loads(Path(client.download_artifacts(run_id, PROFILE_FILE, folder)).read_text("utf-8"))
    return content


# ---------------------------------------------------------------------- checks
def _checks(lake: Lakehouse, config: Config, name: str, profiles: list[Profile]) -> Iterator[Check]:
    if name in _LINKAGE:
        yield from _identity(lake, config, profiles)
    if name in _VALUE:
        yield from _backtest(*(profile.get("holdout", {}) for profile in profiles))
        if _kept(lake, tables.CUSTOMER_VALUE, comparison.VALUE_COLUMNS, profiles):
            yield _told(comparison.value_impact(lake))
    if name in _SEGMENTS:
        yield from _stability(*(profile.get("kmeans", {}) for profile in profiles))
        if _kept(lake, tables.CUSTOMER_SEGMENTS, comparison.SEGMENT_COLUMNS, profiles):
            yield _told(comparison.segment_impact(lake))


def _kept(lake: Lakehouse, table: Table, columns: str, profiles: list[Profile]) -> bool:
    versions = [profile.get("versions", {}).get(table.path) for profile in profiles]
    return comparison.keep_sides(lake, table, columns, (versions[0], versions[1]))


def _identity(lake: Lakehouse, config: Config, profiles: list[Profile]) -> Iterator[Check]:
    if not _kept(lake, tables.IDENTITIES, comparison.IDENTITY_COLUMNS, profiles):
        told = "the tables of its run are gone"
        yield Check("master IDs", told, "", TOLD, told)
        return
    judged = comparison.judge_sides(lake, open_labels(lake, config))
    for each in judged:
        gone = f"F1 on {each.labels} falls from {each.champion_f1:.4f} to {each.challenger_f1:.4f}"
        yield Check(
            f"pairwise F1, {each.labels}",
            f"{each.champion_f1:.4f}",
            f"{each.challenger_f1:.4f}",
            each.verdict,
            f"{gone}, beyond chance (t {each.t:.1f})",
        )
    impact = comparison.identity_impact(lake)
    proven = any(each.verdict == BETTER for each in judged)
    large = impact.share > LARGEST_IDENTITY_CHANGE and not proven
    yield _told(
        impact,
        WORSE if large else AS_GOOD,
        f"{impact.share:.1%} of the customers would change master ID, more than {LARGEST_IDENTITY_CHANGE:.0%}, and no "
        "labels show that it is better",
    )


def _told(impact: Impact, verdict: str = TOLD, reason: str = "") -> Check:
    return Check(impact.what, f"of {impact.customers:,}", f"{impact.changed:,} ({impact.share:.1%})", verdict, reason)


def _backtest(champion: dict[str, float], challenger: dict[str, float]) -> Iterator[Check]:
    if not (champion.get("naive_mae") and challenger.get("naive_mae")):
        return
    old, new = (side["mae"] / side["naive_mae"] for side in (champion, challenger))
    yield Check(
        "backtest: MAE by that of the naive forecast",
        f"{old:.3f}",
        f"{new:.3f}",
        WORSE if new > old * (1 + LARGEST_ERROR_GROWTH) else BETTER if new < old else AS_GOOD,
        f"its backtest's error by the naive one grows from {old:.3f} to {new:.3f}",
    )
    chance = _STANDARD_ERRORS * sqrt(sum(1 / max(side["actual_purchases"], 1) for side in (champion, challenger)))
    off = [abs(side["bias"]) for side in (champion, challenger)]
    yield Check(
        "backtest: bias",
        f"{champion['bias']:+.1%}",
        f"{challenger['bias']:+.1%}",
        WORSE if off[1] > off[0] + chance else BETTER if off[1] < off[0] else AS_GOOD,
        f"its backtest's bias grows from {champion['bias']:+.1%} to {challenger['bias']:+.1%}, beyond chance",
    )


def _stability(champion: dict[str, float], challenger: dict[str, float]) -> Iterator[Check]:
    if "ari_mean" not in champion or "ari_mean" not in challenger:
        return
    old, new = champion["ari_mean"], challenger["ari_mean"]
    yield Check(
        "stability of clusters (adjusted Rand index)",
        f"{old:.3f}",
        f"{new:.3f}",
        WORSE if new < old - LARGEST_STABILITY_LOSS else BETTER if new > old else AS_GOOD,
        f"its clusters are less stable: adjusted Rand index {new:.3f}, was {old:.3f}",
    )
