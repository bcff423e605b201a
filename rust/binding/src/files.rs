//! Journal and snapshot files, without an engine.

use std::path::PathBuf;
use std::sync::Mutex;

use pyo3::exceptions::PyOSError;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use viabtc_host::codec::{command_number, read_command};
use viabtc_host::record::{KIND_COMMAND, KIND_CONFIG, KIND_DIGEST};
use viabtc_host::recovery::Replay;
use viabtc_host::snapshots;
use viabtc_journal::{
    Directory, FeedPositions, JournalError, KIND_OPENED, KIND_PROOF, KIND_SEAL, Record,
    first_sequence, inspect, latest_snapshot,
};

use crate::errors;

/// Writes the next snapshot from the closed segments.
#[pyfunction]
pub(crate) fn write_snapshot(py: Python<'_>, directory: PathBuf) -> PyResult<Bound<'_, PyDict>> {
    let report = py
        .detach(|| snapshots::write_snapshot(&directory))
        .map_err(|error| errors::start(&error))?;
    let dict = PyDict::new(py);
    dict.set_item("sequence", report.sequence)?;
    dict.set_item("replayed", report.replayed)?;
    dict.set_item("bytes", report.bytes)?;
    dict.set_item("digest", format!("{:016x}", report.digest))?;
    Ok(dict)
}

/// Positions are read and written as a whole, by projections of one process.
static POSITIONS: Mutex<()> = Mutex::new(());

/// Says how far a projection is, so that the feed's files stay until it is past them; without a sequence the
/// projection is forgotten.
#[pyfunction]
#[pyo3(signature = (directory, name, sequence))]
pub(crate) fn keep_feed_position(
    py: Python<'_>,
    directory: PathBuf,
    name: &str,
    sequence: Option<u64>,
) -> PyResult<()> {
    py.detach(|| {
        let _alone = POSITIONS.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let storage = Directory::open(&directory)?;
        let failed = |error: JournalError| PyOSError::new_err(error.to_string());
        let mut positions = FeedPositions::open(&storage).map_err(failed)?;
        if positions.get(name) == sequence {
            return Ok(());
        }
        match sequence {
            Some(sequence) => positions.set(name, sequence),
            None => positions.forget(name),
        }
        positions.save().map_err(failed)
    })
}

/// Gives way to the engine, in the process that makes a snapshot beside it.
#[pyfunction]
pub(crate) fn give_way() -> PyResult<()> {
    Ok(snapshots::give_way()?)
}

/// Reads a journal without changing it.
#[pyfunction]
#[pyo3(signature = (directory, visit = None, after = 0, replay = false))]
pub(crate) fn inspect_journal<'py>(
    py: Python<'py>,
    directory: PathBuf,
    visit: Option<Bound<'py, PyAny>>,
    after: u64,
    replay: bool,
) -> PyResult<Bound<'py, PyDict>> {
    if !directory.is_dir() {
        let problem = format!("there is no directory {}", directory.display());
        return Err(errors::StartError::new_err((problem, "name the data directory of an engine")));
    }
    let fault = |error: JournalError| errors::start(&error.into());
    let storage = Directory::open(&directory).map_err(|source| {
        fault(JournalError::Io { operation: "open", file: directory.display().to_string(), source })
    })?;
    let (snapshot, damaged) = latest_snapshot(&storage).map_err(fault)?;
    let mut problems: Vec<String> =
        damaged.iter().map(|name| format!("{name} is damaged; an older state is used")).collect();
    let snapshot_sequence = snapshot.as_ref().map_or(0, |snapshot| snapshot.sequence);
    let mut state = match snapshot {
        Some(mut snapshot) if replay => {
            Replay::from_snapshot(&mut snapshot).map_err(|error| errors::start(&error.into()))?
        }
        _ => Replay::empty(),
    };
    // Segments that the snapshots cover are gone, and nothing is missing. Damage of the oldest that is left
    // is found again, and told, by who reads it.
    let gone = first_sequence(&storage).ok().flatten().map_or(0, |first| first - 1);
    let after = match replay {
        true => snapshot_sequence,
        false if gone <= snapshot_sequence => after.max(gone),
        false => after,
    };
    let mut raised = None;
    let summary = inspect(&storage, after, &mut |file, offset, record| {
        let outcome = (|| {
            if replay {
                state.apply(record, |_| {}).map_err(|error| errors::start(&error.into()))?;
            }
            match &visit {
                Some(visit) => visit.call1((row(py, file, offset, record)?,)).map(drop),
                None => py.check_signals(),
            }
        })();
        raised = outcome.err();
        raised.is_none()
    });
    if let Some(raised) = raised {
        return Err(raised);
    }
    let dict = PyDict::new(py);
    dict.set_item("snapshot", snapshot_sequence)?;
    dict.set_item("after", after)?;
    dict.set_item("ok", true)?;
    match summary {
        Ok(summary) => {
            dict.set_item("segments", summary.segments)?;
            dict.set_item("records", summary.records)?;
            dict.set_item("sequence", summary.sequence)?;
            dict.set_item("epoch", summary.epoch)?;
            dict.set_item("time_us", summary.time)?;
            dict.set_item("is_sealed", summary.is_sealed)?;
            if let Some(torn) = summary.torn {
                dict.set_item("torn", (torn.file, torn.offset, torn.bytes))?;
            }
        }
        Err(error @ (JournalError::Damaged { .. } | JournalError::Version { .. })) => {
            dict.set_item("ok", false)?;
            problems.push(error.to_string());
        }
        Err(error) => return Err(fault(error)),
    }
    if replay && problems.is_empty() {
        let settled = state.settle(|_| {});
        let state =
            settled.and_then(|()| state.finish()).map_err(|error| errors::start(&error.into()))?;
        let digest = state.map(|state| format!("{:016x}", state.exchange.digest()));
        dict.set_item("digest", digest)?;
    }
    dict.set_item("problems", problems)?;
    Ok(dict)
}

fn row<'py>(
    py: Python<'py>,
    file: &str,
    offset: u64,
    record: &Record<'_>,
) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    dict.set_item("file", file)?;
    dict.set_item("offset", offset)?;
    dict.set_item("ordinal", record.ordinal)?;
    dict.set_item("sequence", record.sequence)?;
    dict.set_item("epoch", record.epoch)?;
    dict.set_item("time_us", record.time)?;
    let kind = match record.kind {
        KIND_COMMAND => "command",
        KIND_DIGEST => "digest",
        KIND_SEAL => "seal",
        KIND_OPENED => "opened",
        KIND_CONFIG => "config",
        KIND_PROOF => "proof",
        _ => "unknown",
    };
    dict.set_item("kind", kind)?;
    match record.kind {
        KIND_COMMAND => {
            if let Ok((command, params)) = read_command(record.payload) {
                dict.set_item("command", command_number(&command))?;
                dict.set_item("params", String::from_utf8_lossy(params))?;
            }
        }
        KIND_DIGEST | KIND_SEAL => {
            if let Some(digest) = record.payload.first_chunk() {
                dict.set_item("digest", format!("{:016x}", u64::from_le_bytes(*digest)))?;
            }
        }
        KIND_OPENED => dict.set_item("build", String::from_utf8_lossy(record.payload))?,
        _ => {}
    }
    Ok(dict)
}
