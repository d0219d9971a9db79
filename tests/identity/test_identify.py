"""The step that turns clusters into customers."""

import pytest
from identity_tables import lay

from c360ml import tables
from c360ml.config import Config
from c360ml.errors import TableError
from c360ml.identity import identify
from c360ml.lakehouse import Lakehouse


@pytest.fixture
def lake(tmp_path):
    """An empty lakehouse."""
    with Lakehouse(tmp_path, threads=2) as lake:
        yield lake


def test_summary_counts(lake):
    """The summary counts customers, households, records per customer and the largest cluster."""
    home = {"surname": "smith", "street_number": "1", "street": "oak st", "postcode": "11111"}
    lay(
        lake,
        [{"record_id": "crm:1", **home}, {"record_id": "dms:1"}, {"record_id": "dms:2"}],
        [{"record_id": "crm:2", **home}],
        [{"record_id": "crm:3"}],
    )
    expected = {
        "customers": 3,
        "households": 2,
        "records_per_customer": 5 / 3,
        "largest_cluster": 3,
        "largest_household": 2,
        "new_ids": 3,
        "kept_ids": 0,
        "merged": 0,
        "split": 0,
        "vanished": 0,
        "returned": 0,
    }
    summary = identify(lake, Config())
    assert {"created": {"first run": 3}} == summary.pop("changes")["events"]
    assert expected == summary


def test_rerun_changes_nothing(lake):
    """A second run writes the same identities and golden records."""
    lay(lake, [{"record_id": "crm:1", "given_name": "ann"}, {"record_id": "dms:1"}], [{"record_id": "crm:2"}])

    def answers():
        identify(lake, Config())
        return [
            lake.rows(f"select to_json(t)::varchar as row from {t.path} as t order by all")
            for t in (tables.IDENTITIES, tables.GOLDEN_RECORDS, tables.GOLDEN_PROVENANCE)
        ]

    assert answers() == answers()


def test_no_records_at_all(lake):
    """An empty project has no customers and no error."""
    lay(lake)
    summary = identify(lake, Config())
    assert (0, 0, 0.0) == (summary["customers"], summary["households"], summary["records_per_customer"])


@pytest.mark.parametrize("clusters", ["'crm:1'), ('crm:1'", "'crm:2'"])
def test_clusters_must_hold_each_record_once(lake, clusters):
    """A cluster table that repeats, lacks or invents a record is refused."""
    lay(lake, [{"record_id": "crm:1"}])
    lake.write(
        tables.CLUSTERS,
        f"select record_id, record_id as cluster_id, 1 as cohesion from (values ({clusters})) as t(record_id)",
    )
    with pytest.raises(TableError, match="must hold each record"):
        identify(lake, Config())


def test_temporary_tables_are_gone_afterwards(lake):
    """The step leaves no temporary table behind."""
    lay(lake, [{"record_id": "crm:1"}])
    identify(lake, Config())
    assert [] == lake.rows("select table_name from duckdb_tables() where temporary")
