"""What ships with the page is what VENDORED.json says, and nothing else is served."""

from __future__ import annotations

import gzip
import hashlib
import json
from pathlib import Path

import pytest

from flexlive.web import static_files

STATIC = Path(static_files.__file__).parent / "static"
VENDOR = STATIC / "vendor"
PACKAGES = json.loads((VENDOR / "VENDORED.json").read_text())["packages"]


def test_every_vendored_file_is_the_published_one() -> None:
    for package in PACKAGES:
        assert package["source_package"] == f"npm:{package['name']}@{package['version']}"
        for path, sha256 in package["files"].items():
            assert path.startswith(f"{package['name']}-{package['version']}/")
            assert hashlib.sha256((VENDOR / path).read_bytes()).hexdigest() == sha256, path


def test_every_package_has_its_licence_and_every_file_its_package() -> None:
    named = {"VENDORED.json"}
    for package in PACKAGES:
        assert package["licence"] in {"Apache-2.0", "BSD-3-Clause"}
        assert package["licence_files"]
        assert all((VENDOR / path).stat().st_size > 500 for path in package["licence_files"] if "NOTICE" not in path)
        named |= {*package["files"], *package["licence_files"]}
    assert {str(path.relative_to(VENDOR)) for path in VENDOR.rglob("*") if path.is_file()} == named


@pytest.mark.parametrize("name", ["track.css", "track.js", "track-stream.js", "track-map.js", "track-basemap.js"])
def test_own_files_are_served_plain_and_compressed(name: str) -> None:
    found = static_files.own_file(name)
    assert found is not None
    assert found.content == (STATIC / name).read_bytes()
    assert gzip.decompress(found.compressed) == found.content
    assert "immutable" not in found.cache_control


def test_vendored_files_never_change_under_their_address() -> None:
    url = static_files.vendored_url("maplibre-gl-worker.mjs")
    found = static_files.vendored_file(url.removeprefix("/static/vendor/"))
    assert found is not None
    assert found.media_type == "text/javascript"
    assert "immutable" in found.cache_control


def test_nothing_else_is_served() -> None:
    for name in ("", "track.html", "../track_page.py", "/etc/passwd", "track.css/", "vendor", "VENDORED.json"):
        assert static_files.own_file(name) is None
        assert static_files.vendored_file(name) is None
    for path in ("../track.css", "maplibre-gl-6.17.0/LICENSE.txt", "maplibre-gl-6.17.0/../VENDORED.json"):
        assert static_files.vendored_file(path) is None
    with pytest.raises(LookupError):
        static_files.vendored_url("jquery.js")
