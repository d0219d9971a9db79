"""The linkage model as JSON: everything learnt, no record."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from c360ml.errors import ModelError
from c360ml.linkage.blocking import BlockedRule, BlockingRule
from c360ml.linkage.comparisons import choose_comparisons
from c360ml.linkage.constraints import Constraints
from c360ml.linkage.latent_classes import LatentClasses
from c360ml.linkage.recalibration import Recalibration
from c360ml.linkage.two_classes import PAIR_CLASSES

if TYPE_CHECKING:
    from c360ml.linkage.model import LinkageModel

FORMAT_VERSION = 1


def write_model(model: LinkageModel) -> dict[str, Any]:
    """Write what `LinkageModel.to_dict` says."""
    return {
        "format_version": FORMAT_VERSION,
        "threshold": model.threshold,
        "max_pairs": model.max_pairs,
        "seed": model.seed,
        "constraints": model.constraints.to_dict(),
        "columns": sorted(model._columns()),
        "blocking_rules": [rule.to_dict() for rule in model.rules_],
        "classes": model.classes_.to_dict(),
        "recalibration": model.recalibration_.to_dict(),
    }


def read_model(make: type[LinkageModel], content: Mapping[str, Any]) -> LinkageModel:
    """Rebuild a model from what `write_model` wrote.

    Raises:
        ModelError: the content is of another format version, or damaged.
    """
    if "splink_settings" in content:
        return make.from_splink_dict(content)
    if content.get("format_version") != FORMAT_VERSION:
        raise ModelError(
            f"a linkage model must have format_version {FORMAT_VERSION}",
            got=content.get("format_version"),
            hint="train it again with this version",
        )
    try:
        # Models of c360ml 0.1 know no kind of classes, no constraints and no recalibration.
        kind = content["classes"].get("kind", LatentClasses.kind)
        model = make(threshold=content["threshold"], max_pairs=content["max_pairs"], seed=content["seed"], classes=kind)
        model._stored_columns = frozenset(content["columns"])
        model.comparisons_ = choose_comparisons(model._stored_columns)
        model.blocking_ = tuple(
            BlockedRule(BlockingRule.from_dict(rule), 0, chosen=True) for rule in content["blocking_rules"]
        )
        model.classes_ = PAIR_CLASSES[kind].from_dict(model.comparisons_, content["classes"])
        model.constraints = Constraints.from_dict(content.get("constraints", {}))
        known = content.get("recalibration")
        model.recalibration_ = Recalibration.from_dict(known) if known else Recalibration.identity()
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(
            "a linkage model must hold what to_dict wrote", got=repr(error), hint="train it again with this version"
        ) from error
    return model
