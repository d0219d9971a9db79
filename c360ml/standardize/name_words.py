"""Words of names that are no name: titles, degrees, generations, particles; what announces a maiden name.

Regular expressions over lower-case words, written from general knowledge.
"""

from __future__ import annotations

TITLES = (
    "dipl[ -](?:ing|kfm|kff|psych|phys|math|inf|volksw|betriebsw)|(?:dr|prof)[ -](?:med|phil|jur|rer nat|ing|hc|h c)"
    "|mr|mister|mrs|ms|miss|mx|dr|doctor|prof|professor|sir|dame|rev|revd|reverend|hon|honorable|honourable|lady"
    "|lord|mme|mlle|madam|madame|mademoiselle|monsieur|capt|captain|col|colonel|lt|lieutenant|sgt|sergeant|maj|gen"
    "|general|admiral|viscount|viscountess|countess|baroness|marquess|the|right|herr|frau|fraulein|messrs"
)
"""Titles, which go wherever a name begins, or is nothing else."""

TITLES_BEFORE_A_NAME = (
    "ing|sig|sra|srta|sr|senor|senora|senorita|signor|signora|signorina|dott|dottssa|dott ssa|lic|arq|herrn|father"
    "|sister|brother|rabbi|imam|senator|governor|shri|smt|fr|mstr"
)
"""Titles that may be names of their own if nothing follows."""

GENERATIONS = "jr|junior|jnr|jun|sr|senior|snr|sen|ii|iii|iv|2nd|3rd|4th"
GENERATION_SPELLINGS = {
    "junior": "jr",
    "jnr": "jr",
    "jun": "jr",
    "senior": "sr",
    "snr": "sr",
    "sen": "sr",
    "2nd": "ii",
    "3rd": "iii",
    "4th": "iv",
    "5th": "v",
}
"""Spellings of generational suffixes = the one that is kept."""

DEGREES = (
    "md|m d|phd|ph d|dds|d d s|dvm|dmd|esq|esquire|cpa|c p a|rn|r n|jd|mba|obe|mbe|cbe|kbe|kcb|qc|bt|bart|baronet|ret"
    "|llb|llm|lld|bsc|msc|beng|meng|mphil|dphil|pharmd|psyd|edd|dpm|lcsw|aprn|mph|msw|frcs|facs|frs"
)
"""Degrees, orders and professions after a name."""

DEGREES_AFTER_A_COMMA = "ba|ma|bs|ms|do|pe|pa|np|od|kc|lpn|sj|op"
"""Degrees that are names too (Do, Ma), which only a comma after a whole name tells apart."""

PEERAGE = (
    "([0-9]+(st|nd|rd|th)|of|baron|baronet|baroness|earl|viscount|viscountess|duke|duchess|marquess|marquis"
    "|lord|lady|count|countess|prince|princess)"
)

PARTICLES = (
    "van|von|vom|vander|vanden|vande|der|den|de|del|della|dela|dello|dalla|dei|degli|di|da|do|du|dos|das|la|le|las"
    "|los|el|al|ter|ten|zu|zum|af|av|ver|san|santa|st|ste|saint|bin|ibn|bint|abu|fitz|mc|mac"
)
"""Words that begin a surname."""

JOINED_PREFIX = "^(mc|mac|o|d|fitz) (\\pL{3,})"
"""Prefixes written apart from their surname: Mc Cabe is McCabe."""

MAIDEN = "n[e\u00e9]e|geb\\.?|geborene?|formerly|f\\.?/?k\\.?/?a\\.?|z domu|nacida|nascida|rozena|maiden name|maiden"
"""Words that announce a former surname; 'born' does so only in brackets or after a comma."""
