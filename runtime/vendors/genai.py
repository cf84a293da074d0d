"""google-genai: its retries are options of its client or of a call; it calls functions of the user's by itself."""

import re
from collections.abc import Mapping
from typing import Any

from ..probing import attribute
from ..vendor import VENDORS, Handling, Prepared, Vendor

_GENAI_SEVERAL = re.compile(r"upload|download|list$|wait")
_TAKES_TOOLS = re.compile(r"(generate_content|send_message)(_stream)?$")
_ONE_ATTEMPT = {"attempts": 1}


def _genai_handling(call: Any, owner: Any) -> "Handling | None":
    """google-genai: the same call with `retry_options` that ask for one attempt."""
    client = _genai_client_of(owner)
    if client is None:
        return None
    options = attribute(attribute(client, "_http_options"), "retry_options")
    if _is_policy_of_genai(options):
        return Handling(call, retry=False)
    if _GENAI_SEVERAL.match(call.__name__):
        return Handling(call, retry=False)
    # The client of an older version or a newer one has its retries by itself, if it was given any.
    return Handling(call, prepare=_by_config)


def _genai_client_of(owner: Any) -> Any:
    """Return what sends the requests of a resource, or of a chat; None for anything that is not this library's."""
    if not type(owner).__module__.startswith("google.genai."):
        return None
    return attribute(attribute(owner, "_modules") or owner, "_api_client")


def _is_policy_of_genai(options: Any) -> bool:
    """Return True for retry options that say more than how often."""
    given = options if isinstance(options, Mapping) else vars(options) if options is not None else {}
    return any(value is not None for name, value in given.items() if name != "attempts")


def _by_config(call: Any, args: Any, kwargs: Any) -> Prepared:
    """Look at a call's configuration: at the user's functions in it, and at how often it is to be tried."""
    owner = call.__self__
    config = kwargs.get("config") or attribute(owner, "_config")
    given = _get(_get(config, "http_options"), "retry_options")
    if _is_policy_of_genai(given) or (_TAKES_TOOLS.match(call.__name__) and _has_functions(config)):
        return Prepared(call, args, kwargs, retry=False)
    options = given or _genai_client_of(owner)._http_options.retry_options
    if options is None or _get(options, "attempts") == 1:
        return Prepared(call, args, kwargs)
    http_options = _changed(_get(config, "http_options") or {}, retry_options=_ONE_ATTEMPT)
    return Prepared(call, args, {**kwargs, "config": _changed(config or {}, http_options=http_options)})


def _has_functions(config: Any) -> bool:
    """Return True if functions of the user's, or sessions of MCP, are called between the requests of one call."""
    if _get(_get(config, "automatic_function_calling"), "disable"):
        return False
    tools = _get(config, "tools") or ()
    return any(callable(tool) or "mcp" in type(tool).__module__ for tool in tools)


def _get(thing: Any, name: str) -> Any:
    """Return what a model has, or a dict that stands for one; in those the names may be written `likeThis`."""
    if not isinstance(thing, Mapping):
        return attribute(thing, name)
    camel = re.sub("_(.)", lambda found: found[1].upper(), name)
    return thing.get(name, thing.get(camel))


def _changed(thing: Any, **changes: Any) -> Any:
    """Return a copy of a model, or of a dict that stands for one, with other values."""
    if isinstance(thing, Mapping):
        names = {re.sub("_(.)", lambda found: found[1].upper(), name) for name in changes}
        return {**{name: value for name, value in thing.items() if name not in names}, **changes}
    return type(thing).model_validate({**{n: getattr(thing, n) for n in thing.model_fields_set}, **changes})


VENDORS.append(Vendor("google-genai", handling=_genai_handling))
