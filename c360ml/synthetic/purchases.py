"""What people buy and have repaired: purchases by BG/NBD and Gamma-Gamma, refunds, vehicles, services."""

from __future__ import annotations

import math

import pyarrow as pa

from c360ml.synthetic.buying import draw_buying, draw_spend
from c360ml.synthetic.planted import SERVICES_PER_PERSON, Planted
from c360ml.synthetic.workbench import Workbench

REFUND_SHARE = 0.01
_VIN_WEIGHTS = (8, 7, 6, 5, 4, 3, 2, 10, 0, 9, 8, 7, 6, 5, 4, 3, 2)
_VIN_DIGITS = " + ".join(
    f"{weight} * cast(substr(digits, {place}, 1) as integer)" for place, weight in enumerate(_VIN_WEIGHTS, 1) if weight
)
# Check digit of 49 CFR 565.15: letters count as digits, a weighted sum modulo 11, ten is X.
_MACROS = f"""
create macro check_digit(digits) as
    substr('0123456789X', 1 + ({_VIN_DIGITS}) % 11, 1);
create macro as_digits(vin) as translate(vin, 'ABCDEFGHJKLMNPRSTUVWXYZ', '12345678123457923456789');
create macro with_check_digit(vin) as left(vin, 8) || check_digit(as_digits(vin)) || right(vin, 8);
create macro vin_of(vehicle, model_year) as
    with_check_digit('5CX' || substr('ABCDEFGH', 1 + pick(vehicle, 'body', 8), 1)
        || substr('12345679', 1 + pick(vehicle, 'engine', 8), 1)
        || substr('ABCDEFGHJKLMNPRSTUVWXYZ', 1 + cast(vehicle // 1000000 % 23 as integer), 1)
        || substr('ABCDEFGHJKLMNPRSTUVWXYZ', 1 + cast(vehicle // 23000000 % 23 as integer), 1)
        || substr('BCDFGHJK', 1 + pick(vehicle, 'gearbox', 8), 1)
        || '0' || substr('ABCDEFGHJKLMNPRSTVWXY', 1 + cast(model_year - 2010 as integer), 1)
        || 'M' || lpad(cast(vehicle % 1000000 as varchar), 6, '0'));
"""
_BUYING = """
create table buying as
select person, is_buyer, spend_rate,
    case when is_buyer then days_after(window_start(), floor(first_week * 7)) end as first_bought_on
from drawn_buying
"""

_PURCHASES = """
create table purchase as
select row_number() over (order by week, person, nth) - 1 as purchase, person, nth, spend_rate,
    days_after(window_start(), floor(week * 7)) as bought_on
from drawn_purchase
"""

_SALES = """
create table sale_row as
with own as (
    select person,
        list({'source_key': source_key, 'made_on': made_on, 'dealer_code': dealer_code} order by serial) as records
    from customer_row where system = 'dms' group by person
),
filed as (
    select purchase, person, bought_on, campaign_id,
        case when records[1 + pick(purchase, 'filed under', len(records))].made_on <= bought_on
             then records[1 + pick(purchase, 'filed under', len(records))] else records[1] end as filed_under
    from all_purchase join own using (person)
),
priced as (
    select filed.*, round(spend, 2) as price, vin_of(purchase, year(bought_on)) as vin,
        ['Aster Sedan', 'Boreal SUV', 'Comet Coupe', 'Drift Pickup', 'Ember Hybrid', 'Fjord Wagon', 'Glide EV']
            [1 + pick(purchase, 'model', 7)] as model
    from filed join spend using (purchase)
),
refunded as (
    select *, days_after(bought_on, 1 + pick(purchase, 'refund after', 30)) as refunded_on
    from priced where u(purchase, 'refund') < $refund_share
),
all_rows as (
    select purchase, person, filed_under, bought_on as sold_on, price as amount, model, vin, campaign_id, 0 as is_refund
    from priced
    union all
    select purchase, person, filed_under, refunded_on, -price, model, vin, null, 1
    from refunded where refunded_on <= window_end()
)
select 'S' || lpad(cast(row_number() over (order by sold_on, hash(purchase), purchase, is_refund) as varchar), 8, '0')
        as source_key,
    purchase, person, filed_under.source_key as customer_key, sold_on, amount, model, vin,
    filed_under.dealer_code as dealer_code, campaign_id
from all_rows
"""

_SERVICES = """
create table service_row as
with own as (
    select person, min(made_on) as starts_on, count(*) as records,
        row_number() over (order by hash(person), person) as old_car
    from customer_row where system = 'service' group by person
),
nth_record as (
    select person, row_number() over (partition by person order by serial) - 1 as nth, source_key, made_on, dealer_code
    from customer_row where system = 'service'
),
visits as (
    select *, unnest(range(1 + cast(floor(-ln(1 - u(person, 'visits')) * $mean_further_visits) as bigint))) as nth_visit
    from own
),
dated as (
    select *, person * 4096 + nth_visit as visit,
        day_between(person * 4096 + nth_visit, 'on', starts_on, window_end()) as serviced_on,
        pick(person * 4096 + nth_visit, 'filed under', records) as filed_under
    from visits
),
filed as (
    select visit, dated.person, old_car, serviced_on,
        coalesce(chosen.source_key, earliest.source_key) as customer_key,
        coalesce(chosen.dealer_code, earliest.dealer_code) as dealer_code,
        ['SERVICE', 'SERVICE', 'SERVICE', 'SERVICE', 'SERVICE', 'SERVICE', 'PARTS', 'PARTS', 'WARRANTY', 'SERVICE']
            [1 + pick(visit, 'type', 10)] as service_type
    from dated
    join nth_record as earliest on earliest.person = dated.person and earliest.nth = 0
    left join nth_record as chosen
        on chosen.person = dated.person and chosen.nth = filed_under and chosen.made_on <= serviced_on
),
own_vehicle as (
    select person, sold_on, vin from sale_row where amount > 0
    qualify row_number() over (partition by person, sold_on order by vin) = 1
),
driven as (
    select filed.*, own_vehicle.vin as own_vin
    from filed asof left join own_vehicle on own_vehicle.person = filed.person and own_vehicle.sold_on <= serviced_on
),
priced as (
    select *,
        case service_type when 'WARRANTY' then 0
             when 'PARTS' then round(40 * exp(1.2 * gaussian(visit, 'amount')), 2)
             else round(240 * exp(0.7 * gaussian(visit, 'amount')), 2) end as amount,
        coalesce(own_vin, vin_of($purchases + old_car, 2012 + pick(person, 'old car', 9))) as vin
    from driven
)
select 'W' || lpad(cast(row_number() over (order by serviced_on, hash(visit), visit) as varchar), 8, '0') as source_key,
    visit, person, customer_key, serviced_on, service_type, amount, vin, dealer_code
from priced
"""


def make_purchases(bench: Workbench, planted: Planted) -> None:
    """Make the tables `buying` (how each person buys) and `purchase` (when)."""
    bench.run(_MACROS)
    people, purchases = draw_buying(bench.people, bench.seed, planted)
    bench.take("drawn_buying", people)
    bench.take("drawn_purchase", purchases)
    bench.run(_BUYING)
    bench.run(_PURCHASES)
    bench.run("drop table drawn_buying; drop table drawn_purchase")


def make_sales(bench: Workbench, planted: Planted) -> None:
    """Make the table `sale_row` of all purchases, priced and filed under a DMS record, and some refunds."""
    rates = bench.con.sql("select purchase, spend_rate from all_purchase order by purchase").to_arrow_table()
    spend = draw_spend(rates["spend_rate"].to_numpy(), bench.seed, planted)
    bench.take("spend", pa.table({"purchase": rates["purchase"], "spend": spend}))
    bench.run(_SALES, {"refund_share": REFUND_SHARE})
    bench.run("drop table spend")


def make_services(bench: Workbench) -> None:
    """Make the table `service_row`: visits to the workshop, with a car bought here or elsewhere."""
    customers = bench.one("select count(distinct person) from customer_row where system = 'service'")
    mean_visits = SERVICES_PER_PERSON * bench.people / max(customers, 1)
    # The whole part of an exponential number of mean m has mean 1 / (exp(1 / m) - 1).
    mean_further = 1 / math.log1p(1 / max(mean_visits - 1, 0.01))
    purchases = bench.one("select count(*) from all_purchase")
    bench.run(_SERVICES, {"mean_further_visits": mean_further, "purchases": purchases})
