"""What a folder is on: a disk of this machine or one across a network, and what is free there."""

import os
import re
from pathlib import Path

MOUNTS = Path("/proc/self/mountinfo")
# Of `fuse.…`, whatever it is, all but what containers put their own root on.
_NETWORK = re.compile(
    r"nfs4?|cifs|smb\w*|9p|afs|ceph|lustre|glusterfs|beegfs|gfs2|ocfs2|fuse\.(?!fuse-overlayfs).+"
)


def network_type(path: Path, mounts: Path = MOUNTS) -> str:
    """The type of the network file system that `path` is on, such as `nfs4`.

    Empty where it is on none, and where the system does not tell.
    """
    try:
        lines = mounts.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return ""
    held = Path(os.path.realpath(path))
    found, kind = Path("/"), ""
    for line in lines:
        place, told = _mount(line)
        # Of two at one place, the later one hides the other.
        if held.is_relative_to(place) and place.is_relative_to(found):
            found, kind = place, told
    return kind if _NETWORK.fullmatch(kind) else ""


def _mount(line: str) -> tuple[Path, str]:
    """Where it is, and of which type: see proc_pid_mountinfo(5)."""
    before, _, after = line.partition(" - ")
    place = re.sub(r"\\([0-7]{3})", lambda digits: chr(int(digits[1], 8)), before.split(" ")[4])
    return Path(place), after.split(" ")[0]


def free(path: Path) -> int | None:
    """Bytes that this process may still write there; None where there is no such place."""
    try:
        found = os.statvfs(path)
    except OSError:
        return None
    return found.f_bavail * found.f_frsize
