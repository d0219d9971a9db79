"""How numbers are written in a report: counts, shares, money, measures; a dash for what is not known."""

from __future__ import annotations

import math

UNKNOWN = "-"
# from this size on, divided by this, with this letter
_SCALES = ((1e12, 1e12, "T"), (1e9, 1e9, "B"), (1e6, 1e6, "M"), (1e4, 1e3, "k"))


def count(number: float | None) -> str:
    """Write a whole number with separators.

    >>> count(12345), count(None)
    ('12,345', '-')
    """
    return UNKNOWN if number is None else f"{number:,.0f}"


def share(part: float | None, digits: int = 1) -> str:
    """Write a ratio as per cent.

    >>> share(0.1234), share(1.0), share(None)
    ('12.3%', '100%', '-')
    """
    if part is None or not math.isfinite(part):
        return UNKNOWN
    return f"{part:.0%}" if part in (0, 1) else f"{part:.{digits}%}"


def ratio(part: float, whole: float) -> float | None:
    """Divide, or give None by nothing.

    >>> ratio(1, 4), ratio(1, 0)
    (0.25, None)
    """
    return part / whole if whole else None


def measure(number: float | None, digits: int = 3) -> str:
    """Write a measured number, with as many decimals as its size asks for.

    >>> measure(0.12345), measure(1234.5), measure(None)
    ('0.123', '1,234', '-')
    """
    if number is None or not math.isfinite(number):
        return UNKNOWN
    decimals = digits if abs(number) < 10 else max(digits - 2, 0) if abs(number) < 1000 else 0
    return f"{number:,.{decimals}f}"


def money(amount: float | None, currency: str | None) -> str:
    """Write an amount in short, with its currency if one is known.

    >>> money(96_082_908.43, "USD"), money(1234.5, "EUR"), money(12.5, None), money(None, "USD")
    ('USD 96.1M', 'EUR 1,234', '12.5', '-')
    """
    if amount is None or not math.isfinite(amount):
        return UNKNOWN
    unit = f"{currency} " if currency else ""
    for least, divisor, letter in _SCALES:
        if abs(amount) >= least:
            return f"{unit}{amount / divisor:,.1f}{letter}"
    return f"{unit}{amount:,.0f}" if abs(amount) >= 100 else f"{unit}{amount:,.3g}"


def plural(number: float, one: str, many: str | None = None) -> str:
    """Write a number with its noun.

    >>> plural(1, "customer"), plural(2400, "customer"), plural(2, "match", "matches")
    ('1 customer', '2,400 customers', '2 matches')
    """
    return f"{count(number)} {one if number == 1 else many or one + 's'}"
