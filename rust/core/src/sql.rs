//! Lexing and classification of SQL.

use pyo3::{exceptions::PyValueError, prelude::*};
use snowgate_sql::{Classified as Inner, Head, LexError, Limits, Refusal};

pyo3::create_exception!(
    snowgate._core,
    SqlError,
    PyValueError,
    "A text that has no reading, or more than one. Arguments: reason, remedy."
);

fn raise(error: LexError) -> PyErr {
    SqlError::new_err((error.to_string(), error.remedy()))
}

/// Why a statement can never be forwarded: rule, reason, remedy.
type Reason = (&'static str, &'static str, &'static str);

fn reason(refusal: Refusal) -> Reason {
    (refusal.rule, refusal.reason, refusal.remedy)
}

/// The statements of a text.
#[pyclass(frozen, module = "snowgate._core")]
pub(crate) struct Classified {
    inner: Inner,
    text: String,
}

#[pymethods]
impl Classified {
    /// One head per statement.
    #[getter]
    fn statements(&self) -> Vec<StatementHead> {
        let heads = self.inner.statements.iter();
        heads
            .map(|head| StatementHead {
                text: self.text.get(head.start..head.end).unwrap_or_default().to_owned(),
                rest: self
                    .text
                    .get(head.target_end.max(head.start)..head.end)
                    .unwrap_or_default()
                    .to_owned(),
                head: head.clone(),
            })
            .collect()
    }

    /// The first refusal of the text as a whole.
    #[getter]
    fn refusal(&self) -> Option<Reason> {
        self.inner.refusal().map(reason)
    }
}

/// What the first words of a statement say.
#[pyclass(frozen, module = "snowgate._core")]
pub(crate) struct StatementHead {
    head: Head,
    text: String,
    rest: String,
}

#[pymethods]
impl StatementHead {
    /// The statement's class, a word of `StatementClass`.
    #[getter]
    fn kind(&self) -> &'static str {
        self.head.class.as_str()
    }

    #[getter]
    fn verb(&self) -> &str {
        &self.head.verb
    }

    #[getter]
    fn object_kind(&self) -> &str {
        &self.head.object_kind
    }

    #[getter]
    fn target(&self) -> Vec<String> {
        self.head.target.clone()
    }

    #[getter]
    fn text(&self) -> &str {
        &self.text
    }

    #[getter]
    fn rest(&self) -> &str {
        &self.rest
    }

    #[getter]
    fn replace(&self) -> bool {
        self.head.replace
    }

    #[getter]
    fn temporary(&self) -> bool {
        self.head.temporary
    }

    #[getter]
    fn stage(&self) -> bool {
        self.head.stage
    }

    #[getter]
    fn variable(&self) -> bool {
        self.head.variable
    }

    #[getter]
    fn bind(&self) -> bool {
        self.head.bind
    }

    #[getter]
    fn read_only(&self) -> bool {
        self.head.read_only
    }

    #[getter]
    fn barrier(&self) -> bool {
        self.head.barrier
    }

    #[getter]
    fn inner(&self) -> Option<&str> {
        self.head.inner.as_deref()
    }

    /// Names before brackets as (name, qualified).
    #[getter]
    fn calls(&self) -> Vec<(String, bool)> {
        self.head.calls.iter().map(|call| (call.name.clone(), call.qualified)).collect()
    }

    #[getter]
    fn refusal(&self) -> Option<Reason> {
        self.head.refusal.map(reason)
    }
}

/// Classify every statement of a text.
#[pyfunction]
pub(crate) fn classify(py: Python<'_>, text: &str) -> PyResult<Classified> {
    let inner = py.detach(|| snowgate_sql::classify(text, &Limits::default())).map_err(raise)?;
    Ok(Classified { inner, text: text.to_owned() })
}

/// Split a text into (kind, text) tokens, white space and comments included.
#[pyfunction]
pub(crate) fn lex(text: &str) -> PyResult<Vec<(&'static str, &str)>> {
    let tokens = snowgate_sql::lex(text, &Limits::default()).map_err(raise)?;
    Ok(tokens.into_iter().map(|token| (token.kind.as_str(), token.text)).collect())
}

/// The value of a string constant, `'…'` or `$$…$$`; None for anything else.
#[pyfunction]
pub(crate) fn string_value(text: &str) -> Option<String> {
    match snowgate_sql::lex(text, &Limits::default()).ok()?.as_slice() {
        [token] => snowgate_sql::unescape(token),
        _ => None,
    }
}

/// The template of a statement and the types of all its `?`; None if its verdict would say nothing of
/// other statements. `binds` are the types of its own binds.
#[pyfunction]
pub(crate) fn template(
    py: Python<'_>,
    text: &str,
    binds: Vec<String>,
) -> Option<(String, Vec<String>)> {
    py.detach(move || {
        let template = snowgate_sql::template(text, &Limits::default())?;
        let types = template.bind_types(&binds)?;
        Some((template.text, types))
    })
}

/// The kinds of objects that the classifier knows, upper-case.
#[pyfunction]
pub(crate) fn object_kinds() -> Vec<&'static str> {
    snowgate_sql::object_kinds()
}
