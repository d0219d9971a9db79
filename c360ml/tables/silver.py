"""Silver: standardized records, links between them, and who they are."""

from c360ml.tables.contract import table

RECORDS = table(
    "silver.records",
    key="record_id",
    sorted_by="record_id",
    about="One standardized record per customer record of a source.",
    columns="""
    record_id     VARCHAR      source, a colon, the key in that source
    source        VARCHAR      name of the source
    source_key    VARCHAR      key in that source
    full_name     VARCHAR      * whole name: lower case, no accents, no titles
    given_name    VARCHAR      * first name
    middle_name   VARCHAR      * middle names or initials
    surname       VARCHAR      * last name
    maiden_name   VARCHAR      * former last name
    suffix        VARCHAR      * generational suffix: jr, sr, ii, iii, iv
    given_name_canonical VARCHAR * formal name of a nickname: bob -> robert
    given_name_formals   VARCHAR * all formal names that the first name may stand for: alex -> alexander alexandra
    given_name_phonetic  VARCHAR * metaphone of the canonical first name
    surname_phonetic     VARCHAR * metaphone of the last name
    email         VARCHAR      * lower case, plus tag cut, Gmail dots dropped; null if a placeholder
    email_kind    VARCHAR      personal, role or placeholder
    phone         VARCHAR      * E.164; null if a placeholder
    date_of_birth VARCHAR      * YYYY-MM-DD; an impossible date keeps its digits, to be compared as text
    national_id   VARCHAR      * digits and letters only
    gender        VARCHAR      * m, f or as given
    street_number VARCHAR      * house number
    street        VARCHAR      * USPS abbreviations, lower case
    unit          VARCHAR      * flat or unit
    city          VARCHAR      * lower case
    state         VARCHAR      two-letter code where known, lower case
    postcode      VARCHAR      * ZIP5, or as given
    country       VARCHAR      lower case
    status        VARCHAR      ACTIVE, INACTIVE or PROSPECT
    marketing_consent BOOLEAN  consent to be contacted; null if unknown
    created_at    TIMESTAMPTZ  when the source made the record
    updated_at    TIMESTAMPTZ  when the source last changed it
    quality_score DOUBLE       0 to 1: how complete and valid the record is
    name_raw      VARCHAR      * name as it came
    email_raw     VARCHAR      * e-mail as it came
    phone_raw     VARCHAR      * phone as it came
    address_raw   VARCHAR      * address as it came
    date_of_birth_raw VARCHAR  * date of birth as it came
""",
)
SOURCE_QUALITY = table(
    "silver.source_quality",
    key="source",
    about="Data quality of each source.",
    columns="""
    source        VARCHAR      name of the source
    records       BIGINT       accepted customer records
    rejected_rows BIGINT       customer rows in the dead letters
    quality_score DOUBLE       mean quality of its records, 0 to 1
    email_share   DOUBLE       share of records with a usable e-mail
    phone_share   DOUBLE       share with a usable phone
    name_share    DOUBLE       share with first and last name
    address_share DOUBLE       share with street and postcode
    date_of_birth_share DOUBLE share with a valid date of birth
""",
)
PURCHASES = table(
    "silver.purchases",
    key="purchase_id",
    about="Sales of vehicles and goods.",
    columns="""
    purchase_id   VARCHAR      source, a colon, the key in that source
    record_id     VARCHAR      customer record that bought
    purchased_on  DATE         day of purchase
    amount        DOUBLE       amount in the project's currency; negative for a refund
    product       VARCHAR      model or product
    vin           VARCHAR      vehicle identification number
    location      VARCHAR      dealer or store
    campaign_id   VARCHAR      campaign named on the sale
""",
)
SERVICES = table(
    "silver.services",
    key="service_id",
    about="Service visits, warranty work, parts.",
    columns="""
    service_id    VARCHAR      source, a colon, the key in that source
    record_id     VARCHAR      customer record that came
    serviced_on   DATE         day of service
    service_type  VARCHAR      SERVICE, WARRANTY or PARTS
    amount        DOUBLE       amount in the project's currency
    vin           VARCHAR      vehicle identification number
    location      VARCHAR      dealer or workshop
""",
)
DIGITAL_EVENTS = table(
    "silver.digital_events",
    key="event_id",
    about="Web, app, e-mail and social events.",
    columns="""
    event_id      VARCHAR      source, a colon, the key in that source
    record_id     VARCHAR      customer record that acted; null if only the e-mail is known
    email         VARCHAR      * standardized e-mail address the event names
    interaction_type VARCHAR   WEB, APP, EMAIL or SOCIAL
    event_type    VARCHAR      page_view, email_open, email_click, ...
    occurred_at   TIMESTAMPTZ  time of the event
    campaign_id   VARCHAR      campaign that caused it
""",
)
CAMPAIGNS = table(
    "silver.campaigns",
    key="campaign_id",
    about="Campaigns.",
    columns="""
    campaign_id   VARCHAR      the campaign's key
    campaign_name VARCHAR      its name
    channel       VARCHAR      EMAIL, WEB, ...
    starts_on     DATE         first day
    ends_on       DATE         last day
    cost          DOUBLE       total cost in the project's currency
""",
)
CAMPAIGN_SENDS = table(
    "silver.campaign_sends",
    key="send_id",
    about="Who was sent a campaign, and who was held out.",
    columns="""
    send_id       VARCHAR      source, a colon, the key in that source
    campaign_id   VARCHAR      the campaign
    record_id     VARCHAR      customer record
    sent_on       DATE         day of the send
    audience      VARCHAR      TREATED or CONTROL
""",
)
STANDARD_INPUTS = table(
    "silver.standard_inputs",
    key="input",
    about="What standardized rows were made of, so that an append can tell what has changed since.",
    columns="""
    input         VARCHAR      name of a table, or `rules`
    state         VARCHAR      its Delta version, or the digest of the rules
""",
)
LINKS = table(
    "silver.links",
    key="record_id_l record_id_r",
    about="Scored candidate pairs worth keeping.",
    columns="""
    record_id_l   VARCHAR      the lesser record id
    record_id_r   VARCHAR      the greater record id
    match_weight  DOUBLE       log2 of the odds that both are one person
    match_probability DOUBLE   probability that both are one person
    household_probability DOUBLE probability of two people of one household
    is_link       BOOLEAN      true if the clustering kept the pair in one cluster
""",
)
CLUSTERS = table(
    "silver.clusters",
    key="record_id",
    about="Which records are one person, within this run.",
    columns="""
    record_id     VARCHAR      record
    cluster_id    VARCHAR      least record id of the cluster
    cohesion      DOUBLE       mean match probability of the record to its cluster; 1 if alone
""",
)
DOUBTFUL_PARTITIONS = table(
    "silver.doubtful_partitions",
    key="draw record_id",
    about="Who the records in doubt may be with: draws by the odds of their pairs; other records stay as clustered.",
    columns="""
    draw          BIGINT       number of the draw, from 0
    record_id     VARCHAR      record whose identity is in doubt
    part          VARCHAR      least record id of those it is one person with in this draw
""",
)
LINKED_RECORDS = table(
    "silver.linked_records",
    key="record_id",
    about="What the linkage last saw of each record, so that it can tell which are new or changed.",
    columns="""
    record_id     VARCHAR      record
    content_hash  VARCHAR      MD5 of everything that is compared of it
    block_keys    BIGINT[]     hashes of what it is blocked on, each with the number of its rule
""",
)
LINK_INPUTS = table(
    "silver.link_inputs",
    key="input",
    about="What links and clusters were made of, so that an append can tell what has changed since.",
    columns="""
    input         VARCHAR      name of a table, or `rules`
    state         VARCHAR      its Delta version, or the digest of the rules
""",
)
TERM_STATISTICS = table(
    "silver.term_statistics",
    key="kind value",
    about="What the linkage model's own records told of their values: rarity, shared contacts, hubs, hot keys.",
    columns="""
    kind          VARCHAR      what is said, e.g. rarity:surname, names:email, hub:phone
    value         VARCHAR      * the value it is said of
    number        BIGINT       the rarity, or how many names or records
""",
)
IDENTITIES = table(
    "silver.identities",
    key="record_id",
    sorted_by="master_id",
    about="Who each record is: IDs that last from run to run.",
    columns="""
    record_id     VARCHAR      record
    master_id     VARCHAR      the person
    household_id  VARCHAR      the household
    cohesion      DOUBLE       mean match probability of the record to its cluster; 1 if alone
""",
)
GOLDEN_RECORDS = table(
    "silver.golden_records",
    key="master_id",
    sorted_by="master_id",
    about="The best known value of each field of a customer.",
    columns="""
    master_id     VARCHAR      the person
    household_id  VARCHAR      the household
    full_name     VARCHAR      * name for display
    given_name    VARCHAR      * first name
    middle_name   VARCHAR      * middle names or initials
    surname       VARCHAR      * last name
    suffix        VARCHAR      * generational suffix
    email         VARCHAR      * e-mail address
    phone         VARCHAR      * telephone number, E.164
    date_of_birth DATE         * date of birth
    gender        VARCHAR      * gender
    street_number VARCHAR      * house number
    street        VARCHAR      * street
    unit          VARCHAR      * flat or unit
    city          VARCHAR      * city
    state         VARCHAR      state
    postcode      VARCHAR      * postcode
    country       VARCHAR      country
    status        VARCHAR      ACTIVE, INACTIVE or PROSPECT
    marketing_consent BOOLEAN  false if any record of the person refused
    records       BIGINT       source records of the customer
    sources       VARCHAR[]    sources that know the customer
    quality_score DOUBLE       best quality score among its records
    first_seen_at TIMESTAMPTZ  creation of the earliest record
    last_seen_at  TIMESTAMPTZ  last change of the latest record
""",
)
GOLDEN_PROVENANCE = table(
    "silver.golden_provenance",
    key="master_id field",
    sorted_by="master_id",
    about="Which record gave which field, and why.",
    columns="""
    master_id     VARCHAR      the person
    field         VARCHAR      name of the field
    record_id     VARCHAR      record that gave the value
    runner_up_record_id VARCHAR record whose different value would be chosen without that value; null if there is none
    rule          VARCHAR      survivorship rule that chose it
    candidates    BIGINT       distinct values that competed
""",
)
DOUBT_INPUTS = table(
    "silver.doubt_inputs",
    key="input",
    about="What partitions in doubt were made of, so that an append can tell what has changed since.",
    columns="""
    input         VARCHAR      name of a table, or `rules`
    state         VARCHAR      its Delta version, or the digest of the rules
""",
)
IDENTITY_INPUTS = table(
    "silver.identity_inputs",
    key="input",
    about="What identities and golden records were made of, so that an append can tell what has changed since.",
    columns="""
    input         VARCHAR      name of a table, or `rules`
    state         VARCHAR      its Delta version, or the digest of the rules
""",
)
