"""Google Cloud Storage, through the client of Google's that Beam uses."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from typing import Any, BinaryIO

from apache_beam.io.gcp.gcsio import create_storage_client
from apache_beam.options.pipeline_options import PipelineOptions
from google.api_core.exceptions import NotFound, PreconditionFailed
from google.cloud.storage.retry import DEFAULT_RETRY
from typing_extensions import override

from longbert.beam.objects import ObjectInfo, ObjectStore, Replaced, bucket_and_name
from longbert.store.filesystem import FileInfo

_CHUNK_BYTES = 16 << 20
"""What is sent again when a large upload is interrupted."""


class GoogleStore(ObjectStore):
    """Objects of Google Cloud Storage; a version is a generation.

    Args:
        options: Beam's, for credentials and project.
    """

    def __init__(self, options: PipelineOptions) -> None:
        self._client = create_storage_client(options)

    @override
    def list(self, prefix: str) -> Iterator[FileInfo]:
        bucket, name = bucket_and_name(prefix)
        for blob in self._client.list_blobs(bucket, prefix=name, retry=DEFAULT_RETRY):
            if not blob.name.endswith("/"):
                path = f"gs://{bucket}/{blob.name}"
                yield FileInfo(path, blob.size, version=str(blob.generation))

    @override
    def stat(self, path: str) -> ObjectInfo | None:
        blob = self._blob(path)
        try:
            blob.reload(retry=DEFAULT_RETRY)
        except NotFound:
            return None
        return ObjectInfo(blob.size, str(blob.generation))

    @override
    def read(self, path: str, start: int, stop: int, version: str) -> bytes:
        # Raw: as it is stored, also where it says that it is compressed.
        blob = self._blob(path, generation=int(version))
        try:
            data: bytes = blob.download_as_bytes(
                start=start, end=stop - 1, raw_download=True, retry=DEFAULT_RETRY
            )
        except NotFound:
            raise Replaced(f"{path} was replaced while it was read") from None
        return data

    @override
    def write(self, path: str, file: BinaryIO) -> None:
        self._upload(path, file)

    @override
    def write_if(self, path: str, data: bytes, version: str | None) -> bool:
        try:
            self._upload(path, io.BytesIO(data), if_generation_match=int(version or 0))
        except PreconditionFailed:
            return False
        return True

    @override
    def remove(self, path: str) -> None:
        with contextlib.suppress(NotFound):
            self._blob(path).delete(retry=DEFAULT_RETRY)

    def _upload(self, path: str, file: BinaryIO, **condition: int) -> None:
        n_bytes = file.seek(0, io.SEEK_END)
        self._blob(path).upload_from_file(
            file,
            rewind=True,
            size=n_bytes,
            content_type="application/octet-stream",
            retry=DEFAULT_RETRY,
            **condition,
        )

    def _blob(self, path: str, generation: int | None = None) -> Any:
        bucket, name = bucket_and_name(path)
        return self._client.bucket(bucket).blob(
            name, chunk_size=_CHUNK_BYTES, generation=generation
        )
