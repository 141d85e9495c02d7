"""`/operate/settings/`: every setting, where it comes from, and no secret."""

import re
import tomllib
from pathlib import Path
from typing import Any, get_args

import pytest
from django.test import Client
from pydantic import BaseModel, SecretStr

import portal
from portal import effective, env
from portal.env import ROOT, SECRETS, Environment

CANARY = "canary-" + "c" * 40
CELL = r"<td>(?:\s*<bdi>)?(.*?)(?:</bdi>\s*)?</td>"


def told(client: Client) -> dict[str, list[str]]:
    page = client.get("/operate/settings/").content.decode()
    assert CANARY not in page
    rows = re.findall(
        r"<tr>\s*<th scope=\"row\"><code>(\w+)</code></th>(.*?)</tr>", page, re.DOTALL
    )
    return {
        name: [" ".join(cell.split()) for cell in re.findall(CELL, rest, re.DOTALL)]
        for name, rest in rows
    }


@pytest.mark.django_db
def test_each_says_its_value_and_where_it_comes_from_and_a_secret_only_that_it_is_set(
    operator: Client, monkeypatch: pytest.MonkeyPatch, settings: Any, tmp_path: Path
) -> None:
    held = tmp_path / "broker"
    held.write_text(f"redis://:{CANARY}@127.0.0.1/0")
    for name in Environment.model_fields.values():
        monkeypatch.delenv(str(name.alias), raising=False)
    monkeypatch.setenv("SPILLWAY_EMAIL_URL", f"smtps://user:{CANARY}@mail.example.com")
    monkeypatch.setenv("SPILLWAY_EMAIL_FROM", "portal@example.com")
    monkeypatch.setenv("CELERY_BROKER_URL_FILE", str(held))
    monkeypatch.setenv("SPILLWAY_TICK", "7.5")
    monkeypatch.setenv("SPILLWAY_PRIVATE_ORIGINS", "10.0.0.0/8,127.0.0.0/8")
    settings.ENV = env.read()
    settings.CELERY_BROKER_URL = settings.ENV.broker_url.get_secret_value()

    rows = told(operator)

    assert list(rows) == [field.alias for field in Environment.model_fields.values()]
    assert all(len(cells) == 3 and cells[2] for cells in rows.values())
    assert rows["SPILLWAY_EMAIL_URL"][:2] == ["set", "environment"]
    assert rows["CELERY_BROKER_URL"][:2] == ["set", "file"]
    assert rows["SPILLWAY_SECRET_KEY"][:2] == ["set", "made in the state folder"]
    assert rows["DATABASE_URL"][:2] == ["not set", "default"]
    assert rows["SPILLWAY_TICK"][:2] == ["7.5", "environment"]
    assert rows["SPILLWAY_HEAD_TIMEOUT"][:2] == ["60", "default"]
    assert rows["SPILLWAY_PRIVATE_ORIGINS"][:2] == ["10.0.0.0/8,127.0.0.0/8", "environment"]
    assert rows["SPILLWAY_BASE_URL"][:2] == ["none", "default"]
    page = operator.get("/operate/settings/").content.decode()
    for fact in ("Redis", portal.VERSION, str(settings.STATE_DIR), "UTC"):
        assert f"<dd><bdi>{fact}</bdi></dd>" in page


def holds_a_secret(annotation: Any) -> bool:
    parts = list(get_args(annotation))
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        parts += [field.annotation for field in annotation.model_fields.values()]
    return annotation is SecretStr or any(map(holds_a_secret, parts))


def test_whatever_is_secret_is_known_to_be() -> None:
    for name, field in Environment.model_fields.items():
        known = SECRETS.get(str(field.alias)) == name
        assert known == holds_a_secret(field.annotation), name


def test_the_docs_name_each_setting() -> None:
    documented = re.findall(r"^\| `(\w+)`", (ROOT / "docs/settings.md").read_text(), re.MULTILINE)

    assert sorted(documented) == sorted(one.name for one in effective.settings(env.read()))


def test_the_version_is_that_of_the_project() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

    assert project["version"] == portal.VERSION
