"""Dates as text, whatever their format: YYYY-MM-DD, and impossible ones in the same layout."""

from __future__ import annotations

_TEXT_FORMATS = "['%b %d, %Y', '%B %d, %Y', '%b %d %Y', '%B %d %Y', '%d %b %Y', '%d %B %Y', '%d-%b-%Y', '%d-%b-%y']"
_YEAR_FIRST = "^([0-9a-z]{4})[-/.]([0-9a-z]{1,2})[-/.]([0-9a-z]{1,2})([t ].*)?$"
_YEAR_LAST = "^([0-9a-z]{1,2})[-/. ]([0-9a-z]{1,2})[-/. ]([0-9]{2}|[0-9a-z]{4})([t ].*)?$"
_PLACEHOLDERS = ("1900-01-01", "1901-01-01", "1800-01-01", "1753-01-01", "1111-11-11")
_DAY_FIRST_COUNTRIES_EXCEPT = ("us",)


def year_first(text: str) -> str:
    """SQL for true or false: does a text begin as ISO 8601 dates do (2024-)?"""
    return f"(substr({text}, 5, 1) = '-' and substr({text}, 3, 1) <> '-')"


def day_first_sql(rows: str, column: str, country: str) -> str:
    """SQL for `source, day_first`: does 03/04/1990 mean the 3rd of April, by source?

    The evidence is the distinct days with a part above 12. Without any, only the United States write the month first.
    """
    default = "false" if country.lower() in _DAY_FIRST_COUNTRIES_EXCEPT else "true"
    return f"""
    with days as (
        select distinct source, split_part(lower(trim({column})), ' ', 1) as written_day
        from {rows}
        where not {year_first(column)}
    ),
    parts as (
        select source, unnest(regexp_extract(written_day, '{_YEAR_LAST}', ['first', 'second']))
        from days
    ),
    evidence as (
        select source,
            count(*) filter (try_cast(first as integer) between 13 and 31) as firsts_above_12,
            count(*) filter (try_cast(second as integer) between 13 and 31) as seconds_above_12
        from parts
        group by source
    )
    select source,
        case
            when firsts_above_12 > seconds_above_12 then true
            when seconds_above_12 > firsts_above_12 then false
            else {default}
        end as day_first
    from evidence
    """


def add_date(rows: str, column: str, country: str, whole: str | None = None) -> str:
    """SQL that reads a text column as `column_raw` and adds it as YYYY-MM-DD text.

    Understands YYYY-MM-DD, YYYYMMDD, MM/DD/YYYY or DD/MM/YYYY (decided by source), two-digit years (31 to
    99 are 19xx), names of months, and whatever time follows. An impossible date (1971-13-24) keeps its
    digits in the same layout, so that it can be compared as text; a placeholder date is null. What a source means
    by 03/04/1990 is told by the table `whole`, or by `rows` themselves.
    """
    return f"""
    with day_first as ({day_first_sql(whole or rows, column, country)}),
    lowered as (
        select r.* rename ({column} as {column}_raw), lower(trim({column})) as date_text, day_first
        from {rows} r
        left join day_first d using (source)
    ),
    parted as (
        select *,
            regexp_extract(date_text, '{_YEAR_FIRST}', ['y', 'm', 'd']) as ymd,
            regexp_extract(date_text, '{_YEAR_LAST}', ['a', 'b', 'y']) as aby
        from lowered
    ),
    ordered as (
        select *,
            case
                when try_cast(aby.a as integer) > 12 then true
                when try_cast(aby.b as integer) > 12 then false
                else day_first
            end as first_is_day
        from parted
    ),
    laid_out as (
        select * exclude (ymd, aby, first_is_day),
            case
                when regexp_full_match(date_text, '[0-9]{{8}}')
                    then left(date_text, 4) || '-' || substr(date_text, 5, 2) || '-' || right(date_text, 2)
                when ymd.y <> '' then ymd.y || '-' || lpad(ymd.m, 2, '0') || '-' || lpad(ymd.d, 2, '0')
                when aby.y <> '' then
                    case when length(aby.y) = 4 then '' when aby.y > '30' then '19' else '20' end || aby.y
                    || '-' || lpad(if(first_is_day, aby.b, aby.a), 2, '0')
                    || '-' || lpad(if(first_is_day, aby.a, aby.b), 2, '0')
                else strftime(try_strptime(date_text, {_TEXT_FORMATS}), '%Y-%m-%d')
            end as laid_out
        from ordered
    )
    select * exclude (date_text, day_first, laid_out),
        case when laid_out not in {_PLACEHOLDERS} and left(laid_out, 4) not in ('0000', '0001', '9999')
            then laid_out end as {column}
    from laid_out
    """
