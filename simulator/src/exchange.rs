//! A request and a reply as values, between the HTTP side and the rules; it must not hold state.

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use serde_json::Value;

use crate::error::{ErrorBody, LoginError};

/// A request whose operation is known.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) rule: &'static crate::operations::Rule,
    /// Values of the path's parameters, in order.
    pub(crate) parameters: Vec<String>,
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) query: Vec<(String, String)>,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// The body's fields, if it is a form.
    pub(crate) form: Vec<(String, String)>,
    /// `http://` and the authority that the caller used.
    pub(crate) base_url: String,
}

impl Request {
    /// A path parameter; the table of operations says how many there are.
    pub(crate) fn parameter(&self, index: usize) -> &str {
        self.parameters.get(index).map_or("", String::as_str)
    }

    /// The first query parameter of that name.
    pub(crate) fn query(&self, name: &str) -> Option<&str> {
        find(&self.query, name)
    }

    /// The first form field of that name.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        find(&self.form, name)
    }

    /// A header as text.
    pub(crate) fn header(&self, name: http::HeaderName) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The body as a JSON object.
    pub(crate) fn json(&self) -> Result<Value, ErrorBody> {
        let media = self.header(http::header::CONTENT_TYPE).unwrap_or("");
        if !media.split(';').next().unwrap_or("").trim().eq_ignore_ascii_case("application/json") {
            return Err(ErrorBody::unsupported_media_type());
        }
        let value: Value = serde_json::from_slice(&self.body).map_err(|_| ErrorBody::malformed())?;
        if value.is_object() { Ok(value) } else { Err(ErrorBody::malformed()) }
    }
}

fn find<'a>(pairs: &'a [(String, String)], name: &str) -> Option<&'a str> {
    pairs.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
}

/// What a reply carries.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Content {
    /// Nothing.
    Empty,
    /// JSON.
    Json(Value),
    /// An error, whose `contextId` is set when it is sent.
    Error(ErrorBody),
    /// A text of this media type.
    Text(&'static str, String),
}

/// A reply, and what it says for the log.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) content: Content,
    /// Where to go, for redirects.
    pub(crate) location: Option<String>,
    /// Did the call change the state?
    pub(crate) committed: bool,
    /// The object that the call was about.
    pub(crate) target: Option<String>,
    /// Who called.
    pub(crate) caller: Option<String>,
}

impl Reply {
    fn new(status: StatusCode, content: Content) -> Self {
        Self { status, content, location: None, committed: false, target: None, caller: None }
    }

    pub(crate) fn json(body: Value) -> Self {
        Self::new(StatusCode::OK, Content::Json(body))
    }

    pub(crate) fn empty(status: StatusCode) -> Self {
        Self::new(status, Content::Empty)
    }

    pub(crate) fn text(status: StatusCode, media: &'static str, text: String) -> Self {
        Self::new(status, Content::Text(media, text))
    }

    pub(crate) fn redirect(location: String) -> Self {
        Self { location: Some(location), ..Self::new(StatusCode::FOUND, Content::Empty) }
    }

    /// The same reply, of a call that changed the state.
    pub(crate) fn committed(self) -> Self {
        Self { committed: true, ..self }
    }

    /// The same reply, about this object.
    pub(crate) fn about(self, target: impl Into<String>) -> Self {
        Self { target: Some(target.into()), ..self }
    }
}

impl From<ErrorBody> for Reply {
    fn from(error: ErrorBody) -> Self {
        let status = StatusCode::from_u16(error.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Self::new(status, Content::Error(error))
    }
}

impl From<LoginError> for Reply {
    fn from(error: LoginError) -> Self {
        Self::new(StatusCode::BAD_REQUEST, Content::Json(error.body()))
    }
}
