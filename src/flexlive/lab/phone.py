"""Between a client and the lab's books: every frame into the driver's history, every connection into the counts."""

from __future__ import annotations

from collections.abc import Callable

from flexlive.lab.driver_history import DriverHistory
from flexlive.lab.fleet_report import FleetReport
from flexlive.protocol.close_codes import Advice, advice
from flexlive.protocol.codec import BadFrame, Unknown, decode_server
from flexlive.protocol.driver import Command, Error, OfferOpen


class Phone:
    """The client's observer. offered: called while the frame of a new offer is still warm."""

    def __init__(
        self,
        history: DriverHistory,
        report: FleetReport,
        *,
        opened: Callable[[], None],
        offered: Callable[[OfferOpen], None],
    ) -> None:
        self._history, self._report, self._opened, self._offered = history, report, opened, offered
        self._up = False
        self._ever_up = False

    def frame_received(self, frame: bytes) -> None:
        message = decode_server(frame)
        if isinstance(message, OfferOpen):
            self._offered(message)
        match message:
            case BadFrame():
                self._report.trouble(f"{self._history.name}: the server sent a bad frame: {message.message}")
            case Unknown():
                pass
            case Error():
                self._report.trouble(f"{self._history.name}: error {message.code}: {message.message}")
            case _:
                self._history.received(message, frame)

    def command_sent(self, command: Command) -> None:
        self._history.sent(command)

    def opened(self, resumed: bool) -> None:  # noqa: ARG002 - the history sees it as a frame
        self._report.connected += 1
        self._report.reconnects += int(self._ever_up)
        self._up = self._ever_up = True
        self._opened()

    def closed(self, code: int, reason: str) -> None:
        self._report.connected -= int(self._up)
        self._up = False
        if advice(code) is not Advice.RESUME:
            self._report.trouble(f"{self._history.name}: closed {code} {reason}")

    def violation(self, text: str) -> None:
        self._report.trouble(f"{self._history.name}: {text}")
