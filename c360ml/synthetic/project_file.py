"""The `c360ml.toml` of a generated world: every extract file is a source."""

from __future__ import annotations

from c360ml.synthetic.planted import OBSERVATION_END


def project_file(customers: int, seed: int) -> str:
    """Write the project's settings as commented TOML.

    >>> import tomllib
    >>> len(tomllib.loads(project_file(300, 7))["sources"])
    10
    """
    return f"""\
# A synthetic car-maker whose truth is known: {customers:,} people, seed {seed}.
# Made by c360ml.synthetic.write_world; `c360ml run` resolves, values and segments its customers.

[project]
name = "car-maker-demo"
currency = "USD"
country = "US"
observation_end = {OBSERVATION_END.isoformat()}    # last observed day; rows after it are mistakes

# ---------------------------------------------------------------- customers
# trust weighs a source when golden records choose between values, 0 to 1.

[[sources]]
name = "salesforce"                # REST query pages: contacts and leads
kind = "salesforce"
files = "extracts/salesforce/*.json"
trust = 0.8

[[sources]]
name = "dynamics365"               # Dataverse OData pages: contacts
kind = "dynamics365"
files = "extracts/dynamics365/*.json"
trust = 0.7

[[sources]]
name = "dms"                       # dealer management system: buyers, typed by dealers, often upper case
kind = "dms_customers"
files = "extracts/dms/customers*.csv"
trust = 0.6

[[sources]]
name = "service"                   # workshop customers: whole name and address in one field
kind = "service_customers"
files = "extracts/service/customers*.csv"
trust = 0.5

[[sources]]
name = "digital"                   # web and app accounts, typed by customers themselves
kind = "digital_customers"
files = "extracts/digital/accounts*.ndjson"
trust = 0.6

# ---------------------------------------------------------------- what customers do
# customer_source is the source whose customer keys the rows name.

[[sources]]
name = "dms_sales"                 # vehicle sales; a negative price is a refund
kind = "dms_sales"
files = "extracts/dms/sales*.csv"
customer_source = "dms"

[[sources]]
name = "service_records"           # service, warranty and parts
kind = "service_records"
files = "extracts/service/service_records*.csv"
customer_source = "service"

[[sources]]
name = "digital_events"            # web, app, e-mail and social events; some know the e-mail only
kind = "digital_events"
files = "extracts/digital/events*.ndjson"
customer_source = "digital"

# ---------------------------------------------------------------- campaigns

[[sources]]
name = "campaigns"
kind = "campaigns"
files = "extracts/marketing/campaigns*.csv"

[[sources]]
name = "campaign_sends"            # who was treated and who was held out
kind = "campaign_sends"
files = "extracts/marketing/campaign_sends*.csv"
customer_source = "salesforce"

# ---------------------------------------------------------------- truth: never read by a model
[evaluation]
labelled_pairs = "labels/labelled_pairs.csv"
true_ids = "labels/true_people.parquet"
"""
