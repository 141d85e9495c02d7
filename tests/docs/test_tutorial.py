"""The tutorial, as a newcomer follows it: each command as it stands there, against the demo."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.samples import ROOT, Sample, of_page
from tests.functional.test_demo import Demo, demo

PAGE = ROOT / "docs" / "tutorial.md"
# What ends one block's output in that of the shell which runs all of them.
MARK = "== the next block =="


def steps() -> list[tuple[Sample, list[str]]]:
    """Each block of commands, and the lines that it is said to print among others."""
    found: list[tuple[Sample, list[str]]] = []
    for sample in of_page(PAGE):
        if sample.language == "sh":
            found.append((sample, []))
        else:
            assert sample.language == "text"
            found[-1][1].extend(sample.text.splitlines())
    return found


def here(text: str, running: Demo) -> str:
    """With the demo's own folder, port and interpreter in the place of the usual ones."""
    text = text.replace(". .venv/bin/activate", f"PATH={Path(sys.executable).parent}:$PATH")
    text = text.replace("http://127.0.0.1:8000", f"http://127.0.0.1:{running.port}")
    return re.sub(r"\bvar/", f"{running.folder}/", text)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_every_command_of_the_tutorial_does_what_it_says(tmp_path: Path) -> None:
    first, *others = steps()
    assert first[0].text == "make demo\n"

    with demo(tmp_path) as running:
        script = "".join(f"{here(one.text, running)}\necho '{MARK}'\n" for one, _ in others)
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("SPILLWAY_", "AWS_"))}
        done = subprocess.run(
            ["bash", "-e", "-o", "pipefail"],
            cwd=ROOT, env=kept, input=script, text=True, check=False, timeout=500,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    outputs = done.stdout.split(MARK)
    assert done.returncode == 0, done.stdout[-3000:]
    assert len(outputs) == len(others) + 1
    for (sample, lines), output in zip(others, outputs, strict=False):
        for line in lines:
            # What is long may be told by how it begins.
            assert here(line, running) in output, (str(sample), line, output)
