"""What the audit log says of rotations."""

from streams import audit
from streams.models import Rotation


def record(verb: str, rotation: Rotation, *, by: str = "") -> None:
    """Call it last, in the transaction of the change. `by` is empty where a worker decides."""
    details = {
        "rotation": str(rotation.pk),
        "mode": rotation.mode,
        "requested by": rotation.requested_by,
    }
    event = audit.Event(f"rotation.{verb}", rotation.secret.name, actor=by, details=details)
    audit.append([event])
