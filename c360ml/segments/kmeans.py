"""KMeans: buyers who are alike in when, how often and for how much they bought."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np

from c360ml.errors import ConfigError, NotFittedError
from c360ml.lakehouse import same_kind
from c360ml.segments.buyers import FEATURES, check_count, check_one, open_buyers
from c360ml.segments.kmeans_choice import Matrix, choose, measure_candidates, nearest, refine
from c360ml.segments.kmeans_matching import describe_change, match_clusters, near
from c360ml.segments.kmeans_names import carry_names, name_clusters
from c360ml.segments.model_display import KMeansDisplay
from c360ml.segments.saved import opening, saved

LEAST_CUSTOMERS = 10
"""Buyers below which no clusters are sought."""
_FIT_ROWS = 200_000
_BEYOND = 0.01
"""Share of the fitted buyers beyond each limit."""

# Ordered by a hash of the key: a random sample that does not depend on the order of rows.
_SAMPLE = f"""
    select {", ".join(f"{name}::double as {name}" for name in FEATURES)}
    from buyers
    order by md5(customer_id::varchar), customer_id
    limit {_FIT_ROWS}
"""
_ASSIGN = """
    with limited as (
        select
            columns(lambda name: name != 'kmeans_segment'),
            least(greatest(days_since_last_purchase, $lows[1]), $highs[1]) as limited_days,
            least(greatest(purchases, $lows[2]), $highs[2]) as limited_purchases,
            least(greatest(total_spend, $lows[3]), $highs[3]) as limited_spend
        from {table}
    ),
    scaled as (
        select
            * exclude (limited_days, limited_purchases, limited_spend),
            (ln(1 + limited_days) - $means[1]) / $scales[1] as scaled_days,
            (ln(1 + limited_purchases) - $means[2]) / $scales[2] as scaled_purchases,
            (ln(1 + limited_spend) - $means[3]) / $scales[3] as scaled_spend
        from limited
    ),
    measured as (
        select
            * exclude (scaled_days, scaled_purchases, scaled_spend),
            list_transform($centres::double[][], lambda centre:
                (scaled_days - centre[1]) ** 2
                + (scaled_purchases - centre[2]) ** 2
                + (scaled_spend - centre[3]) ** 2
            ) as squared_distances
        from scaled
    )
    select
        * exclude (squared_distances),
        ($cluster_names::varchar[])[list_position(squared_distances, list_min(squared_distances))]
            as kmeans_segment
    from measured
"""


class KMeansSegmenter(KMeansDisplay):
    """Cluster buyers on the standardised logarithms of days, purchases and spend (below 0 counts as 0).

    Each feature is winsorised: a value beyond the 1st or 99th percentile of the fitted buyers counts as that
    percentile. Otherwise a few buyers who got all their money back would be a cluster: the logarithm of
    their spend, 0, lies far from all others.

    Fewer than 10 buyers, or fewer than 4 different ones, make one segment, "all buyers", unless k asks for
    more. Fitted on at most 200,000 buyers, chosen by a hash of their key; the answer does not depend on the
    order of rows or the number of threads.

    Args:
        k: number of clusters; without it 3 to 10, by silhouette among those that come back on resampling and
            are tighter than chance.
        seed: seed of starts and resamples.

    Attributes:
        k_: number of clusters.
        names_: their names, dearest cluster first.
        limits_: least and greatest days, purchases and spend that are told apart: two rows of three.
        centres_: their centres in standardised logarithms.
        profiles_: what is typical of each cluster (geometric means within limits), and its share of fitted buyers.
        diagnostics_: for each k tried silhouette, gap, bootstrap agreement, smallest share, stable, supported or not.
        is_stable_: whether the chosen k is stable and supported; a single segment is.
        change_: how far a refit agrees with the fit before: adjusted Rand index, share of customers who stay,
            clusters that keep their name; None for a first fit.

    >>> import pandas as pd
    >>> buyers = pd.DataFrame({"customer_id": range(60), "days_since_last_purchase": [5, 300, 900] * 20,
    ...                        "purchases": [9, 3, 1] * 20, "total_spend": [float(s) for s in range(60)]})
    >>> segmenter = KMeansSegmenter(k=3).fit(buyers)
    >>> segmenter.assign(days_since_last_purchase=4, purchases=8, total_spend=30.0)
    'recent frequent buyers'
    """

    def __init__(self, k: int | None = None, seed: int = 1) -> None:
        self.k = k
        self.seed = seed

    def fit(self, table: Any, previous: KMeansSegmenter | None = None) -> KMeansSegmenter:
        """Learn clusters from a table of customer_id, days_since_last_purchase, purchases, total_spend.

        Args:
            table: the buyers.
            previous: an earlier fit. Its number of clusters stays unless only others are good, the search starts
                from its centres, and a cluster that holds the same customers keeps its name.

        Raises:
            ConfigError: k is not a whole number from 2 to 26.
            ColumnError: a column is missing or not numeric.
            DataError: there is no row, one that is not a buyer, or too few different ones for k.
        """
        if self.k is not None and self.k not in range(2, 27):
            raise ConfigError(
                "k must be a whole number from 2 to 26", got=self.k, hint="leave it out to have it chosen"
            )
        with open_buyers(table) as con:
            columns = con.sql(_SAMPLE).fetchnumpy()
            customers = int(con.execute("select count(*) from buyers").fetchall()[0][0])
        check_count(customers)
        features = np.column_stack([np.asarray(columns[name]) for name in FEATURES])
        self.customers_ = customers
        self.limits_ = _limits(features)
        logarithms = self._logarithms(features)
        self.means_ = logarithms.mean(axis=0)
        spread = logarithms.std(axis=0)
        # Rounding leaves a spread of about 1e-16 where all values are equal.
        self.scales_ = np.where(spread > 1e-9, spread, 1.0)
        points = (logarithms - self.means_) / self.scales_
        start = self._own_scale(previous) if previous is not None and len(previous.centres_) > 1 else None
        self._find_clusters(points, start)
        self._describe(points)
        self.change_: dict[str, Any] | None = None
        if previous is not None and start is not None and self.k_ > 1:
            self._follow(previous, features, points, start)
        return self

    def _own_scale(self, previous: KMeansSegmenter) -> Matrix:
        logarithms = previous.centres_ * previous.scales_ + previous.means_
        return np.asarray((logarithms - self.means_) / self.scales_)

    def _find_clusters(self, points: Matrix, start: Matrix | None) -> None:
        enough = len(points) >= LEAST_CUSTOMERS and len(np.unique(points, axis=0)) >= 4
        if self.k is None and not enough:
            self.diagnostics_: list[dict[str, Any]] = []
            self.is_stable_ = True
            self.centres_ = np.zeros((1, len(FEATURES)))
            return
        measured = measure_candidates(points, self.seed, self.k)
        chosen = choose([candidate for candidate, _ in measured], kept=None if start is None else len(start))
        self.diagnostics_ = [{**asdict(candidate), "is_stable": candidate.is_stable} for candidate, _ in measured]
        self.is_stable_ = chosen.is_good
        if start is None or len(start) != chosen.k:
            start = next(centres for candidate, centres in measured if candidate == chosen)
        centres = refine(points, start, self.seed)
        self.centres_ = centres[np.lexsort((centres[:, 0], -centres[:, 1], -centres[:, 2]))]

    def _describe(self, points: Matrix) -> None:
        self.k_ = len(self.centres_)
        typical = np.expm1(self.centres_ * self.scales_ + self.means_)
        self.names_ = name_clusters(self.centres_, typical[:, 1]) if self.k_ > 1 else ["all buyers"]
        shares = np.bincount(nearest(points, self.centres_), minlength=self.k_) / len(points)
        self.profiles_: list[dict[str, Any]] = [
            {
                "kmeans_segment": name,
                "share": float(share),
                **{feature: float(middle) for feature, middle in zip(FEATURES, middles, strict=True)},
            }
            for name, share, middles in zip(self.names_, shares, typical, strict=True)
        ]

    def _follow(self, previous: KMeansSegmenter, features: Matrix, points: Matrix, start: Matrix) -> None:
        """Pair clusters with those of the fit before; those that stay near keep their name."""
        old = nearest((previous._logarithms(features) - previous.means_) / previous.scales_, previous.centres_)
        new = nearest(points, self.centres_)
        pairs = match_clusters(old, new)
        kept = near(pairs, self.centres_, start)
        self.names_ = carry_names(self.names_, {place: previous.names_[at] for place, at in kept.items()})
        for profile, name in zip(self.profiles_, self.names_, strict=True):
            profile["kmeans_segment"] = name
        self.change_ = describe_change(old, new, pairs, len(kept))

    def predict(self, table: Any) -> Any:
        """Add kmeans_segment, the name of the nearest centre; same kind of table, same order of rows.

        Raises:
            NotFittedError: before `fit`.
            ColumnError: a column is missing or not numeric.
            DataError: a row is not a buyer.
        """
        query, parameters = self.as_sql("buyers")
        with open_buyers(table) as con:
            return same_kind(con.sql(query, params=parameters), table)

    def as_sql(self, table: str) -> tuple[str, dict[str, Any]]:
        """Give the naming of a DuckDB table's rows as a query and its parameters.

        Raises:
            NotFittedError: before `fit`.
        """
        self._check_fitted()
        return _ASSIGN.format(table=table), {
            "lows": self.limits_[0].tolist(),
            "highs": self.limits_[1].tolist(),
            "means": self.means_.tolist(),
            "scales": self.scales_.tolist(),
            "centres": self.centres_.tolist(),
            "cluster_names": list(self.names_),
        }

    def assign(self, days_since_last_purchase: float, purchases: float, total_spend: float) -> str:
        """Name the cluster of one buyer without a table.

        Raises:
            NotFittedError: before `fit`.
            DataError: the numbers are not a buyer's.
        """
        self._check_fitted()
        check_one(days_since_last_purchase, purchases, total_spend)
        one = self._logarithms(np.array([[days_since_last_purchase, purchases, total_spend]], dtype=np.float64))
        return self.names_[int(nearest((one - self.means_) / self.scales_, self.centres_)[0])]

    def to_dict(self) -> dict[str, Any]:
        """Give all that was learned as plain JSON.

        Raises:
            NotFittedError: before `fit`.
        """
        self._check_fitted()
        return saved(
            "KMeansSegmenter",
            k=self.k,
            seed=self.seed,
            customers=self.customers_,
            limits=self.limits_.tolist(),
            means=self.means_.tolist(),
            scales=self.scales_.tolist(),
            centres=self.centres_.tolist(),
            names=list(self.names_),
            profiles=[dict(profile) for profile in self.profiles_],
            diagnostics=[dict(candidate) for candidate in self.diagnostics_],
            is_stable=self.is_stable_,
            change=self.change_,
        )

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> KMeansSegmenter:
        """Bring back a segmenter from `to_dict`.

        Raises:
            ModelError: the content is of another model, or damaged.
        """
        with opening("KMeansSegmenter", content):
            segmenter = cls(content["k"], int(content["seed"]))
            segmenter.customers_ = int(content["customers"])
            segmenter.limits_ = np.array(content["limits"], dtype=np.float64).reshape(2, len(FEATURES))
            segmenter.means_ = np.array(content["means"], dtype=np.float64)
            segmenter.scales_ = np.array(content["scales"], dtype=np.float64)
            segmenter.centres_ = np.array(content["centres"], dtype=np.float64).reshape(-1, len(FEATURES))
            segmenter.names_ = [str(name) for name in content["names"]]
            segmenter.k_ = len(segmenter.names_)
            segmenter.profiles_ = [dict(profile) for profile in content["profiles"]]
            segmenter.diagnostics_ = [dict(candidate) for candidate in content["diagnostics"]]
            segmenter.is_stable_ = bool(content["is_stable"])
            segmenter.change_ = content.get("change")  # not known to releases before 0.2
        return segmenter

    def _logarithms(self, features: Matrix) -> Matrix:
        return np.log1p(np.clip(features, *self.limits_))

    def _check_fitted(self) -> None:
        if not hasattr(self, "centres_"):
            raise NotFittedError("KMeansSegmenter")


def _limits(features: Matrix) -> Matrix:
    ranked = np.sort(np.maximum(features, 0.0), axis=0)
    beyond = int(_BEYOND * (len(ranked) - 1))
    return ranked[[beyond, -1 - beyond]]
