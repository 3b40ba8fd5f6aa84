"""The extension `toy`, which shows that DataHub's is not the only one that there can be."""

from remote_protocol.extensions import Extension

EXTENSION = Extension(
    spec="remote_toy.spec",
    planner="remote_toy.planner",
    command="remote_toy.command:toy",
    summary="Greet from an agent.",
    routes=("remote_toy.calls",),
    page="remote_toy.page",
)
