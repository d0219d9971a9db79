"""Validation: fields get our names, rules decide, nothing is lost."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from c360ml import tables
from c360ml.config import Config
from c360ml.errors import ColumnError, ConfigError
from c360ml.lakehouse import Lakehouse
from c360ml.sources import land, validate
from c360ml.sources.field_maps import ENTITY_OF_KIND, FIELD_MAPS
from c360ml.sources.rules import MACROS, RULES

GOOD_VIN = "1HGCM82633A004352"


def run(folder, *sources):
    """Land and validate sources of (name, kind, file, text, settings); give summary and lakehouse."""
    listed = []
    for name, kind, file, text, *more in sources:
        content = text if isinstance(text, str) else json.dumps(text)
        (folder / file).write_text(content)
        listed.append({"name": name, "kind": kind, "files": file, **(more[0] if more else {})})
    lake, config = Lakehouse(folder, threads=2), Config.parse({"sources": listed})
    rows = land(lake, config)["rows"]
    summary = validate(lake, config)

    assert rows == summary["read"] == summary["accepted"] + summary["rejected"]
    assert summary["rejected"] == lake.one("select count(*) from bronze.dead_letters")
    return summary, lake


def only(lake, table):
    """Give the one row of a table, without nulls."""
    names = list(table.columns)
    (row,) = lake.rows(f"select {', '.join(names)} from {table.path}")
    return {name: value for name, value in zip(names, row, strict=True) if value is not None}


def reasons(lake):
    """Give (row number, reason) of all dead letters."""
    return lake.rows("select row_number, reason from bronze.dead_letters order by file, row_number")


CONTACT = {
    "attributes": {"type": "Contact", "url": "/services/data/v60.0/sobjects/Contact/003A"},
    "Id": "003A",
    "FirstName": "Ann",
    "MiddleName": None,
    "LastName": "Lee",
    "Email": "ann@lee.org",
    "Phone": "512-555-0100",
    "MobilePhone": "512-555-0199",
    "Birthdate": "1980-01-05",
    "MailingStreet": "12 Oak St",
    "MailingCity": "Austin",
    "MailingPostalCode": "78701",
    "HasOptedOutOfEmail": True,
    "CreatedDate": "2024-01-05T10:00:00.000+0000",
    "LastModifiedDate": "2024-02-05T10:00:00.000+0000",
    "IsDeleted": False,
}


def contacts(*changes):
    """Make a page of contacts that differ from CONTACT; each has a key of its own, if none is given."""
    return {"records": [{**CONTACT, "Id": f"003{number}", **change} for number, change in enumerate(changes)]}


def test_a_salesforce_contact_gets_our_names(tmp_path):
    """A REST page's contact is read field by field; the opt-out becomes its opposite."""
    _, lake = run(tmp_path, ("sf", "salesforce", "c.json", contacts({"Id": "003A"})))

    assert {
        "source": "sf",
        "file": "c.json",
        "row_number": 1,
        "source_key": "003A",
        "given_name": "Ann",
        "surname": "Lee",
        "email": "ann@lee.org",
        "phone": "512-555-0199",
        "date_of_birth": "1980-01-05",
        "address": "12 Oak St",
        "city": "Austin",
        "postcode": "78701",
        "marketing_consent": "false",
        "created_at": "2024-01-05T10:00:00.000+0000",
        "updated_at": "2024-02-05T10:00:00.000+0000",
    } == only(lake, tables.CUSTOMERS)


def test_a_salesforce_lead_is_a_prospect(tmp_path):
    """A lead's own address fields are read, and its status is that of a prospect."""
    lead = {"attributes": {"type": "Lead"}, "Id": "00QA", "LastName": "Lee", "Street": "1 Elm", "Status": "Open"}
    _, lake = run(tmp_path, ("sf", "salesforce", "l.json", {"records": [lead]}))

    row = only(lake, tables.CUSTOMERS)
    assert ("00QA", "Lee", "1 Elm", "Prospect") == tuple(
        row[name] for name in ("source_key", "surname", "address", "status")
    )


def test_the_landing_layout_of_fivetran(tmp_path):
    """Salesforce contacts in a CSV of snake-case names are read too; deleted ones are refused."""
    text = (
        "id,first_name,last_name,email,mailing_city,has_opted_out_of_email,is_deleted,last_modified_date\n"
        "003A,Ann,Lee,ann@lee.org,Austin,FALSE,FALSE,2019-11-11 17:23:34\n"
        "003B,Bo,Lee,bo@lee.org,Austin,TRUE,TRUE,2019-11-11 17:23:34\n"
    )
    summary, lake = run(tmp_path, ("sf", "salesforce", "c.csv", text))

    assert {"sf:deleted_in_source": 1} == summary["rejected_by_reason"]
    row = only(lake, tables.CUSTOMERS)
    assert ("003A", "Austin", "true") == (row["source_key"], row["city"], row["marketing_consent"])


def test_a_tree_file_without_ids_goes_by_reference_id(tmp_path):
    """The tree layout of `sf data import` has reference ids instead of ids."""
    record = {"attributes": {"type": "Contact", "referenceId": "Contact1Ref"}, "LastName": "Holmes"}
    _, lake = run(tmp_path, ("sf", "salesforce", "t.json", {"records": [record]}))

    assert "Contact1Ref" == only(lake, tables.CUSTOMERS)["source_key"]


def test_a_dynamics_contact_gets_our_names(tmp_path):
    """An OData page's option sets become labels, address lines are joined."""
    label = "statecode@OData.Community.Display.V1.FormattedValue"
    page = {
        "@odata.context": "https://x.crm.dynamics.com/api/data/v9.2/$metadata#contacts",
        "value": [
            {
                "@odata.etag": 'W/"1"',
                "contactid": "c-1",
                "firstname": "Ann",
                "lastname": "Lee",
                "emailaddress1": "ann@lee.org",
                "telephone1": "512-555-0100",
                "mobilephone": None,
                "gendercode": 2,
                "address1_line1": "12 Oak St",
                "address1_line2": "Apt 4",
                "statecode": 0,
                label: "Aktiv",
                "donotbulkemail": False,
                "createdon": "2024-01-05T10:00:00Z",
            },
            {"contactid": "c-2", "lastname": "Ray", "gendercode": 1, "statecode": 1, "donotbulkemail": True},
        ],
        "@odata.nextLink": "https://x.crm.dynamics.com/api/data/v9.2/contacts?$skiptoken=1",
    }
    _, lake = run(tmp_path, ("d", "dynamics365", "c.json", page))

    assert [
        ("c-1", "f", "12 Oak St Apt 4", "Aktiv", "true", "512-555-0100"),
        ("c-2", "m", None, "Inactive", "false", None),
    ] == lake.rows(
        "select source_key, gender, address, status, marketing_consent, phone from bronze.customers order by 1"
    )


GA4 = {
    "event_date": "20240105",
    "event_timestamp": "1704448800123456",
    "event_name": "page_view",
    "event_params": [
        {"key": "ga_session_id", "value": {"int_value": "17"}},
        {"key": "campaign_id", "value": {"string_value": "spring"}},
    ],
    "user_id": "u1",
    "user_pseudo_id": "123.456",
}


def test_a_google_analytics_event_gets_our_names(tmp_path):
    """GA4's microseconds become a time, its parameters a campaign, its row's hash a key."""
    _, lake = run(
        tmp_path,
        ("web", "digital_customers", "a.ndjson", '{"user_id":"u1"}'),
        ("ga4", "digital_events", "e.ndjson", json.dumps(GA4), {"customer_source": "web"}),
    )

    row = only(lake, tables.EVENTS)
    assert lake.one("select row_hash from bronze.source_rows where source = 'ga4'") == row.pop("source_key")
    assert {
        "source": "ga4",
        "file": "e.ndjson",
        "row_number": 1,
        "customer_source": "web",
        "customer_key": "u1",
        "event_type": "page_view",
        "occurred_at": "2024-01-05T10:00:00.123456Z",
        "campaign_key": "spring",
    } == row


def test_an_anonymous_event_is_refused(tmp_path):
    """A browser without user id or e-mail is no customer; the same event twice is one event."""
    events = "\n".join(json.dumps({**GA4, "user_id": user}) for user in (None, "u2", "u2"))
    summary, _ = run(
        tmp_path,
        ("web", "digital_customers", "a.ndjson", '{"user_id":"u1"}'),
        ("ga4", "digital_events", "e.ndjson", events, {"customer_source": "web"}),
    )

    assert {"ga4:customer_missing": 1, "ga4:duplicate_key": 1} == summary["rejected_by_reason"]


def test_a_sendgrid_event_gets_our_names(tmp_path):
    """SendGrid's epoch seconds become a time, its event an e-mail event, its category a campaign."""
    event = {
        "email": "ann@lee.org",
        "timestamp": 1704448800,
        "event": "click",
        "sg_event_id": "sg1",
        "sg_message_id": "m1",
        "url": "https://lee.org",
        "category": ["spring"],
    }
    open_event = {**event, "event": "open", "sg_event_id": "sg2", "category": "autumn"}
    _, lake = run(tmp_path, ("mail", "digital_events", "e.json", [event, open_event]))

    assert [
        ("sg1", None, None, "ann@lee.org", "email_click", "2024-01-05T10:00:00.000000Z", "spring"),
        ("sg2", None, None, "ann@lee.org", "email_open", "2024-01-05T10:00:00.000000Z", "autumn"),
    ] == lake.rows(
        "select source_key, customer_source, customer_key, email, event_type, occurred_at, campaign_key"
        " from bronze.events order by 1"
    )


def test_columns_of_the_config_name_any_table(tmp_path):
    """A generic kind reads the columns that the config names, plain or as a JSON path."""
    shop = {"columns": {"source_key": "Nr", "email": "$.person.mail"}}
    till = {
        "customer_source": "shop",
        "columns": {"source_key": "No", "customer_key": "Who", "sold_on": "Day", "amount": "Sum"},
    }
    _, lake = run(
        tmp_path,
        ("shop", "customers", "c.ndjson", '{"Nr": 7, "person": {"mail": "ann@lee.org"}}', shop),
        ("till", "sales", "s.csv", "No;Who;Day;Sum\nA; 7 ;05.01.2024;12.50\n", till),
    )

    assert ("7", "ann@lee.org") == lake.rows("select source_key, email from bronze.customers")[0]
    assert [("A", "shop", "7", "05.01.2024", "12.50")] == lake.rows(
        "select source_key, customer_source, customer_key, sold_on, amount from bronze.sales"
    )


CRM_CASES = [
    ({"Email": "ann at lee.org"}, "email_invalid"),
    ({"Email": "ann@"}, "email_invalid"),
    ({"Email": "ann@@lee.org"}, "email_invalid"),
    ({"MobilePhone": "55501"}, "phone_invalid"),
    ({"MobilePhone": "1234567890123456"}, "phone_invalid"),
    ({"FirstName": None, "LastName": ""}, "name_missing"),
    (
        {"FirstName": None, "LastName": "UNKNOWN", "Email": "none", "Phone": None, "MobilePhone": "n/a"},
        "nothing_to_identify",
    ),
    ({"FirstName": None, "LastName": " ", "Email": "", "Phone": None, "MobilePhone": None}, "nothing_to_identify"),
    ({"Id": None}, "key_missing"),
    ({"IsDeleted": True, "Id": None}, "deleted_in_source"),
    ({"Email": "none@none.com"}, None),
    ({"Email": "UNKNOWN"}, None),
    ({"Email": None}, None),
    ({"Email": "o'brien+cars@mail.co.uk"}, None),
    ({"Email": "josé@correo.es"}, None),
    ({"MobilePhone": "999-999-9999"}, None),
    ({"MobilePhone": "0"}, None),
    ({"MobilePhone": "+44 20 7946 0958 ext. 12345"}, None),
    ({"LastName": "UNKNOWN"}, None),
]


def test_rules_of_crm_rows(tmp_path):
    """A CRM row needs key and name, and e-mail and phone of a valid shape; placeholders pass."""
    page = contacts(*(change for change, _ in CRM_CASES))
    _, lake = run(tmp_path, ("sf", "salesforce", "c.json", page))

    assert [(n, reason) for n, (_, reason) in enumerate(CRM_CASES, 1) if reason] == reasons(lake)


SALE_CASES = [
    ({"deal_number": ""}, "key_missing"),
    ({"customer_id": " "}, "customer_missing"),
    ({"sale_date": ""}, "date_missing"),
    ({"sale_date": "2023-02-30"}, "date_invalid"),
    ({"sale_date": "soon"}, "date_invalid"),
    ({"sale_date": "2999-01-01"}, "date_in_future"),
    ({"sale_date": "12/31/2998"}, "date_in_future"),
    ({"sale_price": ""}, "amount_missing"),
    ({"sale_price": "much"}, "amount_invalid"),
    ({"sale_price": "NaN"}, "amount_invalid"),
    ({"vin": GOOD_VIN[:-1]}, "vin_invalid"),
    ({"vin": GOOD_VIN[:-1] + "O"}, "vin_invalid"),
    ({"vin": GOOD_VIN[:-1] + "3"}, "vin_invalid"),
    ({"vin": ""}, None),
    ({"vin": "unknown"}, None),
    ({"vin": GOOD_VIN.lower()}, None),
    ({"vin": "WVWZZZ1JZXW000001"}, None),
    ({"sale_price": "-250.00"}, None),
    ({"sale_price": "$1,250.00"}, None),
    ({"sale_date": "01/05/2023"}, None),
    ({"sale_date": "2023-01-05 14:30:00"}, None),
]


def test_rules_of_dealer_sales(tmp_path):
    """A sale needs key, customer, past date, amount and a sound VIN; refunds pass."""
    good = {"customer_id": "c1", "sale_date": "2023-01-05", "sale_price": "100", "vin": GOOD_VIN}
    rows = [{"deal_number": str(n), **good, **change} for n, (change, _) in enumerate(SALE_CASES)]
    text = "\n".join(",".join(f'"{value}"' for value in row) for row in (rows[0], *(r.values() for r in rows)))
    _, lake = run(
        tmp_path,
        ("dms", "dms_customers", "c.csv", "customer_id,last_name\nc1,LEE\n"),
        ("sold", "dms_sales", "s.csv", text, {"customer_source": "dms"}),
    )

    assert [(n, reason) for n, (_, reason) in enumerate(SALE_CASES, 1) if reason] == reasons(lake)


def test_rules_of_service_rows(tmp_path):
    """A service row needs key, customer and past date; its amount may be missing but not be a word."""
    text = (
        "service_id,service_customer_id,service_date,service_type,amount\n"
        "1,a,2023-01-05,SERVICE,10\n2,a,2023-01-05,WARRANTY,\n,a,2023-01-05,PARTS,1\n4,,2023-01-05,PARTS,1\n"
        "5,a,,PARTS,1\n6,a,2999-01-05,PARTS,1\n7,a,2023-01-05,PARTS,free\n"
    )
    _, lake = run(
        tmp_path,
        ("garage", "service_customers", "c.csv", "service_customer_id,full_name\na,Ann Lee\n"),
        ("visits", "service_records", "s.csv", text, {"customer_source": "garage"}),
    )

    assert [
        (3, "key_missing"),
        (4, "customer_missing"),
        (5, "date_missing"),
        (6, "date_in_future"),
        (7, "amount_invalid"),
    ] == reasons(lake)


def test_rules_of_events(tmp_path):
    """An event needs key, type, time, and a customer key or a well-formed e-mail."""
    good = {"event_id": "1", "user_id": "u", "event_name": "app_open", "event_timestamp": "2024-01-05T10:00:00Z"}
    changes = (
        {},
        {"event_id": None},
        {"event_name": None},
        {"user_id": None},
        {"user_id": None, "email": "ann@lee"},
        {"user_id": None, "email": "ann@lee.org"},
        {"customer_source": "nobody"},
        {"event_timestamp": "yesterday"},
        {"event_timestamp": (datetime.now(UTC) + timedelta(hours=12)).isoformat()},
        {"event_timestamp": (datetime.now(UTC) + timedelta(days=3)).isoformat()},
    )
    text = "\n".join(json.dumps({**good, "event_id": str(n), **change}) for n, change in enumerate(changes))
    _, lake = run(
        tmp_path,
        ("web", "digital_customers", "a.ndjson", '{"user_id":"u"}'),
        ("app", "digital_events", "e.ndjson", text, {"customer_source": "web"}),
    )

    assert [
        (2, "key_missing"),
        (3, "event_type_missing"),
        (4, "customer_missing"),
        (5, "email_invalid"),
        (7, "customer_source_unknown"),
        (8, "date_invalid"),
        (10, "date_in_future"),
    ] == reasons(lake)


def test_campaigns_and_sends(tmp_path):
    """A send may name its own customer source; the config's is for those that do not."""
    summary, lake = run(
        tmp_path,
        ("sf", "salesforce", "c.json", contacts({"Id": "003A"})),
        ("web", "digital_customers", "a.ndjson", '{"user_id":"u"}'),
        ("plans", "campaigns", "p.csv", "campaign_id,name,cost\nspring,Spring,100\nautumn,Autumn,much\n"),
        (
            "sends",
            "campaign_sends",
            "s.csv",
            "send_id,campaign_id,customer_key,source,sent_date,audience\n"
            "1,spring,003A,,2024-01-05,TREATED\n2,spring,u,web,2024-01-05,CONTROL\n3,,u,web,2024-01-05,CONTROL\n",
            {"customer_source": "sf"},
        ),
    )

    assert {"plans:amount_invalid": 1, "sends:campaign_missing": 1} == summary["rejected_by_reason"]
    assert [("1", "sf", "003A"), ("2", "web", "u")] == lake.rows(
        "select source_key, customer_source, customer_key from bronze.campaign_sends order by 1"
    )
    assert {"accepted": 1, "rejected": 1} == summary["by_entity"]["campaigns"]


def test_of_repeated_keys_the_latest_change_stays(tmp_path):
    """The row changed last stays, without change times the last in the files; broken rows do not count."""
    page = contacts(
        {"Id": "A", "LastModifiedDate": "2024-03-01T00:00:00.000+0000"},
        {"Id": "A", "LastModifiedDate": "2024-02-01T00:00:00.000+0000"},
        {"Id": "B", "LastModifiedDate": None, "FirstName": "Ann"},
        {"Id": "B", "LastModifiedDate": None, "FirstName": "Anne"},
        {"Id": "B", "LastModifiedDate": "2024-05-01T00:00:00.000+0000", "Email": "broken"},
    )
    _, lake = run(tmp_path, ("sf", "salesforce", "c.json", page))

    assert [(2, "duplicate_key"), (3, "duplicate_key"), (5, "email_invalid")] == reasons(lake)


def test_of_rows_that_say_the_same_as_the_latest_the_first_stays(tmp_path):
    """A row that is delivered again changes nothing, nor does one that says anew what was said before."""
    page = contacts(
        *({"Id": "A", "FirstName": name} for name in ("Ann", "Anne", "Ann", "Ann")), {"Id": "B"}, {"Id": "B"}
    )
    _, lake = run(tmp_path, ("sf", "salesforce", "c.json", page))

    assert [(number, "duplicate_key") for number in (2, 3, 4, 6)] == reasons(lake)


def test_a_deletion_takes_earlier_versions_along(tmp_path):
    """A contact that was deleted later does not come back with its earlier row, nor without its later one."""
    page = contacts(
        {"Id": "A"},
        {"Id": "A", "IsDeleted": True, "LastModifiedDate": "2024-03-01T00:00:00.000+0000"},
        {"Id": "B", "IsDeleted": True, "LastModifiedDate": "2024-01-01T00:00:00.000+0000"},
        {"Id": "B"},
    )
    _, lake = run(tmp_path, ("sf", "salesforce", "c.json", page))

    assert [(1, "duplicate_key"), (2, "deleted_in_source"), (3, "deleted_in_source")] == reasons(lake)
    assert "B" == only(lake, tables.CUSTOMERS)["source_key"]


def test_the_same_key_in_two_sources_is_no_repetition(tmp_path):
    """Keys are unique within a source, not between sources."""
    text = "customer_id,last_name\n1,LEE\n"
    summary, _ = run(tmp_path, ("a", "dms_customers", "a.csv", text), ("b", "dms_customers", "b.csv", text))

    assert 2 == summary["accepted"]


def test_unreadable_rows_become_dead_letters(tmp_path):
    """A row that could not be split is refused with all its text."""
    text = "customer_id,last_name\n1,LEE\n2,RAY,X,Y\n3,FOX\n"
    _, lake = run(tmp_path, ("a", "dms_customers", "a.csv", text))

    assert [("row_unreadable", ["2", "RAY", "X", "Y"])] == [
        (reason, json.loads(raw)["fields"]) for reason, raw in lake.rows("select reason, raw from bronze.dead_letters")
    ]


def test_one_record_alone(tmp_path):
    """A source of a single record goes through."""
    summary, _ = run(tmp_path, ("a", "dms_customers", "a.csv", "customer_id,last_name\n1,LEE"))

    assert (1, 1) == (summary["read"], summary["accepted"])


def test_a_column_without_any_value_is_refused_row_by_row(tmp_path):
    """An all-null key column is no missing column: its rows are dead letters and the run goes on."""
    summary, _ = run(tmp_path, ("a", "dms_customers", "a.csv", "customer_id,last_name\n,LEE\n,RAY\n"))

    assert {"a:key_missing": 2} == summary["rejected_by_reason"]


def test_all_other_columns_without_any_value(tmp_path):
    """A dealer's customer with nothing but a key is kept, since sales may name it."""
    summary, _ = run(tmp_path, ("a", "dms_customers", "a.csv", "customer_id,last_name,email\n1,,\n2,,\n"))

    assert 2 == summary["accepted"]


@pytest.mark.parametrize(
    ("kind", "file", "text", "message"),
    [
        ("dms_customers", "a.csv", "id,name\n1,Ann\n", r"a\.csv must have a column for source_key: customer_id"),
        ("dms_sales", "a.csv", "deal_number,customer_id,sale_date\n1,2,2024-01-05\n", "sale_price or amount"),
        ("digital_events", "a.ndjson", '{"event_id": 1, "event_name": "x"}', "for occurred_at"),
        ("dms_customers", "b.csv", "ann@lee.org,512-555-0100\nbo@lee.org,512-555-0101\n", "as if there were no header"),
    ],
)
def test_a_missing_column_stops_the_run(tmp_path, kind, file, text, message):
    """A file without a column that its kind needs is an error with file, columns found and remedy."""
    known = ("web", "customers", "k.csv", "source_key,full_name\n1,Ann\n")
    more = {"customer_source": "web"} if ENTITY_OF_KIND[kind].name != "customers" else {}
    with pytest.raises(ColumnError, match=message) as raised:
        run(tmp_path, known, ("x", kind, file, text, more))

    assert "columns" in raised.value.got and "columns = {" in raised.value.hint
    assert "lee" not in str(raised.value)


@pytest.mark.parametrize(
    ("settings_", "message"),
    [
        ({}, "must name the `customer_source`"),
        ({"customer_source": "nobody"}, "Got nobody. Try: choose from dms"),
        ({"customer_source": "dms", "columns": {"price": "x"}}, "Got unknown: price"),
    ],
)
def test_a_config_that_cannot_work_says_so(tmp_path, settings_, message):
    """Sales must name a customer source of the project, and `columns` only columns that exist."""
    with pytest.raises(ConfigError, match=message):
        run(
            tmp_path,
            ("dms", "dms_customers", "c.csv", "customer_id,last_name\n1,LEE\n"),
            ("sold", "dms_sales", "s.csv", "deal_number,customer_id\n1,1\n", settings_),
        )


def test_every_kind_has_an_entity_a_map_and_rules():
    """Field maps name only columns of their tables, and every required column has an origin."""
    assert set(ENTITY_OF_KIND) == set(FIELD_MAPS) == set(RULES)
    for kind, fields in FIELD_MAPS.items():
        assert set(fields) <= {*ENTITY_OF_KIND[kind].table.columns, "deleted"}, kind
        assert set(ENTITY_OF_KIND[kind].required) <= set(fields), kind


def test_the_vin_check_digit_by_its_definition(tmp_path):
    """Each of 11 remainders gives its digit: exactly one of the characters 0 to 9 and X is right."""
    with Lakehouse(tmp_path) as lake:
        for macro in MACROS:
            lake.rows(f"create temp macro {macro}")
        right = lake.rows(
            """
            select count(*) filter (is_vin('1HGCM826' || digit || '3A' || serial))
            from (select unnest(string_split('0123456789X', '')) as digit),
                (select unnest(range(100000, 100044))::varchar as serial)
            group by serial"""
        )
        # Examples of 49 CFR 565 and of ISO 3779 literature.
        known = lake.rows(
            "select is_vin('1M8GDM9AXKP042788'), is_vin('11111111111111111'), is_vin('1M8GDM9A1KP042788')"
        )

    assert [(1,)] * 44 == right
    assert [(True, True, False)] == known


value = st.one_of(st.none(), st.sampled_from(["", "a", "x@y.org", "bad@", "12", "2024-01-05", "2999-01-01", "-5"]))


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    customers=st.lists(st.fixed_dictionaries(dict.fromkeys(CONTACT, value)), min_size=1, max_size=8),
    sales=st.lists(st.lists(value, min_size=4, max_size=6), min_size=1, max_size=8),
)
def test_no_row_is_lost_whatever_it_holds(tmp_path, customers, sales):
    """Landed rows = accepted rows + dead letters, and each key is accepted once."""
    text = "deal_number,customer_id,sale_date,sale_price,vin\n0,c,2024-01-05,1,\n"
    text += "1,c,2024-01-05,1,\n" * len(sales)
    text += "".join(",".join(field or "" for field in row) + "\n" for row in sales)
    summary, lake = run(
        tmp_path,
        ("sf", "salesforce", "c.json", {"records": customers}),
        ("sold", "dms_sales", "s.csv", text, {"customer_source": "sf"}),
    )

    assert summary["accepted"] == lake.one(
        """
        select count(distinct (file, row_number)) from (
            select file, row_number from bronze.customers union all select file, row_number from bronze.sales
        )"""
    )
    for table in (tables.CUSTOMERS, tables.SALES):
        assert 0 == lake.one(f"select count(*) - count(distinct source_key) from {table.path}")


def test_fields_whose_names_differ_in_case_are_told_apart(tmp_path):
    """Two fields of one row whose names differ in case only are two fields, and so are those of a path."""
    columns = {"source_key": "ID", "surname": "$.who.name", "given_name": "id", "city": 'a "b"'}
    rows = '{"ID": "A", "id": "b", "who": {"name": "Lee"}, "a \\"b\\"": "Rome"}\n{"id": "c"}\n'
    _, lake = run(tmp_path, ("web", "customers", "a.ndjson", rows, {"columns": columns}))
    assert [("A", "Lee", "b", "Rome")] == lake.rows(
        "select source_key, surname, given_name, city from bronze.customers"
    )
    assert [(2, "key_missing")] == reasons(lake)


def test_only_rows_of_one_key_repeat_each_other(tmp_path):
    """Only rows with one source and one key repeat each other, however many keys there are."""
    rows = "user_id,name\n" + "".join(f"{number % 30_000},Ann {number}\n" for number in range(40_000))
    summary, lake = run(tmp_path, ("web", "digital_customers", "a.csv", rows))
    assert {"web:duplicate_key": 10_000} == summary["rejected_by_reason"]
    kept = lake.rows("select count(*), min(row_number), max(row_number) from bronze.customers")
    assert [(30_000, 10_001, 40_000)] == kept
