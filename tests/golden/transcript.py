"""Golden transcripts: what phones and a server said to each other, one JSON object a line.

    {"event": "market", "drivers": ["ada", "grace"], "store_code": "572541"}      the stage: a market of its own
    {"event": "order", "fields": {…}, "pincode": "0552"}                           a merchant orders
    {"at": "ada", "event": "connect"}                                              a socket is opened
    {"at": "ada", "direction": "client→server", "frame": {…}}                      or "text": what is no JSON object
    {"at": "ada", "direction": "server→client", "frame": {…}}
    {"at": "ada", "event": "told", "seq": 2}                                       the server has this fact for her
    {"at": "ada", "event": "lost"} / {"at": "ada", "event": "closed", "code": 4509}
    {"at": "ada", "event": "knows", "presence": "online", "offers": [ids], "routes": [ids]}   the app's state now
    {"at": "ada", "event": "meant", "frame": {…}}                                  a command given without a network
    {"at": "ada", "event": "misremembers", "seq": 40}                              her next hello lies about its place
    {"at": "ada", "event": "posts", "device_id": "…", "frame": {…}, "answer": {…}}   a command by HTTP
    {"event": "drain"}                                                             the server is told to stop

Heartbeats and state messages are left out: when they come is a matter of time.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

HERE: Final = Path(__file__).parent
SENT, RECEIVED = "client→server", "server→client"
BY_TIME: Final = frozenset({"heartbeat", "eta.update", "queue.update"})
"""Types that come when their time is there, not because of what was said."""

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
_BARCODE = re.compile(r"FL[0-9A-Z]{12}")
_NAMED_SECRETS = frozenset({"sid", "epoch", "store_code", "pincode"})
_ANY_VALUE = frozenset({"retry_after_ms", "reconnect_after_ms", "message", "position"})
"""position: positions are stored in batches, now and then."""
SHOWN_CHARS_MAX = 180


@dataclass(frozen=True)
class Line:
    """at: whose phone, or "". what: an event's name, or a direction. body: the frame; of an event its other fields.
    text: what was sent when it is no JSON object."""

    at: str
    what: str
    body: dict[str, Any]
    text: str | None = None

    def as_json(self) -> str:
        head: dict[str, Any] = {"at": self.at} if self.at else {}
        if self.what not in (SENT, RECEIVED):
            whole = head | {"event": self.what} | self.body
        else:
            whole = head | {"direction": self.what}
            whole |= {"frame": self.body} if self.text is None else {"text": self.text}
        return json.dumps(whole, ensure_ascii=False, separators=(",", ":"))


def names() -> list[str]:
    return sorted(path.stem for path in HERE.glob("*.jsonl"))


def load(name: str) -> list[Line]:
    return [_line(json.loads(text)) for text in (HERE / f"{name}.jsonl").read_text().splitlines()]


def save(name: str, lines: list[Line]) -> None:
    (HERE / f"{name}.jsonl").write_text("".join(line.as_json() + "\n" for line in lines))


def _line(found: dict[str, Any]) -> Line:
    at = found.pop("at", "")
    if "direction" in found:
        return Line(at, found["direction"], found.get("frame", {}), found.get("text"))
    return Line(at, found.pop("event"), found)


class Mismatch(AssertionError):  # noqa: N818 – a finding
    """What was said now is not what was said then."""


class Names:
    """What stands now for the ids, secrets and times of the transcript. An id stands for one id, both ways."""

    def __init__(self) -> None:
        self._now: dict[str, str] = {}
        self._taken: dict[str, str] = {}

    def bind(self, then: str, now: str) -> None:
        if self._now.setdefault(then, now) != now:
            raise Mismatch(f"{then} was {self._now[then]} and is now {now}")

    def bind_id(self, then: str, now: str) -> None:
        self.bind(then, now)
        if self._taken.setdefault(now, then) != then:
            raise Mismatch(f"{now} stands for {self._taken[now]} and for {then}")

    def translate(self, value: Any, time_now: str) -> Any:
        """A frame of then as it is to be sent now; a time not met before is this moment."""
        match value:
            case dict():
                return {key: self.translate(each, time_now) for key, each in value.items()}
            case list():
                return [self.translate(each, time_now) for each in value]
            case str():
                if value not in self._now and _TIME.fullmatch(value):
                    self._now[value] = time_now
                return self._now.get(value, value)
            case _:
                return value

    def match(self, then: Any, now: Any, where: str = "frame") -> None:
        """Raises Mismatch. What has been added since is let pass: that is what a version promises."""
        match then, now:
            case dict(), dict():
                if missing := then.keys() - now.keys():
                    raise Mismatch(f"{where}: {sorted(missing)} missing")
                for key, value in then.items():
                    if key in _ANY_VALUE:
                        self._same_type(value, now[key], f"{where}.{key}")
                    elif key in _NAMED_SECRETS and isinstance(value, str):
                        self.bind_id(value, now[key])
                    else:
                        self.match(value, now[key], f"{where}.{key}")
            case list(), list():
                if len(then) != len(now):
                    raise Mismatch(f"{where}: {len(now)} instead of {len(then)}")
                for index, (one, other) in enumerate(zip(then, now, strict=True)):
                    self.match(one, other, f"{where}[{index}]")
            case str(), str() if _UUID.fullmatch(then) and _UUID.fullmatch(now):
                self.bind_id(then, now)
            case str(), str() if _BARCODE.fullmatch(then) and _BARCODE.fullmatch(now):
                self.bind_id(then, now)
            case str(), str() if _TIME.fullmatch(then) and _TIME.fullmatch(now):
                self.bind(then, now)
            case _:
                if type(then) is not type(now) or then != now:
                    raise Mismatch(f"{where}: {now!r} instead of {then!r}")

    @staticmethod
    def _same_type(then: Any, now: Any, where: str) -> None:
        if type(then) is not type(now):
            raise Mismatch(f"{where}: {now!r} is not like {then!r}")


def shown(line: Line) -> str | None:
    """One line for people; None for what only the replay needs."""
    who = line.at
    match line.what:
        case "server→client" | "client→server":
            arrow = "←" if line.what == RECEIVED else "→"
            return f"{who} {arrow} {_short(line.body) if line.text is None else line.text}"
        case "market":
            return None
        case "order":
            return "— a merchant orders a delivery"
        case "connect":
            return f"{who} connects"
        case "told":
            return f"— fact {line.body['seq']} is kept for {who}"
        case "meant":
            return f"{who} wants {_short(line.body['frame'])}"
        case "posts":
            return f"{who} → POST {_short(line.body['frame'])}\n{who} ← 200 {_short(line.body['answer'])}"
        case "misremembers":
            return f"{who} misremembers {_short(line.body)}"
        case "lost":
            return f"{who} ╳ the network is gone"
        case "closed":
            return f"{who} ╳ close {line.body['code']}"
        case "knows":
            return f"{who} knows {_short(line.body)}"
        case "drain":
            return "— the server is told to stop"
        case _:
            raise ValueError(line.what)


def _short(frame: dict[str, Any]) -> str:
    """The frame with its names and times shortened, and, when it is long, without what is inside its longest parts."""
    parts = {key: _compact(_names_shortened(key, value)) for key, value in frame.items()}
    if sum(map(len, parts)) + sum(map(len, parts.values())) > SHOWN_CHARS_MAX:
        first = [key for key in ("type", "seq") if key in parts]
        parts = {key: parts[key] for key in [*first, *(key for key in parts if key not in first)]}
    inside = [key for key, value in frame.items() if isinstance(value, dict | list) and value]
    for key in sorted(inside, key=lambda key: -len(parts[key])):
        if sum(len(name) + len(text) + 4 for name, text in parts.items()) <= SHOWN_CHARS_MAX:
            break
        parts[key] = "[…]" if isinstance(frame[key], list) else "{…}"
    return "{" + ",".join(f'"{key}":{text}' for key, text in parts.items()) + "}"


def _names_shortened(key: str, value: Any) -> Any:
    match value:
        case dict():
            return {inner: _names_shortened(inner, each) for inner, each in value.items()}
        case list():
            return [_names_shortened(key, each) for each in value]
        case str() if _UUID.fullmatch(value) or key in ("sid", "epoch", "sha256"):
            return f"…{value[-6:]}"
        case str() if _TIME.fullmatch(value):
            return f"…{value[11:19]}Z"
        case _:
            return value


def _compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
