// The order form: side, type, price, amount, shares of what is available, and what comes of it.

import { Refused } from "./api.js";
import { brief, cut, isNumber, plain, quotient, shown, step, times } from "./numbers.js";

const $ = (id) => document.getElementById(id);
const FEWEST_PLACES = 2;

export class OrderForm {
  #api;
  #market = null;
  #held = new Map();
  #best = { ask: null, bid: null };
  #onDone;

  /** @param {() => void} onDone  called when an order was answered */
  constructor(api, onDone) {
    this.#api = api;
    this.#onDone = onDone;
    const form = $("order");
    form.onsubmit = (event) => this.#place(event);
    form.oninput = () => this.show();
    form.onkeydown = (event) => this.#step(event);
    for (const button of $("shares").children) {
      button.onclick = () => this.#take(button.dataset.share);
    }
  }

  choose(market) {
    this.#market = market;
    this.#best = { ask: null, bid: null };
    this.#fields.price.value = this.#fields.amount.value = "";
    this.say("");
    this.show();
  }

  /** The best prices; an empty price field takes the one that an order would meet. */
  meet({ asks, bids }) {
    const isFirst = !this.#best.ask && !this.#best.bid;
    this.#best = { ask: asks[0]?.[0] ?? null, bid: bids[0]?.[0] ?? null };
    if (isFirst && !this.#fields.price.value) {
      const side = this.#fields.side.value === "bid" ? "ask" : "bid";
      this.#fields.price.value = this.#best[side] ?? "";
    }
    this.show();
  }

  /** What the visitor holds; null for nobody. */
  hold(balances) {
    this.#held = new Map((balances ?? []).map((one) => [one.asset, one.available]));
    $("submit").disabled = balances === null;
    this.show();
  }

  pick(price) {
    this.#fields.price.value = plain(price);
    this.show();
  }

  side(name) {
    this.#fields.side.value = name;
    this.show();
    (this.#fields.price.hidden ? this.#fields.amount : this.#fields.price).focus();
  }

  say(text, state = "done") {
    $("outcome").textContent = text;
    $("outcome").dataset.state = state;
  }

  refused(error) {
    this.say(this.#words(error), "refused");
  }

  show() {
    const { market } = this;
    if (!market) return;
    const { side, type, price, amount } = this.#fields;
    const isMarket = type.value === "market";
    price.disabled = isMarket;
    price.closest(".field").hidden = isMarket;
    $("price-unit").textContent = market.quote;
    $("amount-unit").textContent = this.#spendsQuote() ? market.quote : market.base;
    $("amount-name").textContent = this.#spendsQuote() ? "Spend" : "Amount";
    $("submit").textContent = `${side.value === "bid" ? "Buy" : "Sell"} ${market.base}`;
    $("submit").dataset.side = side.value;
    const held = this.#held.get(this.#asset());
    $("available").textContent = held === undefined ? "–" : `${brief(held)} ${this.#asset()}`;
    const canMultiply = !isMarket && isNumber(price.value.trim()) && isNumber(amount.value.trim());
    const total = canMultiply && times(price.value.trim(), amount.value.trim());
    $("total").textContent = total ? `${brief(total)} ${market.quote}` : "–";
    $("total").parentElement.hidden = isMarket;
  }

  get market() {
    return this.#market;
  }

  get #fields() {
    return $("order").elements;
  }

  #spendsQuote() {
    return this.#fields.type.value === "market" && this.#fields.side.value === "bid";
  }

  #asset() {
    return this.#fields.side.value === "bid" ? this.#market.quote : this.#market.base;
  }

  #take(percent) {
    const held = this.#held.get(this.#asset());
    if (held === undefined) return;
    const part = quotient(times(held, percent), "100", 20);
    const { side, price, amount } = this.#fields;
    const places = this.#market.amount_decimals;
    if (side.value === "ask" || this.#spendsQuote()) amount.value = cut(part, places);
    else if (isNumber(price.value.trim())) amount.value = quotient(part, price.value.trim(), places);
    else this.say("Give a price first: the amount follows from it.", "refused");
    this.show();
  }

  /** Arrow keys change a number by one of its last decimal. */
  #step(event) {
    const direction = { ArrowUp: 1, ArrowDown: -1 }[event.key];
    const field = event.target;
    if (!direction || !["price", "amount"].includes(field.name) || !isNumber(field.value)) return;
    const finest = this.#market[`${field.name}_decimals`];
    const own = (field.value.split(".")[1] ?? "").length;
    const places = Math.min(finest, Math.max(own, FEWEST_PLACES));
    field.value = step(field.value, places, direction);
    event.preventDefault();
    this.show();
  }

  #order() {
    const { side, type, price, amount } = this.#fields;
    const order = { market: this.#market.name, side: side.value, type: type.value };
    for (const [name, field] of Object.entries({ price, amount })) {
      if (field.disabled) continue;
      order[name] = field.value.trim();
      if (!isNumber(order[name])) {
        field.focus();
        const what = order[name] ? `“${order[name]}” is no ${name}` : `The ${name} is missing`;
        this.say(`${what}: write digits and a point, such as 0.25.`, "refused");
        return null;
      }
      if (Number(order[name]) === 0) {
        field.focus();
        this.say(`The ${name} has to be more than 0.`, "refused");
        return null;
      }
    }
    return order;
  }

  async #place(event) {
    event.preventDefault();
    const order = this.#order();
    if (!order) return;
    $("submit").disabled = true;
    try {
      this.say(this.#told(await this.#api.post("/orders", order)));
    } catch (error) {
      this.refused(error);
    }
    $("submit").disabled = false;
    this.#onDone();
  }

  #told(order) {
    const { base, quote } = this.#market;
    const done = order.side === "bid" ? "bought" : "sold";
    const filled = `${done} ${shown(order.filled_base)} ${base} for ${shown(order.filled_quote)} ${quote}`;
    const rest = `${shown(order.remaining)} ${base} at ${shown(order.price)} ${quote}`;
    if (Number(order.filled_base) === 0) return `Order ${order.id} rests: ${rest}.`;
    if (order.status === "open") return `Order ${order.id}: ${filled}; what rests is ${rest}.`;
    return `Order ${order.id}: ${filled}.`;
  }

  #words(error) {
    if (!(error instanceof Refused)) return "The exchange cannot be reached; nothing is known of the order.";
    const { asset, available, min_amount: least } = error.details;
    switch (error.code) {
      case "balance_not_enough":
        return `Refused: not enough ${asset}; ${shown(cut(available, 8))} ${asset} is available.`;
      case "amount_too_small":
        return `Refused: too little; the least is ${shown(least)} ${this.#market.base}.`;
      case "no_enough_trader":
        return "Refused: nobody to trade with is left in the book.";
      case "market_halted":
        return `Refused: trading is halted in ${this.#market.name}; cancels go on.`;
      default:
        return `Refused: ${error.message}.`;
    }
  }
}
