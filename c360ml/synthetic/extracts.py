"""The files that each system would send: REST pages, OData pages, CSV and NDJSON."""

from __future__ import annotations

import json
from collections.abc import Iterator

from c360ml.synthetic.bad_rows import add_bad_rows
from c360ml.synthetic.workbench import CSV, Workbench

PAGE_ROWS = 2_000
_PAGES_AT_ONCE = 25

_STREET = "line || coalesce(' ' || unit, '')"
_SALESFORCE_TIME = (
    "strftime({}, '%Y-%m-%dT') || lpad(cast(7 + pick(record, 'hour', 12) as varchar), 2, '0') || ':00:00.000+0000'"
)
_ODATA_TIME = "strftime({}, '%Y-%m-%dT') || lpad(cast(7 + pick(record, 'hour', 12) as varchar), 2, '0') || ':00:00Z'"
_DAY = "strftime({}, '%Y-%m-%d')"

_CONTACTS = f"""
to_json({{
    'attributes': {{'type': 'Contact', 'url': '/services/data/v59.0/sobjects/Contact/' || coalesce(source_key, '')}},
    'Id': source_key, 'FirstName': given, 'MiddleName': middle, 'LastName': surname, 'Suffix': suffix,
    'Email': email, 'Phone': phone, 'MobilePhone': mobile, 'Birthdate': {_DAY.format("born_on")},
    'MailingStreet': {_STREET}, 'MailingCity': city, 'MailingState': state, 'MailingPostalCode': postcode,
    'MailingCountry': case when line is not null then 'USA' end,
    'HasOptedOutOfEmail': has_opted_out(record),
    'CreatedDate': {_SALESFORCE_TIME.format("made_on")}, 'LastModifiedDate': {_SALESFORCE_TIME.format("changed_on")}
}})"""

_LEADS = f"""
to_json({{
    'attributes': {{'type': 'Lead', 'url': '/services/data/v59.0/sobjects/Lead/' || coalesce(source_key, '')}},
    'Id': source_key, 'FirstName': given, 'LastName': surname, 'Email': email, 'Phone': phone, 'MobilePhone': mobile,
    'Street': {_STREET}, 'City': city, 'State': state, 'PostalCode': postcode,
    'Country': case when line is not null then 'USA' end,
    'Status': ['Open - Not Contacted', 'Working - Contacted', 'Closed - Converted', 'Closed - Not Converted']
        [1 + pick(record, 'status', 4)],
    'HasOptedOutOfEmail': has_opted_out(record),
    'CreatedDate': {_SALESFORCE_TIME.format("made_on")}, 'LastModifiedDate': {_SALESFORCE_TIME.format("changed_on")}
}})"""

_DYNAMICS = f"""
to_json({{
    '@odata.etag': 'W/"' || (1000000 + serial) || '"',
    'contactid': source_key, 'firstname': given, 'middlename': middle, 'lastname': surname, 'suffix': suffix,
    'emailaddress1': email, 'telephone1': phone, 'mobilephone': mobile, 'birthdate': {_DAY.format("born_on")},
    'gendercode': case when u(record, 'gender known') < 0.6 then case sex when 'm' then 1 else 2 end end,
    'address1_line1': line, 'address1_line2': unit, 'address1_city': city, 'address1_stateorprovince': state,
    'address1_postalcode': postcode, 'address1_country': case when line is not null then 'United States' end,
    'createdon': {_ODATA_TIME.format("made_on")}, 'modifiedon': {_ODATA_TIME.format("changed_on")},
    'statecode': case when u(record, 'state') < 0.07 then 1 else 0 end,
    'statecode@OData.Community.Display.V1.FormattedValue':
        case when u(record, 'state') < 0.07 then 'Inactive' else 'Active' end,
    'donotbulkemail': u(record, 'no bulk') < 0.12
}})"""

_DMS_CUSTOMERS = """
select source_key as customer_id, given as first_name, left(middle, 1) as middle_initial, surname as last_name,
    suffix as name_suffix, email, phone as home_phone, line as address_line1, unit as address_line2, city, state,
    postcode as zip, strftime(born_on, '%m/%d/%Y') as dob, dealer_code, made_on as created_date,
    changed_on as updated_date
from customer_row where system = 'dms' order by position
"""

_DMS_SALES = """
select source_key as deal_number, customer_key as customer_id, sold_on as sale_date,
    printf('%.2f', amount) as sale_price, model, vin, dealer_code, campaign_id as campaign_code
from sale_row order by position
"""

_SERVICE_CUSTOMERS = """
select source_key as service_customer_id,
    case when u(record, 'surname first') < 0.25
         then surname || ', ' || given || coalesce(' ' || middle, '') || coalesce(' ' || suffix, '')
         else given || coalesce(' ' || middle, '') || ' ' || surname || coalesce(' ' || suffix, '') end as full_name,
    email, phone, line || coalesce(' ' || unit, '') as address, city, state, postcode as zip,
    made_on as created_date, changed_on as updated_date
from customer_row where system = 'service' order by position
"""

_SERVICE_RECORDS = """
select source_key as service_id, customer_key as service_customer_id, serviced_on as service_date, service_type,
    printf('%.2f', amount) as amount, vin, dealer_code
from service_row order by position
"""

_DIGITAL_ACCOUNTS = f"""
select source_key as user_id,
    case when u(record, 'lower case') < 0.12 then lower(given || ' ' || surname)
         else given || ' ' || surname end as name,
    email, phone, postcode as postal_code, {_ODATA_TIME.format("made_on")} as created_at,
    {_ODATA_TIME.format("changed_on")} as last_seen_at, u(record, 'opts in') < 0.7 as marketing_opt_in
from customer_row where system = 'digital' order by position
"""

_DIGITAL_EVENTS = """
select source_key as event_id, user_id, email, event_name,
    strftime(happened_at, '%Y-%m-%dT%H:%M:%SZ') as event_timestamp, campaign_id
from event_row order by position
"""

_CAMPAIGNS = """
select campaign_id, name, channel, starts_on as start_date, ends_on as end_date, printf('%.2f', cost) as cost
from campaign_row order by campaign_id
"""

_SENDS = """
select 'M' || lpad(cast(send as varchar), 7, '0') as send_id, campaign_id, customer_key, sent_on as sent_date, audience
from send order by send
"""

NDJSON = "format json"
_FILES = {
    "sale_row": ("dms_sales", "extracts/dms/sales.csv", _DMS_SALES, CSV),
    "service_row": ("service_records", "extracts/service/service_records.csv", _SERVICE_RECORDS, CSV),
    "event_row": ("digital_events", "extracts/digital/events.ndjson", _DIGITAL_EVENTS, NDJSON),
}
_FILE_OF_CUSTOMER = f"""
case system
    when 'contact' then printf('extracts/salesforce/contacts_%04d.json', 1 + (position - 1) // {PAGE_ROWS})
    when 'lead' then printf('extracts/salesforce/leads_%04d.json', 1 + (position - 1) // {PAGE_ROWS})
    when 'dynamics365' then printf('extracts/dynamics365/contacts_%04d.json', 1 + (position - 1) // {PAGE_ROWS})
    when 'digital' then 'extracts/digital/accounts.ndjson'
    else 'extracts/' || system || '/customers.csv' end
"""
_NUMBER_OF_CUSTOMER = f"""
case when source in ('salesforce', 'dynamics365') then 1 + (position - 1) % {PAGE_ROWS} else position end
"""


def _pages(bench: Workbench, system: str, row: str) -> Iterator[tuple[int, str, bool]]:
    """Give page number, rows as joined JSON text and whether it is the last page, a few pages in memory."""
    rows = bench.one("select count(*) from customer_row where system = $system", {"system": system})
    last = (rows - 1) // PAGE_ROWS
    for start in range(0, last + 1, _PAGES_AT_ONCE):
        pages = bench.run(
            f"""
            with page_row as (
                select (position - 1) // {PAGE_ROWS} as page, position, {row} as row
                from customer_row
                where system = $system and (position - 1) // {PAGE_ROWS} between $start and $stop
            )
            select page, string_agg(row, ',\n' order by position) from page_row group by page order by page
            """,
            {"system": system, "start": start, "stop": start + _PAGES_AT_ONCE - 1},
        )
        yield from ((page, text, page == last) for page, text in pages)


def page_file(system: str, page: int) -> str:
    """Name the file of a page of a system that answers in pages, from page 0.

    >>> page_file("contact", 0)
    'extracts/salesforce/contacts_0001.json'
    """
    folder = "dynamics365" if system == "dynamics365" else "salesforce"
    name = "leads" if system == "lead" else "contacts"
    return f"extracts/{folder}/{name}_{page + 1:04d}.json"


def _write_pages(bench: Workbench, system: str, row: str) -> None:
    rows = bench.one("select count(*) from customer_row where system = $system", {"system": system})
    for page, text, is_last in _pages(bench, system, row):
        if system == "dynamics365":
            start = '{"@odata.context":"https://example.crm.dynamics.com/api/data/v9.2/$metadata#contacts","value":[\n'
            link = f'"https://example.crm.dynamics.com/api/data/v9.2/contacts?$skiptoken={page + 2}"'
            end = "\n]}\n" if is_last else f'\n],"@odata.nextLink":{link}}}\n'
        else:
            more = "" if is_last else f',"nextRecordsUrl":"/services/data/v59.0/query/01g-{(page + 1) * PAGE_ROWS}"'
            start = f'{{"totalSize":{rows},"done":{json.dumps(is_last)}{more},"records":[\n'
            end = "\n]}\n"
        path = bench.folder / page_file(system, page)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(start + text + end, "utf-8")


def _note_bad_rows(bench: Workbench, table: str, source: str, file: str, row_number: str) -> None:
    bench.run(
        "create table if not exists bad_row (source text, source_key text, file text, row_number int8, reason text)"
    )
    bench.run(
        f"insert into bad_row select {source}, source_key, {file}, {row_number}, reason"
        f" from {table} where reason is not null"
    )


def write_rows(bench: Workbench, table: str) -> tuple[str, int]:
    """Spoil some rows of sales, services or events, write them all and drop them; give source and number."""
    source, file, query, options = _FILES[table]
    add_bad_rows(bench, table)
    bench.copy(query, file, options)
    _note_bad_rows(bench, table, f"'{source}'", f"'{file}'", "position")
    rows = bench.one(f"select count(*) from {table}")
    bench.run(f"drop table {table}")
    return source, rows


def write_campaigns(bench: Workbench) -> dict[str, int]:
    """Write the campaigns and who was sent them; give the number of rows by source."""
    bench.copy(_CAMPAIGNS, "extracts/marketing/campaigns.csv")
    bench.copy(_SENDS, "extracts/marketing/campaign_sends.csv")
    return {
        "campaigns": bench.one("select count(*) from campaign_row"),
        "campaign_sends": bench.one("select count(*) from send"),
    }


def write_customers(bench: Workbench) -> dict[str, int]:
    """Spoil some customer rows and write the files of all five systems; give the number of rows by source."""
    add_bad_rows(bench, "customer_row")
    for system, row in (("contact", _CONTACTS), ("lead", _LEADS), ("dynamics365", _DYNAMICS)):
        _write_pages(bench, system, row)
    bench.copy(_DMS_CUSTOMERS, "extracts/dms/customers.csv")
    bench.copy(_SERVICE_CUSTOMERS, "extracts/service/customers.csv")
    bench.copy(_DIGITAL_ACCOUNTS, "extracts/digital/accounts.ndjson", NDJSON)
    _note_bad_rows(bench, "customer_row", "source", _FILE_OF_CUSTOMER, _NUMBER_OF_CUSTOMER)
    return dict(bench.run("select source, count(*) from customer_row group by source order by source"))
