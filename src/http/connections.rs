//! Clients that hold a connection and hardly say a word.
//!
//! The HTTP library times the first head of a connection and the silence between two requests, but
//! neither a later head that dribbles in, nor an answer that is taken a byte at a time. So each
//! connection has a time by which the request after its last answer must have come.

use actix_web::body::BodySize;
use actix_web::dev::Extensions;
use actix_web::rt::net::TcpStream;
use socket2::{SockRef, Socket};
use std::any::Any;
use std::cell::{Cell, RefCell};
use std::net::Shutdown;
use std::rc::{Rc, Weak};
use std::time::{Duration, Instant};

/// Between two looks at the connections of a worker.
const LOOK: Duration = Duration::from_secs(1);

/// Bytes of an answer that a client takes in a second, at least.
const RATE_MIN: u64 = 1024;

thread_local! {
    /// The connections of this worker; `None` until the first.
    static OPEN: RefCell<Option<Vec<Weak<Connection>>>> = const { RefCell::new(None) };
}

/// A connection, as its requests know it.
pub struct Connection {
    /// The same socket once more: the library does not give its own away.
    socket: Socket,
    /// Between the last byte of an answer and the head of the next request.
    patience: Duration,
    /// By then the next request must have come; none while one is being answered.
    due: Cell<Option<Instant>>,
}

impl Connection {
    /// A request has come.
    pub fn asked(&self) {
        self.due.set(None);
    }

    /// An answer of that size is on its way. Streams look after themselves.
    pub fn answered(&self, size: BodySize) {
        let length = match size {
            BodySize::Sized(length) => length,
            BodySize::None => 0,
            BodySize::Stream => return,
        };
        let time = self.patience.saturating_add(Duration::from_secs(length / RATE_MIN));
        self.due.set(Instant::now().checked_add(time));
    }

    /// Ends it if its time is over; what was not taken is thrown away.
    fn judge(&self, now: Instant) {
        if self.due.get().is_some_and(|due| due < now) {
            tracing::debug!("a connection was too slow");
            let _ = self.socket.set_linger(Some(Duration::ZERO));
            let _ = self.socket.shutdown(Shutdown::Both);
        }
    }
}

/// Watches each connection that a worker takes; `patience` is for the head of a later request,
/// and for what the client's own buffers hold back.
pub fn watch(patience: Duration) -> impl Fn(&dyn Any, &mut Extensions) + Send + Sync + 'static {
    move |stream, data| {
        let stream = stream.downcast_ref::<TcpStream>();
        // Without another file for it, it is not watched.
        let Some(Ok(socket)) = stream.map(|stream| SockRef::from(stream).try_clone()) else {
            return;
        };
        let connection = Rc::new(Connection { socket, patience, due: Cell::new(None) });
        OPEN.with_borrow_mut(|open| {
            open.get_or_insert_with(|| {
                actix_web::rt::spawn(look());
                Vec::new()
            })
            .push(Rc::downgrade(&connection));
        });
        data.insert(connection);
    }
}

/// Looks at all of them, again and again.
async fn look() {
    loop {
        tokio::time::sleep(LOOK).await;
        let now = Instant::now();
        OPEN.with_borrow_mut(|open| {
            if let Some(open) = open {
                open.retain(|connection| {
                    connection.upgrade().is_some_and(|connection| {
                        connection.judge(now);
                        true
                    })
                });
            }
        });
    }
}
