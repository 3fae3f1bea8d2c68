"""Asks, and follows the answer whatever happens to sockets and servers: `python follow_answer.py QUESTION`.

It needs `websockets` alone, and ends with exit code 1 unless it has heard the whole answer, each word once. The run
belongs to the server: whoever comes back with the cursor of the last event that it has seen is told what has happened
since.
"""

import asyncio
import json
import os
import sys
import time
import urllib.request
from typing import Any
from uuid import uuid4

from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException
from websockets.typing import Subprotocol

URL = os.environ.get("STEWARD_URL", "http://127.0.0.1:8000/graphql")
SIGN_IN = """mutation ($email: String!, $password: String!) {
    signIn(input: {email: $email, password: $password}) { session { accessToken } }
}"""
ASK = """subscription ($input: SendMessageInput!, $after: String) {
    ask(input: $input, after: $after) {
        __typename
        ... on ConversationUpdate { cursor }
        ... on AgentStatus { line }
        ... on TextDelta { messageId position start text }
        ... on RunCompleted { message { id blocks { ... on TextBlock { text } } } toolsUsed { name line } }
        ... on RunFailed { code reason }
    }
}"""


def sign_in() -> str:
    """An access token."""
    variables = {
        "email": os.environ.get("STEWARD_EMAIL", "asha.mehta@steward.example"),
        "password": os.environ.get("STEWARD_PASSWORD", "steward-demo-2026"),
    }
    body = json.dumps({"query": SIGN_IN, "variables": variables}).encode()
    request = urllib.request.Request(URL, body, {"content-type": "application/json"})
    with urllib.request.urlopen(request) as response:
        return str(json.load(response)["data"]["signIn"]["session"]["accessToken"])


class Answer:
    """What was heard of an answer so far, and where to go on from."""

    def __init__(self) -> None:
        self.cursor: str | None = None
        self.ended = False
        self.whole = False
        self.texts: dict[int, str] = {}
        self.deltas = 0
        self._began = time.monotonic()

    def say(self, text: str) -> None:
        """A line of what happens, with its moment."""
        print(f"\n[{time.monotonic() - self._began:5.1f} s] {text}", flush=True)

    def hear(self, event: dict[str, Any]) -> None:
        """Take an event in, and show it."""
        self.cursor = event["cursor"]
        match event["__typename"]:
            case "TextDelta":
                self._grow(event)
            case "AgentStatus":
                self.say(event["line"])
            case "RunCompleted":
                self._complete(event)
            case "RunFailed":
                self.ended = True
                self.say(f"{event['code']}: {event['reason']}")

    def _grow(self, event: dict[str, Any]) -> None:
        known = self.texts.get(event["position"], "")
        if event["start"] != len(known.encode("utf-16-le")) // 2:
            raise SystemExit(f"A gap, or a repetition: {event}")
        self.texts[event["position"]] = known + event["text"]
        self.deltas += 1
        print(event["text"], end="", flush=True)

    def _complete(self, event: dict[str, Any]) -> None:
        self.ended = True
        whole = "".join(block.get("text", "") for block in event["message"]["blocks"])
        heard = "".join(text for _, text in sorted(self.texts.items()))
        self.whole = whole.startswith(heard)
        same = "are" if heard == whole else "are the beginning of" if self.whole else "are NOT"
        self.say(f"Completed. The {len(heard)} characters of {self.deltas} deltas {same} the answer.")
        for tool in event["toolsUsed"]:
            print(f"          {tool['name']}: {tool['line']}")


async def follow(answer: Answer, token: str, question: dict[str, str]) -> None:
    """Ask, or go on with the answer, until it ends or the socket does."""
    address = URL.replace("http", "ws", 1)
    async with connect(address, subprotocols=[Subprotocol("graphql-transport-ws")]) as socket:
        await socket.send(json.dumps({"type": "connection_init", "payload": {"authorization": f"Bearer {token}"}}))
        await socket.recv()
        payload = {"query": ASK, "variables": {"input": question, "after": answer.cursor}}
        await socket.send(json.dumps({"id": "1", "type": "subscribe", "payload": payload}))
        while not answer.ended:
            message = json.loads(await socket.recv())
            if message["type"] == "next":
                answer.hear(message["payload"]["data"]["ask"])
            elif message["type"] == "ping":
                await socket.send(json.dumps({"type": "pong"}))
            else:
                raise SystemExit(str(message))


async def main(content: str) -> bool:
    """Ask, and come back as often as it takes; tells whether the answer is whole."""
    answer, token = Answer(), sign_in()
    # The same key is the same question, however often it is sent.
    question = {"content": content, "idempotencyKey": str(uuid4())}
    lost = False
    while not answer.ended:
        try:
            await follow(answer, token, question)
        except (OSError, WebSocketException):
            if not lost:
                answer.say("The server is gone. Coming back with the last cursor …")
            lost = True
            await asyncio.sleep(0.2)
    return answer.whole


if __name__ == "__main__":
    asked = " ".join(sys.argv[1:]) or "What does Rajesh Kumar hold, which orders are there, and how much cash?"
    sys.exit(0 if asyncio.run(main(asked)) else 1)
