"""Records the transcripts anew and puts them into the document: `python -m tests.golden.record [NAME …]`.

Do so when the protocol has got something new that they should show; what they showed before must still match, so
run the tests on the old ones first.
"""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path

from flexlive.storage import migrations
from flexlive.storage.embedded import EmbeddedOptions, EmbeddedPostgres
from tests.golden import document, transcript
from tests.golden.recorder import Scene
from tests.golden.scenes import SCENES, act_out
from tests.golden.stage import set_stage
from tests.support.http_server import serve


async def record(dsn: str, names: list[str]) -> None:
    await migrations.migrate(dsn)
    for name in names:
        async with serve(dsn) as server:
            drivers = ["ada", "grace"]
            stage = await set_stage(server, f"golden-{name.replace('_', '-')}", drivers)
            scene = Scene(stage)
            scene.note("", "market", {"drivers": drivers, "store_code": scene.store_code})
            await act_out(name, scene)
            transcript.save(name, scene.lines)
            print(f"{name}: {len(scene.lines)} lines")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="transcripts to record; all when none is named")
    parser.add_argument("--document-only", action="store_true", help="only put the recorded ones into the document")
    arguments = parser.parse_args()
    if not arguments.document_only:
        postgres = EmbeddedPostgres(EmbeddedOptions())
        try:
            postgres.start_blocking()
            asyncio.run(record(postgres.dsn, arguments.names or list(SCENES)))
        finally:
            postgres.stop_blocking()
    document.update(Path(__file__).parents[2] / "docs" / "driver-protocol.md")


if __name__ == "__main__":
    main()
