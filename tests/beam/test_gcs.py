"""Preconditions of Google Cloud Storage, asked for by its own client from a server on loopback."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any, ClassVar
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from apache_beam.io.gcp import gcsio
from google.cloud import storage

from longbert.beam.filesystem import BeamFileSystem


class _Storage(BaseHTTPRequestHandler):
    """As much of the JSON API as it takes to read an object and to write it on a condition."""

    objects: ClassVar[dict[str, tuple[bytes, int]]]
    written_before: ClassVar[list[tuple[str, bytes]]]
    """What someone else writes before the next upload."""

    def do_GET(self) -> None:
        address = urlsplit(self.path)
        name = unquote(address.path.rpartition("/o/")[2])
        content, generation = self.objects.get(name, (b"", 0))
        if not generation:
            self._answer(404, b"{}")
        elif "media" in parse_qs(address.query).get("alt", []):
            self._answer(200, content)
        else:
            self._answer(200, json.dumps({"name": name, "generation": str(generation)}).encode())

    def do_POST(self) -> None:
        if self.written_before:
            name, content = self.written_before.pop()
            self.objects[name] = (content, self.objects.get(name, (b"", 0))[1] + 1)
        body = self.rfile.read(int(self.headers["Content-Length"]))
        mark = re.search(r'boundary="?([^"]+)', self.headers["Content-Type"])
        assert mark is not None
        _, about, content, _ = body.split(b"--" + mark[1].encode())
        name = json.loads(about.partition(b"\r\n\r\n")[2])["name"]
        wanted = parse_qs(urlsplit(self.path).query)["ifGenerationMatch"][0]
        generation = self.objects.get(name, (b"", 0))[1]
        if int(wanted) != generation:
            self._answer(412, b"{}")
            return
        self.objects[name] = (content.partition(b"\r\n\r\n")[2][:-2], generation + 1)
        self._answer(200, json.dumps({"name": name, "generation": str(generation + 1)}).encode())

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[_Storage]]:
    handler = type("Handler", (_Storage,), {"objects": {}, "written_before": []})
    with HTTPServer(("localhost", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"http://localhost:{server.server_port}")
        monkeypatch.setattr(
            gcsio, "create_storage_client", lambda *_: storage.Client.create_anonymous_client()
        )
        yield handler
        server.shutdown()
        thread.join()


def test_an_object_is_written_if_it_is_what_it_was(server: type[_Storage]) -> None:
    files = BeamFileSystem()
    path = "gs://bucket/out/manifest.json"
    assert not files.write_if(path, b"one", expected=b"zero"), "there is none"
    assert files.write_if(path, b"one", expected=None)
    assert not files.write_if(path, b"two", expected=None), "there is one"
    assert not files.write_if(path, b"two", expected=b"another")
    assert files.write_if(path, b"two", expected=b"one")
    assert server.objects == {"out/manifest.json": (b"two", 2)}


@pytest.mark.parametrize("expected", [None, b"one"])
def test_of_two_writers_at_one_time_the_store_takes_the_first(
    server: type[_Storage], expected: bytes | None
) -> None:
    if expected is not None:
        server.objects["out/lock.json"] = (expected, 7)
    server.written_before.append(("out/lock.json", b"another's"))
    assert not BeamFileSystem().write_if("gs://bucket/out/lock.json", b"mine", expected=expected)
    assert server.objects["out/lock.json"][0] == b"another's"
