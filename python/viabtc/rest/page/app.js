// The page of one market: what is public, what belongs to the visitor, and the form between them.

import { Account } from "./account.js";
import { Api, Refused } from "./api.js";
import { Book } from "./book.js";
import { Chart } from "./chart.js";
import { Feed } from "./feed.js";
import { OrderForm } from "./form.js";
import { Ladder } from "./ladder.js";
import { alignment, less, quotient, shown, times } from "./numbers.js";
import { clock, coloured, fill } from "./tables.js";

const TRADES_SHOWN = 50;
/** Levels of a side: more where there is room for them. */
const LEVELS_SHOWN = matchMedia("(min-width: 100rem) and (min-height: 62rem)").matches ? 20 : 10;
const POLL_MS = 1000;
const MARKETS_MS = 10_000;
const OWN_TOKEN = "own";

const $ = (id) => document.getElementById(id);
const api = new Api();
const book = new Book(LEVELS_SHOWN);
const form = new OrderForm(api, () => account.refresh());
const ladder = new Ladder((price) => form.pick(price));
const account = new Account(api, {
  balances: (held) => form.hold(held),
  open: (orders) => {
    ladder.mark(orders.map((order) => order.price));
    showBook();
  },
  cancelled: (id) => form.say(`Order ${id} is cancelled.`),
  refused: (error) => form.refused(error),
  failed,
});

let market = null;
let markets = [];
let feed = null;
let chart = null;
let trades = [];

function showBook() {
  const levels = book.levels();
  ladder.show(levels, market);
  if (market) form.meet(levels);
}

function showTrades() {
  const seen = trades.slice(0, TRADES_SHOWN);
  const price = alignment(seen.map((trade) => trade.price), 2);
  const amount = alignment(seen.map((trade) => trade.amount), 4);
  const cells = (trade) => [
    coloured(shown(trade.price, price), trade.taker),
    shown(trade.amount, amount),
    clock(trade.time),
  ];
  fill($("trades"), seen, cells, "no trades yet");
  if (trades.length) showLast(trades[0].price, trades[1]?.price);
}

/** The last price, with the way it went. */
function showLast(last, before = last) {
  const way = Math.sign(Number(last) - Number(before));
  const price = Number(last) === 0 ? "–" : shown(last, alignment([last], 2));
  $("last").textContent = way ? `${price} ${way > 0 ? "↑" : "↓"}` : price;
  $("last").className = ["ask", "", "bid"][way + 1];
  document.title = `${price} ${market.name} · viabtc`;
}

function addTrades(news) {
  const newest = trades.length ? trades[0].id : 0;
  trades = [...news.filter((trade) => trade.id > newest), ...trades].slice(0, 100);
  showTrades();
}

function showDay({ last, open, high, low, volume }) {
  const hasTraded = Number(volume) !== 0;
  const places = alignment([high, low], 2);
  $("high").textContent = hasTraded ? shown(high, places) : "–";
  $("low").textContent = hasTraded ? shown(low, places) : "–";
  $("volume").textContent = `${shown(volume, alignment([volume], 2))} ${market.base}`;
  const moved = less(last, open);
  const isDown = moved.startsWith("-");
  const share = quotient(times(moved.replace("-", ""), "100"), open, 2);
  $("change").textContent = hasTraded ? `${isDown ? "−" : "+"}${shown(share, 2)} %` : "–";
  $("change").className = hasTraded && Number(moved) !== 0 ? (isDown ? "ask" : "bid") : "";
  if (!trades.length) showLast(last);
}

async function refreshPublic() {
  const { name } = market;
  const path = `/markets/${encodeURIComponent(name)}`;
  const [depth, deals, ticker] = await Promise.all([
    api.get(`${path}/depth?limit=${LEVELS_SHOWN}`),
    api.get(`${path}/trades?limit=${TRADES_SHOWN}`),
    api.get(`${path}/ticker`),
  ]);
  if (name !== market.name) return;
  book.replace(depth);
  showBook();
  addTrades(deals);
  showDay(ticker);
}

/** Markets come, and are halted, while the page is open. */
async function refreshMarkets() {
  markets = await api.get("/markets");
  const names = markets.map((one) => one.name);
  const chosen = $("market").value;
  if ([...$("market").options].map((one) => one.value).join() !== names.join()) {
    $("market").replaceChildren(...names.map((name) => new Option(name)));
    if (names.includes(chosen)) $("market").value = chosen;
  }
  const now = markets.find((one) => one.name === market?.name);
  $("halted").hidden = now?.status !== "halted";
}

function failed(error) {
  if (error instanceof Refused && error.status === 401) {
    // Mistyped, or revoked while the page was open: nobody's balances and orders stay in sight.
    api.token = null;
    account.refresh();
  }
  // What a lost connection or a service that is away causes is said by the notice.
  const isAway = !(error instanceof Refused) || error.status >= 500 || error.status === 429;
  if (!isAway) form.refused(error);
}

function notice(text) {
  $("notice").textContent = text;
  $("notice").hidden = !text;
}

function showLink(state) {
  const isLive = state === "live";
  document.body.classList.toggle("lost", !isLive);
  $("link").dataset.state = state;
  $("link").textContent = isLive ? "live" : "not connected";
  notice(isLive ? "" : "The exchange cannot be reached; trying again. What was accepted is safe.");
  if (isLive && market) {
    refreshMarkets().catch(failed);
    refreshPublic().catch(failed);
    chart.load();
    account.refresh();
  }
}

async function chooseMarket(name) {
  market = markets.find((one) => one.name === name);
  trades = [];
  book.replace({ asks: [], bids: [] });
  form.choose(market);
  account.choose(market);
  showBook();
  showTrades();
  showLast("0");
  $("halted").hidden = market.status !== "halted";
  chart.choose(market);
  if (feed) {
    feed.subscribe("depth", [market.name, LEVELS_SHOWN, "0"]);
    feed.subscribe("deals", [market.name]);
    feed.subscribe("kline", [market.name, chart.interval]);
    feed.subscribe("state", [market.name]);
    if (api.token) subscribePrivate();
  }
  await refreshPublic().catch(failed);
  await account.refresh();
}

function subscribePrivate() {
  feed.subscribe("order", [market.name]);
  feed.subscribe("asset", [market.base, market.quote]);
}

async function chooseIdentity(token) {
  const isOwn = token === OWN_TOKEN;
  $("own-token").hidden = !isOwn;
  await signIn(isOwn ? null : token);
  if (isOwn) $("token").focus();
}

/** Who the visitor is from now on; nobody without a token. */
async function signIn(token) {
  api.token = token || null;
  form.say("");
  if (feed && token) {
    await feed.authenticate(token);
    if (market) subscribePrivate();
  }
  account.refresh();
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
  feed.on("order", () => account.refresh());
  feed.on("asset", () => account.refresh());
}

/** B and S choose the side from anywhere but a field. */
function shortcut(event) {
  const side = { b: "bid", s: "ask" }[event.key];
  const isTyping = event.target.closest("input:not([type=radio]), select");
  if (!side || isTyping || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  form.side(side);
}

async function start() {
  const page = await (await fetch("/page.json")).json();
  await refreshMarkets();
  if (page.market) $("market").value = page.market;
  const identities = page.identities.map((one) => new Option(one.name, one.token));
  const others = [new Option("nobody", ""), new Option("my own token …", OWN_TOKEN)];
  $("identity").replaceChildren(...identities, ...others);
  chart = new Chart($("chart"), $("intervals"), api, (interval) => {
    if (feed) feed.subscribe("kline", [market.name, interval]);
  });
  if (page.websocket_port) {
    feed = new Feed(`ws://${location.hostname}:${page.websocket_port}/`, showLink);
    listen();
  } else {
    setInterval(poll, POLL_MS);
  }
  setInterval(() => refreshMarkets().catch(failed), MARKETS_MS);
  $("market").onchange = () => chooseMarket($("market").value);
  $("identity").onchange = () => chooseIdentity($("identity").value);
  $("own-token").onsubmit = (event) => {
    event.preventDefault();
    signIn($("token").value.trim());
  };
  document.addEventListener("keydown", shortcut);
  addEventListener("resize", showBook);
  await chooseIdentity($("identity").value);
  await chooseMarket($("market").value);
}

async function poll() {
  try {
    await Promise.all([refreshPublic(), account.load(), chart.load()]);
    if ($("link").dataset.state !== "live") showLink("live");
  } catch (error) {
    if (error instanceof Refused && error.status < 500) failed(error);
    else showLink("lost");
  }
}

start().catch(() => notice("The exchange cannot be reached; reload the page when it runs."));
