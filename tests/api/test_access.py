"""Each call by each user: what is somebody else's is not there, and no call can be forgotten."""

import json
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.test import Client

from streams.access.roles import Role
from streams.models import Endpoint, KeptAnswer, Rotation, Scope, ShareLink, User
from tests.api.client import Api, staff
from tests.api.things import OLD_VALUE, VALUE, Things, made_for

pytestmark = pytest.mark.django_db

# Each call with something in its address. `{}` is the thing.
ONE = {
    "GET /exports/{slug}": "exports/orders",
    "GET /downloads/{pk}": "downloads/{download}",
    "GET /operate/downloads/{pk}": "operate/downloads/{download}",
    "GET /links/{key}": "links/{link}",
    "POST /links/{key}/revoke": "links/{link}/revoke",
    "GET /endpoints/{slug}": "endpoints/orders",
    "GET /endpoints/{slug}/doctor": "endpoints/orders/doctor",
    "POST /endpoints/{slug}/doctor": "endpoints/orders/doctor",
    "GET /secrets/{name}": "secrets/aws/orders",
    "GET /rotations/{pk}": "rotations/{rotation}",
    "POST /rotations/{pk}/resume": "rotations/{rotation}/resume",
    "POST /rotations/{pk}/roll-back": "rotations/{rotation}/roll-back",
    "POST /rotations/{pk}/give-up": "rotations/{rotation}/give-up",
}
# Each list, all of whose things are somebody else's; `exports` for who has other things.
LISTS = {
    "GET /exports", "GET /downloads", "GET /operate/downloads", "GET /links", "GET /endpoints",
    "GET /doctor/endpoints", "GET /secrets", "GET /rotations",
}  # fmt: skip
# The body names the thing.
NAMED: dict[str, dict[str, Any]] = {
    "POST /links": {"export": "orders"},
    "POST /rotations": {"secret": "aws/orders"},
}
# Of nobody's group: the portal itself; the audit log, which is closed to who is kept from anything.
WHOLE = {"GET /doctor", "POST /doctor"}
LOG = {"GET /audit", "GET /audit/{number}"}
# Everybody has things of these kinds; the others are for staff, who are told so before anything.
EVERYBODYS = ("/exports", "/downloads", "/links")


@pytest.fixture
def owner() -> User:
    return staff(Role.OPERATOR, "owner")


@pytest.fixture
def things(owner: User) -> Things:
    return made_for(owner)


def document() -> dict[str, Any]:
    told: dict[str, Any] = Client().get("/api/v1/openapi.json").json()
    return told


def path_of(call: str, things: Things) -> str:
    return ONE[call].format(download=things.download, link=things.link, rotation=things.rotation.pk)


def ask(api: Api, call: str, path: str) -> tuple[int, Any]:
    return api.get(path) if call.startswith("GET") else api.post(path)


@pytest.mark.parametrize("path", ["", "nowhere", "exports/orders/nowhere"])
def test_where_nothing_is_programs_are_told_so_as_elsewhere(path: str) -> None:
    api = Api(None)

    assert api.get(path) == api.post(path, {})
    assert api.get(path)[0] == 404


def test_no_call_is_forgotten() -> None:
    told = {
        f"{method.upper()} {path.removeprefix('/api/v1')}"
        for path, operations in document()["paths"].items()
        for method in operations
    }

    assert told == set(ONE) | LISTS | set(NAMED) | WHOLE | LOG


def others() -> dict[str, User]:
    """Who may do everything in their role, and nothing with the things of that group."""
    reader = User.objects.create_user("reader")
    reader.groups.add(Group.objects.create(name="others"))
    return {"reader": reader, **{role.value: staff(role) for role in (Role.VIEWER, Role.OPERATOR)}}


def test_what_is_somebody_elses_is_not_there(things: Things) -> None:
    before = (ShareLink.objects.get().revoked_at, Rotation.objects.get().resumed)
    for name, user in others().items():
        api = Api(user)
        for call in ONE:
            path = path_of(call, things)
            status, problem = ask(api, call, path)
            missing = ask(api, call, absent(path))
            assert (status, problem) == missing, (name, call)
            assert status == expected(name, call), (name, call)
        for call in LISTS:
            status, told = api.get(call.removeprefix("GET /"))
            assert status == 403 or (status, told["items"]) == (200, []), (name, call)
            assert "orders" not in json.dumps(told), (name, call)
        for call, body in NAMED.items():
            status, _ = api.post(call.removeprefix("POST /"), body)
            assert status == expected(name, call), (name, call)
        for call in LOG:
            assert api.get(call.removeprefix("GET /").replace("{number}", "1"))[0] == 403
    assert (ShareLink.objects.get().revoked_at, Rotation.objects.get().resumed) == before
    assert not KeptAnswer.objects.exists()


def absent(path: str) -> str:
    """The same call on what nobody has."""
    parts = path.split("/")
    verbs = {"doctor", "revoke", "resume", "roll-back", "give-up"}
    last = -1 if parts[-1] not in verbs else -2
    gone = {"rotations": "987654321", "downloads": "00000000-0000-4000-8000-000000000000"}
    parts[last] = gone.get(parts[last - 1], "nothing")
    return "/".join(parts)


def expected(name: str, call: str) -> int:
    method, path = call.split()
    if path.startswith(EVERYBODYS):
        return 404
    may_try = name == "operator" or (name == "viewer" and method == "GET")
    return 404 if may_try else 403


def test_whose_they_are_has_them_and_no_value_of_a_secret(things: Things, owner: User) -> None:
    api, told = Api(owner), []

    for call in ONE:
        status, answer = ask(api, call, path_of(call, things))
        assert status in {200, 202}, (call, answer)
        told.append(answer)
    for call in LISTS:
        status, answer = api.get(call.removeprefix("GET /"))
        assert (status, len(answer["items"])) == (200, 1), call
        told.append(answer)
    for call, body in NAMED.items():
        status, answer = api.post(call.removeprefix("POST /"), body, key="once")
        # The second time its key is another call's; and its rotation is under way.
        assert status in {201, 422}, call
        told.append(answer)
    for call in LOG | WHOLE:
        status, answer = ask(api, call, call.split(" /")[1].replace("{number}", "1"))
        assert status in {200, 202}, call
        told.append(answer)

    text = json.dumps(told)
    assert things.secret.name in text
    assert VALUE not in text
    assert OLD_VALUE not in text


@pytest.mark.parametrize(
    ("scope", "reads", "changes", "shares"),
    [
        (Scope.DOWNLOAD, 403, 403, 403),
        (Scope.CHOSEN, 403, 403, 403),
        (Scope.READ, 200, 403, 403),
        # A link is a download, which this scope does not open.
        (Scope.OPERATE, 200, 202, 403),
        (Scope.EVERYTHING, 200, 202, 201),
    ],
)
def test_a_token_opens_what_its_scope_says(
    things: Things, owner: User, scope: Scope, reads: int, changes: int, shares: int
) -> None:
    api = Api(owner, scope)

    assert api.get("exports")[0] == reads
    assert api.post(f"rotations/{things.rotation.pk}/resume")[0] == changes
    assert api.post("links", {"export": "orders"})[0] == shares


def test_without_a_token_there_is_nothing(things: Things) -> None:
    for call in ONE:
        assert ask(Api(None), call, path_of(call, things))[0] == 401
    assert Api(None).get("no/such/call")[0] == 404
    assert Endpoint.objects.count() == 1
