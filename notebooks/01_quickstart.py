# %% [markdown]
# # Quickstart: a company's customers, resolved, valued, segmented
#
# A small labelled world stands in for your own extracts. Everything below works the same on a project of your
# own: `c360ml init my-company`, name your files in `c360ml.toml`, then `run_pipeline("my-company")`.

# %%
import altair as alt
import pandas as pd

from c360ml import Lakehouse, run_pipeline, tables, write_world

# %%
truth = write_world("company", customers=1500, seed=3)
truth["people"], truth["customer_records"], truth["purchases"]

# %%
result = run_pipeline("company")
pd.DataFrame([(step.title, step.seconds) for step in result.steps], columns=["step", "seconds"])

# %% [markdown]
# How right is it? The labels are only compared with; the model never sees them.

# %%
{name: round(value, 4) for name, value in result.evaluation.items() if name.startswith(("b3", "pairwise"))}

# %% [markdown]
# The tables are Delta tables; DuckDB reads them. One row per customer:

# %%
lake = Lakehouse("company")
lake.open(tables.CUSTOMER_360)
lake.sql("""
    select value_tier, count(*) as customers, round(sum(historical_value)) as historical_value,
           round(sum(projected_value)) as projected_value, round(avg(engagement_score), 1) as engagement
    from gold.customer_360 group by all order by historical_value desc
""").df()

# %% [markdown]
# How much of the value do how few customers hold?

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
# Running again does nothing, because nothing changed.

# %%
assert not run_pipeline("company").changed
