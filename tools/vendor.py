"""Fetches what the customer's page needs from the npm registry, and writes down what it is: `python tools/vendor.py`.

Each file lands in src/flexlive/web/static/vendor/<package>-<version>/ with its licence; VENDORED.json names package,
version, licence and SHA-256 of every file, and tests/unit/web/test_vendored.py hashes them again. The registry is the
one npm is set up for; nothing here names a host.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
VENDOR = ROOT / "src" / "flexlive" / "web" / "static" / "vendor"
LICENCES = Path(__file__).parent / "licences"


@dataclass(frozen=True)
class Package:
    """files: paths inside the package. licence_files: likewise; a package that ships none has one in tools/licences."""

    name: str
    version: str
    files: tuple[str, ...]
    licence_files: tuple[str, ...] = ()


PACKAGES = (
    # The module build takes its worker from a file beside it, never from a blob: `worker-src 'self'` is enough.
    Package(
        "maplibre-gl",
        "6.17.0",
        ("dist/maplibre-gl.mjs", "dist/maplibre-gl-worker.mjs", "dist/maplibre-gl.css"),
        ("LICENSE.txt",),
    ),
    Package("h3-js", "4.5.0", ("dist/h3-js.umd.js",), ("LICENSE", "NOTICE")),
    Package("pmtiles", "4.5.0", ("dist/pmtiles.js",)),
)


def main() -> int:
    """Replaces the vendor folder by what PACKAGES names."""
    with tempfile.TemporaryDirectory() as scratch:
        fresh = Path(scratch) / "vendor"
        entries = [fetch(package, Path(scratch), fresh) for package in PACKAGES]
        (fresh / "VENDORED.json").write_text(json.dumps({"packages": entries}, indent=2) + "\n")
        if VENDOR.exists():
            shutil.rmtree(VENDOR)
        shutil.copytree(fresh, VENDOR)
    for entry in entries:
        sys.stdout.write(f"{entry['source_package']}  {entry['licence']}\n")
    return 0


def fetch(package: Package, scratch: Path, fresh: Path) -> dict[str, object]:
    """Unpack one package's files below `fresh`; its entry in VENDORED.json."""
    source = f"{package.name}@{package.version}"
    packed = subprocess.run(  # noqa: S603
        ["npm", "pack", "--silent", source],  # noqa: S607
        cwd=scratch,
        check=True,
        capture_output=True,
        text=True,
    )
    with tarfile.open(scratch / packed.stdout.split()[-1]) as archive:
        folder = f"{package.name}-{package.version}"
        about = json.loads(read(archive, "package.json"))
        kept = {path: read(archive, path) for path in package.files}
        licences = {path: read(archive, path) for path in package.licence_files}
    if not licences:
        licences = {"LICENSE": (LICENCES / f"{package.name}.txt").read_bytes()}
    (fresh / folder).mkdir(parents=True)
    for path, content in {**kept, **licences}.items():
        (fresh / folder / Path(path).name).write_bytes(content)
    return {
        "name": package.name,
        "version": package.version,
        "licence": about["license"],
        "source_package": f"npm:{source}",
        "licence_files": [f"{folder}/{Path(path).name}" for path in licences],
        "files": {f"{folder}/{Path(path).name}": hashlib.sha256(content).hexdigest() for path, content in kept.items()},
    }


def read(archive: tarfile.TarFile, path: str) -> bytes:
    member = archive.extractfile(f"package/{path}")
    if member is None:
        raise SystemExit(f"{path} is not a file of the package")
    return member.read()


if __name__ == "__main__":
    sys.exit(main())
