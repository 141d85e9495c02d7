"""Starting, stopping, being killed, and starting again."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import sandbox
from sandbox import settings
from tests.sandbox.conftest import RUNTIME, get, until


def descendants(pid: int) -> list[int]:
    """All processes that stem from this one."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
            if parent == pid:
                found += [int(entry.name), *descendants(int(entry.name))]
    return found


def alive(pid: int) -> bool:
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


@pytest.mark.parametrize("sig", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_every_process(tmp_path: Path, sig: signal.Signals) -> None:
    with sandbox.running(sandbox.Settings(state=tmp_path)) as aws:
        get(aws.deploy_function("f", RUNTIME, "echo"))
        children = descendants(aws.pid)
        assert len(children) == 2, "the emulator and one process of the function"

        os.kill(aws.pid, sig)

        assert until(lambda: not any(map(alive, [aws.pid, *children])))


def test_it_ends_with_its_parent(tmp_path: Path) -> None:
    program = (
        "import os, pathlib, sandbox, sys\n"
        f"with sandbox.running(sandbox.Settings(state=pathlib.Path({str(tmp_path)!r}))) as aws:\n"
        "    print(aws.pid, flush=True)\n"
        "    os.kill(os.getpid(), 9)\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, check=False
    )

    assert run.returncode == -signal.SIGKILL
    assert until(lambda: not alive(int(run.stdout)))


def test_a_second_start_keeps_everything(tmp_path: Path) -> None:
    before = sandbox.Settings(state=tmp_path)
    with sandbox.running(before) as aws:
        aws.put_object("exports", "kept", b"content")
        url = aws.deploy_function("f", RUNTIME, "secret", {"SECRET_HEADER": "v"})
        aws.client("lambda").publish_version(FunctionName="f")
        rest = aws.rest_api("rest", url, "x-secret-header", "v")
        http = aws.http_api("http", url, "x-secret-header", "v")
        first = aws.url

    with sandbox.running(before) as aws:
        assert aws.url != first, "the port is another one, and nothing may depend on it"
        for old in (rest.url, http.url, url):
            answer = get(old.replace(first, aws.url), headers={"x-secret-header": "v"})
            assert (answer.status, json.loads(answer.body)["value"]) == (200, "v")
        functions = aws.client("lambda")
        assert functions.get_function_url_config(FunctionName="f")["FunctionUrl"] == url.replace(
            first, aws.url
        )
        assert (
            aws.client("s3").get_object(Bucket="exports", Key="kept")["Body"].read() == b"content"
        )
        # And what is there is found again, not made twice.
        assert aws.rest_api("rest", url, "x-secret-header", "v").api_id == rest.api_id
        assert aws.deploy_function("f", RUNTIME, "secret") == url.replace(first, aws.url)


def test_what_a_killed_sandbox_had_is_kept_too(tmp_path: Path) -> None:
    with sandbox.running(sandbox.Settings(state=tmp_path)) as aws:
        aws.deploy_function("f", RUNTIME, "echo")
        children = descendants(aws.pid)
        os.kill(aws.pid, signal.SIGKILL)
        assert until(lambda: not any(map(alive, children)))

    with sandbox.running(sandbox.Settings(state=tmp_path)) as aws:
        url = aws.client("lambda").get_function_url_config(FunctionName="f")["FunctionUrl"]
        assert get(url).status == 206


def test_a_dead_emulator_ends_the_sandbox(tmp_path: Path) -> None:
    with sandbox.running(sandbox.Settings(state=tmp_path)) as aws:
        (emulator,) = descendants(aws.pid)

        os.kill(emulator, signal.SIGKILL)

        assert until(lambda: not alive(aws.pid))


def test_a_port_in_use_is_said_so(tmp_path: Path) -> None:
    with sandbox.running(sandbox.Settings(state=tmp_path / "one")) as aws:
        port = aws.url.rpartition(":")[2]

        command = [
            sys.executable,
            "-m",
            "sandbox",
            "--port",
            port,
            "--state",
            str(tmp_path / "two"),
        ]
        second = subprocess.run(command, capture_output=True, text=True, check=False)

    assert second.returncode == 1
    assert "in use" in second.stderr


def test_settings_survive_the_command_line(tmp_path: Path) -> None:
    wanted = sandbox.Settings(
        state=tmp_path,
        bandwidth=2 << 20,
        pass_content_length=False,
        midway_error="trailers",
        generated={"bucket/key=odd": 5 << 30},
    )

    assert settings.parse(settings.flags(wanted)) == wanted


@pytest.mark.parametrize(
    ("text", "bytes_"), [("5GiB", 5 << 30), ("6 MiB", 6 << 20), ("2MB", 2_000_000), ("17", 17)]
)
def test_sizes_are_written_as_people_write_them(text: str, bytes_: int) -> None:
    assert settings.size(text) == bytes_


def test_a_wrong_size_names_its_flag(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        settings.parse(["--bandwidth", "fast"])

    assert "--bandwidth" in capsys.readouterr().err
