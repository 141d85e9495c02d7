"""`manage.py provision`: from a function to a protected endpoint."""

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from streams.management.quick import QuickCommand
from streams.models import Accepts
from streams.provisioning import engine
from streams.provisioning.problems import FailedError, ProvisioningError
from streams.provisioning.request import GatewayRequest, Request
from streams.rotation.engine import account
from streams.rotation.parts import own_region
from streams.rotation.problems import UnfitError


class Command(QuickCommand):
    help = (
        "Makes what is missing between FUNCTION and a protected endpoint: secret, environment, "
        "function URL, permissions, gateway, registry. Run again, it changes nothing. What it did "
        "is taken back when it fails; exit status 1 then."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("function", metavar="FUNCTION", help="name or ARN")
        parser.add_argument("--region", help="absent: as AWS_REGION or the profile says")
        parser.add_argument("--role-arn", default="", help="role to assume")
        parser.add_argument("--alias", default="", help="of the function; absent: $LATEST")
        parser.add_argument("--slug", required=True, help="the endpoint's name in its URL")
        parser.add_argument("--title", default="", help="of the endpoint; absent: its slug")
        parser.add_argument("--filename", default="", help="what users save it as")
        who = parser.add_mutually_exclusive_group()
        who.add_argument(
            "--group", action="append", default=[], help="who may download; repeatable"
        )
        who.add_argument("--everyone", action="store_true", help="every signed-in user may")
        parser.add_argument("--secret", help="its name in the registry; absent: the slug")
        parser.add_argument("--header", default="", help="absent: x-secret-header")
        parser.add_argument("--variable", default="", help="absent: SECRET_HEADER")
        parser.add_argument("--accepts", default="", choices=Accepts.values, help="absent: two")
        gateway = parser.add_mutually_exclusive_group()
        gateway.add_argument("--rest-api", metavar="ID", help="a REST API that is to lead there")
        gateway.add_argument("--http-api", metavar="ID", help="the same with an HTTP API")
        parser.add_argument("--path", help="of the API, such as /orders")
        parser.add_argument("--method", default="GET", choices=["GET", "ANY"])
        parser.add_argument("--stage", help="absent: prod, or $default of an HTTP API")
        parser.add_argument("--gateway-url", default="", help="where a custom domain has it")
        parser.add_argument("--dry-run", action="store_true", help="say what would be done")
        parser.add_argument("--json", action="store_true", help="machine-readable, on stdout")

    def handle(self, *args: Any, **options: Any) -> None:
        act = engine.preview if options["dry_run"] else engine.provision
        told = self.stdout if options["dry_run"] and not options["json"] else self.stderr
        try:
            request = _request(options)
            outcome = act(request, account(), told.write)
        except FailedError as exc:
            raise CommandError(_story(exc)) from None
        except (ProvisioningError, UnfitError) as exc:
            raise CommandError(str(exc)) from None
        if options["json"]:
            self.stdout.write(json.dumps(described(request, outcome), indent=2))
        elif not options["dry_run"]:
            self.stdout.write(f"{request.function}: {len(outcome.changes)} changes, {outcome.url}")
        elif not outcome.changes:
            self.stdout.write("Nothing would be changed.")


def _request(options: dict[str, Any]) -> Request:
    return Request(
        function=options["function"],
        region=options["region"] or own_region(),
        role_arn=options["role_arn"],
        alias=options["alias"],
        slug=options["slug"],
        title=options["title"],
        filename=options["filename"],
        groups=None if options["everyone"] else tuple(options["group"]),
        secret=options["secret"] or options["slug"],
        header=options["header"],
        variable=options["variable"],
        accepts=options["accepts"],
        gateway=_gateway(options),
    )


def _gateway(options: dict[str, Any]) -> GatewayRequest | None:
    rest, http = options["rest_api"], options["http_api"]
    if not rest and not http:
        return None
    return GatewayRequest(
        type="rest" if rest else "http",
        api_id=rest or http,
        path=options["path"] or "",
        stage=options["stage"] or ("prod" if rest else "$default"),
        method=options["method"],
        url=options["gateway_url"],
    )


def _story(exc: FailedError) -> str:
    """What went wrong, what was taken back, and what was not."""
    lines = [str(exc), *(f"  taken back: {sentence}" for sentence in exc.undone)]
    lines += [f"  {sentence}" for sentence in exc.left]
    return "\n".join(lines)


def described(request: Request, outcome: engine.Outcome) -> dict[str, Any]:
    """What `--json` tells: stable, and without a value."""
    return {
        "function": request.function,
        "region": request.region,
        "alias": request.alias or None,
        "secret": request.secret,
        "endpoint": request.slug,
        "url": outcome.url or None,
        "gateway_url": outcome.gateway_url or None,
        "changes": outcome.changes,
    }
