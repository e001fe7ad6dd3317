"""What apps say they have shown, until the next write. A hint: what does not fit is forgotten, and an app says it again
or is asked once more."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

WAITING_MAX: Final = 20_000


@dataclass(frozen=True, slots=True)
class Receipt:
    """subject_id: of the notice, or the offer. at: aware UTC."""

    market_id: str
    subject_id: UUID
    driver_id: UUID
    at: datetime


class Receipts:
    """Of one kind of thing; touched from the process's event loop only. Saying so twice is saying so once."""

    __slots__ = ("_waiting",)

    def __init__(self) -> None:
        self._waiting: dict[tuple[str, UUID, UUID], datetime] = {}

    def put(self, market_id: str, subject_id: UUID, driver_id: UUID, at: datetime) -> None:
        if len(self._waiting) < WAITING_MAX:
            self._waiting.setdefault((market_id, subject_id, driver_id), at)

    def drain(self, limit_rows: int) -> list[Receipt]:
        """Take up to limit_rows, longest-waiting first. A writer that fails gives them back."""
        keys = list(self._waiting)[:limit_rows]
        return [Receipt(*key, self._waiting.pop(key)) for key in keys]

    def give_back(self, receipts: Iterable[Receipt]) -> None:
        for each in receipts:
            self.put(each.market_id, each.subject_id, each.driver_id, each.at)

    def __len__(self) -> int:
        return len(self._waiting)
