"""KMeans segments: planted clusters come back, named, stable, and the same for table and single customer."""

import json
import threading
import warnings
from importlib.util import find_spec
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import adjusted_rand_score

from c360ml.errors import ColumnError, ConfigError, DataError, ModelError, NotFittedError
from c360ml.segments import KMeansSegmenter
from c360ml.segments.kmeans_choice import Candidate, choose
from c360ml.segments.kmeans_names import name_clusters

FEATURES = ["days_since_last_purchase", "purchases", "total_spend"]


def planted(size=150, seed=3):
    """Draw three kinds of buyers: lapsed small ones, middling ones, recent big ones."""
    random = np.random.default_rng(seed)
    kinds = [(900, 1.0, 60.0), (200, 5.0, 900.0), (12, 30.0, 20_000.0)]
    rows = [
        (
            kind,
            days * random.lognormal(0, 0.15),
            max(1, round(buys * random.lognormal(0, 0.1))),
            spend * random.lognormal(0, 0.2),
        )
        for kind, (days, buys, spend) in enumerate(kinds)
        for _ in range(size)
    ]
    table = pd.DataFrame(rows, columns=["kind", *FEATURES])
    table.insert(0, "customer_id", [f"c{i}" for i in range(len(rows))])
    return table


@pytest.fixture(scope="module")
def table():
    """Draw the planted buyers once."""
    return planted()


@pytest.fixture(scope="module")
def fitted(table):
    """Fit once; tests only ask."""
    return KMeansSegmenter().fit(table)


def test_planted_clusters_come_back(table, fitted):
    """Three kinds of buyers are found without being told how many, and called what they are."""
    found = fitted.predict(table)

    assert 1.0 == adjusted_rand_score(table.kind, found.kmeans_segment)
    assert (3, True) == (fitted.k_, fitted.is_stable_)


def test_names_of_planted_clusters(fitted):
    """Clusters are called what they are, the dearest first and the cheapest last."""
    expected = ["recent frequent high spenders", "average buyers", "lapsed one-time low spenders"]

    assert expected == fitted.names_


def test_diagnostics(fitted):
    """Each k tried is told with its silhouette, agreement and stability."""
    tried = {row["k"]: row for row in fitted.diagnostics_}

    assert list(range(3, 11)) == list(tried)
    assert tried[3]["silhouette"] == max(row["silhouette"] for row in tried.values())
    assert tried[3]["ari_mean"] > 0.99 and tried[3]["smallest_share"] == pytest.approx(1 / 3)


def test_profiles(table, fitted):
    """Profiles hold each cluster's share and its geometric means within the limits, in natural units."""
    top = fitted.profiles_[0]
    spend = table[table.kind == 2].total_spend.clip(*fitted.limits_[:, 2])

    assert 1.0 == pytest.approx(sum(profile["share"] for profile in fitted.profiles_))
    assert np.expm1(np.log1p(spend).mean()) == pytest.approx(top["total_spend"])


def test_row_order_and_threads_do_not_matter(table, fitted):
    """Shuffled rows, and a fit in another thread, give the same model to the last bit."""
    shuffled = KMeansSegmenter().fit(table.sample(frac=1, random_state=5))
    models = []
    thread = threading.Thread(target=lambda: models.append(KMeansSegmenter().fit(table)))
    thread.start()
    thread.join()

    assert fitted.to_dict() == shuffled.to_dict() == models[0].to_dict()


@given(st.tuples(st.integers(0, 3000), st.integers(1, 60), st.floats(-1e3, 1e6)))
@settings(max_examples=10, deadline=None)
def test_one_customer_is_named_as_in_the_table(fitted, row):
    """`assign` and `predict` agree, before and after JSON."""
    again = KMeansSegmenter.from_dict(json.loads(json.dumps(fitted.to_dict())))
    one = pd.DataFrame([("x", *row)], columns=["customer_id", *FEATURES])

    assert again.assign(*row) == fitted.predict(one).kmeans_segment[0]


def test_json_round_trip(fitted):
    """A model brought back from JSON is the same model."""
    content = fitted.to_dict()

    assert content == KMeansSegmenter.from_dict(json.loads(json.dumps(content))).to_dict()


def test_same_kind_in_and_out(table, fitted):
    """Pandas, Arrow and DuckDB come back as what they were, in the same order with all columns."""
    con = duckdb.connect()
    con.register("given", pa.Table.from_pandas(table))
    from_pandas = fitted.predict(table)
    from_arrow = fitted.predict(pa.Table.from_pandas(table))
    from_duckdb = fitted.predict(con.sql("select * from given"))

    assert [*table.columns, "kmeans_segment"] == list(from_pandas.columns)
    assert isinstance(from_arrow, pa.Table) and isinstance(from_duckdb, duckdb.DuckDBPyRelation)
    assert from_pandas.to_dict("list") == from_arrow.to_pydict() == from_duckdb.to_arrow_table().to_pydict()
    assert list(from_pandas.columns) == list(fitted.predict(from_pandas).columns)


def test_given_k(table):
    """A number of clusters that is asked for is used, and only that one is measured."""
    segmenter = KMeansSegmenter(k=2).fit(table)

    assert (2, [2]) == (segmenter.k_, [row["k"] for row in segmenter.diagnostics_])


@pytest.mark.parametrize("rows", [1, 9])
def test_few_customers_make_one_segment(table, rows):
    """Fewer than ten buyers are one segment, not noise."""
    few = table.iloc[:rows]

    assert {"all buyers"} == set(KMeansSegmenter().fit(few).predict(few).kmeans_segment)


def test_no_variation_makes_one_segment(table):
    """Buyers who do not differ are one segment, without a warning."""
    same = table.assign(days_since_last_purchase=10, purchases=1, total_spend=99.5)
    segmenter = KMeansSegmenter().fit(same)

    assert (1, ["all buyers"], []) == (segmenter.k_, segmenter.names_, segmenter.diagnostics_)
    assert "all buyers" == segmenter.assign(1, 1, 1.0)


@pytest.mark.parametrize("kinds", [4, 5, 9])
def test_few_different_customers(table, kinds):
    """Few different buyers, each many times, still give clusters without a warning."""
    rows = table.iloc[::50].head(kinds)
    many = pd.concat([rows] * 30, ignore_index=True).assign(customer_id=range(30 * len(rows)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        segmenter = KMeansSegmenter().fit(many)

    assert segmenter.k_ in range(3, len(rows))


def test_ten_customers(table):
    """Ten different buyers are enough for three clusters."""
    assert 3 == KMeansSegmenter().fit(table.iloc[::45]).k_


def test_refunds_count_as_no_spend(fitted):
    """A buyer whose refunds exceed purchases is treated as one who spent nothing."""
    assert fitted.assign(100, 1, 0.0) == fitted.assign(100, 1, -500.0)


def test_limits_by_hand(table, fitted):
    """One buyer in a hundred lies beyond each limit, and limits are values that occur."""
    ranked = np.sort(table[FEATURES].to_numpy(), axis=0)

    assert [ranked[4].tolist(), ranked[-5].tolist()] == fitted.limits_.tolist()
    assert 450 == len(ranked)


def test_a_few_refunded_buyers_are_no_cluster(table):
    """A handful of buyers of dear things who got all their money back stay with their like, and k stays stable."""
    noise = np.random.default_rng(4).lognormal(0, 0.3, len(table))
    dear = table.assign(total_spend=20_000 * 3.0**table.kind * noise)
    dear.loc[:3, "total_spend"] = 0.0
    segmenter = KMeansSegmenter().fit(dear)
    found = segmenter.predict(dear)

    assert (3, True) == (segmenter.k_, segmenter.is_stable_)
    assert 1.0 == adjusted_rand_score(dear.kind, found.kmeans_segment)


@pytest.mark.parametrize("feature", range(3))
@pytest.mark.parametrize("side", [0, 1])
def test_beyond_a_limit_counts_as_the_limit(table, fitted, feature, side):
    """However far beyond a limit, `predict`, `as_sql` and `assign` answer as at the limit."""
    rows = table[FEATURES].iloc[::30].to_numpy(dtype=float)
    at, beyond = rows.copy(), rows.copy()
    at[:, feature] = fitted.limits_[side, feature]
    beyond[:, feature] = [[0.0, 1.0, -1e6], [1e6, 1e6, 1e12]][side][feature]
    there = pd.DataFrame(beyond, columns=FEATURES).assign(customer_id=range(len(rows)))
    con = duckdb.connect()
    con.register("given", pa.Table.from_pandas(there))
    query, parameters = fitted.as_sql("given")

    expected = [fitted.assign(*row) for row in at]
    assert expected == [fitted.assign(*row) for row in beyond]
    assert expected == list(fitted.predict(there).kmeans_segment)
    assert expected == [row[-1] for row in con.execute(f"{query} order by customer_id", parameters).fetchall()]


@pytest.fixture(scope="module")
def cdnow():
    """Buyers of CDNOW's tenth sample; found in the lifetimes wheel without importing it, for it warns."""
    folder = Path(find_spec("lifetimes").submodule_search_locations[0])
    columns = ["master_id", "customer_id", "day", "cds", "paid"]
    paid = pd.read_csv(folder / "datasets" / "CDNOW_sample.txt", sep=r"\s+", header=None, names=columns)
    paid["day"] = pd.to_datetime(paid.day.astype(str))
    buyers = paid.groupby("customer_id", as_index=False).agg(
        last=("day", "max"), purchases=("day", "nunique"), total_spend=("paid", "sum")
    )
    return buyers.assign(days_since_last_purchase=(pd.Timestamp("1998-06-30") - buyers["last"]).dt.days)


def test_cdnow(cdnow):
    """Real buyers, some of whom paid nothing, fall into three stable clusters."""
    segmenter = KMeansSegmenter().fit(cdnow)

    assert (3, True) == (segmenter.k_, segmenter.is_stable_)
    assert min(profile["share"] for profile in segmenter.profiles_) > 0.1


def test_choice_prefers_fewer_within_one_standard_error():
    """Among the stable, the fewest clusters within one standard error of the best silhouette win."""
    tried = [
        Candidate(3, 0.44, 0.02, 0.97, 0.90, 0.10, 2.0, 0.1),
        Candidate(4, 0.60, 0.02, 0.80, 0.70, 0.10, 2.1, 0.1),
        Candidate(5, 0.50, 0.02, 0.97, 0.90, 0.10, 2.2, 0.1),
        Candidate(6, 0.51, 0.02, 0.97, 0.90, 0.10, 2.2, 0.1),
        Candidate(7, 0.60, 0.02, 0.99, 0.90, 0.01, 2.3, 0.1),
    ]

    assert 5 == choose(tried).k
    assert 4 == choose([tried[1], Candidate(5, 0.9, 0.1, 0.7, 0.6, 0.1, 2.2, 0.1)]).k


def test_twin_clusters_get_letters():
    """Clusters of the same profile are told apart by a letter, the dearest first."""
    centres = np.array([[-1.0, 1.0, 1.0], [-2.0, 2.0, 2.0], [1.0, -1.0, -1.0]])

    assert [
        "recent frequent high spenders B",
        "recent frequent high spenders A",
        "lapsed occasional low spenders",
    ] == name_clusters(centres, [5.0, 6.0, 1.6])


@given(st.lists(st.tuples(*[st.floats(-3, 3)] * 3), min_size=1, max_size=26))
def test_names_are_unique(centres):
    """However alike clusters are, no two share a name."""
    names = name_clusters(np.array(centres), [2.0] * len(centres))

    assert len(set(names)) == len(names)


def test_errors_of_use(table):
    """Too few customers for k, impossible k, missing columns and foreign files are told apart."""
    with pytest.raises(DataError, match="5 clusters must have at least 6 different customers"):
        KMeansSegmenter(k=5).fit(table.iloc[:3])
    with pytest.raises(DataError, match="at least one customer"):
        KMeansSegmenter().fit(table.iloc[:0])
    with pytest.raises(ConfigError, match="k must be"):
        KMeansSegmenter(k=1).fit(table)
    with pytest.raises(ColumnError, match="Got no purchases"):
        KMeansSegmenter().fit(table.drop(columns="purchases"))
    with pytest.raises(ColumnError, match="pandas DataFrame, an Arrow table or a DuckDB relation"):
        KMeansSegmenter().fit([1, 2, 3])
    for ask in (
        KMeansSegmenter().to_dict,
        lambda: KMeansSegmenter().assign(1, 1, 1.0),
        lambda: KMeansSegmenter().predict(table),
    ):
        with pytest.raises(NotFittedError, match="KMeansSegmenter must be fitted"):
            ask()
    with pytest.raises(ModelError, match="must be a KMeansSegmenter"):
        KMeansSegmenter.from_dict({"model": "RfmScorer", "format": 1})


def test_silhouettes_are_those_of_scikit_learn():
    """Silhouettes under several labellings at once are those that scikit-learn works out for each alone."""
    from sklearn.metrics import silhouette_samples

    from c360ml.segments.kmeans_choice import silhouettes

    random = np.random.default_rng(3)
    points = random.normal(size=(700, 3))
    labellings = [random.integers(0, k, 700) for k in (2, 5)]
    labellings[1][0] = 5  # a cluster of one
    for labels, found in zip(labellings, silhouettes(points, labellings), strict=True):
        assert silhouette_samples(points, labels) == pytest.approx(found, abs=1e-9)
