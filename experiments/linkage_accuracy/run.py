"""How right are the clusters at the default settings? Our figures beside Splink's, one evaluator, one run.

python experiments/linkage_accuracy/run.py [--data DIR] [--files historical_50k,febrl3,...]
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import duckdb
import pyarrow as pa
import splink.comparison_library as cl
from splink import DuckDBAPI, Linker, SettingsCreator, block_on

from c360ml import LinkageModel, evaluate_clusters, standardize_records

ADDRESS = {"street_number": "street_number", "city": "city", "state": "state"}
PSEUDOPEOPLE = {
    **ADDRESS,
    "given_name": "first_name",
    "middle_name": "middle",
    "surname": "last_name",
    "date_of_birth": "dob",
    "street": "street_name",
    "unit": "unit",
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
FILES = {
    "historical_50k": (
        "historical_figures_with_errors_50k.parquet",
        "unique_id",
        "cluster",
        {
            "full_name": "full_name",
            "given_name": "first_name",
            "surname": "surname",
            "date_of_birth": "dob",
            "city": "birth_place",
            "postcode": "postcode_fake",
            "gender": "gender",
            "attribute:occupation": "occupation",
        },
        "Splink B3 .856 at .95 (.863 best), cluster F1 .828; GoldenMatch .842",
    ),
    "febrl3": (
        "febrl3.csv",
        "rec_id",
        "split_part(rec_id, '-', 2)",
        FEBRL,
        "Splink cluster F1 .9938 at .95 (.9972 best)",
    ),
    "fake_1000": (
        "fake_1000.csv",
        "unique_id",
        "cluster",
        {"given_name": "first_name", "surname": "surname", "date_of_birth": "dob", "city": "city", "email": "email"},
        "Splink B3 .689 at .95 (.717 best)",
    ),
    "pseudopeople_default": (
        "pseudopeople_default_dev.parquet",
        "record_id",
        "simulant_id",
        PSEUDOPEOPLE,
        "Splink B3 .762, cluster F1 .479 at .95",
    ),
    "pseudopeople_noisy": (
        "pseudopeople_noisy_dev.parquet",
        "record_id",
        "simulant_id",
        PSEUDOPEOPLE,
        "Splink B3 .752, cluster F1 .121 at .95",
    ),
}


SPLINK_COMPARISONS = {
    "given_name": cl.JaroWinklerAtThresholds("given_name", [0.9, 0.8]).configure(term_frequency_adjustments=True),
    "surname": cl.JaroWinklerAtThresholds("surname", [0.92, 0.85]).configure(term_frequency_adjustments=True),
    "middle_name": cl.ExactMatch("middle_name"),
    "date_of_birth": cl.LevenshteinAtThresholds("date_of_birth", [1, 2]),
    "national_id": cl.LevenshteinAtThresholds("national_id", [1, 2]),
    "email": cl.ExactMatch("email"),
    "street": cl.LevenshteinAtThresholds("street", [2]),
    "street_number": cl.ExactMatch("street_number"),
    "postcode": cl.ExactMatch("postcode"),
    "city": cl.ExactMatch("city").configure(term_frequency_adjustments=True),
}
SPLINK_RULES = (
    ("national_id",),
    ("email",),
    ("given_name", "surname"),
    ("date_of_birth", "surname"),
    ("date_of_birth", "given_name"),
    ("surname", "postcode"),
    ("given_name", "postcode"),
    ("street", "street_number", "given_name"),
)


def splink_clusters(records: pa.Table) -> pa.Table:
    """Plain two-class Splink on the same standardized records: generic comparisons, EM, components at .95."""
    filled = {name for name in SPLINK_COMPARISONS if len(records[name].drop_null().unique()) > 1}
    con = duckdb.connect()
    con.register("given", records)
    con.execute("create table records as from given").fetchall()
    rules = [block_on(*rule) for rule in SPLINK_RULES if set(rule) <= filled]
    settings = SettingsCreator(
        link_type="dedupe_only",
        unique_id_column_name="record_id",
        comparisons=[comparison for name, comparison in SPLINK_COMPARISONS.items() if name in filled],
        blocking_rules_to_generate_predictions=rules,
        retain_matching_columns=False,
    )
    linker = Linker(DuckDBAPI(con).register("records"), settings, log_level=None)
    linker.training.estimate_probability_two_random_records_match(
        [block_on("given_name", "surname", "date_of_birth")], recall=0.7
    )
    linker.training.estimate_u_using_random_sampling(max_pairs=2e6, seed=1)
    for rule in (("given_name", "surname"), ("date_of_birth",)):
        linker.training.estimate_parameters_using_expectation_maximisation(block_on(*rule))
    pairs = linker.inference.predict(threshold_match_probability=0.01, warning_mode="never")
    clusters = linker.clustering.cluster_pairwise_predictions_at_threshold(pairs, threshold_match_probability=0.95)
    return con.sql(f"select record_id, cluster_id from {clusters.physical_name}").to_arrow_table()


def measure(folder: Path, name: str) -> str:
    file, key, truth, roles, peer = FILES[name]
    con = duckdb.connect()
    reader = f"read_csv('{folder / file}', all_varchar = true)" if file.endswith(".csv") else f"'{folder / file}'"
    people = con.sql(f"from {reader}")
    people = people.project(
        ", ".join(f'"{column}" as "{column.strip()}"' for column in people.columns)
    ).to_arrow_table()
    true_ids = con.sql(f"select trim({key}) as record_id, {truth} as true_id from people").to_arrow_table()
    started = time.perf_counter()
    records = standardize_records(people, id=key, columns=roles)
    model = LinkageModel().fit(records)
    measures = model.evaluate(true_ids)
    seconds = time.perf_counter() - started
    theirs = evaluate_clusters(splink_clusters(records), true_ids)
    return (
        f"| {name} | {measures['records']:,} | {measures['b3_precision']:.4f} / {measures['b3_recall']:.4f} / "
        f"**{measures['b3_f1']:.4f}** | {measures['pairwise_precision']:.4f} / {measures['pairwise_recall']:.4f} / "
        f"**{measures['pairwise_f1']:.4f}** | {measures['blocking_recall']:.4f} | {measures['calibration_error']:.4f} "
        f"| {seconds:.1f} | {theirs['b3_f1']:.4f} / {theirs['pairwise_f1']:.4f} | {peer} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data/people"))
    parser.add_argument("--files", default=",".join(FILES))
    arguments = parser.parse_args()
    print(
        "| file | records | B-cubed P / R / F1 | pairwise P / R / F1  | blocking recall | ECE | s "
        "| plain Splink here, B3 / pairwise F1 | reference |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    for name in arguments.files.split(","):
        print(measure(arguments.data, name), flush=True)


if __name__ == "__main__":
    main()
