"""What was upserted is landed by the next run, keeps the ID that it was answered, and can be forgotten."""

from __future__ import annotations

from pathlib import Path

import pytest
from pipeline_projects import ran

from c360ml import tables
from c360ml.identity import IdentityStore, build_index, inbox_records
from c360ml.lakehouse import Lakehouse
from c360ml.pipeline import append_files, run_pipeline
from c360ml.pipeline.forget import forget_person

ZORA = {"given_name": "Zora", "surname": "Quillfeather", "email": "zora@quillfeather.example", "phone": "415 555 2671"}


def built(folder: Path) -> Path:
    with Lakehouse(folder) as lake:
        build_index(lake)
    return folder


def rows(folder: Path, query: str) -> list[tuple[object, ...]]:
    with Lakehouse(folder) as lake:
        for table in (tables.IDENTITIES, tables.IDENTITY_LEDGER, tables.GOLDEN_RECORDS, tables.RECORDS):
            lake.open(table)
        return lake.rows(query)


@pytest.mark.slow
@pytest.mark.parametrize("append", [False, True], ids=["run", "append"])
def test_the_story_of_an_upsert(small_world_copy, append):
    """A new person is answered an ID, found at once, landed under that ID by run and append, and forgotten for good."""
    folder = built(small_world_copy)
    known = rows(
        folder, "select full_name, email from silver.golden_records where email is not null order by 1 limit 1"
    )
    with IdentityStore(folder, writable=True) as store:
        zora = store.upsert(ZORA, source="web", source_key="42")
        assert zora.is_new
        assert zora.master_id == store.resolve({**ZORA, "phone": ""}).master_id
        customer = store.upsert({"full_name": known[0][0], "email": known[0][1]}, source="web", source_key="43")
    result = append_files(folder) if append else run_pipeline(folder)
    assert "link" in ran(result)
    assert [] == inbox_records(folder)
    assert dict(rows(folder, "select record_id, master_id from silver.identities where record_id like 'web:%'")) == {
        "web:42": zora.master_id,
        "web:43": customer.master_id,
    }
    told = f"select event, reason from silver.identity_ledger where master_id = '{zora.master_id}'"
    assert [("created", "new record")] == rows(folder, told)
    assert [] == ran(run_pipeline(folder))
    with IdentityStore(built(folder)) as store:
        assert zora.master_id == store.resolve(ZORA).master_id
        assert "Zora Quillfeather" == store.resolve(ZORA).golden_record["full_name"]

    forget_person(folder, record="web:42")
    run_pipeline(folder)
    assert [] == rows(folder, "select * from silver.records where record_id = 'web:42'")
    assert b"quillfeather" not in b"".join(path.read_bytes().lower() for path in (folder / "data" / "inbox").iterdir())
    with IdentityStore(built(folder)) as store:
        assert store.resolve(ZORA).is_new
