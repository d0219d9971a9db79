"""SQL over one row, written as Python, answers as DuckDB does, and refuses what it does not know."""

from itertools import product

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from c360ml.errors import ModelError
from c360ml.lakehouse import connect
from c360ml.row_sql import Lookup, compile_expressions, compile_pairs, compile_query
from c360ml.row_sql.functions import damerau_levenshtein, jaro_winkler
from c360ml.row_sql.patterns import LONGEST, full_match, replace

ODD = list(
    "aZ09é\u0301ßÆøİ\u017fΣς한가\u0627中😀"
    "\u200b\u00a0\u3000\x00\x0b\x1c\x85\r\n\t  ,.'\u2019\"-#/|@+(&ǅﬁⅧ²١\ufeff\u1160ẞ\\%_$^["
)
WORDS = ["jr", "12", "a b", "  ", "e\u0301", "van ", "1e3", "-7", " 12", "20"]
TEXTS = st.lists(st.sampled_from(ODD + WORDS), max_size=12).map("".join)
ROWS = st.lists(st.tuples(st.none() | TEXTS, st.none() | TEXTS), min_size=1, max_size=60)
OF_TEXT = [
    "lower(a)", "strip_accents(a)", "strlen(a)", "length(a)", "trim(a)", "trim(a, ' ,a')", "rtrim(a, '0129')",
    "replace(a, b, 'x')", "replace(a, left(a, 1), '')", "translate(a, 'éaø''', 'eb')", "split_part(a, ' ', 1)",
    "split_part(a, ',', 2)", "split_part(a, ' ', -1)", "split_part(a, 'a', -3)", "left(a, 3)", "right(a, 2)",
    "left(a, length(a) - length(b))", "substr(a, 2)", "substr(a, length(b) - 2)", "substr(a, 3, 2)", "a[1:4]",
    "a[2:2]", "lpad(a, 2, '0')", "strpos(a, 'a')", "starts_with(a, b)", "ends_with(a, 'r')", "a || '|' || b",
    "concat_ws(' ', a, null, b)", "least(a, b)", "greatest(a, b)", "coalesce(a, b, '')", "nullif(a, b)", "a = b",
    "a < b", "a <> b", "a is null", "a like '%a%'", "a not like '%,%,%'", "a like '+1%'", "a in ('', 'a', 'jr')",
    "a not in ('a')", "try_cast(a as integer)", "abs(try_cast(a as int) - try_cast(b as int))", "(a = b)::int",
    "string_split(a, ' ')", "list_max(string_split(a, ' '))", "list_sort(list_distinct(string_split(a, 'a')))",
    "list_filter(string_split(a, ' '), lambda w: length(w) > 1)",
    "list_transform(string_split(a, ' '), lambda w: lpad(length(w)::varchar, 2, '0') || w)",
    "list_has_any(string_split(a, ' '), string_split(b, ' '))",
    "len(list_intersect(string_split(a, ' '), string_split(b, ' ')))",
    "len(string_split(a, ' ')) * 1.0 / len(list_distinct(string_split(a, ' ') || string_split(b, ' ')))",
    "case left(a, 1) when 'a' then 1 when 'é' then 2 else 0 end", "if(length(a) > 3, a, b)",
    "case when a = b then 'same' when length(a) > length(b) then 'longer' end",
    "regexp_full_match(a, '[a-z0-9]+( [a-z0-9]+)*')", "regexp_matches(a, '^[\\s\\pZ\\pC,]|[\\s\\pZ\\pC]$')",
    "regexp_matches(a, '[\\t-\\r.]|  ')", "regexp_replace(a, '[^\\pL\\pN,-]+', ' ', 'g')",
    "regexp_replace(a, '^(a|Z) *(\\pL{1,})', '\\2\\1')", "regexp_replace(a, '\\s+', '', 'g')",
    "regexp_extract(a, '([0-9a-z-]+)[, ]+$', 1)", "regexp_extract(a, 'a.b|[0-9]+$')", "regexp_matches(a, 'a\\b')",
    "regexp_extract(a, '^(a+)? ?([0-9]*)', ['letters', 'digits'])['letters']",
    "strftime(try_strptime(lower(a), ['%b %d, %Y', '%d %B %Y']), '%Y-%m-%d')",
]  # fmt: skip
OF_TRUTH = [
    "p and q", "p or q", "not p", "not (p and q)", "not (p or not q)", "p is not true", "p is null or q",
    "coalesce(p, q)", "coalesce(p and q, false)", "case when p then 1 when q then 2 end", "if(not p, 'a', 'b')",
    "(p and a = b) or (q and a <> b)", "not (a = b and p)", "p = q", "not (a in ('a')) or q", "(p or q) is true",
    "case when not (p or a < b) then 1 else 0 end", "case when not (a = b) then 1 end", "(not p)::int",
    "case when a <> b or (a = null) then 1 else 2 end", "nullif(a, b) is null and p",
]  # fmt: skip


@pytest.fixture(scope="module")
def con():
    """DuckDB, the second implementation."""
    with connect(threads=1) as con:
        yield con


def by_duckdb(con, expressions, table):
    con.register("given", table)
    return con.execute(f"select {', '.join(expressions)} from given").fetchall()


@settings(max_examples=20, deadline=None)
@given(ROWS)
def test_functions_of_text_are_duckdbs(con, rows):
    """Every function of text, list and pattern gives DuckDB's answer for texts of any signs, and for null."""
    table = pa.table(
        {"a": [a for a, _ in rows], "b": [b for _, b in rows]}, pa.schema({"a": pa.string(), "b": pa.string()})
    )
    compiled = compile_expressions(OF_TEXT, ["a", "b"])
    for (a, b), expected in zip(rows, by_duckdb(con, OF_TEXT, table), strict=True):
        assert dict(zip(OF_TEXT, expected, strict=True)) == dict(zip(OF_TEXT, compiled(a, b), strict=True))


def test_every_character_is_read_as_duckdb_reads_it(con):
    """Lower case, bare letters, blanks and classes of letters are DuckDB's for the characters of Unicode."""
    # Of the ideographs, syllables and planes that are all of a kind, one in a hundred.
    many = [(0x3400, 0x9FFF), (0xAC00, 0xD7A3), (0xE000, 0xF8FF), (0x17000, 0x18CFF), (0x20000, 0x10FFFF)]
    few = {code for first, last in many for code in range(first, last) if code % 100}
    signs = [chr(code) for code in range(1, 0x110000) if not 0xD800 <= code < 0xE000 and code not in few]
    expressions = [
        "lower(a)", "strip_accents(a)", "trim(a)", "regexp_matches(a, '\\s')", "regexp_matches(a, '[\\pZ\\pC]')",
        "regexp_matches(a, '[^\\pL\\pN]')", "regexp_matches(a, '.')", "regexp_full_match(a, '\\pL{1,2}')",
    ]  # fmt: skip
    ours = compile_expressions(expressions, ["a"])
    theirs = by_duckdb(con, expressions, pa.table({"a": signs}))
    assert [] == [sign for sign, expected in zip(signs, theirs, strict=True) if expected != ours(sign)]


def test_conditions_have_three_values(con):
    """Conditions over null are DuckDB's, whether their value is asked for, or only whether they are true."""
    names = ["p", "q", "a", "b"]
    rows = list(product([True, False, None], [True, False, None], ["a", "b", None], ["a", "b", None]))
    schema = pa.schema([("p", pa.bool_()), ("q", pa.bool_()), ("a", pa.string()), ("b", pa.string())])
    table = pa.table([list(column) for column in zip(*rows, strict=True)], schema=schema)
    compiled = compile_expressions(OF_TRUTH, names)
    for row, expected in zip(rows, by_duckdb(con, OF_TRUTH, table), strict=True):
        assert dict(zip(OF_TRUTH, expected, strict=True)) == dict(zip(OF_TRUTH, compiled(*row), strict=True)), row


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(*[st.text("abcé\u0301\u200d\U0001f468\r\n0", max_size=9)] * 2), min_size=1, max_size=60))
def test_similarities_are_duckdbs_to_the_last_digit(con, pairs):
    """Similarities of any code points are DuckDB's, exactly where a threshold may hang on the last digit."""
    table = pa.table({"a": [a for a, _ in pairs], "b": [b for _, b in pairs]})
    asked = ["jaro_winkler_similarity(a, b)", "damerau_levenshtein(a, b)"]
    for (a, b), (similarity, distance) in zip(pairs, by_duckdb(con, asked, table), strict=True):
        assert distance == damerau_levenshtein(a, b)
        assert similarity == pytest.approx(jaro_winkler(a, b), abs=1e-15)
        for threshold in (0.8, 0.805, 0.85, 0.88, 0.9, 0.92):
            assert (similarity >= threshold) == (jaro_winkler(a, b) >= threshold)


def test_thresholds_do_not_hang_on_rounding(con):
    """A similarity that is a threshold but for its last digit falls on DuckDB's side of it."""
    words = ["".join(letters) for size in (4, 5) for letters in product("ab", repeat=size)]
    table = pa.table({"a": [a for a in words for _ in words], "b": [b for _ in words for b in words]})
    found = by_duckdb(con, ["a", "b", "jaro_winkler_similarity(a, b)"], table)
    close = [(a, b, value) for a, b, value in found if abs(value * 1e4 - round(value * 1e4)) < 1e-7]
    assert len(close) > 100
    assert close == [(a, b, jaro_winkler(a, b)) for a, b, _ in close]


@pytest.mark.parametrize("sign", ["a", "é", "\u1160", "a ", "\0", "x\n"])
def test_long_texts_are_answered_too(con, sign):
    """Texts that Python might take long for get DuckDB's answer, and so do texts at the limit."""
    texts = [(sign * LONGEST)[:size] for size in (LONGEST - 1, LONGEST, LONGEST + 1)] + [sign * 9000]
    expressions = [each for each in OF_TEXT if "regexp" in each or "lower" in each or "accents" in each]
    compiled = compile_expressions(expressions, ["a", "b"])
    table = pa.table({"a": texts, "b": texts})
    for text, expected in zip(texts, by_duckdb(con, expressions, table), strict=True):
        assert list(expected) == list(compiled(text, text))


def test_a_chain_of_selects_is_one_function(con):
    """Selects with stars, lateral names and lookups over one row give what DuckDB gives for each row."""
    query = """
        with one as (select 'here' as origin, true as flag),
        named as (
            select * exclude (c) replace (lower(b) as b) rename (a as first), split_part(c, ' ', 1) as first_word,
                first_word || '!' as loud
            from given
        ),
        joined as (
            select n.* exclude (loud), k.full_name as known, s.flag, loud
            from named n left join codes k on k.code = n.b left join one s using (origin)
        ),
        parted as (
            select *, coalesce(known, first) as best, regexp_extract(first, '(.)(.)', ['x', 'y']) as parts,
                parts['x'] as x
            from joined
        )
        select *, parts.y as y from parted
    """
    codes = Lookup(("code", "full_name"), (("us", "United States"), ("de", "Germany")))
    con.execute("create or replace temp table codes (code varchar, full_name varchar)").fetchall()
    con.executemany("insert into codes values (?, ?)", codes.rows)
    values = [None, "", "US", "De x", "éa b"]
    rows = list(product(values, repeat=3))
    columns = dict(zip("abc", map(list, zip(*rows, strict=True)), strict=True))
    con.register("given", pa.table({**columns, "origin": ["here"] * len(rows)}))
    answers = ["first", "b", "first_word", "known", "flag", "loud", "best", "y", "x"]
    expected = con.execute(f"select {', '.join(answers)} from ({query})").fetchall()
    compiled = compile_query(
        query.replace("codes k", "read_csv('codes.csv') k"),
        "given",
        ("a", "b", "c"),
        answers,
        constants={"origin": "here"},
        lookup={"codes.csv": codes}.__getitem__,
    )
    assert sorted(map(repr, expected)) == sorted(repr(compiled(*row)) for row in rows)


def test_pairs_share_what_is_derived(con):
    """Columns derived for both sides of a pair are DuckDB's, also where they are missing."""
    words = "list_sort(list_distinct(string_split(name, ' ')))"
    values = [None, "", "b a", "a b", "a", "b a b"]
    table = pa.table({"name": values, "n": range(len(values))})
    con.register("given", table)
    expressions = ["l.words = r.words", "list_has_any(l.words, r.words)", "l.n >= 2 and l.name = r.name"]
    expected = con.execute(f"""
        with w as (select *, {words} as words from given)
        select {", ".join(expressions)} from w r, w l order by r.n, l.n
    """).fetchall()
    compiled = compile_pairs(expressions, ["name", "n"], ["name"], {"words": ("name", words)})
    rows = [(value, place) for place, value in enumerate(values)]
    assert expected == [found for value in values for found in compiled(rows, value)]


@pytest.mark.parametrize(
    "expression",
    [
        "upper(a)", "left(a)", "a like 'b_'", "a ilike 'b'", "a is distinct from b", "cast(a as date)", "a::int",
        "regexp_matches(a, '(?i)b')", "regexp_matches(a, '\\w')", "regexp_matches(a, '\\p{Lu}')",
        "regexp_matches(a, '\\pM')", "regexp_matches(a, b)", "regexp_replace(a, 'b*', '', 'g')",
        "regexp_replace(a, 'b', '\\x')", "regexp_replace(a, 'b', '', 'gi')", "right(a, -1)", "lpad(a, 3, 'xy')",
        "right(a, length(b))", "c", "t.a", "a in (b)", "a between 'b' and 'c'", "count(*)", "sum(a) over ()",
        "(select 1)", "list_filter(a, b)", "strftime(a, '%Y')", "a[1:length(b)]", "a ~ 'b'", "a % 2", "lower(",
        "try_cast(a as double)", "case a when b then 1 end", "[a, b]", "split_part(a, b)",
    ],
)  # fmt: skip
def test_what_is_not_known_is_refused(expression):
    """An expression that is not known is refused when it is compiled, not answered in some other way."""
    with pytest.raises(ModelError):
        compile_expressions([expression], ["a", "b"])


@pytest.mark.parametrize(
    "query",
    [
        "select a from given where a = 'b'", "select distinct a from given", "select a from given limit 1",
        "select a from given order by a", "select max(a) as a from given", "select a from other",
        "select given.a from given, given as two", "select a from given join given as two using (a)",
        "select * exclude (z), a from given", "select a from given union select a from given",
        "select columns('a') from given", "select a as b from given", "select a from given group by all",
        "select a from given left join read_csv('x.csv') k on k.code > a",
    ],
)  # fmt: skip
def test_queries_that_are_not_known_are_refused(query):
    """A query that looks at more than one row, or joins in another way, is refused when it is compiled."""
    lookup = Lookup(("code",), (("x",),))
    with pytest.raises((ModelError, KeyError)):
        compile_query(query, "given", ("a",), ("a",), constants={}, lookup=lambda path: lookup)


def test_lookups_name_a_value_once():
    """A lookup table that would multiply rows is refused."""
    twice = Lookup(("code",), (("x",), ("x",)))
    with pytest.raises(ModelError, match="twice"):
        compile_query(
            "select a, k.code from given left join read_csv('x.csv') k on k.code = a",
            "given",
            ("a",),
            ("a",),
            constants={},
            lookup=lambda path: twice,
        )


def test_text_ends_are_re2s():
    """The end of a text is its very end, and blanks are those of RE2."""
    assert [True, False] == [full_match("a$")(text) for text in ("a", "a\n")]
    assert "a\x0b" == replace("\\s", "", "g")("a\x0b\n")
