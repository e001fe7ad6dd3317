"""What is kept on disk: exactly what has no answer, in order, for one process and one driver at a time."""

from __future__ import annotations

import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import UUID, uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flexlive.client import OfflineStore, PendingFull, StoreError
from flexlive.client.messages import Command, OfferDecline, PresenceSet
from flexlive.client.offline_store import COMMANDS_MAX
from flexlive.protocol.driver_http import DriverTokens

OFFER = UUID("0199aaaa-0000-7000-8000-00000000000a")


def tokens(driver_id: UUID) -> DriverTokens:
    now = datetime.now(UTC)
    return DriverTokens(
        driver_id=driver_id,
        access_token="fl_driver_lv_secret",
        access_expires_at=now + timedelta(minutes=15),
        refresh_token="fl_refresh_lv_secret",
        refresh_expires_at=now + timedelta(days=30),
    )


Step = tuple[str, int]


@settings(max_examples=10, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["put", "answer", "reopen", "shown"]), st.integers(0, 12)), max_size=20))
def test_after_any_steps_and_restarts_it_holds_what_has_no_answer_in_order(steps: list[Step]) -> None:
    expected: dict[str, Command] = {}
    shown, device_ids, starts = 0, set[str](), list[int]()
    with TemporaryDirectory() as directory:
        path = Path(directory) / "app.db"
        store = OfflineStore(path)
        for what, number in steps:
            cmd = f"cmd-{number}"
            match what:
                case "put":
                    command = (
                        PresenceSet(cmd=cmd, mode="online") if number % 2 else OfferDecline(cmd=cmd, offer_id=OFFER)
                    )
                    store.put(command)
                    expected.setdefault(cmd, command)
                case "answer":
                    store.answered(cmd)
                    expected.pop(cmd, None)
                case "shown":
                    store.inbox_shown(number)
                    shown = number
                case _:
                    store.close()
                    store = OfflineStore(path)
            device_ids.add(store.device_id)
            starts.append(store.starts)
            assert store.commands() == tuple(expected.values())
            assert store.inbox_seq == shown
        store.close()
    assert len(device_ids) <= 1
    assert starts == sorted(starts)


def test_no_more_than_one_hello_can_ask_after(tmp_path: Path) -> None:
    with OfflineStore(tmp_path / "app.db") as store:
        for number in range(COMMANDS_MAX):
            store.put(PresenceSet(cmd=f"cmd-{number}", mode="online"))
        with pytest.raises(PendingFull):
            store.put(PresenceSet(cmd="one-more", mode="online"))
        store.put(PresenceSet(cmd="cmd-0", mode="online"))
        assert len(store.commands()) == COMMANDS_MAX


def test_one_process_has_it_and_nobody_else_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "app.db"
    with OfflineStore(path) as store:
        store.keep_login(tokens(uuid4()), None)
        with pytest.raises(StoreError, match="locked"):
            OfflineStore(path)
        assert {stat.S_IMODE(each.stat().st_mode) for each in tmp_path.iterdir()} == {0o600}
    with OfflineStore(path):
        pass


def test_what_is_no_store_is_said_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("not a database at all, but somebody's notes" * 100)
    before = path.read_bytes()
    with pytest.raises(StoreError, match="not a database"):
        OfflineStore(path)
    assert path.read_bytes() == before
    with pytest.raises(StoreError):
        OfflineStore(tmp_path / "no" / "such" / "folder")


def test_another_driver_on_this_phone_finds_nothing_of_the_one_before(tmp_path: Path) -> None:
    ada, grace = uuid4(), uuid4()
    with OfflineStore(tmp_path / "app.db") as store:
        store.keep_login(tokens(ada), None)
        store.put(PresenceSet(cmd="ada-1", mode="online"))
        store.inbox_shown(7)
        store.keep_login(tokens(ada), "attempt-1")
        assert store.attempt == "attempt-1"
        store.keep_login(None, None)
        assert (store.tokens, store.attempt, len(store.commands())) == (None, None, 1)
        store.keep_login(tokens(ada), None)
        assert (len(store.commands()), store.inbox_seq) == (1, 7)
        store.keep_login(tokens(grace), None)
        assert (store.commands(), store.inbox_seq) == ((), 0)
        assert store.tokens is not None
        assert store.tokens.driver_id == grace
