"""A proxy on loopback that throttles, fails and cuts connections, as services do under load."""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

CUT_BEFORE = "cut before"
"""The connection ends before the service has seen the request."""
CUT_AFTER = "cut after"
"""The service has done what was asked, but the answer is lost."""
CUT_INSIDE = "cut inside"
"""Half of the answer's body arrives."""

ALL_FAULTS: tuple[str | int, ...] = (429, 500, 502, 503, 504, CUT_BEFORE, CUT_AFTER, CUT_INSIDE)

_HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "proxy-connection"}


@dataclass
class Faults:
    """What happens to which request.

    Attributes:
        choose: method and path to a status, one of the cuts, or None for no fault.
        happened: how often each fault did.
        n_requests: all of them, those with a fault too.
    """

    choose: Callable[[str, str], str | int | None] = lambda method, path: None
    happened: Counter[str | int] = field(default_factory=Counter)
    n_requests: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def next(self, method: str, path: str) -> str | int | None:
        """The fault of one request."""
        with self._lock:
            self.n_requests += 1
            fault = self.choose(method, path)
            if fault is not None:
                self.happened[fault] += 1
            return fault


def at_random(share: float, *, seed: int) -> Callable[[str, str], str | int | None]:
    """A share of the requests gets a fault, each kind as often, and never two in a row."""
    draw = random.Random(seed)
    n_left = 0
    kinds: list[str | int] = []

    def choose(method: str, path: str) -> str | int | None:
        nonlocal n_left
        if n_left:
            n_left -= 1
            return None
        n_left = draw.randint(1, round(2 / share) - 1)
        if not kinds:
            kinds.extend(draw.sample(ALL_FAULTS, len(ALL_FAULTS)))
        return kinds.pop()

    return choose


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    target: tuple[str, int]
    faults: Faults

    def _pass_on(self) -> None:
        body = self._body()
        fault = self.faults.next(self.command, self.path)
        if fault == CUT_BEFORE:
            self._cut()
        elif isinstance(fault, int):
            self._answer(fault, [("Content-Type", "text/plain")], b"not now")
        else:
            self._forward(body, fault)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do_PATCH = _pass_on

    def _forward(self, body: bytes, fault: str | int | None) -> None:
        connection = HTTPConnection(*self.target, timeout=60)
        headers = {
            key: value for key, value in self.headers.items() if key.lower() not in _HOP_BY_HOP
        }
        connection.request(self.command, self.path, body=body, headers=headers)
        response = connection.getresponse()
        data = response.read()
        connection.close()
        if fault == CUT_AFTER:
            self._cut()
            return
        headers_out = [
            (key, value)
            for key, value in response.getheaders()
            if key.lower() not in _HOP_BY_HOP | {"content-length"}
        ]
        length = len(data)
        if self.command == "HEAD":
            length = int(response.headers.get("Content-Length", 0))
        if fault == CUT_INSIDE:
            data = data[: len(data) // 2]
        self._answer(response.status, headers_out, data, length)
        if fault == CUT_INSIDE:
            self._cut()

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        pieces = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            pieces.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(pieces)

    def _answer(
        self, status: int, headers: list[tuple[str, str]], data: bytes, length: int | None = None
    ) -> None:
        self.send_response_only(status)
        for key, value in headers:
            self.send_header(key, value)
        if status not in (204, 304):
            self.send_header("Content-Length", str(len(data) if length is None else length))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def _cut(self) -> None:
        self.close_connection = True

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def faulty_proxy(target: tuple[str, int]) -> Iterator[tuple[str, Faults]]:
    """Pass requests on to a server on this machine.

    Yields:
        The proxy's URL, and the faults, of which there are none at first.
    """
    faults = Faults()
    handler = type("Handler", (_Handler,), {"target": target, "faults": faults})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        server.block_on_close = False
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", faults
        finally:
            server.shutdown()
            thread.join()
