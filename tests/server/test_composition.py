"""The parts of a server hear of commits."""

from __future__ import annotations

import ast
import time
from pathlib import Path

import remote_server
from remote_protocol.ids import TOKEN_ENTROPY, Role, TokenKind, make_token
from remote_protocol.metrics import text_of
from remote_server.composition import compose
from remote_server.data_dir import DataDir
from remote_server.domain.change_set import ChangeSet, Made
from remote_server.store import Store
from remote_server.web import digest
from remote_server.web.access import VIEWER
from remote_server.web.followers import TIMELINE
from tests.support.live_server import config_for
from tests.support.stored import spec


async def test_every_part_hears_of_commits(tmp_path: Path) -> None:
    config = config_for(tmp_path)
    data = DataDir(config.server.data_dir)
    data.prepare()
    store = await Store.open(config.database_url)
    services = compose(config, data, store).services
    with services.followers.follow(TIMELINE) as changed:
        (job,) = await store.submit([spec(stdin=True)], time.time())
        assert changed.is_set()
    services.inputs.expect(job.id)
    await store.request_cancel(job.id, "", time.time())
    assert services.inputs.known() == []
    text = text_of(await services.metrics.families())
    assert 'remote_jobs_ended_total{queue="default",end_reason="cancelled"} 1' in text
    secret = make_token(TokenKind.API, bytes(TOKEN_ENTROPY))
    token = await store.create_token("api", digest(secret), "one", time.time(), role=Role.VIEWER)
    admitted = await services.authenticator.admit(f"Bearer {secret}", VIEWER)
    assert admitted.id == token.id
    assert services.authenticator._known
    await store.revoke(token.id)
    assert not services.authenticator._known
    await services.inputs.close()
    await store.close()


async def test_each_loop_is_named(tmp_path: Path) -> None:
    config = config_for(tmp_path)
    data = DataDir(config.server.data_dir)
    data.prepare()
    store = await Store.open(config.database_url)
    loops = compose(config, data, store).loops
    names = "artifacts contents dispatcher groups sweeper retention hub inputs streams connections"
    names += " packer webhooks"
    assert {*names.split(), "webhook states", "agent_logs", "audit", "agent-audit"} == {*loops}
    await store.close()


def test_who_hears_of_some_commits_looks_at_nothing_else() -> None:
    # A field that is looked at and not named is never heard of alone.
    names = {name for name, field in vars(ChangeSet).items() if isinstance(field, Made)}
    names |= {"queued", "audited", "deferred_until"}
    found = 0
    for path in sorted(Path(remote_server.__file__).parent.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.FunctionDef):
                continue
            marks = [mark for mark in node.decorator_list if ast.unparse(mark).startswith("hears(")]
            for mark in marks:
                found += 1
                kinds = {ast.literal_eval(each) for each in getattr(mark, "args", ())}
                read = {
                    each.attr
                    for each in ast.walk(node)
                    if isinstance(each, ast.Attribute) and ast.unparse(each.value) == "changes"
                }
                assert kinds <= names, path
                assert read <= kinds | _BESIDES.get(path.name, set()), path
    assert found >= 12


_BESIDES = {
    # The queues of jobs, which are there when jobs are.
    "followers.py": {"state_counts"},
    # A job that ends changes its state.
    "history.py": {"end_counts", "failures"},
}
