"""One record is blocked, compared, weighed and explained as the batch does, without DuckDB."""

import re

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from c360ml import tables
from c360ml.errors import ModelError
from c360ml.lakehouse import Lakehouse, connect
from c360ml.linkage.blocking import add_block_keys
from c360ml.linkage.blocking_parts import PARTS, BlockingRule
from c360ml.linkage.comparisons import (
    DATE_OF_BIRTH,
    EMAIL,
    FULL_NAME,
    GENDER,
    GIVEN_NAME,
    MIDDLE_NAME,
    NATIONAL_ID,
    PHONE,
    PLACE,
    STREET,
    SUFFIX,
    SURNAME,
)
from c360ml.linkage.explanation import waterfall
from c360ml.linkage.features import DERIVED_LISTS, NAMED_FEATURES, build_features
from c360ml.linkage.online import OnlineScorer, _digit, _md5_number_lower, index_keys_sql, stored_columns
from c360ml.linkage.recalibration import RecalibratedClasses, Recalibration
from c360ml.linkage.splink_engine import SplinkEngine
from c360ml.linkage.step import MODEL_FILE
from c360ml.linkage.tabled_classes import TabledClasses
from c360ml.row_sql import compile_expressions, compile_pairs

ALL = (
    GIVEN_NAME, SURNAME, FULL_NAME, MIDDLE_NAME, SUFFIX, DATE_OF_BIRTH, NATIONAL_ID, EMAIL, PHONE, STREET, PLACE,
    GENDER,
)  # fmt: skip


class Batch:
    """The small world's features, candidate pairs and their patterns as the batch has them."""

    def __init__(self, folder):
        with Lakehouse(folder) as lake:
            lake.open(tables.RECORDS)
            self.content = lake.read_json(MODEL_FILE)
            records = lake.sql(f"from {tables.RECORDS.path}").to_arrow_table()
        self.scorer = OnlineScorer(self.content)
        self.con = connect()
        self.con.register("people", records)
        build_features(self.con, "people")
        add_block_keys(self.con, self.scorer.model.blocking_)
        self.records = self.rows("from linkage_features")

    def rows(self, query):
        found = self.con.sql(query).to_arrow_table().to_pylist()
        return {row["rid"]: row for row in found}

    def patterns(self, comparisons):
        """Candidate pairs with their digits."""
        engine = SplinkEngine(self.con, "linkage_features", comparisons, self.scorer.model.rules_)
        engine.compare(engine.block(), "compared")
        found = self.con.execute("select rid_l, rid_r, pattern from compared order by rid_l, rid_r").fetchnumpy()
        return found["rid_l"].tolist(), found["rid_r"].tolist(), engine.digits(found["pattern"])


@pytest.fixture(scope="module")
def batch(small_world_project):
    """What the batch says."""
    batch = Batch(small_world_project)
    yield batch
    batch.con.close()


def compared(scorer, batch, lefts, rights):
    """Digits of each pair, the right record as the new one among all its candidates."""
    digits = {}
    candidates = {}
    for left, right in zip(lefts, rights, strict=True):
        candidates.setdefault(right, []).append(left)
    for right, known in candidates.items():
        stored = [tuple(batch.records[rid][column] for column in scorer.columns) for rid in known]
        for rid, found in zip(known, scorer.digits(batch.records[right], stored), strict=True):
            digits[rid, right] = found.tolist()
    return [digits[pair] for pair in zip(lefts, rights, strict=True)]


def test_patterns_of_all_candidate_pairs_are_the_batchs(batch):
    """Every candidate pair has online the digits that Splink's SQL gives it, whichever record is the new one."""
    lefts, rights, expected = batch.patterns(batch.scorer.model.comparisons_)
    assert len(lefts) > 1000
    assert expected.tolist() == compared(batch.scorer, batch, lefts, rights)
    assert expected.tolist() == compared(batch.scorer, batch, rights, lefts)


def test_weights_and_explanations_are_the_batchs(batch):
    """Weights of all candidate pairs are the batch's to 1e-9, and so is every step of an explanation."""
    _, _, digits = batch.patterns(batch.scorer.model.comparisons_)
    exact = batch.scorer.model.scorer_
    assert np.abs(exact.match_weights(digits) - batch.scorer.match_weights(digits)).max() < 1e-9
    for pattern in np.unique(digits, axis=0)[::25]:
        expected = waterfall(exact, batch.scorer.model.comparisons_, pattern)
        for step, online in zip(expected, batch.scorer.explain(pattern), strict=True):
            assert step == {name: pytest.approx(value, abs=1e-9) for name, value in online.items()}


def test_tabled_classes_are_their_classes(batch):
    """Classes in a table give the same odds and shares, near a linked neighbour and not, recalibrated and not."""
    _, _, digits = batch.patterns(batch.scorer.model.comparisons_)
    digits = np.vstack([np.unique(digits, axis=0), np.full((1, digits.shape[1]), -1)])
    near = np.arange(len(digits)) % 2 == 0
    classes = batch.scorer.model.scorer_.classes
    weights = np.linspace(-9, 9, 400)
    learnt = Recalibration().fit(weights, weights + 3 * np.sin(np.arange(400)) > 2)
    for recalibration in (Recalibration.identity(), learnt):
        plain, tabled = (RecalibratedClasses(each, recalibration) for each in (classes, TabledClasses(classes)))
        assert np.allclose(plain.match_weights(digits, near), tabled.match_weights(digits, near), atol=1e-9, rtol=0)
        assert np.allclose(plain.class_probabilities(digits, near), tabled.class_probabilities(digits, near), atol=1e-9)


def test_index_keys_are_found_by_the_record_itself(batch):
    """What a record is stored under is among the keys that it asks for, and both are the rule's text in MD5."""
    rules = batch.scorer.model.rules_
    keys = ", ".join(f"{sql} as key_{place}" for place, sql in enumerate(index_keys_sql(rules)))
    blocked = ", ".join(f"{rule.column} as blocked_{place}" for place, rule in enumerate(rules))
    stored = batch.rows(f"select rid, {keys}, {blocked} from linkage_features")
    for rid, row in stored.items():
        found = [row[f"key_{place}"] for place in range(len(rules))]
        assert [row[f"blocked_{place}"] is None for place in range(len(rules))] == [key is None for key in found]
        assert {key for key in found if key is not None} <= set(batch.scorer.block_keys(batch.records[rid]))
    texts = [(rule.name, rule.text) for rule in rules]
    texts += [(f"{rule.name} by {rule.split_by}", rule.split_text) for rule in rules if rule.split_by]
    listed = ", ".join(f"md5_number_lower('{label}|' || {text})" for label, text in texts)
    expected = batch.rows(f"select rid, [{listed}] as keys from linkage_features")
    for rid, row in batch.records.items():
        assert sorted({key for key in expected[rid]["keys"] if key is not None}) == batch.scorer.block_keys(row)


def test_records_share_an_index_key_where_they_share_a_block_key(batch):
    """Two records are candidates by the index if, and only if, they are by the batch's hashes."""
    for rule, key in zip(batch.scorer.model.rules_, index_keys_sql(batch.scorer.model.rules_), strict=True):
        groups = (
            "select list_sort(list(rid)) as rids from linkage_features where {0} is not null group by {0} order by 1"
        )
        by_hash, by_text = (batch.con.execute(groups.format(f"({each})")).fetchall() for each in (rule.column, key))
        assert by_hash == by_text


@settings(max_examples=10, deadline=None)
@given(st.lists(st.text().map(lambda text: text.encode("utf-8", "ignore").decode()), max_size=50))
def test_md5_is_duckdbs(batch, texts):
    """The number of a text's MD5 is the one that DuckDB computes."""
    expected = batch.con.execute("select list_transform($1::varchar[], lambda t: md5_number_lower(t))", [texts])
    assert expected.fetchall()[0][0] == [_md5_number_lower(text) for text in texts]


VALUES = st.lists(st.sampled_from([*"ab1 é\r\n@", "ann", "lee", " ", "19", "-"]), min_size=1, max_size=6).map("".join)
PEOPLE = st.fixed_dictionaries({column: st.none() | VALUES for column in NAMED_FEATURES})
_COUNTS = [f"{column}_rarity" for column in ("full_name", "given_name", "surname", "postcode", "city")]
_COUNTS += ["email_names", "phone_names", "street_names"]
COUNTED = st.fixed_dictionaries({column: st.integers(0, 5) for column in _COUNTS})


@settings(max_examples=15, deadline=None)
@given(st.lists(st.tuples(PEOPLE, COUNTED), min_size=2, max_size=12))
def test_every_comparison_is_duckdbs(batch, people):
    """Every comparison gives any two records, odd or missing values and all, the digit of its SQL."""
    rows = [{"rid": rid, **values, **counted} for rid, (values, counted) in enumerate(people)]
    batch.con.register("odd_people", pa.Table.from_pylist(rows, schema=_schema(rows)))
    lists = ", ".join(f"{sql} as {name}" for name, (_, sql) in DERIVED_LISTS.items())
    digits = [_digit(comparison) for comparison in ALL]
    expected = batch.con.execute(f"""
        with featured as (select *, {lists} from odd_people)
        select {", ".join(digits)} from featured l, featured r order by r.rid, l.rid
    """).fetchall()
    columns = stored_columns(ALL)
    named = [column for column in columns if column in NAMED_FEATURES]
    compare = compile_pairs(digits, columns, named, DERIVED_LISTS)
    stored = [tuple(row[column] for column in columns) for row in rows]
    assert expected == [found for row in rows for found in compare(stored, *(row[column] for column in named))]


def _schema(rows):
    return pa.schema([(name, pa.string() if name in NAMED_FEATURES else pa.int64()) for name in rows[0]])


def test_every_part_of_a_key_is_duckdbs(batch):
    """Every part that a rule can be made of is the same text online, also where the model does not use it."""
    names = list(PARTS)
    expected = batch.rows(
        f"select rid, [{', '.join(f'({PARTS[name].sql})' for name in names)}] as p from linkage_features"
    )
    columns = sorted({column for name in names for column in _columns(name)})
    ours = compile_expressions([PARTS[name].sql for name in names], columns)
    for rid, row in batch.records.items():
        assert expected[rid]["p"] == list(ours(*(row[column] for column in columns)))


def _columns(name):
    return set(re.findall(r"\b(?:full_name|given_name\w*|surname\w*|middle_name|date_of_birth|postcode|city|street\w*|"
                          r"email|phone|national_id)\b", PARTS[name].sql))  # fmt: skip


def test_nobody_has_no_key_and_no_candidate(batch):
    """A record of nothing has no block key, and against no candidates there are no patterns."""
    assert [] == batch.scorer.block_keys({})
    assert (0, len(batch.scorer.model.comparisons_)) == batch.scorer.digits({}, []).shape


def test_damaged_models_are_refused():
    """A model of Splink over columns of its own cannot score single records."""
    with pytest.raises(ModelError):
        OnlineScorer({"splink_settings": {}})


def test_split_rules_have_two_texts():
    """A rule's text is its parts; that of its split key has the part it is split by, too."""
    rule = BlockingRule(("email", "city"), "birth_year")
    assert ("(email) || '|' || (city)", "(email) || '|' || (city) || '|' || (date_of_birth[1:4])") == (
        rule.text,
        rule.split_text,
    )
    assert "null::varchar" == BlockingRule(("email",)).split_text
