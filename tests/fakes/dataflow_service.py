"""As much of Dataflow's REST interface as it takes to hand in a job and see it end."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any, ClassVar


class _Dataflow(BaseHTTPRequestHandler):
    state: ClassVar[str]
    jobs: ClassVar[list[dict[str, Any]]]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.jobs.append(json.loads(body))
        self.do_GET()

    def do_GET(self) -> None:
        answer = {"id": "job-1", "name": "job", "currentState": self.state, "jobMessages": []}
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(json.dumps(answer).encode())

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def dataflow_service(state: str) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Yields the endpoint, and the requests to create a job."""
    handler = type("Handler", (_Dataflow,), {"state": state, "jobs": []})
    with HTTPServer(("localhost", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://localhost:{server.server_port}", handler.jobs
        server.shutdown()
        thread.join()
