"""What is planted in a world: the parameters of its purchases and campaigns, and its window of time."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import date
from typing import Any

import numpy as np
from scipy.optimize import brentq
from scipy.special import hyp2f1

from c360ml.errors import ConfigError

OBSERVATION_START = date(2021, 7, 1)
OBSERVATION_END = date(2026, 6, 30)
WINDOW_WEEKS = (OBSERVATION_END - OBSERVATION_START).days / 7
BUYER_SHARE = 0.55
SERVICES_PER_PERSON = 2.45


@dataclass(frozen=True)
class Campaign:
    """A campaign, its hold-out and what it does to those who are treated."""

    campaign_id: str
    name: str
    channel: str
    starts_on: date
    ends_on: date
    sent_on: date
    cost_per_send: float
    audience_share: float
    control_share: float
    open_rate: float
    click_rate_of_openers: float
    uplift: float
    window_days: int = 30


CAMPAIGNS = (
    Campaign(
        "CMP-2025-SPRING",
        "Spring test drive",
        "EMAIL",
        date(2025, 4, 1),
        date(2025, 5, 15),
        date(2025, 4, 3),
        cost_per_send=4.0,
        audience_share=0.95,
        control_share=0.35,
        open_rate=0.34,
        click_rate_of_openers=0.22,
        uplift=0.09,
    ),
    Campaign(
        "CMP-2025-LOYALTY",
        "Loyalty upgrade",
        "MIXED",
        date(2025, 10, 1),
        date(2025, 11, 30),
        date(2025, 10, 6),
        cost_per_send=9.5,
        audience_share=0.90,
        control_share=0.35,
        open_rate=0.27,
        click_rate_of_openers=0.18,
        uplift=0.14,
    ),
)


def expected_repeat_purchases(weeks: np.ndarray | float, *, r: float, alpha: float, a: float, b: float) -> np.ndarray:
    """Mean number of repeat purchases of a BG/NBD customer within `weeks` of the first purchase.

    E[X(t)] = (a + b - 1) / (a - 1) * (1 - (alpha / (alpha + t))^r * 2F1(r, b; a + b - 1; t / (alpha + t))),
    equation 9 of Fader, Hardie and Lee (2005), "Counting Your Customers the Easy Way".

    >>> round(float(expected_repeat_purchases(39, r=0.243, alpha=4.414, a=0.793, b=2.426)), 3)
    1.197
    """
    t = np.asarray(weeks, dtype=float)
    remaining = (alpha / (alpha + t)) ** r * hyp2f1(r, b, a + b - 1, t / (alpha + t))
    return np.asarray((a + b - 1) / (a - 1) * (1 - remaining))


@dataclass(frozen=True)
class Planted:
    """Parameters of the purchase process: BG/NBD in weeks, Gamma-Gamma in the project's currency.

    >>> planted = Planted.scaled_to(1.5)
    >>> round(planted.purchases_per_person, 6)
    1.5
    """

    r: float = 0.8
    alpha: float = 40.0
    a: float = 0.7
    b: float = 3.5
    p: float = 6.0
    q: float = 4.0
    v: float = 15_000.0

    @property
    def purchases_per_person(self) -> float:
        """Mean purchases of a person, buyers or not, campaigns and refunds apart."""
        weeks = (np.arange(2_000) + 0.5) * (WINDOW_WEEKS / 2_000)
        repeats = expected_repeat_purchases(weeks, r=self.r, alpha=self.alpha, a=self.a, b=self.b)
        return float(BUYER_SHARE * (1 + repeats.mean()))

    @property
    def mean_spend(self) -> float:
        """Mean amount of a purchase: p v / (q - 1)."""
        return self.p * self.v / (self.q - 1)

    @classmethod
    def scaled_to(cls, purchases_per_person: float | None) -> Planted:
        """Choose alpha so that people make that many purchases on average.

        Raises:
            ConfigError: the process cannot make that many, or so few.
        """
        if purchases_per_person is None:
            return cls()
        low, high = 1e-3, 1e5

        def excess(log_alpha: float) -> float:
            return cls(alpha=float(np.exp(log_alpha))).purchases_per_person - purchases_per_person

        if not excess(np.log(high)) < 0 < excess(np.log(low)):
            raise ConfigError(
                f"purchases_per_customer must be above {cls(alpha=high).purchases_per_person:.2f} "
                f"and below {cls(alpha=low).purchases_per_person:.0f}",
                got=purchases_per_person,
                hint="leave it out for the default",
            )
        return cls(alpha=float(np.exp(brentq(excess, np.log(low), np.log(high), xtol=1e-12))))

    def to_dict(self) -> dict[str, Any]:
        """Give the parameters as plain JSON."""
        return asdict(self)
