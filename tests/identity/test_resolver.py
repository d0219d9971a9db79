"""A raw record is resolved as the batch would have linked it, and never on nothing."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from c360ml import tables
from c360ml.errors import C360Error, ColumnError, DataError, ModelError
from c360ml.identity.online_index import build_index, index_path, read_model
from c360ml.identity.resolver import Resolver, checked_record
from c360ml.lakehouse import Lakehouse, connect
from c360ml.linkage.online import OnlineScorer, model_digest
from c360ml.standardize.one_record import RecordStandardizer
from c360ml.standardize.records import RECORD_COLUMNS, ROLES


@pytest.fixture(scope="module")
def lake(small_world_project):
    """The small world's tables."""
    with Lakehouse(small_world_project) as lake:
        for table in (tables.CUSTOMERS, tables.RECORDS, tables.IDENTITIES, tables.LINKS):
            lake.open(table)
        yield lake


@pytest.fixture(scope="module")
def index(lake, tmp_path_factory):
    """The online index, outside the project, which is shared."""
    return build_index(lake, tmp_path_factory.mktemp("index") / "online.duckdb")


@pytest.fixture(scope="module")
def resolver(lake, index):
    """A resolver of the small world."""
    with Resolver(lake.folder, index=index) as resolver:
        yield resolver


@pytest.fixture(scope="module")
def raw(lake):
    """Raw records by record id, as their sources sent them."""
    roles = ", ".join(f"nullif(trim({role}), '') as {role}" for role in ROLES)
    rows = lake.sql(f"""
        select source || ':' || source_key as record_id, {roles} from bronze.customers
        order by md5(source || source_key)
    """)
    return {row.pop("record_id"): row for row in rows.to_arrow_table().to_pylist()}


def test_online_weights_are_the_batch_weights(lake, index):
    """The weight of a pair is the same online and in the batch, whichever of the two records is the new one."""
    scorer = OnlineScorer(read_model(lake.folder))
    features = ", ".join(f'"{column}"' for column in RECORD_COLUMNS)
    records = {
        row["record_id"]: row
        for row in lake.sql(f"select record_id, {features} from silver.records").to_arrow_table().to_pylist()
    }
    rids = {record_id: rid for rid, record_id in enumerate(sorted(records), 1)}
    with connect() as con:
        con.execute(f"attach '{index}' as i (read_only)").fetchall()
        rows = con.execute(f"select rid, {', '.join(scorer.columns)} from i.records").fetchall()
    stored = {row[0]: row[1:] for row in rows}
    pairs = lake.rows("""
        select record_id_l, record_id_r, match_weight from silver.links
        order by md5(record_id_l || record_id_r) limit 300
    """)
    assert len(pairs) == 300
    for left, right, weight in pairs:
        for new, known in ((left, right), (right, left)):
            digits = scorer.digits(records[new], [stored[rids[known]]])
            assert weight == pytest.approx(float(scorer.match_weights(digits)[0]), abs=1e-9)


def test_one_record_is_standardized_as_in_its_table(lake, raw):
    """A single record is standardized as it is among all records of its project."""
    columns = ", ".join(RECORD_COLUMNS)
    expected = {
        row.pop("record_id"): row
        for row in lake.sql(f"select record_id, {columns} from silver.records").to_arrow_table().to_pylist()
    }
    standardizer = RecordStandardizer("US")
    some = list(raw)[:100]
    assert {record_id: expected[record_id] for record_id in some} == {
        record_id: standardizer.standardize(checked_record(raw[record_id])) for record_id in some
    }


def test_known_records_find_their_customer(lake, resolver, raw):
    """A record that is already known resolves to its own customer."""
    masters = dict(lake.rows("select record_id, master_id from silver.identities"))
    asked = [record_id for record_id, row in raw.items() if row["email"] and (row["surname"] or row["full_name"])][:60]
    found = [resolver.resolve(raw[record_id]).master_id == masters[record_id] for record_id in asked]
    assert np.mean(found) >= 0.95


def test_an_answer_explains_itself(resolver, raw):
    """The steps of an explanation sum to the weight that is answered, and the customer can be looked up."""
    record = next(row for row in raw.values() if row["email"] and row["phone"] and row["surname"])
    answer = resolver.resolve(record)
    *steps, total = answer.explanation
    assert total["weight"] == pytest.approx(sum(step["weight"] for step in steps))
    assert answer.match_probability == pytest.approx(1 / (1 + 2 ** -total["weight"]))
    assert resolver.customer(answer.master_id)["household_id"] == answer.household_id
    assert resolver.customer("nobody") is None
    assert answer == resolver.resolve(record)


@pytest.mark.parametrize(
    "record",
    [
        {},
        dict.fromkeys(ROLES),
        dict.fromkeys(ROLES, ""),
        dict.fromkeys(ROLES, " \t "),
        {"email": "noemail@none.com", "phone": "999-999-9999", "full_name": "UNKNOWN", "postcode": "00000"},
        {"gender": "m"},
        {"surname": "\x00\x01\x02"},
    ],
    ids=["no fields", "nulls", "empty texts", "blanks", "placeholders", "gender only", "control characters"],
)
def test_nothing_is_matched_on_emptiness(resolver, record):
    """A record without anything usable is new, with probability 0."""
    answer = resolver.resolve(record)
    assert (None, True, 0.0, 0) == (answer.master_id, answer.is_new, answer.match_probability, answer.candidates)


def test_a_stranger_is_new(resolver):
    """A person nobody knows is new, even in a city and with a first name that are known."""
    answer = resolver.resolve(
        {"given_name": "Mary", "surname": "Xyzzyqwort", "email": "m.xyzzyqwort@nowhere.eu", "city": "Springfield"}
    )
    assert answer.is_new
    assert answer.match_probability < 0.5


@pytest.mark.parametrize(
    ("record", "error"),
    [
        ({"e-mail": "secret@x.org"}, ColumnError),
        ({"email": 7}, DataError),
        ({"email": ["secret"]}, DataError),
        ({"surname": "secret" * 2000}, DataError),
        ({"surname": "secret\ud800"}, DataError),
    ],
    ids=["unknown field", "number", "list", "huge", "half a surrogate"],
)
def test_bad_records_are_refused_without_repeating_them(resolver, record, error):
    """A record that cannot be read is refused with a clear error that does not repeat it."""
    with pytest.raises(error) as caught:
        resolver.resolve(record)
    assert "secret" not in str(caught.value)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(st.sampled_from(ROLES), st.text(max_size=40), max_size=6))
def test_any_text_gets_an_answer(resolver, record):
    """Whatever text comes in, the answer is a probability or an error of ours."""
    try:
        answer = resolver.resolve(record)
    except C360Error:
        return
    assert 0 <= answer.match_probability <= 1
    assert answer.is_new == (answer.master_id is None)


def test_quotes_do_not_break_out(resolver, raw):
    """Text that looks like SQL is text."""
    for text in ("'); drop table standard_records; --", "O''Brien'", "$1", "\\'", "{}", "%s"):
        assert resolver.resolve({"surname": text, "given_name": text, "full_name": text, "address": text}).is_new


def test_threads_get_the_same_answers(resolver, raw):
    """Several threads at once get what one after the other would."""
    records = list(raw.values())[:12]
    expected = [resolver.resolve(record) for record in records]
    with ThreadPoolExecutor(4) as pool:
        assert expected == list(pool.map(resolver.resolve, records))


def test_an_index_of_another_model_is_refused(lake, index):
    """An index answers only for the model it was built with."""
    other = {**read_model(lake.folder), "seed": 99}
    assert model_digest(other) != model_digest(read_model(lake.folder))
    with pytest.raises(ModelError, match="built by the model"):
        Resolver(lake.folder, model=other, index=index)


def test_a_missing_or_damaged_index_is_refused(lake, tmp_path):
    """Without a whole index there is a clear error, not an empty answer."""
    with pytest.raises(ModelError, match="must have its online index"):
        Resolver(lake.folder, index=tmp_path / "none.duckdb")
    damaged = tmp_path / "damaged.duckdb"
    damaged.write_bytes(b"not a database" * 1000)
    with pytest.raises(ModelError, match="whole DuckDB file"):
        Resolver(lake.folder, index=damaged)


def test_a_failed_build_leaves_the_old_index(small_world_copy):
    """An index is replaced whole or not at all, and a reader of the old one is not disturbed."""
    with Lakehouse(small_world_copy) as lake:
        path = build_index(lake)
        assert index_path(lake.folder, read_model(lake.folder)) == path
        before = path.read_bytes()
        with Resolver(lake.folder) as resolver:
            with pytest.raises(ModelError):
                build_index(lake, path, model={"format_version": 0})
            assert before == path.read_bytes()
            build_index(lake)
            assert resolver.resolve({}).is_new
        assert [path] == list(path.parent.iterdir())


def test_a_project_without_a_model_is_told_to_run(tmp_path):
    """Before the first run there is no model, and the error says what to do."""
    with pytest.raises(ModelError, match="c360ml run"):
        Resolver(tmp_path)


def test_every_batch_key_is_found_online(lake, index):
    """The online keys of a record hold every block key that the batch gave it, split keys of hot values included."""
    scorer = OnlineScorer(read_model(lake.folder))
    features = ", ".join(f'"{column}"' for column in RECORD_COLUMNS)
    with connect() as con:
        con.execute(f"attach '{index}' as online_index (read_only)").fetchall()
        keys = con.execute("select rid, list(block_key) from online_index.keys group by rid").fetchall()
    records = lake.sql(f"select {features} from silver.records order by record_id").to_arrow_table().to_pylist()
    split = [rule.split_key for rule in scorer.model.rules_ if rule.split_by]

    missing = [rid for rid, batch in keys[::5] if not set(batch) <= set(scorer.block_keys(records[rid - 1]))]

    assert [] == missing
    assert split
