//! Every error a client can see: one closed list of codes, one body (RFC 9457).
//!
//! What went wrong inside is logged once, where it is turned into a [`Problem`]; the client
//! gets the code, a sentence and a request id.

use crate::rate_limit::Standing;
use actix_web::http::{StatusCode, header};
use actix_web::{HttpResponse, ResponseError};
use serde::Serialize;
use std::fmt;
use utoipa::ToSchema;

macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $name:ident = $status:literal $code:literal $title:literal;)+) => {
        /// The stable error codes of the API.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, ToSchema)]
        #[serde(rename_all = "snake_case")]
        pub enum Code { $($(#[doc = $doc])+ $name,)+ }

        impl Code {
            /// All codes, for documents and tests.
            pub const ALL: &'static [Code] = &[$(Code::$name,)+];

            /// The HTTP status that goes with the code.
            pub fn status(self) -> StatusCode {
                let status = match self { $(Code::$name => $status,)+ };
                StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
            }

            /// The code as it stands in the body: `out_of_stock`.
            pub fn as_str(self) -> &'static str {
                match self { $(Code::$name => $code,)+ }
            }

            /// A short name for people, the same for every occurrence.
            pub fn title(self) -> &'static str {
                match self { $(Code::$name => $title,)+ }
            }
        }
    };
}

codes! {
    /// The request is not what the operation reads: syntax, JSON types, unknown fields, cursors.
    InvalidRequest = 400 "invalid_request" "The request cannot be read";
    /// The operation needs an `Idempotency-Key`.
    IdempotencyKeyRequired = 400 "idempotency_key_required" "An Idempotency-Key is required";
    /// No credential, or one that is not known.
    Unauthorized = 401 "unauthorized" "A valid credential is required";
    /// The payment provider refused the payment.
    PaymentDeclined = 402 "payment_declined" "The payment was declined";
    /// The credential does not reach this far.
    Forbidden = 403 "forbidden" "Not allowed with this credential";
    /// Unknown, malformed or somebody else's.
    NotFound = 404 "not_found" "There is nothing here";
    /// The path exists, the method does not; `Allow` names those that do.
    MethodNotAllowed = 405 "method_not_allowed" "The method is not allowed here";
    /// The body did not arrive in time.
    RequestTimeout = 408 "request_timeout" "The request took too long to arrive";
    /// Less is in stock than was asked for; `errors` says what is available.
    OutOfStock = 409 "out_of_stock" "Not enough in stock";
    /// The total is not the expected one; `total` is the current one.
    PriceChanged = 409 "price_changed" "The price has changed";
    /// There is nothing in the cart.
    CartEmpty = 409 "cart_empty" "The cart is empty";
    /// The resource is in a state that does not allow this.
    InvalidTransition = 409 "invalid_transition" "Not possible in this state";
    /// The same key is being worked on.
    RequestInProgress = 409 "request_in_progress" "The same request is in progress";
    /// The name (slug, SKU, e-mail address, role) is taken, or somebody still needs the thing.
    Conflict = 409 "conflict" "In conflict with what is there";
    /// The resource has another version than `If-Match` says.
    VersionConflict = 412 "version_conflict" "It was changed in the meantime";
    /// The body is larger than this operation reads.
    PayloadTooLarge = 413 "payload_too_large" "The body is too large";
    /// The body is not plain `application/json`.
    UnsupportedMediaType = 415 "unsupported_media_type" "The media type is not supported";
    /// The right types with wrong values.
    ValidationFailed = 422 "validation_failed" "Some values are not valid";
    /// The cart lacks what an order needs; `errors` names it.
    CheckoutIncomplete = 422 "checkout_incomplete" "The checkout is not complete";
    /// No such discount, or not for this order.
    DiscountNotApplicable = 422 "discount_not_applicable" "The discount does not apply";
    /// The key belongs to another request.
    IdempotencyKeyReused = 422 "idempotency_key_reused" "The Idempotency-Key was used before";
    /// The client has asked for too much; `Retry-After` says when to come again.
    RateLimited = 429 "rate_limited" "Too many requests";
    /// A defect of ours; the request id finds it in the logs.
    Internal = 500 "internal" "Something went wrong on our side";
    /// More work than can be done; nothing was begun.
    Overloaded = 503 "overloaded" "Too busy";
    /// The database is away.
    StorageUnavailable = 503 "storage_unavailable" "The storage is not available";
}

/// One thing that is wrong with the input, and where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct FieldError {
    /// JSON pointer into the request body (`/items/0/quantity`), or the parameter's name.
    pub pointer: String,
    /// What is wrong, for people.
    pub detail: String,
    /// `out_of_stock`: the SKU.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sku: Option<String>,
    /// `out_of_stock`: how many were asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requested: Option<i64>,
    /// `out_of_stock`: how many could be had.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub available: Option<i64>,
}

impl FieldError {
    /// An error at `pointer`.
    pub fn new(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        let (pointer, detail) = (pointer.into(), detail.into());
        Self { pointer, detail, sku: None, requested: None, available: None }
    }
}

/// Collects what is wrong with a request, so that the client learns all of it at once.
#[derive(Debug, Default)]
pub struct Violations(Vec<FieldError>);

impl Violations {
    /// Notes `detail` at `pointer` unless `holds`.
    pub fn require(&mut self, holds: bool, pointer: impl Into<String>, detail: &str) {
        if !holds {
            self.0.push(FieldError::new(pointer, detail));
        }
    }

    /// Notes an error.
    pub fn push(&mut self, error: FieldError) {
        self.0.push(error);
    }

    /// `validation_failed` if anything was noted.
    pub fn finish(self) -> Result<(), Problem> {
        if self.0.is_empty() { Ok(()) } else { Err(Problem::validation(self.0)) }
    }
}

/// An error as a client sees it, before the request's own fields are added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Which of the known errors this is.
    pub code: Code,
    /// What happened here, in a sentence.
    pub detail: String,
    /// The fields at fault.
    pub errors: Vec<FieldError>,
    /// `price_changed`: the current total.
    pub total: Option<crate::money::Money>,
    /// `method_not_allowed`: the methods that are.
    pub allow: Option<String>,
    /// `rate_limited`: the limit, and when there is room again.
    pub standing: Option<Box<Standing>>,
}

impl Problem {
    /// A problem with a sentence about this occurrence.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        let (errors, total, allow, standing) = (Vec::new(), None, None, None);
        Self { code, detail: detail.into(), errors, total, allow, standing }
    }

    /// Unknown, malformed and somebody else's all look the same.
    pub fn not_found(what: &str) -> Self {
        Self::new(Code::NotFound, format!("There is no such {what}."))
    }

    /// A defect of ours: the cause goes to the log, never to the client.
    pub fn internal(cause: impl fmt::Display) -> Self {
        tracing::error!(%cause, "internal error");
        Self::new(Code::Internal, "The request failed on our side; nothing was acknowledged.")
    }

    /// The answer of a COMMIT was lost.
    pub fn unknown_outcome() -> Self {
        let detail =
            "It is not known whether this was done; ask again, with the same Idempotency-Key.";
        Self::new(Code::StorageUnavailable, detail)
    }

    /// The input cannot be read at one place (400).
    pub fn invalid(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::of_fields(Code::InvalidRequest, vec![FieldError::new(pointer, detail)])
    }

    /// Wrong values (422), all of them at once.
    pub fn validation(errors: Vec<FieldError>) -> Self {
        Self::of_fields(Code::ValidationFailed, errors)
    }

    /// A problem of some fields; the first one's detail is the sentence.
    pub fn of_fields(code: Code, errors: Vec<FieldError>) -> Self {
        let detail = match errors.first() {
            Some(first) if first.pointer.is_empty() => first.detail.clone(),
            Some(first) => format!("{}: {}", first.pointer, first.detail),
            None => code.title().to_owned(),
        };
        Self { errors, ..Self::new(code, detail) }
    }

    /// Seconds after which trying again makes sense, for the codes that promise it.
    pub fn retry_after(&self) -> Option<u32> {
        match self.code {
            Code::RateLimited => {
                Some(self.standing.as_ref().map_or(1, |standing| standing.wait_seconds))
            }
            Code::Overloaded | Code::StorageUnavailable | Code::RequestInProgress => Some(1),
            _ => None,
        }
    }

    /// The body (RFC 9457) for a request.
    pub fn body(&self, instance: &str, request_id: &str) -> ProblemBody {
        ProblemBody {
            r#type: format!("/docs/errors#{}", self.code.as_str()),
            title: self.code.title(),
            status: self.code.status().as_u16(),
            detail: self.detail.clone(),
            instance: instance.to_owned(),
            code: self.code,
            request_id: request_id.to_owned(),
            errors: self.errors.clone(),
            total: self.total,
        }
    }
}

/// `application/problem+json`.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ProblemBody {
    /// Where the code is explained.
    pub r#type: String,
    /// The same for every occurrence of the code.
    pub title: &'static str,
    /// The HTTP status.
    pub status: u16,
    /// This occurrence, in a sentence.
    pub detail: String,
    /// The path of the request.
    pub instance: String,
    /// Stable, for programs.
    pub code: Code,
    /// Finds the request in the logs.
    pub request_id: String,
    /// Which fields are wrong.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
    /// `price_changed`: the current total.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total: Option<crate::money::Money>,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code.as_str(), self.detail)
    }
}

impl std::error::Error for Problem {}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        self.code.status()
    }

    /// Headers and the problem itself; the outermost middleware writes the body, because only
    /// it knows the request (see `http/frame.rs`).
    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponse::build(self.status_code());
        if let Some(seconds) = self.retry_after() {
            response.insert_header((header::RETRY_AFTER, seconds.to_string()));
        }
        if let Some(standing) = &self.standing {
            standing.headers().into_iter().for_each(|header| {
                response.insert_header(header);
            });
        }
        if let Some(allow) = &self.allow {
            response.insert_header((header::ALLOW, allow.as_str()));
        }
        if self.code == Code::Unauthorized {
            response.insert_header((header::WWW_AUTHENTICATE, "Bearer"));
        }
        response.finish()
    }
}
