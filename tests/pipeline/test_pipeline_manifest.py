"""Fingerprints: whatever decides what a step writes changes its fingerprint, and nothing else does."""

from __future__ import annotations

import pytest

from c360ml.config import Config
from c360ml.lakehouse import Lakehouse
from c360ml.pipeline import STEPS, manifest
from c360ml.pipeline.manifest import Manifest

SOURCES = [
    {"name": "crm", "kind": "customers", "files": "crm/*.csv"},
    {"name": "shop", "kind": "sales", "files": "shop.csv", "customer_source": "crm"},
]


@pytest.fixture
def folder(tmp_path):
    """A project's files."""
    (tmp_path / "crm").mkdir()
    (tmp_path / "crm" / "a.csv").write_text("source_key,email\n1,a@b.org\n")
    (tmp_path / "shop.csv").write_text("source_key,customer_key,sold_on,amount\n1,1,2024-01-01,5\n")
    return tmp_path


def fingerprints(folder, **settings) -> dict[str, str]:
    with Lakehouse(folder) as lake:
        made = Manifest(lake, Config.parse({"sources": SOURCES, **settings}))
        return {step.name: made.fingerprint(step) for step in STEPS}


def changed(before: dict[str, str], after: dict[str, str]) -> set[str]:
    return {name for name in before if before[name] != after[name]}


ALL_STEPS = {step.name for step in STEPS}


def test_fingerprints_differ_by_step_and_not_by_time(folder):
    """The same project has the same fingerprints again, one per step."""
    before = fingerprints(folder)
    assert set() == changed(before, fingerprints(folder))
    assert len(STEPS) == len(set(before.values()))


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: (folder / "shop.csv").write_text("source_key,customer_key,sold_on,amount\n1,1,2024-01-01,6\n"),
        lambda folder: (folder / "crm" / "b.csv").write_text("source_key,email\n"),
        lambda folder: (folder / "crm" / "a.csv").rename(folder / "crm" / "c.csv"),
        lambda folder: (folder / "crm" / "a.csv").unlink(),
    ],
    ids=["a changed value", "one more file", "another name", "a file less"],
)
def test_changed_files_change_every_step(folder, change):
    """Files that change, come, go or are renamed change all fingerprints."""
    before = fingerprints(folder)
    change(folder)
    assert ALL_STEPS == changed(before, fingerprints(folder))


def test_other_files_change_nothing(folder):
    """Files that are no source, and times of files, change no fingerprint."""
    before = fingerprints(folder)
    (folder / "notes.txt").write_text("to do")
    (folder / "shop.csv").touch()
    assert set() == changed(before, fingerprints(folder))


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"value": {"horizon_weeks": 4}}, {"value", "doubt", "value_doubt", "segment", "campaigns", "profile"}),
        ({"segments": {"engaged_events": 9}}, {"segment", "campaigns", "profile"}),
        ({"campaigns": {"conversion_window_days": 9}}, {"campaigns"}),
        ({"linkage": {"seed": 9}}, ALL_STEPS - {"land", "validate", "standardize"}),
        ({"engine": {"threads": 1}}, set()),
        ({"evaluation": {"labelled_pairs": "labels.csv"}}, set()),
    ],
    ids=["value", "segments", "campaigns", "linkage", "engine", "evaluation"],
)
def test_settings_change_the_steps_that_heed_them(folder, settings, expected):
    """A setting changes the steps that declare its section, and what depends on them."""
    assert expected == changed(fingerprints(folder), fingerprints(folder, **settings))


def test_changed_code_changes_its_step(folder, monkeypatch):
    """A new version of a room's code runs its steps again, and what depends on them."""
    before = fingerprints(folder)
    real = manifest._code_digest
    monkeypatch.setattr(manifest, "_code_digest", lambda step: real(step) + ("new" if step.name == "segment" else ""))
    assert {"segment", "campaigns", "profile"} == changed(before, fingerprints(folder))
