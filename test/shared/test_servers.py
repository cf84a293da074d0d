"""What a server may be, and what it may refuse: R7, R12, R14."""

from __future__ import annotations

import contextlib
import logging
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from .apis import SharedApi
from .proxy import Proxy
from .redis_process import RedisProcess, needs_redis
from .watching import InFlight, until

pytestmark = needs_redis

Make = Callable[..., SharedApi]

LEAST_ACL = (
    "+evalsha +eval +hget +hset +hdel +zadd +zrem +zcard +zscore +zrange +zrangebyscore +del +pexpire +time +publish "
    "+subscribe +unsubscribe +ping +hello +auth +select +info"
)
"""As docs/sharing.md says it."""


SOON = {"shared_lease": 3}
"""For tests that start a server of their own: newcomers wait a third of the lease for those that might find it again."""


def works(api: SharedApi) -> bool:
    """Make a request; return whether the limit was shared meanwhile."""
    assert api.call(lambda: "done") == "done"
    return bool(api.queue_stats()["shared"])


def test_R12_a_server_that_is_full_lets_requests_run(make: Make, account: str) -> None:
    with RedisProcess("--maxmemory", "1", "--maxmemory-policy", "noeviction") as server:
        api = make(shared_queue=server.url, shared_account=account, **SOON)
        assert not works(api)
        server.client().config_set("maxmemory", 0)
        until(lambda: works(api))


def test_R12_a_replica_that_is_read_only_lets_requests_run(
    make: Make, account: str, redis_server: RedisProcess
) -> None:
    with RedisProcess("--replicaof", f"127.0.0.1 {redis_server.port}") as replica:
        api = make(shared_queue=replica.url, shared_account=account, **SOON)
        assert not works(api)
        replica.client().replicaof("NO", "ONE")
        until(lambda: works(api))


def test_R12_a_wrong_type_under_the_key_lets_requests_run(
    make: Make, redis_server: RedisProcess, account: str
) -> None:
    client = redis_server.client()
    api = make(shared_queue=redis_server.url, shared_account=account)
    before = set(client.keys())
    assert works(api)
    (state,) = (key for key in set(client.keys()) - before if key.endswith("state"))
    client.set(state, "somebody else's")
    until(lambda: not works(api))
    client.delete(state)
    until(lambda: works(api))


def test_R12_a_wrong_password_lets_requests_run_and_is_not_shown(
    make: Make, account: str, caplog: pytest.LogCaptureFixture
) -> None:
    with RedisProcess("--requirepass", "right-4711") as server, caplog.at_level(logging.DEBUG):
        wrong = server.url.replace("//", "//:canary-4711@")
        assert not works(make(shared_queue=wrong, shared_account=account))
        right = make(shared_queue=server.url.replace("//", "//:right-4711@"), shared_account=account, **SOON)
        until(lambda: works(right))
    assert "4711" not in caplog.text


def test_R14_the_least_rights_that_the_documentation_names_are_enough(make: Make, account: str) -> None:
    with RedisProcess() as server:
        admin = server.client()
        admin.execute_command(
            "ACL", "SETUSER", "queue", "on", ">secret", "resetkeys", "~request-queue:*", "resetchannels",
            "&request-queue:*", "-@all", *LEAST_ACL.split(),
        )  # fmt: skip
        url = server.url.replace("//", "//queue:secret@")
        apis = [make(shared_queue=url, shared_account=account, max_concurrent_requests=2) for _ in range(2)]
        seen = InFlight()
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda n: apis[n % 2].call(seen, 0.005), range(40)))
        assert all(map(works, apis))
        for api in apis:
            api.close()
        until(lambda: admin.keys("*") == [])
        assert seen.peak == 2
        # redis-py says its version as well (CLIENT SETINFO), and goes on where it may not.
        assert {entry["object"] for entry in admin.acl_log()} <= {"client|setinfo", "client"}


def test_R14_no_right_to_subscribe_is_told_and_lets_requests_run(make: Make, account: str) -> None:
    with RedisProcess() as server:
        server.client().execute_command(
            "ACL", "SETUSER", "queue", "on", ">secret", "~*", "resetchannels", "+@all"
        )
        api = make(shared_queue=server.url.replace("//", "//queue:secret@"), shared_account=account)
        assert not works(api)


def test_R12_a_wait_that_is_longer_than_the_socket_timeout_is_none_of_an_outage(
    make: Make, redis_server: RedisProcess, account: str, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = (
        make(
            shared_queue=redis_server.url,
            shared_account=account,
            max_concurrent_requests=1,
            shared_timeout=1.5,
        )
        for _ in range(2)
    )
    assert all(map(works, (first, second)))
    caplog.set_level(logging.DEBUG)
    gate = threading.Event()
    held = first.submit(gate.wait)
    waits = second.submit(lambda: "done")
    time.sleep(4)  # nothing is sent to the one that waits; redis-py 8 has 5 s where nothing else was said
    gate.set()
    assert (held.result(10), waits.result(10)) == (True, "done")
    assert "subscription ended" not in caplog.text
    assert "cannot be reached" not in caplog.text


def test_R14_neither_key_nor_host_nor_url_is_sent_to_the_server(make: Make) -> None:
    seen: list[str] = []
    with RedisProcess() as server:
        monitor = server.client().monitor().__enter__()  # left by the listener, when the server ends

        def listen() -> None:
            with contextlib.suppress(Exception):
                while True:
                    seen.append(monitor.next_command()["command"])

        listener = threading.Thread(target=listen, daemon=True)
        listener.start()
        api = make(
            base_url="https://canary-host.example/canary-path",
            api_key="canary-key-4711",
            shared_queue=server.url,
            shared_fairness="canary-tenant",
            **SOON,
        )
        for _ in range(5):
            api.call(lambda text: text, "canary-body")
        until(lambda: sum("EVALSHA" in command for command in seen) > 2)
    listener.join(10)
    assert not [command for command in seen if "canary" in command]


def test_R14_tls_with_a_certificate_that_is_checked(make: Make, account: str, tmp_path: Path) -> None:
    trustme = pytest.importorskip("trustme")
    authority, other = trustme.CA(), trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    other.cert_pem.write_to_path(tmp_path / "other.pem")
    certificate = authority.issue_cert("127.0.0.1", "localhost")
    certificate.private_key_pem.write_to_path(tmp_path / "key.pem")
    certificate.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    files = ["--tls-cert-file", f"{tmp_path}/cert.pem", "--tls-key-file", f"{tmp_path}/key.pem"]
    files += ["--tls-ca-cert-file", f"{tmp_path}/ca.pem", "--tls-auth-clients", "no"]
    with contextlib.ExitStack() as stack:
        try:
            server = stack.enter_context(RedisProcess(*files, tls=True))
        except AssertionError as error:
            if "Missing implement of connection type tls" not in str(error):
                raise
            pytest.skip("this server was built without TLS")
        url = f"rediss://127.0.0.1:{server.port}/0?ssl_ca_certs={tmp_path}"
        assert not works(make(shared_queue=f"{url}/other.pem", shared_account=account))
        api = make(shared_queue=f"{url}/ca.pem", shared_account=account, **SOON)
        until(lambda: works(api))


def test_R7_a_unix_socket(make: Make, account: str, tmp_path: Path) -> None:
    with RedisProcess("--unixsocket", f"{tmp_path}/redis.sock"):
        api = make(shared_queue=f"unix://{tmp_path}/redis.sock", shared_account=account, **SOON)
        until(lambda: works(api))


@pytest.mark.parametrize("trouble", ["silent", "cut", "slow"])
def test_R12_a_network_that_goes_silent_cuts_or_is_slow(
    make: Make, redis_server: RedisProcess, account: str, trouble: str
) -> None:
    with Proxy(redis_server.port) as proxy:
        far = make(
            shared_queue=f"redis://127.0.0.1:{proxy.port}/0", shared_account=account, shared_timeout=0.5
        )
        near = make(shared_queue=redis_server.url, shared_account=account)
        until(lambda: works(far) and works(near) and far.queue_stats()["processes"] == 2)
        if trouble == "silent":
            proxy.silent = True
            until(lambda: not works(far))
            assert works(near)
            proxy.silent = False
        elif trouble == "cut":
            proxy.cut()
        else:
            proxy.delay = 0.05
        until(lambda: works(far) and works(near) and far.queue_stats()["processes"] == 2)


@pytest.fixture(scope="module")
def cluster() -> Iterator[list[RedisProcess]]:
    with contextlib.ExitStack() as stack:
        nodes = [
            stack.enter_context(
                RedisProcess("--cluster-enabled", "yes", "--cluster-config-file", "nodes.conf")
            )
            for _ in range(3)
        ]
        addresses = [f"127.0.0.1:{node.port}" for node in nodes]
        command = ["redis-cli", "--cluster", "create", *addresses, "--cluster-yes"]
        made = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        if made.returncode:
            pytest.skip(f"redis-cli makes no cluster here: {made.stdout[-200:]}")
        until(lambda: all(node.client().cluster("INFO")["cluster_state"] == "ok" for node in nodes))
        yield nodes


@pytest.mark.parametrize("node", [1, 2])
def test_R16_a_cluster_has_one_limit_whatever_node_the_url_names(
    make: Make, cluster: list[RedisProcess], account: str, node: int, caplog: pytest.LogCaptureFixture
) -> None:
    urls = [cluster[node].url, cluster[0].url]
    # On a busy machine a node that is well may take longer than the second of the default.
    settings = {"shared_account": account, "shared_timeout": 5, "max_concurrent_requests": 3}
    apis = [make(shared_queue=url, **settings) for url in urls]
    until(lambda: all(map(works, apis)) and all(api.queue_stats()["processes"] == 2 for api in apis))
    seen = InFlight()
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda n: apis[n % 2].call(seen, 0.005), range(60)))
    assert (seen.peak, seen.calls) == (3, 60)
    assert all(api.queue_stats()["shared"] for api in apis)
    assert "cannot be reached" not in caplog.text
