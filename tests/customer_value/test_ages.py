"""Discounted purchases read between ages, beside the integral at every age and 30 digits of mpmath."""

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pytest import approx

from c360ml.customer_value.ages import read_between_ages
from c360ml.customer_value.bg_nbd_formulas import BG_NBD, MBG_NBD
from c360ml.customer_value.pareto_nbd_formulas import PARETO_NBD

FORCE = np.log(1.1) / (365.25 / 7)
COUNTS = np.array([0.0, 1.0, 5.0, 3000.0])


def grid(oldest, ages=300):
    """Many ages of each of a few counts of purchases."""
    return np.repeat(COUNTS, ages), np.tile(np.linspace(0, oldest, ages), len(COUNTS))


@pytest.mark.parametrize("formulas", [BG_NBD, MBG_NBD, PARETO_NBD], ids=["BG", "MBG", "Pareto"])
@settings(max_examples=12, deadline=None)
@given(
    logs=st.tuples(*[st.floats(-2.5, 2.5)] * 4),
    oldest=st.sampled_from([0.0, 15.0, 104.0, 1500.0]),
    weeks=st.sampled_from([0.0, 0.5, 52.0, 156.5, np.inf]),
)
def test_ages_read_between_are_those_worked_out(formulas, logs, oldest, weeks):
    """All customers at once get what each would get alone, to 1e-10, whatever the parameters and the horizon."""
    params = np.exp(np.array(logs))[:, None]
    x, age = grid(oldest)
    chosen = np.arange(0, len(x), 37)
    alone = np.repeat(params, len(chosen), axis=1)

    together = formulas.discounted_if_alive(params, x, age, weeks, FORCE)[chosen]
    assert together == approx(formulas.discounted_if_alive(alone, x[chosen], age[chosen], weeks, FORCE), rel=1e-10)


@pytest.mark.parametrize("weeks", [52.0, 156.5])
def test_discounted_purchases_of_many_are_exact(weeks):
    """BG/NBD's discounted purchases of 1,200 customers agree with mpmath's integral of the paper's rate."""
    params, (x, age) = np.array([[0.243], [4.414], [0.793], [2.426]]), grid(104.0)
    found = BG_NBD.discounted_if_alive(params, x, age, weeks, FORCE)
    for row in (7, 299, 450, 777, 1111):
        with mpmath.workdps(30):
            r, alpha, a, b = (mpmath.mpf(float(value)) for value in params.ravel())
            place = alpha + mpmath.mpf(float(age[row]))

            def rate(t, r=r, a=a, b=b, place=place, x=int(x[row])):
                still = mpmath.hyp2f1(r + x + 1, a, a + b + x, -t / place)
                return mpmath.exp(-FORCE * t) * (r + x) / place * still

            exact = float(mpmath.quad(rate, [0, 1, 10, weeks]))
        assert found[row] == approx(exact, rel=1e-10)


def test_few_ages_are_worked_out_themselves():
    """Where points between would save nothing, the function is asked at the ages themselves."""
    asked = []

    def function(x, age):
        asked.append(age)
        return 1 / (1 + age)

    age = np.arange(12.0)
    read_between_ages(function, np.zeros(12), age, 1.0)

    assert [age.tolist()] == [part.tolist() for part in asked]
