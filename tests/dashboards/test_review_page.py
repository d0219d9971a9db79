"""The page to decide on: whole, offline, and blind if asked."""

from __future__ import annotations

import json
import re

import pytest

from c360ml.dashboards.review_page import write_review_page

PAIR = {
    "record_id_l": "a:1",
    "record_id_r": "b:1",
    "match_probability": 0.51234,
    "sampled": 1,
    "why": "apart",
    "name_l": "Ann </script><script>alert(1)</script>",
    "name_r": "Anne",
    "date_of_birth_l": None,
    "date_of_birth_r": "1970-01-02",
}


def shown(path) -> list[dict]:
    text = path.read_text("utf-8")
    return json.loads(re.search(r'<script id="pairs" type="application/json">(.*?)</script>', text, re.DOTALL)[1])


def test_both_records_are_on_the_page(tmp_path):
    """Each pair brings its ids, reason and fields side by side, and whether it was drawn at random."""
    pair = shown(write_review_page(tmp_path / "review.html", [PAIR], title="Customers"))[0]

    assert ("a:1", "b:1", "1") == (pair["record_id_l"], pair["record_id_r"], pair["sampled"])
    assert "Match probability 0.512; apart." == pair["why"]
    assert [["name", PAIR["name_l"], "Anne"], ["date of birth", None, "1970-01-02"]] == pair["fields"]
    assert ["review.html"] == [path.name for path in tmp_path.iterdir()]


def test_no_record_can_run_as_a_script(tmp_path):
    """Text of a record or a title stays text."""
    text = write_review_page(tmp_path / "review.html", [PAIR], title="<b>Co</b>").read_text("utf-8")

    assert 2 == text.count("<script")
    assert "<b>Co" not in text


@pytest.mark.parametrize("pairs", [[], [PAIR]])
def test_the_page_asks_nobody(tmp_path, pairs):
    """The page loads nothing and may connect to nothing."""
    text = write_review_page(tmp_path / "review.html", pairs, title="Customers").read_text("utf-8")

    assert "default-src 'none'" in text
    assert not re.search(r"https?://|src=|@import", text)
    assert "$" not in text.replace("${", "")


def test_a_blind_page_tells_no_probability(tmp_path):
    """A blind reviewer sees neither the probability nor the reason."""
    text = write_review_page(tmp_path / "review.html", [PAIR], title="Customers", blind=True).read_text("utf-8")

    assert "0.512" not in text
    assert "" == shown(tmp_path / "review.html")[0]["why"]
