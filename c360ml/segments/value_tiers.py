"""Value tiers: buyers by what they are worth, the others by how near they are to buying."""

from __future__ import annotations

from typing import Any

from c360ml.errors import ConfigError, DataError, NotFittedError
from c360ml.lakehouse import as_relation, connect
from c360ml.segments.buyers import check_columns
from c360ml.segments.model_display import TiersDisplay
from c360ml.segments.percentiles import cut_points
from c360ml.segments.saved import opening, saved

VALUE_TIER_RULES: tuple[tuple[str, str], ...] = (
    # tier, condition; a cut that no buyer reached is null, and then never holds
    ("VIP", "purchases > 0 and customer_value >= $vip_cut"),
    ("PREMIUM", "purchases > 0 and customer_value >= $premium_cut"),
    ("STANDARD", "purchases > 0 and customer_value >= $standard_cut"),
    ("ACTIVE", "purchases > 0"),
    ("SERVICE_ONLY", "service_visits > 0"),
    ("ENGAGED", "digital_interactions >= $engaged_events"),
    ("PROSPECT", "true"),
)

VALUE_TIERS: tuple[str, ...] = tuple(tier for tier, _ in VALUE_TIER_RULES)


class ValueTiers(TiersDisplay):
    """Tell each customer's value tier; equal values get equal tiers.

    Args:
        vip_percentile: buyers at or above this percentile (average rank) of value are VIP.
        premium_percentile: at or above it PREMIUM.
        standard_percentile: at or above it STANDARD, below ACTIVE.
        engaged_events: digital events that make a customer without purchase or service ENGAGED.

    Attributes:
        cut_points_: least value of VIP, PREMIUM and STANDARD; None if no buyer reached it.

    >>> import pandas as pd
    >>> buyers = pd.DataFrame({"customer_id": range(10), "customer_value": [float(v) for v in range(10)]})
    >>> tiers = ValueTiers().fit(buyers)
    >>> tiers.cut_points_
    {'VIP': 9.0, 'PREMIUM': 8.0, 'STANDARD': 4.0}
    >>> tiers.assign(purchases=2, customer_value=8.5), tiers.assign(service_visits=1)
    ('PREMIUM', 'SERVICE_ONLY')
    """

    def __init__(
        self,
        vip_percentile: float = 0.95,
        premium_percentile: float = 0.80,
        standard_percentile: float = 0.40,
        engaged_events: int = 3,
    ) -> None:
        self.vip_percentile = vip_percentile
        self.premium_percentile = premium_percentile
        self.standard_percentile = standard_percentile
        self.engaged_events = engaged_events

    def fit(self, buyers: Any) -> ValueTiers:
        """Learn cut points from a table of customer_id and customer_value, buyers only; it may be empty.

        Raises:
            ConfigError: the percentiles do not fall from VIP to STANDARD.
            ColumnError: a column is missing or not numeric.
            DataError: a value is unknown.
        """
        shares = (self.vip_percentile, self.premium_percentile, self.standard_percentile)
        if not 1 > shares[0] >= shares[1] >= shares[2] >= 0:
            raise ConfigError(
                "percentiles must fall from vip to premium to standard, between 0 and 1",
                got=shares,
                hint="leave them out to use the defaults",
            )
        con = connect()
        relation = as_relation(con, buyers)
        types = dict(zip(relation.columns, map(str, relation.types), strict=True))
        check_columns(types, ("customer_id", "customer_value"))
        relation.create_view("buyers")
        unknown = con.execute(
            "select count(*) from buyers where not coalesce(isfinite(customer_value::double), false)"
        ).fetchall()[0][0]
        if unknown:
            raise DataError(
                "each buyer must have a value",
                got=f"{unknown:,} rows without a finite customer_value",
                hint="use 0 for no value",
            )
        cuts = cut_points(con, "buyers", "customer_value", shares)
        self.cut_points_ = dict(zip(("VIP", "PREMIUM", "STANDARD"), cuts, strict=True))
        return self

    def parameters(self) -> dict[str, Any]:
        """Give what `VALUE_TIER_RULES` compare with.

        Raises:
            NotFittedError: before `fit`.
        """
        if not hasattr(self, "cut_points_"):
            raise NotFittedError("ValueTiers")
        cuts = {f"{tier.lower()}_cut": cut for tier, cut in self.cut_points_.items()}
        return {**cuts, "engaged_events": self.engaged_events}

    def assign(
        self,
        *,
        purchases: int = 0,
        customer_value: float = 0.0,
        service_visits: int = 0,
        digital_interactions: int = 0,
    ) -> str:
        """Tell the tier of one customer without a table.

        Raises:
            NotFittedError: before `fit`.
        """
        engaged_events = self.parameters()["engaged_events"]
        if purchases > 0:
            reached = (tier for tier, cut in self.cut_points_.items() if cut is not None and customer_value >= cut)
            return next(reached, "ACTIVE")
        if service_visits > 0:
            return "SERVICE_ONLY"
        return "ENGAGED" if digital_interactions >= engaged_events else "PROSPECT"

    def to_dict(self) -> dict[str, Any]:
        """Give all that was learned as plain JSON.

        Raises:
            NotFittedError: before `fit`.
        """
        self.parameters()
        return saved(
            "ValueTiers",
            vip_percentile=self.vip_percentile,
            premium_percentile=self.premium_percentile,
            standard_percentile=self.standard_percentile,
            engaged_events=self.engaged_events,
            cut_points=dict(self.cut_points_),
        )

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> ValueTiers:
        """Bring back tiers from `to_dict`.

        Raises:
            ModelError: the content is of another model, or damaged.
        """
        with opening("ValueTiers", content):
            tiers = cls(
                content["vip_percentile"],
                content["premium_percentile"],
                content["standard_percentile"],
                content["engaged_events"],
            )
            tiers.cut_points_ = {tier: content["cut_points"][tier] for tier in ("VIP", "PREMIUM", "STANDARD")}
        return tiers
