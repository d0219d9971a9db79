"""Gold: customers, what they did and what they are worth."""

from c360ml.tables.contract import table

INTERACTIONS = table(
    "gold.interactions",
    key="interaction_id",
    sorted_by="master_id",
    about="Every purchase, service and digital event, by customer.",
    columns="""
    interaction_id VARCHAR     key of the interaction
    master_id     VARCHAR      the person; null if nobody could be found for an event
    record_id     VARCHAR      the record it came by
    interaction_type VARCHAR   PURCHASE, SERVICE, WARRANTY, PARTS, WEB, APP, EMAIL, SOCIAL
    channel       VARCHAR      DEALER, SERVICE or DIGITAL
    event_type    VARCHAR      detail: product, service type or event type
    occurred_at   TIMESTAMPTZ  time of the interaction
    amount        DOUBLE       amount in the project's currency; null for digital
    campaign_id   VARCHAR      campaign that caused it
""",
)
OBSERVATION = table(
    "gold.observation",
    key="observation_end",
    about="The span of time the project has seen: one row.",
    columns="""
    observation_start DATE     day of the first interaction
    observation_end DATE       last observed day: the config, or the last interaction not in the future
""",
)
CUSTOMER_ACTIVITY = table(
    "gold.customer_activity",
    key="master_id",
    about="What each customer did, counted.",
    columns="""
    master_id     VARCHAR      the person
    purchases     BIGINT       purchases, refunds apart
    purchase_revenue DOUBLE    revenue of purchases, net of refunds
    mean_purchase DOUBLE       mean amount of a purchase
    first_purchase_on DATE     day of the first purchase
    last_purchase_on DATE      day of the last purchase
    refunds       BIGINT       refunds
    vehicles_owned BIGINT      distinct vehicles bought
    service_visits BIGINT      service visits
    service_revenue DOUBLE     revenue of service
    mean_service  DOUBLE       mean amount of a service visit
    first_service_on DATE      day of the first service
    last_service_on DATE       day of the last service
    service_types VARCHAR[]    kinds of service used
    digital_interactions BIGINT digital events
    email_opens   BIGINT       e-mails opened
    email_clicks  BIGINT       e-mail links clicked
    site_visits   BIGINT       web page views and sessions
    app_events    BIGINT       app events
    social_events BIGINT       social events
    last_digital_at TIMESTAMPTZ time of the last digital event
    first_activity_on DATE     day of the first interaction of any kind
    last_activity_on DATE      day of the last interaction of any kind
    days_since_last_activity BIGINT days from the last interaction to the end of observation
    purchases_per_year DOUBLE  purchases by year of tenure
    engagement_score DOUBLE    0 to 100: digital recency and breadth
    last_web_on   DATE         day of the last web page view or session
    last_app_on   DATE         day of the last app event
    last_email_on DATE         day of the last e-mail event
    last_social_on DATE        day of the last social event
    first_record_on DATE       creation of the customer's earliest record
""",
)
ACTIVITY_INPUTS = table(
    "gold.activity_inputs",
    key="input",
    about="What interactions and activity were made of, so that an append can tell what has changed since.",
    columns="""
    input         VARCHAR      name of a table, or `rules`
    state         VARCHAR      its Delta version, or the digest of the rules
""",
)
TOUCHED_CUSTOMERS = table(
    "gold.touched_customers",
    key="master_id activity_version",
    about="Whose records or interactions an append added, changed or took away, so that only these are looked at.",
    columns="""
    master_id     VARCHAR      the customer, who may be gone since
    activity_before BIGINT     version of gold.customer_activity before the append
    activity_version BIGINT    its version afterwards
""",
)
CUSTOMER_VALUE = table(
    "gold.customer_value",
    key="customer_id",
    about="What each buying customer was and will be worth.",
    columns="""
    customer_id   VARCHAR      the person
    repeat_purchases BIGINT    purchase days after the first: x
    first_to_last_purchase_weeks DOUBLE weeks from first to last purchase: t_x
    age_weeks     DOUBLE       weeks from first purchase to the end of observation: T
    mean_spend    DOUBLE       mean spend of a purchase day
    probability_alive DOUBLE   probability of still being a customer
    expected_purchases DOUBLE  purchases expected within the horizon
    expected_spend DOUBLE      expected spend of a purchase
    historical_value DOUBLE    spend so far, net of refunds, times the margin
    projected_value DOUBLE     discounted spend expected within the horizon, times the margin
    value_year_1  DOUBLE       the same within the first year of 365.25 days, whatever the horizon
    value_year_2  DOUBLE       within the second year alone
    value_year_3  DOUBLE       within the third year alone
    value_all_years DOUBLE     without end; null where the sum is infinite (a discount rate of 0)
""",
)
VALUE_INPUTS = table(
    "gold.value_inputs",
    key="input",
    about="What customer values were made of, so that an append can tell what has changed since.",
    columns="""
    input         VARCHAR      name of a table, or `rules`
    state         VARCHAR      its Delta version, or the digest of the rules
""",
)
VALUE_UNCERTAINTY = table(
    "gold.value_uncertainty",
    key="master_id",
    about="How sure each customer's projected value is: 90 % intervals for doubt about parameters and identity.",
    columns="""
    master_id     VARCHAR      the person
    value         DOUBLE       projected value, as in gold.customer_value; 0 if nothing was bought yet
    lower         DOUBLE       lower end of the 90 % interval
    upper         DOUBLE       upper end of the 90 % interval
    identity_share DOUBLE      share of the variance that comes from doubt about which records are theirs, 0 to 1
    doubtful_records VARCHAR[] records that are the customer's in some draws and not in others, most doubtful first
    record_id_l   VARCHAR      of the pair in doubt with most value at stake: the lesser record; null without any
    record_id_r   VARCHAR      the greater record
    value_at_stake DOUBLE      value at stake in that pair
""",
)
INTERVAL_INPUTS = table(
    "gold.interval_inputs",
    key="input",
    about="What intervals of value were made of, so that an append can tell what has changed since.",
    columns="""
    input         VARCHAR      name of a table, or `rules`
    state         VARCHAR      its Delta version, or the digest of the rules
""",
)
VALUE_AT_STAKE = table(
    "gold.value_at_stake",
    key="record_id_l record_id_r",
    about="What the answer to each pair in doubt would move.",
    columns="""
    record_id_l   VARCHAR      the lesser record id
    record_id_r   VARCHAR      the greater record id
    probability_together DOUBLE share of the draws in which both are one person
    value_at_stake DOUBLE      change of the value, past and projected, of the customer of one of the two records
    total_at_stake DOUBLE      change of the projected value of all customers concerned together
""",
)
CUSTOMER_SEGMENTS = table(
    "gold.customer_segments",
    key="master_id",
    about="Behavioural segment and value tier of every customer.",
    columns="""
    master_id     VARCHAR      the person
    rfm_score     VARCHAR      recency, frequency, monetary score; null for a prospect
    rfm_segment   VARCHAR      named RFM segment; PROSPECT without purchase
    kmeans_segment VARCHAR     named KMeans cluster; PROSPECT without purchase
    behaviour_segment VARCHAR  OMNICHANNEL, BUYER, SERVICE_LOYAL, DIGITAL, INACTIVE
    value_tier    VARCHAR      VIP, PREMIUM, STANDARD, ACTIVE, SERVICE_ONLY, ENGAGED, PROSPECT
    action_segment VARCHAR     what to do: RFM crossed with probability alive and value; see gold.recommendations
    preferred_channel VARCHAR  DEALER, SERVICE, WEB, APP, EMAIL or SOCIAL: most days of contact; null without any
    preferred_brand VARCHAR    brand bought most: first word of the product; null without purchase
    preferred_model VARCHAR    product bought most; null without purchase
    service_loyalty VARCHAR    LOYAL, OCCASIONAL, LAPSED or NONE
    engagement_band VARCHAR    HIGH, MEDIUM, LOW or NONE
""",
)
SEGMENT_INPUTS = table(
    "gold.segment_inputs",
    key="input",
    about="What preferences in segments were made of, so that an append can tell what has changed since.",
    columns="""
    input         VARCHAR      name of a table, or `rules`
    state         VARCHAR      its Delta version, or the digest of the rules
""",
)
SEGMENT_TRENDS = table(
    "gold.segment_trends",
    key="run kind segment",
    about="Size and value of every segment at each run that moved customers or value.",
    columns="""
    run           BIGINT       number of the run, from 1; a rerun of unchanged input adds none
    observed_on   DATE         end of observation of the run
    segments_version BIGINT    Delta version of gold.customer_segments that the run wrote
    kind          VARCHAR      column of gold.customer_segments
    segment       VARCHAR      the segment
    customers     BIGINT       customers in it
    historical_value DOUBLE    their spend so far, net of refunds
    projected_value DOUBLE     their discounted spend expected within the horizon
""",
)
SEGMENT_TRANSITIONS = table(
    "gold.segment_transitions",
    key="run kind from_segment to_segment",
    about="Customers by segment at the run before and at this run.",
    columns="""
    run           BIGINT       number of the run, as in gold.segment_trends; the first has no transitions
    observed_on   DATE         end of observation of the run
    kind          VARCHAR      column of gold.customer_segments
    from_segment  VARCHAR      segment at the run before; (new) if the customer was not there
    to_segment    VARCHAR      segment at this run; (gone) if the customer is no longer there
    customers     BIGINT       customers who went this way, or stayed
""",
)
RECOMMENDATIONS = table(
    "gold.recommendations",
    key="kind segment",
    about="What to do with each segment, the rule that says so, and the project's figures.",
    columns="""
    kind          VARCHAR      action_segment or rfm_segment
    segment       VARCHAR      the segment
    recommendation VARCHAR     what to do
    rule          VARCHAR      rule by which a customer is in the segment, with the run's cut points
    evidence      VARCHAR      the segment's figures in words
    customers     BIGINT       customers in it
    contactable   BIGINT       those of them who consent to be contacted
    main_channel  VARCHAR      preferred channel of most of them; null without any contact
    historical_value DOUBLE    their spend so far, net of refunds
    projected_value DOUBLE     their discounted spend expected within the horizon
    mean_probability_alive DOUBLE mean probability of still being a customer; null without forecast
""",
)
CAMPAIGN_RESULTS = table(
    "gold.campaign_results",
    key="campaign_id value_tier",
    about="Response, conversion and ROI by campaign; value_tier ALL is the whole.",
    columns="""
    campaign_id   VARCHAR      the campaign
    campaign_name VARCHAR      its name
    channel       VARCHAR      its channel
    value_tier    VARCHAR      value tier, or ALL
    sent          BIGINT       customers treated
    opened        BIGINT       customers who opened
    clicked       BIGINT       customers who clicked
    converted     BIGINT       customers who bought within the window
    open_rate     DOUBLE       opened by sent
    click_rate    DOUBLE       clicked by sent
    conversion_rate DOUBLE     converted by sent
    revenue       DOUBLE       revenue attributed within the window
    cost          DOUBLE       cost, shared by customers treated
    roi           DOUBLE       (revenue - cost) / cost
    held_out      BIGINT       customers in the control group
    control_conversion_rate DOUBLE conversion of the control group; null but for ALL
    uplift        DOUBLE       conversion rate above control; null but for ALL
    uplift_low    DOUBLE       lower end of the 95 % interval of uplift; null but for ALL
    uplift_high   DOUBLE       upper end of the 95 % interval of uplift; null but for ALL
""",
)
IDENTITY_IMPACT = table(
    "gold.identity_impact",
    key="event_id",
    about="What each merge, split and move of customers did to purchases, value and segment.",
    columns="""
    event_id      VARCHAR      the event, as in silver.identity_ledger
    event         VARCHAR      merged, split or moved
    master_id     VARCHAR      the customer that the records went to
    other_master_id VARCHAR    the customer that they came from
    purchases_before BIGINT    purchases of master_id before; null if there was no such customer
    purchases_after BIGINT     its purchases now
    other_purchases_before BIGINT purchases of other_master_id before
    other_purchases_after BIGINT its purchases now; null if it is retired
    historical_value_before DOUBLE spend so far, net of refunds, of master_id before
    historical_value_after DOUBLE now
    other_historical_value_before DOUBLE of other_master_id before
    other_historical_value_after DOUBLE now
    customer_value_before DOUBLE historical and projected value of master_id before
    customer_value_after DOUBLE now
    other_customer_value_before DOUBLE of other_master_id before
    other_customer_value_after DOUBLE now
    rfm_segment_before VARCHAR RFM segment of master_id before
    rfm_segment_after VARCHAR  now
    other_rfm_segment_before VARCHAR of other_master_id before
    other_rfm_segment_after VARCHAR now
    value_tier_before VARCHAR  value tier of master_id before
    value_tier_after VARCHAR   now
    other_value_tier_before VARCHAR of other_master_id before
    other_value_tier_after VARCHAR now
    table_version BIGINT       Delta version of gold.customer_360 with the values now
""",
)
HOUSEHOLDS = table(
    "gold.households",
    key="household_id",
    about="One row per household: its members and what they are worth together.",
    columns="""
    household_id  VARCHAR      the household
    members       BIGINT       people in it
    master_ids    VARCHAR[]    who they are
    records       BIGINT       their source records
    buyers        BIGINT       those of them who bought
    purchases     BIGINT       their purchases, refunds apart
    historical_value DOUBLE    their spend so far on purchases, net of refunds
    projected_value DOUBLE     their discounted spend expected within the horizon
    customer_value DOUBLE      historical and projected value together
    last_activity_on DATE      day of their last interaction of any kind
""",
)
CAMPAIGN_BREAKDOWN = table(
    "gold.campaign_breakdown",
    key="campaign_id kind part",
    about="Campaign results by segment, by spend before the send and by channel; campaign ALL is all of one channel.",
    columns="""
    campaign_id   VARCHAR      the campaign, or ALL
    kind          VARCHAR      action_segment, rfm_segment (today's), spend_before_send or channel
    part          VARCHAR      the segment, band or channel
    sent          BIGINT       customers treated
    opened        BIGINT       customers who opened
    clicked       BIGINT       customers who clicked
    converted     BIGINT       customers who bought within the window
    conversion_rate DOUBLE     converted by sent
    revenue       DOUBLE       revenue attributed within the window
    cost          DOUBLE       cost, shared by customers treated
    roi           DOUBLE       (revenue - cost) / cost
    held_out      BIGINT       customers in the control group
    uplift        DOUBLE       conversion rate above control; null by today's segments, which a purchase moves
    uplift_low    DOUBLE       lower end of the 95 % interval of uplift
    uplift_high   DOUBLE       upper end of the 95 % interval of uplift
""",
)
CUSTOMER_360 = table(
    "gold.customer_360",
    key="master_id",
    sorted_by="master_id",
    about="One row per customer: who they are, what they did, what they are worth.",
    columns="""
    master_id     VARCHAR      the person
    household_id  VARCHAR      the household
    full_name     VARCHAR      * name for display
    email         VARCHAR      * e-mail address
    phone         VARCHAR      * telephone number
    city          VARCHAR      * city
    state         VARCHAR      state
    postcode      VARCHAR      * postcode
    status        VARCHAR      ACTIVE, INACTIVE or PROSPECT
    marketing_consent BOOLEAN  consent to be contacted
    records       BIGINT       source records of the customer
    data_sources  VARCHAR[]    sources that know the customer
    quality_score DOUBLE       best quality score among its records
    earliest_record_on DATE    creation of the earliest record
    latest_record_on DATE      last change of the latest record
    tenure_days   BIGINT       days from first record or interaction to the end of observation
    tenure_years  DOUBLE       the same in years
"""
    + "\n".join(
        f"{name} {column.type} {column.meaning}"
        for name, column in CUSTOMER_ACTIVITY.columns.items()
        if name not in ("master_id", "first_record_on")
    )
    + """
    historical_value DOUBLE    spend so far on purchases, net of refunds
    projected_value DOUBLE     discounted spend expected within the horizon
    customer_value DOUBLE      historical and projected value together
    probability_alive DOUBLE   probability of still being a customer
    expected_purchases DOUBLE  purchases expected within the horizon
    rfm_score     VARCHAR      recency, frequency, monetary score
    rfm_segment   VARCHAR      named RFM segment
    kmeans_segment VARCHAR     named KMeans cluster
    behaviour_segment VARCHAR  behavioural segment
    value_tier    VARCHAR      value tier
    action_segment VARCHAR     what to do; see gold.recommendations
    preferred_channel VARCHAR  channel with most days of contact
    preferred_brand VARCHAR    brand bought most
    preferred_model VARCHAR    product bought most
    service_loyalty VARCHAR    LOYAL, OCCASIONAL, LAPSED or NONE
    engagement_band VARCHAR    HIGH, MEDIUM, LOW or NONE
""",
)
