"""Which systems know whom: one row per customer record, with its dates, dealer and key."""

from __future__ import annotations

from c360ml.synthetic.workbench import Workbench

# share of buyers, share of others, chance of a second record (a tenth of it: of a third)
_PRESENCE = """
create table presence as
select * from (values
    (1, 'contact',     'salesforce',  0.46, 0.20, 0.08),
    (2, 'lead',        'salesforce',  0.06, 0.15, 0.04),
    (3, 'dynamics365', 'dynamics365', 0.22, 0.22, 0.07),
    (4, 'dms',         'dms',         1.00, 0.06, 0.11),
    (5, 'service',     'service',     0.52, 0.17, 0.10),
    (6, 'digital',     'digital',     0.26, 0.19, 0.06)
) as rates(number, system, source, buyers, others, again)
"""

# Whom no system would know is known to one of them: a world holds no unknown people.
_HOLDINGS = """
create table holding as
with chances as (
    select person, is_buyer, first_bought_on, system,
        u(person, 'in ' || system) < case when is_buyer then buyers else others end as is_known,
        u(person, 'again ' || system) as luck, again
    from buying cross join presence
),
counted as (
    select person, is_buyer, first_bought_on, system,
        case when luck < again * 0.1 then 3 when luck < again then 2 else 1 end as records
    from chances where is_known
),
completed as (
    select * from counted
    union all
    select person, is_buyer, first_bought_on,
        ['lead', 'contact', 'dynamics365', 'digital', 'lead'][1 + pick(person, 'only system', 5)], 1
    from buying anti join counted using (person)
)
select completed.*, presence.number, presence.source from completed join presence using (system)
"""

# A buyer's first DMS record is made on the day of the first purchase; a first service record when service
# starts; so that whatever is filed under them comes later.
_RECORDS = """
create table dated_record as
with numbered as (
    select *, unnest(range(records)) as copy from holding
),
keyed as (
    select *, person * 32 + number * 4 + copy as record from numbered
),
dated as (
    select *,
        day_between(record - copy, 'made', window_start(), window_end() - 60) as service_starts_on,
        case when system = 'dms' and is_buyer and copy = 0 then first_bought_on
             when system = 'dms' and is_buyer then day_between(record, 'made', first_bought_on, window_end())
             when system = 'service' and copy = 0 then service_starts_on
             when system = 'service' then day_between(record, 'made', service_starts_on, window_end())
             else day_between(record, 'made', date '2019-06-01', window_end()) end as made_on
    from keyed
)
select record, person, system, source, copy, made_on,
    day_between(record, 'changed', made_on, window_end()) as changed_on,
    (pick(household, 'dealer', $dealers) + case when copy > 0 or u(record, 'other dealer') < 0.08
        then 1 + pick(record, 'which dealer', greatest(1, $dealers - 1)) else 0 end) % $dealers as dealer,
    row_number() over (partition by system order by made_on, hash(record), record) as serial
from dated join person using (person)
"""

_KEYS = """
create table record as
select *,
    case system
        when 'contact' then '003Hs0000' || lpad(to_base(serial, 36), 6, '0') || 'QAC'
        when 'lead' then '00QHs0000' || lpad(to_base(serial, 36), 6, '0') || 'QAE'
        when 'dynamics365' then
            regexp_replace(md5(serial || '/' || $seed), '(.{8})(.{4})(.{4})(.{4})(.{12})', '\\1-\\2-\\3-\\4-\\5')
        when 'dms' then 'C' || lpad(cast(serial as varchar), 7, '0')
        when 'service' then 'SV' || lpad(cast(serial as varchar), 7, '0')
        else 'u' || lpad(to_base(serial, 36), 6, '0') end as source_key
from dated_record
"""


def make_records(bench: Workbench) -> None:
    """Make the table `record`: who is known to which system, how often, since when, under which key."""
    bench.run(_PRESENCE)
    bench.run(_HOLDINGS)
    bench.run(_RECORDS, {"dealers": max(4, bench.people // 400)})
    bench.run(_KEYS, {"seed": bench.seed})
    bench.run("drop table dated_record; drop table holding; drop table presence")
