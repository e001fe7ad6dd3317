"""What the kernel holds for sockets, as `ss` tells it (iproute2): bytes in queues, and the memory they take."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass

_SKMEM = re.compile(r"skmem:\(r(\d+),rb\d+,t\d+,tb\d+,f(\d+),w(\d+)")
_PORT = re.compile(r"^(.*):(\d+)$")


@dataclass(frozen=True, slots=True)
class SocketMemory:
    """received_bytes, unsent_bytes: in the queues (unsent: not acknowledged by the other side).

    memory_bytes: all the kernel has set aside for this end, bookkeeping included.
    """

    received_bytes: int
    unsent_bytes: int
    memory_bytes: int


async def socket_memory(port: int) -> tuple[dict[str, SocketMemory], dict[str, SocketMemory]]:
    """(the server's ends, the phones' ends) of all connections to a loopback port, by the phone's address."""
    process = await asyncio.create_subprocess_exec(
        "ss", "-HtmnO", "state", "connected", f"( sport = :{port} or dport = :{port} )", stdout=asyncio.subprocess.PIPE
    )
    output, _ = await process.communicate()
    servers: dict[str, SocketMemory] = {}
    phones: dict[str, SocketMemory] = {}
    for line in output.decode().splitlines():
        parsed = _parse(line)
        if parsed is not None:
            local, remote, memory = parsed
            ends, address = (servers, remote) if local[1] == port else (phones, local)
            known = ends.get(address[0])
            if known is None or known.memory_bytes < memory.memory_bytes:
                ends[address[0]] = memory
    return servers, phones


def _parse(line: str) -> tuple[tuple[str, int], tuple[str, int], SocketMemory] | None:
    fields = line.split()
    skmem = _SKMEM.search(line)
    if skmem is None:
        return None
    # A state column comes first when several states are asked for.
    received, unsent, local, remote = fields[1:5] if not fields[0].isdigit() else fields[:4]
    return (
        _address(local),
        _address(remote),
        SocketMemory(int(received), int(unsent), sum(int(part) for part in skmem.groups())),
    )


def _address(text: str) -> tuple[str, int]:
    found = _PORT.match(text)
    assert found is not None, text
    return found[1].strip("[]").removeprefix("::ffff:"), int(found[2])
