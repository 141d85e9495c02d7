"""What migrations make of rows that are there."""

from collections.abc import Iterator

import pytest
from django.db import connection
from django.db.migrations.executor import MigrationExecutor


@pytest.fixture
def _back_to_the_newest(transactional_db: None) -> Iterator[None]:
    yield
    executor = MigrationExecutor(connection)
    executor.migrate(executor.loader.graph.leaf_nodes())


@pytest.mark.usefixtures("_back_to_the_newest")
def test_versions_that_are_there_get_an_id_each() -> None:
    before = [("streams", "0005_rotation_paused")]
    MigrationExecutor(connection).migrate(before)
    models = MigrationExecutor(connection).loader.project_state(before).apps
    secret = models.get_model("streams", "Secret").objects.create(name="orders")
    versions = models.get_model("streams", "SecretVersion").objects
    for number, state in enumerate(("retired", "previous", "current"), 1):
        versions.create(secret=secret, number=number, value="v" * 20, fingerprint="f", state=state)

    executor = MigrationExecutor(connection)
    executor.migrate(executor.loader.graph.leaf_nodes())

    with connection.cursor() as cursor:
        cursor.execute("SELECT external_id FROM streams_secretversion")
        ids = [row[0] for row in cursor.fetchall()]
    assert len(set(ids)) == 3
    assert {len(found) for found in ids} == {36}
