/** Apollo Client: a client's portfolios, then an order from preview to fill. */
import { randomUUID } from "node:crypto";
import { ApolloClient, ApolloLink, CombinedGraphQLErrors, HttpLink, InMemoryCache } from "@apollo/client";
import { SetContextLink } from "@apollo/client/link/context";
import { ErrorLink } from "@apollo/client/link/error";
import { GraphQLWsLink } from "@apollo/client/link/subscriptions";
import { from, ReplaySubject, switchMap } from "rxjs";
import { ClientsDocument, OrderEventsDocument, PlaceOrderDocument, PreviewOrderDocument } from "./generated.js";
import type { PreviewOrderInput } from "./generated.js";
import { connected, hasExpired, instrumentId, live, portfolioId, renew, session, signIn, untilFinal, url } from "./steward.js";
import type { OrderEvent } from "./steward.js";

const authorised = new SetContextLink(({ headers }) => ({
  headers: { ...headers, authorization: `Bearer ${session.accessToken}` },
}));
const renewed = new ErrorLink(({ error, operation, forward }) =>
  CombinedGraphQLErrors.is(error) && hasExpired(error.errors)
    ? from(renew()).pipe(switchMap(() => forward(operation)))
    : undefined,
);
const apollo = new ApolloClient({
  cache: new InMemoryCache(),
  link: ApolloLink.split(
    ({ operationType }) => operationType === "subscription",
    new GraphQLWsLink(live),
    ApolloLink.from([renewed, authorised, new HttpLink({ uri: url })]),
  ),
});

async function showClients(): Promise<void> {
  const { data } = await apollo.query({ query: ClientsDocument, variables: { text: "raj kum" } });
  for (const { name, portfolios } of data?.clients.nodes ?? []) {
    for (const portfolio of portfolios) {
      console.log(`${name}, ${portfolio.name}:`);
      for (const { quantity, instrument, marketValue } of portfolio.positions.nodes)
        console.log(`  ${quantity} ${instrument.symbol}, ${marketValue?.display ?? "without a price"}`);
    }
  }
}

async function preview(order: PreviewOrderInput): Promise<boolean> {
  const { data } = await apollo.query({ query: PreviewOrderDocument, variables: { order }, fetchPolicy: "no-cache" });
  const { accepted, reserved, settlesOn } = data!.previewOrder!;
  console.log(`${order.quantity} would cost ${reserved?.display}, settled on ${settlesOn}: ${accepted ? "" : "not "}accepted.`);
  return accepted;
}

/** Place an order. The key makes a repeat safe: the same order under the same key is placed once. */
async function place(order: PreviewOrderInput, idempotencyKey: string): Promise<string | undefined> {
  const variables = { order: { ...order, idempotencyKey } };
  const { data } = await apollo.mutate({ mutation: PlaceOrderDocument, variables });
  for (const { code, message, field } of data?.placeOrder?.userErrors ?? []) {
    if (code !== "INSUFFICIENT_CASH" && code !== "UNSUITABLE" && code !== "KYC_EXPIRED") throw new Error(message);
    console.log(`Refused as ${code} at ${field.join(".")}: ${message}`);
  }
  const id = data?.placeOrder?.order?.id;
  if (id) console.log(`Placed ${id}.`);
  return id;
}

/** The changes of the portfolio's orders, kept for whoever asks later. */
function watch(): ReplaySubject<OrderEvent> {
  const events = new ReplaySubject<OrderEvent>();
  apollo.subscribe({ query: OrderEventsDocument, variables: { portfolioId } }).subscribe(({ data, error }) => {
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
