# %% [markdown]
# # Quickstart: a company's customers, resolved, valued, segmented
#
# You will learn how to run a whole project in one call, see how right it is, and ask its tables.
#
# A small labelled world stands in for your own extracts. Everything below works the same on a project of your
# own: `c360ml init my-company`, name your files in `c360ml.toml`, then `run_pipeline("my-company")`.

# %%
import altair as alt

from c360ml import Lakehouse, run_pipeline, tables, write_world
from c360ml.dashboards import plots

# %% [markdown]
# A world of 1,200 people in five systems: each person has several records, some with typing errors, some of a
# former address. What is true is written beside it, for comparing only.

# %%
truth = write_world("company", customers=1200, seed=3)
truth["people"], truth["customer_records"], truth["purchases"]

# %% [markdown]
# One call does everything; the steps show themselves below the cell while they run. What it returns shows how right
# they were: the labels are only compared with, no model sees them.

# %%
result = run_pipeline("company")
result

# %% [markdown]
# The tables are Delta tables, and DuckDB reads them. One row per customer:

# %%
lake = Lakehouse("company")
lake.open(tables.CUSTOMER_360)
lake.sql("""
    select value_tier, count(*) as customers, round(sum(historical_value)) as historical_value,
           round(sum(projected_value)) as projected_value, round(avg(engagement_score), 1) as engagement
    from gold.customer_360 group by all order by historical_value desc
""").df()

# %% [markdown]
# The report's charts are at hand for notebooks, e.g. where the value will come from. Jupyter draws them with a script
# from the network; where there is none, say `alt.renderers.enable("svg")` first.

# %%
lake.open(tables.CUSTOMER_VALUE)
lake.open(tables.CUSTOMER_SEGMENTS)
customers = lake.sql("""
    select customer_id, rfm_segment, value_tier, projected_value
    from gold.customer_value join gold.customer_segments on master_id = customer_id
""").df()
plots.plot_segments(customers, segment="rfm_segment")

# %% [markdown]
# How much of the value do how few customers hold? Any question of yours is a query and a chart.

# %%
curve = lake.sql("""
    select row_number() over (order by customer_value desc) / count(*) over () as share_of_customers,
           sum(customer_value) over (order by customer_value desc rows unbounded preceding)
               / sum(customer_value) over () as share_of_value
    from gold.customer_360 where customer_value > 0
""").df()
alt.Chart(curve).mark_line().encode(
    x=alt.X("share_of_customers", title="share of customers", axis=alt.Axis(format="%")),
    y=alt.Y("share_of_value", title="share of value", axis=alt.Axis(format="%")),
).properties(title="Few customers hold most of the value", width=420, height=260)

# %% [markdown]
# Running again does nothing, because nothing changed: only what depends on what changed is done.

# %%
lake.close()
again = run_pipeline("company")
assert not again.changed
again
