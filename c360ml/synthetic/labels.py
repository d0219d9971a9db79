"""The truth of a world: who each record is, labelled pairs to measure by, rows that must be refused."""

from __future__ import annotations

from c360ml.synthetic.workbench import Workbench

PAIRS_PER_RECORD = 0.3
MOST_PAIRS = 200_000
REVIEWED_RECORDS = 100_000
# How a reviewer's sample is made up; a kind that is rarer than its share leaves the sample smaller.
_KIND_SHARES = {
    "same_person": 0.42,
    "household": 0.22,
    "namesake": 0.12,
    "shared_contact": 0.08,
    "same_surname_and_city": 0.06,
    "random": 0.10,
}

_TRUE_PEOPLE = """
select source || ':' || source_key as record_id, 'p' || person as true_id, 'h' || household as true_household_id
from customer_row join contact using (person)
where reason is null
order by record_id
"""

_LABELLED = """
create table labelled as
select record, source || ':' || source_key as record_id, customer_row.person, household,
    contact.given as true_given, contact.surname as true_surname, hash(contact.given, contact.surname) as name_key,
    real_email(email_written) as email, digits, customer_row.city, u(record, 'reviewed') < $share as is_reviewed
from customer_row join contact using (person)
where reason is null
"""

# Of each pair the left record is reviewed; a pair of two reviewed records is met twice and kept once.
_PAIRS = """
create table labelled_pair as
with met as (
    select a.record as record_a, b.record as record_b from labelled as a join labelled as b using (person)
    where a.is_reviewed and a.record <> b.record
    union all
    select a.record, b.record from labelled as a join labelled as b using (household)
    where a.is_reviewed and a.person <> b.person
    union all
    select a.record, b.record from labelled as a join labelled as b using (name_key)
    where a.is_reviewed and a.person <> b.person
    union all
    select a.record, b.record from labelled as a join labelled as b using (digits)
    where a.is_reviewed and a.household <> b.household
    union all
    select a.record, b.record from labelled as a join labelled as b using (email)
    where a.is_reviewed and a.household <> b.household and u(a.record + b.record * 7, 'hub') < 0.2
    union all
    select a.record, b.record from labelled as a join labelled as b using (true_surname, city)
    where a.is_reviewed and a.household <> b.household and u(a.record + b.record * 7, 'surname') < $surname_share
    union all
    select a.record, b.record
    from labelled as a
    join (select record, row_number() over (order by record) - 1 as n from labelled) as b
        on b.n = pick(a.record, 'any other', $records)
    where a.is_reviewed and a.record <> b.record
),
pairs as (
    select distinct least(record_a, record_b) as record_a, greatest(record_a, record_b) as record_b from met
),
told as (
    select record_a, record_b, least(a.record_id, b.record_id) as record_id_l,
        greatest(a.record_id, b.record_id) as record_id_r,
        cast(a.person = b.person as integer) as is_match,
        case when a.person = b.person then 'same_person'
             when a.name_key = b.name_key then 'namesake'
             when a.household = b.household then 'household'
             when a.email = b.email or a.digits = b.digits then 'shared_contact'
             when a.true_surname = b.true_surname and a.city = b.city then 'same_surname_and_city'
             else 'random' end as pair_kind
    from pairs
    join labelled as a on a.record = record_a
    join labelled as b on b.record = record_b
)
select record_id_l, record_id_r, is_match, pair_kind
from told
qualify row_number() over (
        partition by pair_kind order by u(record_a * 7 + record_b, 'label'), record_id_l, record_id_r)
    <= ceil($pairs * map {kinds}[pair_kind])
"""


def write_labels(bench: Workbench) -> dict[str, int]:
    """Write labels/ and truth/bad_rows.csv; give the number of labelled pairs by kind."""
    bench.copy(_TRUE_PEOPLE, "labels/true_people.parquet", "format parquet, compression zstd")
    records = bench.one("select count(*) from customer_row where reason is null")
    wanted = min(MOST_PAIRS, int(records * PAIRS_PER_RECORD))
    bench.run(_LABELLED, {"share": min(1.0, REVIEWED_RECORDS / records)})
    bench.run(
        _PAIRS.replace("{kinds}", str(_KIND_SHARES)),
        {"pairs": wanted, "records": records, "surname_share": min(0.2, 5_000 / records)},
    )
    bench.copy("select * from labelled_pair order by record_id_l, record_id_r", "labels/labelled_pairs.csv")
    bench.copy("select * from bad_row order by file, row_number", "truth/bad_rows.csv")
    return dict(bench.run("select pair_kind, count(*) from labelled_pair group by pair_kind order by pair_kind"))
