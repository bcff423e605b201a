//! A backend whose questions Python answers, in batches.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};
use viabtc_gateway::{Backend, Bundle, Outbox, Refusal, Session, Status, Ticket};
use viabtc_wire::json::{Value, read_array, write_indented, write_value};
use viabtc_wire::methods::{ErrorCode, METHODS, by_command};
use viabtc_wire::reply::{write_common_error, write_success};

use crate::wake::Wake;

/// Checks that services read these parameters; they close connections that bring others.
#[pyfunction]
pub(crate) fn validate_params(params: &[u8]) -> PyResult<()> {
    read_array(params).map(drop).map_err(|error| PyValueError::new_err(error.to_string()))
}

/// The one-line form of an object's text, when it is one.
#[pyfunction]
pub(crate) fn one_line_object(text: &str) -> Option<String> {
    // An array around it, so that the text is read as a value: white space around it does no harm.
    let values = [b"[", text.as_bytes(), b"]"].concat();
    let values = read_array(&values).ok()?;
    let [value @ Value::Object(_)] = &values[..] else { return None };
    let mut out = Vec::with_capacity(text.len());
    write_value(value, &mut out);
    String::from_utf8(out).ok()
}

/// Questions to one service of this process, on their way to Python and back.
#[pyclass(frozen, module = "viabtc._core")]
pub(crate) struct Answers {
    pub(crate) shared: Arc<Shared>,
}

/// What ports and Python share.
pub(crate) struct Shared {
    owner: &'static str,
    is_indented: bool,
    /// Most questions that are not answered yet.
    capacity: usize,
    wake: Wake,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Question>,
    /// Who asked, by number of the question.
    asked: HashMap<u64, Asker>,
    last_number: u64,
    answered: u64,
    refused: u64,
}

struct Question {
    number: u64,
    command: u32,
    params: Vec<u8>,
}

struct Asker {
    ticket: Ticket,
    outbox: Outbox,
    id: i64,
}

#[pymethods]
impl Answers {
    #[new]
    #[pyo3(signature = (owner, *, capacity = 100, indented = false))]
    fn new(owner: &str, capacity: usize, indented: bool) -> PyResult<Answers> {
        let known = METHODS.iter().map(|method| method.owner.name()).find(|name| *name == owner);
        let owner =
            known.ok_or_else(|| PyValueError::new_err(format!("no methods belong to {owner}")))?;
        let shared = Shared {
            owner,
            is_indented: indented,
            capacity,
            wake: Wake::new()?,
            state: Mutex::default(),
        };
        Ok(Answers { shared: Arc::new(shared) })
    }

    /// Readable after `batch` found nothing, once there is a question.
    fn fileno(&self) -> i32 {
        self.shared.wake.fd()
    }

    fn clear(&self) {
        self.shared.wake.clear();
    }

    /// Waiting questions, oldest first: number, command, text of the parameters.
    fn batch<'py>(
        &self,
        py: Python<'py>,
        count_max: usize,
    ) -> Vec<(u64, u32, Bound<'py, PyBytes>)> {
        self.shared.wake.arm();
        let mut state = self.shared.lock();
        let count = state.waiting.len().min(count_max);
        let taken: Vec<Question> = state.waiting.drain(..count).collect();
        drop(state);
        let questions = taken.into_iter().map(|Question { number, command, params }| {
            (number, command, PyBytes::new(py, &params))
        });
        questions.collect()
    }

    /// Answers questions by number: with a result's JSON text, or with the code of a common error.
    fn reply(&self, answers: Vec<(u64, Answer)>) {
        for (number, answer) in answers {
            let asker = {
                let mut state = self.shared.lock();
                state.answered += 1;
                state.asked.remove(&number)
            };
            // A question is answered once; what asked may be gone, which its outbox bears.
            if let Some(asker) = asker {
                self.shared.answer(asker, &answer);
            }
        }
    }

    fn metrics<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let state = self.shared.lock();
        crate::figures(
            py,
            [
                ("waiting", state.waiting.len() as u64),
                ("open", state.asked.len() as u64),
                ("answered_total", state.answered),
                ("refused_total", state.refused),
            ],
        )
    }
}

/// How a question is answered.
#[derive(FromPyObject)]
enum Answer {
    /// The code of an error that every method shares.
    Error(i32),
    /// The result's JSON text.
    Result(Vec<u8>),
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn answer(&self, asker: Asker, answer: &Answer) {
        let Asker { ticket, outbox, id } = asker;
        let mut body = Vec::new();
        match answer {
            Answer::Error(code) => {
                let known = ErrorCode::ALL.into_iter().find(|other| *other as i32 == *code);
                let code = known.unwrap_or(ErrorCode::InternalError);
                write_common_error(code, Some(id), &mut body);
            }
            Answer::Result(text) => {
                write_success(id, &mut body, |out| out.extend_from_slice(text));
            }
        }
        if self.is_indented {
            let compact = std::mem::take(&mut body);
            write_indented(&compact, &mut body);
        }
        let range = 0..body.len();
        outbox.send(Bundle {
            buffer: Arc::new(body),
            answers: vec![(ticket, Status::Answered, range)],
        });
    }
}

/// The questions' way to Python.
pub(crate) struct AnswersBackend(pub(crate) Arc<Shared>);

impl Backend for AnswersBackend {
    fn session(&self, outbox: Outbox) -> Box<dyn Session> {
        Box::new(AnswersSession { shared: Arc::clone(&self.0), outbox })
    }
}

struct AnswersSession {
    shared: Arc<Shared>,
    outbox: Outbox,
}

impl Session for AnswersSession {
    fn submit(
        &mut self,
        command: u32,
        id: i64,
        params: &[u8],
        ticket: Ticket,
    ) -> Result<(), (Refusal, Ticket)> {
        if read_array(params).is_err() {
            return Err((Refusal::Malformed, ticket));
        }
        if by_command(command).is_none_or(|method| method.owner.name() != self.shared.owner) {
            return Err((Refusal::NotFound, ticket));
        }
        let asker = Asker { ticket, outbox: self.outbox.clone(), id };
        let mut state = self.shared.lock();
        if state.asked.len() >= self.shared.capacity {
            state.refused += 1;
            drop(state);
            self.shared.answer(asker, &Answer::Error(ErrorCode::ServiceUnavailable as i32));
            return Ok(());
        }
        state.last_number += 1;
        let number = state.last_number;
        state.asked.insert(number, asker);
        state.waiting.push_back(Question { number, command, params: params.to_vec() });
        Ok(())
    }

    fn flush(&mut self) {
        if !self.shared.lock().waiting.is_empty() {
            self.shared.wake.ring();
        }
    }
}
