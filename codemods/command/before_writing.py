"""What the user has to know before anything is written."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..disk.requires_python import OLDEST, allowed_too_old
from ..disk.single_modules import packaged_without
from ..model import FilePlan, Options
from ..reporting.diff import shown_path
from ..source.visible import visible_name


def before_writing(plans: Sequence[FilePlan], options: Options) -> Iterator[str]:
    """Yield what the plans, or the options, need a warning of."""
    changed = [plan for plan in plans if plan.changed and plan.classes and not plan.problems]
    if not options.remove:
        yield from dict.fromkeys(filter(None, map(_too_old_python, changed)))
        yield from dict.fromkeys(filter(None, map(_not_packaged, changed)))
    names = {cls.name for planned in plans for cls in planned.classes}
    for name, _ in options.key_variables_of:
        if name not in names:
            yield f"--key-env {name}=...: there is no class {name} with calls to wrap"


def _too_old_python(plan: FilePlan) -> str:
    said = allowed_too_old(plan.path)
    if said is None:
        return ""
    file, specifiers, version = said
    oldest = ".".join(map(str, OLDEST))
    return (
        f"{visible_name(shown_path(file))} says requires-python {specifiers!r}, which allows Python {version}; what is "
        f"put into the code needs Python {oldest} or newer, and fails there when it is imported"
    )


def _not_packaged(plan: FilePlan) -> str:
    runtime = plan.runtime_path
    where = packaged_without(plan.path, runtime) if runtime is not None else None
    if runtime is None or where is None:
        return ""
    return (
        f"{visible_name(shown_path(where))} packages the module {plan.path.stem}, but not {runtime.stem}, which it will import; "
        f"add {runtime.stem!r} to the packaged modules (py-modules), or use --runtime package or --runtime inline"
    )
