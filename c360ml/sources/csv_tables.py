"""Read CSV so that no row and no field is lost, and every row knows its place in its file.

The header line decides delimiter and names; DuckDB's sniffer is not asked, because it may skip lines.
A file is read the first of three ways that its rows allow:

* plain: every row has as many fields as the header, quotes are as RFC 4180 wants them;
* padded: some rows have too few or too many fields; they are kept whole as unreadable rows;
* mended: quotes are broken; each such line is kept whole as one unreadable row, in a mended copy.
"""

from __future__ import annotations

import csv
import re
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from c360ml.errors import SourceError
from c360ml.lakehouse import EngineError
from c360ml.sources.files import Extract, Reading, sql_name, sql_path, sql_text, wrong_encoding

if TYPE_CHECKING:
    import duckdb

UNREADABLE = "unreadable_row"
"""Key of the JSON object that stands for a row that is no row: why, and its fields as they came."""

Way = Literal["plain", "padded_strictly", "padded"]
_PLAIN: Way = "plain"
_DELIMITERS = ",;\t|"
# A padded read has room for this many fields more than the header; a longer row has its file mended.
_EXTRA_FIELDS = 4
# Never in a text file, so that an empty field ('') is told from a field that is not there (null).
_NO_NULL = "chr(2)"


@dataclass(frozen=True)
class CsvTable:
    """How a CSV file is split: its delimiter and its columns' names, blanks around them stripped."""

    delimiter: str
    columns: tuple[str, ...]


@dataclass(frozen=True)
class CsvShape:
    """What files must share to be read with one call: header, delimiter and way."""

    table: CsvTable
    way: Way

    def numbered_sql(self, paths: list[Path]) -> str:
        """Write a query for each row's file, number over all files, and JSON text."""
        return f"""
            select filename as unit, row_number() over () as n, {row_sql(self.table, self.way)} as raw
            from {reader_sql(paths, self.table, self.way)}"""


def read_header(extract: Extract) -> CsvTable:
    """Take delimiter and column names from the first line.

    Raises:
        SourceError: the first line is no header.
    """
    first_line = extract.head.lstrip("\r\n").partition("\n")[0]
    delimiter = max(_DELIMITERS, key=first_line.count)
    if delimiter not in first_line:
        raise SourceError(
            f"{extract.name} must start with a header line of two columns or more",
            got="a first line without any of , ; | or tab",
            hint="export it as CSV with a header",
        )
    try:
        with extract.path.open(encoding="utf-8-sig", newline="") as file:
            names = next(row for row in csv.reader(file, delimiter=delimiter) if row)
    except UnicodeDecodeError:
        raise wrong_encoding(extract.name, None) from None
    return CsvTable(delimiter, _distinct([name.strip() for name in names]))


def _distinct(names: list[str]) -> tuple[str, ...]:
    """Give blank names a number and repeated ones (DuckDB ignores case) a suffix."""
    taken: dict[str, str] = {}
    for number, given in enumerate(names, 1):
        name = base = given or f"column_{number}"
        suffix = 1
        while name.lower() in taken:
            suffix += 1
            name = f"{base}_{suffix}"
        taken[name.lower()] = name
    return tuple(taken.values())


def reader_sql(paths: list[Path], table: CsvTable, way: Way) -> str:
    """Write the call that reads files of one header, all columns as text."""
    columns = list(table.columns)
    options = ["strict_mode = true"]
    if way != "plain":
        columns += _extra_names(table)
        options = [
            f"strict_mode = {str(way == 'padded_strictly').lower()}",
            "null_padding = true",
            f"nullstr = {_NO_NULL}",
            "parallel = false",  # DuckDB cannot pad rows with quoted new lines in parallel
        ]
    types = ", ".join(f"{sql_text(name)}: 'varchar'" for name in columns)
    return (
        f"read_csv([{', '.join(map(sql_path, paths))}], auto_detect = false, header = true, filename = true, "
        f"delim = {sql_text(table.delimiter)}, quote = '\"', escape = '\"', "
        f"columns = {{{types}}}, {', '.join(options)})"
    )


def _extra_names(table: CsvTable) -> list[str]:
    taken = {name.lower() for name in table.columns}
    names = (f"extra_{number}" for number in range(1, len(taken) + _EXTRA_FIELDS + 1))
    return [name for name in names if name not in taken][:_EXTRA_FIELDS]


def row_sql(table: CsvTable, way: Way) -> str:
    """Write the expression that turns a row into JSON text."""
    if way == "plain":
        return _json_object([(name, sql_name(name)) for name in table.columns])
    whole = _json_object([(name, f"nullif({sql_name(name)}, '')") for name in table.columns])
    fields = ", ".join(map(sql_name, [*table.columns, *_extra_names(table)]))
    return f"""case
        when {too_few_sql(table)} then {_unreadable_sql("too few fields", f"[{fields}]")}
        when {too_many_sql(table)} then {_unreadable_sql("too many fields", f"[{fields}]")}
        else {whole} end"""


def _json_object(pairs: list[tuple[str, str]]) -> str:
    fields = ", ".join(f"{sql_text(name)}: {expression}" for name, expression in pairs)
    return f"to_json({{{fields}}})::varchar"


def _unreadable_sql(why: str, fields: str) -> str:
    return _json_object([(UNREADABLE, f"'{why}'"), ("fields", f"list_filter({fields}, lambda f: f is not null)")])


def too_few_sql(table: CsvTable) -> str:
    """Write the test for a padded row that lacks its last field."""
    return f"{sql_name(table.columns[-1])} is null"


def too_many_sql(table: CsvTable) -> str:
    """Write the test for a padded row with a field after its last; a mere trailing delimiter is none."""
    return "(" + " or ".join(f"{sql_name(name)} <> ''" for name in _extra_names(table)) + ")"


def read_csv_through(con: duckdb.DuckDBPyConnection, extract: Extract, scratch: Path) -> Reading:
    """Read a file once, to learn which way its rows allow and how many there are.

    Raises:
        SourceError: the file is not UTF-8, or most of its rows do not fit its header.
    """
    table = read_header(extract)
    path, way = extract.path, _PLAIN
    problem = found = _try(con, path, extract.name, CsvShape(table, "plain"))
    if isinstance(found, str):
        # Only a strict read sees broken quotes, only a lenient one keeps the text after an unclosed quote.
        if isinstance(_try(con, path, extract.name, CsvShape(table, "padded_strictly")), str):
            path = _mend(con, extract, table, scratch)
        way = "padded"
        found = _try(con, path, extract.name, CsvShape(table, "padded"))
    if isinstance(found, str):
        raise _unreadable_file(extract, found)
    rows, unreadable = found
    if 2 * unreadable > rows:
        raise SourceError(
            f"{extract.name} must have the {len(table.columns)} fields of its header in each row",
            got=f"{unreadable} of {rows} rows that have not, {_where(problem)}",
            hint="check delimiter and quotes",
        )
    return Reading(path, extract.name, CsvShape(table, way), rows, (rows,))


def read_csv_plainly(con: duckdb.DuckDBPyConnection, extract: Extract) -> tuple[CsvTable, int]:
    """Read a file once that must have no unreadable row; tells its table and the rows' number.

    Raises:
        SourceError: the file is not UTF-8, or a row does not fit its header.
    """
    table = read_header(extract)
    found = _try(con, extract.path, extract.name, CsvShape(table, "plain"))
    if isinstance(found, str):
        raise _unreadable_file(extract, found)
    return table, found[0]


def _try(con: duckdb.DuckDBPyConnection, path: Path, name: str, shape: CsvShape) -> tuple[int, int] | str:
    """Count rows and unreadable rows; DuckDB's message if it gives up."""
    unreadable = "0"
    if shape.way != "plain":
        unreadable = f"count(*) filter ({too_few_sql(shape.table)} or {too_many_sql(shape.table)})"
    # Each column is counted, since DuckDB checks the encoding only of columns that are asked for.
    columns = ", ".join(f"count({sql_name(column)})" for column in shape.table.columns)
    reader = reader_sql([path], shape.table, shape.way)
    try:
        found = con.execute(f"select count(*), {unreadable}, {columns} from {reader}").fetchall()[0]
    except EngineError as error:
        if "unicode" in str(error).lower():
            raise wrong_encoding(name, _line(str(error))) from None
        return str(error)
    return found[0], found[1]


def _mend(con: duckdb.DuckDBPyConnection, extract: Extract, table: CsvTable, scratch: Path) -> Path:
    """Copy a file, each line with broken quotes or far too many fields put into quotes as one field."""
    delimiter = re.escape(table.delimiter)
    field = f'(?:"(?:[^"]|"")*"|[^"{delimiter}][^{delimiter}]*|)'
    copy = scratch / f"{uuid.uuid4()}.csv"
    try:
        con.execute(
            f"""
            copy (
                select case when regexp_full_match(line, $well_quoted)
                             and len(string_split(regexp_replace(line, $quoted, '', 'g'), $delimiter)) <= $most
                            then line
                            else '"' || replace(line, '"', '""') || '"' end
                from (select line, row_number() over () as n from {lines_sql([extract.path])})
                where line is not null
                order by n
            ) to {sql_text(str(copy))} (format csv, header false, quote '', escape '', delimiter '\x01')
            """,
            {
                "well_quoted": f"{field}(?:{delimiter}{field})*",
                "quoted": '"(?:[^"]|"")*"',
                "delimiter": table.delimiter,
                "most": len(table.columns) + _EXTRA_FIELDS,
            },
        ).fetchall()
    except EngineError as error:
        raise _unreadable_file(extract, str(error)) from None
    return copy


def lines_sql(paths: list[Path]) -> str:
    """Write the call that reads files as their lines: one column, `line`, null for an empty line."""
    return (
        f"read_csv([{', '.join(map(sql_path, paths))}], auto_detect = false, header = false, "
        "filename = true, columns = {'line': 'varchar'}, delim = '\x01', quote = '', escape = '', "
        "strict_mode = false, max_line_size = 16000000)"
    )


def _unreadable_file(extract: Extract, message: str) -> SourceError:
    if "unicode" in message.lower():
        return wrong_encoding(extract.name, _line(message))
    return SourceError(
        f"{extract.name} must be CSV, values with the delimiter, a quote or a new line in double quotes",
        got=f"a row that cannot be split, {_where(message)}",
        hint="open the file at that line; double the quotes within a value",
    )


def _where(message: object) -> str:
    line = _line(str(message))
    return f"first in line {line}" if line else "line unknown"


def _line(message: str) -> int | None:
    """Find the line in DuckDB's message, of which nothing else may be shown: it quotes the row."""
    found = re.search(r"CSV Error on Line: (\d+)", message)
    return int(found[1]) if found else None
