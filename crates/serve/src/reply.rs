//! Responses, and what an error of ours is in the words of the protocol.

use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};
use plimsoll_content::{Code, Error};
use plimsoll_registry::protocol::{ErrorCode, ErrorDocument};
use serde::Serialize;

use crate::body::Payload;

/// A response that is being made.
pub(crate) struct Reply {
    response: Response<Payload>,
}

impl Reply {
    pub(crate) fn new(status: StatusCode) -> Self {
        let mut response = Response::new(Payload::empty());
        *response.status_mut() = status;
        Self { response }
    }

    /// A header. What can not stand in one is left out.
    pub(crate) fn header(mut self, name: &str, value: impl AsRef<str>) -> Self {
        let name = HeaderName::from_bytes(name.as_bytes());
        if let (Ok(name), Ok(value)) = (name, HeaderValue::from_str(value.as_ref())) {
            self.response.headers_mut().append(name, value);
        }
        self
    }

    pub(crate) fn body(mut self, media_type: &str, payload: Payload) -> Self {
        let length = payload.length();
        *self.response.body_mut() = payload;
        if let Ok(value) = HeaderValue::from_str(media_type) {
            self.response.headers_mut().insert(CONTENT_TYPE, value);
        }
        self.length(length)
    }

    /// The length of the body, also where that is not sent.
    pub(crate) fn length(mut self, length: u64) -> Self {
        self.response.headers_mut().insert(CONTENT_LENGTH, length.into());
        self
    }

    /// A document of our own.
    pub(crate) fn json(self, media_type: &str, value: &impl Serialize) -> Self {
        let bytes = serde_json::to_vec(value).unwrap_or_default();
        self.body(media_type, Payload::bytes(bytes))
    }

    /// The response without its body, which keeps its length.
    pub(crate) fn without_body(mut self) -> Self {
        *self.response.body_mut() = Payload::empty();
        self
    }

    pub(crate) fn finish(mut self) -> Response<Payload> {
        let status = self.response.status();
        let none = status == StatusCode::NO_CONTENT || status.is_informational();
        let headers = self.response.headers_mut();
        if !none && !headers.contains_key(CONTENT_LENGTH) {
            headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
        }
        self.response
    }

    pub(crate) fn status(&self) -> StatusCode {
        self.response.status()
    }
}

/// Why a request is refused.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    pub(crate) code: ErrorCode,
    pub(crate) message: String,
    pub(crate) headers: Vec<(&'static str, String)>,
    /// What went wrong here, for the log.
    pub(crate) fault: Option<Error>,
}

pub(crate) type Replied = Result<Reply, Refusal>;

impl Refusal {
    pub(crate) fn new(status: StatusCode, code: ErrorCode, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), headers: Vec::new(), fault: None }
    }

    /// The refusal of a request that asks for nothing wrong: what is stored
    /// can not be read. Why is no matter of the client.
    pub(crate) fn fault(error: Error) -> Self {
        let text = format!("what is stored can not be read ({})", error.code());
        let status = StatusCode::INTERNAL_SERVER_ERROR;
        Self { fault: Some(error), ..Self::new(status, ErrorCode::Unsupported, text) }
    }

    pub(crate) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub(crate) fn reply(self) -> Reply {
        let document = ErrorDocument::one(self.code, self.message);
        let reply = Reply::new(self.status).json("application/json", &document);
        self.headers.into_iter().fold(reply, |reply, (name, value)| reply.header(name, value))
    }
}

/// What an error is to a client. What is none of its business (paths, causes)
/// stays in the log.
impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        let text = error.to_string();
        let (status, code, message) = match error.code() {
            Code::Digest | Code::Unverifiable => {
                (StatusCode::BAD_REQUEST, ErrorCode::DigestInvalid, text)
            }
            Code::Size => (StatusCode::BAD_REQUEST, ErrorCode::SizeInvalid, text),
            Code::Limit => (StatusCode::PAYLOAD_TOO_LARGE, ErrorCode::SizeInvalid, text),
            Code::Network => (StatusCode::BAD_REQUEST, ErrorCode::BlobUploadInvalid, text),
            Code::Locked => {
                let text = "somebody else works on it: try again".to_owned();
                let refusal =
                    Self::new(StatusCode::SERVICE_UNAVAILABLE, ErrorCode::TooManyRequests, text);
                return Self { fault: Some(error), ..refusal.header("Retry-After", "1") };
            }
            Code::Space => (
                StatusCode::INSUFFICIENT_STORAGE,
                ErrorCode::Denied,
                "the registry has no space left".to_owned(),
            ),
            code => (
                StatusCode::INTERNAL_SERVER_ERROR,
                ErrorCode::Unsupported,
                format!("the registry could not do this ({code})"),
            ),
        };
        Self { fault: Some(error), ..Self::new(status, code, message) }
    }
}
