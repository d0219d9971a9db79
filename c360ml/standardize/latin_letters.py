"""Names in Latin letters, whatever script they came in.

Cyrillic, Greek, Arabic, Hebrew, Chinese, Japanese, Korean and other letters by AnyAscii's tables (ISC licence),
with what only names need: East Asian names are written surname first, and Greek digraphs and Korean surnames are
written as their bearers write them. Arabic and Hebrew leave vowels out, and so does their Latin form: it is alike
to the usual spelling by its sound.
"""

from __future__ import annotations

import re
import unicodedata

from anyascii import anyascii

_FOREIGN_BLOCKS = ((0x370, 0x1CFF), (0x1F00, 0x1FFF), (0x2C80, 0x2DFF), (0x3041, 0xA71F), (0xA800, 0xAB2F),
                   (0xABC0, 0xD7FF), (0xF900, 0xFAFF), (0xFB13, 0xFDFF), (0xFE70, 0xFEFC), (0xFF66, 0xFFDC),
                   (0x10280, 0x1CFFF), (0x20000, 0x3FFFF))  # fmt: skip
FOREIGN_LETTER = f"[{''.join(f'{chr(first)}-{chr(last)}' for first, last in _FOREIGN_BLOCKS)}]"
"""Regular expression, for Python and DuckDB, of a letter of another script than Latin."""

_EAST_ASIAN = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7a3\uf900-\ufaff]")
_LATIN_LETTER = re.compile(r"[A-Za-z\u00c0-\u024f]")
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")
_TWO_SIGN_SURNAMES = frozenset(
    "欧阳 歐陽 司马 司馬 上官 诸葛 諸葛 东方 東方 皇甫 令狐 慕容 尉迟 司徒 夏侯 남궁 황보 제갈 선우".split()
)
_KOREAN_SURNAMES = {
    "김": "kim", "이": "lee", "박": "park", "최": "choi", "정": "jung", "조": "cho", "윤": "yoon", "임": "lim",
    "오": "oh", "서": "seo", "신": "shin", "권": "kwon", "황": "hwang", "안": "ahn", "유": "yoo", "고": "ko",
    "문": "moon", "손": "son", "배": "bae", "백": "baek", "허": "huh", "노": "noh", "주": "joo", "우": "woo",
}  # fmt: skip
_GREEK = re.compile(r"[\u0370-\u03ff\u1f00-\u1fff]")
_GREEK_DIGRAPHS = (("oy", "ou"), ("Oy", "Ou"), ("OY", "OU"), ("ey", "ev"), ("Ey", "Ev"), ("EY", "EV"), ("ay", "av"),
                   ("Ay", "Av"), ("AY", "AV"))  # fmt: skip


def has_foreign_letter(name: str) -> bool:
    """Whether a name has a letter of another script than Latin.

    >>> has_foreign_letter("Øystein"), has_foreign_letter("Юлия")
    (False, True)
    """
    return re.search(FOREIGN_LETTER, name) is not None


def latin_letters(name: str) -> str:
    """Write a whole name in Latin letters; an East Asian one gets a comma after its surname.

    >>> latin_letters("Александр Павлович"), latin_letters("李小龍"), latin_letters("김철수")
    ('Aleksandr Pavlovich', 'li, xiaolong', 'kim, cheolsu')
    """
    name = " ".join(unicodedata.normalize("NFC", name).split())
    if not _EAST_ASIAN.search(name) or "," in name or _LATIN_LETTER.search(name):
        return latin_part(name)
    surname, _, given = name.replace("・", " ").partition(" ")
    if not given and 2 <= len(name) <= 4 and not re.search(r"[\u3040-\u30ff]", name):
        cut = 2 if len(name) == 4 or (name[:2] in _TWO_SIGN_SURNAMES and len(name) > 2) else 1
        surname, given = name[:cut], name[cut:]
    if not given:
        return latin_part(name)
    surname = _KOREAN_SURNAMES.get(surname) or _CAMEL.sub("", latin_part(surname))
    return f"{surname}, {latin_part(given)}"


def latin_part(name: str) -> str:
    """Write a part of a name in Latin letters; the syllables of an East Asian word are joined.

    >>> latin_part("小龍"), latin_part("Παπαδόπουλος"), latin_part("فيصل")
    ('xiaolong', 'Papadopoulos', 'fysl')
    """
    if name in _KOREAN_SURNAMES:
        return _KOREAN_SURNAMES[name]
    latin = anyascii(name)
    if _GREEK.search(name):
        for digraph, spoken in _GREEK_DIGRAPHS:
            latin = latin.replace(digraph, spoken)
    return latin.lower() if _EAST_ASIAN.search(name) else latin
