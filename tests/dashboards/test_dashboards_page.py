"""The page: escaping, layout of cards, one file."""

from __future__ import annotations

import json
import re

import pytest

from c360ml.dashboards.page import Chart, DataTable, Kpi, Page, Section, Text, vega_bundle

EVIL = '</script><script>alert("1")</script><img src=x onerror=alert(1)> & $title'


def body_of(page: Page) -> str:
    """What the page says between its head and its scripts."""
    return page.html().partition("<body>")[2].partition("<script>\n")[0]


@pytest.mark.parametrize(
    "page",
    [
        Page(EVIL, EVIL, (Kpi(EVIL, EVIL, EVIL),), ()),
        Page(
            "t",
            "s",
            (),
            (Section("a", EVIL, EVIL, [Text(EVIL), DataTable(EVIL, (EVIL, EVIL), [(EVIL, EVIL)], note=EVIL)]),),
        ),
        Page("t", "s", (), (Section(EVIL, "q", "a", [Chart(EVIL, {"description": EVIL}, note=EVIL, legend=(EVIL,))]),)),
        Page(
            "t",
            "s",
            (),
            (Section("a", "q", "a", [Chart("c", [(EVIL, {"mark": "bar"})], numbers=DataTable(EVIL, (EVIL,), []))]),),
        ),
    ],
)
def test_all_text_is_escaped(page):
    """No text of a report becomes markup or ends a script, wherever it stands."""
    body = body_of(page)
    assert "<script>alert" not in body
    assert "<img" not in body
    assert (
        body.count("<script") == body.count("</script>") == body.count('<script type="application/vnd.vegalite+json">')
    )


def test_a_chart_survives_escaping():
    """What a chart says in its specification is the same after the page was read."""
    body = body_of(Page("t", "s", (), (Section("a", "q", "a", [Chart("c", {"description": EVIL})]),)))
    read = re.findall(r"vegalite\+json\">(.*?)</script>", body)
    assert [{"description": EVIL}] == [json.loads(spec) for spec in read]


def test_numbers_that_json_lacks_are_refused():
    """A specification with a number that no browser can read is an error, not a blank chart."""
    with pytest.raises(ValueError, match="JSON"):
        Chart("c", {"a": float("nan")}).html()


@pytest.mark.parametrize(("halves", "expected"), [(1, 0), (2, 2), (3, 2)])
def test_a_half_card_is_never_alone_in_its_row(halves, expected):
    """The last of an odd run of half cards takes the whole row."""
    cards = [DataTable(str(number), ("a",), [], half=True) for number in range(halves)]
    html = Section("a", "q", "a", [*cards, Text("x")]).html(1)
    assert expected == html.count("card half")


def test_the_page_is_written_whole(tmp_path):
    """Writing replaces the file and leaves no partial one behind."""
    path = tmp_path / "report.html"
    path.write_text("old", "utf-8")
    assert path == Page("New", "s", (), ()).write(path)
    assert ["report.html"] == [file.name for file in tmp_path.iterdir()]
    assert "<title>New</title>" in path.read_text("utf-8")


def test_the_page_may_not_reach_out():
    """The page forbids its own scripts to ask any other computer."""
    assert "default-src 'none'" in Page("t", "s", (), ()).html()


def test_kept_libraries_are_those_that_are_made(tmp_path):
    """The Vega libraries that a project keeps are used while they are whole, and made anew if somebody changed them."""
    made = vega_bundle()
    assert made == vega_bundle.__wrapped__(tmp_path)
    (kept,) = tmp_path.iterdir()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("vl_convert.javascript_bundle", lambda *_: pytest.fail("made again"))
        assert made == vega_bundle.__wrapped__(tmp_path)
    kept.write_text("alert(1)", "utf-8")
    assert made == vega_bundle.__wrapped__(tmp_path)
    assert made == kept.read_text("utf-8")
