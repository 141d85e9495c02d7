"""Every sample of the documentation is run, or held against what would read it."""

import json
import re
import shutil
import subprocess
from configparser import ConfigParser
from pathlib import Path

import botocore.session
import pytest
import yaml
from botocore import xform_name
from django.core.management import get_commands, load_command_class

from portal import oidc
from portal.env import SECRETS, Environment
from streams.registry.parse import parse
from tests.docs.samples import PAGES, ROOT, Sample, commands, every

# Samples in these languages are run, each by the test that is named.
RUN = {
    ("docs/notifications.md", "python"): "tests/notices/test_docs.py",
    ("docs/notifications.md", "sh"): "tests/notices/test_docs.py",
    ("docs/api.md", "sh"): "tests/api/test_guide.py",
    ("docs/tutorial.md", "sh"): "tests/docs/test_tutorial.py",
    ("docs/tutorial.md", "text"): "tests/docs/test_tutorial.py",
    ("docs/how-to/back-up.md", "sh"): "tests/functional/test_database.py",
    ("functions/python/README.md", "python"): "tests/functions/test_readme.py",
    ("functions/python/README.md", "dockerfile"): "tests/functions/test_images.py",
    ("functions/nodejs/README.md", "js"): "tests/functions/test_nodejs.py",
    ("functions/templates/README.md", "yaml"): "tests/functions/test_templates.py",
}
# What nothing runs or reads, and why.
LOOKED_AT = {
    ("README.md", ""): "the picture of the portal",
    ("docs/index.md", "{toctree}"): "`make docs` reads it, and fails where a page is missing",
    ("docs/provisioning.md", ""): "what a command prints",
    ("docs/security.md", ""): "a picture of the boundaries",
    ("docs/rotation.md", ""): "two commands, each with what it does beside it",
    ("sandbox/README.md", ""): "a command, and the line that it prints",
    ("sandbox/README.md", "python"): "an excerpt, of functions that the tests of the sandbox call",
}
PATH = re.compile(r"(?<![\w/.])(?:/opt/spillway/)?((?:deploy|functions)/[\w./-]+\w)")
# Of the shell's samples, words that look like a path of the project and are none yet.
MADE = ("deploy/secrets", "functions/dist")

SETTINGS = {str(field.alias) for field in Environment.model_fields.values()}
SAMPLES = every()


def of(language: str) -> list[Sample]:
    return [sample for sample in SAMPLES if sample.language == language]


def unlisted(language: str) -> list[Sample]:
    """Those that are in neither list: they are of the form that this kind usually has."""
    return [one for one in of(language) if (one.page, language) not in RUN | LOOKED_AT]


def test_each_sample_is_run_or_read_or_listed() -> None:
    read = {"yaml", "json", "sh", "nginx", "ini", "http", "python"}
    found = {(sample.page, sample.language) for sample in SAMPLES}

    assert {key for key in found if key[1] not in read and key not in RUN | LOOKED_AT} == set()
    assert set(RUN) | set(LOOKED_AT) <= found, "what is listed is there"
    for test in RUN.values():
        assert (ROOT / test).exists(), test


@pytest.mark.parametrize("sample", unlisted("yaml"), ids=str)
def test_yaml_is_what_its_reader_takes(sample: Sample) -> None:
    told = yaml.safe_load(sample.text)

    if isinstance(told, list) and "client_id" in told[0]:
        assert oidc.parse(sample.text)
        return
    if isinstance(told, list):
        told = {"version": 1, "endpoints": told}
    elif "version" not in told:
        # Keys of an endpoint.
        base = {"slug": "x", "title": "X", "kind": "http", "url": "https://a.example", "groups": []}
        told = {"version": 1, "endpoints": [base | told]}
    spec = parse(yaml.safe_dump(told))
    assert spec.endpoints


@pytest.mark.parametrize("sample", unlisted("json"), ids=str)
def test_json_is_a_policy(sample: Sample) -> None:
    told = json.loads(sample.text)

    assert told["Version"] == "2012-10-17"
    for statement in told["Statement"]:
        assert {"Effect", "Action"} <= set(statement)


@pytest.mark.parametrize("sample", of("http"), ids=str)
def test_the_body_of_a_request_is_json(sample: Sample) -> None:
    assert json.loads(sample.text.partition("\n\n")[2])


@pytest.mark.parametrize("sample", of("python"), ids=str)
def test_python_is_python(sample: Sample) -> None:
    compile(sample.text, str(sample), "exec")


@pytest.mark.parametrize("sample", of("ini"), ids=str)
def test_units_and_their_environment_are_of_that_form(sample: Sample) -> None:
    text = sample.text if sample.text.startswith("[") else "[none]\n" + sample.text
    parser = ConfigParser(interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]

    parser.read_string(text)

    assert parser.sections()


@pytest.mark.parametrize("sample", of("nginx"), ids=str)
def test_nginx_takes_it(sample: Sample, tmp_path: Path) -> None:
    program = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin")
    if program is None:
        pytest.skip("needs the program nginx")
    config = tmp_path / "nginx.conf"
    config.write_text(
        f"pid {tmp_path}/pid;\nevents {{}}\nhttp {{ access_log off; server {{ {sample.text} }} }}\n"
    )

    done = subprocess.run(
        [program, "-t", "-p", str(tmp_path), "-c", str(config)],
        capture_output=True, text=True, check=False, timeout=20,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("sample", of("sh"), ids=str)
def test_the_shell_takes_it_and_knows_what_it_names(sample: Sample) -> None:
    done = subprocess.run(
        ["bash", "-n"], input=sample.text, capture_output=True, text=True, check=False, timeout=20
    )
    assert done.returncode == 0, done.stderr

    joined = sample.text.replace("\\\n", " ")
    for path in PATH.findall(joined):
        if path == "deploy/web":
            # Of kubectl: the deployment of this name.
            continue
        folder = Path(sample.page).parent
        assert path.startswith(MADE) or (ROOT / path).exists() or (ROOT / folder / path).exists()
    for target in re.findall(r"^\s*make (?:-C \S+ )?([a-z-]+)", joined, re.MULTILINE):
        assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE), target
    for words in commands(sample.text, "aws"):
        assert_is_of_aws(words)


# What the AWS CLI has of its own.
OF_THE_CLI = {"s3 cp", "cloudformation deploy"}
FOR_ALL = {"region", "output", "query", "generate-cli-skeleton", "zip-file"}


def assert_is_of_aws(words: list[str]) -> None:
    """Whether there is such an operation, with such parameters."""
    service, operation, *options = words
    if f"{service} {operation}" in OF_THE_CLI:
        return
    model = botocore.session.get_session().get_service_model(service)
    known = {xform_name(name, "-"): name for name in model.operation_names}
    assert operation in known, words
    shape = model.operation_model(known[operation]).input_shape
    parameters = {xform_name(name, "-") for name in shape.members} if shape else set()
    for option in (word.removeprefix("--") for word in options if word.startswith("--")):
        assert option.removeprefix("no-") in parameters | FOR_ALL, (words, option)


def calls() -> list[tuple[str, list[str]]]:
    """Each call of `manage.py` in samples and in prose, with its page."""
    found = []
    for path in PAGES:
        page = str(path.relative_to(ROOT))
        if page == "CHANGELOG.md":
            continue
        text = path.read_text(encoding="utf-8")
        # In prose a command ends with its backquote, and may be broken over lines.
        prose = re.sub(r"`([^`\n]*\n[^`\n]*)`", lambda part: part[0].replace("\n", " "), text)
        found += [(page, words) for words in commands(prose)]
    return found


# Words in prose that stand for the commands as such.
IN_PROSE = {"COMMAND", "<command>`", "help"}


def test_every_command_is_one_with_these_options() -> None:
    ours = get_commands()
    problems = []
    for page, (name, *words) in calls():
        if name in IN_PROSE or not re.fullmatch(r"[a-z_]+", name):
            continue
        if name not in ours:
            problems.append(f"{page}: {name}")
            continue
        app = ours[name] if isinstance(ours[name], str) else "streams"
        parser = load_command_class(str(app), name).create_parser("manage.py", name)
        known = {option for action in parser._actions for option in action.option_strings}
        problems += [
            f"{page}: {name} {word}"
            for word in words
            if word.startswith("--") and word.partition("=")[0].rstrip(".,:") not in known
        ]

    assert problems == []


WHOLE = [
    (sample, words)
    for sample in SAMPLES
    if sample.language == "sh"
    for words in commands(sample.text)
    if "…" not in words
]


@pytest.mark.parametrize(("sample", "words"), WHOLE, ids=lambda value: str(value)[:60])
def test_a_whole_command_is_taken_with_its_arguments(sample: Sample, words: list[str]) -> None:
    name, *arguments = words
    app = get_commands()[name]

    load_command_class(str(app), name).create_parser("manage.py", name).parse_args(arguments)


def test_every_setting_that_is_named_is_one() -> None:
    families = {"SPILLWAY_USER_", "SPILLWAY_TESTS_", "SPILLWAY_"}
    known = SETTINGS | {f"{name}_FILE" for name in SECRETS} | families
    problems = [
        f"{path.relative_to(ROOT)}: {name}"
        for path in PAGES
        for name in re.findall(r"\bSPILLWAY_[A-Z_]*", path.read_text(encoding="utf-8"))
        if name not in known and not name.startswith("SPILLWAY_TESTS_")
    ]

    assert problems == []
