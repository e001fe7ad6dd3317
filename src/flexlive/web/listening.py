"""The socket the server listens on."""

from __future__ import annotations

import socket
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ListenOptions:
    """send_buffer_bytes: the kernel's share per accepted socket, which inherits it (Linux doubles the number).

    Without it the kernel swallows some 3.9 MB before a phone that reads nothing becomes visible to us.
    backlog: connections that wait to be accepted; who finds it full tries again after 1, 3 and 7 s: room for
    a whole city that comes back at once (Linux cuts it to net.core.somaxconn, 4096 unless changed).
    """

    send_buffer_bytes: int = 32 * 1024
    backlog: int = 16_384
    reuse_port: bool = False


def listen(host: str, port: int, options: ListenOptions | None = None) -> socket.socket:
    """A bound, listening TCP socket; port 0 picks a free one. OSError when the address is taken."""
    options = options or ListenOptions()
    listener = bind(host, port, options)
    try:
        listener.listen(options.backlog)
    except BaseException:
        listener.close()
        raise
    return listener


def bind(host: str, port: int, options: ListenOptions) -> socket.socket:
    """The same socket, taking no connections until somebody listens on it. OSError when the address is taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio switches Nagle off on accepted sockets only when the protocol is named.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if options.reuse_port:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, options.send_buffer_bytes)
        listener.bind((host, port))
        listener.setblocking(False)
    except BaseException:
        listener.close()
        raise
    return listener
