"""The reports of one linked and one valued table."""

from __future__ import annotations

import pandas
import pytest
from report_reading import addresses, charts, check_spec, own_text

from c360ml.dashboards import write_link_report, write_value_report
from c360ml.pipeline import link_table, value_table

COLUMNS = {"given_name": "first", "surname": "last", "date_of_birth": "born", "email": "mail"}
FIRST = ("ann", "bob", "cyd", "dora", "emil", "fay", "gus", "hal", "ida", "jon")
LAST = ("lee", "ray", "orrin", "foxx", "stone", "marsh", "pike", "vance")


def people() -> pandas.DataFrame:
    """Eighty people, every second of whom comes twice, the second time mistyped."""
    rows = []
    for number in range(80):
        person = {
            "first": FIRST[number % 10],
            "last": LAST[number % 8],
            "born": f"{1940 + number % 50}-{1 + number % 12:02}-{1 + number % 28:02}",
            "mail": f"{FIRST[number % 10]}.{number}@mail.example",
            "truth": number,
        }
        rows.append(person)
        if number % 2:
            rows.append({**person, "last": person["last"] + "s"})
    return pandas.DataFrame(rows).assign(id=lambda table: [f"r{number}" for number in range(len(table))])


@pytest.fixture(scope="module")
def linked(tmp_path_factory):
    """A linked table with truth."""
    folder = tmp_path_factory.mktemp("linked")
    people().to_csv(folder / "people.csv", index=False)
    return link_table(folder / "people.csv", id="id", columns=COLUMNS, truth="truth", out=folder / "out")


def sales(customers: int) -> pandas.DataFrame:
    """Customers who buy now and then over two years."""
    days = pandas.Timestamp("2022-01-03")
    rows = [
        {
            "who": f"c{who}",
            "day": days + pandas.Timedelta(days=who % 90 + visit * (7 + who % 40)),
            "paid": 10.0 + who % 7 + visit,
        }
        for who in range(customers)
        for visit in range(1 + (who * who) % 9)
    ]
    return pandas.DataFrame(rows)


def value(folder, table, **settings):
    """Value a table in a folder."""
    table.to_parquet(folder / "sales.parquet")
    return value_table(
        folder / "sales.parquet", customer="who", date="day", amount="paid", out=folder / "out", **settings
    )


def test_the_link_report_says_how_sure_it_is(linked):
    """The report of a linked table answers who the people are and how sure the matches are, beside the answers."""
    report = write_link_report(linked)
    assert linked.folder / "report.html" == report
    text = own_text(report)
    assert all(
        question in text for question in ("Who are the people?", "How sure are the matches?", "Linked: people.csv")
    )
    assert "B-cubed" in text
    for spec in charts(report):
        check_spec(spec)


def test_the_link_report_is_offline_and_holds_nothing_personal(linked):
    """The report of a linked table names no address, no e-mail and no full name."""
    report = write_link_report(linked)
    assert [] == addresses(report)
    text = own_text(report).lower()
    table = people()
    assert [] == [mail for mail in table["mail"] if mail in text]
    assert [] == [name for name in table["first"] + " " + table["last"] if name in text]


def test_the_link_report_without_truth_says_so(tmp_path):
    """Without truth the report says that nothing was measured."""
    people().to_csv(tmp_path / "people.csv", index=False)
    report = write_link_report(link_table(tmp_path / "people.csv", id="id", columns=COLUMNS, out=tmp_path / "out"))
    assert "No labels were given" in own_text(report)


def test_the_value_report_shows_the_forecast(tmp_path):
    """The report of a valued table shows value, segments and the held-out weeks, in the currency given."""
    valued = value(tmp_path, sales(200), holdout_start="2022-09-01")
    report = write_value_report(valued, "GBP")
    text = own_text(report)
    assert tmp_path / "out" / "report.html" == report
    assert all(words in text for words in ("GBP", "Buyers by RFM segment", "Errors of the forecast", "held-out"))
    assert [] == addresses(report)
    for spec in charts(report):
        check_spec(spec)


def test_the_value_report_of_few_customers_says_so(tmp_path):
    """With too few repeat buyers the report shows past value and says why there is no forecast."""
    report = write_value_report(value(tmp_path, sales(6)))
    text = own_text(report)
    assert "No forecast was made" in text
    assert "in the table&#x27;s currency" not in text.partition("<main")[0]
    for spec in charts(report):
        check_spec(spec)
