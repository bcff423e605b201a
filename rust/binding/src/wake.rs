//! An eventfd: threads of Rust wake the event loop of Python with it.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::SeqCst;

/// Becomes readable when it is rung while armed; clones are the same.
#[derive(Clone)]
pub(crate) struct Wake {
    inner: Arc<Inner>,
}

struct Inner {
    file: File,
    is_armed: AtomicBool,
}

impl Wake {
    /// A new one, armed.
    pub(crate) fn new() -> io::Result<Wake> {
        // SAFETY: the call takes no pointers; its result is checked, and owned by nobody else.
        let file = unsafe {
            let fd = libc::eventfd(0, libc::EFD_NONBLOCK | libc::EFD_CLOEXEC);
            if fd < 0 {
                return Err(io::Error::last_os_error());
            }
            File::from(OwnedFd::from_raw_fd(fd))
        };
        Ok(Wake { inner: Arc::new(Inner { file, is_armed: AtomicBool::new(true) }) })
    }

    /// Makes it readable, at most once between two calls of [`Wake::arm`]: a busy writer pays one atomic
    /// read.
    pub(crate) fn ring(&self) {
        if self.inner.is_armed.load(SeqCst) && self.inner.is_armed.swap(false, SeqCst) {
            // A full counter is readable as well, and no other error can occur.
            let _ = (&self.inner.file).write(&1u64.to_ne_bytes());
        }
    }

    /// Asks to be rung. Whoever arms looks for work after that, so that nothing is missed in between.
    pub(crate) fn arm(&self) {
        self.inner.is_armed.store(true, SeqCst);
    }

    /// Makes it unreadable again.
    pub(crate) fn clear(&self) {
        // An error says that it was not readable.
        let _ = (&self.inner.file).read(&mut [0; 8]);
    }

    pub(crate) fn fd(&self) -> RawFd {
        self.inner.file.as_raw_fd()
    }
}
