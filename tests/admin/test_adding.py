"""*Add an endpoint*: its steps, while AWS is away."""

import json
from collections.abc import Iterator
from ipaddress import ip_network

import pytest
from django.contrib.auth.models import Group
from django.db import transaction
from django.test import Client
from pytest_django.fixtures import Settings

from streams.access.roles import Role
from streams.models import AuditEntry, Endpoint, Secret, SecretFunction, SecretVersion, User
from streams.rotation import engine
from tests.admin.walking import PAGE, Walk

pytestmark = pytest.mark.django_db

# Nobody listens there.
AWAY = "http://127.0.0.1:9"
VALUE = "typed-value-" + "v" * 32
FUNCTION = "arn:aws:lambda:eu-central-1:123456789012:function:orders-export"


@pytest.fixture(autouse=True)
def _away(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    settings.PRIVATE_ORIGINS = [ip_network("127.0.0.0/8")]
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    monkeypatch.setenv("AWS_ENDPOINT_URL", AWAY)
    engine.account.cache_clear()
    yield
    engine.account.cache_clear()


def client_of(role: Role) -> Client:
    user = User.objects.create_user(f"an {role}", password="correct", is_staff=True)
    user.groups.add(Group.objects.get(name=role))
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def walk() -> Walk:
    return Walk(client_of(Role.ADMINISTRATOR))


def secret(name: str = "orders") -> Secret:
    made = Secret.objects.create(name=name)
    with transaction.atomic():
        made.set_value("stored-value-" + "s" * 32)
    return made


def test_an_http_server_is_added_and_what_users_may_read_with_it(walk: Walk) -> None:
    analysts, others = Group.objects.create(name="analysts"), Group.objects.create(name="others")
    assert walk.step == "kind"
    assert walk.go(kind="http") == "address"
    assert walk.go(address=f"{AWAY}/orders.csv") == "place"
    assert walk.value("url") == f"{AWAY}/orders.csv"
    assert walk.go(url=f"{AWAY}/all/orders.csv") == "auth"
    assert walk.go(proof="none") == "about"
    groups = [str(analysts.pk), str(others.pk)]
    assert walk.go(title="Orders", slug="orders", filename="o.csv", groups=groups) == "check"
    assert "does-not-open" in walk.told
    assert not Endpoint.objects.exists()

    page = walk.go("save")

    endpoint = Endpoint.objects.get()
    assert page == f"/operate/streams/endpoint/{endpoint.pk}/"
    shown = walk.client.get(page).content.decode()
    assert f"{endpoint} is added." in shown
    assert shown.count("has not been checked yet") == 1
    assert "looks at it" not in shown
    assert (endpoint.slug, endpoint.kind, endpoint.auth) == ("orders", "http", "none")
    assert (endpoint.url, endpoint.filename) == (f"{AWAY}/all/orders.csv", "o.csv")
    assert endpoint.enabled
    assert set(endpoint.readers.all()) == {analysts, others}
    entry = AuditEntry.objects.get(action="endpoint.added")
    assert (entry.what, entry.actor) == ("orders", "an administrator")


def test_nothing_that_was_entered_is_lost_on_the_way_back_or_by_an_error(walk: Walk) -> None:
    walk.go(kind="s3")
    assert walk.go(address="s3://Exports/2026/orders.csv") == "place"
    assert "AWS did not answer" in walk.told
    # Read again, what is empty is filled in, and nothing is complained of.
    assert walk.go("read", bucket="", key="k", region="") == "place"
    assert (walk.value("bucket"), walk.value("key")) == ("Exports", "k")
    assert 'role="alert"' not in walk.told
    assert walk.go(region="eu-central-1", bucket="exports", key="2026/orders.csv") == "about"
    assert walk.value("slug") == "orders"
    filled = {"title": "Aufträge “2026” <b>", "slug": "Not A Slug", "everyone": "on"}

    assert walk.go(**filled, description="First line.\n<second>") == "about"

    # The summary has the focus, and leads to the field.
    assert 'role="alert" tabindex="-1" autofocus' in walk.told
    assert '<a href="#id_slug">Slug</a>: Use lower-case letters, digits and hyphens.' in walk.told
    assert 'aria-invalid="true"' in walk.told
    # A step back, with what stands in the fields just now, and on again.
    assert walk.go("back", **filled, description="First line.\n<second>") == "place"
    assert 'role="alert"' not in walk.told
    assert walk.value("bucket") == "exports"
    assert walk.go("back", bucket="exports", key="k", region="eu-central-1") == "address"
    # The same address is no reason to undo what was corrected.
    assert walk.go(address="s3://Exports/2026/orders.csv", role_arn="") == "place"
    assert (walk.value("bucket"), walk.value("key")) == ("exports", "k")
    assert walk.go(bucket="exports", key="k", region="eu-central-1") == "about"
    assert walk.value("title") == "Aufträge “2026” <b>"
    assert "First line." in walk.told
    assert "<b>" not in walk.page
    assert "checked" in walk.page[walk.page.index('name="everyone"') :][:80]


@pytest.mark.parametrize(
    ("fields", "step", "sentence"),
    [
        ({}, "kind", "Choose what it is."),
        ({"kind": "pages"}, "kind", "not one of the available choices"),
        ({"kind": "http", "step": "address", "address": "orders.csv"}, "address", "begins with https://"),
        (
            {"kind": "http", "step": "address", "address": "https://a.example/", "role_arn": "me"},
            "address",
            "A role is written as its ARN",
        ),
        (
            {"kind": "http", "step": "place", "address": "x", "url": "https://a.example/"},
            "address",
            "begins with https://",
        ),
        (
            {"kind": "http", "step": "place", "address": AWAY, "url": "http://169.254.169.254/"},
            "place",
            "169.254.169.254",
        ),
        (
            {"kind": "s3", "step": "place", "address": "s3://a/b", "bucket": "exports", "key": ""},
            "place",
            "This is needed.",
        ),
        (
            {
                "kind": "function-url", "step": "auth", "address": AWAY, "url": AWAY,
                "proof": "sigv4",
            },
            "place",
            "This is needed.",
        ),
        (
            {"kind": "http", "step": "auth", "address": AWAY, "url": AWAY, "proof": "secret"},
            "auth",
            "This is needed.",
        ),
        (
            {"kind": "http", "step": "auth", "address": AWAY, "url": AWAY, "proof": "sigv4"},
            "auth",
            "not one of the available choices",
        ),
        (
            {"kind": "provision", "step": "place", "address": "orders", "function": "a b"},
            "place",
            "Name it by its name or ARN",
        ),
        (
            {"kind": "provision", "step": "address", "address": "s3://a/b"},
            "address",
            "Name a function",
        ),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_where_it_is(
    walk: Walk, fields: dict[str, str], step: str, sentence: str
) -> None:
    walk.take(walk.client.post(PAGE, {"step": "kind", "go": "next", **fields}))

    assert walk.step == step
    assert sentence in walk.told
    assert not Endpoint.objects.exists()


def test_a_secret_is_made_on_the_way_and_its_value_is_in_no_page(walk: Walk) -> None:
    walk.go(kind="function-url")
    assert walk.go(address=FUNCTION) == "place"
    assert "AWS did not answer" in walk.told
    walk.go(url=f"{AWAY}/", function=f"{FUNCTION}:live", region="eu-central-1")
    assert walk.go(proof="new") == "secret"
    assert walk.value("new_name") == "orders-export"
    # What the function holds cannot be told, and is not made up.
    named = {"new_name": "guard", "new_header": "x-guard"}
    assert walk.go(**named, new_source="held", new_value="") == "secret"
    assert "AWS did not answer" in walk.told
    assert not Secret.objects.exists()
    assert walk.go(**named, new_source="typed", new_value="short") == "secret"
    assert "16 to 512 visible ASCII characters" in walk.told
    assert walk.go(**named, new_source="typed", new_value="") == "secret"

    assert walk.go(**named, new_source="typed", new_value=VALUE) == "about"

    assert VALUE not in walk.page
    made = Secret.objects.get()
    assert (made.name, made.header) == ("guard", "x-guard")
    assert SecretVersion.objects.get().value == VALUE
    function = SecretFunction.objects.get()
    assert (function.name, function.alias) == (FUNCTION, "live")
    # It is what is chosen now, also on the way back.
    assert walk.go("back", title="Orders", slug="orders") == "auth"
    assert f'value="{made.pk}" selected' in walk.told
    assert walk.go(proof="secret", secret=str(made.pk)) == "about"
    walk.go(title="Orders", slug="orders")
    assert VALUE not in walk.page
    assert walk.go("save").startswith("/operate/")
    endpoint = Endpoint.objects.get()
    assert (endpoint.secret, endpoint.auth, endpoint.function) == (made, "secret-header", "")
    assert AuditEntry.objects.get(action="secret.added").actor == "an administrator"
    assert VALUE not in json.dumps(list(AuditEntry.objects.values("what", "details")))


def test_a_secret_is_not_made_twice(walk: Walk) -> None:
    secret("guard")
    fields = {
        "kind": "http", "address": AWAY, "url": AWAY, "proof": "new", "new_name": "guard",
        "new_header": "x-guard", "new_source": "typed", "new_value": VALUE, "step": "secret",
    }  # fmt: skip

    walk.take(walk.client.post(PAGE, fields))

    assert walk.step == "secret"
    assert "There is a secret of this name already." in walk.told
    assert Secret.objects.count() == SecretVersion.objects.count() == 1


def test_what_aws_asks_for_is_told_as_a_policy(walk: Walk) -> None:
    walk.go(kind="lambda")
    walk.go(address=FUNCTION)
    assert walk.value("region") == "eu-central-1"
    walk.go(function=FUNCTION, region="eu-central-1")
    walk.go(title="Orders", slug="orders")

    assert walk.step == "check"
    assert '"lambda:InvokeFunction"' in walk.told
    assert f'"{FUNCTION}:*"' in walk.told
    assert "aws iam put-role-policy" in walk.told
    walk.go("save")
    assert Endpoint.objects.get().auth == "sigv4"


def test_an_operator_does_not_say_where_a_secret_is_sent() -> None:
    walk, held = Walk(client_of(Role.OPERATOR)), secret()
    assert "let the portal make" not in walk.told
    walk.go(kind="http")
    walk.go(address=AWAY)
    walk.go(url=AWAY)
    assert walk.step == "auth"
    assert "is for an administrator to say" in walk.told
    assert 'value="secret"' not in walk.page

    place = {"kind": "http", "address": AWAY, "url": AWAY, "title": "O", "slug": "o"}
    chosen = place | {"proof": "secret", "secret": str(held.pk)}
    made = place | {"proof": "new", "new_name": "n", "new_header": "x-n", "new_value": VALUE}
    provision = place | {"kind": "provision", "function": "orders", "region": "eu-central-1"}
    for fields in (chosen, made, provision):
        for step in ("auth", "secret", "check"):
            for go in ("next", "save", "start", "provision"):
                walk.take(walk.client.post(PAGE, {**fields, "step": step, "go": go}))
                assert walk.step in {"auth", "kind", "address"}, (fields, step, go)

    assert not Endpoint.objects.exists()
    assert Secret.objects.count() == 1


def test_a_slug_that_is_taken_meanwhile_is_told_and_costs_nothing(walk: Walk) -> None:
    fields = {"kind": "http", "address": AWAY, "url": AWAY, "proof": "none"}
    fields |= {"title": "Orders", "slug": "orders", "step": "check", "go": "save"}
    assert walk.client.post(PAGE, fields).status_code == 302

    walk.take(walk.client.post(PAGE, fields))

    assert walk.step == "about"
    assert "already exists" in walk.told
    assert walk.value("title") == "Orders"
    assert Endpoint.objects.count() == 1


def test_others_secrets_cannot_be_chosen_or_given_away(walk: Walk) -> None:
    """An endpoint that another group operates has its secret to itself."""
    held = secret()
    Endpoint.objects.create(
        slug="closed", title="Closed", kind="http", url=AWAY, auth="secret-header", secret=held,
        operators=Group.objects.create(name="team"),
    )  # fmt: skip
    # An administrator but for that one right, and that to grant.
    user = User.objects.get(username="an administrator")
    every = Group.objects.get(name=Role.ADMINISTRATOR).permissions
    user.groups.clear()
    user.user_permissions.set(every.exclude(codename__in=["operate_every_endpoint", "add_grant"]))
    fields = {"kind": "http", "address": AWAY, "url": AWAY, "title": "O", "slug": "o"}

    walk.take(
        walk.client.post(PAGE, fields | {"proof": "secret", "secret": held.pk, "step": "check"})
    )
    assert walk.step == "auth"
    team = str(Group.objects.get(name="team").pk)
    granting = fields | {"proof": "none", "groups": [team], "step": "check", "go": "save"}
    walk.take(walk.client.post(PAGE, granting))
    assert walk.step == "about"
    assert "is not one of the available choices" in walk.told
    provision = {
        "kind": "provision", "address": "orders", "function": "orders", "region": "eu-central-1",
        "title": "O", "slug": "o", "secret_name": "orders", "step": "about",
    }  # fmt: skip
    walk.take(walk.client.post(PAGE, provision))

    assert walk.step == "about"
    assert "This secret belongs to others." in walk.told
    assert Endpoint.objects.count() == 1


@pytest.mark.slow
def test_a_plan_that_was_not_shown_is_not_carried_out(walk: Walk) -> None:
    fields = {
        "kind": "provision", "address": "orders", "function": "orders", "region": "eu-central-1",
        "title": "O", "slug": "o", "step": "check", "go": "start", "shown": "forged:signature",
    }  # fmt: skip

    walk.take(walk.client.post(PAGE, fields))

    assert walk.step == "check"
    assert "This is not what was shown." in walk.told
    assert '"lambda:AddPermission"' in walk.told
    assert not AuditEntry.objects.filter(action__startswith="provisioning").exists()
