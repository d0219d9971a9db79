"""How tests read a report: its parts, its charts, and what must not be in it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import altair
import vl_convert

from c360ml.dashboards.page import vega_bundle

_SPEC = re.compile(r'<script type="application/vnd\.vegalite\+json">(.*?)</script>', re.DOTALL)
SCHEMA = altair.SCHEMA_URL


def own_text(report: Path) -> str:
    """The page without the Vega libraries, which name addresses of standards in their code."""
    text = report.read_text("utf-8")
    assert vega_bundle() in text
    return text.replace(vega_bundle(), "")


def charts(report: Path) -> list[dict[str, Any]]:
    """Every specification in the page."""
    return [json.loads(spec) for spec in _SPEC.findall(own_text(report))]


def check_spec(spec: dict[str, Any]) -> None:
    """A specification must be of Vega-Lite's schema, and draw something."""
    altair.Chart.from_dict({"$schema": SCHEMA, **spec}, validate=True)
    assert "<path" in vl_convert.vegalite_to_svg({"$schema": SCHEMA, **spec, "width": 400})


def addresses(report: Path) -> list[str]:
    """Whatever the page could fetch, or names as an address."""
    text = own_text(report)
    fetched = re.findall(r'(?:src|href|action|data-src)\s*=\s*"([^"#][^"]*)"|url\(|@import', text)
    return fetched + re.findall(r"https?://[^\s\"'<]*", text)
