"""Secrets of the agent's host: its environment, and files that change while it runs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from remote_agent.local.secret_sources import SecretSources, allowed
from remote_agent.planning.secret_values import Absent, Unusable
from remote_agent.sections import SecretsPart


def sources(folder: Path | None = None, **fields: object) -> SecretSources:
    settings = SecretsPart.model_validate({"dir": folder, **fields})
    return SecretSources(
        settings, {"DB_PASSWORD": "hush", "ODD": "\udcff", "REMOTE_AGENT_TOKEN": "t"}
    )


@pytest.mark.parametrize(
    ("name", "patterns", "wanted"),
    [
        ("DB_PASSWORD", ["DB_PASSWORD"], True),
        ("DB_PASSWORD", ["DB_*"], True),
        ("DB_PASSWORD", ["*"], True),
        ("DB_PASSWORD", ["db_*"], False),
        ("DB_PASSWORD", ["DB"], False),
        ("DB_PASSWORD", [], False),
        ("REMOTE_AGENT_TOKEN", ["*", "REMOTE_AGENT_TOKEN"], False),
    ],
)
def test_variables_are_allowed_by_name_or_pattern(
    name: str, patterns: list[str], wanted: bool
) -> None:
    assert allowed(name, patterns) is wanted


def test_a_variable_of_the_agent_is_given_where_it_is_allowed() -> None:
    assert sources(env_allow="DB_*").of_environment("DB_PASSWORD") == "hush"
    assert sources(env_allow="DB_*").variables() == {"DB_PASSWORD"}
    with pytest.raises(Absent, match="env_allow does not name it"):
        sources().of_environment("DB_PASSWORD")
    with pytest.raises(Absent, match="no such variable is set"):
        sources(env_allow="DB_*").of_environment("DB_USER")
    with pytest.raises(Unusable, match="is not text in UTF-8"):
        sources(env_allow="*").of_environment("ODD")


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"hush", "hush"),
        (b"hush\n", "hush"),
        (b"hush\r\n", "hush"),
        (b"hush\n\n", "hush\n"),
        (b" h\nu \n", " h\nu "),
        (b"", ""),
        ("ä".encode(), "ä"),
    ],
)
def test_one_end_of_a_line_is_no_part_of_it(tmp_path: Path, content: bytes, text: str) -> None:
    (tmp_path / "A").write_bytes(content)
    assert sources(tmp_path).of_files("A") == text


def test_a_file_that_changes_counts_for_the_next_look(tmp_path: Path) -> None:
    source = sources(tmp_path)
    with pytest.raises(Absent, match="has no file of this name"):
        source.of_files("A")
    for text in ("one", "two"):
        (tmp_path / "A").write_text(text)
        assert source.of_files("A") == text


def test_what_cannot_be_used_is_named(tmp_path: Path) -> None:
    source = sources(tmp_path, max_size=8)
    (tmp_path / "LARGE").write_bytes(b"x" * 9)
    (tmp_path / "FITS").write_bytes(b"x" * 8)
    (tmp_path / "ODD").write_bytes(b"\xff")
    (tmp_path / "FOLDER").mkdir()
    os.mkfifo(tmp_path / "PIPE")
    (tmp_path / "GONE").symlink_to("nowhere")
    assert source.of_files("FITS") == "x" * 8
    for name, words in {
        "LARGE": r"is larger than \[secrets\] max_size, 8 B",
        "ODD": "is not text in UTF-8",
        "FOLDER": "is no file",
        "PIPE": "is no file",
    }.items():
        with pytest.raises(Unusable, match=words):
            source.of_files(name)
    with pytest.raises(Absent):
        source.of_files("GONE")
    with pytest.raises(Absent, match="dir names no directory"):
        sources().of_files("FITS")
    with pytest.raises(Absent, match="has no file"):
        sources(tmp_path / "absent").of_files("FITS")


def test_one_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> int:
        raise PermissionError(13, "Permission denied")

    (tmp_path / "A").write_text("hush")
    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(Unusable, match=f"cannot be read in {tmp_path}: Permission denied"):
        sources(tmp_path).of_files("A")


def test_links_stay_in_the_directory(tmp_path: Path) -> None:
    inside, outside = tmp_path / "secrets", tmp_path / "outside"
    inside.mkdir()
    outside.write_text("hush")
    (inside / "OUT").symlink_to(outside)
    (inside / "ROUND").symlink_to("../secrets/A")
    (inside / "UP").symlink_to("..")
    (inside / "A").write_text("fine")
    (tmp_path / "secrets-2").write_text("hush")
    (inside / "BESIDE").symlink_to(tmp_path / "secrets-2")
    (inside / "ITSELF").symlink_to(inside)
    source = sources(inside)
    for name in ("OUT", "UP", "BESIDE"):
        with pytest.raises(Unusable, match="is a link that leads out of"):
            source.of_files(name)
    assert source.of_files("ROUND") == "fine"
    with pytest.raises(Unusable, match="is no file"):
        source.of_files("ITSELF")
    (tmp_path / "link").symlink_to(inside)
    assert sources(tmp_path / "link").of_files("A") == "fine"


def kubernetes(folder: Path, version: str, **values: str) -> None:
    """Secrets as a volume of Kubernetes has them: exchanged by one renaming of a link."""
    (folder / f"..{version}").mkdir()
    for name, value in values.items():
        (folder / f"..{version}" / name).write_text(value)
        if not (folder / name).is_symlink():
            (folder / name).symlink_to(f"..data/{name}")
    (folder / "..next").symlink_to(f"..{version}")
    (folder / "..next").replace(folder / "..data")


def test_a_volume_of_kubernetes_is_read_as_it_is_exchanged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kubernetes(tmp_path, "1", A="one")
    assert sources(tmp_path).of_files("A") == "one"
    find = os.path.realpath
    looks: list[str] = []

    def exchanged(path: str | Path) -> str:
        """Between the look at the link and the way along it."""
        found = find(path)
        if str(path).endswith("A") and not looks:
            looks.append(found)
            kubernetes(tmp_path, "2", A="two")
            for old in (tmp_path / "..1").iterdir():
                old.unlink()
            (tmp_path / "..1").rmdir()
        return found

    monkeypatch.setattr(os.path, "realpath", exchanged)
    assert sources(tmp_path).of_files("A") == "two"
    assert looks == [str(tmp_path / "..1" / "A")]


def test_a_link_laid_meanwhile_leads_nowhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside = tmp_path / "secrets"
    inside.mkdir()
    (tmp_path / "outside").write_text("hush")
    (inside / "A").write_text("fine")
    find = os.path.realpath

    def swapped(path: str | Path) -> str:
        found = find(path)
        if str(path).endswith("A"):
            (inside / "A").unlink(missing_ok=True)
            (inside / "A").symlink_to(tmp_path / "outside")
        return found if "outside" not in found else str(inside / "A")

    monkeypatch.setattr(os.path, "realpath", swapped)
    with pytest.raises(Unusable, match="cannot be read"):
        sources(inside).of_files("A")
