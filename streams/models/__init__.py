"""The registry and its records. Rules about one row, or about which rows, live here."""

from streams.models.access import ApiToken, CacheRow, Grant, GroupPolicy, Scope, User
from streams.models.answers import KeptAnswer
from streams.models.audit import AuditEntry, AuditHead, How, Source
from streams.models.cuts import CutWatch
from streams.models.doctor import Checkup, DoctorRun, Why
from streams.models.downloads import Download, PartDigests, Proof, State
from streams.models.drift import DriftCheck
from streams.models.endpoints import Auth, Delivery, Endpoint, Kind
from streams.models.examinations import Examination
from streams.models.health import Health
from streams.models.installation import Installation
from streams.models.links import ShareLink
from streams.models.notices import Channel, Notice, NoticeEvent, NoticeState
from streams.models.provisioning import ProvisioningTurn, Setup, SetupState
from streams.models.ready import ReadyRequest
from streams.models.rotations import CallBucket, Mode, Rotation, RotationEvent, RotationState
from streams.models.secrets import Accepts, Gateway, Secret, SecretFunction, SecretVersion
from streams.models.tallies import Figure, Figures, Tally

__all__ = [
    "Accepts",
    "ApiToken",
    "AuditEntry",
    "AuditHead",
    "Auth",
    "CacheRow",
    "CallBucket",
    "Channel",
    "Checkup",
    "CutWatch",
    "Delivery",
    "DoctorRun",
    "Download",
    "DriftCheck",
    "Endpoint",
    "Examination",
    "Figure",
    "Figures",
    "Gateway",
    "Grant",
    "GroupPolicy",
    "Health",
    "How",
    "Installation",
    "KeptAnswer",
    "Kind",
    "Mode",
    "Notice",
    "NoticeEvent",
    "NoticeState",
    "PartDigests",
    "Proof",
    "ProvisioningTurn",
    "ReadyRequest",
    "Rotation",
    "RotationEvent",
    "RotationState",
    "Scope",
    "Secret",
    "SecretFunction",
    "SecretVersion",
    "Setup",
    "SetupState",
    "ShareLink",
    "Source",
    "State",
    "Tally",
    "User",
    "Why",
]
