"""Pareto/NBD: customers leave at any moment."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from c360ml.customer_value.pareto_nbd_formulas import PARETO_NBD, ParetoNbdFormulas
from c360ml.customer_value.priors import Quantity
from c360ml.customer_value.purchase_model import PurchaseModel


class ParetoNbd(PurchaseModel):
    """The Pareto/NBD model of Schmittlein, Morrison and Colombo (1987).

    While alive a customer buys at random at a rate drawn from Gamma(r, alpha), and lives for a time whose rate
    of ending is drawn from Gamma(s, beta). See `PurchaseModel` for its arguments and what it learns.

    A prior can be stated for `weeks_between_purchases` (alpha / r), `weeks_until_dropout` (beta / s), r, alpha, s
    or beta. The penalty's middling values are r = s = 1, alpha = the mean age and beta = twice that: one purchase
    in the mean age, and lives of twice it. Effects of `dropout_covariates` are on the log rate of leaving.

    >>> import pandas
    >>> history = pandas.DataFrame({
    ...     "repeat_purchases": [0, 1, 2, 6, 0, 3],
    ...     "first_to_last_purchase_weeks": [0.0, 5.0, 30.4, 38.0, 0.0, 12.0],
    ...     "age_weeks": [38.9, 38.9, 38.9, 39.0, 30.0, 36.0],
    ...     "weight": [1411, 439, 214, 64, 300, 90]})
    >>> model = ParetoNbd(penalty=1).fit(history)
    >>> bool((model.probability_alive(history, weeks_from_now=26) < model.probability_alive(history)).all())
    True
    """

    kind = "Pareto/NBD"
    meanings: ClassVar[Mapping[str, str]] = {
        "r": "how alike customers' purchase rates are",
        "alpha": "how long a purchase takes",
        "s": "how alike customers' rates of leaving are",
        "beta": "how long customers stay",
    }
    limits: ClassVar[Mapping[str, str]] = {
        "s+ beta+": "all customers left at one rate; only that rate, s / beta, is known",
        "s- beta+": "nobody ever left: silences are no longer than chance makes them",
        "s-": "nobody ever left: silences are no longer than chance makes them",
        "beta+": "nobody ever left: silences are no longer than chance makes them",
        "beta-": "some left at once, the others never",
        "r+ alpha+": "all customers bought equally often; only the rate r / alpha is known",
        "r- alpha-": "a few customers made nearly all purchases",
        "r-": "a few customers made nearly all purchases",
    }
    quantities: ClassVar[Mapping[str, Quantity]] = {
        "weeks_between_purchases": Quantity((-1, 1, 0, 0), of_time=1),
        "weeks_until_dropout": Quantity((0, 0, -1, 1), of_time=1),
        "r": Quantity((1, 0, 0, 0)),
        "alpha": Quantity((0, 1, 0, 0), of_time=1),
        "s": Quantity((0, 0, 1, 0)),
        "beta": Quantity((0, 0, 0, 1), of_time=1),
    }
    starts = ((-0.6, -1.1, -0.5, -1.0), (0.0, 0.0, 0.0, 0.7), (0.0, -1.0, 0.0, 2.5), (1.0, 1.0, 1.0, 1.5))
    centre = (0.0, 0.0, 0.0, 0.7)  # r = 1, alpha = the mean age, s = 1, beta = twice the mean age
    time_powers = (0.0, 1.0, 0.0, 1.0)
    purchase_shift = (0.0, -1.0, 0.0, 0.0)
    dropout_shift = (0.0, 0.0, 0.0, -1.0)  # adds to the log rate of leaving
    formulas: ClassVar[ParetoNbdFormulas] = PARETO_NBD
