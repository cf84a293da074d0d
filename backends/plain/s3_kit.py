"""Amazon S3 and servers that speak its protocol: files, folders, bytes and streams up, down, listed, copied, deleted.

API reference: https://boto3.amazonaws.com/v1/documentation/api/latest/reference/services/s3.html (read in November 2026,
beside boto3 1.44)
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import boto3  # type: ignore[import-untyped]
from boto3.exceptions import Boto3Error  # type: ignore[import-untyped]
from boto3.s3.transfer import TransferConfig  # type: ignore[import-untyped]
from botocore.config import Config  # type: ignore[import-untyped]
from botocore.exceptions import BotoCoreError, ClientError  # type: ignore[import-untyped]
from botocore.parsers import ResponseParserError  # type: ignore[import-untyped]
from s3transfer import exceptions as transfer_errors  # type: ignore[import-untyped]

from ._http import DEFAULT_TIMEOUT, BackendError, merged_headers

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
    LookupError,
)
"""What boto3, botocore and s3transfer raise; they have no exception in common.

A `LookupError` where a server leaves out what S3 always says: boto3 looks for it without a check.
"""

_headers_of_the_call: ContextVar[dict[str, str] | None] = ContextVar("headers of the call", default=None)


class S3Error(BackendError):
    """S3 returned an error, or could not be reached; `status` is None where there was no HTTP answer to blame."""


class s3_kit:
    """A client of S3. A folder is all keys that begin with its name and a slash.

    All methods take more arguments of the boto3 call that they make, such as `ContentType="text/plain"` or `VersionId="…"`;
    those that move files take what boto3 takes in `ExtraArgs`. One is not boto3's: `extra_headers`, a dict of headers for
    that call alone.

    Args:
        resources: whatever the caller wants to keep with the client; not used here.
        metadata: `base_url` is read from it; `profile`, one of `~/.aws/config`; `region`, such as `eu-central-1`; and
            `headers`: a dict of headers for all requests, which can be changed in the attribute `headers`.
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
        # boto3 would sign URLs in the way of before 2014, which many servers and regions do not take.
        config = Config(
            max_pool_connections=16, connect_timeout=connect, read_timeout=read, signature_version="s3v4"
        )
        session = boto3.Session(
            profile_name=self.metadata.get("profile"), region_name=self.metadata.get("region")
        )
        self.client = session.client("s3", endpoint_url=self.base_url, config=config)
        self.headers: dict[str, str] = dict(self.metadata.get("headers") or {})
        self.client.meta.events.register("before-call.s3", partial(_add_headers, self.headers))
        # A large file goes part by part: who limits the calls limits the requests with them.
        self.transfer = TransferConfig(use_threads=False)

    # Up and down

    def upload_file(self, path: str | Path, bucket: str, key: str, **extra: Any) -> None:
        """Store the file at `path` as `key`."""
        with _s3_call(extra):
            self.client.upload_file(str(path), bucket, key, ExtraArgs=extra, Config=self.transfer)

    def upload_stream(self, stream: BinaryIO, bucket: str, key: str, **extra: Any) -> None:
        """Store what `stream` has as `key`, part by part; it need not fit into memory."""
        with _s3_call(extra):
            self.client.upload_fileobj(stream, bucket, key, ExtraArgs=extra, Config=self.transfer)

    def upload_bytes(self, data: bytes, bucket: str, key: str, **extra: Any) -> None:
        """Store `data` as `key`."""
        with _s3_call(extra):
            self.client.put_object(Body=data, Bucket=bucket, Key=key, **extra)

    def upload_folder(self, folder: str | Path, bucket: str, prefix: str = "", **extra: Any) -> list[str]:
        """Store all files below `folder` under `prefix`, and return their keys."""
        root = Path(folder)
        if not root.is_dir():
            raise NotADirectoryError(f"{root} is not a folder")
        files = {_folder(prefix) + p.relative_to(root).as_posix(): p for p in root.rglob("*") if p.is_file()}
        for key, path in sorted(files.items()):
            self.upload_file(path, bucket, key, **extra)
        return sorted(files)

    def download_file(self, bucket: str, key: str, path: str | Path, **extra: Any) -> None:
        """Write the object `key` to the file at `path`; folders above it are made."""
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        with _s3_call(extra):
            self.client.download_file(bucket, key, str(path), ExtraArgs=extra, Config=self.transfer)

    def download_stream(self, bucket: str, key: str, stream: BinaryIO, **extra: Any) -> None:
        """Write the object `key` to `stream`, part by part; it need not fit into memory."""
        with _s3_call(extra):
            self.client.download_fileobj(bucket, key, stream, ExtraArgs=extra, Config=self.transfer)

    def download_bytes(self, bucket: str, key: str, **extra: Any) -> bytes:
        """Return the content of the object `key`, or a part of it: `Range="bytes=0-99"`."""
        with _s3_call(extra):
            answer = self.client.get_object(Bucket=bucket, Key=key, **extra)
            with answer["Body"] as body:
                return bytes(body.read())

    def download_folder(self, bucket: str, prefix: str, folder: str | Path, **extra: Any) -> list[Path]:
        """Write all objects under `prefix` to files below `folder`, and return their paths.

        Nothing is written if one of the keys leads out of `folder` (by `..`, say): that is an `S3Error`.
        """
        root, start = Path(folder).resolve(), _folder(prefix)
        files: dict[str, Path] = {}
        for key in self.list_keys(bucket, start, **_headers_in(extra)):
            if key.endswith("/"):
                continue
            files[key] = (root / key[len(start) :]).resolve()
            if root not in files[key].parents:
                raise S3Error(None, f"the key {key!r} leads out of the folder")
        for key, path in files.items():
            self.download_file(bucket, key, path, **extra)
        return list(files.values())

    def presigned_url(
        self, bucket: str, key: str, seconds: int = 3600, method: str = "get_object", **params: Any
    ) -> str:
        """Return a URL with which anybody may do one thing for a time, without a request being made for it.

        Args:
            seconds: how long; a week at most.
            method: what, as boto3 names it: `get_object`, `put_object`, …
            params: more arguments of that method.
        """
        with _s3_call({}):
            arguments = {"Bucket": bucket, "Key": key, **params}
            return str(self.client.generate_presigned_url(method, arguments, ExpiresIn=seconds))

    # What is there

    def head(self, bucket: str, key: str, **extra: Any) -> dict[str, Any]:
        """Return what S3 says of the object `key`: `ContentLength`, `ETag`, `ContentType`, `Metadata` and more."""
        with _s3_call(extra):
            answer = self.client.head_object(Bucket=bucket, Key=key, **extra)
        return {name: value for name, value in answer.items() if name != "ResponseMetadata"}

    def exists(self, bucket: str, key: str, **extra: Any) -> bool:
        """Return True if there is an object `key`. Without leave to list the bucket, S3 answers 403: an `S3Error`."""
        try:
            self.head(bucket, key, **extra)
        except S3Error as failure:
            if failure.status != 404:
                raise
            return False
        return True

    def list_buckets(self, **extra: Any) -> list[str]:
        """Return the names of the buckets that these credentials own."""
        with _s3_call(extra):
            answer = self.client.list_buckets(**extra)
            return [bucket["Name"] for bucket in answer.get("Buckets", [])]

    def list_objects(self, bucket: str, prefix: str = "", **extra: Any) -> list[dict[str, Any]]:
        """Return `Key`, `Size`, `ETag`, `LastModified` of each object whose key begins with `prefix`."""
        objects: list[dict[str, Any]] = []
        with _s3_call(extra):
            query = {**extra, "Bucket": bucket, "Prefix": prefix}
            while True:
                page = self.client.list_objects_v2(**query)
                objects += page.get("Contents", [])
                if not page.get("IsTruncated"):
                    return objects
                if not page.get("NextContinuationToken"):
                    raise S3Error(None, "a page of the list tells of a next one, and not where it begins")
                query["ContinuationToken"] = page["NextContinuationToken"]

    def list_keys(self, bucket: str, prefix: str = "", **extra: Any) -> list[str]:
        """Return the keys that begin with `prefix`."""
        found = self.list_objects(bucket, prefix, **extra)
        with _s3_call({}):
            return [each["Key"] for each in found]

    # Copies and deletions

    def copy_file(self, bucket: str, key: str, to_bucket: str, to_key: str, **extra: Any) -> None:
        """Copy an object, without its content passing through here."""
        source = {"Bucket": bucket, "Key": key}
        with _s3_call(extra):
            self.client.copy(source, to_bucket, to_key, ExtraArgs=extra, Config=self.transfer)

    def copy_folder(
        self, bucket: str, prefix: str, to_bucket: str, to_prefix: str, **extra: Any
    ) -> list[str]:
        """Copy all objects under `prefix` to `to_prefix`, and return the new keys."""
        start, to_start = _folder(prefix), _folder(to_prefix)
        keys = self.list_keys(bucket, start, **_headers_in(extra))
        copies = {key: to_start + key[len(start) :] for key in keys}
        for key, to_key in copies.items():
            self.copy_file(bucket, key, to_bucket, to_key, **extra)
        return list(copies.values())

    def delete_file(self, bucket: str, key: str, **extra: Any) -> None:
        """Delete the object `key`; S3 does not mind if there is none."""
        with _s3_call(extra):
            self.client.delete_object(Bucket=bucket, Key=key, **extra)

    def delete_folder(self, bucket: str, prefix: str, **extra: Any) -> list[str]:
        """Delete all objects under `prefix` (all of the bucket if it is empty), and return their keys."""
        keys = self.list_keys(bucket, _folder(prefix), **_headers_in(extra))
        with _s3_call(extra):
            for start in range(0, len(keys), KEYS_PER_DELETE):
                batch = {
                    "Objects": [{"Key": key} for key in keys[start : start + KEYS_PER_DELETE]],
                    "Quiet": True,
                }
                answer = self.client.delete_objects(Bucket=bucket, Delete=batch, **extra)
                # S3 answers 200 also where it kept some of them.
                for kept in answer.get("Errors", []):
                    raise S3Error(None, f"{kept.get('Key')}: {kept.get('Message')} ({kept.get('Code')})")
        return keys

    def test_connection(self) -> bool:
        """Return True if S3 can be reached and accepts the credentials."""
        try:
            with _s3_call({}):
                self.client.list_buckets()
        except S3Error:
            return False
        return True

    def close(self) -> None:
        """Close the connections."""
        self.client.close()


def _folder(prefix: str) -> str:
    """Return `prefix` with a slash at its end, so that `data` is not `database` too; empty, all keys, stays empty."""
    return prefix if not prefix or prefix.endswith("/") else prefix + "/"


def _headers_in(extra: dict[str, Any]) -> dict[str, Any]:
    """Return of the arguments of a folder's files what also holds for the list of them."""
    return {"extra_headers": extra.get("extra_headers")}


def _add_headers(of_instance: dict[str, str], params: dict[str, Any], **_: Any) -> None:
    """Add headers to a request before botocore signs it."""
    params["headers"].update(merged_headers(of_instance, _headers_of_the_call.get()))


@contextmanager
def _s3_call(extra: dict[str, Any]) -> Iterator[None]:
    """Take `extra_headers` out of `extra` for the calls inside, and turn what boto3 raises there into an `S3Error`."""
    token = _headers_of_the_call.set(extra.pop("extra_headers", None))
    try:
        yield
    except FAILURES as failure:
        # boto3 raises S3UploadFailedError while it handles the ClientError that knows the status.
        said = failure if isinstance(failure, ClientError) else failure.__context__
        if isinstance(failure, LookupError):
            raise S3Error(None, f"the server's answer has no {failure}") from failure
        if not isinstance(said, ClientError):
            raise S3Error(None, str(failure)) from failure
        detail = said.response.get("Error", {})
        status = said.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
        raise S3Error(status, f"{detail.get('Message')} ({detail.get('Code')})") from failure
    finally:
        _headers_of_the_call.reset(token)
