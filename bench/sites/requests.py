"""The plain way: a view that passes on what `requests` reads."""

import requests
from django.http import HttpRequest, StreamingHttpResponse
from django.urls import URLPattern, re_path

from bench.sites import setup


def _download(request: HttpRequest, origin: str, path: str) -> StreamingHttpResponse:
    answer = requests.get(f"{origin}/{path}", stream=True, timeout=60)
    response = StreamingHttpResponse(
        answer.iter_content(8192),
        status=answer.status_code,
        content_type=answer.headers["Content-Type"],
    )
    if "Content-Length" in answer.headers:
        response["Content-Length"] = answer.headers["Content-Length"]
    return response


def _patterns() -> list[URLPattern]:
    return [
        re_path(r"^plain/(?P<path>.*)$", _download, {"origin": setup.PLAIN}),
        re_path(r"^tls/(?P<path>.*)$", _download, {"origin": setup.TLS}),
    ]


application = setup.application([], _patterns)
