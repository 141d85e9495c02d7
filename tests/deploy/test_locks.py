"""What is installed is what was locked, to the byte, wherever it comes from."""

import json
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LOCKS = sorted((ROOT / "requirements").glob("*.txt"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.name)
def test_every_package_has_one_version_and_its_hashes(lock: Path) -> None:
    text = lock.read_text().replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]

    assert lines
    for line in lines:
        assert re.match(r"[a-z0-9][a-z0-9.-]*==\S+ ", line), line
        assert re.search(r"--hash=sha256:[0-9a-f]{64}\b", line), line
        assert "://" not in line, line


def test_what_node_installs_has_its_hashes() -> None:
    lock = json.loads((ROOT / "functions/nodejs/package-lock.json").read_text())
    packages = {name: told for name, told in lock["packages"].items() if name}

    assert packages
    for name, told in packages.items():
        assert told["integrity"].startswith("sha512-"), name
        assert re.fullmatch(r"\d+\.\d+\.\d+\S*", told["version"]), name


def test_each_group_is_in_a_lock_and_nothing_else_is_installed() -> None:
    """By the Makefile, the Dockerfiles and CI: always from a lock, always with its hashes."""
    locked = {path.stem for path in LOCKS}
    assert {"docs", "audit"} <= set(PROJECT["dependency-groups"]) & locked

    for name in ("Makefile", "deploy/Dockerfile", ".ci/run"):
        text = (ROOT / name).read_text().replace("\\\n", " ")
        for line in re.findall(r"^.*\bpip (?:install|sync)\b.*$", text, re.MULTILINE):
            # `make lock` alone takes the newest uv, to make the locks with.
            assert "--require-hashes" in line or line.endswith("install --quiet uv"), line


def test_every_exception_from_a_rule_of_security_has_its_reason() -> None:
    found = [
        (str(path.relative_to(ROOT)), line)
        for folder in ("portal", "streams", "functions")
        for path in (ROOT / folder).rglob("*.py")
        if "node_modules" not in path.parts
        for line in path.read_text(encoding="utf-8").splitlines()
        if re.search(r"# noqa: .*\bS\d{3}", line)
    ]

    assert len(found) > 10
    assert [one for one in found if not re.search(r"# noqa: [A-Z0-9, ]+ - \w", one[1])] == []
    assert "S" in PROJECT["tool"]["ruff"]["lint"]["select"]
    assert not any(rule.startswith("S1") and rule != "S101" for rule in
                   PROJECT["tool"]["ruff"]["lint"]["ignore"])  # fmt: skip
