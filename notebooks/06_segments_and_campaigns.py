# %% [markdown]
# # Segments and campaigns: what to do with whom, and what it brought
#
# You will learn what the segments of customers mean, how to make your own, how to see customers move between them,
# and how to tell what a campaign caused from what would have happened anyway.

# %%
import altair as alt
import pandas as pd

from c360ml import KMeansSegmenter, Lakehouse, RfmScorer, run_pipeline, tables, write_world
from c360ml.campaigns import campaign_results, uplift_interval
from c360ml.dashboards import plots
from c360ml.segments import ValueTiers

# %%
write_world("company", customers=1500, seed=21)
run_pipeline("company")

# %% [markdown]
# ## Segments of the project
#
# Each customer has an RFM segment, a KMeans cluster, a value tier, and an action: what to do, by a rule in words.

# %%
lake = Lakehouse("company")
lake.open(tables.RECOMMENDATIONS)
lake.sql("""
    select segment, recommendation, customers, contactable, round(projected_value) as projected_value
    from gold.recommendations where kind = 'action_segment' and customers > 0 order by projected_value desc
""").df()

# %%
for table in (tables.CUSTOMER_SEGMENTS, tables.CUSTOMER_VALUE, tables.CUSTOMER_ACTIVITY, tables.OBSERVATION):
    lake.open(table)
customers = lake.sql("""
    select master_id, action_segment, rfm_segment, kmeans_segment, value_tier, projected_value
    from gold.customer_segments join gold.customer_value on customer_id = master_id
""").df()
plots.plot_segments(customers, segment="action_segment")

# %% [markdown]
# Do RFM and KMeans say the same? They cut the same buyers in two ways; cells with many customers are where they
# agree.

# %%
cross = customers.groupby(["rfm_segment", "kmeans_segment"]).size().rename("customers").reset_index()
alt.Chart(cross).mark_rect().encode(
    x=alt.X("kmeans_segment", title=None), y=alt.Y("rfm_segment", title=None), color="customers", tooltip=list(cross)
).properties(title="RFM by KMeans", width=300)

# %% [markdown]
# ## Segments of your own table
#
# All that is needed: days since the last purchase, purchases, spend. The fitted models show what they found.

# %%
buyers = lake.sql("""
    select master_id as customer_id, date_diff('day', last_purchase_on, observation_end) as days_since_last_purchase,
           purchases, purchase_revenue as total_spend
    from gold.customer_activity cross join gold.observation where purchases > 0
""").df()
rfm = RfmScorer().fit(buyers)
rfm

# %%
clusters = KMeansSegmenter().fit(buyers)
clusters

# %% [markdown]
# How many clusters? Only such that come back when the customers are drawn anew; among these the clearest.

# %%
tried = pd.DataFrame(clusters.diagnostics_)
tried

# %%
alt.Chart(pd.DataFrame(clusters.profiles_)).mark_circle().encode(
    x=alt.X("days_since_last_purchase", title="days since the last purchase"),
    y=alt.Y("total_spend", title="spend so far", scale=alt.Scale(zero=False)),
    size=alt.Size("share", title="share of buyers", scale=alt.Scale(range=[200, 2000])),
    color=alt.Color("kmeans_segment", title=None),
    tooltip=["kmeans_segment", "share", "purchases"],
).properties(title="What is typical of each cluster", width=420, height=240)

# %% [markdown]
# Value tiers are percentiles of value, with the cut points kept: a customer's tier changes because the customer does.

# %%
worth = customers.rename(columns={"master_id": "customer_id", "projected_value": "customer_value"})
tiers = ValueTiers().fit(worth[["customer_id", "customer_value"]])
tiers

# %% [markdown]
# ## Campaigns
#
# Who opened, clicked and bought is one thing; what the campaign changed is another. A group held out at random tells.

# %%
lake.open(tables.CAMPAIGN_RESULTS)
results = lake.sql("from gold.campaign_results").df()
plots.plot_campaign_funnel(results)

# %%
whole = results[results["value_tier"] == "ALL"]
whole[["campaign_name", "sent", "conversion_rate", "held_out", "uplift", "uplift_low", "uplift_high", "roi"]]

# %% [markdown]
# The uplift is the difference of two rates, and its interval says whether it may be chance.

# %%
whole = whole[whole["held_out"] > 0]
points = (
    alt.Chart(whole)
    .mark_point(filled=True, size=80)
    .encode(
        x=alt.X("uplift", title="uplift of the conversion rate", axis=alt.Axis(format="%")),
        y=alt.Y("campaign_name", title=None),
    )
)
ends = alt.Chart(whole).mark_rule().encode(x="uplift_low", x2="uplift_high", y="campaign_name")
none = alt.Chart(pd.DataFrame({"x": [0]})).mark_rule(strokeDash=[4, 4], color="grey").encode(x="x")
(none + ends + points).properties(title="95 % intervals", width=420, height=90)

# %%
lake.close()
uplift_interval(56, 400, 24, 390)

# %% [markdown]
# ## Campaigns of your own tables, without a project

# %%
campaigns = pd.DataFrame({"campaign_id": ["spring"], "campaign_name": ["Spring"], "cost": [150.0]})
sends = pd.DataFrame({"campaign_id": "spring", "customer_id": [f"c{n}" for n in range(300)], "sent_on": "2026-03-01"})
sends["audience"] = ["CONTROL" if n % 3 == 0 else "TREATED" for n in range(300)]
bought = [f"c{n}" for n in range(300) if n % (12 if n % 3 == 0 else 5) == 1]
sales = pd.DataFrame({"customer_id": bought, "purchased_on": "2026-03-12", "amount": 40.0})
found = campaign_results(campaigns, sends, sales)
found.results[["sent", "converted", "held_out", "uplift", "uplift_low", "uplift_high", "roi"]]
