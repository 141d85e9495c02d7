"""The operators' site, at /operate/."""

from unfold.sites import UnfoldAdminSite


class OperatorsSite(UnfoldAdminSite):  # type: ignore[misc]  # the package has no types
    """Django's admin in Unfold's clothes. Rules live in models and queries, none here."""

    site_title = "Spillway"
    site_header = "Spillway"
    index_title = "Operate"
