"""Notices that apps say they have shown, until the next write. A hint: what does not fit is forgotten, and an app shows
a notice again."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

WAITING_MAX: Final = 20_000


@dataclass(frozen=True, slots=True)
class SeenNotice:
    """at: aware UTC."""

    market_id: str
    notice_id: UUID
    driver_id: UUID
    at: datetime


class SeenNotices:
    """One per process, touched from its event loop only. Saying so twice is saying so once."""

    __slots__ = ("_waiting",)

    def __init__(self) -> None:
        self._waiting: dict[tuple[str, UUID, UUID], datetime] = {}

    def put(self, market_id: str, notice_id: UUID, driver_id: UUID, at: datetime) -> None:
        if len(self._waiting) < WAITING_MAX:
            self._waiting.setdefault((market_id, notice_id, driver_id), at)

    def drain(self, limit_rows: int) -> list[SeenNotice]:
        """Take up to limit_rows, longest-waiting first. A writer that fails gives them back."""
        keys = list(self._waiting)[:limit_rows]
        return [SeenNotice(*key, self._waiting.pop(key)) for key in keys]

    def give_back(self, seen: Iterable[SeenNotice]) -> None:
        for each in seen:
            self.put(each.market_id, each.notice_id, each.driver_id, each.at)

    def __len__(self) -> int:
        return len(self._waiting)
