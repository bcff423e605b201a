//! Configurations by digest, beside the feed. An event names assets and markets by their place in the
//! configuration that it happened under; a projection may read it much later, under another one.
//!
//! A file `config-<digest>.bin` holds [`crate::record::write_config`]'s bytes. It is written once, durably
//! and before the first event that needs it, and is never removed: it is small, and there are few.

use std::collections::HashMap;
use std::sync::Arc;

use viabtc_engine::Config;
use viabtc_journal::{File, JournalError, Storage};
use xxhash_rust::xxh3::xxh3_64;

use crate::record::{read_config, write_config};

/// Name of a file that is not finished.
const UNFINISHED: &str = "config.unfinished";

/// The digest by which events name `config`.
pub fn digest(config: &Config) -> u64 {
    let mut bytes = Vec::new();
    write_config(config, &mut bytes);
    xxh3_64(&bytes)
}

/// Makes sure that `config` can be found by its digest, which is returned.
///
/// # Errors
/// When it cannot be written.
pub fn keep<S: Storage>(storage: &S, config: &Config) -> Result<u64, JournalError> {
    let mut bytes = Vec::new();
    write_config(config, &mut bytes);
    let digest = xxh3_64(&bytes);
    let name = name(digest);
    let names = storage.list().map_err(JournalError::io("list", "the directory"))?;
    if names.contains(&name) {
        return Ok(digest);
    }
    let file = storage.create(UNFINISHED).map_err(JournalError::io("create", UNFINISHED))?;
    file.write_at(&bytes, 0).map_err(JournalError::io("write", UNFINISHED))?;
    file.set_size(bytes.len() as u64).map_err(JournalError::io("cut", UNFINISHED))?;
    file.sync().map_err(JournalError::io("sync", UNFINISHED))?;
    storage.rename(UNFINISHED, &name).map_err(JournalError::io("rename", UNFINISHED))?;
    storage.sync_directory().map_err(JournalError::io("sync", "the directory"))?;
    Ok(digest)
}

/// Reads configurations, each file once.
#[derive(Debug)]
pub struct Configs<S> {
    storage: S,
    known: HashMap<u64, Arc<Config>>,
}

impl<S: Storage> Configs<S> {
    /// Over the files of `storage`.
    pub fn new(storage: &S) -> Configs<S> {
        Configs { storage: storage.clone(), known: HashMap::new() }
    }

    /// The configuration with this digest.
    ///
    /// # Errors
    /// When its file is missing or damaged.
    pub fn get(&mut self, digest: u64) -> Result<Arc<Config>, JournalError> {
        if let Some(config) = self.known.get(&digest) {
            return Ok(Arc::clone(config));
        }
        let name = name(digest);
        let file = self.storage.open(&name).map_err(JournalError::io("open", &name))?;
        let size = file.size().map_err(JournalError::io("read", &name))?;
        let mut bytes = vec![0; usize::try_from(size).unwrap_or(usize::MAX)];
        file.read_at(&mut bytes, 0).map_err(JournalError::io("read", &name))?;
        let config = match read_config(&bytes) {
            Ok((config, [])) if xxh3_64(&bytes) == digest => Arc::new(config),
            _ => {
                return Err(JournalError::Damaged {
                    file: name,
                    offset: 0,
                    sequence: 0,
                    ordinal: 0,
                    what: "it is not the configuration that it is named for",
                });
            }
        };
        self.known.insert(digest, Arc::clone(&config));
        Ok(config)
    }
}

fn name(digest: u64) -> String {
    format!("config-{digest:016x}.bin")
}

#[cfg(test)]
mod tests {
    use super::*;
    use viabtc_engine::AssetConfig;
    use viabtc_journal::Directory;

    fn config(name: &str) -> Config {
        let asset = AssetConfig { name: name.into(), save_scale: 12, show_scale: 8 };
        Config { assets: vec![asset], markets: Vec::new(), update_window: 1 }
    }

    #[test]
    fn configurations_are_found_by_their_digest() {
        let directory = tempfile::tempdir().unwrap();
        let storage = Directory::open(directory.path()).unwrap();
        let digests = ["BTC", "ETH", "BTC"].map(|name| keep(&storage, &config(name)).unwrap());
        assert_eq!(digests[0], digests[2]);
        assert_eq!(digests[1], digest(&config("ETH")));
        let mut configs = Configs::new(&storage);
        assert_eq!(*configs.get(digests[0]).unwrap(), config("BTC"));
        assert_eq!(*configs.get(digests[1]).unwrap(), config("ETH"));
        assert!(matches!(configs.get(7), Err(JournalError::Io { .. })));
    }

    #[test]
    fn a_damaged_configuration_is_not_used() {
        let directory = tempfile::tempdir().unwrap();
        let storage = Directory::open(directory.path()).unwrap();
        let digest = keep(&storage, &config("BTC")).unwrap();
        let path = directory.path().join(name(digest));
        let bytes = std::fs::read(&path).unwrap();
        for index in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[index] ^= 1;
            std::fs::write(&path, &damaged).unwrap();
            let found = Configs::new(&storage).get(digest);
            assert!(matches!(found, Err(JournalError::Damaged { .. })), "byte {index}");
        }
    }
}
