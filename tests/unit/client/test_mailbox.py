"""The reader of a slow app gets everything, or is told how much it missed."""

from __future__ import annotations

import asyncio

import pytest

from flexlive.client.mailbox import Mailbox
from flexlive.client.options import ClientClosedError, Lagged


async def _drained(mailbox: Mailbox[int]) -> list[int | Lagged]:
    mailbox.end(ClientClosedError(1000, "closed"))
    return [message async for message in mailbox.read()]


async def test_messages_come_in_order() -> None:
    mailbox: Mailbox[int] = Mailbox(10)
    for number in range(5):
        mailbox.put(number)
    assert await _drained(mailbox) == [0, 1, 2, 3, 4]


async def test_a_backlog_becomes_one_honest_gap() -> None:
    mailbox: Mailbox[int] = Mailbox(3)
    for number in range(9):
        mailbox.put(number)
    messages = await _drained(mailbox)
    lagged = messages[0]
    assert isinstance(lagged, Lagged)
    assert lagged.dropped + len(messages) - 1 == 9
    assert messages[-1] == 8
    assert len(messages) <= 3


async def test_a_waiting_reader_wakes_up() -> None:
    mailbox: Mailbox[int] = Mailbox(3)
    reader = asyncio.create_task(anext(aiter(mailbox.read())))  # type: ignore[arg-type]
    await asyncio.sleep(0)
    mailbox.put(7)
    assert await asyncio.wait_for(reader, 1) == 7


async def test_being_sent_away_is_an_error_after_the_last_message() -> None:
    mailbox: Mailbox[int] = Mailbox(3)
    mailbox.put(1)
    mailbox.end(ClientClosedError(4509, "replaced"))
    reader = mailbox.read()
    assert await anext(reader) == 1
    with pytest.raises(ClientClosedError, match="4509 replaced"):
        await anext(reader)
