"""Container images, built and run by podman without any registry.

The base images that our Dockerfiles name are made here, of this machine's own Python and what it
needs: under test is what the Dockerfiles add, and that it runs in the way of Lambda and of ECS.
"""

import contextlib
import io
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import metadata, util
from pathlib import Path

import pytest

from tests.functions import third_party

# What the RUN lines and `bootstrap` call, besides Python. Debian's slim images have these.
SHELL = ["/bin/sh", "/usr/bin/dirname", "/usr/sbin/useradd"]
TEXTS = {
    "/etc/passwd": "root:x:0:0:root:/root:/bin/sh\n",
    "/etc/group": "root:x:0:\n",
    "/etc/shadow": "root:*:20000:0:99999:7:::\n",
    "/etc/gshadow": "root:*::\n",
    "/etc/login.defs": "SYS_UID_MIN 100\nSYS_UID_MAX 999\nSYS_GID_MIN 100\nSYS_GID_MAX 999\n",
    "/etc/pip.conf": "[global]\nno-index = true\nfind-links = /wheels\n",
    "/usr/local/bin/pip": '#!/bin/sh\nexec python3 -m pip "$@"\n',
}
FOLDERS = {"/tmp": 0o1777, "/home": 0o755, "/var/task": 0o755}
WHEELS = ("boto3", "botocore", "s3transfer", "jmespath", "python-dateutil", "six", "urllib3")
# Not more than a machine may itself have.
LIMITS = ("--ulimit=nofile=1024:1024", "--ulimit=nproc=1024:1024")
# What wheels do not bring, since every Debian has it.
COMMON = (
    "libgcc_s.so.1",
    "libstdc++.so.6",
    "librt.so.1",
    "libpthread.so.0",
    "libdl.so.2",
    "libm.so.6",
)
PREFIX = Path(sys.base_prefix)
LIBRARY = Path(sysconfig.get_path("stdlib"))
PATH = f"{PREFIX}/bin:/usr/local/bin:/usr/bin:/usr/sbin:/bin:/sbin"
# Of Python's library, what no image needs, and what is installed beside it on this machine.
LEFT_OUT = re.compile(
    r"site-packages|dist-packages|__pycache__|test|idlelib|tkinter|ensurepip|config-"
)
LEFT_OUT_FILES = re.compile(r"_tkinter\.|_test|EXTERNALLY-MANAGED")


@dataclass(frozen=True)
class Podman:
    """All that it keeps is below `folder`."""

    folder: Path

    def command(self, *words: str) -> list[str]:
        own = ["--root", str(self.folder / "storage"), "--runroot", str(self.folder / "run")]
        # Nothing of systemd, which not every machine runs.
        own += ["--cgroup-manager", "cgroupfs", "--events-backend", "none", "--runtime", "runc"]
        return ["podman", *own, *words]

    def __call__(self, *words: str, stdin: bytes | None = None, seconds: float = 120) -> str:
        done = subprocess.run(
            self.command(*words), input=stdin, capture_output=True, timeout=seconds, check=False
        )
        assert done.returncode == 0, (done.stdout + done.stderr).decode()[-3000:]
        return done.stdout.decode()

    def bring(self, name: str, *changes: str, wheels: Mapping[str, bytes] | None = None) -> None:
        """Makes the base image `name`, with Python and the commands that its namesake has.

        `wheels` are what pip may install there; otherwise some of those installed here.
        """
        told = [word for change in (f"ENV PATH={PATH}", *changes) for word in ("--change", change)]
        self("import", *told, "-", name, stdin=base(wheels or _wheels()))

    def build(self, name: str, *, dockerfile: Path, context: Path) -> None:
        # The format is the one with health checks.
        how = ["--pull=never", "--isolation", "chroot", "--network", "host", "--format", "docker"]
        self("build", *how, "--tag", name, "--file", str(dockerfile), str(context), seconds=300)

    @contextlib.contextmanager
    def running(
        self,
        image: str,
        *command: str,
        log: Path,
        variables: Mapping[str, str],
        options: tuple[str, ...] = (),
    ) -> Iterator["Container"]:
        """A container on this machine's network. It ends with the block."""
        name = log.stem
        told = [f"--env={variable}={value}" for variable, value in variables.items()]
        run = ["run", "--rm", "--name", name, "--network", "host", "--log-driver", "none"]
        run += ["--no-healthcheck", *LIMITS, *options, *told, image, *command]
        with third_party.running(self.command(*run), log, {"PATH": PATH}) as process:
            try:
                yield Container(name, process)
            finally:
                self("rm", "--force", "--ignore", "--time", "0", name)


@dataclass(frozen=True)
class Container:
    """Its process is podman's, which ends as the container does."""

    name: str
    process: subprocess.Popen[bytes]


@contextlib.contextmanager
def podman() -> Iterator[Podman]:
    """Skips the test, loudly, where it cannot run."""
    lacking = [f"{name} is not installed" for name in ("podman", "runc") if not shutil.which(name)]
    # For others than root, podman wants a set-up of users that is the machine's to make.
    lacking += ["this is not root"] if os.geteuid() else []
    if lacking:
        pytest.skip(f"no image can be built or run here: {' and '.join(lacking)}")
    # Not below pytest's own folder: podman takes 50 characters.
    with tempfile.TemporaryDirectory() as folder:
        running = Podman(Path(folder))
        try:
            yield running
        finally:
            running("rm", "--all", "--force", "--time", "0")
            running("image", "rm", "--all", "--force")
            # It leaves this one mounted, and nobody could delete the folder.
            subprocess.run(["umount", "--quiet", f"{folder}/storage/overlay"], check=False)


def base(wheels: Mapping[str, bytes]) -> bytes:
    """A root filesystem with Python, pip and a shell, as a tar file."""
    files = {name: text.encode() for name, text in TEXTS.items()}
    files |= {f"/wheels/{name}": wheel for name, wheel in wheels.items()}
    return packed(files | {name: path.read_bytes() for name, path in _files().items()})


def packed(files: Mapping[str, bytes]) -> bytes:
    """A root filesystem of these files as a tar file."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as archive:
        for name, mode in FOLDERS.items():
            entry = tarfile.TarInfo(name.lstrip("/"))
            entry.type, entry.mode = tarfile.DIRTYPE, mode
            archive.addfile(entry)
        for name, content in files.items():
            entry = tarfile.TarInfo(name.lstrip("/"))
            entry.size, entry.mode = len(content), 0o755
            archive.addfile(entry, io.BytesIO(content))
    return raw.getvalue()


@cache
def _files() -> Mapping[str, Path]:
    """What is copied of this machine, by its name in the image."""
    python = PREFIX / "bin/python3.11"
    modules = _below(LIBRARY)
    native = [path for path in modules if path.suffix == ".so"]
    libraries = _libraries([python, *native, *map(Path, SHELL)])
    libraries += [path for name in COMMON for path in Path("/usr/lib").glob(f"*-linux-gnu/{name}")]
    files = {str(path): path for path in [python, *modules, *libraries, *map(Path, SHELL)]}
    pip = util.find_spec("pip")
    assert pip
    assert pip.origin
    home = Path(pip.origin).parent
    files |= {f"{LIBRARY}/pip/{path.relative_to(home)}": path for path in _below(home)}
    # Of Debian's tzdata, which Python's slim images have.
    files["/usr/share/zoneinfo/UTC"] = Path("/usr/share/zoneinfo/UTC")
    return files | {f"{PREFIX}/bin/python3": python}


def _below(folder: Path) -> list[Path]:
    return [
        path
        for path in folder.rglob("*")
        if path.is_file()
        and not LEFT_OUT_FILES.search(path.name)
        and not any(LEFT_OUT.match(part) for part in path.relative_to(folder).parts[:-1])
    ]


def _libraries(programs: list[Path]) -> list[Path]:
    """The shared libraries of programs, and the loader."""
    told = subprocess.run(["ldd", *programs], capture_output=True, text=True, check=True).stdout
    return [Path(path) for path in sorted({*re.findall(r"(/\S+) \(0x", told)})]


@cache
def _wheels() -> Mapping[str, bytes]:
    """Installed packages as the wheels that they came from, so that pip has what to install."""
    wheels = {}
    for name in WHEELS:
        package = metadata.distribution(name)
        raw = io.BytesIO()
        with zipfile.ZipFile(raw, "w") as archive:
            for path in package.files or []:
                if ".." not in path.parts and "__pycache__" not in path.parts:
                    archive.writestr(str(path), path.read_binary())
        file = name.replace("-", "_")
        wheels[f"{file}-{package.version}-py3-none-any.whl"] = raw.getvalue()
    return wheels
