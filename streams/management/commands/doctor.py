"""`manage.py doctor`: what is wrong, how it shows, and what to do."""

import json
from argparse import ArgumentParser
from typing import IO, Any, cast

from django.core.management.base import BaseCommand, CommandError
from django.db import Error as DatabaseError

from streams.doctor import run
from streams.doctor.checks import Finding, Severity
from streams.doctor.run import Report
from streams.models import Endpoint
from streams.rotation.engine import account

_COLOURS = {Severity.ERROR: "red", Severity.WARNING: "yellow", Severity.INFO: "cyan"}


class Command(BaseCommand):
    help = (
        "Looks for faults of endpoints, of what they hang on in AWS, and of this portal. Changes "
        "nothing. Exit status 1 if there are errors, 2 if it could not run."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("slugs", nargs="*", metavar="SLUG", help="absent: all endpoints")
        parser.add_argument(
            "--seconds", type=float, default=300.0, help="what is not read by then is skipped (300)"
        )
        parser.add_argument(
            "--web", action="store_true",
            help="this runs under the web process's identity, which needs to rotate nothing",
        )  # fmt: skip
        parser.add_argument("--json", action="store_true", help="machine-readable, on stdout")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            report = run.examine(
                _endpoints(options["slugs"]),
                account(),
                seconds=options["seconds"],
                say=lambda what: self.stderr.write(f"looking at {what}"),
                web=options["web"],
            )
        except DatabaseError as exc:
            # Its message may hold an address with a password.
            raise CommandError(
                f"The database cannot be read ({type(exc).__name__}). Is it there, and migrated?",
                returncode=2,
            ) from None
        if options["json"]:
            self.stdout.write(json.dumps(described(report), indent=2))
        else:
            self._print(report)
        if report.fails:
            raise SystemExit(1)

    def _print(self, report: Report) -> None:
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text

        console = Console(file=cast("IO[str]", self.stdout))
        table = Table("severity", "what", "finding", title="Findings", show_lines=True)
        for one in report.findings:
            severity = Text(one.check.severity, style=_COLOURS[one.check.severity])
            table.add_row(severity, Text(f"{one.check.id}\n{one.subject.name}"), Text(_told(one)))
        if report.findings:
            console.print(table)
        counted = ", ".join(
            f"{sum(one.check.severity == severity for one in report.findings)} {severity}"
            for severity in Severity
        )
        console.print(
            f"{counted}; {report.passed} checks passed, {len(report.skipped)} skipped.",
            highlight=False,
        )


def _endpoints(slugs: list[str]) -> list[Endpoint] | None:
    """None: all of them."""
    if not slugs:
        return None
    found = Endpoint.objects.select_related("secret").order_by("slug")
    chosen = list(found.filter(slug__in=slugs))
    if missing := sorted(set(slugs) - {one.slug for one in chosen}):
        raise CommandError(f"There is no endpoint {', '.join(missing)}.", returncode=2)
    return chosen


def _told(finding: Finding) -> str:
    found = finding.found
    lines = [found.sentence, *(f"  {one}" for one in found.evidence)]
    lines += [finding.check.consequence, f"Fix: {found.fix}", *(f"  $ {one}" for one in found.cli)]
    return "\n".join(lines)


def described(report: Report) -> dict[str, Any]:
    """What `--json` tells: stable, and without a value."""
    return {
        "ok": not report.fails,
        "passed": report.passed,
        "findings": [
            {
                "id": one.check.id,
                "severity": one.check.severity,
                "title": one.check.title,
                "subject": one.subject.name,
                "endpoint": one.subject.endpoint or None,
                "secret": one.subject.secret_name or None,
                "sentence": one.found.sentence,
                "evidence": list(one.found.evidence),
                "consequence": one.check.consequence,
                "fix": one.found.fix,
                "cli": list(one.found.cli),
                "terraform": one.found.terraform,
            }
            for one in report.findings
        ],
        "skipped": [
            {
                "id": one.check.id,
                "subject": one.subject.name,
                "endpoint": one.subject.endpoint or None,
                "secret": one.subject.secret_name or None,
                "reason": one.reason,
            }
            for one in report.skipped
        ],
    }
