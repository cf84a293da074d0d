"""What retries by itself and has no switch for a single call: it is queued only, with its own retries."""

import re
from typing import Any

from ..parts import client_retries
from ..probing import attribute
from ..vendor import VENDORS, Handling, Vendor

_RETRYING_PACKAGES = frozenset(
    "aiohttp_retry backoff instructor langchain_core llama_index retry retrying stamina tenacity".split()
)
# What of the Hub's functions sends each of its requests through `http_backoff`.
_HUB_SEVERAL = re.compile(
    r"list_|\w*(up|down)load|create_commit|delete_(file|folder)|wait_for_|sync_|copy_files|batch_|fetch_|verify_"
)


def _handling_of_retrying(call: Any, owner: Any) -> "Handling | None":
    """A method of such a library's object, a function that it has put around another, and what the Hub repeats."""
    if any(cls.__module__.partition(".")[0] in _RETRYING_PACKAGES for cls in type(owner).__mro__):
        return Handling(call, retry=False)
    if owner is not None and client_retries(attribute(owner, "_client")):  # ollama's
        return Handling(call, retry=False)
    names = attribute(attribute(call, "__func__") or call, "__globals__")
    module = names.get("__name__") if type(names) is dict else None
    if isinstance(module, str) and module.partition(".")[0] in _RETRYING_PACKAGES:
        return Handling(call, retry=False)
    if str(attribute(call, "__module__")).startswith("huggingface_hub.") and _HUB_SEVERAL.match(
        call.__name__
    ):
        return Handling(call, retry=False)
    return None


# First: instructor is around the methods of other SDKs.
VENDORS.insert(0, Vendor("instructor, LangChain, tenacity, huggingface_hub", handling=_handling_of_retrying))
