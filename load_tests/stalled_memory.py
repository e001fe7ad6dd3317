"""How many bytes a server holds for phones that do not read: in its process, and in its kernel."""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import Sequence

from flexlive.protocol.close_codes import CloseCode
from load_tests.fleet import Fleet, address
from load_tests.house import House
from load_tests.kernel_buffers import socket_memory
from load_tests.raw_phone import RawPhone

SAMPLE_SECONDS = 0.5


class MemoryWatch:
    """Looks every SAMPLE_SECONDS, with or without sleepers, so that looking costs both the same.

    What the process holds cannot be seen from outside, but follows: all phones are sent the same, so it is what the
    others have been sent since, less what the kernel holds of it at either end; until the server has closed them all,
    by its own counter. phone_bytes_max: of one phone at one moment, the kernel's memory at the server's end and the
    process' bytes together. kernel_bytes_max also counts what a kernel keeps of connections that are closed.
    """

    def __init__(self, house: House, fleet: Fleet, sleepers: Sequence[RawPhone]) -> None:
        self._house, self._fleet, self._sleepers = house, fleet, sleepers
        self._others = [fleet.phones[number] for number in sorted(fleet.measured)]
        self._began = {phone.number: phone.bytes_received for phone in self._others}
        self._connections = {phone.number: phone.local_port for phone in sleepers}
        self.rss_bytes_max = self.kernel_bytes_max = self.process_bytes_max = self.phone_bytes_max = 0

    async def run(self) -> None:
        """Until cancelled."""
        closed_before = await self._closed()
        open_still = bool(self._sleepers)
        while True:
            sent = statistics.median(phone.bytes_received - self._began[phone.number] for phone in self._others)
            servers, phones = await socket_memory(self._fleet.port)
            self.rss_bytes_max = max(self.rss_bytes_max, self._house.rss_bytes())
            for phone in self._sleepers:
                server = servers.get(address(phone.number))
                if server is None or phone.local_port != self._connections[phone.number]:
                    continue
                self.kernel_bytes_max = max(self.kernel_bytes_max, server.memory_bytes)
                if open_still:
                    here = phones.get(address(phone.number))
                    in_kernels = server.unsent_bytes + (0 if here is None else here.received_bytes)
                    process = max(0, int(sent) - in_kernels)
                    self.process_bytes_max = max(self.process_bytes_max, process)
                    self.phone_bytes_max = max(self.phone_bytes_max, server.memory_bytes + process)
            open_still = await self._closed() - closed_before < len(self._sleepers)
            await asyncio.sleep(SAMPLE_SECONDS)

    async def _closed(self) -> float:
        """How many sockets the server has closed so far because their phones did not read or acknowledge."""
        figures = await self._house.figures()
        return figures.get(f"flexlive_sockets_closed_total:{int(CloseCode.SLOW_CONSUMER)}", 0.0)
