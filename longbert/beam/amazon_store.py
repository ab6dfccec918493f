"""S3 and stores that speak its protocol, through the client of Amazon's that Beam uses."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, BinaryIO

from apache_beam.io.aws.clients.s3.boto3_client import Client
from apache_beam.options.pipeline_options import PipelineOptions
from botocore.exceptions import ClientError, HTTPClientError
from typing_extensions import override

from longbert.beam.objects import ObjectInfo, ObjectStore, Replaced, bucket_and_name
from longbert.store.filesystem import FileInfo

_TRIES = 5
"""Of a request that the client itself does not try again."""


class AmazonStore(ObjectStore):
    """Objects of S3; a version is an ETag.

    Args:
        options: Beam's, for endpoint and credentials.
    """

    def __init__(self, options: PipelineOptions) -> None:
        self._client = Client(options).client

    @override
    def list(self, prefix: str) -> Iterator[FileInfo]:
        bucket, name = bucket_and_name(prefix)
        pages = self._client.get_paginator("list_objects_v2")
        for page in pages.paginate(Bucket=bucket, Prefix=name):
            for found in page.get("Contents", ()):
                if not found["Key"].endswith("/"):
                    path = f"s3://{bucket}/{found['Key']}"
                    yield FileInfo(path, found["Size"], version=found["ETag"])

    @override
    def stat(self, path: str) -> ObjectInfo | None:
        try:
            found = self._client.head_object(**_key(path))
        except ClientError as error:
            if _status(error) == 404:
                return None
            raise
        return ObjectInfo(found["ContentLength"], found["ETag"])

    @override
    def read(self, path: str, start: int, stop: int, version: str) -> bytes:
        for tries_left in reversed(range(_TRIES)):
            try:
                body = self._client.get_object(
                    **_key(path), Range=f"bytes={start}-{stop - 1}", IfMatch=version
                )["Body"]
                data: bytes = body.read()
            except ClientError as error:
                if _status(error) in (404, 412):
                    raise Replaced(f"{path} was replaced while it was read") from None
                raise
            except HTTPClientError:
                # The connection was lost, perhaps after the answer had begun.
                if not tries_left:
                    raise
            else:
                return data
        raise AssertionError("the last try returns or raises")

    @override
    def write(self, path: str, file: BinaryIO) -> None:
        file.seek(0)
        # A large one in parts, which are removed if one of them fails.
        self._client.upload_fileobj(file, **_key(path))

    @override
    def write_if(self, path: str, data: bytes, version: str | None) -> bool:
        condition = {"IfNoneMatch": "*"} if version is None else {"IfMatch": version}
        for tries_left in reversed(range(_TRIES)):
            try:
                self._client.put_object(**_key(path), Body=data, **condition)
            except ClientError as error:
                # Another conditional write is under way.
                if _status(error) == 409 and tries_left:
                    continue
                # Not found: what was to be replaced has been removed.
                if _status(error) in (404, 412):
                    return False
                raise
            return True
        raise AssertionError("the last try returns or raises")

    @override
    def remove(self, path: str) -> None:
        self._client.delete_object(**_key(path))


def _key(path: str) -> dict[str, str]:
    bucket, name = bucket_and_name(path)
    return {"Bucket": bucket, "Key": name}


def _status(error: Any) -> int:
    status: int = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    return status
