"""Draw the README's pictures from a project's tables, e.g. the demo's: python notebooks/pictures.py c360ml-demo."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import vl_convert

from c360ml import Lakehouse, LinkageModel, tables
from c360ml.customer_value.fitting import read_purchase_model
from c360ml.dashboards import plots
from c360ml.dashboards.pair_plots import plot_waterfall

FOLDER = Path(__file__).parent / "pictures"


def a_match(lake: Lakehouse) -> Any:
    """Why two records are one person: the middle one of the links that few agreements hold."""
    lake.open(tables.RECORDS)
    lake.open(tables.LINKS)
    left, right = lake.rows("""
        select record_id_l, record_id_r from silver.links where is_link and match_weight between 8 and 9
        order by match_weight, record_id_l, record_id_r limit 1
    """)[0]
    model = LinkageModel.from_dict(json.loads((lake.folder / "models" / "linkage.json").read_text("utf-8")))
    steps = model.score(lake.sql("from silver.records").df()).explain(left, right)
    return plot_waterfall(steps)


def segments(lake: Lakehouse) -> Any:
    """What customers of each RFM segment are expected to be worth."""
    lake.open(tables.CUSTOMER_VALUE)
    lake.open(tables.CUSTOMER_SEGMENTS)
    return plots.plot_segments(
        lake.sql("""
            select rfm_segment, projected_value
            from gold.customer_value join gold.customer_segments on master_id = customer_id order by master_id
        """).df()
    )


def alive(lake: Lakehouse) -> Any:
    """Who is probably still a customer."""
    content = json.loads((lake.folder / "models" / "customer_value.json").read_text("utf-8"))
    return plots.plot_alive_grid(read_purchase_model(content["purchase_model"]), age_weeks=156)


def main() -> None:
    """Draw each picture as SVG."""
    FOLDER.mkdir(exist_ok=True)
    with Lakehouse(Path(sys.argv[1])) as lake:
        for draw in (a_match, segments, alive):
            (FOLDER / f"{draw.__name__}.svg").write_text(vl_convert.vegalite_to_svg(draw(lake).to_dict()), "utf-8")
            print(FOLDER / f"{draw.__name__}.svg")


if __name__ == "__main__":
    main()
