"""Disks: which are across a network, and what is free, by what the kernel says and for real."""

import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pytest_django.fixtures import Settings

from streams.doctor import disks, installation
from streams.doctor.run import judged
from tests.doctor.conftest import ROOT
from tests.functional.conftest import until

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


SERVER = Path("/usr/lib/openssh/sftp-server")


@pytest.fixture
def network_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder that sshfs mounts, from an SFTP server that it has to itself."""
    if not (shutil.which("sshfs") and SERVER.exists()):
        pytest.skip("needs sshfs and openssh-sftp-server")
    there, here = tmp_path / "there", tmp_path / "here"
    there.mkdir()
    here.mkdir()
    ours, theirs = socket.socketpair()
    with ours, theirs:
        server = subprocess.Popen([SERVER], stdin=theirs.fileno(), stdout=theirs.fileno())
        mount = subprocess.Popen(
            ["sshfs", "-f", "-o", "passive", f":{there}", here],
            stdin=ours.fileno(), stdout=ours.fileno(),
        )  # fmt: skip
    if not until(here.is_mount):
        pytest.skip("nothing may be mounted here")
    yield here
    subprocess.run(["fusermount3", "-u", here], check=True)
    mount.wait(10)
    server.wait(10)


def found() -> list[str]:
    return [one.check.id for one in judged([installation.deployment()]).findings]


@pytest.mark.shows("portal-database-disk", "portal-broker-disk")
def test_sqlite_and_the_embedded_broker_on_a_network_disk(
    network_disk: Path, tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tests' own database stays where it is: the file is named, and not opened."""
    database: Any = settings.DATABASES["default"]
    monkeypatch.setitem(database, "ENGINE", "django.db.backends.sqlite3")

    def placed(database_in: Path, broker_in: Path) -> list[str]:
        monkeypatch.setitem(database, "NAME", database_in / "db.sqlite3")
        options = settings.CELERY_BROKER_TRANSPORT_OPTIONS
        settings.CELERY_BROKER_TRANSPORT_OPTIONS = options | {
            "data_folder_in": str(broker_in / "broker")
        }
        return found()

    # Who moves the database moves the broker beside it.
    assert placed(network_disk, network_disk) == ["portal-database-disk"]
    assert placed(tmp_path, network_disk) == ["portal-broker-disk"]
    assert placed(tmp_path, tmp_path) == []


# Gathers, makes room as it is told to, and gathers again: in a mount namespace of its own.
FULL = """
import os, subprocess, sys
os.environ["DJANGO_SETTINGS_MODULE"] = "portal.settings"
import django
django.setup()
from streams.doctor import installation
from streams.doctor.run import judged
def told():
    for one in judged([installation.deployment()]).findings:
        # Nobody has collected them where tests run.
        if one.check.id != "portal-static":
            print(one.check.id)
told()
subprocess.run(["mount", "-o", "remount,size=1g", os.environ["SPILLWAY_STATE_DIR"]], check=True)
print("with room:")
told()
"""


@pytest.mark.shows("portal-disk-space")
def test_a_state_folder_whose_disk_is_nearly_full(tmp_path: Path) -> None:
    mounted = f'mount -t tmpfs -o size=100m none "{tmp_path}" || exit 77; exec "$@"'
    done = subprocess.run(
        ["unshare", "-Urm", "sh", "-c", mounted, "sh", sys.executable, "-c", FULL],
        cwd=ROOT,
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "SPILLWAY_STATE_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode in {1, 77} and not done.stdout:
        pytest.skip("nothing may be mounted here")

    assert done.stdout.split() == ["portal-disk-space", "with", "room:"], done.stderr
