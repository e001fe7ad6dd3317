"""Phones against the database: one effect and one answer a command (I4), a win is a committed row (I5)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from uuid import UUID

import msgspec

from flexlive.storage import audit
from flexlive.storage.pool import Pool
from load_tests.command_history import CommandHistory

LISTED_MAX = 20

_PRESENCE = """
select substr(stream, 8)::uuid as driver_id, array_agg(data -> 'filters' ->> 'cmd' order by seq) as cmds
from event where market_id = $1 and kind = 'driver.presence' group by stream
"""
_FORFEITS = "select driver_id, count(*) as routes from route where market_id = $1 and status = 'forfeited' group by 1"
_DECLINES = "select driver_id, count(*) as offers from offer_decline where market_id = $1 group by 1"
_ANSWERS = (
    "select driver_id, device_id, cmd, encode(sha256(body), 'hex') as sha256 from command_result where market_id = $1"
)


class Verdict(msgspec.Struct, frozen=True):
    """commands: distinct ones. answer_frames: all answers that arrived, repetitions included. broken: the first few."""

    commands: int
    answered: int
    answer_frames: int
    rate_limited: int
    codes: dict[str, int]
    wins_on_phones: int
    wins_committed: int
    effects_committed: dict[str, int]
    broken_count: int
    broken: tuple[str, ...]
    audit_findings: tuple[str, ...]

    @property
    def ok(self) -> bool:
        return self.commands == self.answered and not self.broken_count and not self.audit_findings


async def judge(pool: Pool, market_id: str, histories: Sequence[CommandHistory]) -> Verdict:
    """Call when every command has its answer and nothing is under way any more."""
    broken = [text for history in histories for text in history.broken]
    broken += [f"{h.device_id}: {cmd} was never answered" for h in histories for cmd in h.unanswered]
    broken += await _answers(pool, market_id, histories)
    wins = await audit.wins(pool, market_id)
    broken += _wins(histories, wins)
    changes: dict[UUID, list[str]] = {row[0]: row[1] for row in await pool.fetch(_PRESENCE, market_id)}
    broken += [
        f"{history.device_id}: presence was changed by {changes.get(history.driver_id)}, not {history.mode_changes}"
        for history in histories
        if changes.get(history.driver_id, []) != history.mode_changes
    ]
    effects: dict[str, int] = {"wins": len(wins), "presence changes": sum(map(len, changes.values()))}
    for name, query, counted in (
        ("routes given back", _FORFEITS, {h.driver_id: len(h.forfeited) for h in histories}),
        ("offers declined", _DECLINES, {h.driver_id: len(h.declined) for h in histories}),
    ):
        stored: dict[UUID, int] = {row[0]: row[1] for row in await pool.fetch(query, market_id)}
        effects[name] = sum(stored.values())
        broken += [
            f"{name}: the phone of {driver_id} made {count}, the database has {stored.get(driver_id, 0)}"
            for driver_id, count in counted.items()
            if stored.get(driver_id, 0) != count
        ]
    codes = Counter(answer.code for history in histories for answer in history.answers.values())
    return Verdict(
        commands=sum(len(h.sent) for h in histories),
        answered=sum(len(h.answers) for h in histories),
        answer_frames=sum(h.answer_frames for h in histories),
        rate_limited=sum(h.rate_limited for h in histories),
        codes=dict(codes.most_common()),
        wins_on_phones=sum(len(h.won) for h in histories),
        wins_committed=len(wins),
        effects_committed=effects,
        broken_count=len(broken),
        broken=tuple(broken[:LISTED_MAX]),
        audit_findings=tuple(str(finding) for finding in await audit.findings(pool, market_id)),
    )


async def _answers(pool: Pool, market_id: str, histories: Sequence[CommandHistory]) -> list[str]:
    """What is stored for each command is, byte for byte, what its phone was answered; and nothing else is stored."""
    stored: dict[tuple[UUID, str], dict[str, str]] = {}
    for row in await pool.fetch(_ANSWERS, market_id, timeout=audit.AUDIT_TIMEOUT_SECONDS):
        stored.setdefault((row["driver_id"], row["device_id"]), {})[row["cmd"]] = row["sha256"]
    broken: list[str] = []
    for history in histories:
        kept = stored.get((history.driver_id, history.device_id), {})
        broken += [
            f"{history.device_id}: {cmd} was answered {history.answers[cmd].code}, stored is "
            f"{'another answer' if cmd in kept else 'none'}"
            for cmd, digest in history.digests.items()
            if kept.get(cmd) != digest
        ]
        broken += [
            f"{history.device_id}: {cmd} is stored, but was never heard" for cmd in kept.keys() - history.digests
        ]
    return broken


def _wins(histories: Sequence[CommandHistory], wins: dict[UUID, UUID]) -> list[str]:
    told: dict[UUID, list[UUID]] = {}
    for history in histories:
        for offer_id in history.won:
            told.setdefault(offer_id, []).append(history.driver_id)
    broken = [
        f"offer {offer_id}: {len(drivers)} phones say won, the database says {wins.get(offer_id)}"
        for offer_id, drivers in told.items()
        if drivers != [wins.get(offer_id)]
    ]
    return broken + [f"offer {offer_id} was given away, no phone says so" for offer_id in wins.keys() - told.keys()]
