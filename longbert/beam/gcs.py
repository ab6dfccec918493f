"""What Beam's interface of file systems lacks and Google Cloud Storage has: preconditions."""

from __future__ import annotations

from typing import Any


def write_if_on_gcs(path: str, data: bytes, *, expected: bytes | None) -> bool:
    """Write an object, if its content is still what it was.

    The store compares the object's generation as it writes, so of several writers one succeeds:
    https://cloud.google.com/storage/docs/request-preconditions

    Args:
        path: ``gs://bucket/name``.
        data: new content.
        expected: content that it must have; None: it must not exist.

    Returns:
        Whether it was written.

    Raises:
        Exception: the store's library has errors of its own.
    """
    from apache_beam.io.gcp.gcsio import GcsIO, parse_gcs_path
    from google.api_core.exceptions import NotFound, PreconditionFailed

    bucket, name = parse_gcs_path(path)
    blob: Any = GcsIO().client.bucket(bucket).blob(name)
    generation = 0
    if expected is not None:
        try:
            blob.reload()
            generation = blob.generation
            found = blob.download_as_bytes(if_generation_match=generation)
        except (NotFound, PreconditionFailed):
            return False
        if found != expected:
            return False
    try:
        blob.upload_from_string(
            data, content_type="application/octet-stream", if_generation_match=generation
        )
    except PreconditionFailed:
        return False
    return True
