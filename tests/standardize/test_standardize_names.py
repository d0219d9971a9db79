"""Names as people use them: short forms, maiden names, two people, other scripts; one record as in its table."""

from __future__ import annotations

import csv
from importlib.resources import files

import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from c360ml.standardize import standardize_records
from c360ml.standardize.latin_letters import FOREIGN_LETTER, has_foreign_letter, latin_letters
from c360ml.standardize.names import NAME_ROLES
from c360ml.standardize.one_record import RecordStandardizer

PARTS = ("given_name", "middle_name", "surname", "maiden_name", "suffix")


STANDARDIZER = RecordStandardizer("US")


def read_name(**parts: str | None) -> dict[str, str | None]:
    """Standardize a name alone, as the online path does; that tables read it so too is a test below."""
    return STANDARDIZER.standardize(parts)


def read_names(rows: list[dict[str, str | None]]) -> list[dict[str, str | None]]:
    """Standardize a table of names; answers in their order."""
    roles = (*NAME_ROLES, "suffix")
    columns = {role: pa.array([row.get(role) for row in rows], pa.string()) for role in roles}
    table = pa.table({"key": [f"{position:04d}" for position in range(len(rows))]} | columns)
    return standardize_records(table, id="key", columns={role: role for role in roles}).to_pylist()


def parts_of(full_name: str) -> tuple[str | None, ...]:
    """Parts of a whole name."""
    record = read_name(full_name=full_name)
    return tuple(record[part] for part in PARTS)


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("Mr & Mrs Smith", (None, None, "smith", None, None)),
        ("Mr. and Mrs. John Smith", ("john", None, "smith", None, None)),
        ("John and Mary Smith", ("john", None, "smith", None, None)),
        ("John Q & Mary Ann van der Berg", ("john", "q", "van der berg", None, None)),
        ("SMITH, John & Mary", ("john", None, "smith", None, None)),
        ("Dr. John Smith & Mary Jones", ("john", None, "smith", None, None)),
        ("Caroline of Denmark and Norway", ("caroline", "of denmark and", "norway", None, None)),
        ("Anderson Sand", ("anderson", None, "sand", None, None)),
    ],
)
def test_of_two_people_the_first_is_kept(name, parts):
    """Two people in one name are read as the first; 'and' within a name is not two people."""
    assert parts == parts_of(name)


@pytest.mark.parametrize(
    ("name", "surname", "maiden_name"),
    [
        ("Mary Jones née Smith", "jones", "smith"),
        ("Mary Jones (née Smith)", "jones", "smith"),
        ("Jones nee O'Hara, Mary", "jones", "ohara"),
        ("Anna Müller geb. Schmidt", "muller", "schmidt"),
        ("Mary Jones, born Smith", "jones", "smith"),
        ("Max Born", "born", None),
        ("John Nee", "nee", None),
        ("John Nee Jr", "nee", None),
        ("John Bell (sculptor)", "bell", None),
    ],
)
def test_maiden_names_are_found_where_they_are_announced(name, surname, maiden_name):
    """A maiden name is read where a word announces it, and a surname that looks like such a word stays."""
    record = read_name(full_name=name)

    assert (surname, maiden_name) == (record["surname"], record["maiden_name"])


def test_a_surname_in_brackets_is_a_maiden_name():
    """Jones (Smith) is Jones, once Smith; a maiden name of its own column goes first, one equal to the surname goes."""
    rows = [
        {"given_name": "Mary", "surname": "Jones (Smith)"},
        {"given_name": "Mary", "surname": "Jones", "maiden_name": "SMITH"},
        {"given_name": "Mary", "surname": "Jones", "maiden_name": "Jones"},
        {"given_name": "Mary", "surname": "Jones (deceased)"},
    ]

    assert [("jones", "smith"), ("jones", "smith"), ("jones", None), ("jones", None)] == [
        (row["surname"], row["maiden_name"]) for row in (read_name(**names) for names in rows)
    ]


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ('Robert "Bob" J. Smith', ("robert", "j", "smith", None, None)),
        ("Robert (Bob) Smith", ("robert", None, "smith", None, None)),
        ("John Smith (Jr.)", ("john", None, "smith", None, "jr")),
        ("(John Smith)", ("john", None, "smith", None, None)),
        ("John Smith 12345", ("john", None, "smith", None, None)),
        ("\u00a0John \U0001f600  \x07Smith\u200b", ("john", None, "smith", None, None)),
        ("Smith, Jr., John", ("john", None, "smith", None, "jr")),
        ("Jane Do, MA", ("jane", None, "do", None, None)),
        ("Ma, Wei", ("wei", None, "ma", None, None)),
        ("Prof. Dr. med. Anna Klein", ("anna", None, "klein", None, None)),
        ("Dipl.-Ing. Hans Huber", ("hans", None, "huber", None, None)),
        ("Don Johnson", ("don", None, "johnson", None, None)),
        ("Mary Mac Donald", ("mary", None, "macdonald", None, None)),
    ],
)
def test_what_is_no_name_is_cut(name, parts):
    """Remarks, numbers, signs, titles and degrees go; words that are names elsewhere stay."""
    assert parts == parts_of(name)


@pytest.mark.parametrize("spelling", ["jr", "JR.", "Junior", "jnr"])
def test_generations_have_one_spelling(spelling):
    """Junior is jr, 2nd is ii, and so on."""
    assert "jr" == read_name(surname="Smith", suffix=spelling)["suffix"]
    assert "jr" == read_name(surname=f"Smith {spelling}")["suffix"]


@pytest.mark.parametrize(
    ("name", "latin"),
    [
        ("ВАСИЛЬЕВ, Александр", "VASIL'EV, Aleksandr"),
        ("Γιώργος Παπαδόπουλος", "Giorgos Papadopoulos"),
        ("فيصل صديقي", "fysl sdyqy"),
        ("李小龍", "li, xiaolong"),
        ("歐陽修", "ouyang, xiu"),
        ("山田 太郎", "shantian, tailang"),
        ("やまだ タロウ", "yamada, tarou"),
        ("김철수", "kim, cheolsu"),
        ("김 철수", "kim, cheolsu"),
        ("Bruce 李", "bruce li"),
    ],
)
def test_other_scripts_are_written_in_latin_letters(name, latin):
    """A name in any script gets Latin letters; an East Asian surname comes first."""
    assert latin == latin_letters(name)


def test_a_name_meets_itself_in_another_script():
    """Names in another script share canonical name or sound with their usual Latin spelling."""
    belarusian, russian, arabic, english = read_names(
        [
            {"full_name": "ВАСІЛЬЕЎ, Аляксандр Паўлавіч"},
            {"full_name": "ВАСИЛЬЕВ, Александр Павлович"},
            {"full_name": "فيصل صديقي"},
            {"full_name": "Faisal Siddiqui"},
        ]
    )

    assert "alexander" == belarusian["given_name_canonical"] == russian["given_name_canonical"]
    assert arabic["given_name_phonetic"] == english["given_name_phonetic"]
    assert arabic["surname_phonetic"] == english["surname_phonetic"]


def test_raw_names_stay_as_they_came():
    """The pipeline keeps the name in its own script as `name_raw`."""
    from c360ml.lakehouse import connect
    from c360ml.standardize.records import ROLES, standardized

    con = connect()
    nulls = ", ".join(f"null::varchar as {role}" for role in ROLES if role != "full_name")
    con.execute(
        f"create table people as select 'a' as record_id, 's' as source, '李小龍' as full_name, {nulls}"
    ).fetchall()
    with standardized(con, "people", "US") as query:
        assert [("李小龍", "li")] == con.execute(f"select name_raw, surname from ({query})").fetchall()


def nickname_rows() -> dict[str, list[str]]:
    """The packaged table: name = formal names."""
    text = (files("c360ml.standardize") / "nicknames.csv").read_text("utf-8")
    rows = list(csv.DictReader(text.splitlines()))
    assert len(rows) == len({row["name"] for row in rows})
    return {row["name"]: row["formal_names"].split(" ") for row in rows}


def test_nickname_file_leads_to_formal_names():
    """Each formal name has a row, the usual one stands for itself, and at least 300 have short forms."""
    formal = nickname_rows()

    assert set(formal) >= {name for names in formal.values() for name in names}
    assert all(formal[names[0]][0] == names[0] for names in formal.values())
    assert all(len(names) == len(set(names)) for names in formal.values())
    with_short_forms = {formal_name for name, names in formal.items() for formal_name in names if formal_name != name}
    assert len(with_short_forms) >= 300


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("Alex", "Alexandra"), ("Alex", "Alexander"), ("Chris", "Christina"), ("Pat", "Patrick"), ("Kate", "Kathryn"),
        ("Paco", "Francisco"), ("Pepe", "José"), ("Sepp", "Josef"), ("Uschi", "Ursula"), ("Manu", "Emmanuelle"),
        ("Beppe", "Giuseppe"), ("Zé", "José"), ("Kasia", "Katarzyna"), ("Sasha", "Александр"), ("Vova", "Владимир"),
        ("Peggie", "Margaret"), ("Howie", "Howard"), ("Mhd", "Mohammed"), ("Katya", "Catherine"),
    ],
)  # fmt: skip
def test_short_names_share_a_formal_name(left, right):
    """A short name stands for every formal name that it is used for."""
    one, other = read_name(given_name=left), read_name(given_name=right)

    assert set(one["given_name_formals"].split()) & set(other["given_name_formals"].split())


def test_different_people_share_no_formal_name():
    """Names of their own do not stand for each other."""
    for left, right in (("juan", "john"), ("maria", "martha"), ("robert", "albert"), ("ali", "alice")):
        one, other = read_name(given_name=left), read_name(given_name=right)
        assert not set(one["given_name_formals"].split()) & set(other["given_name_formals"].split())


_FRAGMENTS = st.sampled_from(
    ["John", "Mary", "Smith", "O'Brien", "van der", "&", "and", "née", "geb.", "born", "(Bob)", '"Bob"', ",", "Jr",
     "2nd", "Dr.", "PhD", "李小龍", "Александр", "12", "-", "é", "Mc", "j", "Mr & Mrs", "(", "\\", "'", "of", "صديقي",
     "\0"]
)  # fmt: skip
_NAMES = st.one_of(st.none(), st.lists(_FRAGMENTS, max_size=6).map(" ".join))


_EXAMPLES = (
    "Mr & Mrs John Smith",
    "Jones nee O'Hara, Mary",
    "ВАСІЛЬЕЎ, Аляксандр",
    "Smith, Jr., John",
    "John 12 \U0001f600",
)


@example([[name, None, None, None, None, None] for name in _EXAMPLES])
@example([[None, "Mary & Al", "Ann", "Jones (Smith)", None, "3rd"], [None, "김", "J.", "Hill", "née Ray", "Senior"]])
@settings(max_examples=6, deadline=None)
@given(st.lists(st.lists(_NAMES, min_size=6, max_size=6), min_size=1, max_size=12))
def test_one_name_is_read_as_in_its_table(rows):
    """Whatever is written as a name, one record is standardized as it is within a table."""
    roles = (*NAME_ROLES, "suffix")
    named = [dict(zip(roles, row, strict=True)) for row in rows]
    clean = [{role: (text or "").replace("\0", " ").strip() or None for role, text in row.items()} for row in named]
    with_names = ("full_name", *PARTS, "given_name_canonical", "given_name_formals", "surname_phonetic")

    table = read_names(clean)
    one = [STANDARDIZER.standardize(row) for row in clean]

    assert [{name: row[name] for name in with_names} for row in table] == [
        {name: row[name] for name in with_names} for row in one
    ]


def test_python_and_duckdb_agree_on_foreign_letters():
    """The regular expression of another script's letters means the same in Python and in DuckDB."""
    from c360ml.lakehouse import connect

    letters = [chr(code) for code in range(32, 0x30000, 7) if not 0xD800 <= code <= 0xDFFF]
    con = connect()
    con.register("given", pa.table({"letter": letters}))
    found = con.execute(
        f"select letter from given where regexp_matches(letter, '{FOREIGN_LETTER}') order by letter"
    ).fetchall()

    assert sorted(letter for letter in letters if has_foreign_letter(letter)) == sorted(letter for (letter,) in found)
