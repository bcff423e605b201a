// The exchange's websocket: one connection, opened again by itself, subscriptions kept.

const RETRY_MS = [250, 500, 1000, 2000];
const PING_MS = 10_000;

export class Feed {
  #address;
  #onState;
  #socket = null;
  #id = 0;
  #calls = new Map();
  #handlers = new Map();
  #subscriptions = new Map();
  #token = null;
  #failures = 0;
  #isAlive = false;

  /**
   * @param {string} address  of the websocket
   * @param {(state: "live" | "lost") => void} onState  called when the connection opens or ends
   */
  constructor(address, onState) {
    this.#address = address;
    this.#onState = onState;
    this.#open();
    setInterval(() => this.#ping(), PING_MS);
  }

  /** Calls `handler(...params)` for each notification of a family, such as "depth". */
  on(family, handler) {
    this.#handlers.set(`${family}.update`, handler);
  }

  /** Replaces the subscription of a family; it is repeated on every new connection. */
  subscribe(family, params) {
    this.#subscriptions.set(family, params);
    this.#send(`${family}.subscribe`, params);
  }

  /** Says who we are; private families need it. */
  async authenticate(token) {
    this.#token = token;
    if (await this.#send("server.auth", [token, "page"])) this.#resubscribe();
  }

  #open() {
    const socket = new WebSocket(this.#address);
    this.#socket = socket;
    socket.onopen = async () => {
      this.#failures = 0;
      this.#isAlive = true;
      if (this.#token) await this.#send("server.auth", [this.#token, "page"]);
      this.#resubscribe();
      this.#onState("live");
    };
    socket.onmessage = (event) => {
      this.#isAlive = true;
      const message = JSON.parse(event.data);
      if (message.method) this.#handlers.get(message.method)?.(...message.params);
      else this.#settle(message);
    };
    socket.onclose = () => {
      for (const done of this.#calls.values()) done(null);
      this.#calls.clear();
      this.#onState("lost");
      const wait = RETRY_MS[Math.min(this.#failures++, RETRY_MS.length - 1)];
      setTimeout(() => this.#open(), wait * (0.8 + 0.4 * Math.random()));
    };
  }

  #resubscribe() {
    for (const [family, params] of this.#subscriptions) this.#send(`${family}.subscribe`, params);
  }

  #ping() {
    if (this.#socket.readyState !== WebSocket.OPEN) return;
    if (!this.#isAlive) this.#socket.close();
    this.#isAlive = false;
    this.#send("server.ping", []);
  }

  #send(method, params) {
    if (this.#socket.readyState !== WebSocket.OPEN) return Promise.resolve(null);
    const id = ++this.#id;
    this.#socket.send(JSON.stringify({ method, params, id }));
    return new Promise((done) => this.#calls.set(id, done));
  }

  #settle(message) {
    this.#calls.get(message.id)?.(message.error ? null : message.result);
    this.#calls.delete(message.id);
  }
}
