"""`c360ml serve` as a client meets it: a process of its own, asked over HTTP."""

import http.client
import json
import os
import re
import shlex
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from served_process import TOKEN, ServedProcess

from c360ml import tables
from c360ml.cli import app
from c360ml.errors import ConfigError
from c360ml.identity import IdentityStore
from c360ml.serving.schemas import GoldenRecord, answer
from c360ml.serving.serve_settings import ServeSettings
from c360ml.serving.server import serve

README = (Path(__file__).parents[2] / "README.md").read_text("utf-8")
STRANGER = {"surname": "Xyzzyqwort", "email": "m@xyzzyqwort.eu"}
PROTECTED = ("/version", "/resolve", "/invocations", "/nowhere")


def serving_blocks(language):
    section = README.partition("\n## Serving\n")[2].partition("\n## ")[0]
    return re.findall(rf"^```{language}\n(.*?)^```", section, re.DOTALL | re.MULTILINE)


# ---------------------------------------------------------------------- the README
def test_the_readme_says_how_to_start(served_project):
    """The README's line has the options that the tests' server has."""
    lines = [line for block in serving_blocks("bash") for line in block.splitlines() if "c360ml serve" in line]
    assert [["c360ml", "serve", "--project", "c360ml-demo", "--port", "5001"]] == [shlex.split(line) for line in lines]


def test_curl_of_the_readme_is_answered(server):
    """Every curl line of the README gets an answer that is no error."""
    script = "\n".join(block for block in serving_blocks("bash") if "curl" in block)
    asked = subprocess.run(
        ["bash", "-e", "-c", script.replace("localhost:5001", f"127.0.0.1:{server.port}")],
        env={**os.environ, "C360ML_TOKEN": TOKEN},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert 0 == asked.returncode, asked.stderr
    answers, rest = [], asked.stdout.strip()
    while rest:
        found, end = json.JSONDecoder().raw_decode(rest)
        answers.append(found)
        rest = rest[end:].strip()
    assert script.count("curl ") == len(answers) == 4
    assert not any("error_code" in each for each in answers)


def test_python_of_the_readme_is_answered(server):
    """The README's Python client prints a resolved record and the number of answers."""
    (client,) = serving_blocks("py")
    ran = subprocess.run(
        [sys.executable, "-c", client.replace("localhost:5001", f"127.0.0.1:{server.port}")],
        env={**os.environ, "C360ML_TOKEN": TOKEN},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert 0 == ran.returncode, ran.stderr
    assert "3" == ran.stdout.splitlines()[-1]


# ---------------------------------------------------------------------- answers
def test_both_calls_answer_as_the_store_does(server, served_project, raw_records):
    """`/invocations` and `/resolve` say what the identity store says in process, golden record and all."""
    records = [*raw_records[:20], STRANGER, {}]
    with IdentityStore(served_project) as store:
        expected = [answer(store.resolve(record)).model_dump() for record in records]
    reply = server.ask("/invocations", {"inputs": records})
    assert 200 == reply.status
    assert expected == reply.content["predictions"]
    assert any(each["golden_record"] and each["golden_record"]["sources"] for each in expected)
    for record, each in zip(records[-3:], expected[-3:], strict=True):
        assert {**server.ask("/resolve", record).content, "error": None} == each


def test_a_bad_record_has_its_error_in_its_place(server, raw_records):
    """What is no record of text gets an error that does not repeat it; the others get their answers."""
    wrong = [{"surname": 7}, {"emial": "secret@x.org"}, "secret", None, ["secret"], {"surname": "secret" * 2000}]
    reply = server.ask("/invocations", {"inputs": [*wrong, raw_records[0]]})
    *errors, right = reply.content["predictions"]
    assert 200 == reply.status
    assert all(each["error"] and each["master_id"] is None for each in errors)
    assert right["error"] is None and right["master_id"]
    assert b"secret" not in reply.body


def test_upserts_are_answered_without_a_restart(server, served_project):
    """A person whom a writer adds while the server runs is known to the next request."""
    person = {"given_name": "Quintessa", "surname": "Vorpalblade", "email": "q@vorpalblade.com"}
    assert server.ask("/resolve", person).content["is_new"]
    with IdentityStore(served_project, writable=True) as store:
        master_id = store.upsert(person, source="web", source_key="1").master_id
    known = server.ask("/resolve", person).content
    assert (master_id, False) == (known["master_id"], known["is_new"])
    assert "q@vorpalblade.com" == known["golden_record"]["email"]


def test_the_golden_record_has_every_column_but_its_keys():
    """What is answered of a golden record is the table's columns."""
    assert set(tables.GOLDEN_RECORDS.columns) - {"master_id", "household_id"} == set(GoldenRecord.model_fields)


# ---------------------------------------------------------------------- who may ask
@pytest.mark.parametrize("token", [None, "", "wrong", TOKEN + "x", TOKEN[:-1], "\u00e9" * 20])
def test_without_the_token_nothing_is_told(server, token):
    """All but health, readiness and description ask for the token, also on paths that there are not."""
    for path in PROTECTED:
        reply = server.ask(path, {"surname": "Lee"} if path != "/version" else None, token=token)
        assert (401, "Bearer") == (reply.status, reply.headers["www-authenticate"])
        assert "UNAUTHENTICATED" == reply.content["error_code"]


def test_watchers_need_no_token(server):
    """Health, readiness and the description are open."""
    assert {"status": "alive"} == server.ask("/health", token=None).content == server.ask("/ping", token=None).content
    ready = server.ask("/ready", token=None).content
    assert "ready" == ready["status"] and ready["model_version"].isdecimal()
    assert ready["model_version"] == server.ask("/version").content["model_version"]
    page = server.ask("/docs", token=None)
    assert b"/invocations" in page.body and b"<script" not in page.body and b"//cdn" not in page.body


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "example.org", "::", ""])
def test_others_need_a_token(served_project, host):
    """A server that other machines reach does not start without a token."""
    with pytest.raises(ConfigError, match="must have a token"):
        serve(ServeSettings(served_project, host=host), then=lambda served: pytest.fail("it listens"))


def test_the_start_says_where_and_what(server):
    """The start-up message has the address, the model's version, the index's records and a curl line."""
    assert re.search(r"c360-scorer version \d+ on http://127.0.0.1:\d+ \(1 process\)", server.said)
    assert re.search(r"index +[\d,]+ records", server.said)
    assert f'curl {server.address}/resolve -H "Authorization: Bearer $C360ML_TOKEN"' in server.said
    assert TOKEN not in server.said


# ---------------------------------------------------------------------- limits
BAD_BODIES = [b"", b"{", b"[1,", b"\xff\xfe", b'{"inputs": NaN}', b"[" * 100_000, b"1" * 5000 + b"e", b'"\x00"']
NO_LISTS = [b"null", b"7", b"[]", b'"secret"', b"{}", b'{"inputs": "secret"}', b'{"inputs": {"surname": "secret"}}']


@pytest.mark.parametrize("body", BAD_BODIES + NO_LISTS, ids=range(len(BAD_BODIES + NO_LISTS)))
def test_what_is_no_request_is_refused(server, body):
    """No JSON, or JSON without a list of inputs, is a bad request, told in our words."""
    reply = server.ask("/invocations", body=body)
    assert 400 == reply.status
    assert {"error_code", "message"} == set(reply.content)
    assert b"secret" not in reply.body


@pytest.mark.parametrize("body", [b"7", b"[]", b"null", b'{"surname": 7}', b'{"a@secret.org": "x"}'])
def test_one_record_is_checked(server, body):
    """`/resolve` refuses what is no record of known fields of text, without repeating it."""
    reply = server.ask("/resolve", body=body)
    assert (422, "INVALID_PARAMETER_VALUE") == (reply.status, reply.content["error_code"])
    assert b"secret" not in reply.body


def test_too_many_records_are_refused(server):
    """A thousand records are the most of one request."""
    assert 422 == server.ask("/invocations", {"inputs": [{}] * 1001}).status
    assert 1000 == len(server.ask("/invocations", {"inputs": [{}] * 1000}).content["predictions"])


@pytest.mark.parametrize("chunked", [False, True])
def test_a_large_body_is_refused(server, chunked):
    """A body above the limit is refused, with and without a length, and the server stays as small as it was."""
    before = server.memory()
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
    part = b'"' + b"x" * 99_999
    body = (part for _ in range(300)) if chunked else part * 300
    connection.request("POST", "/resolve", body, headers, encode_chunked=chunked)
    reply = connection.getresponse()
    assert (413, "REQUEST_TOO_LARGE") == (reply.status, json.loads(reply.read())["error_code"])
    connection.close()
    assert server.memory() < before + 10_000_000


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": "text/plain"},
        {"Content-Type": ""},
        {"Content-Type": "application/json; charset=latin-1"},
        {"Content-Type": "text/csv"},
        {"Content-Encoding": "gzip"},
    ],
    ids=str,
)
def test_other_types_are_refused(server, headers):
    """A body that is not said to be JSON in UTF-8 is refused; a plain charset is not."""
    assert 415 == server.ask("/resolve", {}, headers=headers).status
    assert 200 == server.ask("/resolve", {}, headers={"Content-Type": "application/json; charset=UTF-8"}).status


def test_methods_and_paths_that_are_not(server):
    """Other methods are refused with those that there are, other paths as not there."""
    assert (405, "POST") == ((reply := server.ask("/resolve")).status, reply.headers["allow"])
    assert 405 == server.ask("/health", {}).status == server.ask("/version", {}, method="DELETE").status
    assert 404 == server.ask("/nowhere").status == server.ask("/resolve/", {}).status


def test_the_log_holds_no_contents(server):
    """The log has method, path, status, time and bytes; no query, body, token or path that is not ours."""
    server.ask("/resolve?email=secret@x.org", {"surname": "secret"})
    server.ask("/secret@x.org", {"surname": "secret"})
    server.ask("/invocations", body=b'{"secret": ')
    time.sleep(0.2)
    assert "secret" not in server.log and TOKEN not in server.log
    assert re.search(r"Z POST /resolve 200 \d+\.\d ms 21 bytes in \d+ bytes out", server.log)
    assert re.search(r"Z POST \(other\) 404", server.log)


def test_answers_are_not_kept_on_the_way(server):
    """Answers hold personal data: no cache may keep them."""
    assert "no-store" == server.ask("/resolve", {}).headers["cache-control"]


# ---------------------------------------------------------------------- OpenAPI, stopping
@pytest.mark.slow
def test_the_description_is_kept(server, tmp_path):
    """Schemathesis finds no answer that the OpenAPI description does not allow, and no request it wrongly refuses."""
    ran = subprocess.run(
        [
            *(Path(sys.executable).with_name("schemathesis"), "run", f"{server.address}/openapi.json"),
            *("-H", f"Authorization: Bearer {TOKEN}", "--checks", "all", "--max-examples", "20", "--seed", "1"),
            *("--generation-database", "none", "--suppress-health-check", "all"),
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert 0 == ran.returncode, ran.stdout[-3000:]


@pytest.mark.slow
def test_two_processes_stop_without_losing_a_request(served_project, raw_records, tmp_path):
    """Told to stop under load, two processes say that they are not ready, answer what is in flight, and end well."""
    server = ServedProcess(["--project", str(served_project), "--port", "0", "--workers", "2"], tmp_path / "log")
    statuses, stopping = [], threading.Event()

    def load():
        while not stopping.is_set():
            statuses.append(server.ask("/invocations", {"inputs": raw_records[:100]}).status)

    clients = [threading.Thread(target=load) for _ in range(4)]
    try:
        for client in clients:
            client.start()
        time.sleep(2)
        server.process.terminate()
        server.wait_until(503)
        stopping.set()
        for client in clients:
            client.join()
    finally:
        code = server.stop()
    assert 0 == code
    assert len(statuses) > 4 and {200} == set(statuses)
    assert "Traceback" not in server.log


def test_a_short_token_is_refused(served_project, tmp_path):
    """A token that could be guessed does not start a server, nor does a file that is not there."""
    from typer.testing import CliRunner

    (tmp_path / "token").write_text("short")
    for name in ("token", "missing"):
        words = ["serve", "--project", str(served_project), "--token-file", str(tmp_path / name)]
        result = CliRunner().invoke(app, words)
        assert isinstance(result.exception, ConfigError)
        assert "openssl" in str(result.exception)
