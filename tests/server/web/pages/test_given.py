"""What people type into forms."""

from __future__ import annotations

import pytest

from remote_server.web.pages.given import (
    capacity_from,
    capacity_text,
    labels_from,
    labels_text,
    queues_from,
)


def test_texts_become_values() -> None:
    assert queues_from(" berlin, gpu  default ,") == ["berlin", "gpu", "default"]
    assert queues_from([" berlin gpu", "default "]) == ["berlin", "gpu", "default"]
    assert queues_from([1]) == [1]
    assert labels_from("site=berlin,\r\n note=a b = c\n,") == {"site": "berlin", "note": "a b = c"}
    assert labels_from("flag=") == {"flag": ""}
    assert capacity_from(" 4 ") == {"default": 4}
    assert capacity_from("default=4, monitors=10") == {"default": 4, "monitors": 10}
    assert capacity_from({"default": 1}) == {"default": 1}


@pytest.mark.parametrize("text", ["", "many", "default=", "a=-1", "9" * 10, "a=²"])
def test_a_capacity_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="write a number"):
        capacity_from(text)


def test_a_label_without_a_value_is_refused() -> None:
    with pytest.raises(ValueError, match="'site' has no ="):
        labels_from("gpu=a40, site")


def test_values_become_the_texts_that_give_them() -> None:
    labels, several = {"site": "berlin", "gpu": "a40"}, {"default": 4, "monitors": 10}
    assert labels_from(labels_text(labels)) == labels
    assert capacity_from(capacity_text(several)) == several
    assert capacity_text({"default": 4}) == "4"
    assert capacity_text({"monitors": 2}) == "monitors=2"
