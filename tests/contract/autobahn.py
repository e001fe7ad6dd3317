"""`python -m tests.contract.autobahn`: the Autobahn test suite against the frame transport, frame by frame.

The suite (`pip install autobahntestsuite`) needs Python 2.7; `--wstest` says how it is started there. Its cases of up
to 16 MB, of thousands of fragments and of many pings break limits of the driver's socket: they are lifted here, and
judged by test_frame_transport_seam.py and tests/security. No compression is offered, so those cases are left out.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import shlex
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from flexlive.web import frame_transport

from .echo import Echo
from .socket_server import serving

AGENT = "flexlive"
MESSAGE_BYTES_MAX = 64 * 1024 * 1024
WITHOUT_LIMITS = {"FRAGMENTS_MAX": 1_000_000, "CONTROL_FRAMES_BURST": 1_000_000, "AFTER_CLOSE_BYTES_MAX": 2**30}
COMPRESSION_CASES = ["12.*", "13.*"]
GOOD = {"OK", "NON-STRICT", "INFORMATIONAL"}
KNOWN = {"7.1.5"}
"""A close in the middle of a fragmented message is answered 1002; the suite wants the peer's own code back."""


async def judge(wstest: Sequence[str], cases: Sequence[str], directory: Path, *, plain_asgi: bool) -> dict[str, Any]:
    """The suite's index.json of one run: by case, its behaviour and how it closed."""
    for name, value in WITHOUT_LIMITS.items():
        setattr(frame_transport, name, value)
    async with serving(Echo(), plain_asgi=plain_asgi, ws_max_size=MESSAGE_BYTES_MAX) as port:
        spec = {
            "outdir": str(directory / "reports"),
            "servers": [{"agent": AGENT, "url": f"ws://127.0.0.1:{port}", "options": {"version": 18}}],
            "cases": list(cases),
            "exclude-cases": COMPRESSION_CASES,
            "exclude-agent-cases": {},
        }
        (directory / "spec.json").write_text(json.dumps(spec))
        process = await asyncio.create_subprocess_exec(
            *wstest, "-m", "fuzzingclient", "-s", str(directory / "spec.json"), cwd=directory,
            stdout=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        try:
            if await process.wait():
                raise SystemExit(f"{shlex.join(wstest)} ended with {process.returncode}")
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
    return json.loads((directory / "reports" / "index.json").read_text())[AGENT]


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.contract.autobahn", description=__doc__)
    parser.add_argument("--wstest", default="wstest", help="command that starts the suite")
    parser.add_argument("--cases", default="*", help="such as 1.* or 5.20, by comma")
    parser.add_argument("--plain-asgi", action="store_true", help="stock uvicorn instead, to compare")
    parser.add_argument("--report", type=Path, help="folder for the suite's own report; else none is kept")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as scratch:
        directory = Path(scratch) if options.report is None else options.report
        directory.mkdir(parents=True, exist_ok=True)
        cases = options.cases.split(",")
        results = asyncio.run(judge(shlex.split(options.wstest), cases, directory, plain_asgi=options.plain_asgi))
    counted = Counter(result["behavior"] for result in results.values())
    closing = Counter(result["behaviorClose"] for result in results.values())
    print(f"{len(results)} cases: {dict(counted)}; closing: {dict(closing)}")
    bad = {name: r for name, r in results.items() if {r["behavior"], r["behaviorClose"]} - GOOD}
    for name, result in bad.items():
        print(f"{'known ' if name in KNOWN else ''}{name}: {result['behavior']}, closing {result['behaviorClose']}")
    return 1 if bad.keys() - KNOWN or not results else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
