"""How right are the clusters at the default settings? Our figures beside Splink's, one evaluator, one run.

python experiments/linkage_accuracy/run.py [--data DIR] [--files historical_50k,febrl3,...]
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import duckdb

from c360ml import LinkageModel, standardize_records

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
    return (
        f"| {name} | {measures['records']:,} | {measures['b3_precision']:.4f} / {measures['b3_recall']:.4f} / "
        f"**{measures['b3_f1']:.4f}** | {measures['pairwise_precision']:.4f} / {measures['pairwise_recall']:.4f} / "
        f"**{measures['pairwise_f1']:.4f}** | {measures['blocking_recall']:.4f} | {measures['calibration_error']:.4f} "
        f"| {seconds:.1f} | {peer} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data/people"))
    parser.add_argument("--files", default=",".join(FILES))
    arguments = parser.parse_args()
    print("| file | records | B-cubed P / R / F1 | pairwise P / R / F1 | blocking recall | ECE | s | peers |")
    print("|---|---|---|---|---|---|---|---|")
    for name in arguments.files.split(","):
        print(measure(arguments.data, name), flush=True)


if __name__ == "__main__":
    main()
