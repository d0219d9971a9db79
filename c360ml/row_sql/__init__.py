"""SQL over one row as Python: what the batch says of whole tables, answered for a single record in microseconds.

DuckDB plans and starts a query in milliseconds, which is nothing for a table and too much for one record. The SQL
stays the only definition; it is parsed, and written as Python. What this room does not know it refuses when it
compiles, so that nothing is answered differently in silence; what Python cannot do as DuckDB does, DuckDB is asked.
"""

from c360ml.row_sql.code import compile_expressions, compile_pairs
from c360ml.row_sql.queries import Lookup, compile_query

__all__ = ["Lookup", "compile_expressions", "compile_pairs", "compile_query"]
