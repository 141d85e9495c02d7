"""The values that a function accepts: its environment, as its callers meet it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from streams.aws.functions import Alias, Configuration, Statement, UrlConfig
from streams.rotation.problems import DriftError, UnfitError
from streams.rotation.run import Run, Wait

# Seconds between two looks at an update.
LOOK = 1.0


class Function(Protocol):
    """`aws.functions.Function`, or a model of it."""

    @property
    def name(self) -> str: ...
    def read(self, qualifier: str = "") -> Configuration: ...
    def write(self, variables: Mapping[str, str], *, revision_id: str) -> Configuration: ...
    def publish(self, *, revision_id: str, code_sha256: str) -> Configuration: ...
    def alias(self, name: str) -> Alias: ...
    def move_alias(self, name: str, *, version: str, revision_id: str) -> None: ...
    def url(self, qualifier: str = "") -> UrlConfig | None: ...
    def add_url(self, qualifier: str, *, like: UrlConfig) -> None: ...
    def missing_statements(self, qualifier: str = "") -> list[Statement]: ...
    def permit(self, statement: Statement, qualifier: str = "") -> None: ...


@dataclass(frozen=True)
class Pair:
    """What the two variables hold; `following` is empty where there is no second value."""

    value: str = field(repr=False)
    following: str = field(repr=False, default="")


@dataclass(frozen=True)
class FunctionEnvironment:
    """`variable` and `<variable>_NEXT` of a function; with `alias`, of the version it points at.

    `like` is the alias that callers use, where `alias` is not that one: what may be released to
    `alias` is what `like` has. With `begins` there may be no value yet.
    """

    function: Function
    variable: str
    alias: str = ""
    like: str = ""
    begins: bool = False

    def check(self, run: Run) -> None:
        """Raises where a rotation could not go on, or would overwrite what somebody else wrote."""
        latest = self.function.read()
        self._check_ours(latest, run)
        if not self.alias:
            return
        for name in filter(None, (self.alias, self.like)):
            if self.function.alias(name).weighted:
                raise UnfitError(
                    f"The alias {name} sends a share of its requests to another version, which "
                    "would keep its value. Give it one version."
                )
        in_use = self.function.read(self._in_use)
        self._check_ours(in_use, run)
        if found := self._unreleased(latest, in_use):
            raise UnfitError(
                f"$LATEST has {found} that the alias {self._in_use} does not have: a new "
                "version would release it. Release it or take it back first."
            )

    def bring(self, run: Run, wanted: Pair, *, settle: bool = True) -> Wait | None:
        """One action towards an environment that holds `wanted` and nothing older.

        None where it does, and with `settle` has for as long as old execution environments live.
        """
        latest = self.function.read()
        if latest.update_status == "InProgress":
            return Wait(LOOK, "The function is being updated.")
        self._check_ours(latest, run)
        if self._pair(latest) != wanted or latest.update_status == "Failed":
            self._write(run, latest, wanted)
            return Wait(LOOK, "The function is being updated.")
        wait = self._release(run, latest, wanted) if self.alias else None
        if wait or not settle:
            return wait
        return run.since(
            self._settled(run, wanted),
            run.waits.settle,
            "Execution environments with the variables from before come to an end.",
        )

    def take_back(self, run: Run, *, settle: bool = True) -> Wait | None:
        """The same towards the old value alone, which no late call of ours changes any more."""
        if wait := self.bring(run, Pair(run.old), settle=settle):
            return wait
        written = run.notes.get("written")
        left = 0.0 if written is None else written + run.waits.drain - run.clock()
        return Wait(left, "A call that was given up may still arrive.") if left > 0 else None

    def has(self, wanted: Pair) -> bool:
        """Whether callers meet `wanted`, as far as AWS tells."""
        latest = self.function.read()
        served = self.function.read(self.alias) if self.alias else latest
        return self._pair(latest) == self._pair(served) == wanted

    def _pair(self, configuration: Configuration) -> Pair:
        variables = configuration.variables
        return Pair(variables.get(self.variable, ""), variables.get(f"{self.variable}_NEXT", ""))

    def differences(self, value: str) -> Iterator[str]:
        """How it differs from a function that accepts `value` alone, in sentences."""
        for qualifier in dict.fromkeys(("", self.alias)):
            configuration = self.function.read(qualifier)
            held, where = self._pair(configuration), _where(configuration)
            if held.value != value:
                what = "another than the current value" if held.value else "no value"
                yield f"{self.variable} in {where} holds {what}."
            if held.following:
                yield f"{self.variable}_NEXT in {where} is left over."

    def admit_found(self, run: Run) -> Wait | None:
        """Has it accept the current value, and whatever value it accepted until now."""
        found = self._pair(self.function.read(self.alias))
        if found.value == run.old:
            return self.bring(run, found)
        return self.bring(run, Pair(run.old, found.value))

    def _check_ours(self, configuration: Configuration, run: Run) -> None:
        if run.repairs:
            return
        held = self._pair(configuration)
        ours = {run.old, run.new} - {""}
        where = _where(configuration)
        if not held.value and not self.begins:
            raise DriftError(f"{self.variable} is not set in {where}.")
        if held.value and held.value not in ours:
            raise DriftError(
                f"{self.variable} in {where} holds a value that is none of this secret's."
            )
        if held.following and held.following not in ours:
            raise DriftError(
                f"{self.variable}_NEXT in {where} holds a value that is none of this secret's."
            )

    def _write(self, run: Run, latest: Configuration, wanted: Pair) -> None:
        names = (self.variable, f"{self.variable}_NEXT")
        pair = {name: text for name, text in zip(names, _texts(wanted), strict=True) if text}
        run.notes.drop("function ")
        run.notes.put("written", run.clock())
        self.function.write(self._others(latest) | pair, revision_id=latest.revision_id)
        run.say(f"{self.function.name}: {self.variable} holds the {_told(run, wanted)}.")

    def _release(self, run: Run, latest: Configuration, wanted: Pair) -> Wait | None:
        alias = self.function.alias(self.alias)
        served = self.function.read(self.alias)
        in_use = self.function.read(self.like) if self.like else served
        self._check_ours(in_use, run)
        if self._pair(served) == wanted:
            return None
        if found := self._unreleased(latest, in_use):
            raise DriftError(f"$LATEST has got {found} that the alias {self._in_use} lacks.")
        run.notes.drop("function ")
        # AWS makes no second version of the same code and configuration: it answers with the first.
        version = self.function.publish(
            revision_id=latest.revision_id, code_sha256=latest.code_sha256
        )
        if version.state != "Active" or version.update_status == "InProgress":
            return Wait(LOOK, f"Version {version.version} is being prepared.")
        self.function.move_alias(self.alias, version=version.version, revision_id=alias.revision_id)
        run.say(f"{self.function.name}: the alias {self.alias} has version {version.version}.")
        return Wait(LOOK, "The alias is being moved.")

    @property
    def _in_use(self) -> str:
        return self.like or self.alias

    def _unreleased(self, latest: Configuration, in_use: Configuration) -> str:
        """What `$LATEST` has, beside our own variables, and callers do not get yet."""
        if latest.code_sha256 != in_use.code_sha256:
            return "code"
        one, other = (self._others(configuration) for configuration in (latest, in_use))
        names = {name for name, _ in one.items() ^ other.items()}
        return f"variables ({', '.join(sorted(names))})" if names else ""

    def _others(self, configuration: Configuration) -> dict[str, str]:
        """The variables that are none of ours."""
        ours = (self.variable, f"{self.variable}_NEXT")
        return {name: text for name, text in configuration.variables.items() if name not in ours}

    def _settled(self, run: Run, wanted: Pair) -> str:
        held = " ".join(run.label(text) for text in _texts(wanted) if text)
        return f"function {self.alias} {held}"


def _where(configuration: Configuration) -> str:
    return f"version {configuration.version} of the function"


def _texts(pair: Pair) -> tuple[str, str]:
    return pair.value, pair.following


def _told(run: Run, pair: Pair) -> str:
    labels = [run.label(text) for text in _texts(pair) if text]
    return f"{' and the '.join(labels)} value{'s' if len(labels) > 1 else ''}"
