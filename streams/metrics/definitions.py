"""Every metric by its name, which stays. `docs/metrics.md` explains each."""

from collections.abc import Mapping
from dataclasses import dataclass

from streams.models import Figure


@dataclass(frozen=True)
class Definition:
    """`name` is that of its samples, but for the endings of a histogram's."""

    name: str
    help: str
    labels: tuple[str, ...] = ()


COUNTERS: Mapping[Figure, Definition] = {
    Figure.DOWNLOADS: Definition(
        "spillway_downloads_total",
        "Downloads that have ended; how it is known that a complete one is whole.",
        ("endpoint", "state", "proof"),
    ),
    Figure.UNFINISHED: Definition(
        "spillway_downloads_unfinished_total",
        "Downloads that have ended otherwise than complete, by the reason.",
        ("state", "reason"),
    ),
    Figure.BYTES: Definition(
        "spillway_download_bytes_total",
        "Bytes of bodies that clients have been sent.",
        ("endpoint",),
    ),
    Figure.RESUMES: Definition(
        "spillway_download_resumes_total",
        "How often a body that the origin broke off was taken up again.",
        ("endpoint",),
    ),
    Figure.ORIGIN_REQUESTS: Definition(
        "spillway_origin_requests_total",
        "Requests to origins for downloads: opened, or the code of what went wrong.",
        ("kind", "outcome"),
    ),
    Figure.SEGMENTS: Definition(
        "spillway_segments_total", "Segments of downloads that have been begun."
    ),
    Figure.ROTATIONS: Definition(
        "spillway_rotations_total", "Rotations that have ended.", ("mode", "state")
    ),
    Figure.TASKS: Definition(
        "spillway_tasks_total", "Tasks that workers have done.", ("task", "outcome")
    ),
    Figure.TASK_SECONDS: Definition(
        "spillway_task_seconds_total", "Seconds that workers were at tasks.", ("task",)
    ),
    Figure.RESPONSES: Definition(
        "spillway_responses_total", "Answers of web servers by the class of status.", ("status",)
    ),
}

HISTOGRAMS: Mapping[Figure, Definition] = {
    Figure.FIRST_BYTE: Definition(
        "spillway_download_first_byte_seconds",
        "Seconds from a request to the first byte of its body, of downloads that had one.",
    ),
    Figure.DURATION: Definition(
        "spillway_download_seconds", "Seconds from a request to its end, of complete downloads."
    ),
}

DATABASE_UP = Definition(
    "spillway_database_up", "Whether the database answers: without it, nothing else is told."
)
BUILD_INFO = Definition("spillway_build_info", "The version that answers.", ("version",))
COLLECT_SECONDS = Definition(
    "spillway_collect_seconds", "Seconds that it took to find out what is told here."
)
RUNNING = Definition("spillway_downloads_running", "Downloads under way.", ("endpoint",))
ENDPOINTS = Definition(
    "spillway_endpoints", "Enabled endpoints by what the doctor says of them.", ("health",)
)
FINDINGS = Definition(
    "spillway_findings",
    "What the doctor's last run found; without an endpoint: of the portal itself.",
    ("endpoint", "severity"),
)
CUT_OFTEN = Definition("spillway_endpoints_cut_often", "Endpoints whose downloads are often cut.")
ROTATIONS_OPEN = Definition(
    "spillway_rotations_open", "Rotations under way, and those that need help.", ("step", "state")
)
ROTATION_AGE = Definition(
    "spillway_rotation_step_age_seconds",
    "Seconds for which the rotation that is slowest has been at its step; 0: there is none.",
    ("state",),
)
SECRETS_OVERDUE = Definition(
    "spillway_secrets_overdue", "Secrets that should have rotated on schedule, and have not."
)
SECRETS_DRIFTED = Definition(
    "spillway_secrets_drifted", "Secrets that were changed in AWS behind the portal's back."
)
DUE = Definition("spillway_due", "Rows that are due for a worker.", ("kind",))
DUE_AGE = Definition(
    "spillway_due_age_seconds",
    "Seconds for which the oldest of them has been due; 0: there is none.",
    ("kind",),
)
TICK_AGE = Definition(
    "spillway_tick_age_seconds", "Seconds since a worker last heard the scheduler."
)
TICK_PERIOD = Definition("spillway_tick_period_seconds", "SPILLWAY_TICK.")
NOTICES = Definition(
    "spillway_notices", "Notices that wait to be delivered, and that were given up.", ("state",)
)

GAUGES = (
    DATABASE_UP, BUILD_INFO, COLLECT_SECONDS, RUNNING, ENDPOINTS, FINDINGS, CUT_OFTEN,
    ROTATIONS_OPEN, ROTATION_AGE, SECRETS_OVERDUE, SECRETS_DRIFTED, DUE, DUE_AGE, TICK_AGE,
    TICK_PERIOD, NOTICES,
)  # fmt: skip
ALL = (*COUNTERS.values(), *HISTOGRAMS.values(), *GAUGES)
