//! Answers leave in slices, so that who reads slowly holds a slice in memory and not a copy of
//! all: many clients share the bytes of one answer.

use actix_web::body::{BodySize, BoxBody, EitherBody, MessageBody};
use actix_web::dev::ServiceResponse;
use bytes::Bytes;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

/// Bytes of a slice, and of an answer that leaves as a whole.
const SLICE: usize = 32 * 1024;

/// The answer in slices if it is a large one.
pub fn sliced<B: MessageBody + 'static>(
    response: ServiceResponse<B>,
) -> ServiceResponse<EitherBody<B, BoxBody>> {
    response.map_body(|_, body| match body.size() {
        BodySize::Sized(length) if length > SLICE as u64 => match body.try_into_bytes() {
            Ok(bytes) => EitherBody::right(BoxBody::new(Slices(bytes))),
            Err(body) => EitherBody::left(body),
        },
        _ => EitherBody::left(body),
    })
}

/// What has not left yet.
struct Slices(Bytes);

impl MessageBody for Slices {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        BodySize::Sized(self.0.len() as u64)
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Infallible>>> {
        let length = self.0.len().min(SLICE);
        let slice = self.0.split_to(length);
        Poll::Ready((!slice.is_empty()).then_some(Ok(slice)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::HttpResponse;
    use actix_web::body::to_bytes;
    use actix_web::test::TestRequest;

    #[tokio::test]
    async fn a_large_answer_keeps_its_length_and_its_bytes() {
        for length in [0, SLICE, SLICE + 1, 3 * SLICE, 10 * SLICE + 7] {
            let bytes: Vec<u8> = (0..length).map(|at| (at % 251) as u8).collect();
            let request = TestRequest::default().to_srv_request();
            let response = sliced(request.into_response(HttpResponse::Ok().body(bytes.clone())));
            let body = response.into_body();
            assert_eq!(body.size(), BodySize::Sized(length as u64));
            assert_eq!(to_bytes(body).await.ok(), Some(Bytes::from(bytes)));
        }
    }
}
