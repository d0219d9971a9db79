"""Rules of the generated world: same seed same bytes, planted rates, true labels, valid VINs."""

import csv
import hashlib
import json
import tomllib
from pathlib import Path

import duckdb
import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import gammaln

from c360ml.config import Config
from c360ml.errors import ConfigError
from c360ml.synthetic import Planted, expected_repeat_purchases, write_world
from c360ml.synthetic.buying import draw_buying
from c360ml.synthetic.planted import WINDOW_WEEKS

CUSTOMER_FILES = {
    "salesforce": ("read_json('{}/extracts/salesforce/*.json', union_by_name = true)", "records", "Id"),
    "dynamics365": ("read_json('{}/extracts/dynamics365/*.json', union_by_name = true)", "value", "contactid"),
    "dms": ("read_csv('{}/extracts/dms/customers.csv', all_varchar = true)", None, "customer_id"),
    "service": ("read_csv('{}/extracts/service/customers.csv', all_varchar = true)", None, "service_customer_id"),
    "digital": ("read_json('{}/extracts/digital/accounts.ndjson')", None, "user_id"),
}


def digest(folder):
    """Give the SHA-256 of each file of a world by its name."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def rows(query, **parameters):
    """Ask a fresh DuckDB."""
    with duckdb.connect() as con:
        return con.execute(query, parameters or None).fetchall()


def csv_rows(path):
    """Read a CSV file as dicts."""
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def keys(folder, source):
    """Give all keys of a customer source, null ones too."""
    reader, nested, key = CUSTOMER_FILES[source]
    if nested:
        return [k for (k,) in rows(f"select r.{key} from (select unnest({nested}) as r from {reader.format(folder)})")]
    return [k for (k,) in rows(f"select {key} from {reader.format(folder)}")]


def check_digit(vin):
    """Compute a VIN's ninth character, from the table of 49 CFR 565.15."""
    values = dict(
        zip(
            "0123456789ABCDEFGHJKLMNPRSTUVWXYZ",
            [*range(10), *range(1, 9), 1, 2, 3, 4, 5, 7, 9, *range(2, 10)],
            strict=True,
        )
    )
    weights = [8, 7, 6, 5, 4, 3, 2, 10, 0, 9, 8, 7, 6, 5, 4, 3, 2]
    return "0123456789X"[sum(values[c] * w for c, w in zip(vin, weights, strict=True)) % 11]


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Make one world of 4,000 people."""
    folder = tmp_path_factory.mktemp("world")
    return folder, write_world(folder, customers=4_000, seed=11)


@pytest.fixture(scope="module")
def bad(world):
    """Read the list of planted bad rows."""
    return csv_rows(world[0] / "truth" / "bad_rows.csv")


def test_same_seed_same_bytes_at_any_thread_count(tmp_path):
    """The same seed writes the same bytes with one thread and with many, and over an older world."""
    write_world(tmp_path / "a", customers=400, seed=5, threads=1)
    (tmp_path / "b" / "extracts" / "salesforce").mkdir(parents=True)
    (tmp_path / "b" / "extracts" / "salesforce" / "contacts_0002.json").write_text("a page of a larger world")
    write_world(tmp_path / "b", customers=400, seed=5, threads=4)
    assert digest(tmp_path / "a") == digest(tmp_path / "b")


def test_other_seed_other_people(tmp_path):
    """Another seed makes another world: no file is the same."""
    write_world(tmp_path / "a", customers=300, seed=5)
    write_world(tmp_path / "b", customers=300, seed=6)
    one, other = digest(tmp_path / "a"), digest(tmp_path / "b")
    assert [name for name in one if one[name] == other[name]] == []


def test_counts_are_as_promised(world):
    """A person has about 2.1 records, 4 purchases and services, and 6 digital events."""
    truth = world[1]
    assert truth["customer_records"] / 4_000 == pytest.approx(2.13, abs=0.08)
    assert (truth["purchases"] + truth["services"]) / 4_000 == pytest.approx(4.0, abs=0.3)
    assert truth["digital_events"] / 4_000 == pytest.approx(6.1, abs=0.9)
    assert truth["refunds"] / truth["purchases"] == pytest.approx(0.01, abs=0.005)
    assert truth["rows_by_source"]["campaigns"] == 2


def test_missing_values_are_those_of_the_reference_file(world):
    """E-mail is missing on 34 %, phone on 23 %, date of birth on 85 %; hardly a record is a bare name."""
    missing = world[1]["missing_shares"]
    assert missing["email"] == pytest.approx(0.34, abs=0.02)
    assert missing["phone"] == pytest.approx(0.23, abs=0.02)
    assert missing["date_of_birth"] == pytest.approx(0.85, abs=0.02)
    assert world[1]["name_only_share"] < 0.03


def test_every_file_is_read_back(world):
    """Every customer row that was counted can be read back from the files by an ordinary reader."""
    folder, truth = world
    assert {source: len(keys(folder, source)) for source in CUSTOMER_FILES} == {
        source: truth["rows_by_source"][source] for source in CUSTOMER_FILES
    }


def test_true_people_are_the_valid_records(world, bad):
    """Every valid customer record, and no other, has its true person."""
    folder = world[0]
    known = sorted(r for (r,) in rows(f"select record_id from '{folder}/labels/true_people.parquet'"))
    spoiled = {(row["source"], row["source_key"]) for row in bad if row["reason"] == "email_invalid"}
    extracted = {
        f"{source}:{key}"
        for source in CUSTOMER_FILES
        for key in keys(folder, source)
        if key and (source, key) not in spoiled
    }
    assert known == sorted(extracted)


def test_labelled_pairs_tell_the_truth(world):
    """Each labelled pair is ordered, is of known records, and agrees with the true people."""
    folder, truth = world
    true_id = dict(rows(f"select record_id, true_id from '{folder}/labels/true_people.parquet'"))
    pairs = csv_rows(folder / "labels" / "labelled_pairs.csv")
    wrong = [
        p
        for p in pairs
        if p["record_id_l"] >= p["record_id_r"]
        or (true_id[p["record_id_l"]] == true_id[p["record_id_r"]]) != (p["is_match"] == "1")
        or (p["pair_kind"] == "same_person") != (p["is_match"] == "1")
    ]
    assert wrong == []
    assert len({(p["record_id_l"], p["record_id_r"]) for p in pairs}) == len(pairs)
    assert len(pairs) / truth["customer_records"] == pytest.approx(0.3, abs=0.02)
    assert set(truth["labelled_pairs"]) == {
        "same_person", "household", "namesake", "shared_contact", "same_surname_and_city", "random"
    }  # fmt: skip


def test_household_sizes_are_as_planted(world):
    """Households have one to five people, 2.3 on average."""
    sizes = [n for (n,) in rows(
        f"select count(distinct true_id) from '{world[0]}/labels/true_people.parquet' group by true_household_id"
    )]  # fmt: skip
    assert max(sizes) == 5
    assert np.mean(sizes) == pytest.approx(2.33, abs=0.1)


def test_vins_are_valid_but_for_the_planted_ones(world, bad):
    """Every VIN has a right check digit, except exactly the rows listed as vin_invalid."""
    folder = world[0]
    wrong_rows = {int(row["row_number"]) for row in bad if row["reason"] == "vin_invalid"}
    sales = csv_rows(folder / "extracts" / "dms" / "sales.csv")
    wrong = {n for n, row in enumerate(sales, 1) if len(row["vin"]) != 17 or check_digit(row["vin"]) != row["vin"][8]}
    assert wrong == wrong_rows
    services = csv_rows(folder / "extracts" / "service" / "service_records.csv")
    assert [row for row in services if check_digit(row["vin"]) != row["vin"][8]] == []


def test_a_vehicle_is_sold_once(world, bad):
    """No two purchases are of one vehicle."""
    spoiled = {int(row["row_number"]) for row in bad if row["source"] == "dms_sales"}
    sales = csv_rows(world[0] / "extracts" / "dms" / "sales.csv")
    vins = [row["vin"] for n, row in enumerate(sales, 1) if n not in spoiled and float(row["sale_price"]) > 0]
    assert len(vins) == len(set(vins))


def test_nothing_happens_after_the_end_but_planted_rows(world, bad):
    """Dates after the end of observation are exactly the rows listed as date_in_future."""
    folder, truth = world
    for source, file, column in (
        ("dms_sales", "dms/sales.csv", "sale_date"),
        ("service_records", "service/service_records.csv", "service_date"),
    ):
        late = {
            n for n, row in enumerate(csv_rows(folder / "extracts" / file), 1) if row[column] > truth["observation_end"]
        }
        planted = {int(r["row_number"]) for r in bad if r["source"] == source and r["reason"] == "date_in_future"}
        assert late == planted
        assert planted != set()


def test_sales_and_services_name_known_customers(world):
    """Every sale and every service names a customer record of its source that exists by then."""
    folder = world[0]
    orphans = rows(f"""
        with dms as (select customer_id, min(created_date) as made_on
                     from read_csv('{folder}/extracts/dms/customers.csv') group by 1)
        select count(*) from read_csv('{folder}/extracts/dms/sales.csv') as sale
        left join dms using (customer_id) where made_on is null or made_on > sale_date
    """)
    assert orphans == [(0,)]
    orphans = rows(f"""
        with known as (select service_customer_id, min(created_date) as made_on
                       from read_csv('{folder}/extracts/service/customers.csv') group by 1)
        select count(*) from read_csv('{folder}/extracts/service/service_records.csv')
        left join known using (service_customer_id) where made_on is null or made_on > service_date
    """)
    assert orphans == [(0,)]


def test_bad_rows_are_one_in_a_hundred_and_findable(world, bad):
    """Of each kind of rows 0.5 to 2 % are bad, each listed with its file and row number, and its key there."""
    folder, truth = world
    assert {row["reason"] for row in bad} == {
        "email_invalid", "vin_invalid", "date_in_future", "key_missing", "duplicate_key"
    }  # fmt: skip
    for source, total in truth["rows_by_source"].items():
        if not source.startswith("campaign"):
            assert 0.005 < sum(row["source"] == source for row in bad) / total < 0.02
    cached = {}
    for row in bad:
        if row["file"] not in cached:
            cached[row["file"]] = read_rows(folder / row["file"])
        key = next(
            value for name, value in cached[row["file"]][int(row["row_number"]) - 1].items() if name in KEY_COLUMNS
        )
        assert (key or "") == row["source_key"]


KEY_COLUMNS = (
    "Id", "contactid", "customer_id", "deal_number", "service_id", "user_id", "event_id", "service_customer_id"
)  # fmt: skip


def read_rows(path):
    """Read a file of any of the formats as a list of dicts."""
    if path.suffix == ".csv":
        return csv_rows(path)
    if path.suffix == ".ndjson":
        return [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    page = json.loads(path.read_text("utf-8"))
    return page.get("records") or page["value"]


def test_of_twice_used_keys_the_later_row_is_bad(world, bad):
    """A key is used twice exactly where a duplicate is planted, and the planted row comes last."""
    folder = world[0]
    planted = [row for row in bad if row["reason"] == "duplicate_key"]
    for file in {row["file"] for row in planted}:
        mine = {(row["source_key"], int(row["row_number"])) for row in planted if row["file"] == file}
        places = {}
        for number, row in enumerate(read_rows(folder / file), 1):
            places.setdefault(next(value for name, value in row.items() if name in KEY_COLUMNS), []).append(number)
        twice = {(key, max(numbers)) for key, numbers in places.items() if key and len(numbers) > 1}
        assert twice == mine


def test_pages_are_whole_documents(world):
    """Salesforce and Dynamics pages hold at most 2,000 rows, and only the last page ends the query."""
    folder = world[0]
    for system, rows_name in (("salesforce", "records"), ("dynamics365", "value")):
        for path in sorted((folder / "extracts" / system).glob("*.json")):
            assert len(json.loads(path.read_text("utf-8"))[rows_name]) <= 2_000
    leads = [json.loads(p.read_text("utf-8")) for p in sorted((folder / "extracts/salesforce").glob("leads_*.json"))]
    assert [page["done"] for page in leads] == [False] * (len(leads) - 1) + [True]
    assert leads[0]["totalSize"] == sum(len(page["records"]) for page in leads)


def test_project_file_names_every_extract(world):
    """The project's settings are valid, and their sources cover every extract file and the labels."""
    folder = world[0]
    config = Config.parse(tomllib.loads((folder / "c360ml.toml").read_text("utf-8")))
    named = {path for source in config.sources for path in folder.glob(source.files)}
    assert named == {path for path in (folder / "extracts").rglob("*") if path.is_file()}
    assert config.project.observation_end.isoformat() == world[1]["observation_end"]
    assert (folder / config.evaluation.labelled_pairs).is_file()
    assert (folder / config.evaluation.true_ids).is_file()


def test_truth_is_written_as_it_is_returned(world):
    """The truth that is returned is the one in truth/parameters.json."""
    assert json.loads((world[0] / "truth" / "parameters.json").read_text("utf-8")) == world[1]


def test_campaign_effect_is_found_by_counting(world):
    """Treated against held out, counted from sends and true people, finds the planted lift within its error."""
    folder, truth = world
    found = rows(f"""
        with person as (select record_id, true_id from '{folder}/labels/true_people.parquet'),
        sent as (
            select campaign_id, true_id, sent_date, audience
            from read_csv('{folder}/extracts/marketing/campaign_sends.csv')
            join person on record_id = 'salesforce:' || customer_key
        ),
        bought as (
            select distinct true_id, sale_date from read_csv('{folder}/extracts/dms/sales.csv')
            join person on record_id = 'dms:' || customer_id where sale_price > 0
        )
        select campaign_id, audience, count(*), avg(cast(exists (from bought where bought.true_id = sent.true_id
            and sale_date between sent_date + 1 and sent_date + 30) as integer))
        from sent group by all
    """)
    rate = {(campaign, audience): (n, share) for campaign, audience, n, share in found}
    for campaign, planted in truth["campaigns"].items():
        (treated, converted), (held_out, control) = rate[campaign, "TREATED"], rate[campaign, "CONTROL"]
        assert (treated, held_out) == (planted["treated"], planted["held_out"])
        error = np.sqrt(converted * (1 - converted) / treated + control * (1 - control) / held_out)
        assert abs(converted - control - planted["lift_of_conversion_rate"]) < 3 * error
        assert planted["lift_of_conversion_rate"] == pytest.approx(planted["uplift"], abs=0.05)


def test_purchases_follow_the_planted_processes(tmp_path):
    """Of 20,000 people mean purchases, spend and buyers are those of the planted BG/NBD and Gamma-Gamma."""
    truth = write_world(tmp_path, customers=20_000, seed=2)
    caused = sum(campaign["purchases_caused"] for campaign in truth["campaigns"].values())
    expected = truth["expected_purchases_per_person"]
    assert (truth["purchases"] - caused) / 20_000 == pytest.approx(expected, rel=0.03)
    mean_spend = rows(f"""
        select avg(spend) from (
            select avg(sale_price) as spend
            from read_csv('{tmp_path}/extracts/dms/sales.csv') as sale
            join '{tmp_path}/labels/true_people.parquet' on record_id = 'dms:' || sale.customer_id
            where sale_price > 0 group by true_id)
    """)[0][0]
    assert mean_spend == pytest.approx(truth["expected_mean_spend"], rel=0.03)


def test_purchases_per_customer_is_met(tmp_path):
    """People make as many purchases as asked for, on average, and alpha says why."""
    truth = write_world(tmp_path, customers=3_000, seed=4, purchases_per_customer=4.0)
    assert truth["purchases"] / 3_000 == pytest.approx(4.0, rel=0.1)
    assert truth["bg_nbd"]["alpha"] == pytest.approx(Planted.scaled_to(4.0).alpha)


def test_expected_repeats_agree_with_simulation():
    """E[X(t)] agrees with the mean of 400,000 simulated customers."""
    rng = np.random.default_rng(1)
    rate, dropout = rng.gamma(0.8, 1 / 40, 400_000), rng.beta(0.7, 3.5, 400_000)
    bought = np.minimum(rng.poisson(rate * 120), rng.geometric(dropout))
    assert bought.mean() == pytest.approx(
        float(expected_repeat_purchases(120, r=0.8, alpha=40, a=0.7, b=3.5)), rel=0.01
    )


@pytest.mark.parametrize(
    "settings", [{"customers": 3}, {"purchases_per_customer": 0.1}, {"purchases_per_customer": 1e6}]
)
def test_impossible_worlds_are_refused(tmp_path, settings):
    """A world too small, or with purchases the process cannot make, is refused before anything is written."""
    with pytest.raises(ConfigError):
        write_world(tmp_path / "world", **settings)
    assert not (tmp_path / "world").exists()


def test_sample_is_as_its_readme_says():
    """The sample that ships is below 600 kB, and its README tells its true counts."""
    data = Path(__file__).parents[2] / "data"
    truth = json.loads((data / "sample" / "truth" / "parameters.json").read_text("utf-8"))
    readme = (data / "README.md").read_text("utf-8")
    for count in ("customer_records", "purchases", "services", "digital_events"):
        assert f"{truth[count]:,} {count.replace('_', ' ')}" in readme
    shipped = [data / "sample" / name for name in ("extracts", "labels", "truth")]
    assert sum(path.stat().st_size for folder in shipped for path in folder.rglob("*") if path.is_file()) < 600_000


def test_planted_parameters_are_found_by_fitting(tmp_path):
    """The likeliest BG/NBD parameters of the true customers are near the planted ones."""
    people, purchases = draw_buying(60_000, 3, Planted())
    weeks = purchases.to_pandas().groupby("person")["week"].agg(["count", "min", "max"])
    x, seen, age = weeks["count"] - 1, weeks["max"] - weeks["min"], WINDOW_WEEKS - weeks["min"]

    def loss(logs):
        r, alpha, a, b = np.exp(logs)
        alive = -(r + x) * np.log(alpha + age)
        gone = np.where(x > 0, np.log(a) - np.log(b + np.maximum(x, 1) - 1) - (r + x) * np.log(alpha + seen), -np.inf)
        buying = gammaln(r + x) - gammaln(r) + r * np.log(alpha)
        staying = gammaln(a + b) + gammaln(b + x) - gammaln(b) - gammaln(a + b + x)
        return -(buying + staying + np.logaddexp(alive, gone)).mean()

    found = np.exp(minimize(loss, np.log([1, 20, 1, 1]), method="BFGS").x)
    assert list(found) == pytest.approx([0.8, 40, 0.7, 3.5], rel=0.2)
    assert people["is_buyer"].to_numpy().mean() == pytest.approx(0.55, abs=0.01)
