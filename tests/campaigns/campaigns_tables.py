"""Fill lakehouse tables by hand; a plain module, since two `conftest.py` cannot live with doctests."""

import pyarrow as pa


def fill(lake, table, rows):
    """Write rows given as dictionaries; columns that are left out are null."""
    names = list(table.columns)
    given = pa.table({name: pa.array([row.get(name) for row in rows]) for name in names})
    casts = ", ".join(f'"{name}"::{table.columns[name].type} as "{name}"' for name in names)
    lake.con.register("given", given)
    lake.write(table, f"select {casts} from given")
    lake.con.unregister("given")
