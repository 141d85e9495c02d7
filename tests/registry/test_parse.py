"""The registry file's form: what is right is read, and what is wrong is named."""

import re
from datetime import timedelta
from pathlib import Path

import pytest

from streams.models import Endpoint
from streams.registry import check
from streams.registry.parse import RegistryError, parse
from streams.registry.spec import format_duration, parse_duration

CANARY = "canary-4f1c"

# The example of the fixed interfaces, word for word.
EXAMPLE = """
version: 1
secrets:
  - name: orders
    header: x-secret-header
    value_from_env: ORDERS_SECRET
    rotate_every: 30d
    function:
      name: orders-export
      region: eu-central-1
      alias: live
      accepts: two
      variable: SECRET_HEADER
    gateways:
      - {type: rest, region: eu-central-1, api_id: a1b2c3, resource_id: xyz, method: GET, stage: prod, url: "https://api.example.com/prod/orders"}
      - {type: http, region: eu-central-1, api_id: d4e5f6, integration_id: abc, stage: $default, url: "https://api.example.com/orders"}
endpoints:
  - slug: orders
    title: Orders export
    description: All orders, nightly.
    kind: function-url
    url: https://abc.lambda-url.eu-central-1.on.aws/
    auth: secret-header
    secret: orders
    filename: orders-{date}.csv
    groups: [analysts]
    segments: {size: 5MiB, parallel: 8}
    delivery: stream
  - {slug: archive, title: Archive, kind: s3, bucket: exports, key: archive.tar, region: eu-central-1, groups: "*"}
  - {slug: direct, title: Direct invoke, kind: lambda, function: orders-export, region: eu-central-1, groups: "*"}
  - slug: people
    title: People
    kind: pages
    url: https://api.example.com/people
    pages: {items: data, next: links.next, format: ndjson}
    groups: "*"
"""  # noqa: E501


def problems(text: str) -> list[str]:
    with pytest.raises(RegistryError) as caught:
        parse(text)
    return caught.value.problems


def test_the_example_is_read() -> None:
    spec = parse(EXAMPLE)

    assert [secret.name for secret in spec.secrets] == ["orders"]
    assert spec.secrets[0].rotate_every == timedelta(days=30)
    assert [endpoint.slug for endpoint in spec.endpoints] == [
        "orders", "archive", "direct", "people",
    ]  # fmt: skip
    assert spec.endpoints[0].segments is not None
    assert spec.endpoints[0].segments.size == 5 * 1024 * 1024
    assert [endpoint.effective_auth for endpoint in spec.endpoints] == [
        "secret-header", "sigv4", "sigv4", "none",
    ]  # fmt: skip


def test_a_problem_names_line_and_key_and_all_are_told_at_once() -> None:
    found = problems(
        "version: 1\n"
        "endpoints:\n"
        "  - slug: Orders\n"
        "    title: Orders\n"
        "    kind: http\n"
        "    url: https://example.com/\n"
        "    colour: red\n"
        "    groups: 3\n"
    )

    assert any(line.startswith("line 3: endpoints[0].slug: ") for line in found)
    assert "line 7: endpoints[0].colour: unknown key" in found
    assert any(line.startswith("line 8: endpoints[0].groups") for line in found)


HTTP = "slug: a, title: A, kind: http, url: 'https://example.com/', groups: '*'"


@pytest.mark.parametrize(
    ("endpoint", "named"),
    [
        ("slug: a, title: A, kind: http, groups: '*'", "url for kind http"),
        (HTTP.replace("groups: '*'", ""), "groups: expected, but missing"),
        (HTTP.replace("kind: http", "kind: gopher"), "kind"),
        (HTTP + ", bucket: exports", "no bucket for kind http"),
        (HTTP + ", auth: sigv4", "auth: none or secret-header for kind http"),
        (HTTP + ", auth: secret-header", "secret beside auth: secret-header"),
        (HTTP + ", secret: orders", "auth: secret-header beside secret"),
        (HTTP + ", delivery: redirect", "delivery: redirect only for kind s3"),
        (HTTP + ", segments: {size: 5 parsecs, parallel: 8}", "a size such as 5MiB"),
        (HTTP + ", segments: {size: 5MiB, parallel: 0}", "segments.parallel"),
        (HTTP + ", params: [{name: from, type: choice}]", "choices exactly where type is choice"),
        (HTTP + ", params: [{name: f, type: choice, choices: [a], default: b}]", "a default that"),
        (HTTP + ", limits: {concurrent: 0}", "limits.concurrent"),
        (HTTP.replace("https:", "ftp:"), "url: expected a URL"),
        (HTTP.replace("example.com", "user:pass@example.com"), "url: expected a URL"),
        ("slug: a, title: A, kind: s3, bucket: exports, groups: '*'", "key, region for kind s3"),
        (
            "slug: a, title: A, kind: lambda, function: f, region: Frankfurt, groups: '*'",
            "region",
        ),
        ("slug: a, title: A, kind: pages, url: 'https://example.com/', groups: '*'", "pages"),
        (
            "slug: a, title: A, kind: function-url, url: 'https://example.com/', auth: sigv4,"
            " groups: '*'",
            "region beside auth: sigv4",
        ),
        (
            "slug: a, title: A, kind: function-url, auth: sigv4, region: eu-central-1, groups: '*',"
            " url: 'https://lambda.eu-central-1.amazonaws.com/2015-03-31/functions/'",
            "a function's own URL beside auth: sigv4",
        ),
        (
            "slug: a, title: A, kind: lambda, function: f, region: eu-central-1, groups: '*',"
            " bucket: exports",
            "follows: s3 beside bucket for kind lambda",
        ),
    ],
)
def test_an_endpoint_that_could_not_work_is_refused(endpoint: str, named: str) -> None:
    found = problems(f"version: 1\nendpoints:\n  - {{{endpoint}}}\n")

    assert any(named in line for line in found), found
    assert all(line.startswith("line 3: endpoints[0]") for line in found)


@pytest.mark.parametrize(
    ("secret", "named"),
    [
        ("name: a, header: Authorization", "API Gateway cannot map"),
        ("name: a, header: 'x y'", "header"),
        ("name: a, rotate_every: monthly", "a duration such as 30d"),
        ("name: a, rotate_every: 0d", "a duration such as 30d"),
        ("name: a, window: 22:00-04:00", "rotate_every beside window"),
        ("name: a, rotate_every: 30d, window: 22-4", "window"),
        ("name: a, value_from_env: A, value_from_file: /b", "not both"),
        (f"name: a, value: {CANARY}", "value: unknown key"),
        ("name: a, store: paper", "store"),
        ("name: a, secrets_manager: {id: a}", "only with store: secrets-manager"),
        ("name: a b, store: secrets-manager", "secrets_manager.id, since AWS takes no such name"),
        ("name: a, store: secrets-manager, secrets_manager: {id: 'a b'}", "secrets_manager.id"),
        ("name: a, store: secrets-manager, secrets_manager: {key: a}", "unknown key"),
        ("name: a, function: {name: f, aliases: [blue, blue], accepts: one}", "two different"),
        ("name: a, function: {name: f, aliases: [blue, green]}", "accepts: one"),
        ("name: a, function: {name: f, variable: 1X}", "variable"),
        ("name: a, gateways: [{type: rest, api_id: a1, stage: prod}]", "resource_id and method"),
        ("name: a, gateways: [{type: http, api_id: a1, stage: prod}]", "integration_id"),
    ],
)
def test_a_secret_that_could_not_work_is_refused(secret: str, named: str) -> None:
    found = problems(f"version: 1\nsecrets:\n  - {{{secret}}}\n")

    assert any(named in line for line in found), found
    assert CANARY not in "\n".join(found)


WRONG = """version: 1
secrets:
  - {name: '', window: 22-4, store: paper, function: {name: f, region: Frankfurt}}
  - {name: a, value_from_env: 1x, gateways: 4, function: {name: f, variable: 1X, alias: a b}}
  - 5
endpoints:
  - {slug: a, title: A, kind: http, url: 'https://example.com/', groups: 3, keep_gzip: maybe}
  - {slug: a, title: 7, kind: http, url: x, groups: [''], limits: {concurrent: 1.5, per_user: 0}}
  - {slug: A b, title: A, kind: s3, bucket: A, key: k, region: eu-central-1, groups: '*'}
"""


def test_each_problem_reads_as_a_sentence() -> None:
    assert problems(WRONG) == [
        "line 3: secrets[0].name: expected text that is not empty",
        "line 3: secrets[0].window: expected two times of day such as 22:00-04:00",
        "line 3: secrets[0].store: expected 'database' or 'secrets-manager'",
        "line 3: secrets[0].function.region: expected a region such as eu-central-1",
        "line 4: secrets[1].value_from_env: expected the name of an environment variable",
        "line 4: secrets[1].function.alias: expected the name of an alias: letters, digits, "
        "hyphens and underscores, 128 at most",
        "line 4: secrets[1].function.variable: expected the name of an environment variable: "
        "letters, digits and underscores, 100 at most",
        "line 4: secrets[1].gateways: expected a list",
        "line 5: secrets[2]: expected keys with their values",
        "line 7: endpoints[0].groups: expected a list or '*'",
        "line 7: endpoints[0].keep_gzip: expected true or false",
        "line 8: endpoints[1].title: expected text",
        "line 8: endpoints[1].url: expected a URL. The URL must begin with https:// and name a "
        "host.",
        "line 8: endpoints[1].groups[0]: expected text that is not empty",
        "line 8: endpoints[1].limits.concurrent: expected a whole number",
        "line 8: endpoints[1].limits.per_user: expected 1 or more",
        "line 9: endpoints[2].slug: expected a slug: small letters, digits and hyphens, 100 at "
        "most",
        "line 9: endpoints[2].bucket: expected the name of a bucket: small letters, digits, dots "
        "and hyphens, 3 to 63",
    ]


def test_a_stored_endpoint_is_told_of_in_the_same_words() -> None:
    endpoint = Endpoint(
        slug="A b", title="A", kind="http", url="https://example.com/", segments={"size": 1}
    )

    told = dict(check.problems(endpoint))

    assert told["slug"] == "Expected: a slug: small letters, digits and hyphens, 100 at most"
    assert told["segments"].startswith(("size: Expected: ", "parallel: Expected: "))


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("", "line 1: expected keys"),
        ("- a\n- b\n", "line 1: expected keys"),
        ("version: 2\n", "version"),
        ("endpoints: []\n", "version: expected, but missing"),
        ("version: 1\nsecrets: [\n", "line"),
        ("version: 1\nversion: 1\n", "line 2: version stands twice"),
        ("a: &a {x: y}\nb:\n  <<: *a\n", "line 3: expected keys written out, not merged with <<"),
        ("version: 1\n1: x\n", "line 2: expected text as a key"),
        ("version: 1\nendpoints: !!python/object/apply:os.system ['true']\n", "line 2"),
        ("version: 1\nsecrets: [{name: a}, {name: a}]\n", "secrets[1].name: a stands twice"),
        (
            f"version: 1\nendpoints:\n  - {{{HTTP}}}\n  - {{{HTTP}}}\n",
            "line 4: endpoints[1].slug: a stands twice",
        ),
        ("version: 1\n#" + "x" * 1024 * 1024, "at most 1 MiB"),
        ("a: &a [x]\nb: [" + ", ".join(["*a"] * 200) + "]\n", "at most 100 aliases"),
        ("[" * 5000, "expected YAML"),
    ],
)
def test_a_file_of_another_form_is_refused(text: str, named: str) -> None:
    found = problems(text)

    assert any(named in line for line in found), found


def test_the_demos_file_is_a_registry() -> None:
    text = (Path(__file__).parents[2] / "sandbox" / "demo.yaml").read_text()
    text = re.sub(r"\$\{gateway_[a-z]+\}", "a1b2", text)
    text = re.sub(r"\$\{[a-z]+\}", "http://127.0.0.1:1/", text)

    assert {endpoint.slug for endpoint in parse(text).endpoints} >= {"orders", "archive"}


@pytest.mark.parametrize("text", ["30d", "12h", "15m", "30s", "90m", "1d"])
def test_durations_are_written_as_they_are_read(text: str) -> None:
    assert format_duration(parse_duration(text)) == text


ONE = """version: 1
endpoints:
  - slug: orders
    title: Orders
    kind: http
    url: https://example.com/
    groups: [analysts]
"""
CONTROL = "expected text without control characters"


@pytest.mark.parametrize("sign", ["\0", "\x01", "\x1b"])
def test_a_control_character_in_the_file_is_named_by_its_line(sign: str) -> None:
    assert problems(f"version: 1\nsecrets: []\n# {sign}\n") == [f"line 3: {CONTROL}"]


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ("Orders", r'"a\0b"', "title"),
        ("Orders", r'"a\x1bb"', "title"),
        ("Orders", r'"a\nb"', "title"),
        ("Orders", r'"\ud800"', "title"),
        ("[analysts]", r'[analysts, "a\0"]', "groups"),
        ("[analysts]", '[]\n    filename: "a\\0"', "filename"),
        ("[analysts]", '[]\n    description: "a\\0"', "description"),
        ("[analysts]", '[]\n    params: [{name: a, label: "a\\0"}]', "params[0].label"),
    ],
)
def test_a_text_that_no_database_stores_is_named_by_its_key(old: str, new: str, key: str) -> None:
    (told,) = problems(ONE.replace(old, new))

    assert told.endswith(f"endpoints[0].{key}: {CONTROL}")


def test_a_title_in_a_block_ends_without_its_line_break() -> None:
    assert parse(ONE.replace("Orders", ">\n      All\n      orders")).endpoints[0].title == (
        "All orders"
    )


def test_a_description_may_have_lines() -> None:
    described = parse(ONE + "    description: |\n      All orders,\n      nightly.\n")

    assert described.endpoints[0].description == "All orders,\nnightly.\n"


@pytest.mark.parametrize("value", ["9" * 5000, "2025-13-01"])
def test_a_number_or_date_that_there_is_not_is_named_by_its_line(value: str) -> None:
    told = problems(f"{ONE}    description: {value}\n")

    assert told == ["line 8: expected a date or number that there is, or text in quotes"]


def test_a_file_that_is_too_deep_is_named_by_its_line() -> None:
    told = problems("version: 1\nsecrets: " + "[" * 5000 + "]" * 5000)

    assert told == ["line 2: expected YAML with fewer parts within parts"]


@pytest.mark.parametrize("value", ["true", "1.0", "'1'"])
def test_a_number_is_neither_true_nor_a_fraction_nor_text(value: str) -> None:
    limited = f"{ONE}    limits: {{concurrent: {value}}}\n"

    assert problems(f"version: {value}\n") == ["line 1: version: expected 1"]
    assert problems(limited)[0].startswith("line 8: endpoints[0].limits.concurrent: ")
