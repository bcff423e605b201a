//! `viabtc._core`: the compiled half of the Python package. It joins host and gateway; every call that can
//! wait gives the interpreter's lock back first.

mod answers;
mod backends;
mod engine;
mod errors;
mod feed;
mod files;
mod hub;
mod market;
mod ports;
mod push;
mod requests;
mod slices;
mod takeover;
mod values;
mod wake;

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyTuple};
use viabtc_gateway::hub::{CHANNELS, STREAM_PATH};
use viabtc_pages::LargePages;
use viabtc_wire::methods::{Effect, METHODS};

/// Books and accounts are large and met at random.
#[global_allocator]
static ALLOCATOR: LargePages = LargePages;

#[pymodule]
fn _core(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    module.add("VERSION", env!("CARGO_PKG_VERSION"))?;
    module.add("METHODS", methods(py)?)?;
    module.add("CHANNELS", channels(py)?)?;
    module.add("STREAM_PATH", STREAM_PATH)?;
    module.add("CoreError", py.get_type::<errors::CoreError>())?;
    module.add("ConfigError", py.get_type::<errors::ConfigError>())?;
    module.add("StartError", py.get_type::<errors::StartError>())?;
    module.add("UnavailableError", py.get_type::<errors::UnavailableError>())?;
    module.add_class::<engine::Engine>()?;
    module.add_class::<market::MarketBoard>()?;
    module.add_class::<answers::Answers>()?;
    module.add_class::<feed::Feed>()?;
    module.add_class::<feed::FeedBatch>()?;
    module.add_class::<slices::Slice>()?;
    module.add_class::<ports::RpcServer>()?;
    module.add_class::<ports::FrontDoor>()?;
    module.add_class::<ports::RpcClient>()?;
    module.add_class::<hub::Hub>()?;
    module.add_class::<requests::RequestLines>()?;
    module.add_function(wrap_pyfunction!(engine::validate_config, module)?)?;
    module.add_function(wrap_pyfunction!(answers::validate_params, module)?)?;
    module.add_function(wrap_pyfunction!(answers::one_line_object, module)?)?;
    module.add_function(wrap_pyfunction!(takeover::take_over, module)?)?;
    module.add_function(wrap_pyfunction!(takeover::install_state, module)?)?;
    module.add_function(wrap_pyfunction!(files::keep_feed_position, module)?)?;
    module.add_function(wrap_pyfunction!(files::write_snapshot, module)?)?;
    module.add_function(wrap_pyfunction!(files::give_way, module)?)?;
    module.add_function(wrap_pyfunction!(files::inspect_journal, module)?)
}

/// The method table as Python data.
fn methods(py: Python<'_>) -> PyResult<Bound<'_, PyTuple>> {
    let rows = METHODS.iter().map(|method| {
        let row = PyDict::new(py);
        row.set_item("name", method.name)?;
        row.set_item("command", method.command)?;
        row.set_item("owner", method.owner.name())?;
        row.set_item("effect", if method.effect == Effect::Write { "write" } else { "read" })?;
        let params = method.params.iter().map(|(name, kind)| (*name, kind.name()));
        row.set_item("params", PyTuple::new(py, params)?)?;
        row.set_item("arity", method.arity.name())?;
        row.set_item("result", method.result.name())?;
        let errors = method.errors.iter().map(|(code, rejection)| (*code, rejection.name()));
        row.set_item("errors", PyTuple::new(py, errors)?)?;
        row.set_item("summary", method.summary)?;
        Ok(row)
    });
    PyTuple::new(py, rows.collect::<PyResult<Vec<_>>>()?)
}

/// The stream's table of channels as Python data.
fn channels(py: Python<'_>) -> PyResult<Bound<'_, PyTuple>> {
    let rows = CHANNELS.iter().map(|channel| {
        let row = PyDict::new(py);
        row.set_item("form", channel.form)?;
        row.set_item("is_private", channel.is_private)?;
        row.set_item("is_conflated", channel.is_conflated)?;
        row.set_item("summary", channel.summary)?;
        Ok(row)
    });
    PyTuple::new(py, rows.collect::<PyResult<Vec<_>>>()?)
}

/// Names and values as a dict.
fn figures<'py>(
    py: Python<'py>,
    figures: impl IntoIterator<Item = (&'static str, u64)>,
) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    for (name, value) in figures {
        dict.set_item(name, value)?;
    }
    Ok(dict)
}

fn strings<'py>(
    py: Python<'py>,
    items: impl IntoIterator<Item = String, IntoIter: ExactSizeIterator>,
) -> PyResult<Bound<'py, PyList>> {
    PyList::new(py, items)
}
