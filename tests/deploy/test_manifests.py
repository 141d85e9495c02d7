"""What `deploy/` has for containers and services, as far as it can be read without running it."""

import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml
from check_jsonschema.builtin_schemas import get_builtin_schema
from django.core.management import load_command_class
from django.urls import resolve

from portal.env import SECRETS, Environment

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = {
    name: service for name, service in COMPOSE["services"].items() if service["image"] == "spillway"
}
FILES = [path for path in (DEPLOY / "kubernetes").glob("*.yaml") if "kustom" not in path.name]
OBJECTS: list[dict[str, Any]] = [
    made for path in sorted(FILES) for made in yaml.safe_load_all(path.read_text())
]
CONFIGURED = next(made for made in OBJECTS if made["kind"] == "ConfigMap")["data"]
SETTINGS = {field.alias for field in Environment.model_fields.values()}
NGINX = (DEPLOY / "nginx.conf").read_text()


def named(made: dict[str, Any]) -> str:
    return f"{made['kind']} {made['metadata']['name']}"


def workloads() -> Iterator[Any]:
    for made in OBJECTS:
        if made["kind"] in {"Deployment", "Job"}:
            yield pytest.param(made, id=named(made))


def units() -> Iterator[Any]:
    for path in sorted((DEPLOY / "systemd").glob("*.service")):
        yield pytest.param(path.read_text(), id=path.stem)


def commands() -> Iterator[list[str]]:
    """Every call of `manage.py`, with its words."""
    for service in SERVICES.values():
        if "command" in service:
            yield service["command"]
    for made in OBJECTS:
        if made["kind"] in {"Deployment", "Job"}:
            yield made["spec"]["template"]["spec"]["containers"][0]["args"]
    for unit in (DEPLOY / "systemd").glob("*.service"):
        for line in re.findall(r"manage\.py (.*)", unit.read_text()):
            yield shlex.split(line)
    for line in (DEPLOY / "Dockerfile").read_text().splitlines():
        if line.startswith("CMD "):
            yield yaml.safe_load(line.removeprefix("CMD "))


def is_known(setting: str) -> bool:
    """Whether it is one of ours; secrets come as files, others plainly."""
    return setting.startswith("AWS_") or (
        setting.removesuffix("_FILE") in SECRETS
        if setting.endswith("_FILE")
        else setting in SETTINGS
    )


def test_compose_is_as_its_specification_wants_it() -> None:
    schema = get_builtin_schema("vendor.compose-spec")

    jsonschema.validate(COMPOSE, schema)


@pytest.mark.parametrize("made", OBJECTS, ids=named)
@pytest.mark.parametrize("version", ["1.31", "1.37"])
def test_manifests_are_as_kubernetes_wants_them(made: dict[str, Any], version: str) -> None:
    kubernetes_validate.validate(made, version, strict=True)


def test_what_kustomize_takes_is_there() -> None:
    taken = yaml.safe_load((DEPLOY / "kubernetes/kustomization.yaml").read_text())["resources"]

    # Secrets come from elsewhere, and migrate has a time of its own.
    assert {*taken, "secrets.example.yaml", "migrate.yaml"} == {path.name for path in FILES}


@pytest.mark.parametrize("words", list(commands()), ids=" ".join)
def test_commands_are_ours_with_these_arguments(words: list[str]) -> None:
    app = "django.core" if words[0] == "migrate" else "streams"

    load_command_class(app, words[0]).create_parser("manage.py", words[0]).parse_args(words[1:])


def test_one_scheduler_runs() -> None:
    scheduling = [
        n for n, each in SERVICES.items() if "--with-scheduler" in each.get("command", [])
    ]
    assert scheduling == ["scheduler"]
    assert "deploy" not in SERVICES["scheduler"]
    (made,) = [made for made in OBJECTS if "--with-scheduler" in str(made)]
    assert made["spec"]["replicas"] == 1
    assert made["spec"]["strategy"] == {"type": "Recreate"}


@pytest.mark.parametrize(
    "given", [CONFIGURED, *(service["environment"] for service in SERVICES.values())]
)
def test_settings_are_ours_and_every_process_has_both_keys(given: dict[str, str]) -> None:
    assert [name for name in given if not is_known(name)] == []
    assert {"SPILLWAY_SECRET_KEY_FILE", "SPILLWAY_ENCRYPTION_KEYS_FILE"} <= given.keys()
    assert {"DATABASE_URL_FILE", "SPILLWAY_DRAIN_TIMEOUT"} <= given.keys()


def test_the_files_of_secrets_are_mounted() -> None:
    for service in SERVICES.values():
        for name, path in service["environment"].items():
            if name.endswith("_FILE"):
                assert path.removeprefix("/run/secrets/") in service["secrets"]
    assert {name for each in SERVICES.values() for name in each["secrets"]} <= set(
        COMPOSE["secrets"]
    )
    (secret,) = [made for made in OBJECTS if made["kind"] == "Secret"]
    files = {Path(path).name for name, path in CONFIGURED.items() if name.endswith("_FILE")}
    assert set(secret["stringData"]) == files
    assert set(secret["stringData"].values()) == {""}, "an example holds no value"


def test_downloads_have_longer_to_end_than_they_may_take() -> None:
    for name in ("web-1", "web-2"):
        drain = float(SERVICES[name]["environment"]["SPILLWAY_DRAIN_TIMEOUT"])
        assert float(SERVICES[name]["stop_grace_period"].removesuffix("s")) > drain
    assert COMPOSE["services"]["nginx"]["stop_signal"] == "SIGQUIT"
    (web,) = [made for made in OBJECTS if named(made) == "Deployment web"]
    pod = web["spec"]["template"]["spec"]
    before = float(pod["containers"][0]["lifecycle"]["preStop"]["exec"]["command"][1])
    drain = float(CONFIGURED["SPILLWAY_DRAIN_TIMEOUT"])
    assert pod["terminationGracePeriodSeconds"] > drain + before
    unit = (DEPLOY / "systemd/spillway-web.service").read_text()
    default = Environment.model_fields["drain_timeout"].default
    assert float(unit.split("TimeoutStopSec=")[1].split()[0]) > default


@pytest.mark.parametrize("service", list(SERVICES.values()), ids=list(SERVICES))
def test_containers_need_no_privilege(service: dict[str, Any]) -> None:
    assert service["user"] == "10001:10001"
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]


@pytest.mark.parametrize("made", list(workloads()))
def test_pods_are_restricted(made: dict[str, Any]) -> None:
    template = made["spec"]["template"]
    pod, (container,) = template["spec"], template["spec"]["containers"]

    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] == 10001
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    mounted = {each["mountPath"] for each in container["volumeMounts"]}
    assert {"/var/lib/spillway", "/tmp", "/run/secrets/spillway"} == mounted
    if made["kind"] == "Deployment":
        assert made["spec"]["selector"]["matchLabels"] == template["metadata"]["labels"]


def test_probes_ask_what_the_portal_answers() -> None:
    (web,) = [made for made in OBJECTS if named(made) == "Deployment web"]
    container = web["spec"]["template"]["spec"]["containers"][0]
    paths = {kind: container[kind]["httpGet"]["path"] for kind in container if "Probe" in kind}

    # Who is restarted because the database is away cuts downloads for nothing.
    assert paths == {
        "readinessProbe": "/readyz", "livenessProbe": "/healthz", "startupProbe": "/healthz"
    }  # fmt: skip
    for path in paths.values():
        assert resolve(path).view_name == path.strip("/")


def test_compose_has_nginx_know_both_web_servers() -> None:
    *_, script = COMPOSE["services"]["nginx"]["command"]
    program = script.split(" /spillway.conf")[0]

    made = subprocess.run(
        ["sh", "-c", f"{program} {DEPLOY / 'nginx.conf'}"],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip

    addresses = [SERVICES[n]["networks"]["inside"]["ipv4_address"] for n in ("web-1", "web-2")]
    assert re.findall(r"server ([\d.]+):8000 max_fails=0;", made) == addresses
    assert "127.0.0.1" not in made


def test_the_ingress_says_what_nginx_says() -> None:
    (ingress,) = [made for made in OBJECTS if made["kind"] == "Ingress"]
    said = {
        name.rpartition("/")[2]: value for name, value in ingress["metadata"]["annotations"].items()
    }

    def of_nginx(directive: str) -> str:
        found: list[str] = re.findall(rf"^ *{directive} (.*);", NGINX, re.MULTILINE)
        return found[0]

    for name in ("http-version", "buffering", "next-upstream"):
        assert said[f"proxy-{name}"] == of_nginx(f"proxy_{name.replace('-', '_')}")
    for name in ("read-timeout", "connect-timeout", "next-upstream-timeout"):
        assert said[f"proxy-{name}"] + "s" == of_nginx(f"proxy_{name.replace('-', '_')}")
    assert said["proxy-send-timeout"] + "s" == of_nginx("send_timeout")


@pytest.mark.parametrize("unit", list(units()))
def test_services_write_below_their_state_alone(unit: str) -> None:
    for line in ("User=spillway", "NoNewPrivileges=true", "ProtectSystem=strict"):
        assert line in unit
