"""Rotation over two aliases of a function that accepts one value.

The alias that nobody calls gets a version with the new value. Then each gateway changes address and
value in one call, so that no request meets one without the other, and the handler stays as it is.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from streams.aws.functions import UrlConfig
from streams.aws.urls import moved
from streams.rotation.environment import Function, FunctionEnvironment, Pair
from streams.rotation.probing import Ask, Probe, Verdict
from streams.rotation.problems import DriftError, UnfitError
from streams.rotation.run import Run, Wait
from streams.rotation.senders import GatewaySender
from streams.rotation.steps import (
    LOOK,
    Versions,
    check_current,
    prove_gateways,
    refuses_others,
    tell_of_others,
)


@dataclass(frozen=True)
class AliasPair:
    """Which of two aliases takes which value: found by the preflight, and noted.

    `in_use` is the alias of the current value, empty where no rotation has told yet; `addresses`
    are those by which our endpoints call the function, as they are registered.
    """

    function: Function
    variable: str
    aliases: tuple[str, str]
    ask: Ask
    header: str
    in_use: str
    addresses: Sequence[str]

    def find(self, run: Run, gateways: Sequence[GatewaySender]) -> None:
        """Notes which alias is in use. Raises `UnfitError` where callers do not agree on one."""
        urls = {alias: config.url for alias in self.aliases if (config := self.function.url(alias))}
        # Endpoints stay as they were registered, and are led to the alias in use.
        uris = [uri for gateway in gateways for uri in gateway.uris()]
        registered = {self._alias_at(address, urls) for address in self.addresses}
        called = {self._alias_at(uri, urls) for uri in uris}
        called |= {self.in_use} if self.in_use else registered
        if "" in called | registered or len(called) > 1:
            raise UnfitError(
                "Gateways and endpoints must all call the function URL of one and the same of the "
                f"aliases {' and '.join(self.aliases)}. They do not."
            )
        old = called.pop() if called else self.aliases[0]
        if old not in urls:
            raise UnfitError(f"The alias {old} has no function URL.")
        new = next(alias for alias in self.aliases if alias != old)
        run.notes.put("pair", {"old": old, "new": new, "current": old})
        run.notes.put("urls", urls)

    def _alias_at(self, address: str, urls: dict[str, str]) -> str:
        """The alias that a URL, or a function's name, leads to; empty for none of them."""
        for alias in self.aliases:
            url = urls.get(alias)
            if address.endswith(f":{alias}") or (url and moved(address, {"": url}, "")):
                return alias
        return ""

    def alias(self, run: Run, value: str) -> str:
        """The one that takes `value`."""
        return str(run.notes.get("pair")[run.label(value)])

    def environment(self, run: Run, value: str, *, like: str) -> FunctionEnvironment:
        """That of the alias that takes `value`, to be given what the alias of `like` has."""
        alias, in_use = self.alias(run, value), self.alias(run, like)
        return FunctionEnvironment(self.function, self.variable, alias, like=in_use)

    def called(self, run: Run, gateways: Sequence[GatewaySender]) -> FunctionEnvironment:
        """That of the alias in use. Raises `UnfitError`, as `find` does."""
        self.find(run, gateways)
        return FunctionEnvironment(self.function, self.variable, self.alias(run, run.old))

    def holds_new(self, run: Run) -> bool:
        """Whether the alias of the new value has it, as far as AWS tells."""
        return self.environment(run, run.new, like=run.old).has(Pair(run.new))

    def probe(self, run: Run, value: str) -> Probe:
        """Asks the alias that takes `value`."""
        return Probe(self.ask, run.notes.get("urls")[self.alias(run, value)], self.header)

    def uri(self, run: Run, uri: str, value: str) -> str:
        """`senders.Places`."""
        there = moved(uri, run.notes.get("urls"), self.alias(run, value))
        if there is None:
            raise DriftError("A gateway calls neither of the two aliases.")
        return there

    def open(self, run: Run) -> Wait | None:
        """One action towards an idle alias that can be called as the other one can."""
        idle = self.alias(run, run.new)
        like = self.function.url(self.alias(run, run.old))
        if like is None:
            raise DriftError("The alias in use has no function URL any more.")
        held = self.function.url(idle)
        if held is None:
            self.function.add_url(idle, like=like)
            run.say(f"{self.function.name}: the alias {idle} has got a function URL.")
            return Wait(LOOK, "The function URL is being made.")
        _check_alike(idle, held, like)
        if held.auth_type == "NONE":
            for statement in self.function.missing_statements(idle):
                self.function.permit(statement, idle)
                run.say(f"{self.function.name}: {statement.action} of {idle} is permitted.")
        run.notes.put("urls", {self.alias(run, run.old): like.url, idle: held.url})
        return None


def _check_alike(idle: str, held: UrlConfig, like: UrlConfig) -> None:
    if (held.auth_type, held.invoke_mode) != (like.auth_type, like.invoke_mode):
        raise UnfitError(
            f"The function URL of the alias {idle} is {held.auth_type} and {held.invoke_mode}, and "
            f"that of the other alias {like.auth_type} and {like.invoke_mode}. Make them alike."
        )


@dataclass(frozen=True)
class PairPreflight:
    """Nothing is changed before everything is as it should be."""

    pair: AliasPair
    gateways: list[GatewaySender]
    name: str = "preflight"

    def do(self, run: Run) -> Wait | None:
        for gateway in self.gateways:
            gateway.check(run)
        self.pair.find(run, self.gateways)
        self.pair.environment(run, run.new, like=run.old).check(run)
        wait = check_current(run, self.pair.probe(run, run.old))
        if wait is None:
            tell_of_others(run, self.gateways)
        return wait

    def undo(self, run: Run) -> Wait | None:
        return None


@dataclass(frozen=True)
class Prepare:
    """The idle alias accepts the new value, at an address of its own that nobody calls yet."""

    pair: AliasPair
    versions: Versions
    name: str = "prepare alias"

    def do(self, run: Run) -> Wait | None:
        environment = self.pair.environment(run, run.new, like=run.old)
        wait = environment.bring(run, Pair(run.new)) or self.pair.open(run)
        if wait is None:
            held = run.notes.get("pair")
            self.versions.place(old=held["old"], new=held["new"], urls=run.notes.get("urls"))
        return wait

    def undo(self, run: Run) -> Wait | None:
        # Nobody calls it: its old execution environments are not waited for.
        environment = self.pair.environment(run, run.new, like=run.old)
        return environment.take_back(run, settle=False)


@dataclass(frozen=True)
class ProveIdle:
    """The idle alias was asked, and accepts the new value and no other."""

    pair: AliasPair
    name: str = "prove alias"

    def do(self, run: Run) -> Wait | None:
        probe = self.pair.probe(run, run.new)
        alias = self.pair.alias(run, run.new)
        if not probe.all_say(Verdict.ACCEPTED, run.new):
            return Wait(LOOK, f"The alias {alias} does not accept the new value each time.")
        wait = refuses_others(probe)
        if wait is None:
            run.say(f"The alias {alias} accepts the new value and refuses another.")
        return wait

    def undo(self, run: Run) -> Wait | None:
        return None


@dataclass(frozen=True)
class RetireAlias:
    """The alias of the old value accepts the new one alone, and is the idle one from now on."""

    pair: AliasPair
    name: str = "retire"

    def do(self, run: Run) -> Wait | None:
        environment = self.pair.environment(run, run.old, like=run.new)
        return environment.bring(run, Pair(run.new))

    def undo(self, run: Run) -> Wait | None:
        raise NotImplementedError("From here a rotation goes only forward.")


@dataclass(frozen=True)
class ProvePair:
    """The old value is refused by both aliases, and the new one accepted wherever it comes from."""

    pair: AliasPair
    gateways: list[GatewaySender]
    name: str = "prove new"

    def do(self, run: Run) -> Wait | None:
        if not self.pair.probe(run, run.new).all_say(Verdict.ACCEPTED, run.new):
            return Wait(LOOK, "The function does not accept the new value each time.")
        for value in (run.old, run.new):
            if not self.pair.probe(run, value).all_say(Verdict.REFUSED, run.old):
                return Wait(LOOK, "The function does not refuse the old value each time.")
        return prove_gateways(run, self.gateways)

    def undo(self, run: Run) -> Wait | None:
        return None
