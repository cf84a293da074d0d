"""Cohere, Mistral, LiteLLM and the older SDK of Google: an argument of the call turns their retries off."""

import re
from collections.abc import Mapping
from functools import partial
from typing import Any

from ..call_kinds import RETRYING_MODULES
from ..probing import attribute
from ..vendor import VENDORS, Handling, Prepared, Vendor

# Package of an SDK -> arguments that turn its own retries off for a call; a dict is merged with what is given.
_WITHOUT_RETRIES: dict[str, dict[str, Any]] = {
    "cohere": {"request_options": {"max_retries": 0}},
    "mistralai": {"retries": None},
    "litellm": {"num_retries": 0, "max_retries": 0},
    "google.generativeai": {"request_options": {"retry": None}},
}
# Its methods that make several requests, some of them with calls of the user's functions between.
_SDK_SEVERAL = re.compile(
    r"wait(_for)?$|run(_stream)?_async$|execute_workflow_and_wait|upload_file$|list_files$|list_models$"
)
_EMBEDDINGS_OF_LITELLM = re.compile(r"a?embedding$")  # these take no argument that turns their retries off
_CO_VARKEYWORDS = 0x08


def _handling_by_argument(call: Any, owner: Any) -> "Handling | None":
    """Cohere, Mistral, LiteLLM, the older SDK of Google: the same call with arguments that turn retries off."""
    module = f"{attribute(call, '__module__')}."
    sdk = next((sdk for sdk in _WITHOUT_RETRIES if module.startswith(f"{sdk}.")), None)
    if sdk is None:
        return None
    name = call.__name__
    if _SDK_SEVERAL.match(name) or (sdk == "litellm" and _EMBEDDINGS_OF_LITELLM.match(name)):
        return Handling(call, retry=False)
    if sdk == "litellm" and (attribute(owner, "retry_policy") or attribute(owner, "fallbacks")):
        return Handling(call, retry=False)
    if sdk == "mistralai" and _is_set(attribute(attribute(owner, "sdk_configuration"), "retry_config")):
        return Handling(call, retry=False)
    off = {name: value for name, value in _WITHOUT_RETRIES[sdk].items() if _takes(call, name)}
    if not off:
        return None
    return Handling(call, prepare=partial(_with_arguments, off))


def _with_arguments(off: Mapping[str, Any], call: Any, args: Any, kwargs: Any) -> Prepared:
    """Add the arguments; where the user has given a policy, rather than a count, that one stays."""
    given = [kwargs.get("retries"), kwargs.get("retry_policy"), kwargs.get("fallbacks")]
    given.append((kwargs.get("request_options") or {}).get("retry"))
    if any(_is_set(value) and not isinstance(value, int) for value in given):
        return Prepared(call, args, kwargs, retry=False)
    merged = {
        name: {**(kwargs.get(name) or {}), **value} if isinstance(value, dict) else value
        for name, value in off.items()
    }
    if (
        call.__name__ == "embed"
        and len(kwargs.get("texts") or ()) > 96
        and kwargs.get("batching") is not False
    ):
        return Prepared(
            call, args, kwargs, retry=False
        )  # Cohere's first client: a request for each 96 of them
    return Prepared(call, args, {**kwargs, **merged})


def _is_set(value: Any) -> bool:
    return value is not None and type(value).__name__ != "Unset"


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


def _cohere_retries_status(call: Any, error: Any, status: int) -> bool:
    """Return True for 409 and 5xx of Cohere's; not for 501, which the next answer would be, too. The others know 408 and 429 alone."""
    return type(error).__module__.startswith("cohere.") and (status == 409 or status > 501)


VENDORS.append(
    Vendor(
        "cohere, mistralai, litellm, google.generativeai",
        handling=_handling_by_argument,
        retries_status=_cohere_retries_status,
    )
)
