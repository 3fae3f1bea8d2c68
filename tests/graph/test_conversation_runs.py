"""Runs: how many at once, in which order, and who ends them."""

import asyncio
from collections import Counter
from typing import Any, Final

from msgspec.structs import replace

from domain.identity import Session
from domain.office import RUNS
from graph.context import Services
from graph.ids import id_of
from tests.factories.firm import Make, SignedIn
from tests.support.gql import Gql
from tests.support.language_model import LanguageModel, Want, fails, halting, says, wants
from tests.support.served import Served, socket_to
from tests.support.talking import (
    ASK,
    FOLLOW,
    SENT,
    Heard,
    answered_by,
    fault,
    has_ended,
    message,
    refusals,
    run_of,
    say,
    talk,
    until,
    until_end,
)
from tests.support.worker import drained, working

RUN: Final = "run { id status error retryable endedAt }"
SEND: Final = f"""mutation ($input: SendMessageInput!) {{ sendMessage(input: $input) {{
    {SENT} userErrors {{ code }}
}} }}"""


async def cancelled(gql: Gql, who: SignedIn, run: str) -> Any:
    """The payload of cancelling a run."""
    return await gql.as_(who).change("cancelRun", RUN, runId=run)


async def many(gql: Gql, who: SignedIn, count: int, conversation: str | None = None) -> list[Any]:
    """So many questions, one after the other."""
    return [await say(gql, who, f"Question {number}", conversationId=conversation) for number in range(count)]


def standing(payloads: list[Any]) -> list[tuple[str, int | None]]:
    """The status and the place of each run."""
    return [(payload["run"]["status"], payload["run"]["position"]) for payload in payloads]


async def test_five_are_answered_at_once_and_twenty_wait(make: Make, gql: Gql) -> None:
    advisor, other = await make.advisor(), await make.advisor()
    sent = await many(gql, advisor, 25)
    assert standing(sent) == [("RUNNING", None)] * 5 + [("QUEUED", place) for place in range(1, 21)]
    error = await fault(gql, advisor, "sendMessage", content="One more", idempotencyKey="one more")
    assert (error["code"], error["retryAfter"] > 0) == ("RATE_LIMITED", True)
    # Nothing of it is there, and nobody else waits for them.
    assert await make.connection.fetchval("select count(*) from messages") == 50
    assert standing(await many(gql, other, 1)) == [("RUNNING", None)]
    # Whoever is declined may send the same later.
    await cancelled(gql, advisor, sent[0]["run"]["id"])
    again = await gql.as_(advisor).change("sendMessage", SENT, content="One more", idempotencyKey="one more")
    assert again["run"]["status"] in {"RUNNING", "QUEUED"}


async def test_thirty_at_once_are_five_and_twenty(make: Make, gql: Gql) -> None:
    advisor = await make.advisor()
    conversation = await talk(gql, advisor)

    async def send(number: int) -> str:
        given = {"content": "Hello.", "idempotencyKey": f"{number}", "conversationId": conversation}
        answer = await gql.as_(advisor).ask(SEND, input=given)
        return answer.codes[0] if answer.codes else str(answer["data"]["sendMessage"]["run"]["status"])

    answers = await asyncio.gather(*(send(number) for number in range(30)))
    assert Counter(answers) == {"RUNNING": 5, "QUEUED": 20, "RATE_LIMITED": 5}
    rows = await make.connection.fetch("select status, count(*) as many from runs group by status")
    assert {row["status"]: row["many"] for row in rows} == {"RUNNING": 5, "QUEUED": 20}


async def test_the_next_begins_when_one_has_ended(make: Make, gql: Gql, services: Services) -> None:
    advisor = await make.advisor()
    sent = await many(gql, advisor, 8)
    await cancelled(gql, advisor, sent[2]["run"]["id"])
    # The seat is given by a job, to whoever has waited for longest.
    await drained(services, [job for job in RUNS if job.__name__ == "seat_next"])
    found = [await run_of(gql, advisor, payload["run"]["id"]) for payload in sent]
    assert [(run["status"], run["position"]) for run in found[5:]] == [("RUNNING", None), ("QUEUED", 1), ("QUEUED", 2)]
    await drained(services, RUNS)
    found = [await run_of(gql, advisor, payload["run"]["id"]) for payload in sent]
    assert Counter(run["status"] for run in found) == {"COMPLETED": 7, "CANCELLED": 1}


async def test_one_that_waits_is_cancelled(make: Make, gql: Gql, services: Services) -> None:
    advisor = await make.advisor()
    sent = await many(gql, advisor, 8)
    run = (await cancelled(gql, advisor, sent[6]["run"]["id"]))["run"]
    assert (run["status"], run["error"], run["retryable"]) == ("CANCELLED", "CANCELLED", True)
    assert (await run_of(gql, advisor, sent[7]["run"]["id"]))["position"] == 2
    await drained(services, RUNS)
    answer = await message(gql, advisor, sent[6]["answer"]["id"])
    assert [block["__typename"] for block in answer["blocks"]] == ["SystemBlock"]
    assert answer["run"]["status"] == "CANCELLED"


async def test_one_that_is_under_way_is_cancelled_and_keeps_what_it_has_said(
    make: Make, gql: Gql, live: Served, services: Services
) -> None:
    advisor = await make.advisor()
    conversation = await talk(gql, advisor)
    server = LanguageModel(halting(asyncio.Event(), ["So ", "far."], "No further."))
    async with answered_by(services, server) as answering, socket_to(live, advisor.token) as socket:
        await socket.subscribe(FOLLOW, conversation=conversation)
        async with working(answering, RUNS):
            await socket.send(type="ping")
            assert (await socket.receive())["type"] == "pong"
            sent = await say(gql, advisor, "Hello.", conversationId=conversation)
            answer, heard = sent["answer"]["id"], Heard()
            while heard.text_of(answer) != "So far.":
                heard.hear((await socket.next(20))["conversationEvents"])
            run = (await cancelled(gql, advisor, sent["run"]["id"]))["run"]
            assert (run["status"], run["endedAt"] is None) == ("CANCELLED", False)
            await until_end(socket, heard=heard)
            # Whoever was at work has let go of the model.
            await server.idle()
    assert heard.events[-1]["code"] == "CANCELLED"
    whole = heard.whole[answer]["blocks"]
    assert [block["__typename"] for block in whole] == ["TextBlock", "SystemBlock"]
    assert whole[0]["text"] == "So far."
    assert (await message(gql, advisor, answer))["blocks"] == whole


async def test_what_has_ended_is_not_cancelled(make: Make, gql: Gql, services: Services) -> None:
    advisor = await make.advisor()
    (sent,) = await many(gql, advisor, 1)
    await drained(services, RUNS)
    before = await message(gql, advisor, sent["answer"]["id"])
    assert refusals(await cancelled(gql, advisor, sent["run"]["id"])) == [("RUN_ENDED", ["input", "runId"])]
    assert await message(gql, advisor, sent["answer"]["id"]) == before


async def test_many_who_cancel_at_once_end_it_once(make: Make, gql: Gql) -> None:
    advisor = await make.advisor()
    (sent,) = await many(gql, advisor, 1)
    payloads = await asyncio.gather(*(cancelled(gql, advisor, sent["run"]["id"]) for _ in range(8)))
    assert Counter(refusals(each)[0][0] if each["userErrors"] else "done" for each in payloads) == {
        "done": 1,
        "RUN_ENDED": 7,
    }
    ended = "select count(*) from events where kind = 'RUN_FAILED'"
    assert await make.connection.fetchval(ended) == 1


async def test_what_has_failed_is_tried_again_once(make: Make, gql: Gql, services: Services) -> None:
    advisor = await make.advisor()
    server = LanguageModel(fails(401), says("Now ", "it works."))
    async with answered_by(services, server) as answering:
        (sent,) = await many(gql, advisor, 1)
        retry = {"runId": sent["run"]["id"]}
        declined = await gql.as_(advisor).change("retryRun", SENT, **retry)
        assert refusals(declined) == [("RUN_NOT_FAILED", ["input", "runId"])]
        await drained(answering, RUNS)
        assert (await run_of(gql, advisor, sent["run"]["id"]))["retryable"] is True
        payloads = await asyncio.gather(*(gql.as_(advisor).change("retryRun", SENT, **retry) for _ in range(5)))
        (again,) = [payload for payload in payloads if not payload["userErrors"]]
        assert [refusals(each) for each in payloads if each is not again] == [
            [("RUN_NOT_FAILED", ["input", "runId"])]
        ] * 4
        await drained(answering, RUNS)
    assert again["message"] == sent["message"]
    assert again["answer"]["id"] != sent["answer"]["id"]
    answer = await message(gql, advisor, again["answer"]["id"])
    assert (answer["replyToId"], answer["blocks"]) == (
        sent["message"]["id"],
        [{"__typename": "TextBlock", "text": "Now it works."}],
    )
    # The question is asked as it was, once, and what had failed is not told to the model.
    said = [line["content"] for line in server.asked[-1].messages if line["role"] != "system"]
    assert said == ["Question 0"]
    declined = await gql.as_(advisor).change("retryRun", SENT, runId=again["run"]["id"])
    assert refusals(declined) == [("RUN_NOT_FAILED", ["input", "runId"])]


async def revoked(gql: Gql, who: SignedIn, session: Session) -> None:
    """End a session."""
    payload = await gql.as_(who).change("revokeSession", "session { id }", sessionId=id_of(session))
    assert payload["userErrors"] == []


async def test_a_run_ends_with_the_session_that_asked(make: Make, gql: Gql, services: Services) -> None:
    advisor = await make.advisor(clients=1)
    other = await make.session(advisor.user)
    conversation = await talk(gql, advisor)
    # Taken up after the end of the session, it sees nothing in that one's name any more.
    sent = await say(gql, advisor, "Find client Meera", conversationId=conversation)
    await revoked(gql, other, advisor.session)
    await drained(services, RUNS)
    answer = await message(gql, other, sent["answer"]["id"])
    assert (answer["run"]["status"], answer["run"]["error"]) == ("FAILED", "SESSION_ENDED")
    (block,) = answer["blocks"]
    assert (block["code"], block["retryable"]) == ("SESSION_ENDED", False)


async def test_a_run_whose_session_ends_in_the_middle_calls_no_tool(make: Make, gql: Gql, services: Services) -> None:
    advisor = await make.advisor(clients=1)
    other = await make.session(advisor.user)
    held = asyncio.Event()

    async def begun() -> bool:
        return bool(await make.connection.fetchval("select count(*) from run_steps where state is null"))

    call = wants(Want("find_client", {"text": "Client"}), text="Let me see. ")
    server = LanguageModel(replace(call, held=held, before=2))
    async with answered_by(services, server) as answering:
        sent = await say(gql, advisor, "Which clients?")
        async with working(answering, RUNS):
            await until(begun)
            await revoked(gql, other, advisor.session)
            held.set()
            await until(lambda: has_ended(gql, other, sent["run"]["id"]))
    answer = await message(gql, other, sent["answer"]["id"])
    assert answer["run"]["error"] == "SESSION_ENDED"
    assert [block["__typename"] for block in answer["blocks"]] == ["TextBlock", "ErrorBlock"]
    assert await make.connection.fetchval("select count(*) from tool_uses") == 0


async def test_closing_the_socket_ends_no_run(make: Make, live: Served, services: Services) -> None:
    advisor = await make.advisor()
    held, heard = asyncio.Event(), Heard()
    given = {"content": "Hello.", "idempotencyKey": "once"}
    server = LanguageModel(halting(held, ["One. "], "Two."))
    async with answered_by(services, server) as answering, working(answering, RUNS):
        async with socket_to(live, advisor.token) as socket:
            await socket.subscribe(ASK, input=given)
            while "TextDelta" not in heard.kinds:
                heard.hear((await socket.next(20))["ask"])
        held.set()
        async with socket_to(live, advisor.token) as socket:
            # It goes on exactly where it stopped.
            await socket.subscribe(ASK, input=given, after=heard.cursor)
            await until_end(socket, "ask", heard)
            assert (await socket.receive())["type"] == "complete"
    (answer,) = heard.whole
    assert heard.whole[answer]["blocks"] == [{"__typename": "TextBlock", "text": "One. Two."}]
    assert heard.agrees(answer)
    assert heard.events[-1]["__typename"] == "RunCompleted"
    assert await make.connection.fetchval("select count(*) from runs") == 1
