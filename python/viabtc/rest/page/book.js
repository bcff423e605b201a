// One market's levels as texts, changed by differences. Prices are compared as numbers only to sort them.

export class Book {
  #limit;
  #asks = new Map();
  #bids = new Map();

  /** @param {number} limit  levels kept a side, best first */
  constructor(limit) {
    this.#limit = limit;
  }

  replace({ asks, bids }) {
    this.#asks = new Map(asks);
    this.#bids = new Map(bids);
  }

  /** Amounts are absolute; "0" removes a level; a side without changes is absent. */
  change({ asks = [], bids = [] }) {
    for (const [side, changes] of [[this.#asks, asks], [this.#bids, bids]]) {
      for (const [price, amount] of changes) {
        if (Number(amount) === 0) side.delete(price);
        else side.set(price, amount);
      }
    }
    // Levels that a full window pushed out are not reported.
    const { asks: kept, bids: keptBids } = this.levels();
    this.#asks = new Map(kept);
    this.#bids = new Map(keptBids);
  }

  levels() {
    const sorted = (side, sign) =>
      [...side].sort(([a], [b]) => sign * (Number(a) - Number(b))).slice(0, this.#limit);
    return { asks: sorted(this.#asks, 1), bids: sorted(this.#bids, -1) };
  }
}
