"""The extension `datahub`, as the programs find it: where its parts are. Loads none of them."""

from typing import Final

from remote_protocol.extensions import Extension

EXTENSION: Final = Extension(
    spec="remote_datahub.spec",
    planner="remote_datahub.planner",
    command="remote_datahub.command:datahub",
    summary="Run recipes of DataHub's ingestion, and show what became of them.",
    shown="remote_datahub.shown",
    page="remote_datahub.page",
    routes=("remote_datahub.calls",),
    settings="remote_datahub.settings:settings",
    watch="remote_datahub.watch:Watch",
)
