"""Who calls the API, and how."""

import json
from typing import Any

from django.contrib.auth.models import Group
from django.test import Client

from streams.access import tokens
from streams.access.roles import Role
from streams.models import Scope, User


class Api:
    """A client with a token."""

    def __init__(self, user: User | None, scope: Scope = Scope.EVERYTHING) -> None:
        token = tokens.issue(user, scope=scope) if user else ""
        self.headers = {"Authorization": f"Bearer {token}"} if user else {}
        self.client = Client(enforce_csrf_checks=True)

    def get(self, path: str) -> tuple[int, Any]:
        return self._told(self.client.get(f"/api/v1/{path}", headers=self.headers))

    def post(self, path: str, body: Any = None, key: str | None = None) -> tuple[int, Any]:
        headers = self.headers | ({"Idempotency-Key": key} if key is not None else {})
        answer = self.client.post(
            f"/api/v1/{path}",
            data=json.dumps(body) if body is not None else "",
            content_type="application/json",
            headers=headers,
        )
        return self._told(answer)

    @staticmethod
    def _told(answer: Any) -> tuple[int, Any]:
        kind = "application/problem+json" if answer.status_code >= 400 else "application/json"
        assert answer["Content-Type"].split(";")[0] == kind
        return answer.status_code, json.loads(answer.content)


def staff(role: Role, name: str = "") -> User:
    user = User.objects.create_user(name or role.value, is_staff=True)
    user.groups.add(Group.objects.get(name=role))
    return user
