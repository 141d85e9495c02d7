"""django-revproxy as its quick start has it: one view for each upstream."""

from django.urls import URLPattern, re_path

from bench.sites import setup


def _patterns() -> list[URLPattern]:
    from revproxy.views import ProxyView

    return [
        re_path(r"^plain/(?P<path>.*)$", ProxyView.as_view(upstream=f"{setup.PLAIN}/")),
        re_path(r"^tls/(?P<path>.*)$", ProxyView.as_view(upstream=f"{setup.TLS}/")),
    ]


application = setup.application(["revproxy"], _patterns)
