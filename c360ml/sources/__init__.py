"""Read extracts into bronze: land every row, validate it, keep what is refused."""

from c360ml.sources.append_validation import append_valid
from c360ml.sources.forgotten import forgotten_rows
from c360ml.sources.landing import append_landed, land
from c360ml.sources.user_tables import read_table
from c360ml.sources.validation import validate

__all__ = ["append_landed", "append_valid", "forgotten_rows", "land", "read_table", "validate"]
