"""Plain two-class Splink on this project's standardized records: one generic model for all files."""

from __future__ import annotations

import duckdb
import splink.comparison_library as cl
from peer import Watch, hand_back, read_job
from splink import DuckDBAPI, Linker, SettingsCreator, block_on
from splink_clusters import DEFAULT, clusters_of_grid

COMPARISONS = {
    "given_name": cl.JaroWinklerAtThresholds("given_name", [0.9, 0.8]).configure(term_frequency_adjustments=True),
    "surname": cl.JaroWinklerAtThresholds("surname", [0.92, 0.85]).configure(term_frequency_adjustments=True),
    "middle_name": cl.ExactMatch("middle_name"),
    "date_of_birth": cl.LevenshteinAtThresholds("date_of_birth", [1, 2]),
    "national_id": cl.LevenshteinAtThresholds("national_id", [1, 2]),
    "email": cl.ExactMatch("email"),
    "phone": cl.ExactMatch("phone"),
    "street": cl.LevenshteinAtThresholds("street", [2]),
    "street_number": cl.ExactMatch("street_number"),
    "postcode": cl.ExactMatch("postcode"),
    "city": cl.ExactMatch("city").configure(term_frequency_adjustments=True),
}
RULES = (
    ("national_id",),
    ("email",),
    ("phone",),
    ("given_name", "surname"),
    ("date_of_birth", "surname"),
    ("date_of_birth", "given_name"),
    ("surname", "postcode"),
    ("given_name", "postcode"),
    ("street", "street_number", "given_name"),
)


def filled_columns(con):
    counts = con.sql(f"select {', '.join(f'count(distinct {name})' for name in COMPARISONS)} from records").fetchall()
    return {name for name, count in zip(COMPARISONS, counts[0], strict=True) if count > 1}


def main():
    job = read_job()
    watch = Watch()
    con = duckdb.connect()
    con.execute(f"create table records as from '{job['standardized']}'").fetchall()
    filled = filled_columns(con)
    settings = SettingsCreator(
        link_type="dedupe_only",
        unique_id_column_name="record_id",
        comparisons=[comparison for name, comparison in COMPARISONS.items() if name in filled],
        blocking_rules_to_generate_predictions=[block_on(*rule) for rule in RULES if set(rule) <= filled],
        retain_matching_columns=False,
    )
    linker = Linker(DuckDBAPI(con).register("records"), settings, log_level=None)
    exact = [name for name in ("given_name", "surname", "date_of_birth") if name in filled]
    linker.training.estimate_probability_two_random_records_match([block_on(*exact)], recall=0.7)
    linker.training.estimate_u_using_random_sampling(max_pairs=2e6, seed=1)
    for rule in (("given_name", "surname"), ("date_of_birth",)):
        linker.training.estimate_parameters_using_expectation_maximisation(block_on(*rule))
    pairs = linker.inference.predict(threshold_match_probability=0.1, warning_mode="never")
    hand_back(job, clusters_of_grid(linker, pairs, "record_id", watch), default=DEFAULT, watch=watch)


if __name__ == "__main__":
    main()
