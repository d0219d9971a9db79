"""Bronze: rows as they came, under common names, and those that were refused."""

from c360ml.tables.contract import table

SOURCE_ROWS = table(
    "bronze.source_rows",
    key="source file row_number",
    about="Every source row, untouched.",
    columns="""
    source        VARCHAR      name of the source in the config
    kind          VARCHAR      kind of the source: salesforce, dms_sales, ...
    file          VARCHAR      file name below the project folder
    row_number    BIGINT       position of the row in its file, from 1
    row_hash      VARCHAR      MD5 of the raw row
    loaded_at     TIMESTAMPTZ  when the row was landed
    raw           VARCHAR      * the row as JSON text
""",
)
LANDED_FILES = table(
    "bronze.landed_files",
    key="source file",
    about="Files that were landed, so that an append reads only those that are new or changed.",
    columns="""
    source        VARCHAR      name of the source in the config
    file          VARCHAR      file name below the project folder
    bytes         BIGINT       size of the file
    modified_ns   BIGINT       when it was last modified, in nanoseconds since 1970; null if that was just before
    content_hash  VARCHAR      BLAKE2b of the file
    rows          BIGINT       rows that were read of it
""",
)
_INPUTS = """
    input         VARCHAR      name of a table, or `rules`
    state         VARCHAR      its Delta version, or the digest of the rules
"""
LANDING_INPUTS = table(
    "bronze.landing_inputs",
    key="input",
    about="What landed rows were made of, so that an append can tell what has changed since.",
    columns=_INPUTS,
)
VALIDATION_INPUTS = table(
    "bronze.validation_inputs",
    key="input",
    about="What accepted and rejected rows were made of, so that an append can tell what has changed since.",
    columns=_INPUTS,
)
_PROVENANCE = """
    source        VARCHAR      name of the source in the config
    file          VARCHAR      file the row came from
    row_number    BIGINT       position in that file, from 1
"""
DEAD_LETTERS = table(
    "bronze.dead_letters",
    key="source file row_number",
    about="Rows that failed validation.",
    columns=_PROVENANCE
    + """
    entity        VARCHAR      customers, purchases, services, events, campaigns, campaign_sends
    reason        VARCHAR      the rule that was broken, e.g. email_invalid
    raw           VARCHAR      * the row as JSON text
    loaded_at     TIMESTAMPTZ  when the row was landed
""",
)
CUSTOMERS = table(
    "bronze.customers",
    key="source source_key",
    about="Accepted customer rows under common names, values as they came.",
    columns=_PROVENANCE
    + """
    source_key    VARCHAR      the row's own key in its source
    full_name     VARCHAR      * whole name in one field
    given_name    VARCHAR      * first name
    middle_name   VARCHAR      * middle name or initial
    surname       VARCHAR      * last name
    maiden_name   VARCHAR      * former last name
    suffix        VARCHAR      * Jr, Sr, III
    email         VARCHAR      * e-mail address
    phone         VARCHAR      * telephone number
    date_of_birth VARCHAR      * date of birth
    national_id   VARCHAR      * national identity number
    gender        VARCHAR      * gender
    address       VARCHAR      * street address in one field
    street_number VARCHAR      * house number
    street        VARCHAR      * street name
    unit          VARCHAR      * flat or unit
    city          VARCHAR      * city
    state         VARCHAR      state
    postcode      VARCHAR      * postcode
    country       VARCHAR      country
    status        VARCHAR      customer status as the source says it
    marketing_consent VARCHAR  consent to be contacted, as the source says it
    created_at    VARCHAR      when the source made the row
    updated_at    VARCHAR      when the source last changed it
""",
)
SALES = table(
    "bronze.sales",
    key="source source_key",
    about="Accepted sale rows, values as they came.",
    columns=_PROVENANCE
    + """
    source_key    VARCHAR      the sale's key in its source
    customer_source VARCHAR    source that knows the customer
    customer_key  VARCHAR      the customer's key in that source
    sold_on       VARCHAR      date of sale
    amount        VARCHAR      amount, in the project's currency; negative for a refund
    product       VARCHAR      model or product
    vin           VARCHAR      vehicle identification number
    location      VARCHAR      dealer or store
    campaign_key  VARCHAR      campaign named on the sale
""",
)
SERVICE_ROWS = table(
    "bronze.services",
    key="source source_key",
    about="Accepted service rows, values as they came.",
    columns=_PROVENANCE
    + """
    source_key    VARCHAR      the service's key in its source
    customer_source VARCHAR    source that knows the customer
    customer_key  VARCHAR      the customer's key in that source
    serviced_on   VARCHAR      date of service
    service_type  VARCHAR      SERVICE, WARRANTY or PARTS, as the source says it
    amount        VARCHAR      amount, in the project's currency
    vin           VARCHAR      vehicle identification number
    location      VARCHAR      dealer or workshop
""",
)
EVENTS = table(
    "bronze.events",
    key="source source_key",
    about="Accepted digital events, values as they came.",
    columns=_PROVENANCE
    + """
    source_key    VARCHAR      the event's key in its source
    customer_source VARCHAR    source that knows the customer; null if only an e-mail is known
    customer_key  VARCHAR      the customer's key in that source
    email         VARCHAR      * e-mail address the event names
    event_type    VARCHAR      page_view, email_open, email_click, app_open, social_like, ...
    occurred_at   VARCHAR      time of the event
    campaign_key  VARCHAR      campaign that caused it
""",
)
CAMPAIGN_ROWS = table(
    "bronze.campaigns",
    key="source source_key",
    about="Accepted campaign rows, values as they came.",
    columns=_PROVENANCE
    + """
    source_key    VARCHAR      the campaign's key
    campaign_name VARCHAR      its name
    channel       VARCHAR      EMAIL, WEB, ...
    starts_on     VARCHAR      first day
    ends_on       VARCHAR      last day
    cost          VARCHAR      total cost, in the project's currency
""",
)
CAMPAIGN_SEND_ROWS = table(
    "bronze.campaign_sends",
    key="source source_key",
    about="Who was sent a campaign, and who was held out.",
    columns=_PROVENANCE
    + """
    source_key    VARCHAR      the send's key
    campaign_key  VARCHAR      the campaign
    customer_source VARCHAR    source that knows the customer
    customer_key  VARCHAR      the customer's key in that source
    sent_on       VARCHAR      day of the send
    audience      VARCHAR      TREATED or CONTROL
""",
)
