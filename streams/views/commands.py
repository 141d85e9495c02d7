"""Commands that fetch an export without a browser, to be pasted.

Each takes the token from the variable TOKEN, keeps no error page, and when it is run again goes on
where it stopped.
"""

import re
import shlex
from typing import NamedTuple

# `http.client` takes the end of a connection for the end of a body, whatever length was announced.
_PYTHON = """\
python3 - <<'END'
import os, pathlib, urllib.error, urllib.request
path = pathlib.Path({name!r})
have = path.stat().st_size if path.exists() else 0
fields = {{"Authorization": "Bearer " + os.environ["TOKEN"]}}
if have:
    fields["Range"] = f"bytes={{have}}-"
request = urllib.request.Request({url!r}, headers=fields)
try:
    with urllib.request.urlopen(request) as answer:
        left = answer.length
        with path.open("ab" if answer.status == 206 else "wb") as file:
            while chunk := answer.read(1 << 20):
                file.write(chunk)
                left = left and left - len(chunk)
except urllib.error.HTTPError as problem:
    if not (have and problem.code == 416):
        raise SystemExit(problem.read().decode())
    left = 0
if left:
    raise SystemExit("It was cut off. Run it again for the rest.")
END"""


class Command(NamedTuple):
    tool: str
    text: str


def of(url: str, name: str) -> list[Command]:
    """For each tool, how it saves what is at `url` as `name`."""
    return [
        Command("curl", curl(url, name)),
        Command(
            "wget",
            f"wget --continue --output-document {shlex.quote(name)} \\\n"
            f'  --header "Authorization: Bearer $TOKEN" \\\n'
            f"  {shlex.quote(url)}",
        ),
        Command(
            "PowerShell 7",
            f"Invoke-WebRequest -Resume -OutFile {_powershell(name)} `\n"
            f'  -Headers @{{Authorization = "Bearer $env:TOKEN"}} `\n'
            f"  -Uri {_powershell(url)}",
        ),
        Command("Python", _PYTHON.format(name=name, url=url)),
    ]


def curl(url: str, name: str) -> str:
    # Not `--remote-header-name`: before release 8.7, curl refuses it beside `--continue-at`.
    return (
        f"curl --fail --continue-at - --output {shlex.quote(name)} \\\n"
        f'  --header "Authorization: Bearer $TOKEN" \\\n'
        f"  {shlex.quote(url)}"
    )


def check(sha256: str, name: str) -> str:
    """Says whether the file that was saved is whole."""
    return f"echo {shlex.quote(f'{sha256}  {name}')} | sha256sum --check"


def _powershell(text: str) -> str:
    # To PowerShell, typographic quotes are as good as the plain one.
    doubled = re.sub("['\u2018-\u201b]", r"\g<0>\g<0>", text)
    return f"'{doubled}'"
