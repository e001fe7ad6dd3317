"""Commands across the death of the app, and logins across wrong clocks: the client over scripted servers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from uuid import UUID

import pytest

from flexlive.client import (
    BackoffOptions,
    ClientClosedError,
    ClientOptions,
    DriverClient,
    LateAnswer,
    LoginRefusedError,
    OfflineStore,
    StoreError,
)
from flexlive.client.messages import Command, OfferDecline, PresenceSet, Snapshot
from tests.unit.client.peer import Peer, scripted_server

FAST = ClientOptions(backoff=BackoffOptions(base_seconds=0.001, cap_seconds=0.005), close_timeout_seconds=0.5)
NOWHERE = "ws://127.0.0.1:9/v1/driver"
TOKEN = "fl_driver_lv_secret"
OFFER = UUID("0199aaaa-0000-7000-8000-00000000000a")
WAIT_SECONDS_MAX = 10.0


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "app.db"


async def until(happened: Callable[[], object]) -> None:
    async with asyncio.timeout(WAIT_SECONDS_MAX):
        while not happened():
            await asyncio.sleep(0.01)


async def late_answers(client: DriverClient, count: int) -> list[LateAnswer]:
    found: list[LateAnswer] = []
    async with asyncio.timeout(WAIT_SECONDS_MAX):
        async for message in client:
            if isinstance(message, LateAnswer):
                found.append(message)
            if len(found) == count:
                break
    return found


async def test_what_was_given_without_a_network_is_carried_out_by_the_next_run_in_order(path: Path) -> None:
    with OfflineStore(path) as store:
        async with DriverClient(NOWHERE, TOKEN, store=store, options=FAST) as client:
            given: list[Command] = [
                PresenceSet(cmd=client.next_cmd(), mode="online"),
                PresenceSet(cmd=client.next_cmd(), mode="offline"),
            ]
            for command in given:
                await client.enqueue(command)
        assert store.commands() == tuple(given)

    async def answers(peer: Peer) -> None:
        hello = await peer.welcome()
        assert hello["device_id"] == device_id
        assert hello["unacked"] == [command.cmd for command in given]
        for command in given:
            got = await peer.command()
            assert (got["cmd"], got["mode"]) == (command.cmd, command.mode)
            await peer.result(command.cmd)
        await peer.until_gone()

    with OfflineStore(path) as store:
        device_id = store.device_id
        async with (
            scripted_server(answers) as (url, _),
            DriverClient(url, TOKEN, store=store, options=FAST) as client,
        ):
            assert client.unanswered == tuple(given)
            assert client.next_cmd() not in {command.cmd for command in given}
            answered = await late_answers(client, 2)
        assert [each.command for each in answered] == given
        assert store.commands() == ()


async def test_an_answer_the_server_has_stored_empties_the_file_without_sending_again(path: Path) -> None:
    with OfflineStore(path) as store:
        store.put(OfferDecline(cmd="given-before", offer_id=OFFER))

    async def knows_it(peer: Peer) -> None:
        await peer.welcome(results=({"type": "result", "cmd": "given-before", "ok": True, "code": "ok"},))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(peer.command(), 0.2)
        await peer.until_gone()

    with OfflineStore(path) as store:
        async with (
            scripted_server(knows_it) as (url, _),
            DriverClient(url, TOKEN, store=store, options=FAST) as client,
        ):
            [answer] = await late_answers(client, 1)
            assert answer.result.ok
            await client.all_answered()
            await asyncio.sleep(0.3)
        assert store.commands() == ()


async def test_a_command_is_on_disk_before_it_is_sent_and_an_awaited_answer_is_no_late_one(path: Path) -> None:
    on_disk: list[int] = []

    async def answers(peer: Peer) -> None:
        await peer.welcome()
        got = await peer.command()
        on_disk.append(len(store.commands()))
        await peer.result(got["cmd"])
        await peer.until_gone()

    with OfflineStore(path) as store:
        async with (
            scripted_server(answers) as (url, _),
            DriverClient(url, TOKEN, store=store, options=FAST) as client,
        ):
            assert (await client.go_online()).ok
            assert store.commands() == ()
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(late_answers(client, 1), 0.1)
    assert on_disk == [1]


async def test_what_cannot_be_kept_is_not_sent(path: Path) -> None:
    heard: list[dict[str, object]] = []

    async def listens(peer: Peer) -> None:
        await peer.welcome()
        heard.append(await peer.command())

    store = OfflineStore(path)
    async with (
        scripted_server(listens) as (url, _),
        DriverClient(url, TOKEN, store=store, options=FAST) as client,
    ):
        await until(lambda: client.connected)
        store.close()
        with pytest.raises(StoreError):
            await client.go_online()
        assert client.unanswered == ()
        await asyncio.sleep(0.2)
    assert heard == []


async def test_an_answer_after_the_time_for_it_comes_late() -> None:
    async def takes_its_time(peer: Peer) -> None:
        await peer.welcome()
        got = await peer.command()
        await asyncio.sleep(0.3)
        await peer.result(got["cmd"])
        await peer.until_gone()

    hasty = ClientOptions(backoff=FAST.backoff, close_timeout_seconds=0.5, command_timeout_seconds=0.1)
    async with (
        scripted_server(takes_its_time) as (url, _),
        DriverClient(url, TOKEN, "phone-1", options=hasty) as client,
    ):
        with pytest.raises(TimeoutError):
            await client.go_online()
        assert len(client.unanswered) == 1
        [answer] = await late_answers(client, 1)
        assert isinstance(answer.command, PresenceSet)


async def test_the_inbox_counts_as_shown_when_the_app_asks_for_the_next_message(path: Path) -> None:
    row = {"inbox_seq": 7, "kind": "notice", "body": {}, "created_at": "2026-01-01T00:00:00Z"}
    asked: list[int] = []

    async def tells(peer: Peer) -> None:
        hello = await peer.welcome()
        asked.append(hello.get("inbox_seq", 0))
        await peer.send(type="snapshot", seq=0, presence="offline", routes=[], offers=[], inbox=[row])
        await peer.notice(1)
        await peer.until_gone()

    async def run(until_next: bool) -> None:
        with OfflineStore(path) as store:
            async with (
                scripted_server(tells) as (url, _),
                DriverClient(url, TOKEN, store=store, options=FAST) as client,
                asyncio.timeout(WAIT_SECONDS_MAX),
            ):
                seen = False
                async for message in client:
                    if seen:
                        break
                    seen = isinstance(message, Snapshot) and bool(message.inbox)
                    if seen and not until_next:
                        break

    await run(until_next=False)
    await run(until_next=True)
    await run(until_next=True)
    assert asked == [0, 0, 7]


class Tokens:
    """A login whose clock is wrong: the first token has expired, and only the server knows."""

    def __init__(self, refuses: str = "") -> None:
        self.number = 1
        self._refuses = refuses

    async def token(self) -> str:
        if self._refuses:
            raise LoginRefusedError(self._refuses, {})
        return f"fl_driver_lv_{self.number}"

    def refused(self) -> None:
        self.number += 1


async def test_a_token_the_server_calls_expired_is_renewed_whatever_the_clock_says() -> None:
    bearers: list[str] = []

    async def expired(peer: Peer) -> None:
        assert peer.request is not None
        bearers.append(peer.request.headers["Authorization"])
        await peer.receive()
        await peer.close(4401, "expired")

    async def lets_in(peer: Peer) -> None:
        assert peer.request is not None
        bearers.append(peer.request.headers["Authorization"])
        await peer.welcome()
        await peer.until_gone()

    async with (
        scripted_server(expired, lets_in) as (url, _),
        DriverClient(url, Tokens(), "phone-1", options=FAST) as client,
    ):
        await until(lambda: client.connected)
    assert bearers == ["Bearer fl_driver_lv_1", "Bearer fl_driver_lv_2"]


async def test_a_login_that_is_over_ends_the_client_and_keeps_its_commands(path: Path) -> None:
    with OfflineStore(path) as store:
        async with DriverClient(NOWHERE, Tokens("unauthorized"), store=store, options=FAST) as client:
            with pytest.raises(ClientClosedError, match=r"4503.*log in again"):
                async for _ in client:
                    pass
            with pytest.raises(ClientClosedError):
                await client.go_online()
        assert store.commands() == ()


def test_a_client_has_one_name(path: Path) -> None:
    with OfflineStore(path) as store, pytest.raises(ValueError, match="either"):
        DriverClient(NOWHERE, TOKEN, "phone-1", store=store)
    with pytest.raises(ValueError, match="either"):
        DriverClient(NOWHERE, TOKEN)
