//! Answers leave in slices, so that who reads slowly holds a slice in memory and not a copy of
//! all: many clients share the bytes of one answer. For those that nobody shares there is only so
//! much room.

use crate::error::{Code, Problem};
use actix_web::HttpResponse;
use actix_web::body::{BodySize, BoxBody, EitherBody, MessageBody};
use actix_web::dev::ServiceResponse;
use bytes::Bytes;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

/// Bytes of a slice, and of an answer that leaves as a whole.
const SLICE: usize = 32 * 1024;

/// Bytes of large answers that are on their way and nobody else's, at most, in the whole process:
/// 256 MiB.
static ROOM: Room = Room { left: AtomicUsize::new(256 * 1024 * 1024) };

/// The answer in slices if it is a large one; `overloaded`, if too many wait to be taken already,
/// unless it tells of a change that was made.
pub fn sliced<B: MessageBody + 'static>(
    response: ServiceResponse<B>,
) -> ServiceResponse<EitherBody<B, BoxBody>> {
    sliced_in(&ROOM, response)
}

fn sliced_in<B: MessageBody + 'static>(
    room: &'static Room,
    response: ServiceResponse<B>,
) -> ServiceResponse<EitherBody<B, BoxBody>> {
    let is_large = |length| length > SLICE as u64;
    if !matches!(response.response().body().size(), BodySize::Sized(length) if is_large(length)) {
        return response.map_into_left_body();
    }
    let (request, response) = response.into_parts();
    let (head, body) = response.into_parts();
    let response = match body.try_into_bytes() {
        Err(body) => head.set_body(EitherBody::left(body)),
        Ok(bytes) => match room.hold(&bytes) {
            Err(problem) if request.method().is_safe() => {
                HttpResponse::from_error(problem).map_into_right_body()
            }
            held => {
                let slices = Slices { bytes, _taken: held.ok().flatten() };
                head.set_body(EitherBody::right(BoxBody::new(slices)))
            }
        },
    };
    ServiceResponse::new(request, response)
}

/// Room for bytes.
struct Room {
    left: AtomicUsize,
}

/// What was taken of it.
struct Taken {
    room: &'static Room,
    bytes: usize,
}

impl Room {
    /// Room for these bytes; `None` for those that are somebody else's too, of a cache, and take
    /// none. `overloaded`, if there is not so much.
    fn hold(&'static self, bytes: &Bytes) -> Result<Option<Taken>, Problem> {
        if !bytes.is_unique() {
            return Ok(None);
        }
        let bytes = bytes.len();
        let less = |left: usize| left.checked_sub(bytes);
        match self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less) {
            Ok(_) => Ok(Some(Taken { room: self, bytes })),
            Err(_) => {
                let detail = "Too many large answers are on their way; ask again, or for less.";
                Err(Problem::new(Code::Overloaded, detail))
            }
        }
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.room.left.fetch_add(self.bytes, Ordering::Relaxed);
    }
}

/// What has not left yet.
struct Slices {
    bytes: Bytes,
    _taken: Option<Taken>,
}

impl MessageBody for Slices {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        BodySize::Sized(self.bytes.len() as u64)
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Infallible>>> {
        let length = self.bytes.len().min(SLICE);
        let slice = self.bytes.split_to(length);
        Poll::Ready((!slice.is_empty()).then_some(Ok(slice)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
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

    #[tokio::test]
    async fn whoever_made_a_change_is_told_though_there_is_no_room() {
        static NONE: Room = Room { left: AtomicUsize::new(0) };
        for (request, status) in [(TestRequest::get(), 503), (TestRequest::post(), 201)] {
            let made = HttpResponse::Created().body(vec![0; 2 * SLICE]);
            let response = sliced_in(&NONE, request.to_srv_request().into_response(made));
            assert_eq!(response.status().as_u16(), status);
        }
    }

    #[test]
    fn there_is_room_for_so_many_bytes_that_are_nobody_elses() {
        static SMALL: Room = Room { left: AtomicUsize::new(100) };
        let own = || SMALL.hold(&Bytes::from(vec![0; 60]));
        let first = own().expect("room");
        assert!(own().is_err(), "60 and 60 are more than 100");
        let cached = Bytes::from(vec![0; 1_000]);
        let _of_the_cache = cached.clone();
        assert!(SMALL.hold(&cached).is_ok(), "the cache has them anyway");
        drop(first);
        assert!(own().is_ok(), "what has left makes room");
        assert_eq!(SMALL.left.load(Ordering::Relaxed), 100);
    }
}
