"""What a run will take, before it starts."""

import dataclasses
import json
from types import SimpleNamespace

import pytest

from c360ml.errors import ProjectError
from c360ml.lakehouse import Lakehouse
from c360ml.pipeline import run_pipeline
from c360ml.pipeline.manifest import MANIFEST_FILE
from c360ml.pipeline.plan import plan_run
from c360ml.pipeline.run import Watcher
from c360ml.pipeline.steps import STEPS
from c360ml.synthetic import write_world


def test_rows_are_told_from_sizes_and_first_rows(small_world_project):
    """Rows are reckoned within five percent of what a run then reads, without reading the files through."""
    with Lakehouse(small_world_project) as lake:
        landed = lake.read_json(MANIFEST_FILE)["steps"]["land"]["summary"]
    planned = plan_run(small_world_project)
    assert landed["rows"] == pytest.approx(planned.rows, rel=0.05)
    assert set(landed["by_source"]) == {source.name for source in planned.sources}


def test_pairs_come_from_the_project_s_own_rules(small_world_project):
    """A project that has a model is planned with the pairs of the rules that its model chose."""
    with Lakehouse(small_world_project) as lake:
        linked = lake.read_json(MANIFEST_FILE)["steps"]["link"]["summary"]
    planned = plan_run(small_world_project)
    assert {rule["rule"] for rule in linked["blocking_rules"] if rule["chosen"]} == set(planned.pairs_by_rule)
    assert linked["candidate_pairs"] == pytest.approx(planned.pairs, rel=0.15)


def test_a_project_without_a_model_can_be_planned(tmp_path):
    """Before the first run, pairs, time, memory and disk are reckoned from generated worlds, and the plan says so."""
    write_world(tmp_path, customers=200)
    planned = plan_run(tmp_path)
    assert "no model yet" in planned.basis
    assert min(planned.pairs, planned.seconds, planned.memory_gb, planned.disk_gb) > 0


def test_every_step_has_its_cost(small_world_project):
    """No step of the pipeline is forgotten in the plan."""
    assert {step.name for step in STEPS} <= {step.name for step in plan_run(small_world_project).steps}


def test_what_does_not_fit_is_refused(small_world_project):
    """A run that needs more disk or memory than there is is refused, naming both figures."""
    planned = plan_run(small_world_project)
    planned.require_fit()
    with pytest.raises(ProjectError, match=r"about 9\.0 GB of disk, 1\.0 GB free"):
        dataclasses.replace(planned, disk_gb=9.0, free_disk_gb=1.0).require_fit()
    with pytest.raises(ProjectError, match=r"about 40\.0 GB of memory, 8\.0 GB in the machine"):
        dataclasses.replace(planned, memory_gb=40.0, machine_memory_gb=8.0).require_fit()


def test_more_pairs_than_allowed_are_not_planned(small_world_copy):
    """The plan never holds more pairs than blocking may produce."""
    config = small_world_copy / "c360ml.toml"
    config.write_text(config.read_text() + "\n[linkage]\nmax_pairs = 100\n")
    assert plan_run(small_world_copy).pairs == 100


def test_costs_are_plain_numbers(small_world_project):
    """What `experiments/scaling` measured is kept as numbers that grow with rows, records or pairs."""
    from c360ml.pipeline import plan

    costs = json.loads(plan._COSTS_FILE.read_text())
    for cost in (costs["pairs"], costs["memory_gb"], costs["disk_gb"], *costs["steps"].values()):
        assert cost["of"] in {"rows", "records", "pairs"}
        assert cost["exponent"] >= 0 and cost["per_million"] > 0


def test_a_run_begins_with_its_plan(tmp_path):
    """Who watches a run hears what it is expected to take before the first step, and an unchanged run plans nothing."""
    write_world(tmp_path, customers=60)
    heard: list[str] = []

    class Hearing(Watcher):
        def plans(self, plan):
            heard.append(f"{len(plan.steps)} steps")

        def starts(self, step):
            heard.append(step.name)

    run_pipeline(tmp_path, watcher=Hearing())
    assert ["land", "validate"] == heard[1:3]
    assert f"{len(STEPS) + 1} steps" == heard[0]
    heard.clear()
    run_pipeline(tmp_path, watcher=Hearing())
    assert "land" == heard[0]


def test_a_run_that_does_not_fit_writes_nothing(tmp_path, monkeypatch):
    """A run that would not fit on the disk stops before its first step."""
    write_world(tmp_path, customers=60)
    monkeypatch.setattr("shutil.disk_usage", lambda folder: SimpleNamespace(free=1))
    with pytest.raises(ProjectError, match="must fit on the machine"):
        run_pipeline(tmp_path)
    assert [] == list((tmp_path / "data").rglob("*.parquet"))
