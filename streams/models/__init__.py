"""The registry and its records. Rules about one row, or about which rows, live here."""

from streams.models.access import ApiToken, Grant, User
from streams.models.audit import AuditEntry, AuditHead, How, Source
from streams.models.doctor import Checkup, DoctorRun, Why
from streams.models.downloads import Download, PartDigests, Proof, State
from streams.models.drift import DriftCheck
from streams.models.endpoints import Auth, Delivery, Endpoint, Kind
from streams.models.examinations import Examination
from streams.models.health import Health
from streams.models.installation import Installation
from streams.models.notices import Channel, Notice, NoticeEvent, NoticeState
from streams.models.provisioning import ProvisioningTurn
from streams.models.rotations import CallBucket, Mode, Rotation, RotationEvent, RotationState
from streams.models.secrets import Accepts, Gateway, Secret, SecretFunction, SecretVersion

__all__ = [
    "Accepts",
    "ApiToken",
    "AuditEntry",
    "AuditHead",
    "Auth",
    "CallBucket",
    "Channel",
    "Checkup",
    "Delivery",
    "DoctorRun",
    "Download",
    "DriftCheck",
    "Endpoint",
    "Examination",
    "Gateway",
    "Grant",
    "Health",
    "How",
    "Installation",
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
    "Source",
    "State",
    "User",
    "Why",
]
