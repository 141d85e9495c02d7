"""Between boto3 and the sandbox: faults by the number of a changing call, whichever it is."""

from tests.rotation.proxy import Call, Fault, Proxy


class CountingProxy(Proxy):
    """`changing` has method and path of each changing call, in their order.

    `faults` are by the number of such a call, from 0; `on_kill` ends the process that made it.
    """

    def __init__(self, target: str) -> None:
        super().__init__(target, lambda: None)
        self.changing: list[str] = []
        self.faults: dict[int, Fault] = {}

    def restart(self) -> None:
        """Counts from 0 again, without faults."""
        self.changing.clear()
        self.faults.clear()

    def fault_of(self, call: Call) -> Fault | None:
        asks = b"Action=GetCallerIdentity" in call.body
        if asks or not call.changes or "response-streaming-invocations" in call.path:
            return None
        with self._lock:
            self.changing.append(f"{call.method} {call.path}")
            return self.faults.get(len(self.changing) - 1)
