"""E-mail addresses: one spelling for each mailbox, and what kind of mailbox it is."""

from __future__ import annotations

from c360ml.standardize.text import sql_list

ROLE_MAILBOXES = (
    "info", "sales", "service", "services", "admin", "administrator", "office", "contact", "support", "help",
    "helpdesk", "noreply", "no-reply", "no.reply", "donotreply", "do-not-reply", "billing", "accounts", "accounting",
    "ap", "ar", "hr", "jobs", "careers", "marketing", "newsletter", "news", "team", "hello", "enquiries",
    "inquiries", "reception", "frontdesk", "customerservice", "customercare", "orders", "parts", "dealer",
    "dealership", "internet", "internetsales", "webmaster", "postmaster", "hostmaster", "abuse", "root", "mail",
    "email", "fleet", "finance", "leads", "bdc", "manager", "owner", "staff", "shop", "store",
)  # fmt: skip
"""Mailboxes of a job, not of a person."""

PLACEHOLDER_MAILBOXES = (
    "none", "noemail", "no-email", "no.email", "no_email", "nomail", "no", "unknown", "unk", "na", "n.a", "null",
    "nobody", "noone", "nothing", "test", "testing", "tester", "xxx", "xx", "x", "asdf", "abc", "aaa", "fake", "dummy",
    "declined", "decline", "refused", "refuse", "notprovided", "notgiven", "notavailable", "donthave", "doesnothave",
    "customer", "user", "username", "youremail", "youremailhere", "name", "example", "sample", "noemailaddress", "tbd",
)  # fmt: skip
"""Mailboxes that mean: there is none."""

PLACEHOLDER_DOMAINS = (
    "example.com", "example.org", "example.net", "none.com", "noemail.com", "nomail.com", "no.com", "na.com",
    "test.com", "unknown.com", "noreply.com", "none.net", "none.none", "invalid.com", "fake.com", "null.com", "no.net",
    "noemail.net", "noemail.org", "donotemail.com", "declined.com", "refused.com", "notprovided.com", "xxx.com",
    "asdf.com", "abc.abc", "domain.com", "nowhere.com", "noaddress.com", "customer.com", "noone.com",
)  # fmt: skip
"""Domains that mean the same; domains of RFC 2606 end in test, example, invalid or localhost."""

_SHAPE = r"[a-z0-9!#$%&''*/=?^_`{|}~.-]+@([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)+[a-z]{2,}"
_RESERVED = r".*\.(test|example|invalid|localhost|local)"


def add_emails(rows: str) -> str:
    """SQL that reads `email` as `email_raw` and adds the standardized `email` and its `email_kind`.

    Lower case, blanks and the plus tag cut, dots dropped for Gmail only (Gmail ignores them, others do
    not). Of several addresses the first is
    taken. A placeholder or ill-formed address is null. `email_kind` is personal, role or placeholder;
    null if there is no well-formed address.
    """
    return f"""
    with lowered as (
        select * rename (email as email_raw),
            regexp_replace(split_part(replace(lower(email), ',', ';'), ';', 1),
                '^mailto:|[\\s<>"]+|[.]+$', '', 'g') as email_text
        from {rows}
    ),
    parted as (
        select * exclude (email_text),
            split_part(split_part(email_text, '@', 1), '+', 1) as mailbox,
            replace(split_part(email_text, '@', 2), 'googlemail.com', 'gmail.com') as domain,
            email_text not like '%@%@%' as one_at
        from lowered
    ),
    spelled as (
        select * replace (if(domain = 'gmail.com', replace(mailbox, '.', ''), mailbox) as mailbox)
        from parted
    ),
    judged as (
        select *,
            one_at and regexp_full_match(mailbox || '@' || domain, '{_SHAPE}') as well_formed,
            regexp_replace(mailbox, '[0-9]+$', '') as mailbox_word,
            mailbox_word in {sql_list(PLACEHOLDER_MAILBOXES)}
                or domain in {sql_list(PLACEHOLDER_DOMAINS)}
                or regexp_full_match(domain, '{_RESERVED}')
                or (length(mailbox) <= 3 and mailbox = split_part(domain, '.', 1))
                or (length(mailbox) = 1 and length(split_part(domain, '.', 1)) = 1) as placeholder
        from spelled
    )
    select * exclude (mailbox, domain, one_at, well_formed, mailbox_word, placeholder),
        case
            when placeholder then 'placeholder'
            when well_formed is not true then null
            when mailbox_word in {sql_list(ROLE_MAILBOXES)} then 'role'
            else 'personal'
        end as email_kind,
        case when well_formed and not placeholder then mailbox || '@' || domain end as email
    from judged
    """
