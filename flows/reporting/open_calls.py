"""Stores an item for each tool call that still waits for its result."""

from collections.abc import Iterator
from typing import Final, Generic, TypeVar

from flows.agent.event_types import ToolResult, ToolUse

_OPEN_MAX: Final = 1000
"""The maximum number of open calls to store. Some calls never get a result, so the oldest is dropped above this
number."""

_Item = TypeVar("_Item")


class OpenCalls(Generic[_Item]):
    """Matches each tool result with its call. The caller stores one item for each call."""

    def __init__(self) -> None:
        self._items: dict[str, _Item] = {}

    def __len__(self) -> int:
        return len(self._items)

    def __contains__(self, tool_use_id: object) -> bool:
        return tool_use_id in self._items

    def open(self, call: ToolUse, item: _Item) -> None:
        """Store the item until the call's result arrives."""
        if len(self._items) >= _OPEN_MAX:
            del self._items[next(iter(self._items))]
        self._items[call.id] = item

    def close(self, result: ToolResult) -> _Item | None:
        """Remove and return the item of the call that the result belongs to; None if no such call is open."""
        return self._items.pop(result.tool_use_id, None)

    def close_all(self) -> Iterator[_Item]:
        """Remove and return the items of all open calls."""
        items, self._items = self._items, {}
        return iter(items.values())
