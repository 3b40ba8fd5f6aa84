"""The modules with the bodies of the HTTP API, all of them imported."""

from __future__ import annotations

import pkgutil
from importlib import import_module
from typing import Final

from remote_protocol import api

API_MODULES: Final = frozenset(
    import_module(f"{api.__name__}.{module.name}").__name__
    for module in pkgutil.iter_modules(api.__path__)
)
