"""What a name may stand for: formal names of a short one, and how it sounds.

`nicknames.csv` has one row a name: the formal names that it may stand for, the most usual first (Alex: Alexander,
Alexandra, Alexis). It covers short forms in English, Spanish, German, French, Italian, Portuguese, Polish and
Russian, spellings of one name, and names that people change with the language they speak (Yekaterina, Catherine).
It was written for this project from general knowledge.

Sounds are metaphone codes: of surnames that one person has in two spellings, they agree on a quarter (historical
figures) and a seventh (a noisy census), NYSIIS and match rating codes on a fifth and a tenth. Of the surnames of
strangers, metaphone agrees on one in 1,400 to 1,600, Soundex on one in 700 to 1,000.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import jellyfish
import pyarrow as pa

from c360ml.standardize.text import data_file

if TYPE_CHECKING:
    import duckdb

NICKNAMES = "nicknames.csv"


def sound_names(con: duckdb.DuckDBPyConnection, rows: str, answer: str) -> None:
    """Register `answer`: formal names, the usual one, and sounds of each distinct given name and surname."""
    asked = con.execute(
        f"""
        with spoken as (
            select given_name as called from {rows} union select surname from {rows}
        )
        select called, coalesce(formal_names, called)
        from spoken left join {data_file(NICKNAMES)} on name = called
        where called is not null
        """
    ).fetchall()
    forms = [(name, *name_forms(formal_names)) for name, formal_names in asked]
    columns = {
        "name": [name for name, *_ in forms],
        "canonical": [canonical for _, _, canonical, _ in forms],
        "formals": [formals for _, formals, _, _ in forms],
        "name_phonetic": [sound if name == canonical else metaphone(name) for name, _, canonical, sound in forms],
        "canonical_phonetic": [sound for *_, sound in forms],
    }
    con.register(answer, pa.table(columns, schema=pa.schema([(name, pa.string()) for name in columns])))


def name_forms(formal_names: str) -> tuple[str, str, str | None]:
    """All formal names that a name may stand for, the usual one, and how that sounds.

    >>> name_forms("alexander alexandra")
    ('alexander alexandra', 'alexander', 'ALKSNTR')
    """
    canonical = formal_names.split(" ")[0]
    return formal_names, canonical, metaphone(canonical)


def metaphone(name: str) -> str | None:
    """Spell how a name sounds; None if it is silent.

    >>> metaphone("smyth") == metaphone("smith")
    True
    """
    return " ".join(str(jellyfish.metaphone(name)).split()) or None
