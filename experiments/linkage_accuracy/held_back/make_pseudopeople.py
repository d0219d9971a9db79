"""Write a simulated town under a seed and noise of its own: python make_pseudopeople.py FOLDER.

The population is the sample that the pseudopeople package ships; every error of a cell is two and a half times as
likely as by default (the development files have once and five times), under another seed.
"""

import sys
from pathlib import Path

import pandas as pd
import pseudopeople

SEED = 20261
NOISE = 2.5
SURVEYS = (
    ("census_2020", pseudopeople.generate_decennial_census, {"year": 2020}),
    ("census_2030", pseudopeople.generate_decennial_census, {"year": 2030}),
    ("acs", pseudopeople.generate_american_community_survey, {"year": None}),
    ("cps", pseudopeople.generate_current_population_survey, {"year": None}),
    ("wic_2020", pseudopeople.generate_women_infants_and_children, {"year": 2020}),
    ("w2_2020", pseudopeople.generate_taxes_w2_and_1099, {"year": 2020}),
    ("w2_2025", pseudopeople.generate_taxes_w2_and_1099, {"year": 2025}),
    ("tax1040_2020", pseudopeople.generate_taxes_1040, {"year": 2020}),
    ("ssa", pseudopeople.generate_social_security, {"year": 2020}),
)
NAMES = {
    "middle_initial": "middle",
    "middle_name": "middle",
    "date_of_birth": "dob",
    "street_number": "street_number",
    "mailing_address_street_number": "street_number",
    "mailing_address_street_name": "street_name",
    "unit_number": "unit",
    "mailing_address_unit_number": "unit",
    "mailing_address_city": "city",
    "mailing_address_state": "state",
    "zipcode": "zip",
    "mailing_address_zipcode": "zip",
}
COLUMNS = [
    *("simulant_id", "source", "first_name", "middle", "last_name", "dob", "ssn", "sex"),
    *("street_number", "street_name", "unit", "city", "state", "zip"),
]


def noisier(content):
    """The default configuration with every cell's probability of noise multiplied."""
    if not isinstance(content, dict):
        return content
    return {
        key: min(1.0, value * NOISE) if key == "cell_probability" and isinstance(value, float) else noisier(value)
        for key, value in content.items()
    }


def main():
    noise = {
        dataset: {"column_noise": noisier(kinds["column_noise"])}
        for dataset, kinds in pseudopeople.get_config().items()
        if "column_noise" in kinds
    }
    tables = []
    for source, generate, options in SURVEYS:
        table = generate(seed=SEED, config=noise, **options).rename(columns=NAMES)
        tables.append(table.assign(source=source).reindex(columns=COLUMNS).astype("string"))
    people = pd.concat(tables, ignore_index=True)
    people.insert(0, "rec_id", [f"held-back-{number:06d}" for number in range(len(people))])
    people.to_parquet(Path(sys.argv[1]) / "pseudopeople_held_back.parquet", index=False)


if __name__ == "__main__":
    main()
