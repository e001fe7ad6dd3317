"""`flexlive demo`: everything at once, and nothing left running afterwards."""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING

from flexlive.lab.options import DemoError, DemoOptions
from flexlive.lab.real_day import RealDayError
from flexlive.storage.errors import DatabaseSetupError

if TYPE_CHECKING:
    from flexlive.lab.view import View

EXIT_CLEAN = 0
EXIT_BROKEN = 1
EXIT_IMPOSSIBLE = 2
EXIT_INTERRUPTED = 130


def run(options: DemoOptions) -> int:
    """Plays it. Exit code: 0 clean, 1 a promise was broken, 2 it could not be played, 130 interrupted."""
    try:
        import stamina.instrumentation

        from flexlive.lab.view import View  # the first second shows a line, whatever the rest has to load
    except ImportError as error:
        raise DemoError(f"the demo needs {error.name}; install the dependency group 'demo'") from error
    # A shop that asks again is the play's business, not a line in the audience's picture.
    stamina.instrumentation.set_on_retry_hooks([])
    with View(options.view) as view:
        view.step("[bold]flexlive demo[/]: a database, a server, drivers, shops and customers. Ctrl-C ends all of it.")
        try:
            return asyncio.run(_until_interrupted(options, view))
        except (DemoError, RealDayError, DatabaseSetupError) as error:
            view.panel_ends()
            view.console.print(f"[bold red]flexlive demo:[/] {error}", highlight=False, soft_wrap=True)
            return EXIT_IMPOSSIBLE
        except KeyboardInterrupt:
            return EXIT_INTERRUPTED


async def _until_interrupted(options: DemoOptions, view: View) -> int:
    """The first SIGINT or SIGTERM cancels the play, which then takes its processes down in order; later ones wait."""
    from flexlive.lab.play import play

    loop = asyncio.get_running_loop()
    task = asyncio.create_task(play(options, view))
    interrupted = False

    def interrupt() -> None:
        nonlocal interrupted
        view.panel_ends()
        view.step("stopping everything that was started …" if not interrupted else "still stopping …")
        if not interrupted:
            interrupted = True
            task.cancel()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, interrupt)
    try:
        return EXIT_CLEAN if await task else EXIT_BROKEN
    except asyncio.CancelledError:
        return EXIT_INTERRUPTED
