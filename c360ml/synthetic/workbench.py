"""The DuckDB on which a world is made: random numbers that depend on seed, row and topic alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from c360ml.lakehouse import connect
from c360ml.synthetic.planted import OBSERVATION_END, OBSERVATION_START

CSV = "format csv, header"

# hash(a, b) is hash(a) * k xor hash(b): uniforms of one row would differ by a constant xor from topic to
# topic, so the result is hashed again. 53 bits make a double in [0, 1).
_MACROS = """
create macro u(key, topic) as (hash(hash(cast(key as bigint), topic, {seed})) >> 11) * (0.5 ** 53);
create macro pick(key, topic, n) as cast(floor(u(key, topic) * n) as bigint);
create macro gaussian(key, topic) as
    sqrt(-2 * ln(1 - u(key, topic || 'r'))) * cos(2 * pi() * u(key, topic || 'phi'));
create macro window_start() as date '{start}';
create macro window_end() as date '{end}';
create macro days_after(day, days) as day + cast(days as integer);
create macro day_between(key, topic, first_day, last_day) as
    days_after(first_day, pick(key, topic, greatest(last_day - first_day, 0) + 1));
create macro letter(key, topic) as substr('aeioulnrstmdcy', 1 + pick(key, topic, 14), 1);
create macro letters_only(word) as regexp_replace(lower(strip_accents(word)), '[^a-z]', '', 'g');
create macro local_number(key, topic) as
    cast(200 + pick(key, topic || 'e', 790)
        + case when pick(key, topic || 'e', 790) % 100 in (11, 55) then 1 else 0 end as varchar)
    || lpad(cast(pick(key, topic || 'l', 10000) as varchar), 4, '0');
create macro typed_wrong(word, key, topic) as case
    when length(word) < 4 then word
    else case pick(key, topic || 'kind', 4)
        when 0 then left(word, 1 + pick(key, topic || 'at', length(word) - 1)) || letter(key, topic || 'by')
            || substr(word, 2 + pick(key, topic || 'at', length(word) - 1))
        when 1 then left(word, 1 + pick(key, topic || 'at', length(word) - 1))
            || substr(word, 3 + pick(key, topic || 'at', length(word) - 1))
        when 2 then left(word, 1 + pick(key, topic || 'at', length(word) - 1)) || letter(key, topic || 'by')
            || substr(word, 3 + pick(key, topic || 'at', length(word) - 1))
        else left(word, 1 + pick(key, topic || 'at', length(word) - 2))
            || substr(word, 3 + pick(key, topic || 'at', length(word) - 2), 1)
            || substr(word, 2 + pick(key, topic || 'at', length(word) - 2), 1)
            || substr(word, 4 + pick(key, topic || 'at', length(word) - 2))
    end
end;
"""


class Workbench:
    """A DuckDB connection with the random macros of one seed, and where the world is written.

    `u(key, topic)` is uniform in [0, 1), `pick(key, topic, n)` a whole number below n.

    >>> bench = Workbench(Path("."), people=1, seed=1)
    >>> bench.one("select u(1, 'a') = u(1, 'a') and u(1, 'a') <> u(1, 'b')")
    True
    >>> bench.close()
    """

    def __init__(
        self,
        folder: Path,
        *,
        people: int,
        seed: int,
        threads: int | None = None,
        say: Callable[[str], None] = lambda message: None,
    ) -> None:
        self.folder, self.people, self.seed, self.say = folder, people, seed, say
        self.con = connect(threads=threads)
        self.run(_MACROS.format(seed=int(seed), start=OBSERVATION_START, end=OBSERVATION_END))

    def close(self) -> None:
        """Close the connection; the files stay."""
        self.con.close()

    def run(self, sql: str, parameters: Mapping[str, Any] | None = None) -> list[tuple[Any, ...]]:
        """Run a statement to its end and give its rows."""
        rows: list[tuple[Any, ...]] = self.con.execute(sql, dict(parameters) if parameters else None).fetchall()
        return rows

    def one(self, sql: str, parameters: Mapping[str, Any] | None = None) -> Any:
        """Ask for the single value of a single row."""
        return self.run(sql, parameters)[0][0]

    def take(self, name: str, table: Any) -> None:
        """Copy an Arrow table or pandas frame into DuckDB."""
        self.con.register("taken", table)
        self.run(f"create or replace table {name} as select * from taken")
        self.con.unregister("taken")

    def copy(self, query: str, file: str, options: str = CSV) -> Path:
        """Write a query's rows to a file below the world's folder."""
        path = self.folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        target = str(path).replace("'", "''")
        self.run(f"copy ({query}) to '{target}' ({options})")
        return path
