"""Where people live and how they are reached: addresses, land lines, mobiles, e-mails, moves."""

from __future__ import annotations

import numpy as np
import pandas as pd

from c360ml.synthetic.people import word_list
from c360ml.synthetic.workbench import Workbench

SLOTS = 4096

_RESIDENCES = """
create table residence as
select
    person, household,
    case when leaves then -(person + 1) else household * 2 end as address_now,
    case when leaves then household * 2 when moves then household * 2 + 1 end as address_before,
    case when leaves then day_between(person, 'leaves_on', date '2020-01-01', window_end())
         when moves then day_between(household, 'moves_on', date '2020-01-01', window_end()) end as moved_on
from (
    select person, household,
        u(household, 'moves') < 0.26 as moves,
        role in ('child', 'lodger') and u(person, 'leaves') < 0.35 as leaves
    from person
)
"""

# One household in seven lives in a house of many flats; such a house has its own street, city and number.
_ADDRESSES = """
create table address as
with needed as (
    select distinct address_now as address_no, household from residence
    union
    select distinct address_before, household from residence where address_before is not null
),
placed as (
    select address_no,
        u(address_no, 'is_flat') < 0.14 and address_no % 2 = 0 and address_no >= 0 as is_flat,
        pick(address_no, 'house_of_flats', greatest(1, $households // 60)) + 1000000000000 as house_of_flats,
        case when address_no >= 0 and address_no % 2 = 0 then household * 2
             when u(address_no, 'stays_in_town') < 0.6 then household * 2 else address_no end as city_key
    from needed
),
keyed as (
    select address_no, is_flat,
        case when is_flat then house_of_flats else address_no end as place_key,
        case when is_flat then house_of_flats else city_key end as city_key
    from placed
)
select
    address_no,
    case when u(place_key, 'long') < 0.45 then 1 + pick(place_key, 'number', 999)
         else 1000 + pick(place_key, 'number', 8999) end as house_number,
    street_slot.name as street,
    ['Street', 'Avenue', 'Road', 'Drive', 'Lane', 'Boulevard', 'Court', 'Way', 'Place', 'Terrace']
        [1 + cast(floor(10 * u(place_key, 'street_type') ** 1.6) as bigint)] as street_type,
    case when is_flat or u(address_no, 'has_unit') < 0.06
         then case when u(address_no, 'unit_letter') < 0.2
                   then substr('ABCDEF', 1 + pick(address_no, 'unit', 6), 1)
                   else cast(1 + pick(address_no, 'unit', 48) as varchar) end end as unit,
    city_slot.city, city_slot.state,
    city_slot.zip_prefix || lpad(cast(1 + hash(street_slot.name, city_slot.city) % 40 as varchar), 2, '0')
        as postcode,
    city_slot.area_codes
from keyed
join city_slot on city_slot.slot = pick(city_key, 'city', $slots)
join street_slot on street_slot.slot = pick(place_key, 'street', $slots)
"""

_PHONES = """
create table phone as
with called as (
    select person, household,
        string_split(area_codes, ' ')[1 + pick(person, 'area', len(string_split(area_codes, ' ')))] as area,
        string_split(area_codes, ' ')[1] as first_area,
        u(person, 'has_mobile') < 0.95 as has_mobile,
        u(person, 'changed') < 0.30 as has_changed
    from residence join address on address_no = address_now
),
numbered as (
    select *, area || local_number(person, 'mobile') as mobile from called
)
select
    numbered.person,
    case when numbered.has_mobile then numbered.mobile end as mobile,
    case when not numbered.has_changed then null
         when u(numbered.person, 'reassigned') < 0.4 then other.mobile
         else numbered.area || local_number(numbered.person, 'old_mobile') end as old_mobile,
    day_between(numbered.person, 'changed_on', date '2020-06-01', window_end()) as mobile_changed_on,
    case when u(numbered.household, 'has_land_line') < 0.6
         then numbered.first_area || local_number(numbered.household, 'land_line') end as land_line
from numbered
join numbered as other on other.person = pick(numbered.person, 'next_owner', $people)
"""

_EMAILS = """
create table email as
with counted as (
    select person, household, letters_only(given) as given, letters_only(surname) as surname,
        year(born_on) % 100 as birth_year,
        case when u(person, 'has_email') < 0.08 then 0 when u(person, 'emails') < 0.38 then 1
             when u(person, 'emails') < 0.82 then 2 else 3 end as emails
    from person
),
numbered as (
    select *, unnest(range(1, emails + 1)) as n, person * 4 + n as email_key from counted
),
spelled as (
    select person, n, email_key,
        case pick(email_key, 'style', 20)
            when 0 then surname || left(given, 1)
            when 1 then given || '-' || surname
            when 2 then left(given, 3) || surname
            when 3 then surname || '.' || given
            else case pick(email_key, 'common_style', 4)
                when 0 then given || '.' || surname when 1 then left(given, 1) || surname
                when 2 then given || surname else given || '_' || surname end
        end as name_part,
        case when u(email_key, 'digits') < 0.25 then lpad(cast(birth_year as varchar), 2, '0')
             when u(email_key, 'digits') < 0.55 then cast(1 + pick(email_key, 'number', 99) as varchar)
             else '' end as digits,
        ['gmail.com', 'gmail.com', 'gmail.com', 'gmail.com', 'gmail.com', 'gmail.com', 'gmail.com',
         'yahoo.com', 'yahoo.com', 'yahoo.com', 'hotmail.com', 'outlook.com', 'outlook.com', 'icloud.com',
         'icloud.com', 'aol.com', 'comcast.net', 'example.com', 'example.org', 'example.net']
            [1 + pick(email_key, 'domain', 20)] as domain
    from numbered
),
told_apart as (
    select person, n, domain, name_part || digits as local_part,
        row_number() over (partition by name_part, digits, domain order by person, n) as holder
    from spelled
),
listed as (
    select person, n,
        local_part || case when holder > 1 then cast(100 + person as varchar) else '' end || '@' || domain as email
    from told_apart
)
select person,
    max(email) filter (n = 1) as email_1, max(email) filter (n = 2) as email_2, max(email) filter (n = 3) as email_3
from listed group by person
"""

_FAMILY_EMAILS = """
create table family_email as
select head.household,
    case when u(head.household, 'family_email') < 0.5 and email_1 is not null then email_1
         else ['the', 'family.', 'home.'][1 + pick(head.household, 'family_word', 3)] || letters_only(surname)
            || (10 + pick(head.household, 'family_number', 89)) || '@'
            || ['gmail.com', 'yahoo.com', 'comcast.net'][1 + pick(head.household, 'family_domain', 3)]
    end as family_email
from person as head left join email using (person)
where head.role = 'head' and head.household_size > 1 and u(head.household, 'has_family_email') < 0.26
"""

_CONTACTS = """
create table contact as
select person.*, residence.address_now, residence.address_before, residence.moved_on,
    phone.mobile, phone.old_mobile, phone.mobile_changed_on, phone.land_line,
    email.email_1, email.email_2, email.email_3, family_email.family_email
from person
join residence using (person)
join phone using (person)
left join email using (person)
left join family_email on family_email.household = person.household
"""


def _slots(words: pd.DataFrame) -> pd.DataFrame:
    """Spread a weighted list over equally likely slots, so that SQL draws from it by a join."""
    weights = words["weight"].to_numpy(float)
    middles = (np.arange(SLOTS) + 0.5) / SLOTS
    index = np.searchsorted(np.cumsum(weights) / weights.sum(), middles)
    return words.iloc[index].reset_index(drop=True).assign(slot=np.arange(SLOTS))


def make_contacts(bench: Workbench) -> None:
    """Make the tables `address` and `contact`: one row per person with all that leads to them."""
    bench.take("city_slot", _slots(word_list("cities")))
    bench.take("street_slot", _slots(word_list("streets")))
    bench.run(_RESIDENCES)
    households = bench.one("select count(distinct household) from person")
    bench.run(_ADDRESSES, {"households": households, "slots": SLOTS})
    bench.run(_PHONES, {"people": bench.people})
    bench.run(_EMAILS)
    bench.run(_FAMILY_EMAILS)
    bench.run(_CONTACTS)
    bench.run("drop table residence; drop table phone; drop table email; drop table family_email")
