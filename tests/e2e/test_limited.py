"""A token limited to a queue, from `remotectl` to real agents and back."""

from __future__ import annotations

import json

from tests.support.stack import Stack, says, until


def test_a_limited_token_works_in_its_queue_and_nowhere_else(stack: Stack) -> None:
    for queue in ("berlin", "tokyo"):
        stack.ctl("queue", "create", queue, check=True)
    stack.agent("ours", "--queue", "berlin")
    stack.agent("theirs", "--queue", "tokyo")
    theirs = stack.run("echo nobody may see this", queue="tokyo", name="theirs")
    made = stack.ctl(
        *("token", "create", "--role", "operator", "--name", "ci", "--queue", "berlin"), check=True
    )
    token = made.stdout.decode().strip()

    def ctl(*words: str) -> tuple[int, str, str]:
        done = stack.ctl(*words, token=token)
        assert b"nobody may see this" not in done.stdout + done.stderr, words
        return done.returncode, done.stdout.decode(), done.stderr.decode()

    code, out, _ = ctl("whoami")
    assert code == 0 and "Only queues  berlin" in out
    assert ctl("run", "--queue", "berlin", "--", "sh", "-c", "echo ours; exit 3")[:2] == (
        3,
        "ours\n",
    )
    code, out, _ = ctl("job", "list", "--output", "json")
    (job,) = json.loads(out)["items"]
    assert (code, job["queue"], job["agent"], job["exit_code"]) == (0, "berlin", "ours", 3)
    assert ctl("job", "logs", job["id"])[:2] == (0, "ours\n")
    code, out, _ = ctl("job", "show", job["id"])
    assert code == 0 and "Submitted by  ci" in out
    detached = ctl("run", "--queue", "berlin", "--detach", "--", "sleep", "600")[1].strip()
    until(lambda: stack.client.job(detached).state.value == "running", "it runs")
    assert ctl("job", "cancel", detached)[0] == 0
    assert ctl("job", "wait", detached)[0] == 130

    # Elsewhere: what belongs to others is as if it were not there, and says why that may be.
    for queue in ("default", "tokyo"):
        code, out, err = ctl("run", "--queue", queue, "--", "echo", "hi")
        assert (code, out) == (255, "")
        says(err, f"no queue '{queue}'", "the queues are: berlin; the token is limited to them")
    for word in ("show", "logs", "cancel", "retry"):
        code, _, err = ctl("job", word, theirs.id)
        assert code == 1
        says(err, "there is no job", "the token 'ci' knows only what belongs to the queues berlin")
    code, _, err = ctl("run", "--queue", "berlin", "--agent", "theirs", "--", "true")
    assert code == 255
    says(err, "there is no agent 'theirs'; the agents are: ours; the token 'ci' knows only")
    code, out, _ = ctl("agent", "list", "-q")
    assert (code, out) == (0, "ours\n")
    # What is more than its queue is refused.
    for kind, name in (("agent", "ours"), ("queue", "berlin")):
        code, _, err = ctl(kind, "pause", name)
        assert code == 1
        says(err, "the token 'ci' is limited to the queues berlin", "needs a token that is not")
