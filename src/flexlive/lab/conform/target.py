"""What is judged, and with which means."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from urllib.parse import urlsplit, urlunsplit

SOCKET_PATH = "/v1/driver"
_SOCKET_SCHEMES = {"http": "ws", "https": "wss", "ws": "ws", "wss": "wss"}


class CannotJudgeError(Exception):
    """The run cannot say anything about the backend; str() says what is missing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """tokens: access tokens of one or two drivers. position: lat, lon in degrees where the drivers say they are.

    offer_command, restart_command: shell commands, see docs/conformance.md. answer_seconds_max: how long an answer
    may take before it counts as none.
    """

    socket_url: str
    http_url: str
    tokens: tuple[str, ...]
    position: tuple[float, float] | None = None
    offer_command: str | None = None
    merchant_key: str | None = None
    store: str | None = None
    restart_command: str | None = None
    ca_file: str | None = None
    answer_seconds_max: float = 10.0
    offer_seconds_max: float = 30.0

    @property
    def makes_offers(self) -> bool:
        return self.offer_command is not None or self.merchant_key is not None

    def tls(self) -> ssl.SSLContext | None:
        """The context of a TLS connection; None for a plain one."""
        if urlsplit(self.socket_url).scheme != "wss":
            return None
        return ssl.create_default_context(cafile=self.ca_file)


def addresses(url: str) -> tuple[str, str]:
    """The socket's and the HTTP API's address, from either of them or from the server's origin alone.

    CannotJudgeError for what is no such address.
    """
    parts = urlsplit(url if "://" in url else f"http://{url}")
    scheme = _SOCKET_SCHEMES.get(parts.scheme)
    if scheme is None or not parts.hostname:
        raise CannotJudgeError(f"{url} is not an address of the form https://host[:port]")
    prefix = parts.path.rstrip("/").removesuffix(SOCKET_PATH)
    socket_url = urlunsplit((scheme, parts.netloc, prefix + SOCKET_PATH, "", ""))
    http_scheme = {"ws": "http", "wss": "https"}[scheme]
    return socket_url, urlunsplit((http_scheme, parts.netloc, prefix, "", ""))
