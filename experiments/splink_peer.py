"""Plain Splink as its users write it, for the experiments that race it: six comparisons, six blocking rules."""

from __future__ import annotations

from typing import Any


def trained(con: Any, *, random_pairs: float) -> tuple[Any, Any, Any]:
    """Train on the table `records` of a connection; gives the registered table, the linker and Splink's API."""
    import splink.comparison_library as cl
    from splink import DuckDBAPI, Linker, SettingsCreator, block_on

    settings = SettingsCreator(
        link_type="dedupe_only",
        unique_id_column_name="record_id",
        comparisons=[
            cl.JaroWinklerAtThresholds("given_name", [0.9, 0.8]).configure(term_frequency_adjustments=True),
            cl.JaroWinklerAtThresholds("surname", [0.92, 0.85]).configure(term_frequency_adjustments=True),
            cl.ExactMatch("email"),
            cl.ExactMatch("phone"),
            cl.LevenshteinAtThresholds("date_of_birth", [1, 2]),
            cl.ExactMatch("postcode").configure(term_frequency_adjustments=True),
        ],
        blocking_rules_to_generate_predictions=[
            block_on("email"),
            block_on("phone"),
            block_on("given_name", "surname", "postcode"),
            block_on("given_name", "surname", "city"),
            block_on("date_of_birth", "surname"),
            block_on("street", "street_number", "given_name"),
        ],
        retain_matching_columns=False,
    )
    api = DuckDBAPI(con)
    known = api.register("records")
    linker = Linker(known, settings, log_level=None)
    linker.training.estimate_probability_two_random_records_match([block_on("email", "given_name")], recall=0.5)
    linker.training.estimate_u_using_random_sampling(max_pairs=random_pairs, seed=1)
    linker.training.estimate_parameters_using_expectation_maximisation(block_on("email"))
    linker.training.estimate_parameters_using_expectation_maximisation(block_on("given_name", "surname"))
    return known, linker, api
