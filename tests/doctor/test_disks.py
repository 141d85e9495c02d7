"""Which disks are across a network, by what the kernel says of them."""

from pathlib import Path

import pytest

from streams.doctor import disks

MOUNTS = r"""22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/root rw
23 22 0:21 / /proc rw - proc proc rw
30 22 0:40 / /srv rw,relatime shared:2 - nfs4 files:/srv rw,vers=4.2
31 30 254:1 / /srv/local rw,relatime - xfs /dev/vdb rw
32 22 0:41 / /mnt/my\040files rw,relatime - fuse.sshfs me@files: rw
33 22 0:42 / /windows rw,relatime - 9p C:\134 rw
34 22 0:43 / /shared rw,relatime - cifs //files/shared rw
35 22 0:44 / /twice rw,relatime - nfs files:/twice rw
36 22 254:2 / /twice rw,relatime - ext4 /dev/vdc rw
37 22 0:45 / /rootless rw,relatime - fuse.fuse-overlayfs fuse-overlayfs rw
"""


@pytest.fixture
def mounts(tmp_path: Path) -> Path:
    made = tmp_path / "mountinfo"
    made.write_text(MOUNTS)
    return made


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/var/lib/spillway", ""),
        ("/srv/spillway/db.sqlite3", "nfs4"),
        ("/srv", "nfs4"),
        ("/srvother", ""),
        ("/srv/local/db.sqlite3", ""),
        ("/mnt/my files/db.sqlite3", "fuse.sshfs"),
        ("/windows/var", "9p"),
        ("/shared/var", "cifs"),
        ("/twice/var", ""),
        ("/rootless/var", ""),
    ],
)
def test_the_innermost_mount_tells(mounts: Path, path: str, kind: str) -> None:
    assert disks.network_type(Path(path), mounts) == kind


def test_a_link_is_followed(mounts: Path, tmp_path: Path) -> None:
    (tmp_path / "var").symlink_to("/srv/spillway")

    assert disks.network_type(tmp_path / "var" / "db.sqlite3", mounts) == "nfs4"


def test_a_system_that_does_not_tell_and_this_one(tmp_path: Path) -> None:
    assert disks.network_type(tmp_path, tmp_path / "none") == ""
    assert disks.network_type(Path("/proc/self/mountinfo")) == ""


def test_what_is_free(tmp_path: Path) -> None:
    assert (disks.free(tmp_path) or 0) > 0
    assert disks.free(tmp_path / "none") is None
