"""Who may open a driver socket at all, before anybody asks whose it is: where it comes from and how many there are."""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Generator, Hashable
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit
from uuid import UUID

from litestar.types import Scope

from flexlive.web.rate_limit import network_of

DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True, kw_only=True)
class DoorOptions:
    """sockets_per_driver_max: in this process, those included that are being replaced or closed. origins: of pages that
    may open sockets, as browsers send them; apps send none and always may."""

    unauthenticated_sockets_per_address_max: int = 50
    sockets_per_driver_max: int = 3
    origins: frozenset[str] = frozenset()


class SocketDoor:
    """Counts the sockets of one process; bounded by them."""

    def __init__(self, options: DoorOptions | None = None) -> None:
        self._options = options or DoorOptions()
        self._unauthenticated: Tally[Hashable] = Tally()
        self._drivers: Tally[Hashable] = Tally()

    def allows_origin(self, scope: Scope) -> bool:
        """Whether the page that opens this socket, if it is a page, is one of ours."""
        sent = [value for name, value in scope["headers"] if name == b"origin"]
        return not sent or (len(sent) == 1 and origin_of(sent[0].decode("latin-1")) in self._options.origins)

    @contextmanager
    def unauthenticated(self, scope: Scope) -> Generator[bool]:
        """While it is found out whose socket this is. False: its address has as many such sockets as it may."""
        client = scope["client"]
        address = network_of(client[0]) if client else ""
        with _counted(self._unauthenticated, address, self._options.unauthenticated_sockets_per_address_max) as ok:
            yield ok

    @contextmanager
    def driver(self, market_id: str, driver_id: UUID) -> Generator[bool]:
        """While a socket of this driver is open. False: there are as many as there may be."""
        with _counted(self._drivers, (market_id, driver_id), self._options.sockets_per_driver_max) as ok:
            yield ok


@contextmanager
def _counted(tally: Tally[Hashable], key: Hashable, at_most: int) -> Generator[bool]:
    if tally[key] >= at_most:
        yield False
        return
    tally[key] += 1
    try:
        yield True
    finally:
        tally[key] -= 1
        if not tally[key]:
            del tally[key]


def origin_of(url: str) -> str | None:
    """scheme://host[:port] of an http(s) URL in one spelling; None for anything else."""
    try:
        parts = urlsplit(url.strip())
        port = parts.port
    except ValueError:
        return None
    if parts.scheme not in DEFAULT_PORTS or not parts.hostname:
        return None
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    suffix = "" if port is None or port == DEFAULT_PORTS[parts.scheme] else f":{port}"
    return f"{parts.scheme}://{host}{suffix}"
