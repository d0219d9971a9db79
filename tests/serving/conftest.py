"""A small world that is served: exported once, served once."""

import shutil

import pytest
from served_process import ServedProcess

from c360ml import tables
from c360ml.lakehouse import Lakehouse
from c360ml.serving.scorer import export_champion
from c360ml.standardize.records import ROLES


@pytest.fixture(scope="session")
def served_project(published_project, tmp_path_factory):
    """A copy of the published small world with its champion exported; tests may upsert."""
    folder = tmp_path_factory.mktemp("served_project") / "project"
    shutil.copytree(published_project.folder, folder)
    with Lakehouse(published_project.folder) as lake:
        shutil.copytree(export_champion(lake), folder / "models" / "c360-scorer", dirs_exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def raw_records(served_project):
    """Raw records of the small world, as sources sent them."""
    roles = ", ".join(f"nullif(trim({role}), '') as {role}" for role in ROLES)
    with Lakehouse(served_project) as lake:
        lake.open(tables.CUSTOMERS)
        rows = lake.sql(f"select {roles} from bronze.customers order by md5(source || source_key)")
        return rows.to_arrow_table().to_pylist()


@pytest.fixture(scope="session")
def server(served_project, tmp_path_factory):
    """`c360ml serve` of the small world, with a token."""
    log = tmp_path_factory.mktemp("served") / "log"
    process = ServedProcess(["--project", str(served_project), "--port", "0"], log)
    yield process
    assert 0 == process.stop()
