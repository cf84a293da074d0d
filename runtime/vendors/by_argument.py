"""Cohere, Mistral, LiteLLM and the older SDK of Google: an argument of the call turns their retries off."""

from functools import wraps
from typing import TYPE_CHECKING, Any

from ..call_kinds import RETRYING_MODULES
from ..probing import attribute
from ..vendor import VENDORS, Vendor

if TYPE_CHECKING:
    from ..engine import RequestEngine

# Package of an SDK -> arguments that turn its own retries off for a call; a dict is merged with what is given.
_WITHOUT_RETRIES: dict[str, dict[str, Any]] = {
    "cohere": {"request_options": {"max_retries": 0}},
    "mistralai": {"retries": None},
    "litellm": {"num_retries": 0, "max_retries": 0},
    "google.generativeai": {"request_options": {"retry": None}},
}
_CO_VARKEYWORDS = 0x08


def _once_by_argument(call: Any, owner: Any, engine: "RequestEngine") -> Any:
    """Cohere, Mistral, LiteLLM, the older SDK of Google: the same call with arguments that turn retries off."""
    module = f"{attribute(call, '__module__')}."
    given = next((off for sdk, off in _WITHOUT_RETRIES.items() if module.startswith(f"{sdk}.")), {})
    off = {name: value for name, value in given.items() if _takes(call, name)}
    if not off:
        return None

    @wraps(call)
    def call_once(*args: Any, **kwargs: Any) -> Any:
        merged = {
            name: {**(kwargs.get(name) or {}), **value} if isinstance(value, dict) else value
            for name, value in off.items()
        }
        return call(*args, **{**kwargs, **merged})

    return call_once


def _takes(call: Any, name: str) -> bool:
    """Return True if a function has a parameter of this name, or takes any."""
    code = attribute(attribute(call, "__func__") or call, "__code__")
    if code is None:
        return False
    return (
        bool(code.co_flags & _CO_VARKEYWORDS)
        or name in code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    )


RETRYING_MODULES.update(
    {
        "cohere.client",
        "google.generativeai.embedding",
        "google.generativeai.files",
        "google.generativeai.models",
    }
)
VENDORS.append(Vendor("cohere, mistralai, litellm, google.generativeai", once=_once_by_argument))
