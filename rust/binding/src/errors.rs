//! The exceptions of the module.

use pyo3::exceptions::PyException;
use pyo3::prelude::*;
use viabtc_host::Unavailable;

mod exceptions {
    #![allow(missing_docs, reason = "the texts stand in the stub")]

    use super::PyException;

    pyo3::create_exception!(viabtc._core, CoreError, PyException);
    pyo3::create_exception!(viabtc._core, ConfigError, CoreError);
    pyo3::create_exception!(viabtc._core, StartError, CoreError);
    pyo3::create_exception!(viabtc._core, UnavailableError, CoreError);
}

pub(crate) use exceptions::{ConfigError, CoreError, StartError, UnavailableError};

pub(crate) fn config(error: viabtc_engine::ConfigError) -> PyErr {
    ConfigError::new_err((error.key, error.problem, error.remedy))
}

pub(crate) fn start(error: &viabtc_host::StartError) -> PyErr {
    StartError::new_err((error.to_string(), error.remedy()))
}

pub(crate) fn unavailable(error: Unavailable) -> PyErr {
    UnavailableError::new_err(error.to_string())
}
