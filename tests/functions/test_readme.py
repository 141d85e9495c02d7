"""The sample of the function's README is run as it stands there."""

import re
from collections.abc import Callable
from pathlib import Path

from tests.functions.conftest import FUNCTION, Function
from tests.functions.fake_runtime_api import FakeRuntimeApi

HEADERS = {"x-secret-header": "right"}


def test_the_handler_of_the_readme_works(
    api: FakeRuntimeApi, run: Callable[..., Function], tmp_path: Path
) -> None:
    text = (FUNCTION / "README.md").read_text()
    (sample,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    (tmp_path / "report.py").write_text(sample)
    run("report.handler", root=tmp_path, SECRET_HEADER="right")

    report = api.answer_to({"rawPath": "/report", "headers": HEADERS})
    other = api.answer_to({"rawPath": "/other", "headers": HEADERS})
    refused = api.answer_to({"rawPath": "/report", "headers": {}})

    assert report.prelude["headers"] == {"Content-Type": "text/csv"}
    assert report.body.splitlines()[-1] == b"99999,9999800001"
    assert (other.prelude["statusCode"], refused.prelude["statusCode"]) == (404, 403)


def test_the_readme_names_every_event_that_is_logged() -> None:
    text = (FUNCTION / "README.md").read_text()
    sources = (FUNCTION / "spillway_lambda").glob("*.py")

    logged = {
        name
        for source in sources
        for name in re.findall(r'\blog\(\s*"([a-z_]+)"', source.read_text())
    }

    assert len(logged) > 5
    assert [name for name in sorted(logged) if f"`{name}`" not in text] == []
