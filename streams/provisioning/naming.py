"""Names for what is exported, each used once."""

import re
from dataclasses import dataclass, field


@dataclass
class Names:
    """Words joined as Terraform (`orders_url`) or CloudFormation (`OrdersUrl`) wants them."""

    camel: bool = False
    _taken: dict[tuple[str, ...], str] = field(default_factory=dict)

    def __call__(self, *words: str) -> str:
        """The same name for the same words, and another one for others."""
        if words not in self._taken:
            self._taken[words] = self._free(self._joined(words))
        return self._taken[words]

    def _joined(self, words: tuple[str, ...]) -> str:
        parts = re.findall(r"[A-Za-z0-9]+", " ".join(words))
        if self.camel:
            return "".join(part[:1].upper() + part[1:] for part in parts)
        name = "_".join(part.lower() for part in parts)
        return name if name[:1].isalpha() else f"_{name}"

    def _free(self, name: str) -> str:
        number, free = 1, name
        while free in self._taken.values():
            number += 1
            free = f"{name}{number}"
        return free
