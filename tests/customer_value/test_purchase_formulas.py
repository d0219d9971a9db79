"""The formulas of purchases against 50 digits and more, and their gradients against differences.

The exact answers are worked out from the papers' own forms (or the definition as an integral), which are not ours.
"""

import mpmath
import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from mpmath import mpf
from pytest import approx

from c360ml.customer_value.bg_nbd_formulas import BG_NBD, MBG_NBD
from c360ml.customer_value.compression import Histories
from c360ml.customer_value.hypergeometric import gauss_2f1
from c360ml.customer_value.pareto_nbd_formulas import PARETO_NBD

pytestmark = pytest.mark.filterwarnings("error")
EXACT = {"rel": 1e-10, "abs": 1e-290}
FORCE = 0.0026877
BETA_GEOMETRIC = pytest.mark.parametrize("formulas", [BG_NBD, MBG_NBD], ids=["BG/NBD", "MBG/NBD"])
EVERY = pytest.mark.parametrize("formulas", [BG_NBD, MBG_NBD, PARETO_NBD], ids=["BG/NBD", "MBG/NBD", "Pareto/NBD"])
CUSTOMERS = [(0, 0, 0), (0, 0, 39), (1, 39, 39), (30, 5, 39), (3000, 39, 39), (3000, 20, 39)]
AS = [0.05, 0.243, 0.793, 1.0, 1 + 1e-9, 1.009, 8.0]
BS = [0.2, 2.426, 30.0]


def column(*values):
    """Parameters as the formulas take them."""
    return numpy.array(values, dtype=float)[:, None]


def one(value):
    """One customer."""
    return numpy.array([float(value)])


def exact_params(r, alpha, a, b):
    """The parameters in many digits, a hair beside the holes of the papers' forms."""
    r, alpha, a, b = (mpf(value) for value in (r, alpha, a, b))
    a += mpf("1e-25") if a == 1 else 0
    return r, alpha, a, b + (mpf("1e-25") if a + b == 1 else 0)


@BETA_GEOMETRIC
@pytest.mark.parametrize("a", AS)
@pytest.mark.parametrize("b", BS)
def test_beta_geometric_expectation_is_exact(formulas, a, b):
    """Expected purchases agree with 50 digits, also for a near 1 or equal to r, a + b <= 1, x = 3000, t_x = T."""
    for (x, t_x, age), weeks in [(customer, weeks) for customer in CUSTOMERS for weeks in (1e-3, 520.0)]:
        with mpmath.workdps(45):
            r, alpha, exact_a, exact_b = exact_params(0.243, 4.414, a, b)
            more = formulas.first_is_a_chance
            z, c = mpf(weeks) / (alpha + age + weeks), exact_a + exact_b + x - 1 + more
            series = mpmath.hyp2f1(r + x, exact_b + x + more, c, z)
            exact = float(c / (exact_a - 1) * (1 - (1 - z) ** (r + x) * series))
            stays = float(mpmath.hyp2f1(r + x, exact_a, c + 1, -weeks / (alpha + age)))
            chances = x + more
            odds = exact_a / (exact_b + chances - 1) * ((alpha + age) / (alpha + t_x)) ** (r + x) if chances else mpf(0)
            log_odds = float(mpmath.log(odds)) if odds else -numpy.inf
        params = column(0.243, 4.414, a, b)

        assert formulas.expected_if_alive(params, one(x), one(age), weeks) == approx([exact], **EXACT)
        assert formulas.stays(params, one(x), one(age), weeks) == approx([stays], **EXACT)
        assert formulas.log_dead_odds(params, one(x), one(t_x), one(age)) == approx([log_odds], rel=1e-12, abs=1e-13)


def test_expectation_where_lifetimes_has_none():
    """Expected purchases are right where a + b < 1 makes lifetimes take the log of a negative (its issue 302)."""
    params = column(0.5, 5.0, 0.2, 0.3)
    with mpmath.workdps(50):
        r, alpha, a, b = exact_params(0.5, 5.0, 0.2, 0.3)
        z = 20 / (alpha + 50)
        exact = float((a + b - 1) / (a - 1) * (1 - (1 - z) ** r * mpmath.hyp2f1(r, b, a + b - 1, z)))

    assert BG_NBD.expected_if_alive(params, one(0), one(30), 20.0) == approx([exact], **EXACT)


@pytest.mark.parametrize(("a", "b"), [(0.793, 2.426), (0.2, 0.3), (1.0, 3.0), (8.0, 0.2)])
@BETA_GEOMETRIC
def test_beta_geometric_counts_are_exact(formulas, a, b):
    """Probabilities of purchase counts agree with the sum of the paper (note 004) in 30 digits, up to 3,000."""
    counts = [0, 1, 2, 10, 171, 3000]
    for weeks in (2.0, 39.0, 520.0):
        exact = []
        with mpmath.workdps(30):
            r, alpha, exact_a, exact_b = (mpf(value) for value in (0.243, 4.414, a, b))
            share, terms = weeks / (alpha + weeks), [(alpha / (alpha + weeks)) ** r]
            for count in range(max(counts) + int(80 / (1 - share))):
                terms.append(terms[-1] * (r + count) / (count + 1) * share)
            for count in counts:
                chances = count + formulas.first_is_a_chance
                stayed = mpmath.beta(exact_a, exact_b + chances) * terms[count]
                left = mpmath.beta(exact_a + 1, exact_b + chances - 1) * mpmath.fsum(terms[count:]) if chances else 0
                exact.append(float((stayed + left) / mpmath.beta(exact_a, exact_b)))
        ours = formulas.purchase_count_probability(column(0.243, 4.414, a, b), numpy.array(counts, float), one(weeks))

        assert ours == approx(exact, **EXACT)


@pytest.mark.parametrize("customer", [(0, 0), (2, 38.86), (3000, 39)])
@pytest.mark.parametrize(("a", "b"), [(0.793, 2.426), (0.2, 0.3), (1.0, 3.0), (8.0, 0.7)])
@BETA_GEOMETRIC
def test_beta_geometric_discounted_purchases_are_exact(formulas, a, b, customer):
    """Discounted purchases agree with an integral over the rate of purchases in 25 digits, ever and in a year."""
    x, age = customer
    with mpmath.workdps(20):
        place, n, c = mpf(4.414) + age, mpf(0.243) + x, mpf(a) + b + x + formulas.first_is_a_chance

        def discounted(v):  # t = place (e**v - 1); the series by Pfaff's transformation, which mpmath sums faster
            z = 1 - mpmath.exp(-v)
            series = mpmath.hyp2f1(c - n - 1, a, c, z)
            return n * mpmath.exp(v - a * v - FORCE * place * mpmath.expm1(v)) * series

        ends = [mpmath.log(1 + t / place) for t in (mpf(52), mpf(60000))]
        exact = [float(mpmath.quad(discounted, [end * part / 4 for part in range(5)], maxdegree=5)) for end in ends]
    params = column(0.243, 4.414, a, b)
    ours = [formulas.discounted_if_alive(params, one(x), one(age), weeks, FORCE)[0] for weeks in (52.0, numpy.inf)]

    assert ours == approx(exact, **EXACT)


def exact_dead_odds(r, alpha, s, beta, x, t_x, age):
    """The odds of having left by the paper's A0, a difference of two 2F1."""
    total, gap = r + s + x, abs(alpha - beta)
    second = s + 1 if alpha >= beta else r + x
    larger = max(alpha, beta)
    parts = [
        mpmath.hyp2f1(total, second, total + 1, gap / (larger + time)) / (larger + time) ** total for time in (t_x, age)
    ]
    return s / total * (alpha + age) ** (r + x) * (beta + age) ** s * (parts[0] - parts[1])


@pytest.mark.parametrize("customer", [*CUSTOMERS, (5, 20, 39), (300, 38.857142, 39)])
@pytest.mark.parametrize("s", [0.05, 0.606, 1.0, 3.0, 40.0])
@pytest.mark.parametrize("beta", [0.05, 10.578, 400.0])
def test_pareto_is_exact(s, beta, customer):
    """Odds of having left and expectations agree with A0 in 120 digits, also for alpha = beta, s = 1, t_x = T."""
    x, t_x, age = customer
    params = column(0.553, 10.578, s, beta)
    ours = PARETO_NBD.log_dead_odds(params, one(x), one(t_x), one(age))[0]
    with mpmath.workdps(120):
        r, alpha, exact_s, exact_beta = (mpf(value) for value in (0.553, 10.578, s, beta))
        odds = exact_dead_odds(r, alpha, exact_s, exact_beta, x, mpf(t_x), mpf(age))
        alive, log_odds = float(1 / (1 + odds)), float(mpmath.log(odds)) if odds else -numpy.inf
        place = exact_beta + age
        exact = [
            float((r + x) / (alpha + age) * mpmath.quad(lambda t: (1 + t / place) ** -exact_s, [0, weeks / 9, weeks]))
            for weeks in (mpf(1) / 7, mpf(52), mpf(520))
        ]

    assert numpy.exp(-numpy.logaddexp(0, ours)) == approx(alive, **EXACT)
    assert ours == approx(log_odds, rel=1e-10, abs=1e-10)
    for weeks, wanted in zip((1 / 7, 52.0, 520.0), exact, strict=True):
        assert PARETO_NBD.expected_if_alive(params, one(x), one(age), weeks) == approx([wanted], **EXACT)


@pytest.mark.parametrize(("s", "beta"), [(0.05, 0.05), (0.606, 11.669), (1.0, 10.578), (3.0, 400.0), (40.0, 400.0)])
@pytest.mark.parametrize("weeks", [2.0, 39.0, 520.0])
def test_pareto_counts_are_exact(s, beta, weeks):
    """Probabilities of purchase counts agree with their definition as an integral in 30 digits, up to 3,000."""
    counts, exact = [0, 1, 10, 171, 3000], []
    with mpmath.workdps(30):
        r, alpha, t = mpf(0.553), mpf(10.578), mpf(weeks)
        for count in counts:
            ways = mpmath.gamma(r + count) / mpmath.gamma(r) / mpmath.factorial(count)

            def seen(y, x=count):
                return (alpha / (alpha + y)) ** r * (y / (alpha + y)) ** x

            def left(y, seen=seen):
                return seen(y) * s / beta * (1 + y / beta) ** (-mpf(s) - 1)

            steep = t * (alpha + t) / (alpha * max(count, 1))
            knots = sorted({mpf(0), t, *(t - steep * k for k in (0.5, 2, 6, 15, 40) if t > steep * k)})
            knots = sorted({*knots, *(mpf(beta) * k for k in (0.1, 1, 10, 100) if beta * k < t)})
            exact.append(float(ways * (seen(t) * (1 + t / beta) ** -mpf(s) + mpmath.quad(left, knots))))

    ours = PARETO_NBD.purchase_count_probability(column(0.553, 10.578, s, beta), numpy.array(counts, float), one(weeks))
    assert ours == approx(exact, **EXACT)


@pytest.mark.parametrize("s", [0.05, 0.606, 1.0, 3.0, 40.0])
@pytest.mark.parametrize("force", [0.0002, FORCE, 0.05])
@pytest.mark.parametrize("customer", [(0, 0), (7, 38.86), (3000, 39)])
def test_pareto_residual_purchases_are_exact(s, force, customer):
    """DERT agrees with its closed form in Tricomi's function in 50 digits."""
    x, age = customer
    with mpmath.workdps(50):
        place = mpf(11.669) + age
        tricomi = mpmath.hyperu(1, 2 - mpf(s), mpf(force) * place)
        exact = float((mpf(0.553) + x) / (mpf(10.578) + age) * place * tricomi)

    params = column(0.553, 10.578, s, 11.669)
    assert PARETO_NBD.discounted_if_alive(params, one(x), one(age), numpy.inf, force) == approx([exact], **EXACT)


@pytest.mark.parametrize("x", [400, 500, 500])
def test_pareto_stays_finite_where_others_did_not(x):
    """The published trouble makers of other packages (lifetimes' tests, CLVTools 0.7.0) have finite answers."""
    params = column(10.465, 7.98565181e-3, 3.0516, 2.820)
    odds = PARETO_NBD.log_dead_odds(
        params, numpy.array([400.0, 500, 500]), numpy.array([5.0, 1, 4]), numpy.array([6.0, 37, 37])
    )
    log_a0 = odds + numpy.log((10.465 + 3.0516 + numpy.array([400, 500, 500])) / 3.0516)
    log_a0 -= (10.465 + numpy.array([400, 500, 500])) * numpy.log(7.98565181e-3 + numpy.array([6, 37, 37]))
    log_a0 -= 3.0516 * numpy.log(2.820 + numpy.array([6, 37, 37]))
    assert numpy.isfinite(log_a0).all()
    assert (log_a0 < 0).all()

    params = column(0.5143, 2.8845, 0.2856, 14.1087)
    counts = numpy.array([221.0, 254, 161, 204])
    lasts = numpy.array([103.42857, 97.14286, 94.71429, 98.57143])
    ages = numpy.array([103.57143, 97.28571, 98, 99.42857])
    odds = PARETO_NBD.log_dead_odds(params, counts, lasts, ages)
    assert numpy.isfinite(odds).all()
    with mpmath.workdps(120):
        exact = [
            float(mpmath.log(exact_dead_odds(*(mpf(value) for value in (0.5143, 2.8845, 0.2856, 14.1087, *customer)))))
            for customer in zip(counts, lasts, ages, strict=True)
        ]
    assert odds == approx(exact, rel=1e-10)


def test_hypergeometric_series_of_whole_numbers():
    """2F1 is right where c - a - b is a whole number, which scipy answers with NaN or few digits."""
    for a, b, c, z in [(5.301, 60.7155, 366.0165, 0.9974), (5.501, 79.28, 87.781, 0.96), (0.243, 2.0, 3.243, 0.99)]:
        with mpmath.workdps(50):
            exact = float(mpmath.hyp2f1(mpf(a), mpf(b), mpf(c), mpf(z)))
        assert gauss_2f1(one(a), one(b), one(c), one(z)) == approx([exact], rel=1e-11)


@EVERY
@given(
    x=some.integers(1, 5000),
    share=some.floats(0.001, 1),
    age=some.floats(0.1, 2000),
    weeks=some.floats(0, 2000),
    third=some.floats(0.01, 20),
    fourth=some.floats(0.01, 50),
)
@settings(max_examples=100, deadline=None)
def test_predictions_are_possible(formulas, x, share, age, weeks, third, fourth):
    """Whatever the customer and the parameters: probabilities lie in 0 to 1, expectations grow with time."""
    params = column(0.243, 4.414, third, fourth)
    xs, t_xs, ages = one(x), one(age * share), one(age)

    odds = formulas.log_dead_odds(params, xs, t_xs, ages)[0]
    assert not numpy.isnan(odds)
    assert odds < numpy.inf
    assert 0 <= formulas.stays(params, xs, ages, weeks)[0] <= 1 + 1e-12
    sooner, later = (formulas.expected_if_alive(params, xs, ages, t)[0] for t in (weeks, weeks * 1.1 + 1))
    assert 0 <= sooner <= later * (1 + 1e-12) < numpy.inf
    assert 0 <= formulas.discounted_if_alive(params, xs, ages, weeks, FORCE)[0] <= sooner * (1 + 1e-9) + 1e-300


@EVERY
def test_gradient_is_that_of_the_log_likelihood(formulas, calibration):
    """The gradient by each parameter of each cell agrees with differences of the log-likelihood of 4th order."""
    names = ["repeat_purchases", "first_to_last_purchase_weeks", "age_weeks"]
    x, t_x, age = (calibration[name].to_numpy(float) for name in names)
    cells = numpy.arange(len(x)) % 2
    histories = Histories.of(x, t_x, age, numpy.ones(len(x)), cells)
    params = column(0.5, 6.0, 0.8, 5.0) * numpy.array([[1.0, 1.3]])
    total, gradient = formulas.log_likelihood(params, histories)

    assert total == approx(
        sum(
            formulas.log_likelihood(
                params[:, [cell]], Histories.of(x[part], t_x[part], age[part], numpy.ones(part.sum()))
            )[0]
            for cell, part in ((0, cells == 0), (1, cells == 1))
        ),
        rel=1e-12,
    )
    for place in numpy.ndindex(4, 2):
        side = numpy.zeros((4, 2))
        side[place] = params[place] * 1e-3
        values = [formulas.log_likelihood(params + step * side, histories)[0] for step in (-2, -1, 1, 2)]
        slope = (values[0] - 8 * values[1] + 8 * values[2] - values[3]) / (12 * side[place])
        assert gradient[place] == approx(slope, rel=1e-7)


@EVERY
def test_purchase_counts_add_up(formulas):
    """Probabilities of all purchase counts add up to 1, and their mean is the expectation."""
    params = column(0.6, 8.0, 0.8, 5.0)
    counts = numpy.arange(2000.0)
    probabilities = formulas.purchase_count_probability(params, counts, one(39))
    expected = formulas.expected_if_alive(params, one(0), one(0), 39.0) * formulas.alive_at_first(params)

    assert probabilities.sum() == approx(1, abs=1e-10)
    assert [probabilities @ counts] == approx(expected, rel=1e-9)
