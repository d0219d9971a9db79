"""A record that comes alone obeys what the config declares of sources and what reviewers decided, as the batch does."""

import json
import shutil
from pathlib import Path

import pytest

from c360ml import tables
from c360ml.errors import DataError
from c360ml.identity import IdentityStore, build_index
from c360ml.identity.online_index import read_model
from c360ml.lakehouse import Lakehouse
from c360ml.standardize.records import ROLES

ZORA = {"given_name": "Zora", "surname": "Quillfeather", "email": "zora@quillfeather.org", "city": "Springfield"}
REVIEWED = Path("labels") / "reviewed_pairs.csv"


@pytest.fixture(scope="module")
def declared(small_world_project, tmp_path_factory):
    """A copy of the small world, indexed by its model with rules on sources: folder, model and a record of two sources.

    The record is the only one of `dms` that its customer has, beside one of another source.
    """
    folder = Path(shutil.copytree(small_world_project, tmp_path_factory.mktemp("declared") / "project"))
    model = read_model(folder)
    model["constraints"] |= {"duplicate_free_sources": ["dms"], "never_link": [["dms", "partners"]]}
    with Lakehouse(folder) as lake:
        build_index(lake, model=model)
        for table in (tables.CUSTOMERS, tables.IDENTITIES, tables.GOLDEN_RECORDS):
            lake.open(table)
        roles = ", ".join(f"nullif(trim({role}), '') as {role}" for role in ROLES)
        rows = lake.sql(f"""
            with counted as (
                select master_id from silver.identities group by master_id
                having count(*) filter (record_id like 'dms:%') = 1 and count(*) > 2
            )
            select {roles}, source_key, master_id from bronze.customers
            join silver.identities on record_id = source || ':' || source_key join counted using (master_id)
            where source = 'dms' and email is not null and phone is not null order by md5(source_key)
        """)
        record = rows.to_arrow_table().to_pylist()[0]
    (folder / CONFIG).unlink()
    return folder, model, record


CONFIG = "c360ml.toml"


@pytest.fixture
def project(declared, tmp_path):
    """A copy of model and index that a test may change, the model, the raw record, its key and its customer."""
    folder, model, record = declared
    for part in ("models", "data/index"):
        shutil.copytree(folder / part, tmp_path / "project" / part)
    raw = {role: record[role] for role in ROLES}
    return tmp_path / "project", model, raw, record["source_key"], record["master_id"]


def review(folder, *pairs):
    """Write reviewers' decisions."""
    file = folder / REVIEWED
    file.parent.mkdir(exist_ok=True)
    file.write_text("record_id_l,record_id_r,decision\n" + "".join(f"{','.join(pair)}\n" for pair in pairs), "utf-8")


def test_a_duplicate_free_source_adds_no_second_record(project):
    """A record of another key of the source goes elsewhere, one of another source joins, the record itself stays."""
    folder, model, raw, key, master_id = project
    with IdentityStore(folder, model=model, writable=True) as store:
        assert master_id == store.resolve(raw).master_id == store.resolve(raw, source="web").master_id
        assert master_id != store.resolve(raw, source="dms").master_id
        assert master_id != store.resolve(raw, source="partners").master_id
        assert master_id == store.resolve(raw, source="dms", source_key=key).master_id
        assert master_id == store.upsert(raw, source="web", source_key="another").master_id
        told = store.upsert(raw, source="dms", source_key="another")
        assert master_id != told.master_id
        assert told.master_id == store.resolve(raw, source="dms", source_key="another").master_id
        assert master_id == store.upsert({**raw, "phone": None}, source="dms", source_key=key).master_id


def test_what_was_upserted_counts_for_its_source(project):
    """Two upserts of a duplicate-free source are two customers, also in one batch; forbidden pairs of sources hold."""
    folder, model, *_ = project
    with IdentityStore(folder, model=model, writable=True) as store:
        first, second = store.append([{"source_key": key, **ZORA} for key in "12"], source="dms").to_pylist()
        assert first["master_id"] != second["master_id"]
        assert store.upsert(ZORA, source="partners", source_key="1").is_new
        assert not store.upsert(ZORA, source="web", source_key="1").is_new


def test_a_customer_whose_record_left_takes_another(project):
    """When a duplicate-free source's record became somebody else, its former customer takes the source's next one."""
    folder, model, raw, key, master_id = project
    with IdentityStore(folder, model=model, writable=True) as store:
        assert master_id != store.upsert(ZORA, source="dms", source_key=key).master_id
        assert master_id == store.upsert(raw, source="dms", source_key="another").master_id


def test_reviewers_join_and_part(project):
    """A decided match joins strangers, a decided non-match parts twins, and a changed file counts at once."""
    folder, model, raw, key, master_id = project
    review(folder, ("web:1", f"dms:{key}", "match"), (f"dms:{key}", "web:2", "Non-Match"))
    with IdentityStore(folder, model=model, writable=True) as store:
        assert master_id == store.resolve(ZORA, source="web", source_key="1").master_id
        assert store.resolve(ZORA).is_new
        told = store.upsert(ZORA, source="web", source_key="1")
        assert (master_id, False, 1.0) == (told.master_id, told.is_new, told.match_probability)
        assert master_id != store.resolve(raw, source="web", source_key="2").master_id
        assert master_id != store.upsert(raw, source="web", source_key="2").master_id
        assert master_id == store.upsert(raw, source="web", source_key="3").master_id
        review(folder, ("web:3", f"dms:{key}", "non-match"), ("web:9", "web:8", "possible"))
        assert master_id != store.upsert({**raw, "city": "Reno"}, source="web", source_key="3").master_id
        (folder / REVIEWED).unlink()
        assert master_id == store.upsert(raw, source="web", source_key="4").master_id


def test_decisions_that_cannot_be_read_are_told(project):
    """Contradictory decisions are refused, as by a run, and nothing is stored."""
    folder, model, raw, key, _ = project
    review(folder, ("web:1", f"dms:{key}", "match"), ("web:1", f"dms:{key}", "non-match"))
    with IdentityStore(folder, model=model, writable=True) as store:
        with pytest.raises(DataError, match="both match and non-match"):
            store.upsert(raw, source="web", source_key="1")
        assert json.dumps(model["constraints"]["duplicate_free_sources"]) == '["dms"]'
