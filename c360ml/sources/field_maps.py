"""Field maps: what each kind of source calls our columns. Data, no code.

An origin is a field of the row, or a JSON path if it starts with `$`; the first origin with a value wins.
`Labels`, `Joined`, `Epoch`, `Parameter`, `RowHash` are origins that must be turned into a value first.
`deleted` is a column of no table: it tells that the source has deleted the row.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from c360ml import tables
from c360ml.tables import Table


@dataclass(frozen=True)
class Labels:
    """A code and what it means, regardless of case; other codes stay as they are, or count as nothing."""

    field: str
    labels: Mapping[str, str]
    keep_others: bool = True


@dataclass(frozen=True)
class Joined:
    """Several fields in a row, a blank between."""

    fields: tuple[str, ...]


@dataclass(frozen=True)
class Epoch:
    """Seconds, milliseconds or microseconds since 1970, told by their number of digits; else as it is."""

    field: str


@dataclass(frozen=True)
class Parameter:
    """The value of a key in the `event_params` of Google Analytics 4's BigQuery export."""

    key: str


@dataclass(frozen=True)
class RowHash:
    """The MD5 of the row, as key of events that have none, so that the same event twice is one event.

    With a field named, only rows that have it get one: the mark of who gives events no key.
    """

    field: str | None = None


Origin = str | Labels | Joined | Epoch | Parameter | RowHash
FieldMap = dict[str, tuple[Origin, ...]]


@dataclass(frozen=True)
class Entity:
    """What rows of a kind become: their name in dead letters, their table, what a file of them must have."""

    name: str
    table: Table
    required: tuple[str, ...]


CUSTOMERS = Entity("customers", tables.CUSTOMERS, ("source_key",))
PURCHASES = Entity("purchases", tables.SALES, ("source_key", "customer_key", "sold_on", "amount"))
SERVICES = Entity("services", tables.SERVICE_ROWS, ("source_key", "customer_key", "serviced_on"))
EVENTS = Entity("events", tables.EVENTS, ("source_key", "event_type", "occurred_at"))
CAMPAIGNS = Entity("campaigns", tables.CAMPAIGN_ROWS, ("source_key",))
CAMPAIGN_SENDS = Entity(
    "campaign_sends", tables.CAMPAIGN_SEND_ROWS, ("source_key", "campaign_key", "customer_key", "sent_on")
)
ENTITIES = (CUSTOMERS, PURCHASES, SERVICES, EVENTS, CAMPAIGNS, CAMPAIGN_SENDS)

ENTITY_OF_KIND = {
    "salesforce": CUSTOMERS,
    "dynamics365": CUSTOMERS,
    "dms_customers": CUSTOMERS,
    "service_customers": CUSTOMERS,
    "digital_customers": CUSTOMERS,
    "customers": CUSTOMERS,
    "dms_sales": PURCHASES,
    "sales": PURCHASES,
    "service_records": SERVICES,
    "services": SERVICES,
    "digital_events": EVENTS,
    "events": EVENTS,
    "campaigns": CAMPAIGNS,
    "campaign_sends": CAMPAIGN_SENDS,
}

_OPPOSITE = {"true": "false", "false": "true", "1": "false", "0": "true", "yes": "no", "no": "yes"}
_FORMATTED = "@OData.Community.Display.V1.FormattedValue"  # a label that Dataverse sends with its code
# SendGrid's names (Event Webhook reference) in the words of the other sources.
_SENDGRID_EVENTS = {
    "processed": "email_processed",
    "deferred": "email_deferred",
    "delivered": "email_delivered",
    "dropped": "email_dropped",
    "bounce": "email_bounce",
    "open": "email_open",
    "click": "email_click",
    "spamreport": "email_spam_report",
    "unsubscribe": "email_unsubscribe",
    "group_unsubscribe": "email_unsubscribe",
    "group_resubscribe": "email_resubscribe",
}


def _own_names(table: Table) -> FieldMap:
    """A generic kind's fields have our names, until `columns` says otherwise."""
    return {name: (name,) for name in table.columns if name not in {"source", "file", "row_number"}}


FIELD_MAPS: dict[str, FieldMap] = {
    # REST names first, then those of the Fivetran and Airbyte landing layout.
    "salesforce": {
        "source_key": ("Id", "id", "$.attributes.referenceId"),
        "full_name": ("Name", "name"),
        "given_name": ("FirstName", "first_name"),
        "middle_name": ("MiddleName", "middle_name"),
        "surname": ("LastName", "last_name"),
        "suffix": ("Suffix", "suffix"),
        "email": ("Email", "email"),
        "phone": ("MobilePhone", "Phone", "HomePhone", "mobile_phone", "phone", "home_phone"),
        "date_of_birth": ("Birthdate", "birthdate"),
        "address": ("MailingStreet", "Street", "mailing_street", "street"),
        "city": ("MailingCity", "City", "mailing_city", "city"),
        "state": ("MailingState", "State", "mailing_state", "state", "mailing_state_code", "state_code"),
        "postcode": ("MailingPostalCode", "PostalCode", "mailing_postal_code", "postal_code"),
        "country": ("MailingCountry", "Country", "mailing_country", "country"),
        # A lead is a prospect; its own Status (Open, Working, ...) tells how sales go on, not who it is.
        "status": (Labels("$.attributes.type", {"lead": "Prospect"}, keep_others=False), "Status", "status"),
        "marketing_consent": (
            Labels("HasOptedOutOfEmail", _OPPOSITE),
            Labels("has_opted_out_of_email", _OPPOSITE),
        ),
        "created_at": ("CreatedDate", "created_date"),
        "updated_at": ("LastModifiedDate", "SystemModstamp", "last_modified_date", "system_modstamp"),
        "deleted": ("IsDeleted", "is_deleted", "_fivetran_deleted"),
    },
    "dynamics365": {
        "source_key": ("contactid", "leadid"),
        "full_name": ("fullname",),
        "given_name": ("firstname",),
        "middle_name": ("middlename",),
        "surname": ("lastname",),
        "suffix": ("suffix",),
        "email": ("emailaddress1", "emailaddress2"),
        "phone": ("mobilephone", "telephone1", "telephone2"),
        "date_of_birth": ("birthdate",),
        "national_id": ("governmentid",),
        "gender": (Labels("gendercode", {"1": "m", "2": "f"}), f"gendercode{_FORMATTED}"),
        "address": (Joined(("address1_line1", "address1_line2", "address1_line3")),),
        "city": ("address1_city",),
        "state": ("address1_stateorprovince",),
        "postcode": ("address1_postalcode",),
        "country": ("address1_country",),
        "status": (f"statecode{_FORMATTED}", Labels("statecode", {"0": "Active", "1": "Inactive"})),
        "marketing_consent": (Labels("donotbulkemail", _OPPOSITE), Labels("donotemail", _OPPOSITE)),
        "created_at": ("createdon",),
        "updated_at": ("modifiedon",),
        "deleted": ("_fivetran_deleted",),
    },
    "dms_customers": {
        "source_key": ("customer_id",),
        "full_name": ("full_name", "name"),
        "given_name": ("first_name",),
        "middle_name": ("middle_initial", "middle_name"),
        "surname": ("last_name",),
        "suffix": ("name_suffix", "suffix"),
        "email": ("email",),
        "phone": ("cell_phone", "home_phone", "phone", "work_phone"),
        "date_of_birth": ("dob", "date_of_birth"),
        "national_id": ("national_id",),
        "gender": ("gender",),
        "address": (Joined(("address_line1", "address_line2")), "address"),
        "city": ("city",),
        "state": ("state",),
        "postcode": ("zip", "postal_code"),
        "country": ("country",),
        "status": ("status",),
        "marketing_consent": ("marketing_consent",),
        "created_at": ("created_date",),
        "updated_at": ("updated_date",),
    },
    "dms_sales": {
        "source_key": ("deal_number",),
        "customer_source": ("customer_source",),
        "customer_key": ("customer_id",),
        "sold_on": ("sale_date",),
        "amount": ("sale_price", "amount"),
        "product": ("model", "product"),
        "vin": ("vin",),
        "location": ("dealer_code",),
        "campaign_key": ("campaign_code", "campaign_id"),
    },
    "service_customers": {
        "source_key": ("service_customer_id", "customer_id"),
        "full_name": ("full_name", "name"),
        "given_name": ("first_name",),
        "surname": ("last_name",),
        "email": ("email",),
        "phone": ("phone",),
        "address": ("address",),
        "city": ("city",),
        "state": ("state",),
        "postcode": ("zip", "postal_code"),
        "country": ("country",),
        "created_at": ("created_date",),
        "updated_at": ("updated_date",),
    },
    "service_records": {
        "source_key": ("service_id",),
        "customer_source": ("customer_source",),
        "customer_key": ("service_customer_id", "customer_id"),
        "serviced_on": ("service_date",),
        "service_type": ("service_type",),
        "amount": ("amount",),
        "vin": ("vin",),
        "location": ("dealer_code",),
    },
    "digital_customers": {
        "source_key": ("user_id", "id"),
        "full_name": ("name", "full_name"),
        "given_name": ("first_name",),
        "surname": ("last_name",),
        "email": ("email",),
        "phone": ("phone",),
        "date_of_birth": ("date_of_birth",),
        "city": ("city",),
        "state": ("state",),
        "postcode": ("postal_code",),
        "country": ("country",),
        "marketing_consent": ("marketing_opt_in",),
        "created_at": (Epoch("created_at"),),
        "updated_at": (Epoch("last_seen_at"), Epoch("updated_at")),
    },
    # One kind for our own tracker, Google Analytics 4's BigQuery export and SendGrid's Event Webhook.
    # GA4's user_pseudo_id is a browser, not a customer, hence no customer key.
    "digital_events": {
        "source_key": ("event_id", "sg_event_id", RowHash("user_pseudo_id")),
        "customer_source": ("customer_source",),
        "customer_key": ("user_id", Parameter("user_id")),
        "email": ("email",),
        "event_type": ("event_name", "event_type", Labels("event", _SENDGRID_EVENTS)),
        "occurred_at": (Epoch("event_timestamp"), Epoch("timestamp"), Epoch("occurred_at")),
        "campaign_key": (
            "campaign_id",
            Parameter("campaign_id"),
            "$.collected_traffic_source.manual_campaign_id",
            "$.category[0]",
            "category",
        ),
    },
    "campaigns": {
        "source_key": ("campaign_id", "id"),
        "campaign_name": ("name", "campaign_name"),
        "channel": ("channel",),
        "starts_on": ("start_date",),
        "ends_on": ("end_date",),
        "cost": ("cost",),
    },
    "campaign_sends": {
        "source_key": ("send_id",),
        "campaign_key": ("campaign_id",),
        "customer_source": ("customer_source", "source"),
        "customer_key": ("customer_key", "customer_id"),
        "sent_on": (Epoch("sent_date"), Epoch("sent_at")),
        "audience": ("audience",),
    },
    "customers": _own_names(tables.CUSTOMERS),
    "sales": _own_names(tables.SALES),
    "services": _own_names(tables.SERVICE_ROWS),
    "events": {**_own_names(tables.EVENTS), "source_key": ("source_key", RowHash())},
}
