"""Amazon S3 and servers that speak its protocol: files and folders up, down, listed, copied, deleted.

API reference: https://boto3.amazonaws.com/v1/documentation/api/latest/reference/services/s3.html
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3  # type: ignore[import-untyped]
from boto3.exceptions import Boto3Error  # type: ignore[import-untyped]
from boto3.s3.transfer import TransferConfig  # type: ignore[import-untyped]
from botocore.config import Config  # type: ignore[import-untyped]
from botocore.exceptions import BotoCoreError, ClientError  # type: ignore[import-untyped]
from botocore.parsers import ResponseParserError  # type: ignore[import-untyped]
from s3transfer import exceptions as transfer_errors  # type: ignore[import-untyped]

from ._http import DEFAULT_TIMEOUT, BackendError

KEYS_PER_DELETE = 1000
"""As many as S3 takes in one DeleteObjects request."""

FAILURES = (
    ClientError,
    BotoCoreError,
    Boto3Error,
    ResponseParserError,
    transfer_errors.S3CopyFailedError,
    transfer_errors.S3DownloadFailedError,
    transfer_errors.S3ValidationError,
)
"""What boto3, botocore and s3transfer raise; they have no exception in common."""


class S3Error(BackendError):
    """S3 said no, or could not be reached; `status` is None where there was no HTTP answer to blame."""


class s3_kit:
    """A client of S3. A folder is all keys that begin with its name and a slash.

    Args:
        resources: whatever the caller wants to keep with the client; not used here.
        metadata: `base_url` is read from it.
        api_key: taken so that all backends are made alike; neither used nor kept. The credentials
            come from where botocore looks for them: environment, `~/.aws`, the machine's role.
        base_url: the endpoint of a server other than AWS, such as MinIO.

    Raises:
        S3Error: from every method, when S3 answers with an error or cannot be reached.
        OSError: when a local file cannot be read or written.
    """

    def __init__(
        self,
        resources: dict[str, Any] | None = None,
        metadata: dict[str, Any] | None = None,
        api_key: str | None = None,
        base_url: str | None = None,
    ) -> None:
        self.resources = {} if resources is None else resources
        self.metadata = {} if metadata is None else metadata
        self.base_url = base_url or self.metadata.get("base_url")
        connect, read = DEFAULT_TIMEOUT
        config = Config(max_pool_connections=16, connect_timeout=connect, read_timeout=read)
        self.client = boto3.client("s3", endpoint_url=self.base_url, config=config)
        # A large file goes part by part: who limits the calls limits the requests with them.
        self.transfer = TransferConfig(use_threads=False)

    def upload_file(self, path: str | Path, bucket: str, key: str) -> None:
        """Store the file at `path` as `key`."""
        with _s3_errors():
            self.client.upload_file(str(path), bucket, key, Config=self.transfer)

    def upload_folder(self, folder: str | Path, bucket: str, prefix: str = "") -> list[str]:
        """Store all files below `folder` under `prefix`, and return their keys."""
        root = Path(folder)
        if not root.is_dir():
            raise NotADirectoryError(f"{root} is not a folder")
        files = {_folder(prefix) + p.relative_to(root).as_posix(): p for p in root.rglob("*") if p.is_file()}
        for key, path in sorted(files.items()):
            self.upload_file(path, bucket, key)
        return sorted(files)

    def download_file(self, bucket: str, key: str, path: str | Path) -> None:
        """Write the object `key` to the file at `path`; folders above it are made."""
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        with _s3_errors():
            self.client.download_file(bucket, key, str(path), Config=self.transfer)

    def download_folder(self, bucket: str, prefix: str, folder: str | Path) -> list[Path]:
        """Write all objects under `prefix` to files below `folder`, and return their paths.

        Nothing is written if one of the keys leads out of `folder` (by `..`, say): that is an `S3Error`.
        """
        root, start = Path(folder).resolve(), _folder(prefix)
        files: dict[str, Path] = {}
        for key in self.list_keys(bucket, start):
            if key.endswith("/"):
                continue
            files[key] = (root / key[len(start) :]).resolve()
            if root not in files[key].parents:
                raise S3Error(None, f"the key {key!r} leads out of the folder")
        for key, path in files.items():
            self.download_file(bucket, key, path)
        return list(files.values())

    def list_buckets(self) -> list[str]:
        """Return the names of the buckets that these credentials own."""
        with _s3_errors():
            answer = self.client.list_buckets()
        return [bucket["Name"] for bucket in answer.get("Buckets", [])]

    def list_objects(self, bucket: str, prefix: str = "") -> list[dict[str, Any]]:
        """Return `Key`, `Size`, `ETag`, `LastModified` of each object whose key begins with `prefix`."""
        objects: list[dict[str, Any]] = []
        query = {"Bucket": bucket, "Prefix": prefix}
        while True:
            with _s3_errors():
                page = self.client.list_objects_v2(**query)
            objects += page.get("Contents", [])
            if not page.get("IsTruncated"):
                return objects
            if not page.get("NextContinuationToken"):
                raise S3Error(None, "a page of the list tells of a next one, and not where it begins")
            query["ContinuationToken"] = page["NextContinuationToken"]

    def list_keys(self, bucket: str, prefix: str = "") -> list[str]:
        """Return the keys that begin with `prefix`."""
        return [found["Key"] for found in self.list_objects(bucket, prefix)]

    def copy_file(self, bucket: str, key: str, to_bucket: str, to_key: str) -> None:
        """Copy an object, without its content passing through here."""
        source = {"Bucket": bucket, "Key": key}
        with _s3_errors():
            self.client.copy(source, to_bucket, to_key, Config=self.transfer)

    def copy_folder(self, bucket: str, prefix: str, to_bucket: str, to_prefix: str) -> list[str]:
        """Copy all objects under `prefix` to `to_prefix`, and return the new keys."""
        start, to_start = _folder(prefix), _folder(to_prefix)
        copies = {key: to_start + key[len(start) :] for key in self.list_keys(bucket, start)}
        for key, to_key in copies.items():
            self.copy_file(bucket, key, to_bucket, to_key)
        return list(copies.values())

    def delete_file(self, bucket: str, key: str) -> None:
        """Delete the object `key`; S3 does not mind if there is none."""
        with _s3_errors():
            self.client.delete_object(Bucket=bucket, Key=key)

    def delete_folder(self, bucket: str, prefix: str) -> list[str]:
        """Delete all objects under `prefix` (all of the bucket if it is empty), and return their keys."""
        keys = self.list_keys(bucket, _folder(prefix))
        for start in range(0, len(keys), KEYS_PER_DELETE):
            batch = {
                "Objects": [{"Key": key} for key in keys[start : start + KEYS_PER_DELETE]],
                "Quiet": True,
            }
            with _s3_errors():
                answer = self.client.delete_objects(Bucket=bucket, Delete=batch)
            # S3 answers 200 also where it kept some of them.
            for kept in answer.get("Errors", []):
                raise S3Error(None, f"{kept['Key']}: {kept.get('Message')} ({kept.get('Code')})")
        return keys

    def test_connection(self) -> bool:
        """Return True if S3 can be reached and accepts the credentials."""
        try:
            self.list_buckets()
        except S3Error:
            return False
        return True

    def close(self) -> None:
        """Close the connections."""
        self.client.close()


def _folder(prefix: str) -> str:
    """Return `prefix` with a slash at its end, so that `data` is not `database` too; empty, all keys, stays empty."""
    return prefix if not prefix or prefix.endswith("/") else prefix + "/"


@contextmanager
def _s3_errors() -> Iterator[None]:
    """Turn what boto3 raises inside into an `S3Error` with the status and S3's message."""
    try:
        yield
    except FAILURES as failure:
        # boto3 raises S3UploadFailedError while it handles the ClientError that knows the status.
        said = failure if isinstance(failure, ClientError) else failure.__context__
        if not isinstance(said, ClientError):
            raise S3Error(None, str(failure)) from failure
        detail = said.response.get("Error", {})
        status = said.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
        raise S3Error(status, f"{detail.get('Message')} ({detail.get('Code')})") from failure
