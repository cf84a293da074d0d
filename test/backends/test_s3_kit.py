"""Behaviour of the S3 backend against moto's S3 server on 127.0.0.1."""

from __future__ import annotations

import contextlib
import importlib
import io
import pickle
import traceback

import boto3
import pytest
import requests
from moto.server import ThreadedMotoServer

from ..loopback import LoopbackServer, Reply, Reset
from .cases import public_methods

SECRET = "test-canary-secret"
# A line break, too, may stand in a key; but not in moto's.
ODD_NAMES = [
    "space in it", "+plus", "per%20cent", "a&b=c?d#e", "<tag>", "'single' \"double\"", "back\\slash", "Grüße",
    "日本語", "🪣", "tab\tin it", "~!@$^*()[]{}|;:,.", "...", "trailing ",
]  # fmt: skip
BUCKET = "shelf"


@pytest.fixture(scope="module")
def moto():
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(scope="module", autouse=True)
def credentials(tmp_path_factory):
    nowhere = tmp_path_factory.mktemp("aws")
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
        monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        monkeypatch.setenv("AWS_CONFIG_FILE", str(nowhere / "no-config"))
        monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(nowhere / "no-credentials"))
        monkeypatch.delenv("AWS_PROFILE", raising=False)
        monkeypatch.delenv("AWS_SESSION_TOKEN", raising=False)
        monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)  # It keeps the credentials that it once found.
        yield


@pytest.fixture
def s3(moto, credentials):
    """The shelf as it is, seen past the backend."""
    requests.post(moto + "/moto-api/reset", timeout=10)
    client = boto3.client("s3", endpoint_url=moto)
    client.create_bucket(Bucket=BUCKET)
    yield client
    client.close()


@pytest.fixture
def backend(load):
    return load("s3_kit")


@pytest.fixture
def api(backend, s3, moto):
    api = backend.s3_kit({}, {}, None, moto)
    yield api
    api.close()


@pytest.fixture
def scripted(backend):
    """A backend, and the loopback server that it talks to, which answers what the test scripts."""
    with LoopbackServer() as server:
        api = backend.s3_kit(base_url=server.url)
        api.max_retries = 0  # Nothing to a plain backend; one attempt to an enhanced one.
        yield api, server
        api.close()


def put(s3, **objects):
    """Store texts; `__` in a name stands for the slash in a key."""
    for key, content in objects.items():
        s3.put_object(Bucket=BUCKET, Key=key.replace("__", "/"), Body=content.encode())


def keys(s3):
    return [found["Key"] for found in s3.list_objects_v2(Bucket=BUCKET).get("Contents", [])]


def content(s3, key):
    return s3.get_object(Bucket=BUCKET, Key=key)["Body"].read().decode()


def test_upload_file(api, s3, tmp_path):
    (tmp_path / "a.txt").write_text("alpha")
    api.upload_file(tmp_path / "a.txt", BUCKET, "texts/a.txt")
    assert content(s3, "texts/a.txt") == "alpha"


def test_file_in_several_parts_comes_back_whole(api, s3, tmp_path):
    (tmp_path / "big").write_bytes(bytes(range(256)) * (9 * 4096))  # 9 MiB; a part has 8.
    api.upload_file(tmp_path / "big", BUCKET, "big")
    assert s3.head_object(Bucket=BUCKET, Key="big")["ETag"].endswith('-2"')
    api.download_file(BUCKET, "big", tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == (tmp_path / "big").read_bytes()


def test_upload_folder_keeps_the_tree(api, s3, tmp_path):
    (tmp_path / "in" / "deep").mkdir(parents=True)
    (tmp_path / "in" / "a.txt").write_text("alpha")
    (tmp_path / "in" / "deep" / "b.txt").write_text("beta")
    assert api.upload_folder(tmp_path / "in", BUCKET, "out") == ["out/a.txt", "out/deep/b.txt"]
    assert keys(s3) == ["out/a.txt", "out/deep/b.txt"]
    assert content(s3, "out/deep/b.txt") == "beta"


def test_upload_folder_that_is_none_is_an_error(api, tmp_path):
    (tmp_path / "file").write_text("x")
    for path in (tmp_path / "nothing", tmp_path / "file"):
        with pytest.raises(NotADirectoryError):
            api.upload_folder(path, BUCKET)


def test_names_with_odd_letters_survive_every_way(api, s3, tmp_path):
    for name in ODD_NAMES:
        path = tmp_path / "in" / "deep er" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    wanted = sorted(f"deep er/{name}" for name in ODD_NAMES)
    assert api.upload_folder(tmp_path / "in", BUCKET, "one") == [f"one/{key}" for key in wanted]
    assert sorted(api.list_keys(BUCKET, "one/")) == [f"one/{key}" for key in wanted]
    assert sorted(api.copy_folder(BUCKET, "one", BUCKET, "two + 2")) == [f"two + 2/{key}" for key in wanted]
    paths = api.download_folder(BUCKET, "two + 2", tmp_path / "out")
    assert sorted(path.relative_to(tmp_path / "out").as_posix() for path in paths) == wanted
    assert {path.name: path.read_text() for path in paths} == {name: name for name in ODD_NAMES}
    assert sorted(api.delete_folder(BUCKET, "one")) == [f"one/{key}" for key in wanted]
    api.delete_file(BUCKET, f"two + 2/{wanted[0]}")
    assert sorted(keys(s3)) == [f"two + 2/{key}" for key in wanted[1:]]


def test_upload_folder_without_a_prefix(api, s3, tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.txt").write_text("alpha")
    assert api.upload_folder(tmp_path / "in", BUCKET) == keys(s3) == ["a.txt"]


def test_download_file_makes_the_folders_above_it(api, s3, tmp_path):
    put(s3, a="alpha")
    api.download_file(BUCKET, "a", tmp_path / "new" / "folder" / "a.txt")
    assert (tmp_path / "new" / "folder" / "a.txt").read_text() == "alpha"


def test_download_folder_keeps_the_tree_and_leaves_the_neighbours(api, s3, tmp_path):
    put(s3, data__a="alpha", data__deep__b="beta", database="no", data__empty__="")
    paths = api.download_folder(BUCKET, "data", tmp_path / "out")
    assert paths == [tmp_path / "out" / "a", tmp_path / "out" / "deep" / "b"]
    assert [path.read_text() for path in paths] == ["alpha", "beta"]
    assert {path.name for path in (tmp_path / "out").rglob("*")} == {"a", "deep", "b"}


@pytest.mark.parametrize("key", ["data/../../evil", "data//tmp/evil", "data/x/../../../evil", "data/.."])
def test_download_folder_writes_nothing_outside_of_the_folder(api, backend, s3, tmp_path, key):
    put(s3, data__a="alpha")
    s3.put_object(Bucket=BUCKET, Key=key, Body=b"evil")
    with pytest.raises(backend.S3Error, match="leads out of the folder"):
        api.download_folder(BUCKET, "data", tmp_path / "out" / "folder")
    assert list(tmp_path.iterdir()) == []


def test_download_folder_does_not_follow_a_link_out_of_the_folder(api, backend, s3, tmp_path):
    put(s3, data__link__evil="evil")
    (tmp_path / "out").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out" / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(backend.S3Error, match="leads out of the folder"):
        api.download_folder(BUCKET, "data", tmp_path / "out")
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_list_buckets(api):
    assert api.list_buckets() == [BUCKET]


def test_list_objects_has_the_sizes(api, s3):
    put(s3, a="alpha", b="beta!!")
    assert [(found["Key"], found["Size"]) for found in api.list_objects(BUCKET)] == [("a", 5), ("b", 6)]


def test_list_keys_by_prefix(api, s3):
    put(s3, data__a="1", data__b="2", other="3")
    assert api.list_keys(BUCKET, "data/") == ["data/a", "data/b"]


def test_list_keys_of_an_empty_bucket(api):
    assert api.list_keys(BUCKET) == []


def test_list_goes_on_over_the_pages(api, s3, monkeypatch):
    monkeypatch.setenv("MOTO_S3_DEFAULT_MAX_KEYS", "2")
    put(s3, **{f"k{i}": "x" for i in range(5)})
    assert s3.list_objects_v2(Bucket=BUCKET)["KeyCount"] == 2
    assert api.list_keys(BUCKET) == ["k0", "k1", "k2", "k3", "k4"]


def test_folders_of_many_pages(api, backend, s3, monkeypatch, tmp_path):
    monkeypatch.setenv("MOTO_S3_DEFAULT_MAX_KEYS", "2")
    monkeypatch.setattr(backend, "KEYS_PER_DELETE", 3)
    put(s3, **{f"data__{i}": str(i) for i in range(7)})
    assert len(api.download_folder(BUCKET, "data", tmp_path)) == 7
    assert sorted(path.read_text() for path in tmp_path.iterdir()) == list("0123456")
    assert len(api.copy_folder(BUCKET, "data", BUCKET, "copy")) == 7
    assert api.delete_folder(BUCKET, "data") == [f"data/{i}" for i in range(7)]
    assert api.list_keys(BUCKET) == [f"copy/{i}" for i in range(7)]


def test_list_that_does_not_say_where_its_next_page_begins_is_an_error(scripted, backend):
    api, server = scripted
    server.script(Reply(200, "<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>"))
    with pytest.raises(backend.S3Error, match="a next one"):
        api.list_keys(BUCKET)


def test_slash_is_not_the_whole_bucket(api, s3):
    put(s3, a="alpha", data__b="beta")
    s3.put_object(Bucket=BUCKET, Key="/root", Body=b"r")
    assert api.delete_folder(BUCKET, "/") == ["/root"]
    assert keys(s3) == ["a", "data/b"]


def test_large_file_is_copied_in_parts(api, s3, tmp_path):
    (tmp_path / "big").write_bytes(bytes(range(256)) * (9 * 4096))
    api.upload_file(tmp_path / "big", BUCKET, "big")
    api.copy_file(BUCKET, "big", BUCKET, "copy")
    assert s3.head_object(Bucket=BUCKET, Key="copy")["ETag"].endswith('-2"')
    assert s3.get_object(Bucket=BUCKET, Key="copy")["Body"].read() == (tmp_path / "big").read_bytes()


def test_copy_file(api, s3):
    put(s3, a="alpha")
    api.copy_file(BUCKET, "a", BUCKET, "texts/b")
    assert keys(s3) == ["a", "texts/b"]
    assert content(s3, "texts/b") == "alpha"


def test_copy_folder_to_another_bucket(api, s3):
    s3.create_bucket(Bucket="other")
    put(s3, data__a="alpha", data__deep__b="beta", database="no")
    assert api.copy_folder(BUCKET, "data/", "other", "new") == ["new/a", "new/deep/b"]
    assert api.list_keys("other") == ["new/a", "new/deep/b"]


def test_delete_file(api, s3):
    put(s3, a="alpha", b="beta")
    api.delete_file(BUCKET, "a")
    assert keys(s3) == ["b"]


def test_delete_folder_leaves_the_neighbours(api, s3):
    put(s3, data__a="1", data__deep__b="2", database="3")
    assert api.delete_folder(BUCKET, "data") == ["data/a", "data/deep/b"]
    assert keys(s3) == ["database"]


def test_delete_folder_deletes_as_many_at_once_as_s3_takes(api, backend, s3, monkeypatch):
    monkeypatch.setattr(backend, "KEYS_PER_DELETE", 2)
    put(s3, **{f"data__{i}": "x" for i in range(5)})
    assert len(api.delete_folder(BUCKET, "data")) == 5
    assert keys(s3) == []


def test_object_that_s3_did_not_delete_is_an_error(scripted, backend):
    api, server = scripted
    listed = "<ListBucketResult><Contents><Key>data/a</Key></Contents></ListBucketResult>"
    kept = "<Error><Key>data/a</Key><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"
    server.script(Reply(200, listed), Reply(200, f"<DeleteResult>{kept}</DeleteResult>"))
    with pytest.raises(backend.S3Error, match=r"^data/a: Access Denied \(AccessDenied\)$"):
        api.delete_folder(BUCKET, "data")


def test_connection(api, scripted):
    assert api.test_connection()
    refusing, server = scripted
    server.script(Reply(403, "<Error><Code>InvalidAccessKeyId</Code><Message>No such key.</Message></Error>"))
    assert not refusing.test_connection()


def test_base_url_from_metadata(backend, s3, moto):
    assert backend.s3_kit({}, {"base_url": moto}).list_buckets() == [BUCKET]


def test_without_a_base_url_it_is_amazons(backend):
    assert backend.s3_kit().client.meta.endpoint_url == "https://s3.amazonaws.com"


def test_api_key_is_not_kept(backend, moto):
    api = backend.s3_kit({}, {}, "test-canary-key", moto)
    assert "test-canary-key" not in map(str, vars(api).values())


def test_secret_is_not_sent(scripted):
    api, server = scripted
    server.script(Reply(200, "<ListAllMyBucketsResult><Buckets/></ListAllMyBucketsResult>"))
    assert api.list_buckets() == []
    (request,) = server.requests
    assert request.headers["authorization"].startswith("AWS4-HMAC-SHA256 Credential=testing/")
    assert SECRET not in request.path + str(request.query) + str(request.headers)


def test_error_of_a_listing_has_status_and_message_and_no_secret(api, backend):
    with pytest.raises(backend.S3Error) as caught:
        api.list_keys("nowhere")
    assert caught.value.status == 404
    assert caught.value.message == "The specified bucket does not exist (NoSuchBucket)"
    assert SECRET not in str(caught.value) + repr(caught.value)


def test_error_of_an_upload_has_status_and_message(api, backend, tmp_path):
    (tmp_path / "a").write_text("alpha")
    with pytest.raises(backend.S3Error) as caught:
        api.upload_file(tmp_path / "a", "nowhere", "a")
    assert caught.value.status == 404
    assert caught.value.message == "The specified bucket does not exist (NoSuchBucket)"


def test_error_of_a_download_has_its_status_and_leaves_no_file(api, backend, tmp_path):
    with pytest.raises(backend.S3Error) as caught:
        api.download_file(BUCKET, "nothing", tmp_path / "file")
    assert caught.value.status == 404
    assert list(tmp_path.iterdir()) == []


def test_server_that_cannot_be_reached_is_an_error_without_a_status(backend):
    with LoopbackServer() as server:
        api = backend.s3_kit(base_url=server.url)
    api.max_retries = 0
    with pytest.raises(backend.S3Error, match="Could not connect") as caught:
        api.list_buckets()
    assert caught.value.status is None


@pytest.mark.parametrize(
    "answer",
    [
        Reply(403, "<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"),
        Reply(403),
        Reply(200, "<html"),
        Reply(200, "no XML at all"),
        Reply(500, "<html>Internal Server Error</html>"),
        Reply(200, "<ListBucketResult>", cut_after=5),
        Reset(),
    ],
    ids=["refused", "refused without a word", "half XML", "no XML", "proxy", "cut off", "reset"],
)
def test_whatever_fails_is_one_exception_without_the_secret(scripted, backend, tmp_path, answer):
    api, server = scripted
    api.client.meta.events.unregister("needs-retry.s3", unique_id="retry-config-s3")
    (tmp_path / "a").write_text("alpha")
    calls = [
        lambda: api.list_buckets(),
        lambda: api.list_objects(BUCKET),
        lambda: api.list_keys(BUCKET),
        lambda: api.copy_file(BUCKET, "a", BUCKET, "b"),
        lambda: api.copy_folder(BUCKET, "a", BUCKET, "b"),
        lambda: api.delete_folder(BUCKET, "a"),
        lambda: api.download_folder(BUCKET, "a", tmp_path / "out"),
        lambda: api.download_file(BUCKET, "a", tmp_path / "out"),
        lambda: api.upload_file(tmp_path / "a", BUCKET, "a"),
        lambda: api.delete_file(BUCKET, "a"),
    ]
    failures = []
    for call in calls:
        server.script(answer)
        try:
            call()
        except backend.S3Error as error:
            failures.append(
                f"{error!r}{vars(error)}{pickle.dumps(error)!r}" + "".join(traceback.format_exception(error))
            )
    assert SECRET not in "".join(failures)
    # An upload or a deletion does not read the body of a 200, nor does a HEAD.
    certain = isinstance(answer, Reset) or answer.status >= 400
    assert len(failures) == len(calls) if certain else len(failures) >= 2


def test_missing_local_file_is_an_os_error(api, tmp_path):
    with pytest.raises(FileNotFoundError):
        api.upload_file(tmp_path / "nothing", BUCKET, "a")


# Bytes, streams, and what boto3 takes beside them


def test_bytes_go_up_and_come_down(api, s3):
    api.upload_bytes(b"alpha", BUCKET, "a", ContentType="text/plain", Metadata={"made-by": "us"})
    assert content(s3, "a") == "alpha"
    assert api.download_bytes(BUCKET, "a") == b"alpha"
    assert api.download_bytes(BUCKET, "a", Range="bytes=1-2") == b"lp"
    assert s3.head_object(Bucket=BUCKET, Key="a")["Metadata"] == {"made-by": "us"}


def test_streams_go_up_and_come_down_in_parts(api, s3):
    big = bytes(range(256)) * (9 * 4096)
    api.upload_stream(io.BytesIO(big), BUCKET, "big", ContentType="image/png")
    assert s3.head_object(Bucket=BUCKET, Key="big")["ETag"].endswith('-2"')
    stream = io.BytesIO()
    api.download_stream(BUCKET, "big", stream)
    assert stream.getvalue() == big
    assert s3.head_object(Bucket=BUCKET, Key="big")["ContentType"] == "image/png"


def test_files_and_folders_take_extra_arguments(api, s3, tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a").write_text("alpha")
    api.upload_file(tmp_path / "in" / "a", BUCKET, "file", ContentType="text/x-one")
    api.upload_folder(tmp_path / "in", BUCKET, "folder", ContentType="text/x-two")
    api.copy_file(BUCKET, "file", BUCKET, "copy", ContentType="text/x-three", MetadataDirective="REPLACE")
    kinds = [s3.head_object(Bucket=BUCKET, Key=key)["ContentType"] for key in ("file", "folder/a", "copy")]
    assert kinds == ["text/x-one", "text/x-two", "text/x-three"]


def test_version_of_an_object(api, s3, tmp_path):
    s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    old = s3.put_object(Bucket=BUCKET, Key="a", Body=b"old")["VersionId"]
    put(s3, a="new")
    assert api.download_bytes(BUCKET, "a", VersionId=old) == b"old"
    api.download_file(BUCKET, "a", tmp_path / "a", VersionId=old)
    assert (tmp_path / "a").read_text() == "old"
    assert api.head(BUCKET, "a", VersionId=old)["ContentLength"] == 3


def test_head_tells_of_an_object(api, s3):
    s3.put_object(Bucket=BUCKET, Key="a", Body=b"alpha", ContentType="text/plain")
    told = api.head(BUCKET, "a")
    assert (told["ContentLength"], told["ContentType"]) == (5, "text/plain")
    assert "ResponseMetadata" not in told


def test_exists(api, s3):
    put(s3, a="alpha")
    assert api.exists(BUCKET, "a") is True
    assert api.exists(BUCKET, "b") is False
    assert api.exists("nowhere", "a") is False


def test_refusal_is_not_taken_for_an_object_that_does_not_exist(scripted, backend):
    api, server = scripted
    server.script(Reply(403))
    with pytest.raises(backend.S3Error) as caught:
        api.exists(BUCKET, "a")
    assert caught.value.status == 403


def test_presigned_urls_read_and_write_without_credentials(api, s3):
    put(s3, a="alpha")
    assert requests.get(api.presigned_url(BUCKET, "a"), timeout=10).text == "alpha"
    url = api.presigned_url(BUCKET, "b", 60, "put_object", ContentType="text/plain")
    assert requests.put(url, b"beta", headers={"Content-Type": "text/plain"}, timeout=10).ok
    assert content(s3, "b") == "beta"


def test_presigned_url_is_made_without_a_request_and_shows_no_secret(scripted):
    api, server = scripted
    url = api.presigned_url(BUCKET, "a", 60)
    assert "X-Amz-Algorithm=AWS4-HMAC-SHA256" in url
    assert "X-Amz-Expires=60" in url
    assert SECRET not in url
    assert server.requests == []


def test_presigned_url_of_a_method_that_is_none_is_an_error(api, backend):
    with pytest.raises(backend.S3Error, match="get_everything"):
        api.presigned_url(BUCKET, "a", method="get_everything")


def test_profile_and_region_from_metadata(backend, tmp_path, monkeypatch):
    (tmp_path / "config").write_text("[profile shelf]\nregion = eu-west-3\n")
    (tmp_path / "credentials").write_text(
        "[shelf]\naws_access_key_id = of-shelf\naws_secret_access_key = s\n"
    )
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    client = backend.s3_kit({}, {"profile": "shelf"}).client
    assert client.meta.region_name == "eu-west-3"
    assert client._request_signer._credentials.access_key == "of-shelf"
    assert (
        backend.s3_kit({}, {"profile": "shelf", "region": "eu-north-1"}).client.meta.region_name
        == "eu-north-1"
    )


LISTED = "<ListBucketResult><Contents><Key>data/a</Key></Contents></ListBucketResult>"


def all_calls(api, tmp_path):
    """Yield all methods that ask S3 for something, each as a function that takes more arguments."""
    (tmp_path / "in").mkdir(exist_ok=True)
    (tmp_path / "in" / "a").write_text("alpha")
    yield lambda **more: api.list_buckets(**more)
    yield lambda **more: api.list_objects(BUCKET, **more)
    yield lambda **more: api.list_keys(BUCKET, **more)
    yield lambda **more: api.upload_file(tmp_path / "in" / "a", BUCKET, "data/a", **more)
    yield lambda **more: api.upload_stream(io.BytesIO(b"alpha"), BUCKET, "data/b", **more)
    yield lambda **more: api.upload_bytes(b"alpha", BUCKET, "data/c", **more)
    yield lambda **more: api.upload_folder(tmp_path / "in", BUCKET, "data", **more)
    yield lambda **more: api.head(BUCKET, "data/a", **more)
    yield lambda **more: api.exists(BUCKET, "data/a", **more)
    yield lambda **more: api.download_bytes(BUCKET, "data/a", **more)
    yield lambda **more: api.download_file(BUCKET, "data/a", tmp_path / "out", **more)
    yield lambda **more: api.download_stream(BUCKET, "data/a", io.BytesIO(), **more)
    yield lambda **more: api.download_folder(BUCKET, "data", tmp_path / "outs", **more)
    yield lambda **more: api.copy_file(BUCKET, "data/a", BUCKET, "copy", **more)
    yield lambda **more: api.copy_folder(BUCKET, "data", BUCKET, "copies", **more)
    yield lambda **more: api.delete_file(BUCKET, "copy", **more)
    yield lambda **more: api.delete_folder(BUCKET, "copies", **more)


def test_headers_of_a_call_and_of_an_instance_are_sent_and_signed(backend, s3, moto, tmp_path):
    api = backend.s3_kit({}, {"headers": {"X-Gateway": "all"}}, None, moto)
    sent = []
    api.client.meta.events.register("before-send.s3", lambda request, **_: sent.append(dict(request.headers)))
    for call in all_calls(api, tmp_path):
        call(extra_headers={"X-Call": "one"})
    assert {(text(headers["X-Gateway"]), text(headers["X-Call"])) for headers in sent} == {("all", "one")}
    assert all("x-gateway" in text(headers["Authorization"]) for headers in sent)
    del sent[:]
    api.list_buckets()
    assert "X-Call" not in sent[0]


def text(value):
    return value.decode() if isinstance(value, bytes) else value


def test_every_method_is_among_the_calls_tested_here(api, tmp_path, load):
    plain = importlib.import_module("ipfs_accelerate_py.api_backends.plain.s3_kit").s3_kit
    names = {name for call in all_calls(api, tmp_path) for name in call.__code__.co_names}
    assert set(public_methods(plain)) - {"presigned_url"} <= names


@pytest.mark.parametrize("body", ["", "<x/>", LISTED, "<ListBucketResult><Contents/></ListBucketResult>"])
def test_answer_that_leaves_out_what_s3_always_says_is_the_backends_error(backend, scripted, tmp_path, body):
    """As where rclone or another server answers to `UploadPartCopy` without an `ETag`."""
    api, server = scripted
    api.client.meta.events.unregister("needs-retry.s3", unique_id="retry-config-s3")
    api.transfer.multipart_threshold = api.transfer.multipart_chunksize = 2
    server.app = lambda request: Reply(200, body)
    for call in all_calls(api, tmp_path):
        with contextlib.suppress(backend.S3Error):
            call()


def test_copy_in_parts_to_a_server_that_gives_no_etag(backend, scripted):
    api, server = scripted
    api.transfer.multipart_threshold = 2
    begun = "<InitiateMultipartUploadResult><UploadId>7</UploadId></InitiateMultipartUploadResult>"
    answers = {
        "HEAD": Reply(200, b"alpha"),
        "POST": Reply(200, begun),
        "PUT": Reply(200, "<CopyPartResult/>"),
    }
    server.app = lambda request: answers.get(request.method, Reply(204))
    with pytest.raises(backend.S3Error, match=r"^the server's answer has no 'ETag'$") as caught:
        api.copy_file(BUCKET, "a", BUCKET, "b")
    assert caught.value.status is None
