"""The project's own backends: where the plain ones lie, and where the enhanced ones go."""

from __future__ import annotations

import difflib
from dataclasses import replace
from pathlib import Path

from ..blocks.templates import RUNTIME_MODULE, runtime_module
from ..disk.read import plan_file
from ..model import FilePlan, Options

APIS = (
    "openai_api",
    "claude",
    "groq",
    "gemini",
    "ollama",
    "hf_tgi",
    "hf_tei",
    "llvm",
    "opea",
    "ovms",
    "s3_kit",
)


class UnknownApi(ValueError):
    """There is no backend of that name."""

    def __init__(self, name: str) -> None:
        hint = " or ".join(repr(api) for api in _meant(name))
        hint = f" Did you mean {hint}?" if hint else ""
        super().__init__(f"there is no backend called {name!r}.{hint} There are: {', '.join(APIS)}, all")


def _meant(name: str) -> list[str]:
    """Return the one or two backends whose names, with or without `_api` and the like, are nearest to a name."""

    def nearness(api: str) -> float:
        forms = (api, api.removesuffix("_api"), api.removesuffix("_kit"))
        return max(difflib.SequenceMatcher(None, name.lower(), form).ratio() for form in forms)

    ranked = sorted((*APIS, "all"), key=nearness, reverse=True)[:2]
    best = nearness(ranked[0])
    return [api for api in ranked if nearness(api) >= max(0.4, best - 0.1)]


def backends_folder() -> Path:
    """Return the folder of the enhanced backends: of this checkout, or of the installation."""
    above = Path(__file__).resolve().parents[2]
    checkout = above / "backends"
    folder = checkout if checkout.is_dir() else above.parent / "ipfs_accelerate_py" / "api_backends"
    here = Path.cwd()
    return folder.relative_to(here) if folder.is_relative_to(here) else folder


def names_of(asked: list[str]) -> list[str]:
    """Return the backends that are meant; raise UnknownApi for one that is none."""
    for name in asked:
        if name != "all" and name not in APIS:
            raise UnknownApi(name)
    return [name for name in APIS if name in asked or "all" in asked]


def plan_apis(names: list[str], options: Options, from_plain: bool = False) -> list[FilePlan]:
    """Plan the enhanced form of backends, and the modules that they need beside them.

    Args:
        from_plain: show the changes from the plain backends, rather than from the enhanced ones on disk.
    """
    folder = backends_folder()
    plain = folder / "plain"
    options = replace(options, missing_key="")  # as they document it
    support = [path.name for path in sorted(plain.glob("*.py")) if path.stem not in APIS]
    plans = []
    for name in (*support, *(f"{name}.py" for name in names)):
        planned = plan_file(folder / name, options, plain / name)
        if options.remove:
            planned = replace(planned, after=(plain / name).read_bytes())
        if from_plain:
            planned = replace(planned, before=(plain / name).read_bytes())
        plans.append(planned)
    return plans


def plan_runtime() -> list[FilePlan]:
    """Plan the runtime beside the enhanced backends: regenerated each time, byte for byte, as they are."""
    path = backends_folder() / f"{RUNTIME_MODULE}.py"
    before = path.read_bytes() if path.exists() else b""
    planned = FilePlan(path, before, runtime_module(), is_runtime=True)
    return [planned] if planned.changed else []
