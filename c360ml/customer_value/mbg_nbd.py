"""MBG/NBD: customers leave, if they do, after a purchase, the first included."""

from __future__ import annotations

from typing import ClassVar

from c360ml.customer_value.bg_nbd import BetaGeometricModel
from c360ml.customer_value.bg_nbd_formulas import MBG_NBD, BetaGeometric


class MbgNbd(BetaGeometricModel):
    """The modified BG/NBD of Batislam, Denizel and Filiztekin (2007), also known as CBG/NBD.

    As `BgNbd`, but customers may leave after their first purchase too: of one-time buyers it is not supposed
    that all are still customers.

    >>> import pandas
    >>> history = pandas.DataFrame({
    ...     "repeat_purchases": [0, 1, 2, 6, 0, 3],
    ...     "first_to_last_purchase_weeks": [0.0, 5.0, 30.4, 38.0, 0.0, 12.0],
    ...     "age_weeks": [38.9, 38.9, 38.9, 39.0, 30.0, 36.0],
    ...     "weight": [1411, 439, 214, 64, 300, 90]})
    >>> bool((MbgNbd(penalty=1).fit(history).probability_alive(history) < 1).all())
    True
    """

    kind = "MBG/NBD"
    formulas: ClassVar[BetaGeometric] = MBG_NBD
