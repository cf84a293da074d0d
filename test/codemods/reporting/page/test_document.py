"""The review page, in a real browser: what it shows, what its keys and filters do, that it is whole and safe."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
import shutil
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from backend_retrofit.codemods.disk.read import plan_file
from backend_retrofit.codemods.disk.runtime_files import runtime_plans
from backend_retrofit.codemods.model import Options, Run
from backend_retrofit.codemods.reporting.facts import facts_of
from backend_retrofit.codemods.reporting.page.document import render

CANARY = "C4n4ryC4n4ryC4n4ryC4n4ryC4n4ryC4n4ry"
WEATHER = f'''\
"""A client."""

import requests

KEY = "sk-{CANARY}"


class Weather:
    def today(self, url):
        return requests.get(url, headers={{"Authorization": "Bearer sk-{CANARY}"}})

    def send(self, url):
        for attempt in range(3):
            try:
                return requests.post(url)
            except OSError:
                pass

    @staticmethod
    def ping(url):
        return requests.head(url)
'''
HOSTILE = """\
import requests

X = "</script><script>document.title = 'owned'</script><img src=x onerror=\\"document.title='owned'\\">"
Y = "{{ 7 * 7 }} {% raw %} <!-- \u202e turned \u2066"


class Hostile:
    def get(self, url="</style></td></table>"):
        return requests.get(url + "</script><b id='injected'>&amp;")
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clients")
    (folder / "__init__.py").write_text("")
    (folder / "weather.py").write_text(WEATHER)
    (folder / "hostile.py").write_text(HOSTILE, encoding="utf-8")
    (folder / "broken.py").write_text("import requests\n\nclass Broken(:\n")
    (folder / "long.py").write_text(
        "import requests\n\n\ndef f():\n    return requests.get('u')\n"
        + "x = 1\n" * 400
        + WEATHER.replace("Weather", "Long")
    )
    return folder


def page_of(folder: Path, runtime_lines: int | None = None, **options: Any) -> str:
    """Return the review page of a folder.

    Args:
        runtime_lines: show only this many lines of the runtime's file; None: all.
    """
    plans = [plan_file(path, Options(**options)) for path in sorted(folder.glob("*.py"))]
    added = [
        dataclasses.replace(plan, after=b"".join(plan.after.splitlines(keepends=True)[:runtime_lines]))
        for plan in runtime_plans(plans, Options(**options))
    ]
    run = Run([*plans, *added], ["vendor: skipped"])
    return render(facts_of(run, written=False), run.plans)


@pytest.fixture(scope="module")
def html(folder: Path) -> str:
    return page_of(folder)


@pytest.fixture(scope="module")
def short_html(folder: Path) -> str:
    """The page with a runtime of 300 lines: a browser needs half a second for all 8,000."""
    return page_of(folder, 300)


# What needs no browser.


def test_the_page_carries_all_that_it_needs(html):
    assert not re.search(r'(?:src|href)="(?!#|data:,)', html)
    assert "@import" not in html
    assert not re.search(r"(?<!\w)url\(", html)  # a style sheet's, not a function's of the code that is shown
    assert "default-src 'none'" in unescape(html)


def test_a_key_in_the_code_is_not_on_the_page(html):
    assert CANARY not in html
    assert "[redacted]" in html


def test_a_file_that_would_be_added_was_not_read(html):
    """The line above the numbers counts the same: 3 of 5 files would change, 1 would be added."""
    numbers = dict(re.findall(r"<dt>([^<]+)</dt><dd>(\d+)</dd>", html))
    assert (numbers["files read"], numbers["would be added"]) == ("5", "1")


def test_the_runtime_is_shown_once_where_it_stands_in_several_files(folder):
    html = page_of(folder, runtime="inline")
    assert html.count("def _request_engine") == 0 or html.count('class="fold"') == 1
    assert html.count('class="fold"') == 1
    assert html.count("shown above") == 2


def test_text_that_turns_the_line_around_is_shown_by_number(html):
    assert "\u202e" not in html
    assert "U+202E" in html
    assert "U+2066" in html


def test_what_has_to_be_known_before_is_on_the_page(folder):
    plans = [plan_file(folder / "weather.py", Options())]
    run = Run(plans, warnings=["`requires-python` allows <3.10>"], for_callers="For callers: they may wait.")
    html = render(facts_of(run, written=False), run.plans)
    assert "<li><code>requires-python</code> allows &lt;3.10&gt;</li>" in html
    assert '<p class="for-callers">For callers: they may wait.</p>' in html
    assert "Warnings" not in page_of(folder)


def test_a_removal_is_shown_as_well(folder, tmp_path):
    client = tmp_path / "weather.py"
    client.write_bytes(plan_file(folder / "weather.py", Options(runtime="inline")).after)
    html = page_of(tmp_path, remove=True)
    assert 'class="change removed"' in html
    assert 'class="gone"' in html


# What needs one.

BROWSER = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), ""
)
ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="playwright is not installed: pip install .[page-test]"
    )
    if not BROWSER:
        pytest.skip("no chromium: apt-get install chromium")
    with playwright.sync_playwright() as started:
        profile = tmp_path_factory.mktemp("profile")
        context = started.chromium.launch_persistent_context(
            profile, executable_path=BROWSER, args=ARGUMENTS, headless=True, timeout=90_000
        )
        context.set_default_timeout(60_000)
        yield context
        context.close()


class Page:
    """The page in the browser, with all that must not happen written down."""

    def __init__(self, context: Any, file: Path) -> None:
        self.trouble: list[str] = []
        self.tab = context.new_page()
        self.tab.on("console", lambda message: self.trouble.append(message.text))
        self.tab.on("pageerror", lambda error: self.trouble.append(str(error)))
        self.tab.on(
            "request", lambda request: request.url.startswith("file:") or self.trouble.append(request.url)
        )
        self.tab.set_viewport_size({"width": 1280, "height": 900})
        self.tab.goto(file.as_uri())

    def press(self, keys: str) -> None:
        for key in keys.split():
            self.tab.keyboard.press(key)

    def texts(self, selector: str) -> list[str]:
        """Return the texts of the elements that can be seen."""
        script = "(all) => all.filter((one) => one.checkVisibility()).map((one) => one.textContent.trim())"
        return [str(text) for text in self.tab.locator(selector).evaluate_all(script)]

    def ask(self, script: str) -> Any:
        return self.tab.evaluate(script)

    def violations(self) -> list[str]:
        """Return what axe-core finds; it looks at what can be seen, and takes long over the thousands of lines that cannot."""
        self.ask(
            "document.querySelectorAll('details.fold:not([open]) > :not(summary)').forEach((one) => one.remove())"
        )
        axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
        return [
            f"{found['id']}: {node['html'][:200]}"
            for found in axe.run(self.tab).response["violations"]
            for node in found["nodes"]
        ]


@contextlib.contextmanager
def opened(browser: Any, html: str, file: Path) -> Iterator[Page]:
    file.write_text(html, encoding="utf-8")
    page = Page(browser, file)
    yield page
    assert page.trouble == []
    page.tab.close()


@pytest.fixture
def page(browser: Any, short_html: str, tmp_path: Path) -> Iterator[Page]:
    with opened(browser, short_html, tmp_path / "review.html") as page:
        yield page


@pytest.fixture
def whole_page(browser: Any, html: str, tmp_path: Path) -> Iterator[Page]:
    with opened(browser, html, tmp_path / "review.html") as page:
        yield page


pytestmark = pytest.mark.timeout(300)


def test_every_call_is_listed_with_its_decision_and_its_reason(page):
    rows = page.texts(".site")
    assert len(rows) == 8
    assert sum("queued only" in row and "already retried" in row for row in rows) == 2
    assert sum("static method" in row for row in rows) == 2
    assert sum("module function" in row for row in rows) == 1


def test_every_class_is_listed_with_its_blocks(page):
    assert page.texts(".class .name") == ["Hostile", "Long", "Weather"]
    assert page.texts(".class .change")[:2] == ["added", "added"]


def test_a_file_that_was_left_alone_stands_first(page):
    assert re.search(r"broken\.py:3 it does not parse", page.texts(".problems li")[0])


def test_hostile_code_is_shown_as_text(page):
    assert page.tab.title().startswith("Review: ")
    assert page.ask("document.querySelector('#injected')") is None
    assert page.ask("document.querySelectorAll('script, img').length") == 1
    shown = "\n".join(page.texts("[data-path$='hostile.py'] td.new"))
    assert "</script><b id='injected'>&amp;" in shown
    assert "</style></td></table>" in shown
    page.tab.get_by_text("{{ 7 * 7 }}").first.wait_for(state="attached")


def test_the_filter_for_a_decision_hides_the_others(page):
    page.tab.get_by_label("wrapped").uncheck()
    page.tab.get_by_label("queued only").uncheck()
    assert {row.split()[1] for row in page.texts(".site")} == {"skipped"}
    assert page.texts("#shown") == ["3 of 8 calls"]
    assert len(page.texts(".file")) == 2


def test_the_filter_for_a_file_hides_the_others(page):
    page.tab.get_by_label("File", exact=True).select_option(index=4)
    assert len(page.texts(".file")) == 1
    assert page.texts(".class .name") == ["Weather"]
    assert len(page.texts(".site")) == 3


def test_the_filter_for_words_finds_calls_by_what_they_say(page):
    page.press("/")
    page.tab.keyboard.type("static weather")
    assert len(page.texts(".site")) == 1
    page.tab.keyboard.type("nowhere")
    assert page.texts(".nothing") == ["No call matches the filter. Show all"]
    page.tab.get_by_role("button", name="Show all").click()
    assert len(page.texts(".site")) == 8
    assert page.ask("document.querySelector('#text').value") == ""


def test_a_click_on_a_line_number_leads_to_the_line(page):
    page.tab.locator(".site a").last.click()
    assert "requests.head(url)" in page.texts(".code tr.current")[0]
    assert page.ask("document.querySelector('.code tr.current').getBoundingClientRect().top") < 900


def test_j_and_k_move_through_the_list_and_o_and_u_between_list_and_file(page):
    page.press("j j j")
    assert (
        page.ask("[...document.querySelectorAll('.site')].findIndex((row) => row.matches('.current'))") == 2
    )
    page.press("k")
    assert page.ask("document.activeElement.closest('.site') === document.querySelectorAll('.site')[1]")
    page.press("o")
    assert page.ask("document.activeElement.closest('.file').dataset.path").endswith("long.py")
    page.press("j")
    assert "requests.get" in page.texts(".code tr.current")[0]
    page.press("u")
    assert page.ask("document.activeElement.closest('.site') !== null")


def test_keys_are_text_while_one_types(page):
    page.press("/ j o ?")
    assert page.ask("document.querySelector('#text').value") == "jo?"
    page.press("Escape")
    assert page.ask("document.activeElement === document.body")


def test_n_and_p_move_through_the_files_and_x_closes_one(page):
    page.press("n n")
    here = "document.activeElement.closest('.file')"
    second = page.ask(f"{here}.id")
    page.press("p")
    assert page.ask(f"{here}.id") != second
    page.press("x")
    assert not page.ask(f"{here}.open")


def test_the_help_opens_and_closes(page):
    page.press("?")
    assert page.ask("document.querySelector('#help').open")
    page.press("Escape")
    assert not page.ask("document.querySelector('#help').open")


def test_each_line_has_an_address(page):
    anchor = page.tab.locator(".site").last.get_attribute("data-anchor")
    page.tab.goto(page.tab.url.partition("#")[0] + f"#{anchor}")
    assert page.ask(f"document.getElementById('{anchor}').getBoundingClientRect().bottom") < 900


def test_every_call_has_its_line_on_the_page(page):
    missing = "[...document.querySelectorAll('.site')].filter((row) => !document.getElementById(row.dataset.anchor)).length"
    assert page.ask(missing) == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_axe_finds_nothing(page, scheme, width):
    page.tab.emulate_media(color_scheme=scheme)
    page.tab.set_viewport_size({"width": width, "height": 844})
    page.ask(
        "document.querySelectorAll('details').forEach((one) => { one.open = one.className !== 'fold'; })"
    )
    assert page.violations() == []
    assert page.ask("document.documentElement.scrollWidth <= innerWidth")


def test_the_help_has_no_violation_either(page):
    page.press("?")
    assert page.violations() == []


def test_it_prints_on_white_with_all_files_open(page, tmp_path):
    page.tab.emulate_media(media="print", color_scheme="dark")
    assert page.ask("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.texts("#filter") == []
    page.tab.locator(".file").last.evaluate(
        "(one) => { one.open = false; dispatchEvent(new Event('beforeprint')); }"
    )
    assert page.tab.locator(".file").last.evaluate("(one) => one.open")
    pdf = page.tab.pdf(format="A4")
    assert pdf.startswith(b"%PDF")


def test_a_screenshot_can_be_taken(whole_page, tmp_path):
    """For looking at: RETROFIT_SCREENSHOTS names the folder that they are kept in."""
    folder = Path(os.environ.get("RETROFIT_SCREENSHOTS") or tmp_path)
    for scheme in ("light", "dark"):
        whole_page.tab.emulate_media(color_scheme=scheme)
        assert whole_page.tab.screenshot(path=folder / f"review-{scheme}.png").startswith(b"\x89PNG")
