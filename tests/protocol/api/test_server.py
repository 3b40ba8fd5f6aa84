"""What the server says about itself."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from remote_protocol.api.server import VersionView


def test_a_client_knows_it_by_its_product() -> None:
    assert VersionView(version="1", protocol=1).product == "remote-server"
    with pytest.raises(ValidationError):
        VersionView.model_validate({"product": "nginx", "version": "1", "protocol": 1})
