"""What is in a folder of Terraform's files, made in the order of its references."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any, Protocol

from tests.functions.terraform.hcl import (
    Address,
    Block,
    Names,
    Node,
    TerraformError,
    listed,
    parsed,
    references,
    steps,
    value,
)

FOLDER = Path(__file__).resolve().parents[3] / "functions" / "templates" / "terraform"
TYPES = {"string": str, "bool": bool}
# What a block says to Terraform, and not to the provider.
META = {"count", "for_each", "depends_on"}

Arguments = dict[str, Any]


def files() -> str:
    """All of them, as one."""
    return "\n".join(path.read_text() for path in sorted(FOLDER.glob("*.tf")))


class Maker(Protocol):
    """Arguments are as in the files; a block is a list of dicts. Unknown ones raise."""

    def look(self, kind: str, arguments: Arguments) -> dict[str, Any]:
        """The attributes of a data source."""

    def make(self, kind: str, arguments: Arguments) -> dict[str, Any]:
        """Makes a resource; its attributes, arguments among them."""

    def read(self, kind: str, made: dict[str, Any]) -> Arguments:
        """Those of its arguments that may be otherwise by now, as they are."""


@dataclass(frozen=True)
class Resource:
    """One that was made. `ignored` are paths of arguments."""

    address: Address
    arguments: Arguments
    attributes: dict[str, Any]
    ignored: tuple[Address, ...]


@dataclass
class Stack:
    """What has been made, and what the outputs say."""

    maker: Maker
    resources: list[Resource] = field(default_factory=list)
    outputs: dict[str, Any] = field(default_factory=dict)

    def changes(self) -> set[str]:
        """The arguments that a further `terraform apply` would put back."""
        return {
            f"{'.'.join(one.address)}: {path[0]}"
            for one in self.resources
            for path in self._changed(one)
            if not any(path[: len(ignored)] == ignored for ignored in one.ignored)
        }

    def _changed(self, resource: Resource) -> Iterator[Address]:
        found = self.maker.read(resource.address[0], resource.attributes)
        there = dict(_flat(found))
        wanted = dict(_flat({name: resource.arguments.get(name) for name in found}))
        yield from (path for path in there | wanted if there.get(path) != wanted.get(path))


class Configuration:
    """`parts` are locals, data sources and resources, which a test may change."""

    def __init__(self, text: str) -> None:
        self.variables: dict[str, Block] = {}
        self.outputs: dict[str, Block] = {}
        self.parts: dict[Address, Block] = {}
        for block in parsed(text).blocks:
            self._add(block)

    def _add(self, block: Block) -> None:
        if block.kind == "variable":
            self.variables[block.labels[0]] = block
        elif block.kind == "output":
            self.outputs[block.labels[0]] = block
        elif block.kind == "locals":
            for name, node in block.attributes.items():
                self.parts["local", name] = Block("local", attributes={"value": node})
        elif block.kind in {"data", "resource"}:
            before = ("data",) if block.kind == "data" else ()
            self.parts[*before, *block.labels] = block
        elif block.kind != "terraform":
            raise TerraformError(f"{block.kind} is not known here")

    def unused(self) -> set[Address]:
        """Variables, locals and data sources that nothing refers to."""
        named = {one for block in self._blocks() for one in block.references()}
        there: set[Address] = {("var", name) for name in self.variables}
        there |= {one for one in self.parts if one[0] in {"local", "data"}}
        return there - named

    def apply(self, maker: Maker, **variables: Any) -> Stack:
        """Makes all of it, once."""
        stack = Stack(maker)
        names: dict[str, Any] = {"var": self._variables(variables), "local": {}, "data": {}}
        for address in self._order():
            block = self.parts[address]
            if block.kind == "local":
                names["local"][address[1]] = value(block.attributes["value"], names)
            elif block.kind == "data":
                _, kind, name = address
                found = maker.look(kind, _arguments(block, names))
                names["data"].setdefault(kind, {})[name] = found
            else:
                kind, name = address
                names.setdefault(kind, {})[name] = _made(stack, address, block, names)
        stack.outputs = {name: _output(block, names) for name, block in self.outputs.items()}
        self._check_sensitive(stack.outputs, names["var"])
        return stack

    def _blocks(self) -> Iterator[Block]:
        yield from self.parts.values()
        yield from self.outputs.values()

    def _variables(self, given: Mapping[str, Any]) -> dict[str, Any]:
        if surplus := given.keys() - self.variables.keys():
            raise TerraformError(f"there is no variable {min(surplus)}")
        found = {name: _variable(name, block, given) for name, block in self.variables.items()}
        for block in self.variables.values():
            for rule in block.blocks:
                _only(rule, "validation", {"condition", "error_message"})
                if not value(rule.attributes["condition"], {"var": found}):
                    raise TerraformError(value(rule.attributes["error_message"], {}))
        return found

    def _check_sensitive(self, outputs: Mapping[str, Any], variables: Mapping[str, Any]) -> None:
        for name, block in self.variables.items():
            if "sensitive" in block.attributes and variables[name] in str(outputs):
                raise TerraformError(f"an output has the sensitive {name}")

    def _order(self) -> list[Address]:
        """Each after all that it refers to, in whichever branch, and no later than it must.

        So what ought to name another in `depends_on`, and does not, is made before it.
        """
        there = self.parts.keys() | {("var", name) for name in self.variables}
        for block in self._blocks():
            if missing := {one for one in block.references() if _global(one)} - there:
                raise TerraformError(f"there is no {'.'.join(min(missing))}")
        graph = {one: block.references() & self.parts.keys() for one, block in self.parts.items()}
        self._check_numbers(graph)
        try:
            return list(TopologicalSorter(graph).static_order())
        except CycleError as exc:
            raise TerraformError(f"a circle: {exc.args[1]}") from exc

    def _check_numbers(self, graph: Mapping[Address, set[Address]]) -> None:
        """A plan must say how many there will be, before anything is made."""

        def resources(address: Address) -> bool:
            return self.parts[address].kind == "resource" or any(map(resources, graph[address]))

        for address, block in self.parts.items():
            for name in ("count", "for_each"):
                node = block.attributes.get(name)
                named = set(references(node)) & self.parts.keys() if node else set()
                if block.kind == "resource" and any(map(resources, named)):
                    raise TerraformError(f"{'.'.join(address)}: {name} is not known in a plan")


def _global(address: Address) -> bool:
    return address[0] in {"var", "local", "data"} or address[0].startswith("aws_")


def _only(block: Block, kind: str, attributes: set[str]) -> None:
    if block.kind != kind or not block.attributes.keys() <= attributes:
        raise TerraformError(f"not known here: {block.kind} with {sorted(block.attributes)}")


def _variable(name: str, block: Block, given: Mapping[str, Any]) -> Any:
    _only(block, "variable", {"type", "description", "default", "sensitive"})
    if name in given:
        held = given[name]
    elif "default" in block.attributes:
        held = value(block.attributes["default"], {})
    else:
        raise TerraformError(f"the variable {name} has no value")
    if not isinstance(held, value(block.attributes["type"], TYPES)):
        raise TerraformError(f"the variable {name} is not of its type")
    return held


def _output(block: Block, names: Names) -> Any:
    _only(block, "output", {"description", "value"})
    return value(block.attributes["value"], names)


def _made(stack: Stack, address: Address, block: Block, names: Names) -> Any:
    """The attributes of one resource; as a list with `count`, and by key with `for_each`."""
    if "count" in block.attributes:
        number = value(block.attributes["count"], names)
        return [_one(stack, address, block, names) for _ in range(number)]
    if "for_each" not in block.attributes:
        return _one(stack, address, block, names)
    keys = value(block.attributes["for_each"], names)
    if not isinstance(keys, frozenset):
        raise TerraformError(f"{'.'.join(address)}: for_each of a set alone is known here")
    return {
        key: _one(stack, address, block, {**names, "each": {"key": key}}) for key in sorted(keys)
    }


def _one(stack: Stack, address: Address, block: Block, names: Names) -> dict[str, Any]:
    arguments = _arguments(block, names)
    try:
        attributes = stack.maker.make(address[0], arguments)
    except TypeError as exc:
        raise TerraformError(f"{'.'.join(address)}: {exc}") from exc
    ignored = _ignored(block)
    if unknown := {path[0] for path in ignored} - arguments.keys():
        raise TerraformError(f"{'.'.join(address)} ignores {min(unknown)}, which it has not")
    stack.resources.append(Resource(address, arguments, attributes, ignored))
    return attributes


def _arguments(block: Block, names: Names) -> Arguments:
    """Without those that are null."""
    nodes = {name: node for name, node in block.attributes.items() if name not in META}
    found = {name: value(node, names) for name, node in nodes.items()}
    for inner in block.blocks:
        if inner.kind == "lifecycle":
            continue
        label = inner.labels[0] if inner.kind == "dynamic" else inner.kind
        found.setdefault(label, []).extend(_repeated(inner, names))
    return {name: held for name, held in found.items() if held is not None}


def _repeated(block: Block, names: Names) -> Iterator[Arguments]:
    """A block, or what a dynamic one stands for. That its content names its turn is not known."""
    if block.kind != "dynamic":
        yield _arguments(block, names)
        return
    _only(block, "dynamic", {"for_each"})
    (content,) = block.blocks
    for _ in value(block.attributes["for_each"], names):
        yield _arguments(content, names)


def _ignored(block: Block) -> tuple[Address, ...]:
    found: list[Node] = []
    for rule in (one for one in block.blocks if one.kind == "lifecycle"):
        _only(rule, "lifecycle", {"ignore_changes", "create_before_destroy"})
        if "ignore_changes" in rule.attributes:
            found += listed(rule.attributes["ignore_changes"])
    return tuple(steps(node) for node in found)


def _flat(held: Any, path: Address = ()) -> Iterator[tuple[Address, Any]]:
    """Each single value by where it stands."""
    if isinstance(held, dict | list):
        pairs = held.items() if isinstance(held, dict) else enumerate(held)
        for step, one in pairs:
            yield from _flat(one, (*path, str(step)))
    elif held is not None:
        yield path, held
