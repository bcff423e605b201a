// Candles of one market. Prices become numbers here and nowhere else: a picture needs no last digit.

import { alignment, shown } from "./numbers.js";

const INTERVALS = [
  ["1m", 60],
  ["5m", 300],
  ["15m", 900],
  ["1h", 3600],
  ["4h", 14_400],
  ["1d", 86_400],
];
const DAY_S = 86_400;
const CANDLES_SHOWN = 300;
const PLACES_MIN = 2;

export class Chart {
  interval = INTERVALS[0][1];
  #api;
  #chart = null;
  #candles = null;
  #volumes = null;
  #market = null;
  #last = null;
  #places = PLACES_MIN;
  #colours;
  #onInterval;

  constructor(place, tabs, api, onInterval) {
    this.#api = api;
    this.#onInterval = onInterval;
    for (const [name, seconds] of INTERVALS) {
      const tab = document.createElement("button");
      tab.type = "button";
      tab.textContent = name;
      tab.onclick = () => this.#choose(tabs, tab, seconds);
      tab.setAttribute("aria-pressed", String(seconds === this.interval));
      tabs.append(tab);
    }
    const charts = window.LightweightCharts;
    if (!charts) {
      this.#say("The chart's library was not built into this installation.");
      return;
    }
    const colour = (name) => getComputedStyle(document.body).getPropertyValue(`--chart-${name}`).trim();
    this.#colours = { bid: colour("bid"), ask: colour("ask") };
    this.#chart = charts.createChart(place, {
      autoSize: true,
      layout: { background: { color: "transparent" }, textColor: colour("text"), fontSize: 11 },
      grid: { vertLines: { color: colour("line") }, horzLines: { color: colour("line") } },
      timeScale: {
        timeVisible: true,
        secondsVisible: false,
        borderColor: colour("line"),
        rightOffset: 6,
        barSpacing: 9,
      },
      rightPriceScale: { borderColor: colour("line"), scaleMargins: { top: 0.14, bottom: 0.24 } },
      localization: { priceFormatter: (price) => shown(price.toFixed(this.#places), this.#places) },
    });
    this.#candles = this.#chart.addSeries(charts.CandlestickSeries, {
      upColor: this.#colours.bid,
      downColor: this.#colours.ask,
      wickUpColor: this.#colours.bid,
      wickDownColor: this.#colours.ask,
      borderVisible: false,
    });
    this.#volumes = this.#chart.addSeries(charts.HistogramSeries, {
      priceScaleId: "",
      priceFormat: { type: "volume" },
      priceLineVisible: false,
      lastValueVisible: false,
    });
    this.#volumes.priceScale().applyOptions({ scaleMargins: { top: 0.82, bottom: 0 } });
    this.#chart.subscribeCrosshairMove((at) => this.#tell(at.seriesData.get(this.#candles)));
  }

  choose(market) {
    this.#market = market;
    this.#places = Math.min(PLACES_MIN, market.price_decimals);
    this.load();
  }

  async load() {
    if (!this.#candles) return;
    const market = this.#market;
    const end = Math.floor(Date.now() / 1000);
    const start = end - CANDLES_SHOWN * this.interval;
    const name = encodeURIComponent(market.name);
    const range = `start=${start}&end=${end}&interval=${this.interval}`;
    const candles = await this.#api.get(`/markets/${name}/candles?${range}`).catch(() => []);
    if (market !== this.#market) return;
    this.#last = null;
    this.#candles.setData([]);
    this.#volumes.setData([]);
    this.#align(candles);
    this.#candles.setData(candles.map((candle) => this.#candle(candle)));
    this.#volumes.setData(candles.map((candle) => this.#volume(candle)));
    this.#last = candles.length ? this.#candle(candles.at(-1)) : null;
    this.#chart.timeScale().scrollToRealTime();
    this.#tell();
  }

  /** Candles as the websocket sends them: [time, open, close, high, low, volume, turnover, market]. */
  update(candles) {
    if (!this.#candles) return;
    for (const [time, open, close, high, low, volume, , name] of candles) {
      const candle = { time, open, high, low, close, volume };
      if (name !== this.#market.name || (this.#last && this.#time(time) < this.#last.time)) continue;
      this.#align([candle]);
      this.#last = this.#candle(candle);
      this.#candles.update(this.#last);
      this.#volumes.update(this.#volume(candle));
    }
    this.#tell();
  }

  /** Axis and legend show the finest price there is. */
  #align(candles) {
    const prices = candles.flatMap(({ open, high, low, close }) => [open, high, low, close]);
    const places = alignment(prices, this.#places);
    if (places === this.#places && this.#last) return;
    this.#places = places;
    const priceFormat = { type: "price", precision: places, minMove: 10 ** -places };
    this.#candles.applyOptions({ priceFormat });
  }

  /** The chart knows no zones: times of a day are moved to the visitor's clock. */
  #time(time) {
    return this.interval < DAY_S ? time - new Date(time * 1000).getTimezoneOffset() * 60 : time;
  }

  #candle({ time, open, high, low, close, volume }) {
    const [o, h, l, c] = [open, high, low, close].map(Number);
    return { time: this.#time(time), open: o, high: h, low: l, close: c, customValues: { volume } };
  }

  #volume({ time, open, close, volume }) {
    const colour = Number(close) < Number(open) ? this.#colours.ask : this.#colours.bid;
    return { time: this.#time(time), value: Number(volume), color: `${colour}55` };
  }

  #tell(candle = this.#last) {
    if (!candle) {
      this.#say("No trades in this time. The next one begins a candle.");
      document.getElementById("legend").textContent = "";
      return;
    }
    this.#say("");
    const price = (value) => shown(value.toFixed(this.#places), this.#places);
    const { open, high, low, close, customValues } = candle;
    const legend = document.getElementById("legend");
    legend.className = close < open ? "ask" : "bid";
    const volume = shown(customValues?.volume ?? "0");
    legend.textContent = `O ${price(open)}  H ${price(high)}  L ${price(low)}  C ${price(close)}  V ${volume}`;
  }

  #say(text) {
    document.getElementById("chart-note").textContent = text;
  }

  #choose(tabs, chosen, seconds) {
    for (const tab of tabs.children) tab.setAttribute("aria-pressed", String(tab === chosen));
    this.interval = seconds;
    this.#onInterval(seconds);
    this.load();
  }
}
