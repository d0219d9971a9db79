"""A labelled car-maker world, written as a user's project: READ THIS FIRST, it is the order of making.

People live in households and are reached by addresses, phones and e-mails; they buy; systems know them
by records full of mistakes; campaigns make some buy more; services and clicks follow. Then some rows are
spoiled, and everything is written as the systems would send it, with the truth beside.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from c360ml.errors import ConfigError
from c360ml.synthetic.campaigns import make_campaigns
from c360ml.synthetic.contacts import make_contacts
from c360ml.synthetic.digital import make_events
from c360ml.synthetic.extracts import write_campaigns, write_customers, write_rows
from c360ml.synthetic.labels import write_labels
from c360ml.synthetic.people import draw_people
from c360ml.synthetic.planted import OBSERVATION_END, OBSERVATION_START, Planted
from c360ml.synthetic.project_file import project_file
from c360ml.synthetic.purchases import make_purchases, make_sales, make_services
from c360ml.synthetic.records import make_records
from c360ml.synthetic.rendering import make_customer_rows
from c360ml.synthetic.workbench import Workbench

_SHARES = """
select count(*),
    avg(cast(real_email(email_written) is null as integer)),
    avg(cast(digits is null and mobile is null as integer)),
    avg(cast(born_on is null or born_on = date '1900-01-01' as integer)),
    avg(cast(line is null or line = 'UNKNOWN' as integer)),
    avg(cast(email_written is null and phone is null and born_on is null and line is null and postcode is null
        and city is null as integer))
from customer_row
"""


def _check(customers: int) -> None:
    if customers < 50:
        raise ConfigError("a world must have at least 50 customers", got=customers, hint="the default is 10000")


def _make_people(bench: Workbench, planted: Planted) -> dict[str, Any]:
    """Make everybody, when they buy and how the systems know them; give counts and shares."""
    bench.say(f"Drawing {bench.people:,} people in households")
    bench.take("person", draw_people(bench.people, bench.seed))
    make_contacts(bench)
    make_purchases(bench, planted)
    bench.say("Typing customer records, with mistakes")
    make_records(bench)
    make_customer_rows(bench)
    records, email, phone, birth, address, name_only = bench.run(_SHARES)[0]
    return {
        "people": bench.people,
        "households": bench.one("select count(distinct household) from contact"),
        "customer_records": records,
        "buyers": bench.one("select count(*) from buying where is_buyer"),
        "missing_shares": {"email": email, "phone": phone, "date_of_birth": birth, "address": address},
        "name_only_share": name_only,
    }


def _make_interactions(bench: Workbench, planted: Planted) -> tuple[dict[str, Any], dict[str, int]]:
    """Make and write campaigns, sales, services and events; give the truth and rows by source."""
    bench.say("Running campaigns, sales and services")
    truth: dict[str, Any] = {"campaigns": make_campaigns(bench)}
    make_sales(bench, planted)
    truth["purchases"], truth["refunds"] = bench.run(
        "select count(*) filter (amount > 0), count(*) filter (amount < 0) from sale_row"
    )[0]
    make_services(bench)
    truth["services"] = bench.one("select count(*) from service_row")
    rows = dict([write_rows(bench, "service_row"), write_rows(bench, "sale_row")])
    bench.say("Clicking through digital events")
    make_events(bench)
    truth["digital_events"] = bench.one("select count(*) from event_row")
    return truth, rows | dict([write_rows(bench, "event_row")]) | write_campaigns(bench)


def _make(bench: Workbench, planted: Planted) -> dict[str, Any]:
    """Make the world and write all but the project file; give its truth."""
    truth = {
        "seed": bench.seed,
        "observation_start": OBSERVATION_START.isoformat(),
        "observation_end": OBSERVATION_END.isoformat(),
        "bg_nbd": {name: getattr(planted, name) for name in ("r", "alpha", "a", "b")} | {"time_unit": "weeks"},
        "gamma_gamma": {name: getattr(planted, name) for name in ("p", "q", "v")},
        "expected_purchases_per_person": planted.purchases_per_person,
        "expected_mean_spend": planted.mean_spend,
    }
    truth |= _make_people(bench, planted)
    interactions, rows = _make_interactions(bench, planted)
    bench.say("Writing customer records and labels")
    rows |= write_customers(bench)
    truth |= interactions | {"labelled_pairs": write_labels(bench)}
    truth["bad_rows"] = dict(bench.run("select reason, count(*) from bad_row group by reason order by reason"))
    return truth | {"rows_by_source": dict(sorted(rows.items()))}


def write_world(
    folder: str | Path,
    *,
    customers: int = 10_000,
    seed: int = 1,
    purchases_per_customer: float | None = None,
    threads: int | None = None,
    say: Callable[[str], None] = lambda message: None,
) -> dict[str, Any]:
    """Write a world whose truth is known as a project: extracts/, labels/, truth/ and c360ml.toml.

    The same seed gives the same bytes at any number of threads.

    Args:
        folder: the project folder, made if need be; files of an earlier world in it are replaced.
        customers: number of people; they have about 2.1 records each.
        seed: seed of every random choice.
        purchases_per_customer: mean number of purchases of a person, buyers or not; about 1.5 without it.
        threads: DuckDB's threads; without it all cores.
        say: hears of progress.

    Returns:
        The planted parameters, effects and counts, as written to truth/parameters.json.

    Raises:
        ConfigError: too few customers, or a number of purchases that the process cannot make.

    >>> import tempfile
    >>> truth = write_world(tempfile.mkdtemp(), customers=60, seed=3)
    >>> truth["people"], truth["observation_end"]
    (60, '2026-06-30')
    """
    _check(customers)
    planted = Planted.scaled_to(purchases_per_customer)
    root = Path(folder).resolve()
    root.mkdir(parents=True, exist_ok=True)
    for old in root.glob("extracts/*/*_[0-9][0-9][0-9][0-9].json"):
        old.unlink()
    bench = Workbench(root, people=customers, seed=seed, threads=threads, say=say)
    try:
        truth = _make(bench, planted)
    finally:
        bench.close()
    (root / "truth" / "parameters.json").write_text(json.dumps(truth, indent=1) + "\n", "utf-8")
    (root / "c360ml.toml").write_text(project_file(customers, seed), "utf-8")
    return truth
