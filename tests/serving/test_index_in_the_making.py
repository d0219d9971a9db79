"""The index is built in a thread beside other work, and is whole or as it was."""

import pytest

from c360ml import tables
from c360ml.identity import IdentityStore, build_index
from c360ml.lakehouse import Lakehouse
from c360ml.serving.scorer import index_in_the_making


def test_an_index_is_built_beside_questions_to_the_same_tables(small_world_copy):
    """While the index is built, the lakehouse answers as ever; then the index is the one that is built alone."""
    with Lakehouse(small_world_copy) as lake:
        with index_in_the_making(lake) as building:
            for table in tables.ALL:
                lake.open(table)
            records = lake.one("select count(*) from silver.records")
        beside, alone = building.result(), build_index(lake)
        assert records == lake.one("select count(*) from silver.records")
    with IdentityStore(small_world_copy) as store:
        assert records == len(store._base.records)
    assert beside.name.rpartition("-")[0] == alone.name.rpartition("-")[0]


def test_an_error_beside_the_build_stops_it(small_world_copy):
    """After an error in the block no half-built base is left, and the next build is not in its way."""
    with Lakehouse(small_world_copy) as lake:
        with pytest.raises(ZeroDivisionError), index_in_the_making(lake):
            raise ZeroDivisionError
        assert [] == list((small_world_copy / "data" / "index").glob(".building-*"))
        assert build_index(lake).is_dir()


def test_an_error_of_the_build_is_told(small_world_copy, monkeypatch):
    """What goes wrong in the thread is raised at the end of the block, if nobody asked before."""
    monkeypatch.setattr("c360ml.identity.index_filling.write_keys", lambda *_, **__: 1 / 0)
    with Lakehouse(small_world_copy) as lake, pytest.raises(ZeroDivisionError):
        with index_in_the_making(lake):
            pass
