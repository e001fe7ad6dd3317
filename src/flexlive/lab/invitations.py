"""Notices on a phone: looked at once; an invitation is answered."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING
from uuid import UUID

import msgspec

from flexlive.protocol.driver import Notice, NoticeSeen, Snapshot
from flexlive.protocol.views import NoticeView

if TYPE_CHECKING:
    from flexlive.lab.driver_bot import DriverBot

LOOK_SECONDS_MAX = 20.0
ACCEPT_SHARE = 0.8
ANSWERED = frozenset({"ok", "conflict", "illegal_transition", "not_found"})


class Invitations:
    """Of one phone. Answers in the background: a driver reads on while an answer is on its way."""

    def __init__(self, bot: DriverBot) -> None:
        self._bot = bot
        self._known: set[UUID] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def consider(self, message: Notice | Snapshot) -> None:
        """A notice as it comes, or what the inbox kept of them."""
        bodies = [message] if isinstance(message, Notice) else self._kept(message)
        for notice in bodies:
            if notice.notice_id not in self._known:
                self._known.add(notice.notice_id)
                task = asyncio.create_task(self._read(notice))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    def _kept(self, snapshot: Snapshot) -> list[NoticeView]:
        return [msgspec.convert(item.body, NoticeView) for item in snapshot.inbox if item.kind == "notice"]

    async def _read(self, notice: NoticeView) -> None:
        bot = self._bot
        await bot.clock.sleep(bot.random.uniform(0.0, LOOK_SECONDS_MAX))
        await bot.client.signal(NoticeSeen(notice_id=notice.notice_id))
        if notice.offer_type is None or notice.terms_version is None or bot.driver.enrolled:
            return
        willing = bot.random.random() < ACCEPT_SHARE
        try:
            answer = await bot.client.answer_enrolment(
                notice.offer_type, accept=willing, terms_version=notice.terms_version
            )
        except TimeoutError:
            bot.report.trouble(f"{bot.history.name}: an invitation was not answered")
            return
        if answer.code not in ANSWERED:
            bot.report.trouble(f"{bot.history.name}: enrolment.answer was answered {answer.code}")
