//! Rows of the embedded store as Python takes them.

use pyo3::IntoPyObjectExt;
use pyo3::prelude::*;
use pyo3::types::{PyList, PyTuple};
use viabtc_engine::decimal::write_stripped;
use viabtc_wire::rows::Field;

/// A value of a row of the embedded store.
pub(crate) enum Value {
    Auto,
    Integer(u64),
    Time(i64),
    Text(String),
}

impl Value {
    pub(crate) fn of(field: &Field<'_>) -> Value {
        match field {
            Field::Auto => Value::Auto,
            Field::Integer(number) => Value::Integer(*number),
            Field::Time(microseconds) => Value::Time(*microseconds),
            Field::Decimal(value) => {
                let mut text = Vec::new();
                write_stripped(value.coefficient, value.scale, &mut text);
                Value::Text(String::from_utf8(text).expect("numbers are written in ASCII"))
            }
            Field::Text(text) => Value::Text((*text).to_owned()),
        }
    }

    fn into_python(self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        match self {
            Value::Auto => Ok(py.None()),
            Value::Integer(number) => number.into_py_any(py),
            // The nearest double, as MySQL reads six decimals.
            Value::Time(microseconds) => (microseconds as f64 / 1e6).into_py_any(py),
            Value::Text(text) => text.into_py_any(py),
        }
    }
}

/// A list of tuples.
pub(crate) fn rows_into_python(
    rows: impl IntoIterator<Item = Vec<Value>>,
    py: Python<'_>,
) -> PyResult<Bound<'_, PyList>> {
    let list = PyList::empty(py);
    for row in rows {
        let values = row.into_iter().map(|value| value.into_python(py));
        list.append(PyTuple::new(py, values.collect::<PyResult<Vec<_>>>()?)?)?;
    }
    Ok(list)
}
