"""Values that belong to no single person."""

import duckdb
import pandas as pd
import pytest

from c360ml import standardize_records
from c360ml.linkage.features import build_features
from c360ml.linkage.hubs import LEAST_NAMES, find_hubs, hub_limit

NAMES = ("ann", "bob", "carla", "dan", "eva", "finn", "gina", "hugo", "ida", "jon", "kim", "leo")
ROLES = {
    "given_name": "given",
    "email": "mail",
    "phone": "phone",
    "street_number": "no",
    "street": "street",
    "unit": "unit",
    "city": "city",
}


def people(**changes):
    """Twelve people of different names, each with an e-mail, phone and house of their own."""
    rows = {
        "id": [f"p{n:02}" for n in range(len(NAMES))],
        "given": list(NAMES),
        "mail": [f"{name}@x.org" for name in NAMES],
        "phone": [f"312555{n:02}{n:02}" for n in range(10, 10 + len(NAMES))],
        "no": [str(n) for n in range(1, 13)],
        "street": ["oak street"] * 12,
        "unit": [None] * 12,
        "city": ["salem"] * 12,
    }
    return standardize_records(pd.DataFrame({**rows, **changes}), id="id", columns=ROLES)


def kinds(records):
    return sorted(find_hubs(records)["kind"])


def test_own_values_are_no_hubs():
    """People who share nothing have no hub."""
    assert [] == kinds(people())


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ({"mail": ["desk@x.org"] * 9 + ["a@x.org", "b@x.org", "c@x.org"]}, "email"),
        ({"phone": ["3125551234"] * 9 + ["3125551299", "3125551288", "3125551277"]}, "phone"),
        ({"no": ["7"] * 9 + ["8", "9", "10"]}, "door"),
    ],
)
def test_values_of_many_names_are_hubs(change, kind):
    """An e-mail, phone or door of many names is a hub, reported by a record id and counts, never by its value."""
    hubs = find_hubs(people(**change))

    assert [kind] == list(hubs["kind"])
    assert (9, 9, "p00") == tuple(hubs.loc[0, ["records", "names", "record_id"]])
    assert {"kind", "record_id", "records", "names", "births", "why"} == set(hubs.columns)


def test_a_family_is_no_hub():
    """As many names as a household has are no hub."""
    shared = LEAST_NAMES - 1
    mails = ["home@x.org"] * shared + [f"{name}@x.org" for name in NAMES[shared:]]

    assert [] == kinds(people(mail=mails))


def test_one_person_with_many_records_is_no_hub():
    """Many records of one name are one person's, not a hub."""
    assert [] == kinds(people(given=["ann"] * 12, mail=["ann@x.org"] * 12))


def test_a_tower_with_units_is_no_hub():
    """People who live behind doors of their own are not neighbours of everyone in the tower."""
    assert [] == kinds(people(no=["7"] * 12, unit=[str(n) for n in range(12)]))


def test_job_mailbox_is_a_hub_as_soon_as_it_is_shared():
    """info@ of two names is nobody's; info@ of one name may be a person's own."""
    mails = ["info@garage.biz", "info@garage.biz", "info@farm.biz"] + [f"{name}@x.org" for name in NAMES[3:]]
    hubs = find_hubs(people(mail=mails))

    assert [("email", 2, "mailbox of a job")] == list(
        hubs[["kind", "records", "why"]].itertuples(index=False, name=None)
    )


def test_what_is_usual_follows_from_the_file():
    """Where values usually have more names, a hub needs more."""
    limits = [hub_limit(names=names, values=1000) for names in (1000, 2000, 5000)]

    assert sorted(limits) == limits
    assert limits[0] < limits[2]


def test_crowded_house_is_weak_evidence():
    """A house of many names is flagged for all who write it, with or without a unit; other houses are not."""
    units = [None] * 9 + ["4", None, None]
    records = people(no=["7"] * 10 + ["8", "9"], unit=units)
    with duckdb.connect() as con:
        con.register("given", records)
        build_features(con, "given")
        names = con.execute("select street_names from linkage_features order by rid").fetchall()

    assert [(9,)] * 10 + [(1,)] * 2 == names
