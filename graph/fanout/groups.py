"""Who follows: subscribers, alone or in a group of those who ask alike and see alike."""

import asyncio
from collections.abc import Hashable, Iterator, Sequence
from contextlib import suppress
from contextvars import Context as Variables
from types import TracebackType
from typing import Any, Final, NoReturn, Protocol
from uuid import UUID

from domain.access import Viewer
from domain.errors import NotFound, Unauthenticated
from graph.fanout.feeds import Batch, Feed, Look, Over, Rendering, Telling, Told, alike, rendered
from persistence.bell import Signal

# Of one subscriber; what is rendered is the same bytes for all of them.
MOST_WAITING: Final = 200
MOST_WAITING_BYTES: Final = 1_048_576
# Of all members' writes: some ten milliseconds.
MOST_AT_ONCE: Final = 2_500


class Sink(Protocol):
    """Where the events of a subscriber go."""

    def put(self, telling: Telling) -> bool:
        """Take all of it without waiting; false, and nothing is taken, where that cannot be."""

    def delivered(self, telling: Telling, subscribers: int) -> None:
        """Count what so many sinks of one group have taken."""

    async def send(self, event: Told, *, live: bool) -> None:
        """Take one, however long it takes; `live` unless it is caught up with. Raises what ends the subscription."""


class Subscriber:
    """One subscription to a feed, alone or in a group."""

    __slots__ = (
        "_busy",
        "_bytes",
        "_fault",
        "_place",
        "_reached",
        "_trace",
        "_waiting",
        "_woken",
        "feed",
        "parted",
        "rendering",
        "sink",
    )

    def __init__(self, feed: Feed, rendering: Rendering, sink: Sink) -> None:
        self.feed = feed
        self.rendering = rendering
        self.sink = sink
        # All up to here has been taken.
        self._place = 0
        # Whether it takes events by itself, one after another: then nothing may overtake those in its queue.
        self._busy = True
        self._waiting: list[Told] = []
        self._bytes = 0
        self._reached = 0
        self._woken = Signal()
        self.parted = False
        self._fault: Exception | None = None
        self._trace: TracebackType | None = None

    async def follow(self) -> None:
        """Take events until all are told, or something else ends the subscription, which is raised."""
        with suppress(Over):
            await self._follow()

    async def _follow(self) -> NoReturn:
        begun = await self.feed.begin()
        self._place, viewer, alone = begun.place, begun.viewer, self.feed.resumed
        while True:
            if alone:
                viewer = await self._catch_up()
            # No await from here on until it has joined: what is told afterwards is told to it as well.
            self._reset()
            group = self.feed.fanout.group_for(self, viewer, self._place)
            try:
                await self._catch_up_to(group.place)
                await self._stay()
            finally:
                group.leave(self)
            alone = True

    def _reset(self) -> None:
        self._busy, self.parted, self._reached = True, False, self._place
        self._drop()

    def _drop(self) -> None:
        self._waiting.clear()
        self._bytes = 0

    async def _catch_up(self) -> Viewer:
        """Read and take alone, up to where the stream stands; gives the viewer with the rights of that moment."""
        while True:
            look = await self.feed.look(self._place)
            if not await self._took(look, None):
                return look.viewer

    async def _catch_up_to(self, until: int) -> None:
        """Read and take alone, up to a place."""
        while self._place < until and await self._took(await self.feed.look(self._place), until):
            pass

    async def _took(self, look: Look, until: int | None) -> bool:
        """Take what was looked at, up to a place; false if there was nothing, or the place is reached within it."""
        try:
            told = await rendered(self.rendering, look.batch, look.context) if look.batch else []
        finally:
            look.context.done()
        if look.batch is None:
            return False
        for event in told:
            if until is not None and event.place > until:
                return False
            await self._send(event, live=False)
        if look.batch.fault:
            raise look.batch.fault
        self._place = look.batch.place
        return True

    async def _send(self, event: Told, *, live: bool) -> None:
        # First: what it may be told is judged meanwhile.
        self.feed.remember(event.mark)
        await self.sink.send(event, live=live)
        self._place = event.place

    async def _stay(self) -> None:
        """Take what the group tells, until it has parted from it."""
        while True:
            while self._waiting:
                event = self._waiting.pop(0)
                self._bytes -= len(event.answer.data)
                await self._send(event, live=True)
            if self.parted:
                return
            if self._fault is not None:
                self._raise(self._fault)
            self._place = max(self._place, self._reached)
            self._busy = False
            self._woken.clear()
            await self._woken.wait()

    def _raise(self, fault: Exception) -> NoReturn:
        """Raise a fault that others may raise too, each with the trace that it came with alone."""
        self._fault = None
        raise fault.with_traceback(self._trace)

    def take(self, telling: Telling) -> bool:
        """Be told events; true if all were taken at once, and are still to be counted.

        Those that were taken already are left out.
        """
        if self.parted or self._fault or telling.place <= self._place:
            return False
        new = telling.after(self._place)
        try:
            taken = not self._busy and self._put(new)
        except Exception as error:  # noqa: BLE001 - whatever it is, it ends this subscription alone
            self.end(error, now=True)
            return False
        if not taken:
            self._busy = True
            self._wait(new)
            return False
        if self.feed.seen is not None:
            for event in new.events:
                self.feed.remember(event.mark)
        self._place = new.place
        if new is not telling:
            self.sink.delivered(new, 1)
        return new is telling

    def stands(self, batch: Batch) -> bool:
        """Whether it may be told a batch that another has read, once it has taken all that waits for it."""
        seen = self.feed.seen
        if seen is None or batch.sight is None:
            return True
        for event in self._waiting:
            seen = seen.after(event.mark)
        return seen.stands(batch.sight)

    def _put(self, telling: Telling) -> bool:
        return not telling.events or (telling.size <= MOST_WAITING_BYTES and self.sink.put(telling))

    def _wait(self, telling: Telling) -> None:
        self._waiting.extend(telling.events)
        self._bytes += telling.size
        self._reached = telling.place
        if len(self._waiting) > MOST_WAITING or self._bytes > MOST_WAITING_BYTES:
            self.part()
        self._woken.set()

    def part(self) -> None:
        """Go on alone: what it has not taken it reads anew, as it may see it then."""
        self.parted = True
        self._drop()
        self._woken.set()

    def end(self, fault: Exception, *, now: bool = False) -> None:
        """Be told nothing more but this fault; `now` not even what was told before."""
        if self._fault is None:
            self._fault, self._trace = fault, fault.__traceback__
        if now:
            self._drop()
        self._woken.set()


class Group:
    """Subscribers who asked alike and see alike, and the task that reads and renders for all of them."""

    __slots__ = ("_fanout", "_key", "_rights", "_task", "members", "place")

    def __init__(self, fanout: "Fanout", key: Hashable, rights: Viewer, place: int) -> None:
        self.members: dict[Subscriber, None] = {}
        # All up to here has been told.
        self.place = place
        self._fanout = fanout
        self._key = key
        self._rights = rights
        # Of no subscriber's own: it outlives whoever was first.
        self._task = asyncio.get_running_loop().create_task(self._run(), context=Variables())

    def join(self, member: Subscriber) -> None:
        """Be told all that comes after the group's place."""
        self.members[member] = None

    def leave(self, member: Subscriber) -> None:
        """Be told nothing more; the last one ends the group."""
        self.members.pop(member, None)
        if not self.members:
            # At once: whoever came to a group that looks no more would miss what happens meanwhile.
            self._fanout.forget(self._key, self)
            self._task.cancel()

    @property
    def _first(self) -> Subscriber:
        return next(iter(self.members))

    async def _run(self) -> None:
        try:
            # Joined by whoever made it, before this begins.
            async with self._first.feed.listening() as rung:
                while self.members:
                    rung.clear()
                    while self.members and await self._go_on():
                        pass
                    await rung.wait()
        except Exception as error:  # noqa: BLE001 - whatever it is, it is told to each as its own
            for member in list(self.members):
                self._end(member, error, now=False)

    async def _go_on(self) -> bool:
        """Read on as the first member; false if there is nothing more to read before the bell rings again."""
        first = self._first
        with first.feed.reading():
            return await self._go_on_as(first)

    async def _go_on_as(self, first: Subscriber) -> bool:
        try:
            look = await first.feed.look(self.place)
        except Unauthenticated as fault:
            self._end(first, fault)
            return True
        except NotFound as fault:
            # Of what it was told itself: another may never have been.
            self._end(first, fault, now=False)
            return True
        try:
            if not self._sees_as_we(look.viewer, first):
                self._part(first)
                return True
            if look.batch is None:
                return False
            await self.tell(look.batch, look.context, first)
        finally:
            look.context.done()
        # One that was to be told has left: another reads it anew.
        return look.batch.more or self.place < look.batch.place

    async def tell(self, batch: Batch, context: Any, reader: Subscriber) -> None:
        """Tell a batch that was read as one of the members to all who may see it now."""
        told = await rendered(reader.rendering, batch, context)
        if any(member.feed.session != reader.feed.session for member in self.members):
            await self._check(reader.feed)
        for member in list(self.members):
            if not member.stands(batch):
                self._part(member)
        if reader not in self.members:
            # It has lost what it was rendered with, in the middle of it perhaps: another member reads it anew.
            return
        for telling in _slices(told, batch.place, most=max(1, MOST_AT_ONCE // max(1, len(self.members)))):
            self.hand(telling)
            await asyncio.sleep(0)
        if batch.fault:
            for member in list(self.members):
                self._end(member, batch.fault, now=False)

    def hand(self, telling: Telling) -> None:
        """Hand over what is rendered."""
        self.place = telling.place
        taken = []
        for member in list(self.members):
            if member.take(telling):
                taken.append(member)
            elif member.parted:
                self.leave(member)
        if taken:
            taken[0].sink.delivered(telling, len(taken))

    async def _check(self, feed: Feed) -> None:
        """Part with those who may not see what the group sees. When it returns, all members have been asked about."""
        standing: dict[UUID, Viewer] = {}
        asked: set[UUID] = set()
        while missing := {member.feed.session for member in self.members} - asked:
            standing |= await feed.standing(missing)
            asked |= missing
        for member in list(self.members):
            viewer = standing.get(member.feed.session)
            if viewer is None:
                self._end(member, Unauthenticated("The session has ended.", reason="REVOKED"))
            elif not self._sees_as_we(viewer, member):
                self._part(member)

    def _sees_as_we(self, viewer: Viewer, member: Subscriber) -> bool:
        return alike(viewer, personal=member.rendering.personal) == self._rights

    def _part(self, member: Subscriber) -> None:
        self.leave(member)
        member.part()

    def _end(self, member: Subscriber, fault: Exception, *, now: bool = True) -> None:
        self.leave(member)
        member.end(fault, now=now)


def _slices(told: Sequence[Told], place: int, *, most: int) -> Iterator[Telling]:
    """The events, some at a time, so that others have their turn in between."""
    for at in range(0, max(1, len(told)), most):
        part = told[at : at + most]
        yield Telling.of(part, part[-1].place if at + most < len(told) else place)


class Fanout:
    """The groups of one process."""

    def __init__(self) -> None:
        self.groups: dict[Hashable, Group] = {}

    def group_for(self, member: Subscriber, viewer: Viewer, place: int) -> Group:
        """The group of those who ask and see as this one does, which it joins; made at its place if there is none."""
        rights = alike(viewer, personal=member.rendering.personal)
        key = member.feed.key, member.rendering.key, rights
        group = self.groups.get(key)
        if group is None:
            group = self.groups[key] = Group(self, key, rights, place)
        group.join(member)
        return group

    def forget(self, key: Hashable, group: Group) -> None:
        """Have the next who asks begin a group of its own."""
        if self.groups.get(key) is group:
            del self.groups[key]
