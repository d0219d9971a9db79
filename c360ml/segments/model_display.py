"""What a notebook shows of segment models: cut points, clusters and tiers; counts, no customer."""

from __future__ import annotations

from typing import Any

from c360ml.display import DisplayedEstimator, Part, note, table


class RfmDisplay(DisplayedEstimator):
    """Shows the cut points and how many customers each band holds."""

    bands: int
    cut_points_: dict[str, list[float | None]]
    band_sizes_: dict[str, list[int]]
    customers_: int

    def _learned_parts(self) -> list[Part]:
        if not hasattr(self, "cut_points_"):
            return []
        scores = [f"score {score}" for score in range(1, self.bands + 1)]
        cuts = [(name, *cuts) for name, cuts in self.cut_points_.items()]
        return [
            note(f"Fitted on {self.customers_:,} buyers."),
            table(
                ["", *(f"{score} from" for score in scores[1:])], cuts, caption="Cut points; fewer days score higher"
            ),
            table(["", *scores], [(name, *sizes) for name, sizes in self.band_sizes_.items()], caption="Buyers"),
        ]


class KMeansDisplay(DisplayedEstimator):
    """Shows the clusters: names, shares and what is typical."""

    k_: int
    profiles_: list[dict[str, Any]]
    is_stable_: bool
    customers_: int

    def _learned_parts(self) -> list[Part]:
        if not hasattr(self, "profiles_"):
            return []
        columns = list(self.profiles_[0])
        rows = [[f"{row[name]:.1%}" if name == "share" else row[name] for name in columns] for row in self.profiles_]
        stable = "They come back on resampling." if self.is_stable_ else "They do not come back on resampling."
        return [
            note(f"{self.k_} clusters of {self.customers_:,} buyers. {stable}"),
            table([name.replace("_", " ") for name in columns], rows, caption="Typical values (geometric means)"),
        ]


class TiersDisplay(DisplayedEstimator):
    """Shows the least value of each tier."""

    cut_points_: dict[str, float | None]

    def _learned_parts(self) -> list[Part]:
        if not hasattr(self, "cut_points_"):
            return []
        return [table(["tier", "value from"], self.cut_points_.items())]
