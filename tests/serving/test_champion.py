"""The champion that is served: read from its folder, replaced while it answers."""

import json
import shutil
import socket

import pytest

from c360ml.errors import ModelError, ProjectError
from c360ml.serving import champion, server
from c360ml.serving.champion import ChampionScorer, count_records, read_champion
from c360ml.serving.serve_settings import ServeSettings
from c360ml.tracking.exports import MANIFEST, write_manifest

RECORD = {"given_name": "Ada", "surname": "Lovelace"}


@pytest.fixture
def project(served_project, tmp_path):
    """A copy of the served project that a test may change."""
    folder = tmp_path / "project"
    shutil.copytree(served_project, folder, ignore=shutil.ignore_patterns("mlruns", "extracts"))
    return folder


def export_again(project, version):
    """Put the same model in the champion's place, as a newer version."""
    folder = project / "models" / "c360-scorer"
    about = json.loads((folder / MANIFEST).read_text())
    (folder / MANIFEST).rename(folder / "old")
    (folder / "old").unlink()
    write_manifest(folder, {"name": about["name"], "version": version, "run_id": about["run_id"]})


def test_the_next_champion_is_taken(project, monkeypatch):
    """A champion that a run puts in the old one's place answers the next request, without a restart."""
    monkeypatch.setattr(champion, "_SECONDS_BETWEEN_LOOKS", 0.0)
    scorer = ChampionScorer(project)
    before = scorer.answer(RECORD)
    export_again(project, "7")
    assert before == scorer.answer(RECORD)
    assert "7" == scorer.champion.version
    scorer.close()


def test_a_damaged_champion_is_not_taken(project, monkeypatch, caplog):
    """While the champion's folder cannot be read, the old champion answers on, and the log says so once a look."""
    monkeypatch.setattr(champion, "_SECONDS_BETWEEN_LOOKS", 0.0)
    scorer = ChampionScorer(project)
    before, version = scorer.answer(RECORD), scorer.champion.version
    export_again(project, "8")
    (project / "models" / "c360-scorer" / "artifacts" / "linkage.json").write_text("{}")
    assert before == scorer.answer(RECORD)
    assert version == scorer.champion.version
    scorer.close()


def test_only_a_run_project_is_served(project, tmp_path):
    """Without a folder, a champion, whole files or an index there is an error that says what to do."""
    with pytest.raises(ProjectError, match="--project"):
        read_champion(tmp_path / "nowhere")
    with pytest.raises(ModelError, match="c360ml run"):
        read_champion(tmp_path)
    found = read_champion(project)
    with pytest.raises(ModelError, match="c360ml run"):
        count_records(project, champion.Champion(found.version, {**found.model, "seed": 99}, found.stamp))
    (project / "models" / "c360-scorer" / "artifacts" / "linkage.json").write_text("{}")
    with pytest.raises(ModelError, match="exported"):
        ChampionScorer(project)


def test_the_index_is_counted(project, raw_records):
    """The number of records that the start tells is that of the project's customers' records."""
    assert 0 < count_records(project, read_champion(project)) <= len(raw_records)


def test_answers_are_sent_at_once(tmp_path):
    """The server's socket does not hold small packets back: an answer would wait 40 ms for an acknowledgement."""
    with server._listener(ServeSettings(tmp_path, port=0)) as listener:
        assert 0 != listener.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
