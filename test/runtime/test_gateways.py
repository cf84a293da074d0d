"""B16, R1 behind gateways that others wrote: nginx (`limit_req`, `limit_conn`) and haproxy, with default settings and with a rate.

What is asked is counted by the gateway itself. How long it takes is measured by `scripts/bench_runtime --only gateway`.
"""

from __future__ import annotations

import collections
import shutil
import socket
import subprocess
import time

import pytest
import requests

from test.loopback import LoopbackServer, Reply
from test.runtime.conftest import Api, caller, until

NGINX = """
daemon off; worker_processes 1; pid {folder}/pid; error_log {folder}/error crit;
events {{ worker_connections 512; }}
http {{
    access_log {folder}/access;
    client_body_temp_path {folder}/1; proxy_temp_path {folder}/2; fastcgi_temp_path {folder}/3;
    uwsgi_temp_path {folder}/4; scgi_temp_path {folder}/5;
    limit_req_zone $server_name zone=rate:1m rate=40r/s;
    limit_conn_zone $server_name zone=many:1m;
    server {{
        listen 127.0.0.1:{port}; server_name gateway;
        location / {{ {limit}; proxy_pass {upstream}; }}
    }}
}}
"""
HAPROXY = """
global
    maxconn 200
defaults
    mode http
    timeout connect 5s
    timeout client 30s
    timeout server 30s
    log 127.0.0.1:{log} local0
frontend gateway
    bind 127.0.0.1:{port}
    option httplog
    stick-table type string size 10 expire 60s store http_req_rate(250ms)
    http-request track-sc0 str(all)
    http-request deny deny_status 429 if {{ sc_http_req_rate(0) gt 10 }}
    default_backend upstream
backend upstream
    server one {upstream}
"""


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


class Gateway:
    """A gateway that was started; `statuses` counts the answers that it has given, by its own log or by the client's count."""

    def __init__(self, port, process, log=None):
        self.url = f"http://127.0.0.1:{port}/"
        self.process, self.log = process, log
        self.answers = collections.Counter()

    def get(self):
        answer = requests.get(self.url, timeout=30)
        self.answers[answer.status_code] += 1
        return answer

    def statuses(self):
        if self.log is None:
            return self.answers
        return collections.Counter(int(line.split('" ')[1][:3]) for line in self.log.read_text().splitlines())


@pytest.fixture
def gateway(tmp_path):
    """A function that starts a gateway before a server that takes 20 ms."""
    started = []

    def answer(request):
        time.sleep(0.02)
        return Reply(200, b"ok")

    with LoopbackServer() as upstream:
        upstream.app = answer

        def start(name, limit=""):
            if shutil.which(name) is None:
                pytest.skip(f"{name} is not installed (.ci/run installs it)")
            port = free_port()
            values = {"folder": tmp_path, "port": port, "limit": limit, "log": free_port()}
            config = tmp_path / "config"
            if name == "nginx":
                config.write_text(NGINX.format(upstream=upstream.url, **values))
                command = ["nginx", "-c", str(config), "-p", str(tmp_path)]
            else:
                config.write_text(HAPROXY.format(upstream=upstream.url.partition("//")[2], **values))
                command = ["haproxy", "-db", "-f", str(config)]
            process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            started.append(process)
            for _ in range(600):
                assert process.poll() is None, "the gateway did not start"
                try:
                    socket.create_connection(("127.0.0.1", port), 1).close()
                    break
                except OSError:
                    time.sleep(0.05)
            return Gateway(port, process, tmp_path / "access" if name == "nginx" else None)

        yield start
        for process in started:
            process.terminate()
            process.wait(20)


def load(api, gateway, threads=16, each=8):
    """Make requests from so many threads; return how many were refused, in percent of all. None may fail."""
    callers = [
        caller(lambda: [api.call(gateway.get).status_code for _ in range(each)]) for _ in range(threads)
    ]
    for each_caller in callers:
        assert set(each_caller.result(120)) == {200}
    until(lambda: gateway.statuses()[200] >= threads * each)  # nginx writes its log after the answer
    statuses = gateway.statuses()
    assert statuses[200] == threads * each
    return 100 * (sum(statuses.values()) - statuses[200]) / (threads * each)


@pytest.mark.timeout(180)
@pytest.mark.parametrize(
    ("name", "limit"),
    [
        ("nginx", "limit_req zone=rate burst=5 nodelay"),
        ("nginx", "limit_req zone=rate burst=5 nodelay; limit_req_status 429"),
        ("nginx", "limit_conn many 3"),
        ("haproxy", ""),
    ],
    ids=["limit_req 503", "limit_req 429", "limit_conn", "haproxy"],
)
def test_B16_behind_a_gateway_nobody_fails_and_few_are_refused(gateway, name, limit):
    assert load(Api(queue_size=None), gateway(name, limit)) < 40  # 10 on a quiet machine


@pytest.mark.timeout(180)
def test_R1_with_the_rate_set_a_gateway_refuses_nobody(gateway):
    api = Api(queue_size=None, requests_per_minute=36 * 60, rate_burst=2)
    # On a busy machine what was started evenly may arrive at once, so 30 may; without the rate, still too many do.
    assert load(api, gateway("nginx", "limit_req zone=rate burst=30 nodelay")) < 2
