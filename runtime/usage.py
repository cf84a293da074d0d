"""What answers say was used of what the server counts, tokens above all (R4): a result that was read anyway, or a stream's items.

No body is parsed for it but one that is in memory already; bytes that a stream gives are not looked into.
"""

import contextlib
import json
from typing import Any

from .held_slots import INTERRUPTED
from .probing import attribute
from .slots import Slot

# How it is called what was used: OpenAI and its like, Anthropic and Cohere, Gemini, Bedrock, Ollama.
_INPUT_NAMES = (
    "prompt_tokens",
    "input_tokens",
    "promptTokenCount",
    "prompt_token_count",
    "inputTokens",
    "prompt_eval_count",
)
_OUTPUT_NAMES = (
    "completion_tokens", "output_tokens", "candidatesTokenCount", "candidates_token_count", "outputTokens", "eval_count",
)  # fmt: skip
_TOTAL_NAMES = ("total_tokens", "totalTokenCount", "total_token_count", "totalTokens")
_USAGE_NAMES = ("usage", "usageMetadata", "usage_metadata")
_LARGEST_BODY = 1 << 20  # that is looked into for what was used
# Where else in a stream's item that may be: Anthropic's message_start, OpenAI's Responses API, Cohere, Mistral, Groq.
_INSIDE = ("message", "response", "delta", "data", "x_groq")


def tokens_used(result: Any) -> "dict[str, float]":
    """Return what an answer says was used: "tokens", "input tokens", "output tokens" -> how many; {} if it does not."""
    body = result if type(result) is dict else _body_in_memory(result)
    body = body if type(body) is dict else result
    usage = None
    for name in _USAGE_NAMES:
        usage = usage or _part(body, name)
    if usage is None and _how_many(body, ("eval_count",)) is None:
        return {}
    usage = _part(usage, "tokens") or usage or body  # Cohere's are one deeper, Ollama's beside the rest
    read, written, total = (_how_many(usage, names) for names in (_INPUT_NAMES, _OUTPUT_NAMES, _TOTAL_NAMES))
    if total is None and read is None and written is None:
        return {}
    used = {"tokens": total if total is not None else (read or 0.0) + (written or 0.0)}
    if read is not None:
        used["input tokens"] = read
    if written is not None:
        used["output tokens"] = written
    return used


def _part(thing: Any, name: str) -> Any:
    return thing.get(name) if type(thing) is dict else attribute(thing, name)


def _how_many(usage: Any, names: "tuple[str, ...]") -> "float | None":
    for name in names:
        value = _part(usage, name)
        if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1e9:
            return float(value)
    return None


def _body_in_memory(response: Any) -> Any:
    """Return the decoded body of a response that was read already, where it says what was used; else None."""
    content = (attribute(response, "__dict__") or {}).get("_content", attribute(response, "_body"))
    if (
        not isinstance(content, bytes)
        or len(content) > _LARGEST_BODY
        or (b"oken" not in content and b"_count" not in content)
    ):
        return None
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return None


class ItemsThatTellUse:
    """The items of a stream, sync or async. What they say was used, all in all so far, corrects what its start has paid.

    It is corrected as soon as an item says it, as a stream is not always read to its end; the means hear of it at the end.
    """

    def __init__(self, items: Any, slot: Slot) -> None:
        self._items, self._slot = items, slot
        self._use: dict[str, float] = {}

    def __iter__(self) -> "ItemsThatTellUse":
        return self

    def __aiter__(self) -> "ItemsThatTellUse":
        return self

    def __next__(self) -> Any:
        try:
            item = next(self._items)
        except StopIteration:
            self.end()
            raise
        self.hear(item)
        return item

    async def __anext__(self) -> Any:
        try:
            item = await self._items.__anext__()
        except StopAsyncIteration:
            self.end()
            raise
        self.hear(item)
        return item

    def hear(self, item: Any) -> None:
        """Take what an item says into account."""
        use: dict[str, float] = {}
        with contextlib.suppress(
            Exception
        ):  # somebody else's object, which may raise whatever is asked of it
            use = _use_in_item(item)
        if use:
            use = {**self._use, **use}
            if "input tokens" in use and "output tokens" in use:
                use["tokens"] = max(use.get("tokens", 0.0), use["input tokens"] + use["output tokens"])
        gate = self._slot.gate
        if use and use != self._use and gate.exclusively(_correct, self._slot, use) is not INTERRUPTED:
            self._use = use
            gate.pump()

    def end(self) -> None:
        """Take what was used in all into the means."""
        if self._use:
            self._slot.gate.exclusively(_note, self._slot, self._use)


def with_use(items: Any, slot: Slot) -> Any:
    """Return the items of a stream, made to tell what was used if that is counted."""
    return items if slot.spent is None else ItemsThatTellUse(items, slot)


def _use_in_item(item: Any) -> "dict[str, float]":
    """Return what was used by an item of a stream: as `tokens_used`, without what is not known yet."""
    if type(item) in (bytes, str):
        return {}
    for name in ("", *_INSIDE):
        inner = _part(item, name) if name else item
        if inner is None or type(inner) in (bytes, str):
            continue
        if use := tokens_used(inner):
            if name == "message":  # it has only begun to answer
                return {counted: much for counted, much in use.items() if counted == "input tokens"}
            return use
    return {}


def _correct(slot: Slot, use: "dict[str, float]") -> None:
    gate, fee = slot.gate, slot.spent
    if fee is None or gate.pace is None:
        return
    gate.pace.settle(fee, use)
    costs = zip(fee.rates, fee.costs, strict=True)
    slot.spent = fee._replace(costs=tuple(use.get(rate.counts, cost) for rate, cost in costs))
    if gate.source is not None and slot.lease is not None:
        gate.source.correct(slot.lease, use)


def _note(slot: Slot, use: "dict[str, float]") -> None:
    if slot.gate.pace is not None:
        slot.gate.pace.note_costs(use)
