"""A program that runs an embedded PostgreSQL until it is ended: prints one JSON line when ready.

Arguments: the data directory, or `-` for a temporary one.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from pathlib import Path

from flexlive.storage.embedded import EmbeddedOptions, EmbeddedPostgres


async def main(data_dir: str) -> None:
    options = EmbeddedOptions(data_dir=None if data_dir == "-" else Path(data_dir))
    async with EmbeddedPostgres(options) as postgres:
        ready = {"dsn": postgres.dsn, "pid": postgres.pid, "watchdog_pid": postgres.watchdog_pid, "uid": os.geteuid()}
        print(json.dumps(ready), flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    # A shell's background job is born deaf to Ctrl-C, and so are its children.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    asyncio.run(main(sys.argv[1]))
