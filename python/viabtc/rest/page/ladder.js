// The book as a picture: prices, amounts, what is there up to a price, and where own orders stand.

import { add, alignment, less, plain, quotient, shown, times } from "./numbers.js";
import { fill } from "./tables.js";

const $ = (id) => document.getElementById(id);
const PLACES_MIN = { price: 2, amount: 4 };

export class Ladder {
  #own = new Set();
  #onPick;

  /** @param {(price: string, total: string) => void} onPick  a level was chosen */
  constructor(onPick) {
    this.#onPick = onPick;
    $("ladder").addEventListener("keydown", (event) => this.#move(event));
  }

  /** Prices of own open orders, of both sides. */
  mark(prices) {
    this.#own = new Set(prices.map(plain));
  }

  show({ asks, bids }, market) {
    const all = [...asks, ...bids];
    const least = (name) => Math.min(PLACES_MIN[name], market?.[`${name}_decimals`] ?? 0);
    const places = alignment(all.map(([price]) => price), least("price"));
    const depth = [this.#summed(asks), this.#summed(bids)];
    // A small window has room for prices as they are, and for amounts that are cut.
    const most = matchMedia("(max-width: 36rem)").matches ? PLACES_MIN.amount : Infinity;
    const fine = Math.min(most, alignment(all.map(([, amount]) => amount), least("amount")));
    const largest = Math.max(1e-18, ...depth.flat().map(([, , total]) => Number(total)));
    const [above, below] = depth;
    this.#fill($("asks"), above.toReversed(), { places, fine, largest });
    this.#fill($("bids"), below, { places, fine, largest });
    $("spread").textContent = spread(asks, bids, places);
    // One stop of the tab key: from there arrow keys go on.
    const rows = this.#rows();
    rows.forEach((row) => (row.tabIndex = -1));
    if (rows.length) rows[Math.max(0, asks.length - 1)].tabIndex = 0;
  }

  #summed(levels) {
    let total = "0";
    return levels.map(([price, amount]) => [price, amount, (total = add(total, amount))]);
  }

  #fill(body, levels, { places, fine, largest }) {
    const texts = ([price, amount, total]) => [
      shown(price, places),
      shown(amount, fine),
      shown(total, Math.min(fine, PLACES_MIN.amount)),
    ];
    fill(body, levels, texts).forEach((row, index) => {
      const [price, , total] = levels[index];
      row.style.setProperty("--share", `${(100 * Number(total)) / largest}%`);
      row.classList.toggle("own", this.#own.has(plain(price)));
      row.title = row.classList.contains("own") ? "An order of yours is here." : "";
      row.onclick = () => this.#onPick(price, total);
    });
  }

  #rows() {
    return [...$("asks").rows, ...$("bids").rows];
  }

  #move(event) {
    const rows = this.#rows();
    const at = rows.indexOf(document.activeElement);
    const to = { ArrowUp: at - 1, ArrowDown: at + 1 }[event.key];
    if (at >= 0 && rows[to]) {
      rows[to].focus();
      event.preventDefault();
    } else if (at >= 0 && (event.key === "Enter" || event.key === " ")) {
      rows[at].click();
      event.preventDefault();
    }
  }
}

function spread(asks, bids, places) {
  if (!asks.length && !bids.length) return "no orders yet";
  if (!asks.length) return "nobody sells";
  if (!bids.length) return "nobody buys";
  const width = less(asks[0][0], bids[0][0]);
  const share = quotient(times(width, "100"), asks[0][0], 3);
  return `spread ${shown(width, places)} (${shown(share, 2)} %)`;
}
