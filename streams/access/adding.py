"""Who may say what of a new endpoint."""

from streams.models import User


def may_send_secrets(user: User) -> bool:
    """Whoever chooses where a secret is sent can read it there."""
    return user.has_perm("streams.reveal_secret")


def may_make_secrets(user: User) -> bool:
    return may_send_secrets(user) and user.has_perm("streams.add_secret")


def may_provision(user: User) -> bool:
    """A provisioning makes a secret, or hands one to a function and to gateways."""
    needed = ("streams.add_endpoint", "streams.change_endpoint", "streams.change_secret")
    return may_make_secrets(user) and user.has_perms(needed)
