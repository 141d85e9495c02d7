"""The forms by which an endpoint is added, step by step: one for each of the two ways.

Either has the fields of all its steps, so that what was entered in one is still there in another.
"""

from typing import Any

from django import forms
from django.contrib.auth.models import Group
from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator
from django.utils.translation import gettext_lazy as _

from streams.access.adding import may_make_secrets, may_provision, may_send_secrets
from streams.access.addresses import address_policy
from streams.adding import places
from streams.admin.addsteps import NEW, PLACES, PROVISION, SIGNED
from streams.admin.endpoints import EndpointForm
from streams.models import Auth, Endpoint, Kind, Secret, Setup, User
from streams.models.endpoints import HTTP_KINDS
from streams.models.secrets import validate_header_name, validate_value
from streams.net.errors import AddressForbiddenError
from streams.provisioning.request import GatewayRequest, Request

_KINDS = [
    (Kind.FUNCTION_URL, _("A Lambda function with a function URL")),
    (Kind.LAMBDA, _("A Lambda function, which the portal invokes directly")),
    (Kind.GATEWAY, _("A path of API Gateway")),
    (Kind.S3, _("An object in S3")),
    (Kind.HTTP, _("A file on any HTTP server")),
]
_MAKES = _("A Lambda function: let the portal make its URL, its secret and what else is missing")
_PROOFS = [
    ("secret", _("by a secret header that is registered already")),
    (NEW, _("by a secret header that is made now")),
    ("sigv4", _("by an AWS signature (SigV4)")),
    ("none", _("not at all: everybody may ask")),
]
_AUTHS = {"secret": Auth.SECRET_HEADER, "sigv4": Auth.SIGV4}
_REGION = RegexValidator(r"^[a-z]{2}(-[a-z]+)+-\d$", _("A region is written like eu-central-1."))
_ROLE = RegexValidator(
    r"^arn:aws[a-z-]*:iam::\d{12}:role/.+$",
    _("A role is written as its ARN, arn:aws:iam::…:role/…."),
)
_MISSING = _("This is needed.")


class _Asking(forms.Form):
    """What both ways have in common."""

    kind = forms.ChoiceField(
        label=_("What it is"),
        widget=forms.RadioSelect,
        error_messages={"required": _("Choose what it is.")},
    )
    address = forms.CharField(
        label=_("Address"),
        max_length=2000,
        help_text=_(
            "Paste an ARN, a function's name, a function URL, an address of API Gateway or any "
            "other, or s3://bucket/key. The rest is read from AWS."
        ),
    )
    role_arn = forms.CharField(
        label=_("Role to assume"),
        required=False,
        max_length=200,
        validators=[_ROLE],
        help_text=_("Only where it is in another account: the role's ARN."),
    )
    region = forms.CharField(label=_("Region"), required=False, max_length=40, validators=[_REGION])
    groups = forms.ModelMultipleChoiceField(
        Group.objects.order_by("name"),
        label=_("Groups whose members may download it"),
        required=False,
        widget=forms.CheckboxSelectMultiple,
    )

    user: User

    def _belongs_to(self, user: User) -> None:
        self.user = user
        # One that is asked step by step is sent without what other steps ask.
        self.use_required_attribute = False
        kind, groups = self.fields["kind"], self.fields["groups"]
        assert isinstance(kind, forms.ChoiceField)
        assert isinstance(groups, forms.ModelMultipleChoiceField)
        kind.choices = _kinds(user)
        if not user.has_perm("streams.add_grant"):
            groups.queryset = Group.objects.none()

    def clean_address(self) -> str:
        kind = self.cleaned_data.get("kind", "")
        wanted = Kind.FUNCTION_URL if kind == PROVISION else kind
        try:
            place = places.parse(self.cleaned_data["address"], wanted)
        except places.UnknownPlaceError as exc:
            raise ValidationError(str(exc)) from None
        if kind == PROVISION and place.kind != wanted:
            raise ValidationError(_("Name a function, by its name or ARN."))
        return str(self.cleaned_data["address"])

    def _need(self, names: tuple[str, ...]) -> None:
        for name in names:
            if name not in self.errors and not self.cleaned_data.get(name):
                self.add_error(name, _MISSING)


def _kinds(user: User) -> list[tuple[str, Any]]:
    more = [(PROVISION, _MAKES)] if may_provision(user) else []
    return [*((str(kind), label) for kind, label in _KINDS), *more]


class AddForm(_Asking, EndpointForm):
    """Of an endpoint whose origin is there."""

    proof = forms.ChoiceField(
        label=_("The portal proves itself"), widget=forms.RadioSelect, required=False
    )
    new_name = forms.CharField(label=_("Name"), required=False, max_length=100)
    new_header = forms.CharField(
        label=_("Header"), required=False, max_length=100, validators=[validate_header_name],
        initial="x-secret-header",
    )  # fmt: skip
    new_source = forms.ChoiceField(
        label=_("Its value"),
        required=False,
        widget=forms.RadioSelect,
        initial="held",
        choices=[
            ("held", _("what the function holds already, else a new random one")),
            ("typed", _("what I enter here")),
        ],
    )
    new_value = forms.CharField(
        label=_("Value"),
        required=False,
        strip=False,
        validators=[validate_value],
        widget=forms.PasswordInput(attrs={"autocomplete": "off"}),
        help_text=_(
            "It cannot be read again here, and is entered anew where another field is wrong."
        ),
    )

    class Meta:
        model = Endpoint
        fields = (
            "title", "slug", "description", "filename", "everyone", "kind", "url", "function",
            "bucket", "key", "region", "role_arn", "auth", "secret",
        )  # fmt: skip

    is_draft = False

    def __init__(self, user: User, data: Any = None, **kwargs: Any) -> None:
        if data is not None:
            data = data.copy()
            signed = data.get("kind") in SIGNED
            data["auth"] = Auth.SIGV4 if signed else _AUTHS.get(data.get("proof"), Auth.NONE)
            if signed or data.get("proof") != "secret":
                data["secret"] = ""
        super().__init__(data, **kwargs)
        self._belongs_to(user)
        secret, proof = self.fields["secret"], self.fields["proof"]
        assert isinstance(secret, forms.ModelChoiceField)
        assert isinstance(proof, forms.ChoiceField)
        secret.queryset = Secret.objects.operable_by(user)
        chosen = (data or kwargs.get("initial") or {}).get("kind", "")
        proof.choices = [one for one in _PROOFS if self._may_prove(one[0], chosen)]
        self.fields["function"].help_text = _("Its name or ARN, with its alias behind a colon.")

    def _may_prove(self, proof: str, kind: str) -> bool:
        if proof == "secret":
            return may_send_secrets(self.user)
        if proof == NEW:
            return may_make_secrets(self.user)
        return proof == "none" or kind != Kind.HTTP

    def clean(self) -> dict[str, Any] | None:
        super().clean()
        said = self.cleaned_data
        kind, proof = said.get("kind", ""), said.get("proof")
        needed, more = PLACES.get(kind, ((), ()))
        self._need(needed)
        if kind and kind not in SIGNED:
            self._need(("proof",))
        if proof == "secret":
            self._need(("secret",))
        if proof == "sigv4":
            self._need(("region",))
        if proof == NEW:
            self._clean_new()
        self._check_address(said.get("url", ""))
        # What belongs to another kind, from which somebody went back, stays in the form alone.
        own = {*needed, *more} - ({"function"} if kind != Kind.LAMBDA else set())
        for name in {"url", "function", "bucket", "key", "region"} - own:
            said[name] = ""
        if kind in {Kind.HTTP, ""}:
            said["role_arn"] = ""
        return said

    def _clean_new(self) -> None:
        """One that is still to be made."""
        self._need(("new_name", "new_header"))
        if Secret.objects.filter(name=self.cleaned_data.get("new_name")).exists():
            self.add_error(
                "new_name", _("There is a secret of this name already. Choose that one.")
            )
        if self.cleaned_data.get("new_source") == "typed":
            self._need(("new_value",))

    def _check_address(self, url: str) -> None:
        if not url or self.cleaned_data.get("kind") not in HTTP_KINDS:
            return
        try:
            address_policy().check_url(url)
        except AddressForbiddenError as exc:
            self.add_error("url", str(exc))


class ProvisionForm(_Asking):
    """Of a function from which the portal makes an endpoint."""

    function = forms.CharField(
        label=_("Function"),
        required=False,
        max_length=200,
        validators=[
            RegexValidator(
                r"^(arn:aws[a-z-]*:lambda:[a-z0-9-]+:\d{12}:function:)?[A-Za-z0-9_-]{1,64}$",
                _("Name it by its name or ARN; its alias has a field of its own."),
            )
        ],
    )
    alias = forms.CharField(
        label=_("Alias"), required=False, max_length=128,
        validators=[RegexValidator(r"^[A-Za-z0-9_-]+$", _("This is no alias."))],
        help_text=_("Empty: what was deployed last."),
    )  # fmt: skip
    gateway = forms.ChoiceField(
        label=_("A path of API Gateway that leads there as well"),
        required=False,
        widget=forms.RadioSelect,
        initial="",
        choices=[
            ("", _("none")),
            ("rest", _("of a REST API, which streams")),
            ("http", _("of an HTTP API, which ends at 10 MB")),
        ],
    )
    api_id = forms.CharField(
        label=_("API id"), required=False, max_length=64,
        validators=[RegexValidator(r"^[a-z0-9]+$", _("An API's id has small letters and digits."))],
    )  # fmt: skip
    path = forms.CharField(
        label=_("Path"), required=False, max_length=500,
        validators=[RegexValidator(r"^/", _("A path begins with a slash."))],
    )  # fmt: skip
    stage = forms.CharField(
        label=_("Stage"), required=False, max_length=128,
        help_text=_("Empty: prod, or $default of an HTTP API."),
        validators=[RegexValidator(r"^(\$default|[A-Za-z0-9_-]+)$", _("This is no stage's name."))],
    )  # fmt: skip
    gateway_url = forms.URLField(
        label=_("Its address"), required=False, assume_scheme="https",
        help_text=_("Only where a custom domain has it."),
    )  # fmt: skip
    title = forms.CharField(label=_("Title"), max_length=200)
    slug = forms.CharField(
        label=_("Slug"), max_length=100,
        validators=[
            RegexValidator(r"\A[a-z0-9-]+\Z", _("Use lower-case letters, digits and hyphens."))
        ],
    )  # fmt: skip
    filename = forms.CharField(label=_("File name"), required=False, max_length=200)
    everyone = forms.BooleanField(label=_("Every signed-in user"), required=False)
    secret_name = forms.CharField(
        label=_("Secret"), required=False, max_length=100,
        help_text=_("Its name. Empty: that of the slug. One that is not there is made."),
    )  # fmt: skip
    header = forms.CharField(
        label=_("Header"), required=False, max_length=100, validators=[validate_header_name],
        help_text=_("Empty: as it is registered, else x-secret-header."),
    )  # fmt: skip

    def __init__(self, user: User, data: Any = None, **kwargs: Any) -> None:
        super().__init__(data, **kwargs)
        self._belongs_to(user)

    def clean(self) -> dict[str, Any] | None:
        super().clean()
        self._need(("function", "region"))
        if self.cleaned_data.get("gateway"):
            self._need(("api_id", "path"))
        slug = self.cleaned_data.get("slug", "")
        if Endpoint.objects.filter(slug=slug).exists():
            self.add_error("slug", _("There is an endpoint of this slug already."))
        if Setup.objects.open().filter(slug=slug).exists():
            self.add_error("slug", _("This endpoint is being provisioned."))
        name = self.cleaned_data.get("secret_name") or slug
        others = Secret.objects.exclude(pk__in=Secret.objects.operable_by(self.user).values("pk"))
        if others.filter(name=name).exists():
            self.add_error("secret_name", _("This secret belongs to others. Take another name."))
        return self.cleaned_data

    def request(self) -> Request:
        """What is asked for. Of a form without errors only."""
        said = self.cleaned_data
        return Request(
            function=said["function"],
            region=said["region"],
            alias=said["alias"],
            role_arn=said["role_arn"],
            slug=said["slug"],
            title=said["title"],
            filename=said["filename"],
            secret=said["secret_name"] or said["slug"],
            header=said["header"],
            groups=None if said["everyone"] else tuple(sorted(one.name for one in said["groups"])),
            gateway=self._gateway(said),
        )

    def _gateway(self, said: dict[str, Any]) -> GatewayRequest | None:
        if not said["gateway"]:
            return None
        usual = "prod" if said["gateway"] == "rest" else "$default"
        return GatewayRequest(
            type=said["gateway"],
            api_id=said["api_id"],
            path=said["path"],
            stage=said["stage"] or usual,
            url=said["gateway_url"],
        )
