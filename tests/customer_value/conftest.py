"""CDNOW's tenth sample, its calibration histories, and customers simulated with known parameters."""

from importlib.util import find_spec
from pathlib import Path

import numpy
import pandas
import pytest

from c360ml.customer_value import BgNbd, GammaGamma, MbgNbd, ParetoNbd, purchase_history


@pytest.fixture(scope="session")
def cdnow():
    """Transactions of 2,357 customers; found in the lifetimes wheel without importing it, for it warns."""
    folder = Path(find_spec("lifetimes").submodule_search_locations[0])
    columns = ["master_id", "customer", "day", "cds", "paid"]
    return pandas.read_csv(folder / "datasets" / "CDNOW_sample.txt", sep=r"\s+", header=None, names=columns)


@pytest.fixture(scope="session")
def calibration(cdnow):
    """Histories of the first 39 weeks."""
    return purchase_history(cdnow, customer="customer", date="day", amount="paid", observation_end="1997-09-30")


@pytest.fixture(scope="session")
def bgnbd(calibration):
    """BG/NBD fitted to the calibration period."""
    return BgNbd().fit(calibration)


@pytest.fixture(scope="session")
def gamma_gamma(calibration):
    """Gamma-Gamma fitted to the calibration period."""
    return GammaGamma().fit(calibration)


@pytest.fixture(scope="session")
def mbgnbd(calibration):
    """MBG/NBD fitted to the calibration period."""
    return MbgNbd().fit(calibration)


@pytest.fixture(scope="session")
def paretonbd(calibration):
    """Pareto/NBD fitted to the calibration period."""
    return ParetoNbd().fit(calibration)


@pytest.fixture(scope="session")
def with_params():
    """Make a model with given parameters, as if it were fitted."""

    def make(cls, params):
        content = {"model": cls.kind, "format": 1, "settings": {}, "params": params, "log_likelihood": 0.0}
        nothing = numpy.zeros((len(params), len(params))).tolist()
        return cls.from_dict(content | {"covariance": nothing, "customers": 1, "independence": {}})

    return make


@pytest.fixture(scope="session")
def simulate():
    """Draw histories of customers from BG/NBD and Gamma-Gamma with known parameters."""

    def draw(customers, *, r=0.8, alpha=20.0, a=0.8, b=2.5, p=6.0, q=4.0, v=60.0, seed=1):
        rng = numpy.random.default_rng(seed)
        rate, leaving = rng.gamma(r, 1 / alpha, customers), rng.beta(a, b, customers)
        age = rng.integers(1, 731, customers) / 7
        x, t_x, now = numpy.zeros(customers), numpy.zeros(customers), numpy.zeros(customers)
        active = numpy.arange(customers)
        while len(active):
            now[active] += rng.exponential(1 / rate[active])
            active = active[now[active] <= age[active]]
            x[active] += 1
            t_x[active] = now[active]
            active = active[rng.random(len(active)) > leaving[active]]
        shape = p * numpy.maximum(x, 1)
        spend = rng.gamma(shape, 1, customers) / numpy.maximum(x, 1) / rng.gamma(q, 1 / v, customers)
        return pandas.DataFrame(
            {
                "customer_id": numpy.arange(customers),
                "repeat_purchases": x.astype(int),
                "first_to_last_purchase_weeks": t_x,
                "age_weeks": age,
                "mean_spend": numpy.where(x > 0, spend, numpy.nan),
                "total_spend": spend * (x + 1),
            }
        )

    return draw
