"""Whose doubts hang together, compared with walking from record to record."""

from __future__ import annotations

from collections import defaultdict

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from c360ml.customer_value.shared_doubt import doubted_records
from c360ml.lakehouse import Lakehouse

RECORDS = 9


@pytest.fixture(scope="module")
def lake(tmp_path_factory):
    """An empty lakehouse; the tables that are read are put there by each example."""
    with Lakehouse(tmp_path_factory.mktemp("doubts")) as lake:
        yield lake


def _walk(groups: list[set[int]], start: set[int]) -> set[int]:
    of = defaultdict(set)
    for group in groups:
        for record in group:
            of[record] |= group
    reached: set[int] = set()
    todo = set(start)
    while todo:
        reached |= todo
        todo = {other for record in todo for other in of[record]} - reached
    return reached


@given(
    draws=st.lists(st.lists(st.integers(0, 4), min_size=RECORDS, max_size=RECORDS), min_size=1, max_size=3),
    owners=st.lists(st.integers(0, 6), min_size=RECORDS, max_size=RECORDS),
    touched=st.sets(st.integers(0, 6), max_size=2),
    redrawn=st.sets(st.integers(0, RECORDS - 1), max_size=2),
)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_doubted_records_are_all_that_can_be_walked_to_from_touched_ones(lake, draws, owners, touched, redrawn):
    """A record hangs together with those of its person in any draw, and of its customer, over any number of steps."""
    persons = [defaultdict(set) for _ in draws]
    for number, draw in enumerate(draws):
        for record, person in enumerate(draw):
            persons[number][person].add(record)
    groups = [group for of_draw in persons for group in of_draw.values()]
    groups += [{record for record in range(RECORDS) if owners[record] == owner} for owner in set(owners)]
    start = {record for record in range(RECORDS) if owners[record] in touched} | redrawn
    drawn = [
        (number, f"r{record}", f"r{min(persons[number][person])}")
        for number, draw in enumerate(draws)
        for record, person in enumerate(draw)
    ]
    lake.rows(
        "create or replace view silver.doubtful_partitions as "
        f"from (values {str(drawn)[1:-1]}) t(draw, record_id, part)"
    )
    owned = ", ".join(f"('r{record}', 'm{owner}')" for record, owner in enumerate(owners))
    lake.rows(f"create or replace view silver.identities as from (values {owned}) t(record_id, master_id)")
    names = ", ".join(f"'r{record}'" for record in sorted(redrawn))
    masters = ", ".join(f"'m{owner}'" for owner in sorted(touched))
    with (
        lake.scratch("redrawn", f"select unnest([{names}]::varchar[]) as record_id"),
        doubted_records(lake, f"select unnest([{masters}]::varchar[]) as master_id", "redrawn") as found,
    ):
        answer = {int(name[1:]) for (name,) in lake.rows(f"select record_id from {found}")}

    assert _walk(groups, start) == answer
