"""A patched index answers as one that is filled anew; where it cannot be told what changed, it is filled anew."""

import json
from pathlib import Path

import numpy as np
import pytest

from c360ml import tables
from c360ml.errors import ModelError
from c360ml.identity import IdentityStore, build_index
from c360ml.identity.base_files import ABOUT, CUSTOMERS, KEYS, RECORDS, Base, has_patch
from c360ml.identity.index_filling import STATISTICS_FILE, fill
from c360ml.identity.online_index import read_model
from c360ml.lakehouse import Lakehouse
from c360ml.linkage.online import model_digest

TABLES = (tables.RECORDS, tables.IDENTITIES, tables.GOLDEN_RECORDS, tables.CUSTOMER_360)


@pytest.fixture
def lake(small_world_copy):
    """A copy of the small world with its index, opened."""
    with Lakehouse(small_world_copy) as opened:
        build_index(opened)
        for table in TABLES:
            opened.open(table)
        yield opened


def amend(lake, table, query, lost):
    """Replace some rows of a table, told by its key, as an append does."""
    with lake.scratch("rows_added", query), lake.scratch("rows_lost", lost):
        lake.amend(table, "from rows_added", lost="rows_lost")


def change(lake, remainder):
    """Change, withdraw and add records, and move, change, withdraw and add customers."""
    hit = f"hash({{}}) % 97 = {remainder}"
    ours = "silver.records"
    some = f"from {ours} where {hit.format('record_id')}"
    with lake.scratch("some_records", f"select record_id, row_number() over (order by record_id) as n {some}"):
        gone = "select record_id from some_records where n % 3 = 0"
        told = "email = 'new' || n || '@example.org', city = coalesce(city, 'springfield')"
        kept = f"select * exclude (n) replace ({', '.join(_swapped(each) for each in told.split(', ', 1))}) "
        kept += f"from {ours} join some_records using (record_id) where n % 3 > 0"
        new = f"select * exclude (n) replace ('zz:' || n || '-{remainder}' as record_id) from {ours} "
        new += "join some_records using (record_id) where n % 3 = 1"
        identities = f"""
            select * exclude (n) replace ('zz:' || n || '-{remainder}' as record_id) from silver.identities
            join some_records using (record_id) where n % 3 = 1
            union all
            select * exclude (n) replace (if(n % 2 = 0, 'M-new' || n, master_id) as master_id) from silver.identities
            join some_records using (record_id) where n % 3 > 0
        """
        with lake.scratch("identities_now", identities):
            amend(
                lake,
                tables.RECORDS,
                f"{kept} union all by name {new}",
                f"select record_id from some_records union {gone}",
            )
            amend(lake, tables.IDENTITIES, "from identities_now", "select record_id from some_records")
    with lake.scratch("some_masters", f"select master_id from silver.golden_records where {hit.format('master_id')}"):
        golden = "from silver.golden_records semi join some_masters using (master_id)"
        renamed = f"select * replace ('somebody else' as full_name) {golden} and hash(master_id) % 2 = 0"
        renamed = renamed.replace("using (master_id) and", "using (master_id) where")
        added = f"select * replace ('new-{remainder}' || master_id as master_id) {golden}"
        amend(lake, tables.GOLDEN_RECORDS, f"{renamed} union all by name {added}", "from some_masters")
        richer = "select * replace (historical_value + 1 as historical_value) from gold.customer_360 "
        richer += f"where hash(master_id) % 97 = {(remainder + 1) % 97}"
        amend(lake, tables.CUSTOMER_360, richer, f"select master_id from ({richer})")


def _swapped(setting):
    name, _, value = setting.partition(" = ")
    return f"{value} as {name}"


def answers(folder, digest):
    """All that a base answers, in words that do not tell positions."""
    base = Base(folder, digest)
    records = {}
    for position in range(len(base.records)):
        name = base.records[position][0]
        if base.records.find(name) == position:
            records[name] = base.records[position]
    customers = {}
    for position in range(len(base.customers)):
        name = base.customers[position][0]
        if base.customers.find(name) == position:
            customers[name] = base.customers[position]
    assert len(records) == base.records.standing()
    assert len(customers) == base.customers.standing()
    asked = sorted({int(key) for file in folder.glob(f"*{KEYS}") for key in np.fromfile(file, np.uint64)})
    found = base.positions_of_all([[key] for key in asked])
    keys = {key: sorted(row[0] for row in base.records.at(at)) for key, at in zip(asked, found, strict=True) if len(at)}
    lines = [json.loads(line) for line in base.records.lines(np.concatenate(found)).to_pylist()]
    assert [row for at in found for row in base.records.at(at)] == lines
    assert list(map(list, found[:50])) == [base.positions([key]) for key in asked[:50]]
    return records, customers, keys


def filled_anew(lake, model, place):
    """Fill a base of all records beside the index."""
    place.mkdir()
    fill(lake, model, place, None)
    return answers(place, model_digest(model))


@pytest.mark.parametrize("is_newest", [True, False])
def test_a_patched_index_answers_as_one_that_is_filled_anew(lake, tmp_path, is_newest):
    """After appends in a row, every record, customer and key of the index is what filling it anew would give."""
    model = read_model(lake.folder)
    if not is_newest:
        model = {**model, "seed": 99}
        build_index(lake, model=model)
    for remainder in (3, 41):
        change(lake, remainder)
        base = build_index(lake, model=model)
        assert has_patch(base, RECORDS)
        assert has_patch(base, CUSTOMERS)
        if is_newest:
            assert filled_anew(lake, model, tmp_path / f"{base.name}") == answers(base, model_digest(model))
    assert is_newest != (base / STATISTICS_FILE).is_file()


def test_a_patch_is_of_what_changed_alone(lake):
    """The older files are shared, not written again, and the patch holds hardly more rows than were touched."""
    older = inodes(lake)
    total = lake.one("select count(*) from silver.records")
    change(lake, 7)
    base = build_index(lake)
    assert older == inodes(lake)
    added = len(np.fromfile(base / "added_records.u64", np.uint64)) - 1
    assert 2 <= added < total / 20
    assert len(np.fromfile(base / "gone_records.u32", np.uint32)) < total / 20


def test_a_patch_that_fails_leaves_the_index_as_it_was(lake, tmp_path, monkeypatch):
    """A patch that goes wrong leaves no half of it: the older index stays, and the next build makes up for it."""
    model, older = read_model(lake.folder), inodes(lake)
    index = lake.folder / "data" / "index"
    standing = sorted(path.name for path in index.iterdir())
    change(lake, 7)
    with monkeypatch.context() as patched:
        patched.setattr("c360ml.identity.index_patch.write_keys", lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            build_index(lake)
    assert older == inodes(lake)
    assert standing == sorted(path.name for path in index.iterdir())
    base = build_index(lake)
    assert filled_anew(lake, model, tmp_path / base.name) == answers(base, model_digest(model))


def test_where_much_changed_all_is_filled_anew(lake):
    """An index is not patched if more than a tenth of the records changed, nor its customers if a tenth of them did."""
    older = inodes(lake)
    lake.write(
        tables.CUSTOMER_360, "select * replace (historical_value + 1 as historical_value) from gold.customer_360"
    )
    base = build_index(lake)
    assert not has_patch(base, RECORDS) and not has_patch(base, CUSTOMERS)
    assert ["customers.jsonl"] == [name for name in older if older[name] != inodes(lake)[name]]
    change(lake, 5)
    later = build_index(lake)
    assert has_patch(later, RECORDS) and has_patch(later, CUSTOMERS)
    lake.write(tables.RECORDS, "select * replace ('x' || coalesce(city, '') as city) from silver.records")
    assert not has_patch(build_index(lake), RECORDS)


def inodes(lake):
    """Which file each of the larger files of the one base is."""
    (base,) = (lake.folder / "data" / "index").glob("[!.]*-*/")
    return {
        name: (base / name).stat().st_ino for name in ("keys.u64", "records.jsonl", "customers.jsonl", "terms.jsonl")
    }


def test_where_older_tables_are_gone_all_is_filled_anew(lake, tmp_path):
    """When the files that an index was filled from were removed, as forgetting does, it is filled anew, and right."""
    change(lake, 11)
    for table in TABLES:
        lake.forget_versions(table)
    base = build_index(lake)
    assert not has_patch(base, RECORDS)
    model = read_model(lake.folder)
    assert filled_anew(lake, model, tmp_path / "anew") == answers(base, model_digest(model))


def test_other_statistics_fill_an_index_anew(lake):
    """An index whose model's statistics were written again is filled anew, for rarity may be other in every row."""
    change(lake, 7)
    lake.open(tables.TERM_STATISTICS)
    lake.write(tables.TERM_STATISTICS, "from silver.term_statistics")
    assert not has_patch(build_index(lake), RECORDS)


def test_a_reader_of_the_older_base_goes_on(lake):
    """A store that was opened before a patch follows to it; what it resolved before it still resolves."""
    name, master = lake.rows("select record_id, master_id from silver.identities order by record_id limit 1")[0]
    record = lake.sql(f"select given_name, surname, email, phone, city from silver.records where record_id = '{name}'")
    given = {role: text for role, text in record.to_arrow_table().to_pylist()[0].items() if text}
    with IdentityStore(lake.folder) as reader:
        before = reader.resolve(given)
        change(lake, 7)
        build_index(lake)
        after = reader.resolve(given)
        assert (before.master_id, before.match_probability) == (after.master_id, after.match_probability)
        assert reader.customer(master) is not None


def test_an_index_of_an_unknown_format_is_refused(lake):
    """An index of another format or model is refused, one of the format before is still read."""
    (base,) = (lake.folder / "data" / "index").glob("*-1")
    digest = model_digest(read_model(lake.folder))
    about = json.loads((base / ABOUT).read_text())
    for number in (3, 5):
        (base / ABOUT).write_text(json.dumps({**about, "format": number}))
        if number == 3:
            assert Base(Path(base), digest).records.standing()
            with pytest.raises(ModelError, match="format 3"):
                Base(base, "another")
        else:
            with pytest.raises(ModelError, match="format 5"):
                Base(base, digest)
