"""The extension `datahub`, as the programs find it: where its parts are. Loads none of them."""

from typing import Final

from remote_protocol.extensions import Extension

EXTENSION: Final = Extension(
    spec="remote_datahub.spec",
    routes=("remote_datahub.calls",),
    settings="remote_datahub.settings:settings",
    watch="remote_datahub.watch:Watch",
)
