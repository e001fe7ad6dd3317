"""What one phone is sent, within bounds: a phone that does not read costs so many bytes and no more."""

from __future__ import annotations

from typing import Final

from flexlive.protocol.codec import FactTemplate
from flexlive.web.edge import ConnectionOptions
from flexlive.web.links import Link

STATES_MAX: Final = 16
"""Keys of state messages that wait; beyond it the longest waiting is dropped."""


class Outbound:
    """One connection's way out. False from a send: the phone reads too slowly, close it; it resumes whole."""

    __slots__ = ("_allowance_bytes", "_link", "_options", "_states")

    def __init__(self, link: Link, options: ConnectionOptions) -> None:
        self._link, self._options = link, options
        self._allowance_bytes = options.send_buffer_bytes_max
        # Newest of each key, while the phone is behind. Most phones never are.
        self._states: dict[str, bytes] | None = None

    def send(self, frame: bytes) -> bool:
        self._link.send(frame)
        return self._within_bounds()

    def send_fact(self, template: FactTemplate, seq: int) -> bool:
        self._link.send_fact(template, seq)
        return self._within_bounds()

    def send_snapshot(self, frame: bytes) -> bool:
        """However large it is: a phone that reads gets it, or it would ask for it for ever."""
        self._allowance_bytes = self._options.send_buffer_bytes_max + len(frame)
        return self.send(frame)

    def state(self, key: str, frame: bytes) -> None:
        """Keep the newest state of this key until `flush`."""
        if self._states is None:
            self._states = {}
        self._states[key] = frame
        if len(self._states) > STATES_MAX:
            del self._states[next(iter(self._states))]

    def flush(self) -> bool:
        """Send the states that wait, unless the phone is behind. True: something was sent."""
        if not self._states or self._link.buffered_bytes() > self._options.state_buffer_bytes_max:
            return False
        for frame in self._states.values():
            self._link.send(frame)
        self._states = None
        return True

    def stalled(self) -> bool:
        """Not reading for so long that the connection is of no use."""
        return self._link.stalled_seconds() >= self._options.stalled_seconds_max

    def _within_bounds(self) -> bool:
        buffered_bytes = self._link.buffered_bytes()
        if buffered_bytes <= self._options.send_buffer_bytes_max:
            self._allowance_bytes = self._options.send_buffer_bytes_max
            return True
        return buffered_bytes <= self._allowance_bytes
