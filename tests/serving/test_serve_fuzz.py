"""What nobody should send, sent ten thousand times; and stored records answered as the batch would."""

import http.client
import json
import random
import string

import pytest
from served_process import TOKEN

from c360ml import tables
from c360ml.lakehouse import Lakehouse
from c360ml.standardize.records import ROLES

MARK = "Zzyxsecretqwert"
REQUESTS = 10_000
HEADERS = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}


def some_bytes(rng):
    return rng.randbytes(rng.randrange(200)) + MARK.encode()


def a_body(rng):
    record = {rng.choice(ROLES): MARK + "".join(rng.choices(string.printable, k=rng.randrange(30)))}
    return json.dumps({"inputs": [record]} if rng.random() < 0.5 else record).encode()


def truncated(rng):
    body = a_body(rng)
    return body[: rng.randrange(len(body))]


def mutated(rng):
    body = bytearray(a_body(rng))
    for _ in range(rng.randrange(1, 5)):
        body[rng.randrange(len(body))] = rng.randrange(256)
    return bytes(body)


def nested(rng):
    depth = rng.choice([10, 500, 5_000, 100_000])
    opening, closing = rng.choice([(b"[", b"]"), (b'{"surname":', b"}")])
    return b'{"inputs":[' + opening * depth + b'"' + MARK.encode() + b'"' + closing * depth + b"]}"


def huge_number(rng):
    number = rng.choice(
        ["1e999", "-1e999", "9" * 4_000, "9" * 10_000, "0." + "1" * 9_000, "NaN", "-Infinity", "1e-999"]
    )
    return f'{{"inputs":[{{"surname":{number},"email":"{MARK}"}}]}}'.encode()


def wrong_type(rng):
    value = rng.choice([7, True, None, 1.5, [MARK], {MARK: MARK}, "", " ", "\x00", "\ud800", "\u202e" + MARK])
    return json.dumps({"inputs": rng.choice([[{rng.choice(ROLES): value}], [value], value, {MARK: value}])}).encode()


def control_characters(rng):
    text = MARK + "".join(chr(rng.choice([*range(32), 127, 0x85, 0x200B, 0x2028, 0xFEFF])) for _ in range(20))
    escaped = json.dumps(text) if rng.random() < 0.5 else f'"{text}"'
    return f'{{"inputs":[{{"surname":{escaped}}}]}}'.encode()


def duplicated_keys(rng):
    return b'{"inputs":[{"surname":"x"}],"inputs":[{"surname":"%b","surname":7}]}' % MARK.encode()


def unknown_field(rng):
    return json.dumps({"inputs": [{MARK: MARK, "surname": "Lee"}], MARK: MARK}).encode()


KINDS = (
    *(some_bytes, truncated, mutated, nested, huge_number),
    *(wrong_type, control_characters, duplicated_keys, unknown_field),
)


class KeptConnection:
    """A client that keeps its connection for as long as the server does."""

    def __init__(self, port):
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)

    def post(self, path, body):
        self._connection.request("POST", path, body, HEADERS)
        reply = self._connection.getresponse()
        return reply.status, reply.read()


@pytest.mark.slow
def test_malformed_bodies_neither_break_nor_leak(server):
    """Of 10,000 malformed bodies none gets a 500, a traceback or its own words back, and memory stays."""
    rng, client, statuses = random.Random(1), KeptConnection(server.port), set()
    warm = 0
    for number in range(REQUESTS):
        body = b'"' + b"x" * 10_000_000 + b'"' if number % 1_000 == 999 else rng.choice(KINDS)(rng)
        status, answer = client.post(rng.choice(["/invocations", "/resolve"]), body)
        statuses.add(status)
        assert status in {200, 400, 413, 422}, (number, status)
        assert MARK.lower().encode() not in answer.lower() and b"Traceback" not in answer
        if number == REQUESTS // 5:
            warm = server.memory()
    assert {200, 400, 413, 422} == statuses
    assert server.memory() < warm + 20_000_000
    assert MARK not in server.log and "Traceback" not in server.log and "internal error" not in server.log


@pytest.mark.slow
def test_served_answers_equal_the_batch(server, served_project, raw_records):
    """Stored records that are asked again belong to the customer that the batch gave them."""
    # The server decides by the best pair and the batch by average linkage, so a record at an edge may differ.
    with Lakehouse(served_project) as lake:
        lake.open(tables.CUSTOMERS)
        lake.open(tables.IDENTITIES)
        query = f"""
            select master_id from bronze.customers as raw
            left join {tables.IDENTITIES.path} as identities
                on identities.record_id = raw.source || ':' || raw.source_key
            order by md5(source || raw.source_key)
        """
        expected = [master_id for (master_id,) in lake.sql(query).fetchall()]
    answers = []
    client = KeptConnection(server.port)
    for first in range(0, len(raw_records), 500):
        status, body = client.post("/invocations", json.dumps({"inputs": raw_records[first : first + 500]}).encode())
        assert 200 == status
        answers += json.loads(body)["predictions"]
    assert len(expected) == len(answers) and not any(each["error"] for each in answers)
    known = [(master_id, each) for master_id, each in zip(expected, answers, strict=True) if master_id]
    same = sum(master_id == each["master_id"] for master_id, each in known)
    assert same / len(known) > 0.99, (same, len(known))
