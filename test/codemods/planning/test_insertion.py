"""Where the import of the runtime goes."""

from __future__ import annotations

import subprocess
import sys

import pytest

from ..check import check_transformed

CLASS = "\n\nclass Client:\n    def get(self, url):\n        return requests.get(url)\n"
IMPORT = "from ._request_engine import RequestEngine  # retrofit:import\n"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("import requests\n", "import requests\n" + IMPORT),
        ("import requests\n\nfrom . import a\n", "import requests\n\nfrom . import a\n" + IMPORT),
        ("import requests\n\nfrom .a import b\n", "import requests\n\n" + IMPORT + "from .a import b\n"),
        (
            "import requests\n\nfrom ._a import b\nfrom .http import c\n",
            "import requests\n\nfrom ._a import b\n" + IMPORT + "from .http import c\n",
        ),
        (
            "import requests\n\nfrom ._a import b\n# about c\nfrom .http import c\n",
            "import requests\n\nfrom ._a import b\n# about c\nfrom .http import c\n" + IMPORT,
        ),
        (
            "import requests\n\nfrom ._a import (\n    b,\n)\nfrom ._z import c\n",
            "import requests\n\nfrom ._a import (\n    b,\n)\n" + IMPORT + "from ._z import c\n",
        ),
        (
            "import requests\n\nfrom ..up import b\nfrom .z import c\n",
            "import requests\n\nfrom ..up import b\n" + IMPORT + "from .z import c\n",
        ),
    ],
)
def test_the_import_stands_in_the_order_of_isort(before, after):
    result = check_transformed(before + CLASS)
    assert result.after.decode().startswith(after)


def test_ruff_finds_the_imports_sorted(tmp_path):
    (tmp_path / "__init__.py").touch()
    source = "import requests\n\nfrom ._a import b\nfrom .http import c\n\n__all__ = ['b', 'c']\n" + CLASS
    path = tmp_path / "client.py"
    path.write_bytes(check_transformed(source).after)
    command = [sys.executable, "-m", "ruff", "check", "--isolated", "--select", "I", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout
