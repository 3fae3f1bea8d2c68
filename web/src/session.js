// Who is signed in. The tokens live in this browser tab alone: they survive its reload, and end with it.
import { complaint, isExpired, isRefused, post } from './answers.js';

const KEY = 'steward:session';
const SESSION = `session {
  accessToken accessTokenExpiresAt refreshToken refreshTokenExpiresAt user { name role }
} userErrors { code message field }`;
const SIGN_IN = `mutation SignIn($input: SignInInput!) { signIn(input: $input) { ${SESSION} } }`;
const REFRESH = `mutation Refresh($input: RefreshSessionInput!) { refreshSession(input: $input) { ${SESSION} } }`;
const SIGN_OUT = 'mutation SignOut { signOut(input: {}) { userErrors { code } } }';
const VIEWER = '{ viewer { name role } }';
const ENDED = 'Your session has ended. Please sign in again.';

export class Session {
  #endpoint;
  #tokens = JSON.parse(sessionStorage.getItem(KEY));
  #refreshing = null;
  #listeners = new Set();
  #state;

  constructor(endpoint) {
    this.#endpoint = endpoint;
    this.#state = { user: this.#tokens?.user ?? null, notice: '' };
  }

  /** What the page shows: the user (or null) and why there is none. A new object at each sign-in and sign-out only. */
  get state() {
    return this.#state;
  }

  subscribe = (listener) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  get headers() {
    return this.#tokens ? { Authorization: `Bearer ${this.#tokens.accessToken}` } : {};
  }

  get hasExpired() {
    return this.#tokens !== null && Date.parse(this.#tokens.accessTokenExpiresAt) <= Date.now();
  }

  /** Signs in; on success whoever was signed in before is signed out. Returns what is wrong, or undefined. */
  async signIn(email, password) {
    const before = this.headers;
    const answer = await post(this.#endpoint, { query: SIGN_IN, variables: { input: { email, password } } });
    const session = answer.data?.signIn?.session;
    if (!session) return complaint(answer, answer.data?.signIn) ?? 'The server gave no session.';
    if (before.Authorization) post(this.#endpoint, { query: SIGN_OUT }, before).catch(() => undefined);
    this.#keep(session);
    this.#show({ user: session.user, notice: '' });
    return undefined;
  }

  async signOut() {
    await this.send({ query: SIGN_OUT }).catch(() => undefined);
    this.end('');
  }

  /** Forgets the tokens and asks for a new sign-in, saying why. */
  end(notice) {
    this.#keep(null);
    this.#show({ user: null, notice });
  }

  /**
   * Trades the refresh token for a new pair. A refresh token works once (a second use ends the session), so everybody
   * who needs it meanwhile waits for the same trade. Returns whether there is a session afterwards.
   */
  refresh() {
    this.#refreshing ??= this.#trade().finally(() => {
      this.#refreshing = null;
    });
    return this.#refreshing;
  }

  /** Sends a request as the user; an access token that has run out is refreshed once, and the request repeated. */
  async send(body, headers) {
    const used = this.#tokens?.accessToken;
    const answer = await post(this.#endpoint, body, { ...this.headers, ...headers });
    if (!this.#tokens || headers?.Authorization || !isRefused(answer)) return answer;
    if (isExpired(answer)) {
      // Another request's answer may have come first, and the token been refreshed since.
      const fresh = this.#tokens.accessToken !== used || (await this.refresh());
      return fresh ? post(this.#endpoint, body, { ...this.headers, ...headers }) : answer;
    }
    await this.#check();
    return answer;
  }

  // A refusal may be the operation's own (a wrong password in `signIn`): only the viewer's says that the session ended.
  async #check() {
    const answer = await post(this.#endpoint, { query: VIEWER }, this.headers);
    if (isRefused(answer) && !isExpired(answer)) this.end(ENDED);
  }

  async #trade() {
    const refreshToken = this.#tokens?.refreshToken;
    if (!refreshToken) return false;
    const answer = await post(this.#endpoint, { query: REFRESH, variables: { input: { refreshToken } } });
    if (this.#tokens?.refreshToken !== refreshToken) return this.#tokens !== null;
    const payload = answer.data?.refreshSession;
    if (payload?.session) this.#keep(payload.session);
    // Anything else than a refusal (the server restarts, say) leaves the token for another try.
    else if (payload || isRefused(answer)) this.end(ENDED);
    return Boolean(payload?.session);
  }

  #keep(tokens) {
    this.#tokens = tokens;
    if (tokens) sessionStorage.setItem(KEY, JSON.stringify(tokens));
    else sessionStorage.removeItem(KEY);
  }

  #show(state) {
    this.#state = state;
    for (const listener of this.#listeners) listener();
  }
}
