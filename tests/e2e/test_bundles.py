"""Bundles and large files, end to end: what runs, what is refused, and whose they are."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import tempfile
import zipfile
from pathlib import Path

import pytest

from remote_protocol.states import EndReason, JobState
from tests.e2e.test_python_jobs import PUBLIC, Host
from tests.support.stack import Stack
from tests.support.wheels import make_wheel

MAIN = "import os, sys, pkg; print(pkg.WORD, sys.argv[1:], sorted(os.listdir()))\n"


@pytest.fixture
def host(stack: Stack, tmp_path: Path) -> Host:
    return Host(stack, tmp_path)


def app(root: Path, main: str = MAIN) -> Path:
    folder = root / "app"
    (folder / "pkg").mkdir(parents=True)
    (folder / "main.py").write_text(main)
    (folder / "pkg" / "__init__.py").write_text("WORD = 'hello'\n")
    (folder / ".git").mkdir()
    (folder / ".git" / "config").write_text("private")
    return folder


def run(host: Host, *words: object) -> subprocess.CompletedProcess[bytes]:
    return host.stack.ctl("run", "--python", *words)


def test_a_directory_runs_as_it_does_here(host: Host, tmp_path: Path) -> None:
    folder = app(tmp_path)
    for _ in range(2):
        done = run(host, "--bundle", folder, "--", "main.py", "--year", "2026")
        assert done.returncode == 0, done.stderr
        assert done.stdout == b"hello ['--year', '2026'] ['main.py', 'pkg']\n"
        assert done.stderr == b""
    (kept,) = (host.stack.data_dir / "contents").glob("??/*")
    with zipfile.ZipFile(kept) as archive:
        assert archive.namelist() == ["main.py", "pkg/__init__.py"]
    shown = host.stack.ctl("job", "list").stdout
    assert b"python main.py --year" in shown or b"main.py" in shown
    done = run(host, "--bundle", folder, "--module", "pkg")
    assert done.returncode == 1 and b"'pkg' is a package and cannot be directly executed" in (
        done.stderr
    )


def test_what_a_bundle_requires_is_installed(host: Host, tmp_path: Path) -> None:
    folder = app(tmp_path, "import greet; greet.main()\n")
    (folder / "requirements.txt").write_text("greet==1.0\n")
    done = run(host, "--bundle", folder, "--", "main.py")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(b"greetings from")
    assert b"the bundle requires what its requirements.txt says: 1 requirement" in done.stderr
    done = run(host, "--bundle", folder, "--requirements", "/dev/null", "--", "main.py")
    assert done.returncode == 1 and b"No module named 'greet'" in done.stderr
    (folder / "requirements.txt").unlink()
    (folder / "pyproject.toml").write_text("[project]\ndependencies = ['greet']\n")
    done = run(host, "--bundle", folder, "--", "main.py")
    assert done.returncode == 0 and b"what its pyproject.toml says" in done.stderr


def test_a_wheel_is_installed_with_what_it_requires(host: Host, tmp_path: Path) -> None:
    body = (
        "import greet\n\ndef main():\n    greet.main()\n\nif __name__ == '__main__':\n    main()\n"
    )
    wheel = make_wheel(tmp_path / "dist", "tool", "2.0", body, requires=["greet>=1"])
    for _ in range(2):
        done = run(host, "--bundle", wheel, "--module", "tool")
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith(b"greetings from")
    assert b"preparing the environment" not in done.stderr, "it is there already"
    (place,) = host.places()
    assert not (place / ".wheel").exists()
    done = run(host, "--bundle", wheel, "--", "tool.py")
    assert done.returncode == 2 and b"give --module NAME" in done.stderr


def test_what_cannot_be_used_never_begins(host: Host, tmp_path: Path) -> None:
    bad = tmp_path / "bad.zip"
    with zipfile.ZipFile(bad, "w") as archive:
        archive.writestr("main.py", "print('ran')")
        archive.writestr("../../outside", "x")
    done = run(host, "--bundle", bad, "--", "main.py")
    assert done.returncode == 125 and done.stdout == b"", done
    assert b"'../../outside' leads out of it; pack it again" in done.stderr
    job = host.stack.client.jobs().items[0]
    assert (job.state, job.end_reason) == (JobState.FAILED, EndReason.SPAWN_ERROR)
    (tmp_path / "none.zip").write_text("no zip")
    done = run(host, "--bundle", tmp_path / "none.zip", "--", "main.py")
    assert done.returncode == 2 and b"is no zip archive" in done.stderr


def test_a_digest_is_no_way_to_another_ones_files(stack: Stack, tmp_path: Path) -> None:
    stack.agent("a")
    data = os.urandom(7 << 20)
    (tmp_path / "mine").write_bytes(data)
    words = ("run", "--file", f"{tmp_path / 'mine'}:f", "--", "sha256sum", "f")
    assert stack.ctl(*words).returncode == 0
    digest = hashlib.sha256(data).hexdigest()
    made = stack.ctl_json("token", "create", "--name", "other", "--role", "operator")
    spec = tmp_path / "spec.json"
    file = {"path": "f", "digest": digest, "size": len(data)}
    spec.write_text(json.dumps({"command": ["cat", "f"], "files": [file]}))
    done = stack.ctl("run", "--spec", spec, token=made["token"])
    assert done.returncode == 255 and done.stdout == b""
    assert b"was not sent with this token" in done.stderr
    # Who has the file itself sends it, and no byte of it lies there twice.
    done = stack.ctl(*words, token=made["token"])
    assert done.stdout.decode().split() == [digest, "f"], done.stderr
    assert len(list((stack.data_dir / "contents").glob("??/*"))) == 1


def test_a_job_cannot_change_what_the_next_one_gets(stack: Stack, tmp_path: Path) -> None:
    agent = stack.agent("a")
    (tmp_path / "f").write_bytes(os.urandom(7 << 20))
    script = "sha256sum f; chmod u+w f; echo changed > f; ln f g; echo more >> g"
    said = set()
    for _ in range(2):
        done = stack.ctl("run", "--file", tmp_path / "f", "--shell", "sh", "--", script)
        assert done.returncode == 0, done.stderr
        said.add(done.stdout)
    assert len(said) == 1
    (kept,) = (agent.state_dir / "contents").iterdir()
    assert kept.stat().st_nlink == 1 and kept.stat().st_mode & 0o777 == 0o600


@pytest.mark.skipif(os.geteuid() != 0, reason="becoming another user takes root")
@pytest.mark.parametrize("users", ['run_as = "nobody"', 'user_range = "80310-80315"'])
def test_jobs_of_other_users_have_them(users: str) -> None:
    folder = Path(tempfile.mkdtemp(prefix="bundles."))
    try:
        folder.chmod(0o755)
        with Stack(folder) as stack:
            stack.start_server()
            host = Host(stack, folder, f"[jobs]\n{users}\n", PUBLIC)
            main = (
                "import os; print(os.getuid(), *(os.stat(f).st_uid for f in ('main.py', 'in/f')))"
            )
            (folder / "f").write_bytes(os.urandom(7 << 20))
            bundle = app(folder, main)
            files = f"{folder / 'f'}:in/f"
            done = run(host, "--bundle", bundle, "--file", files, "--", "main.py")
            assert done.returncode == 0, done.stderr
            uid, *owners = map(int, done.stdout.split())
            assert uid and owners == [uid, uid]
    finally:
        shutil.rmtree(folder)


def test_a_repeated_job_has_its_files(host: Host, tmp_path: Path) -> None:
    folder = app(tmp_path)
    assert run(host, "--bundle", folder, "--", "main.py").returncode == 0
    job = host.stack.client.jobs().items[0]
    again = host.stack.client.wait(host.stack.client.retry(job.id).id, 60)
    assert again.state is JobState.SUCCEEDED
