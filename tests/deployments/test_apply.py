"""Deployments on a server that has them already: what is as it should be is left alone."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import DeploymentUpdate
from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_URL, temporary_settings

from deployments.apply import apply, said
from deployments.definitions import definitions
from deployments.unchanged import is_unchanged
from flows.server.password import CLIENT
from tests.services.prefect import UNRECORDED, prefect_server

CHANGED = ("purge-recycle-bin", "recover-runs", "edit-image", "check-quality")
PAUSED = "verify-replicas"


@pytest.fixture
def client(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[SyncPrefectClient]:
    settings = {"IMAGEWRIGHT_HOME": str(tmp_path / "home"), "IMAGEWRIGHT_CATALOG_URL": "", **UNRECORDED}
    with prefect_server(tmp_path / "server", request.config.cache.mkdir("prefect"), settings) as server:
        told = {PREFECT_API_AUTH_STRING: server.environment[CLIENT], PREFECT_API_URL: server.api}
        with temporary_settings(told), get_client(sync_client=True) as client:
            yield client


def test_what_is_as_it_should_be_is_left_alone_and_all_else_is_put_right(client: SyncPrefectClient) -> None:
    before = {one.name: one for one in client.read_deployments()}
    purge, recover, edit, quality = (before[name] for name in CHANGED)
    client.update_deployment(purge.id, DeploymentUpdate(description="another"))
    client.update_deployment(recover.id, DeploymentUpdate(job_variables={"command": "id"}))
    client.update_deployment(edit.id, DeploymentUpdate(tags=["mine"]))
    client.pause_deployment(before[PAUSED].id)
    client.update_deployment_schedule(quality.id, quality.schedules[0].id, active=False)
    assert set(asyncio.run(apply())) == before.keys()
    after = {one.name: one for one in client.read_deployments()}
    assert {name for name in after if after[name].updated != before[name].updated} == {*CHANGED, PAUSED}
    assert after[PAUSED].paused, "what an operator paused goes on by itself"
    assert {row.name for row in definitions() if not is_unchanged(after[row.name], said(row))} == set()
