"""A file becomes the registry: wholly, or not at all."""

import os
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.utils import timezone
from pytest_django.fixtures import Settings

from streams.access.roles import Role
from streams.models import Endpoint, Secret, SecretFunction
from streams.registry.apply import apply
from streams.registry.export import export
from streams.registry.parse import RegistryError, parse
from tests.net.test_addresses import HOSTILE_URLS
from tests.registry.test_parse import EXAMPLE

pytestmark = pytest.mark.django_db

VALUE = "canary-" + "v" * 32


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORDERS_SECRET", VALUE)


def lines(text: str, **options: Any) -> list[str]:
    return [str(change) for change in apply(parse(text), **options)]


def one(endpoint: str) -> str:
    return f"version: 1\nendpoints:\n  - {{slug: a, title: A, groups: '*', {endpoint}}}\n"


def test_what_is_new_is_created_and_then_unchanged() -> None:
    objects = [
        "secret orders",
        *(f"endpoint {s}" for s in ("orders", "archive", "direct", "people")),
    ]

    assert lines(EXAMPLE) == [f"created {name}" for name in objects]
    assert lines(EXAMPLE) == [f"unchanged {name}" for name in objects]


def test_what_changed_is_told_by_field() -> None:
    lines(EXAMPLE)

    changed = lines(
        EXAMPLE.replace("title: Orders export", "title: Orders")
        .replace("groups: [analysts]", "groups: [analysts, sales]")
        .replace("rotate_every: 30d", "rotate_every: 7d")
        .replace("alias: live", "alias: prod")
        .replace("stage: $default", "stage: beta")
    )

    assert "changed secret orders (function, gateways, rotate_every)" in changed
    assert "changed endpoint orders (groups, title)" in changed
    endpoint = Endpoint.objects.get(slug="orders")
    assert set(endpoint.readers.values_list("name", flat=True)) == {"analysts", "sales"}


def test_what_is_lent_for_a_time_is_no_matter_of_the_files() -> None:
    lines(EXAMPLE)
    orders, end = Endpoint.objects.get(slug="orders"), timezone.now() + timedelta(days=1)
    for name in ("auditors", "sales"):
        orders.grants.create(group=Group.objects.create(name=name), expires_at=end)

    assert "unchanged endpoint orders" in lines(EXAMPLE)
    assert "auditors" not in export()
    changed = lines(EXAMPLE.replace("groups: [analysts]", "groups: [sales]"))

    assert "changed endpoint orders (groups)" in changed
    assert dict(orders.grants.values_list("group__name", "expires_at")) == {
        "auditors": end, "sales": None,
    }  # fmt: skip


def test_a_gateway_that_stays_keeps_its_row() -> None:
    lines(EXAMPLE)
    before = Secret.objects.get().gateways.get(type="rest").pk

    lines(EXAMPLE.replace("stage: $default", "stage: beta"))

    assert Secret.objects.get().gateways.get(type="rest").pk == before


def test_a_new_value_becomes_the_next_version(monkeypatch: pytest.MonkeyPatch) -> None:
    lines(EXAMPLE)
    monkeypatch.setenv("ORDERS_SECRET", "another-" + "w" * 32)

    assert lines(EXAMPLE)[0] == "changed secret orders (value)"

    states = Secret.objects.get().versions.order_by("number").values_list("number", "state")
    assert list(states) == [(1, "previous"), (2, "current")]


def test_without_a_source_the_value_is_made_once() -> None:
    text = "version: 1\nsecrets: [{name: made}]\n"

    assert lines(text) == ["created secret made"]
    made = Secret.objects.get().versions.get().value
    assert lines(text) == ["unchanged secret made"]

    assert len(made) == 43
    assert Secret.objects.get().versions.get().value == made


def test_a_value_comes_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "value"
    file.write_text(f"{VALUE}\n")

    lines(f"version: 1\nsecrets: [{{name: a, value_from_file: '{file}'}}]\n")

    assert Secret.objects.get().versions.get().value == VALUE


def test_a_value_from_what_never_ends_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "long").write_text("x" * 10_000_000)

    for place, named in [
        ("/dev/zero", "expected a regular file"),
        (f"{tmp_path}/pipe", "expected a regular file"),
        (f"{tmp_path}", "expected a regular file"),
        (f"{tmp_path}/long", "512"),
        (f"{tmp_path}/missing", "FileNotFoundError"),
    ]:
        with pytest.raises(RegistryError, match=f"value_from_file: .*{named}"):
            lines(f"version: 1\nsecrets: [{{name: a, value_from_file: '{place}'}}]\n")


@pytest.mark.parametrize("value", ["", "short", "with space " + "x" * 20, "quo'te" + "x" * 20])
def test_a_value_that_cannot_be_sent_is_refused_and_not_repeated(
    value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ORDERS_SECRET", value)

    with pytest.raises(RegistryError) as caught:
        lines(EXAMPLE)

    assert "secrets[0].value_from_env" in str(caught.value)
    assert not value or value not in str(caught.value)


def test_one_error_and_nothing_has_changed() -> None:
    lines(EXAMPLE)
    before = export()
    broken = EXAMPLE.replace("title: Orders export", "title: New").replace(
        "kind: pages\n    url: https://api.example.com/people",
        "kind: pages\n    url: https://10.0.0.1/people",
    )

    with pytest.raises(RegistryError, match=r"endpoints\[3\]\.url"):
        lines(broken)

    assert export() == before
    assert Group.objects.exclude(name__in=Role).count() == 1


def test_all_problems_are_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ORDERS_SECRET")

    with pytest.raises(RegistryError) as caught:
        lines(EXAMPLE.replace("api.example.com/people", "10.0.0.1/people"))

    assert [problem.split(":")[0] for problem in caught.value.problems] == [
        "secrets[0].value_from_env",
        "endpoints[3].url",
    ]


def test_a_dry_run_tells_and_changes_nothing() -> None:
    lines(EXAMPLE)
    before = export()

    told = lines(EXAMPLE.replace("Orders export", "Orders"), dry_run=True)

    assert "changed endpoint orders (title)" in told
    assert export() == before


def test_prune_removes_what_the_file_does_not_name() -> None:
    lines(EXAMPLE)

    assert lines("version: 1\n") == []
    assert lines("version: 1\n", prune=True) == [
        "removed endpoint archive", "removed endpoint direct", "removed endpoint orders",
        "removed endpoint people", "removed secret orders",
    ]  # fmt: skip
    assert not Endpoint.objects.exists()


def test_an_unknown_secret_is_named() -> None:
    text = one("kind: http, url: 'https://example.com/', auth: secret-header, secret: nope")

    with pytest.raises(RegistryError, match=r"endpoints\[0\]\.secret: there is no secret nope"):
        lines(text)


@pytest.mark.parametrize("url", HOSTILE_URLS)
def test_no_disguise_of_a_private_address_is_registered(url: str, settings: Settings) -> None:
    settings.PRIVATE_ORIGINS = []

    with pytest.raises(RegistryError, match="url"):
        lines(one(f"kind: http, url: {url!r}"))

    assert not Endpoint.objects.exists()


def test_what_is_exported_is_applied_unchanged_and_holds_no_value() -> None:
    lines(EXAMPLE)

    text = export()

    assert VALUE not in text
    assert all(line.startswith("unchanged") for line in lines(text, prune=True))


def test_what_rotations_have_found_out_is_kept_and_not_exported() -> None:
    text = (
        "version: 1\nsecrets:\n- {name: pair, function: {name: f, accepts: one, "
        "aliases: [blue, green]}}\n"
    )
    lines(text)
    SecretFunction.objects.update(urls={"blue": "https://b.example.com/"})

    assert "b.example.com" not in export()
    assert lines(export()) == ["unchanged secret pair"]
    assert SecretFunction.objects.get().urls


def test_where_a_value_stands_is_kept_and_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORDERS_SECRET", VALUE)
    text = EXAMPLE.replace(
        "    rotate_every: 30d\n",
        "    rotate_every: 30d\n    store: secrets-manager\n    secrets_manager: {id: prod/a}\n",
    )

    lines(text)

    assert all(line.startswith("unchanged") for line in lines(text, prune=True))
    assert all(line.startswith("unchanged") for line in lines(export(), prune=True))
    (changed, *_) = lines(text.replace("prod/a", "prod/b"))
    assert changed == "changed secret orders (secrets_manager)"
    (changed, *_) = lines(EXAMPLE)
    assert changed == "changed secret orders (secrets_manager, store)"
