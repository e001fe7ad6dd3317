"""The proxy configurations of `deploy/`, run as they are but for addresses, certificates and log files."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
import trustme

DEPLOY = Path(__file__).parents[2] / "deploy"
HOST = "127.0.0.1"
START_SECONDS_MAX = 10.0
STOP_SECONDS_MAX = 10.0
CONNECTIONS = "2000"


@dataclass(frozen=True)
class Proxy:
    """port: TLS. http_port: the one that redirects."""

    name: str
    port: int
    http_port: int
    log: Path

    @property
    def url(self) -> str:
        return f"https://{HOST}:{self.port}"

    @property
    def socket_base(self) -> str:
        return f"wss://{HOST}:{self.port}"


def require(program: str) -> str:
    """Path of the program; the test is skipped without it, unless FLEXLIVE_REQUIRE_PROXY says it must be there."""
    found = shutil.which(program) or shutil.which(program, path="/usr/sbin:/usr/local/sbin")
    if found is None:
        if os.environ.get("FLEXLIVE_REQUIRE_PROXY"):
            pytest.fail(f"{program} is not installed")
        pytest.skip(f"needs {program}")
    return found


@dataclass(frozen=True)
class Certificates:
    """Of one made-up authority. context: for clients that believe it."""

    directory: Path
    context: ssl.SSLContext

    @property
    def authority(self) -> Path:
        return self.directory / "authority.pem"


def make_certificates(directory: Path) -> Certificates:
    """flexlive.pem (chain and key for HAProxy), flexlive.crt and flexlive.key."""
    authority = trustme.CA()
    issued = authority.issue_cert(HOST, "localhost")
    # HAProxy takes every file of its folder for a certificate.
    (directory / "served").mkdir()
    issued.private_key_and_cert_chain_pem.write_to_path(str(directory / "served" / "flexlive.pem"))
    issued.private_key_pem.write_to_path(str(directory / "flexlive.key"))
    (directory / "flexlive.crt").write_bytes(b"".join(pem.bytes() for pem in issued.cert_chain_pems))
    authority.cert_pem.write_to_path(str(directory / "authority.pem"))
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return Certificates(directory, context)


@asynccontextmanager
async def running(
    name: str,
    upstreams: Sequence[int],
    certificates: Certificates,
    directory: Path,
    changes: Mapping[str, str] | None = None,
) -> AsyncIterator[Proxy]:
    """`haproxy` or `nginx` with the shipped configuration in front of loopback ports; changes: further replacements."""
    proxy = Proxy(name, *_free_ports(2), directory / f"{name}.log")
    make = {"haproxy": _haproxy, "nginx": _nginx}[name]
    replacements, arguments = make(proxy, upstreams, certificates, directory)
    file = directory / f"{name}.cfg"
    file.write_text(_replaced((DEPLOY / _FILES[name]).read_text(), {**replacements, **(changes or {})}))
    with proxy.log.open("ab") as log:
        process = await asyncio.create_subprocess_exec(
            require(name), *arguments, str(file), stdout=log, stderr=log, start_new_session=True
        )
    try:
        await _listening(process, proxy)
        yield proxy
    finally:
        if process.returncode is None:
            process.terminate()
            try:
                async with asyncio.timeout(STOP_SECONDS_MAX):
                    await process.wait()
            except TimeoutError:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                await process.wait()


_FILES = {"haproxy": "haproxy.cfg", "nginx": "nginx.conf"}


def _haproxy(
    proxy: Proxy, upstreams: Sequence[int], certificates: Certificates, directory: Path
) -> tuple[dict[str, str], list[str]]:
    servers = "\n".join(f"    server s{port} {HOST}:{port}" for port in upstreams)
    return {
        "maxconn 40000": f"maxconn {CONNECTIONS}",
        "bind :80": f"bind {HOST}:{proxy.http_port}",
        "bind :443": f"bind {HOST}:{proxy.port}",
        "/etc/haproxy/certificates/": f"{certificates.directory / 'served'}/",
        "    server first 10.0.0.11:8000\n    server second 10.0.0.12:8000": servers,
    }, ["-db", "-f"]


def _nginx(
    proxy: Proxy, upstreams: Sequence[int], certificates: Certificates, directory: Path
) -> tuple[dict[str, str], list[str]]:
    servers = "\n".join(f"        server {HOST}:{port} max_fails=1 fail_timeout=2s;" for port in upstreams)
    shipped = "\n".join(f"        server 10.0.0.1{n}:8000 max_fails=1 fail_timeout=2s;" for n in (1, 2))
    scratch = "".join(
        f"    {kind}_temp_path {directory / kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    # Started by root, its workers become another user, who may not enter the test's folder.
    user = "user root;\n" if os.geteuid() == 0 else ""
    return {
        "worker_processes auto;": f"{user}daemon off;\nworker_processes 1;",
        "worker_rlimit_nofile 65536;": "",
        "worker_connections 32768": f"worker_connections {CONNECTIONS}",
        "/var/log/nginx/error.log": str(directory / "nginx-error.log"),
        "/run/nginx.pid": str(directory / "nginx.pid"),
        "/var/log/nginx/access.log": str(proxy.log),
        "http {\n": "http {\n" + scratch,
        "listen 80;": f"listen {HOST}:{proxy.http_port};",
        "listen 443": f"listen {HOST}:{proxy.port}",
        "/etc/nginx/certificates/flexlive.pem": str(certificates.directory / "flexlive.crt"),
        "/etc/nginx/certificates/flexlive.key": str(certificates.directory / "flexlive.key"),
        shipped: servers,
    }, ["-p", str(directory), "-c"]


def _replaced(text: str, replacements: Mapping[str, str]) -> str:
    for old, new in replacements.items():
        assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in the configuration"
        text = text.replace(old, new)
    return text


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server((HOST, 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


async def _listening(process: asyncio.subprocess.Process, proxy: Proxy) -> None:
    async with asyncio.timeout(START_SECONDS_MAX):
        while True:
            assert process.returncode is None, proxy.log.read_text(errors="replace")
            with suppress(OSError):
                _, writer = await asyncio.open_connection(HOST, proxy.port)
                writer.close()
                return
            await asyncio.sleep(0.02)
