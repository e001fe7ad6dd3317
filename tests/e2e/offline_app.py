"""`python -m tests.e2e.offline_app STORE URL TOKEN MODE…`: an app that gives a command per mode and then only waits."""

from __future__ import annotations

import asyncio
import sys

from flexlive.client import DriverClient, OfflineStore
from flexlive.client.messages import PresenceSet


async def main(path: str, url: str, token: str, modes: list[str]) -> None:
    with OfflineStore(path) as store:
        async with DriverClient(url, token, store=store) as client:
            for mode in modes:
                cmd = client.next_cmd()
                await client.enqueue(PresenceSet(cmd=cmd, mode="online" if mode == "online" else "offline"))
                print(cmd, flush=True)
            print("done", flush=True)
            await asyncio.sleep(60)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:4], sys.argv[4:]))
