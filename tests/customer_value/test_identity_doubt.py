"""Doubt about identity in values: parameters' scores, moved models, stakes, intervals and the bias of errors."""

import json

import numpy as np
import pandas
import pytest

from c360ml import tables
from c360ml.config import Config, Value
from c360ml.customer_value import GammaGamma, doubt_values, identity_bias, identity_bias_table, purchase_history
from c360ml.customer_value.doubt import stakes
from c360ml.customer_value.fitting import Models
from c360ml.customer_value.saved_models import SavedModels, log_covariance, purchase_scores, spend_scores
from c360ml.customer_value.step import MODEL_FILE
from c360ml.customer_value.value_intervals import value_intervals
from c360ml.errors import ConfigError, DataError
from c360ml.lakehouse import Lakehouse

SCENARIOS = ("as resolved", "missed links", "false merges", "both")


@pytest.fixture(scope="module")
def saved(bgnbd, gamma_gamma):
    """The models of CDNOW as a project would have saved them."""
    return SavedModels(Models(bgnbd, gamma_gamma, 35.0, ()), 52, 0.1, 1.0)


def gradient(model, history):
    """Slope of the log-likelihood by the logarithms of the parameters, by finite differences."""
    slopes = []
    content = model.to_dict()
    for name, value in model.params_.items():
        ends = []
        for step in (1e-5, -1e-5):
            params = model.params_ | {name: value * np.exp(step)}
            ends.append(type(model).from_dict(content | {"params": params}).log_likelihood(history))
        slopes.append((ends[0] - ends[1]) / 2e-5)
    return slopes


def test_scores_are_the_slopes_of_the_likelihood(bgnbd, mbgnbd, paretonbd, gamma_gamma, calibration):
    """The scores by group are those of finite differences, for every model."""
    part = calibration.iloc[300:500]
    groups = np.arange(200) % 3
    for model in (bgnbd, mbgnbd, paretonbd):
        found = purchase_scores(model, part, groups, 3)
        for group in range(3):
            assert gradient(model, part[groups == group]) == pytest.approx(found[group].tolist(), rel=1e-4, abs=1e-4)
    found = spend_scores(gamma_gamma, part, groups, 3)
    for group in range(3):
        assert gradient(gamma_gamma, part[groups == group]) == pytest.approx(found[group].tolist(), rel=1e-4, abs=1e-4)


def test_a_shift_is_close_to_a_refit(saved, bgnbd, gamma_gamma, calibration):
    """One Newton step for changed histories comes near the parameters that a refit finds."""
    gone, come = calibration.iloc[:120], calibration.iloc[200:320]
    shift, spend = saved.shifts(gone, come, [np.arange(len(come))])
    changed = pandas.concat([calibration.iloc[120:], come])
    refit = type(bgnbd)().fit(changed)
    moved = {name: np.log(refit.params_[name] / bgnbd.params_[name]) for name in bgnbd.params_}
    assert list(moved.values()) == pytest.approx(shift[0].tolist(), abs=0.05)
    spent = GammaGamma().fit(changed)
    moved = [np.log(spent.params_[name] / gamma_gamma.params_[name]) for name in gamma_gamma.params_]
    assert moved == pytest.approx(spend[0].tolist(), abs=0.05)


def test_noise_has_the_covariance_of_the_fit(saved, bgnbd):
    """Drawn parameters scatter as the fit's covariance says."""
    noise, _ = saved.noise(20_000, np.random.default_rng(1))
    assert np.allclose(np.cov(noise.T), log_covariance(bgnbd), rtol=0.1, atol=0.003)


def test_moved_by_nothing_is_the_same(saved, calibration):
    """Models moved by zero value everybody as before."""
    same = saved.moved(np.zeros(4), np.zeros(3))
    assert saved.project(calibration).tolist() == same.project(calibration).tolist()


def test_without_doubt_intervals_hold_parameters_only(saved, calibration):
    """If nobody is in doubt identity has no share, and intervals are as wide as the parameters' doubt."""
    import pyarrow as pa

    customers = pa.Table.from_pandas(calibration, preserve_index=False)
    found = value_intervals(saved, customers, None, draws=60, seed=1)
    assert (found.identity_share == 0).all()
    assert ((found.lower < found.value) & (found.value < found.upper)).mean() > 0.99
    assert found.totals_by_identity == pytest.approx(found.value.sum())
    assert found.totals.tolist() == found.totals_by_parameters.tolist()


def test_stakes_by_plain_python():
    """Stakes are mean differences between draws together and draws apart, counted one by one."""
    random = np.random.default_rng(4)
    sets = random.integers(0, 4, (5, 30))
    worth, projected = random.random(4) * 100, random.random(4) * 10
    left, right = np.array([0, 1, 2, 0]), np.array([1, 2, 3, 4])
    share, stake, total = stakes(sets, left, right, worth, projected)
    for place, (one, other) in enumerate(zip(left, right, strict=True)):
        together = [d for d in range(30) if sets[one, d] == sets[other, d]]
        apart = [d for d in range(30) if d not in together]
        changes = [
            abs(np.mean([worth[sets[end, d]] for d in together]) - np.mean([worth[sets[end, d]] for d in apart]))
            for end in (one, other)
        ]
        joint = np.mean([projected[sets[one, d]] for d in together])
        parted = np.mean([projected[sets[one, d]] + projected[sets[other, d]] for d in apart])
        assert (len(together) / 30, max(changes), abs(joint - parted)) == pytest.approx(
            (share[place], stake[place], total[place])
        )


def test_a_pair_that_never_changes_has_no_stake():
    """Two records that are together in every draw, or never, have nothing at stake that is known."""
    share, stake, _ = stakes(np.array([[0, 0], [0, 0], [1, 1]]), np.array([0, 0]), np.array([1, 2]), *np.ones((2, 2)))
    assert share.tolist() == [1.0, 0.0]
    assert np.isnan(stake).all()


@pytest.fixture(scope="module")
def lake(small_world_project):
    """The small world's tables, all open."""
    with Lakehouse(small_world_project) as opened:
        for table in tables.ALL:
            opened.open(table)
        yield opened


def test_every_buyer_has_an_interval(lake):
    """Each valued customer has one interval around draws of its value, and values are those of the valuation."""
    apart = """
        select count(*) from gold.customer_value v full join gold.value_uncertainty u on u.master_id = v.customer_id
        where (v.customer_id is not null and u.master_id is null)
           or (v.customer_id is not null and abs(u.value - v.projected_value) > 1e-3 * v.projected_value + 1e-3)
           or (v.customer_id is null and u.value <> 0)
    """
    assert 0 == lake.one(apart)
    assert 0 == lake.one("select count(*) from gold.value_uncertainty where lower > upper or lower < 0")


def test_only_records_in_doubt_share_variance(lake):
    """Identity has a share only with customers that have records in doubt, and those records are named."""
    wrong = """
        select count(*) from gold.value_uncertainty
        where identity_share > 0 and len(doubtful_records) = 0 and master_id not in (
            select master_id from silver.identities semi join silver.doubtful_partitions using (record_id))
    """
    assert 0 == lake.one(wrong)
    assert 0 < lake.one("select count(*) from gold.value_uncertainty where len(doubtful_records) > 0")
    strange = """
        select count(*) from (select unnest(doubtful_records) as record_id from gold.value_uncertainty)
        anti join silver.doubtful_partitions using (record_id)
    """
    assert 0 == lake.one(strange)


def test_draws_of_whole_customers(lake):
    """A record in doubt is in every draw once; all records of its customer are in the draws too."""
    draws = lake.one("select count(distinct draw) from silver.doubtful_partitions")
    assert 50 == draws
    uneven = "select record_id from silver.doubtful_partitions group by all having count(*) <> 50"
    assert [] == lake.rows(uneven)
    torn = """
        select count(*) from silver.identities i
        semi join (select master_id from silver.identities semi join silver.doubtful_partitions using (record_id)) d
            using (master_id)
        anti join silver.doubtful_partitions using (record_id)
    """
    assert 0 == lake.one(torn)


def test_set_histories_are_those_of_plain_purchases(lake):
    """The worth of a set of records is that of the history its purchases make when summed in one call."""
    from c360ml.customer_value.doubtful_histories import doubtful_histories, doubtful_sets

    with doubtful_sets(lake, 50) as drawn:
        found = doubtful_histories(lake, drawn, "net")
        number = found.history["customer_id"].to_pylist()[3]
        records = "select record_id from doubtful_sets join doubtful_records using (record) where set_number = $n"
        sales = lake.sql(
            f"""select 1 as who, occurred_at::date as day, amount from gold.interactions
                where interaction_type = 'PURCHASE' and record_id in ({records})""",
            {"n": number},
        ).df()
        row = found.history.slice(3, 1).to_pylist()[0]
    end = lake.one("select observation_end from gold.observation")
    plain = purchase_history(sales, customer="who", date="day", amount="amount", observation_end=end)
    for name in ("repeat_purchases", "first_to_last_purchase_weeks", "age_weeks", "total_spend"):
        assert plain[name][0] == pytest.approx(row[name])


def test_sets_are_those_of_plain_python(lake):
    """The set that a customer is in a draw holds the records that plain Python finds, each set under one number."""
    from c360ml.customer_value.doubtful_histories import doubtful_sets

    parts, of_master = {}, {}
    for draw, record, part in lake.rows("select draw, record_id, part from silver.doubtful_partitions where draw < 5"):
        parts.setdefault((draw, part), set()).add(record)
    master = dict(lake.rows("select record_id, master_id from silver.identities"))
    for (draw, part), records in parts.items():
        for record in records:
            of_master.setdefault((master[record], draw), []).append(part)
    wanted = {
        key: frozenset(parts[key[1], min(set(held), key=lambda part, held=held: (-held.count(part), part))])
        for key, held in of_master.items()
    }
    with doubtful_sets(lake, 50) as found:
        members = {}
        for number, record in lake.rows(
            "select set_number, record_id from doubtful_sets join doubtful_records using (record)"
        ):
            members.setdefault(number, set()).add(record)
    numbers = {
        (customer, draw): found.customer_sets[row, draw]
        for row, customer in enumerate(found.customers)
        for draw in range(5)
    }
    assert wanted == {key: frozenset(members[number]) for key, number in numbers.items()}
    assert len(members) == len({frozenset(records) for records in members.values()}) == found.sets


def test_distinct_histories_are_found_once(saved, calibration):
    """Values by distinct histories that were found before, with other parameters too, are those of the history."""
    distinct = saved.models.purchases.distinct(calibration)
    moved = saved.moved(np.full(4, 0.1), np.full(3, -0.1))
    for models in (saved, moved):
        assert models.project(calibration).tolist() == models.project(calibration, distinct).tolist()


def test_bias_of_the_run_can_be_read(lake):
    """The table of the last run has each scenario, customers, total and all parameters, and no change as resolved."""
    table = identity_bias_table(lake).to_pylist()
    names = ["customers", "total", *SavedModels.read(lake.read_json(MODEL_FILE)).models.purchases.params_, *"pqv"]

    assert [(scenario, name) for scenario in SCENARIOS for name in names] == [
        (row["scenario"], row["measure"]) for row in table
    ]
    assert {0.0, None} == {row["change"] for row in table if row["scenario"] == "as resolved"}


def test_off_writes_empty_tables(small_world_copy):
    """Without draws both tables are empty, and the summary says why."""
    with Lakehouse(small_world_copy) as lake:
        said = doubt_values(lake, Config(value=Value(identity_draws=0)))
        assert {"draws": 0, "reason": "identity_draws is 0"} == said
        assert 0 == lake.one("select count(*) from gold.value_uncertainty")
        with pytest.raises(DataError, match="identity_draws is 0"):
            identity_bias_table(lake)


def test_same_input_same_intervals(small_world_copy, lake):
    """Working the intervals out again gives the same bytes, at another number of threads."""
    before = lake.rows("from gold.value_uncertainty order by all")
    with Lakehouse(small_world_copy, threads=1) as other:
        for table in tables.ALL:
            other.open(table)
        summary = doubt_values(other, Config.load(small_world_copy / "c360ml.toml"))
        assert before == other.rows("from gold.value_uncertainty order by all")
    assert json.loads(json.dumps(summary, allow_nan=False)) == summary


@pytest.fixture(scope="module")
def sales(cdnow):
    """CDNOW with two records a customer: purchases of odd and of even months."""
    day = pandas.to_datetime(cdnow["day"].astype(str))
    return cdnow.assign(day=day, record=cdnow["customer"] * 2 + day.dt.month % 2)


def bias(sales, missed, false):
    """Scenarios of one simulation."""
    return identity_bias(
        sales, customer="customer", record="record", date="day", amount="paid",
        missed_rate=missed, false_rate=false, repeats=1,
    )  # fmt: skip


def test_no_errors_no_bias(sales):
    """Without errors every scenario is as resolved."""
    rows = bias(sales, 0.0, 0.0)
    assert ["as resolved", "missed links", "false merges", "both"] == [row["scenario"] for row in rows]
    assert all(row["total_change"] == 0 and set(row["params_change"].values()) == {0.0} for row in rows)


def test_missed_links_add_customers_and_false_merges_take_some(sales):
    """Split records make more buyers, merges fewer; heavier buyers raise the purchase rate r / alpha."""
    truth, missed, false, _ = bias(sales, 0.3, 0.2)
    assert missed["customers"] > truth["customers"] > false["customers"]
    assert false["customers"] == pytest.approx(truth["customers"] * 0.8, rel=0.02)
    rates = [row["params"]["r"] / row["params"]["alpha"] for row in (truth, false)]
    assert rates[1] > rates[0]


def test_rates_must_be_shares(sales):
    """A rate of one or more is refused."""
    with pytest.raises(ConfigError, match="missed_rate"):
        bias(sales, 1.0, 0.0)
