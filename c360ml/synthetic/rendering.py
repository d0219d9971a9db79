"""What is written in each customer record: the truth of its day, with the mistakes of its system."""

from __future__ import annotations

from c360ml.synthetic.people import word_list
from c360ml.synthetic.workbench import Workbench

# Rates by system: how much is missing, and how often people and clerks get it wrong.
_HABITS = """
create table habit as
select * from (values
    --             e-mail phone  birth  address nick  initial typo   typo     swap   own    land   stale
    --             missing missing known missing name  only    given  surname  names  e-mail line   values
    ('contact',     0.21,  0.13,  0.24,  0.26,  0.20,  0.04,  0.050, 0.045,  0.015, 0.000, 0.34,  0.50),
    ('lead',        0.12,  0.26,  0.00,  0.60,  0.26,  0.07,  0.080, 0.075,  0.020, 0.000, 0.14,  0.30),
    ('dynamics365', 0.24,  0.15,  0.26,  0.24,  0.18,  0.04,  0.050, 0.050,  0.015, 0.000, 0.34,  0.50),
    ('dms',         0.45,  0.16,  0.24,  0.12,  0.13,  0.07,  0.060, 0.060,  0.012, 0.070, 0.52,  0.55),
    ('service',     0.50,  0.13,  0.00,  0.26,  0.24,  0.10,  0.085, 0.085,  0.020, 0.060, 0.45,  0.50),
    ('digital',     0.01,  0.60,  0.00,  0.30,  0.28,  0.06,  0.060, 0.050,  0.015, 0.000, 0.04,  0.40)
) as rates(system, email_missing, phone_missing, birth_known, address_missing, nickname, initial,
           typo_given, typo_surname, swapped, dealer_email, land_line_use, stale)
"""

_NAMES = """
create table record_name as
with nicknames as (
    select name, list(nickname order by position) as nicknames from nickname group by name
),
known as (
    select record, record.system, record.dealer, contact.given, contact.middle, contact.suffix, habit.*,
        case when made_on < married_on and former_surname is not null then former_surname
             when former_surname is not null and u(person, 'hyphen') < 0.10 then former_surname || '-' || surname
             else surname end as surname,
        case when u(record, 'which nickname') < 0.75
             then nicknames[1 + pick(person, 'nickname', len(nicknames))]
             else nicknames[1 + pick(record, 'nickname', len(nicknames))] end as nickname_used
    from record
    join contact using (person)
    join habit on habit.system = record.system
    left join nicknames on nicknames.name = contact.given
),
called as (
    select * replace (
        case when nickname_used is not null and u(record, 'uses nickname') < nickname then nickname_used
             when u(record, 'initial only') < initial then left(given, 1) else given end as given,
        case when system in ('digital', 'lead') or u(record, 'middle') < 0.55 then null
             when u(record, 'middle in full') < 0.35 and system <> 'dms' then middle
             else left(middle, 1) end as middle,
        case when u(record, 'suffix') < 0.25 then suffix end as suffix)
    from known
),
mistyped as (
    select * replace (
        case when u(record, 'typo given') < typo_given then typed_wrong(given, record, 'given') else given end
            as given,
        case when u(record, 'typo surname') < typo_surname then typed_wrong(surname, record, 'surname')
             else surname end as surname)
    from called
),
ordered as (
    select record, system, dealer, middle, suffix,
        case when u(record, 'swap') < swapped then surname else given end as given,
        case when u(record, 'swap') < swapped then given else surname end as surname
    from mistyped
),
plain as (
    select * replace (
        case when system in ('dms', 'service') or u(record, 'accents') < 0.5 then strip_accents(given)
             else given end as given,
        case when system in ('dms', 'service') or u(record, 'accents') < 0.5 then strip_accents(surname)
             else surname end as surname,
        case when system in ('dms', 'service') then strip_accents(middle) else middle end as middle)
    from ordered
)
select record,
    system = 'dms' and u(dealer, 'capitals') < 0.75 or u(record, 'capitals') < 0.01 as in_capitals,
    given, middle, surname, suffix
from plain
"""

_PHONES_AND_EMAILS = """
create table record_reach as
with known as (
    select record, record.system, dealer, person, habit.*,
        case when u(record, 'which email') < 0.58 then email_1
             when u(record, 'which email') < 0.87 then coalesce(email_2, email_1)
             else coalesce(email_3, email_1) end as own_email,
        case when u(record, 'family') < 0.5 then family_email end as family_email,
        case when old_mobile is not null and made_on < mobile_changed_on then old_mobile else mobile end as cell,
        land_line,
        case when u(dealer, 'desk') < 0.5 then 'sales' else
            ['mike', 'linda', 'chris', 'pat', 'tony'][1 + pick(dealer, 'clerk', 5)] || '.'
            || ['larson', 'reed', 'kim', 'ortiz', 'hall'][1 + pick(dealer, 'clerk name', 5)] end
            || '@dealer' || lpad(cast(dealer + 1 as varchar), 3, '0') || '.example.com' as desk_email
    from record join contact using (person) join habit on habit.system = record.system
),
chosen as (
    select *,
        case when u(record, 'email missing') >= email_missing then coalesce(family_email, own_email)
             when u(record, 'desk email') < dealer_email then desk_email
             when u(record, 'no email') < 0.05 then ['none@none.com', 'noemail@noemail.com', 'na@na.com']
                [1 + pick(record, 'none', 3)] end as email_chosen,
        case when u(record, 'phone missing') < phone_missing then null
             when u(record, 'land line') < land_line_use then coalesce(land_line, cell)
             else coalesce(cell, land_line) end as phone_chosen
    from known
),
spelled as (
    select *,
        case
            when email_chosen is null or email_chosen in (desk_email, 'none@none.com') then email_chosen
            when u(record, 'email spelling') < 0.03 and email_chosen like '%gmail%' then
                replace(email_chosen, '@', ['+cars', '+auto', '+spam'][1 + pick(record, 'tag', 3)] || '@')
            when u(record, 'email spelling') < 0.06 and email_chosen like '%gmail%' then
                left(email_chosen, 3) || case when email_chosen[3] in ('.', '@') or email_chosen[4] in ('.', '@')
                    then '' else '.' end || substr(email_chosen, 4)
            when u(record, 'email spelling') < 0.10 then upper(email_chosen)
            when u(record, 'email spelling') < 0.12 then
                typed_wrong(split_part(email_chosen, '@', 1), record, 'email')
                || '@' || split_part(email_chosen, '@', 2)
            else email_chosen end as email,
        case when u(record, 'wrong digit') < 0.04
             then left(phone_chosen, 8) || pick(record, 'digit', 10) || right(phone_chosen, 1)
             else phone_chosen end as digits
    from chosen
)
select record, email, digits,
    case when u(record, 'also mobile') < 0.35 and digits is not null then cell end as mobile_digits,
    case when digits is null and u(record, 'fills phone') < 0.06 then
            ['999-999-9999', '000-000-0000', '(555) 555-5555'][1 + pick(record, 'filler', 3)]
         else written_phone(digits, record) end as phone,
    case when u(record, 'birth known') < birth_known then 1 else 0 end = 1 as has_birthday
from spelled
"""

_MACROS = """
create macro real_email(email) as
    case when email not in ('none@none.com', 'noemail@noemail.com', 'na@na.com') then email end;
create macro written_phone(digits, key) as
    case pick(key, 'phone format', 10)
        when 0 then digits
        when 1 then left(digits, 3) || '.' || substr(digits, 4, 3) || '.' || right(digits, 4)
        when 2 then '+1 ' || left(digits, 3) || ' ' || substr(digits, 4, 3) || ' ' || right(digits, 4)
        when 3 then '+1' || digits
        when 4 then '1-' || left(digits, 3) || '-' || substr(digits, 4, 3) || '-' || right(digits, 4)
        when 5 then left(digits, 3) || '-' || substr(digits, 4, 3) || '-' || right(digits, 4)
        when 6 then left(digits, 3) || '-' || substr(digits, 4, 3) || '-' || right(digits, 4)
        else '(' || left(digits, 3) || ') ' || substr(digits, 4, 3) || '-' || right(digits, 4) end;
create macro short_type(street_type) as map {
    'Street': 'St', 'Avenue': 'Ave', 'Road': 'Rd', 'Drive': 'Dr', 'Lane': 'Ln', 'Boulevard': 'Blvd',
    'Court': 'Ct', 'Way': 'Way', 'Place': 'Pl', 'Terrace': 'Ter'}[street_type];
"""

_ADDRESSES = """
create table record_address as
with known as (
    select record, record.system, habit.*, reach.email is null and reach.digits is null as is_bare,
        case when address_before is not null and (made_on < moved_on or u(record, 'stale') < stale * 0.2)
             then address_before else address_now end as address_no
    from record
    join contact using (person)
    join habit on habit.system = record.system
    join record_reach as reach using (record)
),
found as (
    select known.record, known.system, address.* exclude (address_no, area_codes),
        case when u(known.record, 'street typo') < 0.03 then typed_wrong(street, known.record, 'street')
             else street end as street_written,
        case when u(known.record, 'number typo') < 0.015 and house_number > 9
             then cast(house_number // 10 * 10 + pick(known.record, 'digit', 10) as varchar)
             else cast(house_number as varchar) end as number_written,
        u(known.record, 'address missing') < address_missing * case when is_bare then 0.15 else 1 end as is_missing
    from known join address using (address_no)
),
written as (
    select record, system, is_missing, city, state, postcode,
        case when u(record, 'unknown address') < 0.008 then 'UNKNOWN'
             else number_written || ' ' || street_written || case
                when u(record, 'street type') < 0.45 then ' ' || street_type
                when u(record, 'street type') < 0.90 then ' ' || short_type(street_type)
                when u(record, 'street type') < 0.95 then ' ' || short_type(street_type) || '.'
                else '' end end as line,
        case when u(record, 'unit missing') < 0.12 then null
             else ['Apt ', '#', 'Apt. ', 'Unit ', 'Apartment ', 'Apt '][1 + pick(record, 'unit word', 6)] || unit
        end as unit
    from found
)
select record,
    case when not is_missing then line end as line,
    case when not is_missing and line <> 'UNKNOWN' then unit end as unit,
    case when not is_missing or u(record, 'city alone') < 0.35 then city end as city,
    case when not is_missing or u(record, 'city alone') < 0.35 then state end as state,
    case when is_missing and u(record, 'zip alone') >= 0.3 or u(record, 'no zip') < 0.03 then null
         when system <> 'digital' and u(record, 'zip4') < 0.06
         then postcode || '-' || lpad(cast(pick(record, 'plus 4', 9999) as varchar), 4, '0')
         else postcode end as postcode
from written
"""

# A typing slip turns a birthday's day and month round, or shifts it by a year; a lazy clerk types 1900-01-01.
_ROWS = """
create table customer_row as
with born as (
    select record, person, contact.sex,
        case when not has_birthday then null
             when u(record, 'no birthday') < 0.01 then date '1900-01-01'
             when u(record, 'birthday') < 0.02 and day(born_on) <= 12
             then make_date(year(born_on), day(born_on), month(born_on))
             when u(record, 'birthday') < 0.03 then cast(born_on - interval 1 year as date)
             else born_on end as born_on
    from record join contact using (person) join record_reach using (record)
)
select record.record, record.person, record.system, record.source, record.source_key, record.serial,
    'D' || lpad(cast(dealer + 1 as varchar), 3, '0') as dealer_code, made_on, changed_on,
    case when in_capitals then upper(given) else given end as given,
    case when in_capitals then upper(middle) else middle end as middle,
    case when in_capitals then upper(surname) else surname end as surname,
    case when in_capitals then upper(suffix) else suffix end as suffix,
    case when in_capitals then upper(email) else email end as email,
    email as email_written, phone, digits,
    case when mobile_digits is not null then written_phone(mobile_digits, -record.record) end as mobile,
    born_on, sex,
    case when in_capitals then upper(line) else line end as line,
    case when in_capitals then upper(unit) else unit end as unit,
    case when in_capitals then upper(city) else city end as city,
    state, postcode, in_capitals
from record
join record_name using (record)
join record_reach using (record)
join record_address using (record)
join born using (record)
"""


def make_customer_rows(bench: Workbench) -> None:
    """Make the table `customer_row`: what each system has typed about each of its customers."""
    nicknames = word_list("nicknames")
    bench.take("nickname", nicknames.assign(position=range(len(nicknames))))
    bench.run(_MACROS)
    for statement in (_HABITS, _NAMES, _PHONES_AND_EMAILS, _ADDRESSES, _ROWS):
        bench.run(statement)
    bench.run(
        "drop table habit; drop table nickname; drop table record_name; drop table record_reach;"
        " drop table record_address"
    )
