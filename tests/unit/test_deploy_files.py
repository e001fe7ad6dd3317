"""What `deploy/` and docs/deploy.md hand out fits together and fits the code."""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

from flexlive.settings import PREFIX, load
from tests.support.documents import block

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
PIN = re.compile(r"^([a-z0-9][a-z0-9._-]*)(?:\[[^\]]*\])?==([^\s;\\]+)", re.MULTILINE | re.IGNORECASE)


def pins(path: Path) -> dict[str, str]:
    return {name.lower().replace("_", "-"): version for name, version in PIN.findall(path.read_text())}


def test_every_file_is_in_the_document_and_every_file_named_is_there() -> None:
    text = (ROOT / "docs" / "deploy.md").read_text()
    assert set(re.findall(r"deploy/([A-Za-z0-9.]+)", text)) == {path.name for path in DEPLOY.iterdir()}


def test_a_server_gets_the_versions_that_were_tested() -> None:
    server, tested = pins(DEPLOY / "requirements.txt"), pins(ROOT / "requirements.lock")
    assert server
    assert server.items() <= tested.items()
    text = (DEPLOY / "requirements.txt").read_text()
    assert text.count("--hash=") >= len(server)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wanted = project["project"]["dependencies"] + project["dependency-groups"]["demo"]
    assert {re.split(r"[\[<>=;~! ]", each)[0] for each in wanted} <= server.keys()


def test_the_environment_is_one_that_starts() -> None:
    lines = [line.lstrip("#") for line in (DEPLOY / "environment").read_text().splitlines()]
    values = dict(line.split("=", 1) for line in lines if line.startswith(PREFIX))
    settings = load(values)
    assert settings.url == values["FLEXLIVE_PUBLIC_URL"]
    assert "FLEXLIVE_DATABASE_URL" in values


def test_the_image_is_made_by_the_commands_of_the_document() -> None:
    text = (DEPLOY / "Containerfile").read_text()
    run = [line.removeprefix("RUN ") for line in text.splitlines() if line.startswith("RUN ")]
    install = [line for line in block("deploy.md", "install").splitlines() if "doctor" not in line]
    assert [line for line in run if "PREFIX" in line] == install
    for copied in re.findall(r"^COPY (?!--from)(.*) \S+$", text, re.MULTILINE):
        assert all((ROOT / each).exists() for each in copied.split())
    settings = dict(re.findall(r"(FLEXLIVE_\w+)=(\S+)", text))
    assert load(settings).port == int(re.findall(r"^EXPOSE (\d+)$", text, re.MULTILINE)[0])


def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("needs systemd-analyze")
    unit = (DEPLOY / "flexlive.service").read_text()
    installed = re.findall(r"^ExecStart=(\S+)", unit, re.MULTILINE)
    assert installed == ["/opt/flexlive/bin/flexlive"]
    # Not installed on this machine; everything else is judged as it is.
    file = tmp_path / "flexlive.service"
    file.write_text(unit.replace(installed[0], "/bin/true"))
    judged = subprocess.run([program, "verify", str(file)], capture_output=True, text=True, timeout=60, check=False)
    assert judged.returncode == 0, judged.stderr
    assert "flexlive.service" not in judged.stderr, judged.stderr
