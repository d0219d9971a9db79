"""A `c360ml serve` of its own process, for tests that ask it over HTTP."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

TOKEN = "a-token-of-this-test-only"


@dataclass
class Reply:
    """What a server answered."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def content(self):
        return json.loads(self.body)


class ServedProcess:
    """`c360ml serve` on a free port; its log is kept in a file."""

    def __init__(self, words, log, *, token=TOKEN):
        self.log_file = Path(log)
        variables = {name: value for name, value in os.environ.items() if name != "C360ML_TOKEN"}
        variables |= {"C360ML_TOKEN": token} if token else {}
        with self.log_file.open("w") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "c360ml", "serve", *words],
                env=variables,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                start_new_session=True,
            )
        self.token = token
        first = self.process.stdout.readline()
        found = re.search(r"http://\S+:(\d+)", first)
        assert found, f"{first}{self.log}"
        self.address, self.port = found[0], int(found[1])
        self.said = first + "".join(self.process.stdout.readline() for _ in range(3))
        self.wait_until(200)

    @property
    def log(self):
        return self.log_file.read_text()

    def wait_until(self, status, seconds=120):
        """Wait until `/ready` answers so."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self.process.poll() is not None:
                break
            try:
                if self.ask("/ready", timeout=30).status == status:
                    return
            except OSError:
                pass
            time.sleep(0.05)
        raise AssertionError(self.log)

    def ask(self, path, content=None, *, body=None, token=TOKEN, method=None, headers=None, timeout=60):
        """Send JSON, or a body as it is."""
        data = json.dumps(content).encode() if content is not None else body
        sent = {"Content-Type": "application/json"} if data is not None else {}
        sent |= {"Authorization": f"Bearer {token}"} if token else {}
        request = urllib.request.Request(self.address + path, data, sent | (headers or {}), method=method)
        try:
            with urllib.request.urlopen(request, timeout=timeout) as reply:
                return Reply(reply.status, dict(reply.headers), reply.read())
        except urllib.error.HTTPError as error:
            with error:
                return Reply(error.code, dict(error.headers), error.read())

    def stop(self, sent=signal.SIGTERM):
        """Tell it to stop; returns its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(sent)
        # A server that does not stop must not outlive its test.
        killer = threading.Timer(60, self.process.kill)
        killer.start()
        try:
            code = self.process.wait()
        finally:
            killer.cancel()
            self.process.stdout.close()
        return code

    def memory(self):
        """Bytes of memory that is the process's own."""
        rolled = Path(f"/proc/{self.process.pid}/smaps_rollup").read_text()
        return sum(int(each) for each in re.findall(r"^Private_\w+:\s+(\d+) kB", rolled, re.MULTILINE)) * 1024
