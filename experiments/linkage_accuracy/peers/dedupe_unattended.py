"""dedupe, whose questions are answered from the truth: it cannot learn without labels, and nobody sits at the keys.

The loop is the one of its documentation (`uncertain_pairs`, `mark_pairs`, `train`, `partition`); 100 answers, all of
them right, are more and better than its examples ask of a person. No other system here is given any. It gets the five
fields that say most, about as many as its examples have: with `has_missing` each field adds a rule that pairs all
records which have it, 12 million pairs in its sample of 5,000, and with ten fields these take more than 12 GB.
"""

from __future__ import annotations

import random

import dedupe
import numpy as np
import pyarrow.parquet as pq
from peer import Watch, hand_back, read_job

QUESTIONS = 100
FIELDS = ("given_name", "surname", "date_of_birth", "national_id", "email", "phone", "street", "postcode", "city")
MOST_FIELDS = 5
LONG = {"given_name", "surname", "street"}


def read_people(job):
    """Records by id: lower case, null for nothing, as in dedupe's examples."""
    columns = job["columns"].values()
    rows = pq.read_table(job["records"]).to_pylist()
    return {
        row["record_id"]: {
            "record_id": row["record_id"],
            "source": row["source"],
            **{column: row[column] and row[column].lower() for column in columns},
        }
        for row in rows
    }


def variables(columns):
    chosen = [role for role in FIELDS if role in columns][:MOST_FIELDS]
    return [
        (dedupe.variables.String if role in LONG else dedupe.variables.ShortString)(columns[role], has_missing=True)
        for role in chosen
    ]


def answer_questions(matcher, truth):
    for _ in range(QUESTIONS):
        for left, right in matcher.uncertain_pairs():
            same = truth[left["record_id"]] == truth[right["record_id"]]
            marked = {"match": [], "distinct": []}
            marked["match" if same else "distinct"].append((left, right))
            matcher.mark_pairs(marked)


def link(matcher, halves):
    """Clusters of one record of each source, at most."""
    joined = {right: left for (left, right), _ in matcher.join(*halves, threshold=0.5, constraint="one-to-one")}
    records = [record for half in halves for record in half]
    return records, [joined.get(record, record) for record in records]


def partition(matcher, people):
    clusters = matcher.partition(people, threshold=0.5)
    found = [(record, number) for number, (records, _) in enumerate(clusters) for record in records]
    return [record for record, _ in found], [number for _, number in found]


def main():
    job = read_job()
    random.seed(1)
    np.random.seed(1)
    watch = Watch()
    people = read_people(job)
    table = pq.read_table(job["oracle"])
    truth = dict(zip(table["record_id"].to_pylist(), table["true_id"].to_pylist(), strict=True))
    kind = dedupe.RecordLink if job["two_sources"] else dedupe.Dedupe
    matcher = kind(variables(job["columns"]), num_cores=1)
    sources = sorted({row["source"] for row in people.values()}) if job["two_sources"] else [None]
    halves = [
        {key: row for key, row in people.items() if source is None or row["source"] == source} for source in sources
    ]
    matcher.prepare_training(*halves)
    answer_questions(matcher, truth)
    matcher.train()
    found = link(matcher, halves) if job["two_sources"] else partition(matcher, people)
    watch.stop()
    hand_back(job, {0.5: found}, default=0.5, watch=watch, answers=QUESTIONS)


if __name__ == "__main__":
    main()
