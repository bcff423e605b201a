//! The end of trading when funds do not add up: from then on nothing is changed, nothing of the wrong
//! state reaches the journal or a snapshot, and queries go on.
//!
//! What is known is written beside the journal, whose records up to the last sound command are the rest of
//! the story: `viabtc journal dump`.

use std::fmt::Write;

use viabtc_engine::{Exchange, Imbalance};
use viabtc_journal::{File, Storage};

/// Why nothing is changed any more.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Halt {
    /// Name of the asset whose funds do not add up.
    pub asset: String,
    /// Both values, in the asset's smallest units.
    pub detail: String,
    /// RPC number of the command that was being applied; 0 when none was.
    pub command: u32,
    /// Of the last command that is in the journal.
    pub sequence: u64,
    /// When, in microseconds.
    pub time: i64,
    /// Name of the file that tells the rest; the reason why there is none.
    pub file: Result<String, String>,
}

impl Halt {
    /// Notes what was found, durably.
    pub(crate) fn note<S: Storage>(
        storage: &S,
        exchange: &Exchange,
        imbalance: &Imbalance,
        request: Option<(u32, &[u8])>,
        sequence: u64,
        time: i64,
    ) -> Halt {
        let asset = &exchange.config().assets[usize::from(imbalance.asset.0)];
        let (command, params) = request.unwrap_or((0, b""));
        let mut text = String::new();
        let params = String::from_utf8_lossy(params);
        write!(
            text,
            "Funds of {} do not add up, in units of 10^-{}: {}.\n\
             Command at work: {command} {params}\n\
             It is not in the journal, which ends with command {sequence}; `viabtc journal dump` prints it.\n\
             Time: {time} microseconds. Digest of the wrong state: {:016x}.\n",
            asset.name,
            asset.save_scale,
            imbalance.detail,
            exchange.digest(),
        )
        .expect("a string takes all text");
        let name = format!("imbalance-{sequence}.txt");
        let file = write_file(storage, &name, &text).map(|()| name);
        Halt {
            asset: asset.name.clone(),
            detail: imbalance.detail.clone(),
            command,
            sequence,
            time,
            file: file.map_err(|error| error.to_string()),
        }
    }
}

fn write_file<S: Storage>(storage: &S, name: &str, text: &str) -> std::io::Result<()> {
    let file = storage.create(name)?;
    file.write_at(text.as_bytes(), 0)?;
    file.set_size(text.len() as u64)?;
    file.sync()?;
    storage.sync_directory()
}
