"""C4: one runtime for each top-level package that was given, beside a lone script, or where it was asked for."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from backend_retrofit.codemods.command.main import main

from ..planning.test_file import CLIENT
from .folders import RUNTIME

IMPORT = "RequestEngine  # retrofit:import\n"
EITHER_WAY = (
    f"if __package__:\n    from ._request_engine import {IMPORT}"
    "else:  # run as a script\n    from _request_engine import RequestEngine\n"
)
MAIN = '\n\nif __name__ == "__main__":\n    print("made", Client().get)\n'


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a package with two packages inside, each with a client."""
    monkeypatch.chdir(tmp_path)
    for name in ("shop", "shop/orders", "shop/stock"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").touch()
    for name in ("orders", "stock"):
        (tmp_path / "shop" / name / "client.py").write_text(CLIENT)
    return tmp_path / "shop"


def content(top: Path) -> dict[str, bytes]:
    """Return all modules of a package."""
    return {path.relative_to(top).as_posix(): path.read_bytes() for path in top.rglob("*.py")}


def runtimes(top: Path) -> list[str]:
    return sorted(path.relative_to(top).as_posix() for path in top.rglob(RUNTIME))


def run(code: str, cwd: Path, *arguments: str) -> str:
    command = [sys.executable, *(arguments or ("-c", code))]
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=True, timeout=60)
    return done.stdout.strip()


def retrofit(*arguments: object) -> None:
    """Run the command twice: the second run finds nothing to do."""
    assert main([*map(str, arguments), "-q"]) == 0
    assert main([*map(str, arguments), "-q", "--check"]) == 0


@pytest.mark.parametrize("given", [".", "shop", "shop/orders shop/stock shop"])
def test_C4_sub_packages_share_one_runtime(shop, given):
    before = content(shop)
    retrofit(*given.split())
    assert runtimes(shop) == [RUNTIME]
    assert f"from .._request_engine import {IMPORT}" in (shop / "orders/client.py").read_text()
    code = "import shop.orders.client as a, shop.stock.client as b; print(a.RequestEngine is b.RequestEngine)"
    assert run(code, shop.parent) == "True"
    assert main([*given.split(), "-q", "--remove"]) == 0
    assert content(shop) == before
    assert runtimes(shop) == []


@pytest.mark.parametrize("name", ["openai", "cohere", "pinecone", "queue", "vendor"])
def test_C4_a_module_that_is_called_like_the_library_it_imports_shares_the_runtime(shop, name):
    (shop / "orders" / f"{name}.py").write_text(f"import {name}\n{CLIENT}")
    if name != "vendor":
        (shop / "orders" / "other.py").write_text(f"import {name}\n{CLIENT}")
    retrofit("shop")
    assert runtimes(shop) == [RUNTIME]


def test_C9_nothing_is_put_outside_of_what_was_given(shop):
    retrofit("shop/orders")
    assert runtimes(shop) == [f"orders/{RUNTIME}"]
    assert f"from ._request_engine import {IMPORT}" in (shop / "orders/client.py").read_text()


def test_C4_a_runtime_that_the_package_has_already_is_used(shop):
    retrofit("shop/stock")
    retrofit("shop")
    assert runtimes(shop) == [RUNTIME]
    (shop / "orders" / "other.py").write_text(CLIENT)
    retrofit("shop/orders/other.py")
    assert runtimes(shop) == [RUNTIME]
    assert f"from .._request_engine import {IMPORT}" in (shop / "orders/other.py").read_text()


def test_C4_copies_that_each_folder_has_become_one_with_the_imports(shop):
    before = content(shop)
    retrofit("shop/orders")
    retrofit("shop/stock")
    assert len(runtimes(shop)) == 2
    retrofit("shop")
    assert runtimes(shop) == [RUNTIME]
    assert "from .._request_engine" in (shop / "stock/client.py").read_text()
    assert main(["shop", "-q", "--remove"]) == 0
    assert content(shop) == before


def test_C4_a_copy_that_the_users_own_code_imports_stays(shop):
    retrofit("shop/orders")
    (shop / "app.py").write_text("from shop.orders._request_engine import RequestEngine\n")
    retrofit("shop")
    assert runtimes(shop) == [RUNTIME, f"orders/{RUNTIME}"]
    run("import shop.app", shop.parent)


@pytest.mark.parametrize("name", ["tool.py", "a folder/tool.py"])
def test_C4_a_lone_script_gets_it_beside_itself(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    script = tmp_path / name
    script.parent.mkdir(exist_ok=True)
    script.write_text(CLIENT + MAIN)
    retrofit(name)
    assert (script.parent / RUNTIME).exists()
    assert len(script.read_text().splitlines()) < 50
    assert run("", tmp_path, name).startswith("made")
    assert main([name, "-q", "--remove"]) == 0
    assert script.read_text() == CLIENT + MAIN
    assert not (script.parent / RUNTIME).exists()


@pytest.mark.parametrize(
    "way", ["python pkg/client.py", "python -m pkg.client", "import pkg.client", "import client"]
)
@pytest.mark.parametrize("is_package", [True, False])
def test_C4_a_script_of_a_package_runs_as_before(tmp_path, monkeypatch, way, is_package):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pkg").mkdir()
    if is_package:
        (tmp_path / "pkg/__init__.py").touch()
    (tmp_path / "pkg/client.py").write_text(CLIENT + MAIN)
    retrofit("pkg")
    assert EITHER_WAY in (tmp_path / "pkg/client.py").read_text()
    if way.startswith("python"):
        assert run("", tmp_path, *way.split()[1:]).startswith("made")
    else:
        run(way, tmp_path / "pkg" if way == "import client" else tmp_path)
    assert main(["pkg", "-q", "--remove"]) == 0
    assert (tmp_path / "pkg/client.py").read_text() == CLIENT + MAIN


def test_C4_a_module_that_others_beside_it_import_by_its_plain_name_can_still_be(shop):
    (shop / "client.py").write_text(CLIENT)
    (shop / "run.py").write_text("import client\n\nprint(client.Client().get)\n")
    retrofit("shop")
    run("", shop, "run.py")
    run("import shop.client", shop.parent)


def test_C4_a_module_that_can_only_be_part_of_its_package_has_the_short_import(shop):
    (shop / "client.py").write_text("from . import orders\n" + CLIENT + MAIN)
    retrofit("shop")
    assert EITHER_WAY not in (shop / "client.py").read_text()


def test_C4_the_installed_runtime_adds_nothing_to_the_tree(shop):
    before = content(shop)
    retrofit("shop", "--runtime", "package")
    assert runtimes(shop) == []
    assert f"from backend_retrofit_runtime import {IMPORT}" in (shop / "orders/client.py").read_text()
    run("import shop.orders.client", shop.parent)
    retrofit("shop")  # it stays what it is
    assert runtimes(shop) == []
    assert main(["shop", "-q", "--remove"]) == 0
    assert content(shop) == before


def test_C4_an_own_place_is_imported_from_there(shop):
    before = content(shop)
    (shop / "http").mkdir()
    (shop / "http/__init__.py").touch()
    (shop.parent / "pyproject.toml").write_text(
        '[tool.backend-retrofit]\nruntime = "shop.http._request_engine"\n'
    )
    retrofit("shop")
    assert runtimes(shop) == [f"http/{RUNTIME}"]
    assert f"from shop.http._request_engine import {IMPORT}" in (shop / "orders/client.py").read_text()
    run("import shop.orders.client", shop.parent)
    assert main(["shop", "-q", "--remove"]) == 0
    assert runtimes(shop) == []
    assert content(shop) == {**before, "http/__init__.py": b""}


@pytest.mark.parametrize("first", ["shared", "package", "inline"])
@pytest.mark.parametrize("second", ["shared", "package", "inline"])
def test_C4_a_run_goes_from_one_delivery_to_another(shop, first, second):
    before = content(shop)
    retrofit("shop", "--runtime", first)
    retrofit("shop", "--runtime", second)
    assert runtimes(shop) == ([RUNTIME] if second == "shared" else [])
    run("import shop.orders.client, shop.stock.client", shop.parent)
    assert main(["shop", "-q", "--remove"]) == 0
    assert content(shop) == before


@pytest.mark.parametrize("delivery", ["shared", "package", "inline"])
def test_C4_errors_are_caught_by_name_and_pickled(shop, delivery, monkeypatch):
    retrofit("shop", "--runtime", delivery)
    monkeypatch.syspath_prepend(str(shop.parent))
    for name in [name for name in sys.modules if name.split(".")[0] == "shop"]:
        monkeypatch.delitem(sys.modules, name)
    from shop.orders.client import Client, RequestEngine

    client = Client()
    client.max_concurrent_requests = client.queue_size = 0
    with pytest.raises(RequestEngine.RequestQueueFull) as caught:
        client.submit(client.get, "http://127.0.0.1:9/")
    back = pickle.loads(pickle.dumps(caught.value))
    assert type(back) is type(caught.value)
    assert str(back) == str(caught.value)
