"""Goes through the steps of *Add an endpoint* as a browser without JavaScript does."""

import html
import re
from typing import Any

from django.test import Client

PAGE = "/operate/streams/endpoint/add/"
_HIDDEN = re.compile(r'<input type="hidden" name="([^"]+)" value="([^"]*)">')


class Walk:
    """`told` is the page that is shown. What it carries is sent along."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.take(client.get(PAGE))

    def take(self, answer: Any) -> None:
        self.answer = answer
        page = answer.content.decode()
        self.told = " ".join(html.unescape(page).split())
        self.page = page

    def go(self, go: str = "next", **fields: Any) -> str:
        """Presses a button; the step that is shown then, or where it leads to."""
        sent: dict[str, list[str]] = {}
        form = self.page[self.page.index(f'action="{PAGE}"') :]
        for name, value in _HIDDEN.findall(form):
            sent.setdefault(name, []).append(html.unescape(value))
        entered = {name: one if isinstance(one, list) else [one] for name, one in fields.items()}
        self.take(self.client.post(PAGE, sent | entered | {"go": [go]}))
        if self.answer.status_code == 302:
            return str(self.answer["Location"])
        assert self.answer.status_code == 200, self.answer.status_code
        return self.step

    @property
    def step(self) -> str:
        found = re.search(r'name="step" value="(\w+)"', self.page)
        assert found, self.told
        return found[1]

    def value(self, name: str) -> str:
        """What a text field holds."""
        found = re.search(rf'<input[^>]* name="{name}"[^>]*>', self.page)
        assert found, self.told
        value = re.search(r' value="([^"]*)"', found[0])
        return html.unescape(value[1]) if value else ""
