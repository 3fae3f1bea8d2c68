/** What both clients share: where the server is, the session and its renewal, and a socket that goes on where it was. */
import type { TypedDocumentNode } from "@graphql-typed-document-node/core";
import { print, type GraphQLFormattedError } from "graphql";
import { createClient, type Client } from "graphql-ws";
import { filter, lastValueFrom, takeWhile, tap, timeout, type Observable } from "rxjs";
import WebSocket from "ws";
import { RefreshSessionDocument, SignInDocument } from "./generated.js";
import type { OrderEventsSubscription, OrderStatus, TokensFragment } from "./generated.js";

export const url = process.env.STEWARD_URL ?? "http://127.0.0.1:8000/graphql";
export const portfolioId = "portfolio_0176f0ac6a80710bbaba7f43d48973ea";
export const instrumentId = "instrument_0176cab184007161b600b2c26f399d0f";

/** The tokens of now: at first those of a session that was kept, if there is one. */
export const session = {
  accessToken: process.env.STEWARD_ACCESS_TOKEN ?? "",
  refreshToken: process.env.STEWARD_REFRESH_TOKEN ?? "",
};

/** Whether an answer says that the access token has come to its end: renew it, and ask again. */
export const hasExpired = (errors: readonly GraphQLFormattedError[]) =>
  errors.some(({ extensions }) => extensions?.code === "UNAUTHENTICATED" && extensions.reason === "EXPIRED");

export async function signIn(): Promise<void> {
  if (session.refreshToken) return;
  const email = process.env.STEWARD_EMAIL ?? "asha.mehta@steward.example";
  const password = process.env.STEWARD_PASSWORD ?? "steward-demo-2026";
  const { user } = keep((await ask(SignInDocument, { email, password })).signIn?.session);
  console.log(`Signed in as ${user.name}, ${user.role}.`);
}

let renewing: Promise<void> | undefined;

/** Exchange the refresh token: once for all who wait, for it works once. */
export function renew(): Promise<void> {
  return (renewing ??= exchange().finally(() => (renewing = undefined)));
}

async function exchange(): Promise<void> {
  const { user } = keep((await ask(RefreshSessionDocument, { refreshToken: session.refreshToken })).refreshSession?.session);
  console.log(`The access token had expired; renewed the session of ${user.name}.`);
}

function keep(tokens: TokensFragment | null | undefined): TokensFragment {
  if (!tokens) throw new Error("The server gave no session.");
  Object.assign(session, { accessToken: tokens.accessToken, refreshToken: tokens.refreshToken });
  return tokens;
}

/** Signing in and renewing go by plain fetch: they need no token, no cache and no retry. */
async function ask<Data, Variables>(document: TypedDocumentNode<Data, Variables>, variables: Variables): Promise<Data> {
  const body = JSON.stringify({ query: print(document), variables });
  const response = await fetch(url, { method: "POST", headers: { "content-type": "application/json" }, body });
  const { data, errors } = (await response.json()) as { data?: Data; errors?: GraphQLFormattedError[] };
  if (errors?.length || !data) throw new Error(errors?.map((error) => error.message).join(" ") ?? response.statusText);
  return data;
}

let ended = false;
const socket = createClient({
  url: url.replace(/^http/, "ws"),
  // Browsers, and Node from 22 on, bring their own WebSocket.
  webSocketImpl: WebSocket,
  connectionParams: async () => {
    if (ended) await renew();
    ended = false;
    return { authorization: `Bearer ${session.accessToken}` };
  },
  shouldRetry: () => true,
  // 4403 says that the token has ended while the socket was open.
  on: { closed: (event) => (ended = (event as CloseEvent).code === 4403) },
});

/** A socket whose subscriptions, when it was lost, ask for what came `after` the last cursor: nothing is missed. */
export const live: Client = {
  ...socket,
  subscribe(payload, sink) {
    const request = { ...payload, variables: { ...payload.variables } };
    const next: typeof sink.next = (result) => {
      const [event] = Object.values(result.data ?? {}) as { cursor?: string }[];
      if (event?.cursor) request.variables.after = event.cursor;
      sink.next(result);
    };
    return socket.subscribe(request, { ...sink, next });
  },
};

/** The server tells of changes from when it was asked on: so what must not be missed is begun once it is connected. */
export const connected = new Promise<void>((resolve) => socket.on("connected", () => resolve()));

export type OrderEvent = OrderEventsSubscription["orderEvents"];
const FINAL: readonly OrderStatus[] = ["FILLED", "CANCELLED", "REJECTED", "EXPIRED"];

/** Show the events of one of the portfolio's orders until it is final; gives its last. */
export function untilFinal(events: Observable<OrderEvent>, orderId: string): Promise<OrderEvent> {
  const show = ({ occurredAt, status, order }: OrderEvent) => {
    const price = order.averagePrice?.display ?? "no price yet";
    console.log(`${occurredAt.slice(11, 19)} ${status}: ${order.filledQuantity} filled by now, at ${price}`);
  };
  return lastValueFrom(
    events.pipe(
      filter(({ order }) => order.id === orderId),
      tap(show),
      takeWhile(({ status }) => !FINAL.includes(status), true),
      timeout(60_000),
    ),
  );
}
