"""`s3_kit` against the S3 servers of moto and of rclone, which shares no code with it: every method, and every count."""

from __future__ import annotations

import boto3
import pytest

from ipfs_accelerate_py.api_backends import s3_kit as enhanced
from ipfs_accelerate_py.api_backends._request_engine import RequestEngine
from ipfs_accelerate_py.api_backends.plain import s3_kit as plain
from ipfs_accelerate_py.api_backends.s3_kit import S3Error

from ..backends.cases import public_methods
from ..loopback import Reply
from . import processes
from .gateway import Gateway
from .methods import BUCKET, S3, TEXT

pytestmark = pytest.mark.timeout(200)

TRANSFERS = frozenset(
    ("upload_file", "upload_stream", "upload_folder", "download_file", "download_stream", "copy_file")
)
"""They begin with a call of boto3 that makes several requests; boto3 repeats each of these (B12)."""
KEY, SECRET = "testing", "test-canary-secret"


@pytest.fixture(scope="module", params=["moto", "rclone"])
def gateway(request, tmp_path_factory):
    """In front of a server with one bucket."""
    nowhere = tmp_path_factory.mktemp(request.param)
    with pytest.MonkeyPatch.context() as environment:
        for name, value in {
            "AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true", "AWS_CONFIG_FILE": str(nowhere / "no-config"),
            "AWS_SHARED_CREDENTIALS_FILE": str(nowhere / "no-credentials"),
        }.items():  # fmt: skip
            environment.setenv(name, value)
        environment.delenv("AWS_PROFILE", raising=False)
        environment.delenv("AWS_SESSION_TOKEN", raising=False)
        environment.setattr(boto3, "DEFAULT_SESSION", None)  # It keeps the credentials that it once found.
        with getattr(processes, request.param)(nowhere, KEY, SECRET) as url, Gateway(url) as gateway:
            boto3.client("s3", endpoint_url=url).create_bucket(Bucket=BUCKET)
            yield gateway


@pytest.fixture(scope="module")
def backends(gateway):
    """One backend of each kind: to make a client of boto3's takes long."""
    kinds = {"plain": plain(base_url=gateway.url), "enhanced": enhanced(base_url=gateway.url)}
    yield kinds
    for api in kinds.values():
        api.close()


@pytest.fixture
def seen(backends, gateway):
    """The requests that the server sees; it has one object before them."""
    client = backends["plain"].client
    for found in client.list_objects_v2(Bucket=BUCKET).get("Contents", []):
        client.delete_object(Bucket=BUCKET, Key=found["Key"])
    client.put_object(Bucket=BUCKET, Key="texts/a.txt", Body=TEXT)
    gateway.requests.clear()
    return gateway.requests


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "b.txt").write_bytes(b"beta")
    return tmp_path


def test_every_method_is_called_here():
    assert set(S3) == set(public_methods(plain))


@pytest.mark.parametrize("kind", ["plain", "enhanced"])
@pytest.mark.parametrize("method", S3)
def test_a_method_does_what_it_says(method, kind, backends, seen, folder):
    assert S3[method](backends[kind], folder)


@pytest.mark.parametrize("method", [method for method in S3 if method != "presigned_url"])
def test_what_a_gateway_refuses_is_asked_for_once_more_by_one_layer(method, backends, seen, folder, gateway):
    api = backends["enhanced"]
    before = api.queue_stats()
    gateway.script(Reply(503))
    with RequestEngine.testing():
        assert S3[method](api, folder)
    requests, sent, retried = (
        api.queue_stats()[name] - before[name] for name in ("requests", "sent", "retried")
    )
    assert retried == (method not in TRANSFERS)
    assert sent == requests + retried
    if method not in TRANSFERS | {"download_folder", "copy_folder"}:
        assert len(seen) == sent
    first, again, *others = seen
    assert (first.method, first.target) == (again.method, again.target)
    assert (first.method, first.target) not in [(other.method, other.target) for other in others]


def test_without_retries_of_ours_there_are_none(backends, seen, gateway, monkeypatch):
    api = backends["enhanced"]
    monkeypatch.setattr(api, "max_retries", 0)
    gateway.script(Reply(503))
    with pytest.raises(S3Error):
        api.download_bytes(BUCKET, "texts/a.txt")
    assert len(seen) == 1
