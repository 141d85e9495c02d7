"""The contenders, in the order in which the tables show them."""

from bench.stacks.base import Stack
from bench.stacks.direct import Direct
from bench.stacks.gunicorn import Requests, Revproxy
from bench.stacks.nginx import NginxTuned, NginxUnbuffered
from bench.stacks.offload import Offload
from bench.stacks.spillway import Fresh, Spillway, Unhashed

STACKS: dict[str, Stack] = {
    stack.name: stack
    for stack in (
        Direct(),
        NginxTuned(),
        NginxUnbuffered(),
        Revproxy(),
        Requests(),
        Spillway(),
        Fresh(),
        Unhashed(),
        Offload(),
    )
}
# What ratios refer to.
REFERENCE = NginxTuned.name
