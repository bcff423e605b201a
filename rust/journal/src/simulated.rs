//! A disk in memory that loses what a real one may lose: unsynced sectors in any combination, and names
//! whose directory was not synced. It also fails operations on demand, and can be full.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::ops::RangeInclusive;
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

/// A held lock of a [`SimulatedDisk`].
#[derive(Debug)]
pub struct SimulatedLock {
    disk: Arc<Mutex<Disk>>,
    name: String,
}

#[derive(Clone, Debug, Default)]
struct Disk {
    names: BTreeMap<String, usize>,
    durable_names: BTreeMap<String, usize>,
    /// Changes of names since the directory was synced, in order.
    renamings: Vec<Renaming>,
    contents: Vec<Content>,
    locks: BTreeSet<String>,
    operations: u64,
    /// Operations that fail, by number.
    failing: Option<RangeInclusive<u64>>,
    /// Most bytes of all files together.
    capacity: Option<usize>,
}

/// One change of the directory.
#[derive(Clone, Debug)]
struct Renaming {
    removed: Option<String>,
    added: Option<(String, usize)>,
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

    /// What a machine finds after a power loss: durable names and content, and of what was not synced,
    /// every change of a name and every sector for which `survives` says so.
    pub fn after_power_loss(&self, mut survives: impl FnMut() -> bool) -> SimulatedDisk {
        let disk = self.lock_disk();
        let mut names = disk.durable_names.clone();
        for Renaming { removed, added } in &disk.renamings {
            if survives() {
                removed.as_ref().and_then(|name| names.remove(name));
                names.extend(added.clone());
            }
        }
        // Files without a name are gone, and are not copied.
        let mut contents = Vec::new();
        for number in names.values_mut() {
            let Content { live, durable, dirty } = &disk.contents[*number];
            let mut found = durable.clone();
            for sector in dirty {
                let range = sector * SECTOR..((sector + 1) * SECTOR).min(live.len());
                if survives() && range.start < range.end {
                    found.resize(found.len().max(range.end), 0);
                    found[range.clone()].copy_from_slice(&live[range]);
                }
            }
            *number = contents.len();
            let dirty = BTreeSet::new();
            contents.push(Content { live: found.clone(), durable: found, dirty });
        }
        let durable_names = names.clone();
        SimulatedDisk::of(Disk { names, durable_names, contents, ..Disk::default() })
    }

    /// A copy that shares nothing, as after a kill: everything written is there.
    pub fn after_kill(&self) -> SimulatedDisk {
        let mut disk = self.lock_disk().clone();
        disk.failing = None;
        disk.locks.clear();
        SimulatedDisk::of(disk)
    }

    /// Fails the `number`-th operation from now on, once; 0 is the next.
    pub fn fail_operation(&self, number: u64) {
        let mut disk = self.lock_disk();
        let number = disk.operations + number;
        disk.failing = Some(number..=number);
    }

    /// Fails the `number`-th operation from now on and every one after it.
    pub fn fail_from(&self, number: u64) {
        let mut disk = self.lock_disk();
        disk.failing = Some(disk.operations + number..=u64::MAX);
    }

    /// Lets all operations work again.
    pub fn heal(&self) {
        self.lock_disk().failing = None;
    }

    /// Lets no write take all files together beyond `bytes`.
    pub fn set_capacity(&self, bytes: usize) {
        self.lock_disk().capacity = Some(bytes);
    }

    /// Size of all files together.
    pub fn used_bytes(&self) -> usize {
        self.lock_disk().used_bytes()
    }

    /// Operations so far, reads included.
    pub fn operations(&self) -> u64 {
        self.lock_disk().operations
    }

    /// Changes the bytes of a file, durably.
    ///
    /// # Panics
    /// When there is no such file.
    pub fn edit(&self, name: &str, edit: impl FnOnce(&mut Vec<u8>)) {
        let mut disk = self.lock_disk();
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
        let disk = self.lock_disk();
        disk.contents[disk.names[name]].live.clone()
    }

    fn of(disk: Disk) -> SimulatedDisk {
        SimulatedDisk { disk: Arc::new(Mutex::new(disk)) }
    }

    fn lock_disk(&self) -> MutexGuard<'_, Disk> {
        self.disk.lock().expect("nobody panics while holding the disk")
    }
}

impl Disk {
    /// Counts an operation, which fails when it is its turn.
    fn operate(&mut self) -> io::Result<()> {
        let number = self.operations;
        self.operations += 1;
        match &self.failing {
            Some(failing) if failing.contains(&number) => {
                Err(io::Error::other("simulated failure"))
            }
            _ => Ok(()),
        }
    }

    fn find(&self, name: &str) -> io::Result<usize> {
        self.names.get(name).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn used_bytes(&self) -> usize {
        self.names.values().map(|number| self.contents[*number].live.len()).sum()
    }

    fn rename(&mut self, removed: Option<String>, added: Option<(String, usize)>) {
        if let Some(name) = &removed {
            self.names.remove(name);
        }
        self.names.extend(added.clone());
        self.renamings.push(Renaming { removed, added });
    }
}

impl Storage for SimulatedDisk {
    type File = SimulatedFile;
    type Lock = SimulatedLock;

    fn open(&self, name: &str) -> io::Result<SimulatedFile> {
        let mut disk = self.lock_disk();
        disk.operate()?;
        let content = disk.find(name)?;
        Ok(SimulatedFile { disk: Arc::clone(&self.disk), content })
    }

    fn create(&self, name: &str) -> io::Result<SimulatedFile> {
        let mut disk = self.lock_disk();
        disk.operate()?;
        let content = disk.contents.len();
        disk.contents.push(Content::default());
        disk.rename(None, Some((name.to_owned(), content)));
        Ok(SimulatedFile { disk: Arc::clone(&self.disk), content })
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let mut disk = self.lock_disk();
        disk.operate()?;
        Ok(disk.names.keys().cloned().collect())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut disk = self.lock_disk();
        disk.operate()?;
        let content = disk.find(from)?;
        disk.rename(Some(from.to_owned()), Some((to.to_owned(), content)));
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut disk = self.lock_disk();
        disk.operate()?;
        disk.find(name)?;
        disk.rename(Some(name.to_owned()), None);
        Ok(())
    }

    fn sync_directory(&self) -> io::Result<()> {
        let mut disk = self.lock_disk();
        disk.operate()?;
        disk.durable_names = disk.names.clone();
        disk.renamings.clear();
        Ok(())
    }

    fn lock(&self, name: &str) -> Result<SimulatedLock, JournalError> {
        let mut disk = self.lock_disk();
        disk.operate().map_err(JournalError::io("lock", name))?;
        if !disk.locks.insert(name.to_owned()) {
            return Err(JournalError::Locked { file: name.to_owned(), pid: 0 });
        }
        Ok(SimulatedLock { disk: Arc::clone(&self.disk), name: name.to_owned() })
    }
}

impl Drop for SimulatedLock {
    fn drop(&mut self) {
        if let Ok(mut disk) = self.disk.lock() {
            disk.locks.remove(&self.name);
        }
    }
}

impl SimulatedFile {
    fn with<R>(&self, act: impl FnOnce(&mut Content) -> R) -> io::Result<R> {
        let mut disk = self.disk.lock().expect("nobody panics while holding the disk");
        disk.operate()?;
        Ok(act(&mut disk.contents[self.content]))
    }
}

impl File for SimulatedFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.with(|content| {
            let start = (offset as usize).min(content.live.len());
            let count = buffer.len().min(content.live.len() - start);
            buffer[..count].copy_from_slice(&content.live[start..start + count]);
            count
        })
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let (start, end) = (offset as usize, offset as usize + bytes.len());
        {
            let disk = self.disk.lock().expect("nobody panics while holding the disk");
            let more = end.saturating_sub(disk.contents[self.content].live.len());
            if disk.capacity.is_some_and(|capacity| disk.used_bytes() + more > capacity) {
                return Err(io::ErrorKind::StorageFull.into());
            }
        }
        self.with(|content| {
            if content.live.len() < end {
                content.live.resize(end, 0);
            }
            content.live[start..end].copy_from_slice(bytes);
            content.dirty.extend(start / SECTOR..end.div_ceil(SECTOR));
        })
    }

    fn sync(&self) -> io::Result<()> {
        self.with(|content| {
            let Content { live, durable, dirty } = content;
            durable.resize(live.len(), 0);
            for sector in std::mem::take(dirty) {
                let range = sector * SECTOR..((sector + 1) * SECTOR).min(live.len());
                if range.start < range.end {
                    durable[range.clone()].copy_from_slice(&live[range]);
                }
            }
        })
    }

    fn write_out(&self, _offset: u64, _bytes: u64) -> io::Result<()> {
        self.with(|_| ())
    }

    fn begin_write_out(&self, _offset: u64, _bytes: u64) -> io::Result<()> {
        self.with(|_| ())
    }

    fn size(&self) -> io::Result<u64> {
        self.with(|content| content.live.len() as u64)
    }

    fn set_size(&self, bytes: u64) -> io::Result<()> {
        self.with(|content| {
            let (before, after) = (content.live.len(), bytes as usize);
            content.live.resize(after, 0);
            content.dirty.extend(before.min(after) / SECTOR..before.max(after).div_ceil(SECTOR));
        })
    }
}
