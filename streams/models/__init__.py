"""The registry and its records. Rules about one row, or about which rows, live here."""

from streams.models.access import ApiToken, Grant, User
from streams.models.doctor import Checkup, DoctorRun, Why
from streams.models.downloads import Download, PartDigests, Proof, State
from streams.models.drift import DriftCheck
from streams.models.endpoints import Auth, Delivery, Endpoint, Kind
from streams.models.health import Health
from streams.models.notices import Channel, Notice, NoticeEvent, NoticeState
from streams.models.provisioning import ProvisioningTurn
from streams.models.rotations import CallBucket, Mode, Rotation, RotationEvent, RotationState
from streams.models.secrets import Accepts, Gateway, Secret, SecretFunction, SecretVersion

__all__ = [
    "Accepts",
    "ApiToken",
    "Auth",
    "CallBucket",
    "Channel",
    "Checkup",
    "Delivery",
    "DoctorRun",
    "Download",
    "DriftCheck",
    "Endpoint",
    "Gateway",
    "Grant",
    "Health",
    "Kind",
    "Mode",
    "Notice",
    "NoticeEvent",
    "NoticeState",
    "PartDigests",
    "Proof",
    "ProvisioningTurn",
    "Rotation",
    "RotationEvent",
    "RotationState",
    "Secret",
    "SecretFunction",
    "SecretVersion",
    "State",
    "User",
    "Why",
]
