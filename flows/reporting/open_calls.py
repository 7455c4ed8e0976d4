"""Tool calls that wait for their results. Pure."""

from collections.abc import Iterator
from typing import Final, Generic, TypeVar

from flows.agent.event_types import ToolResult, ToolUse

_OPEN_MAX: Final = 1000
"""A call can stay without a result; beyond this many the oldest is forgotten."""

_Item = TypeVar("_Item")


class OpenCalls(Generic[_Item]):
    """Matches each result of a tool with its call, for which the caller keeps an item."""

    def __init__(self) -> None:
        self._items: dict[str, _Item] = {}

    def __len__(self) -> int:
        return len(self._items)

    def __contains__(self, tool_use_id: object) -> bool:
        return tool_use_id in self._items

    def open(self, call: ToolUse, item: _Item) -> None:
        """Keep the item until the call's result comes."""
        if len(self._items) >= _OPEN_MAX:
            del self._items[next(iter(self._items))]
        self._items[call.id] = item

    def close(self, result: ToolResult) -> _Item | None:
        """Return the item of the result's call, and forget it; None if there is no such call."""
        return self._items.pop(result.tool_use_id, None)

    def close_all(self) -> Iterator[_Item]:
        """Return the items of all calls that are open, and forget them."""
        items, self._items = self._items, {}
        return iter(items.values())
