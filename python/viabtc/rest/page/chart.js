// Candles of one market. Prices become numbers here and nowhere else: a picture needs no last digit.

const INTERVALS = [
  ["1m", 60],
  ["5m", 300],
  ["1h", 3600],
  ["1d", 86_400],
];
const CANDLES_SHOWN = 300;

export class Chart {
  interval = INTERVALS[0][1];
  #api;
  #chart = null;
  #series = null;
  #market = null;
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
      place.textContent = "The chart's library was not built into this installation.";
      return;
    }
    const isDark = matchMedia("(prefers-color-scheme: dark)").matches;
    const line = isDark ? "#2b3139" : "#e3e7ec";
    this.#chart = charts.createChart(place, {
      autoSize: true,
      layout: { background: { color: "transparent" }, textColor: isDark ? "#8b95a1" : "#5c6570" },
      grid: { vertLines: { color: line }, horzLines: { color: line } },
      timeScale: { timeVisible: true, borderColor: line },
      rightPriceScale: { borderColor: line },
    });
    const [up, down] = isDark ? ["#3fc98a", "#ff7b72"] : ["#0a7d4f", "#b3261e"];
    this.#series = this.#chart.addSeries(charts.CandlestickSeries, {
      upColor: up,
      downColor: down,
      wickUpColor: up,
      wickDownColor: down,
      borderVisible: false,
    });
  }

  choose(market) {
    this.#market = market;
    this.load();
  }

  async load() {
    if (!this.#series) return;
    const end = Math.floor(Date.now() / 1000);
    const start = end - CANDLES_SHOWN * this.interval;
    const name = encodeURIComponent(this.#market.name);
    const range = `start=${start}&end=${end}&interval=${this.interval}`;
    const candles = await this.#api.get(`/markets/${name}/candles?${range}`).catch(() => []);
    this.#series.setData(candles.map(shown));
  }

  /** Candles as the websocket sends them: [time, open, close, high, low, volume, turnover, market]. */
  update(candles) {
    if (!this.#series) return;
    for (const [time, open, close, high, low] of candles) {
      this.#series.update(shown({ time, open, high, low, close }));
    }
  }

  #choose(tabs, chosen, seconds) {
    for (const tab of tabs.children) tab.setAttribute("aria-pressed", String(tab === chosen));
    this.interval = seconds;
    this.#onInterval(seconds);
    this.load();
  }
}

function shown({ time, open, high, low, close }) {
  return { time, open: Number(open), high: Number(high), low: Number(low), close: Number(close) };
}
