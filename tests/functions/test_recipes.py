"""The recipes of `functions/recipes/`, in the real runtime."""

import csv
import gzip
import hashlib
import io
import json
import re
import shlex
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml

from streams.registry import parse
from tests.functions.conftest import FUNCTION, Function
from tests.functions.fake_runtime_api import FakeRuntimeApi

RECIPES = FUNCTION.parent / "recipes"
ROOT = FUNCTION.parents[1]
SECRET = {"x-secret-header": "right"}

Run = Callable[..., Function]


@pytest.fixture
def recipe(run: Run) -> Run:
    def start(name: str, handler: str, **environment: str) -> Function:
        return run(handler, root=RECIPES / name, SECRET_HEADER="right", **environment)

    return start


def asked(**parameters: str) -> dict[str, Any]:
    return {"headers": SECRET, "queryStringParameters": parameters}


def test_pages_are_small_and_lead_from_the_first_item_to_the_last(
    api: FakeRuntimeApi, recipe: Run
) -> None:
    recipe("pagination", "people.handler")
    items, request, sizes = [], asked(), []
    while True:
        body = api.answer_to(request).body
        sizes.append(len(body))
        page = json.loads(body)
        items += page["data"]
        if not page["page"]["next"]:
            break
        request = asked(after=page["page"]["next"])

    assert [item["id"] for item in items] == list(range(1, 10_001))
    assert len(sizes) == 20
    assert max(sizes) < 100_000


@pytest.mark.parametrize("token", ["x", "!", "AAAA", "eyJ9"])
def test_a_token_that_no_page_gave_is_a_400(api: FakeRuntimeApi, recipe: Run, token: str) -> None:
    recipe("pagination", "people.handler")

    assert api.answer_to(asked(after=token)).prelude["statusCode"] == 400


def test_a_query_is_compressed_on_its_way(api: FakeRuntimeApi, recipe: Run) -> None:
    recipe("compression", "measurements.handler")

    coded = api.answer_to({"headers": SECRET | {"accept-encoding": "gzip"}})
    plain = api.answer_to({"headers": SECRET})

    assert coded.prelude["headers"]["Content-Encoding"] == "gzip"
    assert gzip.decompress(coded.body) == plain.body
    # The README says a sixth.
    assert len(coded.body) < len(plain.body) / 5.5
    read = list(csv.reader(io.StringIO(plain.body.decode(), newline="")))
    assert read[0] == ["id", "sensor", "celsius"]
    assert (len(read), read[-1][:2]) == (200_001, ["200000", "sensor-0"])


def test_an_upload_is_whole_is_made_once_and_its_place_is_told(
    api: FakeRuntimeApi, recipe: Run, s3: Any, emulator: str
) -> None:
    endpoint = {"AWS_ENDPOINT_URL_S3": emulator}
    recipe("upload", "upload.handler", UPLOAD_BUCKET="exports", **endpoint)

    place = json.loads(api.answer_to({"headers": SECRET}).body)
    made = boto3.client("s3").head_object(Bucket=place["bucket"], Key=place["key"])
    again = json.loads(api.answer_to({"headers": SECRET}).body)
    unchanged = boto3.client("s3").head_object(Bucket=place["bucket"], Key=place["key"])

    body = s3.get_object(Bucket=place["bucket"], Key=place["key"])["Body"].read()
    lines = ["entry,amount,state"] + [f"{n},{n * 31 % 9973},booked" for n in range(600_000)]
    expected = "\r\n".join([*lines, ""]).encode()
    assert hashlib.sha256(body).digest() == hashlib.sha256(expected).digest()
    # More than one part.
    assert made["ETag"].endswith('-2"')
    assert (again, unchanged["LastModified"]) == (place, made["LastModified"])


@pytest.mark.parametrize(
    ("name", "handler"),
    [
        ("pagination", "people.handler"),
        ("compression", "measurements.handler"),
        ("upload", "upload.handler"),
    ],
)
def test_no_recipe_answers_without_the_secret(
    api: FakeRuntimeApi, recipe: Run, name: str, handler: str
) -> None:
    recipe(name, handler)

    assert api.answer_to({}).prelude["statusCode"] == 403


def test_the_command_of_the_image_serves_the_export(
    run: Run, s3: Any, emulator: str, tmp_path: Path
) -> None:
    text = (RECIPES / "container/Dockerfile").read_text()
    (line,) = re.findall(r"^CMD (.*)$", text, re.MULTILINE)
    _, *words = json.loads(line)
    s3.put_object(Bucket="exports", Key="orders.csv", Body=b"order\r\n" * 1000)
    function = run(
        "",
        root=FUNCTION,
        command=(sys.executable, *words, "--host", "127.0.0.1"),
        PORT="0",
        SECRET_HEADER="right",
        EXPORT_BUCKET="exports",
        EXPORT_KEY="orders.csv",
        AWS_ENDPOINT_URL_S3=emulator,
    )
    port = function.wait_for("serving", 30)["port"]
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/", headers=SECRET | {"Range": "bytes=7-13"}
    )

    with urllib.request.urlopen(request, timeout=30) as answer:
        assert (answer.status, answer.read()) == (206, b"order\r\n")
        assert answer.headers["Content-Range"] == "bytes 7-13/7000"


def test_the_image_copies_what_is_there() -> None:
    text = (RECIPES / "container/Dockerfile").read_text()

    copied = [shlex.split(line)[1] for line in text.splitlines() if line.startswith("COPY")]

    assert copied
    assert all((FUNCTION.parent / path).exists() for path in copied)


@pytest.mark.parametrize("name", ["pagination", "compression", "upload", "container"])
def test_the_registration_of_a_recipe_is_one_and_the_demo_has_its_like(name: str) -> None:
    text = (RECIPES / name / "README.md").read_text()
    (sample,) = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    (endpoint,) = yaml.safe_load(sample)
    demo = yaml.safe_load((ROOT / "sandbox/demo.yaml").read_text())["endpoints"]
    (shown,) = [each for each in demo if each["slug"] == endpoint["slug"]]
    file = {"version": 1, "secrets": [{"name": endpoint["secret"]}], "endpoints": [endpoint]}

    assert parse.parse(yaml.safe_dump(file)).endpoints[0].slug == endpoint["slug"]
    free = {"title", "description", "url", "secret", "groups"}
    assert {k: v for k, v in shown.items() if k not in free} == {
        k: v for k, v in endpoint.items() if k not in free
    }
