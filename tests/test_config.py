"""Settings: each has a default that is allowed, a line of help, and a clear refusal of what is wrong."""

from __future__ import annotations

import pytest

from c360ml.config import CONFIG_FILE, Config, Section, Source
from c360ml.errors import ConfigError

SECTIONS = {name: field.annotation for name, field in Config.model_fields.items() if name != "sources"}
SECTIONS["sources"] = Source
SHOP = {"name": "shop", "kind": "customers", "files": "*.csv"}


def load(tmp_path, content: str | bytes) -> Config:
    path = tmp_path / CONFIG_FILE
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return Config.load(path)


def test_an_empty_file_gives_the_defaults(tmp_path):
    """Every setting of a project has a default."""
    assert Config() == load(tmp_path, "")


def test_settings_of_a_file_are_read(tmp_path):
    """What a file says is what a project does."""
    config = load(
        tmp_path,
        """
        [project]
        currency = "EUR"
        observation_end = 2024-06-30
        [value]
        horizon_weeks = 26
        [[sources]]
        name = "shop"
        kind = "sales"
        files = "x/*.csv"
        customer_source = "crm"
        columns = { amount = "Price" }
        """,
    )
    assert ("EUR", "2024-06-30") == (config.project.currency, str(config.project.observation_end))
    assert 26 == config.value.horizon_weeks
    assert {"amount": "Price"} == config.sources[0].columns


def test_windows_files_are_read(tmp_path):
    """A file with a byte order mark and carriage returns is read like any other."""
    assert 4 == load(tmp_path, b"\xef\xbb\xbf[value]\r\nhorizon_weeks = 4\r\n").value.horizon_weeks


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"valeu": {}}, "valeu"),
        ({"value": {"horizon": 52}}, "value.horizon"),
        ({"value": {"horizon_weeks": 0}}, "value.horizon_weeks"),
        ({"value": {"horizon_weeks": "many"}}, "value.horizon_weeks"),
        ({"value": {"refunds": "keep"}}, "value.refunds"),
        ({"value": 3}, "value"),
        ({"linkage": {"match_probability_threshold": 1.0}}, "linkage.match_probability_threshold"),
        ({"project": {"currency": "dollars"}}, "project.currency"),
        ({"project": {"observation_end": "yesterday"}}, "project.observation_end"),
        ({"engine": {"threads": 0}}, "engine.threads"),
        ({"sources": [{**SHOP, "kind": "sap"}]}, "sources.0.kind"),
        ({"sources": [{"name": "shop", "kind": "customers"}]}, "sources.0.files"),
        ({"sources": [{**SHOP, "name": "My Shop"}]}, "sources.0.name"),
        ({"sources": [SHOP, {**SHOP, "trust": 2}]}, "sources.1.trust"),
    ],
)
def test_a_wrong_setting_is_named(wrong, named):
    """A setting that is unknown, missing or out of range is refused by its name, with where to look."""
    with pytest.raises(ConfigError, match=rf"^setting {named} is wrong: .*c360ml settings") as caught:
        Config.parse(wrong)
    assert "\n" not in str(caught.value)


def test_two_sources_of_one_name_are_refused():
    """Names of sources are prefixes of record ids, and so each is there once."""
    with pytest.raises(ConfigError, match=r"each source must have its own name.*\['shop'\]"):
        Config.parse({"sources": [SHOP, SHOP]})


@pytest.mark.parametrize(
    "content", ["[value\nhorizon_weeks = 4", "horizon_weeks 4", b"[project]\nname = '\xe9'", b"\0\1"]
)
def test_a_file_that_is_no_toml_is_refused(tmp_path, content):
    """A damaged or wrongly encoded file is named, in one line."""
    with pytest.raises(ConfigError, match=rf"^{CONFIG_FILE} must be") as caught:
        load(tmp_path, content)
    assert "\n" not in str(caught.value)


def test_a_missing_file_says_how_to_make_one(tmp_path):
    """A folder without a config is told of `c360ml init`."""
    with pytest.raises(ConfigError, match="c360ml init"):
        Config.load(tmp_path / CONFIG_FILE)


@pytest.mark.parametrize("name", SECTIONS)
def test_every_setting_has_a_line_of_help(name):
    """Each setting says in one line what it is for."""
    assert issubclass(SECTIONS[name], Section)
    for setting, field in SECTIONS[name].model_fields.items():
        assert field.description, setting
        assert field.description.endswith(".") and "\n" not in field.description, setting


def test_a_config_does_not_change():
    """Settings are fixed once read."""
    with pytest.raises(Exception, match="frozen"):
        Config().value.horizon_weeks = 3
