"""The commented c360ml.toml of a new project, made from the settings themselves, and the table of settings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic.fields import FieldInfo
from rich.table import Column, Table

from c360ml.config import CONFIG_FILE, Config, Section, Source
from c360ml.errors import ProjectError

_SOURCES = """\
# ---------------------------------------------------------------- your files
# One [[sources]] block per system. Files are a glob below this folder: CSV, JSON, NDJSON or Parquet.
# kind says how they are read:
#   salesforce, dynamics365, dms_customers, service_customers, digital_customers   customers of a known system
#   dms_sales, service_records, digital_events, campaigns, campaign_sends          what customers did
#   customers, sales, services, events                                             any table, by `columns`
# Run `c360ml settings` for every setting.

[[sources]]
name = "customers"                      # prefix of record ids
kind = "customers"
files = "extracts/customers*.csv"
trust = 0.8                             # weight when golden records choose a value
[sources.columns]                       # ours = your column
source_key = "id"
given_name = "first_name"
surname = "last_name"
email = "email"
phone = "phone"
date_of_birth = "date_of_birth"
address = "address"
city = "city"
state = "state"
postcode = "zip"

[[sources]]
name = "sales"
kind = "sales"
files = "extracts/sales*.csv"
customer_source = "customers"           # the source whose keys customer_key names
[sources.columns]
source_key = "order_id"
customer_key = "customer_id"
sold_on = "date"
amount = "amount"
"""


def write_template(folder: Path) -> Path:
    """Make a project folder with a commented config.

    Raises:
        ProjectError: the folder is a project already.
    """
    path = folder / CONFIG_FILE
    if path.exists():
        raise ProjectError("init needs a folder without a project", got=str(path), hint="name another folder")
    for name in ("extracts", "labels", "data", "models", "mlruns"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    path.write_text(_template(), "utf-8")
    return path


def _template() -> str:
    blocks = ["# c360ml project. Every setting shows its default; uncomment a line to change it.\n"]
    for name, section in _sections():
        lines = [f"[{name}]"]
        lines += [f"{_assignment(setting, field):<52} # {field.description}" for setting, field in _fields(section)]
        blocks.append("\n".join(lines) + "\n")
    return "\n".join([*blocks, _SOURCES])


def _assignment(name: str, field: FieldInfo) -> str:
    return f"# {name} = {json.dumps(field.default)}" if field.default is not None else f"# {name} ="


def _sections() -> list[tuple[str, type[Section]]]:
    return [
        (name, field.annotation)
        for name, field in Config.model_fields.items()
        if isinstance(field.annotation, type) and issubclass(field.annotation, Section)
    ]


def _fields(section: type[Section]) -> list[tuple[str, FieldInfo]]:
    return list(section.model_fields.items())


def settings_table() -> Table:
    """Every setting with its default and meaning."""
    sections: list[tuple[str, type[Section]]] = [*_sections(), ("sources", Source)]
    rows = [(f"{name}.{setting}", field) for name, section in sections for setting, field in _fields(section)]
    names, defaults = Column("setting", no_wrap=True), Column("default", max_width=14, overflow="fold")
    table = Table(names, defaults, Column("meaning", ratio=1), box=None, pad_edge=False)
    for name, field in rows:
        table.add_row(name, _shown(field), field.description)
    return table


def _shown(field: FieldInfo) -> str:
    default: Any = field.get_default(call_default_factory=True)
    return "required" if field.is_required() else ("" if default is None else json.dumps(default))
