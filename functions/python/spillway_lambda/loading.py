"""Finding the handler that a setting names."""

import importlib
import sys

from spillway_lambda.streaming import Handler


def load_handler(name: str, root: str) -> Handler:
    """The handler `module.function` under the folder `root`. Raises what its import raises."""
    module, _, function = name.rpartition(".")
    if not module or not function:
        raise ValueError(f"The handler is {name!r}; expected module.function")
    if root and root not in sys.path:
        sys.path.insert(0, root)
    handler: Handler = getattr(importlib.import_module(module.replace("/", ".")), function)
    return handler
