"""The zip file of `make functions`: reproducible, small, and what a sandbox runs."""

import hashlib
import os
import shutil
import subprocess
import urllib.request
import zipfile
from pathlib import Path

import pytest

import sandbox

ROOT = Path(__file__).resolve().parents[2]
DIST = Path("functions/dist")
ZIP = DIST / "spillway-python.zip"


def made(checkout: Path, umask: int) -> bytes:
    subprocess.run(
        ["make", "functions"],
        cwd=checkout,
        check=True,
        capture_output=True,
        preexec_fn=lambda: os.umask(umask) and None,
    )
    zips = [checkout / DIST / f"spillway-{name}.zip" for name in ("python", "nodejs")]
    return b"".join(path.read_bytes() for path in zips)


def checked_out(folder: Path, *, age: int, umask: int) -> Path:
    """A copy of what it is made from, with other times, rights and left-overs."""
    before = os.umask(umask)
    try:
        for source in [ROOT / "Makefile", *(ROOT / "functions").rglob("*")]:
            target = folder / source.relative_to(ROOT)
            if source.is_file() and not {"dist", "node_modules"} & {*source.parts}:
                target.parent.mkdir(parents=True, exist_ok=True)
                # The content alone: rights come from the umask, as with git.
                target.write_bytes(source.read_bytes())
                os.utime(target, (age, age))
    finally:
        os.umask(before)
    return folder


@pytest.fixture
def one(tmp_path: Path) -> Path:
    return checked_out(tmp_path / "one", age=1_000_000_000, umask=0o022)


def test_the_same_files_become_the_same_bytes(one: Path, tmp_path: Path) -> None:
    other = checked_out(tmp_path / "other" / "place", age=1_700_000_000, umask=0o077)
    left_over = other / "functions/python/spillway_lambda/__pycache__/ranges.cpython-311.pyc"
    left_over.parent.mkdir(exist_ok=True)
    left_over.write_bytes(b"of another machine")

    first = made(one, 0o022)

    assert made(one, 0o077) == first
    assert made(other, 0o077) == first
    (other / "functions/python/app.py").write_text("handler = None\n")
    assert made(other, 0o022) != first


def test_it_holds_the_handler_the_runtime_and_no_dependency(one: Path) -> None:
    made(one, 0o077)

    with zipfile.ZipFile(one / ZIP) as archive:
        names = archive.namelist()
        modes = {entry.filename: entry.external_attr >> 16 & 0o777 for entry in archive.infolist()}

    assert {name.partition("/")[0] for name in names} == {"app.py", "bootstrap", "spillway_lambda"}
    assert names == sorted(names)
    assert "spillway_lambda/runtime.py" in names
    assert modes.pop("bootstrap") == 0o755
    assert set(modes.values()) == {0o644}


def test_the_one_for_node_holds_the_handler_and_no_dependency(one: Path) -> None:
    made(one, 0o077)

    with zipfile.ZipFile(one / DIST / "spillway-nodejs.zip") as archive:
        names = archive.namelist()

    assert names[0] == "app.mjs"
    assert len(names) > 3
    assert all(name.startswith("spillway-lambda/") for name in names[1:])


def test_the_very_zip_runs_in_the_sandbox_and_streams(one: Path) -> None:
    made(one, 0o022)
    code = (one / ZIP).read_bytes()
    body = os.urandom(1 << 20) * 12
    secret = "a-secret-of-this-test"
    with sandbox.running() as aws:
        aws.put_object("exports", "orders.csv", body)
        aws.client("lambda").create_function(
            FunctionName="export",
            Code={"ZipFile": code},
            Runtime="python3.13",
            Handler="app.handler",
            Role="arn:aws:iam::000000000000:role/sandbox",
            Timeout=30,
            Environment={
                "Variables": {
                    "AWS_LAMBDA_EXEC_WRAPPER": "/var/task/bootstrap",
                    "SECRET_HEADER": secret,
                    "EXPORT_BUCKET": "exports",
                    "EXPORT_KEY": "orders.csv",
                }
            },
        )
        aws.open_to_everyone("export")
        request = urllib.request.Request(
            aws.function_url("export"), headers={"x-secret-header": secret}
        )

        with urllib.request.urlopen(request, timeout=60) as answer:
            came = answer.read()

        deployed = aws.client("lambda").get_function_configuration(FunctionName="export")

    assert hashlib.sha256(came).digest() == hashlib.sha256(body).digest()
    assert deployed["CodeSize"] == len(code)


def test_it_can_be_made_without_anything_installed(one: Path) -> None:
    shutil.rmtree(one / ".venv", ignore_errors=True)

    done = subprocess.run(
        ["make", "functions"],
        cwd=one,
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout == f"{ZIP}\n{DIST}/spillway-nodejs.zip\n"
    assert not (one / ".venv").exists()
