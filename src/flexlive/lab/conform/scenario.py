"""A scenario: what it judges, what it needs, and how it came out."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from msgspec import Struct

from flexlive.lab.conform.bench import Bench
from flexlive.lab.conform.target import Target

Need: TypeAlias = Literal["offers", "second driver", "restart"]
Outcome: TypeAlias = Literal["passed", "failed", "skipped"]
Play: TypeAlias = Callable[[Bench], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Scenario:
    """section: the heading of docs/driver-protocol.md it judges. promise: what must hold, in one line.

    slow: it waits for more than a few seconds, as the protocol does.
    apart: it needs a driver for long, and no offers: the second driver does it meanwhile, where there is one.
    """

    name: str
    section: str
    promise: str
    needs: frozenset[Need]
    slow: bool
    play: Play

    @property
    def apart(self) -> bool:
        return self.slow and not self.needs

    def lacks(self, target: Target) -> str | None:
        """What the target has not got for it, in the words of the command line."""
        if "offers" in self.needs and not target.makes_offers:
            return "needs --offer-command or --merchant-key"
        if "second driver" in self.needs and len(target.tokens) < 2:
            return "needs --token2"
        if "restart" in self.needs and target.restart_command is None:
            return "needs --restart-command"
        return None


class Verdict(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """detail: why it failed or was skipped. evidence: the last frames heard before it failed."""

    name: str
    section: str
    promise: str
    outcome: Outcome
    seconds: float = 0.0
    detail: str = ""
    evidence: tuple[str, ...] = ()


class Scenarios:
    """One section's scenarios, in the order they are told in. Names are those of the functions, hyphenated."""

    def __init__(self, section: str) -> None:
        self.section = section
        self.all: list[Scenario] = []

    def __call__(self, *needs: Need, slow: bool = False) -> Callable[[Play], Play]:
        def add(play: Play) -> Play:
            name: str = getattr(play, "__name__", "")
            promise = (play.__doc__ or "").strip().splitlines()[0]
            self.all.append(Scenario(name.replace("_", "-"), self.section, promise, frozenset(needs), slow, play))
            return play

        return add
