"""Who may have the portal mend what the doctor has found."""

from collections.abc import Mapping

from streams.models import Endpoint, Secret, User


def may_mend(user: User, endpoint: Endpoint | None, finding: Mapping[str, object]) -> bool:
    """What a run of this endpoint found (None: of the portal), in the form that is stored.

    It changes a function, or puts a value back, for all that hang on it: whoever has it done
    operates all of them.
    """
    mine = Endpoint.objects.operable_by(user)
    changes = user.has_perm("streams.change_endpoint")
    if endpoint is None:
        allowed = user.has_perm("streams.change_checkup")
    else:
        allowed = changes and mine.filter(pk=endpoint.pk).exists()
    if slug := finding["endpoint"]:
        allowed = allowed and changes and mine.filter(slug=slug).exists()
    if name := finding["secret"]:
        secrets = Secret.objects.operable_by(user)
        allowed = allowed and user.has_perm("streams.rotate_secret")
        allowed = allowed and secrets.filter(name=name).exists()
    return allowed
