"""`manage.py rotate`: starts, drives, resumes or takes back a rotation."""

import json
from argparse import ArgumentParser
from collections.abc import Callable
from datetime import datetime
from typing import Any

from django.core.management.base import CommandError

from streams.aws.failures import ControlError
from streams.management.quick import QuickCommand
from streams.models import Rotation, RotationState, Secret, SecretVersion
from streams.rotation import preview, starting
from streams.rotation.driving import drive
from streams.rotation.machine import ROLLED_BACK
from streams.rotation.problems import RotationError
from streams.tasks import advance_rotation, ring, ring_notices


class Command(QuickCommand):
    help = "Rotates a secret. Exit 0 only if it was started, or with --wait if it completed."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("secret")
        what = parser.add_mutually_exclusive_group()
        what.add_argument("--resume", action="store_true", help="try the open one again now")
        what.add_argument("--rollback", action="store_true", help="take the open one back")
        what.add_argument(
            "--give-up",
            action="store_true",
            help="end the open one as it stands, where AWS says that its function is gone",
        )
        parser.add_argument("--dry-run", action="store_true", help="say what would be done")
        what.add_argument("--repair", action="store_true", help="put the current value back")
        what.add_argument("--emergency", action="store_true", help="no waits: requests may fail")
        parser.add_argument("--accept-gap", action="store_true", help="where no order avoids one")
        parser.add_argument("--wait", action="store_true", help="drive it here until it ends")
        parser.add_argument("--json", action="store_true", help="machine-readable, on stdout")

    def handle(self, *args: Any, **options: Any) -> None:
        secret = Secret.objects.filter(name=options["secret"]).first()
        if secret is None:
            raise CommandError(f"There is no secret {options['secret']}.")
        try:
            if options["dry_run"]:
                self._preview(secret, options)
                return
            rotation = self._wanted(secret, options)
        except (RotationError, ControlError) as exc:
            raise CommandError(str(exc)) from None
        if options["wait"]:
            drive(rotation, (lambda _: None) if options["json"] else self.stderr.write)
            ring_notices()
        else:
            ring(advance_rotation, rotation.pk)
        rotation = Rotation.objects.with_versions().get(pk=rotation.pk)
        if options["json"]:
            self.stdout.write(json.dumps(described(rotation), indent=2))
        else:
            self.stdout.write(f"rotation {rotation.pk} of {secret.name}: {rotation.state}")
        if options["wait"] and not _as_wanted(rotation, options):
            raise CommandError(rotation.problem or f"The rotation is {rotation.state}.")

    def _wanted(self, secret: Secret, options: dict[str, Any]) -> Rotation:
        if word := _word(options):
            rotation = starting.open_rotation(secret)
            word(rotation, by="manage.py")
            return rotation
        if options["repair"]:
            return starting.repair(secret, by="manage.py")
        return starting.start(
            secret,
            by="manage.py",
            emergency=options["emergency"],
            accept_gap=options["accept_gap"],
        )

    def _preview(self, secret: Secret, options: dict[str, Any]) -> None:
        if _word(options):
            raise CommandError("--dry-run is of a rotation that has not begun.")
        if options["repair"]:
            lines = preview.repair(secret)
        else:
            lines = preview.preview(
                secret, accept_gap=options["accept_gap"], emergency=options["emergency"]
            )
        if options["json"]:
            self.stdout.write(json.dumps({"secret": secret.name, "plan": lines}, indent=2))
        else:
            self.stdout.write("\n".join(lines))


def _word(options: dict[str, Any]) -> Callable[..., None] | None:
    """What is said of the open rotation; None where one is to begin."""
    words = {
        "resume": starting.resume,
        "rollback": starting.roll_back,
        "give_up": starting.give_up,
    }
    return next((word for option, word in words.items() if options[option]), None)


def _as_wanted(rotation: Rotation, options: dict[str, Any]) -> bool:
    if options["give_up"]:
        return rotation.was_given_up
    if options["rollback"]:
        # Where nothing was changed yet, there is nothing to take back: it is where it was.
        unbegun = rotation.state == RotationState.FAILED and rotation.problem == ROLLED_BACK
        return unbegun or rotation.state == RotationState.ROLLED_BACK
    return rotation.state == RotationState.COMPLETED


def described(rotation: Rotation) -> dict[str, Any]:
    """A rotation as `--json` tells it: stable, and without a value."""
    return {
        "rotation": rotation.pk,
        "secret": rotation.secret.name,
        "mode": rotation.mode,
        "state": rotation.state,
        "step": rotation.step,
        "going_back": rotation.back,
        "waiting_for": rotation.waiting or None,
        "problem": rotation.problem or None,
        "old": _version(rotation.old),
        "new": _version(rotation.new),
        "requested_by": rotation.requested_by,
        "started_at": _time(rotation.started_at),
        "finished_at": _time(rotation.finished_at),
        "events": [
            {"at": _time(event.at), "step": event.step, "text": event.text}
            for event in rotation.events.order_by("pk")
        ],
    }


def _version(version: SecretVersion | None) -> dict[str, Any] | None:
    if version is None:
        return None
    return {"number": version.number, "fingerprint": version.fingerprint, "state": version.state}


def _time(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None
