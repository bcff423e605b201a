//! From the engine's feed to the hub: orders, assets and deals go straight to their topics; of what Python
//! composes it hears which markets changed.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use viabtc_engine::{AssetId, Config, Event, MarketId, UserId};
use viabtc_gateway::Hub;
use viabtc_gateway::hub::{Items, Publication};
use viabtc_host::Host;
use viabtc_host::follow::{Effects, FollowError, Follower};
use viabtc_journal::Directory;
use viabtc_wire::pushes::{
    write_asset_update, write_deal, write_deals_head, write_deals_tail, write_order_update,
};

/// Commands whose effects are pushed together.
const EFFECTS_MAX: usize = 1_024;

/// The longest sleep: how soon a stop is noticed.
const IDLE: Duration = Duration::from_millis(100);

/// Pause between looks at how far the board is while something waits for it.
const BOARD_LOOK: Duration = Duration::from_millis(1);

/// Begin of the words `orders USER MARKET` and `balances USER`.
const ORDERS: &str = "orders ";
const BALANCES: &str = "balances ";

/// The running thread.
pub(crate) struct Push {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Default)]
struct Shared {
    is_stopping: AtomicBool,
    /// Words that Python wants to hear: `depth MARKET`, `deals MARKET`, `orders USER MARKET`,
    /// `balances USER`.
    heeded: Mutex<HashSet<Arc<str>>>,
    failure: Mutex<Option<String>>,
}

impl Push {
    /// Follows the feed in `directory` from where the engine started. `board` is how far the market data
    /// is, which Python asks when it hears of deals.
    pub(crate) fn start(
        host: Arc<Host>,
        hub: Arc<Hub>,
        directory: &Path,
        board: impl Fn() -> u64 + Send + 'static,
    ) -> std::io::Result<Push> {
        let storage = Directory::open(directory)?;
        let follower = Follower::open(&storage, host.recovery().sequence);
        let shared = Arc::new(Shared::default());
        let sequence = host.recovery().sequence;
        let board = Box::new(board);
        let work = Work { host, hub, follower, board, sequence, waiting: HashMap::new() };
        let thread = {
            let shared = Arc::clone(&shared);
            let serve = move || {
                if let Err(error) = work.run(&shared) {
                    *lock(&shared.failure) = Some(error.to_string());
                }
            };
            std::thread::Builder::new().name("push".into()).spawn(serve)?
        };
        Ok(Push { shared, thread: Mutex::new(Some(thread)) })
    }

    /// Which words Python wants to hear from now on.
    pub(crate) fn heed(&self, words: impl IntoIterator<Item = String>) {
        *lock(&self.shared.heeded) = words.into_iter().map(Arc::from).collect();
    }

    /// Why nothing is pushed any more.
    pub(crate) fn failure(&self) -> Option<String> {
        lock(&self.shared.failure).clone()
    }

    pub(crate) fn stop(&self) {
        self.shared.is_stopping.store(true, Release);
        if let Some(thread) = lock(&self.thread).take() {
            // A panic there ends the process before this.
            let _ = thread.join();
        }
    }
}

impl Drop for Push {
    fn drop(&mut self) {
        self.stop();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

struct Work {
    host: Arc<Host>,
    hub: Arc<Hub>,
    follower: Follower<Directory>,
    board: Box<dyn Fn() -> u64 + Send>,
    /// Of the last effects.
    sequence: u64,
    /// Words about deals that the board does not have yet: the commands of the first and the last of them.
    waiting: HashMap<Arc<str>, (u64, u64)>,
}

impl Work {
    fn run(mut self, shared: &Shared) -> Result<(), FollowError> {
        let mut batch = Vec::new();
        while !shared.is_stopping.load(Acquire) {
            let timeout = if self.waiting.is_empty() { IDLE } else { BOARD_LOOK };
            if !self.host.feed_signal().wait(self.sequence, timeout) {
                self.release();
                if self.host.feed_signal().is_closed() {
                    return Ok(());
                }
                continue;
            }
            while batch.len() < EFFECTS_MAX
                && let Some(effects) = self.follower.next_effects()?
            {
                batch.push(effects);
            }
            if let Some(last) = batch.last() {
                self.sequence = last.sequence;
                self.push(&batch);
                self.note(&batch, shared);
                self.release();
                batch.clear();
            }
        }
        Ok(())
    }

    /// Orders and deals as they came, then each asset that they touched once, as it stands now.
    fn push(&self, batch: &[Effects]) {
        if self.hub.metrics().topics.load(Relaxed) == 0 {
            return;
        }
        let mut publications = Vec::new();
        self.render_orders(batch, &mut publications);
        self.render_deals(batch, &mut publications);
        if !publications.is_empty() {
            self.hub.publish(publications);
        }
        let assets = self.render_assets(batch);
        if !assets.is_empty() {
            self.hub.publish(assets);
        }
    }

    fn render_orders(&self, batch: &[Effects], out: &mut Vec<(Arc<str>, Publication)>) {
        let mut events = Vec::new();
        let mut names = Vec::new();
        for effects in batch {
            for event in &effects.events {
                if let Event::Order(event) = event {
                    let market = market_name(&effects.config, event.order.market);
                    names.push(format!("order {} {market}", event.order.user.0));
                    events.push((&effects.config, event));
                }
            }
        }
        let watched = self.hub.watched(names.iter().map(String::as_str));
        let mut text = Vec::new();
        for ((name, (config, event)), _) in
            names.iter().zip(events).zip(watched).filter(|(_, is_watched)| *is_watched)
        {
            text.clear();
            write_order_update(event, config, &mut text);
            out.push((name.as_str().into(), Publication::message(&text)));
        }
    }

    fn render_deals(&self, batch: &[Effects], out: &mut Vec<(Arc<str>, Publication)>) {
        let mut by_market = BTreeMap::new();
        for effects in batch {
            for event in &effects.events {
                if let Event::Deal(deal) = event {
                    let deals: &mut Vec<_> =
                        by_market.entry(market_name(&effects.config, deal.market)).or_default();
                    deals.push((&effects.config, deal));
                }
            }
        }
        let names: Vec<String> = by_market.keys().map(|market| format!("deals {market}")).collect();
        let watched = self.hub.watched(names.iter().map(String::as_str));
        for (((market, deals), name), is_watched) in by_market.into_iter().zip(names).zip(watched) {
            if !is_watched {
                continue;
            }
            let (mut head, mut tail) = (Vec::new(), Vec::new());
            write_deals_head(market, &mut head);
            write_deals_tail(&mut tail);
            let members = deals.into_iter().map(|(config, deal)| {
                let mut text = Vec::new();
                write_deal(deal, config, &mut text);
                (deal.id.0, text.into())
            });
            let items = Items {
                head: head.into(),
                tail: tail.into(),
                members: members.collect(),
                is_whole: false,
            };
            out.push((name.into(), Publication::Items(Arc::new(items))));
        }
    }

    /// Asked for on the engine's thread, so that each is durable.
    fn render_assets(&self, batch: &[Effects]) -> Vec<(Arc<str>, Publication)> {
        let mut touched = Vec::new();
        let mut seen = HashSet::new();
        for effects in batch {
            for event in &effects.events {
                let (user, assets) = assets_of(event, &effects.config);
                for asset in assets.into_iter().flatten() {
                    // Ids are those of the running engine: the feed is read from its start on.
                    if seen.insert((user, asset)) {
                        touched.push((user, asset));
                    }
                }
            }
        }
        let Some(Effects { config, .. }) = batch.last() else { return Vec::new() };
        let name = |&(user, asset): &(UserId, AssetId)| {
            format!("asset {} {}", user.0, config.assets[usize::from(asset.0)].name)
        };
        let names: Vec<String> = touched.iter().map(name).collect();
        let watched = self.hub.watched(names.iter().map(String::as_str));
        let wanted: Vec<(Arc<str>, (UserId, AssetId))> = names
            .into_iter()
            .map(Arc::from)
            .zip(touched)
            .zip(watched)
            .filter_map(|(pair, is_watched)| is_watched.then_some(pair))
            .collect();
        if wanted.is_empty() {
            return Vec::new();
        }
        let rendered = self.host.inspect(move |exchange| {
            let mut text = Vec::new();
            let publications = wanted.into_iter().map(|(name, (user, asset))| {
                text.clear();
                write_asset_update(exchange, user, asset, &mut text);
                (name, Publication::message(&text))
            });
            publications.collect()
        });
        // An engine that stopped has nothing more to say.
        rendered.unwrap_or_default()
    }

    fn note(&mut self, batch: &[Effects], shared: &Shared) {
        let heeded = lock(&shared.heeded);
        if heeded.is_empty() {
            return;
        }
        self.note_private(batch, &heeded);
        let mut words = HashSet::new();
        for effects in batch {
            for event in &effects.events {
                let (kind, market) = match event {
                    Event::Order(event) => ("depth", event.order.market),
                    Event::Deal(deal) => ("deals", deal.market),
                    Event::BalanceUpdated(_) => continue,
                };
                words.insert((kind, market_name(&effects.config, market)));
            }
        }
        for (kind, market) in words {
            match heeded.get(format!("{kind} {market}").as_str()) {
                Some(word) if kind == "deals" => {
                    let sequence = self.sequence;
                    let span = self.waiting.entry(Arc::clone(word)).or_insert((sequence, sequence));
                    span.1 = sequence;
                }
                Some(word) => self.hub.note(word),
                None => {}
            }
        }
    }

    /// Words about one user's orders and balances.
    fn note_private(&self, batch: &[Effects], heeded: &HashSet<Arc<str>>) {
        let is_private = |word: &Arc<str>| word.starts_with(ORDERS) || word.starts_with(BALANCES);
        if !heeded.iter().any(is_private) {
            return;
        }
        let mut words = HashSet::new();
        for effects in batch {
            for event in &effects.events {
                match event {
                    Event::Order(event) => {
                        let market = market_name(&effects.config, event.order.market);
                        words.insert(format!("{ORDERS}{} {market}", event.order.user.0));
                        words.insert(format!("{BALANCES}{}", event.order.user.0));
                    }
                    Event::BalanceUpdated(update) => {
                        words.insert(format!("{BALANCES}{}", update.user.0));
                    }
                    Event::Deal(_) => {}
                }
            }
        }
        for word in words.iter().filter_map(|word| heeded.get(word.as_str())) {
            self.hub.note(word);
        }
    }

    /// Notes deals that the board has.
    fn release(&mut self) {
        if self.waiting.is_empty() {
            return;
        }
        let reached = (self.board)();
        self.waiting.retain(|word, (first, last)| {
            if *first <= reached {
                self.hub.note(word);
                *first = *last;
            }
            *last > reached
        });
    }
}

fn market_name(config: &Config, market: MarketId) -> &str {
    &config.markets[usize::from(market.0)].name
}

/// Whose assets an event may have changed, base before quote.
fn assets_of(event: &Event, config: &Config) -> (UserId, [Option<AssetId>; 2]) {
    match event {
        Event::BalanceUpdated(update) => (update.user, [Some(update.asset), None]),
        Event::Order(event) => {
            let market = &config.markets[usize::from(event.order.market.0)];
            (event.order.user, [Some(market.base), Some(market.quote)])
        }
        // Both sides' orders follow as events of their own.
        Event::Deal(_) => (UserId(0), [None, None]),
    }
}
