"""Days, times, amounts and keys of interactions, read from whatever text a source writes."""

from __future__ import annotations

from c360ml.standardize.dates import year_first

_MONTH_FIRST = "['%m/%d/%Y', '%m/%d/%Y %H:%M:%S', '%m/%d/%Y %H:%M', '%m/%d/%Y %I:%M:%S %p', '%m-%d-%Y', '%m/%d/%y']"
_DAY_FIRST = "['%d/%m/%Y', '%d/%m/%Y %H:%M:%S', '%d/%m/%Y %H:%M', '%d/%m/%Y %I:%M:%S %p', '%d-%m-%Y', '%d/%m/%y']"
_EITHER = "['%Y%m%d', '%Y%m%d%H%M%S', '%d.%m.%Y', '%d.%m.%Y %H:%M:%S', '%b %d, %Y', '%d %b %Y', '%d-%b-%Y']"


def moment(text: str, day_first: str) -> str:
    """SQL for a text as time in UTC: ISO 8601 with or without zone, or a written date; null if it is neither."""
    # a cast that fails is six times slower than one that succeeds, so the shape is asked first
    return f"""case
            when {year_first(text)} then try_cast({text} as timestamptz)
            else coalesce(
                case when {day_first} then try_strptime({text}, {_DAY_FIRST})
                    else try_strptime({text}, {_MONTH_FIRST}) end,
                try_strptime({text}, {_EITHER}),
                try_cast({text} as timestamptz))
        end"""


def day(text: str, day_first: str) -> str:
    """SQL for a text as the day that it writes, in the zone that it writes; null if it is none."""
    return f"""case
            when {year_first(text)} then try_cast(left({text}, 10) as date)
            else cast({moment(text, day_first)} as date)
        end"""


def amount(text: str) -> str:
    """SQL for a text as a number: $1,234.50, 1.234,50 €, (120.00) and -120 are understood; null if it is none."""
    sign = f"if(regexp_matches({text}, '^\\s*\\(.*\\)\\s*$|-\\s*$'), -1, 1)"
    digits = f"rtrim(regexp_replace({text}, '[^0-9.,-]', '', 'g'), '-')"
    # not `coalesce`, in which DuckDB computes an expression that comes twice for every row
    return f"""case
            when try_cast({text} as double) is not null then try_cast({text} as double)
            else {sign} * try_cast(
                case when regexp_matches({digits}, ',[0-9]{{1,2}}$')
                    then replace(replace({digits}, '.', ''), ',', '.')
                    else replace({digits}, ',', '') end as double)
        end"""


def key(source: str, source_key: str) -> str:
    """SQL for the id that a source and its own key make; null if one of them is."""
    return f"{source} || ':' || nullif(trim({source_key}), '')"


def vin(text: str) -> str:
    """SQL for a vehicle identification number: upper case, without blanks and hyphens."""
    return f"nullif(upper(replace(replace({text}, ' ', ''), '-', '')), '')"
