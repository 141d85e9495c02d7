"""The pages of end users: what they show, to whom, and that nothing in them can run."""

import json
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.test import Client
from django.utils import timezone
from django.utils.html import escape
from pytest_django import DjangoAssertNumQueries

from streams.access import tokens
from streams.models import AuditEntry, Download, Endpoint, PartDigests, Proof, State, User
from streams.net.errors import BodyError, OriginError
from streams.templatetags.times import exact
from streams.views import commands, wording

pytestmark = pytest.mark.django_db


def export(slug: str, **fields: Any) -> Endpoint:
    given = {"title": slug.title(), "kind": "http", "url": f"https://{slug}.example/secret-path"}
    return Endpoint.objects.create(slug=slug, **(given | fields))


def download(endpoint: Endpoint, user: User, **fields: Any) -> Download:
    given = {"state": "complete", "sent": 2_000_000, "finished_at": timezone.now()}
    return Download.objects.create(
        endpoint=endpoint, slug=endpoint.slug, user=user, username=user.username, **(given | fields)
    )


@pytest.fixture
def ann() -> User:
    return User.objects.create_user("ann", password="tests-only")


@pytest.fixture
def browser(client: Client, ann: User) -> Client:
    client.force_login(ann)
    return client


@pytest.mark.parametrize("path", ["/", "/exports/orders/", "/exports/orders/progress"])
def test_a_stranger_is_sent_to_sign_in_and_back(client: Client, path: str) -> None:
    export("orders", everyone=True)

    answer = client.get(path)

    assert answer.status_code == 302
    assert answer["Location"] == f"/accounts/login/?next={path}"


@pytest.mark.parametrize("path", ["/", "/exports/orders/", "/exports/orders/progress"])
def test_a_token_that_opens_nothing_is_told_so_at_pages_too(client: Client, path: str) -> None:
    export("orders", everyone=True)
    bearer = {"Authorization": f"Bearer spw_{'0' * 12}_{'x' * 43}"}

    answer = client.get(path, headers=bearer)

    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "unauthorized")
    assert answer["WWW-Authenticate"].startswith("Bearer")
    # The next one of a guesser is told to wait, here as elsewhere.
    assert {client.get(path, headers=bearer).status_code for _ in range(25)} == {401, 429}


def test_a_password_of_a_proxy_in_front_is_not_taken_for_a_token(browser: Client) -> None:
    assert browser.get("/", headers={"Authorization": "Basic YW5uOng="}).status_code == 200


def test_one_signs_in_by_the_form(client: Client, ann: User) -> None:
    wrong = client.post("/accounts/login/", {"username": "ann", "password": "guess"})
    right = client.post(
        "/accounts/login/?next=/exports/orders/", {"username": "ann", "password": "tests-only"}
    )

    assert wrong.status_code == 200
    assert b"errorlist" in wrong.content or b'role="alert"' in wrong.content
    assert right.status_code == 302
    assert right["Location"] == "/exports/orders/"


@pytest.mark.parametrize("place", ["https://evil.example/", "//evil.example", "/\\evil.example"])
def test_signing_in_leads_nowhere_else(client: Client, ann: User, place: str) -> None:
    answer = client.post(
        "/accounts/login/", {"username": "ann", "password": "tests-only", "next": place}
    )

    assert answer["Location"] == "/"


def test_a_likely_cause_is_for_operators_and_its_users_are_told_whom_to_ask(
    browser: Client, ann: User
) -> None:
    failed = {"state": "failed", "reason": "function_failed"}
    found = {"cause": "function-not-active", "diagnosis": "The function orders-export is Failed."}
    download(export("orders", everyone=True), ann, **failed, **found)

    answer = browser.get("/exports/orders/progress")

    (row,) = answer.json()["downloads"]
    assert "Tell your contact the download id" in row["todo"]
    for page in (answer, browser.get("/exports/orders/")):
        assert b"function-not-active" not in page.content
        assert b"orders-export" not in page.content


def test_the_user_is_told_why_an_operator_stopped_it(browser: Client, ann: User) -> None:
    stopped = {"state": "cut", "reason": "stopped", "stop_reason": "It fills the <line>."}
    download(export("orders", everyone=True), ann, **stopped)

    (row,) = browser.get("/exports/orders/progress").json()["downloads"]

    assert row["what"] == "An operator stopped it: It fills the <line>."
    page = browser.get("/exports/orders/").content.decode()
    assert "An operator stopped it: It fills the &lt;line&gt;." in page


def test_signing_out_needs_a_post(browser: Client) -> None:
    assert browser.get("/accounts/logout/").status_code == 405
    assert browser.post("/accounts/logout/").status_code == 302
    assert browser.get("/").status_code == 302


def test_the_forms_refuse_another_sites_post(ann: User) -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(ann)

    assert strict.post("/accounts/logout/").status_code == 403
    assert strict.post("/accounts/login/", {"username": "ann"}).status_code == 403


def test_the_catalogue_holds_what_one_may_have(browser: Client, ann: User) -> None:
    mine = Group.objects.create(name="mine")
    ann.groups.add(mine)
    export("granted").readers.add(mine)
    export("everyone", everyone=True)
    export("others").readers.add(Group.objects.create(name="theirs"))
    export("disabled", everyone=True, enabled=False)

    page = browser.get("/").content.decode()

    assert "Granted" in page
    assert "Everyone" in page
    assert "Others" not in page
    assert "Disabled" not in page


def test_the_catalogue_is_searched(browser: Client) -> None:
    export("orders", everyone=True)
    export("people", everyone=True, description="Who ordered")

    found = browser.get("/?q=order").content.decode()
    nothing = browser.get("/?q=xyzzy").content.decode()

    assert "Orders" in found
    assert "People" in found
    assert "Nothing matches" in nothing


def test_the_catalogue_begins_with_what_one_has_fetched_lately(browser: Client, ann: User) -> None:
    at = timezone.now()
    made = [export(f"export-{n}", everyone=True) for n in range(6)]
    for hours, mine in enumerate((made[3], made[1], made[1], made[4], made[0])):
        download(mine, ann, started_at=at - timedelta(hours=hours))
    # Neither what others fetched, nor what they fetched by a link of ann's.
    download(made[5], User.objects.create_user("bob"), started_at=at)
    download(made[5], ann, started_at=at, counted=True)

    page = browser.get("/")

    assert [one.slug for one in page.context["recent"]] == ["export-3", "export-1", "export-4"]
    assert "Downloaded lately" in page.content.decode()
    assert "Downloaded lately" not in browser.get("/?q=export").content.decode()
    # Where one has nothing else, it is no news.
    Endpoint.objects.exclude(pk__in=[made[3].pk, made[1].pk]).delete()
    assert "Downloaded lately" not in browser.get("/").content.decode()


def test_an_empty_catalogue_says_whom_to_ask(browser: Client) -> None:
    assert "Nothing is shared with you yet" in browser.get("/").content.decode()


def test_the_catalogue_costs_the_same_for_many(
    browser: Client, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    for number in range(30):
        export(f"e{number}", everyone=True)

    with django_assert_max_num_queries(4):
        browser.get("/")


def test_an_export_says_what_is_known_of_it(browser: Client, ann: User) -> None:
    orders = export("orders", everyone=True, filename="orders-{date}.csv")
    before = browser.get("/exports/orders/").content.decode()
    download(orders, ann, filename="orders-2026-11-23.csv", size=2_000_000, resumable=True)
    after = browser.get("/exports/orders/").content.decode()

    assert "size known once it has been fetched" in before
    assert "Download <bdi>orders-2026-11-23.csv</bdi> (2.0 MB)" in after
    assert "can be resumed" in after
    assert "CSV" in after


@pytest.mark.parametrize("proof", Proof)
def test_the_page_says_what_proves_a_download(browser: Client, ann: User, proof: Proof) -> None:
    words = str(proof.label)
    download(export("orders", everyone=True), ann, proof=proof, sha256="ab" * 32)

    page = browser.get("/exports/orders/").content.decode()
    told = browser.get("/exports/orders/progress").json()["downloads"][0]

    assert escape(words) in page
    assert "ab" * 32 in page
    assert (told["proof"], told["sha256"]) == (words, "ab" * 32)


@pytest.mark.parametrize(
    ("fields", "done", "part"),
    [
        ({}, "Everything was sent", ""),
        ({"status": 206, "total": 1000}, "Everything was sent", ""),
        ({"status": 206, "total": 5000},
         "The part that was asked for was sent", "1 kB of 5 kB, from 0 B on"),
        ({"status": 206, "first": 4000, "total": 5000},
         "The rest was sent", "1 kB of 5 kB, from 4 kB on"),
        ({"status": 304, "sent": 0, "size": 0}, "It has not changed, so nothing was sent", ""),
    ],
)  # fmt: skip
def test_of_a_part_it_is_not_said_that_everything_was_sent(
    browser: Client, ann: User, fields: dict[str, Any], done: str, part: str
) -> None:
    sent = {"sent": 1000, "size": 1000, "proof": "length"}
    download(export("orders", everyone=True), ann, **sent | fields)

    told = browser.get("/exports/orders/progress").json()["downloads"][0]
    pages = [browser.get(path).content.decode() for path in ("/exports/orders/", "/downloads/")]

    assert (told["done"], told["part"]) == (done, part)
    assert all(part in page for page in pages)
    assert ("by length" in pages[0]) == (done == "Everything was sent")
    assert "resumed at" not in pages[1]


def test_the_page_shows_no_digest_of_a_rest(browser: Client, ann: User) -> None:
    download(export("orders", everyone=True), ann, first=1000, sha256="ab" * 32)

    assert "ab" * 32 not in browser.get("/exports/orders/").content.decode()


@pytest.mark.parametrize(
    ("state", "reason", "words"),
    [
        ("corrupt", "corrupt", "its checksum differs"),
        ("cut", "changed", "was replaced at the source"),
        ("redirected", "", "handed over to S3"),
    ],
)
def test_the_page_says_what_became_of_a_download(
    browser: Client, ann: User, state: str, reason: str, words: str
) -> None:
    download(export("orders", everyone=True), ann, state=state, reason=reason, sent=0)

    assert words in browser.get("/exports/orders/").content.decode()


# What programs ask for beside the file: the rest of it, its beginning, whether it is another one.
BESIDE: list[dict[str, Any]] = [
    {"status": 206, "first": 1_000_000, "sent": 1_000_000, "total": 2_000_000},
    {"status": 206, "sent": 100, "size": 100, "total": 2_000_000},
    {"status": 304, "sent": 0, "size": 0},
]


@pytest.mark.parametrize("fields", BESIDE)
def test_a_part_does_not_pass_for_the_file(
    browser: Client, ann: User, fields: dict[str, Any]
) -> None:
    download(export("orders", everyone=True), ann, sha256="ab" * 32, **fields)
    export("other", everyone=True)

    page = browser.get("/exports/orders/").content.decode()
    history = browser.get("/downloads/").content.decode()
    catalogue = browser.get("/").content.decode()
    zipped = browser.get("/zip/?export=orders&export=other").content.decode()

    assert "size known once" in page
    assert "ab" * 32 not in page + history
    assert catalogue.count("not fetched yet") == 2
    assert "2 of unknown size" in zipped


@pytest.mark.parametrize(
    ("fields", "to_its_end"), [(BESIDE[0], True), (BESIDE[1], False), (BESIDE[2], False)]
)
def test_a_copy_is_held_against_what_was_sent_to_its_end(
    browser: Client, ann: User, fields: dict[str, Any], to_its_end: bool
) -> None:
    orders = export("orders", everyone=True)
    whole = download(orders, ann, status=200, total=2_000_000)
    later = download(orders, ann, **fields)

    page = browser.get("/exports/orders/").content.decode()

    assert f"/exports/orders/parts/{(later if to_its_end else whole).pk}" in page


def test_the_query_reaches_the_button_and_the_command_and_runs_nowhere(browser: Client) -> None:
    export("orders", everyone=True)

    page = browser.get("/exports/orders/?from=2026-01-01&x='><script>alert(1)</script>").content

    assert b"/exports/orders/download?from=2026-01-01&amp;x=" in page
    assert b"<script>alert" not in page


def test_what_an_operator_wrote_runs_nowhere(browser: Client) -> None:
    export("orders", everyone=True, title="<img src=x onerror=alert(1)>", description="<b>x</b>")

    for path in ("/", "/exports/orders/"):
        page = browser.get(path).content
        assert b"<img src=x" not in page
        assert b"<b>x</b>" not in page


@pytest.mark.parametrize("path", ["/exports/orders/", "/exports/orders/progress"])
def test_what_one_may_not_have_does_not_exist(browser: Client, path: str) -> None:
    export("orders")

    assert browser.get(path).status_code == 404


def test_no_page_tells_where_the_bytes_come_from(browser: Client) -> None:
    export("orders", everyone=True)

    for path in ("/", "/exports/orders/", "/exports/orders/progress"):
        assert b"secret-path" not in browser.get(path).content


def test_progress_is_ones_own_and_in_numbers(browser: Client, ann: User) -> None:
    orders = export("orders", everyone=True)
    running = download(orders, ann, state="running", finished_at=None, sent=5, size=10)
    download(orders, User.objects.create_user("ben"))

    answer = browser.get("/exports/orders/progress")

    rows = json.loads(answer.content)["downloads"]
    assert [(row["id"], row["sent"], row["size"], row["state"]) for row in rows] == [
        (str(running.pk), 5, 10, "running")
    ]
    assert "no-store" in answer["Cache-Control"]


def test_a_cut_is_explained(browser: Client, ann: User) -> None:
    orders = export("orders", everyone=True)
    download(orders, ann, state="cut", reason="truncated", sent=5, size=10, resumable=True)

    row = json.loads(browser.get("/exports/orders/progress").content)["downloads"][0]

    assert row["what"] == "The source stopped before the end of the file."
    assert "Resume it" in row["todo"]
    assert row["what"] in browser.get("/exports/orders/").content.decode()


def test_a_download_whose_process_died_is_told_as_such(browser: Client, ann: User) -> None:
    long_ago = timezone.now() - timedelta(minutes=5)
    orders = export("orders", everyone=True)
    download(orders, ann, state="running", finished_at=None, seen_at=long_ago)

    row = json.loads(browser.get("/exports/orders/progress").content)["downloads"][0]

    assert (row["state"], row["reason"]) == ("interrupted", "process_ended")


@pytest.mark.parametrize("path", ["/", "/exports/orders/", "/accounts/login/", "/nowhere"])
def test_every_page_forbids_what_it_does_not_need(client: Client, ann: User, path: str) -> None:
    export("orders", everyone=True)
    if "login" not in path:
        client.force_login(ann)

    answer = client.get(path)

    policy = dict(part.strip().partition(" ")[::2] for part in
                  answer["Content-Security-Policy"].split(";") if part.strip())  # fmt: skip
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == "'self'"
    assert policy["frame-ancestors"] == "'none'"
    assert "unsafe" not in answer["Content-Security-Policy"]
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer["Referrer-Policy"] == "same-origin"
    assert b"<script>" not in answer.content
    assert b" style=" not in answer.content


def test_pages_of_the_signed_in_are_kept_by_no_cache(browser: Client) -> None:
    export("orders", everyone=True)

    for path in ("/", "/exports/orders/"):
        assert "no-store" in browser.get(path)["Cache-Control"]


def test_every_reason_that_a_record_may_bear_has_words() -> None:
    text = (Path(__file__).parents[2] / "docs" / "errors.md").read_text()
    codes = set(re.findall(r"^\|(?: `\w+` \|)? `([a-z_]+)` \|", text, re.MULTILINE))
    codes -= {State.COMPLETE.value, State.FAILED.value}
    # Answered before there is a record.
    general = {"unauthorized", "not_found", "export_busy", "too_many_downloads", "daily_limit"}
    general |= {
        "unavailable",
        "too_many_guesses",
        "parameters_invalid",
        "link_unusable",
        "passcode_required",
        "passcode_wrong",
        "passcode_limited",
        "zip_invalid",
        "zip_cut",
    }

    assert {code for code in codes - general if wording.of(code) is wording.of("?")} == set()


def test_every_error_of_an_origin_is_documented() -> None:
    text = (Path(__file__).parents[2] / "docs" / "errors.md").read_text()
    found: list[type[OriginError] | type[BodyError]] = [OriginError, BodyError]
    for error in found:
        found += error.__subclasses__()

    assert {error.code for error in found if f"`{error.code}`" not in text} == set()


def test_digests_of_the_parts_are_ones_own(browser: Client, ann: User) -> None:
    orders = export("orders", everyone=True)
    mine = download(orders, ann, size=2_000_000, total=2_000_000)
    held = bytes(range(32)) + bytes(32)
    PartDigests.objects.create(download=mine, first=1, digests=held)
    theirs = download(orders, User.objects.create_user("ben"))
    cut = download(orders, ann, state="cut", reason="truncated")

    answer = browser.get(f"/exports/orders/parts/{mine.pk}")

    assert answer.json() == {
        "size": 2_000_000, "part": 8_388_608, "first": 1, "digests": [held[:32].hex(), None]
    }  # fmt: skip
    for other in (theirs, cut):
        assert browser.get(f"/exports/orders/parts/{other.pk}").status_code == 404


def test_what_cannot_be_resumed_is_not_said_to_be(browser: Client, ann: User) -> None:
    cut = {"state": "cut", "reason": "truncated", "sent": 5, "size": 10}
    download(export("orders", everyone=True), ann, **cut, resumable=False)

    (row,) = browser.get("/exports/orders/progress").json()["downloads"]

    assert "start again" in row["todo"]
    assert "Resume" not in row["todo"]


def test_the_page_knows_how_long_the_first_byte_usually_takes(browser: Client, ann: User) -> None:
    orders, now = export("orders", everyone=True), timezone.now()
    for seconds in (1, 4, 60):
        begun = now + timedelta(seconds=seconds)
        ended = begun + timedelta(seconds=42)
        download(orders, ann, started_at=now, first_byte_at=begun, finished_at=ended)

    page = browser.get("/exports/orders/").content.decode()
    assert 'data-usual="4"' in page
    assert "took 42 seconds last time" in page


def test_a_token_for_the_command_line_is_shown_once_and_ends_within_the_hour(
    browser: Client, ann: User
) -> None:
    export("orders", everyone=True)
    export("others")

    page = browser.post("/exports/orders/token?from=2026").content.decode()

    made = re.search(r"export TOKEN=(spw_\w{12}_[\w-]{43})<", page)
    assert made is not None
    token = tokens.authenticate(made[1])
    assert token is not None
    assert token.user == ann
    assert token.expires_at is not None
    assert token.expires_at < timezone.now() + timedelta(minutes=61)
    assert AuditEntry.objects.get(action="token.added").actor == "ann"
    assert "/exports/orders/?from=2026" in page
    assert browser.get("/exports/orders/token").status_code == 405
    assert browser.post("/exports/others/token").status_code == 404


def test_no_more_tokens_for_the_command_line_are_made_than_by_the_form(
    browser: Client, ann: User
) -> None:
    export("orders", everyone=True)
    for _ in range(tokens.MOST):
        tokens.issue(ann)

    answer = browser.post("/exports/orders/token", follow=True)

    assert answer.redirect_chain == [("/accounts/tokens/", 302)]
    assert "Revoke one that you no longer need" in answer.content.decode()
    assert ann.api_tokens.count() == tokens.MOST


def test_names_cannot_leave_their_quotes(browser: Client) -> None:
    export("orders", everyone=True, filename="it's $(x) `y`.csv")

    texts = {made.tool: made.text for made in commands.of("https://x.example/?a='b", "it's $(x)")}

    assert """--output 'it'"'"'s $(x)'""" in texts["curl"]
    assert "-OutFile 'it''s $(x)'" in texts["PowerShell 7"]
    assert "-Uri 'https://x.example/?a=''b'" in texts["PowerShell 7"]
    assert 'pathlib.Path("it\'s $(x)")' in texts["Python"]
    assert "<<'END'" in texts["Python"]
    # In PowerShell typographic quotes end a text, too.
    odd = commands.of("https://x.example/", "\u2018a\u2019; calc \u201ab\u201b")[2]
    assert "-OutFile '\u2018\u2018a\u2019\u2019; calc \u201a\u201ab\u201b\u201b'" in odd.text


def test_an_export_says_until_when_its_source_keeps_what_was_fetched_last(
    browser: Client, ann: User
) -> None:
    orders = export("orders", everyone=True)
    download(orders, ann, size=2_000_000, kept_until=timezone.now() - timedelta(days=1))
    gone = browser.get("/exports/orders/").content.decode()
    at = timezone.now() + timedelta(days=3)
    download(orders, ann, size=2_000_000, kept_until=at, started_at=at)
    kept = browser.get("/exports/orders/").content.decode()

    assert "is deleted at its source" not in gone
    assert f"what was fetched last is deleted at its source after {exact(at)}" in kept
