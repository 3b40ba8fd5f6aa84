"""The plugin, as Airflow's own manager of plugins loads it by its entry point."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

MODULE = "remote_airflow.plugin"


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], Any]]:
    """Loads the plugins anew, by the entry points of the environment."""
    from airflow import plugins_manager
    from airflow._shared import module_loading

    def forget() -> None:
        sys.modules.pop(MODULE, None)
        for place in (plugins_manager, module_loading):
            for one in vars(place).values():
                if isinstance(one, functools._lru_cache_wrapper):
                    one.cache_clear()

    def loaded() -> Any:
        forget()
        found = [one for one in plugins_manager.get_plugin_info() if one["name"] == "remote"]
        assert not plugins_manager.get_import_errors()
        assert len(found) == 1
        return found[0]

    yield loaded
    monkeypatch.undo()
    forget()


def shown(plugin: Any) -> list[tuple[str, str, str, str | None]]:
    """What Airflow's API answers to its menu: name, address, place, route."""
    from airflow.api_fastapi.core_api.datamodels.plugins import PluginResponse

    views = PluginResponse.model_validate(plugin).external_views
    return [(one.name, one.href, one.destination, one.url_route) for one in views]


def test_the_menu_leads_to_the_pages_of_the_server(
    load: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__REMOTE__URL", "https://jobs.internal:8443/")
    rows = shown(load())
    assert rows == [
        ("Remote agents", "https://jobs.internal:8443/agents", "nav", None),
        ("Remote queues", "https://jobs.internal:8443/queues", "nav", None),
        ("Remote jobs", "https://jobs.internal:8443/jobs", "nav", None),
    ]


def test_people_are_led_where_people_reach_it(load: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__REMOTE__PAGE_URL", "https://jobs.example.com/fleet/")
    assert [href for _, href, _, _ in shown(load())] == [
        f"https://jobs.example.com/fleet/{page}" for page in ("agents", "queues", "jobs")
    ]


@pytest.mark.parametrize("url", ["", "javascript:alert(1)//", "jobs.example.com"])
def test_without_an_address_there_is_no_link_and_no_error(
    load: Any, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setenv("AIRFLOW__REMOTE__URL", url)
    assert shown(load()) == []


def test_a_configuration_that_cannot_be_read_is_no_error_of_the_plugin(
    load: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from airflow.configuration import conf

    monkeypatch.delenv("AIRFLOW__REMOTE__URL")
    if not conf.has_section("remote"):
        conf.add_section("remote")
    conf.set("remote", "url", "https://%(nowhere)s")
    try:
        with caplog.at_level("WARNING", MODULE):
            assert shown(load()) == []
    finally:
        conf.remove_option("remote", "url")
    (said,) = [one.message for one in caplog.records if one.name == MODULE]
    assert said.startswith("no links to the remote-server: ") and "nowhere" in said
