"""Validation rules as data: name, SQL test that a broken row passes, and the rule in a sentence.

Tests speak of our columns, of `READINGS` and of the macros below. A row is refused for the first rule it breaks.
Values that a source writes for "not known" (UNKNOWN, none@none.com, 999-999-9999) break no rule:
standardize marks them. Negative amounts are refunds and break no rule.
"""

from __future__ import annotations

from dataclasses import dataclass

# Position weights and letter values: ISO 3779 / 49 CFR 565.15; position 9 holds the check digit.
_VIN_WEIGHTS = (8, 7, 6, 5, 4, 3, 2, 10, 0, 9, 8, 7, 6, 5, 4, 3, 2)
# A sign's place in this text, from 1 and modulo 10, is its value; `translate` would take twice as long.
_VIN_SIGNS = "1234567890ABCDEFGH..JKLMN.P.R..STUVWXYZ"
_VIN_SUM = " + ".join(
    f"{weight} * (strpos('{_VIN_SIGNS}', substr(vin, {position}, 1)) % 10)"
    for position, weight in enumerate(_VIN_WEIGHTS, 1)
    if weight
)
_NOT_KNOWN = (
    "none", "unknown", "unk", "n/a", "na", "nil", "null", "no", "x", "xx", "xxx", "-", "--", ".", "?", "tbd",
    "missing", "not available", "not provided", "not given", "no email", "noemail", "no e-mail", "no phone",
    "declined", "refused", "decline", "on file",
)  # fmt: skip
_DAY_FORMATS = (
    "%m/%d/%Y", "%d/%m/%Y", "%m/%d/%y", "%m-%d-%Y", "%d.%m.%Y", "%Y%m%d", "%Y/%m/%d", "%d-%b-%Y", "%b %d, %Y",
    "%m/%d/%Y %H:%M", "%m/%d/%Y %H:%M:%S", "%m/%d/%Y %I:%M %p", "%m/%d/%Y %I:%M:%S %p", "%d-%b-%y",
)  # fmt: skip

# Of values without blanks around them, as named rows have them: a blank more is not trimmed here again.
MACROS = (
    f"is_not_known(v) as lower(v) in {_NOT_KNOWN}",
    r"is_email(v) as regexp_full_match(v, '[^@\s,;<>]+@[^@\s,;<>.]+(\.[^@\s,;<>.]+)*\.[^@\s,;<>.]{2,}')",
    # An extension (ext. 12, x12, #12) is no part of the number.
    r"""phone_digits(v) as
        regexp_replace(regexp_replace(lower(v), '(x|ext\.?|extension|#)\s*[0-9]{1,6}\s*$', ''), '[^0-9]', '', 'g')
    """,
    "is_phone(v) as length(phone_digits(v)) between 7 and 15",
    "is_one_digit(v) as phone_digits(v) <> '' and replace(phone_digits(v), phone_digits(v)[1], '') = ''",
    f"""as_time(v) as
        coalesce(try_cast(v as timestamptz), try_strptime(v, {list(_DAY_FORMATS)})::timestamptz)""",
    # Below the limit that sums of amounts as DECIMAL(38, 4) can hold at any number of rows.
    "is_number(v) as coalesce(abs(try_cast(regexp_replace(v, '[$,]', '', 'g') as double)) < 1e12, false)",
    # Only North America demands the check digit; elsewhere position 9 is free (ISO 3779). The argument, which is
    # computed at each mention, is to be a column: a VIN in upper case, without blanks around it.
    f"""is_vin(vin) as regexp_full_match(vin, '[A-HJ-NPR-Z0-9]{{17}}') and (
            vin[1] not in ('1', '2', '3', '4', '5')
            or vin[9] = substr('0123456789X', 1 + ({_VIN_SUM}) % 11, 1)
        )""",
)


@dataclass(frozen=True)
class Rule:
    """One rule: `name` is the dead letter's reason, `broken_when` an SQL test, `says` the rule."""

    name: str
    broken_when: str
    says: str


KEY = Rule("key_missing", "source_key is null", "A row has a key of its own.")
DELETED = Rule("deleted_in_source", "lower(deleted) in ('true', '1', 'yes')", "The source has not deleted the row.")
EMAIL = Rule(
    "email_invalid",
    "email is not null and not is_not_known(email) and not is_email(email)",
    "An e-mail address, if given, has the shape name@domain.tld.",
)
PHONE = Rule(
    "phone_invalid",
    "phone is not null and not is_not_known(phone) and not is_phone(phone) and not is_one_digit(phone)",
    "A telephone number, if given, has 7 to 15 digits.",
)
NOTHING_TO_IDENTIFY = Rule(
    "nothing_to_identify",
    " and ".join(
        f"coalesce(is_not_known({column}), true)" for column in ("given_name", "surname", "full_name", "email", "phone")
    ),
    "A record has a name, an e-mail address or a telephone number.",
)
NAME = Rule("name_missing", "coalesce(given_name, surname, full_name) is null", "A CRM record has a name.")
CUSTOMER = Rule("customer_missing", "customer_key is null", "The row names its customer.")
CUSTOMER_OR_EMAIL = Rule(
    "customer_missing",
    "customer_key is null and (email is null or is_not_known(email))",
    "An event names its customer, or an e-mail address.",
)
EMAIL_OF_EVENT = Rule(
    "email_invalid",
    "customer_key is null and not is_email(email)",
    "An event that names no customer has an e-mail address of the shape name@domain.tld.",
)
SOURCE_OF_CUSTOMER = Rule(
    "customer_source_unknown",
    "customer_key is not null and not coalesce(is_customer_source(customer_source), false)",
    "The source that knows the customer is one of the project's customer sources.",
)
VIN = Rule(
    "vin_invalid",
    "vin is not null and not is_vin(vin_signs) and not is_not_known(vin)",
    "A VIN has 17 characters without I, O, Q; one of North America (1 to 5) has its check digit.",
)
EVENT_TYPE = Rule("event_type_missing", "event_type is null", "An event says what happened.")


def _happened(column: str) -> tuple[Rule, ...]:
    """Rules of a time in the past; a day of grace, since it is later elsewhere than in UTC."""
    return (
        Rule("date_missing", f"{column} is null", "The row is dated."),
        Rule("date_invalid", "happened_at is null", "The date can be read."),
        Rule(
            "date_in_future",
            "happened_at > loaded_at + interval 1 day",
            "What happened has happened before the row was landed.",
        ),
    )


def _number(column: str) -> Rule:
    return Rule("amount_invalid", f"{column} is not null and not is_number({column})", "An amount is a number.")


AMOUNT = Rule("amount_missing", "amount is null", "A sale has an amount; a refund's is negative.")

_CRM = (DELETED, KEY, NOTHING_TO_IDENTIFY, NAME, EMAIL, PHONE)
_PURCHASE = (KEY, CUSTOMER, SOURCE_OF_CUSTOMER, *_happened("sold_on"), AMOUNT, _number("amount"), VIN)
_SERVICE = (KEY, CUSTOMER, SOURCE_OF_CUSTOMER, *_happened("serviced_on"), _number("amount"))
_EVENT = (KEY, EVENT_TYPE, CUSTOMER_OR_EMAIL, EMAIL_OF_EVENT, SOURCE_OF_CUSTOMER, *_happened("occurred_at"))

_SALE_READINGS = {"happened_at": "as_time(sold_on)", "vin_signs": "upper(vin)"}
_SERVICE_READINGS = {"happened_at": "as_time(serviced_on)"}
_EVENT_READINGS = {"happened_at": "as_time(occurred_at)"}

READINGS: dict[str, dict[str, str]] = {
    "dms_sales": _SALE_READINGS,
    "sales": _SALE_READINGS,
    "service_records": _SERVICE_READINGS,
    "services": _SERVICE_READINGS,
    "digital_events": _EVENT_READINGS,
    "events": _EVENT_READINGS,
    "campaign_sends": {"happened_at": "as_time(sent_on)"},
}
"""By kind, what several rules ask of a row, or one asks often: each is read once."""

RULES: dict[str, tuple[Rule, ...]] = {
    "salesforce": _CRM,
    "dynamics365": _CRM,
    "dms_customers": (KEY,),
    "service_customers": (KEY,),
    "digital_customers": (KEY,),
    "customers": (KEY,),
    "dms_sales": _PURCHASE,
    "sales": _PURCHASE,
    "service_records": _SERVICE,
    "services": _SERVICE,
    "digital_events": _EVENT,
    "events": _EVENT,
    "campaigns": (
        KEY,
        Rule(
            "date_invalid",
            "(starts_on is not null and as_time(starts_on) is null)"
            " or (ends_on is not null and as_time(ends_on) is null)",
            "A campaign's days, if given, can be read.",
        ),
        _number("cost"),
    ),
    "campaign_sends": (
        KEY,
        Rule("campaign_missing", "campaign_key is null", "A send names its campaign."),
        CUSTOMER,
        SOURCE_OF_CUSTOMER,
        *_happened("sent_on"),
    ),
}
