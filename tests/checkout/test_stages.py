"""What the set_up.sh of the test stages share: packages of Debian, and downloads that fail."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

SET_UP = Path(__file__).resolve().parents[2] / "tests" / "support" / "set_up.sh"
APT = """#!/bin/sh
# Fails as often as the file says; then it installs.
echo "$*" >>{folder}/calls
case "$*" in *update*) exit 100 ;; esac
left=$(cat {folder}/failures)
[ "$left" = 0 ] || {{ echo $((left - 1)) >{folder}/failures; echo "no mirror" >&2; exit 100; }}
printf '#!/bin/sh\\n' >{folder}/bin/wanted-program
chmod +x {folder}/bin/wanted-program
"""


def run(tmp_path: Path, script: str, failures: int) -> str:
    """What a script says that knows the functions, on a machine with this apt; then its code."""
    programs = tmp_path / "bin"
    programs.mkdir()
    (tmp_path / "failures").write_text(str(failures))
    for file, text in (
        ("apt-get", APT.format(folder=tmp_path)),
        ("dpkg", "#!/bin/sh\n"),
        ("dpkg-deb", '#!/bin/sh\n: >"$3/some-file"\n'),
        ("flock", "#!/bin/sh\n"),
    ):
        (programs / file).write_text(text)
        (programs / file).chmod(0o755)
    quick = 'sleep() { echo "slept $1"; }'
    done = subprocess.run(
        ["bash", "-euc", f'{quick}; . "$0"; {script}; echo "went on"', SET_UP],
        env={"PATH": f"{programs}:{os.environ['PATH']}"},
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        timeout=100, check=False,
    )  # fmt: skip
    return f"{done.stdout}ended with {done.returncode}"


@pytest.mark.skipif(os.geteuid() != 0, reason="packages are installed as root")
@pytest.mark.parametrize(
    ("failures", "slept"), [(0, []), (1, []), (2, ["5"]), (6, ["5", "15", "45"])]
)
def test_packages_are_installed_when_the_mirror_answers_again(
    tmp_path: Path, failures: int, slept: list[str]
) -> None:
    said = run(tmp_path, 'have test-x "sh wanted-program" "some packages"', failures)
    assert "test-x needs wanted-program; installing some packages" in said
    assert [line.split()[1] for line in said.splitlines() if line.startswith("slept")] == slept
    assert said.endswith("went on\nended with 0"), said
    calls = (tmp_path / "calls").read_text().splitlines()
    assert "install -y --no-install-recommends some packages" in calls[-1]
    assert "DPkg::Lock::Timeout" in calls[0]


@pytest.mark.skipif(os.geteuid() != 0, reason="packages are installed as root")
def test_a_mirror_that_stays_away_is_named_and_nothing_goes_on(tmp_path: Path) -> None:
    said = run(tmp_path, 'have test-x wanted-program "some packages"', 99)
    assert "no mirror" in said and "four times" in said and "package index reachable" in said
    assert "went on" not in said and said.endswith("ended with 100"), said


@pytest.mark.parametrize(
    ("failures", "slept"), [(0, []), (1, []), (2, ["5"]), (9, ["5", "15", "45"])]
)
def test_a_package_is_extracted_and_not_installed(
    tmp_path: Path, failures: int, slept: list[str]
) -> None:
    folder = tmp_path / "own" / "folder"
    script = f'extracted test-x "sh wanted-program" some-package {folder}'
    said = run(tmp_path, script, failures)
    assert f"test-x needs wanted-program; extracting some-package into {folder}" in said
    assert [line.split()[1] for line in said.splitlines() if line.startswith("slept")] == slept
    calls = (tmp_path / "calls").read_text().splitlines()
    assert not [call for call in calls if "install" in call.split()]
    if failures < 9:
        assert said.endswith("went on\nended with 0"), said
        assert (folder / "some-file").exists()
    else:
        assert "no mirror" in said and "four times" in said and said.endswith("ended with 100"), (
            said
        )
        assert not folder.exists()
    assert {path.name for path in folder.parent.iterdir()} <= {"folder"}, "nothing half done"


def test_what_is_there_is_not_extracted(tmp_path: Path) -> None:
    said = run(tmp_path, 'extracted test-x "sh cat" some-package folder', 99)
    assert said == "went on\nended with 0"


def test_what_is_there_is_not_installed(tmp_path: Path) -> None:
    said = run(tmp_path, 'have test-x "sh cat" "some packages"', 99)
    assert said == "went on\nended with 0"


def test_a_stage_that_needs_root_says_how_it_is_left_out(tmp_path: Path) -> None:
    said = run(tmp_path, 'id() { echo 1000; }; as_root test-x "boots a host"', 0)
    assert "test-x boots a host, which takes root (REMOTE_TEST_X=off leaves it out)" in said
    assert said.endswith("ended with 1")
