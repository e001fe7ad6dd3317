"""The server under test: the real `flexlive serve` as a process of its own."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import httpx

from flexlive.lab.options import DemoError
from flexlive.lab.processes import Child, ChildDiedError, ChildOptions

READY_POLL_SECONDS = 0.05
HOST = "127.0.0.1"


async def start_server(dsn: str, port: int, scale: float, log: Path) -> Child:
    """Starts it; `wait_ready` tells when it answers."""
    return await Child.start(
        ["-m", "flexlive", "serve", "--host", HOST, "--port", str(port)],
        ChildOptions(name="the server", log=log),
        env={"FLEXLIVE_DATABASE_URL": dsn, "FLEXLIVE_TIME_SCALE": repr(scale), "FLEXLIVE_LOG_LEVEL": "warning"},
    )


async def wait_ready(server: Child, base_url: str, seconds_max: float) -> None:
    """Until /readyz answers 200. Raises DemoError with the end of the server's log."""
    deadline = time.monotonic() + seconds_max
    answer = "no answer"
    async with httpx.AsyncClient(timeout=2.0, trust_env=False) as http:
        while time.monotonic() < deadline:
            try:
                server.require_running()
                response = await http.get(f"{base_url}/readyz")
                if response.is_success:
                    return
                answer = f"HTTP {response.status_code} {response.text[:300]}"
            except ChildDiedError as error:
                raise DemoError(str(error)) from None
            except httpx.TransportError:
                pass
            await asyncio.sleep(READY_POLL_SECONDS)
    raise DemoError(f"the server was not ready after {seconds_max:.0f} s: {answer}\n{server.log_tail()}")
