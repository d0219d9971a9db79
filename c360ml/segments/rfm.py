"""RFM: how recently, how often and for how much a customer bought, each scored 1 to 5."""

from __future__ import annotations

from typing import Any

from c360ml.errors import ConfigError, NotFittedError
from c360ml.lakehouse import same_kind
from c360ml.segments.buyers import FEATURES, check_count, check_one, open_buyers
from c360ml.segments.model_display import RfmDisplay
from c360ml.segments.percentiles import cut_points
from c360ml.segments.rfm_map import segment_by_code
from c360ml.segments.saved import opening, saved

_SCORE = """
    with scored as (
        select
            columns(lambda name: name not in ['r_score', 'f_score', 'm_score', 'rfm_score', 'rfm_segment']),
            1 + len(list_filter($days_cuts::double[], lambda cut: days_since_last_purchase <= cut))
                as r_score,
            1 + len(list_filter($purchases_cuts::double[], lambda cut: purchases >= cut)) as f_score,
            1 + len(list_filter($spend_cuts::double[], lambda cut: total_spend >= cut)) as m_score
        from {table}
    ),
    coded as (
        select *, concat(r_score, f_score, m_score) as rfm_score from scored
    )
    select *, map($codes::varchar[], $segment_names::varchar[])[rfm_score] as rfm_segment from coded
"""


class RfmScorer(RfmDisplay):
    """Score buyers by the percentile of their values, so that equal customers score equally.

    A score is 1 + the number of cut points a value reaches; a cut point is the first observed value whose
    percentile (average rank) reaches 1/5, 2/5, ... Days count backwards: fewer score higher. A band may
    stay empty where many values are equal; `band_sizes_` tells. Cut points stay as fitted: scoring the
    same customers later shows true ageing, not rank.

    Args:
        bands: scores of each kind, 2 to 9. The named segments speak of fifths.

    Attributes:
        cut_points_: by column, ascending scores; None for a band that no observed value reached.
        band_sizes_: by column, fitted customers in each band from score 1 up.

    >>> import pandas as pd
    >>> buyers = pd.DataFrame({"customer_id": ["ann", "bob", "cid"], "days_since_last_purchase": [3, 90, 700],
    ...                        "purchases": [9, 2, 2], "total_spend": [900.0, 120.0, 40.0]})
    >>> RfmScorer().fit(buyers).transform(buyers)[["customer_id", "rfm_score", "rfm_segment"]]
      customer_id rfm_score rfm_segment
    0         ann       555   Champions
    1         bob       323  ...
    2         cid       121        Lost
    """

    def __init__(self, bands: int = 5) -> None:
        self.bands = bands

    def fit(self, table: Any) -> RfmScorer:
        """Learn cut points from a table of customer_id, days_since_last_purchase, purchases, total_spend.

        Raises:
            ConfigError: bands is not a whole number from 2 to 9.
            ColumnError: a column is missing or not numeric.
            DataError: there is no row, or one that is not a buyer.
        """
        if self.bands not in range(2, 10):
            raise ConfigError("bands must be a whole number from 2 to 9", got=self.bands, hint="use 5")
        shares = [band / self.bands for band in range(1, self.bands)]
        with open_buyers(table) as con:
            customers = int(con.execute("select count(*) from buyers").fetchall()[0][0])
            check_count(customers)
            self.cut_points_ = {
                name: cut_points(con, "buyers", name, shares, descending=name == "days_since_last_purchase")
                for name in FEATURES
            }
            query, parameters = self.as_sql("buyers")
            scores = con.sql(query, params=parameters).aggregate(
                "r_score, f_score, m_score, count(*) as customers", "r_score, f_score, m_score"
            )
            counted = scores.fetchall()
        self.band_sizes_ = {
            name: [sum(row[3] for row in counted if row[place] == band) for band in range(1, self.bands + 1)]
            for place, name in enumerate(FEATURES)
        }
        self.customers_ = customers
        return self

    def transform(self, table: Any) -> Any:
        """Add r_score, f_score, m_score, rfm_score and rfm_segment; same kind of table, same order of rows.

        Raises:
            NotFittedError: before `fit`.
            ColumnError: a column is missing or not numeric.
            DataError: a row is not a buyer.
        """
        query, parameters = self.as_sql("buyers")
        with open_buyers(table) as con:
            return same_kind(con.sql(query, params=parameters), table)

    def as_sql(self, table: str) -> tuple[str, dict[str, Any]]:
        """Give the scoring of a DuckDB table as a query and its parameters.

        Raises:
            NotFittedError: before `fit`.
        """
        self._check_fitted()
        segments = segment_by_code(self.bands)
        reached = {name: [cut for cut in self.cut_points_[name] if cut is not None] for name in FEATURES}
        return _SCORE.format(table=table), {
            "days_cuts": reached["days_since_last_purchase"],
            "purchases_cuts": reached["purchases"],
            "spend_cuts": reached["total_spend"],
            "codes": list(segments),
            "segment_names": list(segments.values()),
        }

    def score_one(self, days_since_last_purchase: float, purchases: float, total_spend: float) -> dict[str, Any]:
        """Score one buyer without a table.

        Raises:
            NotFittedError: before `fit`.
            DataError: the numbers are not a buyer's.
        """
        self._check_fitted()
        check_one(days_since_last_purchase, purchases, total_spend)
        days_cuts, purchase_cuts, spend_cuts = (self.cut_points_[name] for name in FEATURES)
        r_score = 1 + sum(cut is not None and days_since_last_purchase <= cut for cut in days_cuts)
        f_score = 1 + sum(cut is not None and purchases >= cut for cut in purchase_cuts)
        m_score = 1 + sum(cut is not None and total_spend >= cut for cut in spend_cuts)
        code = f"{r_score}{f_score}{m_score}"
        return {
            "r_score": r_score,
            "f_score": f_score,
            "m_score": m_score,
            "rfm_score": code,
            "rfm_segment": segment_by_code(self.bands)[code],
        }

    def to_dict(self) -> dict[str, Any]:
        """Give all that was learned as plain JSON.

        Raises:
            NotFittedError: before `fit`.
        """
        self._check_fitted()
        return saved(
            "RfmScorer",
            bands=self.bands,
            cut_points={name: list(cuts) for name, cuts in self.cut_points_.items()},
            band_sizes={name: list(sizes) for name, sizes in self.band_sizes_.items()},
            customers=self.customers_,
        )

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> RfmScorer:
        """Bring back a scorer from `to_dict`.

        Raises:
            ModelError: the content is of another model, or damaged.
        """
        with opening("RfmScorer", content):
            scorer = cls(int(content["bands"]))
            scorer.cut_points_ = {name: list(content["cut_points"][name]) for name in FEATURES}
            scorer.band_sizes_ = {name: list(content["band_sizes"][name]) for name in FEATURES}
            scorer.customers_ = int(content["customers"])
        return scorer

    def _check_fitted(self) -> None:
        if not hasattr(self, "cut_points_"):
            raise NotFittedError("RfmScorer")
