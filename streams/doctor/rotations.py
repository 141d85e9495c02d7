"""Facts of rotations that are under way."""

from datetime import datetime

from django.db.models import Max
from django.db.models.functions import Now

from streams.doctor.facts import FunctionFacts, GatewayFacts, RotationFacts
from streams.models import Mode, Rotation, Secret, SecretVersion
from streams.rotation.engine import waits


def facts(
    secret: Secret, functions: tuple[FunctionFacts, ...], gateways: tuple[GatewayFacts, ...]
) -> RotationFacts | None:
    """The one of this secret, with what checks and sends it; None where none is open."""
    found = Rotation.objects.filter(secret=secret).open().with_versions().first()
    if found is None:
        return None
    versions = {found.old.fingerprint: f"the old value, version {found.old.number}"}
    if found.new and found.new != found.old:
        versions[found.new.fingerprint] = f"the new value, version {found.new.number}"
    pause = waits(Mode(found.mode))
    return RotationFacts(
        name=f"rotation of {secret.name}",
        about=frozenset({f"rotation of {secret.name}"}),
        depends=frozenset({f"secret {secret.name}", "portal"}).union(
            *(one.about | one.depends for one in (*functions, *gateways))
        ),
        secret_name=secret.name,
        state=found.state,
        step=found.step,
        back=found.back,
        waiting=found.waiting,
        problem=found.problem,
        quiet=_quiet(found),
        pause=max(
            pause.settle,
            pause.propagation,
            pause.drain,
            pause.consumers if secret.stored_at() else 0,
        ),
        versions=versions,
        sent=secret.versions.filter(state=SecretVersion.State.CURRENT)
        .values_list("fingerprint", flat=True)
        .first()
        or "",
        functions=functions,
        gateways=gateways,
    )


def _quiet(rotation: Rotation) -> float:
    """Seconds by the database's clock since it came to its step, was resumed or told something."""
    told, now = (
        Rotation.objects.filter(pk=rotation.pk)
        .annotate(now=Now(), told=Max("events__at"))
        .values_list("told", "now")
        .get()
    )
    assert isinstance(now, datetime)
    moved: datetime = max(filter(None, (rotation.step_at, rotation.stretch_at, told)))
    return (now - moved).total_seconds()
