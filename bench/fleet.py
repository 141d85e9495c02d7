"""The stacks of a run while they run side by side."""

from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Self

from bench.stacks.base import CannotStartError, Running, Site, Stack

Say = Callable[[str], None]


class Fleet:
    """Starts stacks and stops them, whatever happens in between."""

    def __init__(self, site: Site, stacks: Iterable[Stack], say: Say) -> None:
        self.site = site
        self.skipped: dict[str, str] = {}
        self._stacks = {stack.name: stack for stack in stacks}
        self._running: dict[str, Running] = {}
        self._say = say

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for name in list(self._running):
            self.stop(name)

    @property
    def able(self) -> list[Stack]:
        """The stacks that have not been found unable to run."""
        return [stack for stack in self._stacks.values() if stack.name not in self.skipped]

    def start(self, stack: Stack) -> Running | None:
        """Starts a stack, again if it runs already; None where it cannot, which is remembered."""
        self.stop(stack.name)
        try:
            running = self._running[stack.name] = stack.start(self.site)
        except CannotStartError as exc:
            self.skipped[stack.name] = str(exc)
            self._say(f"[yellow]{stack.name} is skipped: {exc}[/]")
            self._show_log(stack)
            return None
        return running

    def stop(self, name: str) -> None:
        """Ends a stack's processes, if it has any."""
        running = self._running.pop(name, None)
        if running is not None:
            running.stop()

    def get(self, name: str) -> Running | None:
        """The stack as it runs now; None where it does not."""
        return self._running.get(name)

    def cpu(self, name: str) -> float:
        """Seconds of processor time so far; 0 for what has no processes of its own."""
        running = self._running.get(name)
        return sum(child.cpu() for child in running.children) if running else 0.0

    def _show_log(self, stack: Stack) -> None:
        """The last lines of what it said, for whoever runs this; no report contains them."""
        log = self.site.directory / f"{stack.name}.log"
        if log.exists():
            for line in log.read_text(errors="replace").splitlines()[-5:]:
                self._say(f"  {line}".replace("[", r"\["))
