"""Households: who lives together."""

import numpy as np
import pytest
from identity_tables import lay

from c360ml.config import Config
from c360ml.identity import identify
from c360ml.identity.households import HUB_SIZE, eldest_of_component
from c360ml.lakehouse import Lakehouse

OAK = {"street_number": "1", "street": "oak st", "postcode": "11111"}
ELM = {"street_number": "2", "street": "elm st", "postcode": "22222"}


@pytest.fixture
def lake(tmp_path):
    """An empty lakehouse."""
    with Lakehouse(tmp_path, threads=2) as lake:
        yield lake


def person(key, **fields):
    """A customer with one record."""
    return [{"record_id": f"crm:{key}", "created_at": "2024-01-01 00:00:00+00", **fields}]


def household_link(left, right, probability=0.9):
    """A scored pair of two records."""
    return {
        "record_id_l": f"crm:{left}",
        "record_id_r": f"crm:{right}",
        "household_probability": probability,
        "match_probability": 0.05,
        "is_link": False,
    }


def households(lake):
    """Sets of record keys that share a household."""
    identify(lake, Config())
    rows = lake.rows("""
        select string_agg(split_part(record_id, ':', 2), ' ' order by record_id)
        from silver.identities group by household_id
    """)
    return {row[0] for row in rows}


def test_same_surname_at_one_address(lake):
    """People of one surname at one address are a household; a neighbour of another name is not."""
    lay(lake, person("a", surname="smith", **OAK), person("b", surname="smith", **OAK),
        person("c", surname="jones", **OAK), person("d", surname="smith", **ELM))  # fmt: skip
    assert {"a b", "c", "d"} == households(lake)


def test_units_are_different_homes(lake):
    """Two flats of one building are two homes."""
    lay(lake, person("a", surname="smith", unit="1", **OAK), person("b", surname="smith", unit="2", **OAK))
    assert {"a", "b"} == households(lake)


def test_street_without_house_number_is_no_home(lake):
    """A street name alone does not say where somebody lives."""
    street = {"street": "oak st", "postcode": "11111", "surname": "smith"}
    lay(lake, person("a", **street), person("b", **street))
    assert {"a", "b"} == households(lake)


def test_shared_landline(lake):
    """The same number, surname and postcode are a household; another postcode is not."""
    line = {"phone": "+12025550101", "surname": "smith"}
    lay(lake, person("a", postcode="1", **line), person("b", postcode="1", **line), person("c", postcode="2", **line))
    assert {"a b", "c"} == households(lake)


def test_household_links_join(lake):
    """A link with a household probability of at least one half joins two customers, a lesser one does not."""
    links = [household_link("a", "b", 0.5), household_link("c", "d", 0.49)]
    lay(lake, *(person(key) for key in "abcd"), links=links)
    assert {"a b", "c", "d"} == households(lake)


def test_households_are_connected_through_others(lake):
    """Evidence of different kinds adds up: a with b by address, b with c by a link."""
    lay(lake, person("a", surname="smith", **OAK), person("b", surname="smith", **OAK), person("c", surname="jones"),
        links=[household_link("b", "c")])  # fmt: skip
    assert {"a b c"} == households(lake)


def test_hub_address_is_no_household(lake):
    """More people at one address than a household holds are nobody's household."""
    lay(lake, *(person(f"{i:02}", surname="smith", **OAK) for i in range(HUB_SIZE + 1)))
    assert HUB_SIZE + 1 == len(households(lake))


def test_largest_household_is_still_one(lake):
    """As many people as a household may hold are one."""
    lay(lake, *(person(f"{i:02}", surname="smith", **OAK) for i in range(HUB_SIZE)))
    assert 1 == len(households(lake))


def test_hub_of_links_is_no_household(lake):
    """Somebody linked to more people than a household holds joins none of them."""
    others = [f"{i:02}" for i in range(HUB_SIZE + 1)]
    lay(lake, person("zz"), *(person(key) for key in others), links=[household_link(key, "zz") for key in others])
    assert HUB_SIZE + 2 == len(households(lake))


def household_of(lake, key):
    """Household of a record."""
    return lake.one(f"select household_id from silver.identities where record_id = 'crm:{key}'")


def test_new_household_id_has_the_age_of_its_eldest_member(lake):
    """A new household ID is an H and a UUID version 7 of the eldest member's time, and no member's own ID."""
    lay(lake, person("a", surname="smith", **OAK), person("b", surname="smith", **OAK))
    identify(lake, Config())
    eldest, home = lake.one("select min(master_id) from silver.identities"), household_of(lake, "a")
    assert (household_of(lake, "b"), "H" + eldest[:15]) == (home, home[:16])
    assert home[1:] not in {household_of(lake, "a"), eldest}


def test_household_keeps_its_id_when_its_eldest_moves_out(lake):
    """The ID stays with most of the members; who moves out gets another, and moving back gives the first one back."""
    home = [person(key, surname="smith", **OAK) for key in "abc"]
    lay(lake, *home)
    identify(lake, Config())
    eldest = lake.one("select arg_min(record_id, master_id) from silver.identities").partition(":")[2]
    stays = next(key for key in "abc" if key != eldest)
    before = household_of(lake, stays)
    lay(lake, *(person(key, surname="smith", **(ELM if key == eldest else OAK)) for key in "abc"))
    identify(lake, Config())
    assert before == household_of(lake, stays) != household_of(lake, eldest)
    lay(lake, *home)
    identify(lake, Config())
    assert {before} == {household_of(lake, key) for key in "abc"}


def test_household_follows_members_who_were_merged(lake):
    """A household keeps its ID when two of its members turn out to be one person."""
    one, other = person("a", surname="smith", **OAK), person("b", surname="smith", **OAK)
    lay(lake, one, other)
    identify(lake, Config())
    before = household_of(lake, "a")
    lay(lake, [*one, *other])
    identify(lake, Config())
    assert {before} == {household_of(lake, "a"), household_of(lake, "b")}


def test_components_without_edges_or_people():
    """Nobody is alone in nothing, and people without edges are alone."""
    nothing = np.empty(0, np.int64)
    assert [] == eldest_of_component(0, nothing, nothing).tolist()
    assert [0, 1] == eldest_of_component(2, nothing, nothing).tolist()
