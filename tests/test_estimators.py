"""One contract for every model: arguments stored, fit returns self, names end in _, plain JSON, clear before fit."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pytest

from c360ml import BgNbd, GammaGamma, KMeansSegmenter, LinkageModel, RfmScorer, standardize_records
from c360ml.customer_value import MbgNbd, ParetoNbd
from c360ml.errors import C360Error, ModelError, NotFittedError
from c360ml.linkage import Constraints
from c360ml.segments import ValueTiers

GIVEN = ("Ada", "Ben", "Cleo", "Dov", "Ewa", "Finn", "Gus", "Hana", "Ines", "Joel")
SURNAMES = ("Archer", "Baker", "Cooper", "Draper", "Evans", "Fisher", "Gardner", "Hunter", "Ismail", "Jones")


@cache
def people() -> pd.DataFrame:
    """A hundred people, every third of whom has a second record with a nickname's worth of difference."""
    names = [(given, surname) for given in GIVEN for surname in SURNAMES]
    rows = [
        {
            "id": f"a{n}",
            "first": given,
            "last": surname,
            "mail": f"{given}.{surname}@post.net",
            "born": f"19{n:02}-03-04",
        }
        for n, (given, surname) in enumerate(names)
    ]
    rows += [row | {"id": f"b{row['id']}", "first": row["first"][0], "born": None} for row in rows[::3]]
    columns = {"given_name": "first", "surname": "last", "email": "mail", "date_of_birth": "born"}
    return standardize_records(pd.DataFrame(rows), id="id", columns=columns)


@cache
def history() -> pd.DataFrame:
    """Purchase histories of 600 customers who buy and leave as BG/NBD supposes."""
    random = np.random.default_rng(7)
    rows = []
    for age in random.uniform(26, 52, 600):
        weeks_between, leaves = 6 / random.gamma(0.8), random.beta(0.8, 2.5)
        last, repeats = 0.0, 0
        while (now := last + random.exponential(weeks_between)) < age:
            last, repeats = now, repeats + 1
            if random.random() < leaves:
                break
        rows.append((repeats, last, age, random.gamma(6, random.uniform(5, 15)) if repeats else np.nan))
    names = ["repeat_purchases", "first_to_last_purchase_weeks", "age_weeks", "mean_spend"]
    return pd.DataFrame(rows, columns=names)


@cache
def lives() -> pd.DataFrame:
    """Purchase histories of 1,500 customers who buy and leave as Pareto/NBD supposes."""
    random = np.random.default_rng(9)
    age = random.uniform(26, 52, 1500)
    life = np.minimum(age, random.exponential(1 / random.gamma(0.6, 1 / 10, 1500)))
    repeats = random.poisson(life * random.gamma(0.8, 1 / 6, 1500))
    last = np.where(repeats > 0, life * random.beta(np.maximum(repeats, 1), 1), 0.0)
    return pd.DataFrame(
        {"repeat_purchases": repeats, "first_to_last_purchase_weeks": last, "age_weeks": age, "mean_spend": np.nan}
    )


@cache
def buyers() -> pd.DataFrame:
    """What 120 buyers did, and what they are worth."""
    random = np.random.default_rng(8)
    purchases = random.integers(1, 9, 120)
    spend = (purchases * random.uniform(10, 99, 120)).round(2)
    return pd.DataFrame(
        {
            "customer_id": [f"c{n:03}" for n in range(120)],
            "days_since_last_purchase": random.integers(0, 900, 120),
            "purchases": purchases,
            "total_spend": spend,
            "customer_value": spend * 1.1,
        }
    )


@dataclass(frozen=True, eq=False)
class Case:
    """A model, its table, arguments that are not the defaults, and how it is asked."""

    make: type
    table: Callable[[], pd.DataFrame]
    arguments: dict[str, Any]
    ask: Callable[[Any, pd.DataFrame], Any]
    also_ask: Sequence[Callable[[Any, pd.DataFrame], Any]] = field(default=())

    def fitted(self) -> Any:
        return self.make().fit(self.table())


CASES = (
    Case(
        LinkageModel,
        people,
        {
            "threshold": 0.7,
            "max_pairs": 12_345,
            "seed": 3,
            "classes": "two",
            "constraints": Constraints(largest_cluster=9),
        },
        lambda model, table: (model if hasattr(model, "_engine") else model.score(table)).predict(),
        (
            lambda model, table: model.cluster(),
            lambda model, table: model.summary(),
            lambda model, table: model.explain("a0", "a1"),
            lambda model, table: model.explain_cluster("a0"),
            lambda model, table: model.explain_path("a0", "a1"),
            lambda model, table: model.clustering_summary(),
            lambda model, table: model.evaluate(table[["record_id"]].assign(true_id=table["record_id"])),
            lambda model, table: model.score(table),
        ),
    ),
    *(
        Case(
            purchase_model,
            table,
            {
                "penalty": 0.5,
                "prior": {"weeks_between_purchases": [10.0, 3.0]},
                "purchase_covariates": ["age_weeks"],
                "dropout_covariates": ["age_weeks"],
                "covariate_penalty": 2.0,
            },
            lambda model, table: model.predict(table),
            (
                lambda model, table: model.probability_alive(table),
                lambda model, table: model.expected_purchases(52, table),
                lambda model, table: model.discounted_purchases(52, table),
                lambda model, table: model.expected_purchases_new(52),
                lambda model, table: model.pmf(2, 52),
                lambda model, table: model.log_likelihood(table),
                lambda model, table: model.simulate(10, age_weeks=52, seed=1),
                lambda model, table: model.confidence_intervals(),
                lambda model, table: model.to_lifetimes(),
                lambda model, table: model.aic_,
                lambda model, table: model.bic_,
                lambda model, table: model.standard_errors_,
            ),
        )
        for purchase_model, table in ((BgNbd, history), (MbgNbd, history), (ParetoNbd, lives))
    ),
    Case(
        GammaGamma,
        history,
        {"penalty": 0.5},
        lambda model, table: model.predict(table),
        (
            lambda model, table: model.expected_spend(table),
            lambda model, table: model.log_likelihood(table),
            lambda model, table: model.simulate([1, 2], seed=1),
            lambda model, table: model.population_mean_spend_,
            lambda model, table: model.no_mean_because_,
        ),
    ),
    Case(
        RfmScorer,
        buyers,
        {"bands": 4},
        lambda model, table: model.transform(table),
        (lambda model, table: model.score_one(3, 2, 50.0), lambda model, table: model.as_sql("buyers")),
    ),
    Case(
        KMeansSegmenter,
        buyers,
        {"k": 3, "seed": 5},
        lambda model, table: model.predict(table),
        (lambda model, table: model.assign(3, 2, 50.0), lambda model, table: model.as_sql("buyers")),
    ),
    Case(
        ValueTiers,
        buyers,
        {"vip_percentile": 0.9, "premium_percentile": 0.7, "standard_percentile": 0.3, "engaged_events": 5},
        lambda model, table: [model.assign(purchases=1, customer_value=value) for value in table["customer_value"]],
        (lambda model, table: model.parameters(),),
    ),
)
each_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.make.__name__)


@pytest.fixture(scope="module")
def fitted() -> Callable[[Case], Any]:
    """Each model fitted once; for tests that only ask."""
    return cache(lambda case: case.fitted())


def same(expected: Any, actual: Any) -> bool:
    """Whether two answers are equal to the last bit, unknown values among them."""
    if isinstance(expected, pd.DataFrame):
        pd.testing.assert_frame_equal(expected, actual, check_exact=True)
        return True
    return bool(expected == actual)


@each_case
def test_constructor_stores_its_arguments(case):
    """A model keeps each argument as given under its own name, and learns nothing before fit."""
    model = case.make(**case.arguments)
    assert case.arguments == {name: getattr(model, name) for name in case.arguments}
    assert set(case.arguments) == set(inspect.signature(case.make).parameters)
    assert set(case.arguments) == set(vars(model))


@each_case
def test_fit_returns_self_and_learned_names_end_in_underscore(case):
    """Fitting answers with the model, leaves its arguments alone, and marks what it learned by a final _."""
    model = case.make()
    before = dict(vars(model))
    assert model.fit(case.table()) is model
    assert before == {name: getattr(model, name) for name in before}
    learned = [name for name in vars(model) if name not in before and not name.startswith("_")]
    assert learned
    assert [] == [name for name in learned if not name.endswith("_")]


@each_case
def test_refit_equals_fit(case, fitted):
    """Fitting a fitted model again, or another on the same table, learns the same to the last bit."""
    again = case.fitted()
    assert json.dumps(fitted(case).to_dict()) == json.dumps(again.to_dict())
    assert json.dumps(again.to_dict()) == json.dumps(again.fit(case.table()).to_dict())


@each_case
def test_json_round_trip(case, fitted):
    """A model written as JSON text and read again is the same model and answers the same."""
    model = fitted(case)
    text = json.dumps(model.to_dict(), allow_nan=False)
    copy = case.make.from_dict(json.loads(text))
    assert text == json.dumps(copy.to_dict(), allow_nan=False)
    assert same(case.ask(model, case.table()), case.ask(copy, case.table()))


@each_case
def test_json_keeps_arguments(case):
    """Arguments that are not the defaults come back from JSON."""
    model = case.make(**case.arguments).fit(case.table())
    copy = case.make.from_dict(json.loads(json.dumps(model.to_dict())))
    assert case.arguments == {name: getattr(copy, name) for name in case.arguments}


@each_case
def test_json_holds_no_customer(case, fitted):
    """What a model writes holds no key, name or address of those it was fitted on."""
    text = json.dumps(fitted(case).to_dict())
    personal = {str(value) for column in case.table().select_dtypes(exclude="number") for value in case.table()[column]}
    assert set() == {value for value in personal if len(value) > 4 and f'"{value}"' in text}


@each_case
def test_asking_before_fit_is_a_clear_error(case):
    """A model that was not fitted says so, by its name, whatever it is asked."""
    for ask in (case.ask, *case.also_ask, lambda model, table: model.to_dict()):
        with pytest.raises(NotFittedError, match=f"{case.make.__name__} must be fitted before it answers"):
            ask(case.make(), case.table())


@each_case
@pytest.mark.parametrize("break_it", [lambda content: {}, lambda content: {"model": "another"}, dict.copy])
def test_damaged_json_is_a_model_error(case, fitted, break_it):
    """JSON of another model, or a part of one, is refused with a ModelError."""
    content = fitted(case).to_dict()
    broken = break_it(content)
    if broken == content:
        for name in ("classes", "params", "cut_points", "centres"):
            broken.pop(name, None)
    with pytest.raises(ModelError):
        case.make.from_dict(broken)


@each_case
def test_wrong_table_is_our_error(case):
    """A table without the columns that a model needs is refused with an error of the package."""
    with pytest.raises(C360Error):
        case.make().fit(pd.DataFrame({"something_else": [1, 2, 3]}))
    with pytest.raises(C360Error):
        case.make().fit(case.table().iloc[:0].drop(columns=case.table().columns[0]))
