"""`c360ml link` and `c360ml value`: one file in, the promised files with exactly the promised columns out."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from c360ml import LinkageModel
from c360ml.cli import app
from c360ml.customer_value import GammaGamma
from c360ml.customer_value.fitting import read_purchase_model
from c360ml.segments import KMeansSegmenter, RfmScorer

PAIR_COLUMNS = ["record_id_l", "record_id_r", "match_weight", "match_probability"]
PEOPLE_COLUMNS = ["record_id", "master_id", "household_id"]
VALUE_COLUMNS = [
    "customer_id",
    "repeat_purchases",
    "first_to_last_purchase_weeks",
    "age_weeks",
    "mean_spend",
    "probability_alive",
    "expected_purchases",
    "expected_spend",
    "historical_value",
    "projected_value",
    *(f"value_year_{year}" for year in (1, 2, 3)),
    "value_all_years",
    "rfm_score",
    "rfm_segment",
    "kmeans_segment",
]
GIVEN = ("Ada", "Benjamin", "Cleo", "Dov", "Ewa", "Finn", "Gus", "Hana", "Ines", "Joel", "Katherine", "Liam")
SURNAMES = ("Archer", "Baker", "Cooper", "Draper", "Evans", "Fisher", "Gardner", "Hunter", "Ismail", "Jones")


def run(*words: object) -> str:
    """Run a command that must succeed; gives what it prints."""
    result = CliRunner(env={"COLUMNS": "160"}).invoke(app, [str(word) for word in words])
    if result.exception:
        raise result.exception
    return result.output


# ---------------------------------------------------------------------- link
@pytest.fixture(scope="module")
def people() -> pd.DataFrame:
    """120 people, half of them twice: another system, a typing error or a field left out."""
    random = np.random.default_rng(5)
    rows = []
    for n, (given, surname) in enumerate((given, surname) for surname in SURNAMES for given in GIVEN):
        row = {
            "key": f"k{n}",
            "first": given,
            "last": surname,
            "mail": f"{given}.{surname}@post.net".lower(),
            "born": f"{random.integers(1940, 2000)}-{random.integers(1, 13):02}-{random.integers(1, 29):02}",
            "zip": f"{73000 + random.integers(40)}",
            "shoe size": 36 + random.integers(12),
            "system": "shop",
            "who": f"p{n}",
        }
        rows.append(row)
        if n % 2:
            change = [{"first": given[:-1] + "x"}, {"mail": None}, {"born": None}, {"last": surname.upper()}][
                n // 2 % 4
            ]
            rows.append(row | change | {"key": f"t{n}", "system": "workshop"})
    return pd.DataFrame(rows).sample(frac=1, random_state=random).reset_index(drop=True)


@pytest.fixture(scope="module")
def linked(people, tmp_path_factory):
    """The folder of answers of `c360ml link`, and what it printed."""
    folder = tmp_path_factory.mktemp("link")
    people.to_csv(folder / "people.csv", index=False)
    printed = run(
        *(
            "link",
            folder / "people.csv",
            "--id",
            "key",
            "--source",
            "system",
            "--truth",
            "who",
            "--out",
            folder / "out",
        ),
        *(
            "--columns",
            "given_name=first,surname=last,email=mail,date_of_birth=born,postcode=zip,attribute:shoe=shoe size",
        ),
    )
    return folder / "out", printed


def test_link_writes_what_it_promises(linked):
    """Five files, no more: pairs, people, model, metrics, report."""
    files = sorted(path.name for path in linked[0].iterdir())
    assert ["metrics.json", "model.json", "pairs.parquet", "people.parquet", "report.html"] == files
    assert PAIR_COLUMNS == pq.read_schema(linked[0] / "pairs.parquet").names
    assert PEOPLE_COLUMNS == pq.read_schema(linked[0] / "people.parquet").names


def test_link_gives_every_record_one_person(linked, people):
    """Each row of the file is there once, with a person and a household."""
    found = pd.read_parquet(linked[0] / "people.parquet")
    assert sorted(people["key"]) == found["record_id"].tolist()
    assert not found.isna().any().any()
    assert 1 == found.groupby("master_id")["household_id"].nunique().max()


def test_link_scores_each_pair_once(linked, people):
    """A pair is there once, lesser id first, of two records of the file, with weight and probability agreeing."""
    pairs = pd.read_parquet(linked[0] / "pairs.parquet")
    assert len(pairs) and not pairs.duplicated(["record_id_l", "record_id_r"]).any()
    assert (pairs["record_id_l"] < pairs["record_id_r"]).all()
    assert set() == {*pairs["record_id_l"], *pairs["record_id_r"]} - set(people["key"])
    odds = 2.0 ** pairs["match_weight"]
    np.testing.assert_allclose(pairs["match_probability"], odds / (1 + odds), rtol=1e-6)


def test_link_tells_how_right_it_is(linked):
    """With a truth column the metrics and the screen say precision, recall and F1; on easy people they are high."""
    folder, printed = linked
    evaluation = json.loads((folder / "metrics.json").read_text())["evaluation"]
    assert evaluation["b3_f1"] > 0.95
    assert f"F1 {evaluation['b3_f1']:.4f}" in printed
    assert f"recall {evaluation['pairwise_recall']:.4f}" in printed


def test_link_metrics_add_up(linked):
    """What the metrics count is what the tables hold."""
    folder, _ = linked
    fit = json.loads((folder / "metrics.json").read_text())["fit"]
    found = pd.read_parquet(folder / "people.parquet")
    assert (len(found), found["master_id"].nunique()) == (fit["records"], fit["customers"])
    assert found["household_id"].nunique() == fit["households"]
    assert "attribute_shoe" in fit["comparisons"]


def test_link_model_comes_back(linked):
    """The model file holds a whole model, and neither a name nor an address."""
    text = (linked[0] / "model.json").read_text()
    assert json.loads(text) == json.loads(json.dumps(LinkageModel.from_dict(json.loads(text)).to_dict()))
    assert "archer" not in text.casefold() and "post.net" not in text.casefold()


def test_link_report_is_one_whole_page(linked):
    """The report is one file that needs no network."""
    page = (linked[0] / "report.html").read_text("utf-8")
    assert page.lstrip().lower().startswith("<!doctype html") and page.rstrip().endswith("</html>")
    assert 'src="http' not in page and 'href="http' not in page


def test_link_reads_other_kinds_of_files_alike(linked, people, tmp_path):
    """The same people as Parquet, without truth and source, are the same people; nothing is measured."""
    people.to_parquet(tmp_path / "people.parquet")
    printed = run(
        *("link", tmp_path / "people.parquet", "--id", "key", "--out", tmp_path / "out", "--threshold", "0.5"),
        *(
            "--columns",
            "given_name=first,surname=last,email=mail,date_of_birth=born,postcode=zip,attribute:shoe=shoe size",
        ),
    )
    assert "F1" not in printed
    assert {} == json.loads((tmp_path / "out" / "metrics.json").read_text())["evaluation"]
    groups = [
        set(pd.read_parquet(folder / "people.parquet").groupby("master_id")["record_id"].agg(tuple))
        for folder in (linked[0], tmp_path / "out")
    ]
    assert groups[0] == groups[1]


# ---------------------------------------------------------------------- value
@pytest.fixture(scope="module")
def sales() -> pd.DataFrame:
    """Purchases of 400 customers who buy and leave as BG/NBD supposes, and some refunds."""
    random = np.random.default_rng(6)
    rows = []
    for n in range(400):
        day, rate, leaves = random.uniform(0, 200), random.gamma(1.0) / 30, random.beta(1, 3)
        while day < 500:
            rows.append((f"c{n:03}", day, round(random.gamma(6, random.uniform(3, 6)), 2)))
            if random.random() < leaves:
                break
            day += random.exponential(1 / rate)
    table = pd.DataFrame(rows, columns=["customer", "day", "paid"])
    refunds = table.iloc[::40].assign(paid=lambda part: -part["paid"])
    table = pd.concat([table, refunds], ignore_index=True)
    return table.assign(
        day=(pd.Timestamp("2023-01-01") + pd.to_timedelta(table["day"].astype(int), unit="D")).dt.strftime("%Y-%m-%d")
    )


@pytest.fixture(scope="module")
def valued(sales, tmp_path_factory):
    """The folder of answers of `c360ml value`, and what it printed."""
    folder = tmp_path_factory.mktemp("value")
    sales.to_csv(folder / "sales.csv", index=False)
    printed = run(
        *("value", folder / "sales.csv", "--customer", "customer", "--date", "day", "--amount", "paid"),
        *(
            "--observation-end",
            "2024-05-31",
            "--holdout-start",
            "2024-01-01",
            "--horizon-weeks",
            26,
            "--out",
            folder / "out",
        ),
    )
    return folder / "out", printed


def test_value_writes_what_it_promises(valued):
    """Four files, no more: one row per customer, model, metrics, report."""
    files = sorted(path.name for path in valued[0].iterdir())
    assert ["customer_value.parquet", "metrics.json", "model.json", "report.html"] == files
    assert VALUE_COLUMNS == pq.read_schema(valued[0] / "customer_value.parquet").names


@pytest.mark.parametrize(("model", "kind"), [("mbg_nbd", "MBG/NBD"), ("pareto_nbd", "Pareto/NBD")])
def test_value_by_a_named_model(model, kind, valued, tmp_path):
    """--model takes that model, and says that nobody compared it; a name of none is refused."""
    words = ("value", valued[0].parent / "sales.csv", "--customer", "customer", "--date", "day", "--amount", "paid")
    run(*words, "--model", model, "--out", tmp_path / "valued")
    metrics = json.loads((tmp_path / "valued" / "metrics.json").read_text("utf-8"))

    assert (kind, "the settings say so") == (metrics["purchase_model"]["model"], metrics["why_this_model"])
    with pytest.raises(SystemExit):
        run(*words, "--model", "best_of_all", "--out", tmp_path / "other")


def test_value_has_one_row_per_customer(valued, sales):
    """Every customer who bought is there once, and every money that came in is theirs."""
    customers = pd.read_parquet(valued[0] / "customer_value.parquet")
    assert sorted(set(sales["customer"])) == customers["customer_id"].tolist()
    assert sales["paid"].sum() == pytest.approx(customers["historical_value"].sum())
    assert not customers[["probability_alive", "projected_value", "rfm_segment", "kmeans_segment"]].isna().any().any()
    assert customers["probability_alive"].between(0, 1).all()
    assert (customers["projected_value"] >= 0).all()


def test_value_tells_parameters_and_errors(valued):
    """The metrics hold finite parameters, log-likelihoods and how far the forecast was off."""
    folder, printed = valued
    metrics = json.loads((folder / "metrics.json").read_text())
    assert {"r", "alpha", "a", "b"} == set(metrics["purchase_model"]["params"])
    assert {"p", "q", "v"} == set(metrics["gamma_gamma"]["params"])
    assert np.isfinite([metrics["purchase_model"]["log_likelihood"], metrics["gamma_gamma"]["log_likelihood"]]).all()
    assert metrics["holdout"]["measured"]
    assert f"log-likelihood {metrics['purchase_model']['log_likelihood']:,.1f}" in printed
    assert "holdout" in printed


def test_value_models_come_back(valued):
    """The model file holds four models that can be asked again, and no customer."""
    text = (valued[0] / "model.json").read_text()
    model = json.loads(text)
    assert read_purchase_model(model["customer_value"]["purchase_model"]).params_
    assert GammaGamma.from_dict(model["customer_value"]["gamma_gamma"]).params_
    assert RfmScorer.from_dict(model["rfm"]).cut_points_
    assert KMeansSegmenter.from_dict(model["kmeans"]).names_
    assert '"c001"' not in text


def test_value_counts_segments(valued):
    """Sizes of segments in the metrics are counts of rows."""
    metrics = json.loads((valued[0] / "metrics.json").read_text())
    customers = pd.read_parquet(valued[0] / "customer_value.parquet")
    for name in ("rfm_segment", "kmeans_segment"):
        assert customers[name].value_counts().to_dict() == metrics["segments"][name]


def test_value_multiplies_unit_prices(sales, tmp_path):
    """With a quantity column the amount is a unit price."""
    sales.assign(units=3).to_csv(tmp_path / "lines.csv", index=False)
    options = (
        "--customer",
        "customer",
        "--date",
        "day",
        "--amount",
        "paid",
        "--quantity",
        "units",
        "--out",
        tmp_path / "out",
    )
    run("value", tmp_path / "lines.csv", *options)
    customers = pd.read_parquet(tmp_path / "out" / "customer_value.parquet")
    assert 3 * sales["paid"].sum() == pytest.approx(customers["historical_value"].sum())


def test_value_without_repeat_purchases_keeps_the_past(tmp_path):
    """Where data cannot carry a forecast, past values and RFM stand, forecasts are empty, and the screen says why."""
    (tmp_path / "few.csv").write_text("who,day,paid\na,2024-01-01,5\nb,2024-02-01,7\n")
    printed = run(
        "value",
        tmp_path / "few.csv",
        "--customer",
        "who",
        "--date",
        "day",
        "--amount",
        "paid",
        "--out",
        tmp_path / "out",
    )
    assert "none: a forecast must rest on at least 20 customers" in printed
    customers = pd.read_parquet(tmp_path / "out" / "customer_value.parquet")
    assert VALUE_COLUMNS == list(customers.columns)
    assert [5.0, 7.0] == customers["historical_value"].tolist()
    assert customers["projected_value"].isna().all()
