"""The only place that opens storage: DuckDB over Delta tables, the project's JSON files, and what is published."""

from c360ml.lakehouse.beside import LakehouseBeside
from c360ml.lakehouse.connection import EngineError, as_relation, connect, day_of, moment_of, same_kind
from c360ml.lakehouse.delta_files import rows_of
from c360ml.lakehouse.lakehouse import LAYER_FOLDERS, Lakehouse
from c360ml.lakehouse.part import LakehousePart
from c360ml.lakehouse.project_files import PUBLISHED_FILE, sync_folder

__all__ = [
    "LAYER_FOLDERS",
    "PUBLISHED_FILE",
    "EngineError",
    "Lakehouse",
    "LakehouseBeside",
    "LakehousePart",
    "as_relation",
    "connect",
    "day_of",
    "moment_of",
    "rows_of",
    "same_kind",
    "sync_folder",
]
