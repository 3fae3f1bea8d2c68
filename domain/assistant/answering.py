"""How a run makes an answer: the model is asked, its words are told as they come, its tools are called, until it ends.

What is told is stored before anybody is told it, so the text of the answer is what its steps have told, whatever
becomes of the process. A run that is taken up again goes on behind that: tools that were called are not called again.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Final, NoReturn, TypeAlias
from uuid import UUID

import msgspec

from domain.access import Viewer
from domain.assistant.lines import Shown, focus_of
from domain.assistant.models import Ask, Call, Focus, Line, Model, ModelDown, ModelRefused, Speaker, Spent, Text
from domain.assistant.telling import Nib, Pen, Telling
from domain.assistant.titling import shown_of, title_of
from domain.assistant.tool_use import use_tool
from domain.assistant.tools import ToolFailed
from domain.assistant.tools.registry import TOOLS, line_of, spec_of
from domain.conversations import blocks as content
from domain.conversations import runs
from domain.conversations.costs import CallPurpose, ModelCall
from domain.conversations.entities import (
    AgentState,
    Message,
    Run,
    RunError,
    ToolUse,
    known_of,
    utf16,
)
from domain.conversations.looking import still_there
from domain.conversations.runs import RunLost, held
from domain.conversations.titles import Exchange, Titled
from domain.errors import Fault, NotFound, Unauthenticated, Unavailable
from domain.identity import session_topic
from domain.jobs import Office
from domain.text import storable
from domain.work import Work

log = logging.getLogger("steward.assistant")

# A model that calls tools again and again is asked for an answer without any in the end.
MOST_ROUNDS: Final = 8
MOST_CALLS: Final = 8
MOST_EARLIER: Final = 100
SPECS: Final = tuple(map(spec_of, TOOLS))
ENDS: Final = {
    Unauthenticated: RunError.SESSION_ENDED,
    ModelDown: RunError.MODEL_DOWN,
    ModelRefused: RunError.MODEL_REFUSED,
}


class Situation(msgspec.Struct, frozen=True):
    """What an answer begins with: what was said before, and what was done in earlier attempts."""

    question: Message
    answer: Message
    earlier: tuple[Message, ...]
    uses: tuple[ToolUse, ...]
    said: str
    focus: tuple[Focus, ...]
    viewer: Viewer
    user_name: str


# What makes the lines of a prompt: the system's words, and as much of what was said, the tools' rounds last, as fits.
Prompting: TypeAlias = Callable[[Situation, Sequence[Line], datetime], Shown]


async def survey(work: Work, viewer: Viewer, run: Run) -> Situation:
    """What a run begins with, as its user sees it. Raises NotFound, RunLost."""
    await work.privacy.people_stand()
    running = await held(work, run)
    question = await work.messages.one(viewer, run.question_id)
    answer = await work.messages.one(viewer, run.message_id)
    earlier = await work.messages.latest(run.conversation_id, question.id, MOST_EARLIER)
    looked = [each for each in await still_there(work, viewer, known_of(question).context.refs) if each.shared]
    # Whatever the model is shown it may repeat: so who does not see that does not see the answer either.
    shown = await work.messages.clients_of([message.id for message in earlier])
    await work.messages.mention(answer, shown.union(*(each.clients for each in looked)))
    await runs.start(work, running)
    blocks = content.read(answer.blocks)
    said = (await work.runs.said(answer.id)).get(len(blocks), "")
    return Situation(
        question,
        answer,
        tuple(earlier),
        tuple(await work.runs.uses(run.id)),
        said,
        focus_of(looked),
        viewer,
        (await work.identities.user(viewer.user_id)).name,
    )


def _line(call: Call) -> str:
    """What is being looked up, whatever the arguments are like."""
    try:
        return line_of(call)
    except ToolFailed:
        return "Looking something up"


class Answering:
    """The work on one answer, in one attempt."""

    def __init__(self, assistant: "ModelAssistant", office: Office, nib: Nib, run: Run, situation: Situation) -> None:
        self._assistant = assistant
        self._office = office
        self._nib = nib
        self._run = run
        self._situation = situation
        self._uses = list(situation.uses)
        # The calls of the model that are not noted with the run yet.
        self.calls: list[ModelCall] = []
        self._block = len(content.read(situation.answer.blocks))
        # Of the block that is being written, in UTF-16 units; and what of it was said since tools were called.
        self._length = utf16(situation.said)
        self._said = _since_tools(situation.said, self._block, self._uses)
        self._round = self._uses[-1].round + 1 if self._uses else 0

    async def go(self) -> None:
        """Ask, tell and call until the model has nothing more to say. Raises ModelDown, ModelRefused, RunLost."""
        while calls := await self._ask():
            await self._nib.written()
            said = self._said
            for position, call in enumerate(calls[:MOST_CALLS]):
                await self._use(call, position, said if position == 0 else "")
            self._round += 1
            self._said = ""
        await self._nib.written()

    async def _ask(self) -> list[Call]:
        """Ask the model once, and tell what it says; gives the tools that it wants called before it goes on."""
        self._tell(state=AgentState.THINKING, text="Thinking")
        calls: list[Call] = []
        ask, shown = self._next()
        async for piece in self._assistant.model.answer(ask):
            match piece:
                case Text():
                    self._say(piece.text)
                case Call():
                    calls.append(piece)
                case Spent():
                    call = self._assistant.call_of(self._run, CallPurpose.ANSWER, shown, piece, self._office.now)
                    self.calls.append(call)
        # Some servers take a model's words for a call, though it may call nothing.
        return calls if ask.may_call else []

    def _next(self) -> tuple[Ask, Shown]:
        viewer, now = self._situation.viewer, self._office.now
        shown = self._assistant.prompting(self._situation, _rounds(self._uses), now)
        ask = Ask(
            lines=shown.lines,
            tools=SPECS,
            may_call=self._round < MOST_ROUNDS,
            said=self._said,
            focus=self._situation.focus,
            today=viewer.today(now),
            locale=viewer.locale,
        )
        return ask, msgspec.structs.replace(shown, said=self._said)

    def _say(self, text: str) -> None:
        if text := storable(text):
            self._nib.write(Telling(self._block, text, self._length))
            self._said += text
            self._length += utf16(text)

    def _tell(self, *, state: AgentState, text: str) -> None:
        self._nib.write(Telling(self._block, text, state=state))

    async def _use(self, call: Call, position: int, said: str) -> None:
        line = _line(call)
        self._tell(state=AgentState.TOOL_CALL, text=line)
        await self._nib.written()
        use = ToolUse(
            id=self._assistant.new_id(self._office.now),
            run_id=self._run.id,
            message_id=self._run.message_id,
            round=self._round,
            position=position,
            block=self._block,
            said=said,
            call_id=call.id,
            name=call.name,
            arguments=call.arguments,
            line=line,
            facts="",
            failed=False,
            used_at=self._office.now,
        )
        used, blocks = await self._office.write_as(self._run.session_id, use_tool, self._run, use, self.calls)
        self._uses.append(used)
        self.calls = []
        if blocks > self._block:
            # What was said so far is settled, and a new text begins.
            self._block, self._length = blocks, 0


def _since_tools(text: str, block: int, uses: Sequence[ToolUse]) -> str:
    """What of a block's text was said after the last call of a tool."""
    return text[sum(len(use.said) for use in uses if use.block == block) :]


def _rounds(uses: Sequence[ToolUse]) -> list[Line]:
    """What was asked of tools, and what they have found, as a model remembers it."""
    lines: list[Line] = []
    for number in sorted({use.round for use in uses}):
        of_round = [use for use in uses if use.round == number]
        calls = tuple(Call(use.call_id, use.name, use.arguments) for use in of_round)
        lines.append(Line(Speaker.ASSISTANT, of_round[0].said, calls))
        lines += [Line(Speaker.TOOL, use.facts, call_id=use.call_id) for use in of_round]
    return lines


class ModelAssistant:
    """Answers by a language model and its tools: `domain.conversations.runs.Assistant`."""

    def __init__(self, model: Model, pen: Pen, prompting: Prompting, new_id: Callable[[datetime], UUID]) -> None:
        self.model = model
        self.pen = pen
        self.prompting = prompting
        self.new_id = new_id

    async def answer(self, office: Office, run_id: UUID) -> None:
        """Take a run up and carry it to its end. Raises Unavailable where the database is gone, to be tried again."""
        run = await office.write(runs.take, run_id)
        if run is None:
            return
        with suppress(RunLost):
            await self._carry(office, run)

    async def entitle(self, office: Office, exchange: Exchange) -> Titled:
        """Say what an exchange is to be called."""
        shown = shown_of(exchange)
        title, spent = await title_of(self.model, exchange, shown)
        calls = [self.call_of(exchange.run, CallPurpose.TITLE, shown, each, office.now) for each in spent]
        return Titled(title, tuple(calls))

    def call_of(self, run: Run, purpose: CallPurpose, shown: Shown, spent: Spent, now: datetime) -> ModelCall:
        """A call of a model that has just ended."""
        return ModelCall(
            id=self.new_id(now),
            run_id=run.id,
            message_id=run.message_id,
            attempt=run.attempt,
            purpose=purpose,
            model=spent.model,
            input_tokens=spent.input_tokens,
            output_tokens=spent.output_tokens,
            cost=spent.cost,
            prompt=shown.trace,
            ended_at=now,
        )

    async def _carry(self, office: Office, run: Run) -> None:
        nib = self.pen.of(run)
        error, calls = await self._attempt(office, nib, run)
        if error is not None:
            await _told_first(nib)
        await office.write(runs.conclude, run, error, calls)

    async def _attempt(self, office: Office, nib: Nib, run: Run) -> tuple[RunError | None, Sequence[ModelCall]]:
        """Answer; gives why not, and the calls of models that are not noted yet. Raises RunLost, and Unavailable."""
        answering: Answering | None = None
        error: RunError | None = None
        try:
            # Before anything is read as whoever asked, so that no end of its session is missed.
            async with office.listening(session_topic(run.session_id)) as revoked:
                situation = await office.write_as(run.session_id, survey, run)
                answering = Answering(self, office, nib, run, situation)
                await _unless_ended(office, run, answering, revoked)
        except Unavailable:
            raise
        except (RunLost, NotFound):
            # The firm sees it still, unless somebody else has it: then it is out of sight of whoever asked.
            await office.write(runs.check, run)
            error = RunError.OUT_OF_SIGHT
        except Exception as fault:
            error = next((code for kind, code in ENDS.items() if isinstance(fault, kind)), RunError.INTERNAL)
            unknown = error is RunError.INTERNAL and not isinstance(fault, Fault)
            log.warning("a run has failed: %s", type(fault).__name__, exc_info=unknown)
        return error, answering.calls if answering else ()


async def _told_first(nib: Nib) -> None:
    """Have what was said told, before the end; what cannot be told does not keep a run from its end."""
    try:
        await nib.written()
    except (RunLost, Unavailable):
        raise
    except Exception as error:  # noqa: BLE001 - whatever it is, it has ended the run already
        log.warning("the last words of a run are lost: %s", type(error).__name__)


async def _unless_ended(office: Office, run: Run, answering: Answering, revoked: asyncio.Event) -> None:
    """Go on until the answer is whole, or somebody ends the run, or the session of whoever asked.

    Raises RunLost, Unauthenticated, and whatever goes wrong.
    """
    async with office.listening(runs.topic_of(run.id)) as rung:
        # Somebody may have ended it before anybody listened.
        rung.set()
        going = asyncio.create_task(answering.go())
        tasks = [
            going,
            asyncio.create_task(_watching(rung, lambda: office.write(runs.check, run))),
            asyncio.create_task(_watching(revoked, lambda: office.write_as(run.session_id, _let_in))),
        ]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            # An answer that is whole is whole, whatever else has happened at the same moment.
            (going if going in done else done.pop()).result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def _watching(rung: asyncio.Event, look: Callable[[], Awaitable[object]]) -> NoReturn:
    """Look whenever the bell rings, until that raises what ends the watch.

    All bells ring when the listener is back, or the server about to end: a ring alone says nothing.
    """
    while True:
        await rung.wait()
        rung.clear()
        try:
            await look()
        except Unavailable as error:
            await asyncio.sleep(error.retry_after)
            rung.set()


async def _let_in(_: Work, __: Viewer) -> None:
    """Do nothing: to be let in says that the session stands."""
