//! The disk behind traits: the real directory here, a simulated one in [`crate::simulated`].

use std::fs::{self, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::error::JournalError;

/// Lock of the one who writes the journal.
pub(crate) const WRITER_LOCK: &str = "lock";

/// Lock of the one who makes a snapshot.
pub(crate) const SNAPSHOT_LOCK: &str = "snapshot-lock";

/// A directory of files.
pub trait Storage: Clone + Send + 'static {
    /// An open file.
    type File: File;
    /// A held lock; dropping it, or the end of the process, lets it go.
    type Lock: Send;

    /// Opens an existing file to read and write.
    fn open(&self, name: &str) -> io::Result<Self::File>;
    /// Makes a file; an existing one is emptied.
    fn create(&self, name: &str) -> io::Result<Self::File>;
    /// Names of all files.
    fn list(&self) -> io::Result<Vec<String>>;
    /// Renames, replacing the target.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    /// Removes a file.
    fn remove(&self, name: &str) -> io::Result<()>;
    /// Makes creations, renames and removals durable.
    fn sync_directory(&self) -> io::Result<()>;
    /// Keeps others from taking the lock of this name.
    ///
    /// # Errors
    /// [`JournalError::Locked`] when another holds it.
    fn lock(&self, name: &str) -> Result<Self::Lock, JournalError>;
}

/// A file with positioned access.
pub trait File: Send + 'static {
    /// Fills `buffer` from `offset`; fewer bytes at the end of the file.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
    /// Writes all of `bytes` at `offset`.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;
    /// Makes the content durable.
    fn sync(&self) -> io::Result<()>;
    /// Waits until the disk has these bytes, in its cache at least, so that a `sync` at the end of a long
    /// file finds little left to do. Nothing is durable by it.
    fn write_out(&self, offset: u64, bytes: u64) -> io::Result<()>;
    /// Has the system begin to write these bytes. A failure to write them is left for a `sync` to tell, of
    /// whatever process: whoever waits for them would take it away.
    fn begin_write_out(&self, offset: u64, bytes: u64) -> io::Result<()>;
    /// Size in bytes.
    fn size(&self) -> io::Result<u64>;
    /// Cuts or extends with zeros.
    fn set_size(&self, bytes: u64) -> io::Result<()>;
}

/// A directory of the file system.
#[derive(Clone, Debug)]
pub struct Directory {
    path: PathBuf,
}

impl Directory {
    /// Uses `path`, which is made when missing.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn open(path: impl Into<PathBuf>) -> io::Result<Directory> {
        let path = path.into();
        fs::create_dir_all(&path)?;
        Ok(Directory { path })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Storage for Directory {
    type File = fs::File;
    type Lock = fs::File;

    fn open(&self, name: &str) -> io::Result<fs::File> {
        OpenOptions::new().read(true).write(true).open(self.path.join(name))
    }

    fn create(&self, name: &str) -> io::Result<fs::File> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(true).open(self.path.join(name))
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            if let Ok(name) = entry?.file_name().into_string() {
                names.push(name);
            }
        }
        Ok(names)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.path.join(from), self.path.join(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.path.join(name))
    }

    fn sync_directory(&self) -> io::Result<()> {
        fs::File::open(&self.path)?.sync_all()
    }

    fn lock(&self, name: &str) -> Result<fs::File, JournalError> {
        let path = self.path.join(name);
        let named = path.display().to_string();
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let mut file = options.open(&path).map_err(JournalError::io("open", &named))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) => {
                let mut text = String::new();
                // The number is a hint for the operator; without it the message says 0.
                let _ = file.read_to_string(&mut text);
                let pid = text.trim().parse().unwrap_or(0);
                return Err(JournalError::Locked { file: named, pid });
            }
            Err(fs::TryLockError::Error(source)) => {
                return Err(JournalError::Io { operation: "lock", file: named, source });
            }
        }
        let write = |file: &mut fs::File| {
            file.set_len(0)?;
            file.seek(SeekFrom::Start(0))?;
            writeln!(file, "{}", std::process::id())
        };
        write(&mut file).map_err(JournalError::io("write", &named))?;
        Ok(file)
    }
}

impl File for fs::File {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut filled = 0;
        while filled < buffer.len() {
            match FileExt::read_at(self, &mut buffer[filled..], offset + filled as u64) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.write_all_at(bytes, offset)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }

    fn write_out(&self, offset: u64, bytes: u64) -> io::Result<()> {
        const WAIT_FOR_ALL: libc::c_uint = libc::SYNC_FILE_RANGE_WAIT_BEFORE
            | libc::SYNC_FILE_RANGE_WRITE
            | libc::SYNC_FILE_RANGE_WAIT_AFTER;
        sync_file_range(self, offset, bytes, WAIT_FOR_ALL)
    }

    fn begin_write_out(&self, offset: u64, bytes: u64) -> io::Result<()> {
        sync_file_range(self, offset, bytes, libc::SYNC_FILE_RANGE_WRITE)
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn set_size(&self, bytes: u64) -> io::Result<()> {
        self.set_len(bytes)
    }
}

#[expect(unsafe_code, reason = "no library has this call")]
fn sync_file_range(
    file: &fs::File,
    offset: u64,
    bytes: u64,
    flags: libc::c_uint,
) -> io::Result<()> {
    let outside = |_| io::Error::from(io::ErrorKind::InvalidInput);
    let offset = libc::off64_t::try_from(offset).map_err(outside)?;
    let bytes = libc::off64_t::try_from(bytes).map_err(outside)?;
    // SAFETY: the call takes numbers only, and the file is open while it is borrowed.
    let result = unsafe { libc::sync_file_range(file.as_raw_fd(), offset, bytes, flags) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
