"""The pages of the form to submit a job."""

from __future__ import annotations

from structlog.testing import capture_logs

from tests.support.live_server import Live
from tests.support.visitor import visitor


async def test_a_job_is_submitted_and_shown(live: Live) -> None:
    async with visitor(live, "operator") as browser:
        page = await browser.get("/submit?queue=gpu")
        assert "<title>Submit a job" in page.text and 'value="gpu"' in page.text
        seen = await browser.send("/submit", run="echo hi", shell="sh", name="greets", env="A=1")
        job = seen.location.removeprefix("./jobs/").partition("?")[0]
        assert seen.location.endswith("?done=submitted")
        made = (await live.get(f"/jobs/{job}")).body
        assert (made["script"], made["name"], made["env"]) == ("echo hi", "greets", {"A": "1"})
        assert made["submitted_by"]["name"].startswith("operator")


async def test_a_faulty_form_loses_nothing(live: Live) -> None:
    async with visitor(live, "operator") as browser:
        seen = await browser.send(
            "/submit", run="echo <b>", how="program", timeout="soon", env="A=1\nB", labels="x=<y>"
        )
        assert seen.status == 422
        assert "echo &lt;b&gt;</textarea>" in seen.text and "x=&lt;y&gt;</textarea>" in seen.text
        assert 'value="soon"' in seen.text and 'value="program" checked' in seen.text
        assert seen.text.count('aria-invalid="true"') == 2
        assert "line 2 has no =" in seen.words and "2 fields to correct" in seen.words
        seen = await browser.send("/submit", run="x", shell="sh", queue="nowhere")
        assert seen.status == 422 and "nowhere" in seen.words
        assert seen.text.count('aria-invalid="true"') == 1
        seen = await browser.send("/submit", run="x" * 40_000, shell="sh")
        assert seen.status == 422 and 'aria-invalid="true"' in seen.text
    assert (await live.get("/jobs")).body["items"] == []


async def test_a_job_is_submitted_again_with_changes(live: Live) -> None:
    files = [{"path": "f", "content": "YQ=="}]
    old = (await live.post("/jobs", {"command": ["cat", "f"], "files": files})).body["id"]
    async with visitor(live, "operator") as browser:
        page = await browser.get(f"/submit?job={old}")
        assert "cat\nf</textarea>" in page.text and "Kept as it was: 1 file" in page.words
        seen = await browser.send("/submit", source=old, run="wc\nf", how="program")
        job = seen.location.removeprefix("./jobs/").partition("?")[0]
        made = (await live.get(f"/jobs/{job}")).body
        assert (made["command"], len(made["files"])) == (["wc", "f"], 1)
        timeline = (await live.get(f"/jobs/{job}/timeline")).body["items"]
        assert timeline[0]["detail"] == f"like {old}, with changes"
        assert (await browser.get("/submit?job=01ARZ3NDEKTSV4RRFFQ69G5FAV")).status == 404
        gone = await browser.send("/submit", source="01ARZ3NDEKTSV4RRFFQ69G5FAV", run="x")
        assert gone.status == 422 and "not kept any more" in gone.words


async def test_a_form_is_explained_and_nothing_is_submitted(live: Live) -> None:
    await live.register("off", labels={"gpu": "a40"})
    async with visitor(live, "operator") as browser:
        assert "submit/explain" in (await browser.get("/submit")).text
        sent = {"run": "echo hi", "how": "program", "labels": "gpu=h100"}
        seen = await browser.send("/submit/explain", **sent)
        assert seen.status == 200 and 'data-outlook="never"' in seen.text
        assert "No agent could ever run it." in seen.words and "Nothing was submitted" in seen.words
        assert 'data-agent="off"' in seen.text and "gpu=h100</textarea>" in seen.text
        seen = await browser.send("/submit/explain", **sent | {"labels": ""})
        assert 'data-outlook="blocked"' in seen.text
        seen = await browser.send("/submit/explain", **sent | {"queue": "nowhere"})
        assert 'data-outlook="refused"' in seen.text and "nowhere" in seen.words
        seen = await browser.send("/submit/explain", run="x", shell="sh", timeout="soon")
        assert seen.status == 422 and 'value="soon"' in seen.text
    async with visitor(live, "viewer") as browser:
        assert (await browser.send("/submit/explain", **sent)).status == 403
    assert (await live.get("/jobs")).body["items"] == []


async def test_viewers_submit_nothing(live: Live) -> None:
    async with visitor(live, "viewer") as browser:
        assert (await browser.get("/submit")).status == 403
        assert (await browser.send("/submit", run="x", shell="sh")).status == 403


async def test_the_log_of_the_server_has_nothing_of_what_runs(live: Live) -> None:
    old = (await live.post("/jobs", {"command": ["true"]})).body["id"]
    async with visitor(live, "operator") as browser:
        with capture_logs() as logs:
            sent = {"run": "echo hunter1", "shell": "sh", "env": "KEY=hunter2"}
            assert (await browser.send("/submit", **sent)).status == 303
            assert (await browser.send("/submit", **sent, timeout="soon")).status == 422
            assert (await browser.send(f"/jobs/{old}/cancel", reason="why")).status == 303
            assert (await browser.send("/queues/default/pause")).status == 303
    assert [line["path"] for line in logs if line["event"] == "change"] == ["/queues/default/pause"]
    assert "hunter" not in str(logs)
