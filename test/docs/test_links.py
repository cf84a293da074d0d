"""Links lead somewhere: in the README, between the pages of docs/, and in what Sphinx makes of them.

Nothing is fetched: of a link to another host, only the form is looked at.
"""

from __future__ import annotations

import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from .blocks import PAGES, ROOT

_FENCES = re.compile(r"^( *)(`{3,}).*?^\1\2\s*$|`[^`\n]+`", re.DOTALL | re.MULTILINE)
_LINK = re.compile(
    r"!?\[[^\]]*\]\(<?([^)\s>]+)>?(?: \"[^\"]*\")?\)|<(https?://[^>\s]+)>|(?:src|href|srcset)=\"([^\"]+)\""
)


def links(page: Path) -> list[str]:
    """Return where the links of a Markdown page lead."""
    text = _FENCES.sub("", page.read_text(encoding="utf-8"))
    return [next(filter(None, match.groups())) for match in _LINK.finditer(text)]


def anchors(page: Path) -> set[str]:
    """Return the anchors of a Markdown page's headings, as GitHub and MyST make them."""
    text = re.sub(
        r"^( *)(`{3,}).*?^\1\2\s*$", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE
    )
    headings = re.findall(r"^#+ (.+?)\s*$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page):
    for link in links(page):
        url = urlsplit(link)
        if url.scheme:
            assert url.scheme == "https", f"{link}: not https"
            assert re.fullmatch(r"[\w-]+(\.[\w-]+)+", url.netloc), f"{link}: no host"
            continue
        target = (page.parent / unquote(url.path)).resolve() if url.path else page
        assert target.exists(), f"{page.name}: there is no {link}"
        if url.fragment:
            assert url.fragment in anchors(target), f"{page.name}: {target.name} has no {url.fragment}"


class _Html(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.targets: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.ids.add(values.get("id") or "")
        self.targets += [value for name in ("href", "src") if (value := values.get(name)) and tag != "link"]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the built documentation; a warning of Sphinx is an error."""
    pytest.importorskip("sphinx")
    folder = tmp_path_factory.mktemp("site")
    command = [
        sys.executable,
        "-m",
        "sphinx",
        "-q",
        "-W",
        "--keep-going",
        "-b",
        "html",
        "-d",
        folder / "tree",
    ]
    done = subprocess.run(
        [*command, ROOT / "docs", folder / "html"], capture_output=True, text=True, check=False, timeout=200
    )
    assert done.returncode == 0, done.stderr
    return folder / "html"


@pytest.mark.timeout(300)
def test_the_built_pages_link_to_one_another(site):
    pages = {path: _Html(path.read_text(encoding="utf-8")) for path in site.glob("*.html")}
    assert len(pages) > 10
    for path, page in pages.items():
        for link in page.targets:
            url = urlsplit(link)
            if url.scheme:
                continue
            target = (path.parent / unquote(url.path)).resolve() if url.path else path
            assert target.exists(), f"{path.name}: {link}"
            if url.fragment and target in pages:
                assert url.fragment in pages[target].ids, f"{path.name}: {link}"
