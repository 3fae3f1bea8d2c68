/** urql: a client's portfolios, then an order from preview to fill. */
import { randomUUID } from "node:crypto";
import { cacheExchange, createClient, fetchExchange, subscriptionExchange, type OperationResult } from "@urql/core";
import { authExchange } from "@urql/exchange-auth";
import { ReplaySubject } from "rxjs";
import { ClientsDocument, OrderEventsDocument, PlaceOrderDocument, PreviewOrderDocument } from "./generated.js";
import type { PreviewOrderInput } from "./generated.js";
import { connected, hasExpired, instrumentId, live, portfolioId, renew, session, signIn, untilFinal, url } from "./steward.js";
import type { OrderEvent } from "./steward.js";

const urql = createClient({
  url,
  // By GET, what is asked would stand in addresses, and so in logs.
  preferGetMethod: false,
  exchanges: [
    cacheExchange,
    authExchange(async ({ appendHeaders }) => ({
      addAuthToOperation: (operation) => appendHeaders(operation, { authorization: `Bearer ${session.accessToken}` }),
      didAuthError: ({ graphQLErrors }) => hasExpired(graphQLErrors),
      refreshAuth: renew,
    })),
    fetchExchange,
    subscriptionExchange({
      forwardSubscription: ({ query, variables }) => ({
        subscribe: (sink) => ({ unsubscribe: live.subscribe({ query: query!, variables }, sink) }),
      }),
    }),
  ],
});

function dataOf<Data>({ data, error }: Pick<OperationResult<Data>, "data" | "error">): Data {
  if (error || !data) throw error ?? new Error("The server gave no data.");
  return data;
}

async function showClients(): Promise<void> {
  const { clients } = dataOf(await urql.query(ClientsDocument, { text: "raj kum" }));
  for (const { name, portfolios } of clients.nodes) {
    for (const portfolio of portfolios) {
      console.log(`${name}, ${portfolio.name}:`);
      for (const { quantity, instrument, marketValue } of portfolio.positions.nodes)
        console.log(`  ${quantity} ${instrument.symbol}, ${marketValue?.display ?? "without a price"}`);
    }
  }
}

async function preview(order: PreviewOrderInput): Promise<boolean> {
  const context = { requestPolicy: "network-only" } as const;
  const { accepted, reserved, settlesOn } = dataOf(await urql.query(PreviewOrderDocument, { order }, context)).previewOrder!;
  console.log(`${order.quantity} would cost ${reserved?.display}, settled on ${settlesOn}: ${accepted ? "" : "not "}accepted.`);
  return accepted;
}

/** Place an order. The key makes a repeat safe: the same order under the same key is placed once. */
async function place(order: PreviewOrderInput, idempotencyKey: string): Promise<string | undefined> {
  const { placeOrder } = dataOf(await urql.mutation(PlaceOrderDocument, { order: { ...order, idempotencyKey } }));
  for (const { code, message, field } of placeOrder?.userErrors ?? []) {
    if (code !== "INSUFFICIENT_CASH" && code !== "UNSUITABLE" && code !== "KYC_EXPIRED") throw new Error(message);
    console.log(`Refused as ${code} at ${field.join(".")}: ${message}`);
  }
  const id = placeOrder?.order?.id;
  if (id) console.log(`Placed ${id}.`);
  return id;
}

/** The changes of the portfolio's orders, kept for whoever asks later. */
function watch(): ReplaySubject<OrderEvent> {
  const events = new ReplaySubject<OrderEvent>();
  urql.subscription(OrderEventsDocument, { portfolioId }).subscribe(({ data, error }) => {
    if (error) events.error(error);
    else if (data) events.next(data.orderEvents);
  });
  return events;
}

await signIn();
await showClients();
const events = watch();
await connected;
const order = { portfolioId, instrumentId, side: "BUY", quantity: "100000" } as const;
if (!(await preview(order))) await place(order, randomUUID());
const orderId = await place({ ...order, quantity: "5" }, randomUUID());
const last = orderId && (await untilFinal(events, orderId));
process.exit(last && last.status === "FILLED" ? 0 : 1);
