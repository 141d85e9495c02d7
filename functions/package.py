"""Zip files to deploy: `make functions`. The same files become the same bytes, on any machine.

Nothing is compressed, for one version of zlib makes other bytes than the next, and the whole is
smaller than one row of many an export.
"""

import io
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path

HERE = Path(__file__).resolve().parent
DIST = HERE / "dist"
PYTHON = HERE / "python"
NODEJS = HERE / "nodejs"
RECIPES = HERE / "recipes"

# The first moment that a zip file can name.
_EPOCH = (1980, 1, 1, 0, 0, 0)
_UNIX = 3
# Lambda starts it, whatever rights the file has here; the rest must be readable by another user.
_EXECUTABLE = {"bootstrap"}


def packed(files: Mapping[str, Path]) -> bytes:
    """A deployment package of files by the names that they have in it."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as writer:
        for name, path in sorted(files.items()):
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.create_system = _UNIX
            mode = 0o755 if name in _EXECUTABLE else 0o644
            entry.external_attr = (0o100000 | mode) << 16
            writer.writestr(entry, path.read_bytes())
    return archive.getvalue()


def library() -> dict[str, Path]:
    """The runtime and the library, without a handler. Lambda's own Python brings boto3."""
    package = (PYTHON / "spillway_lambda").glob("*.py")
    return {"bootstrap": PYTHON / "bootstrap"} | {
        path.relative_to(PYTHON).as_posix(): path for path in package
    }


def exporting() -> bytes:
    """The S3 export of `app.py`: `app.handler` and `app.export`."""
    return packed(library() | {"app.py": PYTHON / "app.py"})


def exporting_node() -> bytes:
    """The same for Lambda's own Node.js, which brings the SDK."""
    sources = [NODEJS / "app.mjs", *(NODEJS / "spillway-lambda").glob("*.mjs")]
    return packed({path.relative_to(NODEJS).as_posix(): path for path in sources})


def recipe(name: str) -> bytes:
    """A recipe's handler, with the runtime."""
    return packed(library() | {path.name: path for path in (RECIPES / name).glob("*.py")})


def main() -> None:
    DIST.mkdir(exist_ok=True)
    for name, archive in (("python", exporting()), ("nodejs", exporting_node())):
        path = DIST / f"spillway-{name}.zip"
        path.write_bytes(archive)
        sys.stdout.write(f"{path.relative_to(HERE.parent)}\n")


if __name__ == "__main__":
    main()
