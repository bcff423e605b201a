// What belongs to the visitor: balances, open orders, finished ones, own trades.

import { alignment, brief, cut, quotient, shown, times } from "./numbers.js";
import { coloured, fill, moment } from "./tables.js";

const $ = (id) => document.getElementById(id);
const SHOWN = 50;
const PLACES = 8;
/** History is written behind the engine: a look that comes at once may be too early. */
const LATER_MS = 1000;

/** The amount of a market bid is money. */
const isSpent = (order) => order.type === "market" && order.side === "bid";

const side = (name) => coloured(name === "bid" ? "buy" : "sell", name);

export class Account {
  #api;
  #market = null;
  #tab = "orders";
  #isRefreshing = false;
  #isDue = false;
  #later = 0;
  #on;

  /** @param {{balances, open, cancelled, refused}} on  called with what was learnt */
  constructor(api, on) {
    this.#api = api;
    this.#on = on;
    for (const button of $("lists").children) button.onclick = () => this.#open(button.dataset.list);
  }

  choose(market) {
    this.#market = market;
  }

  /** Asks again, one at a time; what comes meanwhile causes one more. */
  async refresh() {
    if (!this.#market) return;
    this.#isDue = true;
    if (this.#isRefreshing) return;
    this.#isRefreshing = true;
    while (this.#isDue) {
      this.#isDue = false;
      await this.load().catch(this.#on.failed);
    }
    this.#isRefreshing = false;
    clearTimeout(this.#later);
    if (this.#tab !== "orders") this.#later = setTimeout(() => this.#list().catch(this.#on.failed), LATER_MS);
  }

  /** @throws when something cannot be had. */
  async load() {
    if (!this.#api.token) {
      fill($("balances"), [], null, "choose who you are to trade");
      for (const list of ["orders", "finished", "own"]) fill($(list), [], null, "choose who you are to trade");
      $("open-count").textContent = "";
      this.#on.balances(null);
      this.#on.open([]);
      return;
    }
    const [balances, open] = await Promise.all([
      this.#api.get("/balances"),
      this.#api.get(this.#of("/orders/open")),
      this.#list(),
    ]);
    this.#showBalances(balances);
    this.#showOpen(open);
    this.#on.balances(balances);
    this.#on.open(open.items);
  }

  #of(path) {
    return `${path}?market=${encodeURIComponent(this.#market.name)}&limit=${SHOWN}`;
  }

  #showBalances(balances) {
    fill($("balances"), balances, ({ asset, available, frozen }) => {
      return [asset, brief(available), brief(frozen)];
    }).forEach((row, index) => {
      const { asset, available, frozen } = balances[index];
      row.title = `${available} ${asset} available, ${frozen} in orders`;
    });
  }

  #showOpen({ items, next }) {
    $("open-count").textContent = items.length ? `${items.length}${next ? "+" : ""}` : "";
    const [prices, amounts] = this.#places(items);
    const cells = (order) => {
      const cancel = document.createElement("button");
      cancel.className = "cancel";
      cancel.textContent = "cancel";
      cancel.setAttribute("aria-label", `cancel order ${order.id}`);
      cancel.onclick = () => this.#cancel(order.id);
      const part = quotient(times(order.filled_base, "100"), order.amount, 1);
      return [
        moment(order.created_at),
        side(order.side),
        shown(order.price, prices),
        shown(order.amount, amounts),
        shown(order.remaining, amounts),
        `${shown(part, 1)} %`,
        cancel,
      ];
    };
    fill($("orders"), items, cells, "no open orders");
  }

  async #list() {
    if (!this.#api.token || this.#tab === "orders") return;
    if (this.#tab === "finished") this.#showFinished((await this.#api.get(this.#of("/orders/finished"))).items);
    else this.#showOwn((await this.#api.get(this.#of("/trades"))).items);
  }

  #showFinished(orders) {
    const [prices, amounts] = this.#places(orders);
    const cells = (order) => [
      moment(order.updated_at),
      side(order.side),
      order.type,
      order.type === "market" ? "–" : shown(order.price, prices),
      isSpent(order) ? `${shown(order.amount)} ${this.#market.quote}` : shown(order.amount, amounts),
      shown(order.filled_base, amounts),
      Number(order.remaining) === 0 ? "filled" : "ended",
    ];
    fill($("finished"), orders, cells, "no finished orders yet; those that ended without a trade are not listed");
  }

  #showOwn(trades) {
    const [prices, amounts] = this.#places(trades);
    const fees = alignment(trades.map((trade) => cut(trade.fee, PLACES)));
    const cells = (trade) => [
      moment(trade.time),
      side(trade.side),
      trade.role,
      shown(trade.price, prices),
      shown(trade.amount, amounts),
      `${shown(cut(trade.fee, PLACES), fees)} ${trade.side === "bid" ? this.#market.base : this.#market.quote}`,
    ];
    fill($("own"), trades, cells, "no trades of yours yet");
  }

  #places(rows) {
    return ["price", "amount"].map((name) => alignment(rows.map((row) => row[name]), 2));
  }

  #open(list) {
    this.#tab = list;
    for (const button of $("lists").children) {
      button.setAttribute("aria-pressed", String(button.dataset.list === list));
      $(`${button.dataset.list}-list`).hidden = button.dataset.list !== list;
    }
    this.#list().catch(this.#on.failed);
  }

  async #cancel(id) {
    try {
      await this.#api.remove(`/markets/${encodeURIComponent(this.#market.name)}/orders/${id}`);
      this.#on.cancelled(id);
    } catch (error) {
      this.#on.refused(error);
    }
    this.refresh();
  }
}
