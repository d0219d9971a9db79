"""Parts of the experiment, each run in a process of its own: python parts.py PART FOLDER ...; prints JSON."""

from __future__ import annotations

import hashlib
import json
import os
import random
import resource
import shutil
import signal
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

QUESTIONS = "online_questions.json"
RECORDS_PER_PERSON = 2.1
FLIP = (
    {"given_name": "Zora", "surname": "Quillfeather", "email": "zora@quillfeather.org"},
    {"given_name": "Yann", "surname": "Xyzzyqwort", "email": "yann@xyzzyqwort.eu"},
)


def timed(milliseconds: list[float]) -> dict[str, float]:
    p50, p99 = np.percentile(milliseconds, [50, 99])
    return {"p50": float(p50), "p99": float(p99), "worst": max(milliseconds)}


def memory() -> dict[str, float]:
    """Of this process: all that is resident, what no other process shares, and what is no mapped file."""
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()[1:]
    size = {line.split(":")[0]: int(line.split()[1]) / 1024 for line in lines}
    unshared = size["Private_Clean"] + size["Private_Dirty"]
    return {"RSS": size["Rss"], "USS": unshared, "without mapped files": size["Anonymous"]}


def digest(answer: Any) -> str:
    """What was answered, in short."""
    content = [answer.master_id, answer.is_new, answer.match_probability, answer.household_id, answer.golden_record]
    return hashlib.md5(json.dumps(content, sort_keys=True).encode()).hexdigest()


# ---------------------------------------------------------------------- world and questions
def world(folder: Path, records: str) -> dict[str, Any]:
    from c360ml.pipeline import run_pipeline
    from c360ml.synthetic import write_world

    write_world(folder, customers=round(int(records) / RECORDS_PER_PERSON), purchases_per_customer=0.6)
    run_pipeline(folder)
    return {}


def build(folder: Path) -> dict[str, Any]:
    from c360ml.identity import build_index
    from c360ml.lakehouse import Lakehouse

    with Lakehouse(folder) as lake:
        began = time.perf_counter()
        base = build_index(lake)
        seconds = time.perf_counter() - began
    sizes = {file.name: file.stat().st_size for file in base.iterdir()}
    return {
        "seconds": seconds,
        "peak_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
        "bytes": sizes,
        "records": sizes["records.u64"] // 8 - 1,
        "keys": sizes["keys.u64"] // 8,
    }


def questions(folder: Path, count: str) -> dict[str, Any]:
    """Half of them raw records with a typo in every name and contact; half people made of parts of several."""
    from c360ml import tables
    from c360ml.lakehouse import Lakehouse
    from c360ml.standardize.records import ROLES

    roles = ", ".join(f"nullif(trim({role}), '') as {role}" for role in ROLES)
    with Lakehouse(folder) as lake:
        lake.open(tables.CUSTOMERS)
        lake.open(tables.IDENTITIES)
        rows = lake.sql(
            f"""
            select {roles}, master_id from bronze.customers
            join silver.identities on record_id = source || ':' || source_key
            order by md5(record_id) limit {2 * int(count)}
            """
        )
        raw = rows.to_arrow_table().to_pylist()
    dice = random.Random(1)
    masters = [row.pop("master_id") for row in raw]
    half = int(count) // 2
    known = [{role: with_typo(role, text, dice) for role, text in row.items() if text} for row in raw[:half]]
    new = [stranger(raw, dice) for _ in range(half)]
    content = {"known": known, "masters": masters[:half], "new": new}
    (folder / QUESTIONS).write_text(json.dumps(content))
    return {"known": half, "new": half}


def with_typo(role: str, text: str, dice: random.Random) -> str:
    """Swap two letters of a name or a mail, in one of two."""
    if role not in {"full_name", "given_name", "surname", "email"} or len(text) < 4 or dice.random() < 0.5:
        return text
    at = dice.randrange(len(text) - 2)
    return text[:at] + text[at + 1] + text[at] + text[at + 2 :]


def stranger(raw: list[dict[str, str | None]], dice: random.Random) -> dict[str, str]:
    """First name, last name, birthday and place of four people, with contacts that nobody has."""
    one = {role: dice.choice(raw).get(role) for role in ("given_name", "surname", "date_of_birth")}
    place = dice.choice(raw)
    one |= {role: place.get(role) for role in ("city", "state", "postcode")}
    name = "".join(dice.choices("abcdefghijklmnopqrstuvwxyz", k=10))
    one |= {"email": f"{name}@{name[:6]}.org", "phone": f"{dice.randrange(2, 10)}{dice.randrange(10**9):09d}"}
    return {role: text for role, text in one.items() if text}


def asked_of(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / QUESTIONS).read_text())
    return content


# ---------------------------------------------------------------------- speed
def resolve(folder: Path) -> dict[str, Any]:
    from c360ml.identity import IdentityStore

    content = asked_of(folder)
    began = time.perf_counter()
    store = IdentityStore(folder)
    opened = time.perf_counter() - began
    for record in content["known"][:20]:
        store.resolve(record)
    spent: dict[str, list[float]] = {"known": [], "new": []}
    answers: dict[str, list[Any]] = {"known": [], "new": []}
    for kind in spent:
        for record in content[kind]:
            began = time.perf_counter()
            answer = store.resolve(record)
            spent[kind].append(1e3 * (time.perf_counter() - began))
            answers[kind].append(answer)
    lookups = []
    for record in content["known"] + content["new"]:
        keys = store._viewer.view(record).block_keys
        began = time.perf_counter()
        store._base.records.at(store._base.positions(keys))
        lookups.append(1e3 * (time.perf_counter() - began))
    candidates = [float(answer.candidates) for kind in answers for answer in answers[kind]]
    found = [answer.master_id == master for answer, master in zip(answers["known"], content["masters"], strict=True)]
    return {
        "opened_ms": 1e3 * opened,
        "known": timed(spent["known"]),
        "new": timed(spent["new"]),
        "all": timed(spent["known"] + spent["new"]),
        "lookup": timed(lookups),
        "candidates": timed(candidates),
        "found": float(np.mean(found)),
        "called_new": float(np.mean([answer.is_new for answer in answers["new"]])),
        "memory_mb": memory(),
    }


def upsert(folder: Path, asked: str) -> dict[str, Any]:
    from c360ml.identity import IdentityStore

    content, spent = asked_of(Path(asked)), []
    with IdentityStore(folder, writable=True) as store:
        for number, record in enumerate(content["new"] + content["known"]):
            began = time.perf_counter()
            store.upsert(record, source="web", source_key=str(number))
            spent.append(1e3 * (time.perf_counter() - began))
    return {"all": timed(spent)}


def splink(folder: Path) -> dict[str, Any]:
    """One standardized record between all: registered, compared, read."""
    import duckdb
    import pyarrow as pa
    from splink_peer import trained

    from c360ml import tables
    from c360ml.lakehouse import Lakehouse
    from c360ml.standardize.one_record import RecordStandardizer

    with Lakehouse(folder) as lake:
        lake.open(tables.RECORDS)
        records = lake.sql("select * from silver.records").to_arrow_table()
    names = ("given_name", "surname", "email", "phone", "date_of_birth", "postcode", "city", "street", "street_number")
    con = duckdb.connect()
    con.register("given", records)
    con.execute(f"create table records as select record_id, {', '.join(names)} from given").fetchall()
    known, linker, api = trained(con, random_pairs=1e6)
    for column in ("given_name", "surname", "postcode"):
        linker.table_management.compute_tf_table(column)
    standardizer, content = RecordStandardizer("US"), asked_of(folder)
    new = [standardizer.standardize(record) for record in content["known"][:30] + content["new"][:30]]
    schema = pa.schema([("record_id", pa.string()), *((name, pa.string()) for name in names)])
    spent = []
    for number, record in enumerate(new):
        row = {name: record[name] for name in names}
        began = time.perf_counter()
        one = api.register(pa.Table.from_pylist([{"record_id": f"new:{number}", **row}], schema))
        linker.inference.predict_between(known, one, warning_mode="never").as_record_list()
        spent.append(1e3 * (time.perf_counter() - began))
    return {"all": timed(spent[5:]), "asked": len(spent) - 5}


# ---------------------------------------------------------------------- readers and a writer
def answers(folder: Path, asked: str) -> dict[str, Any]:
    from c360ml.identity import IdentityStore

    content = asked_of(Path(asked))
    with IdentityStore(folder) as store:
        return {"answers": [digest(store.resolve(record)) for record in content["known"] + content["new"]]}


def write(folder: Path, asked: str, seconds: str) -> dict[str, Any]:
    """Upsert strangers and records of a third of the known people; after every one overwrite the same record."""
    from c360ml.identity import IdentityStore

    content, spent, dice = asked_of(Path(asked)), [], random.Random(2)
    with IdentityStore(folder, writable=True) as store:
        store.upsert(FLIP[0], source="flip", source_key="1")
        print("{}", flush=True)
        until = time.monotonic() + float(seconds)
        while time.monotonic() < until:
            number = len(spent)
            record = dice.choice(content["known"][::3]) if number % 4 == 1 else stranger(content["new"], dice)
            for each, source, key in (
                (record, "web", str(number)),
                (FLIP[(number // 2 + 1) % 2], "flip", "1"),
            ):
                began = time.perf_counter()
                store.upsert(each, source=source, source_key=key)
                spent.append(1e3 * (time.perf_counter() - began))
    return {"upserts": len(spent) + 1, "all": timed(spent)}


def read(folder: Path, asked: str, seconds: str, number: str) -> dict[str, Any]:
    """Resolve without pause; keeps every distinct answer to each question."""
    from c360ml.identity import IdentityStore

    content, dice = asked_of(Path(asked)), random.Random(int(number))
    records = content["known"] + content["new"]
    told: set[tuple[int, str]] = set()
    spent, torn, errors, looks = [], 0, 0, 0
    with IdentityStore(folder) as store:
        until = time.monotonic() + float(seconds)
        while time.monotonic() < until:
            question = dice.randrange(len(records))
            began = time.perf_counter()
            try:
                answer = store.resolve(records[question])
            except Exception as error:
                print(type(error).__name__, file=sys.stderr)
                errors += 1
                continue
            spent.append(1e3 * (time.perf_counter() - began))
            told.add((question, digest(answer)))
            torn += is_torn(answer)
            if len(spent) % 10 == 0:
                looks += 1
                for person in FLIP:
                    flipped = store.resolve(person)
                    torn += is_torn(flipped) or (
                        not flipped.is_new and flipped.golden_record["given_name"] != person["given_name"].lower()
                    )
        return {
            "asked": len(spent),
            "looks": looks,
            "torn": torn,
            "errors": errors,
            "answers": sorted(told),
            "all": timed(spent),
            "memory_mb": memory(),
        }


def is_torn(answer: Any) -> bool:
    """Parts of an answer that do not belong together."""
    if answer.explanation:
        *steps, total = answer.explanation
        if abs(total["weight"] - sum(step["weight"] for step in steps)) > 1e-6:
            return True
    if answer.is_new:
        return answer.master_id is not None or answer.golden_record is not None
    return answer.golden_record is None or answer.golden_record["master_id"] != answer.master_id


def swap(folder: Path, seconds: str) -> dict[str, Any]:
    """Put bases of the same content, in new places, in the place of the current one, as a run does."""
    from c360ml.identity.online_index import _make_current, _next_place, _remove_bases, read_model
    from c360ml.linkage.online import model_digest

    content, swaps = read_model(folder), 0
    root, until = folder / "data" / "index", time.monotonic() + float(seconds)
    while time.monotonic() < until - 1:
        time.sleep(float(seconds) / 6)
        (current,) = (place for place in root.iterdir() if place.is_dir())
        place = _next_place(root, model_digest(content))
        shutil.copytree(current, place, copy_function=os.link)
        _make_current(folder, content, place)
        _remove_bases(folder)
        swaps += 1
    return {"swaps": swaps}


# ---------------------------------------------------------------------- kill -9
def kill(folder: Path, times: str) -> dict[str, Any]:
    """Fork a writer that acknowledges through a pipe, kill it at a random moment, and look."""
    dice = random.Random(3)
    found = {"acknowledged": 0, "lost": 0, "between": 0, "before": 0, "after": 0, "changed": 0, "stuck": 0}
    acknowledged: dict[str, str] = {}
    for _ in range(int(times)):
        began_with = len(acknowledged)
        pipe, their_end = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(pipe)
            upsert_without_end(folder, began_with, their_end)
        os.close(their_end)
        lines = os.fdopen(pipe)
        first = lines.readline()
        found["stuck"] += not first
        time.sleep(dice.random() * 0.2)
        os.kill(child, signal.SIGKILL)
        for line in [first, *lines]:
            if line.endswith("\n"):
                record_id, master_id = line.split()
                found["changed"] += acknowledged.get(record_id, master_id) != master_id
                acknowledged[record_id] = master_id
        lines.close()
        os.waitpid(child, 0)
        look(folder, acknowledged, found)
    return {**found, "acknowledged": len(acknowledged)}


def upsert_without_end(folder: Path, start: int, pipe: int) -> None:
    from c360ml.identity import IdentityStore

    with IdentityStore(folder, writable=True) as store:
        # Again what was acknowledged last: the answer must be the same.
        for number in range(max(0, start - 1), 10**9):
            record = {"given_name": "Zora", "surname": f"Quill{number}", "email": f"zora{number}@quill.org"}
            answer = store.upsert(record, source="kill", source_key=str(number))
            os.write(pipe, f"kill:{number} {answer.master_id}\n".encode())


def look(folder: Path, acknowledged: dict[str, str], found: dict[str, int]) -> None:
    from c360ml.identity.store_delta import Delta

    delta = Delta(folder)
    ((digest_, _),) = delta.bases().items()
    model, _ = delta.base(digest_) or (0, "")
    inbox = {row["record_id"]: row for row in delta.inbox()}
    seen = {record_id: delta.added(model, record_id) for record_id, _ in delta.record_ids(model)}
    delta.close()
    found["lost"] += sum(
        record_id not in inbox or inbox[record_id]["master_id"] != master_id
        for record_id, master_id in acknowledged.items()
    )
    found["between"] += inbox.keys() != seen.keys() or any(
        (row["sequence"], row["master_id"]) != (seen[record_id].sequence, seen[record_id].master_id)
        for record_id, row in inbox.items()
    )
    more = len(inbox.keys() - acknowledged.keys())
    found["after" if more else "before"] += 1
    found["between"] += more > 1
    for record_id, row in inbox.items():
        acknowledged.setdefault(record_id, row["master_id"])


if __name__ == "__main__":
    print(json.dumps(globals()[sys.argv[1]](Path(sys.argv[2]), *sys.argv[3:])))
