"""The contracts of tables: keys, types and names that the rooms may rely on."""

from __future__ import annotations

import re

import pytest

from c360ml import tables
from c360ml.tables import bronze, gold, identity, silver
from c360ml.tables.contract import Column, Table, table

TYPES = {"VARCHAR", "BIGINT", "DOUBLE", "BOOLEAN", "DATE", "TIMESTAMPTZ", "VARCHAR[]", "BIGINT[]"}
# Bronze and silver are where people are known; of gold only the page that shows a customer.
SHOWS_PEOPLE = {"gold.customer_360"}
each_table = pytest.mark.parametrize("each", tables.ALL, ids=lambda each: each.path)


def test_all_tables_are_listed_once():
    """The list of all tables holds each table that steps write once, in its layer; tombstones are no step's."""
    made = [
        (layer, each)
        for layer, module in (("bronze", bronze), ("silver", silver), ("silver", identity), ("gold", gold))
        for each in vars(module).values()
        if isinstance(each, Table) and each is not tables.TOMBSTONES
    ]
    assert sorted(each.path for _, each in made) == sorted(each.path for each in tables.ALL)
    assert [layer for layer, _ in made] == [each.layer for _, each in made]
    assert len(tables.ALL) == len({each.path for each in tables.ALL})


@each_table
def test_keys_are_columns(each):
    """A table's key is made of its own columns."""
    assert each.key
    assert set() == set(each.key) - set(each.columns)


@each_table
def test_columns_have_a_known_type_and_a_meaning(each):
    """Each column has a type that every engine of the ecosystem knows, and says what it means."""
    assert set() == {column.type for column in each.columns.values()} - TYPES
    assert [] == [name for name, column in each.columns.items() if len(column.meaning) < 3]
    assert each.about.endswith(".")


@each_table
def test_names_are_plain_and_no_trap(each):
    """Names are small letters, and none is the word that two models use in two senses."""
    assert [] == [name for name in each.columns if not re.fullmatch(r"[a-z][a-z0-9_]*", name)]
    assert set() == {"recency", "frequency", "t_x", "T"} & set(each.columns)


@each_table
def test_ids_are_text(each):
    """Whatever is called an id or a key is text, since sources write keys as they like."""
    ids = [name for name in each.columns if name.endswith(("_id", "_key")) or name in {"record_id_l", "record_id_r"}]
    assert {"VARCHAR"} >= {each.columns[name].type for name in ids}


@each_table
def test_gold_holds_no_personal_data_but_to_show_a_customer(each):
    """What is counted, valued and segmented names nobody; only the customer's own page does."""
    personal = [name for name, column in each.columns.items() if column.personal]
    assert each.layer != "gold" or each.path in SHOWS_PEOPLE or [] == personal


def test_a_contract_is_read_from_its_lines():
    """One line is one column: name, type, meaning, and a star before the meaning of personal data."""
    people = table("silver.people", key="id name", about="People.", columns="id BIGINT key\n\n name VARCHAR * the name")
    expected = {"id": Column("BIGINT", "key", False), "name": Column("VARCHAR", "the name", True)}
    assert Table("people", "silver", "People.", ("id", "name"), expected) == people
    assert "silver.people" == people.path
