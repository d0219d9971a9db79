"""The part of the linkage model that speaks Splink: its JSON written and read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from c360ml.errors import ConfigError, NotFittedError
from c360ml.linkage.blocking import BlockedRule
from c360ml.linkage.comparisons import Comparison
from c360ml.linkage.latent_classes import LatentClasses
from c360ml.linkage.recalibration import Recalibration
from c360ml.linkage.splink_file import write_settings
from c360ml.linkage.two_classes import TwoClasses

if TYPE_CHECKING:
    from c360ml.linkage.model import LinkageModel


class SplinkExchange:
    """Comes from Splink and goes to Splink."""

    comparisons_: tuple[Comparison, ...]
    blocking_: tuple[BlockedRule, ...]
    classes_: LatentClasses
    recalibration_: Recalibration

    def to_splink_settings(self) -> dict[str, Any]:
        """Say a two-class model in Splink's JSON: the same weights on the table `linkage_features` that `fit` leaves.

        Raises:
            NotFittedError: before `fit`.
            ConfigError: the model has more than two classes, or was recalibrated: Splink has neither.
        """
        if not hasattr(self, "classes_"):
            raise NotFittedError("LinkageModel")
        if not isinstance(self.classes_, TwoClasses):
            raise ConfigError(
                "a model must have two classes for Splink, which knows no households",
                got=f"classes {self.classes_.kind!r}",
                hint='LinkageModel(classes="two").fit(records).to_splink_settings()',
            )
        if self.recalibration_.form_ != "identity":
            raise ConfigError(
                "a model for Splink must not be recalibrated", got=self.recalibration_.form_, hint="fit it again"
            )
        rules = tuple(each.rule for each in self.blocking_ if each.chosen)
        return write_settings(self.classes_, self.comparisons_, rules)

    @classmethod
    def from_splink_settings(
        cls, settings: Mapping[str, Any] | str | Path, *, threshold: float | None = None
    ) -> LinkageModel:
        """Take over a model trained in Splink 4 or 5: `score` a table that has its columns, then ask as ever.

        Args:
            settings: dictionary or path of what `linker.misc.save_model_to_json` wrote.
            threshold: see `LinkageModel`.

        Raises:
            ModelError: the model asks for what is not supported; the message names it.
        """
        from c360ml.linkage.splink_model import read_splink_model

        return read_splink_model(settings, threshold=threshold)

    @classmethod
    def from_splink_dict(cls, content: Mapping[str, Any]) -> LinkageModel:
        """Rebuild a model that came from Splink from its `to_dict`.

        Raises:
            ModelError: the content is damaged.
        """
        from c360ml.linkage.splink_model import SplinkModel

        return SplinkModel.of_dict(content)
