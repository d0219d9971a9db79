"""Identities brought up to date where records changed are those that looking at all records gives."""

from __future__ import annotations

import shutil

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from identity_tables import lay

from c360ml import tables
from c360ml.config import Config
from c360ml.identity import append_identities, identify
from c360ml.identity.append import MOST_TOUCHED
from c360ml.lakehouse import Lakehouse
from c360ml.tables import Table

WRITTEN = (
    tables.IDENTITIES,
    tables.GOLDEN_RECORDS,
    tables.GOLDEN_PROVENANCE,
    tables.IDENTITY_LEDGER,
    tables.IDENTITY_HISTORY,
    tables.MASTER_REDIRECTS,
    tables.IDENTITY_INPUTS,
)
# Two lakehouses are not opened in one instant; all else, versions and digests of events too, must be the same.
CLOCK = {"happened_at", "valid_from", "retired_at", "run_id"}
ALONE = 30
"""People who never change, so that what changes stays the lesser part."""


def rows(lake: Lakehouse, table: Table) -> list[str]:
    columns = ", ".join(name for name in table.columns if name not in CLOCK)
    return [
        row for (row,) in lake.rows(f"select t::varchar from (select {columns} from {lake.open(table)}) t order by 1")
    ]


def write_state(lake: Lakehouse, state) -> None:
    """Records by key with their fields and their person, and household links between records."""
    records, links = state
    people: dict[int, list[dict]] = {}
    for key, (person, fields) in records.items():
        people.setdefault(person, []).append({"record_id": key, **fields})
    alone = [
        [{"record_id": f"crm:z{n}", "created_at": f"2020-01-{n % 27 + 1:02} 00:00+00", "surname": f"z{n % 7}",
          "given_name": "zoe", "postcode": "1", "street": f"{n % 9} oak st", "street_number": "1"}]
        for n in range(ALONE)
    ]  # fmt: skip
    scored = [
        {"record_id_l": min(pair), "record_id_r": max(pair), "match_probability": 0.3, "household_probability": weight}
        for pair, weight in links.items()
        if set(pair) <= {*records, "crm:z1"}
    ]
    lay(lake, *people.values(), *alone, links=scored)


KEYS = [f"{source}:{n}" for source in ("crm", "web") for n in range(7)]
FIELDS = st.fixed_dictionaries(
    {
        "given_name": st.sampled_from(["ann", "bob", "a"]),
        "surname": st.sampled_from(["lee", "ray", "z1", None]),
        "phone": st.sampled_from(["+1", "+2", None]),
        "postcode": st.sampled_from(["1", "2", None]),
        "street": st.sampled_from(["1 oak st", "2 oak st"]),
        "street_number": st.just("1"),
        "created_at": st.sampled_from(["2021-01-01 00:00+00", "2019-05-01 00:00+00"]),
        "quality_score": st.sampled_from([0.5, 0.75]),
    }
)
RECORDS = st.dictionaries(st.sampled_from(KEYS), st.tuples(st.integers(0, 6), FIELDS), min_size=1)
PAIRS = st.lists(st.sampled_from([*KEYS, "crm:z1"]), min_size=2, max_size=2, unique=True).map(
    lambda two: tuple(sorted(two))
)
STATES = st.tuples(RECORDS, st.dictionaries(PAIRS, st.sampled_from([0.4, 0.6, 0.9]), max_size=6))


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(states=st.lists(STATES, min_size=2, max_size=3))
def test_appending_equals_identifying_all(tmp_path_factory, states):
    """After any changes of records, clusters and links all tables are row for row those of the full step."""
    folder = tmp_path_factory.mktemp("one")
    other = folder.parent / f"{folder.name}_other"
    with Lakehouse(folder) as lake:
        write_state(lake, states[0])
        identify(lake, Config())
    shutil.copytree(folder, other)
    for state in states[1:]:
        told = []
        for place, step in ((folder, identify), (other, append_identities)):
            with Lakehouse(place) as lake:
                write_state(lake, state)
                told.append(step(lake, Config()))
        full, appended = told
        assert appended.pop("touched_records") <= MOST_TOUCHED * (ALONE + len(state[0]))
        vanished = full["vanished"]
        assert {**full, "vanished": vanished} == appended
        with Lakehouse(folder) as one, Lakehouse(other) as two:
            for table in WRITTEN:
                assert rows(one, table) == rows(two, table), table.path
