// The page: candles, book, trades, order form, open orders, balances of one market.

import { Api, Refused } from "./api.js";
import { Book } from "./book.js";
import { Chart } from "./chart.js";
import { Feed } from "./feed.js";

const TRADES_SHOWN = 20;
const LEVELS_SHOWN = 10;
const POLL_MS = 1000;

const $ = (id) => document.getElementById(id);
const api = new Api();
const book = new Book(LEVELS_SHOWN);

let market = null;
let markets = [];
let feed = null;
let chart = null;
let trades = [];
let isRefreshing = false;
let isRefreshDue = false;

function rows(body, items, cells, empty) {
  const made = items.map((item) => {
    const row = document.createElement("tr");
    for (const cell of cells(item)) {
      const data = row.insertCell();
      if (cell instanceof Node) data.append(cell);
      else data.textContent = cell;
    }
    return row;
  });
  if (!made.length && empty) {
    const row = document.createElement("tr");
    const cell = row.insertCell();
    cell.colSpan = 6;
    cell.className = "empty";
    cell.textContent = empty;
    made.push(row);
  }
  body.replaceChildren(...made);
  return made;
}

function showBook() {
  const { asks, bids } = book.levels();
  const largest = book.largest();
  const fill = (body, levels) => {
    rows(body, levels, ([price, amount]) => [price, amount]).forEach((row, index) => {
      const [price, amount] = levels[index];
      row.style.setProperty("--share", `${(Number(amount) / largest) * 100}%`);
      row.onclick = () => ($("order").elements.price.value = price);
    });
  };
  fill($("asks"), asks.toReversed());
  fill($("bids"), bids);
  const isTwoSided = asks.length && bids.length;
  $("spread").rows[0].cells[0].textContent = isTwoSided ? `${bids[0][0]} | ${asks[0][0]}` : "–";
}

function showTrades() {
  rows(
    $("trades"),
    trades.slice(0, TRADES_SHOWN),
    (trade) => {
      const price = document.createElement("span");
      price.className = trade.taker;
      price.textContent = trade.price;
      return [price, trade.amount, new Date(trade.time / 1000).toLocaleTimeString()];
    },
    "no trades yet",
  );
  if (trades.length) $("last").textContent = trades[0].price;
}

function addTrades(news) {
  const newest = trades.length ? trades[0].id : 0;
  trades = [...news.filter((trade) => trade.id > newest), ...trades].slice(0, 100);
  showTrades();
}

async function refreshPrivate() {
  // One at a time; what came meanwhile causes one more.
  if (isRefreshing) {
    isRefreshDue = true;
    return;
  }
  isRefreshing = true;
  do {
    isRefreshDue = false;
    await showPrivate().catch(failed);
  } while (isRefreshDue);
  isRefreshing = false;
}

async function showPrivate() {
  if (!api.token) return;
  const [balances, open] = await Promise.all([
    api.get("/balances"),
    api.get(`/orders/open?market=${encodeURIComponent(market.name)}&limit=50`),
  ]);
  rows($("balances"), balances, (held) => [held.asset, held.available, held.frozen]);
  rows(
    $("orders"),
    open.items,
    (order) => {
      const side = document.createElement("span");
      side.className = order.side;
      side.textContent = order.side === "bid" ? "buy" : "sell";
      const cancel = document.createElement("button");
      cancel.className = "cancel";
      cancel.textContent = "cancel";
      cancel.onclick = () => cancelOrder(order.id);
      return [order.id, side, order.price, order.remaining, order.filled_base, cancel];
    },
    "no open orders",
  );
}

async function cancelOrder(id) {
  try {
    await api.remove(`/markets/${encodeURIComponent(market.name)}/orders/${id}`);
    say(`Order ${id} is cancelled.`);
  } catch (error) {
    refused(error);
  }
  refreshPrivate();
}

async function refreshPublic() {
  const name = encodeURIComponent(market.name);
  const depth = await api.get(`/markets/${name}/depth?limit=${LEVELS_SHOWN}`);
  book.replace(depth);
  showBook();
  addTrades(await api.get(`/markets/${name}/trades?limit=${TRADES_SHOWN}`));
  showDay(await api.get(`/markets/${name}/ticker`));
}

function showDay(ticker) {
  $("last").textContent = ticker.last;
  $("day").textContent = `24 h: ${ticker.low} – ${ticker.high}, ${ticker.volume} ${market.base}`;
}

function say(text, state = "done") {
  $("outcome").textContent = text;
  $("outcome").dataset.state = state;
}

function refused(error) {
  say(error instanceof Refused ? `Refused: ${error.message}.` : "The exchange cannot be reached.", "refused");
}

function failed(error) {
  if (error instanceof Refused && error.status !== 503 && error.status !== 504) throw error;
}

function notice(text) {
  $("notice").textContent = text;
  $("notice").hidden = !text;
}

function showLink(state) {
  $("link").dataset.state = state;
  $("link").textContent = state === "live" ? "live" : "not connected";
  notice(state === "live" ? "" : "The exchange cannot be reached; trying again. What was accepted is safe.");
  if (state === "live" && market) {
    refreshPublic().catch(failed);
    refreshPrivate();
  }
}

function showForm() {
  const form = $("order").elements;
  const [side, type] = [form.side.value, form.type.value];
  form.price.disabled = type === "market";
  form.price.closest("label").hidden = type === "market";
  $("price-unit").textContent = market.quote;
  $("amount-unit").textContent = type === "market" && side === "bid" ? market.quote : market.base;
  $("submit").textContent = `${side === "bid" ? "Buy" : "Sell"} ${market.base}`;
  $("submit").dataset.side = side;
}

async function placeOrder(event) {
  event.preventDefault();
  const form = $("order").elements;
  const order = {
    market: market.name,
    side: form.side.value,
    type: form.type.value,
    amount: form.amount.value.trim(),
  };
  if (order.type === "limit") order.price = form.price.value.trim();
  $("submit").disabled = true;
  try {
    const placed = await api.post("/orders", order);
    const rests = placed.status === "open" ? `, ${placed.remaining} rests` : "";
    say(`Order ${placed.id}: ${placed.filled_base} ${market.base} filled${rests}.`);
  } catch (error) {
    refused(error);
  }
  $("submit").disabled = false;
  refreshPrivate();
}

async function chooseMarket(name) {
  market = markets.find((one) => one.name === name);
  trades = [];
  book.replace({ asks: [], bids: [] });
  showBook();
  showTrades();
  showForm();
  $("last").textContent = "–";
  chart.choose(market);
  if (feed) {
    feed.subscribe("depth", [market.name, LEVELS_SHOWN, "0"]);
    feed.subscribe("deals", [market.name]);
    feed.subscribe("kline", [market.name, chart.interval]);
    feed.subscribe("state", [market.name]);
    if (api.token) subscribePrivate();
  }
  await refreshPublic().catch(failed);
  refreshPrivate();
}

function subscribePrivate() {
  feed.subscribe("order", [market.name]);
  feed.subscribe("asset", [market.base, market.quote]);
}

async function chooseIdentity(token) {
  api.token = token || null;
  if (feed && token) {
    await feed.authenticate(token);
    if (market) subscribePrivate();
  }
  refreshPrivate();
}

function listen() {
  feed.on("depth", (isWhole, depth, name) => {
    if (name !== undefined && name !== market.name) return;
    if (isWhole) book.replace(depth);
    else book.change(depth);
    showBook();
  });
  feed.on("deals", (name, deals) => {
    if (name !== market.name) return;
    const takers = { sell: "ask", buy: "bid" };
    addTrades(deals.map((deal) => ({ ...deal, time: deal.time * 1e6, taker: takers[deal.type] })));
  });
  feed.on("kline", (...candles) => chart.update(candles));
  feed.on("state", (name, state) => name === market.name && showDay(state));
  feed.on("order", refreshPrivate);
  feed.on("asset", refreshPrivate);
}

async function start() {
  const page = await (await fetch("/page.json")).json();
  markets = await api.get("/markets");
  $("market").replaceChildren(...markets.map((one) => new Option(one.name)));
  if (page.market) $("market").value = page.market;
  const identities = page.identities.map((one) => new Option(one.name, one.token));
  $("identity").replaceChildren(...identities, new Option("nobody", ""));
  chart = new Chart($("chart"), $("intervals"), api, (interval) => {
    if (feed) feed.subscribe("kline", [market.name, interval]);
  });
  if (page.websocket_port) {
    feed = new Feed(`ws://${location.hostname}:${page.websocket_port}/`, showLink);
    listen();
  } else {
    setInterval(poll, POLL_MS);
  }
  $("market").onchange = () => chooseMarket($("market").value);
  $("identity").onchange = () => chooseIdentity($("identity").value);
  $("order").onsubmit = placeOrder;
  $("order").onchange = showForm;
  await chooseIdentity($("identity").value);
  await chooseMarket($("market").value);
}

async function poll() {
  try {
    await Promise.all([refreshPublic(), showPrivate(), chart.load()]);
    if ($("link").dataset.state !== "live") showLink("live");
  } catch {
    showLink("lost");
  }
}

start().catch(() => notice("The exchange cannot be reached; reload the page when it runs."));
