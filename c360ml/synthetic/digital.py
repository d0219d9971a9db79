"""What people do online: visits and app sessions of accounts, and e-mails opened and clicked."""

from __future__ import annotations

from c360ml.synthetic.workbench import Workbench

EVENTS_PER_ACCOUNT = 21.0
NEWSLETTER_OPENS = 3.0

# Activity is skewed: a few accounts make most events. 1.43 is the mean of an exponential to the power 1.6.
_EVENTS = """
create table event_row as
with accounts as (
    select record, source_key, email_written as email, made_on,
        cast(floor(0.5 + $events_per_account * (-ln(1 - u(record, 'activity'))) ** 1.6 / 1.43) as bigint) as events
    from customer_row where system = 'digital'
),
of_accounts as (
    select record * 1048576 + unnest(range(events)) as event, source_key as user_id, email, made_on from accounts
),
visits as (
    select event, user_id, case when u(event, 'signed in') < 0.3 then email end as email,
        ['page_view', 'page_view', 'page_view', 'page_view', 'page_view', 'page_view', 'page_view', 'page_view',
         'session_start', 'session_start', 'session_start', 'session_start', 'app_open', 'app_open', 'app_open',
         'email_open', 'email_open', 'email_click', 'social_like', 'social_share']
            [1 + pick(event, 'name', 20)] as event_name,
        day_between(event, 'day', made_on, window_end()) as happened_on, null as campaign_id
    from of_accounts
),
readers as (
    select record, email_written as email, made_on,
        cast(floor(-ln(1 - u(record, 'reads')) * $newsletter_opens) as bigint) as opens
    from customer_row
    where system = 'contact' and real_email(email_written) is not null and u(record, 'reader') < 0.4
),
newsletter as (
    select record * 1048576 + 524288 + unnest(range(opens)) as event, email, made_on from readers
),
mails as (
    select event, null as user_id, email,
        case when u(event, 'clicks') < 0.2 then 'email_click' else 'email_open' end as event_name,
        day_between(event, 'day', made_on, window_end()) as happened_on, null as campaign_id
    from newsletter
    union all
    select -(send * 2), null, email, 'email_open', days_after(sent_on, pick(draw, 'opened', 4)), campaign_id
    from send where opens
    union all
    select -(send * 2 + 1), null, email, 'email_click', days_after(sent_on, 4 + pick(draw, 'clicked', 3)),
        campaign_id
    from send where clicks
),
timed as (
    select event, user_id, email, event_name, campaign_id,
        cast(happened_on as timestamp) + to_seconds(21600 + pick(event, 'second', 61200)) as happened_at
    from (select * from visits union all select * from mails)
)
select 'e' || lpad(to_base(row_number() over (order by happened_at, hash(event), event), 36), 7, '0') as source_key,
    event, user_id, email, event_name, happened_at, campaign_id
from timed
"""


def make_events(bench: Workbench) -> None:
    """Make the table `event_row`: events by account, and by e-mail only where no account is known."""
    bench.run(_EVENTS, {"events_per_account": EVENTS_PER_ACCOUNT, "newsletter_opens": NEWSLETTER_OPENS})
