"""What the calls tell and do, the same as the pages."""

import threading
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone

from streams.access import links
from streams.access.roles import Role
from streams.models import (
    AuditEntry,
    Download,
    Endpoint,
    KeptAnswer,
    Rotation,
    Scope,
    ShareLink,
    User,
)
from streams.models.answers import KEPT
from tests.api.client import Api, staff
from tests.api.things import Things, made_for
from tests.pages.test_pages import download, export

pytestmark = pytest.mark.django_db


@pytest.fixture
def ann() -> User:
    return User.objects.create_user("ann")


@pytest.fixture
def orders() -> Endpoint:
    return export("orders", everyone=True, shareable=True)


@pytest.fixture
def operator() -> User:
    return staff(Role.OPERATOR)


@pytest.fixture
def things(operator: User) -> Things:
    return made_for(operator)


def test_the_catalogue_tells_what_is_known_of_each(ann: User, orders: Endpoint) -> None:
    download(orders, ann, sha256="ab" * 32)
    # Neither a part of it, which a program asked for, nor "not modified" says how large it is.
    download(orders, ann, status=206, sent=100, total=2_000_000, sha256="ef" * 32)
    download(orders, ann, status=304, sent=0)
    params = [{"name": "year", "type": "choice", "choices": ["2026"], "required": True}]
    yearly = export("yearly", everyone=True, params=params)
    download(yearly, ann, sha256="cd" * 32)

    status, told = Api(ann).get("exports")

    assert (status, told["next"]) == (200, None)
    known, chosen = told["items"]
    assert (known["size"], known["sha256"]) == (2_000_000, "ab" * 32)
    assert known["download"] == "http://testserver/exports/orders/download"
    # What somebody else has chosen is another file.
    assert (chosen["size"], chosen["sha256"]) == (None, None)
    assert chosen["parameters"] == [
        {"name": "year", "label": "year", "type": "choice", "required": True, "default": "",
         "choices": ["2026"]}
    ]  # fmt: skip
    assert Api(ann).get("exports/yearly")[1] == chosen


def test_pages_follow_each_other_whatever_comes_in_between(ann: User, orders: Endpoint) -> None:
    at = timezone.now()
    # Some at the same moment, which the second field tells apart.
    made = [
        download(orders, ann, started_at=at - timedelta(minutes=n // 2), sent=n) for n in range(7)
    ]
    api, seen = Api(ann), []
    cursor: str | None = ""
    for _page in range(4):
        status, told = api.get(f"downloads?limit=2&cursor={cursor}")
        assert status == 200
        seen += told["items"]
        cursor = told["next"]
        download(orders, ann, sent=99)

    assert cursor is None
    assert {one["id"] for one in seen} == {str(row.pk) for row in made}
    assert len(seen) == len(made)
    assert [one["started_at"] for one in seen] == sorted(
        (one["started_at"] for one in seen), reverse=True
    )


def test_a_cursor_is_good_on_its_own_list_alone(ann: User, orders: Endpoint) -> None:
    for _ in range(2):
        download(orders, ann)
    api = Api(ann)
    cursor = api.get("downloads?limit=1")[1]["next"]

    for path in (f"exports?cursor={cursor}", f"downloads?cursor={cursor}x", "downloads?limit=501"):
        status, problem = api.get(path)
        assert (status, problem["errors"] != []) == (422, True)


def test_downloads_are_filtered(ann: User, operator: User, orders: Endpoint) -> None:
    download(orders, ann, state="cut", started_at=timezone.now() - timedelta(days=2))
    whole = download(orders, ann)
    by_link = download(orders, ann, counted=True)
    yesterday = (timezone.now() - timedelta(days=1)).strftime("%Y-%m-%dT%H:%M:%SZ")

    def ids(user: User, path: str) -> set[str]:
        return {one["id"] for one in Api(user).get(path)[1]["items"]}

    assert ids(ann, "downloads?state=complete") == {str(whole.pk)}
    assert ids(ann, f"downloads?since={yesterday}") == {str(whole.pk)}
    assert ids(ann, f"downloads?until={yesterday}&export=orders") == ids(ann, "downloads?state=cut")
    assert ids(ann, "downloads?export=others") == set()
    assert ids(operator, f"operate/downloads?username=ann&since={yesterday}") == {
        str(whole.pk), str(by_link.pk),
    }  # fmt: skip
    assert ids(operator, "downloads") == set()
    assert Api(ann).get("downloads?since=0001-01-01T00:00:00%2B14:00")[0] == 422
    assert Api(ann).get("downloads?export=%00")[0] == 422


def test_a_link_is_made_told_once_used_and_revoked(ann: User, orders: Endpoint) -> None:
    api = Api(ann)
    wanted = {"export": "orders", "query": "from=2026", "most": 2, "passcode": "canary-code"}

    status, made = api.post("links", wanted | {"note": "the auditors"})

    assert status == 201
    text = made["address"].removeprefix("http://testserver/s/")
    found = links.find(text)
    assert (found.user, found.endpoint, found.query, found.most) == (ann, orders, "from=2026", 2)
    links.check(found, links.Given("canary-code"))
    entry = AuditEntry.objects.get(action="link.added")
    assert (entry.actor, entry.what) == ("ann", "orders")
    listed = api.get("links")[1]["items"]
    assert (listed[0]["note"], listed[0]["uses"], listed[0]["has_passcode"]) == (
        "the auditors", 0, True,
    )  # fmt: skip
    assert text not in str(listed)
    assert "canary" not in str(listed)
    for _twice in range(2):
        status, told = api.post(f"links/{made['key']}/revoke")
        assert (status, told["revoked_at"] is not None) == (200, True)
    assert AuditEntry.objects.filter(action="link.revoked").count() == 1


@pytest.mark.parametrize(
    ("wrong", "status"),
    [
        ({"days": 91}, 422),
        ({"most": 0}, 422),
        ({"passcode": "canary"}, 422),
        ({"note": "a\0b"}, 422),
        ({"unknown": 1}, 422),
        ({"export": "others"}, 404),
        ({"export": "private"}, 404),
        ({"export": "yearly", "query": "month=1"}, 422),
    ],
)
def test_a_link_that_cannot_be_is_not_made(
    ann: User, orders: Endpoint, wrong: dict[str, Any], status: int
) -> None:
    export("private", everyone=True)
    export("yearly", everyone=True, shareable=True, params=[{"name": "year"}])

    got, problem = Api(ann).post("links", {"export": "orders"} | wrong, key="one")

    assert got == status
    assert "canary" not in str(problem)
    # What was not made is no answer to keep.
    assert not KeptAnswer.objects.exists()
    assert not ShareLink.objects.exists()


def test_what_is_no_json_is_told(ann: User) -> None:
    headers = Api(ann).headers
    answer = Client().post("/api/v1/links", "{", content_type="application/json", headers=headers)

    assert (answer.status_code, answer["Content-Type"]) == (400, "application/problem+json")


def test_a_repeated_request_has_the_same_answer_for_a_day(ann: User, orders: Endpoint) -> None:
    api, body = Api(ann), {"export": "orders"}
    first = api.post("links", body, key="one")

    # By another token of theirs, too: a client may have a new one.
    assert Api(ann).post("links", body, key="one") == first
    assert api.post("links", {"export": "orders", "most": 2}, key="one")[0] == 422
    assert api.post("links", body, key="")[0] == 422
    assert ShareLink.objects.count() == 1
    # Another's key is another key.
    assert Api(User.objects.create_user("bob")).post("links", body, key="one") != first
    with connection.cursor() as cursor:
        cursor.execute("SELECT answer FROM streams_keptanswer")
        assert "/s/" not in str(cursor.fetchall())

    KeptAnswer.objects.update(created_at=timezone.now() - KEPT)
    status, later = api.post("links", body, key="one")

    assert status == 201
    assert later != first[1]
    assert KeptAnswer.objects.count() == 1


def test_a_token_that_downloads_nothing_is_told_no_link_of_another(
    ann: User, orders: Endpoint
) -> None:
    status, made = Api(ann).post("links", {"export": "orders"}, key="one")
    assert status == 201

    status, told = Api(ann, Scope.OPERATE).post("links", {"export": "orders"}, key="one")

    assert status == 422
    assert made["address"] not in str(told)


@pytest.mark.django_db(transaction=True)
def test_two_at_once_create_one(ann: User, orders: Endpoint) -> None:
    apis, answers = [Api(ann) for _ in range(4)], []
    together = threading.Barrier(len(apis))

    def post(api: Api) -> None:
        together.wait()
        answers.append(api.post("links", {"export": "orders"}, key="one"))
        connection.close()

    threads = [threading.Thread(target=post, args=(api,)) for api in apis]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [status for status, _ in answers] == [201] * len(apis)
    assert len({told["address"] for _, told in answers}) == 1
    assert ShareLink.objects.count() == 1
    assert AuditEntry.objects.filter(action="link.added").count() == 1


def test_a_rotation_is_started_told_resumed_rolled_back_and_given_up(
    things: Things, operator: User
) -> None:
    api, wanted = Api(operator), {"secret": "aws/orders", "what": "emergency"}
    refused = api.post("rotations", wanted, key="one")
    assert refused[0] == 409
    assert "under way" in refused[1]["detail"]
    Rotation.objects.update(state="completed", finished_at=timezone.now())
    assert api.post(f"rotations/{things.rotation.pk}/resume")[0] == 409
    assert api.post(f"rotations/{things.rotation.pk}/roll-back")[0] == 409
    assert api.post(f"rotations/{things.rotation.pk}/give-up")[0] == 409

    status, made = api.post("rotations", wanted, key="one")

    assert (status, made["mode"], made["requested_by"]) == (201, "emergency", "operator")
    assert api.post("rotations", wanted, key="one") == (201, made)
    path = f"rotations/{made['id']}"
    assert api.post(f"{path}/resume")[0] == 202
    assert api.post(f"{path}/roll-back")[0] == 202
    assert api.post(f"{path}/give-up")[0] == 202
    row = Rotation.objects.get(pk=made["id"])
    assert (row.resumed, row.roll_back, row.give_up) == (True, True, True)
    row.events.create(step="preflight", text="Looked.")
    assert api.get(path)[1]["events"][0]["text"] == "Looked."
    assert [one["id"] for one in api.get("rotations?state=running")[1]["items"]] == [made["id"]]
    assert api.get("secrets/aws/orders")[1]["rotation"] == made["id"]
    done = AuditEntry.objects.filter(actor="operator").order_by("number")
    assert [entry.action for entry in done if entry.details.get("rotation") == str(row.pk)] == [
        "rotation.started", "rotation.resumed", "rotation.rollback-asked",
        "rotation.give-up-asked",
    ]  # fmt: skip


def test_downloads_under_way_are_a_reason_to_ask(things: Things, operator: User) -> None:
    Rotation.objects.update(state="completed", finished_at=timezone.now())
    Download.objects.update(state="running", finished_at=None, seen_at=timezone.now())
    api, wanted = Api(operator), {"secret": "aws/orders"}

    assert api.post("rotations", wanted)[0] == 409
    assert api.post("rotations", wanted | {"despite_downloads": True})[0] == 201


def test_a_secret_tells_its_versions_and_when_it_rotates(things: Things, operator: User) -> None:
    status, told = Api(operator).get("secrets/aws/orders")

    assert status == 200
    assert told["header"] == "x-secret-header"
    assert [one["state"] for one in told["versions"]] == ["current", "previous"]
    assert told["fingerprint"] == told["versions"][0]["fingerprint"]
    assert told["next_rotation"] > timezone.now().isoformat()
    assert told["rotation"] == things.rotation.pk


def test_a_wrong_method_is_told_as_any_problem_is(ann: User) -> None:
    answer = Client().put("/api/v1/links", "{}", headers=Api(ann).headers)

    assert (answer.status_code, answer["Content-Type"]) == (405, "application/problem+json")
    assert answer["Allow"] == "GET, HEAD, POST"
    assert answer.json()["detail"] == "Here you may only GET, HEAD, POST."


@pytest.mark.parametrize("path", ["exports", "exports/orders", "exports/nowhere", "openapi.json"])
def test_a_head_is_answered_like_a_get_without_its_body(
    things: Things, ann: User, path: str
) -> None:
    client, headers = Client(), Api(ann).headers
    whole = client.get(f"/api/v1/{path}", headers=headers)

    answer = client.head(f"/api/v1/{path}", headers=headers)

    assert answer.status_code == whole.status_code
    assert answer["Content-Length"] == str(len(whole.content)) != "0"
    assert answer["Content-Type"] == whole["Content-Type"]
    assert answer.content == b""


def test_a_head_is_allowed_where_a_get_is_and_nowhere_else(things: Things, ann: User) -> None:
    path = f"/api/v1/links/{things.link}/revoke"
    revoked = Client().head(path, headers=Api(ann).headers)

    assert (revoked.status_code, revoked["Allow"]) == (405, "POST")
    assert Client().head("/api/v1/exports").status_code == 401


def test_the_audit_log_is_filtered_by_whole_names(things: Things, operator: User) -> None:
    api = Api(operator)
    started = api.get("audit?action=rotation.started&what=aws/orders")[1]["items"]

    assert [one["actor"] for one in started] == ["operator"]
    assert api.get(f"audit/{started[0]['number']}") == (200, started[0])
    assert api.get("audit?actor=nobody")[1]["items"] == []
    assert api.get("audit/987654321987654321987654321")[0] == 404
