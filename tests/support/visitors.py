"""Visitors of the page over HTTP, without a browser, and the page in a process of its own."""

import json
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx

from tests.support.paths import ROOT

APP = ROOT / "examples" / "app.py"


class Visitor:
    """
    Speak the protocol of the page, as browsers do.

    Args:
        address: The address of the page.
        functions: The number of every function, by its name.
        name: The name of the visitor.
    """

    def __init__(self, address: str, functions: dict[str, int], name: str):
        self.address, self.functions, self.name = address, functions, name

    def join(self, function: str, *data: Any, event_data: Any = None) -> httpx.Response:
        """Ask a question, without waiting for its answer."""
        body = {"data": data, "fn_index": self.functions[function], "session_hash": self.name}
        return self.post("queue/join", {**body, "event_data": event_data})

    def post(self, path: str, body: Any) -> httpx.Response:
        content = body if isinstance(body, bytes) else json.dumps(body)
        headers = {"content-type": "application/json"}
        return httpx.post(f"{self.address}/gradio_api/{path}", content=content, headers=headers, timeout=60)

    def follow(self, event: str) -> Iterator[dict]:
        """Yield the messages of the server until a question ends."""
        where = f"{self.address}/gradio_api/queue/data?session_hash={self.name}"
        with httpx.stream("GET", where, timeout=120) as stream:
            for line in stream.iter_lines():
                if line.startswith("data:"):
                    message = json.loads(line.removeprefix("data:"))
                    yield message
                    if message["msg"] == "process_completed" and message["event_id"] == event:
                        return

    def ask(self, function: str, *data: Any, event_data: Any = None) -> str:
        """Return all that the server sends for a question, as text."""
        joined = self.join(function, *data, event_data=event_data)
        assert joined.status_code == 200, joined.text
        messages = list(self.follow(joined.json()["event_id"]))
        assert messages[-1]["success"], messages[-1]
        return json.dumps(messages, ensure_ascii=False)


def free_port() -> int:
    """Find a port that no other test process has: Gradio tries its first ports in turn, and two servers may meet there."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return server.getsockname()[1]


@contextmanager
def served_page(*arguments: str) -> Iterator[tuple[str, subprocess.Popen, list[str]]]:
    """Serve the page as `python examples/app.py` does: its address, its process, and the lines that it has printed."""
    command = [sys.executable, "-u", str(APP), "--device", "cpu", "--port", str(free_port()), *arguments]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    printed: list[str] = []
    started = threading.Event()
    addresses: list[str] = []

    def read():
        for line in server.stdout:
            printed.append(line)
            if not started.is_set() and (found := re.search(r"http://[\w.:]+", line)):
                addresses.append(found[0])
                started.set()
        started.set()

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    try:
        started.wait(120)
        if not addresses:
            raise AssertionError(f"The page does not start:\n{''.join(printed)}")
        yield addresses[0], server, printed
    finally:
        server.terminate()
        server.wait(30)
        reader.join(30)
        server.stdout.close()


def read_functions(address: str) -> dict[str, int]:
    """Read the numbers of the functions of a page, by their names. The first of each name is on the tab that fills."""
    found = httpx.get(f"{address}/config", timeout=60).json()["dependencies"]
    return {function["api_name"]: function["id"] for function in found}
