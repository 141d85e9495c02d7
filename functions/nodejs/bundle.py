"""Puts the function into a zip file: `python3 functions/nodejs/bundle.py export.zip`.

The same sources give the same bytes, so that a deployment can see that nothing has changed. Needs
nothing but Python; the function needs nothing but what Lambda's Node.js brings.
"""

import sys
import zipfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
# The earliest that a zip file can say.
WRITTEN = (1980, 1, 1, 0, 0, 0)
READABLE = 0o644 << 16


def sources() -> list[Path]:
    """What is deployed, in the order in which it is packed."""
    return [HERE / "app.mjs", *sorted((HERE / "spillway-lambda").glob("*.mjs"))]


def write(target: Path) -> None:
    """Writes the zip file to `target`, over what stands there."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for source in sources():
            entry = zipfile.ZipInfo(source.relative_to(HERE).as_posix(), WRITTEN)
            entry.external_attr = READABLE
            entry.compress_type = zipfile.ZIP_DEFLATED
            # The system that it is made on would stand in it otherwise.
            entry.create_system = 3
            archive.writestr(entry, source.read_bytes())


if __name__ == "__main__":
    write(Path(sys.argv[1] if len(sys.argv) > 1 else HERE / "export.zip"))
