"""A queue that shares work fairly between clients."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterator
from typing import Generic, TypeVar

T = TypeVar("T")


class FairQueue(Generic[T]):
    """Gives next the item of the client that has been granted the least work; within a client, the oldest.

    A client that comes anew starts level with the least served one that waits, so that idle times are no credit.
    """

    def __init__(self) -> None:
        self._waiting: OrderedDict[str, deque[tuple[T, float]]] = OrderedDict()
        self._served: dict[str, float] = {}
        self._level = 0.0

    def put(self, item: T, client: str = "", cost: float = 1.0) -> None:
        """Add an item whose work is `cost`, in any unit."""
        if client not in self._waiting:
            self._waiting[client] = deque()
            self._served[client] = max(self._served.get(client, 0.0), self._level)
        self._waiting[client].append((item, cost))

    def _next(self) -> str:
        return min(self._waiting, key=lambda client: self._served[client])

    def peek(self) -> T:
        """The item that `get` would give."""
        return self._waiting[self._next()][0][0]

    def get(self) -> T:
        """Take the next item; its work counts for its client."""
        client = self._next()
        item, cost = self._waiting[client].popleft()
        self._level = self._served[client]
        self._served[client] += cost
        if not self._waiting[client]:
            del self._waiting[client]
            if not self._waiting:  # nobody waits: all start level again
                self._served.clear()
                self._level = 0.0
        return item

    def drop(self, item: T) -> bool:
        """Take an item out; whether it was there."""
        for client, items in list(self._waiting.items()):
            for entry in items:
                if entry[0] is item:
                    items.remove(entry)
                    if not items:
                        del self._waiting[client]
                    return True
        return False

    def __len__(self) -> int:
        return sum(map(len, self._waiting.values()))

    def __iter__(self) -> Iterator[T]:
        return (item for items in self._waiting.values() for item, _ in items)
