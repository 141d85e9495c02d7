"""What the sandbox can be told: one dataclass, and the command line made from it."""

from __future__ import annotations

import argparse
import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

KIB = 1024
MIB = 1024 * KIB

ACCESS_KEY = "test"
SECRET_KEY = "test"
ACCOUNT = "000000000000"


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Every knob. Sizes are bytes, durations seconds, rates bytes a second."""

    port: int = field(default=0, metadata={"help": "port of the endpoint; 0 picks a free one"})
    state: Path = field(
        default=Path("var/sandbox"), metadata={"help": "folder that keeps everything over restarts"}
    )
    region: str = field(default="eu-central-1", metadata={"help": "the region of unsigned calls"})
    with_parent: bool = field(
        default=False, metadata={"help": "end when standard input closes, as it does with a parent"}
    )

    bandwidth: int = field(
        default=0,
        metadata={"help": "rate of one streamed response after the burst; 0: no limit; AWS: 2 MiB"},
    )
    burst: int = field(
        default=6 * MIB, metadata={"help": "bytes of a function's stream before the rate applies"}
    )
    gateway_burst: int = field(
        default=10 * MIB, metadata={"help": "the same for a streaming REST integration"}
    )
    streamed_limit: int = field(
        default=200 * MIB, metadata={"help": "largest streamed response of a function"}
    )
    buffered_limit: int = field(
        default=6 * MIB + 100, metadata={"help": "largest buffered response of a function"}
    )
    gateway_limit: int = field(
        default=10 * MIB, metadata={"help": "largest buffered response of a gateway"}
    )
    gateway_timeout: float = field(
        default=29.0,
        metadata={"help": "longest that a buffered integration may take"},
    )

    concurrency: int = field(
        default=10, metadata={"help": "processes of one function at once; more requests get 429"}
    )
    idle_seconds: float = field(
        default=300.0, metadata={"help": "an idle function process ends after this"}
    )
    init_seconds: float = field(
        default=10.0, metadata={"help": "a function process must ask for work within this"}
    )
    propagation_seconds: float = field(
        default=2.0, metadata={"help": "after a change, old and new serve side by side this long"}
    )
    cache_seconds: float = field(
        default=0.5, metadata={"help": "how long a function's configuration is believed"}
    )

    pass_content_length: bool = field(
        default=True, metadata={"help": "a Content-Length in a function's metadata reaches clients"}
    )
    midway_error: str = field(
        default="abort",
        metadata={
            "help": "a runtime error midway: cut the body, or end it cleanly with trailers",
            "choices": ("abort", "trailers"),
        },
    )
    drain_on_disconnect: bool = field(
        default=True, metadata={"help": "read on from the function when its client has left"}
    )
    strict_mappings: bool = field(
        default=False,
        metadata={"help": "refuse an unquoted REST mapping with 400 (else it is never sent)"},
    )
    strict_updates: bool = field(
        default=False,
        metadata={"help": "refuse with 409 to update a function that is being updated"},
    )
    strict_access: bool = field(
        default=False,
        metadata={"help": "verify signatures, and refuse what policies and KMS keys do not allow"},
    )
    s3_region: str = field(
        default="",
        metadata={"help": "S3 is this region's endpoint: a signature for another gets 400"},
    )
    generated: dict[str, int] = field(
        default_factory=dict,
        metadata={"help": "an S3 object made up on the fly: BUCKET/KEY=SIZE, repeatable"},
    )


def size(text: str) -> int:
    """Bytes of `5GiB`, `6 MiB`, `2MB` or a plain number."""
    units = {"": 1, "B": 1}
    for power, letter in enumerate("KMGT", start=1):
        units |= {f"{letter}B": 1000**power, f"{letter}IB": 1024**power, letter: 1024**power}
    number = text.strip().upper().rstrip("KMGTIB ")
    unit = text.strip().upper()[len(number) :].strip()
    if unit not in units:
        raise argparse.ArgumentTypeError(f"{text!r} is not a size such as 5GiB")
    try:
        return int(float(number) * units[unit])
    except ValueError as exc:
        raise argparse.ArgumentTypeError(f"{text!r} is not a size such as 5GiB") from exc


def _generated(text: str) -> tuple[str, int]:
    name, _, amount = text.rpartition("=")
    if "/" not in name:
        raise argparse.ArgumentTypeError(f"{text!r} is not BUCKET/KEY=SIZE")
    return name, size(amount)


def parse(arguments: list[str] | None = None) -> Settings:
    """Settings from the command line; a wrong value ends the program with its flag's name."""
    parser = argparse.ArgumentParser(
        prog="python -m sandbox", description="A local stand-in for AWS."
    )
    for knob in dataclasses.fields(Settings):
        _add_flag(parser, knob)
    values = vars(parser.parse_args(arguments))
    values["generated"] = dict(values["generated"])
    return Settings(**values)


def flags(settings: Settings) -> list[str]:
    """The command line that `parse` turns back into these settings."""
    words: list[str] = []
    for knob in dataclasses.fields(Settings):
        flag, value = _flag(knob), getattr(settings, knob.name)
        if knob.name == "generated":
            words += [word for name, n in value.items() for word in (flag, f"{name}={n}")]
        elif isinstance(value, bool):
            words.append(flag if value else flag.replace("--", "--no-", 1))
        else:
            words += [flag, str(value)]
    return words


def describe(settings: Settings) -> str:
    """One line of JSON for the log."""
    return json.dumps(dataclasses.asdict(settings), default=str)


def _flag(knob: dataclasses.Field[Any]) -> str:
    return "--" + knob.name.replace("_", "-")


def _add_flag(parser: argparse.ArgumentParser, knob: dataclasses.Field[Any]) -> None:
    text = knob.metadata["help"]
    if knob.name == "generated":
        parser.add_argument(_flag(knob), action="append", default=[], type=_generated, help=text)
    elif isinstance(knob.default, bool):
        parser.add_argument(
            _flag(knob),
            action=argparse.BooleanOptionalAction,
            default=knob.default,
            help=text,
        )
    else:
        kinds: dict[type, Any] = {int: size, float: float, str: str}
        kind = kinds.get(type(knob.default), Path)
        parser.add_argument(
            _flag(knob),
            type=kind,
            default=knob.default,
            choices=knob.metadata.get("choices"),
            help=f"{text} (default {knob.default})",
        )
