"""What counts as retried already, and what only looks so: pages, items, polls and workers (C6)."""

from __future__ import annotations

import pytest

from backend_retrofit.codemods.model import Decision

from ..check import check_noop, check_sites, check_transformed, client, method

IMPORTS = "import time\n\nimport requests"

RETRY_LOOPS = {
    "attempts with sleep": "for attempt in range(3):\n    try:\n        return requests.get(url)\n    except OSError:\n        time.sleep(2**attempt)",
    "attempts without sleep": "for _ in range(3):\n    try:\n        return requests.get(url)\n    except OSError:\n        pass",
    "last attempt raises": "for i in range(3):\n    try:\n        return requests.get(url)\n    except OSError:\n        if i == 2:\n            raise\n        time.sleep(i)",
    "break on success": "for _ in range(self.max_retries):\n    try:\n        r = requests.get(url)\n        break\n    except OSError as e:\n        error = e\nreturn r",
    "else of try": "for _ in range(3):\n    try:\n        r = requests.get(url)\n    except OSError:\n        continue\n    else:\n        return r",
    "while true": "while True:\n    try:\n        return requests.get(url)\n    except OSError:\n        time.sleep(1)",
    "while with counter": "tries = 0\nwhile tries < 3:\n    try:\n        return requests.get(url)\n    except OSError:\n        tries += 1",
    "while not done": "r = None\nwhile r is None:\n    try:\n        r = requests.get(url)\n    except OSError:\n        time.sleep(1)\nreturn r",
    "bare except": "while True:\n    try:\n        return requests.get(url)\n    except:\n        time.sleep(1)",
    "suppress": "for _ in range(3):\n    with contextlib.suppress(OSError):\n        return requests.get(url)",
    "status 429": "while True:\n    r = requests.get(url)\n    if r.status_code == 429:\n        time.sleep(1)\n        continue\n    return r",
    "status in a list": "for _ in range(5):\n    r = requests.get(url)\n    if r.status_code not in (429, 503):\n        return r\n    time.sleep(1)",
    "status 200": "for attempt in range(5):\n    r = requests.get(url)\n    if r.status_code == 200:\n        return r.json()\n    time.sleep(1)",
    "ok": "for attempt in range(5):\n    r = requests.get(url)\n    if r.ok:\n        return r\n    time.sleep(1)",
    "not ok": "while True:\n    r = requests.get(url)\n    if not r.ok:\n        time.sleep(1)\n        continue\n    return r",
    "list of delays": "for retry_delay in (1, 2, 4):\n    try:\n        return requests.get(url)\n    except OSError:\n        time.sleep(retry_delay)",
    "a page is retried": "while True:\n    try:\n        r = requests.get(url)\n    except OSError:\n        time.sleep(1)\n        continue\n    yield r\n    url = r.links.get('next')\n    if not url:\n        break",
    "inner loop around the call": "for page in pages:\n    for attempt in range(3):\n        try:\n            r = requests.get(url, page)\n            break\n        except OSError:\n            time.sleep(1)",
    "nested function": "def once():\n    return requests.get(url)\nfor attempt in range(3):\n    try:\n        return once()\n    except OSError:\n        time.sleep(1)",
    "a handler that goes on before it raises": "n = 0\nwhile True:\n    try:\n        return requests.get(url)\n    except OSError:\n        if n < 3:\n            n += 1\n            continue\n        raise",
    "a handler that goes on before it returns": "for attempt in range(3):\n    try:\n        return requests.get(url)\n    except OSError:\n        if attempt < 2:\n            time.sleep(1)\n            continue\n        return None",
    "return inside nested tests": "for _ in range(3):\n    r = requests.get(url)\n    if r.status_code == 200:\n        if 'x' not in r.json():\n            print('no')\n        else:\n            return r\n    time.sleep(1)",
    "return in a loop inside the attempts": "for attempt in range(3):\n    try:\n        for hop in range(4):\n            r = requests.get(url)\n            if not r.is_redirect:\n                return r\n            url = r.headers['location']\n    except OSError:\n        if attempt == 2:\n            raise",
    "delays": "for delay in [1, 2, 4]:\n    r = requests.get(url)\n    if r.ok:\n        return r\n    time.sleep(delay)",
    "named delays": "for seconds in DELAYS:\n    try:\n        return requests.get(url)\n    except OSError:\n        time.sleep(seconds)",
    "as often as a list is long": "for _ in [None] * 3:\n    try:\n        return requests.get(url)\n    except OSError:\n        pass",
    "counting down": "for left in range(3, 0, -1):\n    try:\n        return requests.get(url)\n    except OSError:\n        time.sleep(left)",
    "while some are left": "retries = 3\nwhile retries > 0:\n    r = requests.get(url)\n    if r.ok:\n        return r\n    retries -= 1",
    "attempts that do not end with a success": "for attempt in range(1, n + 1):\n    try:\n        r = requests.get(url)\n        r.raise_for_status()\n    except OSError:\n        if attempt == n:\n            raise\n        time.sleep(1)\nreturn r",
    "without a sleep": "for i in range(3):\n    r = requests.get(url)\n    if r.ok:\n        return r",
    "match": "for _ in range(4):\n    r = requests.get(url)\n    match r.status_code:\n        case 429 | 503:\n            time.sleep(1)\n        case _:\n            return r",
    "match with continue": "while True:\n    r = requests.get(url)\n    match r.status_code:\n        case 429:\n            time.sleep(1)\n            continue\n    return r",
    "tenacity Retrying": "for attempt in tenacity.Retrying():\n    with attempt:\n        return requests.get(url)",
    "a list of statuses": "for _ in range(self.max_retries):\n    r = requests.get(url)\n    if r.status_code in self.retry_statuses:\n        time.sleep(1)\n        continue\n    return r",
    "another list of statuses": "for _ in range(4):\n    r = requests.get(url)\n    if r.status_code not in RETRYABLE:\n        return r",
    "the test makes the request": "n = 3\nwhile (r := requests.get(url)).status_code == 503 and (n := n - 1):\n    pass\nreturn r",
    "the test makes it until it is good": "n = 3\nwhile not (r := requests.get(url)).ok and n:\n    n -= 1\nreturn r",
    "a flag that is the status": "ok, n = False, 0\nwhile not ok and n < 3:\n    r = requests.get(url)\n    ok = r.ok\n    n += 1\nreturn r",
    "a function that says so": "while True:\n    r = requests.get(url)\n    if not should_retry(r):\n        return r\n    time.sleep(1)",
    "a variable that says so": "while True:\n    r = requests.get(url)\n    should_retry = self.policy(r)\n    if should_retry:\n        time.sleep(1)\n        continue\n    break\nreturn r",
    "what a method gives, entered": "for each in self.retrying():\n    with each:\n        return requests.get(url)",
    "stamina retry_context": "for attempt in stamina.retry_context(on=OSError):\n    with attempt:\n        return requests.get(url)",
}  # fmt: skip


@pytest.mark.parametrize("body", RETRY_LOOPS.values(), ids=RETRY_LOOPS)
def test_a_loop_that_retries(body):
    (site,) = check_sites(method(body, IMPORTS), "queued only requests.get").sites
    assert "already retried by the loop in line" in site.reason
    assert "without a second backoff" in site.reason


OTHER_RETRIES = {
    "a recursion with a counter": ("r = requests.get(url)\nif r.status_code in (429, 503) and n < 3:\n    return self.call(url, n + 1)\nreturn r", 1),
    "a recursion in a handler": ("try:\n    return requests.get(url)\nexcept OSError:\n    if not n:\n        raise\n    return self.call(url, n - 1)", 1),
    "a recursion in an else": ("r = requests.get(url)\nif r.ok:\n    return r\nelse:\n    return self.call(url, n + 1)", 1),
    "a recursion in a match": ("r = requests.get(url)\nmatch r.status_code:\n    case 503:\n        return self.call(url)\nreturn r", 1),
    "a recursion if a function says so": ("r = requests.get(url)\nif _should_retry(response=r):\n    if n < 3:\n        time.sleep(1)\n        return self.call(url=url, n=n + 1)\nreturn r", 1),
    "while the status is bad": ("r = requests.get(url)\nwhile r.status_code == 429:\n    r = requests.get(url)\nreturn r", 2),
    "a second request after a bad status": ("r = requests.get(url)\nif r.status_code == 503:\n    time.sleep(1)\n    r = requests.get(url)\nreturn r", 2),
    "a second request in a handler": ("try:\n    return requests.get(url)\nexcept OSError:\n    return requests.get(url)", 2),
    "a second request by keywords": ("try:\n    return requests.get(url=url)\nexcept OSError:\n    return requests.get(url=url, timeout=9)", 2),
}  # fmt: skip


@pytest.mark.parametrize(("body", "count"), OTHER_RETRIES.values(), ids=OTHER_RETRIES)
def test_the_same_request_again_without_a_loop(body, count):
    source = method(body, IMPORTS, "def call(self, url, n=3):")
    check_sites(source, *["queued only requests.get"] * count)


AGAIN = """
    def _again(self, url, n):
        time.sleep(1)
        return {called}(url, n)

    def call(self, url, n=3):
        try:
            r = requests.get(url)
        except OSError:
            {after}
        return r
"""


@pytest.mark.parametrize(
    ("called", "after", "decision"),
    [
        ("self.call", "return self._again(url, n - 1)", "queued only"),
        ("self.call", "return self._again('/login', 0) and r", "wrapped"),
        ("self.call", "self._again(url, n - 1)", "wrapped"),
        ("print", "return self._again(url, n - 1)", "wrapped"),
    ],
)
def test_the_same_request_again_through_a_helper(called, after, decision):
    source = "import time\nimport requests\n\nclass Client:" + AGAIN.format(called=called, after=after)
    (site,) = check_sites(source, f"{decision} requests.get").sites
    if decision != "wrapped":
        assert "`call`, which `_again` calls again (line 13)" in site.reason


NOT_THE_SAME_REQUEST = {
    "another one if it fails": ("try:\n    return requests.get(url)\nexcept OSError:\n    return requests.get(self.mirror)", 2),
    "a recursion over pages": ("r = requests.get(url)\nif r.links:\n    return self.call(r.links['next'])\nreturn r", 1),
    "a recursion after a login": ("r = requests.get(url)\nif r.status_code == 401:\n    self.login()\n    return self.call(url)\nreturn r", 1),
    "the same one before": ("requests.get(url)\ntry:\n    return parse(url)\nexcept OSError:\n    return requests.get(url)", 2),
    "one that is asked for twice": ("return requests.get(url), requests.get(url)", 2),
    "servers in turn": ("for url in [self.a, self.b]:\n    try:\n        return requests.get(url)\n    except OSError:\n        pass", 1),
}  # fmt: skip


@pytest.mark.parametrize(("body", "count"), NOT_THE_SAME_REQUEST.values(), ids=NOT_THE_SAME_REQUEST)
def test_another_request_is_no_retry(body, count):
    check_sites(method(body, IMPORTS), *["wrapped requests.get"] * count)


GRPC = """
import json
import grpc
from shop_pb2_grpc import ShopStub

OPTIONS = [{options}]


class Client:
    def __init__(self, target):
        self.channel = grpc.insecure_channel(target, options=OPTIONS)
        self.stub = ShopStub(self.channel)

    def thing(self, request):
        return self.stub.GetThing(request)
"""
RETRIES = '"methodConfig": [{"name": [{}], "retryPolicy": {"maxAttempts": 4}}]'


@pytest.mark.parametrize(
    ("options", "decision"),
    [
        (f"('grpc.service_config', '{{{RETRIES}}}')", "queued only"),
        (f"('grpc.service_config', json.dumps({{{RETRIES}}}))", "queued only"),
        ("('grpc.service_config', '{\"loadBalancingConfig\": [{\"round_robin\": {}}]}')", "wrapped"),
        ("('grpc.max_receive_message_length', 10)", "wrapped"),
    ],
)
def test_B10_the_retry_policy_of_a_grpc_channel(options, decision):
    (site,) = check_sites(GRPC.replace("{options}", options), f"{decision} self.stub.GetThing").sites
    assert ("the channel's retryPolicy (line 6)" in site.reason) == (decision == "queued only")


DECORATOR = """
def persistent(f):
    def inner(*args):
        {body}
    return inner
"""


@pytest.mark.parametrize(
    ("body", "decision"),
    [
        ("for i in range(3):\n            try:\n                return f(*args)\n            except OSError:\n                time.sleep(1)", "queued only"),
        ("return tenacity.retry(f)(*args)", "queued only"),
        ("time.sleep(1)\n        return f(*args)", "wrapped"),
        ("for i in range(3):\n            print(i)\n        return f(*args)", "wrapped"),
    ],
)  # fmt: skip
def test_a_decorator_of_the_file(body, decision):
    imports = "import time\nimport requests\nimport tenacity\n" + DECORATOR.format(body=body)
    source = client("@persistent\ndef call(self, url):\n    return requests.get(url)", imports=imports)
    (site,) = check_sites(source, f"{decision} requests.get").sites
    assert ("@persistent" in site.reason) == (decision == "queued only")


def test_a_template_method_of_the_file():
    base = "class Base:\n    def go(self, url):\n        for attempt in range(3):\n            try:\n                return self.ask(url)\n            except OSError:\n                pass\n\n\n"
    source = f"import requests\n\n\n{base}class Client(Base):\n    def ask(self, url):\n        return requests.get(url)\n"
    (site,) = check_sites(source, "queued only requests.get").sites
    assert "which calls `ask`" in site.reason


NO_RETRIES = {
    "pages": "while True:\n    r = requests.get(url)\n    yield r\n    url = r.links.get('next')\n    if not url:\n        break\n    time.sleep(1)",
    "pages by number": "for page in range(1, 10):\n    r = requests.get(url, params={'page': page})\n    yield r\n    time.sleep(1)",
    "pages by number that give up": "for page in range(1, 10):\n    try:\n        yield requests.get(url, params={'page': page})\n    except OSError:\n        break\n    time.sleep(1)",
    "pages that end at a bad status": "while True:\n    r = requests.get(url)\n    if r.status_code != 200:\n        break\n    yield r\n    if not r.json():\n        return\n    time.sleep(1)",
    "batches": "for start in range(0, 100, 10):\n    try:\n        requests.post(url, json=items[start : start + 10])\n    except OSError:\n        time.sleep(1)",
    "items": "for item in url:\n    try:\n        requests.get(item)\n    except OSError:\n        time.sleep(1)",
    "items by index": "for i in range(len(url)):\n    try:\n        requests.get(url[i])\n    except OSError:\n        continue\n    if i > 5:\n        break",
    "a poll for a job": "while True:\n    r = requests.get(url)\n    if r.json()['status'] == 'done':\n        return r\n    time.sleep(5)",
    "a poll with attempts": "for attempt in range(60):\n    r = requests.get(url)\n    if r.json()['state'] in ('SUCCEEDED', 'FAILED'):\n        return r\n    time.sleep(5)",
    "a poll in the test": "while requests.get(url).json()['state'] != 'done':\n    time.sleep(5)",
    "pages while the last was good": "ok = True\nwhile ok and url:\n    r = requests.get(url)\n    ok = r.ok\n    yield r\n    url = r.links.get('next')",
    "a poll with raise_for_status": "while True:\n    r = requests.get(url)\n    r.raise_for_status()\n    if r.json().get('done'):\n        return r\n    time.sleep(5)",
    "a poll whose failure ends it": "while True:\n    try:\n        r = requests.get(url)\n    except OSError:\n        raise\n    if r.json().get('done'):\n        return r\n    time.sleep(5)",
    "a worker": "while True:\n    try:\n        handle(requests.get(url))\n    except OSError:\n        time.sleep(5)",
    "a worker with a flag": "while self.running:\n    try:\n        handle(requests.get(url))\n    except OSError:\n        time.sleep(5)",
    "a handler of something else": "for _ in range(3):\n    try:\n        return requests.get(url).json()['x']\n    except KeyError:\n        time.sleep(1)",
    "a call before the loop": "r = requests.get(url)\nfor attempt in range(3):\n    try:\n        return parse(r)\n    except OSError:\n        time.sleep(1)",
    "a call in the handler": "for attempt in range(3):\n    try:\n        return parse(url)\n    except OSError:\n        requests.post(url)",
    "a status that ends it": "while True:\n    r = requests.get(url)\n    if r.status_code == 404:\n        return None\n    if not r.json():\n        return r\n    time.sleep(1)",
    "a try without a loop": "try:\n    return requests.get(url)\nexcept OSError:\n    time.sleep(1)\n    return None",
    "one attempt more by hand": "try:\n    return requests.get(url)\nexcept OSError:\n    return None",
    "sleep before each": "for u in url:\n    time.sleep(1)\n    yield requests.get(u)",
    "a loop in a comprehension": "return [requests.get(u) for u in url]",
}  # fmt: skip


@pytest.mark.parametrize("body", NO_RETRIES.values(), ids=NO_RETRIES)
def test_a_loop_that_does_not_retry_the_request(body):
    (site,) = check_sites(
        method(body, IMPORTS), f"wrapped requests.{'post' if 'post' in body else 'get'}"
    ).sites
    assert not site.reason


@pytest.mark.parametrize(
    ("imports", "decorator"),
    [
        ("import tenacity", "@tenacity.retry"),
        ("from tenacity import retry", "@retry(stop=3)"),
        ("from tenacity import retry as again", "@again(stop=3)"),
        ("import backoff", "@backoff.on_exception(backoff.expo, OSError)"),
        ("import backoff", "@backoff.on_predicate(backoff.fibo)"),
        ("from backoff import on_exception", "@on_exception(None, OSError)"),
        ("import stamina", "@stamina.retry(on=OSError)"),
        ("from retry import retry", "@retry(tries=3)"),
        ("from retrying import retry", "@retry(stop_max_attempt_number=3)"),
        ("from .tools import with_retries", "@with_retries"),
        ("from .tools import retry_on_failure", "@retry_on_failure(3)"),
        ("from .tools import exponential_backoff", "@exponential_backoff()"),
        ("decorate_with_retry = None", "@decorate_with_retry"),
    ],
)
def test_a_decorator_that_retries(imports, decorator):
    source = client(
        f"{decorator}\ndef get(self, url):\n    return requests.get(url)",
        imports=f"import requests\n{imports}",
    )
    (site,) = check_sites(source, "queued only requests.get").sites
    assert decorator.partition("(")[0] in site.reason


@pytest.mark.parametrize("decorator", ["@property", "@functools.wraps(f)", "@no_retry", "@should_retry", "@retrieve", "@backoffice"])  # fmt: skip
def test_a_decorator_that_does_not(decorator):
    check_sites(
        client(f"{decorator}\ndef get(self, url):\n    return requests.get(url)"), "wrapped requests.get"
    )


@pytest.mark.parametrize(
    "body",
    [
        "return retry_call(requests.get, [url])",
        "return self._with_retries(requests.get, url)",
        "return tenacity.Retrying()(requests.get, url)",
        "return RETRY.run(requests.get, url)",
        "return self.retrier.call(partial(requests.get, url))",
        "return self._retry(lambda: requests.get(url))",
        "def once():\n    return requests.get(url)\nreturn call_with_backoff(once)",
        "@tenacity.retry\ndef once():\n    return requests.get(url)\nreturn once()",
    ],
)
def test_a_function_that_is_handed_to_what_retries(body):
    check_sites(method(body), "queued only requests.get")


@pytest.mark.parametrize("body", ["return pool.submit(requests.get, url)", "return self.run(lambda: requests.get(url))"])  # fmt: skip
def test_a_function_that_is_handed_to_what_does_not(body):
    check_sites(method(body), "wrapped requests.get")


HELPERS = {
    "decorated": "@backoff.on_exception(backoff.expo, OSError)\ndef _call(self, send, url):\n    return send(url)",
    "with a loop": "def _call(self, send, url):\n    for _ in range(3):\n        try:\n            return send(url)\n        except OSError:\n            pass",
    "that logs in and sends again": "def _call(self, send, url):\n    r = send(url)\n    if r.status_code >= 500:\n        r = send(url)\n    return r",
    "with a decorated function in it": "def _call(self, send, url):\n    @tenacity.retry\n    def once():\n        return send(url)\n    return once()",
    "that hands it to a decorated one": "@tenacity.retry\ndef _once(self, send, url):\n    return send(url)\n\ndef _call(self, send, url):\n    return self._once(send, url)",
    "that hands it on by name": "def _once(self, url, send):\n    for _ in range(3):\n        try:\n            return send(url)\n        except OSError:\n            pass\n\ndef _call(self, send, url):\n    return self._once(url, send=send)",
    "decorated by the project": "@guarded\ndef _call(self, send, url):\n    return send(url)",
}  # fmt: skip
GUARDED = """import functools

import backoff
import requests
import tenacity


def guarded(function):
    @functools.wraps(function)
    def inner(*args):
        for _ in range(3):
            try:
                return function(*args)
            except OSError:
                pass
    return inner"""


@pytest.mark.parametrize("given", ["requests.get", "lambda url: requests.get(url)", "partial(requests.get, timeout=3)"])  # fmt: skip
@pytest.mark.parametrize("helper", HELPERS.values(), ids=HELPERS)
def test_a_function_that_is_handed_to_a_helper_that_repeats_it(helper, given):
    source = client(helper, f"def get(self, url):\n    return self._call({given}, url)", imports=GUARDED)
    (site,) = check_sites(source, "queued only requests.get").sites
    assert "_call` runs it" in site.reason


@pytest.mark.parametrize("function", ["partial(requests.get, url)", "lambda: requests.get(url)"])
@pytest.mark.parametrize(
    "use",
    [
        "return self._call(send)",
        "return self._call(send=send)",
        "for _ in range(3):\n        try:\n            return send()\n        except OSError:\n            pass",
        "return tenacity.Retrying()(send)",
    ],
)
def test_a_function_that_a_variable_stands_for_and_that_is_repeated(use, function):
    helper = "@tenacity.retry\ndef _call(self, send):\n    return send()"
    source = client(
        helper,
        f"def get(self, url):\n    send = {function}\n    {use}",
        imports=f"{GUARDED}\n\nfrom functools import partial",
    )
    check_sites(source, "queued only requests.get")


@pytest.mark.parametrize("item", ["self.senders[0]", "self.senders.get(0)"])
@pytest.mark.parametrize(
    ("use", "decision"),
    [
        ("return self._call({})", "queued only"),
        (
            "for _ in range(3):\n        try:\n            return {}(url)\n        except OSError:\n            pass",
            "queued only",
        ),
        ("return {}(url)", "wrapped"),
        ("return self.plain({})", "wrapped"),
    ],
)
def test_an_item_of_a_dict_that_is_repeated(use, decision, item):
    kept = "def __init__(self):\n    self.senders = {0: requests.get}"
    helper = "@tenacity.retry\ndef _call(self, send):\n    return send()\n\ndef plain(self, send):\n    return send()"
    source = client(kept, helper, f"def get(self, url):\n    {use.format(item)}", imports=GUARDED)
    check_sites(source, f"{decision} requests.get")


@pytest.mark.parametrize(
    "helper",
    [
        "def _call(self, send, url):\n    return send(url)",
        "def _call(self, send, url):\n    for each in url:\n        send(each)",
        "def _call(self, send, url):\n    self.other(url)\n    return send(url)\n\n@tenacity.retry\ndef other(self, send):\n    return send()",
        "@functools.cache\ndef _call(self, send, url):\n    return send(url)",
    ],
)  # fmt: skip
def test_a_function_that_is_handed_to_a_helper_that_does_not(helper):
    source = client(helper, "def get(self, url):\n    return self._call(requests.get, url)", imports=GUARDED)
    check_sites(source, "wrapped requests.get")


RETRYING_CALLER = "def fetch(self, url):\n    for attempt in range(3):\n        try:\n            return self._get(url)\n        except OSError:\n            pass"  # fmt: skip
CALLED = "def _get(self, url):\n    return requests.get(url)"


def test_a_method_whose_every_call_is_retried():
    (site,) = check_sites(client(RETRYING_CALLER, CALLED), "queued only requests.get").sites
    assert "which calls `_get`" in site.reason


def test_one_caller_that_retries_is_enough_and_the_others_are_named():
    peek = "def peek(self):\n    return self._get('x')"
    (site,) = check_sites(client(RETRYING_CALLER, CALLED, peek), "queued only requests.get").sites
    assert "the loop in line 6, which calls `_get` (its call in line 16 is not retried; " in site.reason
    (site,) = check_sites(
        client(RETRYING_CALLER, CALLED, peek, peek.replace("peek", "see")), "queued only requests.get"
    ).sites
    assert "its call in line 16 and 1 more is not retried" in site.reason
    check_sites(client(RETRYING_CALLER, CALLED, peek), "wrapped requests.get", existing="wrap")


def test_methods_that_call_one_another():
    check_sites(client(CALLED + " or self._get(url)"), "wrapped requests.get")


@pytest.mark.parametrize("existing", ["queue-only", "wrap", "skip"])
def test_what_is_done_about_it_is_the_users_choice(existing):
    source = method(RETRY_LOOPS["attempts with sleep"], IMPORTS)
    if existing == "skip":
        (site,) = check_noop(source, existing=existing).sites
        assert "already retried by the loop in line 8" in site.reason
        return
    extra = ", retry=False" if existing == "queue-only" else ""
    check_transformed(source, f"self._queued(requests.get{extra})(url)", existing=existing)


def test_backoff_alone_has_nothing_to_add_to_it():
    source = method(RETRY_LOOPS["attempts with sleep"], IMPORTS)
    (site,) = check_noop(source, blocks=("backoff",)).sites
    assert site.decision is Decision.SKIPPED
    assert "has no queue" in site.reason
