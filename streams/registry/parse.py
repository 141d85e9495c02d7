"""From the text of a registry file to its form, with errors that name line and key."""

from collections.abc import Iterator, Sequence
from typing import Any

import yaml
from pydantic import ValidationError

from portal import wanted
from streams.registry.spec import RegistrySpec

LARGEST = 1024 * 1024
# An alias that is expanded again and again can make a small file very large.
MOST_ALIASES = 100


class RegistryError(Exception):
    """The file is wrong; each line says where, and what was expected."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class _Loader(yaml.SafeLoader):
    """Refuses a key that stands twice: the second would silently win."""

    aliases = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            self.aliases += 1
            if self.aliases > MOST_ALIASES:
                raise RegistryError([f"expected at most {MOST_ALIASES} aliases"])
        return super().compose_node(parent, index)

    def construct_object(self, node: Any, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except ValueError:
            # What looks like a date or a number is made into one, be it the 13th month.
            line = node.start_mark.line + 1
            raise RegistryError(
                [f"line {line}: expected a date or number that there is, or text in quotes"]
            ) from None

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        seen = set()
        for key_node, _ in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":
                line = key_node.start_mark.line + 1
                raise RegistryError([f"line {line}: expected keys written out, not merged with <<"])
            key = self.construct_object(key_node, deep=True)
            line = key_node.start_mark.line + 1
            if not isinstance(key, str):
                raise RegistryError([f"line {line}: expected text as a key"])
            if key in seen:
                raise RegistryError([f"line {line}: {key} stands twice"])
            seen.add(key)
        return super().construct_mapping(node, deep)


def parse(text: str) -> RegistrySpec:
    """Raises `RegistryError` with all problems at once."""
    if len(text.encode()) > LARGEST:
        raise RegistryError(["expected a file of at most 1 MiB"])
    node, data = _load(text)
    if not isinstance(data, dict):
        raise RegistryError(["line 1: expected keys: version, secrets, endpoints"])
    try:
        spec = RegistrySpec.model_validate(data)
    except ValidationError as exc:
        raise RegistryError(list(_sentences(exc, node))) from None
    if problems := _twice(spec, node):
        raise RegistryError(problems)
    return spec


def _load(text: str) -> tuple[Any, Any]:
    try:
        loader = _Loader(text)
    except yaml.reader.ReaderError as exc:
        line = text.count("\n", 0, exc.position) + 1
        raise RegistryError([f"line {line}: expected text without control characters"]) from None
    node = None
    try:
        node = loader.get_single_node()
        return node, loader.construct_document(node) if node else None
    except yaml.MarkedYAMLError as exc:
        line = exc.problem_mark.line + 1 if exc.problem_mark else 1
        raise RegistryError([f"line {line}: {exc.problem}"]) from None
    except RecursionError:
        where = "" if node else f"line {loader.line + 1}: "
        raise RegistryError([f"{where}expected YAML with fewer parts within parts"]) from None
    except (yaml.YAMLError, ValueError) as exc:
        raise RegistryError([f"expected YAML ({type(exc).__name__})"]) from None
    finally:
        loader.dispose()


def _sentences(exc: ValidationError, root: Any) -> Iterator[str]:
    """One for each place. What may be of several forms has an error for each of them."""
    phrases: dict[tuple[Any, ...], list[str]] = {}
    for problem in exc.errors(include_input=False, include_url=False):
        path = tuple(step for step in problem["loc"] if step not in _UNION_STEPS)
        phrases.setdefault(path, []).append(_OF_KEYS.get(problem["type"]) or wanted.phrase(problem))
    for path, found in phrases.items():
        # What is in a list is meant to be one: then no other form is told.
        if any(len(path) < len(one) and one[: len(path)] == path for one in phrases):
            continue
        text = found[0] if found[0] in _OF_KEYS.values() else f"expected {' or '.join(found)}"
        yield f"line {_line(root, path)}: {_shown(path)}: {text}"


# What is no matter of the value.
_OF_KEYS = {"extra_forbidden": "unknown key", "missing": "expected, but missing"}


# pydantic names the members of a union as steps; a reader of the file knows nothing of them.
_UNION_STEPS = {"list[constrained-str]", "literal['*']"}


def _line(node: Any, path: Sequence[Any]) -> int:
    """The line of the innermost part of `path` that is there."""
    line = node.start_mark.line
    for step in path:
        if isinstance(node, yaml.MappingNode):
            found = [(k, v) for k, v in node.value if k.value == step]
            if not found:
                break
            line, node = found[0][0].start_mark.line, found[0][1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(step, int):
            if step >= len(node.value):
                break
            node = node.value[step]
            line = node.start_mark.line
        else:
            break
    return int(line) + 1


def _shown(path: Sequence[Any]) -> str:
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return text.removeprefix(".") or "the file"


def _twice(spec: RegistrySpec, root: Any) -> list[str]:
    problems = []
    for part, key, names in (
        ("secrets", "name", [secret.name for secret in spec.secrets]),
        ("endpoints", "slug", [endpoint.slug for endpoint in spec.endpoints]),
    ):
        for index, name in enumerate(names):
            if name in names[:index]:
                path = [part, index, key]
                problems.append(f"line {_line(root, path)}: {_shown(path)}: {name} stands twice")
    return problems
