"""The page in a real Chromium: trading, other windows, a phone, an exchange that goes and comes."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from harness.places import ROOT
from harness.processes import Reserved, Server, spawn

CHROMIUM = "/usr/bin/chromium"

# Nothing leaves the machine, and no sandbox is needed for a page of ours.
OPTIONS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)

PHONE = {"width": 390, "height": 844}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if not Path(CHROMIUM).exists():
        pytest.fail(f"{CHROMIUM} is missing: run tests/install.sh", pytrace=False)
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=list(OPTIONS))
        yield chromium
        chromium.close()


class Demonstration:
    """`viabtc run` as `make run` starts it, always on the same ports."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._rest, self._ws = Reserved(), Reserved()
        self.server = self.start()

    @property
    def address(self) -> str:
        return f"http://{self._rest.place}/"

    def start(self) -> Server:
        """Starts it, again after an end, and waits until it serves."""
        arguments = ["run", "--data", str(self._directory / "data")]
        arguments += ["--rest", self._rest.place, "--ws", self._ws.place]
        for port in ("http", "rpc", "console"):
            arguments += [f"--{port}", "127.0.0.1:0"]
        output = self._directory / "run.out"
        self.server = Server(spawn(arguments, output), f"{self.address}control", output)
        self.server.until_ready()
        return self.server

    def close(self) -> None:
        if self.server.is_running():
            assert self.server.stop() == 0, self.server.said()
        self._rest.close()
        self._ws.close()


@pytest.fixture
def demonstration(tmp_path: Path) -> Iterator[Demonstration]:
    exchange = Demonstration(tmp_path)
    yield exchange
    exchange.close()


Window = Callable[..., Page]


@pytest.fixture
def window(browser: Browser, demonstration: Demonstration) -> Iterator[Window]:
    """Opens windows on the page; an error on it fails the test."""
    errors: list[str] = []
    pages = []

    def open_window(identity: str, width: int = 1280, height: int = 800) -> Page:
        page = browser.new_page(viewport={"width": width, "height": height})
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(demonstration.address)
        expect(page.locator("#link")).to_have_attribute("data-state", "live")
        page.select_option("#identity", label=identity)
        expect(page.locator("#balances tr")).to_have_count(3)
        pages.append(page)
        return page

    yield open_window
    for page in pages:
        page.close()
    assert errors == []


def buy(page: Page, price: str, amount: str) -> None:
    page.fill("[name=price]", price)
    page.fill("[name=amount]", amount)
    page.click("#submit")


def best_ask(page: Page) -> tuple[str, str]:
    price, amount = page.locator("#asks tr:last-child td").all_inner_texts()
    return price, amount


def test_an_order_in_one_window_shows_in_another(window: Window) -> None:
    one, two = window("user-1"), window("user-2")
    expect(two.locator("#asks tr")).to_have_count(5)
    assert best_ask(two) == ("3001", "1")
    begun = time.monotonic()
    buy(one, "3001", "0.25")
    expect(two.locator("#asks tr:last-child td:last-child")).to_have_text("0.75")
    print(f"seen in the other window {time.monotonic() - begun:.3f} s after the click")  # noqa: T201
    expect(one.locator("#outcome")).to_have_text("Order 15: 0.25 ETH filled.")
    expect(two.locator("#trades tr:first-child td:first-child")).to_have_text("3001")
    expect(one.locator("#balances tr:nth-child(2) td:nth-child(2)")).to_have_text("200.2495")
    expect(two.locator("#last")).to_have_text("3001")


def test_an_order_rests_and_is_cancelled(window: Window) -> None:
    page = window("user-1")
    buy(page, "2000", "0.5")
    expect(page.locator("#orders tr")).to_have_count(1)
    expect(page.locator("#balances tr:nth-child(3) td:nth-child(3)")).to_have_text("1000")
    page.click("#orders .cancel")
    expect(page.locator("#orders")).to_contain_text("no open orders")
    expect(page.locator("#balances tr:nth-child(3) td:nth-child(3)")).to_have_text("0")


def test_a_refusal_is_said_with_its_numbers(window: Window) -> None:
    page = window("user-1")
    buy(page, "2000", "1000000")
    expect(page.locator("#outcome")).to_have_text(
        "Refused: balance not enough (asset USDT, available 1000000)."
    )
    buy(page, "1.123456789", "1")
    expect(page.locator("#outcome")).to_contain_text("price has 9 decimals")


def test_candles_are_drawn_and_nothing_overflows_on_a_phone(window: Window) -> None:
    page = window("user-1", PHONE["width"], PHONE["height"])
    buy(page, "3001", "0.1")
    expect(page.locator("#last")).to_have_text("3001")
    expect(page.locator("#chart canvas").first).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    assert page.locator("#submit").bounding_box() is not None


def test_the_page_says_when_the_exchange_is_gone_and_recovers(
    window: Window, demonstration: Demonstration
) -> None:
    page = window("user-1")
    buy(page, "3001", "0.25")
    expect(page.locator("#outcome")).to_contain_text("filled")
    demonstration.server.kill()
    expect(page.locator("#notice")).to_be_visible()
    expect(page.locator("#link")).to_have_attribute("data-state", "lost")
    demonstration.start()
    expect(page.locator("#link")).to_have_attribute("data-state", "live", timeout=15_000)
    expect(page.locator("#notice")).to_be_hidden()
    expect(page.locator("#balances tr:nth-child(2) td:nth-child(2)")).to_have_text("200.2495")
    buy(page, "3001", "0.25")
    expect(page.locator("#asks tr:last-child td:last-child")).to_have_text("0.5")


def test_the_chart_library_is_built_in() -> None:
    library = ROOT / "python" / "viabtc" / "rest" / "page" / "vendor" / "lightweight-charts.js"
    assert library.exists()
    assert library.with_suffix(".LICENSE").exists()
