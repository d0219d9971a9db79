"""Splink with the settings that Splink's own documentation publishes for each file.

Where each comes from, in Splink's documentation: `historical` examples/duckdb/deduplicate_50k_synthetic; `febrl`
examples/duckdb/febrl3; `febrl4` the detailed model of examples/duckdb/febrl4; `fake_1000` tutorials 03 to 05;
`pseudopeople` examples/duckdb_no_test/pseudopeople-acs, turned from two surveys to seven sources: its three rules on
age and race are left out (the file has neither column), the prior comes from the deterministic rules of the febrl4
example it is adapted from, and so does a comparison of the social security number, which the surveys lack. Files
without a demo get the tutorial's model. Seeds are added where the demos have none, so that a rerun agrees.
"""

from __future__ import annotations

from dataclasses import dataclass

import duckdb
import splink.comparison_library as cl
from peer import Watch, hand_back, read_job
from splink import ColumnExpression, DuckDBAPI, Linker, SettingsCreator, block_on
from splink_clusters import DEFAULT, clusters_of_grid


@dataclass
class Demo:
    """One published model: what it compares, blocks on and learns from."""

    comparisons: list
    rules: list
    prior_rules: list
    recall: float
    max_pairs: float
    em_rules: list
    select: str = "*"
    without_term_frequencies: bool = False


def historical():
    return Demo(
        select="*, first_name || ' ' || surname as first_name_surname_concat",
        comparisons=[
            cl.ForenameSurnameComparison(
                "first_name", "surname", forename_surname_concat_col_name="first_name_surname_concat"
            ),
            cl.DateOfBirthComparison("dob", input_is_string=True),
            cl.PostcodeComparison("postcode_fake"),
            cl.ExactMatch("birth_place").configure(term_frequency_adjustments=True),
            cl.ExactMatch("occupation").configure(term_frequency_adjustments=True),
        ],
        rules=[
            block_on("substr(first_name,1,3)", "substr(surname,1,4)"),
            block_on("surname", "dob"),
            block_on("first_name", "dob"),
            block_on("postcode_fake", "first_name"),
            block_on("postcode_fake", "surname"),
            block_on("dob", "birth_place"),
            block_on("substr(postcode_fake,1,3)", "dob"),
            block_on("substr(postcode_fake,1,3)", "first_name"),
            block_on("substr(postcode_fake,1,3)", "surname"),
            block_on("substr(first_name,1,2)", "substr(surname,1,2)", "substr(dob,1,4)"),
        ],
        prior_rules=[
            block_on("first_name", "surname", "dob"),
            block_on("substr(first_name,1,2)", "surname", "substr(postcode_fake,1,2)"),
            block_on("dob", "postcode_fake"),
        ],
        recall=0.6,
        max_pairs=1e7,
        em_rules=[block_on("first_name", "surname"), block_on("dob")],
        without_term_frequencies=True,
    )


def febrl():
    return Demo(
        comparisons=[
            cl.NameComparison("given_name"),
            cl.NameComparison("surname"),
            cl.DateOfBirthComparison("date_of_birth", input_is_string=True, datetime_format="%Y%m%d"),
            cl.DamerauLevenshteinAtThresholds("soc_sec_id", [2]),
            cl.ExactMatch("street_number").configure(term_frequency_adjustments=True),
            cl.ExactMatch("postcode").configure(term_frequency_adjustments=True),
        ],
        rules=[block_on(name) for name in ("soc_sec_id", "given_name", "surname", "date_of_birth", "postcode")],
        prior_rules=[
            block_on("soc_sec_id"),
            block_on("given_name", "surname", "date_of_birth"),
            "l.given_name = r.surname and l.surname = r.given_name and l.date_of_birth = r.date_of_birth",
        ],
        recall=0.9,
        max_pairs=1e6,
        em_rules=[block_on("date_of_birth"), block_on("postcode")],
    )


def febrl4():
    return Demo(
        comparisons=[
            cl.NameComparison("given_name").configure(term_frequency_adjustments=True),
            cl.NameComparison("surname").configure(term_frequency_adjustments=True),
            cl.DateOfBirthComparison(
                "date_of_birth", input_is_string=True, datetime_format="%Y%m%d", invalid_dates_as_null=True
            ),
            cl.DamerauLevenshteinAtThresholds("soc_sec_id", [1, 2]),
            cl.ExactMatch("street_number").configure(term_frequency_adjustments=True),
            cl.DamerauLevenshteinAtThresholds("postcode", [1, 2]).configure(term_frequency_adjustments=True),
        ],
        rules=[
            block_on("given_name", "surname"),
            "l.given_name = r.surname and l.surname = r.given_name",
            block_on("date_of_birth"),
            block_on("soc_sec_id"),
            block_on("state", "address_1"),
            block_on("street_number", "address_1"),
            block_on("postcode"),
        ],
        prior_rules=[block_on("soc_sec_id"), block_on("given_name", "surname", "date_of_birth")],
        recall=0.8,
        max_pairs=1e6,
        em_rules=[block_on("date_of_birth"), block_on("postcode")],
        without_term_frequencies=True,
    )


def fake_1000():
    return Demo(
        comparisons=[
            cl.NameComparison("first_name"),
            cl.NameComparison("surname"),
            cl.LevenshteinAtThresholds(ColumnExpression("dob").cast_to_string(), 1),
            cl.ExactMatch("city").configure(term_frequency_adjustments=True),
            cl.EmailComparison("email"),
        ],
        rules=[block_on("first_name", "city"), block_on("surname"), block_on("dob")],
        prior_rules=[
            block_on("first_name", "dob"),
            "l.first_name = r.first_name and levenshtein(r.surname, l.surname) <= 2",
            block_on("email"),
        ],
        recall=0.7,
        max_pairs=2e6,
        em_rules=[block_on("first_name", "surname"), block_on("dob")],
    )


def pseudopeople():
    address = "street_number || ' ' || street_name || ' ' || city || ' ' || state || ' ' || zip"
    return Demo(
        select=f"*, left(middle, 1) as middle_initial, trim({address} || ' ' || coalesce(unit, '')) as address",
        comparisons=[
            cl.NameComparison("first_name", jaro_winkler_thresholds=[0.9]).configure(term_frequency_adjustments=True),
            cl.ExactMatch("middle_initial").configure(term_frequency_adjustments=True),
            cl.NameComparison("last_name", jaro_winkler_thresholds=[0.9]).configure(term_frequency_adjustments=True),
            cl.DamerauLevenshteinAtThresholds("dob", distance_threshold_or_thresholds=[1]),
            cl.DamerauLevenshteinAtThresholds("address").configure(term_frequency_adjustments=True),
            cl.ExactMatch("sex"),
            cl.DamerauLevenshteinAtThresholds("ssn", [1, 2]),
        ],
        rules=[block_on(name) for name in ("first_name", "last_name", "dob", "street_name", "street_number", "ssn")],
        prior_rules=[block_on("ssn"), block_on("first_name", "last_name", "dob")],
        recall=0.8,
        max_pairs=1e6,
        em_rules=[block_on("dob"), block_on("last_name")],
        without_term_frequencies=True,
    )


def tutorial_on_roles():
    demo = fake_1000()
    demo.select = "*, given_name as first_name, date_of_birth as dob"
    return demo


DEMOS = {demo.__name__: demo for demo in (historical, febrl, febrl4, fake_1000, pseudopeople, tutorial_on_roles)}


def open_records(con, job, select):
    """Register the records: one table, or one for each source where sources are linked."""
    if not job["two_sources"]:
        con.execute(f"create table people as select {select} from '{job['records']}'").fetchall()
        return "dedupe_only", ["people"]
    sources = [source for (source,) in con.sql(f"select distinct source from '{job['records']}' order by 1").fetchall()]
    for source in sources:
        con.execute(
            f"create table people_{source} as select * exclude (source) "
            f"from (select {select} from '{job['records']}') where source = '{source}'"
        ).fetchall()
    return "link_only", [f"people_{source}" for source in sources]


def main():
    job = read_job()
    demo = DEMOS[job["splink_demo"]]()
    watch = Watch()
    con = duckdb.connect()
    link_type, tables = open_records(con, job, demo.select)
    settings = SettingsCreator(
        unique_id_column_name="record_id",
        link_type=link_type,
        comparisons=demo.comparisons,
        blocking_rules_to_generate_predictions=demo.rules,
    )
    api = DuckDBAPI(con)
    registered = [api.register(table) for table in tables]
    linker = Linker(registered if len(registered) > 1 else registered[0], settings, log_level=None)
    linker.training.estimate_probability_two_random_records_match(demo.prior_rules, recall=demo.recall)
    linker.training.estimate_u_using_random_sampling(max_pairs=demo.max_pairs, seed=1)
    for rule in demo.em_rules:
        linker.training.estimate_parameters_using_expectation_maximisation(
            rule, estimate_without_term_frequencies=demo.without_term_frequencies
        )
    pairs = linker.inference.predict(threshold_match_probability=0.1, warning_mode="never")
    hand_back(job, clusters_of_grid(linker, pairs, "record_id", watch), default=DEFAULT, watch=watch)


if __name__ == "__main__":
    main()
