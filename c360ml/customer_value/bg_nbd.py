"""BG/NBD: customers leave, if they do, after a repeat purchase."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from c360ml.customer_value.bg_nbd_formulas import BG_NBD, BetaGeometric
from c360ml.customer_value.priors import Quantity
from c360ml.customer_value.purchase_model import PurchaseModel


class BetaGeometricModel(PurchaseModel):
    """What BG/NBD and MBG/NBD share: the meaning of r, alpha, a and b."""

    meanings: ClassVar[Mapping[str, str]] = {
        "r": "how alike customers' purchase rates are",
        "alpha": "how long a purchase takes",
        "a": "how many leave after a purchase",
        "b": "how many stay after a purchase",
    }
    limits: ClassVar[Mapping[str, str]] = {
        "a+ b+": "all customers were equally likely to leave; only the probability a / (a + b) is known",
        "a- b-": "customers either left at once or never",
        "a- b+": "nobody ever left: silences are no longer than chance makes them",
        "a-": "nobody ever left: silences are no longer than chance makes them",
        "b+": "nobody ever left: silences are no longer than chance makes them",
        "b-": "everybody left after a purchase",
        "a+": "everybody left after a purchase",
        "r+ alpha+": "all customers bought equally often; only the rate r / alpha is known",
        "r- alpha-": "a few customers made nearly all purchases",
        "r-": "a few customers made nearly all purchases",
    }
    quantities: ClassVar[Mapping[str, Quantity]] = {
        "weeks_between_purchases": Quantity((-1, 1, 0, 0), of_time=1),
        "dropout_probability": Quantity((0, 0, 1, -1), is_probability=True),
        "r": Quantity((1, 0, 0, 0)),
        "alpha": Quantity((0, 1, 0, 0), of_time=1),
        "a": Quantity((0, 0, 1, 0)),
        "b": Quantity((0, 0, 0, 1)),
    }
    starts = ((0.0, 0.0, 0.0, 1.1), (-1.4, -2.0, -0.2, 0.9), (0.0, -1.0, -2.0, 1.5), (1.0, 1.0, 0.5, 0.5))
    centre = (0.0, 0.0, 0.0, 1.1)  # r = 1, alpha = the mean age, a = 1, b = 3
    time_powers = (0.0, 1.0, 0.0, 0.0)
    purchase_shift = (0.0, -1.0, 0.0, 0.0)
    dropout_shift = (0.0, 0.0, 0.5, -0.5)  # adds to the log odds of leaving, a / b


class BgNbd(BetaGeometricModel):
    """The beta-geometric / negative binomial model of Fader, Hardie and Lee (2005).

    While alive a customer buys at random at a rate drawn from Gamma(r, alpha); after each repeat purchase they
    leave with a probability drawn from Beta(a, b). A customer without repeat purchase is alive for sure. See
    `PurchaseModel` for its arguments and what it learns.

    A prior can be stated for `weeks_between_purchases` (alpha / r), `dropout_probability` (after a purchase:
    a / (a + b)), r, alpha, a or b. The penalty's middling values are r = 1, alpha = the mean age, a = 1, b = 3:
    one purchase in the mean age, and one customer in four leaving after it. Effects of `dropout_covariates` are
    on the log odds of leaving after a purchase.

    >>> import pandas
    >>> history = pandas.DataFrame({
    ...     "repeat_purchases": [0, 1, 2, 6, 0, 3],
    ...     "first_to_last_purchase_weeks": [0.0, 5.0, 30.4, 38.0, 0.0, 12.0],
    ...     "age_weeks": [38.9, 38.9, 38.9, 39.0, 30.0, 36.0],
    ...     "weight": [1411, 439, 214, 64, 300, 90]})
    >>> model = BgNbd(penalty=1).fit(history)
    >>> sorted(model.params_)
    ['a', 'alpha', 'b', 'r']
    >>> model.predict(history, weeks=39)["expected_purchases"].round(1).to_list()
    [0.2, 0.2, 0.9, 3.5, 0.2, 0.4]
    """

    kind = "BG/NBD"
    formulas: ClassVar[BetaGeometric] = BG_NBD
