"""Classes of large values that nobody changes, as quick to make as any other. Pure.

`dataclass(frozen=True)` sets each field through `object.__setattr__`: a value with many fields
costs five times a plain one, and some are made for each job. Here the type checker keeps them
unchanged, and nothing at run time has to.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeVar, dataclass_transform

_T = TypeVar("_T")


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def frozen(cls: type[_T]) -> type[_T]:
    """Make a dataclass of a class: compared and hashed by its fields, with slots, not to be
    changed. `dataclasses.replace` makes another one."""
    return dataclass(slots=True, unsafe_hash=True)(cls)
