"""Splits a text/event-stream into events, as the HTML standard says; no I/O."""

from __future__ import annotations

from flexlive.lab.track_history import ServerSentEvent

EVENT_LINES_MAX = 1000


class EventStreamError(ValueError):
    """The stream is no event stream, or an event is too long."""


class EventStreamParser:
    """Feed lines without their ends; an event comes out at each blank line that follows data."""

    def __init__(self) -> None:
        self._name = ""
        self._data: list[str] = []
        self._id: str | None = None

    def line(self, line: str) -> ServerSentEvent | None:
        """The event this line completes, if any. Comments and unknown fields are skipped."""
        if not line:
            return self._dispatch()
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        match field:
            case "event":
                self._name = value
            case "data":
                if len(self._data) >= EVENT_LINES_MAX:
                    raise EventStreamError(f"event of more than {EVENT_LINES_MAX} lines")
                self._data.append(value)
            case "id":
                self._id = value
            case _:
                pass
        return None

    def _dispatch(self) -> ServerSentEvent | None:
        # The standard keeps the last id for later events; here each event tells only what it carried itself.
        name, data, event_id = self._name or "message", self._data, self._id
        self._name, self._data, self._id = "", [], None
        return ServerSentEvent(name, "\n".join(data), event_id) if data else None
