"""To Splink and back: real Splink gives the same weights, both ways, and what cannot be said is an error."""

import json
import logging

import duckdb
import numpy as np
import pandas as pd
import pytest
import splink.comparison_level_library as cll
import splink.comparison_library as cl
from couples import COUPLE_ROLES, make_couples
from splink import DuckDBAPI, Linker, SettingsCreator, block_on

from c360ml import LinkageModel, standardize_records
from c360ml.errors import ColumnError, ConfigError, ModelError
from c360ml.linkage.constraints import Constraints
from c360ml.linkage.online import OnlineScorer


@pytest.fixture(scope="module")
def couples():
    """A user's own table, its columns named as the user likes."""
    return make_couples(80, seed=2).rename(columns={"id": "Key", "given": "First Name", "zip": "plz"})


@pytest.fixture(scope="module")
def trained(couples):
    """A model that a user trained in Splink, with term frequencies, and the pairs as Splink scores them."""
    logging.getLogger("splink").setLevel(logging.ERROR)
    names = cl.CustomComparison(
        output_column_name="name of birth",
        comparison_levels=[
            cll.NullLevel("First Name"),
            cll.ExactMatchLevel("First Name").configure(tf_adjustment_column="First Name"),
            cll.JaroWinklerLevel("First Name", 0.8).configure(
                tf_adjustment_column="First Name", tf_adjustment_weight=0.5, tf_minimum_u_value=0.02
            ),
            cll.ElseLevel(),
        ],
    )
    settings = SettingsCreator(
        link_type="dedupe_only",
        unique_id_column_name="Key",
        comparisons=[
            names,
            cl.JaroWinklerAtThresholds("surname", [0.9]).configure(term_frequency_adjustments=True),
            cl.LevenshteinAtThresholds("born", [1]),
            cl.ExactMatch("plz"),
        ],
        blocking_rules_to_generate_predictions=[block_on("surname"), "l.phone = r.phone"],
        probability_two_random_records_match=0.002,
    )
    linker = Linker(DuckDBAPI(duckdb.connect()).register(couples), settings, log_level=None)
    linker.training.estimate_u_using_random_sampling(max_pairs=1e5, seed=1)
    linker.training.estimate_parameters_using_expectation_maximisation(block_on("plz"))
    linker.training.estimate_parameters_using_expectation_maximisation(block_on("First Name"))
    pairs = linker.inference.predict(threshold_match_weight=-6, warning_mode="never").as_pandas_dataframe()
    return linker.misc.save_model_to_json(), pairs


@pytest.fixture(scope="module")
def model(trained, couples):
    return LinkageModel.from_splink_settings(trained[0]).score(couples)


def test_a_model_from_splink_scores_as_splink_does(trained, model):
    """Every pair that Splink scores has the same weight here, to 1e-9, term frequencies included."""
    ours = model.predict().rename(columns={"record_id_l": "Key_l", "record_id_r": "Key_r"})
    both = trained[1].merge(ours, on=["Key_l", "Key_r"], how="left", suffixes=("_splink", "_ours"))

    assert len(both) > 100
    assert both["match_weight_ours"].notna().all()
    assert np.allclose(both["match_weight_splink"], both["match_weight_ours"], atol=1e-9, rtol=0)
    assert both["match_weight_splink"].round(6).nunique() > 50


def test_it_clusters_explains_and_evaluates(model, couples):
    """What follows scores is ours: clusters, measures, and waterfalls in the words of the file."""
    truth = pd.DataFrame({"record_id": couples["Key"], "true_id": couples["Key"].str[:6]})
    pair = model.predict().iloc[0]
    steps = model.explain(pair["record_id_l"], pair["record_id_r"])

    assert sorted(couples["Key"]) == sorted(model.cluster()["record_id"])
    assert model.evaluate(truth)["pairwise_f1"] > 0.5
    assert ["prior", "name of birth", "surname", "born", "plz", "total"] == [step["step"] for step in steps]
    assert sum(step["weight"] for step in steps[:-1]) == pytest.approx(pair["match_weight"])


def test_it_is_kept_as_json(model, couples):
    """A model from Splink survives our JSON, and gives back the file that it came from."""
    again = LinkageModel.from_dict(json.loads(json.dumps(model.to_dict())))

    assert model.to_splink_settings() == again.to_splink_settings()
    pd.testing.assert_frame_equal(model.predict(), again.score(couples).predict())


def test_a_file_on_disk_is_read(trained, tmp_path):
    """The path of a saved model does as well as its content."""
    path = tmp_path / "model.json"
    path.write_text(json.dumps(trained[0]))

    assert LinkageModel.from_splink_settings(path).to_dict() == LinkageModel.from_splink_settings(trained[0]).to_dict()


def test_a_file_of_splink_4_is_read(trained, model, couples):
    """Salting, bayes factor prefixes and rules as text, as Splink 4 wrote them, change no score."""
    older = json.loads(json.dumps(trained[0])) | {"bayes_factor_column_prefix": "bf_", "sql_dialect": "duckdb"}
    rules = older["blocking_rules_to_generate_predictions"]
    older["blocking_rules_to_generate_predictions"] = [
        {**rules[0], "salting_partitions": 4, "sql_dialect": "duckdb"},
        rules[1]["blocking_rule"],
    ]

    pd.testing.assert_frame_equal(model.predict(), LinkageModel.from_splink_settings(older).score(couples).predict())


def test_numbers_as_ids_keep_splinks_sides(trained, couples):
    """Ids are ordered as numbers where they are numbers, so that the two sides of a pair are Splink's."""
    numbered = couples.assign(Key=range(1, len(couples) + 1))
    pairs = LinkageModel.from_splink_settings(trained[0]).score(numbered).predict()

    assert (pairs["record_id_l"].astype(int) < pairs["record_id_r"].astype(int)).all()


def test_splink_scores_our_model_as_we_do():
    """A two-class model of ours, handed to real Splink as JSON, gives the same weights on the same table."""
    con = duckdb.connect()
    records = standardize_records(make_couples(50, seed=2), id="id", columns=COUPLE_ROLES)
    ours = LinkageModel(classes="two").fit(records, con=con)
    settings = json.loads(json.dumps(ours.to_splink_settings()))
    linker = Linker(DuckDBAPI(con).register("linkage_features"), settings, log_level=None)
    theirs = linker.inference.predict(threshold_match_weight=-6, warning_mode="never").as_pandas_dataframe()
    names = con.sql("select rid, record_id from linkage_features").df().set_index("rid")["record_id"]
    theirs = theirs.assign(record_id_l=theirs["rid_l"].map(names), record_id_r=theirs["rid_r"].map(names))
    both = theirs.merge(ours.predict(), on=["record_id_l", "record_id_r"], how="left", suffixes=("_splink", "_ours"))

    assert len(both) > 100
    assert np.allclose(both["match_weight_splink"], both["match_weight_ours"], atol=1e-9, rtol=0)


def test_our_own_file_comes_back_as_our_model():
    """What we wrote for Splink is read as a plain model on standardized records, which can score single ones."""
    records = standardize_records(make_couples(50, seed=2), id="id", columns=COUPLE_ROLES)
    ours = LinkageModel(classes="two").fit(records)
    back = LinkageModel.from_splink_settings(json.loads(json.dumps(ours.to_splink_settings())))
    weights = back.score(records).predict()["match_weight"]

    assert type(back) is LinkageModel
    assert np.allclose(ours.predict()["match_weight"], weights, atol=1e-9, rtol=0)
    OnlineScorer(back.to_dict())


def test_latent_classes_cannot_be_said_in_splink():
    """A model with households is refused, with the model that could be written."""
    records = standardize_records(make_couples(40, seed=2), id="id", columns=COUPLE_ROLES)

    with pytest.raises(ConfigError, match='classes="two"'):
        LinkageModel().fit(records).to_splink_settings()


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"link_type": "link_only"}, "link_type dedupe_only"),
        ({"sql_dialect": "spark"}, "sql_dialect 'spark'"),
        ({"comparisons": []}, "comparisons"),
        ({"comparisons": [{"comparison_levels": 1}]}, "settings dictionary"),
        ({"no_such_setting": 1}, "no_such_setting"),
    ],
)
def test_what_is_not_supported_is_named(trained, change, named):
    """A Splink model that cannot be run as it is says which part of it cannot."""
    with pytest.raises(ModelError, match=named):
        LinkageModel.from_splink_settings({**trained[0], **change})


def test_a_comparison_without_else_is_refused(trained):
    """A pair that no level takes would have no weight, so each comparison must end with ELSE."""
    content = json.loads(json.dumps(trained[0]))
    content["comparisons"][0]["comparison_levels"].pop()

    with pytest.raises(ModelError, match="ELSE"):
        LinkageModel.from_splink_settings(content)


def test_untrained_levels_are_warned_of(trained):
    """A level without m or u is scored by Splink's default, and the report says so."""
    content = json.loads(json.dumps(trained[0]))
    del content["comparisons"][3]["comparison_levels"][1]["m_probability"]
    report = LinkageModel.from_splink_settings(content).fit_report()

    assert "warning" == report[0]["severity"]
    assert "plz 'Exact match on plz'" in report[0]["finding"]


def test_a_table_of_other_columns_is_refused(trained, couples):
    """A table without a column of the model, or whose names collide with ours, is refused by name."""
    model = LinkageModel.from_splink_settings(trained[0])
    with pytest.raises(ColumnError, match="born"):
        model.score(couples.drop(columns="born"))
    with pytest.raises(ColumnError, match="rid"):
        model.score(couples.assign(rid=1))
    with pytest.raises(ColumnError, match="Key"):
        model.score(pd.concat([couples, couples.head(1)]))


def test_it_is_not_trained_again_nor_served_singly(trained, couples):
    """A model from Splink over columns of its own is not fitted here, and does not score single records."""
    model = LinkageModel.from_splink_settings(trained[0])
    with pytest.raises(ConfigError, match="trained"):
        model.fit(couples)
    with pytest.raises(ModelError, match="standardized columns"):
        OnlineScorer(model.to_dict())


def test_reviewers_decisions_hold_for_it_too(trained, couples):
    """Constraints work on a model from Splink as on any: a pair that reviewers parted stays apart."""
    model = LinkageModel.from_splink_settings(trained[0]).score(couples)
    clusters = model.cluster().groupby("cluster_id")["record_id"].apply(sorted)
    first, second = next(members for members in clusters if len(members) == 2)
    model.constraints = Constraints(
        reviewed_pairs=pd.DataFrame({"record_id_l": [first], "record_id_r": [second], "decision": ["non-match"]})
    )
    parted = model.score(couples).cluster().set_index("record_id")["cluster_id"]

    assert parted[first] != parted[second]
