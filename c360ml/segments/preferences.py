"""What each customer prefers: the channel with most days of contact, the brand and the model bought most.

A day with ten page views is one day of contact, or digital channels would win by their number of events.
What was sent to a customer is no contact. Ties go to the latest, then to the first name of the alphabet.
The brand is the first word of a product's name, two words for makes such as Land Rover; however a name
is written, it is counted as one and shown in its most frequent spelling. Refunded sales still tell what
was chosen; the refund itself is no choice.
"""

from __future__ import annotations

from c360ml.lakehouse import day_of

TWO_WORD_BRANDS = ("Alfa Romeo", "Aston Martin", "Great Wall", "Land Rover", "Mercedes Benz", "Rolls Royce")

_BRAND_PATTERN = f"^({'|'.join(brand.lower() for brand in TWO_WORD_BRANDS)}|[^ ]+)"


_SENT = " or ".join(f"ends_with(event_type, '{end}')" for end in ("sent", "delivered", "bounce", "bounced"))


def _spelling(name: str) -> str:
    """Most frequent spelling of a name of `written`; the first of the alphabet if two are as frequent."""
    return f"first_value({name}) over (partition by lower({name}) order by {name}_uses desc, {name})"


def _most(name: str) -> str:
    """Choice of each customer that was made most often; the least of (-times, -day, name) instead of a sort.

    The case of names decides no tie: how a name is spelled hangs on what others bought.
    """
    return f"""
        select master_id, min(row(-times, -latest, lower({name}), {name}))[4] as {name}
        from (select master_id, {name}, sum(times) as times, max(latest) as latest from chosen_{name} group by all)
        group by master_id
    """


_COUNTED = f"""
    with observed as (
        select
            master_id,
            case when channel = 'DIGITAL' then interaction_type else channel end as channel,
            {day_of("occurred_at")} - date '1970-01-01' as day,
            event_type,
            amount
        from (from gold.interactions {{asked}}) as interactions, gold.observation
        where master_id is not null and {day_of("occurred_at")} <= observation_end
    ),
    contact_days as (
        select distinct master_id, channel, day
        from observed
        where not coalesce({_SENT}, false)
    ),
    chosen_channel as (
        select master_id, channel, count(*) as times, max(day) as latest from contact_days group by all
    ),
    bought as (
        select master_id, trim(event_type) as written, count(*) as times, max(day) as latest
        from observed
        where channel = 'DEALER' and amount > 0 and trim(event_type) != ''
        group by all
    ),
    written as (
        select
            written,
            written as product,
            written[1:len(regexp_extract(lower(written), '{_BRAND_PATTERN}'))] as brand,
            product_uses
        from ({{uses}})
    ),
    counted as (
        select *, sum(product_uses) over (partition by brand) as brand_uses from written
    ),
    spelled as (
        select written, {_spelling("product")} as product, {_spelling("brand")} as brand from counted
    ),
    chosen_product as (
        select master_id, product, times, latest from bought join spelled using (written)
    ),
    chosen_brand as (
        select master_id, brand, times, latest from bought join spelled using (written)
    ),
    channels as ({_most("channel")}),
    brands as ({_most("brand")}),
    products as ({_most("product")})
    select
        master_id,
        channel as preferred_channel,
        brand as preferred_brand,
        product as preferred_model
    from channels
    full join brands using (master_id)
    full join products using (master_id)
"""
_USES = "select written, sum(times) as product_uses from bought group by written"
# Spelling goes by what everybody bought.
_USES_OF_ALL = f"""
    select trim(event_type) as written, sum(uses) as product_uses
    from (
        select event_type, count(*) as uses
        from gold.interactions, gold.observation
        where master_id is not null and {day_of("occurred_at")} <= observation_end
            and channel = 'DEALER' and amount > 0
        group by event_type
    )
    where trim(event_type) != ''
    group by 1
"""
# Of two spellings of one name another may be the more frequent by now.
_THAT_STAND = """
    select
        master_id,
        preferred_channel,
        spelled_brands.brand as preferred_brand,
        spelled_models.product as preferred_model
    from gold.customer_segments
    left join (select distinct lower(brand) as name, brand from spelled) as spelled_brands
        on spelled_brands.name = lower(preferred_brand)
    left join (select distinct lower(product) as name, product from spelled) as spelled_models
        on spelled_models.name = lower(preferred_model)
    anti join {touched} as touched on touched.master_id = customer_segments.master_id
"""


def preferences_sql(touched: str | None = None) -> str:
    """Give SQL of what each customer prefers, by master_id.

    Args:
        touched: table of `master_id` of the customers whose interactions changed since gold.customer_segments was
            written, of which the preferences of the others are then taken; without it all are counted.

    >>> "customer_segments" in preferences_sql(), "customer_segments" in preferences_sql("touched_customers")
    (False, True)
    """
    if touched is None:
        return _COUNTED.format(asked="", uses=_USES)
    counted = _COUNTED.format(asked=f"semi join {touched} using (master_id)", uses=_USES_OF_ALL)
    return f"{counted} union all by name {_THAT_STAND.format(touched=touched)}"
