"""`python -m load_tests.link_process PORT SEED`: a bad link as a process of its own.

Says its port on a line; mangles until a line comes in, then heals; ends at the end of its input and says its counts.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

from flexlive.lab.processes import Child, ChildOptions
from load_tests.house import run
from load_tests.mangled_link import bad_link_to
from load_tests.mangler import LinkFaults

START_SECONDS_MAX = 20.0


class LinkProcess:
    """port: where phones connect to."""

    def __init__(self, child: Child, port: int) -> None:
        self._child, self.port = child, port

    async def heal(self) -> None:
        """From now on every frame arrives, once and in order."""
        assert self._child.process.stdin is not None
        self._child.process.stdin.write(b"heal\n")
        await self._child.process.stdin.drain()

    async def counts(self) -> dict[str, int]:
        """What it did; ends it."""
        assert self._child.process.stdin is not None
        assert self._child.process.stdout is not None
        self._child.process.stdin.close()
        async with asyncio.timeout(START_SECONDS_MAX):
            return json.loads(await self._child.process.stdout.readline())


@asynccontextmanager
async def link_process(target_port: int, seed: int, log: Path) -> AsyncGenerator[LinkProcess]:
    options = ChildOptions(name="the bad link", log=log, piped=True)
    child = await Child.start(["-m", "load_tests.link_process", str(target_port), str(seed)], options)
    try:
        assert child.process.stdout is not None
        async with asyncio.timeout(START_SECONDS_MAX):
            port = int(await child.process.stdout.readline())
        yield LinkProcess(child, port)
    finally:
        await child.stop()


async def _serve(target_port: int, seed: int) -> None:
    loop = asyncio.get_running_loop()
    commands = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(commands), sys.stdin)
    async with bad_link_to(target_port, LinkFaults(), seed) as link:
        print(link.port, flush=True)
        while await commands.readline():
            link.heal()
        print(json.dumps(link.counts), flush=True)


if __name__ == "__main__":
    run(_serve(int(sys.argv[1]), int(sys.argv[2])))
