//! A disk in memory that loses what a real one may lose: unsynced sectors in any combination, and names
//! whose directory was not synced. It also fails operations on demand.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

use crate::error::JournalError;
use crate::storage::{File, Storage};

const SECTOR: usize = 512;

/// The simulated directory; clones are the same disk.
#[derive(Clone, Debug, Default)]
pub struct SimulatedDisk {
    disk: Arc<Mutex<Disk>>,
}

/// An open file of a [`SimulatedDisk`].
#[derive(Clone, Debug)]
pub struct SimulatedFile {
    disk: Arc<Mutex<Disk>>,
    content: usize,
}

#[derive(Clone, Debug, Default)]
struct Disk {
    names: BTreeMap<String, usize>,
    durable_names: BTreeMap<String, usize>,
    contents: Vec<Content>,
    operations: u64,
    failing_operation: Option<u64>,
}

#[derive(Clone, Debug, Default)]
struct Content {
    live: Vec<u8>,
    durable: Vec<u8>,
    dirty: BTreeSet<usize>,
}

impl SimulatedDisk {
    /// An empty directory.
    pub fn new() -> SimulatedDisk {
        SimulatedDisk::default()
    }

    /// What a machine finds after a power loss: durable names; of each file what was synced, and of the
    /// sectors written since those for which `survives` says so.
    pub fn after_power_loss(&self, mut survives: impl FnMut() -> bool) -> SimulatedDisk {
        let disk = self.lock();
        let mut contents = disk.contents.clone();
        for content in &mut contents {
            for sector in std::mem::take(&mut content.dirty) {
                if survives() {
                    let range = sector * SECTOR..((sector + 1) * SECTOR).min(content.live.len());
                    if range.start < range.end {
                        let size = content.durable.len().max(range.end);
                        content.durable.resize(size, 0);
                        content.durable[range.clone()].copy_from_slice(&content.live[range]);
                    }
                }
            }
            content.live.clone_from(&content.durable);
        }
        let names = disk.durable_names.clone();
        let after =
            Disk { names: names.clone(), durable_names: names, contents, ..Disk::default() };
        SimulatedDisk { disk: Arc::new(Mutex::new(after)) }
    }

    /// A copy that shares nothing, as after a kill: everything written is there.
    pub fn after_kill(&self) -> SimulatedDisk {
        let mut disk = self.lock().clone();
        disk.failing_operation = None;
        SimulatedDisk { disk: Arc::new(Mutex::new(disk)) }
    }

    /// Fails the `number`-th operation that changes the disk from now on, once; 0 is the next.
    pub fn fail_operation(&self, number: u64) {
        let mut disk = self.lock();
        disk.failing_operation = Some(disk.operations + number);
    }

    /// Operations that changed the disk.
    pub fn operations(&self) -> u64 {
        self.lock().operations
    }

    /// Changes the bytes of a file, durably.
    ///
    /// # Panics
    /// When there is no such file.
    pub fn edit(&self, name: &str, edit: impl FnOnce(&mut Vec<u8>)) {
        let mut disk = self.lock();
        let content = disk.names[name];
        let content = &mut disk.contents[content];
        edit(&mut content.live);
        content.durable.clone_from(&content.live);
        content.dirty.clear();
    }

    /// The bytes of a file.
    ///
    /// # Panics
    /// When there is no such file.
    pub fn bytes(&self, name: &str) -> Vec<u8> {
        let disk = self.lock();
        disk.contents[disk.names[name]].live.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Disk> {
        self.disk.lock().expect("nobody panics while holding the disk")
    }
}

impl Disk {
    fn change(&mut self) -> io::Result<()> {
        let number = self.operations;
        self.operations += 1;
        if self.failing_operation == Some(number) {
            return Err(io::Error::other("simulated failure"));
        }
        Ok(())
    }

    fn find(&self, name: &str) -> io::Result<usize> {
        self.names.get(name).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

impl Storage for SimulatedDisk {
    type File = SimulatedFile;
    type Lock = ();

    fn open(&self, name: &str) -> io::Result<SimulatedFile> {
        let content = self.lock().find(name)?;
        Ok(SimulatedFile { disk: Arc::clone(&self.disk), content })
    }

    fn create(&self, name: &str) -> io::Result<SimulatedFile> {
        let mut disk = self.lock();
        disk.change()?;
        let content = disk.contents.len();
        disk.contents.push(Content::default());
        disk.names.insert(name.to_owned(), content);
        Ok(SimulatedFile { disk: Arc::clone(&self.disk), content })
    }

    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.lock().names.keys().cloned().collect())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut disk = self.lock();
        disk.change()?;
        let content = disk.find(from)?;
        disk.names.remove(from);
        disk.names.insert(to.to_owned(), content);
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut disk = self.lock();
        disk.change()?;
        disk.find(name)?;
        disk.names.remove(name);
        Ok(())
    }

    fn sync_directory(&self) -> io::Result<()> {
        let mut disk = self.lock();
        disk.change()?;
        disk.durable_names = disk.names.clone();
        Ok(())
    }

    fn lock(&self) -> Result<(), JournalError> {
        Ok(())
    }
}

impl SimulatedFile {
    fn with<R>(&self, act: impl FnOnce(&mut Content) -> R, is_change: bool) -> io::Result<R> {
        let mut disk = self.disk.lock().expect("nobody panics while holding the disk");
        if is_change {
            disk.change()?;
        }
        Ok(act(&mut disk.contents[self.content]))
    }
}

impl File for SimulatedFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.with(
            |content| {
                let start = (offset as usize).min(content.live.len());
                let count = buffer.len().min(content.live.len() - start);
                buffer[..count].copy_from_slice(&content.live[start..start + count]);
                count
            },
            false,
        )
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.with(
            |content| {
                let (start, end) = (offset as usize, offset as usize + bytes.len());
                if content.live.len() < end {
                    content.live.resize(end, 0);
                }
                content.live[start..end].copy_from_slice(bytes);
                content.dirty.extend(start / SECTOR..end.div_ceil(SECTOR));
            },
            true,
        )
    }

    fn sync(&self) -> io::Result<()> {
        self.with(
            |content| {
                let Content { live, durable, dirty } = content;
                durable.resize(live.len(), 0);
                for sector in std::mem::take(dirty) {
                    let range = sector * SECTOR..((sector + 1) * SECTOR).min(live.len());
                    if range.start < range.end {
                        durable[range.clone()].copy_from_slice(&live[range]);
                    }
                }
            },
            true,
        )
    }

    fn size(&self) -> io::Result<u64> {
        self.with(|content| content.live.len() as u64, false)
    }

    fn set_size(&self, bytes: u64) -> io::Result<()> {
        self.with(|content| content.live.resize(bytes as usize, 0), true)
    }
}
