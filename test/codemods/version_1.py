"""The blocks as they were in version 1: a class has them until the next run."""

from __future__ import annotations

import re
import textwrap

from backend_retrofit.codemods.source.fingerprints import fingerprint

from .check import planned

_CODE = {
    "queue": '''\
# Request queue: so many API requests are in flight at once; the others wait in line.
queue_enabled = RequestEngine.setting(True)
max_concurrent_requests = RequestEngine.setting(5)
queue_size = RequestEngine.setting(100)
queue_timeout = RequestEngine.setting(None)
total_timeout = RequestEngine.setting(None)
reuse_connections = RequestEngine.setting(False)

@property
def request_queue(self) -> RequestEngine.Waiting:
    """The requests that wait, oldest first."""
    return RequestEngine.of(self).waiting

@property
def current_requests(self) -> int:
    """How many requests are in flight."""
    return RequestEngine.of(self).in_flight

def submit(
    self, call: RequestEngine.Call, /, *args: object, **kwargs: object
) -> RequestEngine.Result:
    """Queue `call(*args, **kwargs)` and return its `concurrent.futures.Future` at once."""
    return RequestEngine.of(self).submit(call, *args, **kwargs)

def priority(self, level: str | int) -> RequestEngine.Block:
    """In a `with` block: let requests wait before ("high") or behind ("low") the others."""
    return RequestEngine.of(self).priority(level)

def queue_stats(self) -> dict[str, float]:
    """Return a dict of counts: requests, sent, retried, failed, waiting, seconds waited, ..."""
    return RequestEngine.of(self).stats()

def close(self) -> None:
    """Fail the waiting requests, let the running ones end, and join the queue's threads."""
    RequestEngine.of(self).close()

__enter__ = RequestEngine.entered

def __exit__(self, *exc: object) -> None:
    self.close()

_queued = RequestEngine.entry_point()  # self._queued(function)(...): in turn, and retried
''',
    "backoff": """\
# Exponential backoff: a failed request is tried again after 1, 2, 4, 8, 16 s, or when the server says.
max_retries = RequestEngine.setting(5)
initial_retry_delay = RequestEngine.setting(1)
backoff_factor = RequestEngine.setting(2)
max_retry_delay = RequestEngine.setting(60)
max_retry_after = RequestEngine.setting(120)
retry_jitter = RequestEngine.setting(0.1)
retry_budget = RequestEngine.setting(None)
circuit_breaker = RequestEngine.setting(None)
retry_if = RequestEngine.setting(None)
""",
}


def as_of_version_1(source: str) -> str:
    """Return a source with the blocks that version 1 would have given it."""
    text = planned(source, blocks=("queue", "backoff")).after.decode()
    for name, code in _CODE.items():
        lines = f"# >>> retrofit:{name} v1 {fingerprint(code)}\n{code}# <<< retrofit:{name}\n"
        old = textwrap.indent(lines, "    ")
        text, count = re.subn(
            rf"    # >>> retrofit:{name} .*?    # <<< retrofit:{name}\n",
            lambda _, old=old: old,
            text,
            flags=re.S,
        )
        assert count == 1
    return text
