"""A probe stays a probe (B13): what asks whether something answers is queued without backoff, and the report says so."""

from __future__ import annotations

import pytest

from ..check import check_sites, client


def probe(body: str, head: str = "def is_alive(self):") -> str:
    return client(f"{head}\n    " + body.replace("\n", "\n    "), imports="import requests")


CAUGHT = "except OSError:\n    return False"


@pytest.mark.parametrize(
    ("head", "body"),
    [
        ("def is_alive(self):", f"try:\n    return requests.get(self.url).status_code == 200\n{CAUGHT}"),
        ("def ping(self):", "try:\n    return requests.get(self.url)\nexcept OSError:\n    return None"),
        ("def health(self):", "try:\n    return requests.get(self.url).json()\nexcept OSError:\n    return {}"),
        ("def check_connection(self):", f"try:\n    requests.get(self.url)\n    return True\n{CAUGHT}"),
        ("def wait_for_server(self):", f"try:\n    requests.get(self.url)\n    return True\n{CAUGHT}"),
        ("def works(self):", f"try:\n    requests.get(self.url)\n    return True\n{CAUGHT}"),
        ("def works(self):", f"try:\n    return bool(requests.get(self.url).text)\n{CAUGHT}"),
        ("def ready(self):", "ok = True\ntry:\n    requests.get(self.url)\nexcept OSError:\n    ok = False\nreturn ok"),
        ("def ready(self):", "try:\n    requests.get(self.url)\nexcept OSError:\n    pass\nelse:\n    return True\nreturn False"),
    ],
)  # fmt: skip
def test_a_probe_is_queued_only(head, body):
    (site,) = check_sites(probe(body, head), "queued only requests.get").sites
    assert "a failure is an answer" in site.reason


@pytest.mark.parametrize(
    ("head", "body"),
    [
        ("def is_alive(self):", "return requests.get(self.url).ok"),
        ("def ping(self):", "try:\n    return requests.get(self.url)\nexcept OSError:\n    raise RuntimeError"),
        ("def ping(self):", "try:\n    return requests.get(self.url)\nexcept KeyError:\n    return None"),
        ("def models(self):", "try:\n    return requests.get(self.url).json()\nexcept OSError:\n    return None"),
        ("def models(self):", "try:\n    return requests.get(self.url)\nexcept OSError:\n    return False"),
        ("def read(self):", "try:\n    return requests.get(self.url)\nexcept OSError:\n    return None"),
        ("def already(self):", "try:\n    return requests.get(self.url)\nexcept OSError:\n    return None"),
    ],
)  # fmt: skip
def test_what_is_no_probe_is_retried(head, body):
    check_sites(probe(body, head), "wrapped requests.get")


def test_a_change_whose_failure_is_false_is_no_probe():
    check_sites(
        probe(f"try:\n    requests.delete(self.url)\n    return True\n{CAUGHT}", "def delete(self):"),
        "wrapped requests.delete",
    )
