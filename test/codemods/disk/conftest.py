"""A package with one client, on disk."""

from pathlib import Path

import pytest

from ..planning.test_file import CLIENT


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A package with one client."""
    folder = tmp_path / "pkg"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "client.py").write_text(CLIENT)
    return folder
