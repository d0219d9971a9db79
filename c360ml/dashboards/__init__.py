"""Reports: one self-contained HTML file per run, linked table or valued table, that works offline."""

from c360ml.dashboards.link_report import write_link_report
from c360ml.dashboards.run_report import write_run_report
from c360ml.dashboards.value_report import write_value_report

__all__ = ["write_link_report", "write_run_report", "write_value_report"]
