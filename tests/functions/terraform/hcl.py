"""What Terraform's language says, as python-hcl2 reads it, with values for its expressions."""

import base64
import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import hcl2
from lark import Token, Tree

Node = Tree[Token]
Names = Mapping[str, Any]
# What a block or an expression is about: `var.x`, `local.x`, `data.kind.name`, `aws_kind.name`.
Address = tuple[str, ...]


class TerraformError(Exception):
    """The files say what Terraform refuses, or what is not known here."""


@dataclass
class Block:
    """`kind "label" … { … }`. Expressions have no value yet."""

    kind: str
    labels: tuple[str, ...] = ()
    attributes: dict[str, Node] = field(default_factory=dict)
    blocks: list["Block"] = field(default_factory=list)

    def references(self) -> set[Address]:
        """All that it names, in whichever branch of a condition."""
        found = {one for node in self.attributes.values() for one in references(node)}
        # Rules about a block's life name its own arguments.
        inner = (block for block in self.blocks if block.kind != "lifecycle")
        return found.union(*(block.references() for block in inner))


def parsed(text: str) -> Block:
    """The whole file as a block without a kind."""
    (body,) = _parts(hcl2.parses_to_tree(text))
    return _block("", (), body)


def _block(kind: str, labels: tuple[str, ...], body: Node) -> Block:
    made = Block(kind, labels)
    for part in _parts(body):
        if part.data == "attribute":
            name, expression = _parts(part)
            made.attributes[_text(name)] = expression
        else:
            first, *names, inner = _parts(part)
            named = tuple(_text(one).strip('"') for one in names)
            made.blocks.append(_block(_text(first), named, inner))
    return made


def _parts(node: Node) -> list[Node]:
    """Without tokens, and without comments."""
    trees = [one for one in node.children if isinstance(one, Tree)]
    return [one for one in trees if one.data != "new_line_or_comment"]


def _text(node: Node) -> str:
    return "".join(str(one) for one in node.scan_values(lambda one: isinstance(one, Token)))


def references(node: Node) -> Iterator[Address]:
    """The addresses that stand in an expression."""
    for part in node.iter_subtrees():
        path = names_in(part)
        if len(path) > 1 and len(path) == (3 if path[0] == "data" else 2):
            yield path


def names_in(node: Node) -> Address:
    """`a.b[0].c["d"]` as `a`, `b`, `c`, and nothing where it is no such path."""
    kind, parts = node.data, _parts(node)
    if kind == "identifier":
        return (_text(node),)
    if kind in {"expr_term", "index_expr_term"}:
        return names_in(parts[0])
    if kind != "get_attr_expr_term":
        return ()
    before, (name,) = names_in(parts[0]), _parts(parts[1])
    return (*before, _text(name)) if before else ()


def listed(node: Node) -> list[Node]:
    """The members of a list that stands there as such."""
    (members,) = _parts(node)
    if members.data != "tuple":
        raise TerraformError(f"not known here: {_text(node)}")
    return _parts(members)


def steps(node: Node) -> Address:
    """`a[0].b["c"]` as `a`, `0`, `b`, `c`."""
    parts = _parts(node)
    if node.data == "identifier":
        return (_text(node),)
    if node.data == "expr_term":
        return steps(parts[0])
    if node.data not in {"get_attr_expr_term", "index_expr_term"}:
        raise TerraformError(f"not known here: {_text(node)}")
    (last,) = _parts(parts[1])
    step = _text(last) if node.data == "get_attr_expr_term" else str(value(last, {}))
    return (*steps(parts[0]), step)


def value(node: Node, names: Names) -> Any:
    """What an expression is worth: an object or a map is a dict, and a set a frozenset.

    `names` are those that it may begin with, as `var` and `each`.
    """
    return _Worth(names).of(node)


class _Worth:
    """A method for each rule of the grammar that is needed."""

    def __init__(self, names: Names) -> None:
        self._names = names

    def of(self, node: Node) -> Any:
        method: Callable[[Node], Any] | None = getattr(self, f"_{node.data}", None)
        if method is None:
            raise TerraformError(f"{node.data} is not known here: {_text(node)}")
        return method(node)

    def _each(self, node: Node) -> list[Any]:
        return [self.of(one) for one in _parts(node)]

    def _expr_term(self, node: Node) -> Any:
        (inner,) = _parts(node)
        return self.of(inner)

    def _identifier(self, node: Node) -> Any:
        return _at(self._names, _text(node))

    def _literal_value(self, node: Node) -> bool | None:
        return {"true": True, "false": False, "null": None}[_text(node)]

    def _int_lit(self, node: Node) -> int:
        return int(_text(node))

    def _string(self, node: Node) -> Any:
        parts = [self.of(one) for one in _parts(node)]
        if len(parts) == 1:
            return parts[0]
        if not all(isinstance(one, str) for one in parts):
            raise TerraformError(f"only texts become part of a text here: {_text(node)}")
        return "".join(parts)

    def _string_part(self, node: Node) -> Any:
        (part,) = node.children
        return self.of(part) if isinstance(part, Tree) else json.loads(f'"{part}"')

    def _interpolation(self, node: Node) -> Any:
        (inner,) = _parts(node)
        return self.of(inner)

    def _tuple(self, node: Node) -> list[Any]:
        return self._each(node)

    def _object(self, node: Node) -> dict[str, Any]:
        pairs = [_parts(element) for element in _parts(node)]
        return {self._key(key): self.of(held) for key, held in pairs}

    def _key(self, node: Node) -> str:
        (inner,) = _parts(node)
        bare = names_in(inner)
        return bare[0] if len(bare) == 1 else str(self.of(inner))

    def _get_attr_expr_term(self, node: Node) -> Any:
        of, attribute = _parts(node)
        (name,) = _parts(attribute)
        return _at(self.of(of), _text(name))

    def _index_expr_term(self, node: Node) -> Any:
        of, index = _parts(node)
        (key,) = self._each(index)
        return _at(self.of(of), key)

    def _conditional(self, node: Node) -> Any:
        condition, yes, no = _parts(node)
        return self.of(yes if self.of(condition) else no)

    def _unary_op(self, node: Node) -> bool:
        operator, operand = node.children
        if str(operator) != "!" or not isinstance(operand, Tree):
            raise TerraformError(f"not known here: {_text(node)}")
        return not self.of(operand)

    def _binary_op(self, node: Node) -> bool:
        left, term = _parts(node)
        operator, right = _parts(term)
        return bool(_at(_OPERATORS, _text(operator))(self.of(left), self.of(right)))

    def _for_tuple_expr(self, node: Node) -> list[Any]:
        intro, each = _parts(node)
        name, over = _parts(intro)
        held = self.of(over)
        return [
            value(each, {**self._names, _text(name): one})
            for one in (held.values() if isinstance(held, dict) else held)
        ]

    def _function_call(self, node: Node) -> Any:
        name, *given = _parts(node)
        arguments = _parts(given[0]) if given else []
        if _text(name) == "can":
            return self._can(*arguments)
        return _at(_FUNCTIONS, _text(name))(*(self.of(one) for one in arguments))

    def _can(self, node: Node) -> bool:
        try:
            self.of(node)
        except NoMatchError:
            return False
        return True


class NoMatchError(TerraformError):
    """What `regex` looks for is not there."""


def _at(held: Any, key: Any) -> Any:
    try:
        return held[key]
    except (KeyError, IndexError, TypeError) as exc:
        raise TerraformError(f"there is no {key}") from exc


def _regex(pattern: str, text: str) -> str:
    found = re.search(pattern, text)
    if found is None:
        raise NoMatchError(pattern)
    return found[0]


def _merge(*objects: dict[str, Any]) -> dict[str, Any]:
    return {name: held for one in objects for name, held in one.items()}


def _file_digest(path: str) -> str:
    return base64.b64encode(hashlib.sha256(Path(path).read_bytes()).digest()).decode()


_OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "==": lambda left, right: left == right,
    "||": lambda left, right: left or right,
}
_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "contains": lambda held, one: one in held,
    "filebase64sha256": _file_digest,
    "merge": _merge,
    "regex": _regex,
    "substr": lambda text, first, length: text[first : first + length],
    "toset": frozenset,
}
