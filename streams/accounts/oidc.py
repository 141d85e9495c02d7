"""Sign-in by OpenID Connect, with the checks that allauth leaves out.

allauth takes an ID token unverified where it came straight from the provider, over TLS. We verify
its signature nevertheless, and that the provider is the one that the setting names: a mistake in a
proxy or a name server is then no way in. (OpenID Connect Core 3.1.3.7 and 5.3.2, Discovery 4.3.)
"""

import logging
from typing import Any

import jwt
import requests
from allauth.socialaccount.adapter import get_adapter
from allauth.socialaccount.helpers import render_authentication_error
from allauth.socialaccount.models import SocialApp, SocialLogin, SocialToken
from allauth.socialaccount.providers.oauth2.client import OAuth2Error
from allauth.socialaccount.providers.oauth2.views import OAuth2CallbackView
from allauth.socialaccount.providers.openid_connect.views import OpenIDConnectOAuth2Adapter
from django.http import Http404, HttpRequest, HttpResponse, QueryDict
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

logger = logging.getLogger("streams.accounts")

ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "ES256", "ES384", "EdDSA"]
# Seconds by which clocks may differ.
LEEWAY = 60
# What a provider may do that is down, or none: not answer, answer nonsense, leave things out.
_TROUBLE = (requests.RequestException, OAuth2Error, KeyError, TypeError, ValueError)


class VerifyingAdapter(OpenIDConnectOAuth2Adapter):  # type: ignore[misc]
    """Raises `OAuth2Error` for whatever is not as it must be."""

    @property
    def openid_config(self) -> dict[str, Any]:
        config: dict[str, Any] = super().openid_config
        if config.get("issuer") != self.get_provider().app.settings["server_url"]:
            raise OAuth2Error("the provider calls itself by another name")
        return config

    def complete_login(
        self, request: HttpRequest, app: SocialApp, token: SocialToken, **kwargs: Any
    ) -> SocialLogin:
        claims = self._verified(app, kwargs["response"]["id_token"])
        userinfo = self._fetch_user_info(token.token)
        if userinfo["sub"] != claims["sub"]:
            raise OAuth2Error("userinfo is about somebody else")
        data = {"userinfo": userinfo, "id_token": claims}
        return self.get_provider().sociallogin_from_response(request, data)

    def _verified(self, app: SocialApp, id_token: str) -> dict[str, Any]:
        with get_adapter().get_requests_session() as session:
            answer = session.get(self.openid_config["jwks_uri"])
            answer.raise_for_status()
        try:
            keys = jwt.PyJWKSet.from_dict(answer.json())
            key_id = jwt.get_unverified_header(id_token).get("kid")
            fitting = [key for key in keys.keys if key_id is None or key.key_id == key_id]
            if not fitting:
                raise OAuth2Error("the ID token is signed with an unknown key")
            # The key's own algorithm is the one that counts, whatever the token says of itself.
            claims: dict[str, Any] = jwt.decode(
                id_token,
                fitting[0].key,
                algorithms=[name for name in ALGORITHMS if name == fitting[0].algorithm_name],
                audience=app.client_id,
                issuer=self.openid_config["issuer"],
                leeway=LEEWAY,
                options={"require": ["exp", "iat", "iss", "aud", "sub"]},
            )
        except jwt.PyJWTError as exc:
            raise OAuth2Error("the ID token is not valid") from exc
        return claims


@never_cache
@require_POST
def begin(request: HttpRequest, provider_id: str) -> HttpResponse:
    """Leads to the provider, by a page of ours.

    A redirect would not do: browsers apply `form-action` to where a form leads in the end.
    """
    adapter = _adapter(request, provider_id)
    # Nothing else of the query may get into the request to the provider.
    kept = QueryDict(mutable=True)
    if value := request.POST.get("next"):
        kept["next"] = value
    if request.POST.get("process") == "connect" and request.user.is_authenticated:
        kept["process"] = "connect"
    given: Any = request
    given.GET, given.POST = QueryDict(), kept
    try:
        _ = adapter.openid_config
        answer = adapter.get_provider().redirect_from_request(request)
        address = answer["Location"]
    except _TROUBLE as exc:
        return _failed(request, adapter, exc)
    context = {"provider": adapter.get_provider(), "address": address}
    return render(request, "socialaccount/leaving.html", context)


@never_cache
@require_safe
def finish(request: HttpRequest, provider_id: str) -> HttpResponse:
    """Where the provider sends the browser back to."""
    adapter = _adapter(request, provider_id)
    try:
        answer: HttpResponse = OAuth2CallbackView.adapter_view(adapter)(request)
    except _TROUBLE as exc:
        return _failed(request, adapter, exc)
    return answer


def _adapter(request: HttpRequest, provider_id: str) -> VerifyingAdapter:
    adapter = VerifyingAdapter(request, provider_id)
    try:
        adapter.get_provider()
    except SocialApp.DoesNotExist:
        raise Http404 from None
    return adapter


def _failed(request: HttpRequest, adapter: VerifyingAdapter, exc: Exception) -> HttpResponse:
    answer: HttpResponse = render_authentication_error(
        request, adapter.get_provider(), exception=exc
    )
    return answer
